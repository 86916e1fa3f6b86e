//! Whether shared caches may keep a response, and the cookies in it (`option checkcache`, `cookie … nocache`).
//!
//! The order of decisions is HAProxy 2.6's, compared with what it does: later words overrule earlier ones.

use super::Method;
use super::headers::HeaderList;

/// What caches between us and the client may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cacheability {
    /// Keep the response.
    pub response: bool,
    /// Keep its cookies with it.
    pub cookies: bool,
}

/// Of a response to a request with this method.
pub fn cacheability(method: Method, status: u16, headers: &HeaderList) -> Cacheability {
    let by_default = matches!(status, 200 | 203 | 204 | 206 | 300 | 301 | 404 | 405 | 410 | 414 | 501)
        && matches!(method, Method::Get | Method::Head | Method::Options | Method::Trace);
    let mut may = Cacheability { response: by_default, cookies: by_default };
    if headers.values(b"pragma").next().is_some_and(|value| value.eq_ignore_ascii_case(b"no-cache")) {
        return Cacheability { response: false, cookies: false };
    }
    let mut has_lifetime = headers.contains(b"expires");
    for word in headers.values(b"cache-control") {
        let word = word.to_ascii_lowercase();
        match word.as_slice() {
            b"private" | b"no-cache" | b"no-store" | b"max-age=0" | b"s-maxage=0" => {
                may = Cacheability { response: false, cookies: false };
            }
            b"public" => may = Cacheability { response: true, cookies: true },
            word if word.starts_with(b"no-cache=\"set-cookie") => may.cookies = false,
            word => has_lifetime |= word.starts_with(b"max-age=") || word.starts_with(b"s-maxage="),
        }
    }
    // Caches do not keep what they could neither age nor ask about (RFC 9111 §3).
    may.response &= has_lifetime || headers.contains(b"etag") || headers.contains(b"last-modified");
    may
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(method: Method, status: u16, fields: &[(&str, &str)]) -> (bool, bool) {
        let mut headers = HeaderList::default();
        for (name, value) in fields {
            headers.add(name.as_bytes(), value.as_bytes()).unwrap();
        }
        let may = cacheability(method, status, &headers);
        (may.response, may.cookies)
    }

    /// Each line is what HAProxy 2.6 does.
    #[test]
    fn as_the_original_judges() {
        let tag = ("etag", "x");
        for (method, status, fields, expected) in [
            (Method::Get, 200, vec![], (false, true)),
            (Method::Get, 200, vec![tag], (true, true)),
            (Method::Get, 201, vec![tag], (false, false)),
            (Method::Post, 200, vec![tag], (false, false)),
            (Method::Post, 302, vec![tag, ("cache-control", "public")], (true, true)),
            (Method::Get, 200, vec![("expires", "x")], (true, true)),
            (Method::Get, 200, vec![("cache-control", "max-age=10")], (true, true)),
            (Method::Get, 200, vec![("cache-control", "max-age=00")], (true, true)),
            (
                Method::Get,
                200,
                vec![tag, ("pragma", "no-cache"), ("cache-control", "public")],
                (false, false),
            ),
            (Method::Get, 200, vec![tag, ("cache-control", "s-maxage=0")], (false, false)),
            (Method::Get, 200, vec![tag, ("cache-control", "no-cache, public")], (true, true)),
            (
                Method::Get,
                200,
                vec![tag, ("cache-control", "public"), ("cache-control", "private")],
                (false, false),
            ),
            (Method::Get, 200, vec![tag, ("cache-control", "max-age=0, max-age=7")], (false, false)),
            (Method::Get, 200, vec![tag, ("cache-control", "private=\"x\"")], (true, true)),
            (Method::Get, 200, vec![tag, ("cache-control", "no-cache=\"set-cookie, x\"")], (true, false)),
        ] {
            assert_eq!(of(method, status, &fields), expected, "{method:?} {status} {fields:?}");
        }
    }
}
