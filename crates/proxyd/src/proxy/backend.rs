//! A backend at run time: its servers, the balancer behind its short lock, its queue, its counters.
//!
//! Taking and giving back slots goes through here so that `maxconn` is exact across threads. What this file does not do:
//! persistence, retries, connecting.
//!
//! A [`Backend`] belongs to one configuration; its [`BackendLife`] is shared by all that have it. One whose servers
//! changed has a balancer and a queue of its own, and tells the backends before it, which may still have requests, what
//! becomes of their servers.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Weak};
use std::time::Instant;

use hacore::balance::retry_budget::RetryBudget;
use hacore::balance::{Balancer, Condition, Load, Loads, Request, ServerIndex};
use hacore::health::outlier::Outliers;
use hacore::health::{AdminState, Health, Outcome};
use parking_lot::Mutex;

use super::balancing;
use super::counters::{BackendCounters, Gauge, Rate};
use super::queue::{Queue, StreamKey, Ticket};
use super::server::{Server, latency_clock_ms};
use crate::model::{self, ProxyId, ServerId};

/// The backend side of a `backend` or `listen`.
#[derive(Debug)]
pub struct Backend {
    pub id: ProxyId,
    pub model: Arc<model::Proxy>,
    pub servers: Vec<Arc<Server>>,
    pub balancer: Arc<Mutex<Balancer>>,
    /// Where the hash algorithms find their key; `None` for the others.
    pub key: Option<balancing::Key>,
    /// The algorithm wants to hear of every slot taken and released.
    follows_load: bool,
    /// Some server has a `maxconn`: only then can anything queue.
    limited: bool,
    /// How many servers new clients may go to; follows the health.
    usable: AtomicU32,
    pub queue: Arc<Queue>,
    pub fullconn: u32,
    /// `option outlier-ejection`.
    pub outliers: Option<Mutex<Outliers>>,
    /// `retry-budget`.
    pub retry_budget: Option<RetryBudget>,
    /// The same backend in earlier configurations, as long as requests use it.
    older: Mutex<Vec<Weak<Backend>>>,
    has_older: AtomicBool,
    life: Arc<BackendLife>,
}

impl Deref for Backend {
    type Target = BackendLife;

    fn deref(&self) -> &BackendLife {
        &self.life
    }
}

/// What a backend keeps through reloads.
#[derive(Debug)]
pub struct BackendLife {
    pub counters: BackendCounters,
    /// `scur`, `smax`: `beconn` of the log.
    pub sessions: Gauge,
    pub session_rate: Rate,
    pub request_rate: Rate,
    pub last_session_ms: AtomicU64,
    /// Since when it is up or down, and for how long it was down, milliseconds of the process's clock.
    pub changed_ms: AtomicU64,
    pub down_ms: AtomicU64,
    /// Switching rules may choose it (`be-unpublished`, `publish backend`).
    published: AtomicBool,
}

/// What came of asking for a slot on a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slot {
    /// The request may go to the server at once.
    Taken,
    /// It waits; this many requests are before it.
    Queued { ticket: Ticket, before: u32 },
    /// The server's queue has reached `maxqueue`.
    QueueFull,
}

/// A request that wants a slot.
#[derive(Debug, Clone, Copy)]
pub struct Applicant {
    pub stream: StreamKey,
    pub priority_class: i32,
    pub moment_us: i64,
}

struct Reader<'a> {
    backend: &'a Backend,
    /// The moment, for algorithms that look at latencies.
    latencies_at_ms: Option<u64>,
}

impl Loads for Reader<'_> {
    fn load(&self, server: ServerIndex) -> hacore::balance::Load {
        let backend = self.backend;
        let Some(server) = backend.servers.get(server.at()) else { return Default::default() };
        let load = server.load(backend.sessions.current(), backend.fullconn);
        match self.latencies_at_ms {
            Some(now_ms) => Load { latency_us: server.latency.latency_us(now_ms), ..load },
            None => load,
        }
    }

    fn backend_served(&self) -> u32 {
        self.backend.sessions.current()
    }
}

