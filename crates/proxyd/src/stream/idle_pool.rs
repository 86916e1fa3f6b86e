//! Server connections without a request, kept per thread and server for reuse.
//!
//! A thread looks in its own pool first, without asking anybody. When that has nothing and another thread keeps
//! connections to the server ([`crate::proxy::idle`]), it asks that thread for one and waits for the answer, which takes a
//! turn of the other's loop. So that threads under load come to have enough of their own instead of passing connections
//! back and forth, a thread asks only so often for a server ([`ASKS_BURST`]).

use std::collections::HashMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Step;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::model::{HttpReuse, ProxyId};
use crate::net::{ConnectionKey, Lent, Owner};
use crate::proxy::{Backend, Server, StreamKey};
use crate::runtime::{Core, LocalSnapshot, Message};

#[derive(Debug, Clone, Copy)]
struct IdleConnection {
    key: ConnectionKey,
    since_ms: u64,
    /// It has served more than one request: a server that closes early would have shown it.
    proven: bool,
    requests: u32,
    /// See [`Stream::identity`].
    identity: u64,
}

/// The idle connections to one server; the last one used is the first one reused.
#[derive(Debug, Default)]
struct Pool {
    idle: Vec<IdleConnection>,
    /// How often another thread may be asked now, and since when that is.
    asks: u32,
    asks_since_ms: u64,
}

/// The idle connections of one thread.
#[derive(Debug, Default)]
pub struct IdlePools {
    pools: Vec<Pool>,
}

/// A connection taken from a pool.
#[derive(Debug, Clone, Copy)]
pub struct Reused {
    pub key: ConnectionKey,
    /// Requests it has served so far.
    pub requests: u32,
}

/// Which idle connection serves a request.
#[derive(Debug, Clone, Copy)]
pub struct Wanted {
    pub pool: u32,
    pub reuse: HttpReuse,
    pub first_request: bool,
    /// See [`Stream::identity`].
    pub identity: u64,
}

impl Wanted {
    /// Whether `http-reuse` lets the request have any, and whether it must be a proven one.
    fn needs_proof(&self) -> Option<bool> {
        match self.reuse {
            HttpReuse::Never => None,
            HttpReuse::Safe if self.first_request => None,
            HttpReuse::Aggressive => Some(self.first_request),
            HttpReuse::Safe | HttpReuse::Always => Some(false),
        }
    }
}

/// One thread's question to another: an idle connection to the server.
#[derive(Debug)]
pub struct Loan {
    server: Arc<Server>,
    /// Who waits for it.
    pub stream: StreamKey,
    /// `None`: any will do, it is to be closed (`strict-maxconn`).
    identity: Option<u64>,
    needs_proof: bool,
    given: Mutex<Option<(Lent, IdleConnection)>>,
}

/// Idle connections that one thread keeps for one server when `pool-max-conn` does not say less.
const POOL_MAX_DEFAULT: usize = 1024;
/// How often in a row a thread may ask others for a connection to a server, and how long until it may once more.
const ASKS_BURST: u32 = 8;
const ASK_AGAIN_MS: u64 = 10;

impl IdlePools {
    pub fn new(count: usize) -> Self {
        Self { pools: std::iter::repeat_with(Pool::default).take(count).collect() }
    }
}

impl Pool {
    /// Counts a question; false if there were too many lately.
    fn may_ask(&mut self, now_ms: u64) -> bool {
        let regained = (now_ms - self.asks_since_ms) / ASK_AGAIN_MS;
        if regained > 0 {
            self.asks = self.asks.saturating_sub(u32::try_from(regained).unwrap_or(u32::MAX));
            self.asks_since_ms = now_ms;
        }
        let may = self.asks < ASKS_BURST;
        self.asks += u32::from(may);
        may
    }
}

