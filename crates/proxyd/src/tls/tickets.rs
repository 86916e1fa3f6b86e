//! `tls-ticket-keys`: session tickets under keys that several processes and machines share through a file.
//!
//! The file is HAProxy's (base64, a line a key, 48 or 80 bytes each, the last three count, the last but one encrypts). The
//! ticket itself is not OpenSSL's: AES-256-GCM under a key derived from the whole line, so that tickets of one program mean
//! nothing to the other and cost a full handshake.

use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::server::ProducesTickets;

/// Keys of a file that are in use (HAProxy's `TLS_TICKETS_NO`).
pub const KEYS: usize = 3;
/// Which of them encrypts: the last but one, so that every machine knows a key before the first ticket under it is made.
const ENCRYPTING: usize = 1;
/// The first bytes of a key and of a ticket say which key it is.
const NAME_BYTES: usize = 16;
/// The sizes of a key in bytes: for AES-128 and AES-256 in HAProxy.
const SIZES: [usize; 2] = [48, 80];

/// One line of the file, and what tickets are sealed with under it.
struct Key {
    secret: Vec<u8>,
    seal: LessSafeKey,
}

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Key")
    }
}

impl Key {
    /// `None` for another size than a file's key may have.
    fn new(secret: Vec<u8>) -> Option<Self> {
        if !SIZES.contains(&secret.len()) {
            return None;
        }
        let derived = Salt::new(HKDF_SHA256, b"tls-ticket-keys").extract(&secret);
        let key = UnboundKey::from(derived.expand(&[b"AES-256-GCM"], &AES_256_GCM).ok()?);
        Some(Self { secret, seal: LessSafeKey::new(key) })
    }

    fn name(&self) -> &[u8] {
        self.secret.get(..NAME_BYTES).unwrap_or_default()
    }
}

/// The keys of one file, shared by all listeners that name it.
#[derive(Debug)]
pub struct TicketKeys {
    /// The file, as the line names it.
    pub name: String,
    /// How long clients are told to keep a ticket.
    lifetime_s: u32,
    keys: ArcSwap<Vec<Arc<Key>>>,
}

impl TicketKeys {
    /// Reads the keys; errors are HAProxy's words.
    pub fn load(name: &str, lifetime_s: u32) -> Result<Self, String> {
        let bytes = super::pem::read(Path::new(name))
            .map_err(|_| format!("'{name}' : unable to load ssl tickets keys file"))?;
        Self::parse(name, &String::from_utf8_lossy(&bytes), lifetime_s)
    }

    fn parse(name: &str, text: &str, lifetime_s: u32) -> Result<Self, String> {
        let mut keys: Vec<Arc<Key>> = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let Ok(secret) = STANDARD.decode(line.trim()) else {
                return Err(format!("'{name}' : unable to decode base64 key on line {number}"));
            };
            let size = keys.first().map_or(secret.len(), |first| first.secret.len());
            let key = Key::new(secret).filter(|key| key.secret.len() == size);
            keys.push(Arc::new(key.ok_or_else(|| format!("'{name}' : wrong sized key on line {number}"))?));
        }
        if keys.len() < KEYS {
            return Err(format!("'{name}' : please supply at least {KEYS} keys in the tls-tickets-file"));
        }
        let last = keys.split_off(keys.len() - KEYS);
        Ok(Self { name: name.to_owned(), lifetime_s, keys: ArcSwap::from_pointee(last) })
    }

    /// The keys as base64, the oldest first.
    pub fn shown(&self) -> Vec<String> {
        self.keys.load().iter().map(|key| STANDARD.encode(&key.secret)).collect()
    }

    /// `set ssl tls-key`: the oldest key goes, this one is the newest; false when it is not base64 or not of the file's size.
    pub fn push(&self, text: &str) -> bool {
        let current = self.keys.load_full();
        let size = current.first().map_or(0, |first| first.secret.len());
        let fresh = STANDARD.decode(text).ok().filter(|secret| secret.len() == size).and_then(Key::new);
        let Some(fresh) = fresh else { return false };
        let kept = current.iter().skip(1).cloned();
        self.keys.store(Arc::new(kept.chain([Arc::new(fresh)]).collect()));
        true
    }
}

