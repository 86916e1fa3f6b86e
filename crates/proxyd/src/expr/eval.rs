//! What an evaluation may look at: plain references, and a trait for what only the running process knows.

use std::net::SocketAddr;

use super::{Data, Sample, VarName, Vars};
use crate::http::head::{RequestHead, ResponseHead};
use crate::model::{ProxyId, ServerId};
use crate::txn::{SessionInfo, StreamInfo};

/// The moment of evaluation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Microseconds since the epoch.
    pub wall_us: u64,
    /// Microseconds of the process's monotonic clock, the one of [`crate::txn::Timing`].
    pub monotonic_us: u64,
}

/// Bytes of a body or of a TCP stream that have arrived and are still in the buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Payload<'a> {
    pub data: &'a [u8],
    /// Nothing more will come (end of message, buffer full, peer closed).
    pub complete: bool,
    /// The whole body's size as announced; `None` when unknown.
    pub announced_bytes: Option<u64>,
}

/// Which message the rule is about: decides what `payload`, `hdr` and `cookie` read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Direction {
    #[default]
    Request,
    Response,
}

/// Everything an expression can see.
#[derive(Clone, Copy)]
pub struct EvalCtx<'a> {
    pub session: &'a SessionInfo,
    pub stream: Option<&'a StreamInfo>,
    pub request: Option<&'a RequestHead>,
    pub response: Option<&'a ResponseHead>,
    pub request_payload: Payload<'a>,
    pub response_payload: Payload<'a>,
    pub vars: Option<&'a Vars>,
    pub env: &'a dyn Environment,
    pub now: Now,
    pub direction: Direction,
    /// No more data is waited for (`WAIT_END`, logs, HTTP rules); without it, missing data gives
    /// [`super::Verdict::Wait`].
    pub is_final: bool,
    /// `%OG`: the step that the line belongs to.
    pub log_origin: &'static str,
}

impl<'a> EvalCtx<'a> {
    /// A context with nothing but a session, final, in request direction.
    pub fn new(session: &'a SessionInfo, env: &'a dyn Environment, now: Now) -> Self {
        Self {
            session,
            stream: None,
            request: None,
            response: None,
            request_payload: Payload::default(),
            response_payload: Payload::default(),
            vars: None,
            env,
            now,
            direction: Direction::Request,
            is_final: true,
            log_origin: "",
        }
    }

    /// The payload of the direction the rule is about.
    pub fn payload(&self) -> Payload<'a> {
        match self.direction {
            Direction::Request => self.request_payload,
            Direction::Response => self.response_payload,
        }
    }
}

/// How a fetch that has several values is stepped through, and whether its result may still change.
#[derive(Debug, Clone, Copy, Default)]
pub struct FetchState {
    /// The caller wants every value in turn (ACLs); otherwise the fetch gives its one value.
    pub iterate: bool,
    /// Where the next value starts; 0 at first. Its meaning is the fetch's own.
    pub position: usize,
    /// Set by the fetch when there may be more values.
    pub more: bool,
    /// Set by the fetch when the answer depends on data that has not arrived.
    pub may_change: bool,
}

/// The process as fetches see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ProcessView<'a> {
    pub hostname: &'a str,
    pub pid: u32,
    /// Of the thread that evaluates, from 1.
    pub thread: u32,
    /// Its thread group, from 1.
    pub thread_group: u32,
    pub uptime_s: u64,
    pub connections: u32,
    pub stopping: bool,
    /// `cpu_usage_proc`-like percentages are not kept.
    pub idle_percent: u32,
}

/// A frontend's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FrontendView<'a> {
    pub name: &'a str,
    pub numeric_id: u32,
    pub connections: u32,
    pub session_rate: u32,
    pub request_rate: u32,
    pub default_backend: Option<&'a str>,
    pub client_timeout_ms: Option<u64>,
    pub tarpit_timeout_ms: Option<u64>,
    /// It logs in HTTP mode, and is not a TCP proxy.
    pub is_http: bool,
}

/// A backend's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct BackendView<'a> {
    pub name: &'a str,
    pub numeric_id: u32,
    pub connections: u32,
    /// Requests waiting in the backend's own queue, and in it and its servers' queues together.
    pub queue: u32,
    pub queue_total: u32,
    pub session_rate: u32,
    /// Servers that take traffic.
    pub servers_usable: u32,
    /// Connections and queue places left on usable servers; `None` when one has no limit.
    pub free_connections: Option<u64>,
    pub free_slots: Option<u64>,
    pub connect_timeout_ms: Option<u64>,
    pub queue_timeout_ms: Option<u64>,
    pub server_timeout_ms: Option<u64>,
    pub tarpit_timeout_ms: Option<u64>,
    pub tunnel_timeout_ms: Option<u64>,
    pub retries: u32,
}

/// A server's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ServerView<'a> {
    pub name: &'a str,
    pub numeric_id: u32,
    pub usable: bool,
    pub connections: u32,
    /// `None` without `maxconn`.
    pub free_connections: Option<u64>,
    pub queue: u32,
    pub session_rate: u32,
    /// `weight` as set and as effective (slow start), 0..=256, and the initial one.
    pub weight_user: u32,
    pub weight_effective: u32,
    pub weight_initial: u32,
    pub address: Option<SocketAddr>,
}

