//! Rows of statistics from the run-time objects; which column each kind of object has is what HAProxy shows for it.

use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use hacore::health::{AdminState, Health, Operation};

use super::columns::Column;
use super::row::{ObjectKind, StatRow, Value};
use super::walk::Filter;
use crate::model::{Address, BalanceAlgorithm, Mode};
use crate::proxy::{
    Backend, Counter, Counters, Frontend, FrontendState, Listener, RequestTime, Server, Snapshot,
};

/// The moment that ages and rates are told for.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    now: Instant,
    /// The process's clock, which the rates count by.
    now_ms: u64,
}

impl Clock {
    pub fn of(snapshot: &Snapshot) -> Self {
        Self { now: Instant::now(), now_ms: snapshot.process.now_ms() }
    }

    fn seconds_since_ms(&self, at_ms: u64) -> u64 {
        self.now_ms.saturating_sub(at_ms) / 1000
    }
}

fn clamp(n: u64) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// The counters that a kind of object shows.
fn set_counters(row: &mut StatRow, counters: &Counters, columns: &[(Column, Counter)]) {
    for (column, counter) in columns {
        if row.wants(*column) {
            row.set(*column, Value::U64(counters.value(*counter)));
        }
    }
}

const TRAFFIC: &[(Column, Counter)] = &[
    (Column::SessionsTotal, Counter::Sessions),
    (Column::BytesIn, Counter::BytesIn),
    (Column::BytesOut, Counter::BytesOut),
    (Column::DeniedResponses, Counter::DeniedResponses),
    (Column::RewriteFailures, Counter::FailedRewrites),
    (Column::InternalErrors, Counter::InternalErrors),
];

const CLIENT_SIDE: &[(Column, Counter)] = &[
    (Column::DeniedRequests, Counter::DeniedRequests),
    (Column::RequestErrors, Counter::FailedRequests),
    (Column::DeniedConnections, Counter::DeniedConnections),
    (Column::DeniedSessions, Counter::DeniedSessions),
];

const SERVER_SIDE: &[(Column, Counter)] = &[
    (Column::ConnectionErrors, Counter::FailedConnections),
    (Column::ResponseErrors, Counter::FailedResponses),
    (Column::Retries, Counter::Retries),
    (Column::Redispatches, Counter::Redispatches),
    (Column::Balanced, Counter::Balanced),
    (Column::ClientAborts, Counter::ClientAborts),
    (Column::ServerAborts, Counter::ServerAborts),
    (Column::Connects, Counter::Connects),
    (Column::Reuses, Counter::Reuses),
];

const RESPONSES: &[(Column, Counter)] = &[
    (Column::Responses1xx, Counter::Responses1xx),
    (Column::Responses2xx, Counter::Responses2xx),
    (Column::Responses3xx, Counter::Responses3xx),
    (Column::Responses4xx, Counter::Responses4xx),
    (Column::Responses5xx, Counter::Responses5xx),
    (Column::ResponsesOther, Counter::ResponsesOther),
    (Column::RequestsTotal, Counter::Requests),
];

const COMPRESSION: &[(Column, Counter)] = &[
    (Column::CompressionIn, Counter::CompressionIn),
    (Column::CompressionOut, Counter::CompressionOut),
    (Column::CompressionBypassed, Counter::CompressionBypassed),
    (Column::CompressedResponses, Counter::CompressedResponses),
];

const PROTOCOLS: &[(Column, Counter)] = &[
    (Column::SessionsOther, Counter::OtherSessions),
    (Column::SessionsH1, Counter::Http1Sessions),
    (Column::SessionsH2, Counter::Http2Sessions),
    (Column::RequestsOther, Counter::OtherRequests),
    (Column::RequestsH1, Counter::Http1Requests),
    (Column::RequestsH2, Counter::Http2Requests),
];

/// What frontends and backends tell of splicing.
const SPLICED: &[(Column, Counter)] =
    &[(Column::SplicedIn, Counter::SplicedIn), (Column::SplicedOut, Counter::SplicedOut)];

