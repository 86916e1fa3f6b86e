//! Scripts one after the other.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hacore::process::script::{Identity, Outcome, ScriptCommand, WhenDropped, run};
use tokio::sync::mpsc::{Receiver, Sender, channel};

use crate::model::CommandLine;
use crate::runtime::outside::Stimulus;

/// Scripts that may wait in one queue.
const WAITING_MAX: usize = 64;
/// How long a script may hold up those behind it. It is not ended then, only no longer waited for.
const WAIT_MAX: Duration = Duration::from_secs(30);

/// How many scripts are waiting or running in all queues.
#[derive(Default)]
pub(super) struct Pending {
    count: AtomicUsize,
    changed: tokio::sync::Notify,
}

impl Pending {
    pub(super) async fn none(&self) {
        loop {
            let changed = self.changed.notified();
            if self.count.load(Ordering::Acquire) == 0 {
                return;
            }
            changed.await;
        }
    }

    fn done(&self) {
        self.count.fetch_sub(1, Ordering::AcqRel);
        self.changed.notify_waiters();
    }
}

/// The scripts of one instance or group.
pub(super) struct Queue {
    sender: Sender<ScriptCommand>,
    pending: Arc<Pending>,
}

impl Queue {
    pub(super) fn start(pending: Arc<Pending>, log: Sender<Stimulus>) -> Self {
        let (sender, receiver) = channel(WAITING_MAX);
        tokio::spawn(work(receiver, Arc::clone(&pending), log));
        Self { sender, pending }
    }

    /// Adds a script; `false` when the queue is full.
    pub(super) fn push(&self, command: &CommandLine, arguments: Vec<String>) -> bool {
        let script = ScriptCommand { when_dropped: WhenDropped::Leave, ..script(command, arguments) };
        self.pending.count.fetch_add(1, Ordering::AcqRel);
        let sent = self.sender.try_send(script).is_ok();
        if !sent {
            self.pending.done();
        }
        sent
    }
}

/// A configured command with further arguments.
pub(crate) fn script(command: &CommandLine, arguments: Vec<String>) -> ScriptCommand {
    let mut argv = command.argv.iter().cloned();
    let program = argv.next().unwrap_or_default();
    let run_as = Identity { uid: command.run_as.uid, gid: command.run_as.gid };
    let groups = command.groups.clone();
    ScriptCommand { run_as: Some(run_as), groups, ..ScriptCommand::new(program, argv.chain(arguments)) }
}

async fn work(mut receiver: Receiver<ScriptCommand>, pending: Arc<Pending>, log: Sender<Stimulus>) {
    while let Some(script) = receiver.recv().await {
        match tokio::time::timeout(WAIT_MAX, run(&script)).await {
            Ok(report) => {
                if let Outcome::NotStarted(_, reason) = report.outcome {
                    super::say(&log, format!("Error exec-ing command '{}', error: {reason}", script.program));
                }
            }
            Err(_) => {
                let seconds = WAIT_MAX.as_secs();
                super::say(
                    &log,
                    format!("notify script '{}' still runs after {seconds} s - going on", script.program),
                );
            }
        }
        pending.done();
    }
}
