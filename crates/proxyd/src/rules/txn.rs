//! The transaction as rules see it: everything an expression can read, and what actions may change.

use std::time::Duration;

use crate::expr::{Direction, Environment, EvalCtx, LogFormat, Now, Payload, Vars};
use crate::http::headers::HeaderList;
use crate::http::reply::ErrorPages;
use crate::http::{RequestHead, ResponseHead};
use crate::txn::{SessionInfo, StreamInfo};

/// A reply that a rule built, for [`super::Verdict::Deny`], `Return` and `Tarpit`. Reused between transactions.
#[derive(Debug, Clone, Default)]
pub struct Reply {
    pub head: ResponseHead,
    pub body: Vec<u8>,
    /// Nothing is sent (an empty errorfile).
    pub is_silent: bool,
}

impl Reply {
    pub fn clear(&mut self) {
        self.head.clear();
        self.body.clear();
        self.is_silent = false;
    }
}

/// Buffers that actions render into; one per connection, so that nothing is allocated per request.
#[derive(Debug, Clone, Default)]
pub struct Scratch {
    text: Vec<u8>,
    second: Vec<u8>,
}

/// What actions ask of the data plane apart from the verdict. Cleared per transaction.
#[derive(Debug, Clone, Default)]
pub struct Effects {
    /// `set-timeout client|server|tunnel`.
    pub client_timeout: Option<Duration>,
    pub server_timeout: Option<Duration>,
    pub tunnel_timeout: Option<Duration>,
    /// `set-retries`.
    pub retries: Option<u32>,
    /// `set-priority-class`: lower goes first, -2047..=2047.
    pub priority_class: i16,
    /// `set-priority-offset` in milliseconds, -524287..=524287.
    pub priority_offset_ms: i32,
    /// `set-fc-mark` and `set-fc-tos`, older names `set-mark` and `set-tos`.
    pub client_mark: Option<u32>,
    pub client_tos: Option<u8>,
    /// `set-bc-mark` and `set-bc-tos`.
    pub server_mark: Option<u32>,
    pub server_tos: Option<u8>,
    pub disable_l7_retry: bool,
    /// `switch-mode http proto h1`.
    pub http1_only: bool,
    /// `early-hint`: fields of a 103 response that is sent before the rules' verdict is carried out.
    pub early_hints: HeaderList,
    /// `do-log profile`.
    pub log_profile: Option<std::sync::Arc<str>>,
    /// `expect-proxy layer4`: a PROXY header comes first.
    pub expect_proxy: bool,
    /// `silent-drop rst-ttl`.
    pub reset_ttl: Option<u8>,
    /// `strict-mode off` for the rest of the set.
    pub lenient: bool,
}

impl Effects {
    /// Makes it ready for the next transaction and keeps memory.
    pub fn clear(&mut self) {
        let mut early_hints = std::mem::take(&mut self.early_hints);
        early_hints.clear();
        *self = Effects { early_hints, ..Effects::default() };
    }
}

/// One evaluation's view; made by the data plane from what the connection owns.
pub struct Txn<'a> {
    pub session: &'a mut SessionInfo,
    /// `None` in `tcp-request connection` and `session` rules.
    pub stream: Option<&'a mut StreamInfo>,
    pub request: Option<&'a mut RequestHead>,
    /// The response that the rules are about; in `http-after-response` it may be the proxy's own.
    pub response: Option<&'a mut ResponseHead>,
    pub request_payload: Payload<'a>,
    pub response_payload: Payload<'a>,
    pub vars: &'a Vars,
    pub env: &'a dyn Environment,
    pub now: Now,
    pub direction: Direction,
    /// No more data is waited for: always in HTTP rules, in TCP content rules after `inspect-delay`, with a full
    /// buffer or a closed peer.
    pub is_final: bool,
    /// The time of a [`super::Verdict::WaitForBody`] is over, or its buffer full.
    pub wait_expired: bool,
    /// Error pages of the proxy whose rules run.
    pub pages: &'a ErrorPages,
    pub reply: &'a mut Reply,
    pub effects: &'a mut Effects,
    pub scratch: &'a mut Scratch,
}

impl Txn<'_> {
    /// What expressions read.
    pub fn ctx(&self) -> EvalCtx<'_> {
        EvalCtx {
            session: self.session,
            stream: self.stream.as_deref(),
            request: self.request.as_deref(),
            response: self.response.as_deref(),
            request_payload: self.request_payload,
            response_payload: self.response_payload,
            vars: Some(self.vars),
            env: self.env,
            now: self.now,
            direction: self.direction,
            is_final: self.is_final,
            log_origin: "",
        }
    }

    /// The headers that the rule is about.
    pub fn headers_mut(&mut self) -> Option<&mut HeaderList> {
        match self.direction {
            Direction::Request => self.request.as_deref_mut().map(|head| &mut head.headers),
            Direction::Response => self.response.as_deref_mut().map(|head| &mut head.headers),
        }
    }

    /// Renders a format into a reused buffer and hands both to `use_text`.
    pub fn with_text<R>(&mut self, format: &LogFormat, use_text: impl FnOnce(&mut Self, &[u8]) -> R) -> R {
        let mut text = std::mem::take(&mut self.scratch.text);
        text.clear();
        format.render(&self.ctx(), &mut text);
        let result = use_text(self, &text);
        self.scratch.text = text;
        result
    }

    /// Lends a second reused buffer, empty, for what is made of a rendered text.
    pub fn with_buffer<R>(&mut self, use_buffer: impl FnOnce(&mut Self, &mut Vec<u8>) -> R) -> R {
        let mut buffer = std::mem::take(&mut self.scratch.second);
        buffer.clear();
        let result = use_buffer(self, &mut buffer);
        self.scratch.second = buffer;
        result
    }

    /// The verdict after a change of a message that may not have fitted.
    pub fn rewritten(&self, result: Result<(), crate::http::HeadFull>) -> super::Verdict {
        match result {
            Err(_) if !self.effects.lenient => super::Verdict::Failed,
            _ => super::Verdict::Continue,
        }
    }

    /// Puts the proxy's error page of this status into the reply.
    pub fn reply_page(&mut self, status: u16) {
        let page = self.pages.page(status);
        let mut reply = std::mem::take(self.reply);
        page.render(&self.ctx(), &mut reply.head, &mut reply.body);
        reply.is_silent = page.is_silent();
        *self.reply = reply;
    }
}
