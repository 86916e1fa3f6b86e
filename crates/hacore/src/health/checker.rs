//! A health check or an agent as the state machine sees it: its counter, its last result, whether it is enabled.

use super::check::{CheckResult, CheckStatus};
use super::counter::{Counter, InitState, Timing};

/// A check (or the agent) and what it last found.
#[derive(Clone, Debug)]
pub(super) struct Checker {
    pub(super) enabled: bool,
    pub(super) counter: Counter,
    pub(super) last: Option<CheckResult>,
}

impl Checker {
    pub(super) fn new(timing: Timing, init: InitState) -> Self {
        Checker { enabled: true, counter: Counter::new(timing, init), last: None }
    }

    pub(super) fn allows(&self) -> bool {
        !self.enabled || self.counter.is_up()
    }

    pub(super) fn status(&self) -> CheckStatus {
        self.last.as_ref().map_or(CheckStatus::Initializing, |r| r.status)
    }
}

/// A checker under other timing, or a new one in its place, or none.
pub(super) fn renewed(old: Option<Checker>, timing: Option<Timing>, init: InitState) -> Option<Checker> {
    match (old, timing) {
        (_, None) => None,
        (None, Some(timing)) => Some(Checker::new(timing, init)),
        (Some(mut checker), Some(timing)) => {
            checker.counter.set_timing(timing);
            Some(checker)
        }
    }
}
