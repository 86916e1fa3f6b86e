//! The words of one configuration line after quotes and variables were resolved, and a cursor over them.

use std::borrow::Cow;

use super::Span;

/// One word and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    text: String,
    /// The exact bytes, when they are not UTF-8 (configuration files are bytes, not text).
    raw: Option<Box<[u8]>>,
    pub span: Span,
}

impl Word {
    pub fn new(bytes: Vec<u8>, span: Span) -> Self {
        match String::from_utf8(bytes) {
            Ok(text) => Self { text, raw: None, span },
            Err(error) => {
                let raw = error.into_bytes();
                let text = match String::from_utf8_lossy(&raw) {
                    Cow::Owned(text) => text,
                    Cow::Borrowed(text) => text.to_owned(),
                };
                Self { text, raw: Some(raw.into()), span }
            }
        }
    }

    /// The word as text; bytes that are not UTF-8 are replaced.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The word's exact bytes.
    pub fn bytes(&self) -> &[u8] {
        self.raw.as_deref().unwrap_or(self.text.as_bytes())
    }

    /// A part of this word as a word of its own; offsets are within [`Self::as_str`] and clamped to it.
    pub fn part(&self, start: usize, end: usize) -> Word {
        let text = self.text.get(start..end).unwrap_or_default().to_owned();
        Word { text, raw: None, span: self.span }
    }
}

impl PartialEq<str> for Word {
    fn eq(&self, other: &str) -> bool {
        self.raw.is_none() && self.text == other
    }
}

impl PartialEq<&str> for Word {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

/// A cursor over the words that follow a keyword.
#[derive(Debug, Clone)]
pub struct Words<'a> {
    words: &'a [Word],
    at: usize,
    /// Where to point when a word is missing: the end of what was read.
    anchor: Span,
}

impl<'a> Words<'a> {
    /// `anchor` is the keyword's span, for messages about a missing first argument.
    pub fn new(words: &'a [Word], anchor: Span) -> Self {
        Self { words, at: 0, anchor }
    }

    pub fn peek(&self) -> Option<&'a Word> {
        self.words.get(self.at)
    }

    pub fn peek_str(&self) -> Option<&'a str> {
        self.peek().map(Word::as_str)
    }

    /// The `n`th word from here without moving; 0 is the same as [`Self::peek`].
    pub fn peek_at(&self, n: usize) -> Option<&'a Word> {
        self.words.get(self.at.checked_add(n)?)
    }

    /// Takes the next word if it is exactly `word`.
    pub fn take_if(&mut self, word: &str) -> bool {
        let hit = self.peek().is_some_and(|next| next == word);
        self.at += usize::from(hit);
        hit
    }

    /// The words not yet taken.
    pub fn rest(&self) -> &'a [Word] {
        self.words.get(self.at..).unwrap_or(&[])
    }

    pub fn is_empty(&self) -> bool {
        self.rest().is_empty()
    }

    /// How many words were taken.
    pub fn position(&self) -> usize {
        self.at
    }

    /// Moves to an earlier or later [`Self::position`].
    pub fn seek(&mut self, position: usize) {
        self.at = position.min(self.words.len());
    }

    /// The span to blame when something is missing here.
    pub fn here(&self) -> Span {
        self.peek().map_or_else(
            || self.at.checked_sub(1).and_then(|n| self.words.get(n)).map_or(self.anchor, |w| w.span),
            |w| w.span,
        )
    }
}

impl<'a> Iterator for Words<'a> {
    type Item = &'a Word;

    fn next(&mut self) -> Option<&'a Word> {
        let word = self.peek()?;
        self.at += 1;
        Some(word)
    }
}
