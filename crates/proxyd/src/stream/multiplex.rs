//! The HTTP/2 side of a client connection: its frames are the `h2` crate's, its requests become sessions of their own.
//!
//! ```text
//! socket ⇄ Wire (memory) ⇄ h2 ── a request's head ──▶ Session with a stream as its client connection
//! ```
//!
//! A session of a stream runs like that of an HTTP/1 connection with a single request: same rules, counters, log lines.
//! What it sends and takes goes through its [`H2Stream`]; `h2` then wakes this connection's session, which runs once at the
//! end of the turn and writes everything that came together with one system call.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::Reason;
use h2::server::{Connection as Frames, Handshake, SendResponse};

use super::fault::Fault;
use super::session::Session;
use super::state::Stream;
use crate::http::h1::ParseError;
use crate::http::h2::read_request;
use crate::model::H2Tuning;
use crate::net::{Connection, H2Stream, Owner, Wire, Woken};
use crate::proxy::{Counter, StreamKey};
use crate::runtime::Core;

/// What an HTTP/2 client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// Rounds of receiving and sending in one turn; a fast client must not keep the thread from the others.
const ROUNDS_PER_TURN: usize = 8;
/// How long a client has to finish after it was told that the proxy ends, milliseconds.
const FAREWELL_MS: u64 = 1000;
/// Streams that a client has reset before they were looked at (rapid reset, CVE-2023-44487); beyond it the connection ends.
const PENDING_RESETS_MAX: usize = 100;
/// Reset streams that are remembered, to tell late frames from errors.
const REMEMBERED_RESETS_MAX: usize = 100;
/// The largest list of fields in a request, as announced; one that our own limits refuse gets a 400.
const FIELD_LIST_BYTES_MAX: u32 = 64 * 1024;
/// Response bytes of one stream that wait for the client's window or the socket.
const SEND_BUFFER_BYTES: usize = 64 * 1024;

enum State {
    Handshake(Box<Handshake<Wire, Bytes>>),
    Open(Box<Frames<Wire, Bytes>>),
    Closed,
}

/// HTTP/2 of one client connection.
pub(super) struct Multiplexer {
    state: State,
    wire: Wire,
    waker: Waker,
    /// Sessions of its streams.
    streams: Rc<Cell<u32>>,
    /// The last moment at which the client did something or a stream ended, milliseconds.
    active_ms: u64,
    /// Since when output waits for the client.
    blocked_ms: Option<u64>,
    /// The client was told to go; when patience ends.
    farewell_ms: Option<u64>,
    requests_max: u64,
}

/// What a stream's session knows of its connection.
#[derive(Debug)]
pub(super) struct Parent {
    key: StreamKey,
    streams: Rc<Cell<u32>>,
}

impl Session {
    /// It serves one request of an HTTP/2 connection.
    pub(super) fn is_stream(&self) -> bool {
        self.parent.is_some()
    }

    /// From here on the client speaks HTTP/2; what it has sent already is in `input`.
    pub(super) fn start_http2(&mut self, core: &mut Core) {
        let tuning = &self.snapshot.global.h2_frontend;
        let wire = Wire::default();
        wire.feed(self.input.as_slice());
        core.buffers.release(&mut self.input);
        if let Some(frontend) = self.snapshot.frontend(self.frontend) {
            frontend.counters.increment(Counter::Http2Sessions);
        }
        self.multiplexer = Some(Box::new(Multiplexer {
            state: State::Handshake(Box::new(builder(tuning).handshake(wire.clone()))),
            wire,
            waker: core.woken.waker(Woken::Session(self.token())),
            streams: Rc::default(),
            active_ms: core.clock.monotonic_ms(),
            blocked_ms: None,
            farewell_ms: None,
            requests_max: tuning.total_streams_max,
        }));
    }

    /// Moves frames until there is nothing more to move; false when the connection is over.
    pub(super) fn run_http2(&mut self, core: &mut Core) -> bool {
        let Some(mut multiplexer) = self.multiplexer.take() else { return false };
        let goes_on = self.killed.is_none() && multiplexer.run(self, core);
        if goes_on {
            let deadline_ms = multiplexer.deadline_ms(self);
            self.set_deadline(core, deadline_ms);
        } else {
            multiplexer.say_goodbye(self, core);
        }
        self.multiplexer = Some(multiplexer);
        goes_on
    }

