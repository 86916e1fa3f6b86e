//! Source files and positions in them.

use std::sync::Arc;

use serde::Serialize;

/// A file in a [`SourceMap`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct FileId(pub u32);

/// A range of bytes on one line of one file.
///
/// `line` counts from 1 as the original programs do; `start` and `end` are byte offsets within the line.
/// `start == end` means the line as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub struct Span {
    pub file: FileId,
    pub line: u32,
    pub start: u32,
    pub end: u32,
}

impl Span {
    /// The whole of a line.
    pub fn line(file: FileId, line: u32) -> Self {
        Self { file, line, start: 0, end: 0 }
    }

    /// From the start of `self` to the end of `other`; `self` if they are on different lines.
    pub fn to(self, other: Span) -> Span {
        if self.file == other.file && self.line == other.line {
            Span { end: other.end.max(self.end), ..self }
        } else {
            self
        }
    }
}

/// One file's name as the user gave it, and its bytes.
#[derive(Debug, Clone)]
pub struct SourceFile {
    pub name: String,
    pub text: Arc<[u8]>,
    line_starts: Arc<[usize]>,
}

impl SourceFile {
    /// The bytes of line `number` (from 1) without its line feed; empty past the end.
    pub fn line(&self, number: u32) -> &[u8] {
        let Some(index) = (number as usize).checked_sub(1) else { return &[] };
        let Some(&start) = self.line_starts.get(index) else { return &[] };
        let end = self.line_starts.get(index + 1).copied().unwrap_or(self.text.len());
        let line = self.text.get(start..end).unwrap_or(&[]);
        line.strip_suffix(b"\n").unwrap_or(line)
    }

    /// How many lines there are; a last line without a line feed counts.
    pub fn line_count(&self) -> u32 {
        self.line_starts.len() as u32
    }
}

/// All files that one load has read, so that a [`Span`] can be shown.
#[derive(Debug, Clone, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Adds a file and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<Arc<[u8]>>) -> FileId {
        let text = text.into();
        let mut starts: Vec<usize> = if text.is_empty() { vec![] } else { vec![0] };
        starts.extend(memchr::memchr_iter(b'\n', &text).map(|at| at + 1).filter(|&at| at < text.len()));
        self.files.push(SourceFile { name: name.into(), text, line_starts: starts.into() });
        FileId(self.files.len() as u32 - 1)
    }

    pub fn file(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// All files in the order in which they were read.
    pub fn files(&self) -> impl Iterator<Item = &SourceFile> {
        self.files.iter()
    }

    /// The file's name, or `?` for an id of another map.
    pub fn name(&self, id: FileId) -> &str {
        self.file(id).map_or("?", |file| file.name.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_counted_from_one_and_the_last_needs_no_line_feed() {
        let mut map = SourceMap::default();
        let id = map.add("a.cfg", b"one\ntwo\n\nfour".to_vec());
        let file = map.file(id).unwrap();
        let lines: Vec<&[u8]> = (0..6).map(|n| file.line(n)).collect();
        assert_eq!(lines, [&b""[..], b"one", b"two", b"", b"four", b""]);
        assert_eq!(file.line_count(), 4);
    }
}
