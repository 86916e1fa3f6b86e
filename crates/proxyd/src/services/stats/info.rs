//! The figures of the process: `show info` in HAProxy 3.2's order (management manual, section 9.3, "show info").

use std::sync::atomic::Ordering::Relaxed;

use super::row::Value;
use crate::proxy::{Counter, Snapshot};

/// One figure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InfoField {
    /// The number of the typed format; it does not depend on what is left out.
    pub place: usize,
    pub name: &'static str,
    pub tag: &'static str,
    pub doc: &'static str,
    pub value: Value,
}

/// What only the program knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Program {
    /// What clients compare, such as `3.2.0`.
    pub version: String,
    /// `2026/11/22`.
    pub release_date: String,
}

/// All figures there are: name, tag, meaning.
const FIELDS: &[(&str, &str, &str)] = &[
    ("Name", "POS", "name of the product"),
    ("Version", "POS", "version that clients of HAProxy expect"),
    ("Release_date", "POS", "date of that version"),
    ("Nbthread", "CGS", "threads that carry traffic"),
    ("Nbproc", "CGS", "worker processes, always 1"),
    ("Process_num", "KGP", "number of the worker, always 1"),
    ("Pid", "SGP", "process number"),
    ("Uptime", "MDP", "time since the start in words"),
    ("Uptime_sec", "MDP", "seconds since the start"),
    ("Memmax_MB", "CLP", "limit of memory, 0 is none"),
    ("PoolAlloc_MB", "MGP", "memory held by pools"),
    ("PoolUsed_MB", "MGP", "memory of pools in use"),
    ("PoolFailed", "MCP", "failed allocations"),
    ("Ulimit-n", "CLP", "limit of descriptors"),
    ("Maxsock", "CLP", "limit of sockets"),
    ("Maxconn", "CLP", "limit of connections"),
    ("Hard_maxconn", "CLP", "highest limit of connections that can be set"),
    ("CurrConns", "MGP", "connections now"),
    ("CumConns", "MCP", "connections since the start"),
    ("CumReq", "MCP", "requests since the start"),
    ("MaxSslConns", "MMP", "limit of TLS connections, 0 is none"),
    ("CurrSslConns", "MGP", "TLS connections now"),
    ("CumSslConns", "MCP", "TLS connections since the start"),
    ("Maxpipes", "CLP", "limit of pipes for splicing, 0 is none"),
    ("PipesUsed", "MGP", "pipes in use"),
    ("PipesFree", "MGP", "pipes kept for use"),
    ("ConnRate", "MRP", "connections within the last second"),
    ("ConnRateLimit", "CLP", "limit of connections a second, 0 is none"),
    ("MaxConnRate", "MMP", "most connections within a second"),
    ("SessRate", "MRP", "sessions within the last second"),
    ("SessRateLimit", "CLP", "limit of sessions a second, 0 is none"),
    ("MaxSessRate", "MRP", "most sessions within a second"),
    ("SslRate", "MRP", "TLS connections within the last second"),
    ("SslRateLimit", "CLP", "limit of TLS connections a second, 0 is none"),
    ("MaxSslRate", "MMP", "most TLS connections within a second"),
    ("SslFrontendKeyRate", "MGP", "TLS keys made for clients within the last second"),
    ("SslFrontendMaxKeyRate", "MMP", "most TLS keys made for clients within a second"),
    ("SslFrontendSessionReuse_pct", "MGP", "percentage of resumed TLS sessions"),
    ("SslBackendKeyRate", "MRP", "TLS keys made for servers within the last second"),
    ("SslBackendMaxKeyRate", "MMP", "most TLS keys made for servers within a second"),
    ("SslCacheLookups", "MCP", "lookups in the TLS session cache"),
    ("SslCacheMisses", "MCP", "lookups that found nothing"),
    ("CompressBpsIn", "MRP", "bytes given to compression within the last second"),
    ("CompressBpsOut", "MRP", "bytes from compression within the last second"),
    ("CompressBpsRateLim", "CLP", "limit of compressed bytes a second, 0 is none"),
    ("ZlibMemUsage", "MGP", "memory of the compression library"),
    ("MaxZlibMemUsage", "CLP", "limit of that memory, 0 is none"),
    ("Tasks", "MGP", "tasks now"),
    ("Run_queue", "MGP", "tasks that wait to run"),
    ("Idle_pct", "MaP", "percentage of the last second spent waiting"),
    ("node", "COS", "name of the node"),
    ("description", "COS", "description of the node"),
    ("Stopping", "MGP", "1 while stopping"),
    ("Jobs", "MGP", "connections and listeners that keep the process alive"),
    ("Unstoppable Jobs", "MGP", "those that a soft stop does not wait for"),
    ("Listeners", "MGP", "listeners that accept"),
    ("ActivePeers", "MGP", "peers connected and agreed"),
    ("ConnectedPeers", "MGP", "peers connected"),
    ("DroppedLogs", "MGP", "log lines that no receiver took"),
    ("BusyPolling", "MGP", "1 when threads never sleep"),
    ("FailedResolutions", "MGP", "DNS resolutions that failed"),
    ("TotalBytesOut", "MGP", "bytes sent since the start"),
    ("TotalSplicedBytesOut", "MGP", "bytes sent through pipes"),
    ("BytesOutRate", "MRP", "bytes sent within the last second"),
    ("DebugCommandsIssued", "MGP", "debugging commands run"),
    ("CumRecvLogs", "MCP", "log messages received"),
    ("Build info", "POS", "version as built"),
    ("Memmax_bytes", "CLP", "limit of memory in bytes"),
    ("PoolAlloc_bytes", "MGP", "memory held by pools in bytes"),
    ("PoolUsed_bytes", "MGP", "memory of pools in use in bytes"),
    ("Start_time_sec", "MDP", "start, in seconds since the epoch"),
    ("Tainted", "SGP", "unusual features used, as a mask"),
    ("TotalWarnings", "MCP", "warnings since the start"),
    ("MaxconnReached", "MCP", "times the limit of connections was reached"),
    ("BootTime_ms", "MDP", "milliseconds the start took"),
    ("Niced_tasks", "MGP", "tasks with a priority"),
];

