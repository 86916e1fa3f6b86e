//! The IP authentication header (RFC 2402) as `auth_type AH` uses it: HMAC-MD5 cut to 96 bits (RFC 2403), and the
//! sender's address as security parameter index.
//!
//! MD5 is what the other side speaks. Against who can send on the segment it is better than PASS, and no more.

use std::net::Ipv4Addr;

use hmac::{Hmac, KeyInit, Mac};
use md5::Md5;
use serde::{Deserialize, Serialize};

use super::{
    AUTH_DATA_LEN, IPPROTO_AH, IPPROTO_VRRP,
    ipv4::{self, Ipv4Header},
};

/// Length of the header.
pub const HEADER_LEN: usize = 24;
/// Length of the integrity check value: 96 bits.
const ICV_LEN: usize = 12;
/// Where the value stands in the header.
const ICV_AT: usize = HEADER_LEN - ICV_LEN;
/// RFC 2402 §2.2: length in 32 bit words, less two.
const LENGTH_FIELD: u8 = (HEADER_LEN / 4 - 2) as u8;

/// What a received header says besides its check value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Security parameter index: the sender's address.
    pub spi: Ipv4Addr,
    /// Grows with every packet.
    pub sequence: u32,
}

/// What goes into a header.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seal {
    /// `auth_pass`, cut to 8 bytes or padded with zero.
    pub secret: [u8; AUTH_DATA_LEN],
    /// Greater than that of any packet before.
    pub sequence: u32,
}

impl std::fmt::Debug for Seal {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Seal").field("sequence", &self.sequence).finish_non_exhaustive()
    }
}

impl Seal {
    /// The seal of the next packet, at `seconds` since the epoch: one that starts again after a crash must not start
    /// below what its peers have heard, so numbers are never behind the clock.
    pub fn renewed(self, seconds: u32) -> Self {
        Seal { sequence: self.sequence.saturating_add(1).max(seconds), ..self }
    }
}

/// Splits an IP payload into header and VRRP message; `None` when it is no such header.
pub fn split(payload: &[u8]) -> Option<(Header, &[u8])> {
    let (header, message) = payload.split_at_checked(HEADER_LEN)?;
    let [IPPROTO_VRRP, LENGTH_FIELD, _, _, a, b, c, d, e, f, g, h, ..] = *header else { return None };
    let spi = Ipv4Addr::new(a, b, c, d);
    Some((Header { spi, sequence: u32::from_be_bytes([e, f, g, h]) }, message))
}

/// `message` behind an authentication header behind an IP header.
pub fn encapsulate(header: &Ipv4Header, seal: Seal, message: &[u8]) -> Vec<u8> {
    let mut payload = Vec::with_capacity(HEADER_LEN + message.len());
    payload.extend_from_slice(&[IPPROTO_VRRP, LENGTH_FIELD, 0, 0]);
    payload.extend_from_slice(&header.source.octets());
    payload.extend_from_slice(&seal.sequence.to_be_bytes());
    payload.extend_from_slice(&[0; ICV_LEN]);
    payload.extend_from_slice(message);
    let mut packet = ipv4::encapsulate(&Ipv4Header { protocol: IPPROTO_AH, ..*header }, &payload);
    reseal(&mut packet, seal);
    packet
}

/// Gives a packet of [`encapsulate`] another number, in place; what is no such packet stays as it is.
pub fn reseal(packet: &mut [u8], seal: Seal) {
    let at = ipv4::HEADER_LEN + ICV_AT;
    if packet.len() < at + ICV_LEN {
        return;
    }
    if let Some(number) = packet.get_mut(at - 4..at) {
        number.copy_from_slice(&seal.sequence.to_be_bytes());
    }
    let message = packet.get(at + ICV_LEN..).unwrap_or_default();
    let value = check_value(seal.secret, packet, message);
    if let (Some(value), Some(field)) = (value, packet.get_mut(at..at + ICV_LEN)) {
        field.copy_from_slice(&value);
    }
}

/// Whether the header of `packet` (from its IP header on) was made with `secret` for it. `message` is the VRRP
/// message in it, without padding behind.
pub fn is_genuine(secret: [u8; AUTH_DATA_LEN], packet: &[u8], message: &[u8]) -> bool {
    let at = ipv4::HEADER_LEN + ICV_AT;
    let (Some(value), Some(received)) = (check_value(secret, packet, message), packet.get(at..at + ICV_LEN))
    else {
        return false;
    };
    value.iter().zip(received).fold(0, |differences, (a, b)| differences | (a ^ b)) == 0
}

