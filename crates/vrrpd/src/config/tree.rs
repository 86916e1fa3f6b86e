//! Words to statements: which words belong together and what is inside which block. No keyword is known here.

use std::rc::Rc;

use hacore::diag::{Diagnostic, Diagnostics, Span, Word};

use super::lexer::{self, Token};
use super::preproc::Line;

/// How deep blocks may nest; the deepest that has a meaning is 4.
const DEPTH_MAX: usize = 32;

/// A keyword, its words, and its block if it has one.
#[derive(Debug, Clone)]
pub(super) struct Node {
    /// Never empty; the first is the keyword.
    pub(super) words: Vec<Word>,
    /// Index of the words that were written in quotes.
    pub(super) quoted: Vec<bool>,
    line: Rc<str>,
    range: (usize, usize),
    pub(super) block: Option<Block>,
}

/// What stands between `{` and `}`.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub(super) open: Span,
    pub(super) children: Vec<Node>,
}

impl Node {
    pub(super) fn keyword(&self) -> &str {
        self.words.first().map_or("", Word::as_str)
    }

    pub(super) fn span(&self) -> Span {
        self.words.first().map_or(Span::line(hacore::diag::FileId(0), 0), |word| word.span)
    }

    /// The statement's text after its keyword, for script keywords, which have quoting rules of their own.
    pub(super) fn raw_arguments(&self) -> &str {
        let text = self.line.get(self.range.0..self.range.1).unwrap_or_default();
        text.get(self.keyword().len()..).unwrap_or_default().trim()
    }

    pub(super) fn children(&self) -> &[Node] {
        self.block.as_ref().map_or(&[], |block| &block.children)
    }
}

/// Builds the statements of all lines.
pub(super) fn build(lines: &[Line], diagnostics: &mut Diagnostics) -> Vec<Node> {
    let mut builder =
        Builder { diagnostics, stack: vec![Vec::new()], pending: None, extendable: false, too_deep: 0 };
    let mut last = None;
    for line in lines {
        builder.line(line);
        last = Some(Span::line(line.file, line.number));
    }
    builder.finish(last)
}

struct Builder<'d> {
    diagnostics: &'d mut Diagnostics,
    /// The statements of each open block, outermost first; the owner of a block is the last of the level before.
    stack: Vec<Vec<Node>>,
    pending: Option<Node>,
    /// The last statement ended with its line, so that a `{` on the next one belongs to it.
    extendable: bool,
    /// Blocks that were not opened because of [`DEPTH_MAX`].
    too_deep: usize,
}

impl Builder<'_> {
    fn line(&mut self, line: &Line) {
        for (token, start, end) in lexer::tokens(&line.text, |start, end| line.span(start, end)) {
            match token {
                Token::Word(word, quoted) => self.word(line, word, quoted, start, end),
                Token::Unclosed(word) => {
                    let message = format!("Unmatched quote: '{}'", line.text);
                    self.diagnostics.push(Diagnostic::warning(message).at(word.span));
                    // What the rest of it says is anybody's guess.
                    self.pending = None;
                }
                Token::Open(span) => self.open(span),
                Token::Close(span) => self.close(span),
            }
        }
        if self.pending.is_some() {
            self.flush();
            self.extendable = true;
        }
    }

    fn word(&mut self, line: &Line, word: Word, quoted: bool, start: usize, end: usize) {
        self.extendable = false;
        match &mut self.pending {
            Some(node) => {
                node.words.push(word);
                node.quoted.push(quoted);
                node.range.1 = end;
            }
            None => {
                self.pending = Some(Node {
                    words: vec![word],
                    quoted: vec![quoted],
                    line: Rc::clone(&line.text),
                    range: (start, end),
                    block: None,
                });
            }
        }
    }

    fn open(&mut self, span: Span) {
        let had_words = self.pending.is_some();
        self.flush();
        let extendable = std::mem::take(&mut self.extendable);
        if self.stack.len() > DEPTH_MAX {
            self.too_deep += 1;
            self.unexpected(span);
            return;
        }
        let owner = self.stack.last_mut().and_then(|level| level.last_mut());
        match owner {
            Some(owner) if (had_words || extendable) && owner.block.is_none() => {
                owner.block = Some(Block { open: span, children: Vec::new() });
                self.stack.push(Vec::new());
            }
            _ => {
                self.too_deep += 1;
                self.unexpected(span);
            }
        }
    }

    fn unexpected(&mut self, span: Span) {
        self.diagnostics.push(Diagnostic::warning("Unexpected '{' - ignoring").at(span));
    }

    fn close(&mut self, span: Span) {
        self.flush();
        self.extendable = false;
        if self.too_deep > 0 {
            self.too_deep -= 1;
        } else if self.stack.len() > 1 {
            self.pop();
        } else {
            self.diagnostics.push(Diagnostic::warning("Extra '}' found").at(span));
        }
    }

    fn flush(&mut self) {
        if let (Some(node), Some(level)) = (self.pending.take(), self.stack.last_mut()) {
            level.push(node);
        }
    }

    fn pop(&mut self) {
        let Some(children) = self.stack.pop() else { return };
        let owner = self.stack.last_mut().and_then(|level| level.last_mut());
        if let Some(block) = owner.and_then(|owner| owner.block.as_mut()) {
            block.children = children;
        }
    }

    fn finish(mut self, last: Option<Span>) -> Vec<Node> {
        self.flush();
        let missing = self.stack.len() - 1 + self.too_deep;
        if missing > 0 {
            let mut diagnostic =
                Diagnostic::warning(format!("There are {missing} missing '}}'s or extra '{{'s"));
            diagnostic.span = last;
            let open: Vec<Span> = self
                .stack
                .iter()
                .filter_map(|level| level.last()?.block.as_ref().map(|block| block.open))
                .collect();
            if let Some(first) = open.first() {
                diagnostic = diagnostic
                    .help(format!("the first block that is not closed starts at line {}", first.line));
            }
            self.diagnostics.push(diagnostic);
        }
        while self.stack.len() > 1 {
            self.pop();
        }
        self.stack.pop().unwrap_or_default()
    }
}
