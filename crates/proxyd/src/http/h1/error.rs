//! Why a message head or chunk is refused.

use thiserror::Error;

/// Reasons in the words of the log; `at` offsets are given by the parser's caller in error captures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ParseError {
    #[error("invalid character in the start line")]
    StartLine,
    #[error("invalid HTTP version")]
    Version,
    #[error("invalid status code")]
    Status,
    #[error("invalid character in a header name")]
    HeaderName,
    #[error("invalid character in a header value")]
    HeaderValue,
    #[error("header line does not end with a line feed")]
    LineEnd,
    #[error("invalid or conflicting Content-Length")]
    ContentLength,
    #[error("invalid Transfer-Encoding")]
    TransferEncoding,
    #[error("Transfer-Encoding that is not implemented")]
    TransferEncodingUnsupported,
    #[error("conflicting Host headers or authority")]
    Host,
    #[error("invalid Upgrade or Connection header")]
    Upgrade,
    #[error("a payload where HTTP/1.0 gives it no meaning")]
    UnexpectedPayload,
    #[error("too many header fields")]
    TooManyHeaders,
    #[error("message head is larger than the buffer")]
    TooLarge,
    #[error("invalid chunk size")]
    ChunkSize,
    #[error("invalid chunk line or end")]
    ChunkLine,
}

impl ParseError {
    /// Where reading stopped, in the words and numbers of `show errors`.
    pub fn state(self, is_response: bool) -> &'static str {
        match self {
            ParseError::StartLine | ParseError::Version if !is_response => "MSG_RQURI(4)",
            ParseError::HeaderName => "MSG_HDR_NAME(17)",
            ParseError::HeaderValue => "MSG_HDR_VAL",
            ParseError::LineEnd => "MSG_HDR_L2_LF",
            ParseError::StartLine | ParseError::Version | ParseError::Status => "MSG_RPVER",
            _ => "MSG_LAST_LF",
        }
    }

    /// The status of the reply when a request is refused; a refused response is always answered with 502.
    pub fn status(self) -> u16 {
        match self {
            ParseError::TransferEncodingUnsupported => 422,
            ParseError::UnexpectedPayload => 413,
            _ => 400,
        }
    }
}
