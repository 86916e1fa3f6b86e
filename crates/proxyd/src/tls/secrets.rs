//! What a handshake keeps for fetches that ask about it: both hellos, and with `tune.ssl.keylog on` its secrets.
//!
//! rustls tells secrets through a callback of the configuration, while a connection's bytes are processed on this thread; they
//! wait in a slot of the thread until the connection takes them.

use std::cell::RefCell;

use rustls::KeyLog;

/// Secrets under the labels of the NSS key log format.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Secrets {
    entries: Vec<(&'static str, Vec<u8>)>,
}

/// The labels that fetches know, and `CLIENT_RANDOM`, the master secret of TLS 1.2.
const LABELS: [&str; 8] = [
    "CLIENT_RANDOM",
    "CLIENT_EARLY_TRAFFIC_SECRET",
    "CLIENT_HANDSHAKE_TRAFFIC_SECRET",
    "SERVER_HANDSHAKE_TRAFFIC_SECRET",
    "CLIENT_TRAFFIC_SECRET_0",
    "SERVER_TRAFFIC_SECRET_0",
    "EXPORTER_SECRET",
    "EARLY_EXPORTER_SECRET",
];

thread_local! {
    static LAST: RefCell<Secrets> = const { RefCell::new(Secrets { entries: Vec::new() }) };
}

impl Secrets {
    /// The secret with a label of the key log format.
    pub fn find(&self, label: &str) -> Option<&[u8]> {
        self.entries.iter().find(|(known, _)| *known == label).map(|(_, secret)| secret.as_slice())
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Takes what was told since the last call.
    pub fn take_last(&mut self) {
        LAST.with_borrow_mut(|last| self.entries.append(&mut last.entries));
    }
}

/// Puts secrets where their connection finds them.
#[derive(Debug)]
pub struct Recorder;

impl KeyLog for Recorder {
    fn log(&self, label: &str, _: &[u8], secret: &[u8]) {
        if let Some(label) = LABELS.iter().find(|known| **known == label) {
            LAST.with_borrow_mut(|last| last.entries.push((label, secret.to_vec())));
        }
    }
}
