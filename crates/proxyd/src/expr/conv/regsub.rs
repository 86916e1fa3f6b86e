//! `regsub`: substitution by regular expression.

use std::sync::Arc;

use regex::bytes::{Captures, Regex};

use super::{Converter, ConverterState, conv, data};
use crate::expr::acl::compile_regex;
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] =
    &[conv("regsub", SampleType::Str, SampleType::Str, regsub, "substitutes what matches a regex")
        .args(2, &[ArgKind::Regex, ArgKind::Str, ArgKind::Str])
        .check(check)];

/// A compiled substitution.
#[derive(Debug)]
pub struct Regsub {
    regex: Regex,
    replacement: Replacement,
    global: bool,
}

/// Text with `\0` to `\9`.
#[derive(Debug, Clone)]
pub struct Replacement(Vec<Part>);

#[derive(Debug, Clone)]
enum Part {
    Text(Vec<u8>),
    Group(usize),
}

impl Replacement {
    /// `\` and a digit is a group, `\xHH` a byte, `\` and anything else that itself.
    pub fn parse(text: &[u8]) -> Replacement {
        let mut parts = Vec::new();
        let mut plain = Vec::new();
        let mut at = 0;
        while let Some(&byte) = text.get(at) {
            at += 1;
            let next = text.get(at).copied();
            match (byte, next) {
                (b'\\', Some(digit @ b'0'..=b'9')) => {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                    parts.push(Part::Group(usize::from(digit - b'0')));
                    at += 1;
                }
                (b'\\', Some(b'x')) => match text.get(at + 1..at + 3).and_then(super::encode::hex_decode) {
                    Some(value) => {
                        plain.extend(value);
                        at += 3;
                    }
                    None => plain.push(byte),
                },
                (b'\\', Some(other)) => {
                    plain.push(other);
                    at += 1;
                }
                _ => plain.push(byte),
            }
        }
        parts.push(Part::Text(plain));
        Replacement(parts)
    }

    /// Appends the replacement for one match.
    pub fn expand(&self, captures: &Captures<'_>, out: &mut Vec<u8>) {
        for part in &self.0 {
            match part {
                Part::Text(text) => out.extend_from_slice(text),
                Part::Group(group) => {
                    out.extend_from_slice(captures.get(*group).map_or(b"", |m| m.as_bytes()))
                }
            }
        }
    }
}

fn check(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    if args.bytes(0).is_none() {
        return Err("missing regex".to_owned());
    }
    let (mut global, mut ignore_case) = (false, false);
    for flag in args.bytes(2).unwrap_or_default() {
        match flag {
            b'g' => global = true,
            b'i' => ignore_case = true,
            other => {
                return Err(format!(
                    "invalid regex flag '{}', only 'i' and 'g' are supported",
                    *other as char
                ));
            }
        }
    }
    let regex = compile_regex(args.bytes(0).unwrap_or_default(), ignore_case)?;
    let replacement = Replacement::parse(args.bytes(1).unwrap_or_default());
    args.state = ConverterState::Regsub(Arc::new(Regsub { regex, replacement, global }));
    Ok(())
}

fn regsub<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let ConverterState::Regsub(this) = &args.state else { return None };
    let data = data(sample)?;
    let mut out = Vec::new();
    let mut copied = 0;
    for captures in this.regex.captures_iter(&data) {
        let whole = captures.get(0)?;
        out.extend_from_slice(data.get(copied..whole.start())?);
        this.replacement.expand(&captures, &mut out);
        copied = whole.end();
        if !this.global {
            break;
        }
    }
    if copied == 0 && out.is_empty() {
        return Some(Sample::Str(data));
    }
    out.extend_from_slice(data.get(copied..)?);
    Some(Sample::str(out))
}
