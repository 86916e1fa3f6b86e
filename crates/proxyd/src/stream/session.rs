//! A client connection: waits for requests, runs them one after the other, owns next to nothing between them.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::entry::Entry;
use super::fault::Fault;
use super::multiplex::{Multiplexer, PREFACE, Parent};
use super::rules::Stage;
use super::state::{Activity, Stream};
use super::{FrontendPolicy, Step};
use crate::expr::Vars;
use crate::http::h1::{Parsed, parse_request};
use crate::model::{ProxyId, ServerId};
use crate::net::{Buffer, Connection, ConnectionKey, Owner, Received, Token, socket};
use crate::proxy::{Counter, Frontend, Listener, Rate, Server, StreamKey};
use crate::runtime::{Core, LocalSnapshot};
use crate::txn::{Cause, Endpoint, Phase, SessionInfo};

/// No deadline.
const NEVER: u64 = u64::MAX;

/// One client connection.
pub struct Session {
    pub(super) key: StreamKey,
    pub(super) client: ConnectionKey,
    pub(super) snapshot: Rc<LocalSnapshot>,
    pub(super) frontend: ProxyId,
    pub(super) listener: Arc<Listener>,
    pub(super) info: SessionInfo,
    /// Bytes from the client that no request has used yet.
    pub(super) input: Buffer,
    pub(super) stream: Option<Box<Stream>>,
    pub(super) vars: Box<Vars>,
    /// Requests are read; on a TCP frontend from `switch-mode` on.
    pub(super) is_http: bool,
    /// The next request is the one for which the connection became HTTP: its connection was judged already.
    pub(super) is_upgraded: bool,
    /// `switch-mode http proto h1`: the preface of HTTP/2 is a bad request.
    pub(super) http1_only: bool,
    /// With `http-reuse never` the server connection stays with the client.
    pub(super) private: Option<Private>,
    /// Where the last request went, for `option prefer-last-server`.
    pub(super) last_server: Option<(ProxyId, ServerId)>,
    pub(super) deadline_ms: u64,
    /// When the wheel will come up for this session.
    pub(super) armed_ms: u64,
    /// Accepted, or the end of the last request.
    pub(super) idle_since_us: u64,
    /// The first byte of a head that is not complete.
    pub(super) first_byte_us: Option<u64>,
    pub(super) killed: Option<Fault>,
    /// Source and destination as every request finds them, whatever rules made of them in the one before.
    pub(super) ends: (Endpoint, Endpoint),
    pub(super) entry: Entry,
    /// The connection did not get in.
    pub(super) entry_failed: bool,
    /// How long it took, for the first request's log line.
    pub(super) handshake_us: u64,
    /// The client speaks HTTP/2.
    pub(super) multiplexer: Option<Box<Multiplexer>>,
    /// This is one stream of that session.
    pub(super) parent: Option<Parent>,
    /// It is one of the process's TLS connections.
    pub(super) counts_tls: bool,
    /// The whole of a stream's body is in `input`.
    pub(super) input_ended: bool,
}

/// A server connection that only this client uses.
#[derive(Debug, Clone, Copy)]
pub(super) struct Private {
    pub key: ConnectionKey,
    pub backend: ProxyId,
    pub server: ServerId,
    pub requests: u32,
}

/// Whether counts allow another connection on the listener now.
pub fn may_accept(core: &Core, listener: &Listener) -> bool {
    core.snapshot.frontend(listener.frontend).is_some_and(|frontend| has_room(core, frontend, listener))
}

fn has_room(core: &Core, frontend: &Frontend, listener: &Listener) -> bool {
    frontend.accepts()
        && listener.maxconn.is_none_or(|max| listener.sessions.current() < max)
        && core.process.connections.current() < core.process.maxconn.load(Relaxed)
        && (!listener.model.tls || core.process.tls.has_room())
}

/// Whether the rates allow it: `rate-limit sessions`, `maxconnrate`, `maxsessrate`.
pub fn is_within_rates(core: &Core, listener: &Listener) -> bool {
    let Some(frontend) = core.snapshot.frontend(listener.frontend) else { return false };
    let process = &core.process;
    let now_ms = core.clock.monotonic_ms();
    let allows = |limit: &AtomicU32, rate: &Rate| match limit.load(Relaxed) {
        0 => true,
        limit => rate.per_second(now_ms) < limit,
    };
    allows(&frontend.session_rate_limit, &frontend.session_rate)
        && allows(&process.connection_rate_limit, &process.connection_rate)
        && allows(&process.session_rate_limit, &process.session_rate)
        && (!listener.model.tls || allows(&process.tls.rate_limit, &process.tls.rate))
}

