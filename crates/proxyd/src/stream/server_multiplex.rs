//! HTTP/2 connections to servers: several requests at once on one connection, shared by the sessions of a thread.
//!
//! A connection that `proto h2` forces or ALPN has agreed on is taken from the request that opened it. That request and
//! later ones get streams of it, which are connections to them. A connection belongs to one server, name and way there; it
//! takes requests until the server says GOAWAY or its limits are reached, and goes when it was idle for `pool-purge-delay`.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{Connection as Frames, SendRequest};

use super::fault::Fault;
use super::session::Session;
use super::state::Stream;
use crate::http::ResponseHead;
use crate::http::h1::Limits;
use crate::http::h2::{read_response, write_request};
use crate::model::{H2Tuning, HttpReuse};
use crate::net::h2_stream::{NoResponse, ResponseArrived};
use crate::net::{Connection, ConnectionKey, H2Stream, Owner, Token, Wire, Woken};
use crate::proxy::{Backend, Server};
use crate::runtime::Core;

/// Rounds of receiving and sending in one turn.
const ROUNDS_PER_TURN: usize = 8;
/// Request bytes of one stream that wait for the server's window or the socket.
const SEND_BUFFER_BYTES: usize = 64 * 1024;
/// The largest list of fields in a response, as announced.
const FIELD_LIST_BYTES_MAX: u32 = 64 * 1024;

/// One connection.
struct ServerConnection {
    key: ConnectionKey,
    frames: Frames<Wire, Bytes>,
    requests: SendRequest<Bytes>,
    wire: Wire,
    waker: Waker,
    pool: u32,
    /// See [`Stream::identity`].
    identity: u64,
    streams: Rc<Cell<u32>>,
    served: u32,
    idle_since_ms: u64,
    /// No more requests: it was said goodbye to, or is used up.
    is_leaving: bool,
    /// `http-reuse never`: for the request that opened it only.
    is_private: bool,
}

/// The HTTP/2 server connections of a thread.
#[derive(Default)]
pub struct ServerConnections {
    slots: Vec<Option<Box<ServerConnection>>>,
    generation: u32,
    generations: Vec<u32>,
}

impl ServerConnection {
    /// Streams that it can take now.
    fn room(&self, tuning: &H2Tuning) -> u32 {
        if self.is_leaving || self.wire.is_ended() {
            return 0;
        }
        let theirs = u32::try_from(self.requests.current_max_send_streams()).unwrap_or(u32::MAX);
        theirs.min(tuning.concurrent_streams_max).saturating_sub(self.streams.get())
    }
}

impl Core {
    /// Makes an HTTP/2 connection of one that stands; `None` when its first bytes could not be made.
    fn begin_http2_server(
        &mut self,
        key: ConnectionKey,
        pool: u32,
        identity: u64,
        is_private: bool,
    ) -> Option<Token> {
        let tuning = self.snapshot.global.h2_backend;
        let wire = Wire::default();
        let mut builder = h2::client::Builder::new();
        builder
            .initial_window_size(tuning.initial_window_bytes)
            .initial_connection_window_size(tuning.connection_window_bytes())
            .max_frame_size(tuning.frame_bytes_max)
            .header_table_size(tuning.header_table_bytes)
            .max_header_list_size(FIELD_LIST_BYTES_MAX)
            .max_send_buffer_size(SEND_BUFFER_BYTES)
            .enable_push(false);
        // Its preface goes to memory: it is ready at once.
        let handshake = std::pin::pin!(builder.handshake::<Wire, Bytes>(wire.clone()));
        let Poll::Ready(Ok((requests, frames))) = handshake.poll(&mut Context::from_waker(Waker::noop()))
        else {
            return None;
        };
        let servers = &mut self.http2_servers;
        let slot = match servers.slots.iter().position(Option::is_none) {
            Some(slot) => slot,
            None => {
                servers.slots.push(None);
                servers.generations.push(0);
                servers.slots.len() - 1
            }
        };
        servers.generation = servers.generation.wrapping_add(1);
        *servers.generations.get_mut(slot)? = servers.generation;
        let token = Token { slot: slot as u32, generation: servers.generation };
        let connection = self.connections.get_mut(key)?;
        connection.owner = Owner::Multiplexer(token.slot);
        let waker = self.woken.waker(Woken::Server(token));
        // The preface waits to be sent.
        waker.wake_by_ref();
        *servers.slots.get_mut(slot)? = Some(Box::new(ServerConnection {
            key,
            frames,
            requests,
            wire,
            waker,
            pool,
            identity,
            streams: Rc::default(),
            served: 0,
            idle_since_ms: self.clock.monotonic_ms(),
            is_leaving: false,
            is_private,
        }));
        Some(token)
    }

