//! PEM bundles: chain and key in one file, and the files that may stand beside it.
//!
//! Configuration manual, "crt" and "ssl-load-extra-files": the certificate, its intermediates and the private key in any order; a
//! missing key is looked for in `FILE.key`; `FILE.ocsp` holds a stapled response, `FILE.issuer` who signed the certificate.

use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
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
    #[error("'{}': the passphrase does not open the private key, or its encryption is not known here", .0.display())]
    WrongPassphrase(PathBuf),
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
    /// Who signed the leaf, when the chain does not say so.
    pub issuer: Option<CertificateDer<'static>>,
    /// There is a list of signed timestamps beside it, which nobody sends.
    pub has_timestamps: bool,
}

/// Which files beside a certificate are looked for (`ssl-load-extra-files`), and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Extras {
    pub bundle: bool,
    pub sctl: bool,
    pub ocsp: bool,
    pub issuer: bool,
    pub key: bool,
    /// `ssl-load-extra-del-ext`: `FILE.key` beside `FILE.crt`.
    pub without_extension: bool,
    /// What `ssl-passphrase-cmd` runs, with its arguments.
    pub passphrase_command: Option<Vec<String>>,
}

impl Default for Extras {
    fn default() -> Self {
        Self {
            bundle: true,
            sctl: true,
            ocsp: true,
            issuer: true,
            key: true,
            without_extension: false,
            passphrase_command: None,
        }
    }
}

impl Extras {
    /// The file of a kind beside `path`.
    pub fn beside(&self, path: &Path, extension: &str) -> PathBuf {
        if self.without_extension && path.extension().is_some_and(|own| own == "crt") {
            return path.with_extension(extension);
        }
        beside(path, extension)
    }

    fn read(&self, wanted: bool, path: &Path, extension: &str) -> Option<Vec<u8>> {
        if wanted { read(&self.beside(path, extension)).ok() } else { None }
    }
}

/// The parts of a certificate that are named one by one (`crt-store`); what is not named is looked for beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub key: Option<PathBuf>,
    pub ocsp: Option<PathBuf>,
    pub issuer: Option<PathBuf>,
    pub sctl: Option<PathBuf>,
}

/// Reads `path` and the files beside it.
pub fn load(path: &Path, extras: &Extras) -> Result<Bundle, PemError> {
    load_parts(path, &Parts::default(), extras)
}

/// Reads a certificate whose key and OCSP response may stand in files of any name.
pub fn load_parts(path: &Path, parts: &Parts, extras: &Extras) -> Result<Bundle, PemError> {
    let stat = |path: &Path, error| PemError::Stat(path.into(), error);
    let text = read(path).map_err(|error| stat(path, error))?;
    let part = |named: &Option<PathBuf>, wanted: bool, extension: &str| match named {
        Some(file) => read(file).map(Some).map_err(|error| stat(file, error)),
        None => Ok(extras.read(wanted, path, extension)),
    };
    // A key in the bundle wins, so that the one beside it may be missing.
    let key_text = match part(&parts.key, extras.key, "key") {
        Err(_) if private_key(&text).is_some() => None,
        found => found?,
    };
    let passphrase = match &extras.passphrase_command {
        Some(command)
            if [Some(text.as_slice()), key_text.as_deref()].into_iter().flatten().any(is_encrypted) =>
        {
            Some(passphrase(command, path)?)
        }
        _ => None,
    };
    let mut bundle = parse_with(path, &text, key_text.as_deref(), passphrase.as_deref())?;
    bundle.ocsp = part(&parts.ocsp, extras.ocsp, "ocsp")?;
    let issuer = part(&parts.issuer, extras.issuer, "issuer")?;
    bundle.issuer = issuer.and_then(|text| certificates(&text).into_iter().next());
    bundle.has_timestamps = part(&parts.sctl, extras.sctl, "sctl")?.is_some();
    Ok(bundle)
}

