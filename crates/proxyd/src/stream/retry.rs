//! `retry-on`: requests that are sent once more after a server has seen them (configuration manual, "retry-on").
//!
//! The head is kept anyway; the body is, as it came in, while it fits in one buffer. What the client has seen nothing of
//! can begin again.

use std::rc::Rc;

use super::Step;
use super::fault::Fault;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::net::Buffer;
use crate::runtime::Core;

/// The failures after which another attempt is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RetryOn {
    /// Before the request was sent; the default.
    pub connect_failure: bool,
    empty_response: bool,
    junk_response: bool,
    response_timeout: bool,
    statuses: Vec<u16>,
}

impl RetryOn {
    /// From the words of the line, which are known ones; none is the default.
    pub fn new(words: &[String]) -> Self {
        let mut wanted = Self {
            connect_failure: words.is_empty(),
            empty_response: false,
            junk_response: false,
            response_timeout: false,
            statuses: Vec::new(),
        };
        for word in words {
            match word.as_str() {
                "conn-failure" => wanted.connect_failure = true,
                "empty-response" => wanted.empty_response = true,
                "junk-response" => wanted.junk_response = true,
                "response-timeout" => wanted.response_timeout = true,
                "all-retryable-errors" => {
                    wanted.connect_failure = true;
                    wanted.empty_response = true;
                    wanted.junk_response = true;
                    wanted.response_timeout = true;
                    wanted.statuses.extend([500, 502, 503, 504]);
                }
                // `none`, and `0rtt-rejected`: early data is not sent.
                other => wanted.statuses.extend(other.parse::<u16>()),
            }
        }
        wanted
    }

    /// Whether anything is retried that needs the whole request.
    pub fn needs_request(&self) -> bool {
        self.empty_response || self.junk_response || self.response_timeout || !self.statuses.is_empty()
    }
}

impl Stream {
    /// The request is about to be sent: keeps its body from here on if it may be needed again.
    pub(super) fn keep_for_retry(&mut self, session: &Session) {
        let backend = self.info.backend.and_then(|id| session.snapshot.policies.get(id.0 as usize));
        let wanted = backend.is_some_and(|policy| policy.retry_on.needs_request());
        self.up.kept = (wanted && !self.effects.disable_l7_retry).then(Buffer::default);
    }

    /// Whether `fault` is one that `retry-on` names, and another attempt can be made.
    fn may_send_again(&self, session: &Session, fault: Fault) -> bool {
        let Some(policy) = self.info.backend.and_then(|id| session.snapshot.policies.get(id.0 as usize))
        else {
            return false;
        };
        let wanted = &policy.retry_on;
        let named = match fault {
            Fault::ServerGone if self.server_input.is_empty() => wanted.empty_response,
            Fault::ServerGone | Fault::BadResponse => wanted.junk_response,
            Fault::ServerTimeout => wanted.response_timeout,
            Fault::RetryableStatus(status) => wanted.statuses.contains(&status),
            _ => false,
        };
        named
            && self.activity == Activity::Exchange
            && !self.response_started
            && self.retries_left > 0
            && self.up.kept.is_some()
    }

    /// An answer with this status is not the one to give to the client.
    pub(super) fn is_retryable(&self, session: &Session, status: u16) -> bool {
        self.up.kept.is_some() && self.may_send_again(session, Fault::RetryableStatus(status))
    }

    /// Starts another attempt if `retry-on` asks for one.
    pub(super) fn send_again(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        fault: Fault,
    ) -> Option<Step> {
        if !self.may_send_again(session, fault) {
            return None;
        }
        let snapshot = Rc::clone(&session.snapshot);
        let backend = self.info.backend.and_then(|id| snapshot.backend(id))?;
        let server = backend.server(self.info.server?)?;
        if !super::connect::within_retry_budget(backend, core) {
            return None;
        }
        if let Some(key) = self.server_connection.take() {
            core.close(key);
        }
        self.take_request_back(session, core);
        self.retries_left -= 1;
        self.info.retries += 1;
        self.info.timing.response_head_us = None;
        self.info.status = 0;
        Some(self.next_attempt(session, core, backend, server, Activity::Connect))
    }

    /// As if nothing of the request had been sent.
    fn take_request_back(&mut self, session: &mut Session, core: &mut Core) {
        let mut body = self.up.kept.take().unwrap_or_default();
        let mut rest = std::mem::take(&mut session.input);
        core.buffers.append(&mut body, rest.as_slice());
        core.buffers.release(&mut rest);
        session.input = body;
        core.buffers.reclaim(&mut session.input);
        self.up.reset(&mut core.buffers);
        core.buffers.release(&mut self.server_input);
        self.response.clear();
        self.backend_has_judged = false;
        self.request_sent = false;
        let framing = self.request.framing();
        self.up.start(framing, framing == crate::http::Framing::Chunked, session.policy().request_limits);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_on() {
        let of =
            |words: &[&str]| RetryOn::new(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>());
        assert!(of(&[]).connect_failure && !of(&[]).needs_request());
        assert!(!of(&["none"]).connect_failure && !of(&["none"]).needs_request());
        assert!(!of(&["503"]).connect_failure && of(&["503"]).needs_request());
        let all = of(&["all-retryable-errors"]);
        assert!(all.connect_failure && all.empty_response && all.junk_response && all.response_timeout);
        assert_eq!(all.statuses, [500, 502, 503, 504]);
    }
}
