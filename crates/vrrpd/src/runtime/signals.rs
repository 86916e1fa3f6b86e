//! The signals keepalived knows (keepalived(8), SIGNALS) as one stream of requests.

use std::io;

use hacore::process::signals;
use nix::libc;
use tokio::signal::unix::Signal;

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Request {
    /// SIGTERM, SIGINT.
    Stop,
    /// SIGHUP.
    Reload,
    /// SIGUSR1: dump the data.
    DumpData,
    /// SIGUSR2: dump the statistics.
    DumpStats,
    /// Dump the statistics and start counting anew.
    ClearStats,
    /// Dump everything as JSON.
    DumpJson,
}

/// The number `--signum` answers for a function's name.
pub fn number(function: &str) -> Option<i32> {
    Some(match function {
        "STOP" => libc::SIGTERM,
        "RELOAD" => libc::SIGHUP,
        "DATA" => libc::SIGUSR1,
        "STATS" => libc::SIGUSR2,
        "STATS_CLEAR" => signals::realtime_max() - 1,
        "JSON" => signals::realtime_min() + 2,
        _ => return None,
    })
}

/// The signals that the supervisor hands on to the worker.
pub const FORWARDED: [fn() -> i32; 7] = [
    || libc::SIGTERM,
    || libc::SIGINT,
    || libc::SIGHUP,
    || libc::SIGUSR1,
    || libc::SIGUSR2,
    || signals::realtime_max() - 1,
    || signals::realtime_min() + 2,
];

/// The streams of all signals.
#[derive(Debug)]
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
    user1: Signal,
    user2: Signal,
    clear: Signal,
    json: Signal,
}

impl Signals {
    /// Catches them from now on.
    ///
    /// # Errors
    /// When a handler cannot be installed.
    pub fn catch() -> io::Result<Self> {
        let stream = |function: &str| signals::stream(number(function).ok_or(io::ErrorKind::InvalidInput)?);
        signals::ignore(libc::SIGPIPE)?;
        Ok(Signals {
            terminate: stream("STOP")?,
            interrupt: signals::stream(libc::SIGINT)?,
            hang_up: stream("RELOAD")?,
            user1: stream("DATA")?,
            user2: stream("STATS")?,
            clear: stream("STATS_CLEAR")?,
            json: stream("JSON")?,
        })
    }

    /// The next request. Cancel safe.
    pub async fn next(&mut self) -> Request {
        tokio::select! {
            _ = self.terminate.recv() => Request::Stop,
            _ = self.interrupt.recv() => Request::Stop,
            _ = self.hang_up.recv() => Request::Reload,
            _ = self.user1.recv() => Request::DumpData,
            _ = self.user2.recv() => Request::DumpStats,
            _ = self.clear.recv() => Request::ClearStats,
            _ = self.json.recv() => Request::DumpJson,
        }
    }
}