impl Session {
    /// Takes a new connection in; `None` if that failed, and the connection is closed then.
    pub fn accept(
        core: &mut Core,
        key: StreamKey,
        listener: &Arc<Listener>,
        client: OwnedFd,
        source: Endpoint,
    ) -> Option<Self> {
        let snapshot = Rc::clone(&core.snapshot);
        let frontend = snapshot.frontend(listener.frontend)?;
        let destination = local_end(listener, &client);
        let mut connection = Connection::accepted(client);
        connection.owner = Owner::Client(key.slot);
        let client = core.connections.insert(&core.poller, connection).ok()?;
        count_accept(core, frontend, listener);
        let now_us = core.clock.monotonic_us;
        let info = SessionInfo {
            peer: source.clone(),
            local: destination.clone(),
            source,
            destination,
            frontend: Some(frontend.id),
            listener_index: listener.index,
            listener_id: listener.id,
            listener_name: listener.model.name.is_some().then(|| Arc::clone(&listener.name)),
            accepted_us: core.clock.wall_us,
            requests_before: 0,
            proxied: false,
            proxy_tlvs: None,
            tls: listener.model.tls,
            tls_facts: None,
        };
        let frontend = frontend.id;
        Some(Self {
            key,
            client,
            info,
            idle_since_us: now_us,
            entry: Entry::ConnectionRules,
            ..Self::blank(core, &snapshot, frontend, listener)
        })
    }

    /// A session without a connection.
    pub(super) fn blank(
        core: &Core,
        snapshot: &Rc<LocalSnapshot>,
        frontend: ProxyId,
        listener: &Arc<Listener>,
    ) -> Self {
        let nobody = Token { slot: u32::MAX, generation: 0 };
        Self {
            key: StreamKey { thread: core.thread, slot: u32::MAX, generation: 0 },
            client: nobody,
            frontend,
            listener: Arc::clone(listener),
            info: SessionInfo::default(),
            input: Buffer::default(),
            stream: None,
            vars: Box::default(),
            is_http: snapshot.policies.get(frontend.0 as usize).is_some_and(|policy| policy.is_http),
            is_upgraded: false,
            http1_only: false,
            private: None,
            last_server: None,
            deadline_ms: NEVER,
            armed_ms: NEVER,
            idle_since_us: core.clock.monotonic_us,
            first_byte_us: None,
            killed: None,
            ends: (Endpoint::Unknown, Endpoint::Unknown),
            entry: Entry::Open,
            entry_failed: false,
            handshake_us: 0,
            multiplexer: None,
            parent: None,
            counts_tls: false,
            input_ended: false,
            snapshot: Rc::clone(snapshot),
        }
    }

    pub fn key(&self) -> StreamKey {
        self.key
    }

    /// What the thread knows it by.
    pub(super) fn token(&self) -> Token {
        Token { slot: self.key.slot, generation: self.key.generation }
    }

    pub(super) fn policy(&self) -> &FrontendPolicy {
        // A session's frontend is in its snapshot, whose policies were made from the same list.
        &self.snapshot.policies[self.frontend.0 as usize]
    }

