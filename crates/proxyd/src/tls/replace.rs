//! Certificates replaced while connections use them: `set`, `commit`, `abort ssl cert` as one transaction at a time.
//!
//! New text is checked when it is set, takes effect in all listeners when it is committed, and is gone after a reload, which
//! reads the files again (management guide, "set ssl cert").

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine as _;
use rustls::pki_types::CertificateDer;

use super::certificate::Certificate;
use super::client::ShownCertificate;
use super::listener::ListenerTls;
use super::ocsp::{self, CertificateId};
use super::pem::{self, PemError};

/// The transaction that is open, if any.
#[derive(Debug, Default)]
pub struct Replacement {
    open: Option<(String, Pending)>,
    /// Certificates that no listener uses: made by `new ssl cert` (empty at first), or left over from a list.
    unused: BTreeMap<PathBuf, Option<Arc<Certificate>>>,
}

/// What was set so far.
#[derive(Debug, Default, Clone)]
struct Pending {
    /// A whole bundle, or a chain for the key that is in use.
    bundle: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
    issuer: Option<CertificateDer<'static>>,
    ocsp: Option<Vec<u8>>,
    shown: Option<Arc<Certificate>>,
}

/// What a payload is of a certificate: a file's extension says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Bundle,
    Key,
    Issuer,
    Ocsp,
    Timestamps,
}

