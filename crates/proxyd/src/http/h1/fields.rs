//! Header lines to slots, and what the fields that matter for framing say.
//!
//! The scanner is our own rather than a crate's: which bytes HAProxy accepts (bare line feeds, folded lines, control
//! bytes in values, blanks that it normalises) is the interface, and the decisions must not differ between two tokenisers.

use super::super::head::ConnectionTokens;
use super::super::headers::{HeaderList, Range, Slot, split_commas, trim_blanks};
use super::{Limits, ParseError};

/// What scanning found.
pub(super) enum Scan {
    Incomplete,
    /// The empty line ends before this offset.
    End(usize),
}

/// `Transfer-Encoding` read so far, over all its lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct TransferEncoding {
    pub(super) present: bool,
    pub(super) chunked: bool,
    /// A coding other than chunked.
    pub(super) other: bool,
}

/// What the fields that decide about framing and connection said.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Facts {
    pub(super) host: Option<Range>,
    pub(super) content_length: Option<u64>,
    pub(super) transfer_encoding: TransferEncoding,
    pub(super) connection: ConnectionTokens,
    /// A `Connection` line must be rewritten without `close` and `keep-alive`.
    pub(super) connection_rewrite: bool,
    pub(super) folded: bool,
    pub(super) upgrade_field: bool,
    pub(super) websocket: bool,
    pub(super) websocket_key: bool,
    pub(super) expect_continue: bool,
    pub(super) te: bool,
}

/// Scans header lines from `at` to the empty line. Ranges count from the start of `bytes`.
pub(super) fn scan(
    headers: &mut HeaderList,
    bytes: &[u8],
    mut at: usize,
    limits: &Limits,
    facts: &mut Facts,
) -> Result<Scan, ParseError> {
    loop {
        match bytes.get(at) {
            None => return Ok(Scan::Incomplete),
            Some(b'\n') => return Ok(Scan::End(at + 1)),
            Some(b'\r') => {
                return match bytes.get(at + 1) {
                    None => Ok(Scan::Incomplete),
                    Some(b'\n') => Ok(Scan::End(at + 2)),
                    Some(_) => Err(ParseError::LineEnd),
                };
            }
            Some(_) => {}
        }
        // HAProxy's limit counts the end of the headers too.
        if headers.slots.len() + 1 >= limits.headers_max {
            return Err(ParseError::TooManyHeaders);
        }
        let Some(colon) = name_end(bytes, at, limits)? else { return Ok(Scan::Incomplete) };
        let Some(value) = value(bytes, colon + 1)? else { return Ok(Scan::Incomplete) };
        let slot = Slot {
            name: range(at, colon),
            value: value.range,
            canonical: value.crlf
                && value.range.start as usize == colon + 2
                && bytes.get(colon + 1) == Some(&b' ')
                && value.range.end as usize + 2 == value.next,
        };
        facts.folded |= value.folded;
        if let Some(slot) = note(facts, bytes, slot)? {
            headers.push_slot(slot);
        }
        at = value.next;
    }
}

/// The offset of the colon that ends a field name; `None` when more bytes are needed.
fn name_end(bytes: &[u8], start: usize, limits: &Limits) -> Result<Option<usize>, ParseError> {
    let rest = bytes.get(start..).unwrap_or_default();
    let Some(length) = rest.iter().position(|&byte| !is_token(byte)) else { return Ok(None) };
    let length = match rest.get(length) {
        Some(b':') => length,
        Some(_) if limits.accept_invalid => match lenient_name(rest)? {
            None => return Ok(None),
            Some(length) => length,
        },
        _ => return Err(ParseError::HeaderName),
    };
    if length == 0 { Err(ParseError::HeaderName) } else { Ok(Some(start + length)) }
}

/// With `option accept-invalid-http-*` a name may hold any byte that does not end it, but a name that a server may
/// take for one of the length headers is refused all the same.
fn lenient_name(rest: &[u8]) -> Result<Option<usize>, ParseError> {
    let Some(length) = rest.iter().position(|byte| matches!(byte, b':' | b'\r' | b'\n' | 0)) else {
        return Ok(None);
    };
    let name = rest.get(..length).unwrap_or_default().trim_ascii();
    let is_length =
        [&b"content-length"[..], b"transfer-encoding"].iter().any(|known| name.eq_ignore_ascii_case(known));
    if rest.get(length) == Some(&b':') && !is_length { Ok(Some(length)) } else { Err(ParseError::HeaderName) }
}

