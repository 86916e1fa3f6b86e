//! Carries out what follows from a change of a server's health: log lines, sessions, tracking servers.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use hacore::health::outlier::Ejection;
use hacore::health::{
    Change, CheckResult, Event, Health, Left, LogLevel, Observation, Outcome, Subject, no_server_available,
};
use hacore::logging::syslog::Level;
use hacore::probe::Transcript;
use parking_lot::Mutex;
use tokio::sync::Notify;

use super::history::{History, PastCheck};
use crate::model::{OnMarkedDown, OnMarkedUp, ProxyId, ServerId};
use crate::proxy::{Backend, Counter, Server, Snapshot};
use crate::services::stats::collect;

/// What the reporter asks of the rest of the program.
pub trait Hooks: Send + Sync {
    /// Sends a line to the logs of a proxy.
    fn log(&self, proxy: ProxyId, level: Level, text: &str);
    /// Sends a line to the logs of the `global` section.
    fn log_global(&self, level: Level, text: &str);
    /// Makes every thread end its sessions on this server. The server's epoch was already raised.
    fn shutdown_sessions(&self, backend: ProxyId, server: ServerId);
    /// Lets what waits for this server go to another one.
    fn requeue(&self, backend: ProxyId, server: ServerId);
    /// Tells the threads that a frontend's state changed.
    fn frontend_changed(&self, frontend: ProxyId);
    /// Writes `[WARNING]  (pid) : text` to standard error, or not, as the command line wants it.
    fn console(&self, severity: &'static str, text: &str);
}

/// A server by its place.
type Place = (ProxyId, ServerId);

/// What the reporter keeps for a server.
#[derive(Debug, Default)]
pub(super) struct Handle {
    /// Wakes the server's check task.
    pub(super) sooner: Notify,
    /// Lets it check at once, whenever the next check is due.
    pub(super) now: Notify,
    pub(super) kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
pub(super) struct Kept {
    /// `set server … check-addr` and `check-port`.
    pub(super) address: Option<IpAddr>,
    pub(super) port: Option<u16>,
    /// `agent-addr`, `agent-port`, `agent-send`.
    pub(super) agent_address: Option<IpAddr>,
    pub(super) agent_port: Option<u16>,
    pub(super) agent_send: Option<Vec<u8>>,
    pub(super) history: History,
}

/// What belongs to one configuration.
#[derive(Default)]
struct Wiring {
    /// By [`Server::identity`], which goes on through reloads; the server is kept so that its identity stays its own.
    handles: HashMap<usize, (Arc<Server>, Arc<Handle>)>,
    /// Who tracks whom: from the tracked server to those that follow it.
    followers: HashMap<Place, Vec<Place>>,
}

/// See the module. One per process; a reload brings a new configuration with [`Self::adopt`].
pub struct Reporter {
    hooks: Box<dyn Hooks>,
    wiring: ArcSwap<Wiring>,
}

impl std::fmt::Debug for Reporter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reporter").finish_non_exhaustive()
    }
}

impl Reporter {
    pub fn new(snapshot: &Snapshot, hooks: Box<dyn Hooks>) -> Self {
        let reporter = Self { hooks, wiring: ArcSwap::default() };
        reporter.adopt(snapshot);
        reporter
    }

    /// Takes over a configuration: tracking servers get the state of those they follow.
    pub fn adopt(&self, snapshot: &Snapshot) {
        let old = self.wiring.load_full();
        let mut wiring = Wiring::default();
        for backend in snapshot.backends() {
            for server in &backend.servers {
                let place = (backend.id, server.id);
                let identity = server.identity();
                let known = old.handles.get(&identity).map(|(_, handle)| Arc::clone(handle));
                wiring.handles.insert(identity, (Arc::clone(server), known.unwrap_or_default()));
                if let Some(tracked) = server.model.track.as_deref().and_then(|t| find(snapshot, backend, t))
                {
                    wiring.followers.entry(tracked).or_default().push(place);
                }
            }
        }
        let tracked: Vec<Place> = wiring.followers.keys().copied().collect();
        self.wiring.store(Arc::new(wiring));
        for (backend, server) in tracked.iter().filter_map(|place| at(snapshot, *place)) {
            self.tell_followers(snapshot, backend, server);
        }
    }

