//! The master process of `-W` and `-Ws`: it keeps the privileges, starts the worker that serves, starts it again when it
//! dies, and answers on the sockets of `-S`.
//!
//! ```text
//!   SIGUSR2, "reload"                 in place, by the worker itself
//!   ────────────────▶ files good? ──▶ ────────────────────────────▶ Success=1
//!                        │ no               │ it cannot (chroot, user)
//!                        ▼                  ▼
//!                    Success=0        a new worker; once it answers, the old one drains
//! ```
//!
//! A worker is the same program with the same arguments, told by [`WORKER_SOCKET`] where its master speaks to it. What
//! this file does not do: carry traffic, or read what clients send.

mod console;
mod folder;
mod worker;

use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use hacore::process::daemonize::daemonize;
use hacore::process::pidfile::{Exclusive, PidFile};
use hacore::process::sd_notify::Notifier;
use hacore::process::signals;
use nix::sys::signal::Signal;
use tokio::signal::unix::{Signal as Stream, SignalKind};
use tokio::sync::{mpsc, oneshot};

use crate::cli::Options;
use crate::logs::Outlets;
use crate::model::{Bind, Config};
use crate::services::cli::AdminSocket;
pub use console::Duplex;
use folder::Folder;
use worker::{State, Worker};

/// The variable that makes a process a worker; its value is the path of a socket that it opens for its master.
pub const WORKER_SOCKET: &str = "PROXYD_WORKER_SOCKET";

/// The variable with the socket of the worker before, whose listening sockets a new one takes; empty for none.
pub const TRANSFER_SOCKET: &str = "PROXYD_TRANSFER_SOCKET";

/// How long a new worker may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(60);
/// A worker that dies this often in a row without having lived [`SHORT_LIFE`] is not started again.
const SHORT_LIVES_MAX: u32 = 5;
const SHORT_LIFE: Duration = Duration::from_secs(2);
/// Wishes of console clients that may wait.
const WAITING_MAX: usize = 16;

/// Whether this process was started by a master.
pub fn is_worker() -> bool {
    std::env::var_os(WORKER_SOCKET).is_some()
}

/// Whether this process is a worker that takes the place of another one.
pub fn is_successor() -> bool {
    std::env::var_os(TRANSFER_SOCKET).is_some()
}

/// At the end of a worker: removes the folder of its socket if its master, which should do that, is gone.
pub fn leave() {
    if let Some(folder) =
        std::env::var_os(WORKER_SOCKET).as_deref().and_then(|path| std::path::Path::new(path).parent())
    {
        // As long as the master lives it holds another worker's socket, or is about to remove it itself.
        let _ = std::fs::remove_dir(folder);
    }
}

/// What a console client wants of the master itself.
enum Wish {
    Reload,
    /// The table of processes.
    Processes,
    /// The socket of a worker: by number among the current ones, or by process id.
    Worker(Which),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    Number(usize),
    Pid(u32),
}

struct Request {
    wish: Wish,
    answer: oneshot::Sender<Option<String>>,
}

struct Master {
    options: Options,
    program: String,
    folder: Folder,
    started: Instant,
    workers: Vec<Worker>,
    reloads: u32,
    failed_reloads: u32,
    short_lives: u32,
    started_workers: u32,
    notifier: Option<Notifier>,
    /// What was said when the files were last read.
    messages: String,
    /// The status to end with, once it is known.
    ending: Option<u8>,
}

/// The signals that a master heeds.
struct Signals {
    terminate: Stream,
    interrupt: Stream,
    soft: Stream,
    hangup: Stream,
    reload: Stream,
    child: Stream,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        for ignored in [nix::libc::SIGTTOU, nix::libc::SIGTTIN, nix::libc::SIGQUIT, nix::libc::SIGPIPE] {
            signals::ignore(ignored)?;
        }
        let stream = |kind: SignalKind| signals::stream(kind.as_raw_value());
        Ok(Self {
            terminate: stream(SignalKind::terminate())?,
            interrupt: stream(SignalKind::interrupt())?,
            soft: stream(SignalKind::user_defined1())?,
            hangup: stream(SignalKind::hangup())?,
            reload: stream(SignalKind::user_defined2())?,
            child: stream(SignalKind::child())?,
        })
    }
}

/// Runs the master until its workers have ended.
pub fn run(config: Config, options: Options, program: &str, startup_logs: String) -> ExitCode {
    match try_run(config, options, program, startup_logs) {
        Ok(code) => ExitCode::from(code),
        Err(reason) => {
            say("ALERT", &reason);
            ExitCode::FAILURE
        }
    }
}

/// `[NOTICE]   (1234) : …`; a terminal that is gone is no reason to stop.
fn say(severity: &str, text: &str) {
    let label = format!("[{severity}]");
    let _ = writeln!(std::io::stderr(), "{label:<10} ({}) : {text}", std::process::id());
}

