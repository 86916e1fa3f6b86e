//! Cuts one line into words: blanks, comments, quotes, escapes, `${VAR}`.
//!
//! Lines without quotes and backslashes, nearly all of a big file, are cut by hand; the others go through
//! `grammar/line.pest`. What a word means is not known here.

use hacore::diag::{FileId, Span, Word};
use pest::Parser;
use pest::iterators::Pair;

#[derive(pest_derive::Parser)]
#[grammar = "config/grammar/line.pest"]
struct LineGrammar;

/// The most words that a line may have, as in HAProxy.
pub const WORD_COUNT_MAX: usize = 64;

/// The longest line with quotes or escapes, in bytes; it bounds the grammar's memory on hostile input.
pub const LINE_LENGTH_MAX: usize = 1 << 20;

/// Why a line cannot be cut. The wording is HAProxy's; `at` is a byte offset within the line.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct LexError {
    pub message: String,
    pub at: usize,
    /// HAProxy shows line and caret for most of these, but not for all.
    pub shows_line: bool,
}

/// Finds the value of a variable.
pub type Lookup<'a> = &'a dyn Fn(&str) -> Option<String>;

/// The words of `line`, which has no line feed.
///
/// Errors: an open quote, a wrong `\x`, a wrong variable name, more than [`WORD_COUNT_MAX`] words.
pub fn split(line: &[u8], file: FileId, number: u32, variable: Lookup<'_>) -> Result<Vec<Word>, LexError> {
    let mut words = Vec::new();
    if memchr::memchr3(b'"', b'\'', b'\\', line).is_some() {
        split_quoted(line, file, number, variable, &mut words)?;
    } else {
        split_plain(line, file, number, &mut words);
    }
    if let Some(excess) = words.get(WORD_COUNT_MAX) {
        let last = words.get(WORD_COUNT_MAX - 2).map_or("", Word::as_str);
        let at = excess.span.start as usize;
        let message =
            format!("too many words, truncating after word {WORD_COUNT_MAX}, position {}: <{last}>", at + 1);
        return Err(LexError { message, at, shows_line: false });
    }
    Ok(words)
}

/// What HAProxy takes as a delimiter: `isspace` without the line feed.
fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

fn split_plain(line: &[u8], file: FileId, number: u32, words: &mut Vec<Word>) {
    let mut start = None;
    for (at, &byte) in line.iter().enumerate() {
        if byte == b'#' || is_blank(byte) {
            if let Some(start) = start.take() {
                words.push(word(line, start, at, file, number));
            }
            if byte == b'#' || words.len() > WORD_COUNT_MAX {
                return;
            }
        } else if start.is_none() {
            start = Some(at);
        }
    }
    if let Some(start) = start {
        words.push(word(line, start, line.len(), file, number));
    }
}

fn word(line: &[u8], start: usize, end: usize, file: FileId, number: u32) -> Word {
    let bytes = line.get(start..end).unwrap_or_default().to_vec();
    Word::new(bytes, span(file, number, start, end))
}

fn span(file: FileId, line: u32, start: usize, end: usize) -> Span {
    Span { file, line, start: start as u32, end: end as u32 }
}

/// A line as text for the grammar. Bytes that are not UTF-8 stand as the characters of the same number, which
/// `bytes_of` turns back.
struct Text {
    text: String,
    latin: bool,
}

impl Text {
    fn new(line: &[u8]) -> Self {
        match std::str::from_utf8(line) {
            Ok(text) => Self { text: text.to_owned(), latin: false },
            Err(_) => Self { text: line.iter().map(|&b| char::from(b)).collect(), latin: true },
        }
    }

    fn append(&self, part: &str, to: &mut Vec<u8>) {
        if self.latin {
            to.extend(part.chars().map(|c| c as u8));
        } else {
            to.extend_from_slice(part.as_bytes());
        }
    }

    /// The offset in the line's bytes of an offset in the text.
    fn offset(&self, at: usize) -> usize {
        if self.latin { self.text.get(..at).map_or(at, |before| before.chars().count()) } else { at }
    }
}

