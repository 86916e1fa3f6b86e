//! `when(condition)`: lets a value pass under a condition about the stream (manual, "when").

use super::{Converter, ConverterState, conv};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType, Verdict};

const S: ArgKind = ArgKind::Str;

pub(super) const CONVERTERS: &[Converter] =
    &[conv("when", SampleType::Any, SampleType::Same, when, "the value if a condition holds, or nothing")
        .args(1, &[S, S, S])
        .check(check)];

/// What the value waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Event {
    Error,
    Forwarded,
    Processed,
    Stopping,
    ToApplet,
    /// The one ACL of the state.
    Acl,
}

/// A condition, compiled.
#[derive(Debug, Clone)]
pub struct When {
    event: Event,
    is_negated: bool,
    acl: Option<std::sync::Arc<crate::expr::acl::Acl>>,
}

fn check(args: &mut Args, scope: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    const EXPECTS: &str = "'acl', 'error', 'forwarded', 'normal', 'processed', 'stopping' or 'toapplet'";
    let text = args.text(0).unwrap_or_default();
    let (mut is_negated, name) = match text.strip_prefix('!') {
        Some(name) => (true, name),
        None => (false, text),
    };
    let event = match name {
        "error" => Event::Error,
        "normal" => {
            is_negated = !is_negated;
            Event::Error
        }
        "forwarded" => Event::Forwarded,
        "processed" => Event::Processed,
        "stopping" => Event::Stopping,
        "toapplet" => Event::ToApplet,
        "acl" => Event::Acl,
        _ => return Err(format!("unknown condition '{name}', expects {EXPECTS}")),
    };
    let acl = match (event, args.text(1)) {
        (Event::Acl, None) => return Err("'acl' expects the name of an ACL".to_owned()),
        (Event::Acl, Some(name)) => {
            let acl = scope.acls.and_then(|table| table.find(name, scope));
            Some(acl.ok_or_else(|| format!("no such ACL : '{name}'"))?)
        }
        (_, Some(extra)) => return Err(format!("'{name}' takes no argument, got '{extra}'")),
        (_, None) => None,
    };
    args.state = ConverterState::When(Box::new(When { event, is_negated, acl }));
    Ok(())
}

fn when<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let ConverterState::When(when) = &args.state else { return None };
    let stream = ctx.stream;
    let is_forwarded = || stream.is_some_and(|stream| stream.server.is_some());
    let is_applet = || stream.is_some_and(|stream| stream.service.is_some());
    let holds = match when.event {
        Event::Error => {
            let is_http =
                ctx.session.frontend.and_then(|id| ctx.env.frontend(id)).is_some_and(|view| view.is_http);
            stream.is_some_and(|stream| stream.is_failure(is_http))
        }
        Event::Forwarded => is_forwarded(),
        Event::Processed => is_forwarded() || is_applet(),
        Event::Stopping => ctx.env.process().stopping,
        Event::ToApplet => is_applet(),
        Event::Acl => when.acl.as_ref().is_some_and(|acl| acl.eval(ctx) == Verdict::Pass),
    };
    (holds != when.is_negated).then_some(sample)
}
