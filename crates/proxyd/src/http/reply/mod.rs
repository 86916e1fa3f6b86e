//! Replies that the proxy makes itself: error pages built in or from `errorfile`, and `errorloc`.
//!
//! Replies that rules build (`return`, `deny` with arguments, `redirect`) are in [`crate::rules`]; both end up as a
//! [`ResponseHead`] and a body, so that `http-after-response` rules and the encoder treat them as any response.

mod builtin;
mod reason;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use thiserror::Error;

use super::framing::Framing;
use super::h1::{Limits, ParseError, Parsed, ResponseContext, parse_response};
use super::head::{ResponseHead, Version};
use super::headers::HeadFull;
use crate::expr::EvalCtx;
use crate::model::{DescribedBody, DescribedReply, ErrorReply};

pub use builtin::{builtin, has_page};
pub use reason::reason;

/// A complete reply that is known at load.
#[derive(Debug, Clone, Default)]
pub struct StaticReply {
    raw: Arc<[u8]>,
    head: ResponseHead,
    body: Range<usize>,
    /// What is made anew each time; the rest says nothing then but the status.
    described: Option<Arc<DescribedReply>>,
}

/// Why a file cannot be an error page; HAProxy's words, to which the caller puts the file's name in front.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ErrorFileError {
    #[error("unable to parse headers (error offset: {offset})")]
    Headers { offset: i64, source: ParseError },
    #[error("unable to parse headers (error offset: -2)")]
    Incomplete,
    #[error("payload size does not match the announced content-length ({actual} != {announced})")]
    Length { actual: u64, announced: u64 },
    #[error("chunk-encoded payload not supported")]
    Chunked,
    #[error("message payload not expected")]
    PayloadNotExpected,
    #[error("informational responses cannot be error files")]
    Informational,
    #[error("unable to add payload into the HTX message")]
    TooLarge,
}

impl StaticReply {
    /// Checks and splits an HTTP/1 message; an empty one is allowed and means "close without a word".
    pub fn parse(raw: impl Into<Arc<[u8]>>) -> Result<StaticReply, ErrorFileError> {
        Self::parse_within(raw, Limits::default().rewritten_bytes_max)
    }

    /// As [`Self::parse`], with `tune.bufsize` as the limit.
    pub fn parse_within(
        raw: impl Into<Arc<[u8]>>,
        bufsize_bytes: usize,
    ) -> Result<StaticReply, ErrorFileError> {
        let raw = raw.into();
        if raw.is_empty() {
            return Ok(StaticReply::default());
        }
        if raw.len() > bufsize_bytes {
            return Err(ErrorFileError::TooLarge);
        }
        let limits =
            Limits { head_bytes_max: bufsize_bytes, rewritten_bytes_max: bufsize_bytes, ..Limits::default() };
        let mut head = ResponseHead::default();
        let consumed = match parse_response(&mut head, &raw, ResponseContext::default(), &limits) {
            Parsed::Head { consumed } => consumed,
            Parsed::Incomplete => return Err(ErrorFileError::Incomplete),
            Parsed::Error(source) => {
                return Err(ErrorFileError::Headers { offset: error_offset(&raw, &limits), source });
            }
        };
        let body = consumed..raw.len();
        let actual = body.len() as u64;
        match head.framing() {
            _ if head.is_interim() => Err(ErrorFileError::Informational),
            Framing::Chunked => Err(ErrorFileError::Chunked),
            Framing::Length(announced) if announced != actual => {
                Err(ErrorFileError::Length { actual, announced })
            }
            Framing::None if actual > 0 => Err(ErrorFileError::PayloadNotExpected),
            _ => Ok(StaticReply { raw, head, body, described: None }),
        }
    }

    /// `errorloc302`, `errorloc303`: a redirect without a body.
    pub fn location(status: u16, url: &str) -> StaticReply {
        let reason = if status == 303 { "See Other" } else { "Found" };
        let url: String = url.chars().filter(|c| !c.is_control()).collect();
        let raw = format!(
            "HTTP/1.1 {status} {reason}\r\nCache-Control: no-cache\r\nContent-length: 0\r\nLocation: {url}\r\n\r\n"
        );
        Self::parse(raw.into_bytes()).unwrap_or_default()
    }

    /// The reply of a configured `errorfile` or `errorloc`; the file was checked at load.
    pub fn from_model(reply: &ErrorReply) -> StaticReply {
        match reply {
            ErrorReply::File { bytes, .. } => {
                Self::parse_within(Arc::clone(bytes), usize::MAX).unwrap_or_default()
            }
            ErrorReply::Location { status, url } => Self::location(*status, url),
            ErrorReply::Described(described) => StaticReply {
                described: Some(Arc::clone(described)),
                ..StaticReply::clone(builtin(described.status))
            },
        }
    }

