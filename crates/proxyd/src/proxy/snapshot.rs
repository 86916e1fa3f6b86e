//! The run-time objects of one configuration: built from the model in one place, shared by all threads.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Instant;

use super::backend::Backend;
use super::frontend::Frontend;
use super::process::Process;
use super::server::Server;
use crate::model::{Config, Global, Proxy, ProxyId, UseBackendTarget};

/// Everything the data plane and the commands work on; a reload makes a new one.
#[derive(Debug)]
pub struct Snapshot {
    /// `userlist` sections, in the order in which expressions name them.
    pub userlists: Vec<crate::model::Userlist>,
    pub process: Arc<Process>,
    pub global: Arc<Global>,
    /// The proxies' models in configuration order, as in [`Config::proxies`].
    pub proxies: Vec<Arc<Proxy>>,
    frontends: Vec<Option<Arc<Frontend>>>,
    backends: Vec<Option<Arc<Backend>>>,
    backend_names: HashMap<String, ProxyId>,
}

impl Snapshot {
    /// Builds the run-time objects. `process` brings the number of threads and the process's `maxconn`.
    pub fn build(config: &Config, process: &Arc<Process>) -> Self {
        let now = Instant::now();
        process.limit_rates(config.global.max_connection_rate, config.global.max_session_rate);
        let threads = process.threads;
        let maxconn = process.maxconn.load(std::sync::atomic::Ordering::Relaxed);
        let proxies: Vec<Arc<Proxy>> = config.proxies.iter().cloned().map(Arc::new).collect();
        let identified = || (0u32..).map(ProxyId).zip(&proxies);
        let frontends = identified()
            .map(|(id, proxy)| {
                let frontend = || Arc::new(Frontend::new(id, proxy, maxconn, threads));
                proxy.kind.is_frontend().then(frontend)
            })
            .collect();
        let backends = identified()
            .map(|(id, proxy)| {
                let backend = || {
                    let fullconn = fullconn(config, id, maxconn);
                    Arc::new(Backend::new(id, proxy, fullconn, threads, now))
                };
                proxy.kind.is_backend().then(backend)
            })
            .collect();
        let backend_names = identified()
            .filter(|(_, proxy)| proxy.kind.is_backend())
            .map(|(id, proxy)| (proxy.name.clone(), id))
            .collect();
        Self {
            process: Arc::clone(process),
            global: Arc::new(config.global.clone()),
            userlists: config.userlists.values().cloned().collect(),
            frontends,
            backends,
            backend_names,
            proxies,
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
