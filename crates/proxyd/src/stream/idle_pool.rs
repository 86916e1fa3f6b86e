//! Server connections without a request, kept per thread and server for reuse.

use std::collections::HashMap;

use crate::model::{HttpReuse, ProxyId};
use crate::net::{ConnectionKey, Owner};
use crate::proxy::Server;
use crate::runtime::{Core, LocalSnapshot};

#[derive(Debug, Clone, Copy)]
struct IdleConnection {
    key: ConnectionKey,
    since_ms: u64,
    /// It has served more than one request: a server that closes early would have shown it.
    proven: bool,
    requests: u32,
}

/// The idle connections of one thread; the last one used is the first one reused.
#[derive(Debug, Default)]
pub struct IdlePools {
    pools: Vec<Vec<IdleConnection>>,
}

/// A connection taken from a pool.
#[derive(Debug, Clone, Copy)]
pub struct Reused {
    pub key: ConnectionKey,
    /// Requests it has served so far.
    pub requests: u32,
}

/// Idle connections that one thread keeps for one server when `pool-max-conn` does not say less.
const POOL_MAX_DEFAULT: usize = 1024;

impl IdlePools {
    pub fn new(count: usize) -> Self {
        Self { pools: vec![Vec::new(); count] }
    }

    fn remove(&mut self, pool: u32, key: ConnectionKey) {
        if let Some(pool) = self.pools.get_mut(pool as usize) {
            pool.retain(|idle| idle.key != key);
        }
    }
}

impl Core {
    /// A connection to the server that `http-reuse` allows for this request and that asked for the same TLS name.
    pub fn take_idle(
        &mut self,
        pool: u32,
        reuse: HttpReuse,
        first_request: bool,
        name: Option<&str>,
    ) -> Option<Reused> {
        let needs_proof = match reuse {
            HttpReuse::Never => return None,
            HttpReuse::Safe if first_request => return None,
            HttpReuse::Aggressive => first_request,
            HttpReuse::Safe | HttpReuse::Always => false,
        };
        loop {
            let idle = self.idle.pools.get_mut(pool as usize)?;
            let found = idle.iter().rposition(|idle| {
                let fits = || self.connections.get(idle.key).is_none_or(|connection| connection.is_for(name));
                (idle.proven || !needs_proof) && fits()
            })?;
            let idle = idle.remove(found);
            let quiet = self.connections.get_mut(idle.key).is_some_and(|connection| connection.is_quiet());
            if quiet {
                return Some(Reused { key: idle.key, requests: idle.requests });
            }
            self.close(idle.key);
        }
    }

    /// Keeps a connection that has served `requests` requests, or closes it if there are enough.
    pub fn put_idle(&mut self, key: ConnectionKey, backend: ProxyId, server: &Server, requests: u32) {
        let pool = self.snapshot.pool_of(backend, server.id);
        let limit = match server.model.pool_max_conn {
            Some(limit) if limit >= 0 => limit as usize,
            _ => POOL_MAX_DEFAULT,
        };
        let reusable = server.model.max_reuse.is_none_or(|max| requests <= max) && !self.stopping;
        let idle = self.idle.pools.get_mut(pool as usize).filter(|idle| idle.len() < limit && reusable);
        let (Some(idle), Some(connection)) = (idle, self.connections.get_mut(key)) else {
            self.close(key);
            return;
        };
        connection.owner = Owner::Idle(pool);
        let since_ms = self.clock.monotonic_ms();
        idle.push(IdleConnection { key, since_ms, proven: requests > 1, requests });
    }

    /// Keeps the idle connections of the servers that the present configuration has in common with `old`.
    pub fn adopt_idle(&mut self, old: &LocalSnapshot) {
        let mut pools = std::mem::take(&mut self.idle.pools);
        let mut known: HashMap<usize, u32> = HashMap::new();
        for server in old.backends().flat_map(|backend| &backend.servers) {
            let pool = old.pool_of(server.backend, server.id);
            if pools.get(pool as usize).is_some_and(|idle| !idle.is_empty()) {
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
            let idle = std::mem::take(from);
            for connection in &idle {
                if let Some(connection) = self.connections.get_mut(connection.key) {
                    connection.owner = Owner::Idle(pool);
                }
            }
            if let Some(to) = self.idle.pools.get_mut(pool as usize) {
                *to = idle;
            }
        }
        for idle in pools.iter().flatten() {
            self.close(idle.key);
        }
    }

    /// An idle connection was closed by its server or said something unasked.
    pub fn drop_idle(&mut self, pool: u32, key: ConnectionKey) {
        let quiet = self.connections.get_mut(key).is_some_and(|connection| connection.is_quiet());
        if !quiet {
            self.idle.remove(pool, key);
            self.close(key);
        }
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
            let Some(idle) = self.idle.pools.get_mut(pool as usize) else { continue };
            let stale = idle.partition_point(|idle| idle.since_ms + delay_ms <= now);
            let closing: Vec<ConnectionKey> = idle.drain(..stale.div_ceil(2)).map(|idle| idle.key).collect();
            for key in closing {
                self.close(key);
            }
        }
    }

    /// Closes all idle connections (soft stop).
    pub fn drop_all_idle(&mut self) {
        self.drop_http2_servers(|_, _| true);
        let pools = std::mem::take(&mut self.idle.pools);
        for idle in pools.iter().flatten() {
            self.close(idle.key);
        }
        self.idle.pools = vec![Vec::new(); pools.len()];
    }

    /// Closes the idle connections to one server (it went down).
    pub fn drop_idle_of(&mut self, server: &Server) {
        let pool = self.snapshot.pool_of(server.backend, server.id);
        self.drop_http2_servers(|of, _| of == pool);
        let idle = self.idle.pools.get_mut(pool as usize).map(std::mem::take).unwrap_or_default();
        for idle in idle {
            self.close(idle.key);
        }
    }
}
