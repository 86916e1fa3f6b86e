//! `capture request header`, `capture response header`, `capture cookie`: what the log keeps of a message.

use super::session::Session;
use super::state::Stream;
use crate::http::cookie;
use crate::http::headers::HeaderList;
use crate::txn::Captures;

impl Stream {
    /// Takes the request's captures; slots without a header name are rules'.
    pub(super) fn capture_request(&mut self, session: &Session) {
        let Some(proxy) = session.snapshot.proxies.get(session.frontend.0 as usize) else { return };
        capture(&self.request.headers, &proxy.request_captures, &mut self.info.request_captures);
        self.info.response_captures.reserve(proxy.response_captures.len());
        if let Some((name, length)) = &proxy.cookie_capture {
            self.info.request_cookie = cookie_of(&self.request.headers, b"cookie", name, *length);
        }
    }

    pub(super) fn capture_response(&mut self, session: &Session) {
        let Some(proxy) = session.snapshot.proxies.get(session.frontend.0 as usize) else { return };
        capture(&self.response.headers, &proxy.response_captures, &mut self.info.response_captures);
        if let Some((name, length)) = &proxy.cookie_capture {
            self.info.response_cookie = cookie_of(&self.response.headers, b"set-cookie", name, *length);
        }
    }
}

fn capture(headers: &HeaderList, wanted: &[(String, usize)], into: &mut Captures) {
    into.reserve(wanted.len());
    for (slot, (name, length)) in wanted.iter().enumerate() {
        if name.is_empty() {
            continue;
        }
        if let Some(value) = headers.last(name.as_bytes()) {
            into.set(slot, value.get(..*length).unwrap_or(value).to_vec());
        }
    }
}

/// A name that ends in `=` must match whole, others are prefixes.
fn cookie_of(headers: &HeaderList, header: &[u8], name: &str, length: usize) -> Option<Vec<u8>> {
    let (name, exact) = match name.strip_suffix('=') {
        Some(name) => (name, true),
        None => (name, false),
    };
    let value = cookie::capture(headers, header, name.as_bytes(), exact)?;
    Some(value.get(..length).unwrap_or(value).to_vec())
}
