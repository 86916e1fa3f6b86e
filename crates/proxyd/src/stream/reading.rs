//! How a session reads its requests: from bytes to a head, or to what is said to a client that sent none.

use std::rc::Rc;

use super::fault::Fault;
use super::multiplex::PREFACE;
use super::rules::Stage;
use super::session::{NEVER, Session};
use super::state::Stream;
use crate::http::h1::{ParseError, Parsed, parse_request};
use crate::net::{Buffer, Received};
use crate::proxy::Counter;
use crate::proxy::captures::{Capture, Party, first_wrong};
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

/// What [`Session::read_more`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Came,
    Nothing,
    Closed,
}

/// What came of waiting for a request.
pub(super) enum Reading {
    /// A stream is there.
    Ready,
    /// The client speaks HTTP/2.
    Http2,
    Wait,
    Over,
}

enum Parsing {
    Incomplete,
    Http2,
    Head {
        consumed: usize,
    },
    /// With the status that the client gets.
    Bad(u16),
}

impl Session {
    /// Reads until there is a whole head.
    pub(super) fn read_request(&mut self, core: &mut Core) -> Reading {
        if self.killed.is_some() {
            return Reading::Over;
        }
        if core.stopping
            && self.info.requests_before > 0
            && self.first_byte_us.is_none()
            && self.input.is_empty()
        {
            return Reading::Over;
        }
        if !self.input.is_empty() && self.first_byte_us.is_none() {
            // The next request came along with the last one.
            self.first_byte_us = Some(core.clock.monotonic_us);
            let held = std::mem::take(&mut self.input);
            let reading = self.parse(core, held.as_slice(), true);
            let mut held = self.keep_rest(core, held, &reading);
            core.buffers.release(&mut held);
            if !matches!(reading, Parsing::Incomplete) {
                return self.after_parse(core, reading);
            }
        }
        loop {
            let mut scratch = std::mem::take(&mut core.scratch);
            let received = match core.connections.get_mut(self.client) {
                Some(client) if client.is_readable() => client.receive(&mut scratch),
                Some(_) => Received::WouldBlock,
                None => Received::End,
            };
            let outcome = match received {
                Received::Data(count) => Some(self.take_in(core, scratch.get(..count).unwrap_or_default())),
                _ => None,
            };
            core.scratch = scratch;
            match (received, outcome) {
                (_, Some(Parsing::Incomplete)) => {}
                (_, Some(parsing)) => return self.after_parse(core, parsing),
                (Received::WouldBlock, _) => {
                    self.set_request_deadline();
                    return Reading::Wait;
                }
                (Received::Failed(_), _) => return self.client_left(core),
                (Received::End | Received::Data(_), None) => return self.client_left(core),
            }
        }
    }

    /// New bytes of a head.
    fn take_in(&mut self, core: &mut Core, bytes: &[u8]) -> Parsing {
        if self.first_byte_us.is_none() {
            self.first_byte_us = Some(core.clock.monotonic_us);
        }
        if self.input.is_empty() {
            let parsing = self.parse(core, bytes, true);
            let rest = match parsing {
                Parsing::Head { consumed } => bytes.get(consumed..).unwrap_or_default(),
                Parsing::Incomplete | Parsing::Http2 => bytes,
                Parsing::Bad(_) => &[],
            };
            core.buffers.append(&mut self.input, rest);
            return parsing;
        }
        let has_line_end = memchr::memchr(b'\n', bytes).is_some();
        core.buffers.append(&mut self.input, bytes);
        let held = std::mem::take(&mut self.input);
        let parsing = self.parse(core, held.as_slice(), has_line_end);
        let mut held = self.keep_rest(core, held, &parsing);
        core.buffers.release(&mut held);
        parsing
    }

    /// Puts back what the head did not use; gives an empty buffer to release otherwise.
    fn keep_rest(&mut self, core: &mut Core, mut held: Buffer, parsing: &Parsing) -> Buffer {
        match parsing {
            Parsing::Head { consumed } => held.consume(*consumed),
            Parsing::Incomplete | Parsing::Http2 => {}
            Parsing::Bad(_) => return held,
        }
        core.buffers.reclaim(&mut held);
        self.input = held;
        Buffer::default()
    }

