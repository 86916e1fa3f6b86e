//! Characters to words: what the grammar says about one line. No keyword and no other line is known here.

use hacore::diag::{Span, Word};
use pest::Parser;
use pest::iterators::Pair;

/// The generated parser; its rules are those of `grammar/keepalived.pest`.
#[derive(pest_derive::Parser)]
#[grammar = "config/grammar/keepalived.pest"]
pub(super) struct Grammar;

/// One token of a line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Token {
    /// The flag: it was written in quotes.
    Word(Word, bool),
    Open(Span),
    Close(Span),
    /// A quote without its end; the word is what follows it.
    Unclosed(Word),
}

/// Parses `text` with `rule`; `None` when it does not match.
pub(super) fn parse(rule: Rule, text: &str) -> Option<Pair<'_, Rule>> {
    Grammar::parse(rule, text).ok()?.next()
}

/// The part of a line before its comment, without blanks around it, and where that part starts.
pub(super) fn code(line: &str) -> (usize, &str) {
    let code = parse(Rule::code, line).map_or("", |pair| pair.as_str());
    let trimmed = code.trim_start();
    (code.len() - trimmed.len(), trimmed.trim_end())
}

/// The tokens of a line that has no comment any more, each with its byte range in it.
pub(super) fn tokens(line: &str, span: impl Fn(usize, usize) -> Span) -> Vec<(Token, usize, usize)> {
    let Some(pair) = parse(Rule::line, line) else { return Vec::new() };
    let mut out = Vec::new();
    for token in pair.into_inner() {
        let (start, end) = (token.as_span().start(), token.as_span().end());
        let place = span(start, end);
        out.push(match token.as_rule() {
            Rule::open => (Token::Open(place), start, end),
            Rule::close => (Token::Close(place), start, end),
            Rule::word => (Token::Word(word(&unescape(token.as_str()), place), false), start, end),
            Rule::quoted => (Token::Word(word(&inner(token), place), true), start, end),
            Rule::unclosed => (Token::Unclosed(word(&inner(token), place)), start, end),
            _ => continue,
        });
    }
    out
}

fn inner(pair: Pair<'_, Rule>) -> String {
    pair.into_inner().next().map(|text| text.as_str().to_owned()).unwrap_or_default()
}

/// `\#` and `\!` are the characters themselves.
fn unescape(text: &str) -> String {
    if text.contains('\\') { text.replace("\\#", "#").replace("\\!", "!") } else { text.to_owned() }
}

/// Lines that are not UTF-8 travel as one character per byte, see [`decode`]; this turns a word back into its bytes.
fn word(text: &str, span: Span) -> Word {
    Word::new(encode(text), span)
}

/// First code point that stands for a byte of a line that is not UTF-8: a private use area.
const BYTE_BASE: u32 = 0xF700;

/// A line's bytes as text that the grammar can read: UTF-8 as it is, any other byte as a private code point.
pub(super) fn decode(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        out.push_str(chunk.valid());
        out.extend(chunk.invalid().iter().filter_map(|&byte| char::from_u32(BYTE_BASE + u32::from(byte))));
    }
    out
}

