//! Reading a header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use thiserror::Error;

use super::encode::crc32c;
use super::{Addresses, SIGNATURE, TlvKind, V1_BYTES_MAX, V2_FIXED_BYTES};

/// Type and length of an addition.
const TLV_HEAD_BYTES: usize = 3;

/// A whole header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header<'a> {
    /// Bytes that it takes; what follows is the connection's own.
    pub length: usize,
    /// `None`: the connection's own addresses count (`LOCAL`, `UNKNOWN`, families other than IP).
    pub addresses: Option<Addresses>,
    /// The sender speaks for itself (version 2, command LOCAL).
    pub is_local: bool,
    tlvs: &'a [u8],
}

impl<'a> Header<'a> {
    /// The additions of a version 2 header, in order; a truncated last one is left out.
    pub fn tlvs(&self) -> impl Iterator<Item = Tlv<'a>> {
        tlvs_of(self.tlvs)
    }

    /// The additions as they came, to be kept for [`find_tlv`].
    pub fn tlv_bytes(&self) -> &'a [u8] {
        self.tlvs
    }
}

fn tlvs_of(mut rest: &[u8]) -> impl Iterator<Item = Tlv<'_>> {
    std::iter::from_fn(move || {
        let (head, tail) = rest.split_first_chunk::<3>()?;
        let [kind, high, low] = *head;
        let (value, after) = tail.split_at_checked(usize::from(u16::from_be_bytes([high, low])))?;
        rest = after;
        Some(Tlv { kind, value })
    })
}

/// The value of the first addition of a kind.
pub fn find_tlv(tlvs: &[u8], kind: u8) -> Option<&[u8]> {
    tlvs_of(tlvs).find(|tlv| tlv.kind == kind).map(|tlv| tlv.value)
}

/// One addition (section 2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tlv<'a> {
    pub kind: u8,
    pub value: &'a [u8],
}

/// The bytes are no PROXY header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Malformed {
    #[error("neither the text nor the binary signature")]
    Signature,
    #[error("version 1: no line of at most 107 bytes")]
    Line,
    #[error("version 1: {0}")]
    Word(&'static str),
    #[error("version 2: unknown version or command")]
    Command,
    #[error("version 2: shorter than its addresses")]
    Short,
    #[error("version 2: wrong checksum")]
    Checksum,
    #[error("version 2: longer than a buffer")]
    Long,
}

/// Looks at what has come so far; `None` asks for more. A version 2 header may have `length_max` bytes.
///
/// # Errors
/// [`Malformed`] as soon as the bytes cannot become a header.
pub fn decode(bytes: &[u8], length_max: usize) -> Result<Option<Header<'_>>, Malformed> {
    let seen = bytes.len().min(SIGNATURE.len());
    if bytes.get(..seen) == SIGNATURE.get(..seen) {
        return if bytes.len() < V2_FIXED_BYTES { Ok(None) } else { decode_v2(bytes, length_max) };
    }
    const WORD: &[u8] = b"PROXY ";
    let seen = bytes.len().min(WORD.len());
    if bytes.get(..seen) != WORD.get(..seen) {
        return Err(Malformed::Signature);
    }
    decode_v1(bytes)
}

fn decode_v1(bytes: &[u8]) -> Result<Option<Header<'_>>, Malformed> {
    let window = bytes.get(..bytes.len().min(V1_BYTES_MAX)).unwrap_or_default();
    let Some(end) = window.iter().position(|byte| *byte == b'\n') else {
        return if bytes.len() >= V1_BYTES_MAX { Err(Malformed::Line) } else { Ok(None) };
    };
    let line = bytes.get(..end).and_then(|line| line.strip_suffix(b"\r")).ok_or(Malformed::Line)?;
    let line = std::str::from_utf8(line).map_err(|_| Malformed::Word("not text"))?;
    let addresses = v1_addresses(line)?;
    Ok(Some(Header { length: end + 1, addresses, is_local: false, tlvs: &[] }))
}

fn v1_addresses(line: &str) -> Result<Option<Addresses>, Malformed> {
    let mut words = line.split(' ').skip(1);
    let family = words.next().ok_or(Malformed::Word("no protocol"))?;
    if family == "UNKNOWN" {
        return Ok(None);
    }
    let mut word = || words.next().ok_or(Malformed::Word("an address or port is missing"));
    let parse_ip = |text: &str| -> Result<IpAddr, Malformed> {
        let ip = match family {
            "TCP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
            "TCP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
            _ => return Err(Malformed::Word("unknown protocol")),
        };
        ip.ok_or(Malformed::Word("not an address of the family"))
    };
    let parse_port = |text: &str| text.parse::<u16>().map_err(|_| Malformed::Word("not a port"));
    let (source, destination) = (parse_ip(word()?)?, parse_ip(word()?)?);
    let (source_port, destination_port) = (parse_port(word()?)?, parse_port(word()?)?);
    if words.next().is_some() {
        return Err(Malformed::Word("more than four values"));
    }
    Ok(Some(Addresses {
        source: SocketAddr::new(source, source_port),
        destination: SocketAddr::new(destination, destination_port),
    }))
}

