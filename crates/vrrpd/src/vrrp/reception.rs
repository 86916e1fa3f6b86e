//! What an advert does to a router, state by state (RFC 9568 §6.4.2, §6.4.3), and what is said and counted of packets that
//! were refused.
//!
//! Whether a packet is an advert at all was decided before: [`crate::packet::decode`].

use crate::packet::{AddressMismatch, DecodeError, PRIORITY_OWNER, PRIORITY_STOP, Received};

use super::{
    State,
    action::{Action, Level, Notice},
    fsm::HAND_OVER_OVERLAP_US,
    instance::{PreemptDelay, RefusedCounters, Router},
};

/// Different complaints about packets that are remembered as logged.
const COMPLAINTS_MAX: usize = 64;

impl Router {
    pub(super) fn advert(&mut self, received: Received, now_us: u64, out: &mut Vec<Action>) {
        self.release_after(&received, now_us);
        // keepalived takes adverts in BACKUP and MASTER only.
        if matches!(self.state, State::Init | State::Fault) || now_us < self.settings.deaf_until_us {
            return;
        }
        self.counters.adverts_received += 1;
        if received.advert.priority == PRIORITY_STOP {
            self.counters.priority_zero_received += 1;
        }
        // RFC 9568 §6.4.3 (750), but two owners that ignore each other would both stay (erratum 8298).
        if self.settings.owner_ignore_adverts && self.priority == PRIORITY_OWNER {
            if received.advert.priority != PRIORITY_OWNER {
                return;
            }
            let text = "CONFIGURATION ERROR: local instance and a remote instance are both configured as address owner, please fix";
            self.complain(text.to_owned(), out);
        }
        if let Some(mismatch) = received.mismatch.as_ref().filter(|mismatch| !self.skips(mismatch, &received))
        {
            self.counters.address_list_errors += 1;
            self.complain(mismatch.to_string(), out);
        }
        match self.state {
            State::Backup => self.advert_in_backup(&received, now_us, out),
            State::Master => self.advert_in_master(&received, now_us, out),
            State::Init | State::Fault => {}
        }
    }

    /// `skip_check_adv_addr`: a backup looks at the addresses in a master's first advert only; their number always
    /// counts.
    fn skips(&self, mismatch: &AddressMismatch, received: &Received) -> bool {
        self.settings.skip_check_adv_addr
            && self.state == State::Backup
            && matches!(mismatch, AddressMismatch::Missing { .. })
            && self.master.is_some_and(|(address, _)| address == received.source)
    }

    /// A hand-over is pending and its new master speaks: the addresses go a moment later.
    fn release_after(&mut self, received: &Received, now_us: u64) {
        if received.advert.priority == PRIORITY_STOP || Some(received.source) == self.source {
            return;
        }
        if let Some(at_us) = &mut self.deadlines.release_us {
            *at_us = (*at_us).min(now_us + HAND_OVER_OVERLAP_US);
        }
    }

    fn advert_in_backup(&mut self, received: &Received, now_us: u64, out: &mut Vec<Action>) {
        let (advert, source) = (&received.advert, received.source);
        // RFC 9568 §6.4.2 (415): the master leaves, wait the skew only.
        if advert.priority == PRIORITY_STOP {
            self.log(Level::Detail, "Backup received priority 0 advertisement", out);
            self.deadlines.main_us = Some(now_us + self.skew_us());
            self.rivals.master_left();
            return;
        }
        let lower = advert.priority < self.priority;
        if !lower {
            self.preempt_delay = PreemptDelay::Idle;
            self.deadlines.preempt_us = None;
        } else if self.settings.preempt {
            if self.settings.preempt_delay_us > 0 && self.preempt_delay == PreemptDelay::Idle {
                let seconds = self.settings.preempt_delay_us as f64 / 1e6;
                self.log(Level::Info, format!("start preempt delay ({seconds:.6})"), out);
                self.preempt_delay = PreemptDelay::Running;
                self.deadlines.preempt_us = Some(now_us + self.settings.preempt_delay_us);
            }
            if self.preempt_delay != PreemptDelay::Running {
                // RFC 9568 §6.4.2 (445): discard; the timer goes on and we take over when it ends.
                let text = format!(
                    "received lower priority ({}) advert from {source} - discarding",
                    advert.priority
                );
                self.log(Level::Detail, text, out);
                return;
            }
        }
        self.accept(received, now_us, out);
    }

    /// RFC 9568 §6.4.2 (430): adopt the interval, restart the timer.
    fn accept(&mut self, received: &Received, now_us: u64, out: &mut Vec<Action>) {
        let (advert, source) = (&received.advert, received.source);
        if self.master.is_none_or(|(address, _)| address != source) {
            self.complaints.clear();
        }
        self.master = Some((source, advert.priority));
        self.rivals.master_heard(source);
        self.wants_master = false;
        if advert.interval_us != self.master_interval_us {
            let text = format!(
                "advertisement interval updated from {}ms to {}ms by master",
                self.master_interval_us / 1000,
                advert.interval_us / 1000
            );
            self.log(Level::Detail, text, out);
            self.master_interval_us = advert.interval_us;
        }
        self.deadlines.main_us = Some(now_us + self.master_down_us());
    }

