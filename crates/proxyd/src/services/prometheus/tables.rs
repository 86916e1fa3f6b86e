//! Which metrics there are: names and types are those of HAProxy's exporter, figures those of `show stat` and `show info`.

use crate::services::stats::Column;

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

/// One metric of a kind of object.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    pub suffix: &'static str,
    pub column: Column,
    pub kind: Kind,
    pub shape: Shape,
    /// Only proxies of mode http have it.
    pub needs_http: bool,
    /// Only with `extra-counters`.
    pub is_extra: bool,
}

impl Metric {
    const fn http(self) -> Self {
        Self { needs_http: true, ..self }
    }

    const fn extra(self) -> Self {
        Self { is_extra: true, ..self }
    }
}

const fn gauge(suffix: &'static str, column: Column) -> Metric {
    Metric { suffix, column, kind: Kind::Gauge, shape: Shape::Plain, needs_http: false, is_extra: false }
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

pub const FRONTEND: &[Metric] = &[
    gauge("current_sessions", Column::SessionsCurrent),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::SessionsTotal),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("requests_denied_total", Column::DeniedRequests),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("request_errors_total", Column::RequestErrors),
    shaped("status", Column::Status, Shape::Status),
    gauge("limit_session_rate", Column::RateLimit),
    gauge("max_session_rate", Column::RateMax),
    RESPONSES_BY_CODE,
    gauge("http_requests_rate_max", Column::RequestRateMax).http(),
    counter("http_requests_total", Column::RequestsTotal).http(),
    counter("http_comp_bytes_in_total", Column::CompressionIn).http(),
    counter("http_comp_bytes_out_total", Column::CompressionOut).http(),
    counter("http_comp_bytes_bypassed_total", Column::CompressionBypassed).http(),
    counter("http_comp_responses_total", Column::CompressedResponses).http(),
    gauge("connections_rate_max", Column::ConnectionRateMax),
    counter("connections_total", Column::ConnectionsTotal),
    counter("intercepted_requests_total", Column::Intercepted),
    counter("denied_connections_total", Column::DeniedConnections),
    counter("denied_sessions_total", Column::DeniedSessions),
    counter("failed_header_rewriting_total", Column::RewriteFailures),
    counter("http_cache_lookups_total", Column::CacheLookups).http(),
    counter("http_cache_hits_total", Column::CacheHits).http(),
    counter("internal_errors_total", Column::InternalErrors),
    counter("h1_total_sessions", Column::SessionsH1).http().extra(),
    counter("h1_total_requests", Column::RequestsH1).http().extra(),
    counter("h2_total_sessions", Column::SessionsH2).http().extra(),
    counter("h2_total_requests", Column::RequestsH2).http().extra(),
];

pub const LISTENER: &[Metric] = &[
    gauge("current_sessions", Column::SessionsCurrent),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::SessionsTotal),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("requests_denied_total", Column::DeniedRequests),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("request_errors_total", Column::RequestErrors),
    shaped("status", Column::Status, Shape::Status),
    counter("denied_connections_total", Column::DeniedConnections),
    counter("denied_sessions_total", Column::DeniedSessions),
    counter("failed_header_rewriting_total", Column::RewriteFailures),
    counter("internal_errors_total", Column::InternalErrors),
];