pub(super) fn frontend_row(frontend: &Frontend, filter: &Filter, clock: &Clock) -> StatRow {
    let model = &frontend.model;
    let mut row =
        StatRow::new(ObjectKind::Frontend, &model.name, "FRONTEND", model.numeric_id, 0).only(filter.columns);
    set_counters(&mut row, &frontend.counters, TRAFFIC);
    set_counters(&mut row, &frontend.counters, CLIENT_SIDE);
    set_counters(&mut row, &frontend.counters, COMPRESSION);
    set_counters(&mut row, &frontend.counters, SPLICED);
    let request_rate = &frontend.request_rate;
    for (column, value) in [
        (Column::SessionsCurrent, frontend.sessions.current()),
        (Column::SessionsMax, frontend.sessions.max()),
        (Column::SessionLimit, frontend.maxconn()),
        (Column::Rate, frontend.session_rate.per_second(clock.now_ms)),
        (Column::RateMax, frontend.session_rate.max(clock.now_ms)),
        (Column::RateLimit, frontend.session_rate_limit.load(Relaxed)),
        (Column::RequestRate, request_rate.per_second(clock.now_ms)),
        (Column::RequestRateMax, request_rate.max(clock.now_ms)),
        (Column::ConnectionRate, frontend.connection_rate.per_second(clock.now_ms)),
        (Column::ConnectionRateMax, frontend.connection_rate.max(clock.now_ms)),
    ] {
        row.set(column, Value::U32(value));
    }
    row.set(Column::RequestsTotal, Value::U64(frontend.counters.value(Counter::Requests)));
    row.set(Column::ConnectionsTotal, Value::U64(frontend.counters.value(Counter::Connections)));
    if model.mode == Mode::Http {
        set_counters(&mut row, &frontend.counters, RESPONSES);
        set_counters(&mut row, &frontend.counters, PROTOCOLS);
        row.set(Column::Intercepted, Value::U64(frontend.counters.value(Counter::Intercepted)));
        set_zeroes(
            &mut row,
            &[Column::CacheLookups, Column::CacheHits, Column::SessionsH3, Column::RequestsH3],
        );
    }
    row.set(Column::Mode, Value::text(mode_name(model.mode)));
    row.set(
        Column::Status,
        Value::text(match frontend.state() {
            FrontendState::Open => "OPEN",
            FrontendState::Full => "FULL",
            FrontendState::Paused => "PAUSED",
            FrontendState::Stopped => "STOP",
        }),
    );
    row
}

/// Columns of features that are not there yet: nothing of it ever happened.
fn set_zeroes(row: &mut StatRow, columns: &[Column]) {
    for column in columns {
        row.set(*column, Value::U64(0));
    }
}

pub(super) fn listener_row(frontend: &Frontend, listener: &Listener, filter: &Filter) -> StatRow {
    let model = &frontend.model;
    let mut row =
        StatRow::new(ObjectKind::Listener, &model.name, &listener.name, model.numeric_id, listener.id)
            .only(filter.columns);
    set_counters(&mut row, &listener.counters, TRAFFIC);
    set_counters(&mut row, &listener.counters, CLIENT_SIDE);
    row.set(Column::SessionsCurrent, Value::U32(listener.sessions.current()));
    row.set(Column::SessionsMax, Value::U32(listener.sessions.max()));
    row.set(Column::SessionLimit, Value::U32(listener.maxconn.unwrap_or(0)));
    let full = listener.maxconn.is_some_and(|max| listener.sessions.current() >= max);
    row.set(Column::Status, Value::text(if full { "FULL" } else { "OPEN" }));
    row.set(Column::Mode, Value::text(mode_name(model.mode)));
    row.set(Column::Protocol, Value::text("tcp"));
    if filter.with_legends {
        let bound = listener.bound.get().map(ToString::to_string);
        row.set(Column::Address, Value::text(bound.unwrap_or_else(|| listener.model.text.clone())));
    }
    row
}

