//! Which bytes of a request are hashed (manual, "balance uri / url_param / hdr / rdp-cookie").
//!
//! Pure functions on bytes. What this module does not do: parse messages or evaluate `balance hash` expressions.

use serde::{Deserialize, Serialize};

/// Where the key of a hash algorithm comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// `source`: the client's address.
    Source,
    /// `uri`.
    Uri(UriOptions),
    /// `url_param NAME`.
    UrlParam {
        /// The parameter's name, case-sensitive.
        name: String,
    },
    /// `hdr(NAME)`.
    Header {
        /// The header's name.
        name: String,
        /// `use_domain_only`.
        domain_only: bool,
    },
    /// `rdp-cookie(NAME)`.
    RdpCookie {
        /// The cookie's name, without case.
        name: String,
    },
    /// `hash EXPR` (or `log-hash`): the caller evaluates the expression.
    Expression,
}

impl KeySource {
    /// Whether one usable server is taken without looking for the key, see [`super::HashOptions::shortcut`].
    pub fn has_shortcut(&self) -> bool {
        !matches!(self, KeySource::UrlParam { .. } | KeySource::RdpCookie { .. })
    }
}

/// The options of `balance uri`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UriOptions {
    /// `len N`: only the first N bytes count.
    pub len_bytes: Option<u32>,
    /// `depth N`: directories counted from the front.
    pub depth: Option<u32>,
    /// `whole`: the query counts too.
    pub whole: bool,
    /// `path-only`: scheme and authority do not count.
    pub path_only: bool,
}

/// The key of `balance uri`: `uri` is the start line's, after rewriting. It is not decoded.
pub fn uri<'a>(uri: &'a [u8], options: &UriOptions) -> &'a [u8] {
    let mut key = if options.path_only { path(uri) } else { uri };
    if let Some(len) = options.len_bytes {
        key = &key[..key.len().min(len as usize)];
    }
    let mut slashes = 0u32;
    let stop = key.iter().position(|byte| match byte {
        b'/' => {
            slashes += 1;
            options.depth.is_some_and(|depth| slashes == depth.saturating_add(1))
        }
        b'?' => !options.whole,
        _ => false,
    });
    &key[..stop.unwrap_or(key.len())]
}

/// The path and query of a URI in origin or absolute form; an absolute URI without a path has the path `/`.
fn path(uri: &[u8]) -> &[u8] {
    let Some(scheme) = memchr::memmem::find(uri, b"://").filter(|_| !uri.starts_with(b"/")) else {
        return uri;
    };
    let after = &uri[scheme + 3..];
    match memchr::memchr2(b'/', b'?', after) {
        Some(start) => &after[start..],
        None => b"/",
    }
}

/// The key of `balance url_param`: the value of the first parameter of this name in the query, undecoded; it may be
/// empty. Parameters are separated by `&` only.
pub fn url_param<'a>(uri: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let query = uri.iter().position(|byte| *byte == b'?')?;
    parameter(&uri[query + 1..], name)
}

/// The same in the first data block of a POST's body, where a value that does not begin with a token character is
/// none.
pub fn body_param<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    parameter(body, name).filter(|value| value.first().is_none_or(|byte| is_token(*byte)))
}

fn parameter<'a>(query: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    query.split(|byte| *byte == b'&').find_map(|piece| piece.strip_prefix(name)?.strip_prefix(b"="))
}

/// RFC 9110 §5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// The key of `balance hdr(name)`: `value` is the first such header's. None if it is empty.
pub fn header(value: &[u8], domain_only: bool) -> Option<&[u8]> {
    let first = value.split(|byte| *byte == b',').next()?.trim_ascii();
    if first.is_empty() {
        return None;
    }
    Some(if domain_only { domain(first) } else { first })
}

/// The label before the last dot, from after the previous one; without such a dot everything.
fn domain(name: &[u8]) -> &[u8] {
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.').filter(|at| *at >= 1) else { return name };
    // The label has at least one byte, even if that is a dot.
    let before = name[..dot - 1].iter().rposition(|byte| *byte == b'.');
    &name[before.map_or(0, |at| at + 1)..dot]
}

