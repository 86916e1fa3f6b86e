//! Syslog messages cut out of a stream (RFC 6587): octet counting, or lines.

/// How a stream is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FramingError {
    #[error("a message is longer than the buffer")]
    TooLong,
    #[error("the stream begins neither with a count nor with a priority")]
    Start,
}

/// Digits of a message's length.
const COUNT_DIGITS_MAX: usize = 10;

/// Cuts messages; one per connection.
#[derive(Debug)]
pub struct Deframer {
    buffer: Vec<u8>,
    length_max_bytes: usize,
    /// `option assume-rfc6587-ntf`: never octet counting.
    only_lines: bool,
}

/// What the next bytes are.
enum Next {
    Message { start: usize, end: usize, used: usize },
    Incomplete,
}

impl Deframer {
    pub fn new(length_max_bytes: usize, only_lines: bool) -> Self {
        Self { buffer: Vec::new(), length_max_bytes, only_lines }
    }

    /// Takes bytes that arrived and hands each whole message to `each`.
    pub fn feed(&mut self, bytes: &[u8], mut each: impl FnMut(&[u8])) -> Result<(), FramingError> {
        self.buffer.extend_from_slice(bytes);
        let mut at = 0;
        loop {
            let rest = self.buffer.get(at..).unwrap_or_default();
            match self.next(rest)? {
                Next::Message { start, end, used } => {
                    each(rest.get(start..end).unwrap_or_default());
                    at += used;
                }
                Next::Incomplete => break,
            }
        }
        self.buffer.drain(..at);
        Ok(())
    }

    fn next(&self, rest: &[u8]) -> Result<Next, FramingError> {
        let Some(first) = rest.first() else { return Ok(Next::Incomplete) };
        if !self.only_lines && matches!(first, b'1'..=b'9') {
            return self.counted(rest);
        }
        if !self.only_lines && *first != b'<' {
            return Err(FramingError::Start);
        }
        match memchr::memchr(b'\n', rest) {
            Some(end) if end <= self.length_max_bytes => Ok(Next::Message { start: 0, end, used: end + 1 }),
            None if rest.len() <= self.length_max_bytes => Ok(Next::Incomplete),
            _ => Err(FramingError::TooLong),
        }
    }

    fn counted(&self, rest: &[u8]) -> Result<Next, FramingError> {
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > COUNT_DIGITS_MAX {
            return Err(FramingError::TooLong);
        }
        match rest.get(digits) {
            None => return Ok(Next::Incomplete),
            Some(b' ') => {}
            Some(_) => return Err(FramingError::Start),
        }
        let length = rest.get(..digits).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok());
        let length: usize =
            length.filter(|length| *length <= self.length_max_bytes).ok_or(FramingError::TooLong)?;
        let (start, end) = (digits + 1, digits + 1 + length);
        Ok(if rest.len() < end { Next::Incomplete } else { Next::Message { start, end, used: end } })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(pieces: &[&[u8]], only_lines: bool) -> Result<Vec<Vec<u8>>, FramingError> {
        let mut deframer = Deframer::new(64, only_lines);
        let mut found = Vec::new();
        for piece in pieces {
            deframer.feed(piece, |message| found.push(message.to_vec()))?;
        }
        Ok(found)
    }

    #[test]
    fn both_framings_may_alternate() {
        let found = all(&[b"8 <1>a\nb c<2>line\n5 <3>xy<4>"], false).unwrap();
        assert_eq!(found, [&b"<1>a\nb c"[..], b"<2>line", b"<3>xy"]);
    }

    #[test]
    fn counts_are_text_where_lines_are_assumed() {
        assert_eq!(all(&[b"8 <1>a\nb c\n"], true).unwrap(), [&b"8 <1>a"[..], b"b c"]);
    }

    #[test]
    fn what_is_too_long_or_no_syslog_ends_the_stream() {
        assert_eq!(all(&[b"65 x"], false), Err(FramingError::TooLong));
        assert_eq!(all(&[b"99999999999999999999"], false), Err(FramingError::TooLong));
        assert_eq!(all(&[b"<1>", &[b'a'; 80]], false), Err(FramingError::TooLong));
        assert_eq!(all(&[b"GET / HTTP/1.1\r\n"], false), Err(FramingError::Start));
        assert_eq!(all(&[b"12<1>"], false), Err(FramingError::Start));
    }

    proptest! {
        #[test]
        fn split_anywhere_gives_the_same(cut in 0usize..40) {
            let stream: &[u8] = b"8 <1>a\nb c<2>line\n12 <3>counted!!<4>last\n";
            let (before, after) = stream.split_at(cut.min(stream.len()));
            prop_assert_eq!(all(&[before, after], false), all(&[stream], false));
        }

        #[test]
        fn never_panics_and_stays_bounded(bytes: Vec<u8>) {
            let mut deframer = Deframer::new(64, false);
            let _ = deframer.feed(&bytes, |message| assert!(message.len() <= 64));
        }
    }
}
