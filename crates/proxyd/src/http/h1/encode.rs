//! Heads, chunks and trailers to bytes.
//!
//! One pass over the slots: neighbouring unmodified lines are one copy. The headers that say how long the body is are
//! written to match the framing, whatever rules did to them.

use super::super::framing::Framing;
use super::super::head::{RequestHead, ResponseHead, Version};
use super::super::headers::{HeaderList, Slot};
use super::fields::decimal;

/// The `Connection` line that the encoder adds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ConnectionField {
    #[default]
    None,
    KeepAlive,
    Close,
}

impl ConnectionField {
    /// For a request to a server; `keep_alive` is what this side wants (`option http-server-close`, `httpclose`).
    ///
    /// An upgrade request has its `Connection: upgrade` and gets nothing.
    pub fn for_request(head: &RequestHead, keep_alive: bool) -> Self {
        if head.connection().names_upgrade {
            return ConnectionField::None;
        }
        match (head.version() >= Version::HTTP_11, keep_alive) {
            (true, false) => ConnectionField::Close,
            // A chunked 1.0 message is not trusted with a connection that lives on.
            (false, true) if head.framing() != Framing::Chunked => ConnectionField::KeepAlive,
            _ => ConnectionField::None,
        }
    }

    /// For a response to the client; `keep_alive` is whether its connection stays open.
    pub fn for_response(head: &ResponseHead, request_version: Version, keep_alive: bool) -> Self {
        if head.framing() == Framing::Tunnel || head.is_interim() || head.connection().names_upgrade {
            return ConnectionField::None;
        }
        let old = head.version() < Version::HTTP_11;
        match keep_alive {
            true if old || request_version < Version::HTTP_11 => ConnectionField::KeepAlive,
            false if !old => ConnectionField::Close,
            _ => ConnectionField::None,
        }
    }

    fn line(self) -> &'static [u8] {
        match self {
            ConnectionField::None => b"",
            ConnectionField::KeepAlive => b"connection: keep-alive\r\n",
            ConnectionField::Close => b"connection: close\r\n",
        }
    }
}

/// What the connection on which a head goes out needs, apart from what the head says itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EncodePlan {
    pub connection: ConnectionField,
    /// How the body is sent on this side; the length headers are written to match.
    pub framing: Framing,
}

/// Appends the head, with its empty line, to `out`.
pub fn encode_request(head: &RequestHead, out: &mut Vec<u8>, plan: EncodePlan) {
    out.extend_from_slice(head.method_bytes());
    out.push(b' ');
    out.extend_from_slice(head.wire_target());
    out.push(b' ');
    push_version(out, head.version());
    out.extend_from_slice(b"\r\n");
    let policy = match plan.framing {
        Framing::None => Policy { length: Keep::Number(0), coding: Keep::No, add: Add::Nothing },
        framing => Policy::of(framing),
    };
    push_fields(&head.headers, out, policy);
    out.extend_from_slice(plan.connection.line());
    out.extend_from_slice(b"\r\n");
}

/// Appends the head, with its empty line, to `out`.
pub fn encode_response(head: &ResponseHead, out: &mut Vec<u8>, plan: EncodePlan) {
    push_version(out, head.version());
    out.push(b' ');
    out.extend_from_slice(itoa::Buffer::new().format(head.status()).as_bytes());
    out.push(b' ');
    out.extend_from_slice(head.reason());
    out.extend_from_slice(b"\r\n");
    let policy = match plan.framing {
        // To HEAD and in 304 they describe the body that is not sent.
        Framing::None | Framing::Tunnel => Policy { length: Keep::Yes, coding: Keep::Yes, add: Add::Nothing },
        framing => Policy::of(framing),
    };
    push_fields(&head.headers, out, policy);
    out.extend_from_slice(plan.connection.line());
    out.extend_from_slice(b"\r\n");
}

/// Versions above 1.1 go out as 1.1, older ones as they came.
fn push_version(out: &mut Vec<u8>, version: Version) {
    if version >= Version::HTTP_11 {
        out.extend_from_slice(b"HTTP/1.1");
    } else {
        out.extend_from_slice(&[
            b'H',
            b'T',
            b'T',
            b'P',
            b'/',
            b'0' + version.major,
            b'.',
            b'0' + version.minor,
        ]);
    }
}

/// Which lines of one kind stay.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keep {
    No,
    Yes,
    /// The first line with this number.
    Number(u64),
    /// The first line.
    First,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Add {
    Nothing,
    Length(u64),
    Coding,
}

/// What happens to the lines that say how long the body is.
#[derive(Clone, Copy)]
struct Policy {
    length: Keep,
    coding: Keep,
    /// Appended if no line of its kind was kept.
    add: Add,
}

impl Policy {
    fn of(framing: Framing) -> Policy {
        match framing {
            Framing::Length(length) => {
                Policy { length: Keep::Number(length), coding: Keep::No, add: Add::Length(length) }
            }
            Framing::Chunked => Policy { length: Keep::No, coding: Keep::First, add: Add::Coding },
            Framing::None | Framing::UntilClose | Framing::Tunnel => {
                Policy { length: Keep::No, coding: Keep::No, add: Add::Nothing }
            }
        }
    }
}

fn push_fields(headers: &HeaderList, out: &mut Vec<u8>, mut policy: Policy) {
    // A run is a stretch of the buffer that is copied as it is.
    let mut run = 0..0;
    for slot in &headers.slots {
        if !is_kept(headers, slot, &mut policy) {
            continue;
        }
        let line = slot.name.start as usize..slot.value.end as usize + 2;
        if slot.canonical && run.end == line.start {
            run.end = line.end;
            continue;
        }
        out.extend_from_slice(headers.buffer.get(run).unwrap_or_default());
        if slot.canonical {
            run = line;
            continue;
        }
        run = 0..0;
        out.extend_from_slice(headers.bytes(slot.name));
        out.extend_from_slice(b": ");
        out.extend_from_slice(headers.bytes(slot.value));
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(headers.buffer.get(run).unwrap_or_default());
    match policy.add {
        Add::Nothing => {}
        Add::Coding => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        Add::Length(length) => {
            out.extend_from_slice(b"content-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            out.extend_from_slice(b"\r\n");
        }
    }
}

fn is_kept(headers: &HeaderList, slot: &Slot, policy: &mut Policy) -> bool {
    match slot.name.len() {
        14 if headers.bytes(slot.name) == b"content-length" => match policy.length {
            Keep::No => false,
            Keep::Yes => true,
            Keep::Number(number) => {
                let equal = decimal(headers.bytes(slot.value)) == Some(number);
                if equal {
                    policy.length = Keep::No;
                    policy.add = Add::Nothing;
                }
                equal
            }
            Keep::First => true,
        },
        17 if headers.bytes(slot.name) == b"transfer-encoding" => match policy.coding {
            Keep::No => false,
            Keep::Yes => true,
            Keep::First | Keep::Number(_) => {
                let equal = headers.bytes(slot.value).eq_ignore_ascii_case(b"chunked");
                if equal {
                    policy.coding = Keep::No;
                    policy.add = Add::Nothing;
                }
                equal
            }
        },
        _ => true,
    }
}

/// The end of a chunked body without trailers.
pub const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// Appends the size line of a chunk of `length` bytes (not 0, that would end the body).
pub fn encode_chunk_start(out: &mut Vec<u8>, length: usize) {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4).max(1);
    for at in (0..digits).rev() {
        out.push(DIGITS[(length >> (at * 4)) & 15]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends what follows the chunk's bytes.
pub fn encode_chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}