/// The check value over everything that does not change on the way: the IP header without type of service,
/// fragmentation, checksum and, for unicast, TTL; this header without its value; the message. `None` when there is no
/// plain IP header.
fn check_value(secret: [u8; AUTH_DATA_LEN], packet: &[u8], message: &[u8]) -> Option<[u8; ICV_LEN]> {
    let mut ip: [u8; ipv4::HEADER_LEN] = *packet.first_chunk()?;
    if ip[0] != 0x45 {
        return None;
    }
    let header = packet.get(ipv4::HEADER_LEN..ipv4::HEADER_LEN + ICV_AT)?;
    let unicast = !Ipv4Addr::new(ip[16], ip[17], ip[18], ip[19]).is_multicast();
    ip[1] = 0;
    ip[6..8].fill(0);
    ip[10..12].fill(0);
    if unicast {
        ip[8] = 0;
    }
    let mut mac = <Hmac<Md5> as KeyInit>::new_from_slice(&secret).ok()?;
    mac.update(&ip);
    mac.update(header);
    mac.update(&[0; ICV_LEN]);
    mac.update(message);
    mac.finalize().into_bytes().first_chunk().copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: [u8; 8] = *b"secret12";

    fn header(destination: Ipv4Addr, ttl: u8) -> Ipv4Header {
        Ipv4Header {
            source: Ipv4Addr::new(10, 99, 0, 1),
            destination,
            ttl,
            protocol: IPPROTO_VRRP,
            id: 7,
            total_len: 0,
        }
    }

    fn packet(destination: Ipv4Addr) -> Vec<u8> {
        encapsulate(&header(destination, 255), Seal { secret: SECRET, sequence: 9 }, b"message!")
    }

    #[test]
    fn what_is_sealed_is_genuine_and_says_who_and_when() {
        let packet = packet(Ipv4Addr::new(224, 0, 0, 18));
        let (ip, payload) = ipv4::split(&packet).unwrap();
        assert_eq!(ip.protocol, IPPROTO_AH);
        let (ah, message) = split(payload).unwrap();
        assert_eq!(ah, Header { spi: Ipv4Addr::new(10, 99, 0, 1), sequence: 9 });
        assert_eq!(message, b"message!");
        assert!(is_genuine(SECRET, &packet, message));
        assert!(!is_genuine(*b"secret13", &packet, message));
    }

    #[test]
    fn a_packet_that_gets_another_number_is_as_if_made_with_it() {
        let (group, seal) = (Ipv4Addr::new(224, 0, 0, 18), Seal { secret: SECRET, sequence: 4711 });
        let mut resealed = packet(group);
        reseal(&mut resealed, seal);
        assert_eq!(resealed, encapsulate(&header(group, 255), seal, b"message!"));
        let mut short = [0x45; 40];
        reseal(&mut short, seal);
        assert_eq!(short, [0x45; 40]);
    }

    #[test]
    fn numbers_grow_and_are_never_behind_the_clock() {
        let seal = Seal { secret: SECRET, sequence: 5 };
        assert_eq!(seal.renewed(3).sequence, 6);
        assert_eq!(seal.renewed(100).sequence, 100);
    }

    #[test]
    fn any_changed_byte_shows_but_those_that_routers_change() {
        for (destination, ttl_counts) in
            [(Ipv4Addr::new(224, 0, 0, 18), true), (Ipv4Addr::new(10, 99, 0, 2), false)]
        {
            let good = packet(destination);
            for at in 0..good.len() {
                let mut changed = good.clone();
                changed[at] ^= 1;
                let message = changed[44..].to_vec();
                let free = matches!(at, 1 | 6 | 7 | 10 | 11) || (at == 8 && !ttl_counts);
                assert_eq!(is_genuine(SECRET, &changed, &message), free, "byte {at} to {destination}");
            }
        }
    }

    #[test]
    fn another_length_or_payload_is_no_header_of_ours() {
        let good = packet(Ipv4Addr::new(224, 0, 0, 18));
        let payload = &good[20..];
        assert!(split(payload).is_some());
        assert!(split(&payload[..23]).is_none());
        assert!(split(&[&[6], &payload[1..]].concat()).is_none());
    }
}
