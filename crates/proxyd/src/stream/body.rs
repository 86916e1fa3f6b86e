//! One direction of a message's body: how much is still to come, and how it goes out.

use crate::http::Framing;
use crate::http::h1::{
    ChunkDecoder, ChunkStep, LAST_CHUNK, Limits, ParseError, encode_chunk_end, encode_chunk_start,
    encode_trailers,
};
use crate::net::{Buffer, BufferPool, Pipe, PipePool};

/// What is still to come from the sender.
#[derive(Debug, Default)]
pub enum Incoming {
    /// Nothing: the message is complete.
    #[default]
    Nothing,
    Length(u64),
    Chunked(ChunkDecoder),
    /// Everything until the sender closes.
    UntilClose,
}

/// Whether bytes may pass inside the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Splicing {
    /// `option splice-…` is not set, the kernel cannot, or somebody wants to see the bytes.
    #[default]
    Off,
    /// They would be, but come in pieces so small that copying is cheaper.
    Ready,
    /// They come in large pieces.
    On,
}

/// Less than this to come, or in a piece, is copied: a splice is two system calls and a copy is two.
const SPLICE_MIN_BYTES: u64 = 16 * 1024;

/// Room for the line end of a chunk and the size line of the next.
const CHUNK_START_BYTES: usize = 20;

/// As many small pieces in a row say that the transfer has become a conversation. One alone is the end of a large
/// answer, and the next answer is large too.
const SMALL_PIECES_MAX: u8 = 4;

/// What is received at first, and towards a slow receiver.
const RECEIVE_MIN_BYTES: usize = 64 * 1024;
/// Up to four times as much: then system calls are no longer what a large body costs.
const RECEIVE_DOUBLINGS_MAX: u8 = 2;

/// Which ends of a transfer are HTTP/2 streams: those say by themselves where a body ends.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Streams {
    pub from: bool,
    pub to: bool,
}

/// A body on its way from one connection to the other.
#[derive(Debug, Default)]
pub struct Transfer {
    pub incoming: Incoming,
    /// The receiver gets it chunked.
    pub chunked: bool,
    pub streams: Streams,
    /// What follows the body on its way to a stream, as lines.
    pub trailers: Vec<u8>,
    /// The receiver gets nothing of it: the answer to a `HEAD` that went to the server as another method.
    pub discard: bool,
    limits: Limits,
    /// Encoded and not yet sent.
    pub pending: Buffer,
    /// Body bytes that were forwarded.
    pub bytes: u64,
    pub splicing: Splicing,
    /// Small pieces since the last large one.
    small_pieces: u8,
    /// Received and not yet sent, in the kernel.
    pub pipe: Option<Pipe>,
    /// Of `bytes` what went that way.
    pub spliced_bytes: u64,
    /// The chunk in the pipe, or the last that was there, has not got its line end.
    owes_chunk_end: bool,
    /// How often the size of a receive has doubled, see [`Transfer::receive_bytes`].
    doublings: u8,
    /// The body as it came in, while the request may have to be sent once more; `None` when it cannot be.
    pub kept: Option<Buffer>,
}

impl Transfer {
    /// A body with this framing; `chunked` is how it goes out.
    pub fn start(&mut self, framing: Framing, chunked: bool, limits: Limits) {
        self.limits = limits;
        self.incoming = match framing {
            Framing::None | Framing::Length(0) => Incoming::Nothing,
            Framing::Length(length) => Incoming::Length(length),
            Framing::Chunked if !self.streams.from => Incoming::Chunked(ChunkDecoder::default()),
            Framing::Chunked | Framing::UntilClose | Framing::Tunnel => Incoming::UntilClose,
        };
        self.chunked = chunked && !self.streams.to;
        self.bytes = 0;
        self.doublings = 0;
    }

    /// Everything was received.
    pub fn is_received(&self) -> bool {
        matches!(self.incoming, Incoming::Nothing)
    }