fn try_run(config: Config, options: Options, program: &str, startup_logs: String) -> Result<u8, String> {
    let mut sockets = Vec::new();
    for address in &options.master_sockets {
        let bind = console_bind(address)?;
        sockets.push(AdminSocket::bind(&bind).map_err(|error| error.to_string())?);
    }
    let readiness = match config.global.daemon {
        true => Some(daemonize().map_err(|error| error.to_string())?),
        false => None,
    };
    let pid_file = match &config.global.pidfile {
        Some(path) => Some(PidFile::create(path, Exclusive::No).map_err(|error| error.to_string())?),
        None => None,
    };
    let tag = program.rsplit('/').next().unwrap_or("proxyd");
    let console = !options.quiet && readiness.is_none();
    super::events::install(&config.global, None, tag, &mut Outlets::default(), console)
        .map_err(|e| e.to_string())?;
    let folder = Folder::create().map_err(|error| error.to_string())?;
    let mut master = Master {
        options,
        program: program.to_owned(),
        folder,
        started: Instant::now(),
        workers: Vec::new(),
        reloads: 0,
        failed_reloads: 0,
        short_lives: 0,
        started_workers: 0,
        notifier: Notifier::from_env(),
        messages: startup_logs,
        ending: None,
    };
    let tokio =
        tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(|e| e.to_string())?;
    let local = tokio::task::LocalSet::new();
    let outcome = local.block_on(&tokio, async {
        // Before there is a worker: whoever sees it serve may signal its master.
        let signals = Signals::new().map_err(|error| error.to_string())?;
        master.start_worker()?;
        master.await_worker().await?;
        say("NOTICE", "Loading success.");
        if let Some(notifier) = &master.notifier {
            notifier.ready("Ready.");
        }
        if let Some(readiness) = readiness {
            readiness.ready().map_err(|error| error.to_string())?;
        }
        master.serve(sockets, signals).await
    });
    if let Some(pid_file) = pid_file {
        pid_file.remove();
    }
    outcome
}

/// `-S ADDRESS[,option…]`: read as the line of an admin socket is.
fn console_bind(address: &str) -> Result<Bind, String> {
    let words = address.replace(',', " ");
    let text = format!("global\n stats socket {words}\n");
    let options = crate::config::LoadOptions::default();
    let loaded = crate::config::load_text("-S", &text, options, crate::config::Environment::of_process());
    let socket = loaded.config.and_then(|mut config| config.global.stats_sockets.pop());
    let mut bind =
        socket.map(|socket| socket.bind).ok_or_else(|| format!("-S: invalid address '{address}'"))?;
    if !words.split(' ').any(|word| word == "level") {
        bind.level = Some("admin");
    }
    Ok(bind)
}

impl Master {
    fn start_worker(&mut self) -> Result<(), String> {
        let socket = self.folder.next_socket();
        let before = self.workers.last().map(|worker| worker.socket.clone());
        let before = (self.started_workers > 0).then(|| before.unwrap_or_default());
        self.started_workers += 1;
        let worker = Worker::start(&self.program, &socket, before.as_deref())
            .map_err(|error| format!("cannot start a worker: {error}"))?;
        say("NOTICE", &format!("New worker ({}) forked", worker.pid()));
        self.workers.push(worker);
        Ok(())
    }

