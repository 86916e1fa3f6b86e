//! One HTTP/2 stream as the data plane sees a connection: bytes of a body in, bytes of a body out, an end.
//!
//! Flow control goes through: the peer's window opens as the bytes are taken here, and no more is given to the state
//! machine than the peer's window has room for. Heads travel as `http` types; [`crate::http::h2`] makes them.
//! What it does not do: drive the HTTP/2 connection; whoever owns that is woken by `h2` itself.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use nix::errno::Errno;

use super::connection::{Received, Sent};
use crate::txn::TlsFacts;

/// What comes from the peer.
#[derive(Debug)]
enum Incoming {
    /// Nothing was asked yet.
    Nothing,
    Head(ResponseFuture),
    Body(RecvStream),
    Over,
}

/// What goes to the peer.
#[derive(Debug)]
enum Outgoing {
    /// A request to come.
    Request(SendRequest<Bytes>),
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    /// The end was sent, or the stream was reset.
    Over,
}

/// The head of a response that came.
#[derive(Debug)]
pub enum ResponseArrived {
    Interim(Response<()>),
    /// With whether it has no body.
    Final(http::response::Parts, bool),
}

/// Why no response comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoResponse {
    /// The server has not looked at the request: it may go elsewhere (RFC 9113 §8.7).
    Refused,
    Broken,
}

/// A stream.
#[derive(Debug)]
pub struct H2Stream {
    incoming: Incoming,
    outgoing: Outgoing,
    waker: Waker,
    /// Received and not taken.
    held: Bytes,
    /// Received after the body.
    trailers: Option<HeaderMap>,
    /// What is sent next is the last of the body.
    ends_with_next: bool,
    failed: bool,
    /// Counted among the streams of its connection as long as it lives.
    place: Option<Rc<Cell<u32>>>,
    /// What the TLS handshake with the server settled.
    facts: Option<Arc<TlsFacts>>,
}

impl Drop for H2Stream {
    fn drop(&mut self) {
        if let Some(place) = &self.place {
            place.set(place.get().saturating_sub(1));
        }
    }
}

impl H2Stream {
    /// A client's stream, whose request has come.
    pub fn accepted(body: RecvStream, respond: SendResponse<Bytes>, waker: Waker) -> Self {
        Self::new(Incoming::Body(body), Outgoing::Head(respond), waker)
    }

    /// A stream to a server, for a request to come; `streams` counts those of its connection.
    pub fn to_server(
        requests: SendRequest<Bytes>,
        streams: Rc<Cell<u32>>,
        facts: Option<Arc<TlsFacts>>,
        waker: Waker,
    ) -> Self {
        streams.set(streams.get() + 1);
        let mut stream = Self::new(Incoming::Nothing, Outgoing::Request(requests), waker);
        stream.place = Some(streams);
        stream.facts = facts;
        stream
    }

    pub fn facts(&self) -> Option<&Arc<TlsFacts>> {
        self.facts.as_ref()
    }

    /// Whether the server takes extended CONNECT (RFC 8441).
    pub fn takes_protocols(&self) -> bool {
        matches!(&self.outgoing, Outgoing::Request(requests) if requests.is_extended_connect_protocol_enabled())
    }

    /// Sends a request's head; false when the connection takes none any more.
    pub fn request(&mut self, head: Request<()>, end: bool) -> bool {
        let Outgoing::Request(requests) = &mut self.outgoing else { return false };
        match requests.send_request(head, end) {
            Ok((response, body)) => {
                self.incoming = Incoming::Head(response);
                self.outgoing = if end { Outgoing::Over } else { Outgoing::Body(body) };
                true
            }
            Err(_) => {
                self.failed = true;
                false
            }
        }
    }

    fn new(incoming: Incoming, outgoing: Outgoing, waker: Waker) -> Self {
        Self {
            incoming,
            outgoing,
            waker,
            held: Bytes::new(),
            trailers: None,
            ends_with_next: false,
            failed: false,
            place: None,
            facts: None,
        }
    }

    /// Sends a final head; false when the stream is gone.
    pub fn respond(&mut self, head: Response<()>, end: bool) -> bool {
        let Outgoing::Head(respond) = &mut self.outgoing else { return false };
        match respond.send_response(head, end) {
            Ok(body) => {
                self.outgoing = if end { Outgoing::Over } else { Outgoing::Body(body) };
                true
            }
            Err(_) => {
                self.failed = true;
                false
            }
        }
    }

    /// Sends an interim head (RFC 9110 §15.2); false when the stream is gone.
    pub fn inform(&mut self, head: Response<()>) -> bool {
        match &mut self.outgoing {
            Outgoing::Head(respond) => respond.send_informational(head).is_ok(),
            _ => false,
        }
    }

    /// The next head of the response, if it has come.
    pub fn poll_response(&mut self) -> Poll<Result<ResponseArrived, NoResponse>> {
        let mut context = Context::from_waker(&self.waker);
        let Incoming::Head(response) = &mut self.incoming else {
            // The connection took no request: nobody has looked at it.
            let untouched = matches!(self.incoming, Incoming::Nothing);
            return Poll::Ready(Err(if untouched { NoResponse::Refused } else { NoResponse::Broken }));
        };
        if let Poll::Ready(Some(Ok(interim))) = response.poll_informational(&mut context) {
            return Poll::Ready(Ok(ResponseArrived::Interim(interim)));
        }
        match Pin::new(response).poll(&mut context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(Ok(response)) => {
                let (parts, body) = response.into_parts();
                let ended = body.is_end_stream();
                self.incoming = Incoming::Body(body);
                Poll::Ready(Ok(ResponseArrived::Final(parts, ended)))
            }
            Poll::Ready(Err(error)) => {
                self.incoming = Incoming::Over;
                self.failed = true;
                let refused =
                    error.reason() == Some(Reason::REFUSED_STREAM) || error.is_go_away() && error.is_remote();
                Poll::Ready(Err(if refused { NoResponse::Refused } else { NoResponse::Broken }))
            }
        }
    }

