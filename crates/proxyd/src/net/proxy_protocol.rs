//! The PROXY protocol, versions 1 and 2: reading and writing its header (proxy-protocol.txt, sections 2.1 and 2.2).
//!
//! Bytes only; who expects a header and what it changes is the session's business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// The longest version 1 line, with its line end (section 2.1).
const LINE_MAX: usize = 107;
/// Signature, version and command, family, length.
const FIXED: usize = 16;

/// Type of the TLV that carries a CRC32c of the whole header (section 2.2.3).
pub const TLV_CRC32C: u8 = 0x03;
/// Type of the TLV that carries the connection's unique identifier (section 2.2.5).
pub const TLV_UNIQUE_ID: u8 = 0x05;

/// A header's contents.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header {
    /// Source and destination; `None` for LOCAL, UNKNOWN and Unix sockets: the connection's own ends hold.
    pub ends: Option<(SocketAddr, SocketAddr)>,
    /// The TLVs as received, checked for lengths.
    pub tlvs: Box<[u8]>,
}

/// What the first bytes of a connection are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parsed {
    /// They may become a header.
    Incomplete,
    /// They are none, or a wrong one.
    Bad,
    Header {
        length: usize,
        header: Header,
    },
}

/// Reads a header of either version.
pub fn parse(bytes: &[u8]) -> Parsed {
    let begins = |start: &[u8]| bytes.iter().zip(start).all(|(byte, wanted)| byte == wanted);
    if bytes.len() >= SIGNATURE.len() && bytes.starts_with(SIGNATURE) {
        return parse_binary(bytes).unwrap_or(Parsed::Bad);
    }
    if bytes.len() >= 6 && bytes.starts_with(b"PROXY ") {
        return parse_line(bytes);
    }
    if begins(b"PROXY ") || begins(SIGNATURE) { Parsed::Incomplete } else { Parsed::Bad }
}

fn parse_line(bytes: &[u8]) -> Parsed {
    let seen = bytes.get(..LINE_MAX).unwrap_or(bytes);
    let Some(end) = memchr::memmem::find(seen, b"\r\n") else {
        return if bytes.len() < LINE_MAX { Parsed::Incomplete } else { Parsed::Bad };
    };
    let line = bytes.get(..end).and_then(|line| std::str::from_utf8(line).ok());
    let mut words = line.unwrap_or_default().split(' ').skip(1);
    let ends = match words.next() {
        Some("UNKNOWN") => None,
        Some(family @ ("TCP4" | "TCP6")) => {
            let mut address =
                || words.next()?.parse::<IpAddr>().ok().filter(|ip| ip.is_ipv4() == (family == "TCP4"));
            let (source, destination) = (address(), address());
            let mut port = || words.next()?.parse::<u16>().ok();
            let (source_port, destination_port) = (port(), port());
            match (source, source_port, destination, destination_port) {
                (Some(source), Some(port), Some(destination), Some(to)) if words.next().is_none() => {
                    Some((SocketAddr::new(source, port), SocketAddr::new(destination, to)))
                }
                _ => return Parsed::Bad,
            }
        }
        _ => return Parsed::Bad,
    };
    Parsed::Header { length: end + 2, header: Header { ends, tlvs: Box::default() } }
}

/// `None` is a bad header.
fn parse_binary(bytes: &[u8]) -> Option<Parsed> {
    let Some(&[command, family, high, low]) = bytes.get(12..FIXED) else { return Some(Parsed::Incomplete) };
    let length = FIXED + usize::from(u16::from_be_bytes([high, low]));
    let Some(body) = bytes.get(FIXED..length) else { return Some(Parsed::Incomplete) };
    if command & 0xf0 != 0x20 {
        return None;
    }
    let (ends, tlvs) = match (command & 0x0f, family >> 4) {
        // LOCAL: the connection is the proxy's own, whatever follows is skipped.
        (0, _) => return Some(Parsed::Header { length, header: Header::default() }),
        (1, 0) => (None, body),
        (1, 1) => {
            let (addresses, tlvs) = body.split_first_chunk::<12>()?;
            let [a, b, c, d, e, f, g, h, ports @ ..] = *addresses;
            let ends = with_ports([a, b, c, d], [e, f, g, h], ports);
            (Some(ends), tlvs)
        }
        (1, 2) => {
            let (source, rest) = body.split_first_chunk::<16>()?;
            let (destination, rest) = rest.split_first_chunk::<16>()?;
            let (ports, tlvs) = rest.split_first_chunk::<4>()?;
            (Some(with_ports(*source, *destination, *ports)), tlvs)
        }
        (1, 3) => (None, body.get(216..)?),
        _ => return None,
    };
    let whole = bytes.get(..length)?;
    check_tlvs(tlvs, whole)?;
    Some(Parsed::Header { length, header: Header { ends, tlvs: tlvs.into() } })
}

