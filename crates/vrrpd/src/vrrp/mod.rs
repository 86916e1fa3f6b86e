//! The decisions of VRRP: pure state machines that take events and a clock value and give actions.
//!
//! A [`Router`] is one virtual router, a [`Domain`] all routers of the daemon with their sync
//! groups. Nothing here opens a socket, reads a clock or draws a random number, so that the whole
//! protocol runs under a simulated network (`simulation.rs`).

pub mod action;
pub mod adopt;
pub mod event;
pub mod fsm;
pub mod instance;
pub mod priority;
mod reception;
pub mod rival;
pub mod steering;
pub mod sync_group;
pub mod timing;

#[cfg(test)]
mod fsm_tests;
#[cfg(test)]
mod simulation;
#[cfg(test)]
mod steering_tests;

use serde::{Deserialize, Serialize};

pub use action::{Action, Level, Notice};
pub use adopt::Legacy;
pub use event::{Ending, Event, GroupMove, Tracker};
pub use instance::{Counters, Router, Settings};
pub use priority::Effect;
pub use rival::{Rival, Rivals};
pub use steering::Steering;
pub use sync_group::{Domain, Group};

/// State of a virtual router; the numbers are those of keepalived's JSON and SNMP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum State {
    /// Not started.
    Init = 0,
    /// Listens, and takes over when the master falls silent.
    Backup = 1,
    /// Holds the addresses and advertises.
    Master = 2,
    /// Something it needs is missing.
    Fault = 3,
}

impl State {
    /// As notify scripts and logs name it.
    pub fn name(self) -> &'static str {
        match self {
            State::Init => "INIT",
            State::Backup => "BACKUP",
            State::Master => "MASTER",
            State::Fault => "FAULT",
        }
    }
}
