//! What expressions may ask of the running process: [`crate::expr::Environment`] over a thread's snapshot.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use parking_lot::Mutex;

use crate::expr::{
    BackendView, Data, Direction, Environment, EvalCtx, FrontendView, Now, ProcessView, Sample, ServerView,
    VarName,
};
use crate::model::{GlobalValue, GlobalVariable, ProxyId, ServerId};
use crate::proxy::{Backend, Process, server_view};
use crate::runtime::LocalSnapshot;
use crate::txn::SessionInfo;

/// `proc.` variables, shared by all threads; rules rarely touch them.
#[derive(Debug, Default)]
pub struct ProcessVariables {
    values: Mutex<Vec<(VarName, Sample<'static>)>>,
}

impl ProcessVariables {
    /// What `set-var` and `set-var-fmt` of the `global` section make of them, in order.
    pub fn at_start(variables: &[GlobalVariable]) -> Self {
        let this = Self::default();
        this.apply(variables);
        this
    }

    /// Sets variables to what their expressions give without any traffic.
    pub fn apply(&self, variables: &[GlobalVariable]) {
        let session = SessionInfo::default();
        let wall_us = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros() as u64;
        let environment = StartEnvironment(self);
        let context = EvalCtx::new(&session, &environment, Now { wall_us, monotonic_us: 0 });
        for variable in variables {
            let Ok(name) = VarName::parse(&variable.name) else { continue };
            let value = match &variable.value {
                GlobalValue::Expression(expression) => expression.eval(&context).map(Sample::into_static),
                GlobalValue::Format(format) => {
                    let mut text = Vec::new();
                    format.render(&context, &mut text);
                    Some(Sample::str(text).into_static())
                }
            };
            if value.is_some() {
                self.set(&name, value);
            }
        }
    }

    /// Makes them what they would be in a new process: everything else is forgotten.
    pub fn restart(&self, variables: &[GlobalVariable]) {
        let fresh = Self::at_start(variables).values.into_inner();
        *self.values.lock() = fresh;
    }

    pub fn get(&self, name: &VarName) -> Option<Sample<'static>> {
        let values = self.values.lock();
        values.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone())
    }

    /// All of them.
    pub fn list(&self) -> Vec<(VarName, Sample<'static>)> {
        self.values.lock().clone()
    }

    /// Sets it, or forgets it.
    pub fn set(&self, name: &VarName, value: Option<Sample<'static>>) {
        let mut values = self.values.lock();
        values.retain(|(known, _)| known != name);
        values.extend(value.map(|value| (name.clone(), value)));
    }
}

/// The process before it has threads, frontends or backends: variables and the environment.
struct StartEnvironment<'a>(&'a ProcessVariables);

impl Environment for StartEnvironment<'_> {
    fn process(&self) -> ProcessView<'_> {
        ProcessView { pid: std::process::id(), ..ProcessView::default() }
    }

    fn frontend(&self, _: ProxyId) -> Option<FrontendView<'_>> {
        None
    }

    fn backend(&self, _: ProxyId) -> Option<BackendView<'_>> {
        None
    }

    fn server(&self, _: ProxyId, _: ServerId) -> Option<ServerView<'_>> {
        None
    }

    fn find_frontend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }

    fn find_backend(&self, _: &[u8]) -> Option<ProxyId> {
        None
    }

    fn find_server(&self, _: ProxyId, _: &[u8]) -> Option<ServerId> {
        None
    }

    fn environment_variable(&self, name: &str) -> Option<Data<'_>> {
        use std::os::unix::ffi::OsStringExt;
        std::env::var_os(name).map(|value| Data::from(value.into_vec()))
    }

    fn random_u64(&self) -> u64 {
        use std::hash::{BuildHasher, Hasher};
        // A fresh state is random.
        std::hash::RandomState::new().build_hasher().finish()
    }

    fn process_variable(&self, name: &VarName) -> Option<Sample<'static>> {
        self.0.get(name)
    }

    fn set_process_variable(&self, name: &VarName, value: Option<Sample<'static>>) {
        self.0.set(name, value);
    }
}

