//! What the daemon offers besides traffic: statistics and the admin sockets.

pub mod cli;
pub mod ocsp_update;
pub mod prometheus;
pub mod report;
pub mod stats;