fn decode_v2(bytes: &[u8], length_max: usize) -> Result<Option<Header<'_>>, Malformed> {
    let Some(&[.., command, family, high, low]) = bytes.first_chunk::<V2_FIXED_BYTES>() else {
        return Ok(None);
    };
    let is_local = match command {
        0x20 => true,
        0x21 => false,
        _ => return Err(Malformed::Command),
    };
    let body_bytes = usize::from(u16::from_be_bytes([high, low]));
    let length = V2_FIXED_BYTES + body_bytes;
    if length > length_max {
        return Err(Malformed::Long);
    }
    let Some(body) = bytes.get(V2_FIXED_BYTES..length) else { return Ok(None) };
    // Transport (low bits) is not looked at: the addresses mean the same.
    let (addresses, tlvs) = match (is_local, family >> 4) {
        (false, 1) => v2_ipv4(body)?,
        (false, 2) => v2_ipv6(body)?,
        (false, 3) => (None, body.get(2 * 108..).ok_or(Malformed::Short)?),
        // LOCAL and UNSPEC: whatever follows is skipped (section 2.2).
        _ => (None, [].as_slice()),
    };
    if !are_whole(tlvs) {
        return Err(Malformed::Short);
    }
    let header = Header { length, addresses, is_local, tlvs };
    let whole = bytes.get(..length).unwrap_or_default();
    if checksum_is_right(whole, &header) { Ok(Some(header)) } else { Err(Malformed::Checksum) }
}

/// Every addition ends within the header.
fn are_whole(mut rest: &[u8]) -> bool {
    while let Some(&[_, high, low]) = rest.first_chunk::<TLV_HEAD_BYTES>() {
        let end = TLV_HEAD_BYTES + usize::from(u16::from_be_bytes([high, low]));
        let Some(next) = rest.get(end..) else { return false };
        rest = next;
    }
    rest.is_empty()
}

/// A receiver that knows the checksum must look at it (section 2.2.4).
fn checksum_is_right(whole: &[u8], header: &Header<'_>) -> bool {
    let mut end = whole.len() - header.tlvs.len();
    for tlv in header.tlvs() {
        end += TLV_HEAD_BYTES + tlv.value.len();
        if tlv.kind == TlvKind::Crc32c as u8 {
            let start = end - tlv.value.len();
            let (before, after) =
                (whole.get(..start).unwrap_or_default(), whole.get(end..).unwrap_or_default());
            let sum = crc32c(before.iter().chain(&[0; 4]).chain(after));
            return tlv.value == sum.to_be_bytes();
        }
    }
    true
}

fn v2_ipv4(body: &[u8]) -> Result<(Option<Addresses>, &[u8]), Malformed> {
    let (addresses, tlvs) = body.split_first_chunk::<12>().ok_or(Malformed::Short)?;
    let &[a, b, c, d, e, f, g, h, sp, sq, dp, dq] = addresses;
    let source = SocketAddr::new(Ipv4Addr::new(a, b, c, d).into(), u16::from_be_bytes([sp, sq]));
    let destination = SocketAddr::new(Ipv4Addr::new(e, f, g, h).into(), u16::from_be_bytes([dp, dq]));
    Ok((Some(Addresses { source, destination }), tlvs))
}

fn v2_ipv6(body: &[u8]) -> Result<(Option<Addresses>, &[u8]), Malformed> {
    let (source, rest) = body.split_first_chunk::<16>().ok_or(Malformed::Short)?;
    let (destination, rest) = rest.split_first_chunk::<16>().ok_or(Malformed::Short)?;
    let (&[sp, sq, dp, dq], tlvs) = rest.split_first_chunk::<4>().ok_or(Malformed::Short)?;
    let source = SocketAddr::new(Ipv6Addr::from(*source).into(), u16::from_be_bytes([sp, sq]));
    let destination = SocketAddr::new(Ipv6Addr::from(*destination).into(), u16::from_be_bytes([dp, dq]));
    Ok((Some(Addresses { source, destination }), tlvs))
}