    /// A stream of this connection, for the session of `user`.
    fn open_http2_stream(&mut self, token: Token, user: &Session) -> Option<(ConnectionKey, u32)> {
        let server = self.http2_servers.slots.get_mut(token.slot as usize)?.as_mut()?;
        let socket = self.connections.share_socket(server.key)?;
        let parent = self.connections.get_mut(server.key)?;
        let facts = parent.tls().and_then(|tls| tls.facts().cloned());
        let waker = self.woken.waker(Woken::Session(user.token()));
        let stream = H2Stream::to_server(server.requests.clone(), Rc::clone(&server.streams), facts, waker);
        let mut connection = Connection::stream(socket, stream);
        connection.owner = Owner::Server(user.key.slot);
        let served = server.served;
        server.served += 1;
        let key = self.connections.insert(&self.poller, connection).ok()?;
        Some((key, served))
    }

    /// Moves the frames of one connection; ends it when it is over.
    pub fn run_http2_server(&mut self, slot: u32) {
        let Some(mut server) = self.http2_servers.slots.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        if server.run(self) {
            if let Some(place) = self.http2_servers.slots.get_mut(slot as usize) {
                *place = Some(server);
            }
        } else {
            let key = server.key;
            // What waits for answers is told by `h2` when this goes.
            drop(server);
            self.close(key);
        }
    }

    /// The same for a name that a waker noted.
    pub fn run_woken_http2_server(&mut self, token: Token) {
        if self.http2_servers.generations.get(token.slot as usize) == Some(&token.generation) {
            self.run_http2_server(token.slot);
        }
    }

    /// Closes connections without requests: all of one server, of all of them, or those that were idle for long.
    pub fn drop_http2_servers(&mut self, mut goes: impl FnMut(u32, u64) -> bool) {
        for slot in 0..self.http2_servers.slots.len() {
            let Some(server) = self.http2_servers.slots.get_mut(slot).and_then(Option::as_mut) else {
                continue;
            };
            let idle_since_ms = if server.streams.get() > 0 { u64::MAX } else { server.idle_since_ms };
            if goes(server.pool, idle_since_ms) {
                server.is_leaving = true;
                self.run_http2_server(slot as u32);
            }
        }
    }
}

impl ServerConnection {
    /// False when it is over.
    fn run(&mut self, core: &mut Core) -> bool {
        let waker = self.waker.clone();
        let mut context = Context::from_waker(&waker);
        for _ in 0..ROUNDS_PER_TURN {
            let over = Pin::new(&mut self.frames).poll(&mut context).is_ready();
            let mut scratch = std::mem::take(&mut core.scratch);
            let flow = self.wire.exchange(&mut core.connections, &core.poller, self.key, &mut scratch);
            core.scratch = scratch;
            if over || self.wire.is_broken() {
                return false;
            }
            if self.streams.get() > 0 {
                self.idle_since_ms = core.clock.monotonic_ms();
            } else if self.is_leaving || self.is_private && self.served > 0 {
                return flow.blocked;
            }
            if !flow.progress {
                return true;
            }
        }
        // There may be more.
        waker.wake_by_ref();
        true
    }
}

impl Stream {
    /// Whether the connection that stands speaks HTTP/2.
    pub(super) fn is_http2_server(&self, core: &Core, server: &Server) -> bool {
        if !self.has_request {
            return false;
        }
        match server.model.protocol.as_deref() {
            Some(forced) => forced == "h2",
            None => {
                let connection = self.server_connection.and_then(|key| core.connections.get(key));
                let facts = connection.and_then(Connection::tls).and_then(|tls| tls.facts());
                facts.is_some_and(|facts| facts.alpn.as_deref() == Some(b"h2"))
            }
        }
    }

