use proptest::prelude::*;

use super::*;

const LIMIT: usize = 16384;

fn addresses(source: &str, destination: &str) -> Addresses {
    Addresses { source: source.parse().unwrap(), destination: destination.parse().unwrap() }
}

#[test]
fn version_1_carries_both_ends() {
    let header = decode(b"PROXY TCP4 1.2.3.4 5.6.7.8 1000 2000\r\nrest", LIMIT).unwrap().unwrap();
    assert_eq!(header.addresses, Some(addresses("1.2.3.4:1000", "5.6.7.8:2000")));
    assert_eq!(header.length, 38);
    let mut out = Vec::new();
    encode_v1(Some(addresses("[2001:db8::1]:1", "[::1]:2")), &mut out);
    assert_eq!(out, b"PROXY TCP6 2001:db8::1 ::1 1 2\r\n");
    assert_eq!(
        decode(&out, LIMIT).unwrap().unwrap().addresses,
        Some(addresses("[2001:db8::1]:1", "[::1]:2"))
    );
}

#[test]
fn unknown_skips_the_rest_of_the_line() {
    let header = decode(b"PROXY UNKNOWN ffff::1 blah\r\nGET", LIMIT).unwrap().unwrap();
    assert_eq!((header.addresses, header.length), (None, 28));
}

#[test]
fn what_cannot_become_a_header_is_refused_at_once() {
    assert_eq!(decode(b"G", LIMIT), Err(Malformed::Signature));
    assert_eq!(decode(&[b"PROXY UNKNOWN ".as_slice(), &[b'x'; 100]].concat(), LIMIT), Err(Malformed::Line));
    assert!(decode(b"PROXY TCP4 1.2.3.4 ::1 1 2\r\n", LIMIT).is_err());
    assert!(decode(b"PROXY TCP4 1.2.3.4 1.2.3.4 1 65536\r\n", LIMIT).is_err());
    assert_eq!(decode(b"\r\n\r\n\0\r\nQUIT\n\x31\x11\0\x0c", LIMIT), Err(Malformed::Command));
    assert_eq!(decode(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x04abcd", LIMIT), Err(Malformed::Short));
    assert_eq!(decode(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff", LIMIT), Err(Malformed::Long));
}

#[test]
fn a_local_header_leaves_the_addresses() {
    let header = decode(LOCAL_V2, LIMIT).unwrap().unwrap();
    assert_eq!((header.length, header.addresses, header.is_local), (16, None, true));
}

#[test]
fn the_checksum_is_crc32c() {
    // RFC 3720 B.4: 32 bytes of zeros.
    assert_eq!(encode::crc32c([0; 32].iter()), 0x8a91_36aa);
    assert_eq!(encode::crc32c(b"123456789".iter()), 0xe306_9283);
}

#[test]
fn version_2_carries_additions() {
    let mut writer = V2Writer::new(Some(addresses("1.2.3.4:1000", "5.6.7.8:2000")));
    writer.add(TlvKind::Authority, b"example.org");
    writer.add_ssl(1, 0, &[(TlvKind::SslVersion, b"TLSv1.3")]);
    let bytes = writer.finish(true);
    let header = decode(&bytes, LIMIT).unwrap().unwrap();
    let tlvs: Vec<Tlv<'_>> = header.tlvs().collect();
    assert_eq!(tlvs[0], Tlv { kind: 2, value: b"example.org" });
    assert_eq!(tlvs[1], Tlv { kind: 0x20, value: b"\x01\0\0\0\0\x21\0\x07TLSv1.3" });
    assert_eq!(tlvs[2].kind, 3);
    let mut zeroed = bytes.clone();
    let end = zeroed.len();
    zeroed[end - 4..].fill(0);
    assert_eq!(tlvs[2].value, encode::crc32c(zeroed.iter()).to_be_bytes());
    let mut spoilt = bytes.clone();
    spoilt[20] ^= 1;
    assert_eq!(decode(&spoilt, LIMIT), Err(Malformed::Checksum));
}

proptest! {
    #[test]
    fn any_bytes_are_read_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300), v2: bool) {
        let mut all = if v2 { SIGNATURE.to_vec() } else { b"PROXY ".to_vec() };
        all.extend(bytes);
        if let Ok(Some(header)) = decode(&all, LIMIT) {
            prop_assert!(header.length <= all.len());
            let _ = header.tlvs().count();
        }
    }

    #[test]
    fn a_header_in_pieces_is_the_same_header(source: [u8; 16], destination: [u8; 16], ports: (u16, u16), text: bool) {
        let expected = Addresses {
            source: (source, ports.0).into(),
            destination: (destination, ports.1).into(),
        };
        let mut bytes = Vec::new();
        if text { encode_v1(Some(expected), &mut bytes) } else { bytes = V2Writer::new(Some(expected)).finish(true) }
        for end in 0..bytes.len() {
            prop_assert_eq!(decode(&bytes[..end], LIMIT), Ok(None));
        }
        prop_assert_eq!(decode(&bytes, LIMIT).unwrap().unwrap().addresses, Some(expected));
    }
}
