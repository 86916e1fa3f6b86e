//! `frontend`, `backend`, `listen`: one type, because `listen` is both and `defaults` feeds all.

use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use serde::Serialize;

use super::{Bind, Check, Location, LogTarget, Server, SourceAddress, StatsPage};
use crate::expr::{Condition, Expr, LogFormat};
use crate::rules::RuleSets;

/// Index of a proxy in [`super::Config::proxies`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ProxyId(pub u32);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum ProxyKind {
    Frontend,
    Backend,
    Listen,
}

impl ProxyKind {
    /// The section's keyword.
    pub fn name(self) -> &'static str {
        match self {
            ProxyKind::Frontend => "frontend",
            ProxyKind::Backend => "backend",
            ProxyKind::Listen => "listen",
        }
    }

    /// What messages call it.
    pub fn noun(self) -> &'static str {
        match self {
            ProxyKind::Frontend => "frontend",
            ProxyKind::Backend => "backend",
            ProxyKind::Listen => "proxy",
        }
    }

    pub fn is_frontend(self) -> bool {
        self != ProxyKind::Backend
    }

    pub fn is_backend(self) -> bool {
        self != ProxyKind::Frontend
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum Mode {
    /// HAProxy's own default when no `mode` is written.
    #[default]
    Tcp,
    Http,
    /// Syslog receivers and log backends.
    Log,
    Spop,
}

/// All `timeout` keywords; `None` is infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct Timeouts {
    pub check: Option<Duration>,
    pub client: Option<Duration>,
    pub client_fin: Option<Duration>,
    pub client_hs: Option<Duration>,
    pub connect: Option<Duration>,
    pub http_keep_alive: Option<Duration>,
    pub http_request: Option<Duration>,
    pub queue: Option<Duration>,
    pub server: Option<Duration>,
    pub server_fin: Option<Duration>,
    pub tarpit: Option<Duration>,
    pub tunnel: Option<Duration>,
}

/// What happens to connections between messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum ConnectionMode {
    #[default]
    KeepAlive,
    /// `option http-server-close`.
    ServerClose,
    /// `option httpclose`.
    Close,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum HttpReuse {
    Never,
    #[default]
    Safe,
    Aggressive,
    Always,
}

/// `option http-restrict-req-hdr-names`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum RestrictNames {
    Preserve,
    Delete,
    Reject,
}

/// `option forwardfor`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ForwardFor {
    pub except: Option<IpNet>,
    /// Default `X-Forwarded-For`, kept in lower case for comparison and as written for HTTP/1 output.
    pub header: String,
    pub if_none: bool,
}

/// What `option forwarded` puts into a parameter.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ForwardedValue {
    /// What the connection or the request has.
    Own,
    /// `…-expr`.
    Expression(Arc<Expr>),
}

/// `option forwarded`: the parameters of the header (RFC 7239 §5), in the order in which they are written.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Forwarded {
    pub proto: bool,
    pub host: Option<ForwardedValue>,
    pub by: Option<ForwardedValue>,
    pub by_port: Option<ForwardedValue>,
    /// `for`, `for_port`.
    pub from: Option<ForwardedValue>,
    pub from_port: Option<ForwardedValue>,
}

/// Every `option` that is a plain switch; the ones with arguments have fields of their own in [`Proxy`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct ProxyOptions {
    pub abortonclose: bool,
    pub accept_invalid_http_request: bool,
    pub accept_invalid_http_response: bool,
    pub allbackups: bool,
    pub clitcpka: bool,
    pub contstats: bool,
    pub dontlog_normal: bool,
    pub dontlognull: bool,
    pub http_buffer_request: bool,
    pub http_ignore_probes: bool,
    pub http_no_delay: bool,
    pub http_pretend_keepalive: bool,
    pub http_use_htx: bool,
    pub http_use_proxy_header: bool,
    pub idle_close_on_response: bool,
    pub independent_streams: bool,
    pub log_health_checks: bool,
    pub log_separate_errors: bool,
    pub logasap: bool,
    pub nolinger: bool,
    pub persist: bool,
    pub prefer_last_server: bool,
    pub socket_stats: bool,
    pub splice_auto: bool,
    pub splice_request: bool,
    pub splice_response: bool,
    pub srvtcpka: bool,
    pub tcp_smart_accept: bool,
    pub tcp_smart_connect: bool,
    pub transparent: bool,
    pub disable_h2_upgrade: bool,
    pub checkcache: bool,
    pub h1_case_adjust_bogus_client: bool,
    pub h1_case_adjust_bogus_server: bool,
    pub http_drop_request_trailers: bool,
    pub http_drop_response_trailers: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum HashFunction {
    #[default]
    Sdbm,
    Djb2,
    Wt6,
    Crc32,
    None,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum HashKind {
    #[default]
    MapBased,
    Consistent,
    /// Ours alone: `hash-type maglev`.
    Maglev,
}

/// `hash-type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct HashType {
    pub kind: HashKind,
    pub function: HashFunction,
    pub avalanche: bool,
}

