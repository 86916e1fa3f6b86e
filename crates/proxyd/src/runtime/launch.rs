//! From a loaded configuration to a running daemon and its end.
//!
//! ```text
//! limits ─ bind everything ─ background, pid file ─ chroot, group, user ─ threads, services ─ ready ─ signals ─ stop
//! ```
//!
//! Nothing is started unless every address could be bound, and everything that needs privileges comes before they go.

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use hacore::process::daemonize::daemonize;
use hacore::process::pidfile::{Exclusive, PidFile};
use hacore::process::privileges::{PrivilegeError, Privileges, find_group, find_user};
use hacore::process::rlimit::{open_files, raise_open_files};
use hacore::process::sd_notify::{Notifier, watchdog_interval};
use hacore::process::signals;
use tokio::signal::unix::{Signal as Stream, SignalKind};
use tokio::sync::mpsc;

use super::inbox::Message;
use super::listeners::Listeners;
use super::log_writer::LogWriter;
use super::reload::{self, Reloaded, Reloader, Request, Wish};
use super::services::{Services, Settings};
use super::start::Runtime;
use super::state_lines::StateLog;
use crate::cli::Options;
use crate::logs::{ForwardSockets, LogService, Outlets};
use crate::model::{Address, Bind, Config, Global, User};
use crate::proxy::{FrontendState, Process, Snapshot, server_state};
use crate::services::cli::AdminSocket;
use crate::services::stats::info::Program;

/// What the command line adds to the configuration.
#[derive(Debug, Clone, Default)]
pub struct LaunchOptions {
    /// Base name of the program: the default log tag.
    pub tag: String,
    pub quiet: bool,
    /// Processes to end once this one serves: softly (`-sf`), at once (`-st`).
    pub finish_pids: Vec<i32>,
    pub terminate_pids: Vec<i32>,
    /// How the configuration was read, and is read again.
    pub command_line: Options,
    /// What was said about it (`show startup-logs`).
    pub startup_logs: String,
}

/// How often an ending data plane is looked at.
const STOP_POLL: Duration = Duration::from_millis(50);
/// The listening sockets' name with the service manager (`LISTEN_FDNAMES`).
const STORED_NAME: &str = "proxyd-listener";
/// A data-plane thread that has not begun a turn for this long is stuck; without work it turns once a second.
const STUCK_AFTER_MS: u64 = 5000;
/// No limit, as a time.
const FAR_AWAY: Duration = Duration::from_secs(10 * 365 * 86_400);

/// Runs the daemon until a signal ends it.
pub fn launch(config: Config, options: &LaunchOptions) -> ExitCode {
    match try_launch(config, options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reasons) => {
            for reason in reasons {
                // A terminal that is gone is no reason to fail differently.
                let _ = writeln!(std::io::stderr(), "[ALERT]    ({}) : {reason}", std::process::id());
            }
            ExitCode::FAILURE
        }
    }
}

fn one(reason: impl std::fmt::Display) -> Vec<String> {
    vec![reason.to_string()]
}

