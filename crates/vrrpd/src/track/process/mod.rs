//! `vrrp_track_process`: how many processes of a name or command line run. Here is the pure state; `matching` says which
//! processes count, `events` what the kernel tells, `watch` is the thread that puts them together.

mod events;
mod matching;
mod watch;

use crate::model::TrackProcess;
use crate::runtime::outside::Stimulus;
use crate::vrrp::Tracker;
use crate::vrrp::priority::effect;

use super::{Condition, followers::Followers};

pub(super) use watch::{Watch, counts};

/// What is known of a tracked process. Counts and the clock go in, log lines and changes come out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessState {
    name: String,
    quorum: usize,
    quorum_max: Option<usize>,
    fork_delay_us: u64,
    terminate_delay_us: u64,
    count: usize,
    has_quorum: bool,
    /// When the quorum counts as gained or lost, unless the count changes back.
    turns_us: Option<u64>,
}

impl ProcessState {
    /// The first count holds at once, whatever the delays are.
    pub(super) fn new(process: &TrackProcess, count: usize) -> Self {
        let mut state = Self {
            name: process.name.clone(),
            quorum: process.quorum as usize,
            quorum_max: process.quorum_max.map(|max| max as usize),
            fork_delay_us: process.fork_delay_us,
            terminate_delay_us: process.terminate_delay_us,
            count,
            has_quorum: false,
            turns_us: None,
        };
        state.has_quorum = state.is_enough();
        state
    }

    fn is_enough(&self) -> bool {
        self.count >= self.quorum && self.quorum_max.is_none_or(|max| self.count <= max)
    }

    /// The number of processes is another now; a line for the log when the quorum was gained or lost.
    pub(super) fn count(&mut self, count: usize, now_us: u64) -> Option<String> {
        if count == self.count {
            return None;
        }
        let delay_us = if count > self.count { self.fork_delay_us } else { self.terminate_delay_us };
        self.count = count;
        if self.is_enough() == self.has_quorum {
            self.turns_us = None;
            return None;
        }
        let turns_us = *self.turns_us.get_or_insert(now_us + delay_us);
        if turns_us <= now_us { self.turn() } else { None }
    }

    /// The deadline may have passed.
    pub(super) fn timer(&mut self, now_us: u64) -> Option<String> {
        self.turns_us.filter(|at_us| *at_us <= now_us)?;
        self.turn()
    }

    /// When [`Self::timer`] wants to be called, microseconds.
    pub(super) fn deadline_us(&self) -> Option<u64> {
        self.turns_us
    }

    fn turn(&mut self) -> Option<String> {
        self.turns_us = None;
        self.has_quorum = !self.has_quorum;
        let what = if self.has_quorum { "gained" } else { "lost" };
        Some(format!("Quorum {what} for tracked process {}", self.name))
    }

    /// The effects on all followers, for the actor.
    pub(super) fn stimuli(&self, followers: &Followers) -> Vec<Stimulus> {
        let one = |follower: &super::Follower| Stimulus::Track {
            instance: follower.instance.clone(),
            tracker: Tracker::Process(self.name.clone()),
            effect: effect(follower.weight, follower.reverse, self.has_quorum),
        };
        let condition = if self.has_quorum { Condition::Good } else { Condition::Bad };
        let tracker = Tracker::Process(self.name.clone());
        followers.0.iter().map(one).chain([Stimulus::Condition { tracker, condition }]).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(super) fn process(words: &str) -> TrackProcess {
        let mut words = words.split_whitespace().map(str::to_owned);
        TrackProcess {
            name: "tp".into(),
            process: words.next().unwrap_or_default(),
            parameters: words.collect(),
            param_match: None,
            full_command: false,
            weight: 0,
            weight_reverse: false,
            quorum: 1,
            quorum_max: None,
            terminate_delay_us: 0,
            fork_delay_us: 0,
        }
    }

    #[test]
    fn without_delays_the_count_decides_at_once() {
        let mut state = ProcessState::new(&TrackProcess { quorum: 2, ..process("x") }, 1);
        assert!(!state.has_quorum);
        assert_eq!(state.count(2, 0).unwrap(), "Quorum gained for tracked process tp");
        assert_eq!(state.count(3, 0), None);
        assert_eq!(state.count(1, 0).unwrap(), "Quorum lost for tracked process tp");
    }

    #[test]
    fn more_than_quorum_max_is_a_loss_and_a_maximum_of_none_means_that_none_may_run() {
        let mut state = ProcessState::new(&TrackProcess { quorum_max: Some(2), ..process("x") }, 2);
        assert!(state.count(3, 0).unwrap().starts_with("Quorum lost"));
        assert!(state.count(2, 0).unwrap().starts_with("Quorum gained"));
        let none = TrackProcess { quorum: 0, quorum_max: Some(0), ..process("x") };
        assert!(ProcessState::new(&none, 0).has_quorum);
        assert!(!ProcessState::new(&none, 1).has_quorum);
    }

    #[test]
    fn a_delayed_change_that_is_undone_in_time_never_happened() {
        let delayed = TrackProcess { fork_delay_us: 10, terminate_delay_us: 20, ..process("x") };
        let mut state = ProcessState::new(&delayed, 0);
        assert_eq!(state.count(1, 100), None);
        assert_eq!((state.deadline_us(), state.timer(109)), (Some(110), None));
        assert!(state.timer(110).is_some() && state.has_quorum);
        assert_eq!(state.count(0, 200), None);
        assert_eq!(state.count(1, 210), None);
        assert_eq!((state.deadline_us(), state.timer(300)), (None, None));
    }
}
