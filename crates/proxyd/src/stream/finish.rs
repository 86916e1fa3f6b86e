//! The end of a request: what went wrong, counters, the log line, what becomes of the connections; and its deadlines.

use std::rc::Rc;

use super::Step;
use super::fault::Fault;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::proxy::{Counter, Counters, RequestTime};
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

impl Stream {
    /// What the request was doing, for the second letter of the termination state.
    fn phase(&self) -> Phase {
        match self.activity {
            Activity::Start | Activity::Inspect => Phase::Request,
            Activity::Tarpit => Phase::Tarpit,
            Activity::Assign | Activity::Queue => Phase::Queue,
            Activity::Pause | Activity::Connect | Activity::Borrow | Activity::Connecting => Phase::Connect,
            Activity::Exchange if self.response_started => Phase::Data,
            Activity::Exchange if !self.up.is_received() => Phase::Data,
            Activity::Exchange => Phase::Headers,
            Activity::Reply => Phase::Last,
            Activity::Relay => Phase::Data,
        }
    }

    /// The request cannot go on: termination state, counters, and a reply if nothing was sent yet.
    pub(super) fn fail(&mut self, session: &mut Session, core: &mut Core, fault: Fault) -> Step {
        let phase = match self.phase() {
            // The answer was awaited, though the client's part was not complete either.
            Phase::Data if !self.response_started && fault.cause() == Cause::ServerTimeout => Phase::Headers,
            phase => phase,
        };
        let cause = if fault == Fault::NoServer && phase == Phase::Queue {
            Cause::ServerAbort
        } else {
            fault.cause()
        };
        let phase = if fault == Fault::NoServer { Phase::Connect } else { phase };
        self.info.termination.set_once(cause, phase);
        if self.activity == Activity::Queue {
            self.info.timing.queue_done_us = Some(core.clock.monotonic_us);
        }
        self.count_fault(session, fault);
        self.leave_queue(session);
        self.server_keep_alive = false;
        if self.response_started || !self.up.is_received() {
            self.client_keep_alive = false;
        }
        if let Some(key) = self.server_connection.take() {
            core.close(key);
        }
        let status = fault.status(phase).filter(|_| !self.response_started && self.has_request);
        match status {
            Some(status) => {
                // Interim answers that wait are followed by the reply.
                self.info.bytes_uploaded += self.up.bytes;
                self.up.reset(&mut core.buffers);
                self.reply_for(session, core, status)
            }
            None => {
                self.client_keep_alive = false;
                self.finish(session, core)
            }
        }
    }

    /// The server broke before it answered: perhaps another attempt is allowed.
    pub(super) fn server_failed(&mut self, session: &mut Session, core: &mut Core, fault: Fault) -> Step {
        let untouched = self.up.bytes == 0 && !self.request_framing().has_body();
        let was_idle = self.server_requests > 0;
        let lost = fault == Fault::ServerGone && untouched && was_idle;
        // Nobody has looked at a refused request; what was taken of its body is not here any more.
        let refused = fault == Fault::Refused && self.up.bytes == 0;
        if (lost || refused) && self.retries_left > 0 {
            // The server closed an idle connection while the request was on its way.
            if let Some(key) = self.server_connection.take() {
                core.close(key);
            }
            core.buffers.release(&mut self.up.pending);
            core.buffers.release(&mut self.server_input);
            self.retries_left -= 1;
            self.request_sent = false;
            let framing = self.request.framing();
            self.up.start(framing, framing == crate::http::Framing::Chunked, session.policy().request_limits);
            self.enter(Activity::Connect, core.clock.monotonic_ms());
            return Step::Again;
        }
        self.observed_fault(session, core, fault);
        match self.send_again(session, core, fault) {
            Some(step) => step,
            None => self.fail(session, core, fault),
        }
    }

