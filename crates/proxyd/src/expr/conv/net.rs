//! Addresses, and names of proxies and servers that come out of an expression.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Converter, conv, data};
use crate::expr::{Arg, ArgKind, Args, Data, EvalCtx, Sample, SampleType, ServerView};

const STR: SampleType = SampleType::Str;
const INT: SampleType = SampleType::Int;
const ADDR: SampleType = SampleType::Addr;

pub(super) const CONVERTERS: &[Converter] = &[
    conv("ipmask", ADDR, ADDR, ipmask, "the network of an address")
        .args(1, &[ArgKind::Ipv4Mask, ArgKind::Ipv6Mask]),
    conv("nbsrv", STR, INT, nbsrv, "usable servers of a backend by name"),
    conv(
        "fe_exists",
        STR,
        SampleType::Bool,
        |s, _, c| Some(Sample::Bool(c.env.find_frontend(&data(s)?).is_some())),
        "a frontend of this name exists",
    ),
    conv(
        "srv_queue",
        STR,
        INT,
        |s, _, c| Some(Sample::Int(server(&data(s)?, c)?.queue.into())),
        "requests waiting for a server by name",
    ),
    conv(
        "srv_is_up",
        STR,
        SampleType::Bool,
        |s, _, c| Some(Sample::Bool(server(&data(s)?, c)?.usable)),
        "a server by name is usable",
    ),
    conv(
        "rfc7239_is_valid",
        STR,
        SampleType::Bool,
        |s, _, _| Some(Sample::Bool(forwarded::elements(&data(s)?).is_some())),
        "a valid Forwarded header",
    ),
    conv("rfc7239_field", STR, STR, rfc7239_field, "a field of a Forwarded header")
        .args(1, &[ArgKind::Str])
        .check(check_field),
    conv(
        "rfc7239_nn",
        SampleType::Any,
        STR,
        |s, _, _| {
            let s = data(s)?;
            Some(Sample::str(forwarded::node(&s)?.0.to_vec()))
        },
        "the name of a Forwarded node as text",
    ),
    conv(
        "rfc7239_np",
        SampleType::Any,
        STR,
        |s, _, _| {
            let s = data(s)?;
            Some(Sample::str(forwarded::node(&s)?.1?.to_vec()))
        },
        "the port of a Forwarded node as text",
    ),
    conv("rfc7239_n2nn", STR, SampleType::Any, rfc7239_name, "the name of a Forwarded node"),
    conv("rfc7239_n2np", STR, SampleType::Any, rfc7239_port, "the port of a Forwarded node"),
    conv(
        "x509_v_err_str",
        INT,
        STR,
        |s, _, _| Some(Sample::str(x509_error(super::int(&s)?))),
        "the name of a certificate verification error",
    ),
];

fn ipmask<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    match (sample, args.list.first(), args.list.get(1)) {
        (Sample::Ipv4(ip), Some(Arg::Ipv4(mask)), _) => {
            Some(Sample::Ipv4(Ipv4Addr::from_bits(ip.to_bits() & mask.to_bits())))
        }
        (Sample::Ipv6(ip), _, Some(Arg::Ipv6(mask))) => {
            Some(Sample::Ipv6(Ipv6Addr::from_bits(ip.to_bits() & mask.to_bits())))
        }
        (Sample::Ipv6(ip), Some(Arg::Ipv4(mask)), None) => {
            let ip = crate::expr::sample::ipv6_to_ipv4(ip)?;
            Some(Sample::Ipv4(Ipv4Addr::from_bits(ip.to_bits() & mask.to_bits())))
        }
        _ => None,
    }
}

fn nbsrv<'a>(sample: Sample<'a>, _: &'a Args, ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let backend = ctx.env.find_backend(&data(sample)?)?;
    Some(Sample::Int(ctx.env.backend(backend)?.servers_usable.into()))
}

/// `[backend/]server`.
fn server<'a>(name: &[u8], ctx: &EvalCtx<'a>) -> Option<ServerView<'a>> {
    let (backend, name) = match memchr::memchr(b'/', name) {
        Some(slash) => (ctx.env.find_backend(name.get(..slash)?)?, name.get(slash + 1..)?),
        None => (ctx.stream?.backend?, name),
    };
    ctx.env.server(backend, ctx.env.find_server(backend, name)?)
}

const FIELDS: [&str; 4] = ["proto", "host", "for", "by"];

fn check_field(
    args: &mut Args,
    _: &crate::expr::ParseScope<'_>,
    _: hacore::diag::Span,
) -> Result<(), String> {
    let name = args.text(0).unwrap_or_default();
    if FIELDS.contains(&name) {
        Ok(())
    } else {
        Err(format!("wrong field name '{name}' (expects proto, host, for or by)"))
    }
}

fn rfc7239_field<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let header = data(sample)?;
    let pairs = forwarded::elements(&header)?;
    let (_, value) =
        pairs.into_iter().find(|(name, _)| name.eq_ignore_ascii_case(args.bytes(0).unwrap_or_default()))?;
    Some(Sample::str(value))
}

fn rfc7239_name<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let node = data(sample)?;
    let (name, _) = forwarded::node(&node)?;
    let bare = name.strip_prefix(b"[").and_then(|n| n.strip_suffix(b"]")).unwrap_or(name);
    match crate::expr::sample::parse_ip(bare) {
        Some(IpAddr::V6(v6)) => Some(Sample::Ipv6(v6)),
        Some(IpAddr::V4(v4)) => Some(Sample::Ipv4(v4)),
        None => Some(Sample::Str(Data::Owned(name.to_vec()))),
    }
}