fn split_quoted(
    line: &[u8],
    file: FileId,
    number: u32,
    variable: Lookup<'_>,
    words: &mut Vec<Word>,
) -> Result<(), LexError> {
    if line.len() > LINE_LENGTH_MAX {
        let message = format!("line too long (limit: {LINE_LENGTH_MAX} bytes for a line with quotes)");
        return Err(LexError { message, at: 0, shows_line: false });
    }
    let text = Text::new(line);
    let parsed = LineGrammar::parse(Rule::line, &text.text);
    // The grammar accepts every line; a failure here would be its own mistake and is still only an error.
    let mut pairs =
        parsed.map_err(|_| LexError { message: "unparsable line".into(), at: 0, shows_line: true })?;
    let Some(line_pair) = pairs.next() else { return Ok(()) };
    for pair in line_pair.into_inner().filter(|pair| pair.as_rule() == Rule::word) {
        let (start, end) = (text.offset(pair.as_span().start()), text.offset(pair.as_span().end()));
        let mut builder = Builder { text: &text, variable, done: Vec::new(), current: Vec::new() };
        for piece in pair.into_inner() {
            builder.piece(piece)?;
        }
        builder.done.push(builder.current);
        for mut bytes in builder.done {
            // A NUL ends a word, as it does in the original.
            if let Some(nul) = memchr::memchr(0, &bytes) {
                bytes.truncate(nul);
            }
            words.push(Word::new(bytes, span(file, number, start, end)));
        }
    }
    Ok(())
}

struct Builder<'a> {
    text: &'a Text,
    variable: Lookup<'a>,
    /// Words that `[*]` has finished.
    done: Vec<Vec<u8>>,
    current: Vec<u8>,
}