impl Part {
    const EXTENSIONS: [(&'static str, Self); 4] =
        [("key", Self::Key), ("issuer", Self::Issuer), ("ocsp", Self::Ocsp), ("sctl", Self::Timestamps)];

    /// The certificate and the part of it that a name means; `is_known` tells certificates.
    pub fn of(name: &str, is_known: impl Fn(&str) -> bool) -> (String, Self) {
        if !is_known(name) {
            for (extension, part) in Self::EXTENSIONS {
                let Some(base) = name.strip_suffix(extension).and_then(|base| base.strip_suffix('.')) else {
                    continue;
                };
                // With `ssl-load-extra-del-ext` the extension stands in the place of the certificate's own.
                let candidates = [base.to_owned(), format!("{base}.crt")];
                if let Some(found) = candidates.into_iter().find(|candidate| is_known(candidate)) {
                    return (found, part);
                }
            }
        }
        (name.to_owned(), Self::Bundle)
    }
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
    #[error("{0}Can't load the payload\nCan't update {1}!")]
    Part(String, String),
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
        self.open.as_ref().and_then(|(path, pending)| Some((path.as_str(), pending.shown.as_ref()?)))
    }

    /// Whether there is a certificate of this name.
    fn knows(&self, name: &str, known: &[Arc<Certificate>]) -> bool {
        find(known, name).is_some() || self.unused.contains_key(Path::new(name))
    }

    /// The certificate and the part of it that a name means.
    pub fn part(&self, name: &str, known: &[Arc<Certificate>]) -> (String, Part) {
        Part::of(name, |candidate| self.knows(candidate, known))
    }

    /// `set ssl cert`; true when this opened the transaction.
    pub fn set(&mut self, name: &str, text: &str, known: &[Arc<Certificate>]) -> Result<bool, ReplaceError> {
        let (path, part) = self.part(name, known);
        let mut pending = self.open.as_ref().map(|(_, pending)| pending.clone()).unwrap_or_default();
        pending.take(part, &path, name, text)?;
        if let Some((open, _)) = self.open.as_ref().filter(|(open, _)| *open != path) {
            return Err(ReplaceError::Other { open: open.clone(), what: "set", asked: path });
        }
        let current = match (find(known, &path), self.unused.get(Path::new(&path))) {
            (Some(current), _) => Some(Arc::clone(current)),
            (None, Some(unused)) => unused.clone(),
            (None, None) => return Err(ReplaceError::Unknown(path)),
        };
        let payload = |error| ReplaceError::Payload { error, path: name.to_owned() };
        // A pair that does not fit is found out by the commit; until then the new chain is shown.
        pending.shown = match (&current, &pending.bundle) {
            (Some(current), Some(bundle)) => {
                let chain = pem::certificates(bundle);
                Some(Certificate::unchecked(Path::new(&path), chain, current).map_err(payload)?)
            }
            (Some(current), None) => Some(Certificate::clone(current)),
            (None, Some(_)) => Some(pending.finish(Path::new(&path), None).map_err(payload)?),
            // A key or a response before its certificate.
            (None, None) => None,
        }
        .map(|shown| Arc::new(pending.completed(shown)));
        Ok(self.open.replace((path, pending)).is_none())
    }

    /// `commit ssl cert`: gives the number of listeners and servers that use the new certificate from now on.
    pub fn commit(&mut self, path: &str, users: &Users<'_>) -> Result<usize, ReplaceError> {
        let (open, pending) = self.open.as_ref().ok_or(ReplaceError::None)?;
        if open != path {
            return Err(ReplaceError::Other { open: open.clone(), what: "set", asked: path.to_owned() });
        }
        let name = Path::new(path);
        let known = users.certificates();
        let unused = self.unused.get(name).and_then(Option::as_ref);
        let current = find(&known, path).or(unused);
        let fresh = Arc::new(pending.finish(name, current.map(Arc::as_ref))?);
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

    /// Lets every certificate with this identity be shown with another response; gives how many files that were.
    pub fn staple(&mut self, id: &CertificateId, response: &[u8], users: &Users<'_>) -> usize {
        let has_id = |certificate: &Certificate| certificate.ocsp_id().as_ref() == Some(id);
        let mut count = 0;
        for listener in &users.listeners {
            let mut loaded = listener.loaded.lock();
            let mut entries = loaded.iter_mut().filter(|entry| has_id(&entry.certificate)).peekable();
            if entries.peek().is_some() {
                entries.for_each(|entry| {
                    entry.certificate = Arc::new(entry.certificate.with_ocsp(Some(response.to_vec())));
                    count += 1;
                });
                listener.refresh(&loaded);
            }
        }
        for unused in self.unused.values_mut().flatten().filter(|unused| has_id(unused)) {
            *unused = Arc::new(unused.with_ocsp(Some(response.to_vec())));
            count += 1;
        }
        count
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

    /// A certificate whose user is about to go: its name stays known.
    pub fn remember(&mut self, certificate: Arc<Certificate>) {
        self.unused.insert(certificate.path.clone(), Some(certificate));
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

impl Pending {
    /// Takes one payload; what it says about anything else stays.
    fn take(&mut self, part: Part, path: &str, name: &str, text: &str) -> Result<(), ReplaceError> {
        let refused = |reason: String| ReplaceError::Part(reason, name.to_owned());
        match part {
            Part::Bundle if pem::certificates(text.as_bytes()).is_empty() => {
                let error = PemError::NoCertificate(path.into());
                return Err(ReplaceError::Payload { error, path: name.to_owned() });
            }
            // A bundle says everything anew that it says.
            Part::Bundle => self.bundle = Some(text.as_bytes().to_vec()),
            Part::Key => {
                let wrong = || refused(format!("unable to load private key from file '{path}'.\n"));
                pem::key(text.as_bytes()).ok_or_else(wrong)?;
                self.key = Some(text.as_bytes().to_vec());
            }
            Part::Issuer => {
                let wrong = || refused(format!("'{path}' cannot be read or parsed.\n"));
                self.issuer = Some(pem::certificates(text.as_bytes()).into_iter().next().ok_or_else(wrong)?);
            }
            Part::Ocsp => {
                let base64: String = text.split_whitespace().collect();
                let der = base64::engine::general_purpose::STANDARD.decode(base64);
                let der = der.map_err(|_| refused("Error reading OCSP response in base64\n".to_owned()))?;
                ocsp::Response::parse(&der).map_err(|error| refused(format!("{error}\n")))?;
                self.ocsp = Some(der);
            }
            Part::Timestamps => {
                return Err(refused("Signed certificate timestamps are not sent from files.\n".to_owned()));
            }
        }
        Ok(())
    }

    /// The certificate that a commit brings.
    fn finish(&self, path: &Path, current: Option<&Certificate>) -> Result<Certificate, PemError> {
        let fresh = match (&self.bundle, current) {
            (Some(bundle), current) => match (pem::parse(path, bundle, self.key.as_deref()), current) {
                (Ok(bundle), _) => {
                    let fresh = Certificate::new(path, bundle)?;
                    match current {
                        // What stands beside the bundle is still there.
                        Some(current) => Certificate {
                            issuer: fresh.issuer.clone().or_else(|| current.issuer.clone()),
                            ocsp_update: current.ocsp_update,
                            ..fresh
                        },
                        None => fresh,
                    }
                }
                (Err(PemError::NoKey(_)), Some(current)) => {
                    Certificate::unchecked(path, pem::certificates(bundle), current)?
                }
                (Err(error), _) => return Err(error),
            },
            (None, Some(current)) => current.clone(),
            (None, None) => return Err(PemError::NoCertificate(path.into())),
        };
        let fresh = match self.key.as_deref().and_then(pem::key) {
            Some(key) => fresh.with_key(&key)?,
            None => fresh,
        };
        let fresh = self.completed(fresh);
        // A response about another certificate is not shown with this one.
        let kept = fresh.key.ocsp.clone().or_else(|| current.and_then(|current| current.key.ocsp.clone()));
        let id = fresh.ocsp_id();
        let fits = |der: &Vec<u8>| {
            id.is_none() || ocsp::Response::parse(der).is_ok_and(|response| Some(response.id) == id)
        };
        fresh.with_ocsp(kept.filter(fits)).check_key()
    }

    /// With the issuer and the response that were set.
    fn completed(&self, certificate: Certificate) -> Certificate {
        let issuer = self.issuer.clone().or_else(|| certificate.issuer.clone());
        let response = self.ocsp.clone().or_else(|| certificate.key.ocsp.clone());
        Certificate { issuer, ..certificate }.with_ocsp(response)
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
        let files = Arc::default();
        let settings = Settings { global: &global, words: &words, side: Side::Bind, files: &files };
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
