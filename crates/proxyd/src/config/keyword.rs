//! What a configuration keyword is: one item with its name, places, arguments, documentation, support and parser.
//!
//! The tables themselves are in [`super::keywords`]; this file only knows their shape and how to find one.

use hacore::diag::{Diagnostic, Span, Word, Words};

use super::loader::Loader;
use crate::model::Location;

/// What a parser answers; an error is one alert about the line.
pub type Parsed = Result<(), Diagnostic>;

/// A set of sections, as bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Places(pub u32);

impl Places {
    pub const NONE: Places = Places(0);
    pub const GLOBAL: Places = Places(1);
    pub const DEFAULTS: Places = Places(1 << 1);
    pub const FRONTEND: Places = Places(1 << 2);
    pub const BACKEND: Places = Places(1 << 3);
    pub const LISTEN: Places = Places(1 << 4);
    pub const USERLIST: Places = Places(1 << 5);
    pub const RESOLVERS: Places = Places(1 << 6);
    pub const PEERS: Places = Places(1 << 7);
    pub const MAILERS: Places = Places(1 << 8);
    pub const RING: Places = Places(1 << 9);
    pub const CACHE: Places = Places(1 << 10);
    pub const HTTP_ERRORS: Places = Places(1 << 11);
    pub const CRT_STORE: Places = Places(1 << 12);
    pub const LOG_FORWARD: Places = Places(1 << 13);
    pub const LOG_PROFILE: Places = Places(1 << 14);
    pub const PROGRAM: Places = Places(1 << 15);
    pub const FCGI_APP: Places = Places(1 << 16);
    pub const TRACES: Places = Places(1 << 17);
    pub const ACME: Places = Places(1 << 18);
    pub const HEALTHCHECK: Places = Places(1 << 19);

    /// `defaults`, `frontend`, `listen`.
    pub const FRONT: Places = Places::DEFAULTS.or(Places::FRONTEND).or(Places::LISTEN);
    /// `defaults`, `backend`, `listen`.
    pub const BACK: Places = Places::DEFAULTS.or(Places::BACKEND).or(Places::LISTEN);
    /// `defaults` and all proxies.
    pub const PROXY: Places = Places::FRONT.or(Places::BACK);
    /// As [`Self::FRONT`] without `defaults`.
    pub const FRONT_ONLY: Places = Places::FRONTEND.or(Places::LISTEN);
    /// As [`Self::BACK`] without `defaults`.
    pub const BACK_ONLY: Places = Places::BACKEND.or(Places::LISTEN);
    /// All proxies without `defaults`.
    pub const PROXY_ONLY: Places = Places::FRONT_ONLY.or(Places::BACK_ONLY);

    pub const fn or(self, other: Places) -> Places {
        Places(self.0 | other.0)
    }

    pub const fn has(self, place: Places) -> bool {
        self.0 & place.0 != 0
    }
}

