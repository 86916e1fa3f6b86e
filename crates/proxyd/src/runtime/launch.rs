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
use std::time::Duration;

use hacore::process::daemonize::daemonize;
use hacore::process::pidfile::{Exclusive, PidFile};
use hacore::process::privileges::{PrivilegeError, Privileges, find_group, find_user};
use hacore::process::rlimit::{open_files, raise_open_files};
use hacore::process::sd_notify::Notifier;
use hacore::process::signals;
use tokio::signal::unix::SignalKind;
use tokio::sync::mpsc;

use super::listeners::Listeners;
use super::log_writer::LogWriter;
use super::reload::{self, Reloaded, Reloader, Request, Wish};
use super::services::{Services, Settings};
use super::start::Runtime;
use super::state_lines::StateLog;
use crate::cli::Options;
use crate::logs::{ForwardSockets, LogService, Outlets};
use crate::model::{Address, Bind, Config, Global, User};
use crate::proxy::{Process, Snapshot};
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
    let mut listeners = Listeners::bind(&first).map_err(|errors| {
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
    let runtime = Runtime::start(&snapshot, &listeners, &options.tag, &mut outlets).map_err(one)?;
    let logs = LogService::start(&snapshot, &mut outlets, forward_sockets).map_err(one)?;
    let (requests, wishes) = tokio::sync::mpsc::channel(reload::WAITING_MAX);
    let settings = Settings {
        program: Program {
            version: crate::version::full().to_string(),
            release_date: crate::version::DATE.to_owned(),
        },
        reloads: Some(requests),
        startup_logs: options.startup_logs.clone(),
        console,
    };
    let state_log = StateLog { writer: own_log, console: settings.console };
    let services = Services::start(&snapshot, &runtime.inboxes, log, sockets, settings).map_err(one)?;
    end_predecessors(options);
    if let Some(notifier) = &notifier {
        notifier.ready("Ready.");
    }
    if let Some(readiness) = readiness {
        readiness.ready().map_err(one)?;
    }
    let hard_stop_after = config.global.hard_stop_after;
    let reloader = Reloader::new(read, config, listeners, outlets, logs, &options.tag);
    let mut daemon = Daemon { runtime, services, reloader, state_log, notifier };
    let ended = daemon.serve(wishes, hard_stop_after);
    let Daemon { runtime, services, mut state_log, notifier, reloader } = daemon;
    let snapshot = Arc::clone(&runtime.snapshot);
    if let Some(notifier) = &notifier {
        notifier.stopping();
    }
    runtime.join();
    services.stop();
    if snapshot.process.is_stopping() {
        state_log.stopped(&snapshot);
    }
    reloader.stop_logs();
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    ended.map_err(one)
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
            let wanted = config.global.ulimit_n.unwrap_or(u64::from(maxconn) * 2 + fixed);
            raise_open_files(wanted)?;
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

/// The socket by which the master of this worker speaks to it.
fn masters_socket(path: std::path::PathBuf) -> Bind {
    let text = path.display().to_string();
    let mut bind = Bind::new(Address::Unix(path), text, Default::default());
    bind.level = Some("admin");
    bind.unix_mode = Some(0o600);
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
    Ok(Privileges { chroot: global.chroot.clone(), uid, gid, ..Privileges::default() })
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

/// The serving process.
struct Daemon {
    runtime: Runtime,
    services: Services,
    reloader: Reloader,
    state_log: StateLog,
    notifier: Option<Notifier>,
}

impl Daemon {
    /// Waits for the signals: SIGTERM and SIGINT end at once, SIGUSR1 lets requests finish, SIGUSR2 reloads.
    /// SIGHUP dumps the state and reloads: the one is what HAProxy's worker does, the other what its master does.
    fn serve(
        &mut self,
        mut wishes: mpsc::Receiver<Request>,
        hard_stop_after: Option<Duration>,
    ) -> std::io::Result<()> {
        let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        tokio.block_on(async {
            let mut terminate = signals::stream(SignalKind::terminate().as_raw_value())?;
            let mut interrupt = signals::stream(SignalKind::interrupt().as_raw_value())?;
            let mut soft = signals::stream(SignalKind::user_defined1().as_raw_value())?;
            signals::ignore(SignalKind::pipe().as_raw_value())?;
            let mut hangup = signals::stream(SignalKind::hangup().as_raw_value())?;
            let mut reload = signals::stream(SignalKind::user_defined2().as_raw_value())?;
            let mut stopping = false;
            for terminal in [nix::libc::SIGTTOU, nix::libc::SIGTTIN, nix::libc::SIGQUIT] {
                signals::ignore(terminal)?;
            }
            let mut expired = std::pin::pin!(tokio::time::sleep(FAR_AWAY));
            loop {
                tokio::select! {
                    _ = terminate.recv() => break,
                    _ = interrupt.recv() => break,
                    _ = hangup.recv() => {
                        self.state_log.dump(&self.runtime.snapshot);
                        if !stopping {
                            self.reload();
                        }
                    }
                    _ = reload.recv(), if !stopping => {
                        self.reload();
                    }
                    Some(request) = wishes.recv() => {
                        let answer = match request.wish {
                            _ if stopping => "Success=0\n--\nThe process is stopping.\n".to_owned(),
                            Wish::Reload => self.reload(),
                            Wish::Edit(edit) => self.edit(edit),
                            Wish::Plan => self.reloader.plan().map_or_else(|why| why, |plan| plan.to_string()),
                        };
                        // A client that left does not want the answer.
                        let _ = request.answer.send(answer);
                    }
                    _ = soft.recv(), if !stopping => {
                        stopping = true;
                        self.runtime.soft_stop();
                        let limit = hard_stop_after.unwrap_or(FAR_AWAY);
                        expired.as_mut().reset(tokio::time::Instant::now() + limit);
                    }
                    () = ended(&self.runtime) => break,
                    () = &mut expired, if stopping => break,
                }
            }
            self.runtime.hard_stop();
            Ok(())
        })
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
