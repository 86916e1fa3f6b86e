//! `capture`: a sample into a slot that logs and `capture.req.hdr` read.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::{Expr, SampleType};
use crate::rules::action_def::{ActionDef, ActionWords};
use crate::rules::{Action, RuleSet, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[ActionDef::new(
    "capture",
    &[RuleSet::HttpRequest, RuleSet::HttpResponse, RuleSet::TcpRequestContent],
    "Stores a sample in a capture slot: a new one with len, a declared one with id.",
    parse,
)];

#[derive(Debug)]
struct Capture {
    expr: Expr,
    slot: usize,
    length: usize,
    in_response: bool,
}

/// Longest capture: the buffer it is stored in.
const LENGTH_MAX: usize = 16384;

fn parse(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let usage = match words.scope.set {
        RuleSet::HttpRequest => "expects <expression> [ 'len' <length> | id <idx> ].",
        RuleSet::HttpResponse => "expects <expression> id <idx>.",
        _ => "a positive 'len' argument is mandatory",
    };
    if words.words.is_empty() {
        return Err(words.alert(usage));
    }
    let expr = words.expression()?;
    let in_response = words.scope.set == RuleSet::HttpResponse;
    let kind = words.required(usage)?;
    let number = words.required(usage)?;
    let parsed: Option<usize> = number.as_str().parse().ok();
    let mut captures = words.scope.captures.borrow_mut();
    let slots = if in_response { &mut captures.response } else { &mut captures.request };
    let (slot, length) = match (kind.as_str(), parsed) {
        ("len", Some(length @ 1..=LENGTH_MAX)) if !in_response => {
            slots.push((String::new(), length));
            (slots.len() - 1, length)
        }
        ("len", _) if !in_response => return Err(Diagnostic::alert("length must be > 0.").at(number.span)),
        ("id", Some(id)) => match slots.get(id) {
            Some((_, length)) => (id, *length),
            None => {
                let set = words.scope.set.keyword();
                let message = format!("unable to find capture id '{id}' referenced by {set} capture rule.");
                return Err(Diagnostic::alert(message).at(number.span));
            }
        },
        ("id", None) => return Err(Diagnostic::alert("expects a capture id after 'id'.").at(number.span)),
        (other, _) => {
            let expected = if in_response { "'id'" } else { "'len' or 'id'" };
            return Err(Diagnostic::alert(format!("expects {expected}, found '{other}'.")).at(kind.span));
        }
    };
    Ok(Arc::new(Capture { expr, slot, length, in_response }))
}

impl Action for Capture {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let value = self.expr.eval_as(&txn.ctx(), SampleType::Str).and_then(|sample| {
            let text = sample.into_text()?;
            Some(text.get(..self.length.min(text.len()))?.to_vec())
        });
        if let (Some(value), Some(stream)) = (value, txn.stream.as_deref_mut()) {
            let slots =
                if self.in_response { &mut stream.response_captures } else { &mut stream.request_captures };
            slots.set(self.slot, value);
        }
        Verdict::Continue
    }
}
