//! Certificates replaced while connections use them: `set`, `commit`, `abort ssl cert` as one transaction at a time.
//!
//! New text is checked when it is set, takes effect in all listeners when it is committed, and is gone after a reload, which
//! reads the files again (management guide, "set ssl cert").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::certificate::Certificate;
use super::client::ShownCertificate;
use super::listener::ListenerTls;
use super::pem::{self, PemError};

/// The transaction that is open, if any.
#[derive(Debug, Default)]
pub struct Replacement {
    open: Option<(String, Pending)>,
    /// Certificates that no listener uses: made by `new ssl cert` (empty at first), or left over from a list.
    unused: BTreeMap<PathBuf, Option<Arc<Certificate>>>,
}

/// What was set: a whole bundle, or a chain for the key that is in use.
#[derive(Debug)]
struct Pending {
    text: Vec<u8>,
    shown: Arc<Certificate>,
}

/// Why a step was refused; the words are HAProxy's.
#[derive(Debug, thiserror::Error)]
pub enum ReplaceError {
    #[error("Can't replace a certificate which is not referenced by the configuration!\nCan't update {0}!")]
    Unknown(String),
    #[error("The ongoing transaction is about '{open}' but you are trying to {what} '{asked}'")]
    Other { open: String, what: &'static str, asked: String },
    #[error("No ongoing transaction!")]
    None,
    #[error("{error}\nCan't load the payload\nCan't update {path}!")]
    Payload { error: PemError, path: String },
    #[error(transparent)]
    Unusable(#[from] PemError),
}

/// Everything that uses certificates: listeners with TLS, and servers that are shown one.
#[derive(Debug, Default)]
pub struct Users<'a> {
    pub listeners: Vec<&'a ListenerTls>,
    pub servers: Vec<&'a ShownCertificate>,
}

impl Users<'_> {
    /// The certificates in use by their path, once each, in order of their names.
    pub fn certificates(&self) -> Vec<Arc<Certificate>> {
        let mut found: Vec<Arc<Certificate>> = self.servers.iter().map(|shown| shown.get()).collect();
        for listener in &self.listeners {
            found.extend(listener.loaded.lock().iter().map(|entry| Arc::clone(&entry.certificate)));
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        found.dedup_by(|a, b| a.path == b.path);
        found
    }
}

impl Replacement {
    /// What waits to be committed.
    pub fn pending(&self) -> Option<(&str, &Arc<Certificate>)> {
        self.open.as_ref().map(|(path, pending)| (path.as_str(), &pending.shown))
    }

    /// `set ssl cert`; true when this opened the transaction.
    pub fn set(&mut self, path: &str, text: &str, known: &[Arc<Certificate>]) -> Result<bool, ReplaceError> {
        if let Some((open, _)) = self.open.as_ref().filter(|(open, _)| open != path) {
            return Err(ReplaceError::Other { open: open.clone(), what: "set", asked: path.to_owned() });
        }
        let current = match (find(known, path), self.unused.get(Path::new(path))) {
            (Some(current), _) => Some(Arc::clone(current)),
            (None, Some(unused)) => unused.clone(),
            (None, None) => return Err(ReplaceError::Unknown(path.to_owned())),
        };
        // A pair that does not fit is found out by the commit; until then the new chain is shown.
        let chain = pem::certificates(text.as_bytes());
        if chain.is_empty() {
            let error = PemError::NoCertificate(path.into());
            return Err(ReplaceError::Payload { error, path: path.to_owned() });
        }
        let payload = |error| ReplaceError::Payload { error, path: path.to_owned() };
        let shown = match &current {
            Some(current) => Certificate::unchecked(Path::new(path), chain, current),
            None => pem::parse(Path::new(path), text.as_bytes(), None)
                .and_then(|bundle| Certificate::new(Path::new(path), bundle)),
        };
        let shown = Arc::new(shown.map_err(payload)?);
        let pending = Pending { text: text.as_bytes().to_vec(), shown };
        Ok(self.open.replace((path.to_owned(), pending)).is_none())
    }

    /// `commit ssl cert`: gives the number of listeners and servers that use the new certificate from now on.
    pub fn commit(&mut self, path: &str, users: &Users<'_>) -> Result<usize, ReplaceError> {
        let (open, pending) = self.open.as_ref().ok_or(ReplaceError::None)?;
        if open != path {
            return Err(ReplaceError::Other { open: open.clone(), what: "set", asked: path.to_owned() });
        }
        let name = Path::new(path);
        let known = users.certificates();
        let fresh = match pem::parse(name, &pending.text, None) {
            Ok(bundle) => Certificate::new(name, bundle)?,
            Err(PemError::NoKey(_)) => {
                let unused = self.unused.get(name).and_then(Option::as_ref);
                let current = find(&known, path).or(unused);
                let current = current.ok_or_else(|| ReplaceError::Unknown(path.to_owned()))?;
                Certificate::with_key_of(name, pem::certificates(&pending.text), current)?
            }
            Err(error) => return Err(error.into()),
        };
        let fresh = Arc::new(fresh);
        let mut count = 0;
        for shown in users.servers.iter().filter(|shown| shown.get().path == name) {
            shown.replace(Arc::clone(&fresh));
            count += 1;
        }
        for listener in &users.listeners {
            let mut loaded = listener.loaded.lock();
            let mut entries = loaded.iter_mut().filter(|entry| entry.certificate.path == name).peekable();
            if entries.peek().is_none() {
                continue;
            }
            entries.for_each(|entry| entry.certificate = Arc::clone(&fresh));
            listener.refresh(&loaded);
            count += 1;
        }
        if let Some(unused) = self.unused.get_mut(name) {
            *unused = Some(fresh);
        }
        self.open = None;
        Ok(count)
    }