/// The row of a server, unless the filter's `up` or `no-maint` leave it out.
pub(super) fn server_row(
    backend: &Backend,
    server: &Server,
    filter: &Filter,
    clock: &Clock,
) -> Option<StatRow> {
    let model = &server.model;
    let proxy = &backend.model;
    let health = server.health.lock();
    let maintenance = health.admin() == AdminState::Maintenance;
    if filter.without_maintenance && maintenance || filter.only_up && (maintenance || !health.is_up()) {
        return None;
    }
    let mut row =
        StatRow::new(ObjectKind::Server, &proxy.name, &model.name, proxy.numeric_id, model.numeric_id)
            .only(filter.columns);
    set_health(&mut row, &health, server, clock);
    drop(health);
    set_counters(&mut row, &server.counters, TRAFFIC);
    set_counters(&mut row, &server.counters, SERVER_SIDE);
    if proxy.mode == Mode::Http {
        set_counters(&mut row, &server.counters, RESPONSES);
    }
    set_times(&mut row, &server.counters);
    set_last_session(&mut row, server.last_session_ms.load(Relaxed), clock);
    let maxconn = server.maxconn.load(Relaxed);
    for (column, value) in [
        (Column::QueueCurrent, Some(server.queue.len())),
        (Column::QueueMax, Some(server.queue.max())),
        (Column::SessionsCurrent, Some(server.sessions.current())),
        (Column::SessionsMax, Some(server.sessions.max())),
        (Column::SessionLimit, (maxconn > 0).then_some(maxconn)),
        (Column::QueueLimit, (model.maxqueue > 0).then_some(model.maxqueue)),
        (Column::Active, Some(u32::from(!model.backup))),
        (Column::Backup, Some(u32::from(model.backup))),
        (Column::Rate, Some(server.session_rate.per_second(clock.now_ms))),
        (Column::RateMax, Some(server.session_rate.max(clock.now_ms))),
        (Column::IdleConnections, Some(server.idle.total())),
        (Column::IdleLimit, model.pool_max_conn.and_then(|n| u32::try_from(n).ok())),
        (Column::IdleUnsafe, Some(0)),
        (Column::IdleSafe, Some(server.idle.total())),
        (Column::UsedConnections, Some(server.sessions.current())),
        (Column::NeededConnections, Some(server.sessions.max())),
        (Column::ServerRevision, Some(0)),
    ] {
        if let Some(value) = value {
            row.set(column, Value::U32(value));
        }
    }
    if let Some(tracked) = &model.track {
        row.set(Column::Tracked, Value::text(tracked.clone()));
    }
    row.set(Column::Mode, Value::text(mode_name(proxy.mode)));
    if filter.with_legends && row.wants(Column::Address) {
        row.set(Column::Address, Value::text(address_text(&server.address())));
    }
    if let Some(cookie) = model.cookie.as_ref().filter(|_| filter.with_legends) {
        row.set(Column::Cookie, Value::text(cookie.clone()));
    }
    Some(row)
}

fn set_health(row: &mut StatRow, health: &Health, server: &Server, clock: &Clock) {
    let weight = u32::from(health.weight());
    let throttle = health.slowstart_percent(clock.now);
    let effective = throttle.map_or(weight, |percent| (weight * u32::from(percent)).div_ceil(100));
    if row.wants(Column::Status) {
        row.set(Column::Status, Value::text(health.status().to_string()));
    }
    row.set(Column::Weight, Value::U32(effective));
    row.set(Column::UserWeight, Value::U32(weight));
    if let Some(percent) = throttle {
        row.set(Column::Throttle, Value::U32(u32::from(percent)));
    }
    let changed = clock.now.saturating_duration_since(health.changed_at()).as_secs();
    row.set(Column::LastChange, Value::U32(clamp(changed)));
    if !HEALTH_COLUMNS.iter().chain(&CHECK_COLUMNS).chain(&AGENT_COLUMNS).any(|column| row.wants(*column)) {
        return;
    }
    let (check, agent) = (health.check_fields(false), health.agent_fields(false));
    if check.counters.is_some()
        || agent.counters.is_some()
        || server.model.check && health.check_interval().is_none()
    {
        let totals = health.totals();
        row.set(Column::ChecksFailed, Value::U64(totals.failed_checks));
        row.set(Column::ChecksDown, Value::U64(totals.downs));
        row.set(Column::Downtime, Value::U32(clamp(totals.downtime(clock.now).as_secs())));
        if server.model.observe.is_some() {
            row.set(Column::Observed, Value::U64(totals.observed_failures));
        }
    }
    set_check(row, check, CHECK_COLUMNS);
    set_check(row, agent, AGENT_COLUMNS);
}

/// With those of [`CHECK_COLUMNS`] and [`AGENT_COLUMNS`], what [`set_health`] has to look at checks for.
const HEALTH_COLUMNS: &[Column] =
    &[Column::ChecksFailed, Column::ChecksDown, Column::Downtime, Column::Observed];

/// Status, code, duration, sentence, description, rise, fall, health.
type CheckColumns = [Column; 8];

const CHECK_COLUMNS: CheckColumns = [
    Column::CheckStatus,
    Column::CheckCode,
    Column::CheckDuration,
    Column::CheckDescription,
    Column::LastCheck,
    Column::CheckRise,
    Column::CheckFall,
    Column::CheckHealth,
];

