//! MQTT 3.1, 3.1.1 and 5.0: the first packet of each side, CONNECT and CONNACK (manual, "mqtt_is_valid").

use super::{Converter, conv, data};
use crate::expr::{ArgKind, Args, EvalCtx, ParseScope, Sample, SampleType};

const BIN: SampleType = SampleType::Bin;

pub(super) const CONVERTERS: &[Converter] = &[
    conv("mqtt_is_valid", BIN, SampleType::Bool, is_valid, "a valid MQTT CONNECT or CONNACK packet"),
    conv("mqtt_field_value", BIN, SampleType::Str, field_value, "a field or property of an MQTT packet")
        .args(2, &[ArgKind::Str, ArgKind::Str])
        .check(check),
];

const CONNECT: u8 = 1;
const CONNACK: u8 = 2;

/// Nothing is said of a packet that has not arrived as a whole.
fn is_valid<'a>(sample: Sample<'a>, _: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let message = data(sample)?;
    let mut cursor = Cursor(&message);
    cursor.number(1)?;
    let length = cursor.variable()?;
    (cursor.0.len() >= length).then(|| Sample::Bool(Packet::parse(&message).is_some()))
}

/// The number of a packet type in an argument.
fn packet_type(text: &str) -> Option<u8> {
    match text.to_ascii_lowercase().as_str() {
        "connect" | "1" => Some(CONNECT),
        "connack" | "2" => Some(CONNACK),
        _ => None,
    }
}

const CONNECT_FIELDS: &[&str] = &[
    "flags",
    "protocol_name",
    "protocol_version",
    "client_identifier",
    "will_topic",
    "will_payload",
    "username",
    "password",
    "keepalive",
];
const CONNACK_FIELDS: &[&str] = &["flags", "protocol_version", "reason_code"];

fn check(args: &mut Args, _: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let kind = args.text(0).unwrap_or_default();
    let fields = match packet_type(kind) {
        Some(CONNECT) => CONNECT_FIELDS,
        Some(_) => CONNACK_FIELDS,
        None => return Err(format!("unsupported packet type '{kind}'")),
    };
    let field = args.text(1).unwrap_or_default();
    let known = fields.iter().any(|name| name.eq_ignore_ascii_case(field));
    match field.parse::<u8>() {
        Ok(USER_PROPERTY) => Err("the user property is not supported".to_owned()),
        Ok(id) if Kind::of(id).is_some() => Ok(()),
        _ if known => Ok(()),
        _ => Err(format!("unsupported field '{field}' for packet type '{kind}'")),
    }
}

fn field_value<'a>(sample: Sample<'a>, args: &'a Args, _: &EvalCtx<'a>) -> Option<Sample<'a>> {
    let message = data(sample)?;
    let packet = Packet::parse(&message)?;
    if packet.kind != packet_type(args.text(0)?)? {
        return None;
    }
    let wanted = args.text(1)?.to_ascii_lowercase();
    let found = packet.fields.into_iter().find(|(name, _)| match name {
        Name::Field(name) => *name == wanted,
        Name::Property(id) => wanted.parse() == Ok(*id),
    });
    found.map(|(_, value)| Sample::str(value))
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Name {
    Field(&'static str),
    Property(u8),
}

/// A packet's fields, values as text.
#[derive(Debug)]
struct Packet {
    kind: u8,
    fields: Vec<(Name, Vec<u8>)>,
}

/// What a property's value looks like (MQTT 5.0, section 2.2.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Byte,
    Short,
    Long,
    Text,
    Pair,
}

const USER_PROPERTY: u8 = 38;

impl Kind {
    fn of(id: u8) -> Option<Kind> {
        Some(match id {
            1 | 23 | 25 | 36 | 37 | 40 | 41 | 42 => Kind::Byte,
            19 | 33 | 34 => Kind::Short,
            2 | 17 | 24 | 39 => Kind::Long,
            3 | 8 | 9 | 18 | 21 | 22 | 26 | 28 | 31 => Kind::Text,
            USER_PROPERTY => Kind::Pair,
            _ => return None,
        })
    }
}

/// A cursor over a packet's bytes.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn bytes(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn number(&mut self, bytes: usize) -> Option<u32> {
        Some(self.bytes(bytes)?.iter().fold(0, |value, byte| value << 8 | u32::from(*byte)))
    }

    /// A length of up to four bytes, seven bits each.
    fn variable(&mut self) -> Option<usize> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.number(1)?;
            value |= (byte as usize & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn text(&mut self) -> Option<&'a [u8]> {
        let length = self.number(2)? as usize;
        self.bytes(length)
    }

    /// A block of properties; each may stand once, but for the user's own.
    fn properties(&mut self, into: &mut Vec<(Name, Vec<u8>)>) -> Option<()> {
        let length = self.variable()?;
        let mut inside = Cursor(self.bytes(length)?);
        while !inside.0.is_empty() {
            let id = u8::try_from(inside.variable()?).ok()?;
            let value = match Kind::of(id)? {
                Kind::Byte => inside.number(1)?.to_string().into_bytes(),
                Kind::Short => inside.number(2)?.to_string().into_bytes(),
                Kind::Long => inside.number(4)?.to_string().into_bytes(),
                Kind::Text => inside.text()?.to_vec(),
                Kind::Pair => {
                    inside.text()?;
                    inside.text()?;
                    continue;
                }
            };
            if into.iter().any(|(name, _)| *name == Name::Property(id)) {
                return None;
            }
            into.push((Name::Property(id), value));
        }
        Some(())
    }
}