/// Reads a bundle from memory, as `set ssl cert` gives it; `path` is for messages only.
pub fn parse(path: &Path, text: &[u8], key_text: Option<&[u8]>) -> Result<Bundle, PemError> {
    parse_with(path, text, key_text, None)
}

/// The same with a passphrase for the key.
pub fn parse_with(
    path: &Path,
    text: &[u8],
    key_text: Option<&[u8]>,
    passphrase: Option<&str>,
) -> Result<Bundle, PemError> {
    let chain = certificates(text);
    if chain.is_empty() {
        return Err(PemError::NoCertificate(path.into()));
    }
    let key = match private_key(text).or_else(|| key_text.and_then(private_key)) {
        Some(key) => key,
        None => {
            let sealed = [Some(text), key_text].into_iter().flatten().find(|text| is_encrypted(text));
            match (sealed, passphrase) {
                (None, _) => return Err(PemError::NoKey(path.into())),
                (Some(_), None) => return Err(PemError::EncryptedKey(path.into())),
                (Some(text), Some(passphrase)) => {
                    opened_key(text, passphrase).ok_or_else(|| PemError::WrongPassphrase(path.into()))?
                }
            }
        }
    };
    Ok(Bundle { chain, key, ocsp: None, issuer: None, has_timestamps: false })
}

/// A key alone, as `set ssl cert FILE.key` gives it.
pub fn key(text: &[u8]) -> Option<PrivateKeyDer<'static>> {
    private_key(text)
}

/// A key under a passphrase.
fn opened_key(text: &[u8], passphrase: &str) -> Option<PrivateKeyDer<'static>> {
    let (begin, end) = ("-----BEGIN ENCRYPTED PRIVATE KEY-----", "-----END ENCRYPTED PRIVATE KEY-----");
    let text = std::str::from_utf8(text).ok()?;
    let (_, rest) = text.split_once(begin)?;
    let (base64, _) = rest.split_once(end)?;
    let base64: String = base64.split_whitespace().collect();
    let sealed = base64::engine::general_purpose::STANDARD.decode(base64).ok()?;
    Some(PrivatePkcs8KeyDer::from(super::passphrase::open(&sealed, passphrase)?).into())
}

/// The first line that a command prints for a certificate (`ssl-passphrase-cmd`, configuration manual).
fn passphrase(command: &[String], path: &Path) -> Result<String, PemError> {
    let unusable = |reason: String| PemError::Unusable(path.into(), format!("ssl-passphrase-cmd: {reason}"));
    let (program, arguments) = command.split_first().ok_or_else(|| unusable("no command".to_owned()))?;
    let output = std::process::Command::new(program)
        .arg(path)
        .args(arguments)
        .output()
        .map_err(|error| unusable(error.to_string()))?;
    if !output.status.success() {
        return Err(unusable(output.status.to_string()));
    }
    let text = String::from_utf8_lossy(&output.stdout);
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// PEM with lines of 64 characters.
pub fn armoured(label: &str, der: &[u8]) -> String {
    let base64 = base64::engine::general_purpose::STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in base64.as_bytes().chunks(64) {
        text.push_str(&String::from_utf8_lossy(line));
        text.push('\n');
    }
    text + &format!("-----END {label}-----\n")
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
pub fn beside(path: &Path, extension: &str) -> PathBuf {
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
        let missing = load(Path::new("/nonexistent.pem"), &Extras::default()).unwrap_err().to_string();
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
        let bundle = load(&path, &Extras::default()).unwrap();
        assert_eq!(bundle.ocsp.as_deref(), Some(&b"response"[..]));
    }

    #[test]
    fn an_encrypted_key_is_refused_with_the_reason() {
        let (certificate, _) = make(&["a.example"]);
        let key = "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
        let error = parsed(&format!("{certificate}{key}")).unwrap_err();
        assert!(matches!(error, PemError::EncryptedKey(_)));
    }
}
