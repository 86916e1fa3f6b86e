//! Request and response heads from bytes, and the one decision about their framing.

use super::super::framing::Framing;
use super::super::head::{Method, RequestHead, ResponseHead, Version};
use super::super::headers::Range;
use super::authority;
use super::fields::{self, Facts, Scan, is_token, range};
use super::{Limits, ParseError, Parsed};

/// What a response's framing depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ResponseContext {
    /// The method as it was sent to the server.
    pub method: Method,
    /// The request asked for an upgrade, so that 101 may come.
    pub upgrade: bool,
}

impl ResponseContext {
    /// The context of a request that was sent.
    pub fn of(request: &RequestHead) -> Self {
        Self { method: request.method(), upgrade: request.connection().upgrade }
    }
}

/// Reads a request head from the start of `bytes` into `head` (which it clears first) and decides its framing.
///
/// Leading empty lines are skipped (RFC 9112 §2.2). Accepts and refuses what HAProxy does.
pub fn parse_request(head: &mut RequestHead, bytes: &[u8], limits: &Limits) -> Parsed {
    head.clear();
    head.headers.set_limit(limits.rewritten_bytes_max);
    outcome(request(head, bytes, limits), bytes, limits)
}

/// Reads a response head; the request decides about its body (HEAD, CONNECT, upgrade).
pub fn parse_response(
    head: &mut ResponseHead,
    bytes: &[u8],
    context: ResponseContext,
    limits: &Limits,
) -> Parsed {
    head.clear();
    head.headers.set_limit(limits.rewritten_bytes_max);
    outcome(response(head, bytes, context, limits), bytes, limits)
}

fn outcome(result: Result<Option<usize>, ParseError>, bytes: &[u8], limits: &Limits) -> Parsed {
    match result {
        Ok(Some(consumed)) if consumed > limits.head_bytes_max => Parsed::Error(ParseError::TooLarge),
        Ok(Some(consumed)) => Parsed::Head { consumed },
        Ok(None) if bytes.len() >= limits.head_bytes_max => Parsed::Error(ParseError::TooLarge),
        Ok(None) => Parsed::Incomplete,
        Err(error) => Parsed::Error(error),
    }
}

/// Where the start line begins, after empty lines.
fn skip_empty_lines(bytes: &[u8]) -> Result<Option<usize>, ParseError> {
    let mut at = 0;
    loop {
        match (bytes.get(at), bytes.get(at + 1)) {
            (Some(b'\n'), _) => at += 1,
            (Some(b'\r'), Some(b'\n')) => at += 2,
            (None, _) | (Some(b'\r'), None) => return Ok(None),
            (Some(b'\r'), _) => return Err(ParseError::StartLine),
            _ => return Ok(Some(at)),
        }
    }
}