impl Packet {
    fn parse(message: &[u8]) -> Option<Packet> {
        let mut cursor = Cursor(message);
        let first = cursor.number(1)?;
        let length = cursor.variable()?;
        if cursor.0.len() != length {
            return None;
        }
        match first {
            0x10 => Self::connect(cursor),
            0x20 => Self::acknowledge(cursor),
            _ => None,
        }
    }

    fn connect(mut cursor: Cursor<'_>) -> Option<Packet> {
        let mut packet = Packet { kind: CONNECT, fields: Vec::new() };
        let put = |fields: &mut Vec<_>, name, value: Vec<u8>| fields.push((Name::Field(name), value));
        let protocol = cursor.text()?;
        let version = cursor.number(1)?;
        if !matches!((protocol, version), (b"MQIsdp", 3) | (b"MQTT", 4 | 5)) {
            return None;
        }
        let flags = cursor.number(1)?;
        let (has_user, has_password, retain, quality, has_will) =
            (flags & 0x80 != 0, flags & 0x40 != 0, flags & 0x20 != 0, flags >> 3 & 3, flags & 4 != 0);
        // The lowest bit is reserved; without a will it has no quality and is not kept.
        if flags & 1 != 0 || quality == 3 || (!has_will && (retain || quality != 0)) {
            return None;
        }
        if version < 5 && has_password && !has_user {
            return None;
        }
        let fields = &mut packet.fields;
        put(fields, "protocol_name", protocol.to_vec());
        put(fields, "protocol_version", version.to_string().into_bytes());
        put(fields, "flags", flags.to_string().into_bytes());
        put(fields, "keepalive", cursor.number(2)?.to_string().into_bytes());
        if version == 5 {
            cursor.properties(fields)?;
        }
        put(fields, "client_identifier", cursor.text()?.to_vec());
        if has_will {
            if version == 5 {
                cursor.properties(fields)?;
            }
            put(fields, "will_topic", cursor.text()?.to_vec());
            put(fields, "will_payload", cursor.text()?.to_vec());
        }
        if has_user {
            put(fields, "username", cursor.text()?.to_vec());
        }
        if has_password {
            put(fields, "password", cursor.text()?.to_vec());
        }
        cursor.0.is_empty().then_some(packet)
    }

    fn acknowledge(mut cursor: Cursor<'_>) -> Option<Packet> {
        let mut packet = Packet { kind: CONNACK, fields: Vec::new() };
        let flags = cursor.number(1)?;
        let reason = cursor.number(1)?;
        // Only the lowest bit, a session that is present, has a meaning.
        if flags & !1 != 0 {
            return None;
        }
        // Version 5 has properties behind; before, reasons end at 5.
        let version = if cursor.0.is_empty() { 4 } else { 5 };
        if version == 4 && reason > 5 {
            return None;
        }
        for (name, value) in [("flags", flags), ("reason_code", reason), ("protocol_version", version)] {
            packet.fields.push((Name::Field(name), value.to_string().into_bytes()));
        }
        if version == 5 {
            cursor.properties(&mut packet.fields)?;
        }
        cursor.0.is_empty().then_some(packet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(packet: &[u8], wanted: Name) -> Option<String> {
        let fields = Packet::parse(packet)?.fields;
        fields
            .into_iter()
            .find(|(name, _)| *name == wanted)
            .map(|(_, value)| String::from_utf8(value).unwrap())
    }

    /// CONNECT of 3.1.1 with user and password.
    const OLD: &[u8] = b"\x10\x15\0\x04MQTT\x04\xc2\0\x3c\0\x02id\0\x01u\0\x02pw";
    /// CONNECT of 5.0 with a session expiry of 10 s.
    const NEW: &[u8] = b"\x10\x14\0\x04MQTT\x05\x02\0\x3c\x05\x11\0\0\0\x0a\0\x02id";

    #[test]
    fn connect_and_connack_are_read() {
        assert_eq!(value(OLD, Name::Field("username")).as_deref(), Some("u"));
        assert_eq!(value(OLD, Name::Field("password")).as_deref(), Some("pw"));
        assert_eq!(value(OLD, Name::Field("keepalive")).as_deref(), Some("60"));
        assert_eq!(value(NEW, Name::Property(17)).as_deref(), Some("10"));
        assert_eq!(value(NEW, Name::Field("client_identifier")).as_deref(), Some("id"));
        assert_eq!(value(b"\x20\x02\x01\x00", Name::Field("flags")).as_deref(), Some("1"));
        assert_eq!(value(b"\x20\x05\0\x87\x02\x24\x01", Name::Property(36)).as_deref(), Some("1"));
    }

    #[test]
    fn what_is_no_packet_is_invalid() {
        for length in 0..OLD.len() {
            assert!(Packet::parse(&OLD[..length]).is_none(), "{length}");
        }
        assert!(Packet::parse(b"\x30\x02\0\0").is_none());
        assert!(Packet::parse(b"\x20\x02\x02\0").is_none());
    }

    proptest::proptest! {
        #[test]
        fn no_packet_panics(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..80)) {
            let _ = Packet::parse(&bytes);
            let mut framed = vec![0x10, bytes.len() as u8];
            framed.extend_from_slice(b"\0\x04MQTT\x05");
            framed.extend_from_slice(&bytes);
            let _ = Packet::parse(&framed);
        }
    }
}
