//! Which metrics there are: names and types are those of HAProxy's exporter, figures those of `show stat` and `show info`.

use crate::services::stats::{Column, ObjectKind};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        }
    }
}

/// How a figure becomes lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// As `show stat` has it, `NaN` where it has none.
    Plain,
    /// Milliseconds, given in seconds.
    Milliseconds,
    /// A line for each class of status codes.
    Responses,
    /// A line for each state, 1 for the one it is in.
    Status,
    CheckStatus,
    /// How many servers of a backend are in each state.
    ServerStates,
    CheckStates,
}

/// One metric of some kinds of objects.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub suffix: &'static str,
    /// Which kinds of objects have it: sum of [`ObjectKind::filter_bit`]s.
    pub kinds: u32,
    pub column: Column,
    pub kind: Kind,
    pub shape: Shape,
    /// Only proxies of mode http have it.
    pub needs_http: bool,
    /// Only with `extra-counters`.
    pub is_extra: bool,
}

impl Metric {
    const fn of(self, kinds: u32) -> Self {
        Self { kinds, ..self }
    }

    const fn http(self) -> Self {
        Self { needs_http: true, ..self }
    }

    const fn extra(self) -> Self {
        Self { is_extra: true, ..self }
    }
}

const fn gauge(suffix: &'static str, column: Column) -> Metric {
    Metric {
        suffix,
        kinds: 0,
        column,
        kind: Kind::Gauge,
        shape: Shape::Plain,
        needs_http: false,
        is_extra: false,
    }
}

const fn counter(suffix: &'static str, column: Column) -> Metric {
    Metric { kind: Kind::Counter, ..gauge(suffix, column) }
}

const fn shaped(suffix: &'static str, column: Column, shape: Shape) -> Metric {
    Metric { shape, ..gauge(suffix, column) }
}

const fn milliseconds(suffix: &'static str, column: Column) -> Metric {
    shaped(suffix, column, Shape::Milliseconds)
}

const RESPONSES_BY_CODE: Metric = Metric {
    shape: Shape::Responses,
    needs_http: true,
    ..counter("http_responses_total", Column::Responses1xx)
};

/// `code` of `http_responses_total`.
pub const RESPONSES: &[(Column, &str)] = &[
    (Column::Responses1xx, "1xx"),
    (Column::Responses2xx, "2xx"),
    (Column::Responses3xx, "3xx"),
    (Column::Responses4xx, "4xx"),
    (Column::Responses5xx, "5xx"),
    (Column::ResponsesOther, "other"),
];

/// `state` of `server_check_status`.
pub const CHECK_STATES: &[&str] = &[
    "HANA", "SOCKERR", "L4OK", "L4TOUT", "L4CON", "L6OK", "L6TOUT", "L6RSP", "L7TOUT", "L7RSP", "L7OK",
    "L7OKC", "L7STS", "PROCERR", "PROCTOUT", "PROCOK",
];

