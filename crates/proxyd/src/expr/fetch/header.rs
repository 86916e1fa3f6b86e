//! Header fields of requests and responses (manual, section 7.3.6).

use std::net::IpAddr;

use super::{Fetch, FetchFn, fetch};
use crate::expr::sample::int_wrapping;
use crate::expr::{ArgKind, Args, Contexts, Direction, EvalCtx, FetchState, Sample, SampleType};
use crate::http::HeaderList;

const REQ: Contexts = Contexts::REQUEST;
const RES: Contexts = Contexts::RESPONSE;
const OCC: &[ArgKind] = &[ArgKind::Str, ArgKind::Int];
const NAME: &[ArgKind] = &[ArgKind::Str];

const fn with_occurrence(
    name: &'static str,
    output: SampleType,
    contexts: Contexts,
    run: FetchFn,
    doc: &'static str,
) -> Fetch {
    fetch(name, output, contexts, run, doc).args(0, OCC)
}

pub(super) const FETCHES: &[Fetch] = &[
    with_occurrence(
        "hdr",
        SampleType::Str,
        Contexts::PAYLOAD,
        |a, c, s| value(both(c)?, a, s),
        "a comma-separated value of a header of the message at hand",
    ),
    with_occurrence(
        "req.hdr",
        SampleType::Str,
        REQ,
        |a, c, s| value(req(c)?, a, s),
        "a comma-separated value of a request header",
    ),
    with_occurrence(
        "res.hdr",
        SampleType::Str,
        RES,
        |a, c, s| value(res(c)?, a, s),
        "a comma-separated value of a response header",
    ),
    with_occurrence("shdr", SampleType::Str, RES, |a, c, s| value(res(c)?, a, s), "old name of res.hdr"),
    with_occurrence(
        "req.fhdr",
        SampleType::Str,
        REQ,
        |a, c, s| full(req(c)?, a, s),
        "a whole request header",
    ),
    with_occurrence(
        "res.fhdr",
        SampleType::Str,
        RES,
        |a, c, s| full(res(c)?, a, s),
        "a whole response header",
    ),
    with_occurrence(
        "hdr_ip",
        SampleType::Addr,
        REQ,
        |a, c, s| address(req(c)?, a, s),
        "a request header's value as an address",
    ),
    with_occurrence(
        "req.hdr_ip",
        SampleType::Addr,
        REQ,
        |a, c, s| address(req(c)?, a, s),
        "a request header's value as an address",
    ),
    with_occurrence(
        "res.hdr_ip",
        SampleType::Addr,
        RES,
        |a, c, s| address(res(c)?, a, s),
        "a response header's value as an address",
    ),
    with_occurrence(
        "shdr_ip",
        SampleType::Addr,
        RES,
        |a, c, s| address(res(c)?, a, s),
        "old name of res.hdr_ip",
    ),
    with_occurrence(
        "hdr_val",
        SampleType::Int,
        REQ,
        |a, c, s| number(req(c)?, a, s),
        "a request header's value as an integer",
    ),
    with_occurrence(
        "req.hdr_val",
        SampleType::Int,
        REQ,
        |a, c, s| number(req(c)?, a, s),
        "a request header's value as an integer",
    ),
    with_occurrence(
        "res.hdr_val",
        SampleType::Int,
        RES,
        |a, c, s| number(res(c)?, a, s),
        "a response header's value as an integer",
    ),
    with_occurrence(
        "shdr_val",
        SampleType::Int,
        RES,
        |a, c, s| number(res(c)?, a, s),
        "old name of res.hdr_val",
    ),
    fetch(
        "hdr_cnt",
        SampleType::Int,
        REQ,
        |a, c, _| count(req(c)?, a),
        "how many values a request header has",
    )
    .args(0, NAME),
    fetch(
        "req.hdr_cnt",
        SampleType::Int,
        REQ,
        |a, c, _| count(req(c)?, a),
        "how many values a request header has",
    )
    .args(0, NAME),
    fetch(
        "res.hdr_cnt",
        SampleType::Int,
        RES,
        |a, c, _| count(res(c)?, a),
        "how many values a response header has",
    )
    .args(0, NAME),
    fetch("shdr_cnt", SampleType::Int, RES, |a, c, _| count(res(c)?, a), "old name of res.hdr_cnt")
        .args(0, NAME),
    fetch(
        "req.fhdr_cnt",
        SampleType::Int,
        REQ,
        |a, c, _| full_count(req(c)?, a),
        "how many request headers have this name",
    )
    .args(0, NAME),
    fetch(
        "res.fhdr_cnt",
        SampleType::Int,
        RES,
        |a, c, _| full_count(res(c)?, a),
        "how many response headers have this name",
    )
    .args(0, NAME),
    fetch("req.hdr_names", SampleType::Str, REQ, |a, c, _| names(req(c)?, a), "names of all request headers")
        .args(0, NAME),
    fetch(
        "res.hdr_names",
        SampleType::Str,
        RES,
        |a, c, _| names(res(c)?, a),
        "names of all response headers",
    )
    .args(0, NAME),
    fetch("req.hdrs", SampleType::Bin, REQ, |_, c, _| all_lines(req(c)?), "all request header lines"),
    fetch("res.hdrs", SampleType::Bin, RES, |_, c, _| all_lines(res(c)?), "all response header lines"),
    fetch(
        "req.hdrs_bin",
        SampleType::Bin,
        REQ,
        |_, c, _| all_binary(req(c)?),
        "all request headers, length-prefixed",
    ),
    fetch(
        "res.hdrs_bin",
        SampleType::Bin,
        RES,
        |_, c, _| all_binary(res(c)?),
        "all response headers, length-prefixed",
    ),
];