impl Core {
    /// A connection to the server that `http-reuse` allows for this request and that is like the one it would open.
    pub fn take_idle(&mut self, server: &Server, wanted: &Wanted) -> Option<Reused> {
        let needs_proof = wanted.needs_proof()?;
        loop {
            let pool = self.idle.pools.get_mut(wanted.pool as usize)?;
            let fits =
                |idle: &IdleConnection| idle.identity == wanted.identity && (idle.proven || !needs_proof);
            let found = pool.idle.iter().rposition(fits)?;
            let idle = pool.idle.remove(found);
            server.idle.set(self.thread, pool.idle.len());
            let quiet = self.connections.get_mut(idle.key).is_some_and(|connection| connection.is_quiet());
            if quiet {
                return Some(Reused { key: idle.key, requests: idle.requests });
            }
            self.close(idle.key);
        }
    }

    /// Keeps a connection that has served `requests` requests, or closes it if there are enough.
    pub fn put_idle(
        &mut self,
        key: ConnectionKey,
        backend: ProxyId,
        server: &Server,
        identity: u64,
        requests: u32,
    ) {
        let model = &server.model;
        let kept = self.snapshot.pool_of(backend, server.id);
        let reusable = model.max_reuse.is_none_or(|max| requests <= max)
            && !model.pool_purge_delay.is_zero()
            && !self.stopping
            && model
                .pool_max_conn
                .and_then(|max| u32::try_from(max).ok())
                .is_none_or(|max| server.idle.total() < max);
        let pool = self
            .idle
            .pools
            .get_mut(kept as usize)
            .filter(|pool| pool.idle.len() < POOL_MAX_DEFAULT && reusable);
        let (Some(pool), Some(connection)) = (pool, self.connections.get_mut(key)) else {
            self.close(key);
            return;
        };
        connection.owner = Owner::Idle(kept);
        let since_ms = self.clock.monotonic_ms();
        pool.idle.push(IdleConnection { key, since_ms, proven: requests > 1, requests, identity });
        server.idle.set(self.thread, pool.idle.len());
    }

    /// Asks the thread that keeps most idle connections to the server for one; false when there is nothing to ask for.
    fn ask_for_idle(&mut self, server: &Arc<Server>, wanted: &Wanted, stream: StreamKey) -> bool {
        let Some(needs_proof) = wanted.needs_proof() else { return false };
        if !self.snapshot.global.idle_pool_shared || server.idle.total() < server.model.pool_low_conn {
            return false;
        }
        let Some(thread) = server.idle.richest_but(self.thread) else { return false };
        let now_ms = self.clock.monotonic_ms();
        let pool = self.idle.pools.get_mut(wanted.pool as usize);
        if !pool.is_some_and(|pool| pool.may_ask(now_ms)) {
            return false;
        }
        self.send_loan(thread, server, stream, Some(wanted.identity), needs_proof);
        true
    }

    fn send_loan(
        &self,
        thread: usize,
        server: &Arc<Server>,
        stream: StreamKey,
        identity: Option<u64>,
        needs_proof: bool,
    ) {
        let loan =
            Loan { server: Arc::clone(server), stream, identity, needs_proof, given: Mutex::new(None) };
        self.inboxes.send(thread, Message::WantIdle(Arc::new(loan)));
    }

    /// Another thread wants one: it gets one that fits, or the answer that there is none.
    pub fn lend_idle(&mut self, loan: &Arc<Loan>) {
        let (server, snapshot) = (&loan.server, std::rc::Rc::clone(&self.snapshot));
        let known = snapshot.backend(server.backend).and_then(|backend| backend.server_like(server));
        let pool = known.map(|own| snapshot.pool_of(own.backend, own.id));
        while let Some(pool) = pool.and_then(|pool| self.idle.pools.get_mut(pool as usize)) {
            let fits = |idle: &IdleConnection| {
                loan.identity
                    .is_none_or(|identity| idle.identity == identity && (idle.proven || !loan.needs_proof))
            };
            let Some(found) = pool.idle.iter().position(fits) else { break };
            let idle = pool.idle.remove(found);
            server.idle.set(self.thread, pool.idle.len());
            let quiet = self.connections.get_mut(idle.key).is_some_and(|connection| connection.is_quiet());
            if !quiet {
                self.close(idle.key);
                continue;
            }
            if let Some(lent) = self.connections.lend(&self.poller, idle.key) {
                *loan.given.lock() = Some((lent, idle));
                break;
            }
        }
        self.inboxes.send(usize::from(loan.stream.thread), Message::IdleGiven(Arc::clone(loan)));
    }

