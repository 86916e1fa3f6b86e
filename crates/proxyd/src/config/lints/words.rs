//! What lints see while lines are read: session cookies, patterns that can never match.

use hacore::diag::{Diagnostic, Span, Word};

/// Collected line by line.
#[derive(Debug, Default)]
pub struct Facts {
    /// An application's session cookie that the configuration names, and where first.
    pub session_cookie: Option<(&'static str, Span)>,
    /// Where the global `maxconn` stands.
    pub maxconn: Option<Span>,
    /// Hints found on the way.
    pub found: Vec<Diagnostic>,
}

/// Names under which application servers keep their sessions.
const SESSION_COOKIES: &[&str] = &[
    "JSESSIONID",
    "PHPSESSID",
    "ASP.NET_SessionId",
    "connect.sid",
    "laravel_session",
    "_session_id",
    "sessionid",
    "CFID",
    "ci_session",
    "rack.session",
];

impl Facts {
    /// Looks at one line that was read.
    pub fn line(&mut self, words: &[Word], is_global: bool) {
        let Some(first) = words.first() else { return };
        if is_global && *first == "maxconn" {
            self.maxconn = Some(first.span);
        }
        if self.session_cookie.is_none() {
            self.session_cookie = words.iter().skip(1).find_map(|word| {
                let name = SESSION_COOKIES.iter().find(|name| names(word.as_str(), name))?;
                Some((*name, word.span))
            });
        }
        if *first == "acl" {
            self.found.extend(impossible(words.get(2..).unwrap_or_default()));
            return;
        }
        let mut rest = words;
        while let Some(open) = rest.iter().position(|word| matches!(word.as_str(), "{" | "!{")) {
            rest = rest.get(open + 1..).unwrap_or_default();
            let Some(close) = rest.iter().position(|word| *word == "}") else { return };
            self.found.extend(impossible(rest.get(..close).unwrap_or_default()));
        }
    }
}

/// Whether `word` is the name or holds it between characters that no cookie name has.
fn names(word: &str, name: &str) -> bool {
    let Some(at) = word.find(name) else { return false };
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    let before = word.get(..at).and_then(|text| text.chars().next_back());
    let after = word.get(at + name.len()..).and_then(|text| text.chars().next());
    !before.is_some_and(is_part) && !after.is_some_and(is_part)
}

/// The first pattern of an ACL expression that its sample can never be equal to.
fn impossible(words: &[Word]) -> Option<Diagnostic> {
    let criterion = words.first()?.as_str();
    let name = criterion.split(['(', ',']).next().unwrap_or_default();
    let argument = criterion.split(['(', ')']).nth(1).unwrap_or_default();
    let lowered = criterion.ends_with(",lower");
    let (mut ignores_case, mut method) = (false, "");
    let mut patterns = words.get(1..).unwrap_or_default();
    while let Some(flag) = patterns.first().filter(|word| word.as_str().starts_with('-')) {
        let used = match flag.as_str() {
            "-i" => {
                ignores_case = true;
                1
            }
            "-m" => {
                method = patterns.get(1).map_or("", Word::as_str);
                2
            }
            "--" => {
                patterns = patterns.get(1..).unwrap_or_default();
                break;
            }
            // What files and other flags bring is not known here.
            _ => return None,
        };
        patterns = patterns.get(used..).unwrap_or_default();
    }
    let exact = matches!(method, "" | "str");
    let begins = method == "beg";
    let is_path = matches!(name, "path" | "path_beg") && (exact || begins);
    let plain = !matches!(method, "reg" | "found" | "len" | "int" | "bin" | "ip" | "bool");
    let path_kind =
        matches!(name, "path" | "path_beg" | "path_end" | "path_sub") && plain && !criterion.contains(',');
    let is_host = matches!(name, "hdr" | "req.hdr" | "hdr_dom" | "hdr_beg" | "hdr_end" | "req.fhdr")
        && argument.eq_ignore_ascii_case("host")
        && plain;
    patterns.iter().find_map(|pattern| {
        let text = pattern.as_str();
        let upper = text.chars().any(|c| c.is_ascii_uppercase());
        let (why, help) = if is_path && !criterion.contains(',') && !text.starts_with(['/', '*']) {
            ("a path begins with '/'".to_owned(), format!("write '/{text}'"))
        } else if path_kind && text.contains('?') {
            ("the query is no part of the path".to_owned(), "compare 'url' or 'query' instead".to_owned())
        } else if is_host && text.contains('/') {
            ("a host has no '/'".to_owned(), "write the host's name only".to_owned())
        } else if lowered && upper && !ignores_case && plain && !name.is_empty() {
            ("the sample was made lower case".to_owned(), format!("write '{}'", text.to_ascii_lowercase()))
        } else if name == "method" && plain && text.chars().all(|c| c.is_ascii_lowercase()) && !ignores_case {
            ("methods are upper case".to_owned(), format!("write '{}'", text.to_ascii_uppercase()))
        } else {
            return None;
        };
        let message = format!("pattern '{text}' of '{criterion}' can never match: {why}.");
        Some(Diagnostic::hint("L012", message).at(pattern.span).help(help))
    })
}
