//! JSON: escaping and queries.

use std::sync::Arc;

use serde_json::Value;

use super::{Converter, ConverterState, conv, data};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

pub(super) const CONVERTERS: &[Converter] = &[
    conv("json", SampleType::Str, SampleType::Str, json, "escaped for a JSON string")
        .args(1, &[ArgKind::Str])
        .check(check_decoder),
    conv("json_query", SampleType::Str, SampleType::Any, query, "a value out of a JSON text")
        .args(1, &[ArgKind::Str, ArgKind::Str])
        .check(check_query),
];

fn check_decoder(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    match args.text(0).unwrap_or_default() {
        "" | "ascii" | "utf8" | "utf8s" | "utf8p" | "utf8ps" => Ok(()),
        _ => Err(
            "Unexpected input code type. Allowed value are 'ascii', 'utf8', 'utf8s', 'utf8p' and 'utf8ps'"
                .to_owned(),
        ),
    }
}

/// One character and the bytes it took.
enum Decoded {
    Char(u32, usize),
    /// Encoded with more bytes than needed.
    Overlong(u32, usize),
    Bad(usize),
}

fn decode(text: &[u8], ascii: bool) -> Decoded {
    let first = text.first().copied().unwrap_or(0);
    if ascii || first < 0x80 {
        return Decoded::Char(first.into(), 1);
    }
    let (length, mut code) = match first {
        0xc0..=0xdf => (2, u32::from(first & 0x1f)),
        0xe0..=0xef => (3, u32::from(first & 0x0f)),
        0xf0..=0xf7 => (4, u32::from(first & 0x07)),
        _ => return Decoded::Bad(1),
    };
    for at in 1..length {
        match text.get(at) {
            Some(byte) if byte & 0xc0 == 0x80 => code = code << 6 | u32::from(byte & 0x3f),
            _ => return Decoded::Bad(at),
        }
    }
    let smallest = [0, 0, 0x80, 0x800, 0x1_0000].get(length).copied().unwrap_or(0);
    match code {
        code if code < smallest => Decoded::Overlong(code, length),
        0xd800..=0xdfff | 0xfffe..=0xffff => Decoded::Bad(length),
        code => Decoded::Char(code, length),
    }
}

fn json<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let mode = args.text(0).unwrap_or("ascii");
    let (ascii, silent, permissive) = (mode == "ascii", mode.ends_with('s'), mode.contains("8p"));
    let mut out = Vec::with_capacity(data.len());
    let mut rest = &data[..];
    while !rest.is_empty() {
        let (code, length) = match decode(rest, ascii) {
            Decoded::Char(code, length) => (Some(code), length),
            Decoded::Overlong(code, length) if permissive => (Some(code), length),
            Decoded::Overlong(_, length) | Decoded::Bad(length) if silent => (None, length),
            _ => return None,
        };
        rest = rest.get(length..).unwrap_or_default();
        match code {
            Some(code) if code > 0xffff && silent => {}
            Some(code) if code > 0xffff => return None,
            Some(code) => push_escaped(&mut out, code),
            None => {}
        }
    }
    Some(Sample::str(out))
}

fn push_escaped(out: &mut Vec<u8>, code: u32) {
    let short = match code {
        0x22 => b'"',
        0x5c => b'\\',
        0x2f => b'/',
        0x08 => b'b',
        0x0c => b'f',
        0x0a => b'n',
        0x0d => b'r',
        0x09 => b't',
        0x20..=0x7e => {
            out.push(code as u8);
            return;
        }
        _ => {
            out.extend_from_slice(format!("\\u{code:04x}").as_bytes());
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// `$.key.list[0]`, compiled.
#[derive(Debug)]
pub struct JsonPath {
    is_rooted: bool,
    steps: Vec<Step>,
    as_int: bool,
}

#[derive(Debug)]
enum Step {
    Key(String),
    Index(usize),
}

impl JsonPath {
    /// A backslash hides the next character of a key. `output` may be `int`.
    pub(super) fn parse(path: &str, output: Option<&str>) -> Result<JsonPath, String> {
        let invalid = || "invalid json path provided".to_owned();
        // HAProxy takes a path without `$`, which then finds nothing.
        let is_rooted = path.starts_with('$');
        let mut rest = path.strip_prefix('$').unwrap_or_default();
        let mut steps = Vec::new();
        while !rest.is_empty() {
            if let Some(after) = rest.strip_prefix('[') {
                let (index, after) = after.split_once(']').ok_or_else(invalid)?;
                steps.push(match index.parse() {
                    Ok(index) => Step::Index(index),
                    Err(_) => Step::Key(index.trim_matches(['\'', '"']).to_owned()),
                });
                rest = after;
                continue;
            }
            let after = rest.strip_prefix('.').ok_or_else(invalid)?;
            let mut key = String::new();
            let mut chars = after.char_indices();
            let mut end = after.len();
            while let Some((at, c)) = chars.next() {
                match c {
                    '\\' => key.extend(chars.next().map(|(_, hidden)| hidden)),
                    '.' | '[' => {
                        end = at;
                        break;
                    }
                    c => key.push(c),
                }
            }
            steps.push(Step::Key(key));
            rest = after.get(end..).unwrap_or_default();
        }
        let as_int = match output {
            None => false,
            Some("int") => true,
            Some(_) => return Err("output_type only supports \"int\" as argument".to_owned()),
        };
        Ok(JsonPath { is_rooted, steps, as_int })
    }

    /// Looks the value up; objects give nothing, lists their text.
    pub(super) fn find<'a>(&self, text: &[u8]) -> Option<Sample<'a>> {
        if !self.is_rooted {
            return None;
        }
        let root: Value = serde_json::from_slice(text).ok()?;
        let mut value = &root;
        for step in &self.steps {
            value = match step {
                Step::Key(key) => value.get(key)?,
                Step::Index(index) => value.get(index)?,
            };
        }
        if self.as_int {
            return match value {
                Value::Number(n) => n.as_i64().or_else(|| n.as_f64().map(|f| f as i64)),
                Value::String(text) => crate::expr::sample::int_prefix(text.as_bytes()),
                _ => None,
            }
            .map(Sample::Int);
        }
        match value {
            Value::Bool(b) => Some(Sample::Bool(*b)),
            Value::Number(n) => Some(n.as_i64().map_or_else(|| Sample::str(n.to_string()), Sample::Int)),
            Value::String(text) => Some(Sample::str(text.clone())),
            Value::Array(_) => Some(Sample::str(value.to_string())),
            Value::Null | Value::Object(_) => None,
        }
    }
}

fn check_query(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let path = args.text(0).ok_or("missing json path")?;
    args.state = ConverterState::JsonPath(Arc::new(JsonPath::parse(path, args.text(1))?));
    Ok(())
}

fn query<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    match &args.state {
        ConverterState::JsonPath(path) => path.find(&data(sample)?),
        _ => None,
    }
}
