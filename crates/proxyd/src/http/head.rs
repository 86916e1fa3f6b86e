//! The heads of requests and responses: start line and header fields.
//!
//! A head owns all its bytes, so that the connection's receive buffer is free as soon as the head was parsed. The same
//! types serve HTTP/1 and HTTP/2. What this module does not do: parse or write any wire format.

use super::framing::Framing;
use super::headers::{HeadFull, HeaderList, Range};
use super::uri::{self, Uri};

/// Methods that have meaning for the proxy; everything else, known to IANA or not, is `Other`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Method {
    Options,
    #[default]
    Get,
    Head,
    Post,
    Put,
    Delete,
    Trace,
    Connect,
    Other,
}

impl Method {
    /// Methods are case-sensitive (RFC 9110 §9.1).
    pub fn from_bytes(bytes: &[u8]) -> Self {
        match bytes {
            b"GET" => Method::Get,
            b"POST" => Method::Post,
            b"HEAD" => Method::Head,
            b"PUT" => Method::Put,
            b"DELETE" => Method::Delete,
            b"OPTIONS" => Method::Options,
            b"CONNECT" => Method::Connect,
            b"TRACE" => Method::Trace,
            _ => Method::Other,
        }
    }
}

/// Protocol version as `req.ver` shows it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version {
    pub major: u8,
    pub minor: u8,
}

impl Version {
    pub const HTTP_10: Version = Version { major: 1, minor: 0 };
    pub const HTTP_11: Version = Version { major: 1, minor: 1 };
    pub const HTTP_2: Version = Version { major: 2, minor: 0 };
}

impl Default for Version {
    fn default() -> Self {
        Version::HTTP_11
    }
}

/// What a message's `Connection` header and version say about the connection (RFC 9112 §9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionTokens {
    pub close: bool,
    pub keep_alive: bool,
    /// `upgrade` is listed, and the request has no body that would prevent it.
    pub upgrade: bool,
    /// A `Connection` line with `upgrade` is kept, whether or not there will be one.
    pub names_upgrade: bool,
}

/// A request's head.
#[derive(Debug, Clone, Default)]
pub struct RequestHead {
    pub headers: HeaderList,
    pub(crate) method: Method,
    pub(crate) method_bytes: Range,
    pub(crate) target: Range,
    pub(crate) version: Version,
    pub(crate) framing: Framing,
    pub(crate) connection: ConnectionTokens,
    pub(crate) expect_continue: bool,
    /// The target is absolute because HTTP/2 says scheme and authority apart: HTTP/1 servers get the path only.
    pub(crate) is_normalized: bool,
}

impl RequestHead {
    /// Makes it ready for the next request and keeps its memory.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.method = Method::Get;
        self.method_bytes = Range::default();
        self.target = Range::default();
        self.version = Version::HTTP_11;
        self.framing = Framing::None;
        self.connection = ConnectionTokens::default();
        self.expect_continue = false;
        self.is_normalized = false;
    }

    /// Fills in a request line; used by HTTP/2 and by requests that the proxy makes itself.
    pub fn set_start_line(&mut self, method: &[u8], target: &[u8], version: Version) -> Result<(), HeadFull> {
        self.method_bytes = self.headers.append_bytes(&[method])?;
        self.method = Method::from_bytes(method);
        self.target = self.headers.append_bytes(&[target])?;
        self.version = version;
        Ok(())
    }

    pub fn method(&self) -> Method {
        self.method
    }

    pub fn method_bytes(&self) -> &[u8] {
        self.headers.bytes(self.method_bytes)
    }

    /// The request target as received or as set.
    pub fn target(&self) -> &[u8] {
        self.headers.bytes(self.target)
    }

    /// The request target as an HTTP/1 server gets it.
    pub fn wire_target(&self) -> &[u8] {
        if !self.is_normalized {
            return self.target();
        }
        let uri = self.uri();
        if uri.path_and_query.is_empty() { b"/" } else { uri.path_and_query }
    }

    /// The parts of the target.
    pub fn uri(&self) -> Uri<'_> {
        Uri::parse(self.target())
    }

    /// The path without query, as `path` gives it; empty for `*` and for authority form.
    pub fn path(&self) -> &[u8] {
        self.uri().path
    }

    /// What follows the first `?`, without it.
    pub fn query(&self) -> Option<&[u8]> {
        self.uri().query
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body is delimited: decided once, when the head was received.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// For messages that are not parsed from HTTP/1 (HTTP/2, or made by the proxy).
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    /// What the received `Connection` header said.
    pub fn connection(&self) -> ConnectionTokens {
        self.connection
    }

    /// Whether the sender is ready for another message on the connection (RFC 9112 §9.3).
    pub fn wants_keep_alive(&self) -> bool {
        wants_keep_alive(self.version, self.connection)
    }

    /// The client waits for `100 Continue` (RFC 9110 §10.1.1).
    pub fn expects_continue(&self) -> bool {
        self.expect_continue
    }

    pub fn set_method(&mut self, method: &[u8]) -> Result<(), HeadFull> {
        self.method_bytes = self.headers.append_bytes(&[method])?;
        self.method = Method::from_bytes(method);
        Ok(())
    }

    /// `set-uri`: the whole target.
    pub fn set_target(&mut self, target: &[u8]) -> Result<(), HeadFull> {
        self.target = self.headers.append_bytes(&[target])?;
        Ok(())
    }

    /// `set-path`: replaces the path, keeps scheme, authority and query.
    pub fn set_path(&mut self, path: &[u8]) -> Result<(), HeadFull> {
        let range = uri::path_range(self.target());
        self.splice_target(range, &[path])
    }

    /// `set-pathq`: replaces path and query, keeps scheme and authority.
    pub fn set_path_and_query(&mut self, path_and_query: &[u8]) -> Result<(), HeadFull> {
        let start = uri::path_range(self.target()).0;
        let end = self.target().len();
        self.splice_target((start, end), &[path_and_query])
    }

    /// `set-query`: replaces what follows `?`; an empty query removes the `?` unless it was written.
    pub fn set_query(&mut self, query: &[u8]) -> Result<(), HeadFull> {
        let start = uri::path_range(self.target()).1;
        let end = self.target().len();
        let query = query.strip_prefix(b"?").unwrap_or(query);
        let mark: &[u8] = if query.is_empty() { b"" } else { b"?" };
        self.splice_target((start, end), &[mark, query])
    }

    /// Builds the new target from the old one's ends and `parts` between, in the same buffer.
    fn splice_target(&mut self, (start, end): (usize, usize), parts: &[&[u8]]) -> Result<(), HeadFull> {
        let old = self.target;
        let (start, end) = (start.min(old.len()) as u32, end.min(old.len()) as u32);
        let new_start = self.headers.append_bytes(&[])?.start;
        self.headers.append_within(Range { start: old.start, end: old.start + start })?;
        self.headers.append_bytes(parts)?;
        let last = self.headers.append_within(Range { start: old.start + end, end: old.end })?;
        self.target = Range { start: new_start, end: last.end };
        Ok(())
    }
}