    fn count_fault(&self, session: &Session, fault: Fault) {
        let backend = self.info.backend.and_then(|id| session.snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        let counter = match fault {
            Fault::ServerGone | Fault::ServerTimeout if self.response_started => Counter::ServerAborts,
            Fault::ServerGone | Fault::ServerTimeout | Fault::BadResponse | Fault::Refused => {
                Counter::FailedResponses
            }
            Fault::ClientGone | Fault::ClientTimeout => Counter::ClientAborts,
            Fault::BadRequestBody => Counter::FailedRequests,
            _ => return,
        };
        if let Some(backend) = backend {
            backend.counters.increment(counter);
        }
        if let Some(server) = server {
            server.counters.increment(counter);
        }
    }

    /// The request is over, well or not.
    pub(super) fn finish(&mut self, session: &mut Session, core: &mut Core) -> Step {
        self.info.timing.end_us = Some(core.clock.monotonic_us);
        let keep_alive = self.client_keep_alive && self.up.is_received();
        if !self.server_input.is_empty() {
            // More than one answer to one request: whose is it?
            self.server_keep_alive = false;
        }
        self.info.bytes_sent += self.down.bytes;
        self.info.bytes_uploaded += self.up.bytes;
        self.count_end(session, core);
        session.last_server = self.info.backend.zip(self.info.server);
        self.release_slot(session, core);
        self.settle_server_connection(session, core);
        self.leave_backend(session);
        self.write_log(session, core);
        session.vars.end_transaction();
        self.done = Some(keep_alive);
        Step::Done { keep_alive }
    }

    fn count_spliced(&self, counters: &Counters, into: u64, out: u64) {
        if into > 0 || out > 0 {
            counters.add(Counter::SplicedIn, into);
            counters.add(Counter::SplicedOut, out);
        }
    }

    fn count_end(&self, session: &Session, core: &Core) {
        let info = &self.info;
        let snapshot = Rc::clone(&session.snapshot);
        let (up, down) = (info.bytes_uploaded, info.bytes_sent);
        if let Some(frontend) = snapshot.frontend(session.frontend) {
            frontend.counters.add(Counter::BytesIn, up);
            frontend.counters.add(Counter::BytesOut, down);
            self.count_spliced(&frontend.counters, self.up.spliced_bytes, self.down.spliced_bytes);
            if info.status > 0 {
                frontend.counters.count_status(info.status);
            }
        }
        // A `listen` is its own backend, also for what never got to a server.
        if let Some(backend) = snapshot.backend(info.backend.unwrap_or(session.frontend)) {
            backend.counters.add(Counter::BytesIn, up);
            backend.counters.add(Counter::BytesOut, down);
        }
        let Some(backend) = info.backend.and_then(|id| snapshot.backend(id)) else { return };
        self.count_spliced(&backend.counters, self.down.spliced_bytes, self.up.spliced_bytes);
        if info.status > 0 {
            backend.counters.count_status(info.status);
        }
        let Some(server) = info.server.and_then(|id| backend.server(id)) else { return };
        server.counters.add(Counter::BytesIn, up);
        server.counters.add(Counter::BytesOut, down);
        if info.status > 0 && !self.is_local_reply {
            server.counters.count_status(info.status);
            server.counters.increment(Counter::Requests);
        }
        let timing = &info.timing;
        let span = |from: Option<u64>, to: Option<u64>| Some(to?.saturating_sub(from?));
        let times = [
            (RequestTime::Queue, span(timing.request_done_us, timing.queue_done_us)),
            (RequestTime::Connect, span(timing.queue_done_us, timing.connect_done_us)),
            (RequestTime::Response, span(timing.connect_done_us, timing.response_head_us)),
            (RequestTime::Total, span(timing.request_first_byte_us, Some(core.clock.monotonic_us))),
        ];
        for (time, value) in times {
            if let Some(value) = value {
                server.counters.record_time(time, value / 1000);
                backend.counters.record_time(time, value / 1000);
                server.counters.record_latency(time, value);
                backend.counters.record_latency(time, value);
            }
        }
    }

    fn leave_backend(&mut self, session: &Session) {
        if std::mem::take(&mut self.counted_in_backend)
            && let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id))
        {
            backend.sessions.decrement();
        }
    }

    /// The session ends under the request: everything it holds is given back.
    pub(super) fn abandon(&mut self, session: &Session, core: &mut Core) {
        self.leave_queue(session);
        self.release_slot(session, core);
        self.leave_backend(session);
        if let Some(key) = self.server_connection.take() {
            core.close(key);
        }
    }

    /// When the session has to be looked at if nothing happens; milliseconds.
    pub(super) fn deadline_ms(&self, session: &Session) -> u64 {
        let policies = &session.snapshot.policies;
        let client = session.policy();
        let backend = self.info.backend.and_then(|id| policies.get(id.0 as usize)).unwrap_or(client);
        let after =
            |since_ms: u64, timeout: Option<u64>| timeout.map_or(u64::MAX, |ms| since_ms.saturating_add(ms));
        match self.activity {
            Activity::Inspect => after(self.activity_since_ms, self.wait_ms),
            Activity::Tarpit => after(self.activity_since_ms, backend.tarpit_ms),
            Activity::Queue => after(self.activity_since_ms, backend.queue_ms),
            Activity::Pause => self.activity_since_ms + Self::pause_ms(session, self.info.backend),
            Activity::Borrow | Activity::Connecting => after(self.activity_since_ms, backend.connect_ms),
            Activity::Exchange => {
                let (client_ms, server_ms) = self.timeouts_ms(client, backend);
                let client_works = !self.up.is_received() && !self.up.has_unsent() || self.down.has_unsent();
                let server_works = self.server_is_awaited();
                let client = if client_works { after(self.client_active_ms, client_ms) } else { u64::MAX };
                let server = if server_works { after(self.server_active_ms, server_ms) } else { u64::MAX };
                client.min(server).min(self.response_wait_end_ms.unwrap_or(u64::MAX))
            }
            Activity::Relay => self.relay_deadline(client, backend),
            Activity::Start | Activity::Assign | Activity::Connect | Activity::Reply => {
                after(self.client_active_ms, self.timeouts_ms(client, backend).0)
            }
        }
    }

    /// Whether the server's time runs: not while its answer waits for a client that takes nothing.
    fn server_is_awaited(&self) -> bool {
        !self.down.is_received() && !self.down.has_unsent() || self.up.has_unsent() || !self.response_started
    }

    /// Those of client and server, as `set-timeout` left them; milliseconds.
    fn timeouts_ms(
        &self,
        client: &super::FrontendPolicy,
        backend: &super::FrontendPolicy,
    ) -> (Option<u64>, Option<u64>) {
        let of_client = self.effects.client_timeout.map(ms).or(client.client_ms);
        (of_client, self.effects.server_timeout.map(ms).or(backend.server_ms))
    }

    fn relay_deadline(&self, client: &super::FrontendPolicy, backend: &super::FrontendPolicy) -> u64 {
        let after =
            |since_ms: u64, timeout: Option<u64>| timeout.map_or(u64::MAX, |ms| since_ms.saturating_add(ms));
        let (mut client_ms, mut server_ms) = self.timeouts_ms(client, backend);
        if let Some(tunnel) = self.effects.tunnel_timeout.map(ms).or(backend.tunnel_ms) {
            (client_ms, server_ms) = (Some(tunnel), Some(tunnel));
        }
        if self.client_shut && client.client_fin_ms.is_some() {
            client_ms = client.client_fin_ms;
        }
        if self.server_shut && backend.server_fin_ms.is_some() {
            server_ms = backend.server_fin_ms;
        }
        let rules_ms = self.response_wait_end_ms.unwrap_or(u64::MAX);
        // Who is not read because the other side takes nothing is not late.
        match (self.up.has_unsent(), self.down.has_unsent()) {
            (true, false) => client_ms = None,
            (false, true) => server_ms = None,
            _ => {}
        }
        after(self.client_active_ms, client_ms).min(after(self.server_active_ms, server_ms)).min(rules_ms)
    }

    /// The deadline has passed.
    pub(super) fn timed_out(&mut self, session: &mut Session, core: &mut Core) {
        let now_ms = core.clock.monotonic_ms();
        let policies = Rc::clone(&session.snapshot);
        let client = &policies.policies[session.frontend.0 as usize];
        let backend = self.info.backend.and_then(|id| policies.policies.get(id.0 as usize)).unwrap_or(client);
        let (client_ms, server_ms) = self.timeouts_ms(client, backend);
        let client_late = client_ms.is_some_and(|ms| self.client_active_ms + ms <= now_ms);
        let server_late = server_ms.is_some_and(|ms| self.server_active_ms + ms <= now_ms)
            && match self.activity {
                Activity::Relay => self.up.has_unsent() || !self.down.has_unsent(),
                _ => self.server_is_awaited(),
            };
        let fault = match self.activity {
            Activity::Inspect => {
                self.wait_expired = true;
                return;
            }
            Activity::Relay if self.response_wait_end_ms.is_some_and(|end_ms| end_ms <= now_ms) => {
                self.wait_expired = true;
                return;
            }
            Activity::Tarpit => return self.leave_tarpit(session, core),
            Activity::Queue => Fault::QueueTimeout,
            Activity::Pause => {
                self.enter(Activity::Connect, now_ms);
                return;
            }
            Activity::Borrow | Activity::Connecting => Fault::ConnectTimeout,
            Activity::Exchange if self.response_wait_end_ms.is_some_and(|end_ms| end_ms <= now_ms) => {
                Fault::ServerTimeout
            }
            Activity::Exchange if server_late => Fault::ServerTimeout,
            Activity::Exchange => Fault::ClientTimeout,
            Activity::Relay if server_late && !client_late => Fault::ServerTimeout,
            _ => Fault::ClientTimeout,
        };
        session.killed = Some(fault);
    }
}

fn ms(timeout: std::time::Duration) -> u64 {
    u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX / 2)
}