/// Collects the figures. `description` appears only where one is configured; figures of features that are not built in
/// (compression library) are left out.
pub fn collect(snapshot: &Snapshot, program: &Program) -> Vec<InfoField> {
    FIELDS
        .iter()
        .enumerate()
        .filter_map(|(place, (name, tag, doc))| {
            let value = value(name, snapshot, program)?;
            Some(InfoField { place, name, tag, doc, value })
        })
        .collect()
}

fn value(name: &str, snapshot: &Snapshot, program: &Program) -> Option<Value> {
    let process = &snapshot.process;
    let now_ms = process.now_ms();
    Some(match name {
        "Name" => Value::text("HAProxy"),
        "Version" | "Build info" => Value::text(program.version.clone()),
        "Release_date" => Value::text(program.release_date.clone()),
        "Nbthread" => u32_of(process.threads),
        "Nbproc" | "Process_num" => Value::U32(1),
        "Pid" => Value::U32(process.pid),
        "Uptime" => Value::text(uptime(now_ms / 1000)),
        "Uptime_sec" => Value::U32(clamp(now_ms / 1000)),
        "Ulimit-n" | "Maxsock" => Value::U32(clamp(descriptor_limit())),
        "Maxconn" | "Hard_maxconn" => Value::U32(process.maxconn.load(Relaxed)),
        "CurrConns" => Value::U32(process.connections.current()),
        "CumConns" => Value::U32(clamp(process.connections_total.load(Relaxed))),
        "CumReq" => Value::U32(clamp(process.requests_total.load(Relaxed))),
        "PipesUsed" => Value::U32(process.pipes.used()),
        "PipesFree" => Value::U32(process.pipes.free()),
        "ConnRate" => Value::U32(process.connection_rate.per_second(now_ms)),
        "ConnRateLimit" => Value::U32(process.connection_rate_limit.load(Relaxed)),
        "MaxConnRate" => Value::U32(process.connection_rate.max(now_ms)),
        "SessRate" => Value::U32(process.session_rate.per_second(now_ms)),
        "MaxSslConns" => Value::U32(process.tls.connections_max.load(Relaxed)),
        "CurrSslConns" => Value::U32(process.tls.connections.current()),
        "CumSslConns" => Value::U32(clamp(process.tls.connections_total.load(Relaxed))),
        "SslRate" | "SslFrontendKeyRate" => Value::U32(process.tls.rate.per_second(now_ms)),
        "SslRateLimit" => Value::U32(process.tls.rate_limit.load(Relaxed)),
        "MaxSslRate" => Value::U32(process.tls.rate.max(now_ms)),
        "SessRateLimit" => Value::U32(process.session_rate_limit.load(Relaxed)),
        "MaxSessRate" => Value::U32(process.session_rate.max(now_ms)),
        "ZlibMemUsage" | "MaxZlibMemUsage" => return None,
        "Tasks" => {
            Value::U32(process.connections.current().saturating_add(u32::try_from(process.threads).ok()?))
        }
        "Idle_pct" => Value::U32(process.idle_percent()),
        "node" => Value::text(node(snapshot)),
        "description" => Value::text(snapshot.global.description.clone()?),
        "Stopping" => Value::U32(u32::from(process.is_stopping())),
        "Jobs" => Value::U32(process.connections.current().saturating_add(listeners(snapshot))),
        "Listeners" => Value::U32(listeners(snapshot)),
        "DroppedLogs" => Value::U32(clamp(process.dropped_logs.load(Relaxed))),
        "TotalBytesOut" => Value::U64(bytes_out(snapshot)),
        "TotalSplicedBytesOut" => Value::U64(spliced(snapshot)),
        "BytesOutRate" | "PoolAlloc_bytes" | "PoolUsed_bytes" => Value::U64(0),
        "Start_time_sec" => Value::U32(clamp(process.started_wall_us / 1_000_000)),
        "Tainted" => Value::text("0"),
        _ => Value::U32(0),
    })
}