/// A file's keys for one way to verify clients: a session that began without a certificate is worth nothing where one is
/// required, although both listeners name the same file.
#[derive(Debug)]
pub struct Tickets {
    pub keys: Arc<TicketKeys>,
    /// The same on every machine that verifies in the same way; see [`super::server::ClientVerification`].
    pub scope: Vec<u8>,
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        self.keys.lifetime_s
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let keys = self.keys.keys.load();
        let key = keys.get(ENCRYPTING)?;
        let mut nonce = [0; NONCE_LEN];
        rand::fill(&mut nonce).ok()?;
        let mut sealed = plain.to_vec();
        let aad = Aad::from([key.name(), &self.scope].concat());
        key.seal.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut sealed).ok()?;
        Some([key.name(), &nonce, &sealed].concat())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let keys = self.keys.keys.load();
        let key = keys.iter().find(|key| key.name() == name)?;
        let mut plain = sealed.to_vec();
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let aad = Aad::from([name, &self.scope].concat());
        let length = key.seal.open_in_place(nonce, aad, &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn line(byte: u8, size: usize) -> String {
        STANDARD.encode(vec![byte; size]) + "\n"
    }

    fn keys(bytes: &[u8]) -> Tickets {
        scoped(bytes, b"")
    }

    fn scoped(bytes: &[u8], scope: &[u8]) -> Tickets {
        let text: String = bytes.iter().map(|byte| line(*byte, 48)).collect();
        let keys = Arc::new(TicketKeys::parse("keys", &text, 300).unwrap());
        Tickets { keys, scope: scope.to_vec() }
    }

    #[test]
    fn a_session_is_worth_nothing_where_clients_are_verified_in_another_way() {
        let ticket = scoped(&[1, 2, 3], b"").encrypt(b"session").unwrap();
        assert_eq!(scoped(&[1, 2, 3], b"required").decrypt(&ticket), None);
        let ticket = scoped(&[1, 2, 3], b"required").encrypt(b"session").unwrap();
        assert_eq!(scoped(&[1, 2, 3], b"required").decrypt(&ticket).unwrap(), b"session");
        assert_eq!(scoped(&[1, 2, 3], b"").decrypt(&ticket), None);
    }

    #[test]
    fn the_last_three_keys_decrypt_and_the_last_but_one_encrypts() {
        let here = keys(&[1, 2, 3, 4]);
        assert_eq!(
            here.keys.shown().concat(),
            line(2, 48).trim().to_owned() + line(3, 48).trim() + line(4, 48).trim()
        );
        let ticket = here.encrypt(b"session").unwrap();
        assert_eq!(ticket[..16], [3; 16]);
        assert_eq!(keys(&[2, 3, 4]).decrypt(&ticket).unwrap(), b"session", "another process");
        assert_eq!(keys(&[3, 4, 5]).decrypt(&ticket).unwrap(), b"session", "after a rotation");
        assert_eq!(keys(&[4, 5, 6]).decrypt(&ticket), None, "after two");
    }

    #[test]
    fn a_key_pushed_replaces_the_oldest() {
        let keys = keys(&[1, 2, 3]);
        assert!(keys.keys.push(line(4, 48).trim()));
        assert_eq!(keys.encrypt(b"x").unwrap()[..16], [3; 16]);
        assert!(!keys.keys.push(line(4, 80).trim()), "another size");
        assert!(!keys.keys.push("!!!"));
    }

    #[test]
    fn bad_files_are_refused_in_haproxys_words() {
        let error = |text: &str| TicketKeys::parse("f", text, 300).unwrap_err();
        assert_eq!(error(&line(1, 48)), "'f' : please supply at least 3 keys in the tls-tickets-file");
        assert_eq!(error("!!!\n"), "'f' : unable to decode base64 key on line 1");
        assert_eq!(error(&(line(1, 48) + &line(1, 80))), "'f' : wrong sized key on line 2");
        assert_eq!(error(&line(1, 3)), "'f' : wrong sized key on line 1");
        let missing = TicketKeys::load("/nonexistent", 300).unwrap_err();
        assert_eq!(missing, "'/nonexistent' : unable to load ssl tickets keys file");
    }

    proptest! {
        #[test]
        fn forged_tickets_open_nothing(ticket in proptest::collection::vec(any::<u8>(), 0..200), flip in 0usize..100) {
            let keys = keys(&[1, 2, 3]);
            prop_assert_eq!(keys.decrypt(&ticket), None);
            let mut ticket = keys.encrypt(&[7; 100]).unwrap();
            let at = flip % ticket.len();
            ticket[at] ^= 1;
            prop_assert_eq!(keys.decrypt(&ticket), None);
        }
    }
}
