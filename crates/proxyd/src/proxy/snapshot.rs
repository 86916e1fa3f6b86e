//! The run-time objects of one configuration: built from the model in one place, shared by all threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::backend::Backend;
use super::diff::Plan;
use super::frontend::Frontend;
use super::process::Process;
use super::server::Server;
use crate::model::{Config, Global, Proxy, ProxyId, UseBackendTarget};

/// Everything the data plane and the commands work on; a reload makes a new one.
#[derive(Debug)]
pub struct Snapshot {
    /// `userlist` sections, in the order in which expressions name them.
    pub userlists: Vec<crate::model::Userlist>,
    /// `healthcheck` sections.
    pub healthchecks: std::collections::BTreeMap<String, crate::model::Check>,
    /// `ring` sections by name.
    pub rings: std::collections::BTreeMap<String, crate::model::Ring>,
    pub log_forwards: Vec<crate::model::LogForward>,
    pub log_profiles: std::collections::BTreeMap<String, Arc<crate::model::LogProfile>>,
    pub pattern_files: Arc<crate::expr::PatternFiles>,
    pub process: Arc<Process>,
    pub global: Arc<Global>,
    /// The proxies' models in configuration order, as in [`Config::proxies`].
    pub proxies: Vec<Arc<Proxy>>,
    frontends: Vec<Option<Arc<Frontend>>>,
    backends: Vec<Option<Arc<Backend>>>,
    backend_names: HashMap<String, ProxyId>,
}

/// What a configuration follows.
#[derive(Debug, Clone, Copy)]
pub struct Before<'a> {
    pub snapshot: &'a Snapshot,
    pub plan: &'a Plan,
}

impl Snapshot {
    /// Builds the run-time objects. `process` brings the number of threads and the process's `maxconn`.
    pub fn build(config: &Config, process: &Arc<Process>) -> Self {
        Self::renewed(config, process, None)
    }

    /// Builds the run-time objects of a configuration that follows another one: what both have goes on with its counters,
    /// health, queues and switches. Nothing is changed yet; see [`Self::settle`].
    pub fn renewed(config: &Config, process: &Arc<Process>, before: Option<Before<'_>>) -> Self {
        let old = before.map(|before| before.snapshot);
        let now = Instant::now();
        if before.is_none() {
            process.limit_rates(config.global.max_connection_rate, config.global.max_session_rate);
            process.tls.limit(config.global.max_tls_connections, config.global.max_tls_rate);
        }
        let threads = process.threads;
        let maxconn = process.maxconn.load(std::sync::atomic::Ordering::Relaxed);
        let proxies: Vec<Arc<Proxy>> = config.proxies.iter().cloned().map(Arc::new).collect();
        let identified = || (0u32..).map(ProxyId).zip(&proxies);
        let frontends: Vec<_> = identified()
            .map(|(id, proxy)| {
                let frontend = || {
                    let known = old.and_then(|old| old.frontend_named(&proxy.name));
                    let mut frontend = Frontend::renewed(id, proxy, maxconn, threads, known.map(|f| &**f));
                    let same = before.is_some_and(|before| before.plan.unchanged.contains(&proxy.name));
                    if let Some(known) = known.filter(|_| same) {
                        frontend.revision = Arc::clone(&known.revision);
                    }
                    Arc::new(frontend)
                };
                proxy.kind.is_frontend().then(frontend)
            })
            .collect();
        let backends = identified()
            .map(|(id, proxy)| {
                let backend = || {
                    let fullconn = fullconn(config, id, maxconn);
                    Arc::new(match old.and_then(|old| old.backend_named(&proxy.name)) {
                        Some(old) => Backend::renewed(id, proxy, fullconn, old, threads, now),
                        None => Backend::new(id, proxy, fullconn, threads, now),
                    })
                };
                proxy.kind.is_backend().then(backend)
            })
            .collect();
        let backend_names = identified()
            .filter(|(_, proxy)| proxy.kind.is_backend())
            .map(|(id, proxy)| (proxy.name.clone(), id))
            .collect();
        Self {
            pattern_files: Arc::clone(&config.pattern_files),
            process: Arc::clone(process),
            global: Arc::new(config.global.clone()),
            userlists: config.userlists.values().cloned().collect(),
            healthchecks: config.healthchecks.clone(),
            rings: config.rings.clone(),
            log_forwards: config.log_forwards.clone(),
            log_profiles: config.log_profiles.clone(),
            frontends,
            backends,
            backend_names,
            proxies,
        }
    }

    /// Takes over from `old` what the new file says otherwise than the old one. After this there is no way back.
    pub fn settle(&self, old: &Snapshot) {
        let now = Instant::now();
        self.pattern_files.inherit(&old.pattern_files);
        if let Some(variables) = self.process.variables.get() {
            variables.restart(&self.global.variables);
        }
        let rates = |global: &Global| (global.max_connection_rate, global.max_session_rate);
        if rates(&self.global) != rates(&old.global) {
            self.process.limit_rates(self.global.max_connection_rate, self.global.max_session_rate);
        }
        let tls = |global: &Global| (global.max_tls_connections, global.max_tls_rate);
        if tls(&self.global) != tls(&old.global) {
            self.process.tls.limit(self.global.max_tls_connections, self.global.max_tls_rate);
        }
        for frontend in self.frontends() {
            if let Some(old) = old.frontend_named(frontend.name()) {
                frontend.settle(old);
            }
        }
        for backend in self.backends() {
            if let Some(old) = old.backend_named(backend.name()) {
                backend.settle(old, now);
            }
        }
    }

