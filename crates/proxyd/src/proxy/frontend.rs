//! A frontend and its listeners at run time: what the configuration says plus counters and switches.
//!
//! Both belong to one configuration; what they count and what commands changed is shared by all that have them.

use std::net::SocketAddr;
use std::ops::Deref;
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
    /// The same value in all configurations between which nothing about it changed.
    pub(super) revision: Arc<()>,
    life: Arc<FrontendLife>,
}

impl Deref for Frontend {
    type Target = FrontendLife;

    fn deref(&self) -> &FrontendLife {
        &self.life
    }
}

/// What a frontend keeps through reloads.
#[derive(Debug)]
pub struct FrontendLife {
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
        Self::renewed(id, model, default_maxconn, threads, None)
    }

    /// The frontend in a new configuration that follows `old`.
    pub(super) fn renewed(
        id: ProxyId,
        model: &Arc<model::Proxy>,
        default_maxconn: u32,
        threads: usize,
        old: Option<&Frontend>,
    ) -> Self {
        let mut known: Vec<&Arc<Listener>> =
            old.map(|old| old.listeners.iter().collect()).unwrap_or_default();
        let mut listener = |(index, bind): (usize, &model::Bind)| {
            let same = known.iter().position(|known| super::diff::is_same_place(&known.model, bind));
            let same = same.map(|at| known.remove(at));
            Arc::new(Listener::renewed(id, index, bind, threads, same.map(|listener| &**listener)))
        };
        let listeners = model.binds.iter().enumerate().map(&mut listener).collect();
        let life = match old {
            Some(old) => Arc::clone(&old.life),
            None => Arc::new(FrontendLife::new(model, default_maxconn, threads)),
        };
        Self { id, model: Arc::clone(model), listeners, revision: Arc::default(), life }
    }

    /// Takes over what its configuration says otherwise than that of `old`; what commands changed meanwhile stays.
    pub(super) fn settle(&self, old: &Frontend) {
        let (before, after) = (&old.model, &self.model);
        if let Some(maxconn) = after.maxconn
            && before.maxconn != after.maxconn
        {
            self.maxconn.store(maxconn, Relaxed);
        }
        if before.rate_limit_sessions != after.rate_limit_sessions {
            self.session_rate_limit.store(after.rate_limit_sessions.unwrap_or(0), Relaxed);
        }
        if before.disabled != after.disabled {
            self.set_state(configured_state(after));
        }
    }

    /// Whether nothing about the frontend differs between the two configurations.
    pub fn is_unchanged_since(&self, old: &Frontend) -> bool {
        Arc::ptr_eq(&self.revision, &old.revision)
    }

    pub fn name(&self) -> &str {
        &self.model.name
    }
}

impl FrontendLife {
    fn new(model: &model::Proxy, default_maxconn: u32, threads: usize) -> Self {
        Self {
            counters: FrontendCounters::new(threads),
            sessions: Gauge::default(),
            maxconn: AtomicU32::new(model.maxconn.unwrap_or(default_maxconn)),
            session_rate_limit: AtomicU32::new(model.rate_limit_sessions.unwrap_or(0)),
            connection_rate: Rate::new(threads),
            session_rate: Rate::new(threads),
            request_rate: Rate::new(threads),
            state: AtomicU8::new(configured_state(model) as u8),
        }
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

fn configured_state(model: &model::Proxy) -> FrontendState {
    if model.disabled { FrontendState::Stopped } else { FrontendState::Open }
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
    pub maxconn: Option<u32>,
    life: Arc<ListenerLife>,
}

impl Deref for Listener {
    type Target = ListenerLife;

    fn deref(&self) -> &ListenerLife {
        &self.life
    }
}

/// What a listener keeps through reloads.
#[derive(Debug)]
pub struct ListenerLife {
    pub counters: ListenerCounters,
    pub sessions: Gauge,
    /// The address really bound, known once the sockets stand.
    pub bound: OnceLock<SocketAddr>,
}

impl Listener {
    fn renewed(
        frontend: ProxyId,
        index: usize,
        bind: &model::Bind,
        threads: usize,
        old: Option<&Listener>,
    ) -> Self {
        let number = u32::try_from(index).unwrap_or(u32::MAX - 1) + 1;
        let name = bind.name.clone().unwrap_or_else(|| format!("sock-{number}"));
        let fresh = || ListenerLife {
            counters: ListenerCounters::new(threads),
            sessions: Gauge::default(),
            bound: OnceLock::new(),
        };
        Self {
            frontend,
            index,
            id: bind.id.unwrap_or(number),
            name: name.into(),
            model: bind.clone(),
            maxconn: bind.maxconn,
            life: old.map_or_else(|| Arc::new(fresh()), |old| Arc::clone(&old.life)),
        }
    }
}
