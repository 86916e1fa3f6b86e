//! The state machine of one virtual router (RFC 9568 §6.4, with keepalived's additions).
//!
//! ```text
//!             Start, no fault                 fault appears
//!      INIT ------------------> BACKUP ----------------------------> FAULT
//!        |                      |  ^  ^                              ^   |
//!        | Start, fault         |  |  |      all faults gone         |   |
//!        +----------------------|--|--|------------------------------+   |
//!                               |  |  +----------------------------------+
//!     master down timer,        |  |                                 |
//!     owner with state MASTER   |  |  higher priority heard,         |
//!                               v  |  VIP taken away, group          |
//!                              MASTER -------------------------------+
//!                                             fault appears
//! ```
//!
//! Every transition with its source is in `docs/vrrp-state-machine.md`; what adverts do is in `reception`.
//!
//! A router that gives up its addresses in an orderly way (stop, failed script) sends priority 0 and,
//! with `hand_over`, keeps them until the new master was heard: [`Deadlines::release_us`]. That is no
//! state of its own, because BACKUP and FAULT go on as usual meanwhile.

use std::net::IpAddr;

use crate::model::InitialState;
use crate::packet::{PRIORITY_OWNER, PRIORITY_STOP};

use super::{
    State,
    action::{Action, Level, Notice},
    event::{Ending, Event, GroupMove, Tracker},
    instance::{Deadlines, PreemptDelay, Router, Settings},
    priority::Effect,
    timing,
};

/// How long the old master keeps answering after the new one's first advert, microseconds: that advert
/// leaves before the new master has set its addresses (keepalived's behaviour), about a millisecond earlier.
pub(super) const HAND_OVER_OVERLAP_US: u64 = 5_000;

impl Router {
    /// Takes one event at `now_us` and appends what is to be done to `out`.
    pub fn step(&mut self, event: Event, now_us: u64, out: &mut Vec<Action>) {
        match event {
            Event::Start => self.start(now_us, out),
            Event::Timer => self.timer(now_us, out),
            Event::Advert(received) => self.advert(received, now_us, out),
            Event::Refused(error) => self.refused(&error, out),
            Event::Track { tracker, effect } => self.track(tracker, effect, now_us, out),
            Event::Source(source) => self.source_changed(source, now_us, out),
            Event::AddressLost => self.address_lost(now_us, out),
            Event::Steer(to) => self.steer(to, now_us, out),
            Event::Stop(ending) => self.stop(ending, now_us, out),
            Event::Group(to) => self.group_move(to, now_us, out),
        }
    }

    pub(super) fn log(&self, level: Level, text: impl std::fmt::Display, out: &mut Vec<Action>) {
        out.push(Action::Log(level, format!("({}) {text}", self.settings.name)));
    }

    /// INIT -> BACKUP or FAULT (RFC 9568 §6.4.1); an owner with `state MASTER` is master a microsecond
    /// later (keepalived's behaviour).
    pub(super) fn start(&mut self, now_us: u64, out: &mut Vec<Action>) {
        if self.state != State::Init || self.stopped {
            return;
        }
        self.since_us = now_us;
        if self.priority != self.settings.priority {
            let text =
                format!("Changing effective priority from {} to {}", self.settings.priority, self.priority);
            self.log(Level::Info, text, out);
        }
        if self.faults().next().is_none() && self.has_own_fault() {
            self.waiting = true;
            return;
        }
        if self.is_faulty() {
            self.state = State::Fault;
            self.log(Level::Info, "entering FAULT state", out);
            out.push(Action::Notify(Notice::State(State::Fault)));
            return;
        }
        self.state = State::Backup;
        let from_us = now_us.max(self.settings.deaf_until_us);
        if self.settings.priority == PRIORITY_OWNER && self.settings.initial_state == InitialState::Master {
            self.deadlines.main_us = Some(from_us + 1);
            return;
        }
        self.log(Level::Info, "Entering BACKUP STATE (init)", out);
        out.push(Action::Notify(Notice::State(State::Backup)));
        self.deadlines.main_us = Some(from_us + self.master_down_us());
    }

    fn timer(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let due = |deadline: Option<u64>| deadline.is_some_and(|at_us| at_us <= now_us);
        if due(self.deadlines.preempt_us) {
            self.deadlines.preempt_us = None;
            self.preempt_delay = PreemptDelay::Over;
        }
        if due(self.deadlines.main_us) {
            match self.state {
                State::Master => self.advertise(now_us, out),
                State::Backup => self.master_is_dead(now_us, out),
                State::Init | State::Fault => self.deadlines.main_us = None,
            }
        }
        // After the main timer: who becomes master again keeps the addresses.
        if due(self.deadlines.release_us) {
            self.release(out);
        }
        self.announce_when_due(now_us, out);
    }

