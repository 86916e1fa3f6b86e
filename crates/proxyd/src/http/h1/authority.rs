//! Whether the request target's authority and the `Host` header agree (RFC 9110 §7.2, RFC 9112 §3.2).
//!
//! HAProxy refuses a request whose target names another host than its `Host` header, and takes the scheme's default
//! port out of an absolute target.

use super::super::head::{Method, RequestHead};
use super::super::headers::HeadFull;
use super::super::uri::{Form, Uri};
use super::ParseError;

impl From<HeadFull> for ParseError {
    fn from(_: HeadFull) -> Self {
        ParseError::TooLarge
    }
}

/// Refuses a mismatch and normalises default ports.
pub fn check(head: &mut RequestHead, has_host: bool) -> Result<(), ParseError> {
    let target = head.target();
    if target.first() == Some(&b'/') && head.method != Method::Connect {
        return Ok(());
    }
    let uri = Uri::parse(target);
    if head.method == Method::Connect {
        return connect(head, has_host);
    }
    match uri.form {
        Form::Origin | Form::Asterisk => Ok(()),
        Form::Authority if target.first() == Some(&b'*') => Ok(()),
        Form::Authority => {
            let host = head.headers.find(b"host");
            let equal = host.is_none_or(|host| host.eq_ignore_ascii_case(uri.authority.unwrap_or_default()));
            if equal { Ok(()) } else { Err(ParseError::Host) }
        }
        Form::Absolute => absolute(head),
    }
}

/// CONNECT needs a port; the default ports of both schemes may be missing in `Host`.
fn connect(head: &mut RequestHead, has_host: bool) -> Result<(), ParseError> {
    let authority = without_userinfo(Uri::parse(head.target()).authority.unwrap_or_default());
    let (name, port) = split_port(authority).ok_or(ParseError::Host)?;
    if port.is_empty() || !port.iter().all(u8::is_ascii_digit) {
        return Err(ParseError::Host);
    }
    let is_default = matches!(port, b"80" | b"443");
    let host = head.headers.find(b"host").unwrap_or_default();
    let short = host.strip_suffix(b":").unwrap_or(host);
    if !has_host || (is_default && short.eq_ignore_ascii_case(name)) {
        return Ok(());
    }
    if !host.eq_ignore_ascii_case(authority) {
        return Err(ParseError::Host);
    }
    if is_default && let Some(index) = head.headers.position(b"host", 0) {
        let host = host.get(..name.len()).unwrap_or_default().to_vec();
        head.headers.replace_value(index, &host)?;
    }
    Ok(())
}

fn absolute(head: &mut RequestHead) -> Result<(), ParseError> {
    let uri = Uri::parse(head.target());
    let full = uri.authority.unwrap_or_default();
    let authority = without_userinfo(full);
    if authority.is_empty() {
        return Ok(());
    }
    let default_port: &[u8] = match uri.scheme {
        Some(scheme) if scheme.eq_ignore_ascii_case(b"http") => b"80",
        Some(scheme) if scheme.eq_ignore_ascii_case(b"https") => b"443",
        _ => b"",
    };
    let without_default = |authority| match split_port(authority) {
        Some((name, port)) if port.is_empty() || port == default_port => Some(name),
        _ => None,
    };
    let short = without_default(authority);
    if let Some(host) = head.headers.find(b"host") {
        let left = short.unwrap_or(authority);
        let right = without_default(host).unwrap_or(host);
        if !left.eq_ignore_ascii_case(right) {
            return Err(ParseError::Host);
        }
    }
    let Some(short) = short.map(<[u8]>::to_vec) else { return Ok(()) };
    let removed = authority.len() - short.len();
    let front = uri.scheme.map_or(0, |scheme| scheme.len() + 3) + full.len();
    let mut target = head.target().to_vec();
    target.drain(front - removed..front);
    head.set_target(&target)?;
    if let Some(index) = head.headers.position(b"host", 0) {
        head.headers.replace_value(index, &short)?;
    }
    Ok(())
}

fn without_userinfo(authority: &[u8]) -> &[u8] {
    match memchr::memrchr(b'@', authority) {
        Some(at) => authority.get(at + 1..).unwrap_or_default(),
        None => authority,
    }
}

/// Host and what follows the last colon outside brackets.
fn split_port(authority: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = memchr::memrchr(b':', authority)?;
    let port = authority.get(colon + 1..)?;
    (!port.contains(&b']')).then_some((authority.get(..colon)?, port))
}
