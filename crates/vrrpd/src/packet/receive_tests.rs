//! Every check with a packet that fails it. The expected texts are what keepalived 2.2.7 logged
//! when the same packets were sent to it.

use super::*;
use crate::packet::{ipv4::Ipv4Header, v2};

fn expectation() -> Expectation {
    Expectation {
        version: Version::V2,
        family: Family::V4,
        vrid: 51,
        auth: Authentication::password(b"secret12"),
        interval_us: 1_000_000,
        sequence: 0,
        checksum: ChecksumCover::PseudoHeader,
        old_checksum: None,
        unicast: false,
        addresses: vec!["10.99.0.100".parse().unwrap()],
        peers: Vec::new(),
        hmac: None,
    }
}

fn advert() -> Advertisement {
    Advertisement {
        version: Version::V2,
        vrid: 51,
        priority: 120,
        interval_us: 1_000_000,
        addresses: vec!["10.99.0.100".parse().unwrap()],
    }
}

fn carry(message: &[u8], ttl: u8, destination: &str) -> Vec<u8> {
    let header = Ipv4Header {
        source: "10.99.0.2".parse().unwrap(),
        destination: destination.parse().unwrap(),
        ttl,
        protocol: 112,
        id: 1,
        total_len: 0,
    };
    ipv4::encapsulate(&header, message)
}

fn receive(bytes: &[u8], expect: &Expectation) -> Result<Received, DecodeError> {
    let source = "10.99.0.2".parse().unwrap();
    decode(&Datagram { bytes, source, destination: None, hop_limit: None }, expect)
}

/// The log text for a message of which one byte was changed and the checksum made right again.
fn changed(at: usize, value: u8) -> String {
    let mut message = good();
    message[at] = value;
    message[6..8].fill(0);
    let sum = Checksum::default().add(&message).value();
    message[6..8].copy_from_slice(&sum.to_be_bytes());
    refusal(&message)
}

fn refusal(message: &[u8]) -> String {
    receive(&carry(message, 255, "224.0.0.18"), &expectation()).unwrap_err().to_string()
}

fn good() -> Vec<u8> {
    v2::encode(
        &advert(),
        Authentication::password(b"secret12"),
        "10.99.0.2".parse().unwrap(),
        "224.0.0.18".parse().unwrap(),
    )
}

#[test]
fn a_right_advert_is_taken() {
    let received = receive(&carry(&good(), 255, "224.0.0.18"), &expectation()).unwrap();
    assert_eq!(received.advert, advert());
    assert_eq!(received.mismatch, None);
}

#[test]
fn each_check_refuses_in_keepaliveds_words() {
    let ttl = receive(&carry(&good(), 254, "224.0.0.18"), &expectation()).unwrap_err();
    assert_eq!(ttl.to_string(), "invalid TTL/HL. Received 254 and expect 255");
    assert_eq!(changed(4, 0), "received a 0 auth, expecting 1!");
    assert_eq!(changed(4, 2), "received a 2 auth, expecting 1!");
    assert_eq!(changed(4, 5), "Invalid auth type: 5");
    assert_eq!(changed(19, b'3'), "received an invalid passwd!");
    assert_eq!(changed(5, 2), "advertisement interval mismatch mine=1 sec rcv'd=2 sec");
    assert_eq!(changed(0, 0x22), "Invalid packet type. 2 and expect 1");
    assert_eq!(changed(3, 2), "vrrp packet too short, length 40 and expect 44");
    let mut bad_sum = good();
    bad_sum[7] ^= 1;
    assert_eq!(refusal(&bad_sum), "Invalid VRRPv2 checksum");
    assert_eq!(refusal(&good()[..18]), "vrrp packet too short, length 38 and expect 40");
    assert_eq!(refusal(&good()[..7]), "IPv4 VRRP packet too short - 27 bytes");
    let long = [good(), b"abcd".to_vec()].concat();
    assert_eq!(refusal(&long), "vrrp packet too long, length 44 and expect 40");
}

#[test]
fn ethernet_padding_is_no_part_of_the_message() {
    let mut frame = carry(&good(), 255, "224.0.0.18");
    frame.resize(46, 0);
    assert!(receive(&frame, &expectation()).is_ok());
}

#[test]
fn a_group_instance_does_not_hear_unicast() {
    let error = receive(&carry(&good(), 255, "10.99.0.1"), &expectation()).unwrap_err();
    assert!(matches!(error, DecodeError::Cast { expected_unicast: false, .. }));
}

#[test]
fn other_address_lists_are_reported_and_accepted() {
    let mut expect = expectation();
    expect.addresses.push("10.99.0.101".parse().unwrap());
    let received = receive(&carry(&good(), 255, "224.0.0.18"), &expect).unwrap();
    let text = received.mismatch.unwrap().to_string();
    assert_eq!(text, "received an unexpected ip number count 1, expected 2!");
    expect.addresses.remove(0);
    let received = receive(&carry(&good(), 255, "224.0.0.18"), &expect).unwrap();
    let text = received.mismatch.unwrap().to_string();
    assert_eq!(text, "ip address associated with VRID 51 not present in MASTER advert: 10.99.0.101");
}