fn request(head: &mut RequestHead, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, ParseError> {
    let Some(start) = skip_empty_lines(bytes)? else { return Ok(None) };
    let Some(line) = request_line(bytes, start, limits)? else { return Ok(None) };
    let mut facts = Facts::default();
    let end = match fields::scan(&mut head.headers, bytes, line.end, limits, &mut facts)? {
        Scan::Incomplete => return Ok(None),
        Scan::End(end) => end,
    };
    head.headers.load(bytes.get(..end).unwrap_or_default());
    fields::finish(&mut head.headers, &facts);
    head.method_bytes = line.method;
    head.method = Method::from_bytes(head.headers.bytes(line.method));
    head.target = line.target;
    head.version = line.version;
    head.connection = facts.connection;
    let encoding = facts.transfer_encoding;
    if encoding.present && !encoding.chunked {
        return Err(ParseError::TransferEncoding);
    }
    head.framing = request_framing(&facts);
    head.expect_continue = facts.expect_continue && line.version >= Version::HTTP_11;
    if facts.transfer_encoding.chunked && facts.content_length.is_some() {
        head.headers.remove(b"content-length");
    }
    if facts.te {
        // Other codings than trailers concern this hop only (RFC 9110 §10.1.4).
        let trailers = head.headers.values(b"te").any(|value| value.eq_ignore_ascii_case(b"trailers"));
        head.headers.remove(b"te");
        if trailers && head.headers.add(b"te", b"trailers").is_err() {
            return Err(ParseError::TooManyHeaders);
        }
    }
    // RFC 9112 §6.1: such a message is suspicious enough not to trust what follows on the connection.
    if facts.transfer_encoding.present && (line.version < Version::HTTP_11 || facts.content_length.is_some())
    {
        head.connection.close = true;
    }
    upgrade(head, &facts)?;
    match authority::check(head, facts.host.is_some()) {
        // The option lets a target pass that does not agree with Host.
        Err(ParseError::Host) if limits.accept_invalid => {}
        checked => checked?,
    }
    if line.version < Version::HTTP_11
        && head.framing.has_body()
        && matches!(head.method, Method::Get | Method::Head | Method::Delete)
    {
        // Old servers may take such a body for another request.
        return Err(ParseError::UnexpectedPayload);
    }
    if encoding.other {
        return Err(ParseError::TransferEncodingUnsupported);
    }
    Ok(Some(end))
}

struct RequestLine {
    method: Range,
    target: Range,
    version: Version,
    end: usize,
}

fn request_line(bytes: &[u8], start: usize, limits: &Limits) -> Result<Option<RequestLine>, ParseError> {
    let Some(method_end) = run(bytes, start, is_token) else { return Ok(None) };
    if method_end == start {
        return Err(ParseError::StartLine);
    }
    let Some(target_start) = blanks(bytes, method_end)? else { return Ok(None) };
    let allowed = |byte: u8| match byte {
        b'#' => limits.accept_invalid,
        0x21..=0x7e => true,
        0x80.. => limits.accept_invalid,
        _ => false,
    };
    let Some(target_end) = run(bytes, target_start, allowed) else { return Ok(None) };
    if target_end == target_start {
        return Err(ParseError::StartLine);
    }
    if limits.accept_invalid && matches!(bytes.get(target_end), Some(b'\r' | b'\n')) {
        return short_request(bytes, range(start, method_end), range(target_start, target_end));
    }
    let Some(version_start) = blanks(bytes, target_end)? else { return Ok(None) };
    let Some((version, version_end)) = version(bytes, version_start)? else { return Ok(None) };
    let Some(end) = line_end(bytes, version_end)? else { return Ok(None) };
    let (method, target) = (range(start, method_end), range(target_start, target_end));
    Ok(Some(RequestLine { method, target, version, end }))
}

/// HTTP/0.9, `GET /` without a version: passed on as 1.0 with the option.
fn short_request(bytes: &[u8], method: Range, target: Range) -> Result<Option<RequestLine>, ParseError> {
    if bytes.get(method.start as usize..method.end as usize) != Some(b"GET") {
        return Err(ParseError::Version);
    }
    let Some(end) = line_end(bytes, target.end as usize)? else { return Ok(None) };
    Ok(Some(RequestLine { method, target, version: Version::HTTP_10, end }))
}

/// The end of a run of bytes for which `allowed` holds; `None` when the input ends first.
fn run(bytes: &[u8], start: usize, allowed: impl Fn(u8) -> bool) -> Option<usize> {
    let length = bytes.get(start..)?.iter().position(|&byte| !allowed(byte))?;
    Some(start + length)
}

/// Skips at least one blank.
fn blanks(bytes: &[u8], start: usize) -> Result<Option<usize>, ParseError> {
    match run(bytes, start, |byte| matches!(byte, b' ' | b'\t')) {
        None => Ok(None),
        Some(end) if end == start => Err(ParseError::StartLine),
        Some(end) => Ok(Some(end)),
    }
}

/// `HTTP/` digit `.` digit.
fn version(bytes: &[u8], start: usize) -> Result<Option<(Version, usize)>, ParseError> {
    let rest = bytes.get(start..).unwrap_or_default();
    let prefix = b"HTTP/";
    let seen = rest.len().min(prefix.len());
    if rest.get(..seen) != prefix.get(..seen) {
        return Err(ParseError::Version);
    }
    let digit = |at: usize| match rest.get(at) {
        None => Ok(None),
        Some(byte) if byte.is_ascii_digit() => Ok(Some(byte - b'0')),
        Some(_) => Err(ParseError::Version),
    };
    let Some(major) = digit(5)? else { return Ok(None) };
    match rest.get(6) {
        None => return Ok(None),
        Some(b'.') => {}
        Some(_) => return Err(ParseError::Version),
    }
    let Some(minor) = digit(7)? else { return Ok(None) };
    Ok(Some((Version { major, minor }, start + 8)))
}

/// After the line's CR LF or LF.
fn line_end(bytes: &[u8], at: usize) -> Result<Option<usize>, ParseError> {
    match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'\n'), _) => Ok(Some(at + 1)),
        (Some(b'\r'), Some(b'\n')) => Ok(Some(at + 2)),
        (None, _) | (Some(b'\r'), None) => Ok(None),
        _ => Err(ParseError::StartLine),
    }
}

