//! A server at run time: address, condition, slots, queue, counters.
//!
//! The health state machine sits behind a lock that only checks and commands take; what the request path asks
//! (`is_usable`, `is_stopped`, slots) is mirrored in atomics by [`super::Backend::update_health`].
//!
//! A [`Server`] belongs to one configuration; its [`ServerLife`] is shared by all configurations that have the server,
//! so that a reload forgets nothing.

use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI8, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hacore::balance::latency::PeakEwma;
use hacore::balance::{Load, ServerIndex};
use hacore::health::{Health, InitState, Layer, Observe, OnError, Settings, Timing};
use parking_lot::Mutex;

use super::counters::{Gauge, Rate, ServerCounters};
use super::idle::IdleCounts;
use super::queue::Queue;
use crate::model::{self, Address, InitialState, ProxyId, ServerId};

/// One server of a backend, as one configuration has it.
#[derive(Debug)]
pub struct Server {
    pub backend: ProxyId,
    pub id: ServerId,
    pub model: Arc<model::Server>,
    life: Arc<ServerLife>,
}

impl Deref for Server {
    type Target = ServerLife;

    fn deref(&self) -> &ServerLife {
        &self.life
    }
}

/// What a server keeps through reloads.
#[derive(Debug)]
pub struct ServerLife {
    /// Where to connect; changed by `set server … addr`.
    address: Mutex<Address>,
    /// Checks, administrator's wishes, weight. Change it through [`super::Backend::update_health`].
    pub health: Mutex<Health>,
    /// Mirrors of the health: may new clients come; do not even persistent ones.
    usable: AtomicBool,
    stopped: AtomicBool,
    pub counters: ServerCounters,
    pub session_rate: Rate,
    /// Requests that hold a slot (`served`): what `maxconn` limits and `show stat` calls `scur`.
    pub sessions: Gauge,
    /// `maxconn` and `minconn`, changed by `set maxconn server`; 0 is unlimited.
    pub maxconn: AtomicU32,
    pub minconn: AtomicU32,
    pub queue: Queue,
    /// Idle connections kept for reuse (`srv_icur`).
    pub idle: IdleCounts,
    /// Moment of the last session on the process's clock, milliseconds; `u64::MAX` before there was one (`lastsess`).
    pub last_session_ms: AtomicU64,
    /// Since when it is up or down (`lastchg`) and for how long it was down in all (`downtime`), milliseconds.
    pub changed_ms: AtomicU64,
    pub down_ms: AtomicU64,
    /// Traffic errors in a row for `observe`.
    pub errors_in_a_row: AtomicU32,
    /// How slow it has been lately (`balance peak-ewma`).
    pub latency: PeakEwma,
    /// Raised to make every thread drop the sessions of this server (`on-marked-down shutdown-sessions`, `shutdown sessions server`).
    pub shutdown_epoch: AtomicU32,
    /// As [`ServerLife::tls_number`] gives it.
    tls: AtomicI8,
}

impl Server {
    pub(super) fn new(
        backend: ProxyId,
        id: ServerId,
        model: &model::Server,
        threads: usize,
        now: Instant,
    ) -> Self {
        let life = Arc::new(ServerLife::new(model, threads, now));
        Self { backend, id, model: Arc::new(model.clone()), life }
    }

    /// The server in a new configuration. What it is goes on unless it has another address now; then it is another server.
    pub(super) fn renewed(
        backend: ProxyId,
        id: ServerId,
        model: &model::Server,
        old: &Server,
        threads: usize,
        now: Instant,
    ) -> Self {
        if !super::diff::is_same_server(&old.model, model) {
            return Self::new(backend, id, model, threads, now);
        }
        Self { backend, id, model: Arc::new(model.clone()), life: Arc::clone(&old.life) }
    }

    /// Takes over what its configuration says otherwise than that of `old`; what commands changed meanwhile stays.
    pub(super) fn settle(&self, old: &Server, now: Instant) {
        self.life.reconfigure(&old.model, &self.model, now);
    }

    /// Whether both are the same server, each in its configuration.
    pub fn is(&self, other: &Server) -> bool {
        Arc::ptr_eq(&self.life, &other.life)
    }

    /// A number that is the same in all configurations that have this server, as long as one of them exists.
    pub fn identity(&self) -> usize {
        Arc::as_ptr(&self.life) as usize
    }

    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// The place the balancer knows it by.
    pub fn index(&self) -> ServerIndex {
        ServerIndex(self.id.0)
    }

    /// What the balancer reads of it.
    pub fn load(&self, backend_sessions: u32, fullconn: u32) -> Load {
        Load {
            served: self.sessions.current(),
            queued: self.queue.len(),
            limit: self.limit(backend_sessions, fullconn),
            queue_limit: (self.model.maxqueue > 0).then_some(self.model.maxqueue),
            latency_us: 0,
        }
    }
}

/// The clock of [`ServerLife::latency`]: milliseconds since its first use.
pub fn latency_clock_ms() -> u64 {
    static START: std::sync::LazyLock<Instant> = std::sync::LazyLock::new(Instant::now);
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX)
}