    /// The bytes still to come as announced; `None` when that is not known.
    pub fn announced(&self) -> Option<u64> {
        match self.incoming {
            Incoming::Length(left) => Some(left),
            Incoming::Nothing => Some(0),
            Incoming::Chunked(_) | Incoming::UntilClose => None,
        }
    }

    /// Bytes wait for the receiver.
    pub fn has_unsent(&self) -> bool {
        !self.pending.is_empty() || self.pipe.as_ref().is_some_and(|pipe| pipe.held_bytes() > 0)
    }

    /// Everything was received and sent.
    pub fn is_done(&self) -> bool {
        self.is_received() && !self.has_unsent()
    }

    /// What comes next may go through a pipe.
    pub fn may_splice(&self) -> bool {
        self.splicing == Splicing::On
            && self.kept.is_none()
            && !self.discard
            && match &self.incoming {
                Incoming::Length(left) => !self.chunked && *left >= SPLICE_MIN_BYTES,
                Incoming::UntilClose => !self.chunked,
                Incoming::Chunked(decoder) => decoder.remaining_in_chunk() >= SPLICE_MIN_BYTES,
                Incoming::Nothing => false,
            }
    }

    /// What the configuration says about splicing this transfer. An announced length that is more than one receive
    /// takes is spliced at once; otherwise the size of the pieces decides.
    pub fn set_splicing(&mut self, configured: Splicing) {
        let large = self.announced().is_some_and(|bytes| bytes > RECEIVE_MIN_BYTES as u64);
        self.splicing = match configured {
            Splicing::Ready if large => Splicing::On,
            Splicing::Off | Splicing::Ready | Splicing::On => configured,
        };
    }

    /// The most that is received at a time, bytes: much while the receiver takes everything at once, little while
    /// it is slow, because what it does not take waits in memory.
    pub fn receive_bytes(&self) -> usize {
        RECEIVE_MIN_BYTES << self.doublings.min(RECEIVE_DOUBLINGS_MAX)
    }

    /// Learns from a piece that was passed on whether the receiver keeps up.
    pub fn note_passed(&mut self) {
        self.doublings = if self.has_unsent() {
            self.doublings.saturating_sub(1)
        } else {
            (self.doublings + 1).min(RECEIVE_DOUBLINGS_MAX)
        };
    }

    /// Learns from the size of a piece whether splicing pays.
    pub fn note_piece(&mut self, bytes: usize) {
        let large = bytes as u64 >= SPLICE_MIN_BYTES;
        let small = (bytes as u64) < SPLICE_MIN_BYTES / 4;
        self.small_pieces = if small { self.small_pieces.saturating_add(1) } else { 0 };
        match self.splicing {
            Splicing::Ready if large => self.splicing = Splicing::On,
            Splicing::On if self.small_pieces >= SMALL_PIECES_MAX => self.splicing = Splicing::Ready,
            Splicing::Off | Splicing::Ready | Splicing::On => {}
        }
    }

    /// Keeps a copy of body bytes that were used, as long as they fit in a buffer of `most_bytes`.
    pub fn keep(&mut self, pool: &mut BufferPool, bytes: &[u8], most_bytes: usize) {
        let Some(kept) = &mut self.kept else { return };
        if kept.len() + bytes.len() > most_bytes {
            pool.release(kept);
            self.kept = None;
        } else {
            pool.append(kept, bytes);
        }
    }

    /// The bytes can go out as they came in.
    pub fn is_plain(&self) -> bool {
        !self.chunked && !self.discard && !matches!(self.incoming, Incoming::Chunked(_))
    }

    /// How many of `available` bytes belong to a plain body.
    pub fn plain_share(&self, available: usize) -> usize {
        match self.incoming {
            Incoming::Length(left) => usize::try_from(left).unwrap_or(usize::MAX).min(available),
            Incoming::UntilClose => available,
            Incoming::Nothing | Incoming::Chunked(_) => 0,
        }
    }