/// RFC 9112 §6.3: the transfer coding wins over a length.
fn request_framing(facts: &Facts) -> Framing {
    if facts.transfer_encoding.chunked {
        Framing::Chunked
    } else {
        facts.content_length.map_or(Framing::None, Framing::Length)
    }
}

/// A request with a body cannot be upgraded; a WebSocket one needs its key (RFC 6455 §4.1).
fn upgrade(head: &mut RequestHead, facts: &Facts) -> Result<(), ParseError> {
    if !facts.connection.upgrade {
        return Ok(());
    }
    if facts.upgrade_field && head.framing.has_body() {
        head.headers.remove(b"upgrade");
        head.connection.upgrade = false;
    } else if facts.websocket && !facts.websocket_key {
        return Err(ParseError::Upgrade);
    }
    Ok(())
}

fn response(
    head: &mut ResponseHead,
    bytes: &[u8],
    context: ResponseContext,
    limits: &Limits,
) -> Result<Option<usize>, ParseError> {
    let Some(start) = skip_empty_lines(bytes)? else { return Ok(None) };
    let Some(line) = status_line(bytes, start)? else { return Ok(None) };
    let mut facts = Facts::default();
    let end = match fields::scan(&mut head.headers, bytes, line.end, limits, &mut facts)? {
        Scan::Incomplete => return Ok(None),
        Scan::End(end) => end,
    };
    head.headers.load(bytes.get(..end).unwrap_or_default());
    fields::finish(&mut head.headers, &facts);
    head.status = line.status;
    head.reason = line.reason;
    head.version = line.version;
    head.connection = facts.connection;
    head.framing = response_framing(line.status, context, &facts)?;
    if matches!(line.status, 100..=199 | 204) {
        head.headers.remove(b"transfer-encoding");
        head.headers.remove(b"content-length");
    } else if facts.transfer_encoding.chunked && facts.content_length.is_some() {
        head.headers.remove(b"content-length");
    }
    if facts.transfer_encoding.present && line.version < Version::HTTP_11 {
        head.connection.close = true;
    }
    Ok(Some(end))
}

struct StatusLine {
    version: Version,
    status: u16,
    reason: Range,
    end: usize,
}

/// `HTTP/1.1 200 reason`; the reason and the blank before it may be missing.
fn status_line(bytes: &[u8], start: usize) -> Result<Option<StatusLine>, ParseError> {
    let Some((version, version_end)) = version(bytes, start)? else { return Ok(None) };
    let Some(digits) = blanks(bytes, version_end)? else { return Ok(None) };
    let Some(digits_end) = run(bytes, digits, |byte| byte.is_ascii_digit()) else { return Ok(None) };
    let number = bytes.get(digits..digits_end).and_then(fields::decimal);
    let status = match number {
        Some(number @ 100..=999) if digits_end - digits == 3 => number as u16,
        _ => return Err(ParseError::Status),
    };
    let Some(reason) = run(bytes, digits_end, |byte| matches!(byte, b' ' | b'\t')) else { return Ok(None) };
    if reason == digits_end && !matches!(bytes.get(reason), Some(b'\r' | b'\n')) {
        return Err(ParseError::Status);
    }
    let Some(reason_end) = run(bytes, reason, |byte| !matches!(byte, b'\r' | b'\n')) else { return Ok(None) };
    let Some(end) = line_end(bytes, reason_end)? else { return Ok(None) };
    Ok(Some(StatusLine { version, status, reason: range(reason, reason_end), end }))
}

/// RFC 9112 §6.3, in its order.
fn response_framing(status: u16, context: ResponseContext, facts: &Facts) -> Result<Framing, ParseError> {
    let encoding = facts.transfer_encoding;
    if encoding.present && (!encoding.chunked || encoding.other) {
        return Err(ParseError::TransferEncoding);
    }
    match status {
        101 if context.upgrade => Ok(Framing::Tunnel),
        101 => Err(ParseError::Upgrade),
        100..=199 | 204 | 304 => Ok(Framing::None),
        200..=299 if context.method == Method::Connect => Ok(Framing::Tunnel),
        _ if context.method == Method::Head => Ok(Framing::None),
        _ if encoding.chunked => Ok(Framing::Chunked),
        _ => Ok(facts.content_length.map_or(Framing::UntilClose, Framing::Length)),
    }
}

#[cfg(test)]
mod tests;
