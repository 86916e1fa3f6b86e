//! The running process: bound listeners, data-plane threads, shutdown.
//!
//! ```text
//! Listeners::bind ──▶ (privileges are dropped by main) ──▶ Runtime::start ──▶ nbthread × thread::Thread ──▶ Runtime::stop
//! ```

pub mod core;
pub mod inbox;
pub mod launch;
pub mod listeners;
pub mod log_writer;
pub mod master;
pub mod question;
pub mod reload;
pub mod services;
pub mod thread;
pub mod transfer;

mod events;
mod start;
mod state_lines;

pub use core::{Core, LocalSnapshot};
pub use inbox::{Inboxes, Message};
pub use listeners::{BindError, Listeners};
pub use services::Services;
pub use start::Runtime;
