//! The columns of `show stat`: names, order, tags and meaning.
//!
//! Names and order are HAProxy 3.2's (management manual, section 9.1); the tags are the three letters of the typed
//! format (section 9.2), compared with what the real program prints.

/// What one column is.
#[derive(Debug)]
pub struct ColumnInfo {
    pub column: Column,
    pub name: &'static str,
    /// Origin, nature and scope of the typed format.
    tag: &'static str,
    /// Where a backend's row has another tag.
    backend_tag: Option<&'static str>,
    pub doc: &'static str,
}

/// A column; its number is its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(usize)]
pub enum Column {
    ProxyName,
    ServiceName,
    QueueCurrent,
    QueueMax,
    SessionsCurrent,
    SessionsMax,
    SessionLimit,
    SessionsTotal,
    BytesIn,
    BytesOut,
    DeniedRequests,
    DeniedResponses,
    RequestErrors,
    ConnectionErrors,
    ResponseErrors,
    Retries,
    Redispatches,
    Status,
    Weight,
    Active,
    Backup,
    ChecksFailed,
    ChecksDown,
    LastChange,
    Downtime,
    QueueLimit,
    ProcessNumber,
    ProxyNumber,
    ServerNumber,
    Throttle,
    Balanced,
    Tracked,
    Type,
    Rate,
    RateLimit,
    RateMax,
    CheckStatus,
    CheckCode,
    CheckDuration,
    Responses1xx,
    Responses2xx,
    Responses3xx,
    Responses4xx,
    Responses5xx,
    ResponsesOther,
    Observed,
    RequestRate,
    RequestRateMax,
    RequestsTotal,
    ClientAborts,
    ServerAborts,
    CompressionIn,
    CompressionOut,
    CompressionBypassed,
    CompressedResponses,
    LastSession,
    LastCheck,
    LastAgent,
    QueueTime,
    ConnectTime,
    ResponseTime,
    TotalTime,
    AgentStatus,
    AgentCode,
    AgentDuration,
    CheckDescription,
    AgentDescription,
    CheckRise,
    CheckFall,
    CheckHealth,
    AgentRise,
    AgentFall,
    AgentHealth,
    Address,
    Cookie,
    Mode,
    Algorithm,
    ConnectionRate,
    ConnectionRateMax,
    ConnectionsTotal,
    Intercepted,
    DeniedConnections,
    DeniedSessions,
    RewriteFailures,
    Connects,
    Reuses,
    CacheLookups,
    CacheHits,
    IdleConnections,
    IdleLimit,
    QueueTimeMax,
    ConnectTimeMax,
    ResponseTimeMax,
    TotalTimeMax,
    InternalErrors,
    IdleUnsafe,
    IdleSafe,
    UsedConnections,
    NeededConnections,
    UserWeight,
    AggregatedServerStatus,
    AggregatedServerCheckStatus,
    AggregatedCheckStatus,
    ServerRevision,
    SessionsOther,
    SessionsH1,
    SessionsH2,
    SessionsH3,
    RequestsOther,
    RequestsH1,
    RequestsH2,
    RequestsH3,
    Protocol,
    SplicedIn,
    SplicedOut,
}

/// How many columns a row has.
pub const COLUMN_COUNT: usize = Column::SplicedOut as usize + 1;

impl Column {
    pub fn info(self) -> &'static ColumnInfo {
        &COLUMNS[self as usize]
    }

    /// By the name in the header line.
    pub fn from_name(name: &str) -> Option<Self> {
        COLUMNS.iter().find(|info| info.name == name).map(|info| info.column)
    }
}

impl ColumnInfo {
    /// The three letters in the row of a backend or of anything else.
    pub fn tag(&self, of_backend: bool) -> &'static str {
        if of_backend { self.backend_tag.unwrap_or(self.tag) } else { self.tag }
    }
}

const fn info(
    column: Column,
    name: &'static str,
    tag: &'static str,
    backend_tag: Option<&'static str>,
    doc: &'static str,
) -> ColumnInfo {
    ColumnInfo { column, name, tag, backend_tag, doc }
}