/// One thread's view of the process; a reload makes a new one.
pub struct ThreadEnvironment {
    process: Arc<Process>,
    snapshot: Rc<LocalSnapshot>,
    variables: Arc<ProcessVariables>,
    hostname: String,
    thread: u32,
    random: Cell<u64>,
    /// The clock of the current turn.
    now_ms: Cell<u64>,
    /// The hour for which the offset of local time was asked, and the offset.
    utc_offset_s: Cell<(u64, i32)>,
}

impl ThreadEnvironment {
    pub fn new(
        snapshot: &Rc<LocalSnapshot>,
        variables: &Arc<ProcessVariables>,
        thread: u16,
        seed: u64,
    ) -> Self {
        let hostname = nix::unistd::gethostname();
        Self {
            process: Arc::clone(&snapshot.process),
            snapshot: Rc::clone(snapshot),
            variables: Arc::clone(variables),
            hostname: hostname.map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
            thread: u32::from(thread) + 1,
            random: Cell::new(seed | 1),
            now_ms: Cell::new(0),
            utc_offset_s: Cell::new((u64::MAX, 0)),
        }
    }

    /// The same thread's view of another configuration.
    pub fn renewed(&self, snapshot: &Rc<LocalSnapshot>) -> Self {
        Self {
            process: Arc::clone(&self.process),
            snapshot: Rc::clone(snapshot),
            variables: Arc::clone(&self.variables),
            hostname: self.hostname.clone(),
            thread: self.thread,
            random: self.random.clone(),
            now_ms: self.now_ms.clone(),
            utc_offset_s: self.utc_offset_s.clone(),
        }
    }

    pub fn set_now_ms(&self, now_ms: u64) {
        self.now_ms.set(now_ms);
    }
}

impl Environment for ThreadEnvironment {
    fn tcp_info(&self, socket: i32) -> Option<hacore::sys::TcpFacts> {
        hacore::sys::tcp_facts(socket)
    }