const AGENT_COLUMNS: CheckColumns = [
    Column::AgentStatus,
    Column::AgentCode,
    Column::AgentDuration,
    Column::AgentDescription,
    Column::LastAgent,
    Column::AgentRise,
    Column::AgentFall,
    Column::AgentHealth,
];

fn set_check(row: &mut StatRow, fields: hacore::health::CheckFields, columns: CheckColumns) {
    let Some([rise, fall, health]) = fields.counters else { return };
    let [status, code, duration, sentence, description, rise_at, fall_at, health_at] = columns;
    row.set(status, Value::text(fields.status));
    if let Ok(value) = fields.code.parse() {
        row.set(code, Value::U32(value));
    }
    if let Ok(value) = fields.duration_ms.parse() {
        row.set(duration, Value::U64(value));
    }
    row.set(sentence, Value::text(fields.sentence));
    row.set(description, Value::text(fields.description));
    row.set(rise_at, Value::U32(rise));
    row.set(fall_at, Value::U32(fall));
    row.set(health_at, Value::U32(health));
}

fn set_times(row: &mut StatRow, counters: &Counters) {
    for (average, max, time) in [
        (Column::QueueTime, Column::QueueTimeMax, RequestTime::Queue),
        (Column::ConnectTime, Column::ConnectTimeMax, RequestTime::Connect),
        (Column::ResponseTime, Column::ResponseTimeMax, RequestTime::Response),
        (Column::TotalTime, Column::TotalTimeMax, RequestTime::Total),
    ] {
        if row.wants(average) {
            row.set(average, Value::U32(clamp(counters.average_ms(time))));
        }
        if row.wants(max) {
            row.set(max, Value::U32(clamp(counters.max_ms(time))));
        }
    }
}

fn set_last_session(row: &mut StatRow, last_ms: u64, clock: &Clock) {
    let age =
        (last_ms != u64::MAX).then(|| i32::try_from(clock.seconds_since_ms(last_ms)).unwrap_or(i32::MAX));
    row.set(Column::LastSession, Value::S32(age.unwrap_or(-1)));
}

/// What a backend's usable servers amount to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Usable {
    pub active: u32,
    pub backup: u32,
    /// Effective and configured weights of those that take traffic: the active ones, else the backups.
    pub weight: u32,
    pub user_weight: u32,
}

/// Counts the servers that new clients may go to.
pub fn usable(backend: &Backend, now: Instant) -> Usable {
    let mut sums = [Usable::default(), Usable::default()];
    for server in &backend.servers {
        let health = server.health.lock();
        let weight = u32::from(health.weight());
        let out = weight == 0
            || health.admin() != AdminState::Ready
            || matches!(health.operation(), Operation::Stopped | Operation::Stopping);
        if out {
            continue;
        }
        let percent = health.slowstart_percent(now).map_or(100, u32::from);
        let sum = &mut sums[usize::from(server.model.backup)];
        sum.active += u32::from(!server.model.backup);
        sum.backup += u32::from(server.model.backup);
        // Without `option allbackups` the first backup server carries everything.
        if server.model.backup && sum.backup > 1 && !backend.model.options.allbackups {
            continue;
        }
        sum.weight += (weight * percent).div_ceil(100);
        sum.user_weight += weight;
    }
    let [active, backup] = sums;
    let carrying = if active.active > 0 { active } else { backup };
    Usable { active: active.active, backup: backup.backup, ..carrying }
}