struct Value {
    range: Range,
    /// Where the next line starts.
    next: usize,
    /// The (last) line ended in CR LF.
    crlf: bool,
    folded: bool,
}

/// Reads a value that starts after the colon, with its continuation lines (RFC 9112 §5.2: replaced by blanks).
fn value(bytes: &[u8], start: usize) -> Result<Option<Value>, ParseError> {
    let mut at = start;
    let mut folded = false;
    loop {
        let Some(end) = memchr::memchr2(b'\r', b'\n', bytes.get(at..).unwrap_or_default()) else {
            return Ok(None);
        };
        let end = at + end;
        let crlf = bytes.get(end) == Some(&b'\r');
        let next = if crlf {
            match bytes.get(end + 1) {
                None => return Ok(None),
                Some(b'\n') => end + 2,
                Some(_) => return Err(ParseError::HeaderValue),
            }
        } else {
            end + 1
        };
        match bytes.get(next) {
            // Whether the value goes on shows with the next line's first byte.
            None => return Ok(None),
            Some(b' ' | b'\t') => {
                folded = true;
                at = next;
            }
            Some(_) => return Ok(Some(Value { range: trimmed(bytes, start, end), next, crlf, folded })),
        }
    }
}

fn trimmed(bytes: &[u8], mut start: usize, mut end: usize) -> Range {
    let blank = |at: usize| matches!(bytes.get(at), Some(b' ' | b'\t' | b'\r' | b'\n'));
    while start < end && blank(start) {
        start += 1;
    }
    while end > start && blank(end - 1) {
        end -= 1;
    }
    range(start, end)
}

pub(super) fn range(start: usize, end: usize) -> Range {
    Range { start: start as u32, end: end as u32 }
}

fn slice(bytes: &[u8], range: Range) -> &[u8] {
    bytes.get(range.start as usize..range.end as usize).unwrap_or_default()
}

/// Looks at one field; gives the slot to keep, or `None` for one that is dropped.
fn note(facts: &mut Facts, bytes: &[u8], mut slot: Slot) -> Result<Option<Slot>, ParseError> {
    let name = slice(bytes, slot.name);
    let value = slice(bytes, slot.value);
    let is = |known: &[u8]| name.eq_ignore_ascii_case(known);
    match name.len() {
        2 if is(b"te") => facts.te = true,
        4 if is(b"host") => {
            if let Some(first) = facts.host {
                // Repeated equal hosts collapse into one, different ones are an attack.
                let equal = slice(bytes, first).eq_ignore_ascii_case(value);
                return if equal { Ok(None) } else { Err(ParseError::Host) };
            }
            facts.host = Some(slot.value);
        }
        6 if is(b"expect") => facts.expect_continue = value.eq_ignore_ascii_case(b"100-continue"),
        7 if is(b"upgrade") => {
            facts.upgrade_field = true;
            facts.websocket |= list(value).any(|token| token.eq_ignore_ascii_case(b"websocket"));
        }
        10 if is(b"connection") => return Ok(connection(facts, value).then_some(slot)),
        14 if is(b"content-length") => {
            let (length, last) = content_length(value)?;
            let first = facts.content_length.replace(length);
            if first.is_some_and(|first| first != length) {
                return Err(ParseError::ContentLength);
            }
            if first.is_some() {
                return Ok(None);
            }
            // Of a list of equal numbers HAProxy keeps the last, without leading zeros.
            if last != slot.value.len() {
                let text = value.get(value.len().saturating_sub(last)..).unwrap_or_default();
                let zeros = text.iter().take_while(|digit| **digit == b'0').count();
                let digits = last - zeros.min(last.saturating_sub(1));
                slot.value.start = slot.value.end - digits as u32;
                slot.canonical = false;
            }
        }
        17 if is(b"transfer-encoding") => transfer_encoding(&mut facts.transfer_encoding, value)?,
        17 if is(b"sec-websocket-key") => facts.websocket_key = !value.is_empty(),
        _ => {}
    }
    Ok(Some(slot))
}

fn list(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(trim_blanks)
}

