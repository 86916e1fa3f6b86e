//! `wait-for-body`.

use std::sync::Arc;
use std::time::Duration;

use hacore::diag::Diagnostic;

use super::stream::{bad_duration, duration_ms};
use crate::expr::Direction;
use crate::rules::action_def::{ActionDef, ActionWords, HTTP_FIRST};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[ActionDef::new(
    "wait-for-body",
    HTTP_FIRST,
    "Waits until the body, or so many bytes of it, is in the buffer.",
    parse,
)];

#[derive(Debug)]
struct WaitForBody {
    timeout: Duration,
    /// 0 is all.
    at_least_bytes: u64,
}

fn parse(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    const USAGE: &str = "expects time <time> [ at-least <bytes> ].";
    let mut timeout = None;
    let mut at_least_bytes = 0;
    loop {
        if words.words.take_if("time") {
            let word = words.required("missing argument for 'time'.")?;
            timeout = Some(duration_ms(word.as_str()).ok_or_else(|| bad_duration(word))?);
        } else if words.words.take_if("at-least") {
            let word = words.required("missing argument for 'at-least'.")?;
            at_least_bytes = size_bytes(word.as_str()).ok_or_else(|| bad_duration(word))?;
        } else {
            break;
        }
    }
    let timeout = timeout.ok_or_else(|| words.alert(USAGE))?;
    Ok(Arc::new(WaitForBody { timeout: Duration::from_millis(timeout), at_least_bytes }))
}

/// A size with an optional `k`, `m` or `g`.
fn size_bytes(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let shift = match text.get(digits..)? {
        "" => 0,
        "k" | "K" => 10,
        "m" | "M" => 20,
        "g" | "G" => 30,
        _ => return None,
    };
    number.checked_mul(1 << shift)
}

impl Action for WaitForBody {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let payload = match txn.direction {
            Direction::Request => txn.request_payload,
            Direction::Response => txn.response_payload,
        };
        let enough = self.at_least_bytes > 0 && payload.data.len() as u64 >= self.at_least_bytes;
        let has_body = match txn.direction {
            Direction::Request => txn.request.as_ref().is_some_and(|head| head.framing().has_body()),
            Direction::Response => txn.response.as_ref().is_some_and(|head| head.framing().has_body()),
        };
        if payload.complete || enough || txn.wait_expired || !has_body {
            return Verdict::Continue;
        }
        Verdict::WaitForBody { timeout: self.timeout, at_least_bytes: self.at_least_bytes }
    }
}
