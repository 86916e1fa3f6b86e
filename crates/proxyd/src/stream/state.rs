//! The state of one request while it is worked on: taken from a per-thread pool, given back when it is over.

use super::body::Transfer;
use super::report::Rendering;
use super::rules::Stage;
use crate::http::{RequestHead, ResponseHead};
use crate::model::{ProxyId, ServerId};
use crate::net::{Buffer, BufferPool, ConnectionKey};
use crate::proxy::Ticket;
use crate::rules::{Effects, Progress, Reply};
use crate::txn::StreamInfo;

/// What the request is waiting for or doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Activity {
    /// Rules and the choice of a backend come next.
    #[default]
    Start,
    /// Choose a server and take a slot.
    Assign,
    /// Rules wait for more of the request.
    Inspect,
    /// The client is held for `timeout tarpit`.
    Tarpit,
    /// In a queue.
    Queue,
    /// Pause before the same server is tried again.
    Pause,
    /// Open or reuse a connection.
    Connect,
    /// Waiting for an idle connection of another thread.
    Borrow,
    /// Waiting for the connection to stand.
    Connecting,
    /// Request and response on their way.
    Exchange,
    /// A reply of our own is being sent.
    Reply,
    /// Bytes both ways, no more HTTP.
    Relay,
}

/// A queue the request stands in.
#[derive(Debug, Clone, Copy)]
pub struct Waiting {
    pub ticket: Ticket,
    /// `None`: the backend's queue.
    pub server: Option<ServerId>,
}

/// The state of one request.
#[derive(Debug, Default)]
pub struct Stream {
    pub request: RequestHead,
    pub response: ResponseHead,
    pub info: StreamInfo,
    pub activity: Activity,
    /// There is an HTTP request (not a TCP relay, not a request that could not be read).
    pub has_request: bool,
    /// The client sent `HEAD`, whatever rules made of the method: it gets no body.
    pub is_head: bool,
    /// The client closed before its request was complete, while something waited for the rest.
    pub is_cut: bool,
    /// Enough of the body has come for the rule that waits for it.
    pub body_wait_over: bool,
    /// The response's head was read; a rule waits for its body in `server_input`.
    pub response_held: bool,
    /// `http-response` rules of the backend are done.
    pub backend_has_judged: bool,
    pub server_connection: Option<ConnectionKey>,
    /// Requests that the server connection served before this one.
    pub server_requests: u32,
    /// What the server connection must have in common with another request to serve it.
    pub server_identity: u64,
    /// How often other threads were asked for an idle connection.
    pub idle_asked: u32,
    /// The server connection is this client's only: it authenticated on it (NTLM).
    pub is_private: bool,
    /// A slot of `info.server` is held.
    pub holds_slot: bool,
    /// The backend's session count includes this request.
    pub counted_in_backend: bool,
    pub waiting: Option<Waiting>,
    pub retries_left: u32,
    /// Rule evaluation: where it stands, what rules built and asked for.
    pub stage: Stage,
    pub progress: Progress,
    pub reply: Reply,
    pub effects: Effects,
    /// Rules have waited long enough.
    pub wait_expired: bool,
    /// How long they may wait.
    pub wait_ms: Option<u64>,
    pub rules_started: bool,
    /// It is over; whether the client connection goes on.
    pub done: Option<bool>,
    /// The server of the last failed attempt.
    pub avoid: Option<ServerId>,
    /// The server came from persistence or `use-server`.
    pub is_persistent: bool,
    /// The cookie has led to the server; it is not to be looked at; the dates of its first and last use, seconds.
    pub cookie_bound: bool,
    pub cookie_ignored: bool,
    pub cookie_first_s: Option<u64>,
    pub cookie_last_s: Option<u64>,
    /// Client to server, server to client.
    pub up: Transfer,
    pub down: Transfer,
    /// Bytes from the server that were not used yet: an incomplete head, or a body that cannot go out.
    pub server_input: Buffer,
    /// The request's head was sent, or is in `up.pending`.
    pub request_sent: bool,
    /// The response's head was received and sent, or is in `down.pending`.
    pub response_started: bool,
    /// The client connection may serve another request after this one.
    pub client_keep_alive: bool,
    pub server_keep_alive: bool,
    /// The client, or server, has finished sending (relay).
    pub client_closed: bool,
    pub server_closed: bool,
    /// FIN was sent to the client, or server (relay).
    pub client_shut: bool,
    pub server_shut: bool,
    /// `tcp-response content` has let the response through.
    pub response_inspected: bool,
    /// When the wait of these rules ends, milliseconds.
    pub response_wait_end_ms: Option<u64>,
    /// Moments of the last transfer on each side, milliseconds.
    pub client_active_ms: u64,
    pub server_active_ms: u64,
    /// When the current activity began, milliseconds.
    pub activity_since_ms: u64,
    pub backend_entered: Option<ProxyId>,
    /// Its log line is written (`option logasap`).
    pub is_logged: bool,
    /// The head of a reply to an HTTP/2 client was not sent yet.
    pub head_unsent: bool,
    /// The reply's body is made in pieces.
    pub report: Option<Rendering>,
    /// The reply was made by the proxy.
    pub is_local_reply: bool,
}

impl Stream {
    /// As good as new; heads and buffers keep or return their memory.
    pub fn reset(&mut self, pool: &mut BufferPool) {
        self.request.clear();
        self.response.clear();
        self.info.reset();
        self.up.reset(pool);
        self.down.reset(pool);
        pool.release(&mut self.server_input);
        let request = std::mem::take(&mut self.request);
        let response = std::mem::take(&mut self.response);
        let info = std::mem::take(&mut self.info);
        let mut reply = std::mem::take(&mut self.reply);
        reply.clear();
        let mut effects = std::mem::take(&mut self.effects);
        effects.clear();
        *self = Self { request, response, info, reply, effects, ..Self::default() };
    }

    /// Changes the activity and notes when.
    pub fn enter(&mut self, activity: Activity, now_ms: u64) {
        self.activity = activity;
        self.activity_since_ms = now_ms;
    }
}
