//! Going on where a process that died left off: the addresses are still on the interfaces and the other
//! routers have not missed an advert yet.
//!
//! What has to be known of the former life is small, because counters and timers of a master begin anew
//! without anybody noticing, and a backup waits one master down time at most.

use serde::{Deserialize, Serialize};

use super::{
    State,
    action::{Action, Level},
    event::Tracker,
    instance::{Deadlines, Router},
    priority::Effect,
    steering::Steering,
};

/// What a router leaves to the process that continues it. Times are microseconds of the machine's
/// monotonic clock, which all processes share.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Legacy {
    /// Where it was.
    pub state: State,
    /// Since when.
    pub since_us: u64,
    /// The master's advert interval, microseconds.
    pub master_interval_us: u64,
    /// Its addresses were on the interfaces.
    pub holds_addresses: bool,
    /// Addresses kept for a new master had to go then.
    pub release_us: Option<u64>,
    /// What every tracker did to it.
    pub effects: Vec<(Tracker, Effect)>,
    /// What an operator asked for.
    #[serde(default)]
    pub steering: Steering,
}

impl Router {
    /// What it leaves behind if it dies now.
    pub fn legacy(&self) -> Legacy {
        Legacy {
            state: self.state,
            since_us: self.since_us,
            master_interval_us: self.master_interval_us,
            holds_addresses: self.holds_addresses,
            release_us: self.deadlines.release_us,
            effects: self.effects.iter().map(|(tracker, effect)| (tracker.clone(), *effect)).collect(),
            steering: self.steering,
        }
    }

    /// Takes the place of [`super::Event::Start`] after a crash, when interfaces and trackers are known: a master
    /// advertises at once and goes on, without a transition that anybody could see.
    pub fn adopt(&mut self, legacy: &Legacy, now_us: u64, out: &mut Vec<Action>) {
        if self.state != State::Init || self.stopped {
            return;
        }
        self.steering = legacy.steering;
        self.adopt_effects(legacy);
        self.since_us = legacy.since_us;
        self.holds_addresses = legacy.holds_addresses;
        match legacy.state {
            State::Master => self.adopt_master(now_us, out),
            State::Backup => {
                self.state = State::Backup;
                self.master_interval_us = legacy.master_interval_us;
                self.deadlines.main_us = Some(now_us + self.master_down_us());
                self.log(Level::Info, "continuing in BACKUP STATE", out);
                self.update_fault(true, now_us, out);
            }
            State::Fault if self.is_faulty() => {
                self.state = State::Fault;
                self.log(Level::Info, "continuing in FAULT STATE", out);
            }
            State::Init | State::Fault => self.start(now_us, out),
        }
        if self.holds_addresses && self.state != State::Master && self.deadlines.release_us.is_none() {
            let latest_us = now_us + self.master_down_us();
            self.deadlines.release_us =
                Some(legacy.release_us.map_or(latest_us, |at_us| at_us.min(latest_us)));
        }
    }

    /// Scripts have not run again yet: until they have, their last verdict counts. Everything else was looked at.
    fn adopt_effects(&mut self, legacy: &Legacy) {
        for (tracker, effect) in &legacy.effects {
            let is_script = matches!(tracker, Tracker::Script(_) | Tracker::Process(_) | Tracker::Proxy(_));
            if let Some(known) = self.effects.get_mut(tracker).filter(|_| is_script) {
                *known = *effect;
            }
        }
        self.priority = self.effective_priority();
    }

    fn adopt_master(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let interval_us = self.settings.advert_interval_us;
        let refresh_us = self.settings.garp.master_refresh_us;
        self.state = State::Master;
        self.holds_addresses = true;
        self.deadlines = Deadlines {
            main_us: Some(now_us + interval_us),
            garp_refresh_us: (refresh_us > 0).then(|| now_us + refresh_us),
            garp_extra_us: self.settings.garp.extra_interfaces.map(|extra| now_us + extra.interval_us),
            ..Deadlines::default()
        };
        self.send_advert(self.priority, out);
        self.log(Level::Info, "continuing in MASTER STATE", out);
        out.push(Action::AddAddresses);
        self.update_fault(true, now_us, out);
    }
}
