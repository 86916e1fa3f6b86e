//! The bytes of VRRP: adverts of version 2 and 3, their IPv4 header, authentication, and the
//! gratuitous ARP / unsolicited neighbour advertisement frames that move traffic to a new owner.
//!
//! Everything here is a function of bytes: no socket, no clock. Decoding never panics and reports
//! what is wrong as data ([`DecodeError`]), in the order in which keepalived checks.

use std::net::IpAddr;

pub use crate::model::{Family, Version};

pub mod ah;
pub mod arp;
pub mod auth;
pub mod checksum;
pub mod ipv4;
pub mod ndisc;
pub mod receive;
pub mod refusal;
pub mod trailer;
pub mod v2;
pub mod v3;

#[cfg(test)]
mod proptests;

pub use auth::Authentication;
pub use receive::{Expectation, Received, decode, peek_sequence, peek_vrid};
pub use refusal::{AddressMismatch, DecodeError};

/// IP protocol number of VRRP (RFC 9568 §5.1.1.4).
pub const IPPROTO_VRRP: u8 = 112;
/// IP protocol number of the authentication header that `auth_type AH` puts in front.
pub const IPPROTO_AH: u8 = 51;
/// The TTL / hop limit every multicast advert carries and every receiver demands (RFC 9568 §5.1.1.3).
pub const VRRP_TTL: u8 = 255;
/// Type field of the only packet type there is.
pub const TYPE_ADVERTISEMENT: u8 = 1;
/// Length of the fixed part of an advert, both versions.
pub const HEADER_LEN: usize = 8;
/// Length of the authentication data that ends every version 2 advert.
pub const AUTH_DATA_LEN: usize = 8;
/// The priority that says "I am leaving" (RFC 9568 §5.2.4).
pub const PRIORITY_STOP: u8 = 0;
/// The priority of the address owner (RFC 9568 §5.2.4).
pub const PRIORITY_OWNER: u8 = 255;

impl Version {
    /// The number in the high nibble of the first byte.
    pub fn number(self) -> u8 {
        match self {
            Version::V2 => 2,
            Version::V3 => 3,
        }
    }
}

impl Family {
    /// Bytes of one address in an advert.
    pub fn address_len(self) -> usize {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    /// How log lines name the family.
    pub fn name(self) -> &'static str {
        match self {
            Family::V4 => "IPv4",
            Family::V6 => "IPv6",
        }
    }
}

/// What an advert says, whatever its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advertisement {
    /// Protocol version.
    pub version: Version,
    /// Virtual router id, 1..=255.
    pub vrid: u8,
    /// Effective priority; 0 says the sender leaves, 255 that it owns the addresses.
    pub priority: u8,
    /// Advert interval in microseconds: whole seconds in version 2, centiseconds in version 3.
    pub interval_us: u64,
    /// The virtual addresses, in the sender's order.
    pub addresses: Vec<IpAddr>,
}

/// The message of an advert, in the form of its version.
pub fn encode(
    advert: &Advertisement,
    auth: Authentication,
    cover: v3::ChecksumCover,
    source: IpAddr,
    destination: IpAddr,
) -> Vec<u8> {
    match advert.version {
        Version::V2 => v2::encode(advert, auth, source, destination),
        Version::V3 => v3::encode(advert, source, destination, cover),
    }
}

fn push_addresses(out: &mut Vec<u8>, addresses: &[IpAddr]) {
    for address in addresses {
        match address {
            IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
            IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
        }
    }
}

/// The addresses in `bytes`; a trailing partial address is left out.
fn read_addresses(family: Family, bytes: &[u8]) -> Vec<IpAddr> {
    match family {
        Family::V4 => bytes.as_chunks::<4>().0.iter().map(|octets| IpAddr::from(*octets)).collect(),
        Family::V6 => bytes.as_chunks::<16>().0.iter().map(|octets| IpAddr::from(*octets)).collect(),
    }
}
