//! Maps: `map`, `map_beg`, `map_ip_int`… look a value up in a file.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::regsub::Replacement;
use super::{Converter, ConverterState, conv, data};
use crate::expr::acl::{MatchMethod, PatternSet};
use crate::expr::pattern_file::{Look, PatternEntry, Recompile};
use crate::expr::{ArgKind, Args, Data, EvalCtx, ParseScope, Sample, SampleType};

const ANY: SampleType = SampleType::Str;
const INT: SampleType = SampleType::Int;
const ADDR: SampleType = SampleType::Addr;

const fn to_str(name: &'static str, input: SampleType) -> Converter {
    conv(name, input, SampleType::Str, RUN, "looked up in a map")
        .args(1, &[ArgKind::Str, ArgKind::Str])
        .check(check)
}

const fn to_int(name: &'static str, input: SampleType) -> Converter {
    conv(name, input, INT, RUN, "looked up in a map of integers")
        .args(1, &[ArgKind::Str, ArgKind::Int])
        .check(check)
}

const fn to_ip(name: &'static str, input: SampleType) -> Converter {
    conv(name, input, ADDR, RUN, "looked up in a map of addresses")
        .args(1, &[ArgKind::Str, ArgKind::Str])
        .check(check)
}

const fn to_key(name: &'static str, input: SampleType) -> Converter {
    conv(name, input, SampleType::Str, RUN, "the key of a map that matches")
        .args(1, &[ArgKind::Str])
        .check(check)
}

const RUN: super::ConvFn = look_up;

pub(super) const CONVERTERS: &[Converter] = &[
    to_str("map", ANY),
    to_str("map_beg", ANY),
    to_int("map_beg_int", ANY),
    to_ip("map_beg_ip", ANY),
    to_key("map_beg_key", ANY),
    to_str("map_dir", ANY),
    to_int("map_dir_int", ANY),
    to_ip("map_dir_ip", ANY),
    to_key("map_dir_key", ANY),
    to_str("map_dom", ANY),
    to_int("map_dom_int", ANY),
    to_ip("map_dom_ip", ANY),
    to_key("map_dom_key", ANY),
    to_str("map_end", ANY),
    to_int("map_end_int", ANY),
    to_ip("map_end_ip", ANY),
    to_key("map_end_key", ANY),
    to_str("map_int", INT),
    to_int("map_int_int", INT),
    to_ip("map_int_ip", INT),
    to_key("map_int_key", INT),
    to_str("map_ip", ADDR),
    to_int("map_ip_int", ADDR),
    to_ip("map_ip_ip", ADDR),
    to_key("map_ip_key", ADDR),
    to_str("map_reg", ANY),
    to_int("map_reg_int", ANY),
    to_ip("map_reg_ip", ANY),
    to_key("map_reg_key", ANY),
    to_str("map_regm", ANY),
    to_str("map_str", ANY),
    to_int("map_str_int", ANY),
    to_ip("map_str_ip", ANY),
    to_key("map_str_key", ANY),
    to_str("map_sub", ANY),
    to_int("map_sub_int", ANY),
    to_ip("map_sub_ip", ANY),
    to_key("map_sub_key", ANY),
];

/// What is given for the entry that matches.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Output {
    Str,
    Int,
    Ip,
    Key,
    /// The value with `\1` replaced by what the key's groups matched.
    Substitution,
}

#[derive(Debug)]
enum Value {
    Sample(Sample<'static>),
    Replacement(Replacement),
}

/// A file compiled for one method and output.
#[derive(Debug)]
pub struct Map {
    table: Arc<Table>,
    default: Option<Sample<'static>>,
}

#[derive(Debug)]
struct Table {
    method: MatchMethod,
    output: Output,
    compiled: ArcSwap<(PatternSet, Vec<Value>)>,
}

impl Recompile for Table {
    fn recompile(&self, entries: &[PatternEntry]) -> Result<(), String> {
        let keys = entries.iter().map(|entry| &*entry.key);
        let set = PatternSet::compile(self.method, false, keys)?;
        let values = entries.iter().map(|entry| self.value(entry)).collect::<Result<_, _>>()?;
        self.compiled.store(Arc::new((set, values)));
        Ok(())
    }

    fn look_up(&self, key: &str) -> Look {
        self.compiled.load().0.look_up(key)
    }
}

impl Table {
    fn value(&self, entry: &PatternEntry) -> Result<Value, String> {
        let source = if self.output == Output::Key { &entry.key } else { &entry.value };
        if self.output == Output::Substitution {
            return Ok(Value::Replacement(Replacement::parse(source)));
        }
        typed(source, self.output).map(Value::Sample).ok_or_else(|| {
            let text = String::from_utf8_lossy(source);
            match self.output {
                Output::Int => format!("'{text}' is not a number"),
                _ => format!("'{text}' is not a valid IPv4 or IPv6 address"),
            }
        })
    }
}

fn typed(text: &[u8], output: Output) -> Option<Sample<'static>> {
    match output {
        Output::Int => std::str::from_utf8(text).ok()?.parse().ok().map(Sample::Int),
        Output::Ip => crate::expr::sample::parse_ip(text).map(Sample::ip),
        _ => Some(Sample::Str(Data::Shared(bytes::Bytes::copy_from_slice(text)))),
    }
}

/// `map_ip_int` is the method `ip` and the output `int`.
fn parse_name(name: &str) -> (MatchMethod, Output) {
    let mut parts = name.split('_').skip(1);
    let method = parts.next().unwrap_or("str");
    let output = match parts.next() {
        _ if method == "regm" => Output::Substitution,
        Some("int") => Output::Int,
        Some("ip") => Output::Ip,
        Some("key") => Output::Key,
        _ => Output::Str,
    };
    let method = MatchMethod::ALL.into_iter().find(|m| m.name() == method).unwrap_or(MatchMethod::Reg);
    (if name == "map" { MatchMethod::Str } else { method }, output)
}

fn check(args: &mut Args, scope: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let (method, output) = parse_name(args.keyword);
    let name = args.text(0).unwrap_or_default();
    let file = scope.pattern_files.open(name, true, scope.loader).map_err(|e| format!("{e}."))?;
    let default = match (args.int(1), args.bytes(1)) {
        (Some(n), _) => Some(Sample::Int(n)),
        (None, Some(text)) => {
            let text = typed(text, if output == Output::Substitution { Output::Str } else { output });
            Some(text.ok_or("invalid default value".to_owned())?)
        }
        (None, None) if args.len() > 1 && output == Output::Str => Some(Sample::str("")),
        (None, None) => None,
    };
    let empty = (PatternSet::compile(method, false, std::iter::empty())?, Vec::new());
    let table = Arc::new(Table { method, output, compiled: ArcSwap::from_pointee(empty) });
    let user: Arc<dyn Recompile> = Arc::clone(&table) as Arc<dyn Recompile>;
    file.attach(&user).map_err(|e| format!("{e} in file '{}'", file.name))?;
    args.state = ConverterState::Map(Arc::new(Map { table, default }));
    Ok(())
}

fn look_up<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let ConverterState::Map(map) = &args.state else { return None };
    let compiled = map.table.compiled.load();
    let (set, values) = &**compiled;
    let Some(index) = set.find(&sample) else { return map.default.clone() };
    match values.get(index)? {
        Value::Sample(value) => Some(value.clone()),
        Value::Replacement(replacement) => {
            let text = data(sample)?;
            let captures = set.regex(index)?.captures(&text)?;
            let mut out = Vec::new();
            replacement.expand(&captures, &mut out);
            Some(Sample::str(out))
        }
    }
}
