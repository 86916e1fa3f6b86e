//! Bodies and buffer contents (manual, sections 7.3.5 and 7.3.6).

use super::request::next_param;
use super::{Fetch, fetch};
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, Payload, Sample, SampleType};

const REQ: Contexts = Contexts::REQUEST;
const RES: Contexts = Contexts::RESPONSE;
const BIN: SampleType = SampleType::Bin;
const INT: SampleType = SampleType::Int;
const PART: &[ArgKind] = &[ArgKind::Int, ArgKind::Int];
const LV: &[ArgKind] = &[ArgKind::Int, ArgKind::Int, ArgKind::Str];

pub(super) const FETCHES: &[Fetch] = &[
    fetch(
        "req.body",
        BIN,
        REQ,
        |_, c, _| body(c.request.is_some(), c.request_payload),
        "the request's body as far as it is there",
    ),
    fetch(
        "req.body_len",
        INT,
        REQ,
        |_, c, _| length(c.request.is_some(), c.request_payload),
        "bytes of the request's body that are there",
    ),
    fetch(
        "req.body_size",
        INT,
        REQ,
        |_, c, _| size(c.request.is_some(), c.request_payload),
        "the request's announced body size",
    ),
    fetch("req.body_param", BIN, REQ, body_param, "a parameter of a form in the request's body")
        .args(0, &[ArgKind::Str, ArgKind::Str]),
    fetch(
        "res.body",
        BIN,
        RES,
        |_, c, _| body(c.response.is_some(), c.response_payload),
        "the response's body as far as it is there",
    ),
    fetch(
        "res.body_len",
        INT,
        RES,
        |_, c, _| length(c.response.is_some(), c.response_payload),
        "bytes of the response's body that are there",
    ),
    fetch(
        "res.body_size",
        INT,
        RES,
        |_, c, _| size(c.response.is_some(), c.response_payload),
        "the response's announced body size",
    ),
    fetch("req.len", INT, REQ, |_, c, s| buffered(c.request_payload, c, s), "bytes in the request buffer"),
    fetch("req_len", INT, REQ, |_, c, s| buffered(c.request_payload, c, s), "old name of req.len"),
    fetch("res.len", INT, RES, |_, c, s| buffered(c.response_payload, c, s), "bytes in the response buffer"),
    fetch(
        "payload",
        BIN,
        Contexts::PAYLOAD,
        |a, c, s| part(c.payload(), a, c, s),
        "a part of the buffer by offset and length",
    )
    .args(2, PART),
    fetch(
        "req.payload",
        BIN,
        REQ,
        |a, c, s| part(c.request_payload, a, c, s),
        "a part of the request buffer",
    )
    .args(2, PART),
    fetch(
        "res.payload",
        BIN,
        RES,
        |a, c, s| part(c.response_payload, a, c, s),
        "a part of the response buffer",
    )
    .args(2, PART),
    fetch(
        "payload_lv",
        BIN,
        Contexts::PAYLOAD,
        |a, c, s| length_value(c.payload(), a, c, s),
        "a length-prefixed part of the buffer",
    )
    .args(2, LV),
    fetch(
        "req.payload_lv",
        BIN,
        REQ,
        |a, c, s| length_value(c.request_payload, a, c, s),
        "a length-prefixed part of the request buffer",
    )
    .args(2, LV),
    fetch(
        "res.payload_lv",
        BIN,
        RES,
        |a, c, s| length_value(c.response_payload, a, c, s),
        "a length-prefixed part of the response buffer",
    )
    .args(2, LV),
    fetch("rdp_cookie", SampleType::Str, REQ, rdp_cookie, "a cookie of an RDP connection request")
        .args(0, &[ArgKind::Str]),
    fetch("req.rdp_cookie", SampleType::Str, REQ, rdp_cookie, "a cookie of an RDP connection request")
        .args(0, &[ArgKind::Str]),
    fetch("rdp_cookie_cnt", INT, REQ, rdp_cookie_count, "how many such RDP cookies there are")
        .args(0, &[ArgKind::Str]),
    fetch("req.rdp_cookie_cnt", INT, REQ, rdp_cookie_count, "how many such RDP cookies there are")
        .args(0, &[ArgKind::Str]),
];

fn body(is_http: bool, payload: Payload<'_>) -> Option<Sample<'_>> {
    is_http.then(|| Sample::bin(payload.data))
}

fn length<'a>(is_http: bool, payload: Payload<'_>) -> Option<Sample<'a>> {
    is_http.then(|| Sample::Int(payload.data.len() as i64))
}

