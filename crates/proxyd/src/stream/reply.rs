//! Replies of the proxy's own: errors, monitor, and (with the rules) redirects and returns.

use std::rc::Rc;

use super::Step;
use super::body::Incoming;
use super::exchange::send_or_keep;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::http::h1::{ConnectionField, EncodePlan, encode_response};
use crate::http::h2;
use crate::http::reply::{ErrorPages, StaticReply};
use crate::http::{Framing, Method, Version};
use crate::proxy::{Counter, Server};
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

impl Stream {
    /// An error page as the backend, or else the frontend, has it; the connection ends after it.
    pub(super) fn reply_for(&mut self, session: &mut Session, core: &mut Core, status: u16) -> Step {
        let snapshot = Rc::clone(&session.snapshot);
        let proxy = self.info.backend.unwrap_or(session.frontend);
        let Some(policy) = snapshot.policies.get(proxy.0 as usize) else { return Step::Again };
        self.reply_page(session, core, policy.error_pages.page(status));
        Step::Again
    }

    /// What a client gets whose request could not be read: the page as it stands, then the end.
    pub(super) fn reply_early(&mut self, core: &mut Core, pages: &ErrorPages, status: u16) {
        let bytes = pages.early(status);
        self.client_keep_alive = false;
        self.info.status = status;
        // The log counts what a stream sent; there was none yet.
        core.buffers.append(&mut self.down.pending, bytes);
        self.start_reply(core);
    }

    /// The answer to `monitor-uri`: 503 when a `monitor fail` condition holds.
    pub(super) fn reply_monitor(&mut self, session: &mut Session, core: &mut Core, failed: bool) -> Step {
        self.info.termination.set_once(Cause::Local, Phase::Request);
        if let Some(frontend) = session.snapshot.frontend(session.frontend) {
            frontend.counters.increment(Counter::Intercepted);
        }
        if failed {
            return self.reply_for(session, core, 503);
        }
        self.reply_page(session, core, crate::http::reply::builtin(200));
        Step::Again
    }

    /// `redir`: a GET or HEAD for this server is told to go there itself.
    pub(super) fn redirect_to_server(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        server: &Server,
    ) -> bool {
        let Some(prefix) = &server.model.redirect_prefix else { return false };
        if !self.has_request || !matches!(self.request.method(), Method::Get | Method::Head) {
            return false;
        }
        let mut location = prefix.clone().into_bytes();
        location.extend_from_slice(self.request.uri().path_and_query);
        self.response.clear();
        let headers = &mut self.response.headers;
        let fields: [(&[u8], &[u8]); 3] =
            [(b"cache-control", b"no-cache"), (b"content-length", b"0"), (b"location", &location)];
        let added = fields.iter().all(|(name, value)| headers.add(name, value).is_ok());
        if !added || self.response.set_start_line(Version::HTTP_11, 302, b"Found").is_err() {
            self.reply_for(session, core, 500);
            return true;
        }
        self.response.set_framing(Framing::Length(0));
        self.info.termination.set_once(Cause::Local, Phase::Connect);
        self.info.status = 302;
        self.after_response(session, core);
        self.info.status = self.response.status();
        self.queue_reply(session, core, &[]);
        true
    }

    /// Queues a complete reply.
    pub(super) fn reply_page(&mut self, session: &mut Session, core: &mut Core, page: &StaticReply) {
        if page.is_silent() {
            self.client_keep_alive = false;
            return self.start_reply(core);
        }
        let mut body = Vec::new();
        let mut head = std::mem::take(&mut self.response);
        head.clear();
        page.render(&self.context(session, core), &mut head, &mut body);
        self.response = head;
        self.info.status = page.status();
        self.after_response(session, core);
        self.info.status = self.response.status();
        self.queue_reply(session, core, &body);
    }

    /// Encodes `self.response` with this body as the reply.
    pub(super) fn queue_reply(&mut self, session: &Session, core: &mut Core, body: &[u8]) {
        let connection =
            ConnectionField::for_response(&self.response, self.request.version(), self.client_keep_alive);
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        let framing = match self.response.framing() {
            Framing::UntilClose => Framing::UntilClose,
            _ => Framing::Length(body.len() as u64),
        };
        if framing == Framing::UntilClose {
            self.client_keep_alive = false;
        }
        self.head_unsent = self.down.streams.to;
        if !self.head_unsent {
            encode_response(&self.response, &mut out, EncodePlan { connection, framing });
            if let Some(case) = session.policy().client_case.as_ref() {
                case.adjust(&mut out);
            }
        }
        let bodyless = self.is_head || matches!(self.response.status(), 100..=199 | 204 | 304);
        if !bodyless {
            out.extend_from_slice(body);
        }
        self.info.bytes_sent = super::response::counted_bytes(&self.response) + body.len() as u64;
        core.buffers.append(&mut self.down.pending, &out);
        core.out = out;
        self.start_reply(core);
    }

    pub(super) fn start_reply(&mut self, core: &mut Core) {
        self.is_local_reply = true;
        self.down.incoming = Incoming::Nothing;
        self.response_started = true;
        self.enter(Activity::Reply, core.clock.monotonic_ms());
    }

    /// Sends what is left of the reply.
    pub(super) fn send_reply(&mut self, session: &mut Session, core: &mut Core) -> Step {
        if std::mem::take(&mut self.head_unsent) && !self.send_reply_head(session, core) {
            return self.finish(session, core);
        }
        let mut pending = std::mem::take(&mut self.down.pending);
        let sent = send_or_keep(core, session.client, &mut self.down, pending.as_slice());
        core.buffers.release(&mut pending);
        if sent && !self.down.pending.is_empty() {
            return Step::Wait;
        }
        if sent && self.report.is_some() {
            return self.send_report(session, core);
        }
        self.finish(session, core)
    }

    /// The head of a reply on an HTTP/2 stream; false when that is gone.
    fn send_reply_head(&self, session: &Session, core: &mut Core) -> bool {
        let Some(stream) = core.connections.get_mut(session.client).and_then(|client| client.h2()) else {
            return false;
        };
        let length = self.down.pending.len() as u64;
        if self.report.is_some() {
            return stream.respond(h2::write_response(&self.response, Framing::Chunked), false);
        }
        let framing = match self.response.framing() {
            // To HEAD the length is that of the body that is not sent.
            _ if self.is_head || length == 0 => Framing::None,
            _ => Framing::Length(length),
        };
        stream.respond(h2::write_response(&self.response, framing), length == 0)
    }
}
