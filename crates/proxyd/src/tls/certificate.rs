//! One certificate ready for use: chain, signing key, and the names that it answers to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureAlgorithm};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::ocsp::CertificateId;
use super::pem::{Bundle, Extras, PemError};

/// The least RSA key, in bits, that the cryptographic library signs with.
const RSA_MIN_BITS: usize = 2048;

/// A certificate with its key, as one `crt` gives it.
#[derive(Debug, Clone)]
pub struct Certificate {
    pub path: PathBuf,
    pub key: Arc<CertifiedKey>,
    /// Host names in lower case: the DNS names of the subject's alternatives, and its common names.
    /// Wildcards keep their `*.`.
    pub names: Vec<String>,
    /// Who signed it, where that is known.
    pub issuer: Option<CertificateDer<'static>>,
    /// The file of `issuers-chain-path` that completed the chain.
    pub chain_file: Option<PathBuf>,
    /// `ocsp-update` of a `crt-store`; `None` leaves it to the list or the default.
    pub ocsp_update: Option<bool>,
    /// There is a list of signed timestamps beside it, which nobody sends.
    pub has_timestamps: bool,
}

impl Certificate {
    /// Checks that key and certificate belong together and reads the names.
    pub fn new(path: &Path, bundle: Bundle) -> Result<Self, PemError> {
        let unusable = |reason: String| PemError::Unusable(path.into(), reason);
        let signing = any_supported_type(&bundle.key).map_err(|error| {
            let weak = bundle.chain.first().and_then(|leaf| small_rsa_bits(leaf));
            unusable(weak.map_or_else(
                || error.to_string(),
                |bits| format!("its RSA key has {bits} bits, {RSA_MIN_BITS} are the least that is accepted"),
            ))
        })?;
        let leaf = bundle.chain.first().ok_or_else(|| PemError::NoCertificate(path.into()))?;
        let names = names(leaf).map_err(unusable)?;
        let mut key = CertifiedKey::new(bundle.chain, signing);
        key.ocsp = bundle.ocsp;
        let issuer = bundle.issuer.or_else(|| key.cert.get(1).cloned());
        match key.keys_match() {
            // Keys whose public half cannot be told are taken on trust, as a signature would show a mismatch at once.
            Ok(()) | Err(Error::InconsistentKeys(rustls::InconsistentKeys::Unknown)) => {}
            // Certificates of version 1, which webpki does not read.
            Err(Error::InvalidCertificate(_)) if has_key_of(&key) => {}
            Err(Error::InconsistentKeys(_) | Error::InvalidCertificate(_)) => {
                return Err(PemError::Mismatch(path.into()));
            }
            Err(error) => return Err(unusable(error.to_string())),
        }
        Ok(Self {
            path: path.into(),
            key: Arc::new(key),
            names,
            issuer,
            chain_file: None,
            ocsp_update: None,
            has_timestamps: bundle.has_timestamps,
        })
    }

    /// One that was made for a name (`generate-certificates`).
    pub(super) fn generated(name: &str, key: CertifiedKey) -> Self {
        Self {
            path: name.into(),
            issuer: key.cert.get(1).cloned(),
            key: Arc::new(key),
            names: vec![name.to_owned()],
            chain_file: None,
            ocsp_update: Some(false),
            has_timestamps: false,
        }
    }