    fn advert_in_master(&mut self, received: &Received, now_us: u64, out: &mut Vec<Action>) {
        let (advert, source) = (&received.advert, received.source);
        // RFC 9568 §6.4.3 (705).
        if advert.priority == PRIORITY_STOP {
            self.log(Level::Detail, "Master received priority 0 message", out);
            self.send_advert(self.priority, out);
            self.deadlines.main_us = Some(now_us + self.settings.advert_interval_us);
            // The leaver may have been master, too: its address must not stay in caches.
            out.push(Action::Announce { repeat: self.settings.garp.lower_prio_repeat });
            return;
        }
        // What others say meanwhile is heard before a timer that was missed.
        if self.stepped_back_late(now_us, out) {
            return self.advert_in_backup(received, now_us, out);
        }
        if Some(source) == self.source {
            self.complain(
                format!("Received advert from {source}, our own address: another router uses it"),
                out,
            );
            return;
        }
        let yields = advert.priority > self.priority
            || (advert.priority == self.priority && self.source.is_none_or(|own| source > own));
        if yields { self.yield_to(received, now_us, out) } else { self.insist(received, now_us, out) }
    }

    /// RFC 9568 §6.4.3 (725): a better master speaks, step back.
    fn yield_to(&mut self, received: &Received, now_us: u64, out: &mut Vec<Action>) {
        let (advert, source) = (&received.advert, received.source);
        let came_back = self.rivals.deposed == Some(source);
        if self.settings.higher_prio_send_advert || came_back {
            self.send_advert(self.priority, out);
        }
        let text = if advert.priority == self.priority {
            format!(
                "Master received advert from {source} with same priority {} but higher IP address than ours",
                advert.priority
            )
        } else {
            format!(
                "Master received advert from {source} with higher priority {}, ours {}",
                advert.priority, self.priority
            )
        };
        self.log(Level::Info, text, out);
        if came_back {
            let seconds = now_us.saturating_sub(self.since_us) as f64 / 1e6;
            let text = format!(
                "{source} had fallen silent without good-bye: unless it was down, both were master for up to {seconds:.3} s"
            );
            self.log(Level::Info, text, out);
            self.rivals.stepped_back(source, advert.priority, self.since_us, now_us);
        }
        self.leave_master(State::Backup, now_us, out);
        self.rivals.master_heard(source);
        self.master_interval_us = advert.interval_us;
        self.master = Some((source, advert.priority));
        self.deadlines.main_us = Some(now_us + self.master_down_us());
    }

    /// As keepalived does: a lower priority router believes it is master; say again who is, to it and to the hosts.
    fn insist(&mut self, received: &Received, now_us: u64, out: &mut Vec<Action>) {
        let text = format!(
            "Received advert from {} with lower priority {}, ours {}, forcing new election",
            received.source, received.advert.priority, self.priority
        );
        self.log(Level::Info, text, out);
        // A fresh master may hear the last advert of the one that it replaces.
        if now_us.saturating_sub(self.since_us) > self.settings.advert_interval_us {
            let (interval_us, priority) = (self.settings.advert_interval_us, received.advert.priority);
            self.rivals.stayed(received.source, priority, interval_us, now_us);
        }
        if !self.settings.lower_prio_no_advert {
            self.send_advert(self.priority, out);
            self.deadlines.main_us = Some(now_us + self.settings.advert_interval_us);
        }
        let garp = &self.settings.garp;
        if garp.lower_prio_repeat > 0 {
            out.push(Action::Announce { repeat: garp.lower_prio_repeat });
            if garp.lower_prio_delay_us > 0 {
                self.deadlines.garp_lower_us = Some(now_us + garp.lower_prio_delay_us);
            }
        }
        out.push(Action::Notify(Notice::MasterRxLowerPriority));
    }

    fn complain(&mut self, text: String, out: &mut Vec<Action>) {
        if self.complaints.len() < COMPLAINTS_MAX && self.complaints.insert(text.clone()) {
            self.log(Level::Info, text, out);
        }
    }

    pub(super) fn refused(&mut self, error: &DecodeError, out: &mut Vec<Action>) {
        if matches!(self.state, State::Init | State::Fault) {
            return;
        }
        if matches!(error, DecodeError::NotAPeer(_)) {
            // keepalived's last check comes after it has counted.
            self.counters.adverts_received += 1;
        }
        self.counters.refused.count(error);
        self.complain(error.to_string(), out);
    }
}

impl RefusedCounters {
    fn count(&mut self, error: &DecodeError) {
        let counter = match error {
            DecodeError::Truncated { .. }
            | DecodeError::TooShort { .. }
            | DecodeError::TooLong { .. }
            | DecodeError::TotalLength { .. } => &mut self.packet_length,
            DecodeError::Ttl(_) | DecodeError::TtlLimits { .. } => &mut self.ttl,
            DecodeError::Version { .. } => &mut self.version,
            DecodeError::AuthUnknown(_) => &mut self.invalid_auth_type,
            DecodeError::AuthType { .. } => &mut self.auth_type_mismatch,
            DecodeError::Password
            | DecodeError::HeaderValue
            | DecodeError::HmacValue(_)
            | DecodeError::HmacKey { .. }
            | DecodeError::HmacMissing(_)
            | DecodeError::HmacReplay(_)
            | DecodeError::HmacWindow(_)
            | DecodeError::HeaderSpi { .. }
            | DecodeError::HeaderSequence { .. } => &mut self.auth_failure,
            DecodeError::Interval { .. } | DecodeError::IntervalZero => &mut self.advert_interval,
            DecodeError::Type(_) => &mut self.packet_type,
            DecodeError::Checksum(_) => &mut self.checksum,
            DecodeError::Cast { .. } | DecodeError::NotAPeer(_) => &mut self.other,
        };
        *counter += 1;
    }
}
