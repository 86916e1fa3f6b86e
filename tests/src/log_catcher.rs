//! A syslog receiver on a free UDP port.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::{Duration, Instant};

/// Receives datagrams; lines stay in the socket's buffer until they are asked for.
#[derive(Debug)]
pub struct LogCatcher {
    socket: UdpSocket,
}

impl LogCatcher {
    pub fn new() -> io::Result<Self> {
        Ok(Self { socket: UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))? })
    }

    /// What to write behind `log`.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next line whole, with its syslog header; `None` when none comes within `limit`.
    pub fn line(&self, limit: Duration) -> io::Result<Option<String>> {
        // Zero would mean "for ever" to the socket.
        self.socket.set_read_timeout(Some(limit.max(Duration::from_millis(1))))?;
        let mut buffer = vec![0; 65536];
        match self.socket.recv(&mut buffer) {
            Ok(size) => Ok(Some(String::from_utf8_lossy(&buffer[..size]).trim_end().to_owned())),
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// The first line that `wanted` accepts, within `limit` in all.
    pub fn find(&self, limit: Duration, wanted: impl Fn(&str) -> bool) -> io::Result<Option<String>> {
        let deadline = Instant::now() + limit;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match self.line(left)? {
                Some(line) if wanted(&line) => return Ok(Some(line)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
        Ok(None)
    }
}

/// A line without its syslog header (`<PRI>date [host] tag[pid]: `).
pub fn message(line: &str) -> &str {
    line.split_once("]: ").map_or(line, |(_, message)| message)
}