fn size<'a>(is_http: bool, payload: Payload<'_>) -> Option<Sample<'a>> {
    let size = payload.announced_bytes.unwrap_or(payload.data.len() as u64);
    is_http.then(|| Sample::Int(i64::try_from(size).unwrap_or(i64::MAX)))
}

fn body_param<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    let offset = if state.iterate { state.position } else { 0 };
    let ignore_case = args.bytes(1) == Some(b"i");
    let (value, next) = next_param(ctx.request_payload.data, offset, args.bytes(0), ignore_case)?;
    state.position = next;
    state.more = state.iterate;
    Some(Sample::str(value))
}

fn buffered<'a>(payload: Payload<'a>, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    state.may_change = !payload.complete && !ctx.is_final;
    Some(Sample::Int(payload.data.len() as i64))
}

/// Length 0 is all that is there from the offset on.
fn part<'a>(
    payload: Payload<'a>,
    args: &Args,
    ctx: &EvalCtx<'a>,
    state: &mut FetchState,
) -> Option<Sample<'a>> {
    let offset = usize::try_from(args.int(0)?).ok()?;
    let length = usize::try_from(args.int(1)?).ok()?;
    take(payload, offset, length, ctx, state)
}

fn take<'a>(
    payload: Payload<'a>,
    offset: usize,
    length: usize,
    ctx: &EvalCtx<'a>,
    state: &mut FetchState,
) -> Option<Sample<'a>> {
    let waits = !payload.complete && !ctx.is_final;
    if length == 0 {
        state.may_change = waits;
        return payload.data.get(offset..).map(Sample::bin);
    }
    match payload.data.get(offset..offset.checked_add(length)?) {
        Some(bytes) => Some(Sample::bin(bytes)),
        None => {
            state.may_change = waits;
            None
        }
    }
}

/// The length stands at `offset1` in `size` bytes; the value at `offset2`, behind the length if none is given, or that
/// much further with a sign.
fn length_value<'a>(
    payload: Payload<'a>,
    args: &Args,
    ctx: &EvalCtx<'a>,
    state: &mut FetchState,
) -> Option<Sample<'a>> {
    let at = usize::try_from(args.int(0)?).ok()?;
    let size = usize::try_from(args.int(1)?).ok()?;
    let Some(prefix) = payload.data.get(at..at.checked_add(size)?) else {
        state.may_change = !payload.complete && !ctx.is_final;
        return None;
    };
    let length =
        prefix.iter().try_fold(0_usize, |value, b| value.checked_mul(256)?.checked_add(usize::from(*b)))?;
    let behind = at + size;
    let start = match args.text(2) {
        None => behind,
        Some(text) if text.starts_with(['+', '-']) => behind.checked_add_signed(text.parse().ok()?)?,
        Some(text) => text.parse().ok()?,
    };
    if length == 0 {
        return None;
    }
    take(payload, start, length, ctx, state)
}

/// The cookies behind the X.224 connection request of RDP: `Cookie: name=value\r\n`.
fn find_rdp_cookie<'a>(args: &Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<&'a [u8]> {
    const HEADER_BYTES: usize = 11;
    const MARK: &[u8] = b"Cookie:";
    let data = ctx.request_payload.data;
    let waits = !ctx.request_payload.complete && !ctx.is_final;
    let is_rdp = data.first().is_none_or(|b| *b == 3) && data.get(5).is_none_or(|b| *b == 0xe0);
    state.may_change = waits && is_rdp;
    let rest = data.get(HEADER_BYTES..).filter(|_| is_rdp)?;
    let line =
        rest.get(..MARK.len()).filter(|mark| mark.eq_ignore_ascii_case(MARK)).and(rest.get(MARK.len()..))?;
    let end = memchr::memmem::find(line, b"\r\n")?;
    let pair = line.get(..end)?.trim_ascii_start();
    let equals = memchr::memchr(b'=', pair)?;
    let (name, value) = pair.split_at(equals);
    if args.bytes(0).is_some_and(|wanted| !wanted.eq_ignore_ascii_case(name)) {
        return None;
    }
    state.may_change = false;
    value.get(1..)
}

fn rdp_cookie<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    find_rdp_cookie(args, ctx, state).map(Sample::str)
}

fn rdp_cookie_count<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    Some(Sample::Int(i64::from(find_rdp_cookie(args, ctx, state).is_some())))
}
