//! Every certificate that the configuration names, loaded once by path.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::certificate::Certificate;
use super::pem::{self, Extras, Parts, PemError};

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
    /// `ssl-load-extra-files` and its kin.
    pub extras: Extras,
    /// The chains of `issuers-chain-path`.
    chains: Vec<(PathBuf, Vec<CertificateDer<'static>>)>,
}

impl CertificateStore {
    /// Whether this file was read already, by whatever line.
    pub fn is_loaded(&self, path: &Path) -> bool {
        self.loaded.contains_key(path)
    }

    /// Takes certificates that are in memory already.
    pub fn preload(&mut self, certificates: &[Arc<Certificate>]) {
        let by_path = certificates.iter().map(|known| (known.path.clone(), Arc::clone(known)));
        self.loaded.extend(by_path);
    }

    /// `crt-base` and `key-base` of a `crt-store`.
    pub fn bases(&mut self, section: &str) -> &mut (Option<String>, Option<String>) {
        self.bases.entry(section.to_owned()).or_default()
    }

    /// Loads a certificate for `crt-store`, to be known by `names` and by its path.
    pub fn load_parts(
        &mut self,
        path: &Path,
        names: Vec<String>,
        parts: &Parts,
        ocsp_update: Option<bool>,
    ) -> Result<(), String> {
        if self.loaded.contains_key(path) {
            return Err(format!("'{}' is loaded already, with other parameters.", path.display()));
        }
        let bundle = pem::load_parts(path, parts, &self.extras);
        let certificate =
            bundle.and_then(|bundle| Certificate::new(path, bundle)).map_err(|error| error.to_string())?;
        let certificate = Certificate { ocsp_update, ..self.completed(certificate) };
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
        let twins = || if self.extras.bundle { twins(path) } else { None };
        let files = match bundles_in(path).or_else(|error| twins().ok_or(error)) {
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
        let certificate = self.completed(Certificate::load(path, &self.extras)?);
        let certificate = Arc::new(certificate);
        self.loaded.insert(path.into(), Arc::clone(&certificate));
        Ok(certificate)
    }

    /// `issuers-chain-path`: reads the chains of a directory, each named by its first certificate.
    pub fn read_chains(&mut self, folder: &Path) -> std::io::Result<()> {
        let mut files: Vec<PathBuf> =
            std::fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
        files.sort();
        for file in files.into_iter().filter(|file| file.is_file()) {
            let chain = pem::certificates(&pem::read(&file)?);
            if !chain.is_empty() {
                self.chains.push((file, chain));
            }
        }
        Ok(())
    }

    /// A certificate that brought no chain gets the one whose first certificate is its issuer.
    fn completed(&self, certificate: Certificate) -> Certificate {
        if certificate.key.cert.len() != 1 {
            return certificate;
        }
        let found = certificate.key.cert.first().and_then(|leaf| {
            let chains = self.chains.iter();
            chains.into_iter().find(|(_, chain)| chain.first().is_some_and(|first| issued(leaf, first)))
        });
        match found {
            Some((file, chain)) => certificate.completed(file, chain),
            None => certificate,
        }
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

/// Whether `leaf` names `authority` as its issuer.
fn issued(leaf: &[u8], authority: &[u8]) -> bool {
    let (Ok((_, leaf)), Ok((_, authority))) =
        (X509Certificate::from_der(leaf), X509Certificate::from_der(authority))
    else {
        return false;
    };
    leaf.issuer().as_raw() == authority.subject().as_raw()
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
