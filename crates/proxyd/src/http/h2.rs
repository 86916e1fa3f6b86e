//! HTTP/2 heads to ours and back. Sans-IO; frames, HPACK and flow control are the `h2` crate's.
//!
//! A request's target is in absolute form, as HAProxy shows it in logs and in `url`; to an HTTP/1 server only its path is
//! sent ([`RequestHead::wire_target`]). An extended CONNECT (RFC 8441) becomes the HTTP/1.1 upgrade that it stands for, so
//! that rules see one kind of WebSocket request.

use h2::ext::Protocol;
use http::header::{HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode, Uri};

use super::framing::Framing;
use super::h1::{Limits, ParseError, check_authority};
use super::head::{ConnectionTokens, Method, RequestHead, ResponseHead, Version};
use super::headers::HeaderList;

/// Fields that belong to one HTTP/1 connection (RFC 9113 §8.2.2).
fn is_connection_field(name: &[u8]) -> bool {
    matches!(name, b"connection" | b"keep-alive" | b"proxy-connection" | b"transfer-encoding" | b"upgrade")
}

/// Fills `head` from a request that came; `ended`: it has no body.
///
/// # Errors
/// What HTTP/1 would be refused for too: too large, too many fields, a length that is none.
pub fn read_request(
    head: &mut RequestHead,
    parts: &http::request::Parts,
    ended: bool,
    limits: &Limits,
) -> Result<(), ParseError> {
    head.clear();
    head.headers.set_limit(limits.rewritten_bytes_max);
    let websocket =
        parts.extensions.get::<Protocol>().is_some_and(|protocol| protocol.as_str() == "websocket");
    let method = if websocket { "GET" } else { parts.method.as_str() };
    let authority = parts.uri.authority().map_or("", |authority| authority.as_str());
    let target = target(&parts.uri, authority);
    head.set_start_line(method.as_bytes(), target.as_bytes(), Version::HTTP_2)?;
    head.is_normalized = head.method() != Method::Connect && !target.starts_with(['/', '*']);
    if !authority.is_empty() {
        head.headers.add(b"host", authority.as_bytes())?;
    }
    copy_fields(&mut head.headers, &parts.headers, !authority.is_empty())?;
    if websocket {
        upgrade(head)?;
    }
    // What was the only source of `Host` agrees with it, but its port may be the scheme's own.
    check_authority(head, !authority.is_empty())?;
    if head.headers.len() + 1 >= limits.headers_max {
        return Err(ParseError::TooManyHeaders);
    }
    if head.headers.live_bytes() + target.len() > limits.head_bytes_max {
        return Err(ParseError::TooLarge);
    }
    let length = match head.headers.find(b"content-length") {
        Some(digits) => Some(decimal(digits).ok_or(ParseError::ContentLength)?),
        None => None,
    };
    head.framing = match length {
        _ if websocket || head.method() == Method::Connect => Framing::None,
        Some(length) => Framing::Length(length),
        None if ended => Framing::None,
        None => Framing::Chunked,
    };
    head.expect_continue =
        head.headers.find(b"expect").is_some_and(|value| value.eq_ignore_ascii_case(b"100-continue"));
    Ok(())
}

fn target(uri: &Uri, authority: &str) -> String {
    let path = uri.path_and_query().map_or("", PathAndQuery::as_str);
    match uri.scheme_str() {
        _ if path == "*" => path.to_owned(),
        Some(scheme) if !authority.is_empty() => format!("{scheme}://{authority}{path}"),
        _ if path.is_empty() => authority.to_owned(),
        _ => path.to_owned(),
    }
}

fn decimal(digits: &[u8]) -> Option<u64> {
    let digits = std::str::from_utf8(digits).ok()?;
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    digits.parse().ok()
}

