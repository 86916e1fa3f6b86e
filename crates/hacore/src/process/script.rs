//! Programs that are run for their exit status or their effect: health scripts, notify scripts, external checks.
//!
//! Each run has a process group of its own, `/dev/null` or a bounded buffer for its output, no descriptor of ours, and
//! an end: after its time-out the group gets SIGTERM and [`KILL_AFTER`] later SIGKILL. No run leaves a zombie.
//! There is no shell: the words are the program and its arguments.

use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use crate::sys::become_user_before_exec;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout};
use tokio::time::Instant;

#[cfg(test)]
mod tests;

/// From SIGTERM to SIGKILL.
pub const KILL_AFTER: Duration = Duration::from_secs(2);
/// How often it is looked whether a script that was told to end did. Only scripts that timed out are looked after so.
const LOOK_EVERY: Duration = Duration::from_millis(10);
/// Variables that a script does not inherit: they would change what a program run as root does.
const DROPPED_VARIABLES: [&str; 3] = ["IFS", "LD_PRELOAD", "LD_LIBRARY_PATH"];

/// What to run and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScriptCommand {
    /// Path of the program, or a name that is looked for in `PATH`.
    pub program: String,
    pub arguments: Vec<String>,
    /// Variables besides our own.
    pub variables: Vec<(String, String)>,
    /// Whose rights it has; `None`: ours. Supplementary groups are dropped when we are root.
    pub run_as: Option<Identity>,
    /// Supplementary groups that it has with [`Self::run_as`].
    pub groups: Vec<u32>,
    /// When it has to be over; `None`: never.
    pub timeout: Option<Duration>,
    pub output: Output,
    pub when_dropped: WhenDropped,
}

/// A user and a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    pub uid: u32,
    pub gid: u32,
}

/// What happens to what the script prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// To `/dev/null`.
    Discard,
    /// The first so many bytes of standard output are kept, the rest is read and dropped.
    Capture { bytes_max: usize },
}

/// What happens to a running script when nobody waits for it any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenDropped {
    /// Its group gets SIGTERM.
    Terminate,
    /// It goes on; notify scripts may outlive the daemon.
    Leave,
}

impl ScriptCommand {
    /// Runs with our rights, without output and without a time-out, until changed.
    pub fn new(program: impl Into<String>, arguments: impl IntoIterator<Item = String>) -> Self {
        Self {
            program: program.into(),
            arguments: arguments.into_iter().collect(),
            variables: Vec::new(),
            run_as: None,
            groups: Vec::new(),
            timeout: None,
            output: Output::Discard,
            when_dropped: WhenDropped::Terminate,
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Exited(i32),
    /// By a signal that was not ours.
    Signaled(i32),
    /// We ended it.
    TimedOut,
    /// It never ran: not there, not executable, no process left, …
    NotStarted(std::io::ErrorKind, String),
}

/// A finished run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    pub outcome: Outcome,
    /// What was captured.
    pub output: Vec<u8>,
    pub took: Duration,
}

/// Runs a script to its end.
///
/// Needs a tokio runtime with I/O and time. Dropping the future does what [`ScriptCommand::when_dropped`] says.
pub async fn run(command: &ScriptCommand) -> Report {
    let started = Instant::now();
    let report = |outcome, output| Report { outcome, output, took: started.elapsed() };
    let mut group = match Group::spawn(command) {
        Ok(group) => group,
        Err(error) => return report(Outcome::NotStarted(error.kind(), error.to_string()), Vec::new()),
    };
    let mut capture = Capture::new(group.child.stdout.take(), command.output);
    let ended = match command.timeout {
        None => Some(group.wait(&mut capture).await),
        Some(timeout) => tokio::time::timeout(timeout, group.wait(&mut capture)).await.ok(),
    };
    let outcome = match ended {
        Some(Ok(status)) => outcome(status),
        Some(Err(error)) => Outcome::NotStarted(error.kind(), error.to_string()),
        None => {
            group.end(&mut capture).await;
            Outcome::TimedOut
        }
    };
    group.finished = true;
    report(outcome, capture.kept)
}

fn outcome(status: ExitStatus) -> Outcome {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => Outcome::Exited(code),
        (None, signal) => Outcome::Signaled(signal.unwrap_or_default()),
    }
}

/// A running script and everything it starts without leaving its group.
struct Group {
    child: Child,
    /// The leader's id, which is the group's; pinned as long as the leader was not reaped.
    id: Option<Pid>,
    finished: bool,
    when_dropped: WhenDropped,
}

