//! `dump_all_vars`: every variable of a scope as text (manual, "dump_all_vars").

use std::io::Write as _;

use super::{Fetch, fetch};
use crate::expr::vars::Scope;
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, ParseScope, Sample, SampleType};

const S: ArgKind = ArgKind::Str;

pub(super) const FETCHES: &[Fetch] = &[fetch(
    "dump_all_vars",
    SampleType::Str,
    Contexts::EVERYWHERE,
    dump,
    "all variables of a scope as text",
)
.args(0, &[S, S, S])
.check(check)];

/// In the order in which they are visited without an argument.
const SCOPES: [(&str, Scope); 5] = [
    ("sess", Scope::Session),
    ("txn", Scope::Transaction),
    ("req", Scope::Request),
    ("res", Scope::Response),
    ("proc", Scope::Process),
];

/// The most bytes of a dump; a longer one fails as a whole. A buffer's default size.
const DUMP_BYTES_MAX: usize = 16_384;

fn check(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    match args.text(0) {
        Some(name) if !SCOPES.iter().any(|(known, _)| *known == name) => {
            Err(format!("invalid scope '{name}', expects 'sess', 'txn', 'req', 'res' or 'proc'"))
        }
        _ => Ok(()),
    }
}

fn dump<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let prefix = args.bytes(1).unwrap_or_default();
    let delimiter = args.bytes(2).unwrap_or(b", ");
    let mut out = Vec::new();
    for (scope_name, scope) in
        SCOPES.iter().filter(|(name, _)| args.text(0).is_none_or(|wanted| wanted == *name))
    {
        for (name, value) in variables(ctx, *scope) {
            if !name.as_bytes().starts_with(prefix) {
                continue;
            }
            if !out.is_empty() {
                out.extend_from_slice(delimiter);
            }
            // Writing to a Vec cannot fail.
            let _ = write!(out, "{scope_name}.{name}=");
            push_value(&mut out, value);
            (out.len() <= DUMP_BYTES_MAX).then_some(())?;
        }
    }
    Some(Sample::str(out))
}

fn variables(ctx: &EvalCtx<'_>, scope: Scope) -> Vec<(std::sync::Arc<str>, Sample<'static>)> {
    match scope {
        Scope::Process => {
            ctx.env.process_variables().into_iter().map(|(name, value)| (name.name, value)).collect()
        }
        _ => ctx.vars.map(|vars| vars.list(scope)).unwrap_or_default(),
    }
}

fn push_value(out: &mut Vec<u8>, value: Sample<'_>) {
    match value {
        Sample::Bool(value) => out.extend_from_slice(if value { b"true" } else { b"false" }),
        Sample::Bin(bytes) => {
            out.push(b'x');
            out.extend(crate::expr::sample::hex_upper(&bytes).to_ascii_lowercase());
        }
        Sample::Str(text) => push_quoted(out, &text),
        Sample::Method(method) => push_quoted(out, &method.into_data()),
        other => out.extend_from_slice(&other.into_text().unwrap_or(crate::expr::Data::Borrowed(b""))),
    }
}

fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for byte in text {
        match byte {
            b'"' | b'\\' => out.extend([b'\\', *byte]),
            b'\r' => out.extend(b"\\r"),
            b'\n' => out.extend(b"\\n"),
            8 => out.extend(b"\\b"),
            0 => out.extend(b"\\0"),
            _ => out.push(*byte),
        }
    }
    out.push(b'"');
}
