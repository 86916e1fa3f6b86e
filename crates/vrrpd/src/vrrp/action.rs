//! What a virtual router wants done, in the order given.

use super::State;

/// One thing for the actor to carry out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Send an advert with this priority.
    SendAdvert {
        /// Effective priority, or 0 to say good-bye.
        priority: u8,
    },
    /// Put the virtual addresses on their interfaces; those that are there stay.
    AddAddresses,
    /// Take them off.
    RemoveAddresses,
    /// Announce every virtual address so many times.
    Announce {
        /// Packets per address.
        repeat: u32,
    },
    /// Announce the addresses on interfaces other than that of the adverts once.
    AnnounceElsewhere,
    /// Tell notify scripts, FIFOs and mail.
    Notify(Notice),
    /// Write a log line.
    Log(Level, String),
}

/// What notify scripts hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Notice {
    /// The router is in this state now.
    State(State),
    /// It stopped.
    Stop,
    /// A lower priority advert arrived while master.
    MasterRxLowerPriority,
    /// The effective priority changed in this state.
    Priority(State),
}

/// How important a log line is; `Detail` is shown with `-D` only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Somebody should look.
    Warning,
    /// Always shown.
    Info,
    /// Shown with `--log-detail`.
    Detail,
}
