//! Checks that touch the network: each ends in time with a [`CheckResult`] in HAProxy's words.
//!
//! [`run`] carries out a [`steps::Program`]; [`builtin`] has the programs of `option redis-check` and its like.
//! Nothing here decides about the server: that is [`crate::health`]. The futures run on any tokio runtime with I/O and
//! time, may be dropped at any moment, and hold at most [`RECEIVED_MAX_BYTES`] of what a server sends.
//!
//! [`udp`], [`dns`] and [`ping`] are keepalived's; [`grpc`] and [`sentinel`] are extensions.

mod agent;
pub mod builtin;
mod connect;
mod datagram;
mod dns;
mod external;
pub mod grpc;
mod http;
mod http2;
mod ping;
mod raw;
pub mod sentinel;
mod socks4;
pub mod steps;
#[cfg(test)]
mod tests;
mod transcript;

use std::any::Any;
use std::rc::Rc;

use tokio::time::Instant;

use crate::health::{CheckResult, CheckStatus};

pub use agent::agent;
pub use connect::{Endpoint, Io, ProxyHeader, Secured, Target, Timeouts, TlsClient, TlsHandshake};
pub use datagram::{UdpCheck, udp};
pub use dns::{DnsCheck, DnsNameError, dns};
pub use external::{ExternalCheck, external};
pub use ping::ping;
pub use transcript::{TRANSCRIPT_MAX_BYTES, Tape, Transcript};

/// How much of an answer is kept (HAProxy's default `tune.bufsize`).
pub const RECEIVED_MAX_BYTES: usize = 16_384;

/// What a check needs to know of its server.
#[derive(Clone, Debug, Default)]
pub struct Context {
    /// Whether the server is up: `http-check disable-on-404` only applies then.
    pub server_up: bool,
    /// The value of `X-Haproxy-Server-State` for `http-check send-state`.
    pub state_header: Option<String>,
    /// What dynamic texts know besides the answer; see [`steps::Received::scene`].
    pub scene: Option<Rc<dyn Any>>,
    /// Where to write down what is said; none: it is not kept.
    pub tape: Option<Tape>,
}

/// Runs one check.
pub async fn run(
    program: &steps::Program,
    target: &Target,
    timeouts: &Timeouts,
    context: &Context,
) -> CheckResult {
    match program.protocol {
        steps::Protocol::Raw => raw::run(program, target, timeouts, context).await,
        steps::Protocol::Http => http::run(program, target, timeouts, context).await,
    }
}

/// The check of a bare `check`: a connection, and a TLS handshake with `check-ssl`.
pub async fn tcp(target: &Target, timeouts: &Timeouts) -> CheckResult {
    raw::run(&steps::Program::default(), target, timeouts, &Context::default()).await
}

/// How a check ended before its time-out was looked at.
#[derive(Debug)]
struct Verdict {
    status: CheckStatus,
    code: Option<u32>,
    description: String,
}

impl Verdict {
    fn new(status: CheckStatus, description: impl Into<String>) -> Self {
        Verdict { status, code: None, description: description.into() }
    }

    fn into_result(self, start: Instant) -> CheckResult {
        let result = CheckResult::new(self.status, start.elapsed()).with_description(self.description);
        CheckResult { code: self.code, ..result }
    }
}