    /// Waits until the newest worker answers.
    async fn await_worker(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + START_LIMIT;
        let Some(worker) = self.workers.last_mut() else { return Err("there is no worker".to_owned()) };
        while !worker.answers().await {
            if let Some(status) = worker.ended() {
                self.workers.pop();
                return Err(format!("The new worker ended while starting ({status})."));
            }
            if Instant::now() >= deadline {
                return Err("The new worker does not answer.".to_owned());
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    async fn serve(&mut self, sockets: Vec<AdminSocket>, mut signals: Signals) -> Result<u8, String> {
        let (requests, mut wishes) = mpsc::channel(WAITING_MAX);
        console::start(sockets, &requests);
        loop {
            self.reap().await?;
            if let Some(status) = self.ending.filter(|_| self.workers.is_empty()) {
                say("WARNING", &format!("All workers exited. Exiting... ({status})"));
                return Ok(status);
            }
            tokio::select! {
                _ = signals.terminate.recv() => self.end(Signal::SIGTERM, 0),
                _ = signals.interrupt.recv() => self.end(Signal::SIGINT, 130),
                _ = signals.soft.recv() => self.end(Signal::SIGUSR1, 0),
                _ = signals.hangup.recv() => drop(self.reload().await),
                _ = signals.reload.recv() => drop(self.reload().await),
                _ = signals.child.recv() => {}
                Some(Request { wish, answer }) = wishes.recv() => {
                    let text = match wish {
                        Wish::Reload => Some(self.reload().await),
                        Wish::Processes => Some(self.processes()),
                        Wish::Worker(which) => self.socket_of(which),
                    };
                    // A client that left does not want the answer.
                    let _ = answer.send(text);
                }
            }
        }
    }

    fn end(&mut self, signal: Signal, status: u8) {
        say("WARNING", "Exiting Master process...");
        if let Some(notifier) = &self.notifier {
            notifier.stopping();
        }
        self.ending = Some(status);
        for worker in &self.workers {
            worker.signal(if signal == Signal::SIGINT { Signal::SIGTERM } else { signal });
        }
    }

    /// Looks for workers that ended, and starts one in the place of one that should not have.
    async fn reap(&mut self) -> Result<(), String> {
        let mut at = 0;
        while let Some(worker) = self.workers.get_mut(at) {
            let Some(status) = worker.ended() else {
                at += 1;
                continue;
            };
            let worker = self.workers.remove(at);
            if worker.state == State::Draining || self.ending.is_some() {
                say("WARNING", &format!("Former worker ({}) exited with {status}", worker.pid()));
                continue;
            }
            tracing::error!("Current worker ({}) exited with {status}", worker.pid());
            let short = worker.started.elapsed() < SHORT_LIFE;
            self.short_lives = if short { self.short_lives + 1 } else { 0 };
            if self.short_lives >= SHORT_LIVES_MAX {
                tracing::error!("The worker died {SHORT_LIVES_MAX} times in a row: giving up.");
                self.ending = Some(1);
                continue;
            }
            self.start_worker()?;
            match self.await_worker().await {
                Ok(()) => tracing::warn!("A new worker took the place of ({})", worker.pid()),
                Err(why) => tracing::error!("{why}"),
            }
            if self.workers.is_empty() {
                self.ending = Some(1);
            }
        }
        Ok(())
    }

    async fn reload(&mut self) -> String {
        if self.ending.is_some() {
            return "Success=0\n--\nThe process is stopping.\n".to_owned();
        }
        say("NOTICE", "Reloading HAProxy");
        if let Some(notifier) = &self.notifier {
            notifier.reloading();
        }
        let outcome = self.try_reload().await;
        self.reloads += 1;
        if let Some(notifier) = &self.notifier {
            notifier.ready("Ready.");
        }
        match outcome {
            Ok(messages) => {
                say("NOTICE", "Loading success.");
                self.messages.clone_from(&messages);
                format!("Success=1\n--\n{messages}")
            }
            Err(why) => {
                self.failed_reloads += 1;
                for line in why.lines() {
                    tracing::error!("Reload refused, nothing was changed: {line}");
                }
                format!("Success=0\n--\n{why}")
            }
        }
    }

    async fn try_reload(&mut self) -> Result<String, String> {
        let fresh = crate::startup::read_again(&self.options)?;
        let answer = match self.workers.last() {
            Some(worker) => worker.ask("reload\n").await.unwrap_or_default(),
            None => String::new(),
        };
        if let Some(messages) = answer.strip_prefix("Success=1\n--\n") {
            return Ok(messages.trim_end_matches('\n').to_owned() + "\n");
        }
        // The files are good, but the worker cannot read them or bind what they want: another one can.
        self.start_worker()?;
        self.await_worker().await?;
        let newest = self.workers.len().saturating_sub(1);
        for old in self.workers.iter_mut().take(newest) {
            old.state = State::Draining;
            old.signal(Signal::SIGUSR1);
        }
        Ok(fresh.messages)
    }

    fn socket_of(&self, which: Which) -> Option<String> {
        let mut current = self.workers.iter().filter(|worker| worker.state == State::Serving);
        let found = match which {
            Which::Number(number) => number.checked_sub(1).and_then(|at| current.nth(at)),
            Which::Pid(pid) => self.workers.iter().find(|worker| worker.pid() == pid),
        };
        found.map(|worker| worker.socket.display().to_string())
    }

    /// `show proc`.
    fn processes(&self) -> String {
        let row = |pid: u32, kind: &str, reloads: &str, started: Instant| {
            let s = started.elapsed().as_secs();
            let uptime = format!("{}d{:02}h{:02}m{:02}s", s / 86_400, s / 3600 % 24, s / 60 % 60, s % 60);
            format!("{pid:<15} {kind:<15} {reloads:<15} {uptime:<15} {:<15}\n", crate::version::full())
        };
        let mut out =
            "#<PID>          <type>          <reloads>       <uptime>        <version>      \n".to_owned();
        let reloads = format!("{} [failed: {}]", self.reloads, self.failed_reloads);
        out.push_str(&row(std::process::id(), "master", &reloads, self.started));
        let of = |state| self.workers.iter().filter(move |worker| worker.state == state);
        out.push_str("# workers\n");
        for worker in of(State::Serving) {
            out.push_str(&row(worker.pid(), "worker", "0", worker.started));
        }
        if of(State::Draining).next().is_some() {
            out.push_str("# old workers\n");
        }
        for worker in of(State::Draining) {
            out.push_str(&row(worker.pid(), "worker", "1", worker.started));
        }
        out.push_str("# programs\n\n");
        out
    }
}
