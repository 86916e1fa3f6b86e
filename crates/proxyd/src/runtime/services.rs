//! The thread beside the data plane: health checks, admin sockets.
//!
//! It has a runtime of its own, so that a `show stat` of thirty thousand servers costs no request any time.

use std::io::{self, Write};
use std::sync::Arc;
use std::thread::JoinHandle;

use arc_swap::ArcSwap;
use hacore::logging::syslog::Level;
use parking_lot::Mutex;
use tokio::sync::{oneshot, watch};

use super::inbox::{Inboxes, Message};
use super::log_writer::{LogWriter, Record};
use crate::model::{ProxyId, ServerId};
use crate::proxy::Snapshot;
use crate::proxy::checks::{self, Hooks, Reporter};
use crate::services::cli::server::{Limits, SocketFile};
use crate::services::cli::{self, Admin, AdminSocket};
use crate::services::ocsp_update;
use crate::services::report::Renderer;
use crate::services::stats::info::Program;

/// What the services need besides the configuration.
pub struct Settings {
    pub program: Program,
    /// Where the `reload` command asks.
    pub reloads: Option<super::reload::Requests>,
    /// What was printed while starting.
    pub startup_logs: String,
    /// Whether state changes are also written to standard error (not with `-q`, nor once in the background).
    pub console: bool,
}

/// The running thread.
pub struct Services {
    reporter: Arc<Reporter>,
    shared: Arc<Shared>,
    configurations: watch::Sender<Arc<Snapshot>>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    socket_files: Vec<SocketFile>,
}

impl Services {
    /// Starts the thread. `sockets` were bound before privileges were dropped; `log` is for state changes.
    pub fn start(
        snapshot: &Arc<Snapshot>,
        inboxes: &Arc<Inboxes>,
        log: LogWriter,
        sockets: Vec<AdminSocket>,
        settings: Settings,
    ) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            snapshot: Arc::new(ArcSwap::from(Arc::clone(snapshot))),
            log: Mutex::new(log),
        });
        let hooks = ProcessHooks {
            inboxes: Arc::clone(inboxes),
            shared: Arc::clone(&shared),
            console: settings.console,
        };
        let reporter = Arc::new(Reporter::new(snapshot, Box::new(hooks)));
        // Only tests start services twice for one process.
        let _ = snapshot.process.reporter.set(Arc::clone(&reporter));
        let _ = snapshot.process.renderer.set(Renderer::start()?);
        let admin = Arc::new(Admin {
            snapshot: Arc::clone(&shared.snapshot),
            inboxes: Some(Arc::clone(inboxes)),
            reloads: settings.reloads,
            reporter: Arc::clone(&reporter),
            program: settings.program,
            sockets: sockets.iter().map(|socket| socket.info.clone()).collect(),
            certificates: Default::default(),
            ocsp: Arc::default(),
            startup_logs: settings.startup_logs,
        });
        let global = &snapshot.global;
        let limits = Limits { timeout: global.stats_timeout, connections_max: global.stats_maxconn };
        let socket_files = sockets.iter().filter_map(|socket| socket.file().cloned()).collect();
        let (stop, stopped) = oneshot::channel();
        let (configurations, followed) = watch::channel(Arc::clone(snapshot));
        let thread_reporter = Arc::clone(&reporter);
        let updates = (Arc::clone(&admin), configurations.subscribe(), Arc::clone(&shared));
        // Made within the thread: the tasks of a local set never leave it.
        let work = move || async move {
            let (asking, configurations, shared) = updates;
            let log = move |text: &str| shared.log_global(Level::Notice, text);
            tokio::select! {
                () = checks::follow(followed, thread_reporter) => {}
                () = ocsp_update::run(asking, configurations, log) => {}
                outcome = cli::serve(sockets, admin, limits) => {
                    if let Err(error) = outcome {
                        tracing::error!(%error, "admin sockets ended");
                    }
                }
                // Also when the sender was dropped.
                _ = stopped => {}
            }
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let traffic = checks::Traffic::new(&reporter, &shared.snapshot, runtime.handle().clone());
        // A process starts its services once.
        let _ = snapshot.process.observer.set(Arc::new(traffic));
        let main = move || tokio::task::LocalSet::new().block_on(&runtime, work());
        let thread = std::thread::Builder::new().name("proxyd/services".to_owned()).spawn(main)?;
        Ok(Self { reporter, shared, configurations, stop, thread, socket_files })
    }

    /// Goes over to a new configuration; `log` is for its state changes.
    pub fn adopt(&self, snapshot: &Arc<Snapshot>, log: LogWriter) {
        {
            let mut old = self.shared.log.lock();
            old.flush(&snapshot.process);
            *old = log;
            self.shared.snapshot.store(Arc::clone(snapshot));
        }
        self.reporter.adopt(snapshot);
        // The thread may have ended already.
        let _ = self.configurations.send(Arc::clone(snapshot));
    }

    /// Where the data plane reports what it saw (`observe`).
    pub fn reporter(&self) -> &Arc<Reporter> {
        &self.reporter
    }

    /// Ends the checks and the admin sockets, and removes the sockets' files.
    pub fn stop(self) {
        // The thread may have ended already.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the services thread panicked");
        }
        for file in &self.socket_files {
            file.remove();
        }
    }
}

/// What the sockets, the checks and the process's own thread have in common.
struct Shared {
    /// The configuration in force.
    snapshot: Arc<ArcSwap<Snapshot>>,
    log: Mutex<LogWriter>,
}

impl Shared {
    /// A line to the logs of the `global` section.
    fn log_global(&self, level: Level, text: &str) {
        let process = Arc::clone(&self.snapshot.load().process);
        let mut log = self.log.lock();
        log.write_global(&process, &Record::event(level, hacore::time::wall_us(), text.as_bytes()));
        log.flush(&process);
    }
}

struct ProcessHooks {
    inboxes: Arc<Inboxes>,
    shared: Arc<Shared>,
    console: bool,
}

impl Hooks for ProcessHooks {
    fn log(&self, proxy: ProxyId, level: Level, text: &str) {
        let wall_us = hacore::time::wall_us();
        let process = Arc::clone(&self.shared.snapshot.load().process);
        let mut log = self.shared.log.lock();
        log.write(&process, proxy.0 as usize, &Record::event(level, wall_us, text.as_bytes()));
        log.flush(&process);
    }

    fn log_global(&self, level: Level, text: &str) {
        self.shared.log_global(level, text);
    }

    fn shutdown_sessions(&self, backend: ProxyId, server: ServerId) {
        let snapshot = self.shared.snapshot.load();
        if let Some(server) = snapshot.backend(backend).and_then(|backend| backend.server(server)) {
            self.inboxes.broadcast(&Message::ShutdownServer { server: Arc::clone(server) });
        }
    }

    fn requeue(&self, backend: ProxyId, server: ServerId) {
        let snapshot = self.shared.snapshot.load();
        if let Some(server) = snapshot.backend(backend).and_then(|backend| backend.server(server)) {
            self.inboxes.broadcast(&Message::Requeue { server: Arc::clone(server) });
        }
    }

    fn frontend_changed(&self, _: ProxyId) {
        self.inboxes.broadcast(&Message::ResumeAccept);
    }

    fn console(&self, severity: &'static str, text: &str) {
        if self.console {
            // `[WARNING]  (1234) : …` with the column that HAProxy keeps; a terminal that is gone is no reason to stop.
            let label = format!("[{severity}]");
            let _ = writeln!(io::stderr(), "{label:<10} ({}) : {text}", std::process::id());
        }
    }
}
