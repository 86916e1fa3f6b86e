//! The log lines of health, word for word as HAProxy writes them.
//!
//! The same text goes to the log and, as a `[WARNING]`, to standard error.

use std::fmt::Write as _;
use std::sync::Arc;

use super::check::{CheckResult, CheckStatus, Verdict};

/// Whose lines they are.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    /// The backend's name.
    pub backend: &'a str,
    /// The server's name.
    pub server: &'a str,
    /// Whether it is a backup server.
    pub backup: bool,
}

/// What the line of a change says about the backend, after the change.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Left {
    /// Usable active servers.
    pub active: u32,
    /// Usable backup servers.
    pub backup: u32,
    /// Sessions on the server.
    pub sessions: u32,
    /// Requests taken from its queue to be served elsewhere.
    pub requeued: u32,
    /// Requests still in the queue.
    pub queued: u32,
}

/// The syslog levels used here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogLevel {
    /// 0.
    Emergency,
    /// 1.
    Alert,
    /// 5.
    Notice,
}

/// Which check it was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CheckKind {
    /// The health check.
    Health,
    /// The agent.
    Agent,
}

/// Why a state changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A health check, the agent, or observed traffic.
    Check(CheckResult),
    /// A command.
    Cli,
    /// The tracked server, as `backend/server`.
    Tracked(Arc<str>),
    /// Nothing to be told.
    None,
}

/// To what a state changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transition {
    /// Became usable, or ended its slow start.
    Up,
    /// Ceased to be usable.
    Down,
    /// Gets no new clients (NOLB).
    Stopping,
    /// Into maintenance from up.
    EntersMaintenance,
    /// Into maintenance from down.
    DownEntersMaintenance,
    /// Out of maintenance.
    LeavesMaintenance {
        /// Whether it was set on this very server.
        was_forced: bool,
        /// Whether it is up now.
        up: bool,
        /// Whether it is in drain now.
        drain: bool,
    },
    /// Into drain.
    EntersDrain,
    /// Still in drain after another change.
    RemainsInDrain,
    /// Out of drain.
    LeavesDrain {
        /// Whether it is up.
        up: bool,
    },
}

/// One change of a server's state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// To what.
    pub to: Transition,
    /// Why.
    pub cause: Cause,
    /// Whether the server was usable before.
    pub was_usable: bool,
}

impl Change {
    /// Whether it ended the server's usability for every client (`on-marked-down`).
    pub fn is_down(&self) -> bool {
        matches!(self.to, Transition::Down | Transition::EntersMaintenance)
    }

    /// Whether it brought the server back (`on-marked-up`).
    pub fn is_up(&self) -> bool {
        match self.to {
            Transition::Up => !self.was_usable,
            Transition::LeavesMaintenance { up, drain, .. } => up && !drain,
            _ => false,
        }
    }

    /// At which level it is logged.
    pub fn level(&self) -> LogLevel {
        let went = matches!(self.to, Transition::Down | Transition::EntersMaintenance);
        if went && self.was_usable { LogLevel::Alert } else { LogLevel::Notice }
    }

    /// The line. With `option log-health-checks` the reason stands in the check's own line and not here.
    pub fn line(&self, subject: &Subject<'_>, left: &Left, log_health_checks: bool) -> String {
        let mut line = String::with_capacity(160);
        if subject.backup {
            line.push_str("Backup ");
        }
        let _ = write!(line, "Server {}/{} ", subject.backend, subject.server);
        self.write_state(&mut line, log_health_checks);
        self.write_left(&mut line, left);
        line
    }

