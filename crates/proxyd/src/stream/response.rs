//! The server's answer: its head, interim answers, and how it goes to the client.

use super::exchange::send_or_keep;
use super::fault::Fault;
use super::session::Session;
use super::state::Stream;
use crate::http::cacheability::cacheability;
use crate::http::h1::{
    ConnectionField, EncodePlan, Limits, ParseError, Parsed, ResponseContext, encode_response, parse_response,
};
use crate::http::h2;
use crate::http::headers::HeaderList;
use crate::http::{Framing, RequestHead, ResponseHead, Version};
use crate::model::{Global, LogStep};
use crate::net::Received;
use crate::proxy::captures::{Capture, Party, first_wrong};
use crate::rules::Verdict;
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

impl Stream {
    /// Reads until there is a whole final head, which is then on its way to the client; false: it must wait.
    pub(super) fn read_response(&mut self, session: &mut Session, core: &mut Core) -> Result<bool, Fault> {
        if self.response_held {
            return self.resume_response(session, core);
        }
        loop {
            if !self.server_input.is_empty() && self.parse_held(session, core)? {
                return Ok(true);
            }
            let Some(key) = self.server_connection else { return Err(Fault::ServerGone) };
            if self.down.streams.from {
                let limits = self.response_limits(session);
                return self.read_stream_response(session, core, key, &limits);
            }
            let mut scratch = std::mem::take(&mut core.scratch);
            let received = match core.connections.get_mut(key) {
                Some(server) if server.is_readable() => server.receive(&mut scratch),
                Some(_) => Received::WouldBlock,
                None => Received::End,
            };
            let outcome = match received {
                Received::Data(count) => {
                    let bytes = scratch.get(..count).unwrap_or_default();
                    self.server_active_ms = core.clock.monotonic_ms();
                    if self.server_input.is_empty() {
                        self.parse_bytes(session, core, bytes)
                    } else {
                        core.buffers.append(&mut self.server_input, bytes);
                        Ok(false)
                    }
                }
                Received::WouldBlock => {
                    core.scratch = scratch;
                    return Ok(false);
                }
                Received::End | Received::Failed(_) => Err(Fault::ServerGone),
            };
            core.scratch = scratch;
            if outcome? {
                return Ok(true);
            }
            if self.response_held {
                return self.resume_response(session, core);
            }
        }
    }

    /// Bytes kept from before, with what was added since.
    fn parse_held(&mut self, session: &mut Session, core: &mut Core) -> Result<bool, Fault> {
        let mut held = std::mem::take(&mut self.server_input);
        let outcome = self.parse_bytes(session, core, held.as_slice());
        core.buffers.release(&mut held);
        outcome
    }

    /// Parses heads from `bytes` until a final one; what is left over is kept in `server_input`.
    fn parse_bytes(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        mut bytes: &[u8],
    ) -> Result<bool, Fault> {
        let limits = self.response_limits(session);
        loop {
            if bytes.is_empty() {
                return Ok(false);
            }
            match parse_response(&mut self.response, bytes, ResponseContext::of(&self.request), &limits) {
                Parsed::Incomplete => {
                    core.buffers.append(&mut self.server_input, bytes);
                    return Ok(false);
                }
                Parsed::Error(error) => {
                    self.keep_bad_response(session, core, bytes, error);
                    return Err(Fault::BadResponse);
                }
                Parsed::Head { consumed } => {
                    bytes = bytes.get(consumed..).unwrap_or_default();
                    if !self.response.is_interim() {
                        return self.start_response(session, core, bytes);
                    }
                    self.forward_interim(session, core)?;
                }
            }
        }
    }

    /// 1xx answers go to clients that know them (RFC 9110 §15.2).
    fn forward_interim(&mut self, session: &mut Session, core: &mut Core) -> Result<(), Fault> {
        if self.request.version() < Version::HTTP_11 {
            return Ok(());
        }
        let sent = self.send_interim(session, core, &self.response.clone());
        if sent { Ok(()) } else { Err(Fault::ClientGone) }
    }

    /// An interim head to the client; false when that is gone.
    pub(super) fn send_interim(&mut self, session: &Session, core: &mut Core, head: &ResponseHead) -> bool {
        if let Some(stream) = core.connections.get_mut(session.client).and_then(|client| client.h2()) {
            // A stream that is gone is noticed when it is read.
            stream.inform(h2::write_response(head, Framing::None));
            return true;
        }
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        encode_response(head, &mut out, EncodePlan::default());
        let sent = send_or_keep(core, session.client, &mut self.down, &out);
        core.out = out;
        sent
    }

