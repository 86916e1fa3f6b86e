//! How a message's body is delimited (RFC 9112 §6.3): one typed value, decided once per message.
//!
//! The HTTP/1 parser derives it while it reads the head; HTTP/2 sets it. Nothing else derives it again, and the
//! encoder writes the headers that say the same.

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Framing {
    /// There is no body.
    #[default]
    None,
    /// Exactly this many bytes follow; may be 0 where a `Content-Length: 0` was given.
    Length(u64),
    /// Chunked transfer coding.
    Chunked,
    /// Until the sender closes; responses only.
    UntilClose,
    /// No more HTTP on the connection: after 101, or 2xx to CONNECT.
    Tunnel,
}

impl Framing {
    /// Whether the message carries body bytes or may.
    pub fn has_body(self) -> bool {
        !matches!(self, Framing::None | Framing::Length(0))
    }

    /// Whether the end of the message is known without the connection's end.
    pub fn is_self_delimited(self) -> bool {
        matches!(self, Framing::None | Framing::Length(_) | Framing::Chunked)
    }
}
