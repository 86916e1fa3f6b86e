//! Request and response on their way at the same time: the request's head and body to the server, the answer back.

use super::body::{Splicing, Transfer};
use super::fault::Fault;
use super::session::Session;
use super::state::Stream;
use super::{FrontendPolicy, Step};
use crate::http::Framing;
use crate::http::h1::{ConnectionField, EncodePlan, encode_request};
use crate::http::h2;
use crate::model::ConnectionMode;
use crate::net::{Buffer, Connection, ConnectionKey, Received, Sent, Token};
use crate::runtime::Core;

/// Reads of one direction in one turn; a fast sender must not keep the thread from the others.
const READS_PER_TURN: usize = 16;
/// The most that one splice asks for.
const SPLICE_BYTES: usize = 1 << 20;

/// How far a direction got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// All was received and sent.
    Finished,
    /// It waits for the sender's data or the receiver's room.
    Blocked,
    /// Its share of the turn is used up, there may be more.
    Paused,
    /// The sender closed too early, or broke.
    SenderGone,
    /// The receiver takes no more.
    ReceiverGone,
    /// The sender's bytes are not a valid body.
    Malformed,
}

impl Stream {
    pub(super) fn exchange(&mut self, session: &mut Session, core: &mut Core) -> Step {
        if !self.request_sent {
            self.send_request_head(session, core);
        }
        let up = self.move_up(session, core);
        match up {
            Moved::SenderGone => return self.fail(session, core, Fault::ClientGone),
            Moved::Malformed => return self.fail(session, core, Fault::BadRequestBody),
            // The server may have answered before it closed: its answer decides.
            Moved::Finished | Moved::Blocked | Moved::Paused | Moved::ReceiverGone => {}
        }
        if !self.response_started {
            match self.read_response(session, core) {
                Ok(true) => {}
                Ok(false) if up == Moved::ReceiverGone => {
                    return self.server_failed(session, core, Fault::ServerGone);
                }
                Ok(false) if up == Moved::Paused => return self.wait_unless_paused(session, core, up, up),
                Ok(false) => return self.watch_client(session, core),
                Err(fault) => return self.server_failed(session, core, fault),
            }
            if self.activity != super::state::Activity::Exchange {
                return Step::Again;
            }
        }
        let down = self.move_down(session, core);
        match down {
            Moved::SenderGone => return self.fail(session, core, Fault::ServerGone),
            Moved::Malformed => return self.fail(session, core, Fault::BadResponse),
            Moved::ReceiverGone => return self.fail(session, core, Fault::ClientGone),
            Moved::Finished if up == Moved::Finished => return self.finish(session, core),
            Moved::Finished if up == Moved::ReceiverGone => {
                self.client_keep_alive = false;
                self.server_keep_alive = false;
                return self.finish(session, core);
            }
            Moved::Finished | Moved::Blocked | Moved::Paused => {}
        }
        self.wait_unless_paused(session, core, up, down)
    }

    pub(super) fn wait_unless_paused(
        &self,
        session: &Session,
        core: &mut Core,
        up: Moved,
        down: Moved,
    ) -> Step {
        if up == Moved::Paused || down == Moved::Paused {
            let key = session.key();
            core.runnable.push(Token { slot: key.slot, generation: key.generation });
        }
        Step::Wait
    }