    /// The time of an idle or stuck connection is over.
    pub(super) fn http2_timed_out(&mut self, core: &Core) {
        let now_ms = core.clock.monotonic_ms();
        let Some(multiplexer) = self.multiplexer.as_mut() else { return };
        match &mut multiplexer.state {
            State::Open(frames) if multiplexer.farewell_ms.is_none() && multiplexer.blocked_ms.is_none() => {
                frames.abrupt_shutdown(Reason::NO_ERROR);
                multiplexer.farewell_ms = Some(now_ms + FAREWELL_MS);
            }
            _ => self.killed = Some(Fault::ClientTimeout),
        }
    }

    /// Tells the client that no more requests are served; those under way are finished.
    pub(super) fn end_http2(&mut self, core: &Core) {
        let Some(multiplexer) = self.multiplexer.as_mut() else { return };
        match &mut multiplexer.state {
            State::Open(frames) => {
                frames.graceful_shutdown();
                multiplexer.farewell_ms.get_or_insert(core.clock.monotonic_ms() + FAREWELL_MS);
            }
            _ => self.killed = Some(Fault::Killed),
        }
    }

    /// A session for a request that has come, without a name yet.
    fn for_request(&mut self, core: &mut Core, stream: Box<Stream>, streams: &Rc<Cell<u32>>) -> Self {
        let mut info = self.info.clone();
        info.requests_before = self.info.requests_before;
        self.info.requests_before += 1;
        streams.set(streams.get() + 1);
        Self {
            parent: Some(Parent { key: self.key(), streams: Rc::clone(streams) }),
            stream: Some(stream),
            vars: self.vars.of_same_session(),
            info,
            ..Self::blank(core, &self.snapshot, self.frontend, &self.listener)
        }
    }

    /// Gives the session of a stream its name and its client connection.
    pub fn begin_stream(&mut self, core: &mut Core, key: StreamKey, arrived: Arrived) {
        let waker = core
            .woken
            .waker(Woken::Session(crate::net::Token { slot: key.slot, generation: key.generation }));
        let stream = H2Stream::accepted(arrived.body, arrived.respond, waker);
        let mut connection = Connection::stream(arrived.socket, stream);
        connection.owner = Owner::Client(key.slot);
        self.key = key;
        match core.connections.insert(&core.poller, connection) {
            Ok(client) => self.client = client,
            Err(_) => self.killed = Some(Fault::Resource),
        }
        let Some(mut stream) = self.stream.take() else { return };
        stream.begin(self, core, Some(core.clock.monotonic_us));
        match arrived.refused {
            None => stream.has_request = true,
            Some(error) => self.refuse_stream(core, &mut stream, error.status()),
        }
        self.stream = Some(stream);
    }

    /// The stream's session ends: what was not finished is reset, and the connection learns of it.
    pub(super) fn close_stream(&mut self, core: &mut Core) {
        let Some(parent) = self.parent.take() else { return };
        if let Some(stream) = core.connections.get_mut(self.client).and_then(|client| client.h2()) {
            stream.reset(Reason::INTERNAL_ERROR);
        }
        parent.streams.set(parent.streams.get().saturating_sub(1));
        if parent.streams.get() == 0 {
            core.runnable
                .push(crate::net::Token { slot: parent.key.slot, generation: parent.key.generation });
        }
    }
}

/// What becomes the client connection of a stream's session.
pub struct Arrived {
    body: h2::RecvStream,
    respond: SendResponse<Bytes>,
    socket: Rc<std::os::fd::OwnedFd>,
    refused: Option<ParseError>,
}

/// A session that waits for the thread to give it a name.
pub struct Newborn {
    pub session: Box<Session>,
    pub arrived: Arrived,
}