fn req<'a>(ctx: &EvalCtx<'a>) -> Option<&'a HeaderList> {
    ctx.request.map(|head| &head.headers)
}

fn res<'a>(ctx: &EvalCtx<'a>) -> Option<&'a HeaderList> {
    ctx.response.map(|head| &head.headers)
}

fn both<'a>(ctx: &EvalCtx<'a>) -> Option<&'a HeaderList> {
    match ctx.direction {
        Direction::Request => req(ctx),
        Direction::Response => res(ctx),
    }
}

/// Where an iteration stands: a field's index and an offset in its value.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Cursor {
    pub(super) field: usize,
    pub(super) offset: usize,
}

impl Cursor {
    pub(super) fn load(position: usize) -> Cursor {
        Cursor { field: position >> 32, offset: position & 0xffff_ffff }
    }

    pub(super) fn store(self) -> usize {
        self.field << 32 | self.offset & 0xffff_ffff
    }

    /// The next comma-separated value of the headers called `name`, or of all.
    fn next_value<'a>(&mut self, headers: &'a HeaderList, name: Option<&[u8]>) -> Option<&'a [u8]> {
        loop {
            let field = next_field(headers, name, self.field)?;
            if field != self.field {
                *self = Cursor { field, offset: 0 };
            }
            let value = headers.get(field)?.value;
            let Some(rest) = value.get(self.offset..) else {
                *self = Cursor { field: field + 1, offset: 0 };
                continue;
            };
            let end = comma(rest).unwrap_or(rest.len());
            self.offset += end + 1;
            return Some(trim(rest.get(..end).unwrap_or_default()));
        }
    }

    fn next_full<'a>(&mut self, headers: &'a HeaderList, name: Option<&[u8]>) -> Option<&'a [u8]> {
        let field = next_field(headers, name, self.field)?;
        self.field = field + 1;
        // What a rule wrote goes out with its blanks, but is read without them.
        Some(trim(headers.get(field)?.value))
    }
}

fn next_field(headers: &HeaderList, name: Option<&[u8]>, from: usize) -> Option<usize> {
    match name {
        Some(name) => headers.position(name, from),
        None => (from < headers.len()).then_some(from),
    }
}

/// The first comma outside double quotes; a backslash in quotes hides the next byte.
fn comma(value: &[u8]) -> Option<usize> {
    let (mut quoted, mut escaped) = (false, false);
    for (at, &byte) in value.iter().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' => quoted = !quoted,
            b',' if !quoted => return Some(at),
            _ => {}
        }
    }
    None
}

fn trim(value: &[u8]) -> &[u8] {
    crate::http::headers::trim_blanks(value)
}

type Step = for<'a> fn(&mut Cursor, &'a HeaderList, Option<&[u8]>) -> Option<&'a [u8]>;