/// Name, field of `show info`, type.
pub const PROCESS: &[(&str, &str, Kind)] = &[
    ("nbthread", "Nbthread", Kind::Gauge),
    ("nbproc", "Nbproc", Kind::Gauge),
    ("relative_process_id", "Process_num", Kind::Gauge),
    ("uptime_seconds", "Uptime_sec", Kind::Gauge),
    ("pool_failures_total", "PoolFailed", Kind::Counter),
    ("max_fds", "Ulimit-n", Kind::Gauge),
    ("max_sockets", "Maxsock", Kind::Gauge),
    ("max_connections", "Maxconn", Kind::Gauge),
    ("hard_max_connections", "Hard_maxconn", Kind::Gauge),
    ("current_connections", "CurrConns", Kind::Gauge),
    ("connections_total", "CumConns", Kind::Counter),
    ("requests_total", "CumReq", Kind::Counter),
    ("max_ssl_connections", "MaxSslConns", Kind::Gauge),
    ("current_ssl_connections", "CurrSslConns", Kind::Gauge),
    ("ssl_connections_total", "CumSslConns", Kind::Counter),
    ("max_pipes", "Maxpipes", Kind::Gauge),
    ("pipes_used_total", "PipesUsed", Kind::Counter),
    ("pipes_free_total", "PipesFree", Kind::Counter),
    ("current_connection_rate", "ConnRate", Kind::Gauge),
    ("limit_connection_rate", "ConnRateLimit", Kind::Gauge),
    ("max_connection_rate", "MaxConnRate", Kind::Gauge),
    ("current_session_rate", "SessRate", Kind::Gauge),
    ("limit_session_rate", "SessRateLimit", Kind::Gauge),
    ("max_session_rate", "MaxSessRate", Kind::Gauge),
    ("current_ssl_rate", "SslRate", Kind::Gauge),
    ("limit_ssl_rate", "SslRateLimit", Kind::Gauge),
    ("max_ssl_rate", "MaxSslRate", Kind::Gauge),
    ("current_frontend_ssl_key_rate", "SslFrontendKeyRate", Kind::Gauge),
    ("max_frontend_ssl_key_rate", "SslFrontendMaxKeyRate", Kind::Gauge),
    ("frontend_ssl_reuse", "SslFrontendSessionReuse_pct", Kind::Gauge),
    ("current_backend_ssl_key_rate", "SslBackendKeyRate", Kind::Gauge),
    ("max_backend_ssl_key_rate", "SslBackendMaxKeyRate", Kind::Gauge),
    ("ssl_cache_lookups_total", "SslCacheLookups", Kind::Counter),
    ("ssl_cache_misses_total", "SslCacheMisses", Kind::Counter),
    ("http_comp_bytes_in_total", "CompressBpsIn", Kind::Counter),
    ("http_comp_bytes_out_total", "CompressBpsOut", Kind::Counter),
    ("limit_http_comp", "CompressBpsRateLim", Kind::Gauge),
    ("current_zlib_memory", "ZlibMemUsage", Kind::Gauge),
    ("max_zlib_memory", "MaxZlibMemUsage", Kind::Gauge),
    ("current_tasks", "Tasks", Kind::Gauge),
    ("current_run_queue", "Run_queue", Kind::Gauge),
    ("idle_time_percent", "Idle_pct", Kind::Gauge),
    ("stopping", "Stopping", Kind::Gauge),
    ("jobs", "Jobs", Kind::Gauge),
    ("unstoppable_jobs", "Unstoppable Jobs", Kind::Gauge),
    ("listeners", "Listeners", Kind::Gauge),
    ("active_peers", "ActivePeers", Kind::Gauge),
    ("connected_peers", "ConnectedPeers", Kind::Gauge),
    ("dropped_logs_total", "DroppedLogs", Kind::Counter),
    ("busy_polling_enabled", "BusyPolling", Kind::Gauge),
    ("failed_resolutions", "FailedResolutions", Kind::Counter),
    ("bytes_out_total", "TotalBytesOut", Kind::Counter),
    ("spliced_bytes_out_total", "TotalSplicedBytesOut", Kind::Counter),
    ("bytes_out_rate", "BytesOutRate", Kind::Gauge),
    ("recv_logs_total", "CumRecvLogs", Kind::Counter),
    ("build_info", "Build info", Kind::Gauge),
    ("max_memory_bytes", "Memmax_bytes", Kind::Gauge),
    ("pool_allocated_bytes", "PoolAlloc_bytes", Kind::Gauge),
    ("pool_used_bytes", "PoolUsed_bytes", Kind::Gauge),
    ("start_time_seconds", "Start_time_sec", Kind::Gauge),
    ("warnings_total", "TotalWarnings", Kind::Counter),
];

/// Of frontends, listeners, backends, servers.
const F: u32 = ObjectKind::Frontend.filter_bit();
const L: u32 = ObjectKind::Listener.filter_bit();
const B: u32 = ObjectKind::Backend.filter_bit();
const S: u32 = ObjectKind::Server.filter_bit();