/// A response's head.
#[derive(Debug, Clone, Default)]
pub struct ResponseHead {
    pub headers: HeaderList,
    pub(crate) status: u16,
    pub(crate) reason: Range,
    pub(crate) version: Version,
    pub(crate) framing: Framing,
    pub(crate) connection: ConnectionTokens,
}

impl ResponseHead {
    /// Makes it ready for the next response and keeps its memory.
    pub fn clear(&mut self) {
        self.headers.clear();
        self.status = 0;
        self.reason = Range::default();
        self.version = Version::HTTP_11;
        self.framing = Framing::None;
        self.connection = ConnectionTokens::default();
    }

    /// Becomes equal to another head without giving up memory.
    pub fn copy_from(&mut self, other: &ResponseHead) {
        self.headers.copy_from(&other.headers);
        self.status = other.status;
        self.reason = other.reason;
        self.version = other.version;
        self.framing = other.framing;
        self.connection = other.connection;
    }

    /// 0 before a response was received.
    pub fn status(&self) -> u16 {
        self.status
    }

    /// The reason phrase; may be empty.
    pub fn reason(&self) -> &[u8] {
        self.headers.bytes(self.reason)
    }

    pub fn version(&self) -> Version {
        self.version
    }

    /// How the body is delimited: decided once, from the response and the request's method.
    pub fn framing(&self) -> Framing {
        self.framing
    }

    /// For messages that are not parsed from HTTP/1.
    pub fn set_framing(&mut self, framing: Framing) {
        self.framing = framing;
    }

    pub fn connection(&self) -> ConnectionTokens {
        self.connection
    }

    /// Whether the server keeps the connection open; without a self-delimited body it cannot.
    pub fn wants_keep_alive(&self) -> bool {
        self.framing.is_self_delimited() && wants_keep_alive(self.version, self.connection)
    }

    /// Interim responses (1xx but 101) are followed by another head.
    pub fn is_interim(&self) -> bool {
        (100..200).contains(&self.status) && self.status != 101
    }

    /// `set-status`; without a reason the status's own one.
    pub fn set_status(&mut self, status: u16, reason: Option<&[u8]>) -> Result<(), HeadFull> {
        let reason = reason.unwrap_or_else(|| super::reply::reason(status).as_bytes());
        self.reason = self.headers.append_bytes(&[reason])?;
        self.status = status;
        Ok(())
    }

    /// Fills in a status line; used by HTTP/2 and by replies that the proxy makes itself.
    pub fn set_start_line(&mut self, version: Version, status: u16, reason: &[u8]) -> Result<(), HeadFull> {
        self.version = version;
        self.set_status(status, Some(reason))
    }
}

fn wants_keep_alive(version: Version, connection: ConnectionTokens) -> bool {
    !connection.close && (version >= Version::HTTP_11 || connection.keep_alive)
}

impl HeaderList {
    /// Copies a part of the buffer to its end.
    fn append_within(&mut self, range: Range) -> Result<Range, HeadFull> {
        self.append_bytes(&[])?;
        let start = self.buffer.len() as u32;
        if range.start <= range.end && range.end as usize <= self.buffer.len() {
            self.buffer.extend_from_within(range.start as usize..range.end as usize);
        }
        Ok(Range { start, end: self.buffer.len() as u32 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(target: &str) -> RequestHead {
        let mut head = RequestHead::default();
        head.set_start_line(b"GET", target.as_bytes(), Version::HTTP_11).unwrap();
        head
    }

    #[test]
    fn set_path_keeps_authority_and_query() {
        let mut head = request("http://h:81/a/b?x=1");
        head.set_path(b"/c").unwrap();
        assert_eq!(head.target(), b"http://h:81/c?x=1");
        head.set_query(b"y").unwrap();
        assert_eq!(head.target(), b"http://h:81/c?y");
        head.set_query(b"").unwrap();
        assert_eq!(head.target(), b"http://h:81/c");
        head.set_path_and_query(b"/d?z").unwrap();
        assert_eq!(head.target(), b"http://h:81/d?z");
    }

    #[test]
    fn clear_keeps_the_memory() {
        let mut head = request("/a-rather-long-target");
        head.headers.add(b"host", b"example.org").unwrap();
        let capacity = head.headers.buffer.capacity();
        head.clear();
        assert_eq!((head.target(), head.headers.len()), (&b""[..], 0));
        assert_eq!(head.headers.buffer.capacity(), capacity);
    }
}
