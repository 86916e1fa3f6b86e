//! The last checks of a server, for "why is it down".

use std::collections::VecDeque;

use hacore::health::CheckResult;
use hacore::probe::Transcript;

/// How many checks are remembered per server.
pub const HISTORY_LENGTH: usize = 8;

/// One finished check.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PastCheck {
    /// When it ended, microseconds since the epoch.
    pub wall_us: u64,
    pub result: CheckResult,
    /// Whether the server was up after it.
    pub up: bool,
    /// The beginning of what was said.
    pub transcript: Transcript,
}

/// The last [`HISTORY_LENGTH`] checks, oldest first.
#[derive(Debug, Default)]
pub(super) struct History(VecDeque<PastCheck>);

impl History {
    pub(super) fn push(&mut self, check: PastCheck) {
        if self.0.len() == HISTORY_LENGTH {
            self.0.pop_front();
        }
        self.0.push_back(check);
    }

    pub(super) fn list(&self) -> Vec<PastCheck> {
        self.0.iter().cloned().collect()
    }
}