/// Bytes that left through pipes, to clients and to servers.
fn spliced(snapshot: &Snapshot) -> u64 {
    let to_clients = snapshot.frontends().map(|frontend| frontend.counters.value(Counter::SplicedOut));
    let to_servers = snapshot.backends().map(|backend| backend.counters.value(Counter::SplicedOut));
    to_clients.chain(to_servers).sum()
}

fn u32_of(n: usize) -> Value {
    Value::U32(u32::try_from(n).unwrap_or(u32::MAX))
}

fn clamp(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// `0d 0h00m21s`.
fn uptime(seconds: u64) -> String {
    format!("{}d {}h{:02}m{:02}s", seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60)
}

fn descriptor_limit() -> u64 {
    hacore::process::rlimit::open_files().map_or(0, |limit| limit.soft)
}

/// Never empty: some clients stop working without it.
fn node(snapshot: &Snapshot) -> String {
    let configured = snapshot.global.node.clone();
    configured.filter(|node| !node.is_empty()).unwrap_or_else(|| {
        let name = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        name.filter(|name| !name.is_empty()).unwrap_or_else(|| "localhost".to_owned())
    })
}

fn listeners(snapshot: &Snapshot) -> u32 {
    let proxies: usize = snapshot.frontends().map(|frontend| frontend.listeners.len()).sum();
    u32::try_from(proxies + snapshot.global.stats_sockets.len()).unwrap_or(u32::MAX)
}

fn bytes_out(snapshot: &Snapshot) -> u64 {
    snapshot.frontends().map(|frontend| frontend.counters.value(Counter::BytesOut)).sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::encode::{self, Encoding};
    use super::*;
    use crate::model::Config;
    use crate::proxy::Process;

    fn program() -> Program {
        Program { version: "3.2.0".into(), release_date: "2025/05/28".into() }
    }

    fn snapshot() -> Snapshot {
        Snapshot::build(&Config::default(), &Arc::new(Process::new(2, 1000)))
    }

    #[test]
    fn plain_lines_have_exactly_one_colon() {
        let mut out = String::new();
        encode::info(&collect(&snapshot(), &program()), Encoding::Plain, false, &mut out);
        assert!(out.starts_with("Name: HAProxy\nVersion: 3.2.0\nRelease_date: 2025/05/28\nNbthread: 2\n"));
        assert!(out.lines().all(|line| line.matches(':').count() == 1), "{out}");
        assert!(out.contains("\nMaxconn: 1000\n"));
    }

    #[test]
    fn the_number_of_a_typed_field_is_its_place_in_the_whole_list() {
        let mut out = String::new();
        encode::info(&collect(&snapshot(), &program()), Encoding::Typed, false, &mut out);
        assert!(out.contains("\n47.Tasks.1:MGP:u32:"), "{out}");
        assert!(out.contains("\n50.node.1:COS:str:"));
        assert!(out.contains("\n52.Stopping.1:MGP:u32:0\n"));
    }

    #[test]
    fn uptime_in_words() {
        assert_eq!(uptime(21), "0d 0h00m21s");
        assert_eq!(uptime(93_784), "1d 2h03m04s");
    }
}
