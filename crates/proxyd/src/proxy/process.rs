//! What the whole process counts and limits: connections, rates, uptime, whether it is stopping.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use super::counters::{Gauge, Rate};

/// Figures of `show info` and the process-wide limits. It outlives reloads.
#[derive(Debug)]
pub struct Process {
    /// The zero of the monotonic clock used in [`crate::txn::Timing`].
    pub started: Instant,
    /// The same moment on the wall clock, microseconds since the epoch.
    pub started_wall_us: u64,
    pub pid: u32,
    /// Data-plane threads.
    pub threads: usize,
    /// `maxconn`, changed by `set maxconn global`.
    pub maxconn: AtomicU32,
    /// `rate-limit`s of the process (`set rate-limit connections global`), 0 = none.
    pub connection_rate_limit: AtomicU32,
    pub session_rate_limit: AtomicU32,
    /// `CurrConns`, and its maximum (`MaxConn` seen).
    pub connections: Gauge,
    /// `CumConns`, `CumReq`.
    pub connections_total: AtomicU64,
    pub requests_total: AtomicU64,
    pub connection_rate: Rate,
    pub session_rate: Rate,
    pub request_rate: Rate,
    pub tls: TlsFigures,
    /// What each data-plane thread tells of itself.
    pub pulses: Vec<Pulse>,
    /// Messages that could not be read, for `show errors`.
    pub captures: parking_lot::Mutex<super::captures::Captures>,
    /// A soft stop is under way.
    pub stopping: AtomicBool,
    /// `PipesUsed`, `PipesFree` of splice.
    pub pipes: std::sync::Arc<crate::net::PipeFigures>,
    /// Log lines that no target would take without blocking (`DroppedLogs`).
    pub dropped_logs: AtomicU64,
    /// The rings that the configuration in force has (`show events`).
    pub rings: parking_lot::Mutex<Vec<std::sync::Arc<crate::logs::Ring>>>,
    /// Carries out what the statistics page is told to do with servers; set once the services run.
    pub reporter: std::sync::OnceLock<std::sync::Arc<super::checks::Reporter>>,
    /// Makes long answers, once the services run.
    pub renderer: std::sync::OnceLock<crate::services::report::Renderer>,
    /// Who hears what traffic shows of servers, once there are services.
    pub observer: std::sync::OnceLock<std::sync::Arc<dyn Observer>>,
    /// `proc.` variables, once the process runs.
    pub variables: std::sync::OnceLock<std::sync::Arc<crate::stream::ProcessVariables>>,
}

/// A data-plane thread's sign of life; the thread alone writes it.
#[derive(Debug, Default)]
pub struct Pulse {
    /// When it last began a turn, milliseconds of the process's clock.
    pub beat_ms: AtomicU64,
    /// Turns of its loop, those that events began, and the connections it accepted.
    pub turns: AtomicU64,
    pub turns_with_events: AtomicU64,
    pub accepted: AtomicU64,
    /// How much of the last second it waited, percent.
    pub idle_percent: AtomicU32,
}

/// TLS connections of clients (`CurrSslConns`, `SslRate` and relatives) and their limits; 0 is none.
#[derive(Debug)]
pub struct TlsFigures {
    pub connections: Gauge,
    pub connections_total: AtomicU64,
    pub rate: Rate,
    /// `maxsslconn`.
    pub connections_max: AtomicU32,
    /// `maxsslrate`.
    pub rate_limit: AtomicU32,
}

impl TlsFigures {
    fn new(threads: usize) -> Self {
        Self {
            connections: Gauge::default(),
            connections_total: AtomicU64::new(0),
            rate: Rate::new(threads),
            connections_max: AtomicU32::new(0),
            rate_limit: AtomicU32::new(0),
        }
    }

    /// Sets both limits.
    pub fn limit(&self, connections: Option<u32>, rate: Option<u32>) {
        self.connections_max.store(connections.unwrap_or(0), Relaxed);
        self.rate_limit.store(rate.unwrap_or(0), Relaxed);
    }

    /// Counts a connection that begins.
    pub fn count(&self, now_ms: u64) {
        self.connections.increment();
        self.connections_total.fetch_add(1, Relaxed);
        self.rate.tick(now_ms);
    }

    /// Whether there is room for one more.
    pub fn has_room(&self) -> bool {
        match self.connections_max.load(Relaxed) {
            0 => true,
            max => self.connections.current() < max,
        }
    }
}

/// Hears what traffic shows of servers (`observe`, `option outlier-ejection`); called by the data plane's threads.
pub trait Observer: Send + Sync + std::fmt::Debug {
    fn observe(
        &self,
        backend: crate::model::ProxyId,
        server: crate::model::ServerId,
        observation: hacore::health::Observation,
    );
}

impl Process {
    /// The process's figures at its start.
    pub fn new(threads: usize, maxconn: u32) -> Self {
        Self {
            started: Instant::now(),
            started_wall_us: wall_us(),
            pid: std::process::id(),
            threads,
            maxconn: AtomicU32::new(maxconn),
            connection_rate_limit: AtomicU32::new(0),
            session_rate_limit: AtomicU32::new(0),
            connections: Gauge::default(),
            connections_total: AtomicU64::new(0),
            requests_total: AtomicU64::new(0),
            connection_rate: Rate::new(threads),
            session_rate: Rate::new(threads),
            request_rate: Rate::new(threads),
            tls: TlsFigures::new(threads),
            pulses: std::iter::repeat_with(Pulse::default).take(threads).collect(),
            captures: parking_lot::Mutex::default(),
            stopping: AtomicBool::new(false),
            pipes: std::sync::Arc::default(),
            dropped_logs: AtomicU64::new(0),
            rings: parking_lot::Mutex::default(),
            reporter: std::sync::OnceLock::new(),
            renderer: std::sync::OnceLock::new(),
            observer: std::sync::OnceLock::new(),
            variables: std::sync::OnceLock::new(),
        }
    }

    /// `maxconnrate`, `maxsessrate`; none is no limit.
    pub fn limit_rates(&self, connections: Option<u32>, sessions: Option<u32>) {
        self.connection_rate_limit.store(connections.unwrap_or(0), Relaxed);
        self.session_rate_limit.store(sessions.unwrap_or(0), Relaxed);
    }

    /// Microseconds since the start.
    pub fn now_us(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Milliseconds since the start: the clock of [`Rate`].
    pub fn now_ms(&self) -> u64 {
        self.now_us() / 1000
    }

    /// Threads that have not begun a turn for longer than this, by number from 1.
    pub fn stuck_threads(&self, longer_than_ms: u64) -> Vec<usize> {
        let now_ms = self.now_ms();
        let is_stuck = |pulse: &Pulse| now_ms.saturating_sub(pulse.beat_ms.load(Relaxed)) > longer_than_ms;
        (1..).zip(&self.pulses).filter(|(_, pulse)| is_stuck(pulse)).map(|(number, _)| number).collect()
    }

    /// `Idle_pct`: the mean of the threads.
    pub fn idle_percent(&self) -> u32 {
        let sum: u64 = self.pulses.iter().map(|pulse| u64::from(pulse.idle_percent.load(Relaxed))).sum();
        u32::try_from(sum / (self.pulses.len() as u64).max(1)).unwrap_or(100)
    }

    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Relaxed)
    }
}

/// The wall clock in microseconds since the epoch.
pub fn wall_us() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| u64::try_from(d.as_micros()).unwrap_or(u64::MAX))
}
