//! HAProxy's hash functions (manual, "hash-type" and the converters of the same names).
//!
//! Each is a pure function of bytes; all arithmetic is unsigned 32-bit with wrap. What this module does not do:
//! choose a server from a hash ([`crate::balance`]).

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `hash-type`'s first word: how a hash becomes a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Method {
    /// A table of slots: fast and even, but most keys move when a server comes or goes.
    #[default]
    MapBased,
    /// A ring: only the keys of the changed server move.
    Consistent,
    /// Maglev's table (an extension): as even as a map, and few keys move.
    Maglev,
}

/// `hash-type`'s second word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Function {
    /// SDBM's.
    #[default]
    Sdbm,
    /// Bernstein's.
    Djb2,
    /// Willy Tarreau's, written for HAProxy.
    Wt6,
    /// zlib's CRC-32.
    Crc32,
    /// The key is a decimal number already.
    None,
}

/// A whole `hash-type` line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashType {
    /// Map or ring.
    pub method: Method,
    /// The function.
    pub function: Function,
    /// Whether the result is mixed by [`avalanche`].
    pub avalanche: bool,
}

impl HashType {
    /// The hash of a key.
    pub fn hash(&self, key: &[u8]) -> u32 {
        let hash = match self.function {
            Function::Sdbm => sdbm(key),
            Function::Djb2 => djb2(key),
            Function::Wt6 => wt6(key),
            Function::Crc32 => crc32(key),
            Function::None => decimal(key),
        };
        self.finish(hash)
    }

    /// The hash of a source address (`balance source`), to which the function does not apply.
    pub fn hash_source(&self, address: IpAddr) -> u32 {
        let hash = match address {
            IpAddr::V4(v4) => v4.to_bits(),
            IpAddr::V6(v6) => {
                let bits = v6.to_bits();
                ((bits >> 96) ^ (bits >> 64) ^ (bits >> 32) ^ bits) as u32
            }
        };
        self.finish(hash)
    }

    fn finish(&self, hash: u32) -> u32 {
        if self.avalanche { avalanche(hash) } else { hash }
    }
}

/// SDBM's hash.
pub fn sdbm(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |h: u32, b| h.wrapping_mul(65_599).wrapping_add(u32::from(*b)))
}

/// Bernstein's hash.
pub fn djb2(bytes: &[u8]) -> u32 {
    bytes.iter().fold(5381, |h: u32, b| h.wrapping_mul(33).wrapping_add(u32::from(*b)))
}

/// HAProxy's `wt6`.
pub fn wt6(bytes: &[u8]) -> u32 {
    let (mut h0, mut h1) = (0xa53c_965a_u32, 0x5ca6_953a_u32);
    let (mut p, mut q) = (6, 18);
    for byte in bytes {
        let (a, b) = (!(h0 ^ u32::from(*byte)), !h1.wrapping_add(u32::from(*byte)));
        h0 = b.rotate_left(p);
        h1 = a.rotate_left(q);
        let step = ((h0 >> 16) ^ h1) & 0xffff;
        p = step & 31;
        q = step >> 11;
    }
    h0 ^ h1
}

/// The CRC-32 of zlib.
pub fn crc32(bytes: &[u8]) -> u32 {
    crc(&CRC32_TABLE, bytes)
}

/// The CRC-32C of iSCSI.
pub fn crc32c(bytes: &[u8]) -> u32 {
    crc(&CRC32C_TABLE, bytes)
}

static CRC32_TABLE: [u32; 256] = crc_table(0xedb8_8320);
static CRC32C_TABLE: [u32; 256] = crc_table(0x82f6_3b78);

const fn crc_table(polynomial: u32) -> [u32; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ polynomial } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

fn crc(table: &[u32; 256], bytes: &[u8]) -> u32 {
    !bytes.iter().fold(!0, |crc: u32, byte| (crc >> 8) ^ table[usize::from(crc as u8 ^ byte)])
}

/// Text as a decimal number: an optional sign, then digits up to the first other byte, saturating at the signed 64-bit
/// limits; the low 32 bits are the hash.
pub fn decimal(bytes: &[u8]) -> u32 {
    let (negative, digits) = match bytes {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, bytes),
    };
    let mut value = 0i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()).map(|b| i64::from(b - b'0')) {
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    value as u32
}

/// The mixing step of `hash-type … avalanche` and of the ring's positions.
pub fn avalanche(a: u32) -> u32 {
    let a = a.wrapping_add(0x7ed5_5d16).wrapping_add(a << 12);
    let a = a ^ 0xc761_c23c ^ (a >> 19);
    let a = a.wrapping_add(0x1656_67b1).wrapping_add(a << 5);
    let a = a.wrapping_add(0xd3a2_646c) ^ (a << 9);
    let a = a.wrapping_add(0xfd70_46c5).wrapping_add(a << 3);
    let a = a ^ 0xb55a_4f09 ^ (a >> 16);
    a.wrapping_mul(3_221_225_473)
}

/// XXH32 with a seed.
pub fn xxh32(bytes: &[u8], seed: u32) -> u32 {
    twox_hash::XxHash32::oneshot(seed, bytes)
}

/// XXH64 with a seed.
pub fn xxh64(bytes: &[u8], seed: u64) -> u64 {
    twox_hash::XxHash64::oneshot(seed, bytes)
}

/// XXH3, 64 bits, with a seed.
pub fn xxh3(bytes: &[u8], seed: u64) -> u64 {
    twox_hash::XxHash3_64::oneshot_with_seed(seed, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values that HAProxy's converters give.
    #[test]
    fn functions_give_haproxys_values() {
        assert_eq!(
            (sdbm(b"hello"), djb2(b"hello"), wt6(b"hello")),
            (684_824_882, 261_238_937, 3_538_347_703)
        );
        assert_eq!((crc32(b"hello"), crc32c(b"hello")), (907_060_870, 2_591_144_780));
        assert_eq!((avalanche(sdbm(b"hello")), avalanche(wt6(b""))), (2_061_535_398, 2_385_687_481));
        assert_eq!(
            (xxh32(b"hello", 0), xxh64(b"hello", 0) as i64),
            (4_211_111_929, 2_794_345_569_481_354_659)
        );
        assert_eq!(xxh3(b"", 0) as i64, 3_244_421_341_483_603_138);
    }

    #[test]
    fn decimal_takes_a_sign_and_digits_and_saturates() {
        assert_eq!(
            (decimal(b"42x"), decimal(b"-1"), decimal(b"+7"), decimal(b"x"), decimal(b"")),
            (42, u32::MAX, 7, 0, 0)
        );
        assert_eq!(decimal(b"99999999999999999999"), u32::MAX);
        assert_eq!(decimal(b"-99999999999999999999"), 0);
        assert_eq!(decimal(b"4294967297"), 1);
    }

    #[test]
    fn a_source_address_is_its_bits_folded_to_32() {
        let plain = HashType::default();
        assert_eq!(plain.hash_source([127, 0, 0, 1].into()), 0x7f00_0001);
        assert_eq!(
            plain.hash_source("1:2:3:4:5:6:7:8".parse().unwrap()),
            0x0001_0002 ^ 0x0003_0004 ^ 0x0005_0006 ^ 0x0007_0008
        );
    }
}
