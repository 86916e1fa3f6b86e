//! Arguments in parentheses: `name(arg1,arg2)`, typed and checked at load.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use hacore::diag::Span;

use super::conv::ConverterState;
use super::{NameRef, ParseScope, RefKind, VarName};

/// What an argument may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ArgKind {
    Str,
    Int,
    Regex,
    Ipv4,
    Ipv6,
    Ipv4Mask,
    Ipv6Mask,
    Frontend,
    Backend,
    Server,
    Table,
    UserList,
    ProtobufField,
}

impl ArgKind {
    /// The name in keyword lists.
    pub fn name(self) -> &'static str {
        match self {
            ArgKind::Str => "string",
            ArgKind::Int => "integer",
            ArgKind::Regex => "regex",
            ArgKind::Ipv4 => "IPv4 address",
            ArgKind::Ipv6 => "IPv6 address",
            ArgKind::Ipv4Mask => "IPv4 mask",
            ArgKind::Ipv6Mask => "IPv6 mask",
            ArgKind::Frontend => "frontend",
            ArgKind::Backend => "backend",
            ArgKind::Server => "server",
            ArgKind::Table => "table",
            ArgKind::UserList => "user list",
            ArgKind::ProtobufField => "Protocol buffers field number",
        }
    }
}

/// One argument's value.
#[derive(Debug, Clone)]
pub enum Arg {
    /// Text, and a regex or protobuf path before its converter compiles it.
    Str(Box<[u8]>),
    Int(i64),
    Ipv4(Ipv4Addr),
    Ipv6(Ipv6Addr),
    Name(Arc<NameRef>),
    /// A variable, where a text or integer argument allows one and its scope says so.
    Var(VarName),
}

/// A fetch's or converter's arguments and what its check made of them.
#[derive(Debug, Clone, Default)]
pub struct Args {
    /// The keyword's name, for families that share one function.
    pub keyword: &'static str,
    pub list: Vec<Arg>,
    pub(crate) state: ConverterState,
}

impl Args {
    pub fn len(&self) -> usize {
        self.list.len()
    }

    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Argument `index` as bytes; `None` when it was left out or empty.
    pub fn bytes(&self, index: usize) -> Option<&[u8]> {
        match self.list.get(index)? {
            Arg::Str(text) if !text.is_empty() => Some(text),
            _ => None,
        }
    }

    pub fn text(&self, index: usize) -> Option<&str> {
        std::str::from_utf8(self.bytes(index)?).ok()
    }

    pub fn int(&self, index: usize) -> Option<i64> {
        match self.list.get(index)? {
            Arg::Int(n) => Some(*n),
            _ => None,
        }
    }

    pub fn name(&self, index: usize) -> Option<&NameRef> {
        match self.list.get(index)? {
            Arg::Name(name) => Some(name),
            _ => None,
        }
    }
}

/// Names, kinds and how many are required.
#[derive(Debug, Clone, Copy)]
pub struct ArgSpec {
    pub required: usize,
    pub kinds: &'static [ArgKind],
}

impl ArgSpec {
    pub const NONE: ArgSpec = ArgSpec { required: 0, kinds: &[] };

    /// As the keyword list shows it: `(string,integer[,string])`, or nothing.
    pub fn display(&self) -> String {
        if self.kinds.is_empty() {
            return String::new();
        }
        let names = |kinds: &[ArgKind]| kinds.iter().map(|k| k.name()).collect::<Vec<_>>().join(",");
        let (needed, optional) = self.kinds.split_at(self.required.min(self.kinds.len()));
        match (needed.is_empty(), optional.is_empty()) {
            (false, true) => format!("({})", names(needed)),
            (true, _) => format!("([{}])", names(optional)),
            (false, false) => format!("({}[,{}])", names(needed), names(optional)),
        }
    }
}

/// What is wrong with an argument list; the caller adds which keyword it belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ArgError {
    /// From 1.
    pub position: usize,
    pub message: String,
}

/// Splits and types the text that starts just behind the opening parenthesis.
///
/// Returns the arguments and how many bytes were read, the closing parenthesis included.
pub(crate) fn parse_args(
    text: &[u8],
    keyword: &'static str,
    spec: ArgSpec,
    scope: &ParseScope<'_>,
    span: Span,
) -> Result<(Vec<Arg>, usize), ArgError> {
    let mut list = Vec::new();
    let mut at = 0;
    loop {
        let fail = |message| ArgError { position: list.len() + 1, message };
        let (raw, next) = read_one(text, at).map_err(fail)?;
        let closed = text.get(next) == Some(&b')');
        if list.is_empty() && closed && raw.is_empty() {
            at = next + 1;
            break;
        }
        let Some(&kind) = spec.kinds.get(list.len()) else {
            let rest = text.get(at.saturating_sub(usize::from(at > 0))..).unwrap_or_default();
            return Err(fail(format!("expected ')' before '{}'", String::from_utf8_lossy(rest))));
        };
        let position = list.len() + 1;
        let typed = type_one(&raw, kind, position, keyword, scope, span);
        list.push(typed.map_err(|message| ArgError { position, message })?);
        at = next + 1;
        if closed {
            break;
        }
    }
    check_count(&mut list, spec)?;
    Ok((list, at))
}