fn try_launch(config: Config, options: &LaunchOptions) -> Result<(), Vec<String>> {
    let threads = threads(&config.global);
    let maxconn = limits(&config, threads).map_err(one)?;
    let first = Snapshot::build(&config, &Arc::new(Process::new(threads, maxconn)));
    let read = reload::reader(options.command_line.clone(), config.global.chroot.is_some());
    let given = given_sockets(options)?;
    let mut listeners = Listeners::bind(&first, given).map_err(|errors| {
        let mut reasons: Vec<String> = errors.iter().map(ToString::to_string).collect();
        reasons.push("[haproxy.main()] Some protocols failed to start their listeners! Exiting.".to_owned());
        reasons
    })?;
    let forward_sockets = ForwardSockets::bind(&config.log_forwards, &ForwardSockets::default())?;
    let sockets = bind_admin_sockets(&config.global)?;
    let privileges = privileges(&config.global).map_err(one)?;
    let readiness = match config.global.daemon {
        true => Some(daemonize().map_err(one)?),
        false => None,
    };
    // The process that serves has another id than the one that bound.
    let process = Arc::new(Process::new(threads, maxconn));
    let snapshot = Arc::new(Snapshot::build(&config, &process));
    listeners.adopt(&snapshot);
    let mut states = server_state::Loaded::apply(&snapshot, Instant::now());
    let startup_logs = options.startup_logs.clone() + &warnings(&states.warnings, options.quiet);
    let pid_file = match &config.global.pidfile {
        Some(path) => Some(PidFile::create(path, Exclusive::No).map_err(one)?),
        None => None,
    };
    let mut outlets = Outlets::of(&snapshot);
    let log = LogWriter::new(&snapshot, &options.tag, &mut outlets).map_err(one)?;
    let own_log = LogWriter::new(&snapshot, &options.tag, &mut outlets).map_err(one)?;
    let console = !options.quiet && readiness.is_none();
    super::events::install(&snapshot.global, Some(&snapshot), &options.tag, &mut outlets, console)
        .map_err(one)?;
    // The manager's socket is out of reach after chroot.
    let notifier = Notifier::from_env();
    privileges.apply().map_err(one)?;
    if super::master::is_worker() {
        // After the privileges: changing them forgets it. Without its master nobody could steer this process.
        nix::sys::prctl::set_pdeathsig(nix::sys::signal::Signal::SIGTERM).map_err(one)?;
    }
    // Whoever sees it serve may signal it.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(one)?;
    let signals = tokio.block_on(async { Signals::new() }).map_err(one)?;
    let runtime = Runtime::start(&snapshot, &listeners, &options.tag, &mut outlets).map_err(one)?;
    let logs = LogService::start(&snapshot, &mut outlets, forward_sockets).map_err(one)?;
    let (requests, wishes) = tokio::sync::mpsc::channel(reload::WAITING_MAX);
    let settings = Settings {
        program: Program {
            version: crate::version::full().to_string(),
            release_date: crate::version::DATE.to_owned(),
        },
        reloads: Some(requests),
        startup_logs,
        console,
    };
    let state_log = StateLog { writer: own_log, console: settings.console };
    let services = Services::start(&snapshot, &runtime.inboxes, log, sockets, settings).map_err(one)?;
    states.apply_to_checks(&snapshot, services.reporter());
    end_predecessors(options);
    if let Some(notifier) = &notifier {
        notifier.ready("Ready.");
        keep_with_manager(notifier, &listeners);
    }
    if let Some(readiness) = readiness {
        readiness.ready().map_err(one)?;
    }
    let reloader = Reloader::new(read, config, listeners, outlets, logs, &options.tag);
    let mut daemon = Daemon { runtime, services, reloader, state_log, notifier };
    let ended = daemon.serve(&tokio, signals, wishes);
    let Daemon { runtime, services, notifier, reloader, .. } = daemon;
    if let Some(notifier) = &notifier {
        notifier.stopping();
    }
    runtime.join();
    services.stop();
    reloader.stop_logs();
    super::master::leave();
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    ended.map_err(one)
}

/// Says what was found in server-state files as HAProxy does; gives it for `show startup-logs`.
fn warnings(texts: &[String], quiet: bool) -> String {
    let pid = std::process::id();
    let lines: String = texts.iter().map(|text| format!("[WARNING]  ({pid}) : config : {text}\n")).collect();
    if !quiet {
        // A terminal that is gone is no reason to fail.
        let _ = std::io::stderr().write_all(lines.as_bytes());
    }
    lines
}

/// `nbthread`, by default as many as there are CPUs to run on.
fn threads(global: &Global) -> usize {
    let available = std::thread::available_parallelism().map_or(1, usize::from);
    global.nbthread.map_or(available, usize::from).max(1)
}