/// Reads a `Connection` value; tells whether the line stays.
fn connection(facts: &mut Facts, value: &[u8]) -> bool {
    let (mut stays, mut shrinks) = (false, false);
    for token in list_unfolded(value) {
        if token.eq_ignore_ascii_case(b"close") {
            facts.connection.close = true;
            shrinks = true;
        } else if token.eq_ignore_ascii_case(b"keep-alive") {
            facts.connection.keep_alive = true;
            shrinks = true;
        } else {
            facts.connection.upgrade |= token.eq_ignore_ascii_case(b"upgrade");
            stays |= !token.is_empty();
        }
    }
    facts.connection.names_upgrade = facts.connection.upgrade;
    facts.connection_rewrite |= stays && (shrinks || value.ends_with(b","));
    stays
}

/// Like [`list`], but a folded line's end is a blank too.
fn list_unfolded(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|&byte| byte == b',').map(unfolded)
}

/// Without surrounding blanks and line ends.
///
/// Not `trim_ascii`: a form feed is no blank, and a length that hides behind one must not count.
fn unfolded(mut token: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\r' | b'\n', rest @ ..] | [rest @ .., b' ' | b'\t' | b'\r' | b'\n'] = token {
        token = rest;
    }
    token
}

/// `Content-Length`: digits, or a list of equal numbers (RFC 9112 §6.3); also how many bytes the last number has.
fn content_length(value: &[u8]) -> Result<(u64, usize), ParseError> {
    let mut seen: Option<(u64, usize)> = None;
    for element in list_unfolded(value) {
        let number = decimal(element).ok_or(ParseError::ContentLength)?;
        if seen.is_some_and(|(known, _)| known != number) {
            return Err(ParseError::ContentLength);
        }
        seen = Some((number, element.len()));
    }
    seen.ok_or(ParseError::ContentLength)
}

/// Digits only, no sign, no overflow.
pub(super) fn decimal(digits: &[u8]) -> Option<u64> {
    if digits.is_empty() {
        return None;
    }
    digits.iter().try_fold(0u64, |number, &byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    })
}

/// `chunked` must come last and once (RFC 9112 §6.1); nothing may follow it, not even an empty element.
fn transfer_encoding(state: &mut TransferEncoding, value: &[u8]) -> Result<(), ParseError> {
    state.present = true;
    if value.is_empty() && !state.chunked {
        return Ok(());
    }
    for coding in split_commas(value).map(unfolded) {
        if state.chunked {
            return Err(ParseError::TransferEncoding);
        }
        match coding {
            coding if coding.eq_ignore_ascii_case(b"chunked") => state.chunked = true,
            _ => state.other = true,
        }
    }
    Ok(())
}

/// `tchar` of RFC 9110 §5.6.2.
pub(super) fn is_token(byte: u8) -> bool {
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let mut byte = 0;
        while byte < 256 {
            table[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let marks = b"!#$%&'*+-.^_`|~";
        let mut at = 0;
        while at < marks.len() {
            table[marks[at] as usize] = true;
            at += 1;
        }
        table
    };
    TABLE.get(byte as usize).copied().unwrap_or(false)
}

/// After the bytes were loaded: lower-cases names and takes folded line ends out of values.
pub(super) fn finish(headers: &mut HeaderList, facts: &Facts) {
    let HeaderList { buffer, slots, .. } = headers;
    for slot in slots.iter() {
        if let Some(name) = buffer.get_mut(slot.name.start as usize..slot.name.end as usize) {
            name.make_ascii_lowercase();
        }
        if facts.folded
            && let Some(value) = buffer.get_mut(slot.value.start as usize..slot.value.end as usize)
        {
            for byte in value.iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')) {
                *byte = b' ';
            }
        }
    }
    if facts.connection_rewrite {
        strip_connection(headers);
    }
}

/// Takes `close` and `keep-alive` out of `Connection` lines that hold other tokens too.
fn strip_connection(headers: &mut HeaderList) {
    let mut at = 0;
    while let Some(index) = headers.position(b"connection", at) {
        at = index + 1;
        let Some(header) = headers.get(index) else { return };
        let kept = |token: &&[u8]| {
            !token.eq_ignore_ascii_case(b"close") && !token.eq_ignore_ascii_case(b"keep-alive")
        };
        if list(header.value).all(|token| kept(&token)) && !header.value.ends_with(b",") {
            continue;
        }
        let mut value = Vec::with_capacity(header.value.len());
        for token in list(header.value).filter(kept) {
            if !value.is_empty() {
                value.push(b',');
            }
            value.extend_from_slice(token);
        }
        while value.last() == Some(&b',') {
            value.pop();
        }
        // It only gets shorter, so it always fits.
        let _ = headers.replace_value(index, &value);
    }
}