fn builder(tuning: &H2Tuning) -> h2::server::Builder {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(tuning.initial_window_bytes)
        .max_concurrent_streams(tuning.concurrent_streams_max)
        .max_frame_size(tuning.frame_bytes_max)
        .header_table_size(tuning.header_table_bytes)
        .max_header_list_size(FIELD_LIST_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_concurrent_reset_streams(REMEMBERED_RESETS_MAX)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .enable_connect_protocol();
    builder
}

impl Multiplexer {
    /// False when the connection is over.
    fn run(&mut self, session: &mut Session, core: &mut Core) -> bool {
        let now_ms = core.clock.monotonic_ms();
        for _ in 0..ROUNDS_PER_TURN {
            let goes_on = self.advance(session, core);
            let mut scratch = std::mem::take(&mut core.scratch);
            let flow = self.wire.exchange(&mut core.connections, &core.poller, session.client, &mut scratch);
            core.scratch = scratch;
            self.blocked_ms = flow.blocked.then(|| self.blocked_ms.unwrap_or(now_ms));
            if flow.progress {
                self.active_ms = now_ms;
            }
            if !goes_on {
                return flow.blocked && !self.wire.is_ended();
            }
            if !flow.progress {
                return true;
            }
        }
        core.runnable.push(session.token());
        true
    }

    /// Lets `h2` work on what has come; false when it has finished.
    fn advance(&mut self, session: &mut Session, core: &mut Core) -> bool {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        if let State::Handshake(handshake) = &mut self.state {
            match Pin::new(handshake).poll(&mut context) {
                Poll::Pending => return true,
                Poll::Ready(Ok(frames)) => self.state = State::Open(Box::new(frames)),
                Poll::Ready(Err(_)) => {
                    self.state = State::Closed;
                    return false;
                }
            }
        }
        loop {
            let State::Open(frames) = &mut self.state else { return false };
            match frames.poll_accept(&mut context) {
                Poll::Pending => return true,
                Poll::Ready(Some(Ok((request, respond)))) => {
                    // Only now is there anything to receive: a client that expects nothing but settings gets nothing else.
                    if session.info.requests_before == 0 {
                        let window = session.snapshot.global.h2_frontend.connection_window_bytes();
                        frames.set_target_window_size(window);
                    }
                    self.accept(session, core, request, respond);
                    self.limit_requests(session);
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(%error, "HTTP/2 connection of a client failed");
                    self.state = State::Closed;
                    return false;
                }
                Poll::Ready(None) => {
                    self.state = State::Closed;
                    return false;
                }
            }
        }
    }

    fn accept(
        &self,
        session: &mut Session,
        core: &mut Core,
        request: http::Request<h2::RecvStream>,
        respond: SendResponse<Bytes>,
    ) {
        let (parts, body) = request.into_parts();
        let Some(socket) = core.connections.share_socket(session.client) else { return };
        let mut stream = core.take_stream();
        let limits = session.policy().request_limits;
        let refused = read_request(&mut stream.request, &parts, body.is_end_stream(), &limits).err();
        let child = Box::new(session.for_request(core, stream, &self.streams));
        core.newborn.push(Newborn { session: child, arrived: Arrived { body, respond, socket, refused } });
    }

    /// `tune.h2.fe.max-total-streams`.
    fn limit_requests(&mut self, session: &mut Session) {
        if self.requests_max > 0
            && session.info.requests_before == self.requests_max
            && let State::Open(frames) = &mut self.state
        {
            frames.graceful_shutdown();
        }
    }

    /// When to look at the connection if nothing happens: its streams have deadlines of their own.
    fn deadline_ms(&self, session: &Session) -> Option<u64> {
        let policy = session.policy();
        let after = |since_ms: u64, timeout: Option<u64>| timeout.map(|ms| since_ms.saturating_add(ms));
        if let Some(since_ms) = self.blocked_ms {
            return after(since_ms, policy.client_ms);
        }
        if self.streams.get() > 0 {
            return None;
        }
        let first = session.info.requests_before == 0;
        let idle_ms = if first { policy.request_ms } else { policy.keep_alive_ms };
        [self.farewell_ms, after(self.active_ms, idle_ms)].into_iter().flatten().min()
    }

    /// Sends what `h2` has left to say.
    fn say_goodbye(&mut self, session: &Session, core: &mut Core) {
        if session.killed.is_some()
            && let State::Open(frames) = &mut self.state
        {
            frames.abrupt_shutdown(Reason::NO_ERROR);
            let _ = frames.poll_closed(&mut Context::from_waker(Waker::noop()));
        }
        self.wire.flush(&mut core.connections, &core.poller, session.client);
    }
}
