//! How a server's health is shown: the fields of `show stat` and the counters behind them.

use std::fmt;
use std::time::{Duration, Instant};

use super::check::{CheckResult, CheckStatus};
use super::checker::Checker;
use super::fsm::Health;
use super::state::{AdminState, Operation};

/// What has been counted since the start or `clear counters all`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// `chkfail`: checks that failed while the server was up.
    pub failed_checks: u64,
    /// `chkdown`: transitions to down.
    pub downs: u64,
    /// `hanafail`: failures found by `observe`.
    pub observed_failures: u64,
    downtime: Duration,
    down_since: Option<Instant>,
}

impl Totals {
    pub(super) fn begin_downtime(&mut self, now: Instant) {
        self.down_since.get_or_insert(now);
    }

    pub(super) fn end_downtime(&mut self, now: Instant) {
        if let Some(since) = self.down_since.take() {
            self.downtime += now.saturating_duration_since(since);
        }
    }

    /// `downtime`: how long the server has been down in all.
    pub fn downtime(&self, now: Instant) -> Duration {
        self.downtime + self.down_since.map_or(Duration::ZERO, |since| now.saturating_duration_since(since))
    }
}

/// `show stat`'s fields of one check, as text; all empty when it is not enabled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CheckFields {
    /// `check_status`: the word, with `* ` before it while a check is running.
    pub status: String,
    /// `check_code`.
    pub code: String,
    /// `check_duration` in ms.
    pub duration_ms: String,
    /// `check_desc`: the status' sentence.
    pub sentence: &'static str,
    /// `last_chk`: the description.
    pub description: String,
    /// `check_rise`, `check_fall`, `check_health`.
    pub counters: Option<[u32; 3]>,
}

impl CheckFields {
    fn new(checker: Option<&Checker>, running: bool) -> Self {
        let Some(checker) = checker.filter(|c| c.enabled) else { return CheckFields::default() };
        let initial = CheckResult::new(CheckStatus::Initializing, Duration::ZERO);
        let last = checker.last.as_ref().unwrap_or(&initial);
        let timing = checker.counter.timing();
        let timed = !matches!(last.status, CheckStatus::Initializing | CheckStatus::HealthAnalyze);
        CheckFields {
            status: format!("{}{}", if running { "* " } else { "" }, last.status.word()),
            code: last.shown_code().map(|code| code.to_string()).unwrap_or_default(),
            duration_ms: if timed { last.duration.as_millis().to_string() } else { String::new() },
            sentence: last.status.sentence(),
            description: last.description.clone(),
            counters: Some([timing.rise, timing.fall, checker.counter.value()]),
        }
    }
}

impl Health {
    /// `show stat`'s `status`, such as `UP`, `UP 1/3`, `DOWN (agent)`, `MAINT (via be/s1)`, `no check`.
    pub fn status(&self) -> impl fmt::Display + '_ {
        StatusText(self)
    }

    /// What has been counted.
    pub fn totals(&self) -> &Totals {
        &self.totals
    }

    /// Forgets what has been counted.
    pub fn clear_totals(&mut self, now: Instant) {
        let down_since = self.totals.down_since.map(|_| now);
        self.totals = Totals { down_since, ..Totals::default() };
    }

    /// The health check's fields; `running`: whether a check is under way. In maintenance they are empty.
    pub fn check_fields(&self, running: bool) -> CheckFields {
        let shown = self.admin() != AdminState::Maintenance;
        CheckFields::new(self.check.as_ref().filter(|_| shown), running)
    }

    /// The agent's fields.
    pub fn agent_fields(&self, running: bool) -> CheckFields {
        CheckFields::new(self.agent.as_ref(), running)
    }

    /// The last health check's result.
    pub fn last_check(&self) -> Option<&CheckResult> {
        self.check.as_ref().and_then(|c| c.last.as_ref())
    }

    /// The last answer of the agent.
    pub fn last_agent(&self) -> Option<&CheckResult> {
        self.agent.as_ref().and_then(|c| c.last.as_ref())
    }
}

struct StatusText<'a>(&'a Health);

impl fmt::Display for StatusText<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let health = self.0;
        let agent = health.agent.as_ref().filter(|a| a.enabled);
        if health.admin() == AdminState::Maintenance {
            return match &health.tracked {
                _ if health.forced_admin() == AdminState::Maintenance => f.write_str("MAINT"),
                _ if health.is_unresolved() => f.write_str("MAINT (resolution)"),
                Some(tracked) => write!(f, "MAINT (via {})", tracked.via),
                None => f.write_str("MAINT"),
            };
        }
        if health.operation == Operation::Stopped {
            if agent.is_some_and(|a| !a.counter.is_up()) {
                return f.write_str("DOWN (agent)");
            }
            return write_with_progress(f, "DOWN", health);
        }
        if health.operation == Operation::Stopping {
            return write_with_progress(f, "NOLB", health);
        }
        if health.admin() == AdminState::Drain {
            return f.write_str(if agent.is_some() { "DRAIN (agent)" } else { "DRAIN" });
        }
        let checked = health.check.as_ref().is_some_and(|c| c.enabled)
            || health.tracked.as_ref().is_some_and(|t| t.checked);
        if checked { write_with_progress(f, "UP", health) } else { f.write_str("no check") }
    }
}

fn write_with_progress(f: &mut fmt::Formatter<'_>, word: &str, health: &Health) -> fmt::Result {
    let own = health.check.as_ref().filter(|c| c.enabled).and_then(|c| c.counter.suffix());
    match own.or(health.tracked.as_ref().and_then(|t| t.progress)) {
        Some((have, need)) => write!(f, "{word} {have}/{need}"),
        None => f.write_str(word),
    }
}