    /// The final head has come; false while rules wait for its body.
    pub(super) fn start_response(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        rest: &[u8],
    ) -> Result<bool, Fault> {
        self.info.timing.response_head_us = Some(core.clock.monotonic_us);
        self.info.status = self.response.status();
        self.observed(session, core, hacore::health::Observation::of_status(self.info.status));
        if let Some(connected_us) = self.info.timing.connect_done_us {
            self.observed_latency(session, core.clock.monotonic_us.saturating_sub(connected_us));
        }
        if self.is_retryable(session, self.info.status) {
            return Err(Fault::RetryableStatus(self.info.status));
        }
        self.decide_server_keep_alive(session);
        self.capture_response(session);
        self.info.bytes_sent = counted_bytes(&self.response);
        self.note_private(session);
        match self.response_content_rules(session, core) {
            Verdict::Continue | Verdict::Allow | Verdict::Wait => {}
            _ => {
                // Nothing of the answer is passed on, so that it has neither status nor time.
                self.info.timing.response_head_us = None;
                (self.info.status, self.info.bytes_sent) = (0, 0);
                self.info.termination.set_once(Cause::Proxy, Phase::Data);
                return Err(Fault::Denied);
            }
        }
        let limits = self.response_limits(session);
        self.down.start(self.response.framing(), false, limits);
        if !rest.is_empty() {
            limit_rewriting(&mut self.response.headers, rest.len(), &session.snapshot.global);
        }
        self.judge_response(session, core, rest)
    }

    /// Rules about the response, and then out with it; false while they wait for its body.
    fn judge_response(&mut self, session: &mut Session, core: &mut Core, rest: &[u8]) -> Result<bool, Fault> {
        match self.response_rules(session, core) {
            Verdict::Continue | Verdict::Allow => {}
            Verdict::WaitForBody { timeout, at_least_bytes } => {
                let wait_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
                let end_ms = core.clock.monotonic_ms().saturating_add(wait_ms);
                self.response_wait_end_ms.get_or_insert(end_ms);
                self.response_held = true;
                // The server has seen that its answer is on its way: no second attempt.
                self.up.kept = None;
                self.body_wait_over = self.has_enough_body(session, rest, at_least_bytes);
                core.buffers.append(&mut self.server_input, rest);
                return Ok(false);
            }
            verdict => {
                self.replace_response(session, core, verdict);
                return Ok(true);
            }
        }
        if !self.bind_client(session, core)? {
            return Ok(true);
        }
        self.send_response(session, core, rest)?;
        Ok(true)
    }

    /// The rules are done: the cookie that binds the client to the server, and `option checkcache`. False: another
    /// answer goes out.
    fn bind_client(&mut self, session: &mut Session, core: &mut Core) -> Result<bool, Fault> {
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else {
            return Ok(true);
        };
        let wants = backend.model.options.checkcache || backend.model.cookie.is_some();
        if !wants {
            return Ok(true);
        }
        let checks = backend.model.options.checkcache && self.response.headers.contains(b"set-cookie");
        let may = cacheability(self.request.method(), self.response.status(), &self.response.headers);
        if self.set_cookie(session, core, may.response).is_err() {
            return Err(Fault::BadResponse);
        }
        if checks && may.response && may.cookies {
            super::access_log::log_blocked_cookie(self, session, core);
            self.count_denied_response(session);
            self.replace_response(session, core, Verdict::Reject);
            return Ok(false);
        }
        Ok(true)
    }

    /// A client that authenticates its connection (NTLM) must not share it, nor its server connection.
    fn note_private(&mut self, session: &Session) {
        let _ = session;
        let asks = matches!(self.response.status(), 401 | 407)
            && [b"www-authenticate".as_slice(), b"proxy-authenticate"].iter().any(|name| {
                self.response.headers.find_all(name).any(|value| {
                    let scheme = value.get(..4).unwrap_or_default();
                    scheme.eq_ignore_ascii_case(b"nego") || scheme.eq_ignore_ascii_case(b"ntlm")
                })
            });
        self.is_private |= asks;
    }