    pub fn frontend(&self, id: ProxyId) -> Option<&Arc<Frontend>> {
        self.frontends.get(id.0 as usize)?.as_ref()
    }

    pub fn backend(&self, id: ProxyId) -> Option<&Arc<Backend>> {
        self.backends.get(id.0 as usize)?.as_ref()
    }

    /// Frontends in configuration order.
    pub fn frontends(&self) -> impl Iterator<Item = &Arc<Frontend>> {
        self.frontends.iter().flatten()
    }

    /// Backends in configuration order.
    pub fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.backends.iter().flatten()
    }

    /// The proxy of another snapshot in this one, by its name: its number may be another.
    pub fn counterpart(&self, other: &Snapshot, id: ProxyId) -> Option<ProxyId> {
        let proxy = other.proxies.get(id.0 as usize)?;
        let backend = proxy.kind.is_backend().then(|| self.backend_named(&proxy.name)).flatten();
        backend
            .map(|backend| backend.id)
            .or_else(|| self.frontend_named(&proxy.name).map(|frontend| frontend.id))
    }

    pub fn frontend_named(&self, name: &str) -> Option<&Arc<Frontend>> {
        self.frontends().find(|frontend| frontend.name() == name)
    }

    pub fn backend_named(&self, name: &str) -> Option<&Arc<Backend>> {
        self.backend(*self.backend_names.get(name)?)
    }

    /// `backend/server` as the commands name servers.
    pub fn server_named(&self, backend: &str, server: &str) -> Option<(&Arc<Backend>, &Arc<Server>)> {
        let backend = self.backend_named(backend)?;
        backend.server_named(server).map(|server| (backend, server))
    }
}

/// The default of `fullconn`: a tenth of the `maxconn` of all frontends that lead to the backend by name.
fn fullconn(config: &Config, backend: ProxyId, maxconn_default: u32) -> u32 {
    let leads_here = |(index, proxy): &(u32, &Proxy)| {
        let switches = || {
            proxy
                .use_backend
                .iter()
                .any(|rule| matches!(&rule.target, UseBackendTarget::Static(to) if *to == backend))
        };
        let own = *index == backend.0;
        proxy.kind.is_frontend() && (own || proxy.default_backend == Some(backend) || switches())
    };
    let sum: u64 = (0u32..)
        .zip(&config.proxies)
        .filter(leads_here)
        .map(|(_, proxy)| u64::from(proxy.maxconn.unwrap_or(maxconn_default)))
        .sum();
    u32::try_from(sum.div_ceil(10)).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Address, Location, ProxyKind, Server};
    use crate::proxy::backend::{Applicant, Slot};
    use crate::proxy::queue::StreamKey;

    fn listen(servers: usize, maxconn: u32) -> Config {
        let mut proxy = Proxy::new(ProxyKind::Listen, "web", Location::default());
        for index in 0..servers {
            let address = Address::Inet(([127, 0, 0, 1], 80).into());
            let mut server = Server::new(format!("s{index}"), address, Location::default());
            server.numeric_id = index as u32 + 1;
            server.maxconn = maxconn;
            proxy.servers.push(server);
        }
        Config { proxies: vec![proxy], ..Config::default() }
    }

    fn applicant(slot: u32) -> Applicant {
        let stream = StreamKey { thread: 0, slot, generation: 0 };
        Applicant { stream, priority_class: 0, moment_us: i64::from(slot) }
    }

    #[test]
    fn names_lead_to_objects() {
        let process = Arc::new(Process::new(1, 100));
        let snapshot = Snapshot::build(&listen(2, 0), &process);
        assert_eq!(snapshot.frontends().count(), 1);
        let (backend, server) = snapshot.server_named("web", "s1").unwrap();
        assert_eq!((backend.name(), server.index().0), ("web", 1));
        assert_eq!(backend.fullconn, 10);
        assert!(snapshot.server_named("web", "s9").is_none());
    }

    #[test]
    fn maxconn_queues_and_a_released_slot_goes_to_the_first_in_line() {
        let process = Arc::new(Process::new(1, 100));
        let snapshot = Snapshot::build(&listen(1, 1), &process);
        let (backend, server) = snapshot.server_named("web", "s0").unwrap();
        assert_eq!(backend.take_slot(server, &applicant(1)), Slot::Taken);
        let queued = backend.take_slot(server, &applicant(2));
        assert!(matches!(queued, Slot::Queued { before: 0, .. }), "{queued:?}");
        assert!(backend.next_waiting(server).is_none());
        backend.release_slot(server);
        assert_eq!(backend.next_waiting(server).unwrap().stream.slot, 2);
        assert_eq!((server.sessions.current(), server.queue.len()), (1, 0));
    }
}
