//! The folder of the workers' sockets, which only the master and its workers may enter.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;

pub struct Folder {
    path: PathBuf,
    count: u32,
}

impl Folder {
    /// Makes it, with a name that nobody else has.
    pub fn create() -> io::Result<Self> {
        let base = std::env::temp_dir();
        let pid = std::process::id();
        for attempt in 0..100u32 {
            let path = base.join(format!("proxyd-master-{pid}-{attempt}"));
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

impl Drop for Folder {
    fn drop(&mut self) {
        // Left behind it is only an empty folder.
        let _ = std::fs::remove_dir_all(&self.path);
    }
}