    fn announce_when_due(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let garp = &self.settings.garp;
        let due = |deadline: Option<u64>| deadline.is_some_and(|at_us| at_us <= now_us);
        if due(self.deadlines.garp_delayed_us) {
            self.deadlines.garp_delayed_us = None;
            out.push(Action::Announce { repeat: garp.master_repeat });
        }
        if due(self.deadlines.garp_lower_us) {
            self.deadlines.garp_lower_us = None;
            out.push(Action::Announce { repeat: garp.lower_prio_repeat });
        }
        if due(self.deadlines.garp_refresh_us) {
            self.deadlines.garp_refresh_us =
                (garp.master_refresh_us > 0).then(|| now_us + garp.master_refresh_us);
            out.push(Action::Announce { repeat: garp.master_refresh_repeat });
        }
        if due(self.deadlines.garp_extra_us) {
            self.deadlines.garp_extra_us = garp.extra_interfaces.map(|extra| now_us + extra.interval_us);
            out.push(Action::AnnounceElsewhere);
        }
    }

    /// The advert timer of MASTER (RFC 9568 §6.4.3 (700)). The next advert is due one interval after
    /// this one was due, so that wake-up delays do not add up.
    fn advertise(&mut self, now_us: u64, out: &mut Vec<Action>) {
        if self.stepped_back_late(now_us, out) {
            return;
        }
        let due_us = self.deadlines.main_us.unwrap_or(now_us);
        self.send_advert(self.priority, out);
        let next_us = due_us + self.settings.advert_interval_us;
        // After a long freeze do not send the missed ones in a burst.
        let next_us = if next_us <= now_us { now_us + self.settings.advert_interval_us } else { next_us };
        self.deadlines.main_us = Some(next_us);
    }

    /// `timer_expired_backup`: a master that was held up for so long that another router may have taken over, which with
    /// `nopreempt` would stay, becomes BACKUP and listens (keepalived 2.4's behaviour).
    pub(super) fn stepped_back_late(&mut self, now_us: u64, out: &mut Vec<Action>) -> bool {
        let (Some(highest), Some(due_us)) = (self.settings.step_back_when_late, self.deadlines.main_us)
        else {
            return false;
        };
        let Settings { version, advert_interval_us, down_timer_adverts, .. } = self.settings;
        let taken_over_after_us =
            timing::master_down_us(version, highest, advert_interval_us, down_timer_adverts);
        let silent_us = (now_us + advert_interval_us).saturating_sub(due_us);
        if silent_us <= taken_over_after_us {
            return false;
        }
        let late = (now_us - due_us) as f64 / 1e6;
        out.push(Action::Log(Level::Info, format!("VRRP thread timer expired {late:.6} seconds ago")));
        self.leave_master(State::Backup, now_us, out);
        self.deadlines.main_us = Some(now_us + self.master_down_us());
        true
    }

    pub(super) fn send_advert(&mut self, priority: u8, out: &mut Vec<Action>) {
        self.counters.adverts_sent += 1;
        if priority == PRIORITY_STOP {
            self.counters.priority_zero_sent += 1;
        }
        out.push(Action::SendAdvert { priority });
    }

    /// BACKUP: the master down timer fired (RFC 9568 §6.4.2 (360)).
    fn master_is_dead(&mut self, now_us: u64, out: &mut Vec<Action>) {
        self.log(Level::Detail, "Receive advertisement timeout", out);
        if self.grouped {
            // As keepalived does: a member waits until all others also want to be master.
            self.wants_master = true;
            self.deadlines.main_us = Some(now_us + self.master_down_us());
        } else {
            self.become_master(now_us, out);
        }
    }