    /// Works until it would have to wait; false: the session is over.
    pub fn run(&mut self, core: &mut Core) -> bool {
        if self.entry != Entry::Open {
            if !self.enter(core) {
                return !self.entry_failed;
            }
            self.open(core);
        }
        if self.parent.is_some()
            && core.connections.get_mut(self.client).is_none_or(|client| client.notice_reset())
        {
            self.killed.get_or_insert(Fault::ClientGone);
        }
        loop {
            if self.multiplexer.is_some() {
                return self.run_http2(core);
            }
            let Some(mut stream) = self.stream.take() else {
                match self.read_request(core) {
                    Reading::Ready => continue,
                    Reading::Wait => {
                        self.arm(core);
                        return true;
                    }
                    Reading::Http2 => {
                        self.start_http2(core);
                        continue;
                    }
                    Reading::Over => return false,
                }
            };
            match stream.run(self, core) {
                Step::Again => self.stream = Some(stream),
                Step::Wait => {
                    self.deadline_ms = stream.deadline_ms(self);
                    self.stream = Some(stream);
                    self.arm(core);
                    return true;
                }
                Step::Upgrade => {
                    core.give_back_stream(stream);
                    self.is_http = true;
                    self.is_upgraded = true;
                    self.info.requests_before = self.info.requests_before.saturating_sub(1);
                }
                Step::Done { keep_alive } => {
                    core.give_back_stream(stream);
                    self.idle_since_us = core.clock.monotonic_us;
                    if !keep_alive || self.parent.is_some() {
                        return false;
                    }
                    if self.follow(core) {
                        // The thread's environment is still that of the other configuration.
                        core.runnable.push(Token { slot: self.key.slot, generation: self.key.generation });
                        return true;
                    }
                }
            }
        }
    }

    /// The connection has come through everything that precedes requests.
    fn open(&mut self, core: &mut Core) {
        self.deadline_ms = NEVER;
        self.ends = (self.info.source.clone(), self.info.destination.clone());
        super::access_log::log_accept(self, core);
        if !self.is_http {
            self.stream = Some(self.tcp_stream(core));
        } else if self.is_http2_from_the_start() {
            self.start_http2(core);
        } else if let Some(frontend) = self.snapshot.frontend(self.frontend) {
            frontend.counters.increment(Counter::Http1Sessions);
        }
    }

    /// By `proto`, or by what the handshake agreed on.
    fn is_http2_from_the_start(&self) -> bool {
        match self.listener.model.protocol.as_deref() {
            Some(forced) => forced == "h2",
            None => self.info.tls_facts.as_ref().is_some_and(|facts| facts.alpn.as_deref() == Some(b"h2")),
        }
    }

    /// When to look at a session that waits for its client to get in.
    pub(super) fn set_deadline(&mut self, core: &mut Core, at_ms: Option<u64>) {
        self.deadline_ms = at_ms.unwrap_or(NEVER);
        self.arm(core);
    }

    /// `option dontlognull`.
    pub(super) fn ignores_null(&self) -> bool {
        self.snapshot.frontend(self.frontend).is_some_and(|frontend| frontend.model.options.dontlognull)
    }

    /// Counts a connection that the connection rules let in.
    pub(super) fn count_session(&self, core: &Core) {
        let now_ms = core.clock.monotonic_ms();
        core.process.session_rate.tick(now_ms);
        self.listener.counters.increment(Counter::Sessions);
        let Some(frontend) = self.snapshot.frontend(self.frontend) else { return };
        frontend.session_rate.tick(now_ms);
        frontend.counters.increment(Counter::Sessions);
    }

    /// The wheel came up; true if the deadline has really passed.
    pub fn timer_fired(&mut self, core: &mut Core, now_ms: u64) -> bool {
        self.armed_ms = NEVER;
        if now_ms >= self.deadline_ms {
            self.deadline_ms = NEVER;
            match self.stream.take() {
                Some(mut stream) => {
                    stream.timed_out(self, core);
                    self.stream = Some(stream);
                }
                None if self.entry != Entry::Open => self.entry_timed_out(core),
                None if self.multiplexer.is_some() => self.http2_timed_out(core),
                None => self.request_timed_out(core),
            }
            return true;
        }
        self.arm(core);
        false
    }

    /// A queued request got its slot.
    pub fn slot_granted(&mut self, server: &Server) -> bool {
        let snapshot = &self.snapshot;
        self.stream.as_mut().is_some_and(|stream| stream.slot_granted(snapshot, server))
    }

    /// The configuration that the session is under.
    pub fn snapshot(&self) -> &Rc<LocalSnapshot> {
        &self.snapshot
    }

    /// The server is being taken away from its sessions.
    pub fn server_gone(&mut self, core: &mut Core, server: &Server) {
        core.drop_idle_of(server);
        let uses = |stream: &Stream| {
            let backend = stream.info.backend.and_then(|id| self.snapshot.backend(id));
            let used = backend.and_then(|backend| backend.server(stream.info.server?));
            used.is_some_and(|used| used.is(server))
        };
        if self.stream.as_deref().is_some_and(uses) {
            self.killed = Some(Fault::ServerDown);
        }
    }