/// Pieces of a cookie become one field again (RFC 9113 §8.2.3); `:authority` is the host.
fn copy_fields(headers: &mut HeaderList, fields: &HeaderMap, has_authority: bool) -> Result<(), ParseError> {
    let mut cookie: Option<Vec<u8>> = None;
    for (name, value) in fields {
        match name.as_str() {
            "host" if has_authority => {}
            "cookie" => match &mut cookie {
                None => cookie = Some(value.as_bytes().to_vec()),
                Some(cookie) => {
                    cookie.extend_from_slice(b"; ");
                    cookie.extend_from_slice(value.as_bytes());
                }
            },
            name => headers.add(name.as_bytes(), value.as_bytes())?,
        }
    }
    if let Some(cookie) = cookie {
        headers.add(b"cookie", &cookie)?;
    }
    Ok(())
}

/// What makes an HTTP/1.1 request of an extended CONNECT; the key is checked by nobody that sees it.
fn upgrade(head: &mut RequestHead) -> Result<(), ParseError> {
    const KEY: &[u8] = b"cHJveHlkLXdlYnNvY2tldA==";
    head.headers.add(b"connection", b"upgrade")?;
    head.headers.add(b"upgrade", b"websocket")?;
    if !head.headers.contains(b"sec-websocket-key") {
        head.headers.add(b"sec-websocket-key", KEY)?;
    }
    head.connection = ConnectionTokens { upgrade: true, names_upgrade: true, ..ConnectionTokens::default() };
    Ok(())
}

/// Our fields as they go out: without those of an HTTP/1 connection, with a length only if `framing` says the same.
fn fields(headers: &HeaderList, framing: Framing, skip: impl Fn(&[u8]) -> bool) -> HeaderMap {
    let mut fields = HeaderMap::with_capacity(headers.len() + 1);
    for header in headers.iter() {
        if is_connection_field(header.name) || skip(header.name) {
            continue;
        }
        let is_length = header.name == b"content-length";
        if is_length
            && framing != Framing::None
            && !matches!(framing, Framing::Length(length) if decimal(header.value) == Some(length))
        {
            continue;
        }
        // What HTTP/2 has no way to say is left out, as the peer would have to reset the stream for it.
        if let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(header.name), HeaderValue::from_bytes(header.value))
        {
            fields.append(name, value);
        }
    }
    if let Framing::Length(length @ 1..) = framing
        && !fields.contains_key(http::header::CONTENT_LENGTH)
    {
        fields.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    fields
}

/// A response as it goes to the client; 101 is the success of an extended CONNECT.
pub fn write_response(head: &ResponseHead, framing: Framing) -> Response<()> {
    let tunnel = head.framing() == Framing::Tunnel;
    let status = if head.status() == 101 { 200 } else { head.status() };
    let skip = |name: &[u8]| tunnel && matches!(name, b"sec-websocket-accept" | b"content-length");
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::BAD_GATEWAY);
    *response.headers_mut() = fields(&head.headers, framing, skip);
    response
}

/// A request as it goes to a server; `None` when HTTP/2 cannot say it.
pub fn write_request(head: &RequestHead, scheme: &str, with_protocol: bool) -> Option<Request<()>> {
    let host = head.headers.find(b"host").unwrap_or_default();
    let uri = head.uri();
    let authority = if host.is_empty() { uri.authority.unwrap_or_default() } else { host };
    let websocket = head.connection().upgrade
        && head.headers.find(b"upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket"));
    if websocket && !with_protocol {
        return None;
    }
    let method =
        if websocket { http::Method::CONNECT } else { http::Method::from_bytes(head.method_bytes()).ok()? };
    let connect = head.method() == Method::Connect;
    let target = if connect { uri.authority.unwrap_or(head.target()) } else { authority };
    let mut builder = Uri::builder();
    if !target.is_empty() {
        builder = builder.authority(target);
    }
    if !connect {
        let path = if uri.path_and_query.is_empty() { head.target() } else { uri.path_and_query };
        let path = if path.is_empty() { b"/" } else { path };
        builder = builder.path_and_query(path);
        if !target.is_empty() {
            builder = builder.scheme(uri.scheme.map_or(scheme.as_bytes(), |scheme| scheme));
        }
    }
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = builder.build().ok()?;
    let skip = |name: &[u8]| {
        name == b"host" && !target.is_empty()
            || websocket && name == b"sec-websocket-key"
            || name == b"http2-settings"
    };
    *request.headers_mut() = fields(&head.headers, head.framing(), skip);
    if head.framing() == Framing::None {
        request.headers_mut().remove(http::header::CONTENT_LENGTH);
    }
    if websocket {
        request.extensions_mut().insert(Protocol::from_static("websocket"));
    }
    Some(request)
}

