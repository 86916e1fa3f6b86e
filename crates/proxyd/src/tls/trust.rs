//! Authorities (`ca-file`) and revocation lists (`crl-file`) by file name: read once per configuration, replaceable while it runs.
//!
//! `set`, `add`, `commit`, `abort` and their kin are one transaction of each kind at a time (management guide, "set ssl
//! ca-file"); what a commit brings is gone after a reload, which reads the files again. Who has to be built anew after a commit
//! is not known here.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use parking_lot::Mutex;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer};

use super::pem;
use super::pinned::Authorities;

/// What a file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Authorities,
    Revocations,
}

impl Kind {
    /// `CA` or `CRL`, as messages say it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Authorities => "CA",
            Self::Revocations => "CRL",
        }
    }

    /// The DER of what a PEM text holds of this kind.
    fn parse(self, text: &[u8]) -> Vec<Vec<u8>> {
        match self {
            Self::Authorities => pem::certificates(text).iter().map(|der| der.to_vec()).collect(),
            Self::Revocations => CertificateRevocationListDer::pem_slice_iter(text)
                .map_while(Result::ok)
                .map(|list| list.as_ref().to_vec())
                .collect(),
        }
    }
}

/// One file: certificates or lists, DER, in the file's order.
pub type TrustFile = Arc<Vec<Vec<u8>>>;

/// Why a step was refused; the words are HAProxy's.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TrustError {
    #[error("Can't replace a {0} file which is not referenced by the configuration!")]
    Unknown(&'static str),
    #[error("The ongoing transaction is about '{open}' but you are trying to {what} '{asked}'")]
    Other { open: String, what: &'static str, asked: String },
    #[error("No ongoing transaction!")]
    None,
    #[error("Invalid payload")]
    Payload,
}

/// The files of a configuration.
#[derive(Debug, Default)]
pub struct TrustFiles {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    files: BTreeMap<(Kind, String), TrustFile>,
    open: BTreeMap<Kind, (String, TrustFile)>,
}

impl TrustFiles {
    /// The certificates of a `ca-file`: a PEM file, a directory of them, or `@system-ca`.
    pub fn authorities(&self, path: &str) -> io::Result<Authorities> {
        let file = self.file(Kind::Authorities, path, || read_authorities(path))?;
        Ok(Authorities::new(file.iter().map(|der| CertificateDer::from(der.clone())).collect()))
    }

    /// The lists of a `crl-file`.
    pub fn revocations(&self, path: &str) -> io::Result<Vec<CertificateRevocationListDer<'static>>> {
        let read = || Ok(Kind::Revocations.parse(&pem::read(Path::new(path))?));
        let file = self.file(Kind::Revocations, path, read)?;
        Ok(file.iter().map(|der| CertificateRevocationListDer::from(der.clone())).collect())
    }

    fn file(
        &self,
        kind: Kind,
        path: &str,
        read: impl FnOnce() -> io::Result<Vec<Vec<u8>>>,
    ) -> io::Result<TrustFile> {
        let mut state = self.state.lock();
        if let Some(known) = state.files.get(&(kind, path.to_owned())) {
            return Ok(Arc::clone(known));
        }
        let file = Arc::new(read()?);
        // A file without anything in it is an error that the reader of the line reports; it is not kept.
        if !file.is_empty() {
            state.files.insert((kind, path.to_owned()), Arc::clone(&file));
        }
        Ok(file)
    }

    /// The names of all files of a kind, in order, with what they hold.
    pub fn list(&self, kind: Kind) -> Vec<(String, TrustFile)> {
        let state = self.state.lock();
        let of_kind = state.files.iter().filter(|((known, _), _)| *known == kind);
        of_kind.map(|((_, name), file)| (name.clone(), Arc::clone(file))).collect()
    }

    pub fn find(&self, kind: Kind, path: &str) -> Option<TrustFile> {
        self.state.lock().files.get(&(kind, path.to_owned())).cloned()
    }

    /// What waits to be committed.
    pub fn pending(&self, kind: Kind) -> Option<(String, TrustFile)> {
        self.state.lock().open.get(&kind).cloned()
    }

    /// `new ssl ca-file`: an empty file; false when there is one.
    pub fn create(&self, kind: Kind, path: &str) -> bool {
        let mut state = self.state.lock();
        let key = (kind, path.to_owned());
        let is_new = !state.files.contains_key(&key);
        if is_new {
            state.files.insert(key, TrustFile::default());
        }
        is_new
    }

    /// `del ssl ca-file`: false when there is none; one in use has to be asked for before.
    pub fn delete(&self, kind: Kind, path: &str) -> bool {
        self.state.lock().files.remove(&(kind, path.to_owned())).is_some()
    }

    /// `set ssl ca-file`, `add ssl ca-file` with `keep`; true when this opened the transaction.
    pub fn set(&self, kind: Kind, path: &str, text: &str, keep: bool) -> Result<bool, TrustError> {
        let mut state = self.state.lock();
        if let Some((open, _)) = state.open.get(&kind).filter(|(open, _)| open != path) {
            return Err(TrustError::Other { open: open.clone(), what: "set", asked: path.to_owned() });
        }
        let known = state.files.get(&(kind, path.to_owned())).ok_or(TrustError::Unknown(kind.name()))?;
        let before = state.open.get(&kind).map_or(known, |(_, pending)| pending);
        let mut file = if keep { before.to_vec() } else { Vec::new() };
        let added = kind.parse(text.as_bytes());
        if added.is_empty() {
            return Err(TrustError::Payload);
        }
        file.extend(added.into_iter().filter(|der| !keep || !before.contains(der)));
        Ok(state.open.insert(kind, (path.to_owned(), Arc::new(file))).is_none())
    }

    /// `commit ssl ca-file`: the new content is what the name means from now on. `take` makes its users go over; when it
    /// fails, everything is as it was.
    pub fn commit(
        &self,
        kind: Kind,
        path: &str,
        take: impl FnOnce() -> Result<usize, String>,
    ) -> Result<usize, CommitError> {
        let key = (kind, path.to_owned());
        let before = {
            let mut state = self.state.lock();
            let (open, file) = state.open.get(&kind).cloned().ok_or(TrustError::None)?;
            if open != path {
                return Err(TrustError::Other { open, what: "set", asked: path.to_owned() }.into());
            }
            state.files.insert(key.clone(), file)
        };
        // Not under the lock: whoever goes over looks the file up.
        let taken = take();
        let mut state = self.state.lock();
        match taken {
            Ok(count) => {
                state.open.remove(&kind);
                Ok(count)
            }
            Err(reason) => {
                if let Some(before) = before {
                    state.files.insert(key, before);
                }
                Err(CommitError::Unusable(reason))
            }
        }
    }

    /// `abort ssl ca-file`.
    pub fn abort(&self, kind: Kind, path: &str) -> Result<(), TrustError> {
        let mut state = self.state.lock();
        let (open, _) = state.open.get(&kind).ok_or(TrustError::None)?;
        if open != path {
            let what = "abort a transaction for";
            return Err(TrustError::Other { open: open.clone(), what, asked: path.to_owned() });
        }
        state.open.remove(&kind);
        Ok(())
    }
}

