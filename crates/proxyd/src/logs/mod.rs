//! Log lines between those who write them and those who get them: rings, log backends, and `log-forward` sections.
//!
//! What a line says is decided in `stream::access_log`; what stands in front of it, and to how many it goes, in
//! `runtime::log_writer`. Nobody here makes a writer wait: what cannot be kept or sent is counted.

mod backend;
mod delivery;
mod framing;
mod message;
mod outlets;
mod relay;
mod ring;
mod service;

pub use outlets::Outlets;
pub use relay::ForwardSockets;
pub use ring::Ring;
pub use service::LogService;
