//! The status line and what is kept of a response (manual, section 7.3.6).

use super::request::{long_version, short_version};
use super::{Fetch, fetch};
use crate::expr::{ArgKind, Args, Contexts, EvalCtx, FetchState, Sample, SampleType};

const KEPT: Contexts = Contexts::SERVER;

pub(super) const FETCHES: &[Fetch] = &[
    fetch("status", SampleType::Int, KEPT, status, "the response's status"),
    fetch("server_status", SampleType::Int, KEPT, server_status, "the status as the server sent it"),
    fetch("txn.status", SampleType::Int, KEPT, sent_status, "the status sent to the client"),
    fetch(
        "res.ver",
        SampleType::Str,
        KEPT,
        |_, c, _| Some(short_version(c.response?.version())),
        "the response's HTTP version",
    ),
    fetch(
        "resp_ver",
        SampleType::Str,
        KEPT,
        |_, c, _| Some(short_version(c.response?.version())),
        "old name of res.ver",
    ),
    fetch(
        "capture.res.ver",
        SampleType::Str,
        Contexts::STREAM,
        |_, c, _| Some(long_version(c.response?.version())),
        "the response's version, also later on",
    ),
    fetch("capture.res.hdr", SampleType::Str, KEPT, capture, "a captured response header")
        .args(1, &[ArgKind::Int]),
];

fn status<'a>(_: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    match (ctx.response, ctx.stream) {
        (Some(head), _) => Some(Sample::Int(head.status().into())),
        (None, Some(stream)) if stream.status != 0 => Some(Sample::Int(stream.status.into())),
        _ => None,
    }
}

fn server_status<'a>(_: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let status = ctx.stream?.server_status;
    (status != 0).then_some(Sample::Int(status.into()))
}

fn sent_status<'a>(_: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let status = ctx.stream?.status;
    (status != 0).then_some(Sample::Int(status.into()))
}

fn capture<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let slot = usize::try_from(args.int(0)?).ok()?;
    ctx.stream?.response_captures.get(slot).map(|text| Sample::Str(text.into()))
}
