//! `tcp-response content`: rules on what a server sends first, before the client sees any of it.

use super::session::Session;
use super::state::Stream;
use crate::net::Received;
use crate::rules::{RuleSet, Verdict};
use crate::runtime::Core;

/// What the rules mean for a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Inspected {
    Pass,
    /// They wait for more of the response.
    Wait,
    Close,
}

impl Stream {
    /// Runs the rules of the backend; over HTTP they see the head.
    pub(super) fn response_content_rules(&mut self, session: &mut Session, core: &mut Core) -> Verdict {
        let Some(backend) = self.info.backend else { return Verdict::Continue };
        let verdict = self.run_rules(session, core, RuleSet::TcpResponseContent, backend);
        match verdict {
            Verdict::Continue | Verdict::Allow | Verdict::Wait => {}
            Verdict::SilentDrop => {
                session.drop_silently(core, self.effects.reset_ttl);
                self.count_denied_response(session);
            }
            _ => self.count_denied_response(session),
        }
        verdict
    }

    /// Whether a relay's response may pass, must wait, or ends the connection.
    pub(super) fn inspect_response(&mut self, session: &mut Session, core: &mut Core) -> Inspected {
        if self.response_inspected {
            return Inspected::Pass;
        }
        let backend = self.info.backend.and_then(|id| session.snapshot.proxies.get(id.0 as usize));
        let (none, delay) = match backend {
            Some(proxy) => (proxy.rules.tcp_response_content.is_empty(), proxy.response_inspect_delay),
            None => (true, None),
        };
        if none {
            self.response_inspected = true;
            return Inspected::Pass;
        }
        self.read_response_start(session, core);
        if self.server_input.is_empty() && !self.server_closed && !self.wait_expired {
            // The wait begins with the first byte.
            return Inspected::Wait;
        }
        match self.response_content_rules(session, core) {
            Verdict::Wait if !self.response_rules_are_final(session, core) => {
                let Some(delay) = delay else {
                    self.wait_expired = true;
                    return self.inspect_response(session, core);
                };
                let delay_ms = u64::try_from(delay.as_millis()).unwrap_or(u64::MAX);
                let now_ms = core.clock.monotonic_ms();
                self.response_wait_end_ms.get_or_insert(now_ms.saturating_add(delay_ms));
                Inspected::Wait
            }
            Verdict::Continue | Verdict::Allow | Verdict::Wait => {
                self.response_inspected = true;
                self.response_wait_end_ms = None;
                Inspected::Pass
            }
            _ => Inspected::Close,
        }
    }

    /// Reads what has come from the server, up to a buffer's worth.
    pub(super) fn read_response_start(&mut self, session: &Session, core: &mut Core) {
        let limit = session.snapshot.global.bufsize_bytes;
        let Some(key) = self.server_connection else { return };
        while self.server_input.len() < limit && !self.server_closed {
            let mut scratch = std::mem::take(&mut core.scratch);
            let received = match core.connections.get_mut(key) {
                Some(server) if server.is_readable() => server.receive(&mut scratch),
                _ => Received::WouldBlock,
            };
            if let Received::Data(count) = received {
                core.buffers.append(&mut self.server_input, scratch.get(..count).unwrap_or_default());
            }
            core.scratch = scratch;
            match received {
                Received::Data(_) => {}
                Received::WouldBlock => return,
                Received::End | Received::Failed(_) => {
                    self.server_closed = true;
                    // The transfer has to see the end too.
                    if let Some(server) = core.connections.get_mut(key) {
                        server.assume_readable();
                    }
                }
            }
        }
    }

    /// Nothing more will come that these rules could wait for.
    pub(super) fn response_rules_are_final(&self, session: &Session, _core: &Core) -> bool {
        self.has_request
            || self.wait_expired
            || self.server_closed
            || self.server_input.len() >= session.snapshot.global.bufsize_bytes
    }
}