impl Backend {
    /// The backend of a proxy whose model says it has one. `fullconn_default` comes from the frontends that lead to it.
    pub fn new(
        id: ProxyId,
        model: &Arc<model::Proxy>,
        fullconn_default: u32,
        threads: usize,
        now: Instant,
    ) -> Self {
        let server = |(index, server)| Arc::new(Server::new(id, ServerId(index), server, threads, now));
        let servers: Vec<Arc<Server>> = (0u32..).zip(&model.servers).map(server).collect();
        let balancer = fresh_balancer(model, &servers, now);
        let life = Arc::new(BackendLife::new(model, threads));
        Self::assemble(id, model, fullconn_default, servers, balancer, Arc::default(), life)
    }

    /// The backend in a new configuration that follows `old`.
    pub(super) fn renewed(
        id: ProxyId,
        model: &Arc<model::Proxy>,
        fullconn_default: u32,
        old: &Arc<Backend>,
        threads: usize,
        now: Instant,
    ) -> Self {
        let server = |(index, model): (u32, &model::Server)| {
            let index = ServerId(index);
            Arc::new(match old.server_named(&model.name) {
                Some(old) => Server::renewed(id, index, model, old, threads, now),
                None => Server::new(id, index, model, threads, now),
            })
        };
        let servers: Vec<Arc<Server>> = (0u32..).zip(&model.servers).map(server).collect();
        let same_servers = servers.len() == old.servers.len()
            && servers.iter().zip(&old.servers).all(|(new, old)| new.is(old) && is_balanced_alike(new, old));
        let (balancer, queue) = if same_servers
            && model.balance == old.model.balance
            && model.options.allbackups == old.model.options.allbackups
        {
            (Arc::clone(&old.balancer), Arc::clone(&old.queue))
        } else {
            (fresh_balancer(model, &servers, now), Arc::default())
        };
        let life = Arc::clone(&old.life);
        Self::assemble(id, model, fullconn_default, servers, balancer, queue, life)
    }

    /// Takes the place of `old`, which requests may still be under.
    pub(super) fn settle(&self, old: &Arc<Backend>, now: Instant) {
        let mut older = old.older.lock().clone();
        older.retain(|older| older.strong_count() > 0);
        older.push(Arc::downgrade(old));
        *self.older.lock() = older;
        self.has_older.store(true, Relaxed);
        for server in &self.servers {
            if let Some(old) = old.server_like(server) {
                server.settle(old, now);
            }
            self.mirror(server, &server.health.lock(), now);
        }
    }

    fn assemble(
        id: ProxyId,
        model: &Arc<model::Proxy>,
        fullconn_default: u32,
        servers: Vec<Arc<Server>>,
        balancer: Arc<Mutex<Balancer>>,
        queue: Arc<Queue>,
        life: Arc<BackendLife>,
    ) -> Self {
        let follows_load = balancer.lock().follows_load();
        Self {
            id,
            model: Arc::clone(model),
            follows_load,
            balancer,
            key: balancing::key(&model.balance.algorithm),
            limited: model.servers.iter().any(|server| server.maxconn > 0),
            usable: AtomicU32::new(count_usable(&servers)),
            servers,
            queue,
            fullconn: model.fullconn.unwrap_or(fullconn_default).max(1),
            outliers: model.outlier.map(|settings| Mutex::new(Outliers::new(settings, model.servers.len()))),
            retry_budget: model.retry_budget.map(RetryBudget::new),
            older: Mutex::default(),
            has_older: AtomicBool::new(false),
            life,
        }
    }

    pub fn is_published(&self) -> bool {
        self.published.load(Relaxed)
    }

    /// `publish backend`, `unpublish backend`.
    pub fn set_published(&self, published: bool) {
        self.published.store(published, Relaxed);
    }