    /// Head and as much of the body as has arrived, in one write.
    fn send_request_head(&mut self, session: &mut Session, core: &mut Core) {
        let Some(key) = self.server_connection else { return };
        let mode = self.backend_connection_mode(session);
        let pretend = self.backend_options(session, |options| options.http_pretend_keepalive);
        let keep_alive = mode == ConnectionMode::KeepAlive || pretend;
        let connection = ConnectionField::for_request(&self.request, keep_alive);
        self.name_server(session);
        let mut out = std::mem::take(&mut core.out);
        out.clear();
        let framing = self.request.framing();
        let is_stream = core.connections.get(key).is_some_and(Connection::is_h2);
        self.up.streams.to = is_stream;
        self.down.streams.from = is_stream;
        self.up.chunked = framing == Framing::Chunked && !is_stream;
        if is_stream {
            // A head that cannot be sent is noticed when the answer is looked for.
            self.send_request_to_stream(core, key, self.info.server_tls.is_some());
        } else {
            encode_request(&self.request, &mut out, EncodePlan { connection, framing });
            if let Some(case) = self.backend_policy(session).server_case.as_ref() {
                case.adjust(&mut out);
            }
        }
        self.keep_for_retry(session);
        self.up.set_splicing(self.splicing(session, |policy| policy.splice_request));
        // What is wrong with the body shows when the rest of it is moved.
        if let Ok(used) = self.up.take(session.input.as_slice(), &mut out) {
            keep(core, &mut self.up, session.input.as_slice().get(..used).unwrap_or_default());
            session.input.consume(used);
            core.buffers.reclaim(&mut session.input);
        }
        self.request_sent = true;
        if !out.is_empty() {
            send_or_keep(core, key, &mut self.up, &out);
        }
        core.out = out;
        self.server_active_ms = core.clock.monotonic_ms();
    }

    /// `http-send-name-header`: the name of the server that gets the request, which a retry may change.
    fn name_server(&mut self, session: &Session) {
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else { return };
        let Some(header) = &backend.model.send_name_header else { return };
        let Some(server) = self.info.server.and_then(|id| backend.server(id)) else { return };
        // A head without room for it goes out without it, as it does without any other added line.
        let _ = self.request.headers.set(header.as_bytes(), server.name().as_bytes());
    }

    /// The backend's, or before there is one the frontend's.
    pub(super) fn backend_policy<'s>(&self, session: &'s Session) -> &'s FrontendPolicy {
        let policies = &session.snapshot.policies;
        self.info.backend.and_then(|id| policies.get(id.0 as usize)).unwrap_or(session.policy())
    }

    /// What frontend and backend say about splicing one direction.
    pub(super) fn splicing(&self, session: &Session, of: impl Fn(&FrontendPolicy) -> Splicing) -> Splicing {
        match (of(session.policy()), of(self.backend_policy(session))) {
            (Splicing::On, _) | (_, Splicing::On) => Splicing::On,
            (Splicing::Ready, _) | (_, Splicing::Ready) => Splicing::Ready,
            (Splicing::Off, Splicing::Off) => Splicing::Off,
        }
    }

    fn backend_connection_mode(&self, session: &Session) -> ConnectionMode {
        let of = |id: crate::model::ProxyId| {
            session.snapshot.proxies.get(id.0 as usize).map(|p| p.connection_mode)
        };
        let frontend = of(session.frontend).unwrap_or_default();
        let backend = self.info.backend.and_then(of).unwrap_or_default();
        // `httpclose` of either side wins, then `http-server-close` of either.
        match (frontend, backend) {
            (ConnectionMode::Close, _) | (_, ConnectionMode::Close) => ConnectionMode::Close,
            (ConnectionMode::ServerClose, _) | (_, ConnectionMode::ServerClose) => {
                ConnectionMode::ServerClose
            }
            _ => ConnectionMode::KeepAlive,
        }
    }

    /// Whether the server connection may live on as far as our own configuration goes.
    pub(super) fn server_may_stay(&self, session: &Session) -> bool {
        self.backend_connection_mode(session) == ConnectionMode::KeepAlive
    }

    fn backend_options(&self, session: &Session, ask: impl Fn(&crate::model::ProxyOptions) -> bool) -> bool {
        let backend = self.info.backend.and_then(|id| session.snapshot.proxies.get(id.0 as usize));
        backend.is_some_and(|proxy| ask(&proxy.options))
    }

    fn move_up(&mut self, session: &mut Session, core: &mut Core) -> Moved {
        let Some(server) = self.server_connection else {
            let over = self.response_started && self.up.is_done();
            return if over { Moved::Finished } else { Moved::ReceiverGone };
        };
        let before = self.up.bytes;
        let moved = forward(core, &mut self.up, &mut session.input, session.client, server);
        if self.up.bytes != before {
            self.note_moved_up(session, core.clock.monotonic_ms());
        }
        moved
    }

    fn move_down(&mut self, session: &mut Session, core: &mut Core) -> Moved {
        let Some(server) = self.server_connection else {
            return send_rest(core, &mut self.down, session.client).unwrap_or(Moved::SenderGone);
        };
        let before = self.down.bytes;
        let moved = forward(core, &mut self.down, &mut self.server_input, server, session.client);
        if self.down.bytes != before {
            self.note_moved_down(session, core.clock.monotonic_ms());
        }
        moved
    }

    /// Bytes of the client went to the server: both sides have shown life, unless the server's timeouts are independent.
    pub(super) fn note_moved_up(&mut self, session: &Session, now_ms: u64) {
        self.client_active_ms = now_ms;
        if !self.backend_policy(session).independent_streams {
            self.server_active_ms = now_ms;
        }
    }

    /// The same in the other direction.
    pub(super) fn note_moved_down(&mut self, session: &Session, now_ms: u64) {
        self.server_active_ms = now_ms;
        if !session.policy().independent_streams {
            self.client_active_ms = now_ms;
        }
    }

    /// While nothing is expected of the client: has it gone?
    pub(super) fn watch_client(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let Some(client) = core.connections.get(session.client) else {
            return self.fail(session, core, Fault::ClientGone);
        };
        let abort_on_close = self.backend_options(session, |options| options.abortonclose);
        if abort_on_close && (client.is_hung_up() || client.is_broken()) {
            return self.fail(session, core, Fault::ClientGone);
        }
        Step::Wait
    }

    /// The framing in which the request goes out is the one in which it came in.
    pub(super) fn request_framing(&self) -> Framing {
        self.request.framing()
    }
}

