//! Telling the outside about state changes: scripts in order, FIFOs, mail.
//!
//! Each instance and each group has a queue of its own, so that its scripts run in the order of its states, one after
//! the other (keepalived starts them all at once). Nothing here blocks the actor: full queues and FIFOs lose lines and
//! say so.

mod fifo;
mod mail;
mod queue;
pub mod security;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use crate::model::{CommandLine, GlobalDefs, NotifyScripts};
use crate::runtime::outside::{Happening, Kind, Outside, Stimulus, What};
use crate::vrrp::State;

pub use mail::Mailer;
pub(crate) use mail::host_name;
pub(crate) use queue::script;

use fifo::Fifo;
use queue::{Pending, Queue};

/// Runs notify scripts and writes FIFO lines.
pub struct Notifier {
    fifos: Vec<Fifo>,
    queues: HashMap<(bool, String), Queue>,
    pending: Arc<Pending>,
    log: Sender<Stimulus>,
}

/// Waits for the scripts that a [`Notifier`] has not finished.
#[derive(Clone)]
pub struct Drain(Arc<Pending>);

impl Drain {
    /// Returns when all scripts have ended, or after `limit`.
    pub async fn finished(&self, limit: Duration) {
        let _ = tokio::time::timeout(limit, self.0.none()).await;
    }
}

impl Notifier {
    /// Makes and opens the FIFOs and starts their scripts. Needs a tokio runtime. Lines for the log go to `log`.
    pub fn new(global: &GlobalDefs, log: Sender<Stimulus>) -> (Self, Drain) {
        let mut fifos = Vec::new();
        for settings in [&global.notify_fifo, &global.vrrp_notify_fifo] {
            match Fifo::open(settings) {
                Ok(fifo) => fifos.extend(fifo),
                Err(error) => say(&log, format!("Unable to open notify fifo: {error}")),
            }
        }
        let pending = Arc::new(Pending::default());
        let drain = Drain(Arc::clone(&pending));
        (Self { fifos, queues: HashMap::new(), pending, log }, drain)
    }

    fn enqueue(&mut self, happening: &Happening<'_>, command: &CommandLine, arguments: Vec<String>) {
        let key = (happening.kind == Kind::Group, happening.name.to_owned());
        let queue = self
            .queues
            .entry(key)
            .or_insert_with(|| Queue::start(Arc::clone(&self.pending), self.log.clone()));
        if !queue.push(command, arguments) {
            let message = format!(
                "({}) too many notify scripts are waiting - {} not run",
                happening.name,
                command.display()
            );
            say(&self.log, message);
        }
    }
}

/// A line for the log; lost when the actor is that busy.
fn say(log: &Sender<Stimulus>, line: String) {
    let _ = log.try_send(Stimulus::Log(line));
}

impl Outside for Notifier {
    fn remind(&mut self, happening: &Happening<'_>) {
        let Some(word) = word(happening.what, happening.scripts) else { return };
        let kind = kind_word(happening.kind);
        let line = format!("{kind} \"{}\" {word} {}\n", happening.name, happening.priority);
        let lost = self.fifos.iter_mut().filter_map(|fifo| fifo.write(&line).err()).last();
        if let Some(error) = lost {
            say(&self.log, format!("notify fifo line lost: {error}"));
        }
    }

    fn happened(&mut self, happening: &Happening<'_>) {
        let Some(word) = word(happening.what, happening.scripts) else { return };
        let kind = kind_word(happening.kind);
        self.remind(happening);
        let (specific, any) = scripts(happening.what, happening.scripts);
        if let Some(command) = specific {
            self.enqueue(happening, command, Vec::new());
        }
        if let Some(command) = any {
            let arguments =
                vec![kind.into(), happening.name.into(), word.into(), happening.priority.to_string()];
            self.enqueue(happening, command, arguments);
        }
    }
}

/// How scripts and FIFOs tell instances from groups.
fn kind_word(kind: Kind) -> &'static str {
    match kind {
        Kind::Group => "GROUP",
        Kind::Instance => "INSTANCE",
    }
}

