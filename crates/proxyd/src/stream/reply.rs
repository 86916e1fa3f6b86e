//! Replies of the proxy's own: errors, monitor, and (with the rules) redirects and returns.

use std::rc::Rc;

use super::Step;
use super::exchange::send_or_keep;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::model::{ErrorReply, Proxy};
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

impl Stream {
    /// An error reply as the backend, or else the frontend, has it.
    pub(super) fn reply_for(&mut self, session: &mut Session, core: &mut Core, status: u16) -> Step {
        let snapshot = Rc::clone(&session.snapshot);
        let of_backend = self.info.backend.and_then(|id| snapshot.proxies.get(id.0 as usize));
        let proxy = of_backend.or_else(|| snapshot.proxies.get(session.frontend.0 as usize));
        if let Some(proxy) = proxy {
            self.reply_error(core, proxy, status);
        }
        Step::Again
    }

    /// Queues an error reply; the connection ends after it.
    pub(super) fn reply_error(&mut self, core: &mut Core, proxy: &Proxy, status: u16) {
        let bytes = match proxy.error_replies.get(&status) {
            Some(ErrorReply::File { bytes, .. }) => bytes.to_vec(),
            Some(ErrorReply::Location { status, url }) => location_reply(*status, url),
            None => crate::stream::reply::builtin_error(status),
        };
        self.client_keep_alive = false;
        self.queue_reply(core, status, &bytes);
    }

    /// The answer to `monitor-uri`.
    pub(super) fn reply_monitor(&mut self, session: &mut Session, core: &mut Core) -> Step {
        self.info.termination.set_once(Cause::Local, Phase::Request);
        let _ = session;
        self.client_keep_alive = false;
        self.queue_reply(core, 200, &builtin_error(200));
        Step::Again
    }

    fn queue_reply(&mut self, core: &mut Core, status: u16, bytes: &[u8]) {
        self.info.status = status;
        self.is_local_reply = true;
        self.info.bytes_sent = bytes.len() as u64;
        core.buffers.append(&mut self.down.pending, bytes);
        self.down.incoming = super::body::Incoming::Nothing;
        self.response_started = true;
        self.enter(Activity::Reply, core.clock.monotonic_ms());
    }

    /// Sends what is left of the reply.
    pub(super) fn send_reply(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let mut pending = std::mem::take(&mut self.down.pending);
        let sent = send_or_keep(core, session.client, &mut self.down, pending.as_slice());
        core.buffers.release(&mut pending);
        if sent && !self.down.pending.is_empty() {
            return Step::Wait;
        }
        self.finish(session, core)
    }
}

/// HAProxy's own page for a status.
pub(super) fn builtin_error(status: u16) -> Vec<u8> {
    let reason = crate::http::reply::reason(status);
    let body = format!("<html><body><h1>{status} {reason}</h1>\n</body></html>\n");
    format!(
        "HTTP/1.1 {status} {reason}\r\ncontent-length: {}\r\ncache-control: no-cache\r\ncontent-type: text/html\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
    .into_bytes()
}

fn location_reply(status: u16, url: &str) -> Vec<u8> {
    let reason = crate::http::reply::reason(status);
    format!("HTTP/1.1 {status} {reason}\r\ncache-control: no-cache\r\ncontent-length: 0\r\nlocation: {url}\r\nconnection: close\r\n\r\n")
        .into_bytes()
}
