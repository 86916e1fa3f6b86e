//! What a server connection begins with, before TLS and before any request: a SOCKS4 request and a PROXY header.

use std::net::SocketAddr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, send};

use super::buffer::Buffer;

/// The identity that a SOCKS4 proxy is told; HAProxy's.
const SOCKS4_USER: &[u8] = b"HAProxy\0";
/// VN 4, CD 1 (SOCKS4.protocol.txt, "CONNECT").
const SOCKS4_CONNECT: [u8; 2] = [4, 1];
/// "request granted" of its answer.
const SOCKS4_GRANTED: [u8; 2] = [0, 90];
const SOCKS4_ANSWER_BYTES: usize = 8;

/// What has to go out, and what must come before the rest of it may.
#[derive(Debug, Default)]
pub struct Greeting {
    outgoing: Buffer,
    /// An answer of a SOCKS4 proxy is awaited: what has come of it.
    answer: Option<Vec<u8>>,
    /// Goes out after that answer.
    then: Vec<u8>,
}

impl Greeting {
    /// A PROXY header, or nothing.
    pub fn new(header: Vec<u8>) -> Self {
        Self { outgoing: header.into(), ..Self::default() }
    }

    /// A request to a SOCKS4 proxy for a connection to `destination`, and what follows when it is granted; `None` for an
    /// address that SOCKS4 has no room for.
    pub fn through_socks4(destination: SocketAddr, header: Vec<u8>) -> Option<Self> {
        let SocketAddr::V4(destination) = destination else { return None };
        let mut request = SOCKS4_CONNECT.to_vec();
        request.extend_from_slice(&destination.port().to_be_bytes());
        request.extend_from_slice(&destination.ip().octets());
        request.extend_from_slice(SOCKS4_USER);
        Some(Self { outgoing: request.into(), answer: Some(Vec::new()), then: header })
    }

    /// There is nothing to say.
    pub fn is_empty(&self) -> bool {
        self.outgoing.is_empty() && self.answer.is_none() && self.then.is_empty()
    }

    /// Goes on as far as it gets without waiting; true when it is over.
    ///
    /// # Errors
    /// `EAGAIN` when the socket takes no more, what broke the connection, or `ECONNREFUSED` when the SOCKS4 proxy refused.
    pub fn advance(&mut self, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
        loop {
            while !self.outgoing.is_empty() {
                let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
                match send(socket.as_raw_fd(), self.outgoing.as_slice(), flags) {
                    Ok(count) => self.outgoing.consume(count),
                    Err(Errno::EINTR) => {}
                    Err(error) => return Err(error),
                }
            }
            if let Some(answer) = self.answer.as_mut() {
                if !read_answer(answer, socket)? {
                    return Ok(false);
                }
                self.answer = None;
            }
            if self.then.is_empty() {
                return Ok(true);
            }
            self.outgoing = std::mem::take(&mut self.then).into();
        }
    }
}

/// Reads the proxy's answer and no byte more; true when it is there and good.
fn read_answer(answer: &mut Vec<u8>, socket: BorrowedFd<'_>) -> Result<bool, Errno> {
    let mut room = [0; SOCKS4_ANSWER_BYTES];
    while answer.len() < SOCKS4_ANSWER_BYTES {
        let rest = room.get_mut(answer.len()..).unwrap_or_default();
        match recv(socket.as_raw_fd(), rest, MsgFlags::MSG_DONTWAIT) {
            Ok(0) => return Err(Errno::ECONNRESET),
            Ok(count) => answer.extend_from_slice(rest.get(..count).unwrap_or_default()),
            Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) => return Ok(false),
            Err(error) => return Err(error),
        }
    }
    if answer.starts_with(&SOCKS4_GRANTED) { Ok(true) } else { Err(Errno::ECONNREFUSED) }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;

    use super::*;

    fn server() -> SocketAddr {
        "127.0.0.9:80".parse().unwrap()
    }

    /// The request is what HAProxy 2.6 sends for this server.
    #[test]
    fn socks4_asks_waits_for_its_answer_and_takes_no_byte_more() {
        let (ours, mut proxy) = UnixStream::pair().unwrap();
        let mut greeting = Greeting::through_socks4(server(), b"PROXY".to_vec()).unwrap();
        assert_eq!(greeting.advance(ours.as_fd()), Ok(false));
        let mut request = [0; 16];
        proxy.read_exact(&mut request).unwrap();
        assert_eq!(&request, b"\x04\x01\0P\x7f\0\0\x09HAProxy\0");
        for byte in [0, 90, 0, 0, 0, 0, 0] {
            proxy.write_all(&[byte]).unwrap();
            assert_eq!(greeting.advance(ours.as_fd()), Ok(false));
        }
        proxy.write_all(b"\0hello").unwrap();
        assert_eq!(greeting.advance(ours.as_fd()), Ok(true));
        let mut header = [0; 5];
        proxy.read_exact(&mut header).unwrap();
        assert_eq!(&header, b"PROXY");
        let mut rest = [0; 5];
        (&ours).read_exact(&mut rest).unwrap();
        assert_eq!(&rest, b"hello");
    }

    #[test]
    fn socks4_refusals_and_ends_are_errors_and_ipv6_has_no_request() {
        let (ours, mut proxy) = UnixStream::pair().unwrap();
        let mut greeting = Greeting::through_socks4(server(), Vec::new()).unwrap();
        proxy.write_all(&[0, 91, 0, 0, 0, 0, 0, 0]).unwrap();
        assert_eq!(greeting.advance(ours.as_fd()), Err(Errno::ECONNREFUSED));
        let mut greeting = Greeting::through_socks4(server(), Vec::new()).unwrap();
        assert_eq!(greeting.advance(ours.as_fd()), Ok(false));
        drop(proxy);
        assert!(greeting.advance(ours.as_fd()).is_err());
        assert!(Greeting::through_socks4("[::1]:80".parse().unwrap(), Vec::new()).is_none());
        assert_eq!(Greeting::default().advance(ours.as_fd()), Ok(true));
    }
}