    /// Takes body bytes; the peer's window opens by as much.
    pub fn receive(&mut self, into: &mut [u8]) -> Received {
        let mut filled = 0;
        loop {
            if !self.held.is_empty() {
                let space = into.get_mut(filled..).unwrap_or_default();
                let count = self.held.len().min(space.len());
                let taken = self.held.split_to(count);
                if let Some(space) = space.get_mut(..count) {
                    space.copy_from_slice(&taken);
                }
                filled += count;
                if let Incoming::Body(body) = &mut self.incoming {
                    // More than was received cannot be released here.
                    let _ = body.flow_control().release_capacity(count);
                }
                if filled == into.len() {
                    return Received::Data(filled);
                }
            }
            match self.next() {
                Ok(true) => {}
                Ok(false) if filled > 0 => return Received::Data(filled),
                Ok(false) => return Received::WouldBlock,
                Err(_) if filled > 0 => return Received::Data(filled),
                Err(end) => return end,
            }
        }
    }

    /// Looks for the next frame; whether there is one, or how the body has ended.
    fn next(&mut self) -> Result<bool, Received> {
        if self.failed {
            return Err(Received::Failed(Errno::ECONNRESET));
        }
        let mut context = Context::from_waker(&self.waker);
        let body = match &mut self.incoming {
            Incoming::Body(body) => body,
            Incoming::Head(_) | Incoming::Nothing => return Ok(false),
            Incoming::Over => return Err(Received::End),
        };
        match body.poll_data(&mut context) {
            Poll::Pending => return Ok(false),
            Poll::Ready(Some(Ok(data))) => {
                self.held = data;
                return Ok(true);
            }
            Poll::Ready(Some(Err(_))) => {
                self.failed = true;
                return Err(Received::Failed(Errno::ECONNRESET));
            }
            Poll::Ready(None) => {}
        }
        match body.poll_trailers(&mut context) {
            Poll::Pending => Ok(false),
            Poll::Ready(Ok(trailers)) => {
                self.trailers = trailers;
                self.incoming = Incoming::Over;
                Err(Received::End)
            }
            Poll::Ready(Err(_)) => {
                self.failed = true;
                Err(Received::Failed(Errno::ECONNRESET))
            }
        }
    }

    /// What followed the body.
    pub fn take_trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// The next bytes that are sent are the body's last ones.
    pub fn end_with_next(&mut self) {
        self.ends_with_next = true;
    }

    /// Gives bytes to the state machine as far as the peer's window has room.
    pub fn send(&mut self, bytes: &[u8]) -> Sent {
        let Outgoing::Body(body) = &mut self.outgoing else {
            return if bytes.is_empty() { Sent::Bytes(0) } else { Sent::Failed(Errno::EPIPE) };
        };
        let mut context = Context::from_waker(&self.waker);
        let mut done = 0;
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            body.reserve_capacity(rest.len());
            let mut room = body.capacity();
            while room == 0 {
                match body.poll_capacity(&mut context) {
                    Poll::Pending => return Sent::Bytes(done),
                    Poll::Ready(Some(Ok(capacity))) => room = capacity,
                    Poll::Ready(Some(Err(_)) | None) => {
                        self.failed = true;
                        return Sent::Failed(Errno::EPIPE);
                    }
                }
            }
            let chunk = rest.get(..room.min(rest.len())).unwrap_or_default();
            let last = self.ends_with_next && chunk.len() == rest.len();
            if body.send_data(Bytes::copy_from_slice(chunk), last).is_err() {
                self.failed = true;
                return Sent::Failed(Errno::EPIPE);
            }
            done += chunk.len();
            if last {
                self.outgoing = Outgoing::Over;
                break;
            }
        }
        Sent::Bytes(done)
    }

    /// Nothing more is sent but these trailers.
    pub fn finish(&mut self, trailers: Option<HeaderMap>) {
        if let Outgoing::Body(body) = &mut self.outgoing {
            // A stream that is gone has ended as well.
            let _ = match trailers {
                Some(trailers) => body.send_trailers(trailers),
                None => body.send_data(Bytes::new(), true),
            };
            self.outgoing = Outgoing::Over;
        }
    }

    /// Whether the peer has reset the stream or is gone.
    pub fn is_reset(&mut self) -> bool {
        let mut context = Context::from_waker(&self.waker);
        let reset = match &mut self.outgoing {
            Outgoing::Head(respond) => respond.poll_reset(&mut context).is_ready(),
            Outgoing::Body(body) => body.poll_reset(&mut context).is_ready(),
            Outgoing::Over | Outgoing::Request(_) => false,
        };
        self.failed |= reset;
        self.failed
    }

    /// Ends a stream on which not everything was sent.
    pub fn reset(&mut self, reason: Reason) {
        match &mut self.outgoing {
            Outgoing::Head(respond) => respond.send_reset(reason),
            Outgoing::Body(body) => body.send_reset(reason),
            Outgoing::Over | Outgoing::Request(_) => return,
        }
        self.outgoing = Outgoing::Over;
    }
}
