//! Lints: what is allowed, and yet seldom meant. Hints of `-c`, each with a code, never a verdict.
//!
//! A comment `# proxyd: allow L001` (several codes with commas) at the end of the line concerned, or on the line
//! above it, silences a hint. What the original itself warns about is not repeated here.

mod listeners;
mod reach;
mod servers;
mod timeouts;
mod words;

use hacore::diag::{Diagnostic, Diagnostics, Severity, SourceMap, Span};

use super::loader::{Draft, Loader};
use crate::model::Location;

pub use words::Facts;

/// One lint: its code and what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Lint {
    pub code: &'static str,
    pub title: &'static str,
    pub why: &'static str,
}

const fn lint(code: &'static str, title: &'static str, why: &'static str) -> Lint {
    Lint { code, title, why }
}

/// All lints, by code.
pub const LINTS: &[Lint] = &[
    lint("L001", "servers without checks", "a dead server keeps its share of the requests"),
    lint(
        "L002",
        "an application session without persistence",
        "each request may reach a server that does not know the session",
    ),
    lint(
        "L003",
        "an address of one machine only",
        "the address is a virtual one, but no VRRP daemon is configured here to hold it",
    ),
    lint("L004", "timeouts that fight each other", "the shorter one always wins"),
    lint("L005", "a timeout of a few milliseconds", "a bare number counts in milliseconds"),
    lint("L006", "more connections than descriptors", "each connection needs two descriptors"),
    lint("L007", "TLS without verification", "anybody on the way can pose as the server"),
    lint("L008", "a redirect that can never fire", "its condition is never true on these listeners"),
    lint("L009", "rules that are never reached", "an earlier rule without condition ends the evaluation"),
    lint("L010", "a proxy that does nothing", "it has neither 'bind' nor 'server' lines"),
    lint("L011", "an ACL that nothing uses", "it may be a slip in a name"),
    lint("L012", "a pattern that can never match", "what it is compared with never looks like that"),
    lint("L013", "a backend that nothing uses", "no frontend leads to it"),
    lint("L014", "a backend without servers", "every request gets a 503"),
    lint("L015", "a frontend that leads nowhere", "every request gets a 503"),
    lint("L016", "a statistics page without a password", "it is open to everybody who reaches the listener"),
    lint("L017", "no limit for a request's arrival", "slow clients may hold connections for a long time"),
    lint("L018", "the same server twice", "it gets a double share under two names"),
    lint("L019", "a server without cookie value", "its clients are not kept on it"),
];

/// Runs all lints over the proxies; the findings join the others.
pub(super) fn run(loader: &mut Loader, drafts: &[Draft]) {
    if !loader.options.lints {
        return;
    }
    let mut found = Vec::new();
    let view = View { loader, drafts };
    servers::run(&view, &mut found);
    timeouts::run(&view, &mut found);
    listeners::run(&view, &mut found);
    reach::run(&view, &mut found);
    found.append(&mut std::mem::take(&mut loader.facts.found));
    found.sort_by_key(|hint| (hint.span.map(|span| (span.file, span.line)), hint.code));
    found.retain(|hint| !is_allowed(&loader.sources, hint));
    for hint in found {
        loader.push(hint);
    }
}

/// What lints look at.
struct View<'a> {
    loader: &'a Loader,
    drafts: &'a [Draft],
}

impl View<'_> {
    /// The place of something in the model.
    fn span(&self, location: &Location) -> Option<Span> {
        let file = self.loader.file_names.iter().position(|name| *name == location.file)?;
        Some(Span::line(hacore::diag::FileId(file as u32), location.line))
    }

    /// A hint about a place of the model.
    fn hint(&self, code: &'static str, location: &Location, message: String) -> Diagnostic {
        Diagnostic { span: self.span(location), ..Diagnostic::hint(code, message) }
    }
}

/// Whether a comment on the hint's line or on the line above it names its code.
fn is_allowed(sources: &SourceMap, hint: &Diagnostic) -> bool {
    let (Some(code), Some(span)) = (hint.code, hint.span) else { return false };
    let Some(file) = sources.file(span.file) else { return false };
    let allows = |line: &[u8], whole_line: bool| {
        let text = String::from_utf8_lossy(line);
        if whole_line && !text.trim_start().starts_with('#') {
            return false;
        }
        let Some((_, list)) = text.split_once("proxyd: allow ") else { return false };
        list.split([',', ' ', '\t']).map(str::trim).take_while(|word| is_code(word)).any(|word| word == code)
    };
    hint.severity == Severity::Hint
        && (allows(file.line(span.line), false) || span.line > 1 && allows(file.line(span.line - 1), true))
}

fn is_code(word: &str) -> bool {
    word.is_empty() || (word.starts_with('L') && word.len() == 4)
}

/// The hints among the findings.
pub fn hints(diagnostics: &Diagnostics) -> impl Iterator<Item = &Diagnostic> {
    diagnostics.iter().filter(|diagnostic| diagnostic.severity == Severity::Hint)
}

#[cfg(test)]
mod tests;
