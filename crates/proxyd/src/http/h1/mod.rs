//! HTTP/1: bytes to heads and back. Sans-IO.
//!
//! ```text
//! receive buffer ──parse_request──▶ RequestHead (framing decided) ──rules──▶ encode_request ──▶ send buffer
//!                └─ChunkDecoder / Framing::Length──▶ body ranges ──encode_chunk──▶
//! ```
//!
//! What it does not do: sockets, timers, buffers of connections, retries; that is the data plane.

mod authority;
mod case;
mod chunk;
mod encode;
mod error;
mod fields;
mod parse;

pub use authority::check as check_authority;
pub use case::HeaderCase;
pub use chunk::{ChunkDecoder, ChunkStep, SIZE_LINE_BYTES_MAX, encode_trailers};
pub use encode::{
    ConnectionField, EncodePlan, LAST_CHUNK, encode_chunk_end, encode_chunk_start, encode_request,
    encode_response,
};
pub use error::ParseError;
pub use parse::{ResponseContext, parse_request, parse_response};

/// Bounds and switches of the parser; one value per frontend or backend, made when the configuration is loaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most bytes a head may have: `tune.bufsize - tune.maxrewrite`.
    pub head_bytes_max: usize,
    /// The most bytes it may have after rules changed it: `tune.bufsize`.
    pub rewritten_bytes_max: usize,
    /// `tune.http.maxhdr`.
    pub headers_max: usize,
    /// `option accept-invalid-http-request` or `-response`.
    pub accept_invalid: bool,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes_max: 16384 - 1024,
            rewritten_bytes_max: 16384,
            headers_max: 101,
            accept_invalid: false,
        }
    }
}

/// What a parser made of the bytes it was given.
///
/// Call it again with the same bytes and more after `Incomplete`; nothing was consumed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Parsed {
    /// The head is not complete and not wrong so far.
    Incomplete,
    /// The head value is filled; the first `consumed` bytes were its own (leading empty lines included).
    Head { consumed: usize },
    /// The message must be refused; [`ParseError::status`] is what the client gets.
    Error(ParseError),
}