    /// Of the response's body `rest` is there: is that what the rule waits for, or all that the buffer holds?
    fn has_enough_body(&self, session: &Session, rest: &[u8], at_least_bytes: u64) -> bool {
        let whole = match self.down.announced() {
            Some(bytes) => rest.len() as u64 >= bytes,
            None if self.response.framing() == Framing::Chunked => {
                let mut probe = super::body::Transfer::default();
                probe.start(Framing::Chunked, false, self.response_limits(session));
                probe.take(rest, &mut Vec::new()).is_err() || probe.is_received()
            }
            None => self.server_closed,
        };
        whole
            || self.server_closed
            || at_least_bytes > 0 && rest.len() as u64 >= at_least_bytes
            || rest.len() >= session.snapshot.global.bufsize_bytes
    }

    /// More of the body that a rule waits for may have come.
    fn resume_response(&mut self, session: &mut Session, core: &mut Core) -> Result<bool, Fault> {
        loop {
            if !self.body_wait_over {
                let before = self.server_input.len();
                self.read_response_start(session, core);
                if self.server_input.len() == before && !self.server_closed {
                    return Ok(false);
                }
            }
            match self.response_rules(session, core) {
                Verdict::Continue | Verdict::Allow => break,
                Verdict::WaitForBody { at_least_bytes, .. } => {
                    let held = self.server_input.as_slice();
                    self.body_wait_over = self.has_enough_body(session, held, at_least_bytes);
                }
                verdict => {
                    self.replace_response(session, core, verdict);
                    return Ok(true);
                }
            }
        }
        self.response_held = false;
        self.response_wait_end_ms = None;
        if !self.bind_client(session, core)? {
            return Ok(true);
        }
        let mut held = std::mem::take(&mut self.server_input);
        let sent = self.send_response(session, core, held.as_slice());
        core.buffers.release(&mut held);
        sent.map(|()| true)
    }

    /// The head, and as much of the body as came with it, in one write.
    fn send_response(&mut self, session: &mut Session, core: &mut Core, rest: &[u8]) -> Result<(), Fault> {
        self.after_response(session, core);
        self.info.status = self.response.status();
        self.log_step(session, core, LogStep::Response);
        self.log_early(session, core);
        let bodyless = self.is_head && self.response.framing() != Framing::Tunnel;
        let framing = if bodyless { Framing::None } else { self.client_framing() };
        let connection = self.client_connection_field(core, framing);
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        let responded = match core.connections.get_mut(session.client).and_then(|client| client.h2()) {
            Some(stream) => stream.respond(h2::write_response(&self.response, framing), !framing.has_body()),
            None => {
                encode_response(&self.response, &mut out, EncodePlan { connection, framing });
                if let Some(case) = session.policy().client_case.as_ref() {
                    case.adjust(&mut out);
                }
                true
            }
        };
        let limits = self.response_limits(session);
        self.down.start(self.response.framing(), framing == Framing::Chunked, limits);
        self.down.discard = bodyless;
        self.down.set_splicing(self.splicing(session, |policy| policy.splice_response));
        let taken = self.down.take(rest, &mut out);
        if taken.as_ref().is_ok_and(|used| *used == rest.len()) {
            self.settle_before_last_bytes(session, core);
        }
        let sent = responded && (out.is_empty() || send_or_keep(core, session.client, &mut self.down, &out));
        core.out = out;
        self.client_active_ms = core.clock.monotonic_ms();
        self.response_started = true;
        let used = taken.map_err(|_| Fault::BadResponse)?;
        let left = rest.get(used..).unwrap_or_default();
        core.buffers.append(&mut self.server_input, left);
        if self.response.framing() == Framing::Tunnel {
            self.start_tunnel(session, core);
        }
        if sent { Ok(()) } else { Err(Fault::ClientGone) }
    }

    /// A rule wants another answer than the server's, whose connection is given up.
    fn replace_response(&mut self, session: &mut Session, core: &mut Core, verdict: Verdict) {
        if let Some(key) = self.server_connection.take() {
            core.close(key);
        }
        self.server_keep_alive = false;
        if verdict == Verdict::Deny {
            self.info.timing.response_head_us = None;
        }
        match verdict {
            Verdict::Deny | Verdict::Return => {
                let cause = if verdict == Verdict::Deny { Cause::Proxy } else { Cause::Local };
                self.info.termination.set_once(cause, Phase::Headers);
                self.send_rule_reply(session, core);
            }
            other => {
                if other == Verdict::SilentDrop {
                    session.drop_silently(core, self.effects.reset_ttl);
                }
                self.info.termination.set_once(Cause::Proxy, Phase::Headers);
                self.keep_alive_only_if_received();
                // A rewrite that failed is an error of our own.
                self.reply_for(session, core, if other == Verdict::Failed { 500 } else { 502 });
            }
        }
    }

