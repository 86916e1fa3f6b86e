//! Keywords as items: name, arguments, documentation, state of support and parser in one place, in tables by block.

use std::ops::RangeInclusive;

use hacore::diag::{Diagnostic, Diagnostics, Span, Word};
use serde::Serialize;

use super::environment::Environment;
use super::tree::Node;
use super::value::{self, NumberError};
use super::{CODE_FATAL_PARAMETER, CODE_NOTE, CODE_UNSUPPORTED};

/// How far a keyword is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Support {
    /// Does what keepalived does.
    Implemented,
    /// Read and checked; one warning says that it is not carried out yet.
    NotYet,
    /// Read; it has no effect here because of how this daemon is built, and needs none. One note says so.
    NoEffect,
}

/// What documentation needs of a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct KeywordInfo {
    /// The block it stands in, as `vrrp_instance/authentication`; empty at top level.
    pub block: &'static str,
    pub name: &'static str,
    /// Its arguments in the manual's notation; `{…}` for a block.
    pub arguments: &'static str,
    pub doc: &'static str,
    pub support: Support,
}

/// One keyword of a block whose statements fill a `T`.
pub(super) struct Keyword<T: 'static> {
    pub(super) name: &'static str,
    pub(super) arguments: &'static str,
    pub(super) doc: &'static str,
    pub(super) support: Support,
    /// How many words must follow; one too few is fatal, as in keepalived.
    pub(super) required: usize,
    pub(super) apply: fn(&mut T, &mut Statement<'_>, &mut Context<'_>),
}

impl<T> Keyword<T> {
    pub(super) const fn info(&self, block: &'static str) -> KeywordInfo {
        KeywordInfo {
            block,
            name: self.name,
            arguments: self.arguments,
            doc: self.doc,
            support: self.support,
        }
    }

    fn is_block(&self) -> bool {
        self.arguments.ends_with("{…}")
    }
}

/// What every parser may use besides its own block.
pub(super) struct Context<'a> {
    pub(super) diagnostics: &'a mut Diagnostics,
    pub(super) environment: &'a dyn Environment,
    /// Interfaces may come later.
    pub(super) dynamic_interfaces: bool,
    /// Where iproute2's tables of names are, the administrator's first.
    pub(super) iproute_dirs: Vec<String>,
    /// An interface is missing and may not be.
    pub(super) missing_interface: bool,
}

impl Context<'_> {
    /// A message of keepalived's that costs the file its clean verdict.
    pub(super) fn warn(&mut self, span: Span, message: impl Into<String>) {
        self.diagnostics.push(Diagnostic::warning(message).at(span));
    }

    /// One notice about a keyword that changes nothing; none about the others.
    pub(super) fn remark(&mut self, support: Support, span: Span, what: &str) {
        let (code, message) = match support {
            Support::NotYet => (CODE_UNSUPPORTED, format!("'{what}' is not supported yet - ignored")),
            Support::NoEffect => (CODE_NOTE, format!("'{what}' has no effect here and needs none - ignored")),
            Support::Implemented => return,
        };
        self.diagnostics.push(Diagnostic { code: Some(code), ..Diagnostic::warning(message).at(span) });
    }

    /// An unknown word, in keepalived's wording, with the closest one that fits.
    pub(super) fn unknown(&mut self, word: &Word, known: impl IntoIterator<Item = &'static str>) {
        let message = format!("Unknown keyword '{}'", word.as_str());
        self.diagnostics.push(Diagnostic::warning(message).at(word.span).did_you_mean(word.as_str(), known));
    }
}

/// Carries out the statements of a block with its table.
pub(super) fn run<T>(table: &[&[Keyword<T>]], target: &mut T, nodes: &[Node], context: &mut Context<'_>) {
    for node in nodes {
        let Some(first) = node.words.first() else { continue };
        let keyword = table.iter().flat_map(|part| part.iter()).find(|keyword| first == keyword.name);
        let Some(keyword) = keyword else {
            context.unknown(first, table.iter().flat_map(|part| part.iter()).map(|keyword| keyword.name));
            continue;
        };
        if node.words.len() <= keyword.required {
            missing_parameter(node, context);
            continue;
        }
        if let (false, Some(block)) = (keyword.is_block(), &node.block) {
            context.warn(block.open, "Unexpected '{' - ignoring");
        }
        context.remark(keyword.support, first.span, keyword.name);
        (keyword.apply)(target, &mut Statement::new(node), context);
    }
}