    fn write_state(&self, line: &mut String, log_health_checks: bool) {
        let up_or_down = |up: bool| if up { "UP" } else { "DOWN" };
        let _ = match self.to {
            Transition::Up => write!(line, "is UP"),
            Transition::Down => write!(line, "is DOWN"),
            Transition::Stopping => write!(line, "is stopping"),
            Transition::EntersMaintenance => write!(line, "is going DOWN for maintenance"),
            Transition::DownEntersMaintenance => write!(line, "was DOWN and now enters maintenance"),
            Transition::LeavesMaintenance { was_forced, up, drain } => {
                let then = if drain { "DRAIN" } else { "READY" };
                let forced = if was_forced { "forced " } else { "" };
                write!(line, "is {}/{then} (leaving {forced}maintenance)", up_or_down(up))
            }
            Transition::EntersDrain => write!(line, "enters drain state"),
            Transition::RemainsInDrain => match &self.cause {
                Cause::Tracked(_) => write!(line, "is leaving forced drain but remains in drain mode"),
                _ => write!(line, "remains in forced drain mode"),
            },
            Transition::LeavesDrain { up } => write!(line, "is {} (leaving forced drain)", up_or_down(up)),
        };
        match &self.cause {
            Cause::Check(_) if log_health_checks => {}
            Cause::Check(result) => {
                line.push_str(", ");
                write_reason(line, result);
            }
            Cause::Cli => line.push_str(", changed from CLI"),
            Cause::Tracked(via) => {
                let _ = write!(line, " via {via}");
            }
            Cause::None => {}
        }
        line.push('.');
    }

    fn write_left(&self, line: &mut String, left: &Left) {
        let going = match self.to {
            Transition::Down | Transition::EntersMaintenance => true,
            Transition::Up | Transition::Stopping | Transition::EntersDrain => false,
            _ => return,
        };
        let word = if going { "left" } else { "online" };
        let _ = write!(line, " {} active and {} backup servers {word}.", left.active, left.backup);
        if left.active == 0 && left.backup > 0 {
            line.push_str(" Running on backup.");
        }
        let _ = if going {
            let Left { sessions, requeued, queued, .. } = left;
            write!(line, " {sessions} sessions active, {requeued} requeued, {queued} remaining in queue.")
        } else {
            write!(line, " {} sessions requeued, {} total in queue.", left.requeued, left.queued)
        };
    }
}

/// One check's line for `option log-health-checks`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckReport {
    /// Which check.
    pub kind: CheckKind,
    /// Its result.
    pub result: CheckResult,
    /// How far the counter is after it, such as `2/3 UP`.
    pub progress: String,
}

impl CheckReport {
    /// The line; its level is [`LogLevel::Notice`].
    pub fn line(&self, subject: &Subject<'_>) -> String {
        let kind = match self.kind {
            CheckKind::Health => "Health",
            CheckKind::Agent => "Agent",
        };
        let backup = if subject.backup { "backup " } else { "" };
        let verdict = match self.result.status.verdict() {
            Verdict::Passed => "succeeded",
            Verdict::ConditionallyPassed => "conditionally succeeded",
            Verdict::Failed | Verdict::Unknown => "failed",
        };
        let (backend, server) = (subject.backend, subject.server);
        let mut line = format!("{kind} check for {backup}server {backend}/{server} {verdict}, ");
        write_reason(&mut line, &self.result);
        let _ = write!(line, ", status: {}.", self.progress);
        line
    }
}

/// What is logged, at [`LogLevel::Emergency`], when the last usable server of a backend has gone. On standard error the
/// name stands between quotes.
pub fn no_server_available(backend: &str) -> String {
    format!("backend {backend} has no server available!")
}

fn write_reason(line: &mut String, result: &CheckResult) {
    let _ = write!(line, "reason: {}", result.status.sentence());
    if let Some(code) = result.shown_code() {
        // A program ended by a signal has the code -1.
        let _ = write!(line, ", code: {}", code.cast_signed());
    }
    if !result.description.is_empty() {
        let _ = write!(line, ", info: \"{}\"", result.description);
    }
    if result.status != CheckStatus::HealthAnalyze {
        let _ = write!(line, ", check duration: {}ms", result.duration.as_millis());
    }
}