    /// The answer has come: what was given joins this thread's own.
    pub fn take_loan(&mut self, loan: &Loan) {
        let Some((lent, idle)) = loan.given.lock().take() else { return };
        let (server, snapshot) = (&loan.server, std::rc::Rc::clone(&self.snapshot));
        let own = snapshot.backend(server.backend).and_then(|backend| backend.server_like(server));
        let (Some(own), false) = (own, self.stopping) else { return };
        let Ok(key) = self.connections.borrow(&self.poller, lent) else { return };
        let pool = snapshot.pool_of(own.backend, own.id);
        if let (Some(place), Some(connection)) =
            (self.idle.pools.get_mut(pool as usize), self.connections.get_mut(key))
        {
            connection.owner = Owner::Idle(pool);
            place.idle.push(IdleConnection { key, ..idle });
            server.idle.set(self.thread, place.idle.len());
        }
    }

    /// Closes the idle connection of the pool that was used longest ago; false when there is none.
    fn close_one_idle(&mut self, server: &Server, pool: u32) -> bool {
        let Some(place) = self.idle.pools.get_mut(pool as usize) else { return false };
        if place.idle.is_empty() {
            return false;
        }
        let idle = place.idle.remove(0);
        server.idle.set(self.thread, place.idle.len());
        self.close(idle.key);
        true
    }

    /// Keeps the idle connections of the servers that the present configuration has in common with `old`.
    pub fn adopt_idle(&mut self, old: &LocalSnapshot) {
        let mut pools = std::mem::take(&mut self.idle.pools);
        let mut known: HashMap<usize, u32> = HashMap::new();
        for server in old.backends().flat_map(|backend| &backend.servers) {
            let pool = old.pool_of(server.backend, server.id);
            if pools.get(pool as usize).is_some_and(|pool| !pool.idle.is_empty()) {
                known.insert(server.identity(), pool);
            }
        }
        self.idle = IdlePools::new(self.snapshot.pool_count());
        let snapshot = std::rc::Rc::clone(&self.snapshot);
        for server in snapshot.backends().flat_map(|backend| &backend.servers) {
            let Some(from) = known.get(&server.identity()).and_then(|at| pools.get_mut(*at as usize)) else {
                continue;
            };
            let pool = snapshot.pool_of(server.backend, server.id);
            let idle = std::mem::take(&mut from.idle);
            for connection in &idle {
                if let Some(connection) = self.connections.get_mut(connection.key) {
                    connection.owner = Owner::Idle(pool);
                }
            }
            if let Some(to) = self.idle.pools.get_mut(pool as usize) {
                to.idle = idle;
            }
        }
        for idle in pools.iter().flat_map(|pool| &pool.idle) {
            self.close(idle.key);
        }
    }

    /// An idle connection was closed by its server or said something unasked.
    pub fn drop_idle(&mut self, pool: u32, key: ConnectionKey) {
        let quiet = self.connections.get_mut(key).is_some_and(|connection| connection.is_quiet());
        if quiet {
            return;
        }
        if let Some(place) = self.idle.pools.get_mut(pool as usize) {
            place.idle.retain(|idle| idle.key != key);
            if let Some(server) = self.snapshot.server_of_pool(pool) {
                server.idle.set(self.thread, place.idle.len());
            }
        }
        self.close(key);
    }

