//! One virtual router: what it was told to be ([`Settings`]) and what it is ([`Router`]).

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use crate::model::{GarpSettings, InitialState, Version, VrrpInstance};

use super::{
    State,
    event::Tracker,
    priority::{self, Effect},
    rival::Rivals,
    steering::Steering,
    timing,
};

/// What the state machine has to know of an instance's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// For log lines.
    pub name: String,
    /// Protocol version.
    pub version: Version,
    /// Configured priority, 1..=255.
    pub priority: u8,
    /// `state MASTER`.
    pub initial_state: InitialState,
    /// Own advert interval in microseconds.
    pub advert_interval_us: u64,
    /// Adverts missed before the master counts as dead.
    pub down_timer_adverts: u8,
    /// `false`: `nopreempt`.
    pub preempt: bool,
    /// `preempt_delay` in microseconds, 0 for none.
    pub preempt_delay_us: u64,
    /// Whether a lower priority advert is left unanswered.
    pub lower_prio_no_advert: bool,
    /// Whether a higher priority advert is answered once more before stepping back.
    pub higher_prio_send_advert: bool,
    /// An owner that hears nobody.
    pub owner_ignore_adverts: bool,
    /// Compare the addresses of a master's first advert only.
    pub skip_check_adv_addr: bool,
    /// `timer_expired_backup`: the highest priority that another router may have.
    pub step_back_when_late: Option<u8>,
    /// When to announce the addresses.
    pub garp: GarpSettings,
    /// On an orderly end keep the addresses until the new master was heard.
    pub hand_over: bool,
    /// Adverts before this moment (microseconds of the same clock as `now`) are not for us.
    pub deaf_until_us: u64,
}

impl From<&VrrpInstance> for Settings {
    fn from(instance: &VrrpInstance) -> Self {
        Settings {
            name: instance.name.clone(),
            version: instance.version,
            priority: instance.priority,
            initial_state: instance.initial_state,
            advert_interval_us: instance.advert_int_us,
            down_timer_adverts: instance.down_timer_adverts,
            preempt: instance.preempt.enabled,
            preempt_delay_us: instance.preempt.delay_us,
            lower_prio_no_advert: instance.lower_prio_no_advert,
            higher_prio_send_advert: instance.higher_prio_send_advert,
            owner_ignore_adverts: instance.owner_ignore_adverts,
            skip_check_adv_addr: instance.skip_check_adv_addr,
            step_back_when_late: instance
                .timer_expired_backup
                .filter(|_| !instance.preempt.enabled)
                .map(|highest| highest.unwrap_or(priority::HIGHEST)),
            garp: instance.garp.clone(),
            hand_over: true,
            deaf_until_us: 0,
        }
    }
}

/// Deadlines, in microseconds of the caller's clock.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Deadlines {
    /// MASTER: next advert. BACKUP: the master counts as dead.
    pub main_us: Option<u64>,
    /// End of `preempt_delay`.
    pub preempt_us: Option<u64>,
    /// Second announcement after becoming master.
    pub garp_delayed_us: Option<u64>,
    /// Second announcement after a lower priority advert.
    pub garp_lower_us: Option<u64>,
    /// Next periodic announcement.
    pub garp_refresh_us: Option<u64>,
    /// Next announcement on other interfaces (`garp_extra_if`).
    pub garp_extra_us: Option<u64>,
    /// Addresses kept for the new master go now at the latest.
    pub release_us: Option<u64>,
}

/// Where a preemption with delay stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum PreemptDelay {
    /// No lower priority master was heard, or none is configured.
    #[default]
    Idle,
    /// Runs; adverts of lower priority are accepted meanwhile.
    Running,
    /// Over: the master down timer decides.
    Over,
}

