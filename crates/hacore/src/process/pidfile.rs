//! Files that name the daemon's process.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Pid;

/// Whether a second process may take the same file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exclusive {
    /// HAProxy's way: the new process overwrites what the old one wrote.
    No,
    /// keepalived's way: while the owner lives, nobody else gets the file.
    Yes,
}

#[derive(Debug, thiserror::Error)]
pub enum PidFileError {
    #[error("cannot create pidfile {path}: {reason}")]
    Create { path: PathBuf, reason: io::Error },
    #[error("pidfile {path} is held by process {}", pid.map_or_else(|| "?".into(), |pid| pid.to_string()))]
    Held { path: PathBuf, pid: Option<Pid> },
}

/// A pid file of this process; the file stays when the value is dropped, unless [`Self::remove`] was called.
#[derive(Debug)]
pub struct PidFile {
    path: PathBuf,
    _file: Option<Flock<File>>,
}

impl PidFile {
    /// Writes this process's number (call it after daemonizing) with mode 0644.
    pub fn create(path: &Path, exclusive: Exclusive) -> Result<Self, PidFileError> {
        Self::create_for(path, exclusive, &[nix::unistd::getpid()])
    }

    /// Writes the numbers of several processes, one a line (a master and its workers).
    pub fn create_for(path: &Path, exclusive: Exclusive, pids: &[Pid]) -> Result<Self, PidFileError> {
        let create = |reason| PidFileError::Create { path: path.to_owned(), reason };
        let file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .custom_flags(nix::libc::O_CLOEXEC)
            .open(path)
            .map_err(create)?;
        let text: String = pids.iter().map(|pid| format!("{pid}\n")).collect();
        let write = |mut file: &File| file.set_len(0).and_then(|()| file.write_all(text.as_bytes()));
        let held = match exclusive {
            Exclusive::No => {
                write(&file).map_err(create)?;
                None
            }
            Exclusive::Yes => {
                let locked = Flock::lock(file, FlockArg::LockExclusiveNonblock)
                    .map_err(|_| PidFileError::Held { path: path.to_owned(), pid: read(path) })?;
                write(&locked).map_err(create)?;
                Some(locked)
            }
        };
        Ok(Self { path: path.to_owned(), _file: held })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Deletes the file if it still names this process; after `chroot` it may be out of reach, which is no error.
    pub fn remove(self) {
        if read(&self.path) == Some(nix::unistd::getpid()) {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

/// Waits until nobody holds an exclusive pid file any more; a file that is not there is free.
///
/// For a holder that is known to be ending: a signal without handler is what ends the wait otherwise.
pub fn wait_until_free(path: &Path) {
    if let Ok(file) = File::open(path) {
        // Dropped at once. Interrupted or refused, the caller's own attempt tells.
        let _ = Flock::lock(file, FlockArg::LockExclusive);
    }
}

/// The first process number in a pid file, if it has one.
pub fn read(path: &Path) -> Option<Pid> {
    let mut text = String::new();
    File::open(path).ok()?.take(4096).read_to_string(&mut text).ok()?;
    let number: i32 = text.lines().next()?.trim().parse().ok()?;
    (number > 0).then(|| Pid::from_raw(number))
}

/// The process that a pid file names, if it still exists (whose program it runs is not checked).
pub fn running(path: &Path) -> Option<Pid> {
    let pid = read(path)?;
    match nix::sys::signal::kill(pid, None) {
        Ok(()) | Err(nix::Error::EPERM) => Some(pid),
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_this_process_and_goes_when_removed() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        std::fs::write(&path, "1234567\nmuch longer than what follows\n").unwrap();
        let file = PidFile::create(&path, Exclusive::No).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
        assert_eq!(running(&path), Some(nix::unistd::getpid()));
        file.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_file_that_names_another_process_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let file = PidFile::create(&path, Exclusive::No).unwrap();
        std::fs::write(&path, "1\n").unwrap();
        file.remove();
        assert!(path.exists());
    }

    #[test]
    fn an_exclusive_file_is_taken_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        let held = PidFile::create(&path, Exclusive::Yes).unwrap();
        let error = PidFile::create(&path, Exclusive::Yes).unwrap_err();
        assert!(
            error.to_string().ends_with(&format!("is held by process {}", std::process::id())),
            "{error}"
        );
        let waiting = {
            let path = path.clone();
            std::thread::spawn(move || {
                wait_until_free(&path);
                PidFile::create(&path, Exclusive::Yes).map(drop)
            })
        };
        drop(held);
        waiting.join().unwrap().unwrap();
        wait_until_free(&directory.path().join("missing"));
        PidFile::create(&path, Exclusive::Yes).unwrap();
    }

    #[test]
    fn garbage_names_nobody() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pid");
        for text in ["", "x", "-5", "0", "99999999999"] {
            std::fs::write(&path, text).unwrap();
            assert_eq!(read(&path), None, "{text}");
        }
        assert_eq!(read(&directory.path().join("missing")), None);
    }
}
