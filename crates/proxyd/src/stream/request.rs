//! A request from its head to the choice of a backend: counters, rules, added headers.

use std::io::Write as _;
use std::net::IpAddr;

use super::Step;
use super::fault::Fault;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::expr::Environment;
use crate::model::{ForwardFor, ProxyId, UseBackendTarget};
use crate::proxy::Counter;
use crate::runtime::Core;
use crate::txn::{Cause, Endpoint, Phase};

impl Stream {
    /// Starts the clockwork of a request (or of a TCP connection) on the session.
    pub(super) fn begin(&mut self, session: &mut Session, core: &mut Core, first_byte_us: Option<u64>) {
        let now = core.clock;
        let timing = &mut self.info.timing;
        let first_byte_us = first_byte_us.unwrap_or(now.monotonic_us);
        let wall_at = |moment_us: u64| now.wall_us.saturating_sub(now.monotonic_us.saturating_sub(moment_us));
        timing.start_us = session.idle_since_us;
        timing.accept_date_us = wall_at(session.idle_since_us);
        timing.request_date_us = wall_at(first_byte_us);
        timing.handshake_done_us = Some(session.idle_since_us);
        timing.request_first_byte_us = Some(first_byte_us);
        self.client_active_ms = now.monotonic_ms();
        self.enter(Activity::Start, now.monotonic_ms());
        let info = &mut self.info;
        info.request_counter = core.process.requests_total.load(std::sync::atomic::Ordering::Relaxed);
        session.info.requests_before += 1;
    }

    /// Works on the request until it would have to wait.
    pub(super) fn run(&mut self, session: &mut Session, core: &mut Core) -> Step {
        loop {
            if let Some(fault) = session.killed.take() {
                self.fail(session, core, fault);
            }
            let step = match self.activity {
                Activity::Start => self.start(session, core),
                Activity::Assign => self.assign(session, core),
                Activity::Queue => self.wait_in_queue(session, core),
                Activity::Pause => self.watch_client(session, core),
                Activity::Connect => self.connect(session, core),
                Activity::Connecting => self.connecting(session, core),
                Activity::Exchange => self.exchange(session, core),
                Activity::Reply => self.send_reply(session, core),
                Activity::Relay => self.relay(session, core),
            };
            if step != Step::Again {
                return step;
            }
        }
    }

    fn start(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let now_us = core.clock.monotonic_us;
        self.info.timing.request_done_us = Some(now_us);
        if !self.has_request {
            return self.start_tcp(session, core);
        }
        self.count_request(session, core);
        self.note_request_line(session);
        self.decide_client_keep_alive(session);
        let snapshot = std::rc::Rc::clone(&session.snapshot);
        let Some(frontend) = snapshot.frontend(session.frontend) else {
            return self.fail(session, core, Fault::NoServer);
        };
        if self.is_monitor_request(&frontend.model) {
            return self.reply_monitor(session, core);
        }
        if !self.add_forwarded_for(session, frontend.model.forward_for.as_ref()) {
            return self.deny_too_large(session, core);
        }
        let backend = self.choose_backend(session, core);
        let framing = self.request.framing();
        self.up.start(framing, framing == crate::http::Framing::Chunked, session.policy().request_limits);
        match backend {
            Some(backend) => self.enter_backend(session, core, backend),
            None => self.fail(session, core, Fault::NoServer),
        }
    }

    fn start_tcp(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let backend = self.choose_backend(session, core);
        match backend {
            Some(backend) => self.enter_backend(session, core, backend),
            None => self.fail(session, core, Fault::NoServer),
        }
    }

    fn count_request(&self, session: &Session, core: &Core) {
        let now_ms = core.clock.monotonic_ms();
        let process = &core.process;
        process.requests_total.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        process.request_rate.tick(now_ms);
        if let Some(frontend) = session.snapshot.frontend(session.frontend) {
            frontend.request_rate.tick(now_ms);
            frontend.counters.increment(Counter::Requests);
            frontend.counters.increment(Counter::Http1Requests);
        }
    }

    fn note_request_line(&mut self, session: &Session) {
        let max = session.snapshot.global.http_log_uri_length;
        let line = &mut self.info.request_line;
        line.clear();
        line.extend_from_slice(self.request.method_bytes());
        line.push(b' ');
        line.extend_from_slice(self.request.target());
        let version = self.request.version();
        // Writing to a Vec cannot fail.
        let _ = write!(line, " HTTP/{}.{}", version.major, version.minor);
        line.truncate(max);
    }

