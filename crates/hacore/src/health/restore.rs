//! A server's health as an earlier process left it (a server-state file).

use std::time::{Duration, Instant};

use super::check::{CheckResult, CheckStatus};
use super::checker::Checker;
use super::fsm::Health;
use super::slowstart::SlowStart;
use super::state::{AdminState, Operation};

/// What is known of one check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestoredCheck {
    pub enabled: bool,
    /// The rise/fall counter; what does not fit the configured `rise` and `fall` is cut.
    pub counter: u32,
    pub status: Option<CheckStatus>,
}

/// What is known of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restored {
    pub operation: Operation,
    pub admin: AdminState,
    /// None: the configured one.
    pub weight: Option<u16>,
    /// How long it has been in this state.
    pub unchanged_for: Duration,
    /// None: nothing is known, or there was no such check.
    pub check: Option<RestoredCheck>,
    pub agent: Option<RestoredCheck>,
}

impl Health {
    /// Goes on where an earlier process stopped, before the first check. What the configuration disables stays so; a
    /// server that tracks another one follows it.
    pub fn restore(&mut self, restored: &Restored, now: Instant) {
        if !self.settings.disabled {
            self.forced = restored.admin;
        }
        if let Some(weight) = restored.weight {
            self.weight = weight;
        }
        let since = now.checked_sub(restored.unchanged_for).unwrap_or(now);
        self.changed_at = since;
        if !self.settings.tracking {
            self.operation = restored.operation;
            self.slow = None;
            match restored.operation {
                Operation::Starting => {
                    let slow = SlowStart::new(self.settings.slowstart, since);
                    self.slow = slow.filter(|slow| !slow.is_over(now));
                    if self.slow.is_none() {
                        self.operation = Operation::Running;
                    }
                }
                Operation::Stopped => self.totals.begin_downtime(since),
                Operation::Running | Operation::Stopping => {}
            }
        }
        let up = self.operation != Operation::Stopped;
        // While starting or stopping it may be one failure from down, as at a start.
        let counted = !matches!(restored.operation, Operation::Starting | Operation::Stopping);
        restore_checker(self.check.as_mut(), restored.check, up, counted);
        // An agent that answered "down" is what keeps such a server down.
        let agent_up = up || self.check.as_ref().is_some_and(|check| !check.counter.is_up());
        restore_checker(self.agent.as_mut(), restored.agent, agent_up, counted);
        self.announced = self.condition(now);
    }
}

fn restore_checker(checker: Option<&mut Checker>, restored: Option<RestoredCheck>, up: bool, counted: bool) {
    let Some(checker) = checker else { return };
    // A check that was not there before begins fully on the server's side.
    let counter = if up { u32::MAX } else { 0 };
    let known = restored.unwrap_or(RestoredCheck { enabled: checker.enabled, counter, status: None });
    checker.enabled = known.enabled;
    if counted || !up {
        checker.counter.restore(known.counter, up);
    }
    checker.last = known.status.map(|status| CheckResult::new(status, Duration::ZERO));
}

#[cfg(test)]
mod tests {
    use super::super::{Settings, Timing};
    use super::*;

    const FIFTY: Duration = Duration::from_secs(50);

    fn health(settings: Settings) -> Health {
        Health::new(settings, Instant::now())
    }

    fn checked() -> Settings {
        Settings { check: Some(Timing::default()), weight: 10, ..Settings::default() }
    }

    fn restored(operation: Operation, counter: u32) -> Restored {
        let check = RestoredCheck { enabled: true, counter, status: Some(CheckStatus::Layer4Ok) };
        Restored {
            operation,
            admin: AdminState::Ready,
            weight: Some(7),
            unchanged_for: FIFTY,
            check: Some(check),
            agent: None,
        }
    }

    #[test]
    fn an_operation_goes_on_with_its_counter_weight_and_age() {
        let now = Instant::now() + FIFTY;
        for (operation, counter, expected) in [
            (Operation::Running, 4, 4),
            (Operation::Running, 0, 2),
            (Operation::Running, 9, 4),
            (Operation::Stopped, 0, 0),
            (Operation::Stopped, 4, 1),
            // One failure from down, as at a start.
            (Operation::Stopping, 4, 2),
        ] {
            let mut health = health(checked());
            health.restore(&restored(operation, counter), now);
            let value = health.check_fields(false).counters.map(|[_, _, value]| value);
            assert_eq!((health.operation(), value), (operation, Some(expected)), "{operation:?} {counter}");
            assert_eq!((health.weight(), now - health.changed_at()), (7, FIFTY));
            assert_eq!(health.is_up(), health.totals().downtime(now).is_zero());
        }
    }

    #[test]
    fn what_the_configuration_disables_stays_disabled_and_what_a_command_did_comes_back() {
        let now = Instant::now() + FIFTY;
        for (disabled, admin, expected) in [
            (true, AdminState::Ready, AdminState::Maintenance),
            (false, AdminState::Maintenance, AdminState::Maintenance),
            (false, AdminState::Drain, AdminState::Drain),
        ] {
            let mut health = health(Settings { disabled, ..checked() });
            health.restore(&Restored { admin, ..restored(Operation::Running, 4) }, now);
            assert_eq!(health.admin(), expected);
        }
    }

    #[test]
    fn a_slow_start_goes_on_or_is_over() {
        let now = Instant::now() + FIFTY;
        for (seconds, expected) in [(100, Operation::Starting), (20, Operation::Running)] {
            let mut health = health(Settings { slowstart: Duration::from_secs(seconds), ..checked() });
            health.restore(&restored(Operation::Starting, 4), now);
            assert_eq!(health.operation(), expected);
        }
    }
}
