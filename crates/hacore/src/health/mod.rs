//! Whether a server may be used: rise/fall counters, states, slow start, agent and traffic observation.
//!
//! [`Health`] is one server's pure state machine: results and `now` go in, [`Event`]s come out. It opens nothing and
//! reads no clock; running the checks is [`crate::probe`]'s business, carrying the events out its owner's.

pub mod agent;
mod check;
mod checker;
mod counter;
mod fsm;
mod observe;
pub mod outlier;
mod report;
mod restore;
mod slowstart;
pub mod spread;
mod state;
mod status;
#[cfg(test)]
mod tests;

pub use agent::AgentAnswer;
pub use check::{CheckResult, CheckStatus, DESCRIPTION_LENGTH_MAX, Verdict};
pub use counter::{Counter, InitState, Timing};
pub use fsm::Health;
pub use observe::{ERROR_LIMIT_DEFAULT, Layer, Observation, Observe, OnError};
pub use report::{
    Cause, Change, CheckKind, CheckReport, Left, LogLevel, Subject, Transition, no_server_available,
};
pub use restore::{Restored, RestoredCheck};
pub use slowstart::SlowStart;
pub use state::{AdminState, Event, ForcedHealth, Operation, Outcome, Settings, Tracked};
pub use status::{CheckFields, Totals};
