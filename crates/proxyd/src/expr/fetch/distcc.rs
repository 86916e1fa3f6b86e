//! distcc: a stream of tokens of four letters, each with a number in eight hexadecimal digits, some with a body of that
//! many bytes (manual, "distcc_body"; the protocol's own documentation).

use super::{Fetch, fetch};
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, ParseScope, Sample, SampleType};

const ARGS: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];

pub(super) const FETCHES: &[Fetch] = &[
    fetch(
        "distcc_body",
        SampleType::Bin,
        Contexts::PAYLOAD,
        |args, ctx, state| token(args, ctx, state).map(|(_, body)| Sample::bin(body)),
        "the body of a token of a distcc message",
    )
    .args(1, ARGS)
    .check(check),
    fetch(
        "distcc_param",
        SampleType::Int,
        Contexts::PAYLOAD,
        |args, ctx, state| token(args, ctx, state).map(|(number, _)| Sample::Int(i64::from(number))),
        "the number of a token of a distcc message",
    )
    .args(1, ARGS)
    .check(check),
];

/// Tokens whose number is a count or a version, not the length of a body.
const WITHOUT_BODY: &[&[u8]] = &[b"DIST", b"DONE", b"STAT", b"ARGC", b"NFIL"];

const HEAD_BYTES: usize = 12;

fn check(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if args.bytes(0).is_none_or(|token| token.len() != 4) {
        return Err("expects a 4-character token name".to_owned());
    }
    match args.int(1) {
        Some(occurrence) if occurrence < 1 => Err("occurrences start at 1".to_owned()),
        _ => Ok(()),
    }
}

/// The wanted token's number and body, once both are there.
fn token<'a>(args: &Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<(u32, &'a [u8])> {
    let wanted = args.bytes(0)?;
    let mut left = args.int(1).unwrap_or(1);
    let mut rest = ctx.payload().data;
    while let Some((head, after)) = rest.split_at_checked(HEAD_BYTES) {
        let (name, digits) = head.split_at(4);
        let number = u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
        let length = if WITHOUT_BODY.contains(&name) { 0 } else { number as usize };
        if name == wanted {
            left -= 1;
        }
        match after.split_at_checked(length) {
            Some((body, _)) if left <= 0 => return Some((number, body)),
            Some((_, next)) => rest = next,
            // The number alone is known before its body has arrived.
            None if left <= 0 && args.keyword == "distcc_param" => return Some((number, &[])),
            None => break,
        }
    }
    state.may_change |= !ctx.payload().complete;
    None
}