    /// keepalived's order: advert, addresses, announcements, notifications.
    fn become_master(&mut self, now_us: u64, out: &mut Vec<Action>) {
        self.log(Level::Info, "Entering MASTER STATE", out);
        self.enter(State::Master, now_us);
        self.counters.became_master += 1;
        let own_interval_us = self.settings.advert_interval_us;
        if self.master_interval_us != own_interval_us {
            let text = format!(
                "changing advert interval from {}ms to locally configured {}ms",
                self.master_interval_us / 1000,
                own_interval_us / 1000
            );
            self.log(Level::Detail, text, out);
            self.master_interval_us = own_interval_us;
        }
        self.master = None;
        self.rivals.took_over();
        self.preempt_delay = PreemptDelay::Idle;
        let garp = self.settings.garp.clone();
        self.deadlines = Deadlines {
            main_us: Some(now_us + own_interval_us),
            garp_delayed_us: (garp.master_delay_us > 0).then(|| now_us + garp.master_delay_us),
            garp_refresh_us: (garp.master_refresh_us > 0)
                .then(|| now_us + garp.master_delay_us + garp.master_refresh_us),
            garp_extra_us: garp.extra_interfaces.map(|extra| now_us + extra.interval_us),
            ..Deadlines::default()
        };
        self.send_advert(self.priority, out);
        self.log(Level::Detail, "setting VIPs.", out);
        self.holds_addresses = true;
        out.push(Action::AddAddresses);
        if garp.master_repeat > 0 {
            out.push(Action::Announce { repeat: garp.master_repeat });
        }
        out.push(Action::Notify(Notice::State(State::Master)));
    }

    pub(super) fn enter(&mut self, state: State, now_us: u64) {
        if self.state == State::Master && state != State::Master {
            self.counters.released_master += 1;
        }
        self.state = state;
        self.waiting = false;
        self.since_us = now_us;
        self.wants_master = false;
        self.complaints.clear();
    }

    /// MASTER -> BACKUP or FAULT at once, without priority 0 (keepalived's behaviour).
    pub(super) fn leave_master(&mut self, to: State, now_us: u64, out: &mut Vec<Action>) {
        self.log(Level::Info, format!("Entering {} STATE", to.name()), out);
        self.enter(to, now_us);
        self.deadlines = Deadlines::default();
        self.release(out);
        out.push(Action::Notify(Notice::State(to)));
    }

    /// Takes the addresses off, now.
    fn release(&mut self, out: &mut Vec<Action>) {
        self.deadlines.release_us = None;
        if self.holds_addresses {
            self.holds_addresses = false;
            self.log(Level::Detail, "removing VIPs.", out);
            out.push(Action::RemoveAddresses);
        }
    }

    /// Says good-bye; the addresses stay until the new master was heard, if that is wanted.
    pub(super) fn hand_over(&mut self, orderly: bool, now_us: u64, out: &mut Vec<Action>) {
        self.log(Level::Detail, "sent 0 priority", out);
        self.send_advert(PRIORITY_STOP, out);
        self.deadlines = Deadlines::default();
        if orderly && self.settings.hand_over {
            self.deadlines.release_us = Some(now_us + self.master_down_us());
        } else {
            self.release(out);
        }
    }

    /// As keepalived does: somebody deleted an address of ours.
    fn address_lost(&mut self, now_us: u64, out: &mut Vec<Action>) {
        if self.state != State::Master || self.stopped {
            return;
        }
        self.log(Level::Info, "Entering BACKUP STATE", out);
        self.enter(State::Backup, now_us);
        self.hand_over(false, now_us, out);
        self.deadlines.main_us = Some(now_us + self.skew_us());
        out.push(Action::Notify(Notice::State(State::Backup)));
    }

    fn source_changed(&mut self, source: Option<IpAddr>, now_us: u64, out: &mut Vec<Action>) {
        self.source = source.or(self.source);
        let effect = if source.is_some() { Effect::None } else { Effect::Fault };
        self.track(Tracker::Source, effect, now_us, out);
    }

    pub(super) fn track(&mut self, tracker: Tracker, effect: Effect, now_us: u64, out: &mut Vec<Action>) {
        let orderly = tracker.leaves_network_usable();
        if self.effects.insert(tracker, effect) == Some(effect) {
            return;
        }
        self.update_priority(now_us, out);
        self.update_fault(orderly, now_us, out);
    }

    pub(super) fn update_priority(&mut self, now_us: u64, out: &mut Vec<Action>) {
        let before = self.priority;
        let after = self.effective_priority();
        if before == after {
            return;
        }
        let down_before_us = self.master_down_us();
        self.priority = after;
        if self.state != State::Init {
            let text = format!("Changing effective priority from {before} to {after}");
            self.log(Level::Info, text, out);
            out.push(Action::Notify(Notice::Priority(self.state)));
        }
        // As keepalived does: a running timer shifts by the change of the down time.
        if let (State::Backup, Some(at_us)) = (self.state, self.deadlines.main_us) {
            let shifted_us = (at_us + self.master_down_us()).saturating_sub(down_before_us);
            self.deadlines.main_us = Some(shifted_us.max(now_us));
        }
    }

