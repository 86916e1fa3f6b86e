//! Bytes both ways without looking at them: TCP proxies, and HTTP after an upgrade or CONNECT.
//!
//! Each direction ends by itself: the end of one side's data becomes a FIN on the other, and the relay is over when both
//! directions have ended.

use super::Step;
use super::body::Incoming;
use super::exchange::{Moved, forward};
use super::fault::Fault;
use super::response_content::Inspected;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::runtime::Core;

impl Stream {
    /// A TCP connection to the server stands.
    pub(super) fn start_relay(&mut self, session: &mut Session, core: &mut Core) {
        self.up.incoming = Incoming::UntilClose;
        self.down.incoming = Incoming::UntilClose;
        self.response_started = true;
        self.begin_relay(session, core);
    }

    /// The server has agreed to leave HTTP.
    pub(super) fn start_tunnel(&mut self, session: &mut Session, core: &mut Core) {
        self.up.incoming = Incoming::UntilClose;
        self.down.incoming = Incoming::UntilClose;
        self.up.chunked = false;
        self.down.chunked = false;
        self.client_keep_alive = false;
        self.server_keep_alive = false;
        // The rules have seen the response's head.
        self.response_inspected = true;
        self.begin_relay(session, core);
    }

    fn begin_relay(&mut self, session: &mut Session, core: &mut Core) {
        self.up.splicing = self.splicing(session, |policy| policy.splice_request);
        self.down.splicing = self.splicing(session, |policy| policy.splice_response);
        self.up.kept = None;
        let now_ms = core.clock.monotonic_ms();
        self.client_active_ms = now_ms;
        self.server_active_ms = now_ms;
        self.enter(Activity::Relay, now_ms);
    }

    pub(super) fn relay(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let Some(server) = self.server_connection else { return self.fail(session, core, Fault::ServerGone) };
        let (up_before, down_before) = (self.up.bytes, self.down.bytes);
        let up = forward(core, &mut self.up, &mut session.input, session.client, server);
        let down = match self.inspect_response(session, core) {
            Inspected::Pass => forward(core, &mut self.down, &mut self.server_input, server, session.client),
            Inspected::Wait => Moved::Blocked,
            Inspected::Close => return self.fail(session, core, Fault::Denied),
        };
        let now_ms = core.clock.monotonic_ms();
        if self.up.bytes != up_before {
            self.note_moved_up(session, now_ms);
        }
        if self.down.bytes != down_before {
            self.note_moved_down(session, now_ms);
        }
        let response_missing = !self.has_request && self.info.timing.response_head_us.is_none();
        if response_missing && self.down.bytes > 0 {
            self.info.timing.response_head_us = Some(core.clock.monotonic_us);
            if let Some(connected_us) = self.info.timing.connect_done_us {
                self.observed_latency(session, core.clock.monotonic_us.saturating_sub(connected_us));
            }
        }
        match (up, down) {
            (Moved::SenderGone, _) | (_, Moved::ReceiverGone) => {
                return self.fail(session, core, Fault::ClientGone);
            }
            (Moved::ReceiverGone, _) | (_, Moved::SenderGone) => {
                return self.fail(session, core, Fault::ServerGone);
            }
            _ => {}
        }
        if up == Moved::Finished && !self.server_shut {
            self.server_shut = true;
            self.client_closed = true;
            if let Some(server) = core.connections.get_mut(server) {
                server.shutdown_write();
            }
        }
        if down == Moved::Finished && !self.client_shut {
            self.client_shut = true;
            self.server_closed = true;
            if let Some(client) = core.connections.get_mut(session.client) {
                client.shutdown_write();
            }
        }
        if self.server_shut && self.client_shut {
            return self.finish(session, core);
        }
        self.wait_unless_paused(session, core, up, down)
    }
}
