//! `internal.htx*`: the message as HAProxy's internal blocks, for tests and debugging (manual, section 7.3.7).
//!
//! There are no such blocks here: they are told from the head and the body that is in the buffer. Sizes are those of
//! the texts, without the original's bookkeeping.

use super::{Fetch, fetch};
use crate::expr::{ArgKind, Args, Contexts, Data, Direction, EvalCtx, FetchState, Sample, SampleType};

const ANY: Contexts = Contexts::PAYLOAD;
const INT: SampleType = SampleType::Int;
const STR: SampleType = SampleType::Str;
const INDEX: &[ArgKind] = &[ArgKind::Str];

pub(super) const FETCHES: &[Fetch] = &[
    fetch("internal.htx.data", INT, ANY, |_, c, _| int(used(c)?), "bytes of the message in the buffer"),
    fetch("internal.htx.used", INT, ANY, |_, c, _| int(used(c)?), "bytes of the message in the buffer"),
    fetch("internal.htx.size", INT, ANY, |_, _, _| int(SIZE_BYTES), "the size of a message's buffer"),
    fetch("internal.htx.free", INT, ANY, free, "bytes that are free in the message's buffer"),
    fetch("internal.htx.free_data", INT, ANY, free, "bytes that are free for data in the message's buffer"),
    fetch(
        "internal.htx.has_eom",
        SampleType::Bool,
        ANY,
        |_, c, _| Some(Sample::Bool(is_there(c) && c.payload().complete)),
        "the whole message is in the buffer",
    ),
    fetch("internal.htx.nbblks", INT, ANY, |_, c, _| int(count(c)?), "the number of the message's blocks"),
    fetch("internal.htx_blk.size", INT, ANY, |a, c, _| int(size(block(a, c), c)), "the size of a block")
        .args(1, INDEX),
    fetch("internal.htx_blk.type", STR, ANY, |a, c, _| kind(block(a, c), c), "the type of a block")
        .args(1, INDEX),
    fetch("internal.htx_blk.data", SampleType::Bin, ANY, body, "the bytes of a data block").args(1, INDEX),
    fetch("internal.htx_blk.hdrname", STR, ANY, |a, c, _| header(a, c, true), "the name of a header block")
        .args(1, INDEX),
    fetch("internal.htx_blk.hdrval", STR, ANY, |a, c, _| header(a, c, false), "the value of a header block")
        .args(1, INDEX),
    fetch("internal.htx_blk.start_line", STR, ANY, start_line, "the start line of a start-line block")
        .args(1, INDEX),
];

/// The default buffer, which the blocks would share.
const SIZE_BYTES: usize = 16384;

/// What stands at a place of the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    StartLine,
    Header(usize),
    EndOfHeaders,
    Data,
    Unused,
}

fn int(value: usize) -> Option<Sample<'static>> {
    Some(Sample::Int(value as i64))
}

fn is_there(ctx: &EvalCtx<'_>) -> bool {
    match ctx.direction {
        Direction::Request => ctx.request.is_some(),
        Direction::Response => ctx.response.is_some(),
    }
}

fn headers(ctx: &EvalCtx<'_>) -> Option<usize> {
    match ctx.direction {
        Direction::Request => ctx.request.map(|head| head.headers.len()),
        Direction::Response => ctx.response.map(|head| head.headers.len()),
    }
}

fn count(ctx: &EvalCtx<'_>) -> Option<usize> {
    Some(headers(ctx)? + 2 + usize::from(!ctx.payload().data.is_empty()))
}

fn block(args: &Args, ctx: &EvalCtx<'_>) -> Block {
    let (Some(headers), Some(count)) = (headers(ctx), count(ctx)) else { return Block::Unused };
    let index = match args.text(0).unwrap_or_default() {
        "head" | "first" => Some(0),
        "tail" => count.checked_sub(1),
        number => number.parse().ok(),
    };
    match index {
        Some(0) => Block::StartLine,
        Some(index) if index <= headers => Block::Header(index - 1),
        Some(index) if index == headers + 1 => Block::EndOfHeaders,
        Some(index) if index < count => Block::Data,
        _ => Block::Unused,
    }
}

fn size(block: Block, ctx: &EvalCtx<'_>) -> usize {
    match block {
        Block::StartLine => line(ctx).map_or(0, |line| line.len()),
        Block::Header(index) => field(ctx, index).map_or(0, |(name, value)| name.len() + value.len()),
        Block::EndOfHeaders => 1,
        Block::Data => ctx.payload().data.len(),
        Block::Unused => 0,
    }
}

fn used(ctx: &EvalCtx<'_>) -> Option<usize> {
    let fields: usize = (0..headers(ctx)?).map(|index| size(Block::Header(index), ctx)).sum();
    Some(fields + size(Block::StartLine, ctx) + 1 + ctx.payload().data.len())
}

fn free<'a>(_: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    int(SIZE_BYTES.saturating_sub(used(ctx)?))
}

fn kind(block: Block, ctx: &EvalCtx<'_>) -> Option<Sample<'static>> {
    Some(Sample::str(match (block, ctx.direction) {
        (Block::StartLine, Direction::Request) => &b"HTX_BLK_REQ_SL"[..],
        (Block::StartLine, Direction::Response) => b"HTX_BLK_RES_SL",
        (Block::Header(_), _) => b"HTX_BLK_HDR",
        (Block::EndOfHeaders, _) => b"HTX_BLK_EOH",
        (Block::Data, _) => b"HTX_BLK_DATA",
        (Block::Unused, _) => b"HTX_BLK_UNUSED",
    }))
}

fn body<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    Some(Sample::bin(if block(args, ctx) == Block::Data { ctx.payload().data } else { b"" }))
}

fn field<'a>(ctx: &EvalCtx<'a>, index: usize) -> Option<(&'a [u8], &'a [u8])> {
    let header = match ctx.direction {
        Direction::Request => ctx.request?.headers.get(index),
        Direction::Response => ctx.response?.headers.get(index),
    }?;
    Some((header.name, header.value))
}

fn header<'a>(args: &'a Args, ctx: &EvalCtx<'a>, is_name: bool) -> Option<Sample<'a>> {
    let field = match block(args, ctx) {
        Block::Header(index) => field(ctx, index),
        _ => None,
    };
    let text = field.map_or(&b""[..], |(name, value)| if is_name { name } else { value });
    Some(Sample::str(text))
}

/// The start line with single blanks.
fn line(ctx: &EvalCtx<'_>) -> Option<Vec<u8>> {
    let version =
        |version: crate::http::Version| format!("HTTP/{}.{}", version.major, version.minor).into_bytes();
    Some(match ctx.direction {
        Direction::Request => {
            let head = ctx.request?;
            [head.method_bytes(), head.target(), &version(head.version())].join(&b' ')
        }
        Direction::Response => {
            let head = ctx.response?;
            [&version(head.version())[..], head.status().to_string().as_bytes(), head.reason()].join(&b' ')
        }
    })
}

fn start_line<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let text = if block(args, ctx) == Block::StartLine { line(ctx)? } else { Vec::new() };
    Some(Sample::Str(Data::from(text)))
}