    fn process(&self) -> ProcessView<'_> {
        ProcessView {
            hostname: &self.hostname,
            pid: self.process.pid,
            thread: self.thread,
            thread_group: 1,
            uptime_s: self.now_ms.get() / 1000,
            connections: self.process.connections.current(),
            stopping: self.process.is_stopping(),
            idle_percent: 100,
        }
    }

    fn frontend(&self, id: ProxyId) -> Option<FrontendView<'_>> {
        let frontend = self.snapshot.frontend(id)?;
        let policy = self.snapshot.policies.get(id.0 as usize)?;
        let now_ms = self.now_ms.get();
        let default_backend = frontend.model.default_backend.and_then(|id| self.snapshot.backend(id));
        Some(FrontendView {
            name: frontend.name(),
            numeric_id: frontend.model.numeric_id,
            connections: frontend.sessions.current(),
            session_rate: frontend.session_rate.per_second(now_ms),
            request_rate: frontend.request_rate.per_second(now_ms),
            default_backend: default_backend.map(|backend| backend.name()),
            client_timeout_ms: policy.client_ms,
            tarpit_timeout_ms: policy.tarpit_ms,
            is_http: policy.is_http,
        })
    }

    fn backend(&self, id: ProxyId) -> Option<BackendView<'_>> {
        let backend = self.snapshot.backend(id)?;
        let policy = self.snapshot.policies.get(id.0 as usize)?;
        Some(BackendView {
            name: backend.name(),
            numeric_id: backend.model.numeric_id,
            connections: backend.sessions.current(),
            queue: backend.queue.len(),
            queue_total: backend.queued(),
            session_rate: backend.session_rate.per_second(self.now_ms.get()),
            servers_usable: backend.usable(),
            free_connections: free(backend, false),
            free_slots: free(backend, true),
            connect_timeout_ms: policy.connect_ms,
            queue_timeout_ms: policy.queue_ms,
            server_timeout_ms: policy.server_ms,
            tarpit_timeout_ms: policy.tarpit_ms,
            tunnel_timeout_ms: policy.tunnel_ms,
            retries: backend.model.retries,
        })
    }

    fn server(&self, backend: ProxyId, server: ServerId) -> Option<ServerView<'_>> {
        let backend = self.snapshot.backend(backend)?;
        Some(server_view(backend, backend.server(server)?, self.now_ms.get()))
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

    fn random_u64(&self) -> u64 {
        let mut state = self.random.get();
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        self.random.set(state);
        state.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn process_variable(&self, name: &VarName) -> Option<Sample<'static>> {
        self.variables.get(name)
    }

    fn set_process_variable(&self, name: &VarName, value: Option<Sample<'static>>) {
        self.variables.set(name, value);
    }

    fn process_variables(&self) -> Vec<(VarName, Sample<'static>)> {
        self.variables.list()
    }

    fn capture_length(&self, frontend: ProxyId, direction: Direction, slot: usize) -> Option<usize> {
        let model = &self.snapshot.frontend(frontend)?.model;
        let slots = match direction {
            Direction::Request => &model.request_captures,
            Direction::Response => &model.response_captures,
        };
        slots.get(slot).map(|(_, length)| *length)
    }

    fn authenticate(&self, user_list: u32, user: &[u8], password: &[u8], group: Option<&[u8]>) -> bool {
        let user = self.snapshot.userlists.get(user_list as usize).and_then(|list| {
            let name = std::str::from_utf8(user).ok()?;
            list.users.get(name)
        });
        user.is_some_and(|user| {
            group.is_none_or(|group| user.groups.iter().any(|own| own.as_bytes() == group))
                && super::password::matches(user, password)
        })
    }

    fn group_of(&self, user_list: u32, user: &[u8], index: usize) -> Option<Data<'_>> {
        let list = self.snapshot.userlists.get(user_list as usize)?;
        let user = list.users.get(std::str::from_utf8(user).ok()?)?;
        Some(user.groups.get(index)?.as_bytes().into())
    }

    fn utc_offset_s(&self, wall_us: u64) -> i32 {
        // Offsets change at most every quarter of an hour.
        const QUARTER_US: u64 = 900_000_000;
        let quarter = wall_us / QUARTER_US;
        let (known, offset_s) = self.utc_offset_s.get();
        if known == quarter {
            return offset_s;
        }
        let seconds = i64::try_from(wall_us / 1_000_000).unwrap_or(0);
        let offset_s = hacore::time::local_time(seconds).utc_offset_minutes * 60;
        self.utc_offset_s.set((quarter, offset_s));
        offset_s
    }
}

/// Connections (and queue places) left on usable servers; `None` when one is unlimited.
fn free(backend: &Backend, with_queue: bool) -> Option<u64> {
    if !backend.is_limited() {
        return None;
    }
    let mut sum = 0;
    for server in backend.servers.iter().filter(|server| server.is_usable()) {
        let load = server.load(backend.sessions.current(), backend.fullconn);
        sum += u64::from(load.limit?.saturating_sub(load.served));
        if with_queue {
            sum += u64::from(load.queue_limit?.saturating_sub(load.queued));
        }
    }
    Some(sum)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Environment as Variables, LoadOptions, load_text};

    #[test]
    fn global_set_var_and_set_var_fmt_make_process_wide_variables_in_order() {
        let text = "global\n set-var proc.a int(12),add(3)\n set-var-fmt proc.b \"%[var(proc.a)]-x\"\n set-var proc.c var(proc.none)\n";
        let loaded = load_text("t.cfg", text, LoadOptions::default(), Variables::default());
        let variables = ProcessVariables::at_start(&loaded.config.as_ref().unwrap().global.variables);
        let value = |name: &str| variables.get(&VarName::parse(name).unwrap());
        assert_eq!(value("proc.a"), Some(Sample::Int(15)));
        assert_eq!(value("proc.b"), Some(Sample::str(b"15-x".to_vec())));
        assert_eq!(value("proc.c"), None);
        let name = |text: &str| VarName::parse(text).unwrap();
        variables.set(&name("proc.a"), Some(Sample::Int(1)));
        variables.set(&name("proc.d"), Some(Sample::Int(1)));
        variables.restart(&loaded.config.unwrap().global.variables);
        let value = |text: &str| variables.get(&name(text));
        assert_eq!((value("proc.a"), value("proc.d")), (Some(Sample::Int(15)), None));
    }
}
