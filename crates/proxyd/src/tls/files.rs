//! What the TLS lines of one configuration share: files that several of them name, replaceable while it runs.

use std::sync::Arc;

use parking_lot::Mutex;

use super::tickets::TicketKeys;
use super::trust::TrustFiles;

/// Made empty with a configuration, filled by its lines, reached by the admin sockets through the configuration in force.
#[derive(Debug, Default)]
pub struct TlsFiles {
    pub trust: TrustFiles,
    /// In the order in which lines named them: a file's number is its place.
    tickets: Mutex<Vec<Arc<TicketKeys>>>,
}

impl TlsFiles {
    /// The keys of `tls-ticket-keys`, read once for all lines that name the file.
    pub fn ticket_keys(&self, name: &str, lifetime_s: u32) -> Result<Arc<TicketKeys>, String> {
        let mut known = self.tickets.lock();
        if let Some(keys) = known.iter().find(|keys| keys.name == name) {
            return Ok(Arc::clone(keys));
        }
        let keys = Arc::new(TicketKeys::load(name, lifetime_s)?);
        known.push(Arc::clone(&keys));
        Ok(keys)
    }

    /// All of them, by number.
    pub fn all_ticket_keys(&self) -> Vec<Arc<TicketKeys>> {
        self.tickets.lock().clone()
    }
}