pub(super) fn backend_row(backend: &Backend, filter: &Filter, clock: &Clock) -> StatRow {
    let model = &backend.model;
    let mut row =
        StatRow::new(ObjectKind::Backend, &model.name, "BACKEND", model.numeric_id, 0).only(filter.columns);
    set_counters(&mut row, &backend.counters, TRAFFIC);
    set_counters(&mut row, &backend.counters, SERVER_SIDE);
    set_counters(&mut row, &backend.counters, COMPRESSION);
    set_counters(&mut row, &backend.counters, SPLICED);
    let denied = backend.counters.value(Counter::DeniedRequests);
    row.set(Column::DeniedRequests, Value::U64(denied));
    if model.mode == Mode::Http {
        set_counters(&mut row, &backend.counters, RESPONSES);
        set_zeroes(&mut row, &[Column::CacheLookups, Column::CacheHits]);
    }
    set_times(&mut row, &backend.counters);
    set_last_session(&mut row, backend.last_session_ms.load(Relaxed), clock);
    // All servers are looked at for these.
    let of_servers = [
        Column::Weight,
        Column::UserWeight,
        Column::Active,
        Column::Backup,
        Column::Status,
        Column::Downtime,
    ];
    let usable = match of_servers.iter().any(|column| row.wants(*column)) {
        true => usable(backend, clock.now),
        false => Usable::default(),
    };
    for (column, value) in [
        (Column::QueueCurrent, backend.queue.len()),
        (Column::QueueMax, backend.queue.max()),
        (Column::SessionsCurrent, backend.sessions.current()),
        (Column::SessionsMax, backend.sessions.max()),
        (Column::SessionLimit, backend.fullconn),
        (Column::Weight, usable.weight),
        (Column::UserWeight, usable.user_weight),
        (Column::Active, usable.active),
        (Column::Backup, usable.backup),
        (Column::Rate, backend.session_rate.per_second(clock.now_ms)),
        (Column::RateMax, backend.session_rate.max(clock.now_ms)),
        (Column::LastChange, clamp(clock.seconds_since_ms(backend.changed_ms.load(Relaxed)))),
        (Column::AggregatedServerStatus, 0),
        (Column::AggregatedServerCheckStatus, 0),
        (Column::AggregatedCheckStatus, 0),
    ] {
        row.set(column, Value::U32(value));
    }
    let up = usable.weight > 0 || backend.servers.is_empty();
    let status = if up { "UP" } else { "DOWN" };
    if (filter.only_up || filter.without_maintenance) && row.wants(Column::Status) {
        // Some rows are left out: of how many servers this is the sum.
        let running = |server: &&std::sync::Arc<Server>| {
            let health = server.health.lock();
            health.admin() != AdminState::Maintenance && health.operation() != Operation::Stopped
        };
        let (running, all) = (backend.servers.iter().filter(running).count(), backend.servers.len());
        row.set(Column::Status, Value::text(format!("{status} ({running}/{all})")));
    } else {
        row.set(Column::Status, Value::text(status));
    }
    row.set(Column::ChecksDown, Value::U64(backend.counters.value(Counter::DownTransitions)));
    if !backend.servers.is_empty() {
        row.set(Column::Downtime, Value::U32(clamp(downtime_s(backend, up, clock))));
    }
    row.set(Column::Mode, Value::text(mode_name(model.mode)));
    if filter.with_legends {
        row.set(Column::Algorithm, Value::text(algorithm_name(&model.balance.algorithm)));
        if let Some(cookie) = &model.cookie {
            row.set(Column::Cookie, Value::text(cookie.name.clone()));
        }
    }
    row
}

/// Time spent down before, and the time since the backend went down if it is.
fn downtime_s(backend: &Backend, up: bool, clock: &Clock) -> u64 {
    let running = if up { 0 } else { clock.now_ms.saturating_sub(backend.changed_ms.load(Relaxed)) };
    backend.down_ms.load(Relaxed).saturating_add(running) / 1000
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Tcp => "tcp",
        Mode::Http => "http",
        Mode::Log => "syslog",
        Mode::Spop => "spop",
    }
}

/// The word of `balance` as `show stat` has it.
pub fn algorithm_name(algorithm: &BalanceAlgorithm) -> &'static str {
    match algorithm {
        BalanceAlgorithm::RoundRobin => "roundrobin",
        BalanceAlgorithm::StaticRr => "static-rr",
        BalanceAlgorithm::LeastConn => "leastconn",
        BalanceAlgorithm::First => "first",
        BalanceAlgorithm::Random { .. } => "random",
        BalanceAlgorithm::PeakEwma => "peak-ewma",
        BalanceAlgorithm::Source => "source",
        BalanceAlgorithm::Uri { .. } => "uri",
        BalanceAlgorithm::UrlParam { .. } => "url_param",
        BalanceAlgorithm::Header { .. } => "hdr",
        BalanceAlgorithm::Hash(_) => "hash",
        BalanceAlgorithm::RdpCookie { .. } => "rdp-cookie",
        BalanceAlgorithm::LogHash(_) => "log-hash",
        BalanceAlgorithm::Sticky => "sticky",
    }
}

/// `127.0.0.1:80`, `unix`, `abns@name`.
pub fn address_text(address: &Address) -> String {
    match address {
        Address::Inet(address) => address.to_string(),
        Address::Name { host, port } => format!("{host}:{port}"),
        Address::Unix(_) => "unix".to_owned(),
        Address::Abstract(name) => format!("abns@{name}"),
        Address::Fd(number) => format!("fd@{number}"),
        Address::SocketPair(number) => format!("sockpair@{number}"),
    }
}