#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub enum BalanceAlgorithm {
    #[default]
    RoundRobin,
    StaticRr,
    LeastConn,
    First,
    Random {
        draws: u32,
    },
    Source,
    Uri {
        length: Option<u32>,
        depth: Option<u32>,
        whole: bool,
        path_only: bool,
    },
    UrlParam {
        name: String,
        check_post: bool,
    },
    Header {
        name: String,
        use_domain_only: bool,
    },
    Hash(Arc<Expr>),
    RdpCookie {
        name: String,
    },
    /// `log-hash`: converters that are applied to the line.
    LogHash(Arc<Expr>),
    Sticky,
    /// Ours alone: `balance peak-ewma`.
    PeakEwma,
}

#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Balance {
    pub algorithm: BalanceAlgorithm,
    pub hash_type: HashType,
    /// `hash-balance-factor`, 0 = off.
    pub hash_balance_factor: u32,
    /// `hash-preserve-affinity`.
    pub affinity: hacore::balance::Affinity,
}

/// `cookie NAME …` of a backend (configuration manual, "cookie (backend)").
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Cookie {
    pub name: String,
    pub rewrite: bool,
    pub insert: bool,
    pub prefix: bool,
    pub indirect: bool,
    pub nocache: bool,
    pub postonly: bool,
    pub preserve: bool,
    pub httponly: bool,
    pub secure: bool,
    pub dynamic: bool,
    pub domains: Vec<String>,
    pub maxidle: Option<Duration>,
    pub maxlife: Option<Duration>,
    pub attributes: Vec<String>,
}

/// Where `use_backend` leads.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum UseBackendTarget {
    Static(ProxyId),
    /// A log format that gives the backend's name per request.
    Dynamic(Arc<LogFormat>),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct UseBackend {
    pub target: UseBackendTarget,
    pub condition: Option<Arc<Condition>>,
    pub location: Location,
}

/// `use-server NAME if …`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ServerSwitch {
    pub name: Arc<LogFormat>,
    pub condition: Option<Arc<Condition>>,
    pub location: Location,
}

/// What is sent instead of a built-in error page.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum ErrorReply {
    /// `errorfile`: the file's bytes, sent as they are.
    File { path: String, bytes: Arc<[u8]> },
    /// `errorloc`/`errorloc302` (302) and `errorloc303` (303).
    Location { status: u16, url: String },
    /// `http-error` with formats: made anew for each error.
    Described(Arc<DescribedReply>),
}

/// An error reply whose fields or body have something to evaluate.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DescribedReply {
    pub status: u16,
    /// Names in lower case; a field without a value is left out.
    pub headers: Vec<(String, Arc<LogFormat>)>,
    pub content_type: Option<String>,
    pub body: DescribedBody,
}

/// The body of a [`DescribedReply`].
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum DescribedBody {
    Constant(Arc<[u8]>),
    Format(Arc<LogFormat>),
}

