//! `replace-header`, `replace-value`, `replace-path`, `replace-pathq`, `replace-uri`.

use std::sync::Arc;

use hacore::diag::Diagnostic;
use regex::bytes::{Captures, Regex};

use crate::expr::LogFormat;
use crate::expr::acl::pattern::compile_regex;
use crate::http::HeadFull;
use crate::http::headers::{HeaderList, split_commas};
use crate::rules::action_def::{ActionDef, ActionWords, HTTP, HTTP_REQUEST};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new("replace-header", HTTP, "Replaces whole values of a field that match a regex.", |words| {
        header(words, true)
    }),
    ActionDef::new(
        "replace-value",
        HTTP,
        "Replaces comma-separated elements of a field that match a regex.",
        |words| header(words, false),
    ),
    ActionDef::new(
        "replace-path",
        HTTP_REQUEST,
        "Replaces the path, without query, if it matches a regex.",
        |words| target(words, Part::Path),
    ),
    ActionDef::new(
        "replace-pathq",
        HTTP_REQUEST,
        "Replaces path and query if they match a regex.",
        |words| target(words, Part::PathAndQuery),
    ),
    ActionDef::new(
        "replace-uri",
        HTTP_REQUEST,
        "Replaces the whole request target if it matches a regex.",
        |words| target(words, Part::Uri),
    ),
];

fn regex(word: &hacore::diag::Word) -> Result<Regex, Diagnostic> {
    compile_regex(word.bytes(), false).map_err(|error| Diagnostic::alert(error).at(word.span))
}

/// Appends `template` with `\0` to `\9` replaced by groups; a backslash before anything else hides it.
fn expand(template: &[u8], groups: &Captures<'_>, out: &mut Vec<u8>) {
    let mut rest = template;
    while let [byte, tail @ ..] = rest {
        rest = tail;
        match (*byte, tail) {
            (b'\\', [digit @ b'0'..=b'9', after @ ..]) => {
                let group = groups.get(usize::from(digit - b'0'));
                out.extend_from_slice(group.map_or(&b""[..], |group| group.as_bytes()));
                rest = after;
            }
            (b'\\', [b'x', high, low, after @ ..]) if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() => {
                let digit = |byte: u8| (byte as char).to_digit(16).unwrap_or(0) as u8;
                out.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            (b'\\', [other, after @ ..]) => {
                out.push(*other);
                rest = after;
            }
            (b'\\', []) => {}
            (other, _) => out.push(other),
        }
    }
}

#[derive(Debug)]
struct ReplaceHeader {
    name: Box<[u8]>,
    whole: bool,
    regex: Regex,
    replacement: LogFormat,
}

fn header(words: &mut ActionWords<'_, '_>, whole: bool) -> Result<Arc<dyn Action>, Diagnostic> {
    const USAGE: &str = "expects exactly 3 arguments.";
    let name = words.required(USAGE)?;
    let pattern = words.required(USAGE)?;
    let replacement = words.required(USAGE)?;
    Ok(Arc::new(ReplaceHeader {
        name: name.bytes().to_ascii_lowercase().into(),
        whole,
        regex: regex(pattern)?,
        replacement: words.http_format(replacement)?,
    }))
}

impl Action for ReplaceHeader {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        if txn.headers_mut().is_none_or(|headers| !headers.contains(&self.name)) {
            return Verdict::Continue;
        }
        txn.with_text(&self.replacement, |txn, template| {
            txn.with_buffer(|txn, buffer| {
                let result = match txn.headers_mut() {
                    Some(headers) => self.replace_all(headers, template, buffer),
                    None => Ok(()),
                };
                txn.rewritten(result)
            })
        })
    }
}

impl ReplaceHeader {
    fn replace_all(
        &self,
        headers: &mut HeaderList,
        template: &[u8],
        new: &mut Vec<u8>,
    ) -> Result<(), HeadFull> {
        let mut from = 0;
        while let Some(index) = headers.position(&self.name, from) {
            from = index + 1;
            let Some(header) = headers.get(index) else { break };
            new.clear();
            let changed = if self.whole {
                self.replace_one(header.value, template, new)
            } else {
                self.replace_elements(header.value, template, new)
            };
            if changed {
                headers.replace_value(index, new)?;
            }
        }
        Ok(())
    }

    /// The replacement stands for the whole value, not only for what matched.
    fn replace_one(&self, value: &[u8], template: &[u8], new: &mut Vec<u8>) -> bool {
        let Some(groups) = self.regex.captures(value) else { return false };
        expand(template, &groups, new);
        true
    }

    fn replace_elements(&self, value: &[u8], template: &[u8], new: &mut Vec<u8>) -> bool {
        let mut changed = false;
        // What stands between elements stays as it was.
        let mut copied = 0;
        for element in split_commas(value) {
            let start = offset_in(value, element);
            let Some(groups) = self.regex.captures(element) else { continue };
            new.extend_from_slice(value.get(copied..start).unwrap_or_default());
            expand(template, &groups, new);
            copied = start + element.len();
            changed = true;
        }
        new.extend_from_slice(value.get(copied..).unwrap_or_default());
        changed
    }
}

/// Where a subslice begins.
fn offset_in(whole: &[u8], part: &[u8]) -> usize {
    (part.as_ptr() as usize).saturating_sub(whole.as_ptr() as usize).min(whole.len())
}

#[derive(Debug, Clone, Copy)]
enum Part {
    Path,
    PathAndQuery,
    Uri,
}

#[derive(Debug)]
struct ReplaceTarget {
    part: Part,
    regex: Regex,
    replacement: LogFormat,
}

fn target(words: &mut ActionWords<'_, '_>, part: Part) -> Result<Arc<dyn Action>, Diagnostic> {
    const USAGE: &str = "expects exactly 2 arguments <match-regex> and <replace-format>.";
    let pattern = words.required(USAGE)?;
    let replacement = words.required(USAGE)?;
    Ok(Arc::new(ReplaceTarget { part, regex: regex(pattern)?, replacement: words.http_format(replacement)? }))
}

impl Action for ReplaceTarget {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.with_text(&self.replacement, |txn, template| {
            txn.with_buffer(|txn, buffer| {
                let Some(request) = txn.request.as_deref_mut() else { return Verdict::Continue };
                let old = match self.part {
                    Part::Path => request.path(),
                    Part::PathAndQuery => request.uri().path_and_query,
                    Part::Uri => request.target(),
                };
                let Some(groups) = self.regex.captures(old) else { return Verdict::Continue };
                expand(template, &groups, buffer);
                let result = match self.part {
                    Part::Path => request.set_path(buffer),
                    Part::PathAndQuery => request.set_path_and_query(buffer),
                    Part::Uri => request.set_target(buffer),
                };
                txn.rewritten(result)
            })
        })
    }
}
