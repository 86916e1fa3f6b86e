//! One server's health: counters and states.
//!
//! ```text
//!              rise passed in a row
//!    DOWN ------------------------------> UP        `NOLB`: up, but gets no new clients (404 with disable-on-404)
//!      ^                                   |        `DRAIN`, `MAINT`: the administrator's, laid over these
//!      +-----------------------------------+
//!              fall failed in a row
//! ```
//!
//! The counter `health` runs from 0 to rise + fall - 1; the server is up while it is at least rise. A passed check
//! adds one and, at rise, jumps to the top; a failed one subtracts one and, below rise, drops to 0.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::check::{CheckResult, CheckStatus, Verdict};
use crate::balance::{Condition, RAMP_FULL, WEIGHT_MAX};

/// How often and how many (manual, server options "inter", "fastinter", "downinter", "rise", "fall").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timing {
    /// Passed checks in a row that bring a server up, at least 1.
    pub rise: u32,
    /// Failed checks in a row that take it down, at least 1.
    pub fall: u32,
    /// The pause between checks.
    pub inter: Duration,
    /// The pause in a transition between up and down; none: `inter`.
    pub fast_inter: Option<Duration>,
    /// The pause while fully down; none: `inter`.
    pub down_inter: Option<Duration>,
}

impl Default for Timing {
    fn default() -> Self {
        Timing { rise: 2, fall: 3, inter: Duration::from_secs(2), fast_inter: None, down_inter: None }
    }
}

/// The state before the first check (manual, server option "init-state").
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum InitState {
    /// Up, and `fall` checks must fail.
    FullyUp,
    /// Up, and the first failed check takes it down.
    #[default]
    Up,
    /// Down, and the first passed check brings it up.
    Down,
    /// Down, and `rise` checks must pass.
    FullyDown,
}

/// What the configuration says about one server's health.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// The health check's timing; none: the server is not checked.
    pub check: Option<Timing>,
    /// The state before the first check.
    pub init: InitState,
    /// `slowstart`; zero: at once.
    pub slowstart: Duration,
    /// The configured weight, 0..=256.
    pub weight: u16,
    /// Whether the configuration has the server `disabled`.
    pub disabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { check: None, init: InitState::Up, slowstart: Duration::ZERO, weight: 1, disabled: false }
    }
}

/// What the administrator wants of a server.
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

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A health check.
    Check(CheckResult),
    /// The agent.
    Agent(CheckResult),
    /// A command or the configuration.
    Admin,
    /// The tracked server.
    Tracked,
}

/// A change of state, as the log shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Became usable.
    Up,
    /// Ceased to be usable.
    Down,
    /// Gets no new clients (NOLB).
    Stopping,
    /// Gets new clients again.
    Running,
    /// Into maintenance.
    MaintenanceOn,
    /// Out of maintenance.
    MaintenanceOff,
    /// Into drain.
    DrainOn,
    /// Out of drain.
    DrainOff,
}

/// What the owner has to carry out or report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A state changed: log it, count it, `on-marked-down`/`on-marked-up`.
    Transition {
        /// To what.
        to: Transition,
        /// Why.
        cause: Cause,
    },
    /// A check's result that differs from the one before, for `option log-health-checks`.
    CheckReport(CheckResult),
    /// [`Health::condition`] has a new value: tell the balancer.
    ConditionChanged,
}

/// What came of one input, in order.
pub type Outcome = Vec<Event>;

/// One server's health.
#[derive(Clone, Debug)]
pub struct Health {
    settings: Settings,
    admin: AdminState,
    counter: u32,
    stopping: bool,
    weight: u16,
    up_since: Option<Instant>,
    changed_at: Instant,
    last: Option<CheckResult>,
}

impl Health {
    /// The health of a server before its first check.
    pub fn new(settings: Settings, now: Instant) -> Self {
        let timing = settings.check.unwrap_or_default();
        let counter = match settings.init {
            InitState::FullyUp => timing.rise + timing.fall - 1,
            InitState::Up => timing.rise,
            InitState::Down => timing.rise - 1,
            InitState::FullyDown => 0,
        };
        let admin = if settings.disabled { AdminState::Maintenance } else { AdminState::Ready };
        let weight = settings.weight;
        Health {
            settings,
            admin,
            counter,
            stopping: false,
            weight,
            up_since: None,
            changed_at: now,
            last: None,
        }
    }

    /// Takes a health check's result.
    pub fn on_check(&mut self, result: &CheckResult, now: Instant) -> Outcome {
        let Some(timing) = self.settings.check else { return Vec::new() };
        let before = self.condition(now);
        let was_up = self.is_up();
        let top = timing.rise + timing.fall - 1;
        match result.status.verdict() {
            Verdict::Unknown => {}
            Verdict::Passed | Verdict::ConditionallyPassed => {
                self.counter = (self.counter + 1).min(top);
                if self.counter >= timing.rise {
                    self.counter = top;
                }
            }
            Verdict::Failed => self.counter = if self.counter > timing.rise { self.counter - 1 } else { 0 },
        }
        self.last = Some(result.clone());
        let mut events = Vec::new();
        let cause = Cause::Check(result.clone());
        match (was_up, self.is_up()) {
            (true, false) => events.push(Event::Transition { to: Transition::Down, cause }),
            (false, true) => {
                self.up_since = Some(now);
                events.push(Event::Transition { to: Transition::Up, cause });
            }
            _ => {}
        }
        if self.condition(now) != before {
            self.changed_at = now;
            events.push(Event::ConditionChanged);
        }
        events
    }

    /// Changes what the administrator wants.
    pub fn set_admin(&mut self, admin: AdminState, now: Instant) -> Outcome {
        let before = self.condition(now);
        self.admin = admin;
        if self.condition(now) == before { Vec::new() } else { vec![Event::ConditionChanged] }
    }

    /// Changes the weight, 0..=256.
    pub fn set_weight(&mut self, weight: u16, now: Instant) -> Outcome {
        let before = self.condition(now);
        self.weight = weight.min(WEIGHT_MAX);
        if self.condition(now) == before { Vec::new() } else { vec![Event::ConditionChanged] }
    }

    /// What the balancer has to know now.
    pub fn condition(&self, _now: Instant) -> Condition {
        let available = self.is_up() && !self.stopping && self.admin == AdminState::Ready;
        Condition { available, weight: self.weight, ramp: RAMP_FULL }
    }

    /// Whether the checks consider it up, whatever the administrator wants.
    pub fn is_up(&self) -> bool {
        self.settings.check.is_none_or(|timing| self.counter >= timing.rise)
    }

    /// The pause until the next check; none: no check is to be run (unchecked, or in maintenance).
    pub fn check_interval(&self) -> Option<Duration> {
        let timing = self.settings.check?;
        if self.admin == AdminState::Maintenance {
            return None;
        }
        let top = timing.rise + timing.fall - 1;
        Some(match self.counter {
            0 => timing.down_inter.unwrap_or(timing.inter),
            counter if counter == top => timing.inter,
            _ => timing.fast_inter.unwrap_or(timing.inter),
        })
    }

    /// The status of the last check.
    pub fn check_status(&self) -> CheckStatus {
        self.last.as_ref().map_or(CheckStatus::Initializing, |r| r.status)
    }

    /// The last check's result.
    pub fn last_check(&self) -> Option<&CheckResult> {
        self.last.as_ref()
    }

    /// When the state last changed.
    pub fn changed_at(&self) -> Instant {
        self.changed_at
    }
}
