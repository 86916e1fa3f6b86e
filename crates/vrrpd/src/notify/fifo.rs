//! `notify_fifo`, `vrrp_notify_fifo`: one line a change for whoever reads.

use std::fs::{File, OpenOptions};
use std::io::{Error, ErrorKind, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::PathBuf;

use hacore::process::script::run;
use nix::sys::stat::Mode;
use nix::unistd::{Gid, Uid, chown, mkfifo};
use tokio::task::JoinHandle;

use crate::model::FifoSettings;

/// An open FIFO, and the program that was started for it.
pub(super) struct Fifo {
    path: PathBuf,
    file: File,
    /// We made it, so we remove it.
    made: bool,
    script: Option<JoinHandle<()>>,
}

impl Fifo {
    /// Makes the FIFO if it is not there, opens it and starts its script; `None` when none is configured.
    pub(super) fn open(settings: &FifoSettings) -> std::io::Result<Option<Self>> {
        let Some(path) = settings.path.as_ref().map(PathBuf::from) else { return Ok(None) };
        let made = match mkfifo(&path, Mode::S_IRUSR | Mode::S_IWUSR) {
            Ok(()) => true,
            Err(nix::errno::Errno::EEXIST) => false,
            Err(error) => return Err(Error::from(error)),
        };
        if let (true, Some(owner)) = (made, settings.owner) {
            chown(&path, Some(Uid::from_raw(owner.uid)), Some(Gid::from_raw(owner.gid)))?;
        }
        // For reading too: so opening needs no reader, and writing without one is no SIGPIPE.
        let flags = nix::libc::O_NONBLOCK | nix::libc::O_NOFOLLOW;
        let file = OpenOptions::new().read(true).write(true).custom_flags(flags).open(&path)?;
        if !file.metadata()?.file_type().is_fifo() {
            return Err(Error::new(ErrorKind::InvalidInput, format!("{} is not a fifo", path.display())));
        }
        let script = settings.script.as_ref().map(|command| {
            let script = super::queue::script(command, vec![path.display().to_string()]);
            tokio::spawn(async move {
                run(&script).await;
            })
        });
        Ok(Some(Self { path, file, made, script }))
    }

    /// One line, whole or not at all: it is shorter than `PIPE_BUF`, or refused.
    pub(super) fn write(&mut self, line: &str) -> std::io::Result<()> {
        if line.len() > nix::libc::PIPE_BUF {
            return Err(Error::new(ErrorKind::InvalidInput, "line too long"));
        }
        self.file.write_all(line.as_bytes())
    }
}

impl Drop for Fifo {
    fn drop(&mut self) {
        if let Some(script) = self.script.take() {
            script.abort();
        }
        if self.made {
            // Somebody else may have removed it already.
            let _ = std::fs::remove_file(&self.path);
        }
    }
}
