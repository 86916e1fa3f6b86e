//! Why a request cannot go on, and the one place where that becomes termination letters, a status and counters.

use crate::txn::{Cause, Phase};

/// What went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The client closed or reset its connection.
    ClientGone,
    /// The client did not send or take data in time.
    ClientTimeout,
    /// The request's body is malformed.
    BadRequestBody,
    /// The server closed or reset its connection before its answer was complete.
    ServerGone,
    /// An HTTP/2 server has not looked at the request.
    Refused,
    /// The server did not answer, or send or take data, in time.
    ServerTimeout,
    /// The server's answer is not HTTP, or too large.
    BadResponse,
    /// The server answered with a status after which `retry-on` asks for another attempt.
    RetryableStatus(u16),
    /// No connection to the server: refused, unreachable, out of resources.
    ConnectFailed,
    ConnectTimeout,
    /// No server is usable, or the queues are full.
    NoServer,
    QueueTimeout,
    /// Our own limits: descriptors, ports, memory.
    Resource,
    /// A `tcp-response content` rule ends the connection.
    Denied,
    /// `on-marked-down shutdown-sessions`.
    ServerDown,
    /// `shutdown session`.
    Killed,
}

impl Fault {
    /// First letter of the termination state.
    pub fn cause(self) -> Cause {
        match self {
            Fault::ClientGone => Cause::ClientAbort,
            Fault::ClientTimeout => Cause::ClientTimeout,
            Fault::BadRequestBody => Cause::ClientAbort,
            Fault::ServerGone | Fault::Refused | Fault::ConnectFailed | Fault::NoServer => Cause::ServerAbort,
            Fault::ServerTimeout | Fault::ConnectTimeout | Fault::QueueTimeout => Cause::ServerTimeout,
            Fault::BadResponse | Fault::RetryableStatus(_) | Fault::Denied => Cause::Proxy,
            Fault::Resource => Cause::Resource,
            Fault::ServerDown => Cause::Down,
            Fault::Killed => Cause::Killed,
        }
    }

    /// The status of the reply when nothing of an answer was sent yet; `None`: no reply, the client is gone.
    pub fn status(self, phase: Phase) -> Option<u16> {
        Some(match self {
            Fault::ClientGone if matches!(phase, Phase::Data | Phase::Queue) => return None,
            Fault::Denied => return None,
            Fault::ClientGone | Fault::BadRequestBody => 400,
            Fault::ClientTimeout => 408,
            Fault::ServerGone | Fault::Refused | Fault::BadResponse | Fault::RetryableStatus(_) => 502,
            Fault::ServerTimeout => 504,
            Fault::ConnectFailed
            | Fault::ConnectTimeout
            | Fault::NoServer
            | Fault::QueueTimeout
            | Fault::ServerDown
            | Fault::Killed => 503,
            Fault::Resource => 503,
        })
    }
}