fn with_ports<A: Into<IpAddr>>(source: A, destination: A, ports: [u8; 4]) -> (SocketAddr, SocketAddr) {
    let [a, b, c, d] = ports;
    (
        SocketAddr::new(source.into(), u16::from_be_bytes([a, b])),
        SocketAddr::new(destination.into(), u16::from_be_bytes([c, d])),
    )
}

/// Every TLV must end within the header, and a checksum must be right.
fn check_tlvs(mut rest: &[u8], whole: &[u8]) -> Option<()> {
    while !rest.is_empty() {
        let (kind, value, after) = first_tlv(rest)?;
        if kind == TLV_CRC32C {
            let at = whole.len() - after.len() - value.len();
            let mut zeroed = whole.to_vec();
            zeroed.get_mut(at..at + value.len())?.fill(0);
            if u32::from_be_bytes(value.try_into().ok()?) != hacore::hash::crc32c(&zeroed) {
                return None;
            }
        }
        rest = after;
    }
    Some(())
}

fn first_tlv(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&[kind, high, low], rest) = bytes.split_first_chunk::<3>()?;
    let (value, after) = rest.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
    Some((kind, value, after))
}

/// The value of the first TLV of a type.
pub fn find_tlv(mut tlvs: &[u8], wanted: u8) -> Option<&[u8]> {
    loop {
        let (kind, value, after) = first_tlv(tlvs)?;
        if kind == wanted {
            return Some(value);
        }
        tlvs = after;
    }
}

/// A version 1 header; without addresses the connection is UNKNOWN.
pub fn write_line(ends: Option<(SocketAddr, SocketAddr)>, out: &mut Vec<u8>) {
    let text = match ends.map(same_family) {
        None => "PROXY UNKNOWN\r\n".to_owned(),
        Some((source, destination)) => {
            let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (source.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", source.port(), destination.port())
        }
    };
    out.extend_from_slice(text.as_bytes());
}

/// A version 2 header; without addresses its family is unspecified. `crc32c` adds the checksum's TLV.
pub fn write_binary(
    ends: Option<(SocketAddr, SocketAddr)>,
    tlvs: &[(u8, &[u8])],
    crc32c: bool,
    out: &mut Vec<u8>,
) {
    let start = out.len();
    out.extend_from_slice(SIGNATURE);
    out.push(0x21);
    let mut ports = None;
    let family = match ends.map(same_family) {
        None => 0,
        Some((source, destination)) => {
            ports = Some((source, destination));
            if source.is_ipv4() { 0x11 } else { 0x21 }
        }
    };
    out.extend_from_slice(&[family, 0, 0]);
    if let Some((source, destination)) = ports {
        push_ip(source.ip(), out);
        push_ip(destination.ip(), out);
        out.extend_from_slice(&source.port().to_be_bytes());
        out.extend_from_slice(&destination.port().to_be_bytes());
    }
    for (kind, value) in tlvs {
        push_tlv(*kind, value, out);
    }
    if crc32c {
        push_tlv(TLV_CRC32C, &[0; 4], out);
    }
    let length = u16::try_from(out.len() - start - FIXED).unwrap_or(u16::MAX);
    if let Some(place) = out.get_mut(start + 14..start + FIXED) {
        place.copy_from_slice(&length.to_be_bytes());
    }
    if crc32c {
        let sum = hacore::hash::crc32c(out.get(start..).unwrap_or_default());
        let at = out.len() - 4;
        if let Some(place) = out.get_mut(at..) {
            place.copy_from_slice(&sum.to_be_bytes());
        }
    }
}

fn push_tlv(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    let length = u16::try_from(value.len()).unwrap_or(u16::MAX);
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value.get(..usize::from(length)).unwrap_or_default());
}

fn push_ip(ip: IpAddr, out: &mut Vec<u8>) {
    match ip {
        IpAddr::V4(ip) => out.extend_from_slice(&ip.octets()),
        IpAddr::V6(ip) => out.extend_from_slice(&ip.octets()),
    }
}