    /// Closes half of what was not used for `pool-purge-delay`.
    pub fn purge_idle(&mut self) {
        let now = self.clock.monotonic_ms();
        let snapshot = std::rc::Rc::clone(&self.snapshot);
        for server in snapshot.backends().flat_map(|backend| &backend.servers) {
            let pool = snapshot.pool_of(server.backend, server.id);
            let delay_ms = server.model.pool_purge_delay.as_millis() as u64;
            self.drop_http2_servers(|of, idle_since_ms| {
                of == pool && idle_since_ms <= now.saturating_sub(delay_ms)
            });
            let Some(place) = self.idle.pools.get_mut(pool as usize) else { continue };
            let stale = place.idle.iter().filter(|idle| idle.since_ms + delay_ms <= now).count();
            let mut most = stale.div_ceil(2);
            let mut closing = Vec::new();
            place.idle.retain(|idle| {
                let goes = most > 0 && idle.since_ms + delay_ms <= now;
                if goes {
                    most -= 1;
                    closing.push(idle.key);
                }
                !goes
            });
            server.idle.set(self.thread, place.idle.len());
            for key in closing {
                self.close(key);
            }
        }
    }

    /// Closes all idle connections (soft stop).
    pub fn drop_all_idle(&mut self) {
        self.drop_http2_servers(|_, _| true);
        let snapshot = std::rc::Rc::clone(&self.snapshot);
        for server in snapshot.backends().flat_map(|backend| &backend.servers) {
            self.drop_idle_of(server);
        }
    }

    /// Closes the idle connections to one server (it went down).
    pub fn drop_idle_of(&mut self, server: &Server) {
        let pool = self.snapshot.pool_of(server.backend, server.id);
        self.drop_http2_servers(|of, _| of == pool);
        let idle = self.idle.pools.get_mut(pool as usize).map(|pool| std::mem::take(&mut pool.idle));
        server.idle.set(self.thread, 0);
        for idle in idle.into_iter().flatten() {
            self.close(idle.key);
        }
    }
}

impl Stream {
    /// Waits for an idle connection of another thread, if one may be had.
    pub(super) fn borrow_idle(
        &mut self,
        session: &Session,
        core: &mut Core,
        backend: &Backend,
        server: &Arc<Server>,
    ) -> Option<Step> {
        let current = std::rc::Rc::ptr_eq(&session.snapshot, &core.snapshot);
        if !self.has_request || !current || self.idle_asked > 0 {
            return None;
        }
        let wanted = Wanted {
            pool: core.snapshot.pool_of(backend.id, server.id),
            reuse: backend.model.http_reuse,
            first_request: session.info.requests_before <= 1,
            identity: self.identity(session, core, backend, server),
        };
        core.ask_for_idle(server, &wanted, session.key()).then(|| self.await_idle(core))
    }

    fn await_idle(&mut self, core: &Core) -> Step {
        self.idle_asked += 1;
        self.enter(Activity::Borrow, core.clock.monotonic_ms());
        Step::Wait
    }

    /// The answer is there, good or bad: the connection is in the pool, or a new one is needed.
    pub(super) fn idle_answered(&mut self, core: &Core) {
        if self.activity == Activity::Borrow {
            self.enter(Activity::Connect, core.clock.monotonic_ms());
        }
    }

    /// `strict-maxconn`: makes room for a new connection by closing idle ones if need be, another thread's too. What
    /// comes of it: nothing (there is room), a wait for that thread, or the failure of the attempt.
    pub(super) fn make_room_for_connection(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        backend: &Backend,
        server: &Arc<Server>,
    ) -> Option<Step> {
        let max = server.maxconn.load(std::sync::atomic::Ordering::Relaxed);
        if !server.model.strict_maxconn || max == 0 {
            return None;
        }
        let pool = session.snapshot.pool_of(backend.id, server.id);
        // This request's own connection is counted by its slot.
        while server.sessions.current().saturating_add(server.idle.total()) > max {
            if core.close_one_idle(server, pool) {
                continue;
            }
            return Some(match server.idle.richest_but(core.thread) {
                Some(thread) if self.idle_asked < ASKS_BURST => {
                    core.send_loan(thread, server, session.key(), None, false);
                    self.await_idle(core)
                }
                _ => self.attempt_failed(session, core, super::fault::Fault::Resource),
            });
        }
        None
    }
}