    /// Gives the connection that stands up for a stream of it; false when that fails.
    pub(super) fn become_stream(
        &mut self,
        session: &Session,
        core: &mut Core,
        backend: &Backend,
        server: &Server,
    ) -> bool {
        let Some(key) = self.server_connection.take() else { return false };
        let pool = session.snapshot.pool_of(backend.id, server.id);
        let current = Rc::ptr_eq(&session.snapshot, &core.snapshot);
        let is_private = backend.model.http_reuse == HttpReuse::Never || !current;
        let Some(token) = core.begin_http2_server(key, pool, self.server_identity, is_private) else {
            core.close(key);
            return false;
        };
        match core.open_http2_stream(token, session) {
            Some((stream, _)) => {
                self.server_connection = Some(stream);
                true
            }
            None => false,
        }
    }

    /// Takes a stream of a connection that stands already, as `http-reuse` allows.
    pub(super) fn reuse_http2(
        &mut self,
        session: &Session,
        core: &mut Core,
        backend: &Backend,
        server: &Server,
    ) -> bool {
        if core.http2_servers.slots.is_empty() || !Rc::ptr_eq(&session.snapshot, &core.snapshot) {
            return false;
        }
        let first = session.info.requests_before <= 1;
        let needs_proof = match backend.model.http_reuse {
            HttpReuse::Never => return false,
            HttpReuse::Safe if first => return false,
            HttpReuse::Aggressive => first,
            HttpReuse::Safe | HttpReuse::Always => false,
        };
        let pool = session.snapshot.pool_of(backend.id, server.id);
        let identity = self.identity(session, core, backend, server);
        let tuning = core.snapshot.global.h2_backend;
        let fits = |known: &ServerConnection| {
            known.pool == pool
                && !known.is_private
                && known.identity == identity
                && (!needs_proof || known.served > 1)
                && server.model.max_reuse.is_none_or(|max| known.served <= max)
                && known.room(&tuning) > 0
        };
        let servers = &core.http2_servers;
        let found = servers.slots.iter().position(|slot| slot.as_ref().is_some_and(|known| fits(known)));
        let Some(slot) = found else { return false };
        let token =
            Token { slot: slot as u32, generation: servers.generations.get(slot).copied().unwrap_or(0) };
        match core.open_http2_stream(token, session) {
            Some((stream, served)) => {
                self.server_connection = Some(stream);
                self.server_requests = served;
                true
            }
            None => false,
        }
    }

    /// The request's head on its stream; false when the server cannot be told it.
    pub(super) fn send_request_to_stream(&self, core: &mut Core, key: ConnectionKey, tls: bool) -> bool {
        let Some(stream) = core.connections.get_mut(key).and_then(|server| server.h2()) else { return false };
        let scheme = if tls { "https" } else { "http" };
        let Some(request) = write_request(&self.request, scheme, stream.takes_protocols()) else {
            return false;
        };
        let tunnel =
            self.request.connection().upgrade || self.request.method() == crate::http::Method::Connect;
        stream.request(request, !self.request.framing().has_body() && !tunnel)
    }

    /// Looks whether the answer has come; true when its final head is on its way to the client.
    pub(super) fn read_stream_response(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        key: ConnectionKey,
        limits: &Limits,
    ) -> Result<bool, Fault> {
        loop {
            let arrived = match core.connections.get_mut(key).and_then(|server| server.h2()) {
                Some(stream) => stream.poll_response(),
                None => return Err(Fault::ServerGone),
            };
            match arrived {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(NoResponse::Refused)) => return Err(Fault::Refused),
                Poll::Ready(Err(NoResponse::Broken)) => return Err(Fault::ServerGone),
                Poll::Ready(Ok(ResponseArrived::Interim(interim))) => {
                    self.server_active_ms = core.clock.monotonic_ms();
                    let mut head = ResponseHead::default();
                    read_response(
                        &mut head,
                        interim.status(),
                        interim.headers(),
                        true,
                        &self.request,
                        limits,
                    )
                    .map_err(|_| Fault::BadResponse)?;
                    if self.request.version() >= crate::http::Version::HTTP_11
                        && !self.send_interim(session, core, &head)
                    {
                        return Err(Fault::ClientGone);
                    }
                }
                Poll::Ready(Ok(ResponseArrived::Final(parts, ended))) => {
                    self.server_active_ms = core.clock.monotonic_ms();
                    read_response(
                        &mut self.response,
                        parts.status,
                        &parts.headers,
                        ended,
                        &self.request,
                        limits,
                    )
                    .map_err(|_| Fault::BadResponse)?;
                    return self.start_response(session, core, &[]);
                }
            }
        }
    }
}