fn rfc7239_port<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let node = data(sample)?;
    let (_, port) = forwarded::node(&node)?;
    let port = port?;
    match std::str::from_utf8(port).ok().and_then(|p| p.parse::<u16>().ok()) {
        Some(number) => Some(Sample::Int(number.into())),
        None => Some(Sample::str(port.to_vec())),
    }
}

/// The `Forwarded` header (RFC 7239 §4 and §6).
mod forwarded {
    /// The pairs of the first element, values unquoted; `None` when the header is malformed.
    pub(super) fn elements(header: &[u8]) -> Option<Vec<(&[u8], Vec<u8>)>> {
        let mut pairs: Vec<(&[u8], Vec<u8>)> = Vec::new();
        let mut rest = header;
        loop {
            let equals = memchr::memchr(b'=', rest)?;
            let name = rest.get(..equals)?;
            if !["proto", "host", "for", "by"].iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
                || pairs.iter().any(|(seen, _)| seen.eq_ignore_ascii_case(name))
            {
                return None;
            }
            let (value, length) = value(rest.get(equals + 1..)?)?;
            let valid = match name.to_ascii_lowercase().as_slice() {
                b"for" | b"by" => node(&value).is_some(),
                _ => !value.is_empty(),
            };
            if !valid {
                return None;
            }
            pairs.push((name, value));
            rest = rest.get(equals + 1 + length..)?;
            match rest.first() {
                None => return Some(pairs),
                Some(b';') => rest = rest.get(1..)?,
                Some(_) => return None,
            }
        }
    }

    fn value(text: &[u8]) -> Option<(Vec<u8>, usize)> {
        if text.first() != Some(&b'"') {
            let is_token = |b: &u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(b);
            let length = text.iter().take_while(|b| is_token(b)).count();
            return (length > 0).then(|| (text.get(..length).unwrap_or_default().to_vec(), length));
        }
        let mut out = Vec::new();
        let mut at = 1;
        loop {
            match text.get(at)? {
                b'"' => return Some((out, at + 1)),
                b'\\' => {
                    out.push(*text.get(at + 1)?);
                    at += 2;
                }
                other => {
                    out.push(*other);
                    at += 1;
                }
            }
        }
    }

    /// Name and port of a node.
    pub(super) fn node(text: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
        let is_obfuscated = |t: &[u8]| {
            t.len() > 1
                && t.first() == Some(&b'_')
                && t.iter().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(b))
        };
        let (name, rest) = if text.first() == Some(&b'[') {
            let end = memchr::memchr(b']', text)? + 1;
            crate::expr::sample::parse_ip(text.get(1..end - 1)?).filter(|ip| ip.is_ipv6())?;
            text.split_at(end)
        } else {
            let end = memchr::memchr(b':', text).unwrap_or(text.len());
            let (name, rest) = text.split_at(end);
            let is_v4 = crate::expr::sample::parse_ip(name).is_some_and(|ip| ip.is_ipv4());
            if !is_v4 && !name.eq_ignore_ascii_case(b"unknown") && !is_obfuscated(name) {
                return None;
            }
            (name, rest)
        };
        let Some(port) = rest.strip_prefix(b":") else { return rest.is_empty().then_some((name, None)) };
        let is_number = std::str::from_utf8(port).is_ok_and(|p| p.len() <= 5 && p.parse::<u16>().is_ok());
        (is_number || is_obfuscated(port)).then_some((name, Some(port)))
    }
}

/// OpenSSL's constants, or the number for those that are none.
fn x509_error(code: i64) -> String {
    x509_error_name(code).map_or_else(|| code.to_string(), str::to_owned)
}

/// OpenSSL's constants, those that a handshake can give.
pub fn x509_error_name(code: i64) -> Option<&'static str> {
    Some(match code {
        0 => "X509_V_OK",
        1 => "X509_V_ERR_UNSPECIFIED",
        2 => "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT",
        3 => "X509_V_ERR_UNABLE_TO_GET_CRL",
        4 => "X509_V_ERR_UNABLE_TO_DECRYPT_CERT_SIGNATURE",
        5 => "X509_V_ERR_UNABLE_TO_DECRYPT_CRL_SIGNATURE",
        6 => "X509_V_ERR_UNABLE_TO_DECODE_ISSUER_PUBLIC_KEY",
        7 => "X509_V_ERR_CERT_SIGNATURE_FAILURE",
        8 => "X509_V_ERR_CRL_SIGNATURE_FAILURE",
        9 => "X509_V_ERR_CERT_NOT_YET_VALID",
        10 => "X509_V_ERR_CERT_HAS_EXPIRED",
        11 => "X509_V_ERR_CRL_NOT_YET_VALID",
        12 => "X509_V_ERR_CRL_HAS_EXPIRED",
        18 => "X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT",
        19 => "X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN",
        20 => "X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
        21 => "X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE",
        22 => "X509_V_ERR_CERT_CHAIN_TOO_LONG",
        23 => "X509_V_ERR_CERT_REVOKED",
        24 => "X509_V_ERR_INVALID_CA",
        25 => "X509_V_ERR_PATH_LENGTH_EXCEEDED",
        26 => "X509_V_ERR_INVALID_PURPOSE",
        27 => "X509_V_ERR_CERT_UNTRUSTED",
        28 => "X509_V_ERR_CERT_REJECTED",
        _ => return None,
    })
}
