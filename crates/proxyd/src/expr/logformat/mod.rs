//! Log formats and string formats: text, `%alias`, `%[expr]` (configuration manual, section 8.2).

mod alias;
pub mod date;
mod encode;
mod parse;

pub(crate) use alias::Timers;
pub use alias::{Alias, AliasDef, aliases};

use std::io::Write as _;
use std::net::Ipv4Addr;

use serde::{Serialize, Serializer};

use super::{EvalCtx, Expr, Sample, SampleType};
use encode::{Encoder, push_text};

/// The formats behind `option httplog` and its kin, and the manual's CLF example.
pub mod defaults {
    /// `option httplog`.
    pub const HTTP: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
    /// `option httpslog`.
    pub const HTTPS: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";
    /// `option tcplog`.
    pub const TCP: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
    /// `option httplog clf`.
    pub const CLF: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
    /// Without any log option: "Connect from …".
    pub const DEFAULT: &str = "Connect from %ci:%cp to %fi:%fp (%f/%HMODE)";
    /// RFC 5424 structured data is empty unless set.
    pub const STRUCTURED_DATA: &str = "";
}

/// How one item is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Flags {
    /// `Q`: in double quotes.
    pub quote: bool,
    /// `E`: `"`, `\` and `]` get a backslash.
    pub escape: bool,
    /// `X`: numbers and addresses in hexadecimal.
    pub hex: bool,
    /// `bin`: raw bytes, nothing is cast to text.
    pub binary: bool,
    /// `json` and `cbor` of the whole format.
    pub json: bool,
    pub cbor: bool,
}

/// What a format is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LogFormatOptions {
    /// An empty value is written as `-`.
    pub mandatory: bool,
    /// Spaces separate items and are merged.
    pub merge_spaces: bool,
    /// Bytes that may not stand in a header are percent-encoded.
    pub http: bool,
}

impl LogFormatOptions {
    /// `log-format`, `log-format-sd`, `error-log-format`.
    pub const LOG: LogFormatOptions = LogFormatOptions { mandatory: true, merge_spaces: true, http: false };
    /// `unique-id-format`.
    pub const UNIQUE_ID: LogFormatOptions =
        LogFormatOptions { mandatory: true, merge_spaces: true, http: true };
    /// Header values, paths, redirect locations.
    pub const HTTP: LogFormatOptions = LogFormatOptions { mandatory: false, merge_spaces: false, http: true };
    /// Bodies, variables and other plain strings.
    pub const STRING: LogFormatOptions =
        LogFormatOptions { mandatory: false, merge_spaces: false, http: false };
}

#[derive(Debug, Clone)]
enum Item {
    Text(Box<[u8]>),
    /// One or more blanks of a format that merges them.
    Separator,
    Alias(Alias, Flags, Option<Box<str>>),
    Expr(Box<Expr>, Flags, Option<(Box<str>, SampleType)>),
}

/// A compiled format. Compares and serialises as its source text.
#[derive(Debug, Clone)]
pub struct LogFormat {
    text: String,
    items: Vec<Item>,
    options: LogFormatOptions,
    /// Flags of `%{…}o` at the very start: `json` or `cbor` makes an object of all named items.
    whole: Flags,
}

impl PartialEq for LogFormat {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for LogFormat {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl LogFormat {
    /// The source text.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The text if there is nothing to evaluate.
    pub fn as_constant(&self) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        for item in &self.items {
            match item {
                Item::Text(text) => out.extend_from_slice(text),
                Item::Separator => out.push(b' '),
                _ => return None,
            }
        }
        Some(out)
    }

    /// The aliases that the format uses.
    pub fn aliases(&self) -> impl Iterator<Item = Alias> {
        self.items.iter().filter_map(|item| match item {
            Item::Alias(alias, ..) => Some(*alias),
            _ => None,
        })
    }

    /// The expressions that the format uses.
    pub fn expressions(&self) -> impl Iterator<Item = &Expr> {
        self.items.iter().filter_map(|item| match item {
            Item::Expr(expr, ..) => Some(&**expr),
            _ => None,
        })
    }

    /// Appends the line to `out`.
    pub fn render(&self, ctx: &EvalCtx<'_>, out: &mut Vec<u8>) {
        if self.whole.json || self.whole.cbor {
            return self.render_object(ctx, out);
        }
        let mut last_is_blank = true;
        let start = out.len();
        for item in &self.items {
            let separates = match item {
                Item::Text(text) => {
                    out.extend_from_slice(text);
                    true
                }
                Item::Separator => {
                    if !last_is_blank || out.len() == start {
                        out.push(b' ');
                    }
                    last_is_blank = true;
                    continue;
                }
                Item::Alias(alias, flags, _) => alias.render(ctx, *flags, self.options, out),
                Item::Expr(expr, flags, _) => {
                    self.render_expr(expr, *flags, ctx, out);
                    true
                }
            };
            last_is_blank &= !separates;
        }
    }

    fn render_expr(&self, expr: &Expr, flags: Flags, ctx: &EvalCtx<'_>, out: &mut Vec<u8>) {
        let sample = expr.eval(ctx);
        // Numbers and addresses are in most formats: their text takes no memory of its own.
        let (mut number, mut address) = (itoa::Buffer::new(), [0; IPV4_TEXT_MAX]);
        let data;
        let text = match sample {
            Some(Sample::Int(n)) => Some(number.format(n).as_bytes()),
            Some(Sample::Ipv4(ip)) => ipv4_text(ip, &mut address),
            Some(Sample::Bin(bytes)) if flags.binary => {
                data = Some(bytes);
                data.as_deref()
            }
            other => {
                data = other.and_then(Sample::into_text);
                data.as_deref()
            }
        };
        // Percent-encoded values are never quoted.
        let (encoder, flags) = match self.options.http {
            true => (Encoder::Http, Flags { quote: false, ..flags }),
            false => (Encoder::Plain, flags),
        };
        push_text(out, text, encoder, flags, self.options.mandatory);
    }

    fn render_object(&self, ctx: &EvalCtx<'_>, out: &mut Vec<u8>) {
        let mut fields = Vec::new();
        for item in &self.items {
            match item {
                Item::Alias(alias, flags, Some(name)) => fields.push((&**name, alias.value(ctx, *flags))),
                Item::Expr(expr, _, Some((name, cast))) => {
                    fields.push((&**name, expr.eval(ctx).and_then(|sample| sample.cast(*cast))));
                }
                _ => {}
            }
        }
        if self.whole.json { encode::push_json(out, &fields) } else { encode::push_cbor(out, &fields) }
    }
}

/// Bytes of `255.255.255.255`.
const IPV4_TEXT_MAX: usize = 15;

fn ipv4_text(ip: Ipv4Addr, buffer: &mut [u8; IPV4_TEXT_MAX]) -> Option<&[u8]> {
    let mut rest = &mut buffer[..];
    write!(rest, "{ip}").ok()?;
    let unused = rest.len();
    buffer.get(..IPV4_TEXT_MAX - unused)
}