/// keepalived ends at once when a parameter is missing, even in a test.
pub(super) fn missing_parameter(node: &Node, context: &mut Context<'_>) {
    let keyword = node.keyword();
    let message = format!(
        "*** Configuration line starting `{keyword}` is missing a parameter after keyword `{}` at word position {}",
        node.words.last().map_or(keyword, Word::as_str),
        node.words.len() + 1
    );
    let alert = Diagnostic::alert(message).at(node.span());
    context.diagnostics.push(Diagnostic { code: Some(CODE_FATAL_PARAMETER), ..alert });
}

/// A statement while its parser reads it: a cursor over the words after the keyword.
pub(super) struct Statement<'n> {
    pub(super) node: &'n Node,
    at: usize,
}

impl<'n> Statement<'n> {
    pub(super) fn new(node: &'n Node) -> Self {
        Self { node, at: 1 }
    }

    /// A cursor that starts at the first word, for the lines of value blocks.
    pub(super) fn of_values(node: &'n Node) -> Self {
        Self { node, at: 0 }
    }

    pub(super) fn keyword(&self) -> &'n str {
        self.node.keyword()
    }

    pub(super) fn span(&self) -> Span {
        self.node.span()
    }

    /// The place of the word that was read last.
    pub(super) fn last_span(&self) -> Span {
        self.at
            .checked_sub(1)
            .and_then(|at| self.node.words.get(at))
            .map_or_else(|| self.span(), |word| word.span)
    }

    pub(super) fn peek(&self) -> Option<&'n str> {
        self.node.words.get(self.at).map(Word::as_str)
    }

    pub(super) fn next_word(&mut self) -> Option<&'n Word> {
        let word = self.node.words.get(self.at)?;
        self.at += 1;
        Some(word)
    }

    pub(super) fn next(&mut self) -> Option<&'n str> {
        self.next_word().map(Word::as_str)
    }

    /// The word that was read last.
    pub(super) fn previous(&self) -> Option<&'n str> {
        self.node.words.get(self.at.checked_sub(1)?).map(Word::as_str)
    }

    /// The next word or nothing at all as text.
    pub(super) fn text(&mut self) -> String {
        self.next().unwrap_or_default().to_owned()
    }

    /// Takes the next word if it is exactly `word`.
    pub(super) fn take_if(&mut self, word: &str) -> bool {
        let hit = self.peek() == Some(word);
        self.at += usize::from(hit);
        hit
    }

    pub(super) fn rest(&self) -> &'n [Word] {
        self.node.words.get(self.at..).unwrap_or_default()
    }

    pub(super) fn children(&self) -> &'n [Node] {
        self.node.children()
    }

    /// The next word with `read`; on an error keepalived's first message is reported and `Err` has the word.
    fn number<N>(
        &mut self,
        context: &mut Context<'_>,
        read: impl FnOnce(&str) -> Result<N, NumberError>,
    ) -> Result<N, &'n str> {
        let text = self.next().unwrap_or_default();
        read(text).map_err(|error| {
            context.warn(self.last_span(), error.to_string());
            text
        })
    }

    /// A whole number within `range`.
    pub(super) fn int(
        &mut self,
        context: &mut Context<'_>,
        range: RangeInclusive<i64>,
    ) -> Result<i64, &'n str> {
        self.number(context, |text| value::integer(text, &range))
    }

    /// Decimal seconds within `range` (in microseconds) as microseconds.
    pub(super) fn timer(
        &mut self,
        context: &mut Context<'_>,
        range_us: RangeInclusive<u64>,
    ) -> Result<u64, &'n str> {
        let text = self.next().unwrap_or_default();
        let timer = value::timer(text, &range_us);
        if timer.extra_decimals {
            context.warn(self.last_span(), format!("number '{text}' has too many decimal places"));
        }
        timer.value.map_err(|error| {
            context.warn(self.last_span(), error.to_string());
            text
        })
    }

    /// `[<BOOL>]`: the bare word means on; `Err` has a word that is no boolean.
    pub(super) fn flag(&mut self) -> Result<bool, &'n str> {
        match self.next() {
            None => Ok(true),
            Some(text) => value::boolean(text).ok_or(text),
        }
    }
}
