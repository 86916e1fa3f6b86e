//! The rise/fall counter of one check.
//!
//! It runs from 0 to rise + fall - 1 and means "up" from rise on. A passed check adds one and, at rise, jumps to the
//! top; a failed one subtracts one and, below rise, drops to 0. So `fall` failures in a row take a healthy server
//! down, `rise` successes in a row bring it back, and each opposite result starts the count again.

use std::time::Duration;

use serde::{Deserialize, Serialize};

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

impl Timing {
    /// An agent's: one answer decides.
    pub fn agent(inter: Duration) -> Self {
        Timing { rise: 1, fall: 1, inter, fast_inter: None, down_inter: None }
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

/// The counter with its settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter {
    timing: Timing,
    value: u32,
}

impl Counter {
    /// A counter before the first check. A rise or fall of 0 counts as 1.
    pub fn new(timing: Timing, init: InitState) -> Self {
        let timing = Timing { rise: timing.rise.max(1), fall: timing.fall.max(1), ..timing };
        let mut counter = Counter { timing, value: 0 };
        counter.value = match init {
            InitState::FullyUp => counter.top(),
            InitState::Up => timing.rise,
            InitState::Down => timing.rise - 1,
            InitState::FullyDown => 0,
        };
        counter
    }

    /// The settings.
    pub fn timing(&self) -> Timing {
        self.timing
    }

    /// Goes on under another timing: up stays up, down stays down, and so does being fully so.
    pub fn set_timing(&mut self, timing: Timing) {
        let (up, full) = (self.is_up(), self.value >= self.top());
        self.timing = Timing { rise: timing.rise.max(1), fall: timing.fall.max(1), ..timing };
        self.value = match (up, full) {
            (true, true) => self.top(),
            (true, false) => self.value.clamp(self.timing.rise, self.top()),
            (false, _) => self.value.min(self.timing.rise - 1),
        };
    }

    /// The value shown as `check_health`, 0..=rise+fall-1.
    pub fn value(&self) -> u32 {
        self.value
    }

    fn top(&self) -> u32 {
        self.timing.rise.saturating_add(self.timing.fall) - 1
    }

    /// Whether the counter means "up".
    pub fn is_up(&self) -> bool {
        self.value >= self.timing.rise
    }

    /// Counts a passed check; whether that changed anything.
    pub fn pass(&mut self) -> bool {
        if self.value >= self.top() {
            return false;
        }
        self.value += 1;
        if self.is_up() {
            self.value = self.top();
        }
        true
    }

    /// Counts a failed check; whether it counted as a failure of a server that was up or coming up.
    pub fn fail(&mut self) -> bool {
        let before = self.value;
        self.value = if before > self.timing.rise { before - 1 } else { 0 };
        before > 0
    }

    /// Up, so that the next failure takes the server down.
    pub fn set_barely_up(&mut self) {
        self.value = self.timing.rise;
    }

    /// Fully up.
    pub fn set_top(&mut self) {
        self.value = self.top();
    }

    /// As far as it was in another process, but on the side of `up`.
    pub(super) fn restore(&mut self, value: u32, up: bool) {
        let (low, high) = if up { (self.timing.rise, self.top()) } else { (0, self.timing.rise - 1) };
        self.value = value.clamp(low, high);
    }

    /// Fully down.
    pub fn set_zero(&mut self) {
        self.value = 0;
    }

    /// The pause until the next check.
    pub fn interval(&self) -> Duration {
        let timing = &self.timing;
        match self.value {
            0 => timing.down_inter.unwrap_or(timing.inter),
            value if value == self.top() => timing.inter,
            _ => timing.fast_inter.unwrap_or(timing.inter),
        }
    }

    /// `2/3 UP` or `1/2 DOWN`: how far the counter is, for the log.
    pub fn progress(&self) -> String {
        if self.is_up() {
            format!("{}/{} UP", self.value - self.timing.rise + 1, self.timing.fall)
        } else {
            format!("{}/{} DOWN", self.value, self.timing.rise)
        }
    }

    /// ` 2/3` when in between, for `show stat`.
    pub(super) fn suffix(&self) -> Option<(u32, u32)> {
        match self.value {
            0 => None,
            value if value == self.top() => None,
            value if self.is_up() => Some((value - self.timing.rise + 1, self.timing.fall)),
            value => Some((value, self.timing.rise)),
        }
    }
}
