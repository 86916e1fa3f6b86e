//! Runs every server's checks in their time.
//!
//! One small task per checked server sleeps until its next check is due; the first checks are spread over the smallest
//! interval of all (manual, "spread-checks"), so that ten thousand servers are not dialled at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hacore::health::{AgentAnswer, CheckStatus, spread};
use hacore::probe::{self, Context, Tape, Target};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::environment::CheckEnvironment;
use super::program;
use super::reporter::Reporter;
use crate::expr::Now;
use crate::model::{Address, ProxyId};
use crate::proxy::{Backend, Server, Snapshot};
use crate::rules::check::CheckScene;

/// How many checks may be under way at once: each holds a descriptor.
const CONCURRENT_MAX: usize = 4096;

/// One server's tasks and what they need.
struct Task {
    place: RefCell<Rc<Place>>,
    reporter: Arc<Reporter>,
    running: Rc<tokio::sync::Semaphore>,
    hostname: Arc<str>,
}

/// The server in the configuration in force.
struct Place {
    snapshot: Arc<Snapshot>,
    backend: Arc<Backend>,
    server: Arc<Server>,
    program: Rc<program::Check>,
}

/// Checks all servers of a configuration until dropped. Needs a `LocalSet` and a runtime with I/O and time.
#[cfg(test)]
pub async fn run(snapshot: Arc<Snapshot>, reporter: Arc<Reporter>) {
    let (_configurations, followed) = watch::channel(snapshot);
    follow(followed, reporter).await;
}

