//! Headers of a saved SYN: Ethernet, IPv4, IPv6 and TCP (manual, `eth.*`, `ip.*`, `tcp.*`).
//!
//! A converter gives nothing when its header is not there in full. Nothing is verified: the system took the packet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Converter, conv, data};
use crate::expr::{ArgKind, Args, Data, EvalCtx, Sample, SampleType};

const BIN: SampleType = SampleType::Bin;
const INT: SampleType = SampleType::Int;
const ADDR: SampleType = SampleType::Addr;

/// A converter to an integer.
const fn number(name: &'static str, run: super::ConvFn, doc: &'static str) -> Converter {
    conv(name, BIN, INT, run, doc)
}

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "eth.data",
        BIN,
        BIN,
        |s, _, _| rest(s, |p| Some(Frame::of(p)?.length)),
        "what an Ethernet frame holds",
    ),
    conv("eth.dst", BIN, BIN, |s, _, _| part(s, 0, 6), "destination of an Ethernet frame"),
    conv(
        "eth.hdr",
        BIN,
        BIN,
        |s, _, _| start(s, |p| Some(Frame::of(p)?.length)),
        "header of an Ethernet frame",
    ),
    number(
        "eth.proto",
        |s, _, _| int(s, |p| Some(Frame::of(p)?.protocol.into())),
        "protocol in an Ethernet frame",
    ),
    conv("eth.src", BIN, BIN, |s, _, _| part(s, 6, 12), "source of an Ethernet frame"),
    number(
        "eth.vlan",
        |s, _, _| int(s, |p| Frame::of(p)?.vlan.map(i64::from)),
        "last VLAN of an Ethernet frame",
    ),
    conv("ip.data", BIN, BIN, |s, _, _| rest(s, |p| Some(Packet::of(p)?.length)), "what an IP packet holds"),
    number(
        "ip.df",
        |s, _, _| int(s, |p| Some(Packet::of(p)?.dont_fragment.into())),
        "an IP packet's DF flag",
    ),
    conv("ip.dst", BIN, ADDR, |s, _, _| address(s, |p| p.destination), "destination of an IP packet"),
    conv("ip.fp", BIN, BIN, fingerprint, "fingerprint of a SYN").args(0, &[ArgKind::Int]),
    conv("ip.hdr", BIN, BIN, |s, _, _| start(s, |p| Some(Packet::of(p)?.length)), "header of an IP packet"),
    number(
        "ip.proto",
        |s, _, _| int(s, |p| Some(Packet::of(p)?.protocol.into())),
        "protocol in an IP packet",
    ),
    conv("ip.src", BIN, ADDR, |s, _, _| address(s, |p| p.source), "source of an IP packet"),
    number("ip.tos", |s, _, _| int(s, |p| Some(Packet::of(p)?.tos.into())), "an IP packet's type of service"),
    number("ip.ttl", |s, _, _| int(s, |p| Some(Packet::of(p)?.ttl.into())), "an IP packet's time to live"),
    number("ip.ver", |s, _, _| int(s, |p| Some(i64::from(byte(p, 0)? >> 4))), "an IP packet's version"),
    number("tcp.dst", |s, _, _| int(s, |p| word(p, 2)), "a segment's destination port"),
    number("tcp.flags", |s, _, _| int(s, |p| byte(p, 13).map(i64::from)), "a segment's flags"),
    number("tcp.options.mss", |s, _, _| int(s, |p| Some(Segment::of(p)?.mss())), "a segment's MSS, or 0"),
    number("tcp.options.sack", |s, _, _| has_option(s, SACK_PERMITTED), "a segment permits SACK"),
    number("tcp.options.tsopt", |s, _, _| has_option(s, TIMESTAMP), "a segment has a timestamp"),
    number(
        "tcp.options.tsval",
        |s, _, _| int(s, |p| dword(Segment::of(p)?.option(TIMESTAMP)?, 0)),
        "a segment's timestamp",
    ),
    number(
        "tcp.options.wscale",
        |s, _, _| int(s, |p| Some(Segment::of(p)?.window_scale().map_or(0, i64::from))),
        "a segment's window scale, or 0",
    ),
    number("tcp.options.wsopt", |s, _, _| has_option(s, WINDOW_SCALE), "a segment has a window scale"),
    conv(
        "tcp.options_list",
        BIN,
        BIN,
        |s, _, _| Some(Sample::bin(Segment::of(&data(s)?)?.kinds())),
        "kinds of a segment's options",
    ),
    number("tcp.seq", |s, _, _| int(s, |p| dword(p, 4)), "a segment's sequence number"),
    number("tcp.src", |s, _, _| int(s, |p| word(p, 0)), "a segment's source port"),
    number("tcp.win", |s, _, _| int(s, |p| word(p, 14)), "a segment's window, not scaled"),
];

