//! Writing a header.

use std::io::Write as _;
use std::net::{IpAddr, Ipv6Addr};

use super::{Addresses, SIGNATURE, V2_FIXED_BYTES};

/// Version 1 of a sender that speaks for itself, or for a client without an address.
pub const UNKNOWN_V1: &[u8] = b"PROXY UNKNOWN\r\n";
/// Version 2 of a sender that speaks for itself (a health check).
pub const LOCAL_V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
/// What the checksum's TLV takes.
pub const CRC32C_BYTES: usize = 7;

/// Appends a version 1 header; `UNKNOWN` without addresses, or with one of each family.
pub fn encode_v1(addresses: Option<Addresses>, out: &mut Vec<u8>) {
    let Some(Addresses { source, destination }) = addresses else {
        out.extend_from_slice(UNKNOWN_V1);
        return;
    };
    let family = match (source.is_ipv4(), destination.is_ipv4()) {
        (true, true) => "TCP4",
        (false, false) => "TCP6",
        _ => {
            out.extend_from_slice(UNKNOWN_V1);
            return;
        }
    };
    // Writing to a Vec cannot fail.
    let _ = write!(
        out,
        "PROXY {family} {} {} {} {}\r\n",
        source.ip(),
        destination.ip(),
        source.port(),
        destination.port()
    );
}

/// Types of additions (section 2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TlvKind {
    Alpn = 0x01,
    Authority = 0x02,
    Crc32c = 0x03,
    UniqueId = 0x05,
    Ssl = 0x20,
    SslVersion = 0x21,
    SslCommonName = 0x22,
    SslCipher = 0x23,
    SslSignatureAlgorithm = 0x24,
    SslKeyAlgorithm = 0x25,
}

/// A version 2 header under construction: addresses, then additions.
#[derive(Debug)]
pub struct V2Writer {
    bytes: Vec<u8>,
}

impl V2Writer {
    /// Begins a header; without addresses it is LOCAL, as HAProxy sends it for clients of a Unix socket.
    pub fn new(addresses: Option<Addresses>) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.extend_from_slice(SIGNATURE);
        bytes.push(if addresses.is_some() { 0x21 } else { 0x20 });
        match addresses {
            None => bytes.extend_from_slice(&[0, 0, 0]),
            Some(Addresses { source, destination }) => {
                match (source.ip(), destination.ip()) {
                    (IpAddr::V4(source), IpAddr::V4(destination)) => {
                        bytes.extend_from_slice(&[0x11, 0, 0]);
                        bytes.extend_from_slice(&source.octets());
                        bytes.extend_from_slice(&destination.octets());
                    }
                    (source, destination) => {
                        bytes.extend_from_slice(&[0x21, 0, 0]);
                        bytes.extend_from_slice(&mapped(source).octets());
                        bytes.extend_from_slice(&mapped(destination).octets());
                    }
                }
                bytes.extend_from_slice(&source.port().to_be_bytes());
                bytes.extend_from_slice(&destination.port().to_be_bytes());
            }
        }
        Self { bytes }
    }

    /// Adds one value; one that no 16 bits of length can hold is left out.
    pub fn add(&mut self, kind: TlvKind, value: &[u8]) {
        self.add_own(kind as u8, value);
    }

    /// The same with a type of the configuration's own.
    pub fn add_own(&mut self, kind: u8, value: &[u8]) {
        append_tlv(&mut self.bytes, kind, value);
    }

    /// Adds the TLS block: flags, the result of verification, and its own additions (section 2.2.6).
    pub fn add_ssl(&mut self, client_flags: u8, verify: u32, additions: &[(TlvKind, &[u8])]) {
        let mut value = vec![client_flags];
        value.extend_from_slice(&verify.to_be_bytes());
        for (kind, bytes) in additions {
            append_tlv(&mut value, *kind as u8, bytes);
        }
        self.add(TlvKind::Ssl, &value);
    }

    /// The header, with a checksum over it all if asked for (section 2.2.4).
    pub fn finish(mut self, checksum: bool) -> Vec<u8> {
        let place = checksum.then(|| {
            self.add(TlvKind::Crc32c, &[0; 4]);
            self.bytes.len() - 4
        });
        let length = u16::try_from(self.bytes.len() - V2_FIXED_BYTES).unwrap_or(u16::MAX);
        if let Some(field) = self.bytes.get_mut(V2_FIXED_BYTES - 2..V2_FIXED_BYTES) {
            field.copy_from_slice(&length.to_be_bytes());
        }
        if let Some(place) = place {
            let sum = crc32c(self.bytes.iter()).to_be_bytes();
            if let Some(field) = self.bytes.get_mut(place..) {
                field.copy_from_slice(&sum);
            }
        }
        self.bytes
    }
}

fn append_tlv(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    let Ok(length) = u16::try_from(value.len()) else { return };
    // A header's length is 16 bits too.
    if out.len() + value.len() > usize::from(u16::MAX) - CRC32C_BYTES {
        return;
    }
    out.push(kind);
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(value);
}

fn mapped(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// CRC32c (RFC 3720 B.4), bit by bit: a header is short and goes once a connection.
pub(super) fn crc32c<'a>(bytes: impl Iterator<Item = &'a u8>) -> u32 {
    const POLYNOMIAL: u32 = 0x82f6_3b78;
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (POLYNOMIAL & (crc & 1).wrapping_neg()))
    };
    !bytes.fold(u32::MAX, step)
}
