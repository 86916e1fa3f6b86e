//! Every certificate that the configuration names, loaded once by path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificate::Certificate;
use super::pem::{self, PemError};

/// Files beside a bundle that are not bundles themselves (configuration manual, "crt").
const SIDECARS: [&str; 5] = [".key", ".issuer", ".ocsp", ".sctl", ".dh"];

/// Certificates by path.
#[derive(Debug, Default)]
pub struct CertificateStore {
    loaded: BTreeMap<PathBuf, Arc<Certificate>>,
    /// `@STORE/NAME` of `crt-store` sections.
    aliases: BTreeMap<String, PathBuf>,
    /// `crt-base` and `key-base` of these sections.
    bases: BTreeMap<String, (Option<String>, Option<String>)>,
}

/// What a `load` line names besides the certificate.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Parts {
    pub key: Option<PathBuf>,
    pub ocsp: Option<PathBuf>,
}

impl CertificateStore {
    /// `crt-base` and `key-base` of a `crt-store`.
    pub fn bases(&mut self, section: &str) -> &mut (Option<String>, Option<String>) {
        self.bases.entry(section.to_owned()).or_default()
    }

    /// Loads a certificate for `crt-store`, to be known by `names` and by its path.
    pub fn load_parts(&mut self, path: &Path, names: Vec<String>, parts: &Parts) -> Result<(), String> {
        if self.loaded.contains_key(path) {
            return Err(format!("'{}' is loaded already, with other parameters.", path.display()));
        }
        let bundle = pem::load_parts(path, parts.key.as_deref(), parts.ocsp.as_deref());
        let certificate =
            bundle.and_then(|bundle| Certificate::new(path, bundle)).map_err(|error| error.to_string())?;
        self.loaded.insert(path.into(), Arc::new(certificate));
        self.aliases.extend(names.into_iter().map(|name| (name, path.into())));
        Ok(())
    }

    /// What `crt PATH` means: one file, or every bundle of a directory in alphabetical order.
    ///
    /// All files are tried, so that each bad one is named.
    pub fn load(&mut self, path: &Path) -> (Vec<Arc<Certificate>>, Vec<PemError>) {
        let named =
            path.to_str().and_then(|name| self.aliases.get(name)).unwrap_or(&path.to_path_buf()).clone();
        if let Some(known) = self.loaded.get(&named) {
            return (vec![Arc::clone(known)], Vec::new());
        }
        let files = match bundles_in(path).or_else(|error| twins(path).ok_or(error)) {
            Ok(files) => files,
            Err(error) => return (Vec::new(), vec![PemError::Stat(path.into(), error)]),
        };
        let (mut certificates, mut errors) = (Vec::new(), Vec::new());
        for file in files {
            match self.load_file(&file) {
                Ok(certificate) => certificates.push(certificate),
                Err(error) => errors.push(error),
            }
        }
        (certificates, errors)
    }

    fn load_file(&mut self, path: &Path) -> Result<Arc<Certificate>, PemError> {
        if let Some(known) = self.loaded.get(path) {
            return Ok(Arc::clone(known));
        }
        let certificate = Arc::new(Certificate::load(path)?);
        self.loaded.insert(path.into(), Arc::clone(&certificate));
        Ok(certificate)
    }

    /// All certificates by path, for `show ssl cert`.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Certificate>> {
        self.loaded.values()
    }
}

/// `FILE.rsa`, `FILE.ecdsa` and `FILE.dsa` where there is no `FILE` (configuration manual, "ssl-load-extra-files").
fn twins(path: &Path) -> Option<Vec<PathBuf>> {
    let file = |kind: &str| PathBuf::from(format!("{}.{kind}", path.display()));
    let found: Vec<PathBuf> = ["ecdsa", "rsa"].map(file).into_iter().filter(|file| file.is_file()).collect();
    (!found.is_empty()).then_some(found)
}

fn bundles_in(path: &Path) -> std::io::Result<Vec<PathBuf>> {
    if !std::fs::metadata(path)?.is_dir() {
        return Ok(vec![path.into()]);
    }
    let mut files = Vec::new();
    for entry in std::fs::read_dir(path)? {
        let file = entry?.path();
        let name = file.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let sidecar = SIDECARS.iter().any(|extension| name.ends_with(extension));
        if !sidecar && !name.starts_with('.') && std::fs::metadata(&file).is_ok_and(|data| data.is_file()) {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::make;

    #[test]
    fn a_directory_gives_its_bundles_in_order_and_names_the_bad_one() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["2.pem", "1.pem"] {
            let (certificate, key) = make(&[&format!("{name}.example")]);
            std::fs::write(folder.path().join(name), certificate).unwrap();
            std::fs::write(folder.path().join(format!("{name}.key")), key).unwrap();
        }
        std::fs::write(folder.path().join("3.pem"), "garbage").unwrap();
        let (certificates, errors) = CertificateStore::default().load(folder.path());
        let names: Vec<&str> = certificates.iter().map(|certificate| certificate.names[0].as_str()).collect();
        assert_eq!(names, ["1.pem.example", "2.pem.example"]);
        assert_eq!(errors.len(), 1);
        assert!(errors[0].to_string().contains("3.pem"));
    }
}
