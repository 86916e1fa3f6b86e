//! What was said on a check's connections: the beginning of each direction, for "why is it down".
//!
//! It is taken above TLS, so that it shows the protocol and not its encryption. It decides nothing.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::connect::Io;

/// How much of each direction is kept.
pub const TRANSCRIPT_MAX_BYTES: usize = 512;

/// Both directions of all connections of one check.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Transcript {
    /// The first [`TRANSCRIPT_MAX_BYTES`] that were sent.
    pub sent: Vec<u8>,
    /// The first [`TRANSCRIPT_MAX_BYTES`] that came.
    pub received: Vec<u8>,
    /// How much was sent in all.
    pub sent_bytes: u64,
    /// How much came in all.
    pub received_bytes: u64,
}

impl Transcript {
    fn note(kept: &mut Vec<u8>, total: &mut u64, bytes: &[u8]) {
        let room = TRANSCRIPT_MAX_BYTES.saturating_sub(kept.len());
        kept.extend_from_slice(bytes.get(..room).unwrap_or(bytes));
        *total += bytes.len() as u64;
    }

    /// Adds what was sent.
    pub fn note_sent(&mut self, bytes: &[u8]) {
        Self::note(&mut self.sent, &mut self.sent_bytes, bytes);
    }

    /// Adds what came.
    pub fn note_received(&mut self, bytes: &[u8]) {
        Self::note(&mut self.received, &mut self.received_bytes, bytes);
    }
}

/// A transcript that a check writes while its owner waits.
pub type Tape = Rc<RefCell<Transcript>>;

/// A connection whose bytes go onto a tape.
pub(super) struct Taped {
    pub(super) io: Box<dyn Io>,
    pub(super) tape: Tape,
}

impl AsyncRead for Taped {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buffer);
        if let Some(new) = buffer.filled().get(before..).filter(|new| !new.is_empty()) {
            self.tape.borrow_mut().note_received(new);
        }
        polled
    }
}

impl AsyncWrite for Taped {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, bytes);
        if let Poll::Ready(Ok(count)) = &polled {
            self.tape.borrow_mut().note_sent(bytes.get(..*count).unwrap_or(bytes));
        }
        polled
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