    /// Keeps a response that cannot be read for `show errors`.
    fn keep_bad_response(&mut self, session: &Session, core: &mut Core, bytes: &[u8], error: ParseError) {
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else { return };
        let limits = self.response_limits(session);
        let position = first_wrong(bytes.len(), |length| {
            let beginning = bytes.get(..length).unwrap_or(bytes);
            let parsed =
                parse_response(&mut self.response, beginning, ResponseContext::of(&self.request), &limits);
            matches!(parsed, Parsed::Error(_))
        });
        let party = |name: &str, number| Party { name: name.to_owned(), number };
        let server = self.info.server.and_then(|id| backend.server(id));
        let server = server.map(|server| party(server.name(), server.model.numeric_id));
        let frontend = session.snapshot.frontend(session.frontend);
        let frontend = frontend.map_or(party("", 0), |front| party(front.name(), front.model.numeric_id));
        let origin = Some((party(backend.name(), backend.model.numeric_id), server));
        let (now_us, source) = (core.clock.wall_us, session.info.source.clone());
        let buffer = session.snapshot.global.bufsize_bytes;
        let capture =
            Capture::new(now_us, frontend, origin, source, bytes, position, error.state(true), buffer);
        core.process.captures.lock().add(capture);
    }

    pub(super) fn response_limits(&self, session: &Session) -> Limits {
        let policy = self.info.backend.and_then(|id| session.snapshot.policies.get(id.0 as usize));
        policy.unwrap_or(session.policy()).response_limits
    }

    fn decide_server_keep_alive(&mut self, session: &Session) {
        let said = self.response.connection();
        let persistent =
            if self.response.version() >= Version::HTTP_11 { !said.close } else { said.keep_alive };
        self.server_keep_alive =
            persistent && self.response.framing().is_self_delimited() && self.server_may_stay(session);
    }

    /// How the client gets the body.
    fn client_framing(&self) -> Framing {
        match self.response.framing() {
            Framing::Chunked if self.request.version() < Version::HTTP_11 => Framing::UntilClose,
            framing => framing,
        }
    }

    fn client_connection_field(&mut self, core: &Core, framing: Framing) -> ConnectionField {
        if framing == Framing::Tunnel {
            self.client_keep_alive = false;
            return ConnectionField::None;
        }
        if framing == Framing::UntilClose || core.stopping {
            self.client_keep_alive = false;
        }
        ConnectionField::for_response(&self.response, self.request.version(), self.client_keep_alive)
    }
}

/// A response head's bytes as HAProxy's `%B` and `bout` count them: of its internal form, not of the wire.
///
/// Observed on 2.6: 20 for the start line, its three words, names and values, 1 for the end of the head.
pub(super) fn counted_bytes(head: &ResponseHead) -> u64 {
    const VERSION_AND_STATUS: usize = 8 + 3;
    (START_LINE + VERSION_AND_STATUS + head.reason().len() + field_bytes(&head.headers) + 1) as u64
}

/// The same of a request, for `%U` and `bin`.
pub(super) fn counted_request_bytes(head: &RequestHead) -> u64 {
    const VERSION: usize = 8;
    let line = VERSION + head.method_bytes().len() + head.target().len();
    (START_LINE + line + field_bytes(&head.headers) + 1) as u64
}

/// The room that a body in the buffer leaves for a head's changes (configuration manual, "tune.maxrewrite").
pub(super) fn limit_rewriting(headers: &mut HeaderList, body_bytes: usize, global: &Global) {
    let left = global.bufsize_bytes.saturating_sub(body_bytes);
    headers.lower_limit(left.max(headers.live_bytes() + global.maxrewrite_bytes));
}

const START_LINE: usize = 20;

/// Names and values without `": "` and line ends.
fn field_bytes(headers: &HeaderList) -> usize {
    const LINE_OVERHEAD: usize = 4;
    headers.live_bytes().saturating_sub(LINE_OVERHEAD * headers.len())
}
