//! Reload in place: the file is read and judged, what it needs is opened, and only then anything changes.
//!
//! ```text
//! read, check ─ plan (diff) ─ bind what is new, open logs ─┬─ threads: listeners, logs, waiting sessions
//!      │ no: nothing changes, and the reason is told       └─ services: checks, commands
//! ```
//!
//! What both configurations have goes on as it is; sessions in the middle of something end under the rules they came
//! under (`runtime::core::World`). What needs privileges that were given up (ports below 1024, files outside of
//! `chroot`) cannot be had any more, and a reload that wants it is refused as a whole.

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use parking_lot::Mutex;
use socket2::Socket;
use tokio::sync::{mpsc, oneshot};

use super::launch::limits;
use super::listeners::{BindError, Listeners, ThreadListener};
use super::log_writer::LogWriter;
use super::services::Services;
use super::start::Runtime;
use crate::cli::Options;
use crate::logs::{LogService, Outlets};
use crate::model::{Config, Global};
use crate::proxy::diff::{self, Plan};
use crate::proxy::snapshot::Before;
use crate::proxy::{Listener, Snapshot};

/// How many reloads may wait for their turn.
pub const WAITING_MAX: usize = 16;

/// A change of the configuration in force; gives what to answer, or why not.
pub type Edit = Box<dyn FnOnce(&mut Config) -> Result<String, String> + Send>;

/// What a client of the admin socket wants.
pub enum Wish {
    /// `reload`.
    Reload,
    /// `show plan`.
    Plan,
    /// `add server` and its kin: until the next reload.
    Edit(Edit),
    /// `_getsocks`: the listening sockets, for another process.
    Sockets(oneshot::Sender<Vec<Socket>>),
}

/// A wish and where its answer goes.
pub struct Request {
    pub wish: Wish,
    pub answer: oneshot::Sender<String>,
}

/// Where wishes are left.
pub type Requests = mpsc::Sender<Request>;

/// One thread's part of a new configuration.
pub struct Part {
    /// Listeners whose sockets the thread has, by their id.
    pub kept: HashMap<u64, Arc<Listener>>,
    pub fresh: Vec<ThreadListener>,
    pub log: LogWriter,
}

/// A new configuration on its way to the threads.
pub struct Adoption {
    pub snapshot: Arc<Snapshot>,
    parts: Vec<Mutex<Option<Part>>>,
}

impl std::fmt::Debug for Adoption {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Adoption").field("threads", &self.parts.len()).finish_non_exhaustive()
    }
}

impl Adoption {
    /// What is meant for a thread; once.
    pub fn take_part(&self, thread: usize) -> Option<Part> {
        self.parts.get(thread)?.lock().take()
    }
}

/// A configuration that was read and found good, and what was said about it.
#[derive(Debug)]
pub struct Fresh {
    pub config: Config,
    /// Warnings and notices in HAProxy's format.
    pub messages: String,
}

/// Reads the files again and judges them; the text says why not.
pub type Read = Box<dyn Fn() -> Result<Fresh, String>>;

/// What a reload needs to remember.
pub struct Reloader {
    read: Read,
    config: Config,
    listeners: Listeners,
    outlets: Outlets,
    logs: LogService,
    tag: String,
    /// What was said when the configuration in force was read.
    pub messages: String,
}

/// What came of a reload.
pub struct Reloaded {
    pub plan: Plan,
    /// For the end of the process and its dumps.
    pub log: LogWriter,
}

impl Reloader {
    /// `config` is in force on `listeners`.
    pub fn new(
        read: Read,
        config: Config,
        listeners: Listeners,
        outlets: Outlets,
        logs: LogService,
        tag: &str,
    ) -> Self {
        Self { read, config, listeners, outlets, logs, tag: tag.to_owned(), messages: String::new() }
    }

    /// Ends the delivery of logs, the last thing of a process.
    pub fn stop_logs(self) {
        self.logs.stop();
    }

    /// Handles of the listening sockets for another process.
    pub fn sockets(&self) -> io::Result<Vec<Socket>> {
        self.listeners.sockets()
    }

    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// Lets go of the listening sockets: when the threads have closed theirs, nobody listens any more.
    pub fn close_listeners(&mut self) {
        self.listeners.close();
    }

    /// What a reload would do now.
    pub fn plan(&self) -> Result<Plan, String> {
        let fresh = (self.read)()?;
        Ok(Plan::between(&self.config, &fresh.config))
    }

