//! Whether a server may be used: rise/fall counters, states, slow start, agent and traffic observation.
//!
//! [`Health`] is one server's pure state machine: results and `now` go in, [`Event`]s come out. It opens nothing and
//! reads no clock; running the checks is [`crate::probe`]'s business, carrying the events out its owner's.

mod check;
mod fsm;
mod status;

pub use check::{CheckResult, CheckStatus, Verdict};
pub use fsm::{AdminState, Cause, Event, Health, InitState, Outcome, Settings, Timing, Transition};
pub use status::{Counters, Left, StatusText};
