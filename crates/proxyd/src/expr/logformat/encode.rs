//! How a value becomes bytes of a log line: quoting, escaping, encoding, JSON, CBOR.

use super::Flags;
use crate::expr::Sample;
use crate::expr::sample::hex_upper;

/// Which bytes are encoded, and how (manual, section 8.6).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoder {
    /// As it is.
    Plain,
    /// `#XX` for what is not printable, `"` and `#`.
    Uri,
    /// As [`Encoder::Uri`], and `{`, `|`, `}`.
    Header,
    /// `%XX` for bytes that may not stand in a header or URI.
    Http,
}

impl Encoder {
    fn mark(self, byte: u8) -> Option<u8> {
        let unprintable = !(0x20..0x7f).contains(&byte);
        match self {
            Encoder::Plain => None,
            Encoder::Uri => (unprintable || matches!(byte, b'"' | b'#')).then_some(b'#'),
            Encoder::Header => {
                (unprintable || matches!(byte, b'"' | b'#' | b'{' | b'|' | b'}')).then_some(b'#')
            }
            Encoder::Http => (byte < 0x20 && byte != b'\t' || byte == 0x7f).then_some(b'%'),
        }
    }
}

/// Appends `text` with quotes and escapes; nothing is `-` where a value is mandatory.
pub(super) fn push_text(
    out: &mut Vec<u8>,
    text: Option<&[u8]>,
    encoder: Encoder,
    flags: Flags,
    mandatory: bool,
) {
    let text = text.unwrap_or_default();
    if flags.quote {
        out.push(b'"');
    } else if text.is_empty() && mandatory {
        out.push(b'-');
    }
    for &byte in text {
        match encoder.mark(byte) {
            Some(mark) => {
                out.push(mark);
                out.extend(hex_upper(&[byte]));
            }
            None => {
                if flags.escape && matches!(byte, b'"' | b'\\' | b']') {
                    out.push(b'\\');
                }
                out.push(byte);
            }
        }
    }
    if flags.quote {
        out.push(b'"');
    }
}

/// `{"name": value, …}`.
pub(super) fn push_json(out: &mut Vec<u8>, fields: &[(&str, Option<Sample<'_>>)]) {
    out.push(b'{');
    for (index, (name, value)) in fields.iter().enumerate() {
        if index > 0 {
            out.extend_from_slice(b", ");
        }
        push_json_string(out, name.as_bytes());
        out.extend_from_slice(b": ");
        match value {
            None => out.extend_from_slice(b"null"),
            Some(Sample::Bool(b)) => out.extend_from_slice(if *b { b"true" } else { b"false" }),
            Some(Sample::Int(n)) => out.extend_from_slice(itoa::Buffer::new().format(*n).as_bytes()),
            Some(other) => {
                let text = other.clone().into_text();
                push_json_string(out, text.as_deref().unwrap_or_default());
            }
        }
    }
    out.push(b'}');
}

/// A JSON string; bytes that are not UTF-8 are taken as Latin-1 would be shown, as `\u00XX`.
fn push_json_string(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => out.extend_from_slice(b"\\\""),
                '\\' => out.extend_from_slice(b"\\\\"),
                '\n' => out.extend_from_slice(b"\\n"),
                '\r' => out.extend_from_slice(b"\\r"),
                '\t' => out.extend_from_slice(b"\\t"),
                c if (c as u32) < 0x20 => out.extend_from_slice(format!("\\u{:04x}", c as u32).as_bytes()),
                c => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        for byte in chunk.invalid() {
            out.extend_from_slice(format!("\\u{byte:04x}").as_bytes());
        }
    }
    out.push(b'"');
}

/// A CBOR map of indefinite length (RFC 8949 §3.2.2), whole items only.
pub(super) fn push_cbor(out: &mut Vec<u8>, fields: &[(&str, Option<Sample<'_>>)]) {
    out.push(0xbf);
    for (name, value) in fields {
        cbor_bytes(out, 3, name.as_bytes());
        match value {
            None => out.push(0xf6),
            Some(Sample::Bool(b)) => out.push(if *b { 0xf5 } else { 0xf4 }),
            Some(Sample::Int(n)) if *n < 0 => cbor_head(out, 1, !*n as u64),
            Some(Sample::Int(n)) => cbor_head(out, 0, *n as u64),
            Some(Sample::Bin(bytes)) => cbor_bytes(out, 2, bytes),
            Some(other) => {
                cbor_bytes(out, 3, &other.clone().into_text().map_or(Vec::new(), |t| t.into_vec()))
            }
        }
    }
    out.push(0xff);
}

fn cbor_bytes(out: &mut Vec<u8>, major: u8, bytes: &[u8]) {
    cbor_head(out, major, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn cbor_head(out: &mut Vec<u8>, major: u8, value: u64) {
    let major = major << 5;
    match value {
        0..24 => out.push(major | value as u8),
        24..0x100 => out.extend_from_slice(&[major | 24, value as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend_from_slice(&(value as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend_from_slice(&(value as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend_from_slice(&value.to_be_bytes());
        }
    }
}