impl Group {
    fn spawn(command: &ScriptCommand) -> std::io::Result<Self> {
        let mut builder = tokio::process::Command::new(&command.program);
        builder.args(&command.arguments).stdin(Stdio::null()).stderr(Stdio::null()).process_group(0);
        builder.stdout(match command.output {
            Output::Discard => Stdio::null(),
            Output::Capture { .. } => Stdio::piped(),
        });
        for name in DROPPED_VARIABLES {
            builder.env_remove(name);
        }
        builder.envs(command.variables.iter().map(|(name, value)| (name, value)));
        if let Some(Identity { uid, gid }) = command.run_as.filter(|identity| *identity != own_identity()) {
            if command.groups.is_empty() {
                builder.gid(gid).uid(uid);
            } else {
                become_user_before_exec(builder.as_std_mut(), uid, gid, command.groups.clone());
            }
        }
        let child = builder.spawn()?;
        let id = child.id().and_then(|id| i32::try_from(id).ok()).map(Pid::from_raw);
        Ok(Self { child, id, finished: false, when_dropped: command.when_dropped })
    }

    /// Until the leader has ended. What it left running in the background keeps running, and is not waited for.
    async fn wait(&mut self, capture: &mut Capture) -> std::io::Result<ExitStatus> {
        loop {
            tokio::select! {
                biased;
                status = self.child.wait() => {
                    capture.take_what_is_there();
                    return status;
                }
                () = capture.read(), if capture.pipe.is_some() => {}
            }
        }
    }

    /// SIGTERM to the group, later SIGKILL, and the leader reaped. It is reaped only at the end, so that until then no
    /// other group can have its id.
    async fn end(&mut self, capture: &mut Capture) {
        self.signal(Signal::SIGTERM);
        let deadline = Instant::now() + KILL_AFTER;
        while !self.leader_has_ended() && Instant::now() < deadline {
            let _ = tokio::time::timeout(LOOK_EVERY, capture.read_all()).await;
        }
        self.signal(Signal::SIGKILL);
        // SIGKILL cannot be held off; an uninterruptible leader is reaped by the runtime when it ends.
        let _ = tokio::time::timeout(KILL_AFTER, self.child.wait()).await;
    }

    fn leader_has_ended(&self) -> bool {
        let Some(id) = self.id else { return true };
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        !matches!(waitid(Id::Pid(id), flags), Ok(WaitStatus::StillAlive))
    }

    fn signal(&self, signal: Signal) {
        if let Some(id) = self.id {
            // The group may be gone already; then there is nothing to end.
            let _ = killpg(id, signal);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.finished && self.when_dropped == WhenDropped::Terminate && !self.leader_has_ended() {
            self.signal(Signal::SIGTERM);
        }
    }
}

fn own_identity() -> Identity {
    Identity { uid: nix::unistd::geteuid().as_raw(), gid: nix::unistd::getegid().as_raw() }
}

/// What is read of the script's standard output.
struct Capture {
    pipe: Option<ChildStdout>,
    kept: Vec<u8>,
    bytes_max: usize,
}

/// One read.
const CHUNK_BYTES: usize = 4096;

impl Capture {
    fn new(pipe: Option<ChildStdout>, output: Output) -> Self {
        let bytes_max = match output {
            Output::Discard => 0,
            Output::Capture { bytes_max } => bytes_max,
        };
        Self { pipe, kept: Vec::new(), bytes_max }
    }

    /// One read; the pipe is forgotten at its end.
    async fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let mut chunk = [0; CHUNK_BYTES];
        match pipe.read(&mut chunk).await {
            Ok(0) | Err(_) => self.pipe = None,
            Ok(count) => self.keep(chunk.get(..count).unwrap_or_default()),
        }
    }

    async fn read_all(&mut self) {
        while self.pipe.is_some() {
            self.read().await;
        }
        std::future::pending::<()>().await;
    }

    /// What the pipe holds now. Somebody in the background may still have it open, so its end is not waited for.
    fn take_what_is_there(&mut self) {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        while self.kept.len() < self.bytes_max && self.pipe.is_some() {
            let read = std::pin::pin!(self.read());
            if std::future::Future::poll(read, &mut context).is_pending() {
                return;
            }
        }
    }

    fn keep(&mut self, bytes: &[u8]) {
        let room = self.bytes_max.saturating_sub(self.kept.len()).min(bytes.len());
        self.kept.extend_from_slice(bytes.get(..room).unwrap_or_default());
    }
}