    /// Changes a server's health and does everything that follows.
    pub fn apply(
        &self,
        snapshot: &Snapshot,
        backend: &Backend,
        server: &Server,
        change: impl FnOnce(&mut Health, Instant) -> Outcome,
    ) {
        let now = Instant::now();
        let was_up = backend_is_up(backend);
        let outcome = backend.update_health(server, now, change);
        for event in &outcome {
            match event {
                Event::Report(report)
                    if backend.model.options.log_health_checks || backend.model.check.log =>
                {
                    let line = report.line(&subject(backend, server));
                    self.hooks.console("WARNING", &line);
                    self.hooks.log(backend.id, Level::Notice, &line);
                }
                Event::Report(_) | Event::ConditionChanged => {}
                Event::Changed(change) => self.changed(snapshot, backend, server, change, now),
                Event::CheckSooner => self.wake(server),
                Event::Maxconn(maxconn) => {
                    server.maxconn.store(*maxconn, Relaxed);
                    server.minconn.store(*maxconn, Relaxed);
                }
            }
        }
        if outcome.contains(&Event::ConditionChanged) {
            self.backend_changed(snapshot, backend, was_up);
            self.tell_followers(snapshot, backend, server);
        }
    }

    /// Takes what traffic showed (`observe`); cheap when the server does not observe.
    pub fn observe(&self, snapshot: &Snapshot, backend: &Backend, server: &Server, observation: Observation) {
        if server.model.observe.is_some() {
            self.apply(snapshot, backend, server, |health, now| health.on_traffic(observation, now));
        }
    }

    /// Takes what traffic showed, for `option outlier-ejection`. Gives the time after which [`Self::settle_outliers`] is
    /// to be called.
    pub(super) fn observe_outlier(
        &self,
        snapshot: &Snapshot,
        backend: &Backend,
        server: &Server,
        observation: Observation,
    ) -> Option<Duration> {
        let outliers = backend.outliers.as_ref()?;
        let failed = !matches!(observation, Observation::Connected | Observation::GoodResponse);
        let up = up_by_checks(backend);
        let ejection = outliers.lock().on_traffic(server.id.0 as usize, failed, up, Instant::now())?;
        let what = match ejection {
            Ejection::Out(time) => format!("is ejected for {}s", time.as_secs_f32()),
            Ejection::Refused => "would be ejected, but too many servers are out".to_owned(),
        };
        let line = format!(
            "Server {}/{} {what}: its requests fail in a row, the last one with '{}'.",
            backend.name(),
            server.name(),
            observation.sentence()
        );
        self.hooks.console("WARNING", &line);
        self.hooks.log(backend.id, Level::Alert, &line);
        match ejection {
            Ejection::Out(time) => {
                self.settle_outliers(snapshot, backend);
                Some(time)
            }
            Ejection::Refused => None,
        }
    }

    /// Carries out who is ejected now and who is in use again.
    pub(super) fn settle_outliers(&self, snapshot: &Snapshot, backend: &Backend) {
        let Some(outliers) = &backend.outliers else { return };
        let ejected = outliers.lock().ejected(up_by_checks(backend), Instant::now());
        for (server, ejected) in backend.servers.iter().zip(ejected) {
            let is = server.health.lock().is_ejected();
            if is != ejected {
                self.apply(snapshot, backend, server, |health, now| health.set_ejected(ejected, now));
                if !ejected {
                    let line = format!("Server {}/{} is in use again.", backend.name(), server.name());
                    self.hooks.console("WARNING", &line);
                    self.hooks.log(backend.id, Level::Notice, &line);
                }
            }
        }
    }