/// Checks all servers of the configuration in force until dropped; a server that goes on in the next configuration is
/// checked on in its time.
pub async fn follow(mut configurations: watch::Receiver<Arc<Snapshot>>, reporter: Arc<Reporter>) {
    let running = Rc::new(tokio::sync::Semaphore::new(CONCURRENT_MAX));
    let hostname = nix::unistd::gethostname().map(|name| name.to_string_lossy().into_owned());
    let hostname = hostname.unwrap_or_default().into();
    let mut driver = Driver { reporter, running, hostname, checked: HashMap::new() };
    loop {
        let snapshot = Arc::clone(&configurations.borrow_and_update());
        driver.adopt(&snapshot);
        // The tasks never end by themselves; dropping the driver ends them.
        if configurations.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

struct Driver {
    reporter: Arc<Reporter>,
    running: Rc<tokio::sync::Semaphore>,
    hostname: Arc<str>,
    /// By [`Server::identity`].
    checked: HashMap<usize, Checked>,
}

/// A server that is being checked.
struct Checked {
    task: Rc<Task>,
    /// Which of the three tasks there are: check, agent, slow start.
    kinds: [bool; 3],
    /// Ends them when it is dropped.
    _running: JoinSet<()>,
}

impl Driver {
    fn adopt(&mut self, snapshot: &Arc<Snapshot>) {
        let mut old = std::mem::take(&mut self.checked);
        let servers = || {
            let backends = snapshot.backends().filter(|backend| !backend.model.disabled);
            backends.flat_map(|backend| backend.servers.iter().map(move |server| (backend, server)))
        };
        let with_check = || servers().filter(|(_, server)| server.model.check);
        let total = with_check().count() as u32;
        let smallest = with_check().map(|(_, server)| server.model.inter).min().unwrap_or_default();
        let mut position = 0;
        let mut programs = Programs::default();
        for (backend, server) in servers() {
            let program = programs.of(snapshot, backend, server);
            let place = Rc::new(Place {
                snapshot: Arc::clone(snapshot),
                backend: Arc::clone(backend),
                server: Arc::clone(server),
                program,
            });
            let model = &server.model;
            let kinds = [model.check, model.agent_check, model.slowstart.is_some()];
            if kinds == [false; 3] {
                continue;
            }
            let delay = spread::start_delay(position, total, smallest);
            position += u32::from(model.check);
            let going_on = old.remove(&server.identity()).filter(|checked| checked.kinds == kinds);
            let checked = match going_on {
                Some(checked) => {
                    *checked.task.place.borrow_mut() = place;
                    checked
                }
                None => self.start(place, kinds, delay),
            };
            self.checked.insert(server.identity(), checked);
        }
    }

    fn start(&self, place: Rc<Place>, kinds: [bool; 3], delay: Duration) -> Checked {
        let task = Rc::new(Task {
            place: RefCell::new(place),
            reporter: Arc::clone(&self.reporter),
            running: Rc::clone(&self.running),
            hostname: Arc::clone(&self.hostname),
        });
        let mut running = JoinSet::new();
        if kinds[0] {
            running.spawn_local(Rc::clone(&task).check(delay));
        }
        if kinds[1] {
            running.spawn_local(Rc::clone(&task).ask_agent());
        }
        if kinds[2] {
            running.spawn_local(Rc::clone(&task).warm_up());
        }
        Checked { task, kinds, _running: running }
    }
}

/// Made programs: servers come by backend, so that only the last of each backend is asked for again.
#[derive(Default)]
struct Programs {
    backend: Option<(ProxyId, Rc<program::Check>)>,
    /// Of servers with a `healthcheck` section, by backend too, because external checks are told about it.
    section: Option<(ProxyId, String, Rc<program::Check>)>,
}

impl Programs {
    fn of(&mut self, snapshot: &Snapshot, backend: &Backend, server: &Server) -> Rc<program::Check> {
        let named = server.model.healthcheck.as_ref();
        if let Some((name, check)) = named.and_then(|name| Some((name, snapshot.healthchecks.get(name)?))) {
            return match &self.section {
                Some((of, known, made)) if *of == backend.id && known == name => Rc::clone(made),
                _ => {
                    let made = Rc::new(program::check(backend, check));
                    self.section = Some((backend.id, name.clone(), Rc::clone(&made)));
                    made
                }
            };
        }
        match &self.backend {
            Some((of, made)) if *of == backend.id => Rc::clone(made),
            _ => {
                let made = Rc::new(program::check(backend, &backend.model.check));
                self.backend = Some((backend.id, Rc::clone(&made)));
                made
            }
        }
    }
}

impl Task {
    /// Where the server stands now.
    fn place(&self) -> Rc<Place> {
        Rc::clone(&self.place.borrow())
    }

    async fn check(self: Rc<Self>, delay: Duration) {
        let handle = self.reporter.handle(&self.place().server);
        tokio::select! {
            () = tokio::time::sleep(delay) => {}
            () = handle.now.notified() => {}
        }
        loop {
            let Some(interval) = self.interval() else {
                // Maintenance, or `disable health`: until a command changes it.
                handle.sooner.notified().await;
                continue;
            };
            let started = Instant::now();
            if let Ok(_permit) = self.running.acquire().await {
                self.check_once().await;
            }
            self.wait(&handle, started, interval).await;
        }
    }

    fn interval(&self) -> Option<Duration> {
        self.place().server.health.lock().check_interval()
    }

    /// Waits for the next check: an interval after the start of the last one. A change that wants faster checks
    /// shortens the wait.
    async fn wait(&self, handle: &super::reporter::Handle, started: Instant, before: Duration) {
        let percent = self.place().snapshot.global.spread_checks;
        loop {
            // The check itself may have changed the interval.
            let Some(interval) = self.interval() else { return };
            let due = started + spread::jitter(interval, percent, seed(&self.place().server, started));
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                () = handle.now.notified() => return,
                () = handle.sooner.notified() => {
                    if self.interval().is_none_or(|now| now < before) {
                        continue;
                    }
                }
            }
        }
    }

    async fn check_once(&self) {
        let place = self.place();
        let (address, port) = {
            let handle = self.reporter.handle(&place.server);
            let kept = handle.kept.lock();
            (kept.address, kept.port)
        };
        let timeouts = program::timeouts(&place.backend, &place.server);
        let tape = Tape::default();
        let result = match &*place.program {
            program::Check::Steps { program, send_state, http2 } => {
                let target = program::target(&place.backend, &place.server, address, port);
                let Some(mut target) = target else { return };
                if *http2 {
                    target.http2 = Some(true);
                }
                let context = self.context(*send_state, program.is_dynamic(), &tape);
                probe::run(program, &target, &timeouts, &context).await
            }
            program::Check::External(check) => {
                let limit = timeouts.answer.unwrap_or(timeouts.connect);
                probe::external(&program::external(check, &place.server), limit).await
            }
            program::Check::Sentinel(check) => {
                let Address::Inet(server) = place.server.address() else { return };
                let context = Context { tape: Some(Tape::clone(&tape)), ..Context::default() };
                probe::sentinel::sentinel(check, server, &timeouts, &context).await
            }
        };
        // The server may have gone into maintenance meanwhile; then nobody asked for this.
        if self.interval().is_some() {
            // A reload may have come while it ran.
            let place = self.place();
            self.reporter.checked(&place.snapshot, &place.backend, &place.server, result, tape.take());
        }
    }

    fn context(&self, send_state: bool, dynamic: bool, tape: &Tape) -> Context {
        let place = self.place();
        let node = place.snapshot.global.node.as_deref().unwrap_or(&self.hostname);
        // A guard in the value below would live until the header takes the same lock.
        let server_up = place.server.health.lock().is_up();
        Context {
            server_up,
            state_header: send_state.then(|| program::state_header(&place.backend, &place.server, node)),
            scene: dynamic.then(|| self.scene(&place)),
            tape: Some(Tape::clone(tape)),
        }
    }

    fn scene(&self, place: &Place) -> Rc<dyn std::any::Any> {
        let (process, backend, server) = (&place.snapshot.process, &place.backend, &place.server);
        let seed = u64::from(seed(server, Instant::now())) << 32 | u64::from(process.pid);
        let environment = CheckEnvironment::new(&place.snapshot, &self.hostname, seed);
        let now = Now { wall_us: hacore::time::wall_us(), monotonic_us: process.now_us() };
        let unique_id = backend.model.unique_id_format.as_deref();
        Rc::new(CheckScene::new(backend.id, server.id, Box::new(environment), now, unique_id))
    }

    async fn ask_agent(self: Rc<Self>) {
        let handle = self.reporter.handle(&self.place().server);
        loop {
            let Some(interval) = self.place().server.health.lock().agent_interval() else {
                handle.sooner.notified().await;
                continue;
            };
            let due = Instant::now() + interval;
            if let Some(target) = self.agent_target() {
                let place = self.place();
                let timeouts = program::timeouts(&place.backend, &place.server);
                let set = handle.kept.lock().agent_send.clone();
                let send = set.as_deref().unwrap_or(&place.server.model.agent_send);
                let answer = probe::agent(&target, &timeouts, send).await;
                self.agent_answered(answer);
            }
            tokio::time::sleep_until(due).await;
        }
    }

    fn agent_answered(&self, answer: AgentAnswer) {
        let place = self.place();
        let (snapshot, backend, server) = (&place.snapshot, &place.backend, &place.server);
        if server.health.lock().agent_interval().is_some() && answer.result.status != CheckStatus::Unknown {
            self.reporter.apply(snapshot, backend, server, |health, now| health.on_agent(answer, now));
        }
    }

    fn agent_target(&self) -> Option<Target> {
        let place = self.place();
        let model = &place.server.model;
        let (address, port) = self.reporter.agent_target_of(&place.server);
        let (address, port) = (address.or(model.agent_address), port.or(model.agent_port));
        let target = program::target(&place.backend, &place.server, address, port)?;
        Some(Target { send_proxy: None, ..target })
    }

    /// Lets the slow start take its steps.
    async fn warm_up(self: Rc<Self>) {
        /// How soon a slow start that has just begun is noticed.
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        loop {
            let now = std::time::Instant::now();
            let next = self.place().server.health.lock().next_tick_at(now);
            match next {
                None => tokio::time::sleep(LOOK_EVERY).await,
                Some(at) => {
                    tokio::time::sleep_until(at.into()).await;
                    let place = self.place();
                    let (snapshot, backend, server) = (&place.snapshot, &place.backend, &place.server);
                    self.reporter.apply(snapshot, backend, server, |health, now| health.on_tick(now));
                }
            }
        }
    }
}

/// 32 bits that differ from server to server and from check to check; only for spreading.
fn seed(server: &Server, at: Instant) -> u32 {
    use std::hash::{BuildHasher, RandomState};
    thread_local!(static STATE: RandomState = RandomState::new());
    STATE.with(|state| state.hash_one((server.backend, server.id, at)) as u32)
}
