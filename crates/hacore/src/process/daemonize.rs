//! Going to the background, with the parent waiting until the daemon is ready or has failed.
//!
//! ```text
//! shell ── parent ── (setsid) ── intermediate ── daemon
//!            │ waits on a pipe          exits      │ Readiness::ready → 0
//!            └─ exits with what the pipe says ◀────┘ dropped or dead → 1
//! ```
//!
//! Must run before any thread or runtime exists.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;
use nix::sys::wait::waitpid;

use crate::sys::{Forked, fork_single_threaded};

/// Why the daemon could not go to the background.
#[derive(Debug, thiserror::Error)]
#[error("cannot become a daemon: {step}: {reason}")]
pub struct DaemonizeError {
    step: &'static str,
    reason: io::Error,
}

fn failed(step: &'static str) -> impl FnOnce(io::Error) -> DaemonizeError {
    move |reason| DaemonizeError { step, reason }
}

fn failed_errno(step: &'static str) -> impl FnOnce(nix::Error) -> DaemonizeError {
    move |reason| DaemonizeError { step, reason: reason.into() }
}

/// The daemon's end of the pipe on which the first parent waits.
///
/// Dropping it without [`Self::ready`], or dying, makes the parent exit with 1.
#[derive(Debug)]
#[must_use = "the parent waits until this says that the daemon is ready"]
pub struct Readiness {
    pipe: File,
    /// `/dev/null`, opened early: after `chroot` there may be none.
    null: File,
}

impl Readiness {
    /// Lets go of the terminal (standard streams become `/dev/null`) and makes the parent exit with 0.
    pub fn ready(mut self) -> io::Result<()> {
        release_standard_streams(&self.null)?;
        self.pipe.write_all(&[0])
    }

    /// For a process that only looks after the one which will be ready: lets go of the terminal and of the pipe, and
    /// says nothing. Call it after the fork.
    pub fn leave_to_child(self) -> io::Result<()> {
        release_standard_streams(&self.null)
    }

    /// Makes the parent exit with `code`; the reason should already be on standard error.
    pub fn failed(mut self, code: u8) {
        // A parent that is gone cannot be told, and need not be.
        let _ = self.pipe.write_all(&[code]);
    }
}

/// Forks twice and returns in the daemon; the calling process waits for [`Readiness`] and exits.
///
/// The daemon leads no session, so it can never acquire a terminal; its working directory is unchanged (relative
/// paths of the configuration still mean the same) and its standard streams stay open for messages until ready.
pub fn daemonize() -> Result<Readiness, DaemonizeError> {
    let null = File::options().read(true).write(true).open("/dev/null").map_err(failed("/dev/null"))?;
    let (read_end, write_end) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(failed_errno("pipe"))?;
    if let Forked::Parent { child } = fork_single_threaded().map_err(failed("fork"))? {
        drop(write_end);
        // The intermediate process ends at once; its status says nothing.
        let _ = waitpid(child, None);
        std::process::exit(exit_code_from(read_end));
    }
    drop(read_end);
    nix::unistd::setsid().map_err(failed_errno("setsid"))?;
    if let Forked::Parent { .. } = fork_single_threaded().map_err(failed("second fork"))? {
        std::process::exit(0);
    }
    Ok(Readiness { pipe: File::from(write_end), null })
}

/// The byte the daemon sent, or 1 when it ended without one.
fn exit_code_from(pipe: OwnedFd) -> i32 {
    let mut byte = [1];
    match File::from(pipe).read(&mut byte) {
        Ok(1) => i32::from(byte[0]),
        _ => 1,
    }
}

/// Points standard input, output and error at `null`.
fn release_standard_streams(null: &File) -> io::Result<()> {
    nix::unistd::dup2_stdin(null)?;
    nix::unistd::dup2_stdout(null)?;
    nix::unistd::dup2_stderr(null)?;
    Ok(())
}
