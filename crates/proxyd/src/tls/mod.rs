//! TLS on rustls and aws-lc-rs: certificates, names, parameters. Files are read here; sockets are not.
//!
//! TLS 1.0 and 1.1 do not exist here: a configuration that allows nothing else is refused.

pub mod backend;
pub mod certificate;
pub mod chain;
pub mod check;
pub mod cipher_names;
pub mod client;
pub mod crt_list;
pub mod der;
pub mod files;
pub mod generate;
pub mod hello;
pub mod listener;
pub mod ocsp;
pub mod parameters;
pub mod passphrase;
pub mod pem;
pub mod pinned;
pub mod replace;
pub mod secrets;
pub mod server;
pub mod settings;
pub mod sigalgs;
pub mod sni;
pub mod store;
pub mod tickets;
pub mod trust;

use std::sync::Arc;

/// What a line's TLS words were made into: shared by all clones of the line, compared by the words it came from.
#[derive(Debug)]
pub struct Ready<T>(pub Option<Arc<T>>);

impl<T> Default for Ready<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> Clone for Ready<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> PartialEq for Ready<T> {
    /// The words decide; they are compared beside this.
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl<T> From<T> for Ready<T> {
    fn from(made: T) -> Self {
        Self(Some(Arc::new(made)))
    }
}

/// What is wrong with a line's TLS words, and how HAProxy says it.
#[derive(Debug, PartialEq, Eq)]
pub enum Problem {
    /// About a word or a file: said where the line stands.
    Word(String),
    /// About the line as a whole: HAProxy finds it when everything is read.
    Whole(String),
    /// It works, but not as it was written.
    Warning(String),
}

impl Problem {
    /// The words of the first that forbids to go on.
    pub fn first_error(problems: Vec<Self>) -> Option<String> {
        problems.into_iter().find_map(|problem| match problem {
            Self::Word(text) | Self::Whole(text) => Some(text),
            Self::Warning(_) => None,
        })
    }
}
