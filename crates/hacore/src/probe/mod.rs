//! Checks that touch the network: each is an async function that ends in time with a
//! [`CheckResult`](crate::health::CheckResult) in HAProxy's words.
//!
//! They decide nothing about the server: that is [`crate::health`]. They run on any tokio runtime with I/O and time.

mod connect;
pub mod steps;
mod tcp;

pub use connect::{Endpoint, Io, ProxyHeader, Target, Timeouts, TlsClient, TlsHandshake};
pub use tcp::tcp;