    /// The same backend in earlier configurations whose requests have not all ended, oldest first.
    pub fn older(&self) -> Vec<Arc<Backend>> {
        if !self.has_older.load(Relaxed) {
            return Vec::new();
        }
        let mut older = self.older.lock();
        let living: Vec<Arc<Backend>> = older.iter().filter_map(Weak::upgrade).collect();
        if living.is_empty() {
            older.clear();
            self.has_older.store(false, Relaxed);
        }
        living
    }

    /// The place of a server that may come from another configuration.
    pub fn server_like(&self, other: &Server) -> Option<&Arc<Server>> {
        let same_place = self.server(other.id).filter(|server| server.is(other));
        same_place.or_else(|| self.servers.iter().find(|server| server.is(other)))
    }

    pub fn name(&self) -> &str {
        &self.model.name
    }

    pub fn server(&self, id: ServerId) -> Option<&Arc<Server>> {
        self.servers.get(id.0 as usize)
    }

    pub fn server_named(&self, name: &str) -> Option<&Arc<Server>> {
        self.servers.iter().find(|server| server.name() == name)
    }

    /// How many servers new clients may go to.
    pub fn usable(&self) -> u32 {
        self.usable.load(Relaxed)
    }

    /// Whether some server has a `maxconn`, so that requests may queue.
    pub fn is_limited(&self) -> bool {
        self.limited
    }

    /// Requests waiting in the backend's own queue and in its servers' queues.
    pub fn queued(&self) -> u32 {
        let own = self.queue.len();
        if self.limited {
            own + self.servers.iter().map(|server| server.queue.len()).sum::<u32>()
        } else {
            own
        }
    }

    /// The balancer's choice; none: nobody usable, or nobody with room (then [`Self::used`] is not 0).
    pub fn pick(&self, request: &Request) -> Option<&Arc<Server>> {
        let latencies = self.model.balance.algorithm == model::BalanceAlgorithm::PeakEwma;
        let reader = Reader { backend: self, latencies_at_ms: latencies.then(latency_clock_ms) };
        let picked = self.balancer.lock().pick(request, &reader)?;
        self.servers.get(picked.at())
    }

    /// How many servers are in use at all; 0 makes the backend DOWN.
    pub fn used(&self) -> u32 {
        self.balancer.lock().used()
    }

    /// Takes a slot on `server` or enters its queue.
    pub fn take_slot(&self, server: &Server, applicant: &Applicant) -> Slot {
        if !self.limited {
            server.sessions.increment();
            self.load_changed(server);
            return Slot::Taken;
        }
        let load = server.load(self.sessions.current(), self.fullconn);
        if load.queued == 0 && self.try_take(server) {
            return Slot::Taken;
        }
        let Applicant { stream, priority_class, moment_us } = *applicant;
        match server.queue.push(stream, priority_class, moment_us, load.queue_limit) {
            None => Slot::QueueFull,
            Some((ticket, before)) => {
                self.load_changed(server);
                Slot::Queued { ticket, before }
            }
        }
    }

    /// Waits for any server of the backend.
    pub fn enter_queue(&self, applicant: &Applicant) -> Option<(Ticket, u32)> {
        self.queue.push(applicant.stream, applicant.priority_class, applicant.moment_us, None)
    }

    /// Gives a slot back. The caller then asks [`Self::next_waiting`] who gets it.
    pub fn release_slot(&self, server: &Server) {
        server.sessions.decrement();
        self.load_changed(server);
    }

    /// Takes a slot of `server` for the request that is next in line, of the server's queue or the backend's.
    pub fn next_waiting(&self, server: &Server) -> Option<Ticket> {
        if !self.limited || (server.queue.is_empty() && self.queue.is_empty()) {
            return None;
        }
        let from_backend = server.is_usable() && !self.queue.is_empty();
        if !from_backend && server.queue.is_empty() || !self.try_take(server) {
            return None;
        }
        let own = server.queue.first();
        let common = if from_backend { self.queue.first() } else { None };
        let ticket = match (own, common) {
            (Some(own), Some(common)) if common < own => self.queue.pop(),
            (Some(_), _) => server.queue.pop(),
            (None, Some(_)) => self.queue.pop(),
            (None, None) => None,
        };
        if ticket.is_none() {
            self.release_slot(server);
        }
        ticket
    }

