//! `generate-certificates`: a certificate for the name that a client asks for, signed by the operator's own authority.
//!
//! The forged certificate has the key of the listener's default one, as in HAProxy, so that making it costs one signature. They
//! are kept in a cache of bounded size (`tune.ssl.ssl-ctx-cache-size`).

use std::collections::{HashMap, VecDeque};
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::{CertifiedKey, SigningKey};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Certificate;
use super::der::{tag, wrap};
use super::pem::{self, PemError};

/// What signs, best first.
const SCHEMES: [SignatureScheme; 4] = [
    SignatureScheme::ECDSA_NISTP256_SHA256,
    SignatureScheme::ECDSA_NISTP384_SHA384,
    SignatureScheme::RSA_PKCS1_SHA256,
    SignatureScheme::ED25519,
];
/// A year, as HAProxy's own have.
const VALIDITY_S: i64 = 365 * 86_400;
/// A clock that is a little behind takes the certificate.
const BACKDATED_S: i64 = 86_400;
/// RFC 5280, `ub-common-name`: longer names are in the alternatives only.
const COMMON_NAME_MAX_BYTES: usize = 64;
/// `tune.ssl.ssl-ctx-cache-size`.
pub const CACHE_DEFAULT: usize = 1000;

/// Signs certificates for names.
pub struct Generator {
    authority: CertificateDer<'static>,
    key: Arc<dyn SigningKey>,
    scheme: SignatureScheme,
    cache_max: usize,
    cache: Mutex<Cache>,
}

#[derive(Default)]
struct Cache {
    made: HashMap<String, Arc<Certificate>>,
    /// In order of their making.
    order: VecDeque<String>,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Generator")
    }
}

impl Generator {
    /// Reads `ca-sign-file`, whose key `ca-sign-pass` may open.
    pub fn load(path: &Path, passphrase: Option<&str>, cache_max: usize) -> Result<Self, PemError> {
        let text = pem::read(path).map_err(|error| PemError::Stat(path.into(), error))?;
        let key_text = pem::read(&pem::beside(path, "key")).ok();
        let bundle = pem::parse_with(path, &text, key_text.as_deref(), passphrase)?;
        let unusable = |reason: String| PemError::Unusable(path.into(), reason);
        let key = any_supported_type(&bundle.key).map_err(|error| unusable(error.to_string()))?;
        let scheme = key.choose_scheme(&SCHEMES).map(|signer| signer.scheme());
        let scheme = scheme.ok_or_else(|| unusable("its key signs nothing that is known here".to_owned()))?;
        let authority =
            bundle.chain.into_iter().next().ok_or_else(|| PemError::NoCertificate(path.into()))?;
        Ok(Self { authority, key, scheme, cache_max: cache_max.max(1), cache: Mutex::default() })
    }

    /// The certificate for a name, with the key of `model`; `None` when none could be made.
    pub fn certificate(&self, name: &str, model: &Certificate, now_s: i64) -> Option<Arc<Certificate>> {
        let mut cache = self.cache.lock();
        if let Some(known) = cache.made.get(name).filter(|known| known.key_is_that_of(model)) {
            return Some(Arc::clone(known));
        }
        let made = Arc::new(self.make(name, model, now_s)?);
        if cache.made.insert(name.to_owned(), Arc::clone(&made)).is_none() {
            cache.order.push_back(name.to_owned());
        }
        while cache.order.len() > self.cache_max {
            let oldest = cache.order.pop_front()?;
            cache.made.remove(&oldest);
        }
        Some(made)
    }

    fn make(&self, name: &str, model: &Certificate, now_s: i64) -> Option<Certificate> {
        let (_, authority) = X509Certificate::from_der(&self.authority).ok()?;
        let leaf = model.key.cert.first()?;
        let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
        let mut serial = [0; 16];
        aws_lc_rs::rand::fill(&mut serial).ok()?;
        // Positive, and without a zero that DER would not have.
        if let Some(first) = serial.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        let algorithm = algorithm(self.scheme)?;
        let issuer = authority.subject().as_raw();
        let validity = wrap(
            tag::SEQUENCE,
            &[&time(now_s.saturating_sub(BACKDATED_S)), &time(now_s.saturating_add(VALIDITY_S))],
        );
        let to_be_signed = wrap(
            tag::SEQUENCE,
            &[
                // Version 3.
                &wrap(tag::context(0), &[&wrap(tag::INTEGER, &[&[2]])]),
                &wrap(tag::INTEGER, &[&serial]),
                &algorithm,
                issuer,
                &validity,
                &subject(issuer, name),
                leaf.public_key().raw,
                &wrap(tag::context(3), &[&wrap(tag::SEQUENCE, &[&alternative(name)])]),
            ],
        );
        let signature = self.key.choose_scheme(&[self.scheme])?.sign(&to_be_signed).ok()?;
        let signature = wrap(tag::BIT_STRING, &[&[0], &signature]);
        let der = CertificateDer::from(wrap(tag::SEQUENCE, &[&to_be_signed, &algorithm, &signature]));
        let key = CertifiedKey::new(vec![der, self.authority.clone()], Arc::clone(&model.key.key));
        Some(Certificate::generated(name, key))
    }
}