/// Raises the descriptor limit for `maxconn`, or finds the `maxconn` that the limit allows.
pub(super) fn limits(config: &Config, threads: usize) -> std::io::Result<u32> {
    /// Descriptors besides connections and listeners: poller and inbox a thread, logs, standard streams, services.
    const RESERVE: u64 = 64;
    let binds: usize = config.proxies.iter().map(|proxy| proxy.binds.len()).sum();
    let checks = config.proxies.iter().flat_map(|proxy| &proxy.servers).filter(|server| server.check).count();
    let fixed = RESERVE + (binds * threads + checks + 2 * threads) as u64;
    match config.global.maxconn {
        Some(maxconn) => {
            let needed = u64::from(maxconn) * 2 + fixed;
            let wanted = config.global.ulimit_n.unwrap_or(needed);
            let held = raise_open_files(wanted)?;
            if held.soft < wanted {
                let message = format!("Cannot raise FD limit to {wanted}, limit is {}.", held.soft);
                if config.global.strict_limits {
                    return Err(std::io::Error::other(format!("[haproxy.main()] {message}")));
                }
                tracing::warn!("[haproxy.main()] {message}");
            }
            Ok(maxconn)
        }
        None => {
            let hard = open_files()?.hard;
            let capped = hard.min(config.global.fd_hard_limit.unwrap_or(1_048_576));
            let held = raise_open_files(config.global.ulimit_n.unwrap_or(capped))?;
            Ok(u32::try_from(held.soft.saturating_sub(fixed) / 2).unwrap_or(u32::MAX).max(1))
        }
    }
}