/// Both ends must be of one family: an IPv4 one beside an IPv6 one is written as mapped.
fn same_family((source, destination): (SocketAddr, SocketAddr)) -> (SocketAddr, SocketAddr) {
    let mapped = |end: SocketAddr| match end.ip() {
        IpAddr::V4(ip) => SocketAddr::new(map(ip).into(), end.port()),
        IpAddr::V6(_) => end,
    };
    if source.is_ipv4() == destination.is_ipv4() {
        (source, destination)
    } else {
        (mapped(source), mapped(destination))
    }
}

fn map(ip: Ipv4Addr) -> Ipv6Addr {
    ip.to_ipv6_mapped()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn ends(source: &str, destination: &str) -> Option<(SocketAddr, SocketAddr)> {
        Some((source.parse().unwrap(), destination.parse().unwrap()))
    }

    #[test]
    fn lines_of_version_1() {
        for (line, wanted) in [
            ("PROXY TCP4 192.0.2.1 192.0.2.2 56324 443\r\n", ends("192.0.2.1:56324", "192.0.2.2:443")),
            ("PROXY TCP6 2001:db8::1 ::1 1 2\r\n", ends("[2001:db8::1]:1", "[::1]:2")),
            ("PROXY UNKNOWN\r\n", None),
            ("PROXY UNKNOWN ffff::1 ::1 1 2\r\n", None),
        ] {
            let header = Header { ends: wanted, tlvs: Box::default() };
            assert_eq!(parse(line.as_bytes()), Parsed::Header { length: line.len(), header }, "{line}");
        }
        for bad in [
            "PROXY TCP4 192.0.2.1 192.0.2.2 56324\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 99999\r\n",
            "PROXY TCP5 192.0.2.1 192.0.2.2 1 2\r\n",
            "GET / HTTP/1.1\r\n",
        ] {
            assert_eq!(parse(bad.as_bytes()), Parsed::Bad, "{bad}");
        }
        assert_eq!(parse(&[b"PROXY TCP4 ", [b'1'; 120].as_slice()].concat()), Parsed::Bad);
    }

    #[test]
    fn a_tlv_must_end_within_the_header() {
        let mut whole = Vec::new();
        write_binary(ends("127.0.0.1:42", "127.0.0.1:1337"), &[(2, b"12345")], false, &mut whole);
        let Parsed::Header { header, length } = parse(&whole) else { panic!("refused") };
        assert_eq!((find_tlv(&header.tlvs, 2), length), (Some(b"12345".as_slice()), whole.len()));
        let at = whole.len() - 6;
        for wrong in [4, 6] {
            whole[at] = wrong;
            assert_eq!(parse(&whole), Parsed::Bad, "length {wrong}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_refused_and_local_has_no_addresses() {
        let mut whole = Vec::new();
        write_binary(ends("127.0.0.1:42", "[::1]:1337"), &[], true, &mut whole);
        assert!(matches!(parse(&whole), Parsed::Header { .. }));
        *whole.last_mut().unwrap() ^= 1;
        assert_eq!(parse(&whole), Parsed::Bad);
        whole[12] = 0x20;
        assert_eq!(parse(&whole), Parsed::Header { length: whole.len(), header: Header::default() });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_and_every_prefix_is_incomplete(
            source: [u8; 4], destination: [u8; 4], port: u16, id in proptest::collection::vec(any::<u8>(), 0..40),
            crc: bool, binary: bool,
        ) {
            let ends = (SocketAddr::new(source.into(), port), SocketAddr::new(destination.into(), 80));
            let mut out = Vec::new();
            match binary {
                true => write_binary(Some(ends), &[(TLV_UNIQUE_ID, &id)], crc, &mut out),
                false => write_line(Some(ends), &mut out),
            }
            for end in 0..out.len() {
                prop_assert_eq!(parse(&out[..end]), Parsed::Incomplete);
            }
            let Parsed::Header { length, header } = parse(&out) else { panic!("refused") };
            prop_assert_eq!((length, header.ends), (out.len(), Some(ends)));
            if binary {
                prop_assert_eq!(find_tlv(&header.tlvs, TLV_UNIQUE_ID), Some(id.as_slice()));
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            parse(&bytes);
            parse(&[SIGNATURE.as_slice(), &bytes].concat());
            parse(&[b"PROXY ".as_slice(), &bytes].concat());
        }
    }
}