/// Without any argument an empty string stands for a required string; anything else must be written.
///
/// A proxy's or table's name that is left out means the proxy in which the expression stands.
pub(crate) fn check_count(list: &mut Vec<Arg>, spec: ArgSpec) -> Result<(), ArgError> {
    let missing = spec.kinds.get(list.len()..spec.required).unwrap_or_default();
    if missing.iter().all(|kind| matches!(kind, ArgKind::Backend | ArgKind::Frontend | ArgKind::Table)) {
        return Ok(());
    }
    if list.is_empty() && spec.required > 0 {
        match spec.kinds.first() {
            Some(ArgKind::Str) => list.push(Arg::Str(Box::default())),
            kind => {
                let name = kind.map_or("", |k| k.name());
                let message = format!("expected type '{name}' at position 1, but got nothing");
                return Err(ArgError { position: 1, message });
            }
        }
    }
    if list.len() < spec.required {
        let message = format!(
            "missing arguments (got {}/{}), type '{}' expected",
            list.len(),
            spec.required,
            spec.kinds.get(list.len()).map_or("", |k| k.name())
        );
        return Err(ArgError { position: list.len() + 1, message });
    }
    Ok(())
}

/// One argument with quotes and escapes resolved, and where its `,` or `)` stands.
fn read_one(text: &[u8], start: usize) -> Result<(Vec<u8>, usize), String> {
    let mut raw = Vec::new();
    let mut at = start;
    let mut quote: Option<u8> = None;
    while let Some(&byte) = text.get(at) {
        match (quote, byte) {
            (None, b',' | b')') => return Ok((raw, at)),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), close) if open == close => quote = None,
            (None | Some(b'"'), b'\\') => {
                let (bytes, length) = escape(text.get(at + 1..).unwrap_or_default());
                raw.extend_from_slice(bytes);
                at += length;
            }
            _ => raw.push(byte),
        }
        at += 1;
    }
    Err(match quote {
        Some(quote) => format!("unmatched quote {} at position {start}", quote as char),
        None => "expected ')'".to_owned(),
    })
}

/// What a backslash outside single quotes and the bytes behind it stand for, and how many bytes those are.
fn escape(rest: &[u8]) -> (&[u8], usize) {
    match rest.first() {
        Some(b'r') => (b"\r", 1),
        Some(b'n') => (b"\n", 1),
        Some(b't') => (b"\t", 1),
        Some(b'"' | b'\\' | b'\'' | b' ') => (rest.get(..1).unwrap_or_default(), 1),
        _ => (b"\\", 0),
    }
}

fn type_one(
    raw: &[u8],
    kind: ArgKind,
    position: usize,
    keyword: &'static str,
    scope: &ParseScope<'_>,
    span: Span,
) -> Result<Arg, String> {
    let text = String::from_utf8_lossy(raw);
    let invalid = || format!("failed to parse '{text}' as type '{}' at position {position}", kind.name());
    let refer = |kind| Ok(Arg::Name(scope.refer(NameRef::new(kind, &text, keyword, position, span))));
    match kind {
        ArgKind::Str | ArgKind::Regex | ArgKind::ProtobufField => Ok(Arg::Str(raw.into())),
        ArgKind::Int if raw.is_empty() => Ok(Arg::Str(Box::default())),
        ArgKind::Int => text.parse().map(Arg::Int).map_err(|_| invalid()),
        ArgKind::Ipv4 => text.parse().map(Arg::Ipv4).map_err(|_| invalid()),
        ArgKind::Ipv6 => text.parse().map(Arg::Ipv6).map_err(|_| invalid()),
        ArgKind::Ipv4Mask => ipv4_mask(&text).map(Arg::Ipv4).ok_or_else(invalid),
        ArgKind::Ipv6Mask => ipv6_mask(&text).map(Arg::Ipv6).ok_or_else(invalid),
        ArgKind::Frontend => refer(RefKind::Frontend),
        ArgKind::Backend => refer(RefKind::Backend),
        ArgKind::Server => refer(RefKind::Server),
        ArgKind::Table => refer(RefKind::Table),
        ArgKind::UserList => refer(RefKind::UserList),
    }
}

/// `24` or `255.255.255.0`.
pub(crate) fn ipv4_mask(text: &str) -> Option<Ipv4Addr> {
    match text.parse::<u32>() {
        Ok(bits @ 0..=32) => Some(Ipv4Addr::from_bits(u32::MAX.checked_shl(32 - bits).unwrap_or(0))),
        Ok(_) => None,
        Err(_) => text.parse().ok(),
    }
}

/// `64` or `ffff:ffff::`.
pub(crate) fn ipv6_mask(text: &str) -> Option<Ipv6Addr> {
    match text.parse::<u32>() {
        Ok(bits @ 0..=128) => Some(Ipv6Addr::from_bits(u128::MAX.checked_shl(128 - bits).unwrap_or(0))),
        Ok(_) => None,
        Err(_) => text.parse().ok(),
    }
}