/// Everything that is exported of objects; each kind of object has them in this order.
pub const OBJECTS: &[Metric] = &[
    gauge("current_queue", Column::QueueCurrent).of(B | S),
    gauge("max_queue", Column::QueueMax).of(B | S),
    gauge("current_sessions", Column::SessionsCurrent).of(F | L | B | S),
    gauge("max_sessions", Column::SessionsMax).of(F | L | B | S),
    gauge("limit_sessions", Column::SessionLimit).of(F | L | B | S),
    counter("sessions_total", Column::SessionsTotal).of(F | L | B | S),
    counter("bytes_in_total", Column::BytesIn).of(F | L | B | S),
    counter("bytes_out_total", Column::BytesOut).of(F | L | B | S),
    counter("requests_denied_total", Column::DeniedRequests).of(F | L | B),
    counter("responses_denied_total", Column::DeniedResponses).of(F | L | B | S),
    counter("request_errors_total", Column::RequestErrors).of(F | L),
    counter("connection_errors_total", Column::ConnectionErrors).of(B | S),
    counter("response_errors_total", Column::ResponseErrors).of(B | S),
    counter("retry_warnings_total", Column::Retries).of(B | S),
    counter("redispatch_warnings_total", Column::Redispatches).of(B | S),
    shaped("status", Column::Status, Shape::Status).of(F | L | B | S),
    gauge("limit_session_rate", Column::RateLimit).of(F),
    gauge("weight", Column::Weight).of(B | S),
    gauge("active_servers", Column::Active).of(B),
    gauge("backup_servers", Column::Backup).of(B),
    counter("check_failures_total", Column::ChecksFailed).of(S),
    counter("check_up_down_total", Column::ChecksDown).of(B | S),
    gauge("check_last_change_seconds", Column::LastChange).of(B | S),
    counter("downtime_seconds_total", Column::Downtime).of(B | S),
    gauge("queue_limit", Column::QueueLimit).of(S),
    gauge("current_throttle", Column::Throttle).of(S),
    counter("loadbalanced_total", Column::Balanced).of(B | S),
    gauge("max_session_rate", Column::RateMax).of(F | B | S),
    shaped("check_status", Column::CheckStatus, Shape::CheckStatus).of(S),
    gauge("check_code", Column::CheckCode).of(S),
    milliseconds("check_duration_seconds", Column::CheckDuration).of(S),
    RESPONSES_BY_CODE.of(F | B | S),
    gauge("http_requests_rate_max", Column::RequestRateMax).http().of(F),
    counter("http_requests_total", Column::RequestsTotal).http().of(F | B),
    counter("client_aborts_total", Column::ClientAborts).of(B | S),
    counter("server_aborts_total", Column::ServerAborts).of(B | S),
    counter("http_comp_bytes_in_total", Column::CompressionIn).http().of(F | B),
    counter("http_comp_bytes_out_total", Column::CompressionOut).http().of(F | B),
    counter("http_comp_bytes_bypassed_total", Column::CompressionBypassed).http().of(F | B),
    counter("http_comp_responses_total", Column::CompressedResponses).http().of(F | B),
    gauge("connections_rate_max", Column::ConnectionRateMax).of(F),
    counter("connections_total", Column::ConnectionsTotal).of(F),
    counter("intercepted_requests_total", Column::Intercepted).of(F),
    counter("denied_connections_total", Column::DeniedConnections).of(F | L),
    counter("denied_sessions_total", Column::DeniedSessions).of(F | L),
    gauge("last_session_seconds", Column::LastSession).of(B | S),
    milliseconds("queue_time_average_seconds", Column::QueueTime).of(B | S),
    milliseconds("connect_time_average_seconds", Column::ConnectTime).of(B | S),
    milliseconds("response_time_average_seconds", Column::ResponseTime).of(B | S),
    milliseconds("total_time_average_seconds", Column::TotalTime).of(B | S),
    counter("failed_header_rewriting_total", Column::RewriteFailures).of(F | L | B | S),
    counter("connection_attempts_total", Column::Connects).of(B | S),
    counter("connection_reuses_total", Column::Reuses).of(B | S),
    counter("http_cache_lookups_total", Column::CacheLookups).http().of(F | B),
    counter("http_cache_hits_total", Column::CacheHits).http().of(F | B),
    gauge("idle_connections_current", Column::IdleConnections).of(S),
    gauge("idle_connections_limit", Column::IdleLimit).of(S),
    milliseconds("max_queue_time_seconds", Column::QueueTimeMax).of(B | S),
    milliseconds("max_connect_time_seconds", Column::ConnectTimeMax).of(B | S),
    milliseconds("max_response_time_seconds", Column::ResponseTimeMax).of(B | S),
    milliseconds("max_total_time_seconds", Column::TotalTimeMax).of(B | S),
    counter("internal_errors_total", Column::InternalErrors).of(F | L | B | S),
    counter("h1_total_sessions", Column::SessionsH1).http().extra().of(F),
    counter("h1_total_requests", Column::RequestsH1).http().extra().of(F),
    counter("h2_total_sessions", Column::SessionsH2).http().extra().of(F),
    counter("h2_total_requests", Column::RequestsH2).http().extra().of(F),
    gauge("unsafe_idle_connections_current", Column::IdleUnsafe).of(S),
    gauge("safe_idle_connections_current", Column::IdleSafe).of(S),
    gauge("used_connections_current", Column::UsedConnections).of(S),
    gauge("need_connections_current", Column::NeededConnections).of(S),
    gauge("uweight", Column::UserWeight).of(B | S),
    shaped("agg_server_status", Column::AggregatedServerStatus, Shape::ServerStates).of(B),
    shaped("agg_server_check_status", Column::AggregatedServerCheckStatus, Shape::ServerStates).of(B),
    shaped("agg_check_status", Column::AggregatedCheckStatus, Shape::CheckStates).of(B),
];