/// Fills `head` from a response that came to `request`; `ended`: it has no body.
///
/// # Errors
/// When it is too large, or has a length that is none.
pub fn read_response(
    head: &mut ResponseHead,
    status: StatusCode,
    from: &HeaderMap,
    ended: bool,
    request: &RequestHead,
    limits: &Limits,
) -> Result<(), ParseError> {
    head.clear();
    head.headers.set_limit(limits.rewritten_bytes_max);
    let upgraded = request.connection().upgrade && status == StatusCode::OK;
    let code = if upgraded { 101 } else { status.as_u16() };
    head.set_start_line(Version::HTTP_2, code, b"")?;
    for (name, value) in from {
        head.headers.add(name.as_str().as_bytes(), value.as_bytes())?;
    }
    if head.headers.len() + 1 >= limits.headers_max {
        return Err(ParseError::TooManyHeaders);
    }
    if head.headers.live_bytes() > limits.head_bytes_max {
        return Err(ParseError::TooLarge);
    }
    if upgraded {
        head.headers.add(b"connection", b"upgrade")?;
        head.headers.add(b"upgrade", b"websocket")?;
        if let Some(key) = request.headers.find(b"sec-websocket-key") {
            head.headers.add(b"sec-websocket-accept", accept_of(key).as_bytes())?;
        }
        head.connection =
            ConnectionTokens { upgrade: true, names_upgrade: true, ..ConnectionTokens::default() };
    }
    let length = head.headers.find(b"content-length").and_then(decimal);
    head.framing = match code {
        101 => Framing::Tunnel,
        200..=299 if request.method() == Method::Connect => Framing::Tunnel,
        100..=199 | 204 | 304 => Framing::None,
        _ if request.method() == Method::Head => Framing::None,
        _ => match length {
            Some(length) => Framing::Length(length),
            None if ended => Framing::Length(0),
            None => Framing::Chunked,
        },
    };
    Ok(())
}

/// `Sec-WebSocket-Accept` of a key (RFC 6455 §4.2.2).
fn accept_of(key: &[u8]) -> String {
    use base64::Engine as _;
    use sha1::Digest as _;
    let mut digest = sha1::Sha1::new();
    digest.update(key);
    digest.update(b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11");
    base64::engine::general_purpose::STANDARD.encode(digest.finalize())
}

/// A trailer section in HTTP/1's lines, without its empty line.
pub fn trailer_lines(trailers: &HeaderMap) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in trailers {
        lines.extend_from_slice(name.as_str().as_bytes());
        lines.extend_from_slice(b": ");
        lines.extend_from_slice(value.as_bytes());
        lines.extend_from_slice(b"\r\n");
    }
    lines
}

/// A section of lines as HTTP/2 has it; framing fields are dropped as they are for HTTP/1 (RFC 9110 §6.5.1).
pub fn trailer_fields(lines: &[u8]) -> Option<HeaderMap> {
    let mut fields = HeaderMap::new();
    for line in lines.split(|byte| *byte == b'\n') {
        let Some(colon) = memchr::memchr(b':', line) else { continue };
        let name = line.get(..colon).unwrap_or_default().to_ascii_lowercase();
        let value = line.get(colon + 1..).unwrap_or_default().trim_ascii();
        let framing = is_connection_field(&name) || matches!(name.as_slice(), b"content-length" | b"host");
        if let (false, Ok(name), Ok(value)) =
            (framing, HeaderName::from_bytes(&name), HeaderValue::from_bytes(value))
        {
            fields.append(name, value);
        }
    }
    (!fields.is_empty()).then_some(fields)
}

#[cfg(test)]
mod tests;