    fn parse(&mut self, core: &mut Core, bytes: &[u8], worth_it: bool) -> Parsing {
        if self.info.requests_before == 0 && bytes.first() == Some(&b'P') && self.may_become_http2() {
            let length = bytes.len().min(PREFACE.len());
            if bytes.len() >= PREFACE.len() && bytes.starts_with(PREFACE) {
                return Parsing::Http2;
            }
            // The first four bytes are those of no method in use.
            if length > 3 && bytes.get(..length) == PREFACE.get(..length) {
                return Parsing::Incomplete;
            }
        }
        let limits = self.policy().request_limits;
        if !worth_it && bytes.len() <= limits.head_bytes_max {
            return Parsing::Incomplete;
        }
        let mut stream = core.take_stream();
        match parse_request(&mut stream.request, bytes, &limits) {
            Parsed::Head { consumed } => {
                self.stream = Some(stream);
                Parsing::Head { consumed }
            }
            Parsed::Incomplete => {
                core.give_back_stream(stream);
                Parsing::Incomplete
            }
            Parsed::Error(error) => {
                self.keep_bad_request(core, bytes, error);
                self.stream = Some(stream);
                Parsing::Bad(error.status())
            }
        }
    }

    /// Keeps a request that cannot be read for `show errors`.
    fn keep_bad_request(&self, core: &mut Core, bytes: &[u8], error: ParseError) {
        let Some(frontend) = self.snapshot.frontend(self.frontend) else { return };
        let limits = self.policy().request_limits;
        let mut probe = core.take_stream();
        let position = first_wrong(bytes.len(), |length| {
            let beginning = bytes.get(..length).unwrap_or(bytes);
            matches!(parse_request(&mut probe.request, beginning, &limits), Parsed::Error(_))
        });
        core.give_back_stream(probe);
        let party = Party { name: frontend.name().to_owned(), number: frontend.model.numeric_id };
        let (now_us, source) = (core.clock.wall_us, self.info.source.clone());
        let buffer = self.snapshot.global.bufsize_bytes;
        let capture = Capture::new(now_us, party, None, source, bytes, position, error.state(false), buffer);
        core.process.captures.lock().add(capture);
    }

    /// HTTP/2 may begin without having been agreed on (RFC 9113 §3.3).
    fn may_become_http2(&self) -> bool {
        let frontend = self.snapshot.frontend(self.frontend);
        !self.http1_only
            && self.listener.model.protocol.is_none()
            && frontend.is_some_and(|frontend| !frontend.model.options.disable_h2_upgrade)
    }

    fn after_parse(&mut self, core: &mut Core, parsing: Parsing) -> Reading {
        if matches!(parsing, Parsing::Http2) {
            return Reading::Http2;
        }
        let Some(mut stream) = self.stream.take() else { return Reading::Over };
        let first_byte_us = self.first_byte_us.take();
        stream.begin(self, core, first_byte_us);
        if std::mem::take(&mut self.is_upgraded) {
            stream.stage = Stage::FrontendBody;
        }
        match parsing {
            Parsing::Head { .. } if self.body_is_bad(&stream) => {
                self.refuse(core, &mut stream, Cause::Proxy, 400)
            }
            // The start of HTTP/2 where that is not spoken.
            Parsing::Head { .. } if is_preface(&stream.request) => {
                self.refuse(core, &mut stream, Cause::Proxy, 405);
            }
            Parsing::Head { .. } => stream.has_request = true,
            Parsing::Bad(status) => {
                self.refuse(core, &mut stream, Cause::Proxy, status);
            }
            Parsing::Incomplete | Parsing::Http2 => {}
        }
        self.stream = Some(stream);
        Reading::Ready
    }

    /// What came of a chunked body along with the head is looked at before anything is done for the request.
    fn body_is_bad(&self, stream: &Stream) -> bool {
        let framing = stream.request.framing();
        if framing != crate::http::Framing::Chunked || self.input.is_empty() {
            return false;
        }
        let mut probe = super::body::Transfer::default();
        probe.start(framing, false, self.policy().request_limits);
        probe.take(self.input.as_slice(), &mut Vec::new()).is_err()
    }

    pub(super) fn set_request_deadline(&mut self) {
        let policy = self.policy();
        let (since_us, timeout_ms) = match self.first_byte_us {
            Some(first) => {
                (if self.info.requests_before == 0 { self.idle_since_us } else { first }, policy.request_ms)
            }
            None if self.info.requests_before == 0 => (self.idle_since_us, policy.request_ms),
            None => (self.idle_since_us, policy.keep_alive_ms),
        };
        self.deadline_ms = timeout_ms.map_or(NEVER, |ms| since_us / 1000 + ms);
    }

