//! `auth_hmac`: a trailer of 28 bytes behind an advert, HMAC-SHA256 cut to 128 bits over the advert, its sender and a
//! sequence number that follows the clock (keepalived 2.4; no RFC).
//!
//! ```text
//!   0        1        2                 4                                 8        10       12                28
//!   | type 1 | key id | zero            | seconds since the epoch         | 2^-16 s| count  | HMAC (16 bytes) |
//! ```

use std::{collections::BTreeMap, net::IpAddr};

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{DecodeError, checksum::pseudo_header};

/// Length of the trailer.
pub const TRAILER_LEN: usize = 28;
const TRAILER_TYPE: u8 = 1;
const VALUE_LEN: usize = 16;
const VALUE_AT: usize = TRAILER_LEN - VALUE_LEN;
/// Senders whose last number is remembered; only those with a key get here, so that no stranger can fill it.
const SENDERS_MAX: usize = 256;

/// A secret of 32 to 64 bytes, padded with zero to the block of SHA-256, as HMAC does.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret([[u8; 32]; 2]);

impl std::fmt::Debug for Secret {
    /// Never shows the secret.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl Secret {
    /// Bytes of one.
    pub const LEN: usize = 64;

    /// All of them, with the padding.
    pub fn bytes(&self) -> &[u8] {
        self.0.as_flattened()
    }

    /// The first 64 bytes of `bytes`.
    pub fn new(bytes: &[u8]) -> Self {
        let mut secret = [[0; 32]; 2];
        secret.iter_mut().flatten().zip(bytes).for_each(|(to, from)| *to = *from);
        Secret(secret)
    }
}

/// Which key signs, and which number comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Signer {
    /// `active_key`.
    pub key_id: u8,
    /// Its value.
    pub secret: Secret,
    /// Greater than that of any advert before.
    pub sequence: u64,
}

/// The sequence number of a moment, microseconds since the epoch.
pub fn sequence_at(wall_us: u64) -> u64 {
    let seconds = (wall_us / 1_000_000) & 0xffff_ffff;
    let fraction = (wall_us % 1_000_000) * 65_536 / 1_000_000;
    seconds << 32 | fraction << 16
}

impl Signer {
    /// The signer of the next advert; numbers are never behind the clock, so that a restart is none backwards.
    pub fn renewed(self, wall_us: u64) -> Self {
        Signer { sequence: self.sequence.wrapping_add(1).max(sequence_at(wall_us)), ..self }
    }

    /// `message` with its trailer. An IPv6 checksum covers the trailer, too; an IPv4 one does not.
    pub fn sign(&self, source: IpAddr, destination: IpAddr, message: &[u8]) -> Vec<u8> {
        let mut signed = Vec::with_capacity(message.len() + TRAILER_LEN);
        signed.extend_from_slice(message);
        signed.extend_from_slice(&[0; TRAILER_LEN]);
        self.sign_in_place(source, destination, &mut signed);
        signed
    }

    /// Writes the trailer of a message that ends with room for it, or with another trailer.
    pub fn sign_in_place(&self, source: IpAddr, destination: IpAddr, signed: &mut [u8]) {
        let Some((_, trailer)) = signed.len().checked_sub(TRAILER_LEN).map(|at| signed.split_at_mut(at))
        else {
            return;
        };
        let numbers = self.sequence.to_be_bytes();
        let head = [TRAILER_TYPE, self.key_id, 0, 0].into_iter().chain(numbers);
        trailer.iter_mut().zip(head).for_each(|(to, from)| *to = from);
        let at = signed.len() - VALUE_LEN;
        let value = value(&self.secret, source, signed.get(..at).unwrap_or_default()).unwrap_or_default();
        if let Some(field) = signed.get_mut(at..) {
            field.copy_from_slice(&value);
        }
        if source.is_ipv6()
            && let Some(field) = signed.get_mut(6..8)
        {
            field.fill(0);
            let sum = pseudo_header(source, destination, signed.len()).add(signed).value();
            if let Some(field) = signed.get_mut(6..8) {
                field.copy_from_slice(&sum.to_be_bytes());
            }
        }
    }
}

