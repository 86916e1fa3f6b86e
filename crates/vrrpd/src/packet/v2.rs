//! The VRRPv2 advert (RFC 3768 §5.1), IPv4 and, as keepalived also allows, IPv6.

use std::net::IpAddr;

use super::{
    Advertisement, Authentication, TYPE_ADVERTISEMENT, Version,
    checksum::{Checksum, pseudo_header},
    push_addresses,
};

/// Microseconds in the unit of the interval field, one second.
pub const INTERVAL_UNIT_US: u64 = 1_000_000;

/// The interval field for `interval_us`: whole seconds, others rounded, 1..=255 (keepalived's behaviour).
pub fn interval_field(interval_us: u64) -> u8 {
    let seconds = interval_us.saturating_add(INTERVAL_UNIT_US / 2) / INTERVAL_UNIT_US;
    seconds.clamp(1, 255) as u8
}

/// The message with its checksum, as sent from `source` to `destination`. IPv6 adverts (keepalived's own
/// extension) carry no authentication data, and their checksum covers the pseudo header as every IPv6
/// checksum does.
pub fn encode(advert: &Advertisement, auth: Authentication, source: IpAddr, destination: IpAddr) -> Vec<u8> {
    let mut out = Vec::with_capacity(16 + 4 * advert.addresses.len());
    out.extend_from_slice(&[
        (Version::V2.number() << 4) | TYPE_ADVERTISEMENT,
        advert.vrid,
        advert.priority,
        advert.addresses.len().min(255) as u8,
        auth.type_number(),
        interval_field(advert.interval_us),
        0,
        0,
    ]);
    push_addresses(&mut out, advert.addresses.get(..255).unwrap_or(&advert.addresses));
    let start = match source {
        IpAddr::V4(_) => {
            out.extend_from_slice(&auth.data());
            Checksum::default()
        }
        IpAddr::V6(_) => pseudo_header(source, destination, out.len()),
    };
    let sum = start.add(&out).value();
    if let Some(field) = out.get_mut(6..8) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_are_those_keepalived_sends() {
        // Captured from keepalived 2.2.7: VRID 51, priority 100, two addresses, PASS secret12.
        let expected = [
            0x21, 0x33, 0x64, 0x02, 0x01, 0x01, 0xf6, 0xbb, 0x0a, 0x63, 0x00, 0x64, 0x0a, 0x63, 0x00, 0x65,
            0x73, 0x65, 0x63, 0x72, 0x65, 0x74, 0x31, 0x32,
        ];
        let advert = Advertisement {
            version: Version::V2,
            vrid: 51,
            priority: 100,
            interval_us: 1_000_000,
            addresses: vec!["10.99.0.100".parse().unwrap(), "10.99.0.101".parse().unwrap()],
        };
        assert_eq!(
            encode(
                &advert,
                Authentication::password(b"secret123"),
                "10.99.0.1".parse().unwrap(),
                "224.0.0.18".parse().unwrap()
            ),
            expected
        );
    }

    #[test]
    fn intervals_are_whole_seconds() {
        assert_eq!(interval_field(100_000), 1);
        assert_eq!(interval_field(1_400_000), 1);
        assert_eq!(interval_field(1_500_000), 2);
        assert_eq!(interval_field(255_000_000), 255);
    }
}