/// What an instance counted since its start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counters {
    /// Adverts received and accepted as well-formed.
    pub adverts_received: u64,
    /// Adverts sent.
    pub adverts_sent: u64,
    /// Times the router became master.
    pub became_master: u64,
    /// Times it gave that up.
    pub released_master: u64,
    /// Priority 0 adverts received.
    pub priority_zero_received: u64,
    /// Priority 0 adverts sent.
    pub priority_zero_sent: u64,
    /// Packets refused by a receive check, by kind.
    pub refused: RefusedCounters,
    /// Adverts whose address list is not ours.
    pub address_list_errors: u64,
}

/// Refused packets by the counter names of keepalived's statistics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RefusedCounters {
    /// Wrong length.
    pub packet_length: u64,
    /// TTL or hop limit not 255.
    pub ttl: u64,
    /// Wrong packet type.
    pub packet_type: u64,
    /// Another version.
    pub version: u64,
    /// Another interval (version 2).
    pub advert_interval: u64,
    /// Undefined authentication type.
    pub invalid_auth_type: u64,
    /// Another authentication type than ours.
    pub auth_type_mismatch: u64,
    /// Wrong password.
    pub auth_failure: u64,
    /// Wrong checksum.
    pub checksum: u64,
    /// Anything else.
    pub other: u64,
}

/// One virtual router.
#[derive(Debug, Clone)]
pub struct Router {
    pub(super) settings: Settings,
    pub(super) state: State,
    /// Address adverts are sent from.
    pub(super) source: Option<IpAddr>,
    pub(super) priority: u8,
    pub(super) effects: BTreeMap<Tracker, Effect>,
    pub(super) master_interval_us: u64,
    /// Who the current master is, and its priority.
    pub(super) master: Option<(IpAddr, u8)>,
    pub(super) deadlines: Deadlines,
    pub(super) preempt_delay: PreemptDelay,
    /// The kernel has our addresses, as far as we asked for it.
    pub(super) holds_addresses: bool,
    /// The state machine has ended; only a hand-over may still be pending.
    pub(super) stopped: bool,
    /// Member of a sync group: may not become master alone.
    pub(super) grouped: bool,
    /// The group is held in FAULT by another member.
    pub(super) group_fault: bool,
    /// Started, but something is not known yet: still in INIT.
    pub(super) waiting: bool,
    /// Timed out and waits for the other members.
    pub(super) wants_master: bool,
    /// Complaints already logged since the last change.
    pub(super) complaints: BTreeSet<String>,
    pub(super) counters: Counters,
    pub(super) steering: Steering,
    pub(super) rivals: Rivals,
    /// Since when the state holds, microseconds.
    pub(super) since_us: u64,
}

impl Router {
    /// A router in INIT, without an address to send from until [`super::Event::Source`] gives one.
    pub fn new(settings: Settings) -> Self {
        let effects = BTreeMap::from([(Tracker::Source, Effect::Fault)]);
        Router {
            priority: settings.priority,
            master_interval_us: settings.advert_interval_us,
            settings,
            state: State::Init,
            source: None,
            effects,
            master: None,
            deadlines: Deadlines::default(),
            preempt_delay: PreemptDelay::default(),
            holds_addresses: false,
            stopped: false,
            grouped: false,
            group_fault: false,
            waiting: false,
            wants_master: false,
            complaints: BTreeSet::new(),
            counters: Counters::default(),
            steering: Steering::default(),
            rivals: Rivals::default(),
            since_us: 0,
        }
    }

    /// Its configuration.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where it is.
    pub fn state(&self) -> State {
        self.state
    }

    /// Since when, in microseconds of the caller's clock.
    pub fn since_us(&self) -> u64 {
        self.since_us
    }

    /// Effective priority.
    pub fn priority(&self) -> u8 {
        self.priority
    }

    /// The address adverts are sent from.
    pub fn source(&self) -> Option<IpAddr> {
        self.source
    }

    /// Current master and its priority as last heard; `None` when that is us or unknown.
    pub fn master(&self) -> Option<(IpAddr, u8)> {
        self.master
    }

    /// The master's advert interval in microseconds.
    pub fn master_interval_us(&self) -> u64 {
        self.master_interval_us
    }

