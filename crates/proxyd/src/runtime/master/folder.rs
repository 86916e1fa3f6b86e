//! The folder of the workers' sockets, which only the master and its workers may enter.

use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

/// Begins the names of all such folders; the process id of the master follows.
const PREFIX: &str = "proxyd-master-";

pub struct Folder {
    path: PathBuf,
    count: u32,
}

impl Folder {
    /// Makes it, with a name that nobody else has.
    pub fn create() -> io::Result<Self> {
        let base = std::env::temp_dir();
        let pid = std::process::id();
        remove_abandoned(&base);
        for attempt in 0..100u32 {
            let path = base.join(format!("{PREFIX}{pid}-{attempt}"));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self { path, count: 0 }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error),
            }
        }
        Err(io::ErrorKind::AlreadyExists.into())
    }

    /// The path of the next worker's socket.
    pub fn next_socket(&mut self) -> PathBuf {
        self.count += 1;
        self.path.join(format!("worker-{}", self.count))
    }
}

/// Removes the folders of masters that were killed.
fn remove_abandoned(base: &Path) {
    let Ok(entries) = std::fs::read_dir(base) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let owner =
            name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.split_once('-')?.0.parse::<u32>().ok());
        let is_abandoned = owner.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists());
        let is_ours =
            entry.metadata().is_ok_and(|file| file.is_dir() && file.uid() == nix::unistd::geteuid().as_raw());
        if is_abandoned && is_ours {
            // Another master may be doing the same.
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it is only an empty folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
