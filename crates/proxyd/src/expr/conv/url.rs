//! URL encoding, Host headers.

use super::{Converter, conv, data};
use crate::expr::sample::int_prefix;
use crate::expr::{ArgKind, Args, Data, EvalCtx, ParseScope, Sample, SampleType};

const STR: SampleType = SampleType::Str;

pub(super) const CONVERTERS: &[Converter] = &[
    conv("url_dec", STR, STR, url_dec, "percent-decoded").args(0, &[ArgKind::Int]),
    conv("url_enc", STR, STR, url_enc, "percent-encoded").args(1, &[ArgKind::Str]).check(check_encoding),
    conv("host_only", STR, STR, host_only, "a Host header without its port, in lower case"),
    conv("port_only", STR, SampleType::Int, port_only, "the port of a Host header, or 0"),
];

/// `+` is a space in forms, and everywhere behind the first `?`. A wrong escape makes it fail.
fn url_dec<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let mut in_query = args.int(0).unwrap_or(0) != 0;
    let mut out = Vec::with_capacity(data.len());
    let mut at = 0;
    while let Some(&byte) = data.get(at) {
        at += 1;
        match byte {
            b'+' if in_query => out.push(b' '),
            b'%' => {
                let digits = data.get(at..at + 2)?;
                out.extend(super::encode::hex_decode(digits)?);
                at += 2;
            }
            b'?' => {
                in_query = true;
                out.push(byte);
            }
            _ => out.push(byte),
        }
    }
    Some(Sample::str(out))
}

fn check_encoding(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    match args.text(0).unwrap_or_default() {
        "" | "query" => Ok(()),
        _ => Err("Unexpected encode type. Allowed value is 'query'".to_owned()),
    }
}

/// Everything but RFC 3986 §2.3's unreserved characters.
fn url_enc<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let mut out = Vec::with_capacity(data.len());
    for &byte in data.iter() {
        if byte.is_ascii_alphanumeric() || b"-_.~".contains(&byte) {
            out.push(byte);
        } else {
            out.push(b'%');
            out.extend(crate::expr::sample::hex_upper(&[byte]));
        }
    }
    Some(Sample::str(out))
}

/// Where the port's colon stands.
fn port_colon(host: &[u8]) -> Option<usize> {
    let colon = memchr::memrchr(b':', host)?;
    let after = host.get(colon + 1..)?;
    let bracket = memchr::memrchr(b']', host).is_none_or(|bracket| bracket < colon);
    (bracket && after.iter().all(u8::is_ascii_digit)).then_some(colon)
}

fn host_only<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let end = port_colon(&data).unwrap_or(data.len());
    let host = data.slice(0, end);
    if host.iter().any(u8::is_ascii_uppercase) {
        return Some(Sample::Str(Data::Owned(host.to_ascii_lowercase())));
    }
    Some(Sample::Str(host))
}

fn port_only<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let port = port_colon(&data).and_then(|colon| int_prefix(data.get(colon + 1..)?));
    Some(Sample::Int(port.unwrap_or(0)))
}
