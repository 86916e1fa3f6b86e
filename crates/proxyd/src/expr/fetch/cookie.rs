//! Cookies of requests and responses (RFC 6265; manual, section 7.3.6).

use super::header::Cursor;
use super::{Fetch, fetch};
use crate::expr::sample::int_wrapping;
use crate::expr::{ArgKind, Args, Contexts, Direction, EvalCtx, FetchState, Sample, SampleType};
use crate::http::HeaderList;
use crate::http::headers::trim_blanks;

const REQ: Contexts = Contexts::REQUEST;
const RES: Contexts = Contexts::RESPONSE;
const NAME: &[ArgKind] = &[ArgKind::Str];

pub(super) const FETCHES: &[Fetch] = &[
    fetch(
        "cookie",
        SampleType::Str,
        Contexts::PAYLOAD,
        |a, c, s| value(either(c)?, a, s),
        "a cookie of the message at hand",
    )
    .args(0, NAME),
    fetch("cook", SampleType::Str, REQ, |a, c, s| value(request(c)?, a, s), "old name of req.cook")
        .args(0, NAME),
    fetch("cook_cnt", SampleType::Int, REQ, |a, c, _| count(request(c)?, a), "old name of req.cook_cnt")
        .args(0, NAME),
    fetch("cook_val", SampleType::Int, REQ, |a, c, s| number(request(c)?, a, s), "old name of req.cook_val")
        .args(0, NAME),
    fetch("req.cook", SampleType::Str, REQ, |a, c, s| value(request(c)?, a, s), "a cookie of the request")
        .args(0, NAME),
    fetch(
        "req.cook_cnt",
        SampleType::Int,
        REQ,
        |a, c, _| count(request(c)?, a),
        "how often a cookie is in the request",
    )
    .args(0, NAME),
    fetch(
        "req.cook_val",
        SampleType::Int,
        REQ,
        |a, c, s| number(request(c)?, a, s),
        "a cookie of the request as an integer",
    )
    .args(0, NAME),
    fetch(
        "req.cook_names",
        SampleType::Str,
        REQ,
        |a, c, _| names(request(c)?, a),
        "names of the request's cookies",
    )
    .args(0, NAME),
    fetch("scook", SampleType::Str, RES, |a, c, s| value(response(c)?, a, s), "old name of res.cook")
        .args(0, NAME),
    fetch("scook_cnt", SampleType::Int, RES, |a, c, _| count(response(c)?, a), "old name of res.cook_cnt")
        .args(0, NAME),
    fetch(
        "scook_val",
        SampleType::Int,
        RES,
        |a, c, s| number(response(c)?, a, s),
        "old name of res.cook_val",
    )
    .args(0, NAME),
    fetch(
        "res.cook",
        SampleType::Str,
        RES,
        |a, c, s| value(response(c)?, a, s),
        "a cookie set by the response",
    )
    .args(0, NAME),
    fetch(
        "res.cook_cnt",
        SampleType::Int,
        RES,
        |a, c, _| count(response(c)?, a),
        "how often a cookie is set by the response",
    )
    .args(0, NAME),
    fetch(
        "res.cook_val",
        SampleType::Int,
        RES,
        |a, c, s| number(response(c)?, a, s),
        "a cookie set by the response as an integer",
    )
    .args(0, NAME),
    fetch(
        "res.cook_names",
        SampleType::Str,
        RES,
        |a, c, _| names(response(c)?, a),
        "names of the cookies set by the response",
    )
    .args(0, NAME),
];

/// The headers that hold cookies, and how.
#[derive(Clone, Copy)]
struct Source<'a> {
    headers: &'a HeaderList,
    is_response: bool,
}

fn request<'a>(ctx: &EvalCtx<'a>) -> Option<Source<'a>> {
    Some(Source { headers: &ctx.request?.headers, is_response: false })
}

fn response<'a>(ctx: &EvalCtx<'a>) -> Option<Source<'a>> {
    Some(Source { headers: &ctx.response?.headers, is_response: true })
}

fn either<'a>(ctx: &EvalCtx<'a>) -> Option<Source<'a>> {
    match ctx.direction {
        Direction::Request => request(ctx),
        Direction::Response => response(ctx),
    }
}

impl<'a> Source<'a> {
    /// The next `name=value`; a `Set-Cookie` line holds one, attributes behind it are passed over.
    fn next(self, cursor: &mut Cursor) -> Option<(&'a [u8], &'a [u8])> {
        let name: &[u8] = if self.is_response { b"set-cookie" } else { b"cookie" };
        loop {
            let field = self.headers.position(name, cursor.field)?;
            if field != cursor.field {
                *cursor = Cursor { field, offset: 0 };
            }
            let line = self.headers.get(field)?.value;
            let rest = line.get(cursor.offset..).unwrap_or_default();
            if rest.is_empty() {
                *cursor = Cursor { field: field + 1, offset: 0 };
                continue;
            }
            let end = memchr::memchr(b';', rest).unwrap_or(rest.len());
            cursor.offset = if self.is_response { line.len() } else { cursor.offset + end + 1 };
            let pair = trim_blanks(rest.get(..end).unwrap_or_default());
            if let Some(equals) = memchr::memchr(b'=', pair) {
                let (name, value) = pair.split_at(equals);
                return Some((trim_blanks(name), trim_blanks(value.get(1..).unwrap_or_default())));
            }
        }
    }
}

fn find<'a>(source: Source<'a>, args: &Args, state: &mut FetchState) -> Option<&'a [u8]> {
    let wanted = args.bytes(0);
    let mut cursor = if state.iterate { Cursor::load(state.position) } else { Cursor::default() };
    let mut last = None;
    while let Some((name, value)) = source.next(&mut cursor) {
        if wanted.is_some_and(|wanted| wanted != name) {
            continue;
        }
        last = Some(value);
        if state.iterate {
            state.position = cursor.store();
            state.more = true;
            return last;
        }
        if wanted.is_none() {
            return last;
        }
    }
    last
}

fn value<'a>(source: Source<'a>, args: &Args, state: &mut FetchState) -> Option<Sample<'a>> {
    find(source, args, state).map(Sample::str)
}

fn number<'a>(source: Source<'a>, args: &Args, state: &mut FetchState) -> Option<Sample<'a>> {
    find(source, args, state).map(|text| Sample::Int(int_wrapping(text)))
}

fn count<'a>(source: Source<'_>, args: &Args) -> Option<Sample<'a>> {
    let mut cursor = Cursor::default();
    let mut total = 0;
    while let Some((name, _)) = source.next(&mut cursor) {
        total += i64::from(args.bytes(0).is_none_or(|wanted| wanted == name));
    }
    Some(Sample::Int(total))
}

fn names<'a>(source: Source<'_>, args: &Args) -> Option<Sample<'a>> {
    let delimiter = args.bytes(0).and_then(|d| d.first()).copied().unwrap_or(b',');
    let mut cursor = Cursor::default();
    let mut names: Vec<&[u8]> = Vec::new();
    while let Some((name, _)) = source.next(&mut cursor) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Some(Sample::str(names.join(&delimiter)))
}
