//! What both daemons trust: diagnostics, health checks, balancing, logging and process plumbing.
//!
//! Everything that decides (balancing, health) is sans-IO: events and `now` go in, decisions come out.
//! Everything that touches the system (probes, process, logging) sits in modules of its own.

pub mod addr;
pub mod balance;
pub mod diag;
pub mod hash;
pub mod health;
pub mod logging;
pub mod probe;
pub mod process;
pub mod proxy_protocol;
pub mod stats;
pub mod sys;
pub mod time;
pub mod units;
