//! `sigalgs` and `client-sigalgs`: which signatures are made and taken, under OpenSSL's and TLS's names.

use std::sync::Arc;

use rustls::sign::{CertifiedKey, Signer, SigningKey};
use rustls::{SignatureAlgorithm, SignatureScheme};

/// The schemes under their names of RFC 8446 §4.2.3 and OpenSSL's `KEY+HASH`.
const SCHEMES: [(&str, &str, SignatureScheme); 10] = [
    ("ecdsa_secp256r1_sha256", "ECDSA+SHA256", SignatureScheme::ECDSA_NISTP256_SHA256),
    ("ecdsa_secp384r1_sha384", "ECDSA+SHA384", SignatureScheme::ECDSA_NISTP384_SHA384),
    ("ecdsa_secp521r1_sha512", "ECDSA+SHA512", SignatureScheme::ECDSA_NISTP521_SHA512),
    ("ed25519", "ed25519", SignatureScheme::ED25519),
    ("rsa_pss_rsae_sha256", "RSA-PSS+SHA256", SignatureScheme::RSA_PSS_SHA256),
    ("rsa_pss_rsae_sha384", "RSA-PSS+SHA384", SignatureScheme::RSA_PSS_SHA384),
    ("rsa_pss_rsae_sha512", "RSA-PSS+SHA512", SignatureScheme::RSA_PSS_SHA512),
    ("rsa_pkcs1_sha256", "RSA+SHA256", SignatureScheme::RSA_PKCS1_SHA256),
    ("rsa_pkcs1_sha384", "RSA+SHA384", SignatureScheme::RSA_PKCS1_SHA384),
    ("rsa_pkcs1_sha512", "RSA+SHA512", SignatureScheme::RSA_PKCS1_SHA512),
];

/// The schemes of a colon-separated list, in its order; `None` when a name is unknown.
pub fn parse(list: &str) -> Option<Vec<SignatureScheme>> {
    let known = |name: &str| {
        let is = |one: &str| one.eq_ignore_ascii_case(name) || one == name.replace("PSS+", "RSA-PSS+");
        SCHEMES.iter().find(|(tls, openssl, _)| is(tls) || is(openssl)).map(|(_, _, scheme)| *scheme)
    };
    let schemes: Vec<_> =
        list.split(':').filter(|name| !name.is_empty()).map(known).collect::<Option<_>>()?;
    (!schemes.is_empty()).then_some(schemes)
}

/// Those of `offered` that a list allows; all without one.
pub fn allowed(list: Option<&[SignatureScheme]>, offered: Vec<SignatureScheme>) -> Vec<SignatureScheme> {
    match list {
        None => offered,
        Some(list) => list.iter().copied().filter(|scheme| offered.contains(scheme)).collect(),
    }
}

/// A key that signs with the schemes of a list only.
pub fn restricted(key: &Arc<CertifiedKey>, list: Option<&Arc<[SignatureScheme]>>) -> Arc<CertifiedKey> {
    let Some(list) = list else { return Arc::clone(key) };
    let mut own = CertifiedKey::clone(key);
    own.key = Arc::new(Restricted { key: Arc::clone(&key.key), list: Arc::clone(list) });
    Arc::new(own)
}

#[derive(Debug)]
struct Restricted {
    key: Arc<dyn SigningKey>,
    list: Arc<[SignatureScheme]>,
}

impl SigningKey for Restricted {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let both: Vec<_> = self.list.iter().copied().filter(|scheme| offered.contains(scheme)).collect();
        // One by one, as the order of the list is to count and not the key's own.
        both.iter().find_map(|scheme| self.key.choose_scheme(&[*scheme]))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        self.key.algorithm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::certificate;

    #[test]
    fn names_are_those_of_tls_and_of_openssl() {
        let both = [SignatureScheme::ECDSA_NISTP256_SHA256, SignatureScheme::RSA_PSS_SHA256];
        assert_eq!(parse("ECDSA+SHA256:RSA-PSS+SHA256").unwrap(), both);
        assert_eq!(parse("ecdsa_secp256r1_sha256:rsa_pss_rsae_sha256").unwrap(), both);
        assert_eq!(parse("PSS+SHA256").unwrap(), both[1..]);
        assert_eq!(parse("FOO"), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_key_signs_with_what_the_list_allows() {
        let key = certificate(&["a.example"]).key;
        let offered = [SignatureScheme::ECDSA_NISTP256_SHA256];
        assert!(restricted(&key, None).key.choose_scheme(&offered).is_some());
        let list: Arc<[_]> = [SignatureScheme::ECDSA_NISTP384_SHA384].into();
        assert!(restricted(&key, Some(&list)).key.choose_scheme(&offered).is_none());
    }
}