    pub(super) fn update_fault(&mut self, orderly: bool, now_us: u64, out: &mut Vec<Action>) {
        if self.stopped || (self.state == State::Init && !self.waiting) {
            return;
        }
        let certain = self.group_fault || self.faults().next().is_some();
        match (self.state, self.is_faulty()) {
            (State::Init, true) if certain => self.enter_fault(orderly, now_us, out),
            (State::Init, false) => self.leave_fault(now_us, out),
            (State::Master | State::Backup, true) => self.enter_fault(orderly, now_us, out),
            (State::Fault, false) => self.leave_fault(now_us, out),
            _ => {}
        }
    }

    /// As with keepalived, priority 0 goes out while there is an address to send from.
    fn enter_fault(&mut self, orderly: bool, now_us: u64, out: &mut Vec<Action>) {
        let was_master = self.state == State::Master;
        self.log(Level::Info, "Entering FAULT STATE", out);
        self.enter(State::Fault, now_us);
        if was_master {
            self.hand_over(orderly, now_us, out);
        } else {
            let release_us = self.deadlines.release_us;
            self.deadlines = Deadlines { release_us, ..Deadlines::default() };
        }
        self.master = None;
        self.preempt_delay = PreemptDelay::Idle;
        out.push(Action::Notify(Notice::State(State::Fault)));
    }

    /// As keepalived does: BACKUP with a full master down time.
    fn leave_fault(&mut self, now_us: u64, out: &mut Vec<Action>) {
        self.log(Level::Info, "Entering BACKUP STATE", out);
        self.enter(State::Backup, now_us);
        self.master_interval_us = self.settings.advert_interval_us;
        self.deadlines.main_us = Some(now_us + self.master_down_us());
        out.push(Action::Notify(Notice::State(State::Backup)));
    }

    /// As keepalived ends: priority 0 first, then the addresses.
    fn stop(&mut self, ending: Ending, now_us: u64, out: &mut Vec<Action>) {
        if self.stopped {
            // A second signal: no more waiting.
            self.release(out);
            return;
        }
        self.stopped = true;
        match (ending, self.state) {
            (Ending::Shutdown, State::Master) => self.hand_over(true, now_us, out),
            (Ending::Removed, State::Master) => self.hand_over(false, now_us, out),
            (Ending::Removed, _) => {
                self.deadlines = Deadlines::default();
                self.release(out);
            }
            (Ending::Shutdown, _) => {
                let release_us = self.deadlines.release_us;
                self.deadlines = Deadlines { release_us, ..Deadlines::default() };
            }
            (Ending::LeaveAddresses, _) => self.deadlines = Deadlines::default(),
        }
        self.state = State::Init;
        if ending != Ending::Removed {
            out.push(Action::Notify(Notice::Stop));
        }
    }

    /// As keepalived does: the sync group takes this member along.
    fn group_move(&mut self, to: GroupMove, now_us: u64, out: &mut Vec<Action>) {
        if self.stopped || self.state == State::Init {
            return;
        }
        match (to, self.state) {
            (GroupMove::Master, State::Backup) => self.become_master(now_us, out),
            (GroupMove::Backup, State::Master) => {
                self.leave_master(State::Backup, now_us, out);
                self.deadlines.main_us = Some(now_us + self.master_down_us());
            }
            (GroupMove::HandOver, State::Master) => self.step_aside(now_us, out),
            (GroupMove::Fault, State::Master | State::Backup) => {
                self.enter_fault(true, now_us, out);
            }
            _ => {}
        }
    }

    /// Another member of the group is (or is no longer) at fault.
    pub(super) fn set_group_fault(&mut self, fault: bool, now_us: u64, out: &mut Vec<Action>) {
        if self.group_fault != fault {
            self.group_fault = fault;
            self.update_fault(true, now_us, out);
        }
    }

    /// Moves a master's next advert forward to the last moment on the grid of its interval, which routers of one interval
    /// share; the gaps after it are whole intervals again.
    pub(super) fn align_adverts(&mut self, now_us: u64) {
        let interval_us = self.settings.advert_interval_us.max(1);
        if let (State::Master, Some(at_us)) = (self.state, self.deadlines.main_us) {
            let aligned_us = at_us - at_us % interval_us;
            if aligned_us > now_us {
                self.deadlines.main_us = Some(aligned_us);
            }
        }
    }

    /// An advert out of turn, as a reload of a master sends one before and after (keepalived's behaviour).
    pub fn advertise_now(&mut self, now_us: u64, out: &mut Vec<Action>) {
        if self.state == State::Master && !self.stopped {
            self.send_advert(self.priority, out);
            self.deadlines.main_us = Some(now_us + self.settings.advert_interval_us);
        }
    }
}
