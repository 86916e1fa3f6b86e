//! What the actor exchanges with tracking and notification, which live in modules of their own.

use crate::model::NotifyScripts;
use crate::track::Condition;
use crate::vrrp::{Effect, State, Tracker};

/// News for the actor from whatever tracks scripts, files and processes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stimulus {
    /// What a tracker now does to every instance that follows it.
    Track {
        /// Name of the instance.
        instance: String,
        /// Which tracker.
        tracker: Tracker,
        /// Its effect.
        effect: Effect,
    },
    /// What a tracker has found, for those who ask.
    Condition {
        /// Which tracker.
        tracker: Tracker,
        /// What it found.
        condition: Condition,
    },
    /// Send the announcements of an instance again; all masters without a name.
    Announce {
        /// Name of the instance.
        instance: Option<String>,
    },
    /// The moment of a planned reload has come (`reload_time_file`).
    Reload,
    /// A line for the log.
    Log(String),
}

/// Something that notify scripts, FIFOs and mail may want to know.
#[derive(Debug, Clone)]
pub struct Happening<'a> {
    /// Instance or sync group.
    pub kind: Kind,
    /// Its name.
    pub name: &'a str,
    /// What happened.
    pub what: What,
    /// Effective priority; 0 for groups.
    pub priority: u8,
    /// The configured receivers.
    pub scripts: &'a NotifyScripts,
}

/// Whose news it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// `INSTANCE`.
    Instance,
    /// `GROUP`.
    Group,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is in this state now.
    State(State),
    /// It stopped.
    Stop,
    /// A reload removed it.
    Deleted,
    /// A master heard a lower priority.
    MasterRxLowerPriority,
    /// The effective priority changed in this state.
    Priority(State),
}

/// The receiver of happenings; it must not block.
pub trait Outside {
    /// Tells it.
    fn happened(&mut self, happening: &Happening<'_>);

    /// Says again on the FIFOs what holds already (`fifo_write_vrrp_states_on_reload`).
    fn remind(&mut self, _happening: &Happening<'_>) {}
}

/// Nobody listens.
#[derive(Debug, Clone, Copy, Default)]
pub struct Nobody;

impl Outside for Nobody {
    fn happened(&mut self, _happening: &Happening<'_>) {}
}
