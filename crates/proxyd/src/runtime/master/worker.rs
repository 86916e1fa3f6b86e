//! A worker as its master sees it.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

use super::WORKER_SOCKET;

/// How long an answer may take; a reload of a large file is the longest.
const ANSWER_LIMIT: Duration = Duration::from_secs(120);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Serving,
    /// Another one has taken its place.
    Draining,
}

pub(super) struct Worker {
    child: Child,
    pub socket: PathBuf,
    pub started: Instant,
    pub state: State,
}

impl Worker {
    /// Starts the same program with the same arguments. A worker that follows others is told so: by the socket of the one
    /// whose listening sockets it takes, or an empty path when that one is gone.
    pub fn start(program: &str, socket: &Path, before: Option<&Path>) -> io::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        if let Some(before) = before {
            command.env(super::TRANSFER_SOCKET, before);
        }
        let child = command
            .arg0(program)
            .args(std::env::args_os().skip(1))
            .env(WORKER_SOCKET, socket)
            .env("HAPROXY_MWORKER", "1")
            .env_remove("NOTIFY_SOCKET")
            .env_remove("WATCHDOG_USEC")
            .spawn()?;
        Ok(Self { child, socket: socket.to_owned(), started: Instant::now(), state: State::Serving })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        // One that has ended already is what we want.
        let _ = kill(Pid::from_raw(self.child.id() as i32), signal);
    }

    /// How it ended, if it did: `code 137 (Killed)`.
    pub fn ended(&mut self) -> Option<String> {
        use std::os::unix::process::ExitStatusExt;
        let status = self.child.try_wait().ok()??;
        Some(match (status.code(), status.signal()) {
            (Some(code), _) => format!("code {code} (Exit)"),
            (None, Some(number)) => {
                let name = Signal::try_from(number).map_or("unknown signal", Signal::as_str);
                format!("code {} ({name})", 128 + number)
            }
            (None, None) => "an unknown status".to_owned(),
        })
    }

    /// Whether it serves.
    pub async fn answers(&self) -> bool {
        self.ask("show version\n").await.is_ok_and(|answer| !answer.is_empty())
    }

    /// Sends lines to its console and gives the whole answer.
    pub async fn ask(&self, text: &str) -> io::Result<String> {
        ask(&self.socket, text).await
    }
}

/// Sends lines to a console and gives the whole answer.
pub(super) async fn ask(socket: &Path, text: &str) -> io::Result<String> {
    let exchange = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(text.as_bytes()).await?;
        stream.shutdown().await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(ANSWER_LIMIT, exchange).await?
}