fn byte(bytes: &[u8], at: usize) -> Option<u8> {
    bytes.get(at).copied()
}

fn be16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes(bytes.get(at..at + 2)?.try_into().ok()?))
}

fn word(bytes: &[u8], at: usize) -> Option<i64> {
    be16(bytes, at).map(i64::from)
}

fn dword(bytes: &[u8], at: usize) -> Option<i64> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?).into())
}

fn int<'a>(sample: Sample<'a>, read: fn(&[u8]) -> Option<i64>) -> Option<Sample<'a>> {
    read(&data(sample)?).map(Sample::Int)
}

fn part(sample: Sample<'_>, from: usize, to: usize) -> Option<Sample<'_>> {
    let data = data(sample)?;
    (data.len() >= to).then(|| Sample::Bin(data.slice(from, to)))
}

/// The first bytes, as many as `length` says.
fn start<'a>(sample: Sample<'a>, length: fn(&[u8]) -> Option<usize>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let length = length(&data)?;
    (length <= data.len()).then(|| Sample::Bin(data.slice(0, length)))
}

/// What follows the first bytes.
fn rest<'a>(sample: Sample<'a>, length: fn(&[u8]) -> Option<usize>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let (length, end) = (length(&data)?, data.len());
    (length <= end).then(|| Sample::Bin(data.slice(length, end)))
}

fn address<'a>(sample: Sample<'a>, which: fn(&Packet) -> IpAddr) -> Option<Sample<'a>> {
    let data = data(sample)?;
    Packet::of(&data).map(|packet| Sample::ip(which(&packet)))
}