/// The reverse of [`decode`].
pub(super) fn encode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for c in text.chars() {
        match (c as u32).checked_sub(BYTE_BASE) {
            Some(byte @ 0x80..=0xff) => out.push(byte as u8),
            _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    out
}

/// The words of a script keyword's text (manual, "Quoted strings"): both quotes group and join, escapes are resolved.
/// An unmatched quote stands for itself.
pub fn command_words(text: &str) -> Vec<String> {
    let Some(pair) = parse(Rule::command, text) else { return Vec::new() };
    pair.into_inner()
        .filter(|word| word.as_rule() == Rule::cmd_word)
        .map(|word| {
            let mut bytes = Vec::new();
            pieces(word, &mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
        .collect()
}

fn pieces(pair: Pair<'_, Rule>, out: &mut Vec<u8>) {
    match pair.as_rule() {
        Rule::cmd_in_double | Rule::cmd_in_single | Rule::cmd_plain | Rule::cmd_quote => {
            out.extend_from_slice(&encode(pair.as_str()));
        }
        Rule::cmd_octal => {
            let value = u32::from_str_radix(pair.as_str(), 8).unwrap_or_default();
            out.push((value & 0xff) as u8);
        }
        Rule::cmd_hex_digits => {
            let digits = pair.as_str();
            let last = digits.get(digits.len().saturating_sub(2)..).unwrap_or_default();
            out.push(u8::from_str_radix(last, 16).unwrap_or_default());
        }
        Rule::cmd_control => {
            let c = pair.as_str().as_bytes().get(1).copied().unwrap_or_default();
            out.push(c & 0x1f);
        }
        Rule::cmd_char => match pair.as_str() {
            "a" => out.push(7),
            "b" => out.push(8),
            "E" => out.push(0x1b),
            "f" => out.push(0x0c),
            "n" => out.push(b'\n'),
            "r" => out.push(b'\r'),
            "t" => out.push(b'\t'),
            "v" => out.push(0x0b),
            other => out.extend_from_slice(&encode(other)),
        },
        _ => pair.into_inner().for_each(|inner| pieces(inner, out)),
    }
}

#[cfg(test)]
mod tests {
    use hacore::diag::FileId;

    use super::*;

    fn words(line: &str) -> Vec<String> {
        tokens(line, |start, end| Span { file: FileId(0), line: 1, start: start as u32, end: end as u32 })
            .into_iter()
            .map(|(token, ..)| match token {
                Token::Word(word, _) => word.as_str().to_owned(),
                Token::Open(_) => "{".into(),
                Token::Close(_) => "}".into(),
                Token::Unclosed(word) => format!("?{}", word.as_str()),
            })
            .collect()
    }

    #[test]
    fn quotes_and_braces_end_a_word_as_in_keepalived() {
        assert_eq!(words(r#"a"b c"d"#), ["a", "b c", "d"]);
        assert_eq!(words("vrrp_instance VI_1{"), ["vrrp_instance", "VI_1", "{"]);
        assert_eq!(words("10.0.0.1}}"), ["10.0.0.1", "}", "}"]);
        assert_eq!(words(r#"state "" x"#), ["state", "", "x"]);
        assert_eq!(words(r#"state "a{b""#), ["state", "a{b"]);
        assert_eq!(words("state 'a b'"), ["state", "'a", "b'"]);
        assert_eq!(words(r#"state "abc"#), ["state", "?abc"]);
    }

    #[test]
    fn comments_end_at_nothing_but_the_line() {
        assert_eq!(code("  priority 100 # 90 on the other"), (2, "priority 100"));
        assert_eq!(code("priority 101 ! comment"), (0, "priority 101"));
        assert_eq!(code(r##"a "x # y" # z"##), (0, r##"a "x # y""##));
        assert_eq!(code(r"a \# b"), (0, r"a \# b"));
        assert_eq!(code("#"), (0, ""));
    }

    #[test]
    fn script_words_are_those_of_the_manual() {
        assert_eq!(command_words(r#"abcd" efg h jkl "mnop"#), ["abcd efg h jkl mnop"]);
        assert_eq!(command_words(r#"abcd "efg h jkl" mnop"#), ["abcd", "efg h jkl", "mnop"]);
        assert_eq!(command_words(r"a\x41\102\tb \\ \'"), ["aAB\tb", r"\", "'"]);
        assert_eq!(command_words("/bin/sh -c 'exit 1'"), ["/bin/sh", "-c", "exit 1"]);
        assert_eq!(command_words("it's"), ["it's"]);
    }

    #[test]
    fn bytes_that_are_not_utf8_survive() {
        let bytes = b"auth_pass \xff\xfe\x80x";
        assert_eq!(encode(&decode(bytes)), bytes);
    }
}