/// The value over a synthetic header, the message with its checksum read as zero, and the trailer without value.
/// `signed` ends where the value begins.
fn value(secret: &Secret, source: IpAddr, signed: &[u8]) -> Option<[u8; VALUE_LEN]> {
    let (first, vrid) = (*signed.first()?, *signed.get(1)?);
    let (before, after) = (signed.get(..6)?, signed.get(8..)?);
    let mut address = [0; 16];
    let family = match source {
        IpAddr::V4(v4) => {
            address.iter_mut().zip(v4.octets()).for_each(|(to, from)| *to = from);
            4
        }
        IpAddr::V6(v6) => {
            address = v6.octets();
            6
        }
    };
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(secret.0.as_flattened()).ok()?;
    mac.update(&[family, first >> 4, vrid, 0]);
    mac.update(&address);
    mac.update(before);
    mac.update(&[0, 0]);
    mac.update(after);
    mac.update(&[0; VALUE_LEN]);
    mac.finalize().into_bytes().first_chunk().copied()
}

/// What an instance with `auth_hmac` accepts, and what it has heard.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Guard {
    /// Keys by id.
    pub keys: BTreeMap<u8, Secret>,
    /// `mode enforce`: an advert without trailer is refused.
    pub enforce: bool,
    /// `anti_replay time`: how far a number may be from our clock, seconds.
    pub window_s: Option<u16>,
    /// Our clock when the datagram arrived, microseconds since the epoch.
    pub wall_us: u64,
    /// The last number of each sender.
    pub heard: BTreeMap<IpAddr, u64>,
}

impl Guard {
    /// Checks the trailer at the end of `signed`, and answers with its number.
    ///
    /// # Errors
    /// The key is unknown, the value wrong, or the number old.
    pub fn check(&self, source: IpAddr, signed: &[u8]) -> Result<u64, DecodeError> {
        let invalid = DecodeError::HmacValue(source);
        let Some((message, received)) = signed.split_last_chunk::<VALUE_LEN>() else { return Err(invalid) };
        let Some([TRAILER_TYPE, key_id, _, _, sequence @ ..]) = message.last_chunk::<VALUE_AT>() else {
            return Err(invalid);
        };
        let secret =
            self.keys.get(key_id).ok_or(DecodeError::HmacKey { key_id: *key_id, source_address: source })?;
        let Some(expected) = value(secret, source, message) else { return Err(invalid) };
        if expected.iter().zip(received).fold(0, |differences, (a, b)| differences | (a ^ b)) != 0 {
            return Err(invalid);
        }
        let sequence = u64::from_be_bytes(*sequence);
        if self.heard.get(&source).is_some_and(|last| !is_later(sequence, *last)) {
            return Err(DecodeError::HmacReplay(source));
        }
        let seconds_off = |window_s: u16| {
            let ours = (sequence_at(self.wall_us) >> 32) as u32;
            let difference = ((sequence >> 32) as u32).wrapping_sub(ours) as i32;
            difference.unsigned_abs() > u32::from(window_s)
        };
        if self.window_s.is_some_and(seconds_off) {
            return Err(DecodeError::HmacWindow(source));
        }
        Ok(sequence)
    }

    /// Remembers the number of an accepted advert.
    pub fn accepted(&mut self, source: IpAddr, sequence: u64) {
        if self.heard.len() >= SENDERS_MAX && !self.heard.contains_key(&source) {
            self.heard.pop_first();
        }
        self.heard.insert(source, sequence);
    }
}

/// Serial number arithmetic (RFC 1982).
fn is_later(sequence: u64, last: u64) -> bool {
    sequence.wrapping_sub(last) as i64 > 0
}