fn has_option(sample: Sample<'_>, kind: u8) -> Option<Sample<'_>> {
    let data = data(sample)?;
    Some(Sample::Int(Segment::of(&data)?.option(kind).is_some().into()))
}

/// An Ethernet header with its VLAN tags (IEEE 802.1Q and 802.1ad).
struct Frame {
    /// In bytes, tags included.
    length: usize,
    protocol: u16,
    vlan: Option<u16>,
}

impl Frame {
    fn of(bytes: &[u8]) -> Option<Frame> {
        const TAGS: [u16; 3] = [0x8100, 0x88a8, 0x9100];
        const VLAN_MASK: u16 = 0x0fff;
        let (mut at, mut vlan) = (12, None);
        loop {
            let protocol = be16(bytes, at)?;
            if !TAGS.contains(&protocol) {
                return Some(Frame { length: at + 2, protocol, vlan });
            }
            vlan = Some(be16(bytes, at + 2)? & VLAN_MASK);
            at += 4;
        }
    }
}

/// An IP header with its options or extension headers (RFC 791, RFC 8200).
struct Packet {
    is_v6: bool,
    /// In bytes, options and extensions included.
    length: usize,
    has_options: bool,
    /// Of the packet as its header says, in bytes.
    total_bytes: usize,
    tos: u8,
    ttl: u8,
    dont_fragment: bool,
    protocol: u8,
    source: IpAddr,
    destination: IpAddr,
}

impl Packet {
    fn of(bytes: &[u8]) -> Option<Packet> {
        match byte(bytes, 0)? >> 4 {
            4 => Packet::v4(bytes),
            6 => Packet::v6(bytes),
            _ => None,
        }
    }

    fn v4(bytes: &[u8]) -> Option<Packet> {
        const HEADER_BYTES: usize = 20;
        let length = usize::from(byte(bytes, 0)? & 15) * 4;
        let address = |at: usize| {
            let octets: [u8; 4] = bytes.get(at..at + 4)?.try_into().ok()?;
            Some(IpAddr::V4(Ipv4Addr::from(octets)))
        };
        (length >= HEADER_BYTES && bytes.len() >= length).then_some(())?;
        Some(Packet {
            is_v6: false,
            length,
            has_options: length > HEADER_BYTES,
            total_bytes: be16(bytes, 2)?.into(),
            tos: byte(bytes, 1)?,
            ttl: byte(bytes, 8)?,
            dont_fragment: byte(bytes, 6)? & 0x40 != 0,
            protocol: byte(bytes, 9)?,
            source: address(12)?,
            destination: address(16)?,
        })
    }

    fn v6(bytes: &[u8]) -> Option<Packet> {
        const HEADER_BYTES: usize = 40;
        let address = |at: usize| {
            let octets: [u8; 16] = bytes.get(at..at + 16)?.try_into().ok()?;
            Some(IpAddr::V6(Ipv6Addr::from(octets)))
        };
        let (mut protocol, mut length) = (byte(bytes, 6)?, HEADER_BYTES);
        while let Some(extension) = extension_bytes(protocol, bytes.get(length..)?) {
            protocol = byte(bytes, length)?;
            length += extension;
        }
        (bytes.len() >= length).then_some(())?;
        Some(Packet {
            is_v6: true,
            length,
            has_options: length > HEADER_BYTES,
            total_bytes: HEADER_BYTES + usize::from(be16(bytes, 4)?),
            tos: (be16(bytes, 0)? >> 4) as u8,
            ttl: byte(bytes, 7)?,
            // Routers never fragment IPv6.
            dont_fragment: true,
            protocol,
            source: address(8)?,
            destination: address(24)?,
        })
    }
}

/// The length of an IPv6 extension header; `None` for a transport protocol.
fn extension_bytes(protocol: u8, bytes: &[u8]) -> Option<usize> {
    let units = usize::from(byte(bytes, 1)?);
    match protocol {
        // Hop-by-hop, routing, destination options, mobility, HIP, shim6.
        0 | 43 | 60 | 135 | 139 | 140 => Some((units + 1) * 8),
        // Fragment.
        44 => Some(8),
        // Authentication header (RFC 4302).
        51 => Some((units + 2) * 4),
        _ => None,
    }
}

// Kinds of TCP options (RFC 9293, RFC 7323, RFC 2018).
const END: u8 = 0;
const PADDING: u8 = 1;
const MSS: u8 = 2;
const WINDOW_SCALE: u8 = 3;
const SACK_PERMITTED: u8 = 4;
const TIMESTAMP: u8 = 8;

/// A TCP header.
struct Segment<'p> {
    header: &'p [u8],
    options: &'p [u8],
}