    /// Takes the result of a check and remembers it.
    pub(super) fn checked(
        &self,
        snapshot: &Snapshot,
        backend: &Backend,
        server: &Server,
        result: CheckResult,
        transcript: Transcript,
    ) {
        let remembered = result.clone();
        self.apply(snapshot, backend, server, |health, now| health.on_check(result, now));
        let up = server.health.lock().is_up();
        let past = PastCheck { wall_us: hacore::time::wall_us(), result: remembered, up, transcript };
        self.handle(server).kept.lock().history.push(past);
    }

    /// The last checks of a server, oldest first.
    pub fn history(&self, server: &Server) -> Vec<PastCheck> {
        self.handle(server).kept.lock().history.list()
    }

    /// Lets a server's check begin now if it may (it was enabled, or should be faster).
    pub fn wake(&self, server: &Server) {
        self.handle(server).sooner.notify_one();
    }

    /// Lets a server's next check begin at once; one that is under way is not disturbed.
    pub fn check_now(&self, server: &Server) {
        self.handle(server).now.notify_one();
    }

    /// `set server … check-addr`, `check-port`: from the next check on.
    pub fn set_check_target(&self, server: &Server, address: Option<IpAddr>, port: Option<u16>) {
        let handle = self.handle(server);
        let mut kept = handle.kept.lock();
        kept.address = address.or(kept.address);
        kept.port = port.or(kept.port);
    }

    /// `set server … agent-addr`, `agent-port`: from the next question on.
    pub fn set_agent_target(&self, server: &Server, address: Option<IpAddr>, port: Option<u16>) {
        let handle = self.handle(server);
        let mut kept = handle.kept.lock();
        kept.agent_address = address.or(kept.agent_address);
        kept.agent_port = port.or(kept.agent_port);
    }

    /// `set server … agent-send`.
    pub fn set_agent_send(&self, server: &Server, text: &[u8]) {
        self.handle(server).kept.lock().agent_send = Some(text.to_vec());
    }

    /// Where the agent is, if a command said so.
    pub fn agent_target_of(&self, server: &Server) -> (Option<IpAddr>, Option<u16>) {
        let handle = self.handle(server);
        let kept = handle.kept.lock();
        (kept.agent_address, kept.agent_port)
    }

    /// What [`Self::set_check_target`] set.
    pub fn check_target(&self, server: &Server) -> (Option<IpAddr>, Option<u16>) {
        let handle = self.handle(server);
        let kept = handle.kept.lock();
        (kept.address, kept.port)
    }

    /// Ends all sessions on a server.
    pub fn shutdown_sessions(&self, backend: &Backend, server: &Server) {
        server.shutdown_epoch.fetch_add(1, Relaxed);
        self.hooks.shutdown_sessions(backend.id, server.id);
    }

    /// A line that is about no proxy.
    pub fn log_global(&self, level: Level, text: &str) {
        self.hooks.log_global(level, text);
    }

    /// Tells that a command changed a frontend.
    pub fn warn_frontend(&self, frontend: ProxyId, text: &str) {
        self.hooks.console("WARNING", text);
        self.hooks.log(frontend, Level::Warning, text);
        self.hooks.frontend_changed(frontend);
    }

    pub(super) fn handle(&self, server: &Server) -> Arc<Handle> {
        let wiring = self.wiring.load();
        // A server of a configuration that was just replaced has none any more; what it is told then is lost.
        wiring.handles.get(&server.identity()).map(|(_, handle)| Arc::clone(handle)).unwrap_or_default()
    }