impl Builder<'_> {
    fn error<T>(&self, message: &str, at: usize) -> Result<T, LexError> {
        Err(LexError { message: message.to_owned(), at: self.text.offset(at), shows_line: true })
    }

    fn piece(&mut self, pair: Pair<'_, Rule>) -> Result<(), LexError> {
        let start = pair.as_span().start();
        match pair.as_rule() {
            Rule::raw | Rule::weak_raw | Rule::strong_text | Rule::backslash => {
                self.text.append(pair.as_str(), &mut self.current);
            }
            Rule::escape | Rule::weak_escape => {
                let escaped = pair.as_str().as_bytes().get(1).copied().unwrap_or(b'\\');
                self.current.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    other => other,
                });
            }
            Rule::hex => {
                let byte = pair.as_str().get(2..).and_then(|digits| u8::from_str_radix(digits, 16).ok());
                self.current.extend(byte);
            }
            Rule::strong | Rule::weak => {
                for piece in pair.into_inner() {
                    self.piece(piece)?;
                }
            }
            Rule::open_weak => {
                for piece in pair.into_inner() {
                    self.piece(piece)?;
                }
                return self.error("unmatched quote", start);
            }
            Rule::open_strong => return self.error("unmatched quote", start),
            Rule::bad_hex => return self.error("truncated or invalid hexadecimal sequence", start),
            Rule::variable => self.expand(pair)?,
            _ => {}
        }
        Ok(())
    }

    fn expand(&mut self, pair: Pair<'_, Rule>) -> Result<(), LexError> {
        let start = pair.as_span().start();
        let (mut name, mut words, mut default) = ("", false, None);
        for part in pair.into_inner().flatten() {
            match part.as_rule() {
                Rule::name => name = part.as_str(),
                Rule::expansion => words = true,
                Rule::default_text => default = Some(part.as_str()),
                Rule::bad_name => {
                    let at = part.as_span().start();
                    return self.error("forbidden first char in environment variable name", at);
                }
                Rule::bad_expansion => {
                    let at = part.as_span().start();
                    return self.error("truncated or invalid word expansion sequence", at);
                }
                Rule::bad_brace => {
                    return self.error("unmatched brace in environment variable name", start + 1);
                }
                _ => {}
            }
        }
        let value = (self.variable)(name);
        let value = match (&value, default) {
            (Some(value), _) => value.as_bytes().to_vec(),
            (None, Some(default)) => {
                let mut bytes = Vec::new();
                self.text.append(default, &mut bytes);
                bytes
            }
            (None, None) => return Ok(()),
        };
        if !words {
            self.current.extend(value);
            return Ok(());
        }
        for (n, part) in
            value.split(|&b| is_blank(b) || b == b'\n').filter(|part| !part.is_empty()).enumerate()
        {
            if n > 0 {
                self.done.push(std::mem::take(&mut self.current));
            }
            self.current.extend_from_slice(part);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lex(line: &[u8]) -> Result<Vec<String>, (String, usize)> {
        let variable = |name: &str| match name {
            "A" => Some("aaa".to_owned()),
            "B" => Some("b1 b2".to_owned()),
            "EMPTY" => Some(String::new()),
            "Q" => Some("a\"b".to_owned()),
            _ => None,
        };
        split(line, FileId(0), 1, &variable)
            .map(|words| words.iter().map(|w| w.as_str().to_owned()).collect())
            .map_err(|e| (e.message, e.at + 1))
    }

    fn ok(line: &str, words: &[&str]) {
        assert_eq!(lex(line.as_bytes()), Ok(words.iter().map(|w| (*w).to_owned()).collect()), "{line}");
    }

    fn bad(line: &str, message: &str, position: usize) {
        assert_eq!(lex(line.as_bytes()), Err((message.to_owned(), position)), "{line}");
    }

    /// Every row was checked against HAProxy 2.6.12 ("unknown keyword '…'" shows the word).
    #[test]
    fn quotes_escapes_and_comments_are_haproxys() {
        ok(r"foo\ bar", &["foo bar"]);
        ok(r"foo\#bar", &["foo#bar"]);
        ok("foo#bar", &["foo"]);
        ok("\"a#b\"", &["a#b"]);
        ok("foo'x y'bar", &["foox ybar"]);
        ok(r"a\x41b", &["aAb"]);
        ok(r"a\n", &["a\n"]);
        ok(r"a\q", &[r"a\q"]);
        ok(r#""a\q""#, &[r"a\q"]);
        ok(r#""a\x41""#, &["aA"]);
        ok(r"'a\x41'", &[r"a\x41"]);
        ok(r#""a\ b""#, &["a b"]);
        ok(r#""a\"b""#, &["a\"b"]);
        ok(r"foo\$bar", &[r"foo\$bar"]);
        ok(r#""\$A""#, &["$A"]);
        ok("$A", &["$A"]);
        ok(r#""foo" '' x"#, &["foo", "", "x"]);
        ok("foo\\", &["foo\\"]);
        ok("a\tb\rc\x0bd\x0ce", &["a", "b", "c", "d", "e"]);
        ok("'a' b\r", &["a", "b"]);
    }

    #[test]
    fn variables_are_expanded_in_double_quotes_only() {
        ok(r#""$A""#, &["aaa"]);
        ok(r#""${A}""#, &["aaa"]);
        ok(r#"x "${NOPE}""#, &["x", ""]);
        ok(r#""${NOPE-def}""#, &["def"]);
        ok(r#""${NOPE-a b}""#, &["a b"]);
        ok(r#""${EMPTY-def}""#, &[""]);
        ok(r#""${B}""#, &["b1 b2"]);
        ok(r#""x${B[*]}y""#, &["xb1", "b2y"]);
        ok(r#""${NOPE[*]-x}""#, &["x"]);
        ok(r#""$A-x""#, &["aaa-x"]);
        ok(r#""${Q}""#, &["a\"b"]);
    }

    #[test]
    fn mistakes_have_haproxys_wording_and_position() {
        bad("foo \"bar", "unmatched quote", 5);
        bad("'it", "unmatched quote", 1);
        bad(r"a\x4", "truncated or invalid hexadecimal sequence", 2);
        bad(r#""${A""#, "unmatched brace in environment variable name", 3);
        bad(r#""${}""#, "forbidden first char in environment variable name", 4);
        bad(r#""$""#, "forbidden first char in environment variable name", 3);
        bad(r#""${1A}""#, "forbidden first char in environment variable name", 4);
        bad(r#""${A[x]}""#, "truncated or invalid word expansion sequence", 5);
        bad(r#""${A:-x}""#, "unmatched brace in environment variable name", 3);
        let many = vec!["w"; 65].join(" ");
        assert!(lex(many.as_bytes()).is_err());
    }

    #[test]
    fn bytes_that_are_not_utf8_are_kept() {
        let words = split(b"\"a\xff\" b\xfe", FileId(0), 1, &|_| None).unwrap();
        assert_eq!(words[0].bytes(), b"a\xff");
        assert_eq!(words[1].bytes(), b"b\xfe");
        assert_eq!((words[1].span.start, words[1].span.end), (5, 7));
    }

    proptest::proptest! {
        #[test]
        fn no_line_panics(line in proptest::collection::vec(proptest::num::u8::ANY, 0..200)) {
            let _ = lex(&line);
        }

        #[test]
        fn lines_of_special_characters_do_not_panic(line in "[\"'\\\\$ {}\\[\\]*a-cA.#xn-]{0,60}") {
            let _ = lex(line.as_bytes());
        }
    }
}
