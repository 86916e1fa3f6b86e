//! A request from its head to the choice of a backend: counters, rules, added headers.

use std::io::Write as _;
use std::net::IpAddr;

use super::Step;
use super::fault::Fault;
use super::reading::More;
use super::rules::Flow;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::expr::Environment;
use crate::model::{ForwardFor, ProxyId, UseBackendTarget};
use crate::proxy::Counter;
use crate::runtime::Core;
use crate::txn::{Cause, Endpoint, IP_TEXT_BYTES, Phase, ip_text};

impl Stream {
    /// Starts the clockwork of a request (or of a TCP connection) on the session.
    pub(super) fn begin(&mut self, session: &mut Session, core: &mut Core, first_byte_us: Option<u64>) {
        let now = core.clock;
        let timing = &mut self.info.timing;
        let first_byte_us = first_byte_us.unwrap_or(session.idle_since_us);
        let wall_at = |moment_us: u64| now.wall_us.saturating_sub(now.monotonic_us.saturating_sub(moment_us));
        timing.start_us = session.idle_since_us - std::mem::take(&mut session.handshake_us);
        timing.accept_date_us = wall_at(timing.start_us);
        timing.request_date_us = wall_at(first_byte_us);
        timing.handshake_done_us = Some(session.idle_since_us);
        timing.request_first_byte_us = Some(first_byte_us);
        self.client_active_ms = now.monotonic_ms();
        self.up.streams.from = session.is_stream();
        self.down.streams.to = session.is_stream();
        self.enter(Activity::Start, now.monotonic_ms());
        let info = &mut self.info;
        info.request_counter = core.process.requests_total.load(std::sync::atomic::Ordering::Relaxed);
        session.info.requests_before += 1;
        session.info.restore_ends();
    }

