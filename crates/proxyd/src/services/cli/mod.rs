//! The admin sockets: a line of text in, an answer out (management manual, section 9.3).
//!
//! ```text
//! bytes ── session (lines, `;`, payloads, prompt) ── command table ── commands/* ──▶ reply ── session ──▶ bytes
//! ```
//!
//! [`session`] and everything below is sans-IO; [`server`] owns the sockets.

pub mod command;
mod commands;
mod help;
mod input;
pub mod server;
pub mod session;
#[cfg(test)]
pub(crate) mod tests;

pub use command::{Admin, CommandDef, Context, Level, Reply, Restriction, Severity, SocketInfo};
pub use commands::all as commands;
pub use server::{AdminSocket, serve};
pub use session::Session;
