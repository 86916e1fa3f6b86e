//! A daemon under test: started in the foreground, its output kept, ended when dropped.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::wait;

/// A running program with a folder of its own.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    folder: tempfile::TempDir,
    output: PathBuf,
}

impl Daemon {
    /// Starts `program` with `arguments`; `{dir}` in an argument becomes the daemon's folder, into which `files`
    /// (name, text; `{dir}` replaced too) were written before.
    pub fn start(program: &Path, arguments: &[&str], files: &[(&str, &str)]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let dir = folder.path().display().to_string();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text.replace("{dir}", &dir))?;
        }
        let output = folder.path().join("output");
        let file = File::create(&output)?;
        let child = Command::new(program)
            .args(arguments.iter().map(|argument| argument.replace("{dir}", &dir)))
            .stdin(Stdio::null())
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()?;
        Ok(Self { child, folder, output })
    }

    /// A proxy (ours or the genuine one) in the foreground with this configuration.
    pub fn proxy(program: &Path, configuration: &str) -> io::Result<Self> {
        Self::start(program, &["-db", "-f", "{dir}/haproxy.cfg"], &[("haproxy.cfg", configuration)])
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// A file in the daemon's folder.
    pub fn path(&self, name: impl AsRef<OsStr>) -> PathBuf {
        self.folder.path().join(name.as_ref())
    }

    /// What it has written to standard output and error so far.
    pub fn output(&self) -> String {
        let mut text = Vec::new();
        if let Ok(mut file) = File::open(&self.output) {
            let _ = file.read_to_end(&mut text);
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Waits until it accepts connections at `address`; an error carries its output.
    pub fn await_listening(&mut self, address: SocketAddr) -> io::Result<()> {
        let answered = wait::until(wait::LIMIT, || {
            if let Ok(Some(_)) = self.child.try_wait() {
                return Some(false);
            }
            TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_ok().then_some(true)
        });
        match answered {
            Some(true) => Ok(()),
            _ => Err(io::Error::other(format!("nothing listens at {address}; output:\n{}", self.output()))),
        }
    }

    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        kill(Pid::from_raw(self.child.id() as i32), signal).map_err(io::Error::from)
    }

    /// Ends it at once.
    pub fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Waits for its end; `None` when it still runs after the limit.
    pub fn await_end(&mut self) -> Option<ExitStatus> {
        wait::until(wait::LIMIT, || self.child.try_wait().ok().flatten())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