/// What scripts and FIFOs are told; `None` when they are not.
fn word(what: What, scripts: &NotifyScripts) -> Option<&'static str> {
    Some(match what {
        What::State(State::Master) => "MASTER",
        What::State(State::Backup) => "BACKUP",
        What::State(State::Fault) => "FAULT",
        What::State(State::Init) => return None,
        What::Stop => "STOP",
        What::Deleted if scripts.says_deleted => "DELETED",
        What::Deleted => "FAULT",
        What::MasterRxLowerPriority => "MASTER_RX_LOWER_PRI",
        What::Priority(_) if !scripts.priority_changes => return None,
        What::Priority(State::Master) => "MASTER_PRIORITY",
        What::Priority(_) => "BACKUP_PRIORITY",
    })
}

/// The script of this very change, then the one for every change.
fn scripts(what: What, scripts: &NotifyScripts) -> (Option<&CommandLine>, Option<&CommandLine>) {
    let specific = match what {
        What::State(State::Master) => &scripts.master,
        What::State(State::Backup) => &scripts.backup,
        What::State(State::Fault) => &scripts.fault,
        What::Stop => &scripts.stop,
        What::Deleted if scripts.says_deleted => &scripts.deleted,
        What::Deleted => &scripts.fault,
        What::MasterRxLowerPriority => return (scripts.master_rx_lower_pri.as_ref(), None),
        What::State(State::Init) | What::Priority(_) => return (None, None),
    };
    (specific.as_ref(), scripts.any.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RunAs;

    fn own() -> RunAs {
        RunAs { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
    }

    /// A command that appends its arguments to a file after a moment that differs from call to call.
    fn append(file: &std::path::Path, first: &str, seconds: &str) -> CommandLine {
        let script = format!("sleep {seconds}; echo \"$@\" >> {}", file.display());
        CommandLine::new(vec!["/bin/sh".into(), "-c".into(), script, "sh".into(), first.into()], own())
    }

    #[tokio::test]
    async fn scripts_run_in_order_with_keepalived_s_arguments() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("log");
        let scripts = NotifyScripts {
            backup: Some(append(&file, "b", "0.2")),
            master: Some(append(&file, "m", "0.05")),
            stop: Some(append(&file, "s", "0")),
            any: Some(append(&file, "n", "0.01")),
            ..NotifyScripts::default()
        };
        let (log, _lines) = tokio::sync::mpsc::channel(8);
        let (mut notifier, drain) = Notifier::new(&GlobalDefs::default(), log);
        for what in [What::State(State::Backup), What::State(State::Master), What::Stop] {
            let happening =
                Happening { kind: Kind::Instance, name: "VI_1", what, priority: 100, scripts: &scripts };
            notifier.happened(&happening);
        }
        drain.finished(Duration::from_secs(20)).await;
        let text = std::fs::read_to_string(&file).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "b",
                "n INSTANCE VI_1 BACKUP 100",
                "m",
                "n INSTANCE VI_1 MASTER 100",
                "s",
                "n INSTANCE VI_1 STOP 100"
            ]
        );
    }

    #[tokio::test]
    async fn fifo_lines_have_keepalived_s_form() {
        use std::io::Read;
        use std::os::unix::fs::OpenOptionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("fifo");
        let mut global = GlobalDefs::default();
        global.vrrp_notify_fifo.path = Some(path.display().to_string());
        let (log, _lines) = tokio::sync::mpsc::channel(8);
        let (mut notifier, _) = Notifier::new(&global, log);
        let mut reader =
            std::fs::OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(&path).unwrap();
        let scripts = NotifyScripts { priority_changes: true, ..NotifyScripts::default() };
        let mut tell = |kind, name, what, priority| {
            notifier.happened(&Happening { kind, name, what, priority, scripts: &scripts });
        };
        tell(Kind::Instance, "V1", What::State(State::Init), 100);
        tell(Kind::Instance, "V1", What::Priority(State::Backup), 106);
        tell(Kind::Instance, "V1", What::State(State::Master), 121);
        tell(Kind::Group, "SG", What::State(State::Backup), 0);
        tell(Kind::Instance, "V1", What::Deleted, 121);
        let mut buffer = [0; 4096];
        let count = reader.read(&mut buffer).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&buffer[..count]),
            "INSTANCE \"V1\" BACKUP_PRIORITY 106\nINSTANCE \"V1\" MASTER 121\nGROUP \"SG\" BACKUP 0\nINSTANCE \"V1\" FAULT 121\n"
        );
        drop(notifier);
        assert!(!path.exists(), "a FIFO that we made is removed");
    }
}
