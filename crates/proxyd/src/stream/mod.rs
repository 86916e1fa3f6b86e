//! Traffic: client sessions, the requests on them, and what becomes of each.
//!
//! ```text
//! Session (idle: waits for a request) ──head parsed──▶ Stream
//!    ▲                                                  │ rules, backend, server        `request`, `target`
//!    │                                                  │ queue, connect, retries       `target`, `connect`
//!    │                                                  │ bodies both ways, response    `exchange`, `response`, `body`
//!    └───── keep-alive ◀── log line, counters ◀─────────┘ or a reply of our own          `reply`, `finish`
//! ```
//!
//! A session is run when something happened to one of its connections or to its deadline; it works until it would have
//! to wait, and leaves its state in these structures. Cost of a small keep-alive request: two reads, two writes.

mod access_log;
pub mod body;
mod captures;
mod connect;
mod describe;
mod entry;
mod environment;
mod exchange;
mod fault;
mod finish;
mod follow;
mod forwarded;
mod greeting;
mod handshake;
mod idle_pool;
mod metrics;
mod multiplex;
mod observe;
pub mod password;
mod persistence;
mod policy;
mod reading;
mod relay;
mod reply;
mod report;
mod request;
mod request_body;
mod response;
mod response_content;
mod retry;
mod route;
mod rules;
mod server_multiplex;
mod session;
mod state;
mod stats_page;
mod target;
#[cfg(test)]
mod tests;

pub use describe::{Detail, identity};
pub use environment::{ProcessVariables, ThreadEnvironment};
pub use idle_pool::{IdlePools, Loan};
pub use multiplex::Newborn;
pub use policy::FrontendPolicy;
pub use server_multiplex::ServerConnections;
pub use session::{Session, is_within_rates, may_accept};
pub use state::Stream;
pub use target::{return_slot, serve_queues};

/// What running a request led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Nothing more can be done until an event or the deadline.
    Wait,
    /// The phase changed: look again.
    Again,
    /// A TCP connection whose bytes are to be read as HTTP from here on.
    Upgrade,
    /// The request is over; whether the client connection serves another one.
    Done { keep_alive: bool },
}
