//! The Internet checksum (RFC 1071) and the pseudo headers that VRRPv3 puts in front of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::IPPROTO_VRRP;

/// One's complement sum in progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checksum(u32);

impl Checksum {
    /// Adds `bytes`; an odd last byte counts as if a zero followed.
    #[must_use]
    #[expect(clippy::should_implement_trait, reason = "the word of RFC 1071; + would hide what is summed")]
    pub fn add(mut self, bytes: &[u8]) -> Self {
        let (pairs, rest) = bytes.as_chunks::<2>();
        for pair in pairs {
            self.0 = self.0.wrapping_add(u32::from(u16::from_be_bytes(*pair)));
            self.fold();
        }
        if let [last] = rest {
            self.0 = self.0.wrapping_add(u32::from(*last) << 8);
            self.fold();
        }
        self
    }

    fn fold(&mut self) {
        self.0 = (self.0 & 0xffff) + (self.0 >> 16);
    }

    /// The value for the checksum field; 0 when summed over bytes whose field is right.
    pub fn value(mut self) -> u16 {
        self.fold();
        !(self.0 as u16)
    }
}

/// The 12 byte IPv4 pseudo header that keepalived puts in front of a version 3 advert (keepalived's behaviour).
pub fn pseudo_header_v4(source: Ipv4Addr, destination: Ipv4Addr, len: usize) -> Checksum {
    Checksum::default()
        .add(&source.octets())
        .add(&destination.octets())
        .add(&[0, IPPROTO_VRRP])
        .add(&(len as u16).to_be_bytes())
}

/// The IPv6 pseudo header (RFC 8200 §8.1).
pub fn pseudo_header_v6(source: Ipv6Addr, destination: Ipv6Addr, len: usize) -> Checksum {
    Checksum::default()
        .add(&source.octets())
        .add(&destination.octets())
        .add(&(len as u32).to_be_bytes())
        .add(&[0, 0, 0, IPPROTO_VRRP])
}

/// The pseudo header of whichever family both addresses share; nothing when they differ.
pub fn pseudo_header(source: IpAddr, destination: IpAddr, len: usize) -> Checksum {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => pseudo_header_v4(source, destination, len),
        (IpAddr::V6(source), IpAddr::V6(destination)) => pseudo_header_v6(source, destination, len),
        _ => Checksum::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sum_of_rfc_1071_section_3() {
        let sum = Checksum::default().add(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.value(), !0xddf2);
    }

    #[test]
    fn an_odd_byte_is_padded_with_zero() {
        assert_eq!(
            Checksum::default().add(&[1, 2, 3]).value(),
            Checksum::default().add(&[1, 2, 3, 0]).value()
        );
    }
}