/// Sends `bytes`, keeping what does not go in the transfer's buffer; false when the receiver is gone.
pub(super) fn send_or_keep(
    core: &mut Core,
    to: ConnectionKey,
    transfer: &mut Transfer,
    bytes: &[u8],
) -> bool {
    if !transfer.pending.is_empty() {
        core.buffers.append(&mut transfer.pending, bytes);
        return true;
    }
    announce_end(core, transfer, to);
    match core.connections.send(&core.poller, to, bytes) {
        Sent::Bytes(count) => {
            core.buffers.append(&mut transfer.pending, bytes.get(count..).unwrap_or_default());
            true
        }
        Sent::Failed(_) => false,
    }
}

/// A stream whose last bytes are sent next can end with them.
fn announce_end(core: &mut Core, transfer: &Transfer, to: ConnectionKey) {
    if transfer.streams.to
        && transfer.is_received()
        && transfer.trailers.is_empty()
        && let Some(stream) = core.connections.get_mut(to).and_then(|receiver| receiver.h2())
    {
        stream.end_with_next();
    }
}

/// Everything has gone to the receiver: a stream is told so, with what follows the body.
pub(super) fn end_stream(core: &mut Core, transfer: &Transfer, to: ConnectionKey) {
    if transfer.streams.to
        && let Some(stream) = core.connections.get_mut(to).and_then(|receiver| receiver.h2())
    {
        stream.finish(h2::trailer_fields(&transfer.trailers));
    }
}

/// Sends what was received before; `None` when there is more to receive.
fn send_rest(core: &mut Core, transfer: &mut Transfer, to: ConnectionKey) -> Option<Moved> {
    if !flush(core, transfer, to) {
        return Some(Moved::ReceiverGone);
    }
    if transfer.has_unsent() {
        return Some(Moved::Blocked);
    }
    if !transfer.is_received() {
        return None;
    }
    end_stream(core, transfer, to);
    Some(Moved::Finished)
}

