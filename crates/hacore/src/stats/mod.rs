//! Counters and rates as HAProxy keeps them for its statistics and stick tables.

mod counter;
mod rate;

pub use counter::{Counter, MaxGauge};
pub use rate::{Rate, RatePeriod};
