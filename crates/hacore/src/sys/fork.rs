//! `fork(2)` for becoming a daemon.

use std::io;
use std::os::unix::fs::MetadataExt as _;

use nix::unistd::{ForkResult, Pid};

/// Which side of the fork this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Forked {
    Parent { child: Pid },
    Child,
}

/// Forks a process that has only one thread.
///
/// With more threads the child would inherit locks whose owners do not exist there, so that is refused: call
/// this before any runtime or thread is started.
///
/// # Errors
/// `EBUSY` when the process has more than one thread; what `fork(2)` says otherwise.
pub fn fork_single_threaded() -> io::Result<Forked> {
    // One link for each task beside the two of any folder; listing them would take memory.
    if std::fs::metadata("/proc/self/task").is_ok_and(|tasks| tasks.nlink() > 3) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: the process has one thread (checked above; only a thread could start another in between, and this
    // is the only one), so the child owns every lock and may go on as usual.
    match unsafe { nix::unistd::fork() }? {
        ForkResult::Parent { child } => Ok(Forked::Parent { child }),
        ForkResult::Child => Ok(Forked::Child),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The successful fork is shown by the daemonize test, which runs in a process of its own.
    #[test]
    fn refuses_to_fork_beside_other_threads() {
        // The test harness itself is the second thread.
        let (started, wait) = std::sync::mpsc::channel::<()>();
        let other = std::thread::spawn(move || {
            let _ = wait.recv();
        });
        assert_eq!(fork_single_threaded().unwrap_err().raw_os_error(), Some(libc::EBUSY));
        drop(started);
        other.join().unwrap();
    }
}
