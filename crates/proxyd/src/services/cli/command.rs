//! A command as an item of the table: its words, who may run it, what it does.

use std::sync::Arc;
use std::time::Duration;

use crate::proxy::Snapshot;
use crate::proxy::checks::Reporter;
use crate::services::report::Report;
use crate::services::stats::info::Program;

/// What a client may do; each level includes the ones before it (manual, bind option "level").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    User,
    Operator,
    Admin,
}

impl Level {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "user" => Level::User,
            "operator" => Level::Operator,
            "admin" => Level::Admin,
            _ => return None,
        })
    }

    pub fn name(self) -> &'static str {
        match self {
            Level::User => "user",
            Level::Operator => "operator",
            Level::Admin => "admin",
        }
    }
}

/// Commands that have to be allowed in the session first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restriction {
    None,
    /// `expert-mode on`.
    Expert,
    /// `experimental-mode on`.
    Experimental,
}

/// How serious a message is: `set severity-output` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Severity {
    Alert = 1,
    Error = 3,
    Warning = 4,
    Notice = 5,
    Info = 6,
}

impl Severity {
    pub fn name(self) -> &'static str {
        match self {
            Severity::Alert => "alert",
            Severity::Error => "err",
            Severity::Warning => "warning",
            Severity::Notice => "notice",
            Severity::Info => "info",
        }
    }
}

/// What a command answers.
#[derive(Debug)]
pub enum Reply {
    /// Nothing to say: it worked.
    Done,
    /// A message, which carries its severity where the client asked for it.
    Message(Severity, String),
    /// Data, never prefixed.
    Data(String),
    /// The answer comes after this time.
    Wait(Duration),
    /// The answer comes from somebody else.
    Later(tokio::sync::oneshot::Receiver<String>),
    /// Data that may be long; made and sent piece by piece.
    Report(Box<Report>),
    /// The listening sockets are handed over.
    Sockets(tokio::sync::oneshot::Receiver<Vec<socket2::Socket>>),
    /// The connection ends without a word.
    Close,
}

impl Reply {
    /// A refusal; a line break is added.
    pub fn error(text: impl Into<String>) -> Self {
        Reply::Message(Severity::Error, text.into() + "\n")
    }

    /// News; a line break is added.
    pub fn info(text: impl Into<String>) -> Self {
        Reply::Message(Severity::Info, text.into() + "\n")
    }

    /// Without an admin's rights.
    pub fn denied() -> Self {
        Reply::Message(Severity::Alert, "Permission denied\n".to_owned())
    }
}

/// One admin socket as `show cli sockets` lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketInfo {
    /// `unix@/run/haproxy.sock`, `ipv4@127.0.0.1:9999`.
    pub address: String,
    pub level: Level,
}

/// What the commands work on; one value for all sockets.
pub struct Admin {
    /// The configuration in force; a reload puts another one here.
    pub snapshot: Arc<arc_swap::ArcSwap<Snapshot>>,
    /// The data-plane threads; `None` where there are none.
    pub inboxes: Option<Arc<crate::runtime::Inboxes>>,
    /// Where reloads are asked for; `None` where there is nothing to reload.
    pub reloads: Option<crate::runtime::reload::Requests>,
    /// Logs the changes that commands make and carries out what follows from them.
    pub reporter: Arc<Reporter>,
    pub program: Program,
    pub sockets: Vec<SocketInfo>,
    /// The certificate that is being replaced.
    pub certificates: parking_lot::Mutex<crate::tls::replace::Replacement>,
    /// The OCSP responses that are asked for.
    pub ocsp: Arc<crate::services::ocsp_update::Updates>,
    /// What was printed while starting (`show startup-logs`).
    pub startup_logs: String,
}

/// What a running command sees.
pub struct Context<'a> {
    pub admin: &'a Admin,
    /// Taken once per command, so that a reload in between does not show.
    pub snapshot: &'a Arc<Snapshot>,
    pub settings: &'a mut super::session::Settings,
    /// What followed `<<`.
    pub payload: Option<&'a str>,
}

/// One command.
pub struct CommandDef {
    /// The words it begins with.
    pub words: &'static [&'static str],
    /// The words with their arguments, for `help`.
    pub usage: &'static str,
    pub doc: &'static str,
    pub level: Level,
    pub restriction: Restriction,
    /// Gets the arguments behind the words.
    pub run: fn(&mut Context<'_>, &[&str]) -> Reply,
}

impl CommandDef {
    /// Whether a line begins with this command's words.
    pub fn matches(&self, line: &[&str]) -> bool {
        line.len() >= self.words.len() && self.words.iter().zip(line).all(|(word, given)| word == given)
    }
}
