//! Properties: no bytes make the decoder panic, and what we encode we decode.

use std::net::{IpAddr, Ipv4Addr};

use proptest::prelude::*;

use super::{receive::Datagram, v3::ChecksumCover, *};

fn expectation(version: Version, auth: Authentication, addresses: Vec<IpAddr>) -> Expectation {
    Expectation {
        version,
        family: Family::V4,
        vrid: 7,
        auth,
        interval_us: 1_000_000,
        sequence: 0,
        checksum: ChecksumCover::PseudoHeader,
        old_checksum: None,
        unicast: false,
        addresses,
        peers: Vec::new(),
        hmac: None,
    }
}

const SOURCE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const GROUP: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);

fn carry(message: &[u8]) -> Vec<u8> {
    let header = ipv4::Ipv4Header {
        source: SOURCE,
        destination: GROUP,
        ttl: 255,
        protocol: IPPROTO_VRRP,
        id: 1,
        total_len: 0,
    };
    ipv4::encapsulate(&header, message)
}

proptest! {
    #[test]
    fn decoding_never_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600), v3 in any::<bool>(), v6 in any::<bool>()) {
        let version = if v3 { Version::V3 } else { Version::V2 };
        let mut expect = expectation(version, Authentication::password(b"x"), vec![]);
        let source = if v6 { expect.family = Family::V6; "fe80::1".parse().unwrap() } else { IpAddr::V4(SOURCE) };
        let datagram = Datagram { bytes: &bytes, source, destination: None, hop_limit: Some(255) };
        let _ = peek_vrid(&datagram);
        let _ = decode(&datagram, &expect);
    }

    #[test]
    fn damaged_adverts_never_panic(at in 0usize..44, value in any::<u8>(), cut in 0usize..44) {
        let addresses = vec![IpAddr::V4(SOURCE); 4];
        let advert = Advertisement { version: Version::V2, vrid: 7, priority: 9, interval_us: 1_000_000, addresses: addresses.clone() };
        let mut bytes = carry(&v2::encode(&advert, Authentication::None, SOURCE.into(), GROUP.into()));
        bytes[at] = value;
        bytes.truncate(bytes.len() - cut);
        let datagram = Datagram { bytes: &bytes, source: IpAddr::V4(SOURCE), destination: None, hop_limit: None };
        let _ = decode(&datagram, &expectation(Version::V2, Authentication::None, addresses));
    }

    #[test]
    fn what_is_encoded_is_decoded(
        priority in any::<u8>(),
        octets in proptest::collection::vec(any::<[u8; 4]>(), 0..60),
        secret in proptest::collection::vec(any::<u8>(), 0..12),
        centiseconds in 1u64..4096,
        v3 in any::<bool>(),
    ) {
        let addresses: Vec<IpAddr> = octets.into_iter().map(IpAddr::from).collect();
        let version = if v3 { Version::V3 } else { Version::V2 };
        let interval_us = if v3 { centiseconds * 10_000 } else { 1_000_000 };
        let auth = Authentication::password(&secret);
        let advert = Advertisement { version, vrid: 7, priority, interval_us, addresses: addresses.clone() };
        let message = match version {
            Version::V2 => v2::encode(&advert, auth, SOURCE.into(), GROUP.into()),
            Version::V3 => v3::encode(&advert, SOURCE.into(), GROUP.into(), ChecksumCover::PseudoHeader),
        };
        let bytes = carry(&message);
        let datagram = Datagram { bytes: &bytes, source: IpAddr::V4(SOURCE), destination: None, hop_limit: None };
        prop_assert_eq!(peek_vrid(&datagram).unwrap(), 7);
        let received = decode(&datagram, &expectation(version, auth, addresses)).unwrap();
        prop_assert_eq!(received.advert, advert);
        prop_assert_eq!(received.mismatch, None);
    }
}