/// All columns in order.
pub const COLUMNS: [ColumnInfo; COLUMN_COUNT] = [
    info(Column::ProxyName, "pxname", "KNS", None, "name of the proxy"),
    info(
        Column::ServiceName,
        "svname",
        "KNS",
        None,
        "FRONTEND, BACKEND, or the name of the server or listener",
    ),
    info(Column::QueueCurrent, "qcur", "MGP", None, "requests that wait now"),
    info(Column::QueueMax, "qmax", "MMP", None, "most requests that ever waited"),
    info(Column::SessionsCurrent, "scur", "MGP", None, "sessions now"),
    info(Column::SessionsMax, "smax", "MMP", None, "most sessions at once"),
    info(
        Column::SessionLimit,
        "slim",
        "CLP",
        None,
        "maxconn of a frontend, listener or server, fullconn of a backend",
    ),
    info(Column::SessionsTotal, "stot", "MCP", None, "sessions since the start"),
    info(Column::BytesIn, "bin", "MCP", None, "bytes from clients"),
    info(Column::BytesOut, "bout", "MCP", None, "bytes to clients"),
    info(Column::DeniedRequests, "dreq", "MCP", None, "requests refused by rules"),
    info(Column::DeniedResponses, "dresp", "MCP", None, "responses refused by rules"),
    info(Column::RequestErrors, "ereq", "MCP", None, "requests that could not be read"),
    info(Column::ConnectionErrors, "econ", "MCP", None, "connections to servers that failed"),
    info(Column::ResponseErrors, "eresp", "MCP", None, "responses that could not be used"),
    info(Column::Retries, "wretr", "MCP", None, "connections tried again"),
    info(Column::Redispatches, "wredis", "MCP", None, "requests given to another server"),
    info(Column::Status, "status", "SGP", None, "state: OPEN, UP, DOWN, MAINT and so on"),
    info(Column::Weight, "weight", "MaP", None, "weight in effect, summed over a backend's usable servers"),
    info(Column::Active, "act", "SGP", Some("MGP"), "usable active servers; 1 on an active server"),
    info(Column::Backup, "bck", "SGP", Some("MGP"), "usable backup servers; 1 on a backup server"),
    info(Column::ChecksFailed, "chkfail", "MCP", None, "failed checks while up"),
    info(Column::ChecksDown, "chkdown", "MCP", None, "transitions to down"),
    info(Column::LastChange, "lastchg", "MAP", None, "seconds since the last transition"),
    info(Column::Downtime, "downtime", "MCP", None, "seconds spent down"),
    info(Column::QueueLimit, "qlimit", "CLS", None, "maxqueue of a server"),
    info(Column::ProcessNumber, "pid", "KGP", None, "always 1"),
    info(Column::ProxyNumber, "iid", "KGS", None, "number of the proxy"),
    info(Column::ServerNumber, "sid", "KGS", None, "number of the server or listener"),
    info(Column::Throttle, "throttle", "MaP", None, "percentage of the weight during slow start"),
    info(Column::Balanced, "lbtot", "MCP", None, "times a server was chosen by balancing"),
    info(Column::Tracked, "tracked", "CNS", None, "backend/server whose state is followed"),
    info(Column::Type, "type", "CGS", None, "0 frontend, 1 backend, 2 server, 3 listener"),
    info(Column::Rate, "rate", "MRP", Some("MGP"), "sessions within the last second"),
    info(Column::RateLimit, "rate_lim", "CLP", None, "limit of new sessions a second"),
    info(Column::RateMax, "rate_max", "MMP", Some("MGP"), "most sessions within a second"),
    info(Column::CheckStatus, "check_status", "MOP", None, "how the last check ended"),
    info(Column::CheckCode, "check_code", "MOP", None, "layer 7 code of the last check"),
    info(Column::CheckDuration, "check_duration", "MDP", None, "milliseconds the last check took"),
    info(Column::Responses1xx, "hrsp_1xx", "MCP", None, "responses with a 1xx status"),
    info(Column::Responses2xx, "hrsp_2xx", "MCP", None, "responses with a 2xx status"),
    info(Column::Responses3xx, "hrsp_3xx", "MCP", None, "responses with a 3xx status"),
    info(Column::Responses4xx, "hrsp_4xx", "MCP", None, "responses with a 4xx status"),
    info(Column::Responses5xx, "hrsp_5xx", "MCP", None, "responses with a 5xx status"),
    info(Column::ResponsesOther, "hrsp_other", "MCP", None, "responses with any other status"),
    info(Column::Observed, "hanafail", "MCP", None, "failures seen by observing traffic"),
    info(Column::RequestRate, "req_rate", "MRP", None, "HTTP requests within the last second"),
    info(Column::RequestRateMax, "req_rate_max", "MMP", None, "most HTTP requests within a second"),
    info(Column::RequestsTotal, "req_tot", "MCP", None, "HTTP requests since the start"),
    info(Column::ClientAborts, "cli_abrt", "MCP", None, "transfers that the client broke off"),
    info(Column::ServerAborts, "srv_abrt", "MCP", None, "transfers that the server broke off"),
    info(Column::CompressionIn, "comp_in", "MCP", None, "bytes given to compression"),
    info(Column::CompressionOut, "comp_out", "MCP", None, "bytes that came out of compression"),
    info(Column::CompressionBypassed, "comp_byp", "MCP", None, "bytes that passed by compression"),
    info(Column::CompressedResponses, "comp_rsp", "MCP", None, "responses that were compressed"),
    info(Column::LastSession, "lastsess", "MAP", None, "seconds since the last session; -1 before the first"),
    info(Column::LastCheck, "last_chk", "MOP", None, "what the last check had to say"),
    info(Column::LastAgent, "last_agt", "MOP", None, "what the last agent check had to say"),
    info(Column::QueueTime, "qtime", "MaP", None, "average milliseconds in the queue"),
    info(Column::ConnectTime, "ctime", "MaP", None, "average milliseconds to connect"),
    info(Column::ResponseTime, "rtime", "MaP", None, "average milliseconds to the response"),
    info(Column::TotalTime, "ttime", "MaP", None, "average milliseconds in all"),
    info(Column::AgentStatus, "agent_status", "MOP", None, "how the last agent check ended"),
    info(Column::AgentCode, "agent_code", "MOP", None, "code of the last agent check"),
    info(Column::AgentDuration, "agent_duration", "MDP", None, "milliseconds the last agent check took"),
    info(Column::CheckDescription, "check_desc", "MOP", None, "check_status in words"),
    info(Column::AgentDescription, "agent_desc", "MOP", None, "agent_status in words"),
    info(Column::CheckRise, "check_rise", "CGS", None, "rise of the server"),
    info(Column::CheckFall, "check_fall", "CGS", None, "fall of the server"),
    info(Column::CheckHealth, "check_health", "CGS", None, "counter of checks, up from rise on"),
    info(Column::AgentRise, "agent_rise", "CGS", None, "rise of the agent check"),
    info(Column::AgentFall, "agent_fall", "CGS", None, "fall of the agent check"),
    info(Column::AgentHealth, "agent_health", "CGS", None, "counter of agent checks"),
    info(Column::Address, "addr", "CGS", None, "address and port"),
    info(Column::Cookie, "cookie", "CNS", None, "cookie value of a server, cookie name of a backend"),
    info(Column::Mode, "mode", "CGS", None, "mode of the proxy"),
    info(Column::Algorithm, "algo", "CGS", None, "balancing algorithm"),
    info(Column::ConnectionRate, "conn_rate", "MRP", None, "connections within the last second"),
    info(Column::ConnectionRateMax, "conn_rate_max", "MMP", None, "most connections within a second"),
    info(Column::ConnectionsTotal, "conn_tot", "MCP", None, "connections since the start"),
    info(Column::Intercepted, "intercepted", "MCP", None, "requests that the proxy answered itself"),
    info(Column::DeniedConnections, "dcon", "MCP", None, "connections refused by rules"),
    info(Column::DeniedSessions, "dses", "MCP", None, "sessions refused by rules"),
    info(Column::RewriteFailures, "wrew", "MCP", None, "headers that could not be rewritten"),
    info(Column::Connects, "connect", "MCP", None, "connections made to servers"),
    info(Column::Reuses, "reuse", "MCP", None, "server connections used again"),
    info(Column::CacheLookups, "cache_lookups", "MCP", None, "requests looked up in the cache"),
    info(Column::CacheHits, "cache_hits", "MCP", None, "requests answered from the cache"),
    info(Column::IdleConnections, "srv_icur", "MGP", None, "idle server connections"),
    info(Column::IdleLimit, "src_ilim", "CLP", None, "most idle server connections kept"),
    info(Column::QueueTimeMax, "qtime_max", "MMP", None, "longest milliseconds in the queue"),
    info(Column::ConnectTimeMax, "ctime_max", "MMP", None, "longest milliseconds to connect"),
    info(Column::ResponseTimeMax, "rtime_max", "MMP", None, "longest milliseconds to the response"),
    info(Column::TotalTimeMax, "ttime_max", "MMP", None, "longest milliseconds in all"),
    info(Column::InternalErrors, "eint", "MCP", None, "internal errors"),
    info(Column::IdleUnsafe, "idle_conn_cur", "MGP", None, "idle connections that served one request only"),
    info(Column::IdleSafe, "safe_conn_cur", "MGP", None, "idle connections known to be reusable"),
    info(Column::UsedConnections, "used_conn_cur", "MGP", None, "server connections in use"),
    info(Column::NeededConnections, "need_conn_est", "MGP", None, "server connections likely to be needed"),
    info(Column::UserWeight, "uweight", "MaP", None, "weight as set by the user"),
    info(Column::AggregatedServerStatus, "agg_server_status", "MGP", None, "servers by state, summed"),
    info(
        Column::AggregatedServerCheckStatus,
        "agg_server_check_status",
        "MGP",
        None,
        "older name of agg_server_status",
    ),
    info(Column::AggregatedCheckStatus, "agg_check_status", "MGP", None, "servers by check status, summed"),
    info(Column::ServerRevision, "srid", "MGP", None, "how often the slot was given to a new server"),
    info(Column::SessionsOther, "sess_other", "MCP", None, "sessions of neither HTTP version"),
    info(Column::SessionsH1, "h1sess", "MCP", None, "HTTP/1 sessions"),
    info(Column::SessionsH2, "h2sess", "MCP", None, "HTTP/2 sessions"),
    info(Column::SessionsH3, "h3sess", "MCP", None, "HTTP/3 sessions"),
    info(Column::RequestsOther, "req_other", "MCP", None, "requests of no known HTTP version"),
    info(Column::RequestsH1, "h1req", "MCP", None, "HTTP/1 requests"),
    info(Column::RequestsH2, "h2req", "MCP", None, "HTTP/2 requests"),
    info(Column::RequestsH3, "h3req", "MCP", None, "HTTP/3 requests"),
    info(Column::Protocol, "proto", "CGS", None, "transport of a listener"),
    info(Column::SplicedIn, "h1_spliced_bytes_in", "MCP", None, "bytes received through pipes"),
    info(Column::SplicedOut, "h1_spliced_bytes_out", "MCP", None, "bytes sent through pipes"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_column_stands_at_its_place() {
        for (place, info) in COLUMNS.iter().enumerate() {
            assert_eq!(info.column as usize, place, "{}", info.name);
            assert_eq!(Column::from_name(info.name), Some(info.column));
            // A fourth letter for what is only counted while it happens.
            assert!(matches!(info.tag.len(), 3 | 4), "{}", info.name);
        }
    }
}
