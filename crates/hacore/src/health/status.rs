//! How a server's health is written: `show stat`'s status and the transition lines of the log.

use super::fsm::Health;

/// What the log line of a transition says about the backend.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Usable active servers after the change.
    pub active: u32,
    /// Usable backup servers after the change.
    pub backup: u32,
    /// Sessions on the server.
    pub sessions: u32,
    /// Requests taken from its queue to be served elsewhere.
    pub requeued: u32,
    /// Requests still in its queue.
    pub queued: u32,
}

/// `show stat`'s `check_rise`, `check_fall`, `check_health`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// The rise setting.
    pub rise: u32,
    /// The fall setting.
    pub fall: u32,
    /// The counter, 0..=rise+fall-1.
    pub health: u32,
}

/// `show stat`'s `status`, such as `UP 1/3`.
pub struct StatusText<'a>(pub &'a Health);

impl std::fmt::Display for StatusText<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.0.is_up() { "UP" } else { "DOWN" })
    }
}