    fn decide_client_keep_alive(&mut self, session: &Session) {
        let said = self.request.connection();
        let persistent = if self.request.version() >= crate::http::Version::HTTP_11 {
            !said.close
        } else {
            said.keep_alive && !said.close
        };
        let mode =
            session.snapshot.proxies.get(session.frontend.0 as usize).map(|proxy| proxy.connection_mode);
        self.client_keep_alive = persistent && mode != Some(crate::model::ConnectionMode::Close);
    }

    /// `option forwardfor`; false when the head is full.
    fn add_forwarded_for(&mut self, session: &Session, options: Option<&ForwardFor>) -> bool {
        let Some(options) = options else { return true };
        let Endpoint::Inet(source) = &session.info.source else { return true };
        let ip = source.ip();
        let excepted = options.except.is_some_and(|net| net.contains(&ip));
        if excepted || options.if_none && self.request.headers.contains(options.header.as_bytes()) {
            return true;
        }
        let mut text = [0u8; 46];
        let text = format_ip(ip, &mut text);
        self.request.headers.add(options.header.as_bytes(), text).is_ok()
    }

    /// `use_backend`, `default_backend`, or the `listen` itself.
    fn choose_backend(&mut self, session: &Session, core: &Core) -> Option<ProxyId> {
        let proxy = session.snapshot.proxies.get(session.frontend.0 as usize)?;
        for rule in &proxy.use_backend {
            let context = self.context(session, core);
            if rule.condition.as_ref().is_some_and(|condition| !condition.eval(&context)) {
                continue;
            }
            match &rule.target {
                UseBackendTarget::Static(id) => return Some(*id),
                UseBackendTarget::Dynamic(format) => {
                    let mut name = Vec::new();
                    format.render(&context, &mut name);
                    if let Some(id) = core.environment.find_backend(&name) {
                        return Some(id);
                    }
                }
            }
        }
        if proxy.kind.is_backend() && proxy.default_backend.is_none() {
            return Some(session.frontend);
        }
        proxy.default_backend
    }

    /// The backend's counters, options and rules; then a server is chosen.
    fn enter_backend(&mut self, session: &mut Session, core: &mut Core, id: ProxyId) -> Step {
        let snapshot = std::rc::Rc::clone(&session.snapshot);
        let Some(backend) = snapshot.backend(id) else { return self.fail(session, core, Fault::NoServer) };
        let now_ms = core.clock.monotonic_ms();
        self.info.backend = Some(id);
        backend.sessions.increment();
        self.counted_in_backend = true;
        backend.counters.increment(Counter::Sessions);
        backend.session_rate.tick(now_ms);
        if self.has_request {
            backend.counters.increment(Counter::Requests);
            backend.request_rate.tick(now_ms);
        }
        if id != session.frontend {
            let frontend_has =
                snapshot.frontend(session.frontend).is_some_and(|f| f.model.forward_for.is_some());
            let options = backend.model.forward_for.as_ref().filter(|_| !frontend_has && self.has_request);
            if !self.add_forwarded_for(session, options) {
                return self.deny_too_large(session, core);
            }
            if backend.model.connection_mode == crate::model::ConnectionMode::Close {
                self.client_keep_alive = false;
            }
        }
        self.retries_left = backend.model.retries;
        self.enter(Activity::Assign, now_ms);
        Step::Again
    }

    fn is_monitor_request(&self, proxy: &crate::model::Proxy) -> bool {
        proxy.monitor_uri.as_deref().is_some_and(|uri| uri.as_bytes() == self.request.target())
    }

    fn deny_too_large(&mut self, session: &mut Session, core: &mut Core) -> Step {
        self.info.termination.set_once(Cause::Proxy, Phase::Request);
        self.reply_for(session, core, 400)
    }
}

/// Text of an address without allocation.
fn format_ip(ip: IpAddr, buffer: &mut [u8; 46]) -> &[u8] {
    let mut cursor = std::io::Cursor::new(&mut buffer[..]);
    // 46 bytes hold every address (INET6_ADDRSTRLEN).
    let _ = write!(cursor, "{ip}");
    let length = cursor.position() as usize;
    buffer.get(..length).unwrap_or_default()
}