    /// Works on the request until it would have to wait.
    pub(super) fn run(&mut self, session: &mut Session, core: &mut Core) -> Step {
        loop {
            match session.killed.take() {
                None => {}
                Some(Fault::ConnectTimeout) => {
                    self.attempt_failed(session, core, Fault::ConnectTimeout);
                }
                Some(Fault::ServerTimeout) => {
                    self.server_failed(session, core, Fault::ServerTimeout);
                }
                Some(fault) => {
                    self.fail(session, core, fault);
                }
            }
            if let Some(keep_alive) = self.done {
                return Step::Done { keep_alive };
            }
            let step = match self.activity {
                Activity::Start => self.start(session, core),
                Activity::Assign => self.assign(session, core),
                Activity::Inspect => self.inspect(session, core),
                Activity::Tarpit => self.watch_client(session, core),
                Activity::Queue => self.wait_in_queue(session, core),
                Activity::Pause => self.watch_client(session, core),
                Activity::Connect => self.connect(session, core),
                Activity::Borrow => self.watch_client(session, core),
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
        if std::mem::replace(&mut self.rules_started, true) {
            return self.run_request_stages(session, core);
        }
        self.info.timing.request_done_us = Some(core.clock.monotonic_us);
        // The handshake may be over since the last request.
        session.confirm_early(core);
        if self.has_request {
            self.count_request(session, core);
            self.info.bytes_uploaded = super::response::counted_request_bytes(&self.request);
            self.is_head = self.request.method() == crate::http::Method::Head;
            self.note_request_line(session);
            self.decide_client_keep_alive(session);
            self.capture_request(session);
            let framing = self.request.framing();
            self.limit_rewriting(session);
            self.up.start(framing, framing == crate::http::Framing::Chunked, session.policy().request_limits);
            let snapshot = std::rc::Rc::clone(&session.snapshot);
            let proxy = snapshot.proxies.get(session.frontend.0 as usize);
            if proxy.is_some_and(|proxy| self.is_monitor_request(proxy)) {
                let failed = proxy.is_some_and(|proxy| {
                    let context = self.context(session, core);
                    proxy.monitor_fail.iter().any(|condition| condition.eval(&context))
                });
                return self.reply_monitor(session, core, failed);
            }
        }
        self.run_request_stages(session, core)
    }

    /// What of the body is in the buffer leaves less room for changes of the head, but always `tune.maxrewrite`.
    pub(super) fn limit_rewriting(&mut self, session: &Session) {
        let body_bytes = session.input.len();
        if body_bytes > 0 {
            super::response::limit_rewriting(&mut self.request.headers, body_bytes, &session.snapshot.global);
        }
    }

    /// More of the request has come, or the time for it is over.
    pub(super) fn inspect(&mut self, session: &mut Session, core: &mut Core) -> Step {
        match session.read_more(core) {
            More::Came => {}
            More::Nothing if self.wait_expired || session.confirm_early(core) => {}
            More::Nothing => return Step::Wait,
            More::Closed => self.wait_expired = true,
        }
        self.run_request_stages(session, core)
    }

    /// The frontend's rules are done: into the backend.
    pub(super) fn switch_backend(&mut self, session: &mut Session, core: &mut Core) -> Flow {
        match self.choose_backend(session, core) {
            Some(backend) if !self.has_request && is_http(session, backend) => {
                Flow::Stop(self.switch_to_http(session, core))
            }
            Some(backend) => self.enter_backend(session, core, backend),
            None => Flow::Stop(self.fail(session, core, Fault::NoServer)),
        }
    }

    /// All rules are done: what options add, then a server.
    pub(super) fn request_ready(&mut self, session: &mut Session, core: &mut Core) -> Step {
        if self.is_cut {
            return self.fail(session, core, Fault::ClientGone);
        }
        if self.has_request {
            if !self.add_option_headers(session, core) {
                return self.deny_too_large(session, core);
            }
        } else {
            self.name_connection(session, core);
        }
        if let Some(retries) = self.effects.retries {
            self.retries_left = retries;
        }
        if self.find_persistent_server(session, core).is_err() {
            return self.deny_too_large(session, core);
        }
        self.enter(Activity::Assign, core.clock.monotonic_ms());
        Step::Again
    }

    /// `unique-id-format` of a TCP connection: logs and PROXY headers show it.
    fn name_connection(&mut self, session: &Session, core: &Core) {
        let snapshot = std::rc::Rc::clone(&session.snapshot);
        let frontend = snapshot.proxies.get(session.frontend.0 as usize);
        if let Some(format) = frontend.and_then(|frontend| frontend.unique_id_format.as_ref()) {
            let mut id = Vec::new();
            format.render(&self.context(session, core), &mut id);
            self.info.unique_id = Some(id);
        }
    }

    /// `option forwardfor`, `unique-id-header`; false when the head is full.
    fn add_option_headers(&mut self, session: &Session, core: &Core) -> bool {
        let snapshot = std::rc::Rc::clone(&session.snapshot);
        let frontend = snapshot.proxies.get(session.frontend.0 as usize);
        let backend = self.info.backend.and_then(|id| snapshot.proxies.get(id.0 as usize));
        let both = [backend, frontend];
        if !self.add_forwarded_for(session, both.map(|proxy| proxy?.forward_for.as_ref()))
            || !self.add_original_to(session, both.map(|proxy| proxy?.original_to.as_ref()))
        {
            return false;
        }
        let forwarded = backend.or(frontend).and_then(|proxy| proxy.forwarded.as_ref());
        if forwarded.is_some_and(|option| !self.add_forwarded(session, core, option)) {
            return false;
        }
        // RFC 8470 §5.1: whoever passes on what may be a replay says so.
        if session.info.early_pending && self.request.headers.add(b"early-data", b"1").is_err() {
            return false;
        }
        let Some(frontend) = frontend else { return true };
        let Some(format) = &frontend.unique_id_format else { return true };
        let mut id = Vec::new();
        format.render(&self.context(session, core), &mut id);
        let added = match &frontend.unique_id_header {
            Some(name) => self.request.headers.set(name.as_bytes(), &id).is_ok(),
            None => true,
        };
        self.info.unique_id = Some(id);
        added
    }

    fn count_request(&self, session: &Session, core: &Core) {
        let now_ms = core.clock.monotonic_ms();
        let process = &core.process;
        process.requests_total.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        process.request_rate.tick(now_ms);
        if let Some(frontend) = session.snapshot.frontend(session.frontend) {
            frontend.request_rate.tick(now_ms);
            frontend.counters.increment(Counter::Requests);
            let version = if session.is_stream() { Counter::Http2Requests } else { Counter::Http1Requests };
            frontend.counters.increment(version);
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

    /// `option forwardfor` of backend and frontend; false when the head is full.
    fn add_forwarded_for(&mut self, session: &Session, options: [Option<&ForwardFor>; 2]) -> bool {
        let Endpoint::Inet(source) = &session.info.source else { return true };
        self.add_address(source.ip(), options)
    }

    /// `option originalto` of backend and frontend; false when the head is full.
    fn add_original_to(&mut self, session: &Session, options: [Option<&ForwardFor>; 2]) -> bool {
        let Endpoint::Inet(destination) = &session.info.destination else { return true };
        self.add_address(destination.ip(), options)
    }

    /// The backend's header name wins; `if-none` counts only where both sides say it (manual, "option forwardfor").
    fn add_address(&mut self, ip: IpAddr, options: [Option<&ForwardFor>; 2]) -> bool {
        let mut given = options.into_iter().flatten();
        let Some(first) = given.clone().next() else { return true };
        let excepted = given.clone().any(|side| side.except.is_some_and(|net| net.contains(&ip)));
        let header = first.header.as_bytes();
        if excepted || given.all(|side| side.if_none) && self.request.headers.contains(header) {
            return true;
        }
        let mut text = [0; IP_TEXT_BYTES];
        let text = ip_text(ip, &mut text);
        self.request.headers.add(header, text).is_ok()
    }

    /// `use_backend`, `default_backend`, or the `listen` itself.
    fn choose_backend(&mut self, session: &Session, core: &Core) -> Option<ProxyId> {
        let proxy = session.snapshot.proxies.get(session.frontend.0 as usize)?;
        let forced = !proxy.force_switch.is_empty() && {
            let context = self.context(session, core);
            proxy.force_switch.iter().any(|condition| condition.eval(&context))
        };
        let takes = |id: ProxyId| {
            session
                .snapshot
                .backend(id)
                .is_some_and(|backend| !backend.model.disabled && (forced || backend.is_published()))
        };
        for rule in &proxy.use_backend {
            let context = self.context(session, core);
            if rule.condition.as_ref().is_some_and(|condition| !condition.eval(&context)) {
                continue;
            }
            match &rule.target {
                UseBackendTarget::Static(id) if takes(*id) => return Some(*id),
                UseBackendTarget::Static(_) => {}
                UseBackendTarget::Dynamic(format) => {
                    let mut name = Vec::new();
                    format.render(&context, &mut name);
                    match core.environment.find_backend(&name) {
                        Some(id) if takes(id) => return Some(id),
                        Some(_) => {}
                        // A name that nobody has ends the rules.
                        None => break,
                    }
                }
            }
        }
        if proxy.kind.is_backend() && proxy.default_backend.is_none() {
            return Some(session.frontend);
        }
        proxy.default_backend.filter(|id| takes(*id))
    }

    /// The backend's counters and options.
    fn enter_backend(&mut self, session: &mut Session, core: &mut Core, id: ProxyId) -> Flow {
        let snapshot = std::rc::Rc::clone(&session.snapshot);
        let Some(backend) = snapshot.backend(id) else {
            return Flow::Stop(self.fail(session, core, Fault::NoServer));
        };
        let now_ms = core.clock.monotonic_ms();
        self.info.backend = Some(id);
        backend.sessions.increment();
        if let Some(budget) = &backend.retry_budget {
            budget.deposit();
        }
        self.counted_in_backend = true;
        backend.counters.increment(Counter::Sessions);
        backend.session_rate.tick(now_ms);
        if self.has_request {
            backend.counters.increment(Counter::Requests);
            backend.request_rate.tick(now_ms);
        }
        if backend.model.connection_mode == crate::model::ConnectionMode::Close {
            self.client_keep_alive = false;
        }
        self.retries_left = backend.model.retries;
        Flow::Next
    }

    fn is_monitor_request(&self, proxy: &crate::model::Proxy) -> bool {
        proxy.monitor_uri.as_deref().is_some_and(|uri| uri.as_bytes() == self.request.wire_target())
    }

    fn deny_too_large(&mut self, session: &mut Session, core: &mut Core) -> Step {
        self.info.termination.set_once(Cause::Proxy, Phase::Request);
        self.reply_for(session, core, 400)
    }
}

fn is_http(session: &Session, backend: ProxyId) -> bool {
    session.snapshot.policies.get(backend.0 as usize).is_some_and(|policy| policy.is_http)
}
