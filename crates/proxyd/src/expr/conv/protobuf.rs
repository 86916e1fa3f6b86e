//! Protocol buffers and gRPC: one field by its path of numbers.

use std::sync::Arc;

use super::{Converter, ConverterState, conv, data};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const BIN: SampleType = SampleType::Bin;
const ARGS: &[ArgKind] = &[ArgKind::ProtobufField, ArgKind::Str];

pub(super) const CONVERTERS: &[Converter] = &[
    conv("protobuf", BIN, BIN, |s, a, _| find(&data(s)?, a), "a field of a protocol buffers message")
        .args(1, ARGS)
        .check(check),
    conv("ungrpc", BIN, BIN, ungrpc, "a field of a gRPC message").args(1, ARGS).check(check),
];

/// A field's path and how its bytes are read.
#[derive(Debug)]
pub struct Field {
    path: Vec<u64>,
    kind: Option<Kind>,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Kind {
    Int32,
    Int64,
    Uint,
    Sint32,
    Sint64,
    Bool,
    Fixed64,
    Fixed32,
    SignedFixed32,
    Double,
    Float,
}

fn check(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let text = args.text(0).unwrap_or_default();
    let path = text
        .split('.')
        .map(|part| part.parse().ok().filter(|n| *n > 0))
        .collect::<Option<Vec<u64>>>()
        .ok_or_else(|| {
            format!("failed to parse '{text}' as type 'Protocol buffers field number' at position 1")
        })?;
    let kind = match args.text(1) {
        None => None,
        Some(name) => Some(match name {
            "int32" | "enum" => Kind::Int32,
            "int64" => Kind::Int64,
            "uint32" | "uint64" => Kind::Uint,
            "sint32" => Kind::Sint32,
            "sint64" => Kind::Sint64,
            "bool" => Kind::Bool,
            "fixed64" | "sfixed64" => Kind::Fixed64,
            "fixed32" => Kind::Fixed32,
            "sfixed32" => Kind::SignedFixed32,
            "double" => Kind::Double,
            "float" => Kind::Float,
            _ => return Err(format!("Wrong protocol buffer type '{name}'")),
        }),
    };
    args.state = ConverterState::Protobuf(Arc::new(Field { path, kind }));
    Ok(())
}

/// Behind gRPC's 5-byte header: a compression flag and the length.
fn ungrpc<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let data = data(sample)?;
    let (header, rest) = data.split_at_checked(5)?;
    let length = header.iter().skip(1).fold(0, |value, b| value << 8 | usize::from(*b));
    find(rest.get(..length)?, args)
}

/// One field's bytes as they are on the wire.
enum Wire<'m> {
    Varint(u64),
    Fixed64([u8; 8]),
    Bytes(&'m [u8]),
    Fixed32([u8; 4]),
}

fn find<'a>(message: &[u8], args: &Args) -> Option<Sample<'a>> {
    let ConverterState::Protobuf(field) = &args.state else { return None };
    let mut message = message;
    let (last, parents) = field.path.split_last()?;
    for number in parents {
        message = match first(message, *number)? {
            Wire::Bytes(bytes) => bytes,
            _ => return None,
        };
    }
    let wire = first(message, *last)?;
    match field.kind {
        None => Some(Sample::bin(match wire {
            Wire::Varint(value) => varint_bytes(value),
            Wire::Fixed64(bytes) => bytes.to_vec(),
            Wire::Fixed32(bytes) => bytes.to_vec(),
            Wire::Bytes(bytes) => bytes.to_vec(),
        })),
        Some(kind) => number(wire, kind).map(Sample::Int),
    }
}

fn number(wire: Wire<'_>, kind: Kind) -> Option<i64> {
    Some(match (wire, kind) {
        (Wire::Varint(v), Kind::Int32) => i64::from(v as i32),
        (Wire::Varint(v), Kind::Int64 | Kind::Uint) => v as i64,
        (Wire::Varint(v), Kind::Sint32) => i64::from((v as u32 >> 1) as i32 ^ -((v & 1) as i32)),
        (Wire::Varint(v), Kind::Sint64) => (v >> 1) as i64 ^ -((v & 1) as i64),
        (Wire::Varint(v), Kind::Bool) => i64::from(v != 0),
        (Wire::Fixed64(b), Kind::Fixed64) => i64::from_le_bytes(b),
        (Wire::Fixed64(b), Kind::Double) => f64::from_le_bytes(b) as i64,
        (Wire::Fixed32(b), Kind::Fixed32) => i64::from(u32::from_le_bytes(b)),
        (Wire::Fixed32(b), Kind::SignedFixed32) => i64::from(i32::from_le_bytes(b)),
        (Wire::Fixed32(b), Kind::Float) => f32::from_le_bytes(b) as i64,
        _ => return None,
    })
}

/// The first field with this number.
fn first(mut message: &[u8], wanted: u64) -> Option<Wire<'_>> {
    while !message.is_empty() {
        let key = read_varint(&mut message)?;
        let wire = match key & 7 {
            0 => Wire::Varint(read_varint(&mut message)?),
            1 => Wire::Fixed64(take(&mut message, 8)?.try_into().ok()?),
            2 => {
                let length = usize::try_from(read_varint(&mut message)?).ok()?;
                Wire::Bytes(take(&mut message, length)?)
            }
            5 => Wire::Fixed32(take(&mut message, 4)?.try_into().ok()?),
            _ => return None,
        };
        if key >> 3 == wanted {
            return Some(wire);
        }
    }
    None
}

fn take<'m>(message: &mut &'m [u8], length: usize) -> Option<&'m [u8]> {
    let (head, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some(head)
}

fn read_varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *take(message, 1)?.first()?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn varint_bytes(mut value: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
    out
}
