//! Heads to bytes.

use super::super::framing::Framing;
use super::super::head::{RequestHead, ResponseHead};

/// The `Connection` header that the encoder writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionField {
    #[default]
    None,
    KeepAlive,
    Close,
    /// An upgrade request or a 101 response keeps its own.
    Upgrade,
}

/// What the connection on which a head goes out needs, apart from what the head says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodePlan {
    pub connection: ConnectionField,
    /// How the body is sent on this side; the length headers are written to match.
    pub framing: Framing,
}

/// Appends the head, with its empty line, to `out`.
pub fn encode_request(head: &RequestHead, out: &mut Vec<u8>, plan: EncodePlan) {
    let _ = (head, out, plan);
}

/// Appends the head, with its empty line, to `out`.
pub fn encode_response(head: &ResponseHead, out: &mut Vec<u8>, plan: EncodePlan) {
    let _ = (head, out, plan);
}

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends the size line of a chunk of `length` bytes (not 0).
pub fn encode_chunk_start(out: &mut Vec<u8>, length: usize) {
    let _ = (out, length);
}

/// Appends what follows the chunk's bytes.
pub fn encode_chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
