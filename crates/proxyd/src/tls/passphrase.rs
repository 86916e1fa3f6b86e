//! Private keys under a passphrase (`ca-sign-pass`, `ssl-passphrase-cmd`): PKCS #8 with PBES2 (RFC 8018), as OpenSSL writes it.
//!
//! PBKDF2 with SHA-1, SHA-256, SHA-384 or SHA-512, and AES-128 or AES-256 in CBC mode. Not here: the older `Proc-Type` headers and
//! anything with DES or RC2.

use std::num::NonZeroU32;

use aws_lc_rs::cipher::{AES_128, AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey};
use aws_lc_rs::iv::FixedLength;
use aws_lc_rs::pbkdf2;

use super::der::{Elements, inside, tag};

/// OIDs, without their frame.
const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 13];
const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 5, 12];
const HMAC: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 2];
const AES: &[u8] = &[0x60, 0x86, 0x48, 1, 0x65, 3, 4, 1];
/// Work that a file may ask for.
const ITERATIONS_MAX: u32 = 10_000_000;

/// The PKCS #8 key in an `EncryptedPrivateKeyInfo`; `None` when the passphrase or the algorithm is another one.
pub fn open(der: &[u8], passphrase: &str) -> Option<Vec<u8>> {
    let mut parts = Elements::of(inside(der, tag::SEQUENCE)?);
    let mut algorithm = Elements::of(parts.next_if(tag::SEQUENCE)?.content);
    let sealed = parts.next_if(tag::OCTET_STRING)?.content;
    if algorithm.next_if(tag::OBJECT)?.content != PBES2 {
        return None;
    }
    let mut schemes = Elements::of(algorithm.next_if(tag::SEQUENCE)?.content);
    let derivation = Derivation::parse(schemes.next_if(tag::SEQUENCE)?.content)?;
    let mut encryption = Elements::of(schemes.next_if(tag::SEQUENCE)?.content);
    let (cipher, key_bytes) = match encryption.next_if(tag::OBJECT)?.content.strip_prefix(AES)? {
        [2] => (&AES_128, 16),
        [42] => (&AES_256, 32),
        _ => return None,
    };
    let iv: [u8; 16] = encryption.next_if(tag::OCTET_STRING)?.content.try_into().ok()?;
    let mut key = vec![0; key_bytes];
    pbkdf2::derive(
        derivation.algorithm,
        derivation.iterations,
        derivation.salt,
        passphrase.as_bytes(),
        &mut key,
    );
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(cipher, &key).ok()?).ok()?;
    let mut plain = sealed.to_vec();
    let opened = key.decrypt(&mut plain, DecryptionContext::Iv128(FixedLength::from(iv))).ok()?;
    // A wrong passphrase gives right padding now and then.
    inside(opened, tag::SEQUENCE)?;
    Some(opened.to_vec())
}

struct Derivation<'a> {
    algorithm: pbkdf2::Algorithm,
    salt: &'a [u8],
    iterations: NonZeroU32,
}

impl<'a> Derivation<'a> {
    fn parse(der: &'a [u8]) -> Option<Self> {
        let mut parts = Elements::of(der);
        if parts.next_if(tag::OBJECT)?.content != PBKDF2 {
            return None;
        }
        let mut parameters = Elements::of(parts.next_if(tag::SEQUENCE)?.content);
        let salt = parameters.next_if(tag::OCTET_STRING)?.content;
        let count = parameters.next_if(tag::INTEGER)?.content;
        let iterations = count
            .iter()
            .try_fold(0u32, |sum, byte| sum.checked_mul(256)?.checked_add(u32::from(*byte)))
            .filter(|iterations| *iterations <= ITERATIONS_MAX)?;
        // The key's length may stand here; the cipher says it anyway.
        let _ = parameters.next_if(tag::INTEGER);
        let algorithm = match parameters.next_if(tag::SEQUENCE) {
            None => pbkdf2::PBKDF2_HMAC_SHA1,
            Some(function) => match inside(function.content, tag::OBJECT)?.strip_prefix(HMAC)? {
                [7] => pbkdf2::PBKDF2_HMAC_SHA1,
                [9] => pbkdf2::PBKDF2_HMAC_SHA256,
                [10] => pbkdf2::PBKDF2_HMAC_SHA384,
                [11] => pbkdf2::PBKDF2_HMAC_SHA512,
                _ => return None,
            },
        };
        Some(Self { algorithm, salt, iterations: NonZeroU32::new(iterations)? })
    }
}