impl ServerLife {
    fn new(model: &model::Server, threads: usize, now: Instant) -> Self {
        let mut health = Health::new(health_settings(model), now);
        if model.dynamic {
            health.enable_check(false);
            health.enable_agent(false);
        }
        let usable = health.condition(now).available;
        let (maxconn, minconn) = slots(model);
        Self {
            address: Mutex::new(model.address.clone()),
            usable: AtomicBool::new(usable),
            stopped: AtomicBool::new(model.disabled || !health.is_up()),
            health: Mutex::new(health),
            counters: ServerCounters::new(threads),
            session_rate: Rate::new(threads),
            sessions: Gauge::default(),
            maxconn: AtomicU32::new(maxconn),
            minconn: AtomicU32::new(minconn),
            queue: Queue::default(),
            idle: IdleCounts::new(threads),
            last_session_ms: AtomicU64::new(u64::MAX),
            changed_ms: AtomicU64::new(0),
            down_ms: AtomicU64::new(0),
            errors_in_a_row: AtomicU32::new(0),
            latency: PeakEwma::default(),
            shutdown_epoch: AtomicU32::new(0),
            tls: AtomicI8::new(tls_number(model)),
        }
    }

    /// Takes over what the new file says otherwise than the old one; what commands changed meanwhile stays.
    fn reconfigure(&self, old: &model::Server, new: &model::Server, now: Instant) {
        if slots(old) != slots(new) {
            let (maxconn, minconn) = slots(new);
            self.maxconn.store(maxconn, Relaxed);
            self.minconn.store(minconn, Relaxed);
        }
        if tls_number(old) != tls_number(new) {
            self.tls.store(tls_number(new), Relaxed);
        }
        let (before, after) = (health_settings(old), health_settings(new));
        if before != after {
            let mut health = self.health.lock();
            health.reconfigure(after, now);
            self.mirror(health.condition(now).available, !health.may_serve());
        }
    }

    pub fn address(&self) -> Address {
        self.address.lock().clone()
    }

    /// `set server … addr`.
    pub fn set_address(&self, address: Address) {
        *self.address.lock() = address;
    }

    /// Connections to it are made with TLS.
    pub fn uses_tls(&self) -> bool {
        self.tls_number() == 1
    }

    /// `srv_use_ssl`: 1 is with TLS, 0 without, -1 without because of `no-ssl`.
    pub fn tls_number(&self) -> i8 {
        self.tls.load(Relaxed)
    }

    /// `set server … ssl`; only for a server whose TLS side was made.
    pub fn set_tls(&self, on: bool) {
        self.tls.store(i8::from(on), Relaxed);
    }

    /// New clients may come: up, not draining, not in maintenance. (A weight of 0 is the balancer's affair.)
    pub fn is_usable(&self) -> bool {
        self.usable.load(Relaxed)
    }

    /// Down or in maintenance: not even persistence leads here (draining servers are not stopped).
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Relaxed)
    }

    pub(super) fn mirror(&self, usable: bool, stopped: bool) {
        self.usable.store(usable, Relaxed);
        self.stopped.store(stopped, Relaxed);
    }

    /// The slots it may give now: between `minconn` and `maxconn` as the backend fills up (`fullconn`).
    pub fn limit(&self, backend_sessions: u32, fullconn: u32) -> Option<u32> {
        let maxconn = self.maxconn.load(Relaxed);
        if maxconn == 0 {
            return None;
        }
        let minconn = self.minconn.load(Relaxed);
        if minconn >= maxconn || backend_sessions >= fullconn {
            return Some(maxconn);
        }
        let share = u64::from(backend_sessions) * u64::from(maxconn) / u64::from(fullconn.max(1));
        Some(u32::try_from(share).unwrap_or(maxconn).max(minconn))
    }
}

fn tls_number(model: &model::Server) -> i8 {
    if model.tls_denied { -1 } else { i8::from(model.tls) }
}

/// `maxconn` and `minconn` as they take effect.
fn slots(model: &model::Server) -> (u32, u32) {
    let minconn = if model.minconn == 0 { model.maxconn } else { model.minconn };
    (if model.maxconn == 0 { 0 } else { model.maxconn.max(minconn) }, minconn)
}

/// The server's words on checks as the health state machine takes them.
pub fn health_settings(model: &model::Server) -> Settings {
    let timing = Timing {
        rise: model.rise.max(1),
        fall: model.fall.max(1),
        inter: model.inter,
        fast_inter: model.fastinter,
        down_inter: model.downinter,
    };
    Settings {
        check: model.check.then_some(timing),
        agent_inter: model.agent_check.then_some(model.agent_inter),
        tracking: model.track.is_some(),
        observe: observe(model),
        init: match model.init_state {
            InitialState::Up => InitState::Up,
            InitialState::FullyUp => InitState::FullyUp,
            InitialState::Down => InitState::Down,
            InitialState::FullyDown => InitState::FullyDown,
        },
        slowstart: model.slowstart.unwrap_or_default(),
        weight: u16::try_from(model.weight).unwrap_or(u16::MAX),
        disabled: model.disabled,
    }
}

/// `observe`, `error-limit`, `on-error`.
fn observe(model: &model::Server) -> Option<Observe> {
    let layer = match model.observe? {
        4 => Layer::Layer4,
        _ => Layer::Layer7,
    };
    let on_error = match model.on_error {
        model::OnError::FastInter => OnError::FastInter,
        model::OnError::FailCheck => OnError::FailCheck,
        model::OnError::SuddenDeath => OnError::SuddenDeath,
        model::OnError::MarkDown => OnError::MarkDown,
    };
    Some(Observe { layer, error_limit: model.error_limit, on_error })
}
