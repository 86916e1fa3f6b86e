//! As much of PostgreSQL's protocol as a test needs: log in without password, simple queries.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

pub(crate) struct Session(TcpStream);

impl Session {
    pub(crate) fn connect(address: SocketAddr) -> Option<Self> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(3))).ok()?;
        stream.set_nodelay(true).ok()?;
        let body = b"\0\x03\0\0user\0postgres\0database\0postgres\0\0";
        let mut hello = (body.len() as u32 + 4).to_be_bytes().to_vec();
        hello.extend_from_slice(body);
        stream.write_all(&hello).ok()?;
        let mut session = Session(stream);
        session.answer()?;
        Some(session)
    }

    /// The first columns of the rows.
    pub(crate) fn query(&mut self, sql: &str) -> Option<Vec<String>> {
        let mut message = vec![b'Q'];
        message.extend_from_slice(&(sql.len() as u32 + 5).to_be_bytes());
        message.extend_from_slice(sql.as_bytes());
        message.push(0);
        self.0.write_all(&message).ok()?;
        self.answer()
    }

    /// Reads until the server is ready; an error makes it nothing.
    fn answer(&mut self) -> Option<Vec<String>> {
        let (mut rows, mut failed) = (Vec::new(), false);
        loop {
            let mut head = [0; 5];
            self.0.read_exact(&mut head).ok()?;
            let [kind, length @ ..] = head;
            let mut body = vec![0; (u32::from_be_bytes(length) as usize).checked_sub(4)?];
            self.0.read_exact(&mut body).ok()?;
            match kind {
                b'E' => failed = true,
                b'D' => {
                    let length = u32::from_be_bytes(body.get(2..6)?.try_into().ok()?) as usize;
                    rows.push(String::from_utf8_lossy(body.get(6..6 + length)?).into_owned());
                }
                b'Z' => return (!failed).then_some(rows),
                _ => {}
            }
            // A server that shuts down says so and closes without being ready again.
            if failed && kind == b'E' && body.windows(5).any(|part| part == b"FATAL") {
                return None;
            }
        }
    }

    /// Whether the peer has closed the session; waits at most this long for it.
    pub(crate) fn is_cut_within(&mut self, limit: Duration) -> bool {
        self.0.set_read_timeout(Some(limit)).ok();
        let mut rest = [0; 512];
        loop {
            match self.0.read(&mut rest) {
                Ok(0) => return true,
                Ok(_) => {}
                Err(error) => {
                    return !matches!(
                        error.kind(),
                        std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut
                    );
                }
            }
        }
    }
}