/// Why a commit came to nothing.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    #[error(transparent)]
    Refused(#[from] TrustError),
    #[error("{0}")]
    Unusable(String),
}

fn read_authorities(path: &str) -> io::Result<Vec<Vec<u8>>> {
    if path == "@system-ca" {
        let native = rustls_native_certs::load_native_certs().certs;
        return Ok(native.iter().map(|der| der.to_vec()).collect());
    }
    let path = Path::new(path);
    let mut files = if path.is_dir() {
        std::fs::read_dir(path)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.is_file())
            .collect()
    } else {
        vec![path.to_path_buf()]
    };
    files.sort();
    let mut certificates = Vec::new();
    for file in files {
        for der in Kind::Authorities.parse(&pem::read(&file)?) {
            // Directories hold the same certificate under several names.
            if !certificates.contains(&der) {
                certificates.push(der);
            }
        }
    }
    Ok(certificates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::make;

    #[test]
    fn a_ca_file_is_replaced_in_one_transaction() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ca.pem");
        let (first, second) = (make(&["a.example"]).0, make(&["b.example"]).0);
        std::fs::write(&path, &first).unwrap();
        let (files, name) = (TrustFiles::default(), path.to_str().unwrap());
        let kind = Kind::Authorities;
        assert!(!files.authorities(name).unwrap().is_empty());
        assert_eq!(files.set(kind, "other", &second, false), Err(TrustError::Unknown("CA")));
        assert_eq!(files.set(kind, name, "garbage", false), Err(TrustError::Payload));
        assert_eq!(files.set(kind, name, &second, false), Ok(true));
        assert_eq!(files.set(kind, name, &first, true), Ok(false), "added");
        assert_eq!(files.set(kind, name, &first, true), Ok(false), "added again: once");
        assert_eq!(files.find(kind, name).unwrap().len(), 1, "not before the commit");
        let refused = files.commit(kind, name, || Err("no".to_owned()));
        assert_eq!(refused.unwrap_err().to_string(), "no");
        assert_eq!(files.find(kind, name).unwrap().len(), 1, "as it was");
        assert_eq!(files.commit(kind, name, || Ok(3)).unwrap(), 3);
        assert_eq!(files.find(kind, name).unwrap().len(), 2);
        assert_eq!(files.abort(kind, name), Err(TrustError::None));
        assert!(files.create(kind, "new") && !files.create(kind, "new"));
        assert!(files.delete(kind, "new") && !files.delete(kind, "new"));
    }
}