    /// What waits in the queue of a server that is down looks for another one.
    pub fn requeue(&mut self, server: &Server) {
        if let Some(mut stream) = self.stream.take() {
            stream.requeue(self, server);
            self.stream = Some(stream);
        }
    }

    /// An idle connection is closed, a busy one after its request.
    pub fn soft_stop(&mut self, core: &mut Core) {
        if self.multiplexer.is_some() {
            return self.end_http2(core);
        }
        if self.stream.is_none() && self.input.is_empty() && self.info.requests_before > 0 {
            self.killed = Some(Fault::Killed);
        }
    }

    /// Ends the session: whatever it holds is given back.
    pub fn close(mut self: Box<Self>, core: &mut Core) {
        if let Some(mut stream) = self.stream.take() {
            stream.abandon(&self, core);
            core.give_back_stream(stream);
        }
        if let Some(private) = self.private.take() {
            core.close(private.key);
        }
        core.buffers.release(&mut self.input);
        if self.parent.is_some() {
            self.close_stream(core);
            core.close(self.client);
            return;
        }
        self.take_leave(core);
        let Some(frontend) = self.snapshot.frontend(self.frontend) else { return };
        let was_full = !has_room(core, frontend, &self.listener);
        frontend.sessions.decrement();
        self.listener.sessions.decrement();
        core.process.connections.decrement();
        if self.counts_tls {
            core.process.tls.connections.decrement();
        }
        if was_full {
            core.inboxes.broadcast(&crate::runtime::Message::ResumeAccept);
        }
    }

    /// Closes the client's connection. What it sent and nobody read would turn the end into a reset, which may overtake
    /// our last words.
    fn take_leave(&mut self, core: &mut Core) {
        let mut scratch = std::mem::take(&mut core.scratch);
        // Of a connection that was never read nobody knows yet whether there is something.
        let unread = self.first_byte_us.is_none();
        if let Some(client) = core.connections.get_mut(self.client)
            && client.is_plain()
            && (client.is_readable() || unread && !client.is_hung_up())
            && !client.is_broken()
        {
            client.receive(&mut scratch);
        }
        core.scratch = scratch;
        core.close(self.client);
    }

    fn arm(&mut self, core: &mut Core) {
        if self.deadline_ms < self.armed_ms {
            let token = self.token();
            self.armed_ms = core.wheel.insert(token, self.deadline_ms);
        }
    }

    /// Reads until there is a whole head.
    fn read_request(&mut self, core: &mut Core) -> Reading {
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
                self.stream = Some(stream);
                Parsing::Bad(error.status())
            }
        }
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

    fn set_request_deadline(&mut self) {
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
    fn request_timed_out(&mut self, core: &mut Core) {
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
    fn ignores_probes(&self) -> bool {
        self.snapshot.frontend(self.frontend).is_some_and(|f| f.model.options.http_ignore_probes)
    }

    /// The client closed before a whole request was there.
    fn client_left(&mut self, core: &mut Core) -> Reading {
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

    fn tcp_stream(&mut self, core: &mut Core) -> Box<Stream> {
        let mut stream = core.take_stream();
        let now = Some(core.clock.monotonic_us);
        stream.begin(self, core, now);
        stream.activity = Activity::Start;
        stream
    }
}

fn local_end(listener: &Listener, client: &OwnedFd) -> Endpoint {
    match listener.bound.get() {
        Some(address) if !address.ip().is_unspecified() => Endpoint::Inet(*address),
        _ => socket::local_endpoint(client.as_fd()),
    }
}

fn is_preface(request: &crate::http::RequestHead) -> bool {
    request.method_bytes() == b"PRI" && request.target() == b"*"
}

/// Counts a connection that no rule has looked at yet.
fn count_accept(core: &Core, frontend: &Frontend, listener: &Listener) {
    let process = &core.process;
    let now_ms = core.clock.monotonic_ms();
    process.connections.increment();
    process.connections_total.fetch_add(1, Relaxed);
    process.connection_rate.tick(now_ms);
    frontend.sessions.increment();
    frontend.connection_rate.tick(now_ms);
    frontend.counters.increment(Counter::Connections);
    listener.sessions.increment();
}

/// What [`Session::read_more`] found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum More {
    Came,
    Nothing,
    Closed,
}

enum Reading {
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
