//! Files for old versions of HAProxy, rewritten with the words of today: `proxyd --upgrade FILE`.
//!
//! Works on lines, so that comments, blanks and order stay as they are. [`modern`] knows what one line should be; the
//! loader quotes it in its messages too. What has no exact equivalent is commented out, with the reason above it.

mod legacy;

use hacore::diag::{FileId, Span, Word};

use super::lexer;
use super::section::SECTIONS;

/// What an old line should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Modern {
    /// These lines, without indentation.
    Lines(Vec<String>),
    /// Nothing: it has no effect any more, for this reason.
    Nothing(&'static str),
    /// Nothing does exactly the same; a person must decide, with this advice.
    Advice(String),
}

/// A line as it was written: its words, and the bytes behind them.
pub struct OldLine<'a> {
    raw: &'a [u8],
    words: &'a [Word],
}

impl<'a> OldLine<'a> {
    pub fn new(raw: &'a [u8], words: &'a [Word]) -> Self {
        Self { raw, words }
    }

    fn word(&self, index: usize) -> &'a str {
        self.words.get(index).map_or("", Word::as_str)
    }

    /// What was written from word `index` to the last, without comment; empty when there is none.
    fn tail(&self, index: usize) -> String {
        let (Some(first), Some(last)) = (self.words.get(index), self.words.last()) else {
            return String::new();
        };
        let (start, end) = (first.span.start as usize, (last.span.end as usize).min(self.raw.len()));
        String::from_utf8_lossy(self.raw.get(start..end).unwrap_or_default()).into_owned()
    }

    /// [`Self::tail`] after a blank, or nothing.
    fn then(&self, index: usize) -> String {
        let tail = self.tail(index);
        if tail.is_empty() { tail } else { format!(" {tail}") }
    }

    /// Blanks before the first word.
    fn indentation(&self) -> String {
        let end = self.words.first().map_or(0, |word| word.span.start as usize);
        String::from_utf8_lossy(self.raw.get(..end).unwrap_or_default()).into_owned()
    }

    /// Blanks and comment behind the last word.
    fn trailer(&self) -> String {
        let start = self.words.last().map_or(0, |word| word.span.end as usize);
        String::from_utf8_lossy(self.raw.get(start..).unwrap_or_default()).trim_end().to_owned()
    }
}

/// What this line of a section of kind `section` should be; `None` when it is no old one.
pub fn modern(section: &str, line: &OldLine<'_>) -> Option<Modern> {
    legacy::modern(section, line)
}

/// `text` as one word of a line.
fn quoted(text: &str) -> String {
    let special = |c: char| c.is_whitespace() || matches!(c, '#' | '\'' | '"' | '\\');
    if text.is_empty() {
        "\"\"".to_owned()
    } else if !text.contains(special) {
        text.to_owned()
    } else if !text.contains(['"', '\\', '$', '\n', '\r']) {
        format!("\"{text}\"")
    } else {
        let mut out = String::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                // Before other characters a backslash stands for itself.
                '\\' if rest.as_str().starts_with(|next| !special(next) && !"nrtx$".contains(next)) => {
                    out.push(c)
                }
                '\n' => out.push_str("\\n"),
                '\r' => out.push_str("\\r"),
                '\t' => out.push_str("\\t"),
                c if special(c) => out.extend(['\\', c]),
                c => out.push(c),
            }
        }
        out
    }
}

/// One rewritten line, for the summary.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// The number of the old line, from 1.
    pub line: u32,
    pub old: String,
    pub new: Modern,
}

/// A whole file rewritten.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upgraded {
    pub text: Vec<u8>,
    pub changes: Vec<Change>,
}

/// Rewrites a file. Lines that cannot be cut into words stay as they are.
pub fn upgrade(text: &[u8]) -> Upgraded {
    let mut result = Upgraded { text: Vec::with_capacity(text.len() + 1), changes: Vec::new() };
    let mut section = "";
    let unexpanded = |name: &str| Some(format!("${{{name}}}"));
    for (index, raw) in text.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let number = index as u32 + 1;
        let body = raw.strip_suffix(b"\n").unwrap_or(raw);
        let words = lexer::split(body, FileId(0), number, &unexpanded).unwrap_or_default();
        if let Some(kind) = SECTIONS.iter().find(|kind| words.first().is_some_and(|word| *word == *kind.name))
        {
            section = kind.name;
        }
        let line = OldLine::new(body, &words);
        match modern(section, &line) {
            Some(new) if !words.is_empty() => {
                write(&mut result.text, &line, &new);
                result.changes.push(Change { line: number, old: line.tail(0), new });
            }
            _ => {
                result.text.extend_from_slice(body);
                // A last line without line feed is refused: it may have been cut.
                result.text.push(b'\n');
            }
        }
    }
    result
}

fn write(out: &mut Vec<u8>, line: &OldLine<'_>, new: &Modern) {
    let indentation = line.indentation();
    let mut say = |text: String| out.extend_from_slice(format!("{text}\n").as_bytes());
    match new {
        Modern::Lines(lines) => {
            for (index, text) in lines.iter().enumerate() {
                // A section's own line is followed by lines of the section.
                let inner = if index > 0 && indentation.is_empty() { "    " } else { &indentation };
                let trailer = if index == 0 { line.trailer() } else { String::new() };
                say(format!("{inner}{text}{trailer}"));
            }
        }
        Modern::Nothing(reason) => {
            say(format!("{indentation}# removed by --upgrade ({reason}): {}", line.tail(0)))
        }
        Modern::Advice(advice) => {
            say(format!("{indentation}# --upgrade: {advice}"));
            say(format!("{indentation}#   {}{}", line.tail(0), line.trailer()));
        }
    }
}

/// The exact line to write instead of the one that begins with `words`, for a message: `write '…'` or the advice.
pub fn instead(section: &str, raw: &[u8], words: &[Word]) -> Option<String> {
    match modern(section, &OldLine::new(raw, words))? {
        Modern::Lines(lines) => Some(format!("write '{}'", lines.join("' and '"))),
        Modern::Nothing(reason) => Some(format!("remove the line: {reason}")),
        Modern::Advice(advice) => Some(advice),
    }
}

/// A line without position, for tests and tools.
pub fn words_of(raw: &[u8]) -> Vec<Word> {
    let at = Span::line(FileId(0), 1);
    lexer::split(raw, at.file, at.line, &|_| None).unwrap_or_default()
}

#[cfg(test)]
mod tests;