    fn changed(
        &self,
        snapshot: &Snapshot,
        backend: &Backend,
        server: &Server,
        change: &Change,
        now: Instant,
    ) {
        let usable = collect::usable(backend, now);
        // `option redispatch` frees requests from a server that is down, those in its queue too.
        let frees = change.is_down() && backend.model.redispatch.is_some();
        let requeued = if frees { server.queue.len() } else { 0 };
        let left = Left {
            active: usable.active,
            backup: usable.backup,
            sessions: server.sessions.current(),
            requeued,
            queued: (server.queue.len() + backend.queue.len()).saturating_sub(requeued),
        };
        let with_reports = backend.model.options.log_health_checks || backend.model.check.log;
        let line = change.line(&subject(backend, server), &left, with_reports);
        self.hooks.console("WARNING", &line);
        self.hooks.log(backend.id, level(change.level()), &line);
        let now_ms = snapshot.process.now_ms();
        server.changed_ms.store(now_ms, Relaxed);
        if requeued > 0 {
            self.hooks.requeue(backend.id, server.id);
        }
        if change.is_down() && server.model.on_marked_down == Some(OnMarkedDown::ShutdownSessions) {
            self.shutdown_sessions(backend, server);
        }
        if change.is_up()
            && !server.model.backup
            && server.model.on_marked_up == Some(OnMarkedUp::ShutdownBackupSessions)
        {
            for backup in backend.servers.iter().filter(|other| other.model.backup) {
                self.shutdown_sessions(backend, backup);
            }
        }
    }

    /// The backend itself went down or came up with its last or first server.
    fn backend_changed(&self, snapshot: &Snapshot, backend: &Backend, was_up: bool) {
        let up = backend_is_up(backend);
        if up == was_up {
            return;
        }
        let now_ms = snapshot.process.now_ms();
        let since_ms = backend.changed_ms.swap(now_ms, Relaxed);
        if up {
            backend.down_ms.fetch_add(now_ms.saturating_sub(since_ms), Relaxed);
            return;
        }
        backend.counters.increment(Counter::DownTransitions);
        let name = backend.name();
        let kind = if backend.model.kind.is_frontend() { "proxy" } else { "backend" };
        self.hooks.console("ALERT", &format!("{kind} '{name}' has no server available!"));
        let line = no_server_available(name);
        let line = if kind == "proxy" { line.replacen("backend", "proxy", 1) } else { line };
        self.hooks.log(backend.id, Level::Emerg, &line);
    }

    fn tell_followers(&self, snapshot: &Snapshot, backend: &Backend, server: &Server) {
        let wiring = self.wiring.load_full();
        let Some(followers) = wiring.followers.get(&(backend.id, server.id)) else { return };
        let via: Arc<str> = format!("{}/{}", backend.name(), server.name()).into();
        let tracked = server.health.lock().as_tracked(via);
        for (backend, server) in followers.iter().filter_map(|place| at(snapshot, *place)) {
            self.apply(snapshot, backend, server, |health, now| health.set_tracked(tracked.clone(), now));
        }
    }
}

/// How many servers are up by their checks, ejected or not.
fn up_by_checks(backend: &Backend) -> u32 {
    backend.servers.iter().filter(|server| server.health.lock().is_up()).count() as u32
}

/// Asked before and after every check, so it must not look at each server.
fn backend_is_up(backend: &Backend) -> bool {
    backend.servers.is_empty() || backend.used() > 0
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Emergency => Level::Emerg,
        LogLevel::Alert => Level::Alert,
        LogLevel::Notice => Level::Notice,
    }
}

fn subject<'a>(backend: &'a Backend, server: &'a Server) -> Subject<'a> {
    Subject { backend: backend.name(), server: server.name(), backup: server.model.backup }
}

/// `[backend/]server` as `track` names it.
fn find(snapshot: &Snapshot, own: &Backend, name: &str) -> Option<Place> {
    let (backend, server) = match name.split_once('/') {
        Some((backend, server)) => snapshot.server_named(backend, server)?,
        None => return own.server_named(name).map(|server| (own.id, server.id)),
    };
    Some((backend.id, server.id))
}

fn at(snapshot: &Snapshot, (backend, server): Place) -> Option<(&Backend, &Server)> {
    let backend = snapshot.backend(backend)?;
    Some((backend, backend.server(server)?))
}
