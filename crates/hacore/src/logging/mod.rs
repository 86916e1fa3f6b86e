//! Log lines on their way out: syslog messages and the sockets that take them.
//!
//! What a line says is decided elsewhere (access log, operational events); this module puts the header in front
//! and sends it without ever blocking the caller: a receiver that does not keep up loses lines, which are counted.

mod datagrams;
mod operational;
mod sink;
pub mod subscriber;
pub mod syslog;

pub use operational::OperationalLog;
pub use sink::{Receiver, Sink, SinkError, SinkTarget};