/// Whether and how a keyword is carried out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Support {
    /// Parsed into the model and carried out.
    Yes,
    /// Accepted; there is nothing here that it could change, for this reason. One notice says so.
    NoEffect(&'static str),
    /// Accepted with one warning: not carried out yet, and nothing that a client or a server sees depends on it.
    Later(&'static str),
    /// Refused: what it asks for is this feature, which is not there yet.
    Refused(&'static str),
    /// Refused for good, as the original does today; the text says what to write instead.
    Removed(&'static str),
}

/// A keyword whose parser is a `P`.
#[derive(Debug)]
pub struct Item<P: 'static> {
    /// One word or several: `maxconn`, `option httplog`, `timeout client`.
    pub name: &'static str,
    pub places: Places,
    /// The arguments in the manual's notation.
    pub arguments: &'static str,
    /// What it does, in a sentence.
    pub doc: &'static str,
    pub support: Support,
    /// Whether `-dKcfg` shows it; the original leaves its oldest keywords out.
    pub listed: bool,
    pub parse: P,
}

impl<P: Copy> Item<P> {
    pub const fn new(
        name: &'static str,
        places: Places,
        arguments: &'static str,
        doc: &'static str,
        parse: P,
    ) -> Self {
        Self { name, places, arguments, doc, support: Support::Yes, listed: true, parse }
    }

    /// One of the keywords that `-dKcfg` leaves out.
    pub const fn unlisted(mut self) -> Self {
        self.listed = false;
        self
    }

    pub const fn no_effect(mut self, reason: &'static str) -> Self {
        self.support = Support::NoEffect(reason);
        self
    }

    pub const fn later(mut self, what: &'static str) -> Self {
        self.support = Support::Later(what);
        self
    }

    pub const fn refused(mut self, feature: &'static str) -> Self {
        self.support = Support::Refused(feature);
        self
    }

    pub const fn removed(mut self, instead: &'static str) -> Self {
        self.support = Support::Removed(instead);
        self
    }

    /// The first word of the name.
    pub fn head(&self) -> &'static str {
        self.name.split_once(' ').map_or(self.name, |(head, _)| head)
    }
}

/// A parser of a whole line in a section.
pub type LineParser = fn(&mut Loader, &mut Line<'_>) -> Parsed;

/// A keyword that begins a line.
pub type Keyword = Item<LineParser>;

/// `no` or `default` before a keyword.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    None,
    No,
    Default,
}

/// The line that is being read: its keyword and a cursor over its arguments.
#[derive(Debug)]
pub struct Line<'a> {
    /// The keyword's name as messages quote it.
    pub name: &'static str,
    pub words: Words<'a>,
    /// The line's first word.
    pub head: &'a Word,
    /// Where the keyword stands.
    pub span: Span,
    pub place: Places,
    pub prefix: Prefix,
    pub location: Location,
}

impl<'a> Line<'a> {
    /// An alert at the keyword.
    pub fn alert(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::alert(message).at(self.span)
    }

    /// An alert at `word`.
    pub fn alert_at(&self, word: &Word, message: impl Into<String>) -> Diagnostic {
        Diagnostic::alert(message).at(word.span)
    }

    /// A warning at the keyword.
    pub fn warning(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::warning(message).at(self.span)
    }

    /// The next word, or an alert that quotes `expects` after the keyword's name.
    pub fn required(&mut self, expects: &str) -> Result<&'a Word, Diagnostic> {
        match self.words.next() {
            Some(word) if !word.as_str().is_empty() => Ok(word),
            _ => Err(self.alert(format!("'{}' expects {expects}", self.name))),
        }
    }

    /// Nothing may follow.
    pub fn end(&mut self) -> Parsed {
        match self.words.next() {
            None => Ok(()),
            Some(word) if word.as_str().is_empty() && self.words.is_empty() => Ok(()),
            Some(word) => Err(self.alert_at(
                word,
                format!("'{}' cannot handle unexpected argument '{}'.", self.name, word.as_str()),
            )),
        }
    }

    /// The next word as a whole number within `range`.
    pub fn integer(&mut self, range: std::ops::RangeInclusive<i64>) -> Result<i64, Diagnostic> {
        let word = self.required("an integer argument.")?;
        let value: i64 = word.as_str().parse().map_err(|_| {
            self.alert_at(
                word,
                format!("'{}' expects an integer argument, got '{}'.", self.name, word.as_str()),
            )
        })?;
        if !range.contains(&value) {
            let message = format!(
                "'{}' expects a value between {} and {}, got {value}.",
                self.name,
                range.start(),
                range.end()
            );
            return Err(self.alert_at(word, message));
        }
        Ok(value)
    }

    /// `on` or `off`.
    pub fn switch(&mut self) -> Result<bool, Diagnostic> {
        let word = self.required("'on' or 'off' as argument.")?;
        match word.as_str() {
            "on" => Ok(true),
            "off" => Ok(false),
            other => Err(self.alert_at(
                word,
                format!("'{}' expects 'on' or 'off' as argument, got '{other}'.", self.name),
            )),
        }
    }

    /// All words that are left, with single blanks between, for values that are shown only.
    pub fn rest_text(&mut self) -> String {
        let text = self.words.rest().iter().map(Word::as_str).collect::<Vec<_>>().join(" ");
        self.words.seek(usize::MAX);
        text
    }
}

/// A parser for keywords whose arguments are taken as they are.
pub fn any(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.words.seek(usize::MAX);
    Ok(())
}

/// A parser for keywords with exactly one argument that is not looked at.
pub fn one(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.required("an argument.")?;
    line.end()
}

/// A parser for keywords without argument that change nothing here.
pub fn none(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()
}
