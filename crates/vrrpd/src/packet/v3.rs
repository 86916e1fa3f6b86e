//! The VRRPv3 advert (RFC 9568 §5.2).

use std::net::IpAddr;

use super::{
    Advertisement, TYPE_ADVERTISEMENT, Version,
    checksum::{Checksum, pseudo_header},
    push_addresses,
};

/// Microseconds in the unit of the interval field, one centisecond.
pub const INTERVAL_UNIT_US: u64 = 10_000;
/// Largest value of the 12 bit interval field.
pub const INTERVAL_FIELD_MAX: u64 = 4095;

/// The interval field for `interval_us`, 1..=4095 centiseconds.
pub fn interval_field(interval_us: u64) -> u16 {
    (interval_us / INTERVAL_UNIT_US).clamp(1, INTERVAL_FIELD_MAX) as u16
}

/// What the checksum of an IPv4 advert covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ChecksumCover {
    /// A pseudo header and the message: keepalived's default (keepalived's behaviour).
    #[default]
    PseudoHeader,
    /// The message alone (RFC 9568 §5.2.8), `v3_checksum_as_v2`.
    Message,
}

/// The message with its checksum, as sent from `source` to `destination`.
pub fn encode(advert: &Advertisement, source: IpAddr, destination: IpAddr, cover: ChecksumCover) -> Vec<u8> {
    let [high, low] = interval_field(advert.interval_us).to_be_bytes();
    let mut out = Vec::with_capacity(8 + 16 * advert.addresses.len());
    out.extend_from_slice(&[
        (Version::V3.number() << 4) | TYPE_ADVERTISEMENT,
        advert.vrid,
        advert.priority,
        advert.addresses.len().min(255) as u8,
        high,
        low,
        0,
        0,
    ]);
    push_addresses(&mut out, advert.addresses.get(..255).unwrap_or(&advert.addresses));
    let start = match (cover, source) {
        (ChecksumCover::Message, IpAddr::V4(_)) => Checksum::default(),
        _ => pseudo_header(source, destination, out.len()),
    };
    let sum = start.add(&out).value();
    if let Some(field) = out.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    out
}
