//! `set-header`, `add-header`, `del-header`, `early-hint`.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::LogFormat;
use crate::expr::acl::pattern::compile_regex;
use crate::rules::action_def::{ActionDef, ActionWords, HTTP, HTTP_REQUEST};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new("set-header", HTTP, "Removes all fields of this name and adds one.", |words| {
        write(words, Mode::Set)
    }),
    ActionDef::new("add-header", HTTP, "Adds a field after all others.", |words| write(words, Mode::Add)),
    ActionDef::new(
        "del-header",
        HTTP,
        "Removes all fields whose name is this or matches (-m str|beg|end|sub|reg).",
        delete,
    ),
    ActionDef::new(
        "early-hint",
        HTTP_REQUEST,
        "Adds a field to a 103 Early Hints response that goes out at once.",
        |words| write(words, Mode::EarlyHint),
    ),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Set,
    Add,
    EarlyHint,
}

#[derive(Debug)]
struct Write {
    mode: Mode,
    /// In lower case.
    name: Box<[u8]>,
    value: LogFormat,
}

fn write(words: &mut ActionWords<'_, '_>, mode: Mode) -> Result<Arc<dyn Action>, Diagnostic> {
    let name = words.required("expects exactly 2 arguments.")?;
    let value = words.required("expects exactly 2 arguments.")?;
    Ok(Arc::new(Write {
        mode,
        name: name.bytes().to_ascii_lowercase().into(),
        value: words.http_format(value)?,
    }))
}

impl Action for Write {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.with_text(&self.value, |txn, value| {
            let headers = match self.mode {
                Mode::EarlyHint => Some(&mut txn.effects.early_hints),
                _ => txn.headers_mut(),
            };
            let result = match (headers, self.mode) {
                (None, _) => Ok(()),
                (Some(headers), Mode::Set) => headers.set(&self.name, value),
                (Some(headers), _) => headers.add(&self.name, value),
            };
            txn.rewritten(result)
        })
    }
}

#[derive(Debug)]
enum NameMatch {
    Exact(Box<[u8]>),
    Begins(Box<[u8]>),
    Ends(Box<[u8]>),
    Contains(Box<[u8]>),
    Regex(regex::bytes::Regex),
}

impl NameMatch {
    fn fits(&self, name: &[u8]) -> bool {
        match self {
            NameMatch::Exact(wanted) => name == &**wanted,
            NameMatch::Begins(wanted) => name.starts_with(wanted),
            NameMatch::Ends(wanted) => name.ends_with(wanted),
            NameMatch::Contains(wanted) => memchr::memmem::find(name, wanted).is_some(),
            NameMatch::Regex(regex) => regex.is_match(name),
        }
    }
}

#[derive(Debug)]
struct Delete(NameMatch);

fn delete(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let name = words.required("expects at least 1 argument.")?;
    let lower: Box<[u8]> = name.bytes().to_ascii_lowercase().into();
    if !words.words.take_if("-m") {
        return Ok(Arc::new(Delete(NameMatch::Exact(lower))));
    }
    let method = words.required("-m flag expects exactly 1 argument.")?;
    let matcher = match method.as_str() {
        "str" => NameMatch::Exact(lower),
        "beg" => NameMatch::Begins(lower),
        "end" => NameMatch::Ends(lower),
        "sub" => NameMatch::Contains(lower),
        "reg" => NameMatch::Regex(
            compile_regex(name.bytes(), true).map_err(|error| Diagnostic::alert(error).at(name.span))?,
        ),
        other => {
            let message = format!("-m with unsupported matching method '{other}'.");
            return Err(Diagnostic::alert(message)
                .at(method.span)
                .did_you_mean(other, ["str", "beg", "end", "sub", "reg"]));
        }
    };
    Ok(Arc::new(Delete(matcher)))
}

impl Action for Delete {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        if let Some(headers) = txn.headers_mut() {
            headers.remove_where(|header| self.0.fits(header.name));
        }
        Verdict::Continue
    }
}
