//! One certificate ready for use: chain, signing key, and the names that it answers to.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::CertificateDer;
use rustls::sign::CertifiedKey;
use rustls::{Error, SignatureAlgorithm};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

use super::pem::{Bundle, PemError};

/// A certificate with its key, as one `crt` gives it.
#[derive(Debug)]
pub struct Certificate {
    pub path: PathBuf,
    pub key: Arc<CertifiedKey>,
    /// Host names in lower case: the DNS names of the subject's alternatives, or its common name without them.
    /// Wildcards keep their `*.`.
    pub names: Vec<String>,
}

impl Certificate {
    /// Checks that key and certificate belong together and reads the names.
    pub fn new(path: &Path, bundle: Bundle) -> Result<Self, PemError> {
        let unusable = |reason: String| PemError::Unusable(path.into(), reason);
        let signing = any_supported_type(&bundle.key).map_err(|error| unusable(error.to_string()))?;
        let leaf = bundle.chain.first().ok_or_else(|| PemError::NoCertificate(path.into()))?;
        let names = names(leaf).map_err(unusable)?;
        let mut key = CertifiedKey::new(bundle.chain, signing);
        key.ocsp = bundle.ocsp;
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
        Ok(Self { path: path.into(), key: Arc::new(key), names })
    }

    /// A new chain for the key that `current` has, which must fit.
    pub fn with_key_of(
        path: &Path,
        chain: Vec<CertificateDer<'static>>,
        current: &Self,
    ) -> Result<Self, PemError> {
        let fresh = Self::unchecked(path, chain, current)?;
        match fresh.key.keys_match() {
            Err(Error::InconsistentKeys(rustls::InconsistentKeys::KeyMismatch)) => {
                Err(PemError::Mismatch(path.into()))
            }
            _ => Ok(fresh),
        }
    }

    /// The same without a look at the key: only to be shown.
    pub(super) fn unchecked(
        path: &Path,
        chain: Vec<CertificateDer<'static>>,
        current: &Self,
    ) -> Result<Self, PemError> {
        let leaf = chain.first().ok_or_else(|| PemError::NoCertificate(path.into()))?;
        let names = names(leaf).map_err(|reason| PemError::Unusable(path.into(), reason))?;
        let key = CertifiedKey::new(chain, Arc::clone(&current.key.key));
        Ok(Self { path: path.into(), key: Arc::new(key), names })
    }

    /// Reads the bundle at `path` and what stands beside it.
    pub fn load(path: &Path) -> Result<Self, PemError> {
        Self::new(path, super::pem::load(path)?)
    }

    /// RSA, ECDSA or EdDSA: a client is given what it can verify.
    pub fn algorithm(&self) -> SignatureAlgorithm {
        self.key.key.algorithm()
    }
}

/// Whether the leaf's public key is that of the signing key; true when the latter cannot be told.
fn has_key_of(key: &CertifiedKey) -> bool {
    let Some(leaf) = key.cert.first() else { return false };
    let Ok((_, leaf)) = X509Certificate::from_der(leaf) else { return false };
    key.key.public_key().is_none_or(|public| public.as_ref() == leaf.public_key().raw)
}

/// The names in a certificate (RFC 6125 §6.4.4: the common name counts only without alternatives).
fn names(der: &[u8]) -> Result<Vec<String>, String> {
    let (_, certificate) = X509Certificate::from_der(der).map_err(|error| error.to_string())?;
    let mut names: Vec<String> = Vec::new();
    if let Ok(Some(alternatives)) = certificate.subject_alternative_name() {
        names.extend(alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
            _ => None,
        }));
    }
    if names.is_empty() {
        let common = certificate.subject().iter_common_name().filter_map(|name| name.as_str().ok());
        names.extend(common.map(str::to_ascii_lowercase));
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
    fn names_come_from_the_alternatives_in_lower_case() {
        assert_eq!(certificate(&["A.example", "*.B.example"]).names, ["a.example", "*.b.example"]);
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
