//! FIX, the protocol of the Financial Information eXchange: `tag=value` pairs, each ended by SOH.

use super::{Converter, conv, data};
use crate::expr::{Arg, ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const BIN: SampleType = SampleType::Bin;

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "fix_is_valid",
        BIN,
        SampleType::Bool,
        |s, _, _| Some(Sample::Bool(is_valid(&data(s)?).is_some())),
        "a valid FIX message",
    ),
    conv("fix_tag_value", BIN, BIN, tag_value, "the value of a FIX tag")
        .args(1, &[ArgKind::Str])
        .check(check_tag),
];

const SOH: u8 = 1;

/// Pairs of tag and value, as long as they are well-formed, and how many bytes each took.
fn pairs(mut message: &[u8]) -> impl Iterator<Item = Option<(u32, &[u8], usize)>> {
    std::iter::from_fn(move || {
        if message.is_empty() {
            return None;
        }
        let pair = memchr::memchr(SOH, message).and_then(|end| {
            let text = message.get(..end)?;
            let equals = memchr::memchr(b'=', text)?;
            let tag = std::str::from_utf8(text.get(..equals)?).ok()?.parse().ok()?;
            let value = text.get(equals + 1..).filter(|value| !value.is_empty())?;
            message = message.get(end + 1..)?;
            Some((tag, value, end + 1))
        });
        if pair.is_none() {
            message = &[];
        }
        Some(pair)
    })
}

/// BeginString, BodyLength and MsgType come first, CheckSum last, and length and sum are right.
fn is_valid(message: &[u8]) -> Option<()> {
    const VERSIONS: [&[u8]; 6] = [b"FIX.4.0", b"FIX.4.1", b"FIX.4.2", b"FIX.4.3", b"FIX.4.4", b"FIXT.1.1"];
    let all: Vec<(u32, &[u8], usize)> = pairs(message).collect::<Option<_>>()?;
    let [(8, version, first), (9, length, second), (35, ..), .., (10, sum, last)] = all[..] else {
        return None;
    };
    let number = |text: &[u8]| std::str::from_utf8(text).ok()?.parse::<usize>().ok();
    let body_end = message.len() - last;
    let added = message.get(..body_end)?.iter().fold(0_u8, |sum, byte| sum.wrapping_add(*byte));
    let is_right = VERSIONS.contains(&version)
        && number(length)? == body_end - first - second
        && sum.len() == 3
        && number(sum)? == usize::from(added);
    is_right.then_some(())
}

fn check_tag(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let name = args.text(0).unwrap_or_default();
    let tag = match name {
        "BeginString" => 8,
        "BodyLength" => 9,
        "CheckSum" => 10,
        "MsgType" => 35,
        "SenderCompID" => 49,
        "TargetCompID" => 56,
        number => number.parse::<u32>().map_err(|_| format!("unknown FIX tag name '{number}'"))?,
    };
    args.list = vec![Arg::Int(tag.into())];
    Ok(())
}

fn tag_value<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let message = data(sample)?;
    let wanted = args.int(0)?;
    pairs(&message)
        .map_while(|pair| pair)
        .find(|(tag, ..)| i64::from(*tag) == wanted)
        .map(|(_, value, _)| Sample::bin(value.to_vec()))
}
