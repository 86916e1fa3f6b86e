//! Hexadecimal, base64, base 2 and decimal dumps.

use base64::Engine;
use base64::alphabet;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, NO_PAD};
use base64::engine::{DecodePaddingMode, general_purpose::STANDARD};

use super::{Converter, conv, data};
use crate::expr::sample::hex_upper;
use crate::expr::{Arg, ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const STR: SampleType = SampleType::Str;
const BIN: SampleType = SampleType::Bin;
const CHUNKS: &[ArgKind] = &[ArgKind::Str, ArgKind::Int, ArgKind::Int];

pub(super) const CONVERTERS: &[Converter] = &[
    conv("hex", BIN, STR, |s, _, _| Some(Sample::str(hex_upper(&data(s)?))), "in hexadecimal"),
    conv("hex2i", STR, SampleType::Int, hex2i, "hexadecimal digits as an integer"),
    conv("base64", BIN, STR, |s, _, _| Some(Sample::str(STANDARD.encode(&*data(s)?))), "in base64"),
    conv("b64dec", STR, BIN, |s, _, _| Some(Sample::bin(b64_decode(&data(s)?)?)), "decoded from base64"),
    conv("ub64enc", BIN, STR, |s, _, _| Some(Sample::str(URL_SAFE.encode(&*data(s)?))), "in base64url"),
    conv("ub64dec", STR, BIN, |s, _, _| Some(Sample::bin(ub64_decode(&data(s)?)?)), "decoded from base64url"),
    conv(
        "base2",
        BIN,
        STR,
        |s, _, _| Some(Sample::str(data(s)?.iter().map(|b| format!("{b:08b}")).collect::<String>())),
        "in binary digits",
    ),
    conv("be2hex", BIN, STR, be2hex, "in hexadecimal, in chunks").args(1, CHUNKS).check(check_hex_chunks),
    conv("be2dec", BIN, STR, |s, a, _| to_decimal(s, a, true), "big-endian chunks in decimal")
        .args(1, CHUNKS)
        .check(check_decimal_chunks),
    conv("le2dec", BIN, STR, |s, a, _| to_decimal(s, a, false), "little-endian chunks in decimal")
        .args(1, CHUNKS)
        .check(check_decimal_chunks),
];

const URL_SAFE: GeneralPurpose = GeneralPurpose::new(&alphabet::URL_SAFE, NO_PAD);

/// Standard base64 with its padding; `None` on anything else.
pub(crate) fn b64_decode(text: &[u8]) -> Option<Vec<u8>> {
    STANDARD.decode(text).ok()
}

/// base64url with or without padding.
pub(crate) fn ub64_decode(text: &[u8]) -> Option<Vec<u8>> {
    const LENIENT: GeneralPurpose = GeneralPurpose::new(
        &alphabet::URL_SAFE,
        GeneralPurposeConfig::new()
            .with_decode_padding_mode(DecodePaddingMode::Indifferent)
            .with_decode_allow_trailing_bits(true),
    );
    LENIENT.decode(text).ok()
}

/// Pairs of hexadecimal digits as bytes; `None` on anything else.
pub(crate) fn hex_decode(digits: &[u8]) -> Option<Vec<u8>> {
    if digits.len() % 2 == 1 {
        return None;
    }
    let digit = |b: u8| (b as char).to_digit(16);
    digits
        .chunks_exact(2)
        .map(|pair| match pair {
            [high, low] => Some((digit(*high)? * 16 + digit(*low)?) as u8),
            _ => None,
        })
        .collect()
}

/// The last 16 digits count; anything that is no digit makes it fail.
fn hex2i<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let value = data(sample)?
        .iter()
        .try_fold(0_u64, |value, b| Some(value << 4 | u64::from((*b as char).to_digit(16)?)));
    value.map(|value| Sample::Int(value as i64))
}

fn check_hex_chunks(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if args.len() > 1 && args.int(1).is_none_or(|size| size < 1) {
        return Err(format!("chunk size must be strictly positive ({})", args.int(1).unwrap_or(0)));
    }
    check_truncate(args)
}

fn check_decimal_chunks(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if args.len() < 2 {
        args.list.push(Arg::Int(2));
    }
    match args.int(1) {
        Some(1..=8) => check_truncate(args),
        size => Err(format!("chunk_size value must be in the [1..8] range ({})", size.unwrap_or(0))),
    }
}

fn check_truncate(args: &Args) -> Result<(), String> {
    match args.int(2) {
        None | Some(0 | 1) => Ok(()),
        Some(other) => Err(format!("Unsupported value for truncate: {other}")),
    }
}

fn chunks<'d>(data: &'d [u8], args: &Args, default: usize) -> impl Iterator<Item = &'d [u8]> {
    let size = args.int(1).and_then(|n| usize::try_from(n).ok()).unwrap_or(default).max(1);
    let truncate = args.int(2).unwrap_or(0) != 0;
    data.chunks(size).filter(move |chunk| !truncate || chunk.len() == size)
}

fn be2hex<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let parts: Vec<Vec<u8>> = chunks(&data, args, usize::MAX).map(hex_upper).collect();
    Some(Sample::str(parts.join(args.bytes(0).unwrap_or_default())))
}

fn to_decimal<'a>(sample: Sample<'a>, args: &'a Args, big_endian: bool) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let number = |chunk: &[u8]| {
        let fold = |value: u64, b: &u8| value << 8 | u64::from(*b);
        let value = if big_endian { chunk.iter().fold(0, fold) } else { chunk.iter().rev().fold(0, fold) };
        value.to_string().into_bytes()
    };
    let parts: Vec<Vec<u8>> = chunks(&data, args, 2).map(number).collect();
    Some(Sample::str(parts.join(args.bytes(0).unwrap_or_default())))
}
