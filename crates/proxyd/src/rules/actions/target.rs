//! `set-method`, `set-path`, `set-pathq`, `set-query`, `set-uri`, `set-status`.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::LogFormat;
use crate::rules::action_def::{ActionDef, ActionWords, HTTP_REQUEST};
use crate::rules::{Action, RuleSet, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new("set-method", HTTP_REQUEST, "Replaces the request's method.", |words| {
        set(words, Part::Method)
    }),
    ActionDef::new("set-path", HTTP_REQUEST, "Replaces the path and keeps the query.", |words| {
        set(words, Part::Path)
    }),
    ActionDef::new("set-pathq", HTTP_REQUEST, "Replaces path and query.", |words| {
        set(words, Part::PathAndQuery)
    }),
    ActionDef::new(
        "set-query",
        HTTP_REQUEST,
        "Replaces the query; a leading question mark may be given.",
        |words| set(words, Part::Query),
    ),
    ActionDef::new("set-uri", HTTP_REQUEST, "Replaces the whole request target.", |words| {
        set(words, Part::Uri)
    }),
    ActionDef::new(
        "set-status",
        &[RuleSet::HttpResponse, RuleSet::HttpAfterResponse],
        "Replaces the status and its reason.",
        status,
    ),
];

#[derive(Debug, Clone, Copy)]
enum Part {
    Method,
    Path,
    PathAndQuery,
    Query,
    Uri,
}

#[derive(Debug)]
struct Set {
    part: Part,
    value: LogFormat,
}

fn set(words: &mut ActionWords<'_, '_>, part: Part) -> Result<Arc<dyn Action>, Diagnostic> {
    let value = words.required("expects exactly 1 argument <format>.")?;
    Ok(Arc::new(Set { part, value: words.http_format(value)? }))
}

impl Action for Set {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.with_text(&self.value, |txn, text| {
            // What would end the request line must never reach it.
            if text.iter().any(|&byte| byte <= b' ' || byte == 0x7f) {
                return if txn.effects.lenient { Verdict::Continue } else { Verdict::Failed };
            }
            let Some(request) = txn.request.as_deref_mut() else { return Verdict::Continue };
            let result = match self.part {
                Part::Method => request.set_method(text),
                Part::Path => request.set_path(text),
                Part::PathAndQuery => request.set_path_and_query(text),
                Part::Query => request.set_query(text),
                Part::Uri => request.set_target(text),
            };
            txn.rewritten(result)
        })
    }
}

#[derive(Debug)]
struct Status {
    status: u16,
    reason: Option<Box<[u8]>>,
}

fn status(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let word = words.required("expects 1 argument: <status>; or 3 arguments: <status> reason <fmt>.")?;
    let status = word.as_str().parse().ok().filter(|status| (100..=999).contains(status));
    let status = status.ok_or_else(|| {
        Diagnostic::alert("expects an integer status code between 100 and 999.").at(word.span)
    })?;
    let mut reason = None;
    if words.words.peek_str() == Some("reason") && words.words.peek_at(1).is_some() {
        let _ = words.next_word();
        reason = words.next_word().map(|word| word.bytes().into());
    }
    Ok(Arc::new(Status { status, reason }))
}

impl Action for Status {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let Some(response) = txn.response.as_deref_mut() else { return Verdict::Continue };
        let result = response.set_status(self.status, self.reason.as_deref());
        txn.rewritten(result)
    }
}
