//! Actions on the stream's own parameters: timeouts, priority, marks, retries, services.

use std::sync::Arc;
use std::time::Duration;

use hacore::diag::{Diagnostic, Word};

use crate::expr::{Expr, Sample, SampleType};
use crate::model::ProxyKind;
use crate::rules::action_def::{ActionDef, ActionWords, HTTP_FIRST, HTTP_REQUEST, REQUEST_STREAM, STREAM};
use crate::rules::{Action, RuleSet, Txn, Verdict};

const CLIENT_MARK: &[RuleSet] = &[
    RuleSet::TcpRequestConnection,
    RuleSet::TcpRequestSession,
    RuleSet::TcpRequestContent,
    RuleSet::TcpResponseContent,
    RuleSet::HttpRequest,
    RuleSet::HttpResponse,
];

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new(
        "set-timeout",
        HTTP_FIRST,
        "Changes a timeout of this stream: client, server or tunnel.",
        set_timeout,
    ),
    ActionDef::new("set-retries", HTTP_REQUEST, "Changes the number of retries.", |w| {
        number(w, What::Retries)
    }),
    ActionDef::new(
        "set-priority-class",
        REQUEST_STREAM,
        "Place in the server's queue: lower classes go first.",
        |w| number(w, What::PriorityClass),
    ),
    ActionDef::new(
        "set-priority-offset",
        REQUEST_STREAM,
        "Milliseconds that the request counts as older in the queue.",
        |w| number(w, What::PriorityOffset),
    ),
    ActionDef::new("set-nice", STREAM, "Accepted without effect: a stream has no scheduling priority.", nice),
    ActionDef::new("set-mark", CLIENT_MARK, "Netfilter mark of packets to the client.", |w| {
        mark(w, What::ClientMark)
    }),
    ActionDef::new("set-fc-mark", CLIENT_MARK, "Netfilter mark of packets to the client.", |w| {
        mark(w, What::ClientMark)
    }),
    ActionDef::new("set-bc-mark", REQUEST_STREAM, "Netfilter mark of packets to the server.", |w| {
        mark(w, What::ServerMark)
    }),
    ActionDef::new("set-tos", CLIENT_MARK, "TOS or traffic class of packets to the client.", |w| {
        mark(w, What::ClientTos)
    }),
    ActionDef::new("set-fc-tos", CLIENT_MARK, "TOS or traffic class of packets to the client.", |w| {
        mark(w, What::ClientTos)
    }),
    ActionDef::new("set-bc-tos", REQUEST_STREAM, "TOS or traffic class of packets to the server.", |w| {
        mark(w, What::ServerTos)
    }),
    ActionDef::new("disable-l7-retry", HTTP_REQUEST, "Forbids retries after the request was sent.", |_| {
        Ok(Arc::new(DisableL7Retry))
    }),
    ActionDef::new("use-service", REQUEST_STREAM, "Lets the proxy serve the request itself.", use_service),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum What {
    ClientTimeout,
    ServerTimeout,
    TunnelTimeout,
    Retries,
    PriorityClass,
    PriorityOffset,
    ClientMark,
    ServerMark,
    ClientTos,
    ServerTos,
}

#[derive(Debug)]
enum Number {
    Constant(i64),
    Expr(Expr),
}

#[derive(Debug)]
struct SetNumber {
    what: What,
    number: Number,
}

impl Action for SetNumber {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let value = match &self.number {
            Number::Constant(value) => Some(*value),
            Number::Expr(expr) => match expr.eval_as(&txn.ctx(), SampleType::Int) {
                Some(Sample::Int(value)) => Some(value),
                _ => None,
            },
        };
        if let Some(value) = value {
            apply(self.what, value, txn);
        }
        Verdict::Continue
    }
}

fn apply(what: What, value: i64, txn: &mut Txn<'_>) {
    let effects = &mut *txn.effects;
    let timeout = u64::try_from(value).ok().filter(|ms| *ms > 0).map(Duration::from_millis);
    match what {
        What::ClientTimeout => effects.client_timeout = timeout.or(effects.client_timeout),
        What::ServerTimeout => effects.server_timeout = timeout.or(effects.server_timeout),
        What::TunnelTimeout => effects.tunnel_timeout = timeout.or(effects.tunnel_timeout),
        What::Retries => effects.retries = u32::try_from(value).ok().or(effects.retries),
        What::PriorityClass => effects.priority_class = value.clamp(-2047, 2047) as i16,
        What::PriorityOffset => effects.priority_offset_ms = value.clamp(-524_287, 524_287) as i32,
        What::ClientMark => effects.client_mark = Some(value as u32),
        What::ServerMark => effects.server_mark = Some(value as u32),
        What::ClientTos => effects.client_tos = Some(value as u8),
        What::ServerTos => effects.server_tos = Some(value as u8),
    }
}

