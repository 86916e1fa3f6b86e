//! PEM bundles: chain and key in one file, and the files that may stand beside it.
//!
//! Configuration manual, "crt": the certificate, its intermediates and the private key in any order; a missing key is
//! looked for in `FILE.key`; `FILE.ocsp` holds a stapled response.

use std::io;
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::{PemObject, SectionKind};
use rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
};

/// The largest PEM file that is read, in bytes.
pub const FILE_MAX_BYTES: u64 = 4 << 20;

/// Why a bundle could not be used; the text is HAProxy's where it has one.
#[derive(Debug, thiserror::Error)]
pub enum PemError {
    #[error("unable to stat SSL certificate from file '{}' : {}", .0.display(), os_reason(.1))]
    Stat(PathBuf, io::Error),
    #[error("unable to load certificate from file '{}'.", .0.display())]
    NoCertificate(PathBuf),
    #[error("No Private Key found in '{}.key'.", .0.display())]
    NoKey(PathBuf),
    #[error("'{}': the private key is protected by a passphrase, which a daemon cannot type", .0.display())]
    EncryptedKey(PathBuf),
    #[error("inconsistencies between private key and certificate loaded '{}'.", .0.display())]
    Mismatch(PathBuf),
    #[error("unable to load '{}': {}", .0.display(), .1)]
    Unusable(PathBuf, String),
}

/// The operating system's sentence without Rust's error number.
fn os_reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or_default().to_owned() + "."
}

/// What one bundle holds.
#[derive(Debug)]
pub struct Bundle {
    /// The leaf first, then its intermediates in the file's order.
    pub chain: Vec<CertificateDer<'static>>,
    pub key: PrivateKeyDer<'static>,
    /// A DER OCSP response to staple.
    pub ocsp: Option<Vec<u8>>,
}

/// Reads `path` and the files beside it.
pub fn load(path: &Path) -> Result<Bundle, PemError> {
    let text = read(path).map_err(|error| PemError::Stat(path.into(), error))?;
    let key_text = read(&beside(path, "key")).ok();
    let mut bundle = parse(path, &text, key_text.as_deref())?;
    bundle.ocsp = read(&beside(path, "ocsp")).ok();
    Ok(bundle)
}

/// Reads a certificate whose key and OCSP response may stand in files of any name.
pub fn load_parts(path: &Path, key: Option<&Path>, ocsp: Option<&Path>) -> Result<Bundle, PemError> {
    let text = read(path).map_err(|error| PemError::Stat(path.into(), error))?;
    let key_path = key.map_or_else(|| beside(path, "key"), Path::to_path_buf);
    let mut bundle = parse(path, &text, read(&key_path).ok().as_deref())?;
    if let Some(ocsp) = ocsp {
        bundle.ocsp = Some(read(ocsp).map_err(|error| PemError::Stat(ocsp.into(), error))?);
    }
    Ok(bundle)
}

/// Reads a bundle from memory, as `set ssl cert` gives it; `path` is for messages only.
pub fn parse(path: &Path, text: &[u8], key_text: Option<&[u8]>) -> Result<Bundle, PemError> {
    let chain = certificates(text);
    if chain.is_empty() {
        return Err(PemError::NoCertificate(path.into()));
    }
    let key = private_key(text).or_else(|| key_text.and_then(private_key)).ok_or_else(|| {
        let encrypted = [Some(text), key_text].into_iter().flatten().any(is_encrypted);
        if encrypted { PemError::EncryptedKey(path.into()) } else { PemError::NoKey(path.into()) }
    })?;
    Ok(Bundle { chain, key, ocsp: None })
}

/// All certificates of a PEM text in order; what is not a certificate is passed over.
pub fn certificates(text: &[u8]) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_slice_iter(text).map_while(Result::ok).collect()
}

fn private_key(text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    if is_encrypted(text) {
        return None;
    }
    <(SectionKind, Vec<u8>)>::pem_slice_iter(text).map_while(Result::ok).find_map(|(kind, der)| match kind {
        SectionKind::PrivateKey => Some(PrivatePkcs8KeyDer::from(der).into()),
        SectionKind::RsaPrivateKey => Some(PrivatePkcs1KeyDer::from(der).into()),
        SectionKind::EcPrivateKey => Some(PrivateSec1KeyDer::from(der).into()),
        _ => None,
    })
}

/// Encrypted keys come as PKCS#8 sections of their own or with a `Proc-Type` header (RFC 1421).
fn is_encrypted(text: &[u8]) -> bool {
    let holds = |needle: &[u8]| memchr::memmem::find(text, needle).is_some();
    holds(b"BEGIN ENCRYPTED PRIVATE KEY") || holds(b"Proc-Type: 4,ENCRYPTED")
}

/// `FILE.EXTENSION`, with the whole name of the file kept.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    name.into()
}

/// A file of bounded size.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let size = std::fs::metadata(path)?.len();
    if size > FILE_MAX_BYTES {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, "File too large"));
    }
    std::fs::read(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::make;

    fn parsed(text: &str) -> Result<Bundle, PemError> {
        parse(Path::new("site.pem"), text.as_bytes(), None)
    }

    #[test]
    fn crt_takes_certificate_and_key_in_any_order() {
        let (certificate, key) = make(&["a.example"]);
        for text in [format!("{certificate}{key}"), format!("{key}{certificate}")] {
            let bundle = parsed(&text).unwrap();
            assert_eq!(bundle.chain.len(), 1);
        }
    }

    #[test]
    fn what_is_missing_is_named_as_haproxy_names_it() {
        let (certificate, key) = make(&["a.example"]);
        assert_eq!(parsed(&certificate).unwrap_err().to_string(), "No Private Key found in 'site.pem.key'.");
        let no_certificate = "unable to load certificate from file 'site.pem'.";
        assert_eq!(parsed(&key).unwrap_err().to_string(), no_certificate);
        assert_eq!(parsed("garbage").unwrap_err().to_string(), no_certificate);
        assert_eq!(parsed(&certificate[..200]).unwrap_err().to_string(), no_certificate);
        let missing = load(Path::new("/nonexistent.pem")).unwrap_err().to_string();
        assert_eq!(
            missing,
            "unable to stat SSL certificate from file '/nonexistent.pem' : No such file or directory."
        );
    }

    #[test]
    fn a_key_beside_the_file_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (certificate, key) = make(&["a.example"]);
        let path = folder.path().join("site.pem");
        std::fs::write(&path, certificate).unwrap();
        std::fs::write(folder.path().join("site.pem.key"), key).unwrap();
        std::fs::write(folder.path().join("site.pem.ocsp"), b"response").unwrap();
        assert_eq!(load(&path).unwrap().ocsp.as_deref(), Some(&b"response"[..]));
    }

    #[test]
    fn an_encrypted_key_is_refused_with_the_reason() {
        let (certificate, _) = make(&["a.example"]);
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let error = parsed(&format!("{certificate}{key}")).unwrap_err();
        assert!(matches!(error, PemError::EncryptedKey(_)));
    }
}