/// One `frontend`, `backend` or `listen` after `defaults` were applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Proxy {
    pub kind: ProxyKind,
    pub name: String,
    /// `id`, or the automatic one.
    pub numeric_id: u32,
    /// Whether `id` was given.
    pub id_given: bool,
    pub location: Location,
    pub mode: Mode,
    pub disabled: bool,
    pub description: Option<String>,
    pub timeouts: Timeouts,
    pub options: ProxyOptions,
    pub connection_mode: ConnectionMode,
    pub http_reuse: HttpReuse,
    pub forward_for: Option<ForwardFor>,
    pub logs: Vec<LogTarget>,
    /// `option httplog|tcplog|httpslog` or `log-format`; `None` is HAProxy's default "Connect from …" line.
    pub log_format: Option<Arc<LogFormat>>,
    pub error_log_format: Option<Arc<LogFormat>>,
    /// `log-format-sd`: the structured data of RFC 5424 lines.
    pub log_format_sd: Option<Arc<LogFormat>>,
    /// `log-steps`: bits of [`super::LogStep`]; none: one line a transaction.
    pub log_steps: Option<u16>,
    pub log_tag: Option<String>,
    /// Replies by status.
    pub error_replies: std::collections::BTreeMap<u16, ErrorReply>,
    pub rules: RuleSets,
    /// `acl` lines as written: what the conditions of the rules mean.
    pub acls: Vec<String>,

    // Frontend side.
    pub binds: Vec<Bind>,
    /// `maxconn` of the frontend; `None` is the global one.
    pub maxconn: Option<u32>,
    pub backlog: Option<u32>,
    /// `rate-limit sessions`.
    pub rate_limit_sessions: Option<u32>,
    pub use_backend: Vec<UseBackend>,
    pub default_backend: Option<ProxyId>,
    pub monitor_uri: Option<String>,
    pub monitor_fail: Vec<Arc<Condition>>,
    pub unique_id_format: Option<Arc<LogFormat>>,
    pub unique_id_header: Option<String>,
    /// `capture request header NAME len N` and `declare capture request len N` (name empty).
    pub request_captures: Vec<(String, usize)>,
    pub response_captures: Vec<(String, usize)>,
    /// `capture cookie NAME len N`; with the flag the name is a prefix.
    pub cookie_capture: Option<(String, usize)>,

    // Backend side.
    pub servers: Vec<Server>,
    pub balance: Balance,
    /// Ours alone: `option outlier-ejection`.
    pub outlier: Option<hacore::health::outlier::OutlierSettings>,
    /// Ours alone: `retry-budget`.
    pub retry_budget: Option<hacore::balance::retry_budget::RetryBudgetSettings>,
    pub check: Check,
    pub cookie: Option<Cookie>,
    pub use_server: Vec<ServerSwitch>,
    pub retries: u32,
    /// `option redispatch [interval]`; `None` off; default interval -1 (on the last retry).
    pub redispatch: Option<i32>,
    /// `retry-on` words, as the manual writes them; empty is `conn-failure`.
    pub retry_on: Vec<String>,
    pub fullconn: Option<u32>,
    pub source: Option<SourceAddress>,
    pub dynamic_cookie_key: Option<String>,
    /// `option originalto`.
    pub original_to: Option<ForwardFor>,
    pub forwarded: Option<Forwarded>,
    /// `stats …` of a proxy; `Some` when the page is on.
    pub stats: Option<StatsPage>,
    /// `http-send-name-header`.
    pub send_name_header: Option<String>,
    /// `max-keep-alive-queue`, -1 is unlimited.
    pub max_keep_alive_queue: i32,
    /// `tcp-request inspect-delay`.
    pub request_inspect_delay: Option<Duration>,
    /// `tcp-response inspect-delay`.
    pub response_inspect_delay: Option<Duration>,
    /// `force-persist` and `ignore-persist`, in order; the flag is true for `force-persist`.
    pub persist_rules: Vec<(bool, Option<Arc<Condition>>)>,
    /// `clitcpka-cnt`, `-idle`, `-intvl`.
    pub client_keepalive: TcpKeepAlive,
    /// `srvtcpka-cnt`, `-idle`, `-intvl`.
    pub server_keepalive: TcpKeepAlive,
    /// `persist rdp-cookie(NAME)`.
    pub persist_rdp_cookie: Option<String>,
    /// `load-server-state-from-file { global | local }`.
    pub load_server_state: Option<&'static str>,
    pub server_state_file_name: Option<String>,
    pub guid: Option<String>,
    pub restrict_header_names: Option<RestrictNames>,
    /// `be-unpublished`.
    pub unpublished: bool,
    /// `force-be-switch`: when one holds, unpublished backends may be chosen.
    pub force_switch: Vec<Arc<Condition>>,
}

/// Parameters of TCP keep-alive; `None` is the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub struct TcpKeepAlive {
    pub count: Option<u32>,
    pub idle: Option<Duration>,
    pub interval: Option<Duration>,
}

impl Proxy {
    /// A proxy with HAProxy's defaults.
    pub fn new(kind: ProxyKind, name: impl Into<String>, location: Location) -> Self {
        Self {
            kind,
            name: name.into(),
            numeric_id: 0,
            id_given: false,
            location,
            mode: Mode::default(),
            disabled: false,
            description: None,
            timeouts: Timeouts::default(),
            options: ProxyOptions::default(),
            connection_mode: ConnectionMode::default(),
            http_reuse: HttpReuse::default(),
            forward_for: None,
            logs: Vec::new(),
            log_format: None,
            error_log_format: None,
            log_format_sd: None,
            log_steps: None,
            log_tag: None,
            error_replies: Default::default(),
            rules: RuleSets::default(),
            acls: Vec::new(),
            binds: Vec::new(),
            maxconn: None,
            backlog: None,
            rate_limit_sessions: None,
            use_backend: Vec::new(),
            default_backend: None,
            monitor_uri: None,
            monitor_fail: Vec::new(),
            unique_id_format: None,
            unique_id_header: None,
            request_captures: Vec::new(),
            response_captures: Vec::new(),
            cookie_capture: None,
            servers: Vec::new(),
            balance: Balance::default(),
            outlier: None,
            retry_budget: None,
            check: Check::default(),
            cookie: None,
            use_server: Vec::new(),
            retries: 3,
            redispatch: None,
            retry_on: Vec::new(),
            fullconn: None,
            source: None,
            dynamic_cookie_key: None,
            original_to: None,
            forwarded: None,
            stats: None,
            send_name_header: None,
            max_keep_alive_queue: -1,
            request_inspect_delay: None,
            response_inspect_delay: None,
            persist_rules: Vec::new(),
            client_keepalive: TcpKeepAlive::default(),
            server_keepalive: TcpKeepAlive::default(),
            persist_rdp_cookie: None,
            load_server_state: None,
            server_state_file_name: None,
            guid: None,
            restrict_header_names: None,
            unpublished: false,
            force_switch: Vec::new(),
        }
    }
}