fn bind_admin_sockets(global: &Global) -> Result<Vec<AdminSocket>, Vec<String>> {
    let mut sockets = Vec::new();
    let mut reasons = Vec::new();
    for socket in &global.stats_sockets {
        match AdminSocket::bind(&socket.bind) {
            Ok(socket) => sockets.push(socket),
            Err(error) => reasons.push(format!("Starting frontend GLOBAL: {error}")),
        }
    }
    if let Some(path) = std::env::var_os(super::master::WORKER_SOCKET) {
        match AdminSocket::bind(&masters_socket(path.into())) {
            Ok(socket) => sockets.push(socket),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    if reasons.is_empty() { Ok(sockets) } else { Err(reasons) }
}

/// The listening sockets of the process that this one follows: behind `-x`, of the worker before, or kept by the service
/// manager.
fn given_sockets(options: &LaunchOptions) -> Result<Vec<socket2::Socket>, Vec<String>> {
    let mut given = super::transfer::from_service_manager();
    let before = match std::env::var(super::master::TRANSFER_SOCKET) {
        Ok(path) => Some(path).filter(|path| !path.is_empty()),
        Err(_) => options.command_line.transfer_socket.clone(),
    };
    if let Some(path) = before {
        let taken = super::transfer::take(&path).map_err(|error| {
            vec![
                format!("[haproxy.main()] {error}"),
                "[haproxy.main()] Failed to get the sockets from the old process!".to_owned(),
            ]
        })?;
        given.extend(taken);
    }
    Ok(given)
}

/// Lets the service manager keep the listening sockets (`FDSTORE=1`), so that a restart refuses nobody.
fn keep_with_manager(notifier: &Notifier, listeners: &Listeners) {
    // What it kept before may be no more in use.
    notifier.forget_descriptors(STORED_NAME);
    for socket in listeners.bound.iter().flat_map(|bound| bound.sockets()) {
        notifier.store_descriptor(STORED_NAME, socket);
    }
}

/// The socket by which the master of this worker speaks to it.
fn masters_socket(path: std::path::PathBuf) -> Bind {
    let text = path.display().to_string();
    let mut bind = Bind::new(Address::Unix(path), text, Default::default());
    bind.level = Some("admin");
    bind.unix_mode = Some(0o600);
    bind.expose_listeners = true;
    bind
}

fn privileges(global: &Global) -> Result<Privileges, PrivilegeError> {
    let uid = match &global.user {
        None => None,
        Some(User::Id(id)) => Some(nix::unistd::Uid::from_raw(*id)),
        Some(User::Name(name)) => Some(find_user(name)?.uid),
    };
    let gid = match &global.group {
        None => None,
        Some(User::Id(id)) => Some(nix::unistd::Gid::from_raw(*id)),
        Some(User::Name(name)) => Some(find_group(name)?),
    };
    Ok(Privileges {
        chroot: global.chroot.clone(),
        uid,
        gid,
        keep: global.kept_capabilities.clone(),
        ..Privileges::default()
    })
}

/// `-sf`, `-st`: the processes that this one replaces.
fn end_predecessors(options: &LaunchOptions) {
    use nix::sys::signal::{Signal, kill};
    let each = |pids: &[i32], signal| {
        for pid in pids {
            // One that has ended already is what we want.
            let _ = kill(nix::unistd::Pid::from_raw(*pid), signal);
        }
    };
    each(&options.finish_pids, Signal::SIGUSR1);
    each(&options.terminate_pids, Signal::SIGTERM);
}

/// The signals that it heeds.
struct Signals {
    terminate: Stream,
    interrupt: Stream,
    soft: Stream,
    hangup: Stream,
    reload: Stream,
    pause: Stream,
    resume: Stream,
}

impl Signals {
    /// Needs a runtime.
    fn new() -> std::io::Result<Self> {
        signals::ignore(SignalKind::pipe().as_raw_value())?;
        signals::ignore(nix::libc::SIGQUIT)?;
        Ok(Self {
            terminate: signals::stream(SignalKind::terminate().as_raw_value())?,
            interrupt: signals::stream(SignalKind::interrupt().as_raw_value())?,
            soft: signals::stream(SignalKind::user_defined1().as_raw_value())?,
            hangup: signals::stream(SignalKind::hangup().as_raw_value())?,
            reload: signals::stream(SignalKind::user_defined2().as_raw_value())?,
            pause: signals::stream(nix::libc::SIGTTOU)?,
            resume: signals::stream(nix::libc::SIGTTIN)?,
        })
    }
}

/// The serving process.
struct Daemon {
    runtime: Runtime,
    services: Services,
    reloader: Reloader,
    state_log: StateLog,
    notifier: Option<Notifier>,
}

impl Daemon {
    /// Waits for the signals: SIGTERM and SIGINT end at once, SIGUSR1 lets requests finish, SIGUSR2 reloads, SIGTTOU and
    /// SIGTTIN pause and resume the listeners. SIGHUP dumps the state and reloads: the one is what HAProxy's worker does,
    /// the other what its master does.
    fn serve(
        &mut self,
        tokio: &tokio::runtime::Runtime,
        mut signals: Signals,
        mut wishes: mpsc::Receiver<Request>,
    ) -> std::io::Result<()> {
        tokio.block_on(async {
            let mut stopping = false;
            let mut closed = false;
            let mut graced = std::pin::pin!(tokio::time::sleep(FAR_AWAY));
            let mut expired = std::pin::pin!(tokio::time::sleep(FAR_AWAY));
            let mut watchdog = tokio::time::interval(watchdog_interval().unwrap_or(FAR_AWAY));
            loop {
                tokio::select! {
                    _ = signals.terminate.recv() => break,
                    _ = signals.interrupt.recv() => break,
                    _ = signals.hangup.recv() => {
                        self.state_log.dump(&self.runtime.snapshot);
                        if !stopping {
                            self.reload();
                        }
                    }
                    _ = signals.reload.recv(), if !stopping => {
                        self.reload();
                    }
                    Some(request) = wishes.recv() => {
                        let answer = match request.wish {
                            Wish::Sockets(to) => {
                                // A client that left does not want them.
                                let _ = to.send(self.reloader.sockets().unwrap_or_default());
                                continue;
                            }
                            _ if stopping => "Success=0\n--\nThe process is stopping.\n".to_owned(),
                            Wish::Reload => self.reload(),
                            Wish::Edit(edit) => self.edit(edit),
                            Wish::Plan => self.reloader.plan().map_or_else(|why| why, |plan| plan.to_string()),
                        };
                        // A client that left does not want the answer.
                        let _ = request.answer.send(answer);
                    }
                    _ = signals.soft.recv(), if !stopping => {
                        stopping = true;
                        self.runtime.snapshot.process.stopping.store(true, Relaxed);
                        let grace = self.runtime.snapshot.global.grace.unwrap_or_default();
                        graced.as_mut().reset(tokio::time::Instant::now() + grace);
                    }
                    () = &mut graced, if stopping && !closed => {
                        closed = true;
                        self.soft_stop();
                        let limit = self.runtime.snapshot.global.hard_stop_after.unwrap_or(FAR_AWAY);
                        expired.as_mut().reset(tokio::time::Instant::now() + limit);
                    }
                    _ = signals.pause.recv(), if !stopping => self.listen(false),
                    _ = signals.resume.recv(), if !stopping => self.listen(true),
                    _ = watchdog.tick() => self.watch(),
                    () = ended(&self.runtime) => break,
                    () = &mut expired, if closed => {
                        tracing::warn!("soft-stop running for too long, performing a hard-stop.");
                        break;
                    }
                }
            }
            self.runtime.hard_stop();
            Ok(())
        })
    }

    /// Stops listening and lets requests finish.
    fn soft_stop(&mut self) {
        if let Some(notifier) = &self.notifier {
            notifier.stopping();
        }
        self.runtime.soft_stop();
        self.reloader.close_listeners();
        self.state_log.stopped(&self.runtime.snapshot);
    }

    /// SIGTTIN and SIGTTOU: listening again, or not for now.
    fn listen(&mut self, on: bool) {
        let snapshot = Arc::clone(&self.runtime.snapshot);
        let (from, to, word) = match on {
            true => (FrontendState::Paused, FrontendState::Open, "Resumed"),
            false => (FrontendState::Open, FrontendState::Paused, "Paused"),
        };
        for frontend in snapshot.frontends() {
            let state = frontend.state();
            if state == from || !on && state == FrontendState::Full {
                frontend.set_state(to);
                let text = format!("{word} {} {}.", frontend.model.kind.noun(), frontend.name());
                self.state_log.listening(&snapshot, frontend.id.0 as usize, &text);
            }
        }
        self.runtime.inboxes.broadcast(&Message::ResumeAccept);
    }

    /// Tells the service manager's watchdog that traffic moves; when it does not, silence makes the manager act.
    fn watch(&self) {
        let stuck = self.runtime.snapshot.process.stuck_threads(STUCK_AFTER_MS);
        match (&self.notifier, stuck.as_slice()) {
            (Some(notifier), []) => notifier.watchdog(),
            (None, []) => {}
            (_, stuck) => tracing::error!("Threads {stuck:?} have not moved for {STUCK_AFTER_MS} ms."),
        }
    }

    /// Carries out a command that changes the configuration in force.
    fn edit(&mut self, edit: reload::Edit) -> String {
        match self.reloader.edit(edit, &mut self.runtime, &self.services) {
            Ok((answer, log)) => {
                self.state_log.writer = log;
                answer
            }
            Err(why) => why,
        }
    }

    /// Reloads; the answer is what HAProxy's master says about its `reload`.
    fn reload(&mut self) -> String {
        let started = std::time::Instant::now();
        if let Some(notifier) = &self.notifier {
            notifier.reloading();
        }
        let outcome = self.reloader.reload(&mut self.runtime, &self.services);
        let answer = match outcome {
            Ok(Reloaded { plan, log }) => {
                self.state_log.writer = log;
                for name in &plan.restart {
                    tracing::warn!("Reload: '{name}' differs and stays as it is until a restart.");
                }
                if let Some(notifier) = &self.notifier {
                    keep_with_manager(notifier, self.reloader.listeners());
                }
                let summary = plan.to_string();
                let line = summary.lines().last().unwrap_or_default();
                let text = format!("Reloaded in {} ms: {line}.", started.elapsed().as_millis());
                self.state_log.notice(&self.runtime.snapshot, &text);
                format!("Success=1\n--\n{}{summary}", self.reloader.messages)
            }
            Err(why) => {
                for line in why.lines() {
                    tracing::error!("Reload refused, nothing was changed: {line}");
                }
                format!("Success=0\n--\n{why}")
            }
        };
        if let Some(notifier) = &self.notifier {
            notifier.ready("Ready.");
        }
        answer
    }
}

async fn ended(runtime: &Runtime) {
    while !runtime.is_over() {
        tokio::time::sleep(STOP_POLL).await;
    }
}
