//! One request and its response as expressions and the log see them.

use crate::model::{ProxyId, ServerId};

use super::{Captures, Cause, Termination, Timing};

/// Third letter of the termination state: the persistence cookie the client came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookieSeen {
    /// `-`: not applicable.
    #[default]
    NotApplicable,
    None,
    Invalid,
    Down,
    Valid,
    Expired,
    Old,
    Unused,
}

/// Fourth letter: what happened to the cookie in the response.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum CookieSet {
    #[default]
    NotApplicable,
    None,
    Inserted,
    Updated,
    Provided,
    Rewritten,
    Deleted,
}

/// What `set-timeout` set for this stream, in milliseconds; `None` is the proxy's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TimeoutOverrides {
    pub client_ms: Option<u64>,
    pub server_ms: Option<u64>,
    pub tunnel_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
}

/// State of the request that the session is working on.
#[derive(Debug, Clone, Default)]
pub struct StreamInfo {
    pub backend: Option<ProxyId>,
    pub server: Option<ServerId>,
    /// The server connection's source address and port (`bi`, `bp`) and destination (`si`, `sp`).
    pub server_local: super::Endpoint,
    pub server_peer: super::Endpoint,
    /// What the server's handshake settled; `None` on a plain connection.
    pub server_tls: Option<std::sync::Arc<super::TlsFacts>>,
    pub timing: Timing,
    pub termination: Termination,
    pub cookie_seen: CookieSeen,
    pub cookie_set: CookieSet,
    /// Bytes read from the client and sent to it (`%U`, `%B`).
    pub bytes_uploaded: u64,
    pub bytes_sent: u64,
    /// Connection counters of the moment, as the log shows them: `actconn/feconn/beconn/srv_conn/retries`.
    pub connections_process: u32,
    pub connections_frontend: u32,
    pub connections_backend: u32,
    pub connections_server: u32,
    pub retries: u32,
    /// A retry went to another server: the log shows `+` before the retries.
    pub redispatched: bool,
    /// Requests that were ahead in the queues: `srv_queue/backend_queue`.
    pub queue_server: u32,
    pub queue_backend: u32,
    /// `capture request header` and `capture response header` slots, in declaration order.
    pub request_captures: Captures,
    pub response_captures: Captures,
    /// `capture cookie` from request and response.
    pub request_cookie: Option<Vec<u8>>,
    pub response_cookie: Option<Vec<u8>>,
    /// The status sent to the client; 0 before there is one.
    pub status: u16,
    /// The status as the server sent it; 0 before there is one.
    pub server_status: u16,
    /// What answered in a server's place: `<STATS>`, `<PROMEX>`…; without it the log shows `<NOSRV>`.
    pub service: Option<&'static str>,
    /// The server connection's socket, about which the kernel is asked (`bc_rtt`).
    pub server_socket: Option<i32>,
    /// The server connection served another request before.
    pub server_reused: bool,
    /// File and line of the last rule that ended evaluation.
    pub last_rule: Option<(std::sync::Arc<str>, u32)>,
    /// `set-priority-class` and `set-priority-offset`.
    pub priority_class: i32,
    pub priority_offset_ms: i32,
    pub timeouts: TimeoutOverrides,
    /// `%lc`: log lines of the frontend so far.
    pub log_counter: u64,
    /// Unique number of the request within the process (`%rt`).
    pub request_counter: u64,
    pub unique_id: Option<Vec<u8>>,
    /// `set-log-level`: overrides the level, or `silent` with 255.
    pub log_level: Option<u8>,
    /// The request line as received, for `%r`, cut to `tune.http.logurilen`; `<BADREQ>` when it could not be read.
    pub request_line: Vec<u8>,
}

impl StreamInfo {
    /// Makes the value ready for the next request, keeping the buffers.
    pub fn reset(&mut self) {
        let mut fresh = StreamInfo::default();
        {
            let (kept, old) = (&mut fresh.request_line, &mut self.request_line);
            old.clear();
            std::mem::swap(kept, old);
        }
        std::mem::swap(&mut fresh.request_captures, &mut self.request_captures);
        std::mem::swap(&mut fresh.response_captures, &mut self.response_captures);
        fresh.request_captures.clear();
        fresh.response_captures.clear();
        *self = fresh;
    }

    /// What `dontlog-normal`, `log-separate-errors` and `when(error)` call an error.
    pub fn is_failure(&self, is_http: bool) -> bool {
        let cause = self.termination.cause;
        self.redispatched
            || !matches!(cause, Cause::Normal | Cause::Local)
            || cause == Cause::Normal && self.retries > 0
            || is_http && self.status >= 500
    }
}