    /// Applies what the files say now; the text says why nothing was changed.
    pub fn reload(&mut self, runtime: &mut Runtime, services: &Services) -> Result<Reloaded, String> {
        let Fresh { mut config, messages } = (self.read)()?;
        let plan = Plan::between(&self.config, &config);
        diff::keep_restart_only(&self.config, &mut config);
        let log = self.apply(config, &plan, runtime, services)?;
        self.messages = messages;
        Ok(Reloaded { plan, log })
    }

    /// Changes the configuration in force without reading anything.
    pub fn edit(
        &mut self,
        edit: Edit,
        runtime: &mut Runtime,
        services: &Services,
    ) -> Result<(String, LogWriter), String> {
        let mut config = self.config.clone();
        let answer = edit(&mut config)?;
        let plan = Plan::between(&self.config, &config);
        let log = self.apply(config, &plan, runtime, services)?;
        Ok((answer, log))
    }

    fn apply(
        &mut self,
        config: Config,
        plan: &Plan,
        runtime: &mut Runtime,
        services: &Services,
    ) -> Result<LogWriter, String> {
        let old = Arc::clone(&runtime.snapshot);
        let process = Arc::clone(&old.process);
        let before = Before { snapshot: &old, plan };
        let snapshot = Arc::new(Snapshot::renewed(&config, &process, Some(before)));
        let (listeners, fresh) = Listeners::bind_after(&snapshot, &mut self.listeners)
            .map_err(|errors| cannot_bind(&errors, &config.global))?;
        let forward_sockets =
            self.logs.bind(&snapshot.log_forwards).map_err(|errors| errors.join("\n") + "\n")?;
        self.outlets.begin(&snapshot);
        let open = |outlets: &mut Outlets| {
            LogWriter::new(&snapshot, &self.tag, outlets).map_err(|error| format!("{error}\n"))
        };
        let mut parts = Vec::with_capacity(process.threads);
        for thread in 0..process.threads {
            let log = open(&mut self.outlets)?;
            let part = part(&listeners, &fresh, thread, log).map_err(|error| format!("{error}\n"))?;
            parts.push(Mutex::new(Some(part)));
        }
        let services_log = open(&mut self.outlets)?;
        let log = open(&mut self.outlets)?;
        // Without a word of the file's it is what the limit of descriptors allows, as at the start.
        let maxconn =
            match self.config.global.maxconn == config.global.maxconn {
                true => None,
                false => Some(limits(&config, process.threads).map_err(|error| {
                    format!("maxconn: the limit of descriptors cannot be raised: {error}\n")
                })?),
            };
        self.logs
            .adopt(&snapshot, &mut self.outlets, forward_sockets)
            .map_err(|error| format!("{error}\n"))?;
        // From here on nothing can fail.
        snapshot.settle(&old);
        if let Some(maxconn) = maxconn {
            process.maxconn.store(maxconn, Relaxed);
        }
        runtime.adopt(Adoption { snapshot: Arc::clone(&snapshot), parts });
        services.adopt(&snapshot, services_log);
        self.listeners = listeners;
        self.config = config;
        Ok(log)
    }
}

fn part(listeners: &Listeners, fresh: &[u64], thread: usize, log: LogWriter) -> io::Result<Part> {
    let mut part = Part { kept: HashMap::new(), fresh: Vec::new(), log };
    for bound in &listeners.bound {
        if fresh.contains(&bound.id) {
            part.fresh.push(bound.of_thread(thread)?);
        } else {
            part.kept.insert(bound.id, Arc::clone(&bound.listener));
        }
    }
    Ok(part)
}

fn cannot_bind(errors: &[BindError], global: &Global) -> String {
    let mut text = String::new();
    let mut denied = false;
    for error in errors {
        denied |= error.reason.kind() == io::ErrorKind::PermissionDenied;
        text.push_str(&format!("{error}\n"));
    }
    if denied && (global.user.is_some() || global.chroot.is_some()) {
        text.push_str("The privileges were given up at the start ('user', 'group', 'chroot'): this address takes a restart.\n");
    }
    text
}

/// How a daemon started with these options reads its configuration again.
pub fn reader(options: Options, chroot: bool) -> Read {
    let mut options = options;
    for file in &mut options.files {
        if let Ok(absolute) = std::path::absolute(&*file) {
            *file = absolute.to_string_lossy().into_owned();
        }
    }
    Box::new(move || {
        crate::startup::read_again(&options).map_err(|text| {
            let hint = "The files are looked for below 'chroot', where this process lives: they can be read again from there, or by a restart.\n";
            if chroot { text + hint } else { text }
        })
    })
}
