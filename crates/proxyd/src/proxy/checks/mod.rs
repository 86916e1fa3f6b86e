//! Health checks at work: who is probed when, what follows from it, and the words about it.
//!
//! ```text
//! driver ── probe::run ──▶ CheckResult ──▶ reporter ── Backend::update_health ──▶ balancer
//!                                            │ log line, [WARNING] on standard error
//! commands (set server …) ─────────────────▶ │ on-marked-down, on-marked-up
//! traffic (observe) ───────────────────────▶ └ tracking servers
//! ```
//!
//! Deciding is [`hacore::health`]'s, probing [`hacore::probe`]'s. The driver runs on one thread's runtime; it awaits
//! sockets and time only, so it does not hold that thread up.

mod driver;
mod environment;
mod history;
mod program;
mod reporter;
mod traffic;

#[cfg(test)]
mod tests;

pub use driver::follow;
#[cfg(test)]
pub(crate) use driver::run;
pub use history::{HISTORY_LENGTH, PastCheck};
pub use reporter::{Hooks, Reporter};
pub use traffic::Traffic;