    /// Whether both sign with the same key.
    pub(super) fn key_is_that_of(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.key.key, &other.key.key)
    }

    /// Whether the key is the leaf's.
    pub fn check_key(self) -> Result<Self, PemError> {
        match self.key.keys_match() {
            Err(Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                Err(PemError::Mismatch(self.path))
            }
            _ => Ok(self),
        }
    }

    /// What an OCSP responder knows it by; `None` while its issuer is not known.
    pub fn ocsp_id(&self) -> Option<CertificateId> {
        CertificateId::new(self.key.cert.first()?, self.issuer.as_ref()?)
    }

    /// The same with another response to staple.
    #[must_use]
    pub fn with_ocsp(&self, response: Option<Vec<u8>>) -> Self {
        let mut key = CertifiedKey::clone(&self.key);
        key.ocsp = response;
        Self { key: Arc::new(key), ..self.clone() }
    }

    /// The same with the chain that its issuer has in `issuers-chain-path`, if it brought none.
    #[must_use]
    pub fn completed(self, file: &Path, chain: &[CertificateDer<'static>]) -> Self {
        let mut key = CertifiedKey::clone(&self.key);
        key.cert.extend_from_slice(chain);
        let issuer = self.issuer.clone().or_else(|| chain.first().cloned());
        Self { key: Arc::new(key), issuer, chain_file: Some(file.into()), ..self }
    }

    /// The same without a look at the key: only to be shown.
    pub(super) fn unchecked(
        path: &Path,
        chain: Vec<CertificateDer<'static>>,
        current: &Self,
    ) -> Result<Self, PemError> {
        let leaf = chain.first().ok_or_else(|| PemError::NoCertificate(path.into()))?;
        let names = names(leaf).map_err(|reason| PemError::Unusable(path.into(), reason))?;
        let mut key = CertifiedKey::new(chain, Arc::clone(&current.key.key));
        key.ocsp.clone_from(&current.key.ocsp);
        let issuer = key.cert.get(1).cloned().or_else(|| current.issuer.clone());
        Ok(Self { path: path.into(), key: Arc::new(key), names, issuer, ..current.clone() })
    }

    /// The same key material with another key.
    pub(super) fn with_key(&self, key: &PrivateKeyDer<'_>) -> Result<Self, PemError> {
        let signing = any_supported_type(key)
            .map_err(|error| PemError::Unusable(self.path.clone(), error.to_string()))?;
        let mut own = CertifiedKey::clone(&self.key);
        own.key = signing;
        Ok(Self { key: Arc::new(own), ..self.clone() })
    }

    /// Reads the bundle at `path` and what stands beside it.
    pub fn load(path: &Path, extras: &Extras) -> Result<Self, PemError> {
        Self::new(path, super::pem::load(path, extras)?)
    }

    /// RSA, ECDSA or EdDSA: a client is given what it can verify.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.key.key.algorithm()
    }
}

/// The size of a certificate's RSA key when it is below what is signed with.
fn small_rsa_bits(leaf: &[u8]) -> Option<usize> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    let x509_parser::public_key::PublicKey::RSA(key) = leaf.public_key().parsed().ok()? else { return None };
    Some(key.key_size()).filter(|bits| *bits < RSA_MIN_BITS)
}

/// Whether the leaf's public key is that of the signing key; true when the latter cannot be told.
fn has_key_of(key: &CertifiedKey) -> bool {
    let Some(leaf) = key.cert.first() else { return false };
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
    key.key.public_key().is_none_or(|public| public.as_ref() == leaf.public_key().raw)
}

/// The names in a certificate. HAProxy counts the common name beside the alternatives, other than RFC 6125 §6.4.4.
pub fn names(der: &[u8]) -> Result<Vec<String>, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        }));
    }
    for common in certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok()) {
        let common = common.to_ascii_lowercase();
        if !names.contains(&common) {
            names.push(common);
        }
    }
    Ok(names)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A self-signed certificate for these names, and its key, as PEM.
    pub(crate) fn make(names: &[&str]) -> (String, String) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let made = rcgen::generate_simple_self_signed(names).unwrap();
        (made.cert.pem(), made.signing_key.serialize_pem())
    }

    pub(crate) fn certificate(names: &[&str]) -> Certificate {
        let (certificate, key) = make(names);
        let path = Path::new("site.pem");
        let bundle = crate::tls::pem::parse(path, certificate.as_bytes(), Some(key.as_bytes())).unwrap();
        Certificate::new(path, bundle).unwrap()
    }

    #[test]
    fn names_come_from_the_alternatives_and_the_common_name_in_lower_case() {
        // The name that rcgen gives to what it signs itself.
        let common = "rcgen self signed cert";
        let names = certificate(&["A.example", "*.B.example"]).names;
        assert_eq!(names, ["a.example", "*.b.example", common]);
    }

    #[test]
    fn a_key_of_another_certificate_is_refused() {
        let (certificate, _) = make(&["a.example"]);
        let (_, key) = make(&["a.example"]);
        let path = Path::new("site.pem");
        let bundle = crate::tls::pem::parse(path, certificate.as_bytes(), Some(key.as_bytes())).unwrap();
        assert_eq!(
            Certificate::new(path, bundle).unwrap_err().to_string(),
            "inconsistencies between private key and certificate loaded 'site.pem'."
        );
    }
}
