//! Two masters at once: who the other was, for how long, and how it ended.
//!
//! A master that hears a router of lower priority advertise knows it for certain. A router that took over because its
//! master fell silent, and then hears that master again, cannot know whether the other was dead or only cut off: it
//! reports the longest time that both can have been master, and sends one more advert so that the other, if it never
//! stopped, announces its addresses again (what keepalived does with `higher_prio_send_advert`).

use std::{collections::VecDeque, net::IpAddr};

/// Encounters that are remembered.
const REMEMBERED_MAX: usize = 8;
/// Without an advert for so many of our intervals the encounter is over.
const OVER_AFTER_INTERVALS: u64 = 3;

/// How an encounter ended for us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Ours is the better priority: we stayed. Two masters, for certain.
    Stayed,
    /// The former master came back and we stepped back. Two masters, unless it was down meanwhile.
    SteppedBack,
}

/// One encounter. Times are microseconds of the caller's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rival {
    /// Its address.
    pub address: IpAddr,
    /// Its priority as last heard.
    pub priority: u8,
    /// [`Outcome::Stayed`]: its first advert; [`Outcome::SteppedBack`]: when we took over from it.
    pub since_us: u64,
    /// Its last advert.
    pub until_us: u64,
    /// Adverts of it that we heard as master.
    pub adverts: u64,
    /// How it ended.
    pub outcome: Outcome,
}

/// The encounters of a router.
#[derive(Debug, Clone, Default)]
pub struct Rivals {
    remembered: VecDeque<Rival>,
    count: u64,
    /// The master that we heard last, while it has not said good-bye.
    heard: Option<IpAddr>,
    /// The master that fell silent before we took over.
    pub(super) deposed: Option<IpAddr>,
}

impl Rivals {
    /// Those remembered, the latest last.
    pub fn remembered(&self) -> impl Iterator<Item = &Rival> {
        self.remembered.iter()
    }

    /// How many there were.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// A master was heard in BACKUP.
    pub(super) fn master_heard(&mut self, address: IpAddr) {
        self.heard = Some(address);
    }

    /// It said good-bye.
    pub(super) fn master_left(&mut self) {
        self.heard = None;
    }

    /// We are master now.
    pub(super) fn took_over(&mut self) {
        self.deposed = self.heard.take();
    }

    /// As master we heard a router of lower priority.
    pub(super) fn stayed(&mut self, address: IpAddr, priority: u8, interval_us: u64, now_us: u64) {
        let over_us = OVER_AFTER_INTERVALS * interval_us;
        if let Some(last) = self.remembered.back_mut().filter(|last| {
            last.address == address
                && last.outcome == Outcome::Stayed
                && now_us.saturating_sub(last.until_us) <= over_us
        }) {
            last.until_us = now_us;
            last.priority = priority;
            last.adverts += 1;
            return;
        }
        let (since_us, until_us) = (now_us, now_us);
        self.push(Rival { address, priority, since_us, until_us, adverts: 1, outcome: Outcome::Stayed });
    }

    /// The master that we deposed is back and better than we are.
    pub(super) fn stepped_back(&mut self, address: IpAddr, priority: u8, since_us: u64, now_us: u64) {
        self.deposed = None;
        let outcome = Outcome::SteppedBack;
        self.push(Rival { address, priority, since_us, until_us: now_us, adverts: 1, outcome });
    }

    fn push(&mut self, rival: Rival) {
        self.count += 1;
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.pop_front();
        }
        self.remembered.push_back(rival);
    }
}