    /// No whole request in time: 408, or a silent end where no request was begun.
    pub(super) fn request_timed_out(&mut self, core: &mut Core) {
        if self.first_byte_us.is_none() && self.info.requests_before > 0 {
            self.killed = Some(Fault::ClientTimeout);
            return;
        }
        let mut stream = core.take_stream();
        let is_null = self.first_byte_us.is_none();
        if is_null && self.ignores_probes() {
            self.killed = Some(Fault::ClientTimeout);
            return;
        }
        let first_byte_us = self.first_byte_us.take();
        stream.begin(self, core, first_byte_us);
        if is_null && self.ignores_null() {
            stream.info.log_level = Some(super::access_log::SILENT);
        }
        self.refuse(core, &mut stream, Cause::ClientTimeout, 408);
        self.stream = Some(stream);
    }

    /// `option http-ignore-probes`: a connection on which nothing came is no error.
    pub(super) fn ignores_probes(&self) -> bool {
        self.snapshot.frontend(self.frontend).is_some_and(|f| f.model.options.http_ignore_probes)
    }

    /// The client closed before a whole request was there.
    pub(super) fn client_left(&mut self, core: &mut Core) -> Reading {
        let nothing_came = self.first_byte_us.is_none();
        if nothing_came && self.info.requests_before > 0 {
            return Reading::Over;
        }
        let Some(frontend) = self.snapshot.frontend(self.frontend) else { return Reading::Over };
        if nothing_came && (frontend.model.options.dontlognull || self.ignores_probes()) {
            return Reading::Over;
        }
        let mut stream = core.take_stream();
        let first_byte_us = self.first_byte_us.take();
        stream.begin(self, core, first_byte_us);
        self.refuse(core, &mut stream, Cause::ClientAbort, 400);
        self.stream = Some(stream);
        Reading::Ready
    }

    /// A request of an HTTP/2 stream that must not be forwarded.
    pub(super) fn refuse_stream(&mut self, core: &mut Core, stream: &mut Stream, status: u16) {
        stream.info.termination.set_once(Cause::Proxy, Phase::Request);
        stream.info.request_line.clear();
        stream.info.request_line.extend_from_slice(b"<BADREQ>");
        if let Some(frontend) = self.snapshot.frontend(self.frontend) {
            frontend.counters.increment(Counter::FailedRequests);
        }
        let snapshot = Rc::clone(&self.snapshot);
        stream.reply_page(self, core, snapshot.policies[self.frontend.0 as usize].error_pages.page(status));
    }

    /// A request that could not be read is answered with an error and ends the connection.
    fn refuse(&mut self, core: &mut Core, stream: &mut Stream, cause: Cause, status: u16) {
        stream.info.termination.set_once(cause, Phase::Request);
        stream.info.request_line.clear();
        stream.info.request_line.extend_from_slice(b"<BADREQ>");
        stream.client_keep_alive = false;
        if let Some(frontend) = self.snapshot.frontend(self.frontend) {
            frontend.counters.increment(Counter::FailedRequests);
        }
        core.buffers.release(&mut self.input);
        let snapshot = Rc::clone(&self.snapshot);
        stream.reply_early(core, &snapshot.policies[self.frontend.0 as usize].error_pages, status);
    }

    /// Reads what has come into `input`, up to a buffer's worth.
    pub(super) fn read_more(&mut self, core: &mut Core) -> More {
        let limit = self.snapshot.global.bufsize_bytes;
        let mut came = false;
        while self.input.len() < limit {
            let mut scratch = std::mem::take(&mut core.scratch);
            let received = match core.connections.get_mut(self.client) {
                Some(client) if client.is_readable() => client.receive(&mut scratch),
                Some(_) => Received::WouldBlock,
                None => Received::End,
            };
            if let Received::Data(count) = received {
                core.buffers.append(&mut self.input, scratch.get(..count).unwrap_or_default());
            }
            core.scratch = scratch;
            match received {
                Received::Data(_) => came = true,
                Received::WouldBlock => break,
                Received::End if self.parent.is_some() => {
                    self.input_ended = true;
                    return More::Closed;
                }
                Received::End | Received::Failed(_) => return More::Closed,
            }
        }
        if came { More::Came } else { More::Nothing }
    }
}

fn is_preface(request: &crate::http::RequestHead) -> bool {
    request.method_bytes() == b"PRI" && request.target() == b"*"
}