/// The sequence number of an advert with trailer.
pub fn peek_sequence(signed: &[u8]) -> Option<u64> {
    let trailer = signed.last_chunk::<TRAILER_LEN>()?;
    trailer.get(4..VALUE_AT)?.try_into().ok().map(u64::from_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(16)).collect();
        digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
    }

    fn secret() -> Secret {
        Secret::new(b"0123456789abcdef0123456789abcdef")
    }

    /// Both captured from keepalived 2.4.3, key 7.
    fn captured() -> [(IpAddr, IpAddr, Vec<u8>); 2] {
        [
            (
                "10.99.0.2".parse().unwrap(),
                "224.0.0.18".parse().unwrap(),
                hex(
                    "3133 6401 0014 74fc 0a63 0064 0107 0000 6b03 464e a47e 0000 ed43 f41d 58ef 611e f58a 92ab dc73 a224",
                ),
            ),
            (
                "fe80::dcd9:a2ff:fe0a:26f6".parse().unwrap(),
                "ff02::12".parse().unwrap(),
                hex(
                    "3133 6401 0014 e812 fe80 0000 0000 0000 0000 0000 0000 0100 0107 0000 6b03 4637 eca5 0000 60a3 \
                     694f 5032 1759 8bba eab2 eee8 aa52",
                ),
            ),
        ]
    }

    fn guard(wall_s: u64) -> Guard {
        Guard {
            keys: BTreeMap::from([(7, secret())]),
            enforce: true,
            window_s: Some(5),
            wall_us: wall_s * 1_000_000,
            heard: BTreeMap::new(),
        }
    }

    #[test]
    fn we_sign_as_keepalived_does_byte_for_byte() {
        for (source, destination, packet) in captured() {
            let sequence = peek_sequence(&packet).unwrap();
            let signer = Signer { key_id: 7, secret: secret(), sequence };
            let message = &packet[..packet.len() - TRAILER_LEN];
            assert_eq!(signer.sign(source, destination, message), packet);
        }
    }

    #[test]
    fn a_message_that_is_signed_again_is_as_if_signed_so_at_first() {
        for (source, destination, packet) in captured() {
            let signer = Signer { key_id: 7, secret: secret(), sequence: peek_sequence(&packet).unwrap() };
            let mut again = packet.clone();
            Signer { sequence: 1, ..signer }.sign_in_place(source, destination, &mut again);
            assert_ne!(again, packet);
            signer.sign_in_place(source, destination, &mut again);
            assert_eq!(again, packet);
        }
        signer_of_nothing().sign_in_place([127, 0, 0, 1].into(), [127, 0, 0, 1].into(), &mut [0; 27]);
    }

    fn signer_of_nothing() -> Signer {
        Signer { key_id: 7, secret: secret(), sequence: 0 }
    }

    #[test]
    fn a_good_trailer_is_taken_once_and_in_time() {
        for (source, _, packet) in captured() {
            let sent_s = peek_sequence(&packet).unwrap() >> 32;
            let mut guard = guard(sent_s + 5);
            let sequence = guard.check(source, &packet).unwrap();
            guard.accepted(source, sequence);
            assert_eq!(guard.check(source, &packet), Err(DecodeError::HmacReplay(source)));
            let late = Guard { wall_us: (sent_s + 6) * 1_000_000, heard: BTreeMap::new(), ..guard.clone() };
            assert_eq!(late.check(source, &packet), Err(DecodeError::HmacWindow(source)));
            let monotonic = Guard { window_s: None, ..late };
            assert!(monotonic.check(source, &packet).is_ok());
        }
    }

    #[test]
    fn any_changed_byte_but_the_checksum_shows() {
        let (source, _, packet) = captured()[0].clone();
        let guard = guard(peek_sequence(&packet).unwrap() >> 32);
        for at in 0..packet.len() {
            let mut changed = packet.clone();
            changed[at] ^= 1;
            assert_eq!(guard.check(source, &changed).is_ok(), matches!(at, 6 | 7), "byte {at}");
        }
        assert!(guard.check("10.99.0.3".parse().unwrap(), &packet).is_err(), "another sender");
        assert!(guard.check(source, &packet[..20]).is_err());
    }

    #[test]
    fn numbers_grow_and_follow_the_clock() {
        let signer = Signer { key_id: 7, secret: secret(), sequence: sequence_at(1_500_000) };
        assert_eq!(signer.sequence, 1 << 32 | 0x8000 << 16);
        assert_eq!(signer.renewed(1_000_000).sequence, signer.sequence + 1);
        assert_eq!(signer.renewed(2_000_000).sequence, 2 << 32);
    }
}
