//! The request line: method, path, query, URL, version (manual, section 7.3.6).

use super::{Fetch, fetch};
use crate::expr::sample::int_prefix;
use crate::expr::{ArgKind, Args, Contexts, Data, EvalCtx, FetchState, Method, Sample, SampleType};
use crate::http::h1::{Limits, Parsed, parse_request};
use crate::http::{RequestHead, Version};

const REQ: Contexts = Contexts::REQUEST;
const KEPT: Contexts = Contexts::STREAM;

pub(super) const FETCHES: &[Fetch] = &[
    fetch("method", SampleType::Method, KEPT, |_, c, _| method(c.request?), "the request's method"),
    fetch("path", SampleType::Str, REQ, |_, c, _| path(c.request?), "the path without query"),
    fetch("pathq", SampleType::Str, REQ, |_, c, _| path_and_query(c.request?), "the path with its query"),
    fetch("query", SampleType::Str, REQ, query, "the query without '?'").args(0, &[ArgKind::Str]),
    fetch(
        "url",
        SampleType::Str,
        REQ,
        |_, c, _| Some(Sample::str(c.request?.target())),
        "the request target",
    ),
    fetch("url_ip", SampleType::Ipv4, REQ, url_ip, "the target's address"),
    fetch("url_port", SampleType::Int, REQ, url_port, "the target's port"),
    fetch("base", SampleType::Str, REQ, |_, c, _| base(c.request?).map(Sample::str), "host and path"),
    fetch("baseq", SampleType::Str, REQ, |_, c, _| base_and_query(c.request?), "host, path and query"),
    fetch(
        "base32",
        SampleType::Int,
        REQ,
        |_, c, _| Some(Sample::Int(base_hash(c)?.into())),
        "a hash of host and path",
    ),
    fetch(
        "base32+src",
        SampleType::Bin,
        REQ,
        |_, c, _| with_source(base_hash(c)?, c),
        "a hash of host and path, and the client's address",
    ),
    fetch(
        "url32",
        SampleType::Int,
        REQ,
        |_, c, _| Some(Sample::Int(url_hash(c)?.into())),
        "a hash of host, path and query",
    ),
    fetch(
        "url32+src",
        SampleType::Bin,
        REQ,
        |_, c, _| with_source(url_hash(c)?, c),
        "a hash of host, path and query, and the client's address",
    ),
    fetch("url_param", SampleType::Str, REQ, param, "a parameter of the query").args(0, PARAM),
    fetch("urlp", SampleType::Str, REQ, param, "a parameter of the query").args(0, PARAM),
    fetch("urlp_val", SampleType::Int, REQ, param_value, "a parameter of the query as an integer")
        .args(0, PARAM),
    fetch(
        "req.ver",
        SampleType::Str,
        KEPT,
        |_, c, _| Some(short_version(c.request?.version())),
        "the request's HTTP version, such as 1.1",
    ),
    fetch(
        "req_ver",
        SampleType::Str,
        KEPT,
        |_, c, _| Some(short_version(c.request?.version())),
        "old name of req.ver",
    ),
    fetch("req.proto_http", SampleType::Bool, KEPT, proto_http, "the request is HTTP"),
    fetch("req_proto_http", SampleType::Bool, KEPT, proto_http, "old name of req.proto_http"),
    fetch(
        "http_first_req",
        SampleType::Bool,
        KEPT,
        |_, c, _| Some(Sample::Bool(c.session.requests_before <= 1)),
        "the first request of its connection",
    ),
    fetch("capture.req.method", SampleType::Str, KEPT, |_, c, _| captured(c, 0), "the method, also later on"),
    fetch("capture.req.uri", SampleType::Str, KEPT, |_, c, _| captured(c, 1), "the URI, also later on"),
    fetch("capture.req.ver", SampleType::Str, KEPT, |_, c, _| captured(c, 2), "the version, also later on"),
    fetch("capture.req.hdr", SampleType::Str, KEPT, capture, "a captured request header")
        .args(1, &[ArgKind::Int]),
];

const PARAM: &[ArgKind] = &[ArgKind::Str, ArgKind::Str, ArgKind::Str];

fn method(head: &RequestHead) -> Option<Sample<'_>> {
    Some(Sample::Method(Method::parse(head.method_bytes().into())))
}

fn path(head: &RequestHead) -> Option<Sample<'_>> {
    let path = head.path();
    (!path.is_empty()).then(|| Sample::str(path))
}

fn path_and_query(head: &RequestHead) -> Option<Sample<'_>> {
    let path = head.uri().path_and_query;
    (!path.is_empty()).then(|| Sample::str(path))
}

fn query<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let head = ctx.request?;
    let query = head.query()?;
    if args.bytes(0) == Some(b"with_qm") && !query.is_empty() {
        let uri = head.uri();
        return uri.path_and_query.get(uri.path.len()..).map(Sample::str);
    }
    Some(Sample::str(query))
}

pub(super) fn host(head: &RequestHead) -> &[u8] {
    head.headers.find(b"host").unwrap_or_default()
}

pub(super) fn base(head: &RequestHead) -> Option<Data<'_>> {
    let (host, path) = (host(head), head.path());
    if host.is_empty() {
        return (!path.is_empty()).then_some(Data::Borrowed(path));
    }
    Some(Data::Owned([host, path].concat()))
}