    /// Certificates that no listener uses; `None` is an empty one.
    pub fn unused(&self) -> &BTreeMap<PathBuf, Option<Arc<Certificate>>> {
        &self.unused
    }

    /// `new ssl cert`: a place for a certificate; false when there is one.
    pub fn create(&mut self, path: &str, known: &[Arc<Certificate>]) -> bool {
        if find(known, path).is_some() || self.unused.contains_key(Path::new(path)) {
            return false;
        }
        self.unused.insert(path.into(), None);
        true
    }

    /// `del ssl cert`: false when there is none; one in use has to be asked for before.
    pub fn delete(&mut self, path: &str) -> bool {
        self.unused.remove(Path::new(path)).is_some()
    }

    /// A certificate that a list gave up, if nobody else uses it.
    pub fn keep(&mut self, certificate: &Arc<Certificate>, known: &[Arc<Certificate>]) {
        if !known.iter().any(|used| used.path == certificate.path) {
            self.unused.insert(certificate.path.clone(), Some(Arc::clone(certificate)));
        }
    }

    /// One that is being used from now on.
    pub fn take_into_use(&mut self, path: &Path) {
        self.unused.remove(path);
    }

    /// `abort ssl cert`.
    pub fn abort(&mut self, path: &str) -> Result<(), ReplaceError> {
        let (open, _) = self.open.as_ref().ok_or(ReplaceError::None)?;
        if open != path {
            let what = "abort a transaction for";
            return Err(ReplaceError::Other { open: open.clone(), what, asked: path.to_owned() });
        }
        self.open = None;
        Ok(())
    }
}

fn find<'a>(known: &'a [Arc<Certificate>], path: &str) -> Option<&'a Arc<Certificate>> {
    known.iter().find(|certificate| certificate.path == Path::new(path))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::model::TlsSetting;
    use crate::tls::certificate::tests::make;
    use crate::tls::listener::{build, certificates};
    use crate::tls::settings::{Settings, Side};
    use crate::tls::store::CertificateStore;

    fn served(listener: &ListenerTls) -> Vec<u8> {
        let loaded = listener.loaded.lock();
        loaded[0].certificate.key.cert[0].to_vec()
    }

    #[test]
    fn a_certificate_is_set_then_committed_or_aborted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("site.pem");
        let name = path.to_str().unwrap();
        let (certificate, key) = make(&["a.example"]);
        std::fs::write(&path, format!("{certificate}{key}")).unwrap();
        let words = [TlsSetting { name: "crt".to_owned(), value: name.to_owned() }];
        let (global, mut problems) = (BTreeMap::new(), Vec::new());
        let settings = Settings { global: &global, words: &words, side: Side::Bind };
        let loaded = certificates(&settings, &mut CertificateStore::default(), &mut problems);
        let listener = build(&settings, loaded, &mut problems).unwrap();
        let users = Users { listeners: vec![&listener], ..Users::default() };
        let known = users.certificates();
        let before = served(&listener);

        let mut replacement = Replacement::default();
        let (fresh, fresh_key) = make(&["a.example"]);
        let bundle = format!("{fresh}{fresh_key}");
        assert!(replacement.set(name, &bundle, &known).unwrap(), "created");
        assert!(!replacement.set(name, &bundle, &known).unwrap(), "updated");
        assert_eq!(served(&listener), before, "not before the commit");
        replacement.abort(name).unwrap();
        assert_eq!(replacement.commit(name, &users).unwrap_err().to_string(), "No ongoing transaction!");

        replacement.set(name, &bundle, &known).unwrap();
        assert_eq!(replacement.commit(name, &users).unwrap(), 1);
        assert_ne!(served(&listener), before);

        let known = users.certificates();
        replacement.set(name, &format!("{certificate}{fresh_key}"), &known).unwrap();
        let error = replacement.commit(name, &users).unwrap_err().to_string();
        assert_eq!(error, format!("inconsistencies between private key and certificate loaded '{name}'."));
        replacement.set(name, &certificate, &known).unwrap();
        assert!(replacement.commit(name, &users).is_err(), "the old certificate does not fit the new key");
        replacement.set(name, &fresh, &known).unwrap();
        assert_eq!(replacement.commit(name, &users).unwrap(), 1, "a chain without key keeps the key");
        assert!(replacement.set(name, "garbage", &known).is_err());
        assert!(replacement.set("other.pem", &bundle, &known).is_err());
    }
}