pub const BACKEND: &[Metric] = &[
    gauge("current_queue", Column::QueueCurrent),
    gauge("max_queue", Column::QueueMax),
    gauge("current_sessions", Column::SessionsCurrent),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::SessionsTotal),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("requests_denied_total", Column::DeniedRequests),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("connection_errors_total", Column::ConnectionErrors),
    counter("response_errors_total", Column::ResponseErrors),
    counter("retry_warnings_total", Column::Retries),
    counter("redispatch_warnings_total", Column::Redispatches),
    shaped("status", Column::Status, Shape::Status),
    gauge("weight", Column::Weight),
    gauge("active_servers", Column::Active),
    gauge("backup_servers", Column::Backup),
    counter("check_up_down_total", Column::ChecksDown),
    gauge("check_last_change_seconds", Column::LastChange),
    counter("downtime_seconds_total", Column::Downtime),
    counter("loadbalanced_total", Column::Balanced),
    gauge("max_session_rate", Column::RateMax),
    RESPONSES_BY_CODE,
    counter("http_requests_total", Column::RequestsTotal).http(),
    counter("client_aborts_total", Column::ClientAborts),
    counter("server_aborts_total", Column::ServerAborts),
    counter("http_comp_bytes_in_total", Column::CompressionIn).http(),
    counter("http_comp_bytes_out_total", Column::CompressionOut).http(),
    counter("http_comp_bytes_bypassed_total", Column::CompressionBypassed).http(),
    counter("http_comp_responses_total", Column::CompressedResponses).http(),
    gauge("last_session_seconds", Column::LastSession),
    milliseconds("queue_time_average_seconds", Column::QueueTime),
    milliseconds("connect_time_average_seconds", Column::ConnectTime),
    milliseconds("response_time_average_seconds", Column::ResponseTime),
    milliseconds("total_time_average_seconds", Column::TotalTime),
    counter("failed_header_rewriting_total", Column::RewriteFailures),
    counter("connection_attempts_total", Column::Connects),
    counter("connection_reuses_total", Column::Reuses),
    counter("http_cache_lookups_total", Column::CacheLookups).http(),
    counter("http_cache_hits_total", Column::CacheHits).http(),
    milliseconds("max_queue_time_seconds", Column::QueueTimeMax),
    milliseconds("max_connect_time_seconds", Column::ConnectTimeMax),
    milliseconds("max_response_time_seconds", Column::ResponseTimeMax),
    milliseconds("max_total_time_seconds", Column::TotalTimeMax),
    counter("internal_errors_total", Column::InternalErrors),
    gauge("uweight", Column::UserWeight),
    shaped("agg_server_status", Column::AggregatedServerStatus, Shape::ServerStates),
    shaped("agg_server_check_status", Column::AggregatedServerCheckStatus, Shape::ServerStates),
    shaped("agg_check_status", Column::AggregatedCheckStatus, Shape::CheckStates),
];

pub const SERVER: &[Metric] = &[
    gauge("current_queue", Column::QueueCurrent),
    gauge("max_queue", Column::QueueMax),
    gauge("current_sessions", Column::SessionsCurrent),
    gauge("max_sessions", Column::SessionsMax),
    gauge("limit_sessions", Column::SessionLimit),
    counter("sessions_total", Column::SessionsTotal),
    counter("bytes_in_total", Column::BytesIn),
    counter("bytes_out_total", Column::BytesOut),
    counter("responses_denied_total", Column::DeniedResponses),
    counter("connection_errors_total", Column::ConnectionErrors),
    counter("response_errors_total", Column::ResponseErrors),
    counter("retry_warnings_total", Column::Retries),
    counter("redispatch_warnings_total", Column::Redispatches),
    shaped("status", Column::Status, Shape::Status),
    gauge("weight", Column::Weight),
    counter("check_failures_total", Column::ChecksFailed),
    counter("check_up_down_total", Column::ChecksDown),
    gauge("check_last_change_seconds", Column::LastChange),
    counter("downtime_seconds_total", Column::Downtime),
    gauge("queue_limit", Column::QueueLimit),
    gauge("current_throttle", Column::Throttle),
    counter("loadbalanced_total", Column::Balanced),
    gauge("max_session_rate", Column::RateMax),
    shaped("check_status", Column::CheckStatus, Shape::CheckStatus),
    gauge("check_code", Column::CheckCode),
    milliseconds("check_duration_seconds", Column::CheckDuration),
    RESPONSES_BY_CODE,
    counter("client_aborts_total", Column::ClientAborts),
    counter("server_aborts_total", Column::ServerAborts),
    gauge("last_session_seconds", Column::LastSession),
    milliseconds("queue_time_average_seconds", Column::QueueTime),
    milliseconds("connect_time_average_seconds", Column::ConnectTime),
    milliseconds("response_time_average_seconds", Column::ResponseTime),
    milliseconds("total_time_average_seconds", Column::TotalTime),
    counter("failed_header_rewriting_total", Column::RewriteFailures),
    counter("connection_attempts_total", Column::Connects),
    counter("connection_reuses_total", Column::Reuses),
    gauge("idle_connections_current", Column::IdleConnections),
    gauge("idle_connections_limit", Column::IdleLimit),
    milliseconds("max_queue_time_seconds", Column::QueueTimeMax),
    milliseconds("max_connect_time_seconds", Column::ConnectTimeMax),
    milliseconds("max_response_time_seconds", Column::ResponseTimeMax),
    milliseconds("max_total_time_seconds", Column::TotalTimeMax),
    counter("internal_errors_total", Column::InternalErrors),
    gauge("unsafe_idle_connections_current", Column::IdleUnsafe),
    gauge("safe_idle_connections_current", Column::IdleSafe),
    gauge("used_connections_current", Column::UsedConnections),
    gauge("need_connections_current", Column::NeededConnections),
    gauge("uweight", Column::UserWeight),
];