/// One occurrence by number, the last without one, or the next while iterating.
fn pick<'a>(headers: &'a HeaderList, args: &Args, state: &mut FetchState, step: Step) -> Option<&'a [u8]> {
    let name = args.bytes(0);
    let occurrence = args.int(1).unwrap_or(0);
    if occurrence == 0 && state.iterate {
        let mut cursor = Cursor::load(state.position);
        let value = step(&mut cursor, headers, name);
        state.position = cursor.store();
        state.more = value.is_some();
        return value;
    }
    let mut cursor = Cursor::default();
    if occurrence > 0 {
        let before = usize::try_from(occurrence - 1).ok()?;
        for _ in 0..before {
            step(&mut cursor, headers, name)?;
        }
        return step(&mut cursor, headers, name);
    }
    let back = usize::try_from(occurrence.unsigned_abs().max(1)).ok()?;
    let mut total = 0;
    while step(&mut cursor, headers, name).is_some() {
        total += 1;
    }
    let skip = usize::checked_sub(total, back)?;
    let mut cursor = Cursor::default();
    for _ in 0..skip {
        step(&mut cursor, headers, name)?;
    }
    step(&mut cursor, headers, name)
}

fn value<'a>(headers: &'a HeaderList, args: &Args, state: &mut FetchState) -> Option<Sample<'a>> {
    pick(headers, args, state, Cursor::next_value).map(Sample::str)
}

fn full<'a>(headers: &'a HeaderList, args: &Args, state: &mut FetchState) -> Option<Sample<'a>> {
    pick(headers, args, state, Cursor::next_full).map(Sample::str)
}

fn number<'a>(headers: &'a HeaderList, args: &Args, state: &mut FetchState) -> Option<Sample<'a>> {
    pick(headers, args, state, Cursor::next_value).map(|text| Sample::Int(int_wrapping(text)))
}

/// A plain address, or `IPv4:port`; anything else is passed over.
fn address<'a>(headers: &'a HeaderList, args: &Args, state: &mut FetchState) -> Option<Sample<'a>> {
    loop {
        let text = pick(headers, args, state, Cursor::next_value)?;
        if let Some(address) = forwarded_address(text) {
            return Some(Sample::ip(address));
        }
        if !state.more {
            return None;
        }
    }
}

fn forwarded_address(text: &[u8]) -> Option<IpAddr> {
    let text = std::str::from_utf8(text).ok()?;
    if let Ok(address) = text.parse() {
        return Some(address);
    }
    let (address, port) = text.split_once(':')?;
    port.parse::<u16>().ok()?;
    address.parse().ok().map(IpAddr::V4)
}

fn count<'a>(headers: &HeaderList, args: &Args) -> Option<Sample<'a>> {
    let mut cursor = Cursor::default();
    let mut total = 0;
    while cursor.next_value(headers, args.bytes(0)).is_some() {
        total += 1;
    }
    Some(Sample::Int(total))
}

fn full_count<'a>(headers: &HeaderList, args: &Args) -> Option<Sample<'a>> {
    let total = match args.bytes(0) {
        Some(name) => headers.count(name),
        None => headers.len(),
    };
    Some(Sample::Int(total as i64))
}

fn names<'a>(headers: &HeaderList, args: &Args) -> Option<Sample<'a>> {
    let delimiter = args.bytes(0).and_then(|d| d.first()).copied().unwrap_or(b',');
    let names: Vec<&[u8]> = headers.iter().map(|header| header.name).collect();
    Some(Sample::str(names.join(&delimiter)))
}

fn all_lines<'a>(headers: &HeaderList) -> Option<Sample<'a>> {
    let mut out = Vec::with_capacity(headers.live_bytes() + 2);
    for header in headers.iter() {
        for part in [header.name, b": ", header.value, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(b"\r\n");
    Some(Sample::bin(out))
}

/// `<name length><name><value length><value>`…, ended by two empty strings; lengths as SPOE's variable integers.
fn all_binary<'a>(headers: &HeaderList) -> Option<Sample<'a>> {
    let mut out = Vec::with_capacity(headers.live_bytes() + 2);
    for header in headers.iter() {
        for part in [header.name, header.value] {
            push_varint(&mut out, part.len() as u64);
            out.extend_from_slice(part);
        }
    }
    out.extend_from_slice(&[0, 0]);
    Some(Sample::bin(out))
}

fn push_varint(out: &mut Vec<u8>, mut value: u64) {
    if value < 240 {
        out.push(value as u8);
        return;
    }
    out.push(value as u8 | 240);
    value = (value - 240) >> 4;
    while value >= 128 {
        out.push(value as u8 | 128);
        value = (value - 128) >> 7;
    }
    out.push(value as u8);
}
