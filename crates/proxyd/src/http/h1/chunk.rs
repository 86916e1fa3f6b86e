//! The chunked transfer coding (RFC 9112 §7.1), decoded where the bytes lie.
//!
//! ```text
//! Size ─digits→ Size ─blank→ Padding ─;→ Extension ─CR→ SizeLf ─LF→ Data ─n bytes→ DataEnd ─CRLF→ Size
//!                                                            └─ size 0 → Trailers ─empty line→ Done
//! ```
//!
//! Extensions are read over, trailers are given to the caller whole. Bytes are consumed as they are understood, so the
//! caller keeps only an incomplete trailer section.

use super::super::headers::HeaderList;
use super::fields::{self, Facts, Scan};
use super::{Limits, ParseError};

/// The most bytes of a size line: zeros, blanks and extension together.
pub const SIZE_LINE_BYTES_MAX: u32 = 8192;

/// Larger chunks than 2^52 - 1 bytes are refused, as a protection against arithmetic elsewhere.
const SIZE_MAX: u64 = (1 << 52) - 1;

/// What the next bytes of a chunked body are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChunkStep {
    /// These bytes of the input are body; the next call starts after `data.end`.
    Data { data: std::ops::Range<usize> },
    /// More input is needed; the first `consumed` bytes are used up, keep the others.
    NeedMore { consumed: usize },
    /// The body ended; `consumed` bytes are used up. `trailers` is the section without its final empty line, in most
    /// bodies empty; see [`encode_trailers`].
    Done { consumed: usize, trailers: std::ops::Range<usize> },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum State {
    /// At the first digit.
    #[default]
    Start,
    Size,
    Padding,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    Trailers,
    Done,
}

/// State of one body. Start with `default()`.
#[derive(Debug, Clone, Default)]
pub struct ChunkDecoder {
    state: State,
    /// Bytes of the current chunk that are still to come.
    remaining: u64,
    line_bytes: u32,
}

impl ChunkDecoder {
    /// Looks at the next bytes. Call again with what follows the consumed ones until it says `Done`.
    pub fn decode(&mut self, input: &[u8], limits: &Limits) -> Result<ChunkStep, ParseError> {
        let mut at = 0;
        while let Some(&byte) = input.get(at) {
            match self.state {
                State::Data => {
                    let length =
                        (input.len() - at).min(usize::try_from(self.remaining).unwrap_or(usize::MAX));
                    self.remaining -= length as u64;
                    if self.remaining == 0 {
                        self.state = State::DataCr;
                    }
                    return Ok(ChunkStep::Data { data: at..at + length });
                }
                State::Trailers => return self.trailers(input, at, limits),
                State::Done => break,
                _ => self.framing_byte(byte)?,
            }
            at += 1;
        }
        match self.state {
            State::Done => Ok(ChunkStep::Done { consumed: at, trailers: at..at }),
            _ => Ok(ChunkStep::NeedMore { consumed: at }),
        }
    }

    /// Whether the body has ended.
    pub fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Bytes of the current chunk that are still to come; for `splice` and for sizing reads.
    pub fn remaining_in_chunk(&self) -> u64 {
        if self.state == State::Data { self.remaining } else { 0 }
    }

    /// Bytes of the current chunk went another way than through [`Self::decode`].
    pub fn skip(&mut self, bytes: u64) {
        self.remaining = self.remaining.saturating_sub(bytes);
        if self.remaining == 0 && self.state == State::Data {
            self.state = State::DataCr;
        }
    }

    /// One byte that is neither data nor trailer.
    fn framing_byte(&mut self, byte: u8) -> Result<(), ParseError> {
        self.line_bytes += 1;
        if self.line_bytes > SIZE_LINE_BYTES_MAX {
            return Err(ParseError::ChunkLine);
        }
        self.state = match (self.state, byte) {
            (State::Start | State::Size, b'0'..=b'9' | b'a'..=b'f' | b'A'..=b'F') => {
                let digit = (byte as char).to_digit(16).unwrap_or(0);
                self.remaining = self.remaining << 4 | u64::from(digit);
                if self.remaining > SIZE_MAX {
                    return Err(ParseError::ChunkSize);
                }
                State::Size
            }
            (State::Start, _) => return Err(ParseError::ChunkSize),
            (State::Size | State::Padding, b' ' | b'\t') => State::Padding,
            (State::Size | State::Padding, b';') => State::Extension,
            (State::Size | State::Padding | State::Extension, b'\r') => State::SizeLf,
            (State::Size | State::Padding | State::Extension | State::SizeLf, b'\n') => {
                self.after_size_line()
            }
            (State::Extension, _) => State::Extension,
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataCr | State::DataLf, b'\n') => {
                self.line_bytes = 0;
                State::Start
            }
            (State::DataCr | State::DataLf | State::SizeLf, _) => return Err(ParseError::ChunkLine),
            (State::Size | State::Padding, _) => return Err(ParseError::ChunkSize),
            (state @ (State::Data | State::Trailers | State::Done), _) => state,
        };
        Ok(())
    }

    fn after_size_line(&mut self) -> State {
        self.line_bytes = 0;
        if self.remaining == 0 { State::Trailers } else { State::Data }
    }

    fn trailers(&mut self, input: &[u8], at: usize, limits: &Limits) -> Result<ChunkStep, ParseError> {
        let rest = input.get(at..).unwrap_or_default();
        let empty = match rest {
            [b'\r', b'\n', ..] => 2,
            [b'\n', ..] => 1,
            _ => 0,
        };
        if empty > 0 {
            self.state = State::Done;
            return Ok(ChunkStep::Done { consumed: at + empty, trailers: at..at });
        }
        match fields::scan(&mut HeaderList::default(), rest, 0, limits, &mut Facts::default())? {
            Scan::Incomplete if rest.len() >= limits.head_bytes_max => Err(ParseError::TooLarge),
            Scan::Incomplete => Ok(ChunkStep::NeedMore { consumed: at }),
            Scan::End(end) => {
                self.state = State::Done;
                let empty = if rest.get(..end).is_some_and(|all| all.ends_with(b"\r\n")) { 2 } else { 1 };
                Ok(ChunkStep::Done { consumed: at + end, trailers: at..at + end - empty })
            }
        }
    }
}

/// Appends the last chunk with a trailer section as [`ChunkStep::Done`] gave it, names in lower case.
///
/// Fields that would change the framing of the message after the fact are dropped (RFC 9110 §6.5.1).
pub fn encode_trailers(section: &[u8], limits: &Limits, out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n");
    if !section.is_empty() {
        let mut headers = HeaderList::default();
        let mut facts = Facts::default();
        let mut whole = section.to_vec();
        whole.extend_from_slice(b"\r\n");
        if let Ok(Scan::End(end)) = fields::scan(&mut headers, &whole, 0, limits, &mut facts) {
            headers.load(whole.get(..end).unwrap_or_default());
            fields::finish(&mut headers, &facts);
            for header in headers.iter().filter(|header| !is_framing(header.name)) {
                out.extend_from_slice(header.name);
                out.extend_from_slice(b": ");
                out.extend_from_slice(header.value);
                out.extend_from_slice(b"\r\n");
            }
        }
    }
    out.extend_from_slice(b"\r\n");
}

fn is_framing(name: &[u8]) -> bool {
    matches!(name, b"content-length" | b"transfer-encoding" | b"host" | b"connection")
}

#[cfg(test)]
mod tests;
