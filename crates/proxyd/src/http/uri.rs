//! Request targets in their four forms (RFC 9112 §3.2) as byte ranges.
//!
//! What this module does not do: decode, normalise or validate; the parser has refused bytes that may not stand there.

/// The form of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/path?query`.
    Origin,
    /// `http://authority/path?query`.
    Absolute,
    /// `host:port`, for CONNECT; also anything that fits no other form.
    Authority,
    /// `*`.
    Asterisk,
}

/// The parts of a request target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Uri<'a> {
    pub form: Form,
    /// `http` of `http://…`.
    pub scheme: Option<&'a [u8]>,
    /// `user@host:port`.
    pub authority: Option<&'a [u8]>,
    /// Up to `?` (a `#` is part of it); empty for asterisk and authority form.
    pub path: &'a [u8],
    /// After the first `?`.
    pub query: Option<&'a [u8]>,
    /// Path, `?` and query: what `pathq` gives.
    pub path_and_query: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Splits a target; every byte string has a meaning.
    pub fn parse(target: &'a [u8]) -> Uri<'a> {
        let (form, scheme, authority, path_start) = split_front(target);
        let path_and_query = target.get(path_start..).unwrap_or_default();
        let (path, query) = match memchr::memchr(b'?', path_and_query) {
            Some(mark) => (path_and_query.get(..mark).unwrap_or_default(), path_and_query.get(mark + 1..)),
            None => (path_and_query, None),
        };
        Uri { form, scheme, authority, path, query, path_and_query }
    }

    /// The authority without user information and port; brackets of IPv6 addresses stay.
    pub fn host(&self) -> Option<&'a [u8]> {
        self.authority.map(|authority| host_port(authority).0)
    }

    /// The port's digits, if there are any.
    pub fn port(&self) -> Option<&'a [u8]> {
        self.authority.and_then(|authority| host_port(authority).1)
    }
}

/// Splits `user@host:port` into host and port (without an empty port).
pub fn host_port(authority: &[u8]) -> (&[u8], Option<&[u8]>) {
    let host = match memchr::memrchr(b'@', authority) {
        Some(at) => authority.get(at + 1..).unwrap_or_default(),
        None => authority,
    };
    let colon = match memchr::memrchr(b':', host) {
        Some(colon) if host.get(colon + 1..).is_some_and(|port| port.iter().all(u8::is_ascii_digit)) => colon,
        _ => return (host, None),
    };
    let port = host.get(colon + 1..).filter(|port| !port.is_empty());
    (host.get(..colon).unwrap_or_default(), port)
}

/// Where the path starts and ends (before `?`) within the target.
pub(crate) fn path_range(target: &[u8]) -> (usize, usize) {
    let start = split_front(target).3.min(target.len());
    let end = memchr::memchr(b'?', target.get(start..).unwrap_or_default())
        .map_or(target.len(), |mark| start + mark);
    (start, end)
}

type Front<'a> = (Form, Option<&'a [u8]>, Option<&'a [u8]>, usize);

fn split_front(target: &[u8]) -> Front<'_> {
    match target.first() {
        Some(b'/') => return (Form::Origin, None, None, 0),
        Some(b'*') if target.len() == 1 => return (Form::Asterisk, None, None, 1),
        _ => {}
    }
    match scheme_end(target) {
        Some(colon) => {
            let start = colon + 3;
            let rest = target.get(start..).unwrap_or_default();
            // HAProxy ends the authority at the first slash only.
            let end = memchr::memchr(b'/', rest).unwrap_or(rest.len());
            (Form::Absolute, target.get(..colon), rest.get(..end), start + end)
        }
        None => {
            let end = memchr::memchr(b'/', target).unwrap_or(target.len());
            (Form::Authority, None, target.get(..end), end)
        }
    }
}

/// The colon of a leading `scheme://`.
fn scheme_end(target: &[u8]) -> Option<usize> {
    let colon = memchr::memchr(b':', target)?;
    let scheme = target.get(..colon)?;
    let (first, rest) = scheme.split_first()?;
    let valid = first.is_ascii_alphabetic()
        && rest.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'));
    (valid && target.get(colon..)?.starts_with(b"://")).then_some(colon)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_four_forms() {
        let origin = Uri::parse(b"/a?b?c");
        assert_eq!((origin.form, origin.path, origin.query), (Form::Origin, &b"/a"[..], Some(&b"b?c"[..])));
        let absolute = Uri::parse(b"http://u@h:8/p?q");
        assert_eq!(absolute.form, Form::Absolute);
        assert_eq!((absolute.host(), absolute.port()), (Some(&b"h"[..]), Some(&b"8"[..])));
        assert_eq!(absolute.path_and_query, b"/p?q");
        let bare = Uri::parse(b"http://h");
        assert_eq!((bare.path, bare.host()), (&b""[..], Some(&b"h"[..])));
        let authority = Uri::parse(b"[::1]:443");
        assert_eq!((authority.form, authority.host()), (Form::Authority, Some(&b"[::1]"[..])));
        assert_eq!(Uri::parse(b"*").form, Form::Asterisk);
    }
}
