//! Runs every server's checks in their time.
//!
//! One small task per checked server sleeps until its next check is due; the first checks are spread over the smallest
//! interval of all (manual, "spread-checks"), so that ten thousand servers are not dialled at once.

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use hacore::health::{AgentAnswer, CheckStatus, spread};
use hacore::probe::{self, Context, Target};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::program;
use super::reporter::Reporter;
use crate::proxy::{Backend, Server, Snapshot};

/// How many checks may be under way at once: each holds a descriptor.
const CONCURRENT_MAX: usize = 4096;

/// One server's task and what it needs.
struct Task {
    snapshot: Arc<Snapshot>,
    reporter: Arc<Reporter>,
    backend: Arc<Backend>,
    server: Arc<Server>,
    program: Rc<program::Check>,
    running: Rc<tokio::sync::Semaphore>,
}

/// Checks all servers of a configuration until dropped. Needs a `LocalSet` and a runtime with I/O and time.
pub async fn run(snapshot: Arc<Snapshot>, reporter: Arc<Reporter>) {
    let running = Rc::new(tokio::sync::Semaphore::new(CONCURRENT_MAX));
    let mut tasks = JoinSet::new();
    let checked = || {
        let backends = snapshot.backends().filter(|backend| !backend.model.disabled);
        backends.flat_map(|backend| backend.servers.iter().map(move |server| (backend, server)))
    };
    let total = checked().filter(|(_, server)| server.model.check).count() as u32;
    let smallest =
        checked().filter(|(_, server)| server.model.check).map(|(_, server)| server.model.inter).min();
    let smallest = smallest.unwrap_or_default();
    let mut position = 0;
    let mut program = None;
    for (backend, server) in checked() {
        let program = match &program {
            Some((of, program)) if *of == backend.id => Rc::clone(program),
            _ => {
                let fresh = Rc::new(program::check(backend));
                program = Some((backend.id, Rc::clone(&fresh)));
                fresh
            }
        };
        let task = Rc::new(Task {
            snapshot: Arc::clone(&snapshot),
            reporter: Arc::clone(&reporter),
            backend: Arc::clone(backend),
            server: Arc::clone(server),
            program,
            running: Rc::clone(&running),
        });
        if server.model.check {
            let delay = spread::start_delay(position, total, smallest);
            position += 1;
            tasks.spawn_local(Rc::clone(&task).check(delay));
        }
        if server.model.agent_check {
            tasks.spawn_local(Rc::clone(&task).ask_agent());
        }
        if server.model.slowstart.is_some() {
            tasks.spawn_local(task.warm_up());
        }
    }
    // The tasks never end by themselves; dropping this future ends them.
    while tasks.join_next().await.is_some() {}
    std::future::pending().await
}

impl Task {
    async fn check(self: Rc<Self>, delay: Duration) {
        tokio::time::sleep(delay).await;
        let handle = self.reporter.handle(&self.server);
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
        self.server.health.lock().check_interval()
    }

    /// Waits for the next check: an interval after the start of the last one. A change that wants faster checks
    /// shortens the wait.
    async fn wait(&self, handle: &super::reporter::Handle, started: Instant, before: Duration) {
        let percent = self.snapshot.global.spread_checks;
        loop {
            // The check itself may have changed the interval.
            let Some(interval) = self.interval() else { return };
            let due = started + spread::jitter(interval, percent, seed(&self.server, started));
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                () = handle.sooner.notified() => {
                    if self.interval().is_none_or(|now| now < before) {
                        continue;
                    }
                }
            }
        }
    }

    async fn check_once(&self) {
        let (address, port) = {
            let handle = self.reporter.handle(&self.server);
            let kept = handle.kept.lock();
            (kept.address, kept.port)
        };
        let timeouts = program::timeouts(&self.backend, &self.server);
        let result = match &*self.program {
            program::Check::Steps(steps) => {
                let Some(target) = program::target(&self.backend, &self.server, address, port) else {
                    return;
                };
                probe::run(steps, &target, &timeouts, &self.context()).await
            }
            program::Check::External(check) => {
                let limit = timeouts.answer.unwrap_or(timeouts.connect);
                probe::external(&program::external(check, &self.server), limit).await
            }
        };
        // The server may have gone into maintenance meanwhile; then nobody asked for this.
        if self.interval().is_some() {
            self.reporter.checked(&self.snapshot, &self.backend, &self.server, result);
        }
    }

    fn context(&self) -> Context {
        let node = self.snapshot.global.node.as_deref().unwrap_or_default();
        let send_state = self.backend.model.check.send_state;
        Context {
            server_up: self.server.health.lock().is_up(),
            state_header: send_state.then(|| program::state_header(&self.backend, &self.server, node)),
        }
    }

    async fn ask_agent(self: Rc<Self>) {
        let handle = self.reporter.handle(&self.server);
        loop {
            let Some(interval) = self.server.health.lock().agent_interval() else {
                handle.sooner.notified().await;
                continue;
            };
            let due = Instant::now() + interval;
            if let Some(target) = self.agent_target() {
                let timeouts = program::timeouts(&self.backend, &self.server);
                let answer = probe::agent(&target, &timeouts, &self.server.model.agent_send).await;
                self.agent_answered(answer);
            }
            tokio::time::sleep_until(due).await;
        }
    }

    fn agent_answered(&self, answer: AgentAnswer) {
        let (snapshot, backend, server) = (&self.snapshot, &self.backend, &self.server);
        if self.server.health.lock().agent_interval().is_some()
            && answer.result.status != CheckStatus::Unknown
        {
            self.reporter.apply(snapshot, backend, server, |health, now| health.on_agent(answer, now));
        }
    }

    fn agent_target(&self) -> Option<Target> {
        let model = &self.server.model;
        let target = program::target(&self.backend, &self.server, model.agent_address, model.agent_port)?;
        Some(Target { send_proxy: None, ..target })
    }

    /// Lets the slow start take its steps.
    async fn warm_up(self: Rc<Self>) {
        /// How soon a slow start that has just begun is noticed.
        const LOOK_EVERY: Duration = Duration::from_secs(1);
        loop {
            let now = std::time::Instant::now();
            let next = self.server.health.lock().next_tick_at(now);
            match next {
                None => tokio::time::sleep(LOOK_EVERY).await,
                Some(at) => {
                    tokio::time::sleep_until(at.into()).await;
                    let (snapshot, backend, server) = (&self.snapshot, &self.backend, &self.server);
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