impl<'p> Segment<'p> {
    fn of(bytes: &'p [u8]) -> Option<Segment<'p>> {
        const HEADER_BYTES: usize = 20;
        let header = bytes.get(..usize::from(byte(bytes, 12)? >> 4) * 4)?;
        Some(Segment { header, options: header.get(HEADER_BYTES..)? })
    }

    /// Kinds and values in order; padding has no value.
    fn options(&self) -> impl Iterator<Item = (u8, &'p [u8])> + use<'p> {
        let mut left = self.options;
        std::iter::from_fn(move || {
            let kind = byte(left, 0)?;
            if kind == END {
                return None;
            }
            let length = if kind == PADDING { 1 } else { usize::from(byte(left, 1)?) };
            let option = left.get(..length)?;
            let value = if kind == PADDING { &[] } else { option.get(2..)? };
            left = left.get(length..)?;
            Some((kind, value))
        })
    }

    fn option(&self, kind: u8) -> Option<&'p [u8]> {
        self.options().find(|(known, _)| *known == kind).map(|(_, value)| value)
    }

    fn kinds(&self) -> Vec<u8> {
        self.options().map(|(kind, _)| kind).collect()
    }

    fn mss(&self) -> i64 {
        self.option(MSS).and_then(|value| word(value, 0)).unwrap_or(0)
    }

    fn window_scale(&self) -> Option<u8> {
        byte(self.option(WINDOW_SCALE)?, 0)
    }
}

/// `ip.fp`: the layout is the manual's.
fn fingerprint<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    const PROTOCOL_TCP: u8 = 6;
    const WITH_TTL: i64 = 1;
    const WITH_OPTIONS: i64 = 2;
    const WITH_SOURCE: i64 = 4;
    let bytes: Data<'a> = data(sample)?;
    let packet = Packet::of(&bytes)?;
    (packet.protocol == PROTOCOL_TCP).then_some(())?;
    let segment = Segment::of(bytes.get(packet.length..)?)?;
    let flags = byte(segment.header, 13)?;
    let has_data = packet.total_bytes > packet.length + segment.header.len();
    let mut out = vec![packet.tos, shape(&packet, has_data, flags), window_shape(&segment)];
    out.extend_from_slice(segment.header.get(14..16)?);
    out.extend_from_slice(&(segment.mss() as u16).to_be_bytes());
    out.push(option_bits(&segment));
    let mode = args.int(0).unwrap_or(0);
    if mode & WITH_TTL != 0 {
        out.push(packet.ttl);
    }
    if mode & WITH_OPTIONS != 0 {
        out.extend(segment.kinds());
    }
    if mode & WITH_SOURCE != 0 {
        match packet.source {
            IpAddr::V4(address) => out.extend(address.octets()),
            IpAddr::V6(address) => out.extend(address.octets()),
        }
    }
    Some(Sample::bin(out))
}

fn shape(packet: &Packet, has_data: bool, flags: u8) -> u8 {
    let distance = match packet.ttl {
        0..=32 => 0,
        33..=64 => 1,
        65..=128 => 2,
        _ => 3,
    };
    // CWR and ECE are the segment's two highest flags, in the order in which the fingerprint has them.
    u8::from(packet.is_v6) << 7
        | u8::from(packet.dont_fragment) << 6
        | distance << 4
        | u8::from(packet.has_options) << 3
        | u8::from(has_data) << 2
        | flags >> 6
}

fn window_shape(segment: &Segment<'_>) -> u8 {
    let scale = segment.window_scale().map_or(0, |scale| scale.saturating_add(1).min(15));
    (segment.header.len() / 4) as u8 * 16 + scale
}

fn option_bits(segment: &Segment<'_>) -> u8 {
    segment.options().fold(0, |bits, (kind, _)| match kind {
        MSS..=TIMESTAMP => bits | 1 << (kind - MSS),
        9.. => bits | 0x80,
        _ => bits,
    })
}

#[cfg(test)]
mod tests {
    use crate::expr::conv::find;
    use crate::expr::testing::{TestEnvironment, parse_and_eval};

    /// The two SYNs of the manual, "fc_saved_syn".
    const V4: &str = "0000000000000000000000000800\
        4500003C0A654000400632557F0000017F000001\
        E1F2115D01AF4E3E00000000A002FFD7FE3000000204FFD70402080A01C2A71A0000000001030307";
    const V6: &str = "00000000000000000000000086DD\
        6008018F00280640000000000000000000000000000000010000000000000000000000000000000\
        19758115DB5511F5D00000000A002FFC4003000000204FFC40402080A9C231D680000000001030307";

    fn eval(frame: &str, chain: &str) -> Option<String> {
        parse_and_eval(&format!("bin({frame}),{chain}"), &TestEnvironment::default())
    }

