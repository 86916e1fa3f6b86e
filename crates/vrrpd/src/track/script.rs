//! `vrrp_script`: the pure state, and the task that runs the script every interval.
//!
//! ```text
//!              good run                     fall bad runs in a row
//!   Unknown ─────────────▶ Up ◀──────────▶ Down      (rise good runs back)
//!      └──────────────── bad run ────────────▲
//! ```
//! The first result counts at once, whatever `rise` and `fall` say (tried with keepalived 2.2.7).

use std::time::Duration;

use hacore::process::script::{Outcome, ScriptCommand, run};
use tokio::sync::mpsc::Sender;
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use crate::model::VrrpScript;
use crate::runtime::outside::Stimulus;
use crate::vrrp::priority::effect;
use crate::vrrp::{Effect, Tracker};

use super::{Condition, followers::Followers};

/// How one run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptResult {
    Exited(i32),
    Signaled(i32),
    TimedOut,
}

/// What a result changed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScriptChange {
    /// Lines for the log, in keepalived's wording.
    pub log: Vec<String>,
    /// The effects on followers are different now.
    pub changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Health {
    /// No run has ended yet.
    Unknown,
    Up,
    Down,
}

/// What is known of a script. Results go in, log lines and changes come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptState {
    name: String,
    rise: u32,
    fall: u32,
    init_fail: bool,
    health: Health,
    /// Results in a row that contradict [`Self::health`].
    against: u32,
    last_exit: Option<i32>,
}

impl ScriptState {
    pub fn new(script: &VrrpScript) -> Self {
        Self {
            name: script.name.clone(),
            rise: script.rise.max(1),
            fall: script.fall.max(1),
            init_fail: script.init_fail,
            health: Health::Unknown,
            against: 0,
            last_exit: None,
        }
    }

    /// A run has ended.
    pub fn result(&mut self, result: ScriptResult) -> ScriptChange {
        let mut change = ScriptChange::default();
        if let ScriptResult::Exited(status) = result
            && self.last_exit.replace(status).is_some_and(|last| last != status)
        {
            change.log.push(format!("Script `{}` now returning {status}", self.name));
        }
        let good = result == ScriptResult::Exited(0);
        let needed = match (self.health, good) {
            (Health::Up, true) | (Health::Down, false) => {
                self.against = 0;
                return change;
            }
            (Health::Unknown, _) => 1,
            (Health::Up, false) => self.fall,
            (Health::Down, true) => self.rise,
        };
        self.against = self.against.saturating_add(1);
        if self.against < needed {
            return change;
        }
        self.against = 0;
        self.health = if good { Health::Up } else { Health::Down };
        let outcome = match result {
            ScriptResult::Exited(0) => "succeeded".to_owned(),
            ScriptResult::Exited(status) => format!("failed (exited with status {status})"),
            ScriptResult::Signaled(signal) => format!("failed (due to signal {signal})"),
            ScriptResult::TimedOut => "timed_out".to_owned(),
        };
        change.log.push(format!("VRRP_Script({}) {outcome}", self.name));
        change.changed = true;
        change
    }

    /// What it does to a follower now.
    pub fn effect(&self, weight: i32, reverse: bool) -> Effect {
        match self.health {
            Health::Up => effect(weight, reverse, true),
            Health::Down => effect(weight, reverse, false),
            Health::Unknown if weight == 0 && self.init_fail => Effect::Fault,
            Health::Unknown if weight == 0 => Effect::Pending,
            Health::Unknown if self.init_fail => effect(weight, reverse, false),
            Health::Unknown => Effect::None,
        }
    }

    /// What is known of it, for those who ask.
    fn condition(&self) -> Stimulus {
        let condition = match self.health {
            Health::Unknown => Condition::Unknown,
            Health::Up => Condition::Good,
            Health::Down => Condition::Bad,
        };
        Stimulus::Condition { tracker: Tracker::Script(self.name.clone()), condition }
    }

    /// The effects on all followers, for the actor.
    pub fn stimuli(&self, followers: &Followers) -> Vec<Stimulus> {
        let one = |follower: &super::Follower| Stimulus::Track {
            instance: follower.instance.clone(),
            tracker: Tracker::Script(self.name.clone()),
            effect: self.effect(follower.weight, follower.reverse),
        };
        followers.0.iter().map(one).collect()
    }
}

/// Runs the script now and every interval until the task is aborted or the actor is gone.
pub(super) async fn run_forever(script: VrrpScript, followers: Followers, stimuli: Sender<Stimulus>) {
    let interval = Duration::from_micros(script.interval_us.max(1000));
    let command = command(&script);
    let mut state = ScriptState::new(&script);
    let mut ticks = interval_at(Instant::now(), interval);
    // Runs never overlap: a tick that falls into a run is told about and left out.
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        ticks.tick().await;
        let report = {
            let mut running = std::pin::pin!(run(&command));
            loop {
                tokio::select! {
                    biased;
                    report = &mut running => break report,
                    _ = ticks.tick() => {
                        let name = &script.name;
                        let line = format!("Track script {name} is already running, expect idle - skipping run");
                        if stimuli.send(Stimulus::Log(line)).await.is_err() {
                            return;
                        }
                    }
                }
            }
        };
        let result = match report.outcome {
            Outcome::Exited(status) => ScriptResult::Exited(status),
            Outcome::Signaled(signal) => ScriptResult::Signaled(signal),
            Outcome::TimedOut => ScriptResult::TimedOut,
            // A shell would say so.
            Outcome::NotStarted(std::io::ErrorKind::NotFound, _) => ScriptResult::Exited(127),
            Outcome::NotStarted(..) => ScriptResult::Exited(126),
        };
        let change = state.result(result);
        let mut effects = Vec::new();
        if change.changed {
            effects = state.stimuli(&followers);
            effects.push(state.condition());
        }
        for stimulus in change.log.into_iter().map(Stimulus::Log).chain(effects) {
            if stimuli.send(stimulus).await.is_err() {
                return;
            }
        }
    }
}