/// Moves a body from `from` to `to` as far as it goes. `input` holds bytes that were received before.
pub(super) fn forward(
    core: &mut Core,
    transfer: &mut Transfer,
    input: &mut Buffer,
    from: ConnectionKey,
    to: ConnectionKey,
) -> Moved {
    for _ in 0..READS_PER_TURN {
        if let Some(moved) = send_rest(core, transfer, to) {
            return moved;
        }
        if input.is_empty() && transfer.may_splice() {
            match splice(core, transfer, from, to) {
                Spliced::Moved => continue,
                Spliced::Ended(moved) => return moved,
                Spliced::Unable => transfer.splicing = Splicing::Off,
            }
        }
        if !input.is_empty() {
            let held = std::mem::take(input);
            let (used, moved) = pass_on(core, transfer, held.as_slice(), to);
            *input = held;
            input.consume(used);
            core.buffers.reclaim(input);
            match moved {
                None if used == 0 => {}
                None => continue,
                Some(moved) => return moved,
            }
        }
        match receive_and_pass_on(core, transfer, input, from, to) {
            None => {}
            Some(moved) => return moved,
        }
    }
    Moved::Paused
}

enum Spliced {
    /// A piece is in the pipe.
    Moved,
    Ended(Moved),
    /// Bytes have to be copied.
    Unable,
}

fn splice(core: &mut Core, transfer: &mut Transfer, from: ConnectionKey, to: ConnectionKey) -> Spliced {
    if !core.connections.get(to).is_some_and(Connection::is_plain) {
        return Spliced::Unable;
    }
    let most_bytes = transfer.splice_share(SPLICE_BYTES);
    let received = match core.connections.get_mut(from) {
        Some(sender) if !sender.is_plain() => return Spliced::Unable,
        Some(sender) if !sender.is_readable() => Received::WouldBlock,
        Some(sender) => {
            let Some(mut pipe) = core.pipes.take() else { return Spliced::Unable };
            let received = sender.splice_in(&mut pipe, most_bytes);
            transfer.pipe = Some(pipe);
            let Some(received) = received else { return Spliced::Unable };
            received
        }
        None => Received::End,
    };
    if let Received::Data(count) = received {
        transfer.advance_spliced(count, &mut core.buffers);
        transfer.note_piece(count);
        return Spliced::Moved;
    }
    transfer.give_back_pipe(&mut core.pipes);
    Spliced::Ended(match received {
        Received::Failed(_) => Moved::SenderGone,
        Received::End => end_of_sender(core, transfer, from, to),
        Received::Data(_) | Received::WouldBlock => Moved::Blocked,
    })
}

fn receive_and_pass_on(
    core: &mut Core,
    transfer: &mut Transfer,
    input: &mut Buffer,
    from: ConnectionKey,
    to: ConnectionKey,
) -> Option<Moved> {
    let mut scratch = std::mem::take(&mut core.scratch);
    let received = match core.connections.get_mut(from) {
        Some(sender) if sender.is_readable() => {
            let most = transfer.receive_bytes().min(scratch.len());
            sender.receive(scratch.get_mut(..most).unwrap_or_default())
        }
        Some(_) => Received::WouldBlock,
        None => Received::End,
    };
    let moved = match received {
        Received::Data(count) => {
            let bytes = scratch.get(..count).unwrap_or_default();
            transfer.note_piece(count);
            if input.is_empty() {
                let (used, moved) = pass_on(core, transfer, bytes, to);
                core.buffers.append(input, bytes.get(used..).unwrap_or_default());
                transfer.note_passed();
                moved
            } else {
                // A chunk header that came in pieces.
                core.buffers.append(input, bytes);
                None
            }
        }
        Received::WouldBlock => Some(Moved::Blocked),
        Received::Failed(_) => Some(Moved::SenderGone),
        Received::End => Some(end_of_sender(core, transfer, from, to)),
    };
    core.scratch = scratch;
    moved
}

