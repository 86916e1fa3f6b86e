//! What can happen to a virtual router.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::packet::{DecodeError, Received};

use super::{priority::Effect, steering::Steering};

/// One thing that happened; time is an argument of `step`, not part of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The daemon is ready: leave INIT.
    Start,
    /// The earliest deadline may have passed.
    Timer,
    /// An advert that passed every receive check.
    Advert(Received),
    /// A packet for our VRID that was refused.
    Refused(DecodeError),
    /// A tracker changed what it does to us.
    Track {
        /// Which one; unique within the router.
        tracker: Tracker,
        /// What it does now.
        effect: Effect,
    },
    /// The address we send from appeared, changed or went.
    Source(Option<IpAddr>),
    /// Somebody else took one of our virtual addresses off its interface.
    AddressLost,
    /// An operator asks for another priority, or takes that back.
    Steer(Steering),
    /// The daemon ends, or a reload removed the instance.
    Stop(Ending),
    /// A sync group's other member takes us along.
    Group(GroupMove),
}

/// Who it is that influences the priority or holds the router in FAULT.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Tracker {
    /// The interface adverts leave by, or one that a virtual address sits on.
    Interface(String),
    /// A `track_interface` entry.
    TrackedInterface(String),
    /// There is no address to send from.
    Source,
    /// A `track_script` entry.
    Script(String),
    /// A `track_file` entry.
    File(String),
    /// A `track_process` entry.
    Process(String),
    /// A `track_proxy` entry.
    Proxy(String),
    /// The configuration itself (`unicast_fault_no_peer`).
    Configuration,
}

impl Tracker {
    /// Whether adverts and addresses still work while this tracker is at fault, so that an orderly
    /// hand-over is possible.
    pub fn leaves_network_usable(&self) -> bool {
        !matches!(self, Tracker::Interface(_) | Tracker::Source | Tracker::Configuration)
    }
}

/// Why a router stops.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// The daemon ends in an orderly way.
    Shutdown,
    /// A reload removed the instance.
    Removed,
    /// `--dont-release-vrrp`: leave the addresses, say nothing.
    LeaveAddresses,
}

/// Where a sync group takes its members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupMove {
    /// All members want to be master.
    Master,
    /// One member heard a better master.
    Backup,
    /// One member steps aside for a router that has yet to take over.
    HandOver,
    /// One member is at fault.
    Fault,
}
