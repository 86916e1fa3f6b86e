//! What the state machine of a server's health is told, what it is in, and what it answers. How one leads to the other is
//! in [`super::fsm`].

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::counter::{InitState, Timing};
use super::observe::Observe;
use super::report::{Change, CheckReport};

/// What the configuration says about one server's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The health check's timing; none: the server is not checked.
    pub check: Option<Timing>,
    /// `agent-inter`; none: no agent.
    pub agent_inter: Option<Duration>,
    /// The state before the first check.
    pub init: InitState,
    /// `slowstart`; zero: at once.
    pub slowstart: Duration,
    /// The configured weight, 0..=256.
    pub weight: u16,
    /// Whether the configuration has the server `disabled`.
    pub disabled: bool,
    /// `observe`; needs a check.
    pub observe: Option<Observe>,
    /// Whether the server follows another one (`track`): [`super::Health::set_tracked`] is called.
    pub tracking: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            check: None,
            agent_inter: None,
            init: InitState::Up,
            slowstart: Duration::ZERO,
            weight: 1,
            disabled: false,
            observe: None,
            tracking: false,
        }
    }
}

/// What the administrator (or the agent in his place) wants of a server.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum AdminState {
    /// In use as its health allows.
    #[default]
    Ready,
    /// No new clients but those bound to it by persistence.
    Drain,
    /// Out of use; not checked.
    Maintenance,
}

/// How the server operates, apart from what the administrator wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Operation {
    /// Down.
    Stopped,
    /// Up, in its slow start.
    Starting,
    /// Up.
    Running,
    /// Up, but gets no new clients (`NOLB`).
    Stopping,
}

/// `set server … health`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ForcedHealth {
    /// `up`.
    Up,
    /// `stopping`.
    Stopping,
    /// `down`.
    Down,
}

/// What a tracking server is told of the one it tracks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tracked {
    /// The tracked server, as `backend/server`.
    pub via: Arc<str>,
    /// Its operation.
    pub operation: Operation,
    /// What its administrator wants, directly or inherited in turn.
    pub admin: AdminState,
    /// Whether it has an enabled check.
    pub checked: bool,
    /// How far its counter is when in between.
    pub progress: Option<(u32, u32)>,
}

/// What the owner has to carry out or report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A check's result that changed something, for `option log-health-checks`.
    Report(CheckReport),
    /// The state changed: log it, and for [`Change::is_down`] and [`Change::is_up`] do what `on-marked-down` and
    /// `on-marked-up` say.
    Changed(Change),
    /// [`super::Health::condition`] has a new value: tell the balancer. Tracking servers are to be told too.
    ConditionChanged,
    /// The next check is due [`super::Health::check_interval`] from now if that is sooner than planned.
    CheckSooner,
    /// The agent asks for this `maxconn`.
    Maxconn(u32),
}

/// What came of one input, in order.
pub type Outcome = Vec<Event>;