fn end_of_sender(core: &mut Core, transfer: &mut Transfer, from: ConnectionKey, to: ConnectionKey) -> Moved {
    let trailers = core.connections.get_mut(from).and_then(|sender| sender.h2()?.take_trailers());
    let trailers = trailers.map(|fields| h2::trailer_lines(&fields)).unwrap_or_default();
    let mut out = std::mem::take(&mut core.out);
    out.clear();
    let complete = transfer.sender_closed(&trailers, &mut out);
    let sent = out.is_empty() || send_or_keep(core, to, transfer, &out);
    core.out = out;
    match (complete, sent) {
        (false, _) => Moved::SenderGone,
        (true, false) => Moved::ReceiverGone,
        (true, true) if transfer.is_done() => {
            end_stream(core, transfer, to);
            Moved::Finished
        }
        (true, true) => Moved::Blocked,
    }
}

/// Body bytes out to the receiver; gives how many were used, and why it ends if it does.
fn pass_on(
    core: &mut Core,
    transfer: &mut Transfer,
    bytes: &[u8],
    to: ConnectionKey,
) -> (usize, Option<Moved>) {
    if transfer.is_plain() {
        let share = transfer.plain_share(bytes.len());
        let plain = bytes.get(..share).unwrap_or_default();
        keep(core, transfer, plain);
        transfer.advance_plain(share);
        let sent = send_or_keep(core, to, transfer, plain);
        return (share, (!sent).then_some(Moved::ReceiverGone));
    }
    let mut out = std::mem::take(&mut core.out);
    out.clear();
    let taken = transfer.take(bytes, &mut out);
    keep(core, transfer, bytes.get(..taken.unwrap_or(0)).unwrap_or_default());
    let sent = out.is_empty() || send_or_keep(core, to, transfer, &out);
    core.out = out;
    match taken {
        Err(_) => (0, Some(Moved::Malformed)),
        Ok(used) => (used, (!sent).then_some(Moved::ReceiverGone)),
    }
}

/// For a request that may have to be sent once more.
fn keep(core: &mut Core, transfer: &mut Transfer, bytes: &[u8]) {
    if transfer.kept.is_some() {
        let most_bytes = core.snapshot.global.bufsize_bytes;
        transfer.keep(&mut core.buffers, bytes, most_bytes);
    }
}

/// Sends what waits; false when the receiver is gone.
fn flush(core: &mut Core, transfer: &mut Transfer, to: ConnectionKey) -> bool {
    while !transfer.pending.is_empty() {
        if core.connections.get(to).is_none_or(|receiver| !receiver.is_writable()) {
            return core.connections.get(to).is_some();
        }
        announce_end(core, transfer, to);
        match core.connections.send(&core.poller, to, transfer.pending.as_slice()) {
            Sent::Bytes(0) => return true,
            Sent::Bytes(count) => transfer.pending.consume(count),
            Sent::Failed(_) => return false,
        }
    }
    core.buffers.reclaim(&mut transfer.pending);
    flush_pipe(core, transfer, to)
}

fn flush_pipe(core: &mut Core, transfer: &mut Transfer, to: ConnectionKey) -> bool {
    let Some(mut pipe) = transfer.pipe.take() else { return true };
    let mut alive = true;
    while alive && pipe.held_bytes() > 0 {
        if core.connections.get(to).is_none_or(|receiver| !receiver.is_writable()) {
            alive = core.connections.get(to).is_some();
            break;
        }
        alive = !matches!(core.connections.splice_out(&core.poller, to, &mut pipe), Sent::Failed(_));
    }
    if pipe.held_bytes() > 0 {
        transfer.pipe = Some(pipe);
    } else {
        core.pipes.give_back(pipe);
    }
    alive
}