    /// Nothing is sent, the connection is just closed (`errorfile 408 /dev/null`).
    pub fn is_silent(&self) -> bool {
        self.raw.is_empty()
    }

    pub fn status(&self) -> u16 {
        self.head.status()
    }

    /// The message as it was written.
    pub fn raw(&self) -> &[u8] {
        &self.raw
    }

    pub fn body(&self) -> &[u8] {
        self.raw.get(self.body.clone()).unwrap_or_default()
    }

    /// Copies head and body to where the transaction keeps its response.
    pub fn write_to(&self, head: &mut ResponseHead, body: &mut Vec<u8>) {
        head.copy_from(&self.head);
        body.clear();
        body.extend_from_slice(self.body());
    }

    /// As [`Self::write_to`], with the formats of `http-error`. One that does not fit gives the built-in page.
    pub fn render(&self, ctx: &EvalCtx<'_>, head: &mut ResponseHead, body: &mut Vec<u8>) {
        let is_whole = self.described.as_ref().is_none_or(|reply| describe(reply, ctx, head, body).is_err());
        if is_whole {
            self.write_to(head, body);
        }
    }
}

fn describe(
    reply: &DescribedReply,
    ctx: &EvalCtx<'_>,
    head: &mut ResponseHead,
    body: &mut Vec<u8>,
) -> Result<(), HeadFull> {
    head.clear();
    body.clear();
    head.set_start_line(Version::HTTP_11, reply.status, reason(reply.status).as_bytes())?;
    let mut text = Vec::new();
    for (name, format) in &reply.headers {
        text.clear();
        format.render(ctx, &mut text);
        if !text.is_empty() {
            head.headers.add(name.as_bytes(), &text)?;
        }
    }
    match &reply.body {
        DescribedBody::Constant(bytes) => body.extend_from_slice(bytes),
        DescribedBody::Format(format) => format.render(ctx, body),
    }
    finish(head, body, reply.content_type.as_deref().map(str::as_bytes))
}

/// Adds length and type of the body, as HAProxy orders them, and decides the framing.
pub fn finish(
    head: &mut ResponseHead,
    body: &mut Vec<u8>,
    content_type: Option<&[u8]>,
) -> Result<(), HeadFull> {
    if matches!(head.status(), 204 | 304) {
        body.clear();
        head.set_framing(Framing::None);
        return Ok(());
    }
    let length = body.len();
    head.headers.add(b"content-length", itoa::Buffer::new().format(length).as_bytes())?;
    if length > 0
        && let Some(content_type) = content_type
    {
        head.headers.add(b"content-type", content_type)?;
    }
    head.set_framing(Framing::Length(length as u64));
    Ok(())
}

/// The first byte that makes the head wrong.
fn error_offset(raw: &[u8], limits: &Limits) -> i64 {
    let wrong = |end: usize| {
        let part = raw.get(..end).unwrap_or_default();
        let mut head = ResponseHead::default();
        matches!(parse_response(&mut head, part, ResponseContext::default(), limits), Parsed::Error(_))
    };
    (1..=raw.len()).find(|&end| wrong(end)).map_or(-1, |end| end as i64 - 1)
}

/// A proxy's error pages: configured ones before built-in ones.
#[derive(Debug, Clone, Default)]
pub struct ErrorPages {
    configured: BTreeMap<u16, Arc<StaticReply>>,
}

impl ErrorPages {
    /// From [`crate::model::Proxy::error_replies`].
    pub fn new(replies: &BTreeMap<u16, ErrorReply>) -> Self {
        let configured = replies
            .iter()
            .map(|(&status, reply)| (status, Arc::new(StaticReply::from_model(reply))))
            .collect();
        Self { configured }
    }

    /// The page for an error within a stream; it goes through the encoder and the `http-after-response` rules.
    pub fn page(&self, status: u16) -> &Arc<StaticReply> {
        self.configured.get(&status).unwrap_or_else(|| builtin(status))
    }

    /// What a client gets whose request never became a stream (malformed, or not complete in time).
    ///
    /// HAProxy sends its built-in page as it is here, whatever `errorfile` says, unless the configured file is empty:
    /// then nothing. The connection is closed after it.
    pub fn early(&self, status: u16) -> &[u8] {
        match self.configured.get(&status) {
            Some(reply) if reply.is_silent() => b"",
            _ => builtin(status).raw(),
        }
    }
}

#[cfg(test)]
mod tests;