    /// Leaves the queue of `server`, or the backend's when none is named; false: the slot was granted meanwhile.
    pub fn leave_queue(&self, server: Option<&Server>, ticket: &Ticket) -> bool {
        match server {
            Some(server) => {
                let left = server.queue.remove(ticket);
                self.load_changed(server);
                left
            }
            None => self.queue.remove(ticket),
        }
    }

    /// Changes a server's health (a check's result, a command), tells the balancer, gives the events to log and carry out.
    pub fn update_health(
        &self,
        server: &Server,
        now: Instant,
        change: impl FnOnce(&mut Health, Instant) -> Outcome,
    ) -> Outcome {
        let mut health = server.health.lock();
        let outcome = change(&mut health, now);
        self.mirror(server, &health, now);
        outcome
    }

    /// Maintenance, drain, ready: `disable server`, `set server … state …`.
    pub fn set_admin(&self, server: &Server, admin: AdminState, now: Instant) -> Outcome {
        self.update_health(server, now, |health, now| health.set_admin(admin, now))
    }

    fn mirror(&self, server: &Server, health: &Health, now: Instant) {
        let condition = health.condition(now);
        server.mirror(condition.available, !health.may_serve());
        set_condition(&self.balancer, server.index(), condition);
        self.usable.store(count_usable(&self.servers), Relaxed);
        for older in self.older() {
            if let Some(server) = older.server_like(server) {
                set_condition(&older.balancer, server.index(), condition);
                older.usable.store(count_usable(&older.servers), Relaxed);
            }
        }
    }

    fn try_take(&self, server: &Server) -> bool {
        let limit = server.limit(self.sessions.current(), self.fullconn).unwrap_or(u32::MAX);
        let taken = server.sessions.increment_below(limit).is_some();
        if taken {
            self.load_changed(server);
        }
        taken
    }

    fn load_changed(&self, server: &Server) {
        if self.follows_load {
            let mut balancer = self.balancer.lock();
            balancer.load_changed(server.index(), server.sessions.current(), server.queue.len());
        }
    }
}

impl BackendLife {
    fn new(model: &model::Proxy, threads: usize) -> Self {
        Self {
            counters: BackendCounters::new(threads),
            sessions: Gauge::default(),
            session_rate: Rate::new(threads),
            request_rate: Rate::new(threads),
            last_session_ms: AtomicU64::new(u64::MAX),
            changed_ms: AtomicU64::new(0),
            down_ms: AtomicU64::new(0),
            published: AtomicBool::new(!model.unpublished),
        }
    }
}

fn fresh_balancer(model: &model::Proxy, servers: &[Arc<Server>], now: Instant) -> Arc<Mutex<Balancer>> {
    let conditions: Vec<_> = servers.iter().map(|server| server.health.lock().condition(now)).collect();
    Arc::new(Mutex::new(balancing::balancer(model, &conditions)))
}

/// Tells the balancer; a big table is made outside of its lock, so that no request waits for it.
fn set_condition(balancer: &Mutex<Balancer>, index: ServerIndex, condition: Condition) {
    let rebuild = balancer.lock().set_server_later(index, condition);
    if let Some(mut rebuild) = rebuild {
        rebuild.make();
        balancer.lock().take(rebuild);
    }
}

/// Whether the balancer cannot tell the two configurations of one server apart.
fn is_balanced_alike(new: &Server, old: &Server) -> bool {
    let (new, old) = (&new.model, &old.model);
    (new.weight, new.backup, new.numeric_id, &new.hash_key)
        == (old.weight, old.backup, old.numeric_id, &old.hash_key)
}

fn count_usable(servers: &[Arc<Server>]) -> u32 {
    u32::try_from(servers.iter().filter(|server| server.is_usable()).count()).unwrap_or(u32::MAX)
}
