//! `word` and `field`: parts between delimiters, counted from either end.

use hacore::diag::Span;

use super::{Converter, conv, data};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const ARGS: &[ArgKind] = &[ArgKind::Int, ArgKind::Str, ArgKind::Int];

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "field",
        SampleType::Str,
        SampleType::Str,
        |s, a, _| part(s, a, Kind::Field),
        "a field between delimiters",
    )
    .args(2, ARGS)
    .check(check),
    conv(
        "word",
        SampleType::Str,
        SampleType::Str,
        |s, a, _| part(s, a, Kind::Word),
        "a word between runs of delimiters",
    )
    .args(2, ARGS)
    .check(check),
    conv("param", SampleType::Str, SampleType::Str, param, "a parameter of a query string")
        .args(1, &[ArgKind::Str, ArgKind::Str]),
];

fn check(args: &mut Args, _: &ParseScope<'_>, _: Span) -> Result<(), String> {
    if args.int(0) == Some(0) {
        return Err("index 0 is not a position".to_owned());
    }
    Ok(())
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// Every delimiter ends a field.
    Field,
    /// Runs of delimiters separate words.
    Word,
}

fn part<'a>(sample: Sample<'a>, args: &Args, kind: Kind) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let index = args.int(0)?;
    let count = usize::try_from(args.int(2).unwrap_or(1)).ok()?;
    let spans = spans(&data, args.bytes(1).unwrap_or_default(), kind);
    let Some((start, end)) = range(&spans, index, count, data.len()) else {
        // A word that is not there is empty, a field that is not there is nothing.
        return (kind == Kind::Word).then(|| Sample::str(""));
    };
    Some(Sample::Str(data.slice(start, end)))
}

/// Start and end of `count` parts from `index` on.
fn range(spans: &[(usize, usize)], index: i64, count: usize, length: usize) -> Option<(usize, usize)> {
    let nth = usize::try_from(index.unsigned_abs()).ok()?.checked_sub(1)?;
    let (first, last) = if index > 0 {
        let last = if count == 0 {
            spans.len().checked_sub(1)?
        } else {
            (nth + count - 1).min(spans.len().checked_sub(1)?)
        };
        (nth, last)
    } else {
        let last = spans.len().checked_sub(1 + nth)?;
        (if count == 0 { 0 } else { last.saturating_sub(count - 1) }, last)
    };
    let start = spans.get(first)?.0;
    // Taking all that remains keeps what stands behind the last word, or before the first.
    let end = if count == 0 && index > 0 { length } else { spans.get(last)?.1 };
    Some((if count == 0 && index < 0 { 0 } else { start }, end))
}

fn spans(text: &[u8], delimiters: &[u8], kind: Kind) -> Vec<(usize, usize)> {
    let mut spans = Vec::new();
    let mut start = 0;
    for (at, byte) in text.iter().enumerate() {
        if delimiters.contains(byte) {
            spans.push((start, at));
            start = at + 1;
        }
    }
    spans.push((start, text.len()));
    if kind == Kind::Word {
        spans.retain(|(start, end)| start < end);
    }
    spans
}

fn param<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let delimiter = args.bytes(1).and_then(|d| d.first()).copied().unwrap_or(b'&');
    let name = args.bytes(0).unwrap_or_default();
    let mut start = 0;
    for pair in data.split(|b| *b == delimiter) {
        let end = start + pair.len();
        if pair == name {
            return Some(Sample::str(""));
        }
        if let Some(value) = pair.strip_prefix(name).and_then(|rest| rest.strip_prefix(b"=")) {
            let from = end - value.len();
            return Some(Sample::Str(data.slice(from, end)));
        }
        start = end + 1;
    }
    None
}
