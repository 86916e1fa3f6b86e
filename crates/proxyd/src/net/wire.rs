//! Bytes between an HTTP/2 state machine and a connection: the state machine reads and writes memory, its driver moves
//! the memory's content from and to the socket.
//!
//! Everything that one turn makes goes out with one write, and the state machine knows neither sockets nor TLS.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connection::{ConnectionKey, ConnectionTable, Received, Sent};
use super::poller::Poller;

/// Output that waits for the socket before the state machine has to wait too.
const OUTBOUND_BYTES_MAX: usize = 64 * 1024;
/// Memory that a quiet connection keeps for output.
const OUTBOUND_KEPT_BYTES: usize = 4096;

#[derive(Debug, Default)]
struct Pipes {
    inbound: Vec<u8>,
    taken: usize,
    outbound: Vec<u8>,
    sent: usize,
    /// Nothing more will come from the peer.
    ended: bool,
    /// The peer can take nothing any more.
    broken: bool,
    /// The state machine had to wait for room.
    starved: bool,
}

/// Both ends of the memory; clones are the same wire.
#[derive(Debug, Clone, Default)]
pub struct Wire(Rc<RefCell<Pipes>>);

/// What moving bytes led to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// The state machine can do something that it could not before.
    pub progress: bool,
    /// Output waits for the socket.
    pub blocked: bool,
}

impl Wire {
    /// What the peer has sent before the state machine existed.
    pub fn feed(&self, bytes: &[u8]) {
        self.0.borrow_mut().inbound.extend_from_slice(bytes);
    }

    /// Output waits.
    pub fn has_output(&self) -> bool {
        let pipes = self.0.borrow();
        pipes.outbound.len() > pipes.sent
    }

    /// The peer has finished sending, or is gone.
    pub fn is_ended(&self) -> bool {
        let pipes = self.0.borrow();
        pipes.ended || pipes.broken
    }

    pub fn is_broken(&self) -> bool {
        self.0.borrow().broken
    }

    /// Sends what waits and, when the state machine has read everything, receives once.
    pub fn exchange(
        &self,
        connections: &mut ConnectionTable,
        poller: &Poller,
        key: ConnectionKey,
        scratch: &mut [u8],
    ) -> Flow {
        let mut progress = self.flush(connections, poller, key);
        let mut pipes = self.0.borrow_mut();
        if pipes.taken == pipes.inbound.len() && !pipes.ended {
            pipes.inbound.clear();
            pipes.taken = 0;
            let received = match connections.get_mut(key) {
                Some(peer) if peer.is_readable() => peer.receive(scratch),
                Some(_) => Received::WouldBlock,
                None => Received::End,
            };
            match received {
                Received::Data(count) => {
                    pipes.inbound.extend_from_slice(scratch.get(..count).unwrap_or_default());
                    progress = true;
                }
                Received::WouldBlock => {
                    if pipes.inbound.capacity() > OUTBOUND_KEPT_BYTES {
                        pipes.inbound = Vec::new();
                    }
                }
                Received::End => {
                    pipes.ended = true;
                    progress = true;
                }
                Received::Failed(_) => {
                    (pipes.ended, pipes.broken) = (true, true);
                    progress = true;
                }
            }
        }
        Flow { progress, blocked: pipes.outbound.len() > pipes.sent }
    }

    /// Sends what waits; true when the state machine had to wait for that.
    pub fn flush(&self, connections: &mut ConnectionTable, poller: &Poller, key: ConnectionKey) -> bool {
        let mut pipes = self.0.borrow_mut();
        while pipes.outbound.len() > pipes.sent && !pipes.broken {
            if connections.get(key).is_none_or(|peer| !peer.is_writable()) {
                return false;
            }
            let waiting = pipes.outbound.get(pipes.sent..).unwrap_or_default();
            match connections.send(poller, key, waiting) {
                Sent::Bytes(0) => return false,
                Sent::Bytes(count) => pipes.sent += count,
                Sent::Failed(_) => pipes.broken = true,
            }
        }
        pipes.sent = 0;
        pipes.outbound.clear();
        if pipes.outbound.capacity() > OUTBOUND_KEPT_BYTES {
            pipes.outbound.shrink_to(OUTBOUND_KEPT_BYTES);
        }
        std::mem::take(&mut pipes.starved)
    }
}

impl AsyncRead for Wire {
    fn poll_read(self: Pin<&mut Self>, _: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let mut pipes = self.0.borrow_mut();
        let rest = pipes.inbound.get(pipes.taken..).unwrap_or_default();
        if rest.is_empty() {
            // The driver polls again when there is more.
            return if pipes.ended { Poll::Ready(Ok(())) } else { Poll::Pending };
        }
        let count = rest.len().min(into.remaining());
        into.put_slice(rest.get(..count).unwrap_or_default());
        pipes.taken += count;
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let mut pipes = self.0.borrow_mut();
        if pipes.broken {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if pipes.outbound.len() - pipes.sent >= OUTBOUND_BYTES_MAX {
            pipes.starved = true;
            return Poll::Pending;
        }
        pipes.outbound.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_writer_waits_when_too_much_waits_for_the_socket() {
        let mut wire = Wire::default();
        let mut context = Context::from_waker(std::task::Waker::noop());
        let chunk = vec![0; OUTBOUND_BYTES_MAX];
        assert!(Pin::new(&mut wire).poll_write(&mut context, &chunk).is_ready());
        assert!(Pin::new(&mut wire).poll_write(&mut context, b"x").is_pending());
        assert!(wire.has_output());
    }

    #[test]
    fn a_reader_gets_what_came_and_then_waits() {
        let mut wire = Wire::default();
        wire.feed(b"abc");
        let mut context = Context::from_waker(std::task::Waker::noop());
        let mut room = [0; 2];
        let mut into = ReadBuf::new(&mut room);
        assert!(Pin::new(&mut wire).poll_read(&mut context, &mut into).is_ready());
        assert_eq!(into.filled(), b"ab");
        let mut into = ReadBuf::new(&mut room);
        assert!(Pin::new(&mut wire).poll_read(&mut context, &mut into).is_ready());
        assert_eq!(into.filled(), b"c");
        let mut into = ReadBuf::new(&mut room);
        assert!(Pin::new(&mut wire).poll_read(&mut context, &mut into).is_pending());
    }
}
