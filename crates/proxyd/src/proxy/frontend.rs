//! A frontend and its listeners at run time: what the configuration says plus counters and switches.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};

use super::counters::{FrontendCounters, Gauge, ListenerCounters, Rate};
use crate::model::{self, ProxyId};

/// Whether a frontend takes new connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum FrontendState {
    /// `OPEN`.
    Open = 0,
    /// `FULL`: at its maxconn.
    Full = 1,
    /// `PAUSED` by `disable frontend`.
    Paused = 2,
    /// `STOP`: shut down for good or disabled in the configuration.
    Stopped = 3,
}

/// The frontend side of a `frontend` or `listen`.
#[derive(Debug)]
pub struct Frontend {
    pub id: ProxyId,
    pub model: Arc<model::Proxy>,
    pub listeners: Vec<Arc<Listener>>,
    pub counters: FrontendCounters,
    /// `scur`, `smax`: `feconn` of the log.
    pub sessions: Gauge,
    /// `maxconn`, changed by `set maxconn frontend`.
    pub maxconn: AtomicU32,
    /// `rate-limit sessions`, 0 = none; changed by `set rate-limit`.
    pub session_rate_limit: AtomicU32,
    pub connection_rate: Rate,
    pub session_rate: Rate,
    pub request_rate: Rate,
    state: AtomicU8,
}

impl Frontend {
    /// The frontend of a proxy whose model says it has one.
    pub fn new(id: ProxyId, model: &Arc<model::Proxy>, default_maxconn: u32, threads: usize) -> Self {
        let listeners = model
            .binds
            .iter()
            .enumerate()
            .map(|(index, bind)| Arc::new(Listener::new(id, index, bind, threads)))
            .collect();
        let state = if model.disabled { FrontendState::Stopped } else { FrontendState::Open };
        Self {
            id,
            model: Arc::clone(model),
            listeners,
            counters: FrontendCounters::new(threads),
            sessions: Gauge::default(),
            maxconn: AtomicU32::new(model.maxconn.unwrap_or(default_maxconn)),
            session_rate_limit: AtomicU32::new(model.rate_limit_sessions.unwrap_or(0)),
            connection_rate: Rate::new(threads),
            session_rate: Rate::new(threads),
            request_rate: Rate::new(threads),
            state: AtomicU8::new(state as u8),
        }
    }

    pub fn name(&self) -> &str {
        &self.model.name
    }

    pub fn maxconn(&self) -> u32 {
        self.maxconn.load(Relaxed)
    }

    /// What `show stat` shows: a full frontend is found out by its counts.
    pub fn state(&self) -> FrontendState {
        match self.state.load(Relaxed) {
            2 => FrontendState::Paused,
            3 => FrontendState::Stopped,
            _ if self.sessions.current() >= self.maxconn() => FrontendState::Full,
            _ => FrontendState::Open,
        }
    }

    /// Whether its listeners may accept.
    pub fn accepts(&self) -> bool {
        self.state() == FrontendState::Open
    }

    /// `enable frontend`, `disable frontend`, `shutdown frontend`; the accept loops look at it before each accept.
    pub fn set_state(&self, state: FrontendState) {
        self.state.store(state as u8, Relaxed);
    }
}

/// One listening address of a frontend.
#[derive(Debug)]
pub struct Listener {
    pub frontend: ProxyId,
    /// Place among the frontend's binds.
    pub index: usize,
    /// Number in `show stat`: `id`, or place + 1.
    pub id: u32,
    /// `name`, else `sock-N`.
    pub name: Arc<str>,
    pub model: model::Bind,
    pub counters: ListenerCounters,
    pub sessions: Gauge,
    pub maxconn: Option<u32>,
    /// The address really bound, known once the sockets stand.
    pub bound: OnceLock<SocketAddr>,
}

impl Listener {
    fn new(frontend: ProxyId, index: usize, bind: &model::Bind, threads: usize) -> Self {
        let number = u32::try_from(index).unwrap_or(u32::MAX - 1) + 1;
        let name = bind.name.clone().unwrap_or_else(|| format!("sock-{number}"));
        Self {
            frontend,
            index,
            id: bind.id.unwrap_or(number),
            name: name.into(),
            model: bind.clone(),
            counters: ListenerCounters::new(threads),
            sessions: Gauge::default(),
            maxconn: bind.maxconn,
            bound: OnceLock::new(),
        }
    }
}