/// TLS facts of one side of a connection; the TLS layer answers by the fetch's name without `ssl_fc_`/`ssl_bc_`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TlsSide {
    /// `ssl_fc_*`.
    Frontend,
    /// `ssl_bc_*`.
    Backend,
    /// `ssl_c_*`: the client's certificate.
    ClientCertificate,
    /// `ssl_f_*`: our certificate.
    FrontendCertificate,
    /// `ssl_s_*`: the server's certificate.
    ServerCertificate,
}

/// Which connection of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Side {
    Client,
    Server,
}

/// What only the running process knows. The data plane implements it; every method answers for *now*.
///
/// Methods with a default are about features that a build may lack: the default says "not available".
pub trait Environment {
    fn process(&self) -> ProcessView<'_>;
    fn frontend(&self, id: ProxyId) -> Option<FrontendView<'_>>;
    fn backend(&self, id: ProxyId) -> Option<BackendView<'_>>;
    fn server(&self, backend: ProxyId, server: ServerId) -> Option<ServerView<'_>>;
    /// For names that come out of an expression (`nbsrv` and `fe_exists` as converters).
    fn find_frontend(&self, name: &[u8]) -> Option<ProxyId>;
    fn find_backend(&self, name: &[u8]) -> Option<ProxyId>;
    fn find_server(&self, backend: ProxyId, name: &[u8]) -> Option<ServerId>;

    /// `env(name)`: the process's environment with the configuration's `setenv` and `unsetenv` applied.
    fn environment_variable(&self, name: &str) -> Option<Data<'_>>;

    /// `rand`, `uuid`: uniformly random bits.
    fn random_u64(&self) -> u64;

    /// A `proc.` variable.
    fn process_variable(&self, name: &VarName) -> Option<Sample<'static>>;
    fn set_process_variable(&self, name: &VarName, value: Option<Sample<'static>>);

    /// Whether `user` with `password` is in the user list, and, if `group` is given, in that group.
    fn authenticate(&self, user_list: u32, user: &[u8], password: &[u8], group: Option<&[u8]>) -> bool {
        let _ = (user_list, user, password, group);
        false
    }

    /// The `index`th group of a user; for `http_auth_group`.
    fn group_of(&self, user_list: u32, user: &[u8], index: usize) -> Option<Data<'_>> {
        let _ = (user_list, user, index);
        None
    }

    /// Whether the address is one of this machine's (`src_is_local`).
    fn is_local_address(&self, address: std::net::IpAddr) -> bool {
        address.is_loopback()
    }

    /// A TLS fact, `name` being what follows the side's prefix (`sni`, `cipher`, `s_dn`…) and `args` the
    /// fetch's arguments as text. `None` without TLS on that side.
    fn tls(&self, side: TlsSide, name: &str, args: &super::Args) -> Option<Sample<'_>> {
        let _ = (side, name, args);
        None
    }

    /// What the kernel knows of the TCP connection on this socket.
    fn tcp_info(&self, socket: i32) -> Option<hacore::sys::TcpFacts> {
        let _ = socket;
        None
    }

    /// A connection's error as HAProxy's `fc_err` numbers, words and names it.
    fn connection_error(&self, side: Side) -> (i64, &'static str, &'static str) {
        let _ = side;
        (0, "Success", "SUCCESS")
    }

    /// A stick-table fetch or converter (`sc_http_req_rate`, `src_conn_cur`, `table_gpc0`…): `key` is the
    /// converter's input, `None` for fetches.
    fn stick_table(&self, query: &super::fetch::StickQuery<'_>) -> Option<Sample<'static>> {
        let _ = query;
        None
    }

    /// All `proc.` variables, in no particular order.
    fn process_variables(&self) -> Vec<(VarName, Sample<'static>)> {
        Vec::new()
    }

    /// How many bytes a declared capture slot of a frontend takes; `None` when there is no such slot.
    fn capture_length(&self, frontend: ProxyId, direction: Direction, slot: usize) -> Option<usize> {
        let _ = (frontend, direction, slot);
        None
    }

    /// Seconds that local time is ahead of UTC at this moment, for the log's local dates.
    fn utc_offset_s(&self, wall_us: u64) -> i32 {
        let _ = wall_us;
        0
    }

    /// The log lines' own facts that the transaction does not carry: the host name for `%H` is
    /// [`ProcessView::hostname`]. `%ID` of a transaction that has none yet is made here.
    fn unique_id(&self) -> Option<Data<'_>> {
        None
    }
}

/// An environment that knows nothing, for what is evaluated apart from traffic.
#[derive(Debug)]
struct Nowhere;

/// The environment of lines that log backends tell apart.
pub fn plain_environment() -> &'static dyn Environment {
    &Nowhere
}

impl Environment for Nowhere {
    fn process(&self) -> ProcessView<'_> {
        ProcessView::default()
    }

    fn frontend(&self, _: ProxyId) -> Option<FrontendView<'_>> {
        None
    }

    fn backend(&self, _: ProxyId) -> Option<BackendView<'_>> {
        None
    }

    fn server(&self, _: ProxyId, _: ServerId) -> Option<ServerView<'_>> {
        None
    }

    fn find_frontend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }

    fn find_backend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }

    fn find_server(&self, _: ProxyId, _: &[u8]) -> Option<ServerId> {
        None
    }

    fn environment_variable(&self, _: &str) -> Option<Data<'_>> {
        None
    }

    fn random_u64(&self) -> u64 {
        0
    }

    fn process_variable(&self, _: &VarName) -> Option<Sample<'static>> {
        None
    }

    fn set_process_variable(&self, _: &VarName, _: Option<Sample<'static>>) {}
}
