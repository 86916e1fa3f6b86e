//! Text: case, trimming, parts, comparison.

use super::{Converter, ConverterState, conv, data};
use crate::expr::{ArgKind, Args, Data, EvalCtx, ParseScope, Sample, SampleType, VarName};

const STR: SampleType = SampleType::Str;
const BIN: SampleType = SampleType::Bin;

pub(super) const CONVERTERS: &[Converter] = &[
    conv("lower", STR, STR, |s, _, _| change(s, u8::make_ascii_lowercase), "in lower case"),
    conv("upper", STR, STR, |s, _, _| change(s, u8::make_ascii_uppercase), "in upper case"),
    conv(
        "length",
        STR,
        SampleType::Int,
        |s, _, _| Some(Sample::Int(data(s)?.len() as i64)),
        "length in bytes",
    ),
    conv("bytes", BIN, BIN, bytes, "a part by offset and length")
        .args(1, &[ArgKind::Str, ArgKind::Str])
        .check(check_bytes),
    conv("ltrim", STR, STR, |s, a, _| trim(s, a, true), "without leading characters of a set")
        .args(1, &[ArgKind::Str]),
    conv("rtrim", STR, STR, |s, a, _| trim(s, a, false), "without trailing characters of a set")
        .args(1, &[ArgKind::Str]),
    conv("cut_crlf", STR, STR, cut_crlf, "up to the first line end"),
    conv(
        "reverse",
        STR,
        STR,
        |s, _, _| Some(Sample::str(data(s)?.iter().rev().copied().collect::<Vec<u8>>())),
        "back to front",
    ),
    conv("reverse_dom", STR, STR, reverse_dom, "the labels of a domain name in reverse order"),
    conv("language", STR, STR, language, "the best language of an Accept-Language header")
        .args(1, &[ArgKind::Str, ArgKind::Str]),
    conv("has_ctl", BIN, SampleType::Bool, has_ctl, "there are control characters")
        .args(0, &[ArgKind::Str])
        .check(check_control_mask),
    conv("debug", SampleType::Any, SampleType::Same, debug, "writes the value to the operational log")
        .args(0, &[ArgKind::Str, ArgKind::Str]),
    conv("strcmp", STR, SampleType::Int, strcmp, "less than, equal to or greater than a variable")
        .args(1, &[ArgKind::Str])
        .check(check_variable),
    conv(
        "secure_memcmp",
        BIN,
        SampleType::Bool,
        secure_memcmp,
        "equal to a variable, compared in constant time",
    )
    .args(1, &[ArgKind::Str])
    .check(check_variable),
];

fn debug<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let kind = sample.sample_type().name();
    tracing::debug!(prefix = args.text(0).unwrap_or("debug"), kind, value = ?sample, "sample");
    Some(sample)
}

fn change<'a>(sample: Sample<'a>, f: fn(&mut u8)) -> Option<Sample<'a>> {
    let mut bytes = data(sample)?.into_vec();
    bytes.iter_mut().for_each(f);
    Some(Sample::Str(Data::Owned(bytes)))
}

fn check_bytes(args: &mut Args, scope: &ParseScope<'_>, span: hacore::diag::Span) -> Result<(), String> {
    super::find_variables(args, scope, span)?;
    for index in 0..args.len() {
        let text = args.text(index).unwrap_or_default();
        // A part of no bytes is none.
        let is_number = text.parse::<u32>().is_ok_and(|number| index == 0 || number > 0);
        let starts_as_number = text.starts_with(|c: char| c.is_ascii_digit());
        if !is_number && (starts_as_number || VarName::parse(text).is_err()) {
            return Err(if index == 0 { "Invalid offset" } else { "Invalid length" }.to_owned());
        }
    }
    Ok(())
}

fn bytes<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let number = |index| -> Option<usize> {
        let text = super::text_or_variable(args, index, ctx)?;
        usize::try_from(crate::expr::sample::int_prefix(&text)?).ok()
    };
    let data = data(sample)?;
    let offset = number(0)?;
    let end = if args.len() > 1 { offset.saturating_add(number(1)?) } else { usize::MAX };
    Some(Sample::Bin(data.slice(offset, end)))
}

fn trim<'a>(sample: Sample<'a>, args: &Args, leading: bool) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let set = args.bytes(0).unwrap_or_default();
    let keep = |b: &u8| !set.contains(b);
    let (start, end) = if leading {
        (data.iter().position(keep).unwrap_or(data.len()), data.len())
    } else {
        (0, data.iter().rposition(keep).map_or(0, |last| last + 1))
    };
    Some(Sample::Str(data.slice(start, end)))
}

