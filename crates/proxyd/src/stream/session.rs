//! A client connection: waits for requests (`reading`), runs them one after the other, owns next to nothing between them.

use std::os::fd::{AsFd, OwnedFd};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use super::entry::Entry;
use super::fault::Fault;
use super::multiplex::{Multiplexer, Parent};
use super::reading::Reading;
use super::state::{Activity, Stream};
use super::{FrontendPolicy, Step};
use crate::expr::Vars;
use crate::model::{ProxyId, ServerId};
use crate::net::{Buffer, Connection, ConnectionKey, Owner, Token, socket};
use crate::proxy::{Counter, Frontend, Listener, Rate, Server, StreamKey};
use crate::runtime::{Core, LocalSnapshot};
use crate::services::report::Piece;
use crate::txn::{Endpoint, SessionInfo};

/// No deadline.
pub(super) const NEVER: u64 = u64::MAX;

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
    pub(super) vars: Vars,
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
    /// See [`Stream::identity`].
    pub identity: u64,
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
        let socket = Some(std::os::fd::AsRawFd::as_raw_fd(&connection.socket()));
        let client = core.connections.insert(&core.poller, connection).ok()?;
        count_accept(core, frontend, listener);
        let now_us = core.clock.monotonic_us;
        let info = SessionInfo {
            source,
            destination,
            kept: None,
            frontend: Some(frontend.id),
            socket,
            listener_index: listener.index,
            listener_id: listener.id,
            listener_name: listener.model.name.is_some().then(|| Arc::clone(&listener.name)),
            accepted_us: core.clock.wall_us,
            requests_before: 0,
            proxied: false,
            proxy_tlvs: None,
            tls: listener.model.tls,
            tls_facts: None,
            early_pending: false,
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
            vars: Vars::default(),
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
        self.info.fix_ends();
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

    /// Another thread has answered the request for an idle connection.
    pub fn idle_answered(&mut self, core: &Core) {
        if let Some(stream) = self.stream.as_mut() {
            stream.idle_answered(core);
        }
    }

    /// A piece of the answer was made; false when it is not waited for.
    pub fn rendered(&mut self, piece: Piece) -> bool {
        self.stream.as_mut().is_some_and(|stream| stream.rendered(piece))
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