fn number(words: &mut ActionWords<'_, '_>, what: What) -> Result<Arc<dyn Action>, Diagnostic> {
    if what == What::Retries
        && let Some(constant) = words.words.peek_str().and_then(|word| word.parse().ok())
    {
        let _ = words.next_word();
        return Ok(Arc::new(SetNumber { what, number: Number::Constant(constant) }));
    }
    Ok(Arc::new(SetNumber { what, number: Number::Expr(words.expression()?) }))
}

fn nice(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let word = words.required("expects exactly 1 argument (integer value).")?;
    if crate::expr::sample::int_prefix(word.bytes()).is_none() {
        return Err(words.alert("expects exactly 1 argument (integer value)."));
    }
    words.notice("'set-nice' has no effect: a thread serves its sessions in the order of their events.");
    Ok(Arc::new(SetNice))
}

/// Sessions have no priorities here.
#[derive(Debug)]
struct SetNice;

impl Action for SetNice {
    fn run(&self, _: &mut Txn<'_>) -> Verdict {
        Verdict::Continue
    }
}

/// A number in decimal or with `0x`, or an expression.
fn mark(words: &mut ActionWords<'_, '_>, what: What) -> Result<Arc<dyn Action>, Diagnostic> {
    let word =
        words.words.peek().ok_or_else(|| words.alert("expects exactly 1 argument (integer/hex value)."))?;
    let text = word.as_str();
    let constant = match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    if let Some(constant) = constant {
        let _ = words.next_word();
        return Ok(Arc::new(SetNumber { what, number: Number::Constant(i64::from(constant)) }));
    }
    let message = format!("invalid character starting at '{text}' (integer/hex value expected).");
    let invalid = Diagnostic::alert(message).at(word.span);
    let expr = words.expression().map_err(|_| invalid)?;
    Ok(Arc::new(SetNumber { what, number: Number::Expr(expr) }))
}

fn set_timeout(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    const USAGE: &str = "expects exactly 2 arguments.";
    let name = words.required(USAGE)?;
    let what = match name.as_str() {
        "client" => What::ClientTimeout,
        "server" => What::ServerTimeout,
        "tunnel" => What::TunnelTimeout,
        other => {
            let message = format!("unknown timeout '{other}': expects 'client', 'server' or 'tunnel'.");
            return Err(Diagnostic::alert(message)
                .at(name.span)
                .did_you_mean(other, ["client", "server", "tunnel"]));
        }
    };
    if what != What::ClientTimeout && words.scope.kind == ProxyKind::Frontend {
        let proxy = words.expr_scope().proxy.unwrap_or_default();
        return Err(words.alert(format!("proxy '{proxy}' has no backend capability.")));
    }
    let Some(value) = words.words.peek().filter(|word| !matches!(word.as_str(), "if" | "unless")) else {
        return Err(words.alert(USAGE));
    };
    let number = match duration_ms(value.as_str()) {
        Some(0) => {
            return Err(Diagnostic::alert("null value is not valid for set-timeout rule.").at(value.span));
        }
        Some(ms) => {
            let _ = words.next_word();
            Number::Constant(ms as i64)
        }
        None => Number::Expr(words.expression()?),
    };
    Ok(Arc::new(SetNumber { what, number }))
}

/// Time in milliseconds unless it carries a unit (manual, section 2.5).
pub(super) fn duration_ms(text: &str) -> Option<u64> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let number: u64 = text.get(..digits)?.parse().ok()?;
    let us_per_unit: u64 = match text.get(digits..)? {
        "" | "ms" => 1_000,
        "us" => 1,
        "s" => 1_000_000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(us_per_unit).map(|us| us.div_ceil(1_000))
}

/// Error about a time that cannot be read.
pub(super) fn bad_duration(word: &Word) -> Diagnostic {
    let unexpected = word.as_str().chars().find(|c| !c.is_ascii_digit()).unwrap_or(' ');
    Diagnostic::alert(format!("unexpected character '{unexpected}'.")).at(word.span)
}

#[derive(Debug)]
struct DisableL7Retry;

impl Action for DisableL7Retry {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.effects.disable_l7_retry = true;
        Verdict::Continue
    }
}

#[derive(Debug)]
struct PrometheusExporter;

impl Action for PrometheusExporter {
    fn run(&self, _: &mut Txn<'_>) -> Verdict {
        Verdict::Metrics
    }
}

fn use_service(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let word = words.required("expects a service name.")?;
    match word.as_str() {
        "prometheus-exporter" => Ok(Arc::new(PrometheusExporter)),
        other if other.starts_with("lua.") => Err(Diagnostic::needs(other, crate::expr::LUA).at(word.span)),
        other => Err(Diagnostic::alert(format!("'{other}' unknown service name."))
            .at(word.span)
            .did_you_mean(other, ["prometheus-exporter"])),
    }
}