fn cut_crlf<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let end = memchr::memchr2(b'\r', b'\n', &data).unwrap_or(data.len());
    Some(Sample::Str(data.slice(0, end)))
}

fn reverse_dom<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let mut labels: Vec<&[u8]> = data.split(|b| *b == b'.').collect();
    labels.reverse();
    Some(Sample::str(labels.join(&b'.')))
}

fn has_ctl<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let mask = control_mask(args.text(0).unwrap_or_default())?;
    let bit = |byte: u8| match byte {
        0..0x20 => 1 << byte,
        0x7f => 1 << 32,
        _ => 0u64,
    };
    Some(Sample::Bool(data(sample)?.iter().any(|byte| mask & bit(*byte) != 0)))
}

/// The characters that `has_ctl` looks for: bits 0 to 31 are the characters 00 to 1F, bit 32 is 7F.
fn control_mask(text: &str) -> Option<u64> {
    const ANY: u64 = (1 << 33) - 1;
    let number = || match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => u64::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    match text {
        "" => Some(ANY & !(1 << b'\t')),
        "any" => Some(ANY),
        "http" => Some(1 | 1 << b'\n' | 1 << b'\r'),
        _ => number().filter(|mask| *mask <= ANY),
    }
}

fn check_control_mask(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let text = args.text(0).unwrap_or_default();
    match control_mask(text) {
        Some(_) => Ok(()),
        None => Err(format!("expects 'any', 'http' or a mask of at most 33 bits, got '{text}'")),
    }
}

fn check_variable(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let text = args.text(0).unwrap_or_default();
    args.state = ConverterState::Var(VarName::parse(text).map_err(|_| "invalid variable name".to_owned())?);
    Ok(())
}

fn variable<'a>(args: &Args, ctx: &EvalCtx<'a>) -> Option<Data<'a>> {
    match &args.state {
        ConverterState::Var(name) => crate::expr::fetch::read_variable(ctx, name)?.into_text(),
        _ => None,
    }
}

/// As C's `strncmp` over the shorter length, then by length.
fn strcmp<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let left = data(sample)?;
    let right = variable(args, ctx)?;
    let shared = left.iter().zip(right.iter()).find(|(a, b)| a != b);
    let result = match shared {
        Some((a, b)) => i64::from(*a) - i64::from(*b),
        None => match left.len().cmp(&right.len()) {
            std::cmp::Ordering::Less => -1,
            std::cmp::Ordering::Equal => 0,
            std::cmp::Ordering::Greater => 1,
        },
    };
    Some(Sample::Int(result))
}

fn secure_memcmp<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let left = data(sample)?;
    let right = match &args.state {
        ConverterState::Var(name) => super::variable_bytes(ctx, name)?,
        _ => return None,
    };
    let differences = left.iter().zip(right.iter()).fold(0, |all, (a, b)| all | (a ^ b));
    Some(Sample::Bool(left.len() == right.len() && std::hint::black_box(differences) == 0))
}

/// RFC 9110 §12.5.4, restricted to the languages that the argument lists.
fn language<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let header = data(sample)?;
    let known = args.bytes(0)?;
    let mut best: Option<(&[u8], u32)> = None;
    for item in header.split(|b| *b == b',') {
        let mut parts = item.split(|b| *b == b';').map(<[u8]>::trim_ascii);
        let tag = parts.next().unwrap_or_default();
        let quality = parts.find_map(|part| part.strip_prefix(b"q=")).map_or(1000, quality_permille);
        let base = tag.split(|b| *b == b'-').next().unwrap_or_default();
        let found = [tag, base].iter().find_map(|wanted| {
            known.split(|b| *b == b';').find(|language| language == wanted && !language.is_empty())
        });
        if let Some(language) = found
            && quality > best.map_or(0, |(_, q)| q)
        {
            best = Some((language, quality));
        }
    }
    best.map(|(language, _)| language).or(args.bytes(1)).map(Sample::str)
}

/// `0.5` is 500.
fn quality_permille(text: &[u8]) -> u32 {
    let mut digits = text.iter().filter(|b| b.is_ascii_digit()).take(4).map(|b| u32::from(b - b'0'));
    (0..4).fold(0, |value, _| value * 10 + digits.next().unwrap_or(0)).min(1000)
}
