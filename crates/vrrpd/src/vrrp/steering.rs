//! What an operator asks of a running router: another priority, or to step aside for a while. It lasts until it is
//! taken back or the daemon is started anew; a reload and a crash do not change it.

use serde::{Deserialize, Serialize};

use super::{
    State,
    action::{Action, Level, Notice},
    fsm::HAND_OVER_OVERLAP_US,
    instance::Router,
};

/// The wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub enum Steering {
    /// None: the configuration decides.
    #[default]
    None,
    /// Takes the place of the configured priority; trackers count as always.
    Priority(u8),
    /// The lowest priority there is, whatever trackers say: master only when nobody else is there.
    Drained,
}

impl Router {
    /// What an operator asked for.
    pub fn steering(&self) -> Steering {
        self.steering
    }

    /// Whether it still answers for its addresses until a new master is heard.
    pub fn is_handing_over(&self) -> bool {
        self.state != State::Master && self.deadlines.release_us.is_some()
    }

    /// A master whose priority falls this way steps aside at once; with a higher one the election decides as always.
    pub(super) fn steer(&mut self, to: Steering, now_us: u64, out: &mut Vec<Action>) {
        if self.stopped {
            return;
        }
        let before = self.priority;
        self.steering = to;
        self.update_priority(now_us, out);
        if self.state == State::Master && self.priority < before {
            self.step_aside(now_us, out);
        }
    }

    /// MASTER -> BACKUP with good-bye. The addresses stay until the new master is heard; if nobody comes, our own timer
    /// ends first and they never leave.
    pub(super) fn step_aside(&mut self, now_us: u64, out: &mut Vec<Action>) {
        self.log(Level::Info, "Entering BACKUP STATE", out);
        self.enter(State::Backup, now_us);
        self.hand_over(true, now_us, out);
        let ours_us = now_us + self.master_down_us();
        self.deadlines.main_us = Some(ours_us);
        if let Some(release_us) = &mut self.deadlines.release_us {
            *release_us = ours_us + HAND_OVER_OVERLAP_US;
        }
        out.push(Action::Notify(Notice::State(State::Backup)));
    }
}
