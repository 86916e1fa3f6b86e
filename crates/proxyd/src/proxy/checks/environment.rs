//! What expressions in checks may ask of the running process.
//!
//! Checks run on the services thread, which has no part in the data plane's per-thread state.

use std::cell::Cell;
use std::sync::Arc;

use crate::expr::{BackendView, Data, Environment, FrontendView, ProcessView, Sample, ServerView, VarName};
use crate::model::{ProxyId, ServerId, Timeouts};
use crate::proxy::{Snapshot, server_view};

/// One check's view of the process.
pub(super) struct CheckEnvironment {
    snapshot: Arc<Snapshot>,
    hostname: Arc<str>,
    now_ms: u64,
    random: Cell<u64>,
}

impl CheckEnvironment {
    pub(super) fn new(snapshot: &Arc<Snapshot>, hostname: &Arc<str>, seed: u64) -> Self {
        Self {
            snapshot: Arc::clone(snapshot),
            hostname: Arc::clone(hostname),
            now_ms: snapshot.process.now_ms(),
            random: Cell::new(seed | 1),
        }
    }
}

fn ms(time: Option<std::time::Duration>) -> Option<u64> {
    time.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

impl Environment for CheckEnvironment {
    fn process(&self) -> ProcessView<'_> {
        let process = &self.snapshot.process;
        ProcessView {
            hostname: &self.hostname,
            pid: process.pid,
            thread: 1,
            thread_group: 1,
            uptime_s: self.now_ms / 1000,
            connections: process.connections.current(),
            stopping: process.is_stopping(),
            idle_percent: 100,
        }
    }

    fn frontend(&self, id: ProxyId) -> Option<FrontendView<'_>> {
        let frontend = self.snapshot.frontend(id)?;
        Some(FrontendView {
            name: frontend.name(),
            numeric_id: frontend.model.numeric_id,
            connections: frontend.sessions.current(),
            session_rate: frontend.session_rate.per_second(self.now_ms),
            request_rate: frontend.request_rate.per_second(self.now_ms),
            ..FrontendView::default()
        })
    }

    fn backend(&self, id: ProxyId) -> Option<BackendView<'_>> {
        let backend = self.snapshot.backend(id)?;
        let Timeouts { connect, queue, server, tarpit, tunnel, .. } = &backend.model.timeouts;
        Some(BackendView {
            name: backend.name(),
            numeric_id: backend.model.numeric_id,
            connections: backend.sessions.current(),
            queue: backend.queue.len(),
            queue_total: backend.queued(),
            session_rate: backend.session_rate.per_second(self.now_ms),
            servers_usable: backend.usable(),
            connect_timeout_ms: ms(*connect),
            queue_timeout_ms: ms(*queue),
            server_timeout_ms: ms(*server),
            tarpit_timeout_ms: ms(*tarpit),
            tunnel_timeout_ms: ms(*tunnel),
            retries: backend.model.retries,
            ..BackendView::default()
        })
    }

    fn server(&self, backend: ProxyId, server: ServerId) -> Option<ServerView<'_>> {
        let backend = self.snapshot.backend(backend)?;
        Some(server_view(backend, backend.server(server)?, self.now_ms))
    }

    fn find_frontend(&self, name: &[u8]) -> Option<ProxyId> {
        self.snapshot.frontend_named(std::str::from_utf8(name).ok()?).map(|frontend| frontend.id)
    }

    fn find_backend(&self, name: &[u8]) -> Option<ProxyId> {
        self.snapshot.backend_named(std::str::from_utf8(name).ok()?).map(|backend| backend.id)
    }

    fn find_server(&self, backend: ProxyId, name: &[u8]) -> Option<ServerId> {
        let name = std::str::from_utf8(name).ok()?;
        self.snapshot.backend(backend)?.server_named(name).map(|server| server.id)
    }

    fn environment_variable(&self, name: &str) -> Option<Data<'_>> {
        use std::os::unix::ffi::OsStringExt;
        std::env::var_os(name).map(|value| Data::from(value.into_vec()))
    }

    /// SplitMix64.
    fn random_u64(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn process_variable(&self, name: &VarName) -> Option<Sample<'static>> {
        self.snapshot.process.variables.get()?.get(name)
    }

    fn set_process_variable(&self, name: &VarName, value: Option<Sample<'static>>) {
        if let Some(variables) = self.snapshot.process.variables.get() {
            variables.set(name, value);
        }
    }
}
