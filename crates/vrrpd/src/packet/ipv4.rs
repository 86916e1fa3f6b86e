//! The IPv4 header in front of an advert, sent through `IP_HDRINCL` and read from a raw socket.

use std::net::Ipv4Addr;

/// Length of the header we write: no options.
pub const HEADER_LEN: usize = 20;
/// Type of service of every advert: internetwork control (as keepalived sends it).
pub const TOS_INTERNETWORK_CONTROL: u8 = 0xc0;

/// The parts of the header that vary between adverts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ipv4Header {
    /// Sender.
    pub source: Ipv4Addr,
    /// Receiver: the group, or a unicast peer.
    pub destination: Ipv4Addr,
    /// Time to live.
    pub ttl: u8,
    /// Payload protocol.
    pub protocol: u8,
    /// Identification, the instance's own counter.
    pub id: u16,
    /// Total length, header included, as the header says.
    pub total_len: u16,
}

/// `payload` behind a header whose checksum is left to the kernel.
pub fn encapsulate(header: &Ipv4Header, payload: &[u8]) -> Vec<u8> {
    let total_len = (HEADER_LEN + payload.len()) as u16;
    let mut out = Vec::with_capacity(HEADER_LEN + payload.len());
    out.extend_from_slice(&[0x45, TOS_INTERNETWORK_CONTROL]);
    out.extend_from_slice(&total_len.to_be_bytes());
    out.extend_from_slice(&header.id.to_be_bytes());
    out.extend_from_slice(&[0, 0, header.ttl, header.protocol, 0, 0]);
    out.extend_from_slice(&header.source.octets());
    out.extend_from_slice(&header.destination.octets());
    out.extend_from_slice(payload);
    out
}

/// Splits a datagram into header and payload; `None` when it is no IPv4 packet or cut short.
pub fn split(datagram: &[u8]) -> Option<(Ipv4Header, &[u8])> {
    let [first, _, len_high, len_low, id_high, id_low, _, _, ttl, protocol, _, _, rest @ ..] = datagram
    else {
        return None;
    };
    let header_len = usize::from(first & 0x0f) * 4;
    if first >> 4 != 4 || header_len < HEADER_LEN {
        return None;
    }
    let source = <[u8; 4]>::try_from(rest.get(..4)?).ok()?;
    let destination = <[u8; 4]>::try_from(rest.get(4..8)?).ok()?;
    let payload = datagram.get(header_len..)?;
    let header = Ipv4Header {
        source: source.into(),
        destination: destination.into(),
        ttl: *ttl,
        protocol: *protocol,
        id: u16::from_be_bytes([*id_high, *id_low]),
        total_len: u16::from_be_bytes([*len_high, *len_low]),
    };
    Some((header, payload))
}