    #[test]
    fn the_manuals_syns_are_taken_apart() {
        for (chain, v4, v6) in [
            ("eth.dst,hex", "000000000000", "000000000000"),
            ("eth.src,hex", "000000000000", "000000000000"),
            ("eth.hdr,hex", "0000000000000000000000000800", "00000000000000000000000086DD"),
            ("eth.proto", "2048", "34525"),
            ("eth.data,hex,length", "120", "160"),
            ("eth.data,ip.ver", "4", "6"),
            ("eth.data,ip.df", "1", "1"),
            ("eth.data,ip.src", "127.0.0.1", "::1"),
            ("eth.data,ip.dst", "127.0.0.1", "::1"),
            ("eth.data,ip.hdr,hex,length", "40", "80"),
            ("eth.data,ip.proto", "6", "6"),
            ("eth.data,ip.tos", "0", "0"),
            ("eth.data,ip.ttl", "64", "64"),
            ("eth.data,ip.data,tcp.src", "57842", "38744"),
            ("eth.data,ip.data,tcp.dst", "4445", "4445"),
            ("eth.data,ip.data,tcp.seq", "28266046", "3041992541"),
            ("eth.data,ip.data,tcp.flags", "2", "2"),
            ("eth.data,ip.data,tcp.win", "65495", "65476"),
            ("eth.data,ip.data,tcp.options.mss", "65495", "65476"),
            ("eth.data,ip.data,tcp.options.sack", "1", "1"),
            ("eth.data,ip.data,tcp.options.tsopt", "1", "1"),
            ("eth.data,ip.data,tcp.options.tsval", "29533978", "2619546984"),
            ("eth.data,ip.data,tcp.options.wsopt", "1", "1"),
            ("eth.data,ip.data,tcp.options.wscale", "7", "7"),
            ("eth.data,ip.data,tcp.options_list,hex", "0204080103", "0204080103"),
            ("eth.data,ip.fp,hex", "0050A8FFD7FFD747", "00D0A8FFC4FFC447"),
            (
                "eth.data,ip.fp(5),hex",
                "0050A8FFD7FFD747407F000001",
                "00D0A8FFC4FFC4474000000000000000000000000000000001",
            ),
            ("eth.data,ip.fp(3),hex", "0050A8FFD7FFD747400204080103", "00D0A8FFC4FFC447400204080103"),
        ] {
            assert_eq!(eval(V4, chain).as_deref(), Some(v4), "IPv4: {chain}");
            assert_eq!(eval(V6, chain).as_deref(), Some(v6), "IPv6: {chain}");
        }
        assert_eq!(eval(V4, "eth.vlan"), None);
    }

    #[test]
    fn vlans_are_skipped_and_the_last_one_is_told() {
        let frame = "0202020202020404040404048100002A81000FA00800450000140000000040060000";
        assert_eq!(eval(frame, "eth.vlan").as_deref(), Some("4000"));
        assert_eq!(eval(frame, "eth.proto").as_deref(), Some("2048"));
        assert_eq!(eval(frame, "eth.hdr,hex,length").as_deref(), Some("44"));
    }

    #[test]
    fn what_is_cut_short_gives_nothing_and_never_panics() {
        let all = hex(V4);
        for end in 0..all.len() {
            let text: String = all[..end].iter().map(|b| format!("{b:02X}")).collect();
            for name in ["eth.hdr", "eth.data", "ip.fp", "ip.data", "ip.dst", "tcp.win", "tcp.options_list"] {
                assert!(find(name).is_some());
                let _ = eval(&text, name);
                let _ = eval(&text, &format!("eth.data,{name}"));
                let _ = eval(&text, &format!("eth.data,ip.data,{name}"));
            }
        }
        assert_eq!(eval("45", "ip.src"), None);
    }

    fn hex(text: &str) -> Vec<u8> {
        crate::expr::conv::encode::hex_decode(text.as_bytes()).unwrap()
    }
}
