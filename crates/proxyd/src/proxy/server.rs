//! A server at run time: address, condition, slots, queue, counters.
//!
//! The health state machine sits behind a lock that only checks and commands take; what the request path asks
//! (`is_usable`, `is_stopped`, slots) is mirrored in atomics by [`super::Backend::apply_health`].

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Instant;

use hacore::balance::{Load, ServerIndex};
use hacore::health::{Health, InitState, Layer, Observe, OnError, Settings, Timing};
use parking_lot::Mutex;

use super::counters::{Gauge, Rate, ServerCounters};
use super::queue::Queue;
use crate::model::{self, Address, InitialState, ProxyId, ServerId};

/// One server of a backend.
#[derive(Debug)]
pub struct Server {
    pub backend: ProxyId,
    pub id: ServerId,
    pub model: Arc<model::Server>,
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
    /// Idle connections kept for reuse, all threads (`srv_icur`), and connections in use (`used_conn_cur`).
    pub idle_connections: AtomicU32,
    pub used_connections: Gauge,
    /// Moment of the last session on the process's clock, milliseconds; `u64::MAX` before there was one (`lastsess`).
    pub last_session_ms: AtomicU64,
    /// Since when it is up or down (`lastchg`) and for how long it was down in all (`downtime`), milliseconds.
    pub changed_ms: AtomicU64,
    pub down_ms: AtomicU64,
    /// Traffic errors in a row for `observe`.
    pub errors_in_a_row: AtomicU32,
    /// Raised to make every thread drop the sessions of this server (`on-marked-down shutdown-sessions`, `shutdown sessions server`).
    pub shutdown_epoch: AtomicU32,
}

impl Server {
    pub(super) fn new(
        backend: ProxyId,
        id: ServerId,
        model: &model::Server,
        threads: usize,
        now: Instant,
    ) -> Self {
        let health = Health::new(health_settings(model), now);
        let usable = health.condition(now).available;
        let minconn = if model.minconn == 0 { model.maxconn } else { model.minconn };
        Self {
            backend,
            id,
            address: Mutex::new(model.address.clone()),
            usable: AtomicBool::new(usable),
            stopped: AtomicBool::new(model.disabled || !health.is_up()),
            health: Mutex::new(health),
            counters: ServerCounters::new(threads),
            session_rate: Rate::new(threads),
            sessions: Gauge::default(),
            maxconn: AtomicU32::new(if model.maxconn == 0 { 0 } else { model.maxconn.max(minconn) }),
            minconn: AtomicU32::new(minconn),
            queue: Queue::default(),
            idle_connections: AtomicU32::new(0),
            used_connections: Gauge::default(),
            last_session_ms: AtomicU64::new(u64::MAX),
            changed_ms: AtomicU64::new(0),
            down_ms: AtomicU64::new(0),
            errors_in_a_row: AtomicU32::new(0),
            shutdown_epoch: AtomicU32::new(0),
            model: Arc::new(model.clone()),
        }
    }

    pub fn name(&self) -> &str {
        &self.model.name
    }

    /// The place the balancer knows it by.
    pub fn index(&self) -> ServerIndex {
        ServerIndex(self.id.0)
    }

    pub fn address(&self) -> Address {
        self.address.lock().clone()
    }

    /// `set server … addr`.
    pub fn set_address(&self, address: Address) {
        *self.address.lock() = address;
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

    /// What the balancer reads of it.
    pub fn load(&self, backend_sessions: u32, fullconn: u32) -> Load {
        Load {
            served: self.sessions.current(),
            queued: self.queue.len(),
            limit: self.limit(backend_sessions, fullconn),
            queue_limit: (self.model.maxqueue > 0).then_some(self.model.maxqueue),
        }
    }
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