/// HAProxy's running hash of the first Host header and the path, then the full avalanche.
fn hash(parts: [&[u8]; 2]) -> u32 {
    let sum = parts.iter().flat_map(|part| part.iter()).fold(0_u32, |hash, byte| {
        u32::from(*byte).wrapping_add(hash << 6).wrapping_add(hash << 16).wrapping_sub(hash)
    });
    hacore::hash::avalanche(sum)
}

fn base_hash(ctx: &EvalCtx<'_>) -> Option<u32> {
    let head = ctx.request?;
    Some(hash([host(head), head.path()]))
}

fn url_hash(ctx: &EvalCtx<'_>) -> Option<u32> {
    let head = ctx.request?;
    Some(hash([host(head), head.uri().path_and_query]))
}

fn with_source<'a>(hash: u32, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let mut out = hash.to_be_bytes().to_vec();
    match ctx.session.source.ip()? {
        std::net::IpAddr::V4(v4) => out.extend_from_slice(&v4.octets()),
        std::net::IpAddr::V6(v6) => out.extend_from_slice(&v6.octets()),
    }
    Some(Sample::bin(out))
}

fn base_and_query(head: &RequestHead) -> Option<Sample<'_>> {
    let (host, path) = (host(head), head.uri().path_and_query);
    (!host.is_empty() || !path.is_empty()).then(|| Sample::str([host, path].concat()))
}

fn url_ip<'a>(_: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let host = ctx.request?.uri().host()?;
    crate::expr::sample::parse_ip(host).map(Sample::ip)
}

fn url_port<'a>(_: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let uri = ctx.request?.uri();
    crate::expr::sample::parse_ip(uri.host()?)?;
    let default = if uri.scheme.is_some_and(|s| s.eq_ignore_ascii_case(b"https")) { 443 } else { 80 };
    Some(Sample::Int(uri.port().and_then(int_prefix).unwrap_or(default)))
}

/// Walks `name=value` pairs of `text` from `offset`; gives the value and where the next pair starts.
pub(super) fn next_param<'a>(
    text: &'a [u8],
    mut offset: usize,
    wanted: Option<&[u8]>,
    ignore_case: bool,
) -> Option<(&'a [u8], usize)> {
    while offset < text.len() {
        let rest = text.get(offset..)?;
        let end = memchr::memchr2(b'&', b';', rest).unwrap_or(rest.len());
        let pair = rest.get(..end)?;
        offset += end + 1;
        let equals = memchr::memchr(b'=', pair);
        let name = pair.get(..equals.unwrap_or(pair.len()))?;
        let hit = wanted.is_none_or(|w| if ignore_case { w.eq_ignore_ascii_case(name) } else { w == name });
        if let (true, Some(equals)) = (hit, equals) {
            return Some((pair.get(equals + 1..).unwrap_or_default(), offset));
        }
    }
    None
}

fn param<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    let target = ctx.request?.target();
    let delimiter = args.bytes(1).and_then(|d| d.first()).copied().unwrap_or(b'?');
    let text = match memchr::memchr(delimiter, target) {
        Some(at) => target.get(at + 1..)?,
        None => return None,
    };
    let offset = if state.iterate { state.position } else { 0 };
    let (value, next) = next_param(text, offset, args.bytes(0), args.bytes(2) == Some(b"i"))?;
    state.position = next;
    state.more = state.iterate;
    Some(Sample::str(value))
}

fn param_value<'a>(args: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    param(args, ctx, state)?.cast(SampleType::Int)
}

/// `1.1`, as `req.ver` and `res.ver` give it.
pub(super) fn short_version<'a>(version: Version) -> Sample<'a> {
    match (version.major, version.minor) {
        (1, 1) => Sample::str("1.1"),
        (1, 0) => Sample::str("1.0"),
        (2, 0) => Sample::str("2.0"),
        (3, 0) => Sample::str("3.0"),
        (major, minor) => Sample::str(format!("{major}.{minor}")),
    }
}

/// `HTTP/1.1`, as captures give it.
pub(super) fn long_version<'a>(version: Version) -> Sample<'a> {
    match (version.major, version.minor) {
        (1, 1) => Sample::str("HTTP/1.1"),
        (1, 0) => Sample::str("HTTP/1.0"),
        (2, 0) => Sample::str("HTTP/2.0"),
        (3, 0) => Sample::str("HTTP/3.0"),
        (major, minor) => Sample::str(format!("HTTP/{major}.{minor}")),
    }
}

fn proto_http<'a>(_: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    if ctx.request.is_some() {
        return Some(Sample::Bool(true));
    }
    // On a TCP stream the bytes have to parse.
    match parse_request(&mut RequestHead::default(), ctx.request_payload.data, &Limits::default()) {
        Parsed::Head { .. } => Some(Sample::Bool(true)),
        Parsed::Error(_) => Some(Sample::Bool(false)),
        Parsed::Incomplete => {
            state.may_change = !ctx.is_final;
            None
        }
    }
}

/// A word of the request line as it came.
fn captured<'a>(ctx: &EvalCtx<'a>, index: usize) -> Option<Sample<'a>> {
    let line = &ctx.stream?.request_line;
    if index == 2 {
        return Some(long_version(ctx.request?.version()));
    }
    let word = line.split(|b| *b == b' ').nth(index)?;
    if index == 1 {
        let path = crate::http::Uri::parse(word).path_and_query;
        return (!path.is_empty()).then(|| Sample::str(path));
    }
    Some(Sample::str(word))
}

fn capture<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let slot = usize::try_from(args.int(0)?).ok()?;
    ctx.stream?.request_captures.get(slot).map(|text| Sample::Str(text.into()))
}
