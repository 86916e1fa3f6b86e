//! The request's body before a server is chosen: `option http-buffer-request`, `wait-for-body`, and what rules see of it.

use super::Step;
use super::body::Transfer;
use super::rules::Flow;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::http::{Framing, ResponseHead, Version};
use crate::model::ProxyId;
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

impl Stream {
    /// `option http-buffer-request` of this proxy: waits for the body within `timeout http-request`.
    pub(super) fn buffer_request(&mut self, session: &mut Session, core: &mut Core, of: ProxyId) -> Flow {
        let wanted =
            session.snapshot.proxies.get(of.0 as usize).is_some_and(|p| p.options.http_buffer_request);
        if !wanted || !self.has_request || self.is_cut {
            return Flow::Next;
        }
        if self.has_whole_body(session) {
            self.limit_rewriting(session);
            return Flow::Next;
        }
        if self.wait_expired {
            return self.body_is_late(session, core);
        }
        self.allow_body(session, core);
        self.wait_ms = session.policy().request_ms;
        if self.activity != Activity::Inspect {
            self.enter(Activity::Inspect, core.clock.monotonic_ms());
        }
        // Some of it may be there already: `inspect` reads before it waits.
        Flow::Stop(self.inspect_once(session, core))
    }

    /// The time for the body is over, or the client has gone: that is seen where the request would go to a server.
    pub(super) fn body_is_late(&mut self, session: &mut Session, core: &mut Core) -> Flow {
        if core.connections.get(session.client).is_none_or(|client| client.is_hung_up()) {
            self.is_cut = true;
            return Flow::Next;
        }
        self.info.termination.set_once(Cause::ClientTimeout, Phase::Request);
        self.client_keep_alive = false;
        Flow::Stop(self.reply_for(session, core, 408))
    }

    /// What can be read now is read; a body that is complete then goes on.
    fn inspect_once(&mut self, session: &mut Session, core: &mut Core) -> Step {
        use super::reading::More;
        match session.read_more(core) {
            More::Came => Step::Again,
            More::Nothing => Step::Wait,
            More::Closed => {
                self.wait_expired = true;
                Step::Again
            }
        }
    }

    /// The body is in the buffer, or the buffer is full.
    pub(super) fn has_whole_body(&self, session: &Session) -> bool {
        let available = session.input.len();
        if self.up.is_received() || session.input_ended || available >= session.snapshot.global.bufsize_bytes
        {
            return true;
        }
        match self.decoded_body(session) {
            Some((_, complete)) => complete,
            None => self.up.announced().is_some_and(|bytes| available as u64 >= bytes),
        }
    }

    /// What has come of a chunked body, without the chunks' frames, and whether that is all.
    pub(super) fn decoded_body(&self, session: &Session) -> Option<(Vec<u8>, bool)> {
        if !self.has_request || self.up.streams.from || self.request.framing() != Framing::Chunked {
            return None;
        }
        let mut probe = Transfer::default();
        probe.start(Framing::Chunked, false, session.policy().request_limits);
        let mut data = Vec::new();
        // A malformed body is refused where it is forwarded.
        let complete = probe.take(session.input.as_slice(), &mut data).is_err() || probe.is_received();
        Some((data, complete))
    }

    /// The same of the response, of which a rule has waited for the body.
    pub(super) fn decoded_response_body(&self, session: &Session) -> Option<(Vec<u8>, bool)> {
        let chunked =
            self.has_request && !self.down.streams.from && self.response.framing() == Framing::Chunked;
        if !chunked || self.server_input.is_empty() {
            return None;
        }
        let mut probe = Transfer::default();
        probe.start(Framing::Chunked, false, self.backend_policy(session).response_limits);
        let mut data = Vec::new();
        let complete = probe.take(self.server_input.as_slice(), &mut data).is_err() || probe.is_received();
        Some((data, complete))
    }

    /// A client that waits for permission gets it here, because the server is not asked yet (RFC 9110 §10.1.1).
    pub(super) fn allow_body(&mut self, session: &Session, core: &mut Core) {
        if self.request.version() < Version::HTTP_11 || !self.request.expects_continue() {
            return;
        }
        if self.request.headers.remove(b"expect") > 0 && session.input.is_empty() {
            // A client that is gone is noticed by whoever reads from it.
            let mut head = ResponseHead::default();
            if head.set_start_line(Version::HTTP_11, 100, b"Continue").is_ok() {
                self.send_interim(session, core, &head);
            }
        }
    }
}