/// The key of `balance rdp-cookie(name)`: the cookie's value in an RDP connection request (the first bytes of the
/// client). None if it is missing or empty.
pub fn rdp_cookie<'a>(packet: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    const TPKT_VERSION: u8 = 3;
    const CONNECTION_REQUEST: u8 = 0xe0;
    const HEADERS_BYTES: usize = 11;
    if packet.first() != Some(&TPKT_VERSION) || packet.get(5) != Some(&CONNECTION_REQUEST) {
        return None;
    }
    let cookie = strip_prefix_no_case(packet.get(HEADERS_BYTES..)?, b"Cookie:")?.trim_ascii_start();
    let value = strip_prefix_no_case(cookie, name)?.strip_prefix(b"=")?;
    let end = value.iter().position(|byte| matches!(byte, b'\r' | b'\n'))?;
    Some(&value[..end]).filter(|value| !value.is_empty())
}

fn strip_prefix_no_case<'a>(bytes: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let (start, rest) = bytes.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn uri_stops_where_its_options_say() {
        let plain = UriOptions::default();
        let whole = UriOptions { whole: true, ..plain };
        let depth = |depth| UriOptions { depth: Some(depth), ..plain };
        assert_eq!(uri(b"/a/b?c=/d", &plain), b"/a/b");
        assert_eq!(uri(b"/a/b?c=/d", &whole), b"/a/b?c=/d");
        assert_eq!(uri(b"/a/b/c", &depth(2)), b"/a/b");
        assert_eq!(uri(b"http://ex.org/a/b", &depth(2)), b"http://ex.org");
        assert_eq!(uri(b"/a/b?c=/d/e", &UriOptions { depth: Some(3), ..whole }), b"/a/b?c=/d");
        assert_eq!(uri(b"/abcdef", &UriOptions { len_bytes: Some(4), ..plain }), b"/abc");
        let path_only = UriOptions { path_only: true, ..plain };
        assert_eq!(uri(b"http://ex.org/a/b?c", &path_only), b"/a/b");
        assert_eq!(uri(b"http://ex.org", &path_only), b"/");
        assert_eq!(uri(b"/a?x=http://b/c", &path_only), b"/a");
    }

    #[test]
    fn url_param_is_found_by_its_exact_name() {
        assert_eq!(url_param(b"/p?a=1&id=x%20y&z=9", b"id"), Some(&b"x%20y"[..]));
        assert_eq!(url_param(b"/p?id=", b"id"), Some(&b""[..]));
        assert_eq!(url_param(b"/p?ID=1&id2=3;id=4", b"id"), None);
        assert_eq!(url_param(b"/id=1", b"id"), None);
        assert_eq!(body_param(b"a=1&id=x y", b"id"), Some(&b"x y"[..]));
        assert_eq!(body_param(b"id=/x", b"id"), None);
    }

    #[test]
    fn use_domain_only_takes_the_label_before_the_last_dot() {
        for (value, key) in [
            ("haproxy.1wt.eu", "1wt"),
            ("localhost", "localhost"),
            (".eu", ".eu"),
            ("10.0.0.1", "0"),
            ("www.example.com.", "com"),
            ("a..b", "a."),
        ] {
            assert_eq!(header(value.as_bytes(), true), Some(key.as_bytes()), "{value}");
        }
        assert_eq!(header(b" foo.bar , baz", false), Some(&b"foo.bar"[..]));
        assert_eq!(header(b"  ", false), None);
    }

    #[test]
    fn rdp_cookie_is_read_from_the_connection_request() {
        let packet = |cookie: &str| [b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0", cookie.as_bytes()].concat();
        assert_eq!(rdp_cookie(&packet("Cookie: mstshash=bob\r\n"), b"mstshash"), Some(&b"bob"[..]));
        assert_eq!(rdp_cookie(&packet("Cookie: MSTSHASH=bob\r\n"), b"mstshash"), Some(&b"bob"[..]));
        assert_eq!(rdp_cookie(&packet("Cookie: msts=bob\r\n"), b"mstshash"), None);
        assert_eq!(rdp_cookie(&packet("Cookie: mstshash=\r\n"), b"mstshash"), None);
        assert_eq!(rdp_cookie(&packet("Cookie: mstshash=bo"), b"mstshash"), None);
    }

    proptest! {
        #[test]
        fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..80), name in "[a-z]{0,4}", len in 0u32..90, whole: bool) {
            let options = UriOptions { len_bytes: Some(len), depth: Some(len % 5), whole, path_only: !whole };
            uri(&bytes, &options);
            url_param(&bytes, name.as_bytes());
            body_param(&bytes, name.as_bytes());
            header(&bytes, true);
            rdp_cookie(&bytes, name.as_bytes());
        }
    }
}
