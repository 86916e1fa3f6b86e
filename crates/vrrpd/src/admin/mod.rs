//! Asking the running daemon: a Unix socket for `vrrpd ctl`, and an HTTP listener for Prometheus.
//!
//! One line in, text out, end of the connection: any tool that speaks to a Unix socket can use it. Connections, line
//! lengths, waiting times and questions in the queue are limited. Nothing here knows what the answers are: they come
//! from the actor, one question at a time (`runtime::answer`).

pub mod client;
mod command;
mod http;
mod server;

use std::fmt;

use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use crate::logging::Log;
use crate::model::{AdminPath, AdminSettings, GlobalDefs};

pub use command::{COMMANDS, Command, CommandError, help};

/// Questions that wait for the actor at most.
pub const QUESTIONS_MAX: usize = 16;

/// What the actor says: text, or why not.
pub type Answer = Result<String, String>;

/// One question and where its answer goes.
#[derive(Debug)]
pub struct Question {
    pub command: Command,
    pub answer: oneshot::Sender<Answer>,
}

/// Sends a question and waits for its answer.
async fn ask(questions: &mpsc::Sender<Question>, command: Command) -> Answer {
    let (answer, from) = oneshot::channel();
    let ended = || "the daemon is ending".to_owned();
    questions.send(Question { command, answer }).await.map_err(|_| ended())?;
    from.await.map_err(|_| ended())?
}

/// `--admin-socket` and `--metrics`: what the command line says counts more than the file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Overrides {
    pub socket: Option<AdminPath>,
    /// `Some(None)`: off.
    pub metrics: Option<Option<std::net::SocketAddr>>,
}

impl Overrides {
    fn apply(&self, settings: &AdminSettings) -> AdminSettings {
        let mut settings = settings.clone();
        if let Some(path) = &self.socket {
            settings.socket.path = path.clone();
        }
        if let Some(metrics) = self.metrics {
            settings.metrics = metrics;
        }
        settings
    }
}

/// What listens now. Dropping it ends the listeners and removes the socket.
#[derive(Default)]
pub struct Services {
    overrides: Overrides,
    settings: Option<(AdminSettings, Vec<String>)>,
    socket: Option<(JoinHandle<()>, server::SocketFile)>,
    metrics: Option<JoinHandle<()>>,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        self.close();
    }
}

impl Services {
    /// Nothing listens yet.
    pub fn new(overrides: Overrides) -> Self {
        Services { overrides, settings: None, socket: None, metrics: None }
    }

    fn close(&mut self) {
        if let Some((task, _file)) = self.socket.take() {
            task.abort();
        }
        if let Some(task) = self.metrics.take() {
            task.abort();
        }
    }

    /// Listens where the configuration says. What cannot be opened is said and left out: an address must not be lost
    /// for it. Needs a tokio runtime.
    pub fn open(&mut self, global: &GlobalDefs, questions: &mpsc::Sender<Question>, log: &Log) {
        let names = [&global.instance_name, &global.net_namespace].into_iter().flatten().cloned().collect();
        let settings = (self.overrides.apply(&global.admin), names);
        if self.settings.as_ref() == Some(&settings) {
            return;
        }
        self.close();
        if let Some(path) = settings.0.socket.path(&settings.1) {
            match server::open(&path, &settings.0.socket, questions.clone()) {
                Ok(opened) => self.socket = Some(opened),
                // Nobody asked for it: another daemon of ours may have the default place, or we may not write there.
                Err(error) if settings.0.socket.path == AdminPath::Default => {
                    log.info(&format!("admin socket {path}: {error} - 'vrrpd ctl' cannot reach this daemon"));
                }
                Err(error) => log.warning(&format!("admin socket {path}: {error} - not listening there")),
            }
        }
        if let Some(address) = settings.0.metrics {
            match http::open(address, questions.clone()) {
                Ok(task) => self.metrics = Some(task),
                Err(error) => {
                    log.warning(&format!("metrics_listen {address}: {error} - not listening there"))
                }
            }
        }
        self.settings = Some(settings);
    }
}