fn command(script: &VrrpScript) -> ScriptCommand {
    let timeout_us = if script.timeout_us == 0 { script.interval_us } else { script.timeout_us };
    ScriptCommand {
        timeout: Some(Duration::from_micros(timeout_us)),
        ..crate::notify::script(&script.command, Vec::new())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{CommandLine, RunAs};

    fn script(rise: u32, fall: u32) -> VrrpScript {
        let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        VrrpScript {
            name: "chk".into(),
            command: CommandLine::new(vec!["/bin/true".into()], RunAs { uid, gid }),
            interval_us: 1_000_000,
            timeout_us: 0,
            weight: 0,
            weight_reverse: false,
            rise,
            fall,
            init_fail: false,
        }
    }

    fn lines(state: &mut ScriptState, results: &[ScriptResult]) -> Vec<String> {
        results.iter().flat_map(|&result| state.result(result).log).collect()
    }

    use ScriptResult::{Exited, Signaled, TimedOut};

    #[test]
    fn the_first_result_counts_at_once() {
        let mut state = ScriptState::new(&script(2, 2));
        assert_eq!(
            state.effect(0, false),
            Effect::Pending,
            "weight 0 holds the instance back until a result"
        );
        assert_eq!(state.effect(10, false), Effect::None);
        assert_eq!(lines(&mut state, &[Exited(0)]), ["VRRP_Script(chk) succeeded"]);
        assert_eq!(state.effect(0, false), Effect::None);
        let mut state = ScriptState::new(&script(2, 2));
        assert_eq!(lines(&mut state, &[Exited(1)]), ["VRRP_Script(chk) failed (exited with status 1)"]);
    }

    #[test]
    fn rise_and_fall_count_results_in_a_row() {
        let mut state = ScriptState::new(&script(2, 3));
        let _ = lines(&mut state, &[Exited(0)]);
        assert_eq!(
            lines(&mut state, &[Exited(3), Exited(3), Exited(0), Exited(3), Exited(3), Exited(3)]),
            [
                "Script `chk` now returning 3",
                "Script `chk` now returning 0",
                "Script `chk` now returning 3",
                "VRRP_Script(chk) failed (exited with status 3)"
            ]
        );
        assert_eq!(state.effect(0, false), Effect::Fault);
        assert_eq!(lines(&mut state, &[Exited(0)]), ["Script `chk` now returning 0"]);
        assert_eq!(lines(&mut state, &[Exited(0)]), ["VRRP_Script(chk) succeeded"]);
    }

    #[test]
    fn timeouts_and_signals_are_failures_that_leave_the_status_alone() {
        let mut state = ScriptState::new(&script(1, 1));
        let log = lines(&mut state, &[Exited(0), TimedOut, Exited(0), Signaled(9), Exited(0)]);
        assert_eq!(
            log,
            [
                "VRRP_Script(chk) succeeded",
                "VRRP_Script(chk) timed_out",
                "VRRP_Script(chk) succeeded",
                "VRRP_Script(chk) failed (due to signal 9)",
                "VRRP_Script(chk) succeeded"
            ]
        );
    }

    #[test]
    fn init_fail_starts_with_the_effect_of_a_failure() {
        let state = ScriptState::new(&VrrpScript { init_fail: true, ..script(1, 1) });
        assert_eq!(state.effect(-20, false), Effect::Weight(-20));
        assert_eq!(state.effect(20, false), Effect::None);
    }

    #[tokio::test]
    async fn a_real_script_is_run_every_interval_and_its_results_arrive() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("status");
        std::fs::write(&file, "0").unwrap();
        let mut script = script(1, 1);
        script.command.argv = vec!["/bin/sh".into(), "-c".into(), format!("exit $(cat {})", file.display())];
        script.interval_us = 20_000;
        script.timeout_us = 5_000_000;
        let follower = super::super::Follower { instance: "VI_1".into(), weight: 0, reverse: false };
        let (sender, mut stimuli) = tokio::sync::mpsc::channel(16);
        let task = tokio::spawn(run_forever(script, Followers(vec![follower]), sender));
        let mut next = async || loop {
            match stimuli.recv().await.unwrap() {
                Stimulus::Log(line) if line.contains("already running") => {}
                Stimulus::Condition { .. } => {}
                Stimulus::Log(line) => break line,
                other => break format!("{other:?}"),
            }
        };
        assert_eq!(next().await, "VRRP_Script(chk) succeeded");
        assert!(next().await.contains("effect: None"));
        std::fs::write(&file, "4").unwrap();
        assert_eq!(next().await, "Script `chk` now returning 4");
        assert_eq!(next().await, "VRRP_Script(chk) failed (exited with status 4)");
        assert!(next().await.contains("effect: Fault"));
        task.abort();
    }
}