    /// How much of `most` may go through a pipe: of a chunked body what is left of the chunk.
    pub fn splice_share(&self, most: usize) -> usize {
        match &self.incoming {
            Incoming::Chunked(decoder) => {
                usize::try_from(decoder.remaining_in_chunk()).unwrap_or(usize::MAX).min(most)
            }
            _ => self.plain_share(most),
        }
    }

    /// Counts bytes that are in the pipe as received. What precedes them as a chunk of their own goes to `pending`.
    pub fn advance_spliced(&mut self, count: usize, pool: &mut BufferPool) {
        self.spliced_bytes += count as u64;
        let Incoming::Chunked(decoder) = &mut self.incoming else { return self.advance_plain(count) };
        decoder.skip(count as u64);
        self.bytes += count as u64;
        if self.chunked {
            let mut start = Vec::with_capacity(CHUNK_START_BYTES);
            self.end_spliced_chunk(&mut start);
            encode_chunk_start(&mut start, count);
            pool.append(&mut self.pending, &start);
            self.owes_chunk_end = true;
        }
    }

    /// The line end after a chunk that went through the pipe; it goes out with what follows.
    fn end_spliced_chunk(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.owes_chunk_end) {
            encode_chunk_end(out);
        }
    }

    /// Counts bytes of a plain body as received.
    pub fn advance_plain(&mut self, count: usize) {
        self.bytes += count as u64;
        if let Incoming::Length(left) = &mut self.incoming {
            *left -= (count as u64).min(*left);
            if *left == 0 {
                self.incoming = Incoming::Nothing;
            }
        }
    }

    /// Takes body bytes from `input` and appends what goes out to `out`; gives how many were used.
    pub fn take(&mut self, input: &[u8], out: &mut Vec<u8>) -> Result<usize, ParseError> {
        self.end_spliced_chunk(out);
        let mut used = 0;
        while !self.is_received() {
            let rest = input.get(used..).unwrap_or_default();
            if rest.is_empty() {
                break;
            }
            let step = match &mut self.incoming {
                Incoming::Chunked(decoder) => decoder.decode(rest, &self.limits)?,
                _ => ChunkStep::Data { data: 0..self.plain_share(rest.len()) },
            };
            match step {
                ChunkStep::Data { data } => {
                    let bytes = rest.get(data.clone()).unwrap_or_default();
                    self.append(bytes, out);
                    used += data.end;
                    if matches!(self.incoming, Incoming::Chunked(_)) {
                        self.bytes += bytes.len() as u64;
                    } else {
                        self.advance_plain(bytes.len());
                        if self.is_received() && self.chunked {
                            out.extend_from_slice(LAST_CHUNK);
                        }
                    }
                }
                ChunkStep::NeedMore { consumed } => {
                    used += consumed;
                    break;
                }
                ChunkStep::Done { consumed, trailers } => {
                    let trailers = rest.get(trailers).unwrap_or_default();
                    used += consumed;
                    self.incoming = Incoming::Nothing;
                    // The end of a chunked message counts as one byte in HAProxy's `%B` and `%U`.
                    self.bytes += 1;
                    if self.chunked {
                        encode_trailers(trailers, &self.limits, out);
                    } else if self.streams.to {
                        self.trailers.extend_from_slice(trailers);
                    }
                }
            }
        }
        Ok(used)
    }

    fn append(&self, bytes: &[u8], out: &mut Vec<u8>) {
        if self.discard {
            return;
        }
        if self.chunked && !bytes.is_empty() {
            encode_chunk_start(out, bytes.len());
            out.extend_from_slice(bytes);
            encode_chunk_end(out);
        } else {
            out.extend_from_slice(bytes);
        }
    }

    /// The sender has closed: the end of the body or its truncation. A stream may have sent trailers, as lines.
    pub fn sender_closed(&mut self, trailers: &[u8], out: &mut Vec<u8>) -> bool {
        let complete = matches!(self.incoming, Incoming::UntilClose | Incoming::Nothing);
        if complete && self.chunked && !self.is_received() {
            encode_trailers(trailers, &self.limits, out);
        } else if complete && self.streams.to {
            self.trailers.extend_from_slice(trailers);
        }
        if complete {
            self.incoming = Incoming::Nothing;
        }
        complete
    }

    /// Forgets everything, gives memory back.
    pub fn reset(&mut self, pool: &mut BufferPool) {
        pool.release(&mut self.pending);
        if let Some(mut kept) = self.kept.take() {
            pool.release(&mut kept);
        }
        // What the ends are does not change.
        *self = Self { streams: self.streams, ..Self::default() };
    }

    /// Gives an empty pipe back.
    pub fn give_back_pipe(&mut self, pool: &mut PipePool) {
        if let Some(pipe) = self.pipe.take_if(|pipe| pipe.held_bytes() == 0) {
            pool.give_back(pipe);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A chunk that is spliced in pieces goes out as chunks of these sizes, each with its line end.
    #[test]
    fn spliced_chunks_are_framed() {
        let (mut pool, mut transfer) = (BufferPool::new(16_384), Transfer::default());
        transfer.start(Framing::Chunked, true, Limits::default());
        transfer.splicing = Splicing::On;
        let mut out = Vec::new();
        assert_eq!(transfer.take(b"10000\r\n", &mut out), Ok(7));
        assert!(out.is_empty() && transfer.may_splice());
        assert_eq!(transfer.splice_share(1 << 20), 0x10000);
        transfer.advance_spliced(0x8000, &mut pool);
        transfer.advance_spliced(0x8000, &mut pool);
        assert_eq!(transfer.pending.as_slice(), b"8000\r\n\r\n8000\r\n");
        assert!(!transfer.may_splice());
        assert_eq!(transfer.take(b"\r\n1\r\nx\r\n0\r\n\r\n", &mut out), Ok(13));
        assert_eq!(out, b"\r\n1\r\nx\r\n0\r\n\r\n");
        assert_eq!((transfer.spliced_bytes, transfer.is_received()), (0x10000, true));
    }

    #[test]
    fn receives_grow_while_everything_is_taken_and_shrink_towards_a_slow_receiver() {
        let (mut pool, mut transfer) = (BufferPool::new(16_384), Transfer::default());
        assert_eq!(transfer.receive_bytes(), RECEIVE_MIN_BYTES);
        (0..9).for_each(|_| transfer.note_passed());
        assert_eq!(transfer.receive_bytes(), 4 * RECEIVE_MIN_BYTES);
        pool.append(&mut transfer.pending, b"not taken");
        (0..9).for_each(|_| transfer.note_passed());
        assert_eq!(transfer.receive_bytes(), RECEIVE_MIN_BYTES);
    }

    #[test]
    fn one_small_piece_ends_a_large_answer_and_several_are_a_conversation() {
        let mut transfer = Transfer { splicing: Splicing::Ready, ..Transfer::default() };
        transfer.note_piece(200_000);
        transfer.note_piece(123);
        assert_eq!(transfer.splicing, Splicing::On);
        transfer.note_piece(200_000);
        (0..SMALL_PIECES_MAX).for_each(|_| transfer.note_piece(42));
        assert_eq!(transfer.splicing, Splicing::Ready);
    }

    #[test]
    fn an_announced_large_body_is_spliced_from_its_beginning() {
        let mut transfer = Transfer { incoming: Incoming::Length(1 << 20), ..Transfer::default() };
        transfer.set_splicing(Splicing::Ready);
        assert_eq!(transfer.splicing, Splicing::On);
        transfer.set_splicing(Splicing::Off);
        assert_eq!(transfer.splicing, Splicing::Off);
        transfer.incoming = Incoming::UntilClose;
        transfer.set_splicing(Splicing::Ready);
        assert_eq!(transfer.splicing, Splicing::Ready);
    }
}
