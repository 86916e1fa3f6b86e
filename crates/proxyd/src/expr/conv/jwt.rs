//! JSON Web Tokens: queries of header and payload, HMAC verification (RFC 7515).
//!
//! Verification against certificates (`RS…`, `ES…`) is not done here: the TLS layer will own the certificates.

use std::sync::Arc;

use super::digest::Algorithm;
use super::encode::ub64_decode;
use super::json::JsonPath;
use super::{Converter, ConverterState, conv, data, find_variables, text_or_variable};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const QUERY: &[ArgKind] = &[ArgKind::Str, ArgKind::Str];

pub(super) const CONVERTERS: &[Converter] = &[
    conv(
        "jwt_header_query",
        SampleType::Bin,
        SampleType::Any,
        |s, a, _| query(s, a, 0),
        "the header of a JWT, or a value in it",
    )
    .args(0, QUERY)
    .check(check_query),
    conv(
        "jwt_payload_query",
        SampleType::Bin,
        SampleType::Any,
        |s, a, _| query(s, a, 1),
        "the payload of a JWT, or a value in it",
    )
    .args(0, QUERY)
    .check(check_query),
    conv("jwt_verify", SampleType::Bin, SampleType::Int, verify, "checks the signature of a JWT")
        .args(2, QUERY)
        .check(check_verify),
];

fn check_query(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if let Some(path) = args.text(0) {
        args.state = ConverterState::JsonPath(Arc::new(JsonPath::parse(path, args.text(1))?));
    }
    Ok(())
}

fn query<'a>(sample: Sample<'a>, args: &'a Args, part: usize) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let decoded = ub64_decode(data.split(|b| *b == b'.').nth(part)?)?;
    match &args.state {
        ConverterState::JsonPath(path) => path.find(&decoded),
        _ => Some(Sample::str(decoded)),
    }
}

// The results of `jwt_verify` that are no success (manual, "jwt_verify").
const FAILURE: i64 = 0;
const SUCCESS: i64 = 1;
const UNKNOWN_ALGORITHM: i64 = -1;
const UNMANAGED_ALGORITHM: i64 = -2;
const INVALID_TOKEN: i64 = -3;
const UNKNOWN_CERTIFICATE: i64 = -5;

fn check_verify(args: &mut Args, scope: &ParseScope<'_>, span: hacore::diag::Span) -> Result<(), String> {
    find_variables(args, scope, span)?;
    match args.text(0).unwrap_or_default() {
        "HS256" | "HS384" | "HS512" => Ok(()),
        "RS256" | "RS384" | "RS512" | "ES256" | "ES384" | "ES512" => {
            Err("verification against certificates is not supported yet".to_owned())
        }
        name if crate::expr::VarName::parse(name).is_ok() => Ok(()),
        name => Err(format!("unknown JWT algorithm: {name}")),
    }
}

fn verify<'a>(sample: Sample<'a>, args: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let token = data(sample)?;
    let name = text_or_variable(args, 0, ctx)?;
    let key = text_or_variable(args, 1, ctx)?;
    Some(Sample::Int(verdict(&token, &name, &key)))
}

fn verdict(token: &[u8], name: &[u8], key: &[u8]) -> i64 {
    let algorithm = match name {
        b"HS256" => Algorithm::Sha256,
        b"HS384" => Algorithm::Sha384,
        b"HS512" => Algorithm::Sha512,
        b"RS256" | b"RS384" | b"RS512" | b"ES256" | b"ES384" | b"ES512" => return UNKNOWN_CERTIFICATE,
        b"PS256" | b"PS384" | b"PS512" => return UNMANAGED_ALGORITHM,
        _ => return UNKNOWN_ALGORITHM,
    };
    let Some(dot) = memchr::memrchr(b'.', token) else { return INVALID_TOKEN };
    let (signed, signature) = token.split_at(dot);
    if signed.split(|b| *b == b'.').count() != 2 {
        return INVALID_TOKEN;
    }
    let Some(signature) = ub64_decode(signature.get(1..).unwrap_or_default()) else { return INVALID_TOKEN };
    let Some(expected) = algorithm.hmac(key, signed) else { return FAILURE };
    let differences = expected.iter().zip(&signature).fold(0, |all, (a, b)| all | (a ^ b));
    let equal = expected.len() == signature.len() && std::hint::black_box(differences) == 0;
    if equal { SUCCESS } else { FAILURE }
}