    /// Whether the addresses are, by our doing, on the interfaces.
    pub fn holds_addresses(&self) -> bool {
        self.holds_addresses
    }

    /// What was counted.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Other masters that it met.
    pub fn rivals(&self) -> &Rivals {
        &self.rivals
    }

    /// Starts to count anew.
    pub fn clear_counters(&mut self) {
        self.counters = Counters::default();
    }

    /// Whether nothing is left to do after [`super::Event::Stop`].
    pub fn is_finished(&self) -> bool {
        self.stopped && self.deadlines.release_us.is_none()
    }

    /// Whether something it needs is missing, be it in another member of its group.
    pub fn is_faulty(&self) -> bool {
        self.group_fault || self.has_own_fault()
    }

    /// Whether a tracker of its own holds it in FAULT.
    pub fn has_own_fault(&self) -> bool {
        self.effects.values().any(|effect| matches!(effect, Effect::Fault | Effect::Pending))
    }

    /// The trackers that hold it in FAULT.
    pub fn faults(&self) -> impl Iterator<Item = &Tracker> {
        self.effects.iter().filter(|(_, effect)| **effect == Effect::Fault).map(|(tracker, _)| tracker)
    }

    /// How many trackers have no first result yet.
    pub fn pending_trackers(&self) -> usize {
        self.effects.values().filter(|effect| **effect == Effect::Pending).count()
    }

    /// Base priority and all weights, whatever their sum is.
    pub fn total_priority(&self) -> i64 {
        let weight = |effect: &Effect| match effect {
            Effect::Weight(weight) => i64::from(*weight),
            Effect::None | Effect::Fault | Effect::Pending => 0,
        };
        i64::from(self.settings.priority) + self.effects.values().map(weight).sum::<i64>()
    }

    /// The moment of the next [`super::Event::Timer`], microseconds.
    pub fn next_deadline_us(&self) -> Option<u64> {
        let Deadlines {
            main_us,
            preempt_us,
            garp_delayed_us,
            garp_lower_us,
            garp_refresh_us,
            garp_extra_us,
            release_us,
        } = self.deadlines;
        [main_us, preempt_us, garp_delayed_us, garp_lower_us, garp_refresh_us, garp_extra_us, release_us]
            .into_iter()
            .flatten()
            .min()
    }

    /// How long it waits for a silent master, microseconds.
    pub fn master_down_interval_us(&self) -> u64 {
        self.master_down_us()
    }

    /// Takes new settings over on a reload: state, timers, trackers and counters stay.
    pub fn reconfigure(&mut self, settings: Settings) {
        if settings.advert_interval_us != self.settings.advert_interval_us {
            self.master_interval_us = settings.advert_interval_us;
        }
        self.settings = settings;
        self.priority = self.effective_priority();
    }

    /// Forgets a tracker that the new configuration does not have.
    pub fn drop_tracker(&mut self, tracker: &Tracker) {
        self.effects.remove(tracker);
        self.priority = self.effective_priority();
    }

    /// What every tracker does to it now.
    pub fn effects(&self) -> &BTreeMap<Tracker, Effect> {
        &self.effects
    }

    /// The trackers that have an effect on record.
    pub fn trackers(&self) -> impl Iterator<Item = &Tracker> {
        self.effects.keys()
    }

    pub(super) fn effective_priority(&self) -> u8 {
        let base = match self.steering {
            Steering::None => self.settings.priority,
            Steering::Priority(priority) => priority,
            Steering::Drained => return priority::LOWEST,
        };
        priority::effective(base, self.effects.values().copied())
    }

    pub(super) fn skew_us(&self) -> u64 {
        timing::skew_us(self.settings.version, self.priority, self.master_interval_us)
    }

    /// How long it waits for a silent master, microseconds.
    pub fn master_down_us(&self) -> u64 {
        timing::master_down_us(
            self.settings.version,
            self.priority,
            self.master_interval_us,
            self.settings.down_timer_adverts,
        )
    }
}