/// The authority's own name with the host's behind it, as HAProxy makes it.
fn subject(authority: &[u8], name: &str) -> Vec<u8> {
    let entries = super::der::inside(authority, tag::SEQUENCE).unwrap_or_default();
    if name.len() > COMMON_NAME_MAX_BYTES {
        return wrap(tag::SEQUENCE, &[entries]);
    }
    // 2.5.4.3 is the common name.
    let common = [wrap(tag::OBJECT, &[&[0x55, 4, 3]]), wrap(tag::UTF8_STRING, &[name.as_bytes()])].concat();
    wrap(tag::SEQUENCE, &[entries, &wrap(tag::SET, &[&wrap(tag::SEQUENCE, &[&common])])])
}

/// The extension `subjectAltName` (2.5.29.17) with one DNS name.
fn alternative(name: &str) -> Vec<u8> {
    let names = wrap(tag::SEQUENCE, &[&wrap(tag::context_primitive(2), &[name.as_bytes()])]);
    wrap(tag::SEQUENCE, &[&wrap(tag::OBJECT, &[&[0x55, 0x1d, 17]]), &wrap(tag::OCTET_STRING, &[&names])])
}

/// The AlgorithmIdentifier of a signature.
fn algorithm(scheme: SignatureScheme) -> Option<Vec<u8>> {
    // ecdsa-with-SHA256, ecdsa-with-SHA384, sha256WithRSAEncryption with its NULL, Ed25519.
    let (oid, parameters): (&[u8], &[u8]) = match scheme {
        SignatureScheme::ECDSA_NISTP256_SHA256 => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2], &[]),
        SignatureScheme::ECDSA_NISTP384_SHA384 => (&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3], &[]),
        SignatureScheme::RSA_PKCS1_SHA256 => {
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11], &[tag::NULL, 0])
        }
        SignatureScheme::ED25519 => (&[0x2b, 0x65, 0x70], &[]),
        _ => return None,
    };
    Some(wrap(tag::SEQUENCE, &[&wrap(tag::OBJECT, &[oid]), parameters]))
}

/// RFC 5280 §4.1.2.5: two digits of the year until 2049, four from 2050.
fn time(at_s: i64) -> Vec<u8> {
    let at = crate::expr::logformat::date::Civil::from_unix(at_s);
    let rest = format!("{:02}{:02}{:02}{:02}{:02}Z", at.month, at.day, at.hour, at.minute, at.second);
    let year = at.year;
    if (1950..2050).contains(&year) {
        wrap(tag::UTC_TIME, &[format!("{:02}{rest}", year % 100).as_bytes()])
    } else {
        wrap(tag::GENERALIZED_TIME, &[format!("{year:04}{rest}").as_bytes()])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::certificate;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, KeyPair};
    use rustls::pki_types::{ServerName, UnixTime};

    fn generator(folder: &Path, cache_max: usize) -> (Generator, CertificateDer<'static>) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "Forge");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let made = params.self_signed(&key).unwrap();
        let path = folder.join("sign.pem");
        std::fs::write(&path, made.pem() + &key.serialize_pem()).unwrap();
        (Generator::load(&path, None, cache_max).unwrap(), made.der().clone())
    }

    #[test]
    fn a_certificate_is_made_for_the_name_and_verifies() {
        let folder = tempfile::tempdir().unwrap();
        let (generator, authority) = generator(folder.path(), 10);
        let model = certificate(&["default.example"]);
        let now = UnixTime::now();
        let made = generator.certificate("forged.example", &model, now.as_secs() as i64).unwrap();
        assert!(made.key.keys_match().is_ok());
        let mut roots = rustls::RootCertStore::empty();
        roots.add(authority).unwrap();
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let verifier = rustls::client::WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
        let verifier = verifier.build().unwrap();
        let verdict = |name: &'static str| {
            use rustls::client::danger::ServerCertVerifier as _;
            let name = ServerName::try_from(name).unwrap();
            verifier.verify_server_cert(&made.key.cert[0], &[], &name, &[], now).is_ok()
        };
        assert!(verdict("forged.example") && !verdict("other.example"));
        let again = generator.certificate("forged.example", &model, now.as_secs() as i64).unwrap();
        assert!(Arc::ptr_eq(&made, &again), "cached");
        let other = certificate(&["other.example"]);
        let again = generator.certificate("forged.example", &other, now.as_secs() as i64).unwrap();
        assert!(!Arc::ptr_eq(&made, &again), "the default certificate has another key by now");
    }

    #[test]
    fn the_cache_is_bounded_and_long_names_have_no_common_name() {
        let folder = tempfile::tempdir().unwrap();
        let (generator, _) = generator(folder.path(), 2);
        let model = certificate(&["default.example"]);
        let long = format!("{}.example", "a".repeat(60));
        for name in ["1.example", "2.example", "3.example", &long] {
            assert!(generator.certificate(name, &model, 4_000_000_000).is_some());
        }
        let cache = generator.cache.lock();
        assert_eq!((cache.made.len(), cache.order.len()), (2, 2));
        let (_, parsed) = X509Certificate::from_der(&cache.made[&long].key.cert[0]).unwrap();
        assert_eq!(parsed.subject().iter_common_name().count(), 1, "the authority's only");
        assert!(parsed.validity().not_after.timestamp() > 4_000_000_000, "after 2050, too");
    }
}