#[test]
fn version_3_checksums_cover_the_pseudo_header_unless_told_otherwise() {
    let advert = Advertisement { version: Version::V3, interval_us: 500_000, ..advert() };
    let mut expect = Expectation { version: Version::V3, ..expectation() };
    let source = "10.99.0.2".parse().unwrap();
    let group = "224.0.0.18".parse().unwrap();
    let with = v3::encode(&advert, source, group, ChecksumCover::PseudoHeader);
    let without = v3::encode(&advert, source, group, ChecksumCover::Message);
    let received = receive(&carry(&with, 255, "224.0.0.18"), &expect).unwrap();
    assert_eq!(received.advert.interval_us, 500_000);
    let error = receive(&carry(&without, 255, "224.0.0.18"), &expect).unwrap_err();
    assert_eq!(error.to_string(), "Invalid VRRPv3 checksum");
    expect.checksum = ChecksumCover::Message;
    assert!(receive(&carry(&without, 255, "224.0.0.18"), &expect).is_ok());
}

#[test]
fn a_version_3_interval_of_zero_is_refused() {
    let advert = Advertisement { version: Version::V3, ..advert() };
    let source = "10.99.0.2".parse().unwrap();
    let group: IpAddr = "224.0.0.18".parse().unwrap();
    let mut message = v3::encode(&advert, source, group, ChecksumCover::Message);
    message[4..8].fill(0);
    let sum = pseudo_header(source, group, message.len()).add(&message).value();
    message[6..8].copy_from_slice(&sum.to_be_bytes());
    let expect = Expectation { version: Version::V3, ..expectation() };
    let error = receive(&carry(&message, 255, "224.0.0.18"), &expect).unwrap_err();
    assert_eq!(error, DecodeError::IntervalZero);
}

#[test]
fn a_unicast_peer_is_heard_within_its_ttl_limits() {
    let peer = UnicastPeer { address: "10.99.0.2".parse().unwrap(), min_ttl: Some(64), max_ttl: Some(128) };
    let expect = Expectation { unicast: true, peers: vec![peer], ..expectation() };
    let with_ttl = |ttl| receive(&carry(&good(), ttl, "10.99.0.1"), &expect);
    assert!(with_ttl(64).is_ok());
    assert!(with_ttl(128).is_ok());
    assert_eq!(with_ttl(63), Err(DecodeError::TtlLimits { received: 63, min: 64, max: 128 }));
    assert_eq!(with_ttl(129), Err(DecodeError::TtlLimits { received: 129, min: 64, max: 128 }));
}

/// `old_unicast_checksum`: a pseudo header with the group's address, as keepalived sent it up to 1.3.6.
#[test]
fn an_old_unicast_checksum_is_recognised_used_or_refused_as_configured() {
    let own = "10.99.0.1";
    let group = "224.0.0.18".parse().unwrap();
    let advert = Advertisement { version: Version::V3, ..advert() };
    let source = "10.99.0.2".parse().unwrap();
    let old = v3::encode(&advert, source, IpAddr::V4(group), ChecksumCover::PseudoHeader);
    let new = v3::encode(&advert, source, own.parse().unwrap(), ChecksumCover::PseudoHeader);
    let found = |message: &[u8], old_checksum| {
        let expect = Expectation { version: Version::V3, unicast: true, old_checksum, ..expectation() };
        receive(&carry(message, 255, own), &expect).map(|received| received.old_checksum_found)
    };
    let refused = Err(DecodeError::Checksum(3));
    let auto = Some(OldChecksum { group, in_use: false });
    assert_eq!((found(&new, auto), found(&old, auto)), (Ok(false), Ok(true)));
    let in_use = Some(OldChecksum { group, in_use: true });
    assert_eq!((found(&new, in_use), found(&old, in_use)), (refused.clone(), Ok(false)));
    assert_eq!((found(&new, None), found(&old, None)), (Ok(false), refused));
}

/// An advert of the other version is told as that, not as one of a wrong length.
#[test]
fn the_length_is_that_of_the_packets_own_version() {
    let three = Advertisement { version: Version::V3, ..advert() };
    let (source, group) = ("10.99.0.2".parse().unwrap(), "224.0.0.18".parse().unwrap());
    let message = v3::encode(&three, source, group, ChecksumCover::PseudoHeader);
    assert_eq!(refusal(&message), "wrong version. Received 3 and expect 2");
    let expect = Expectation { version: Version::V3, ..expectation() };
    let error = receive(&carry(&good(), 255, "224.0.0.18"), &expect).unwrap_err();
    assert_eq!(error.to_string(), "wrong version. Received 2 and expect 3");
}
