//! Rule sets at their places in a request's life, and what the data plane does for each verdict.
//!
//! ```text
//! tcp-request content ─ http-request ─ use_backend ─ (backend:) tcp-request content ─ http-request ─▶ server
//! http-response (backend, frontend) ─ http-after-response (backend, frontend) ─▶ client
//! ```

use std::rc::Rc;

use super::Step;
use super::reading::More;
use super::session::Session;
use super::state::{Activity, Stream};
use crate::expr::{Direction, Payload};
use crate::http::{ResponseHead, Version};
use crate::model::{LogStep, ProxyId};
use crate::proxy::Counter;
use crate::rules::{RuleSet, Txn, Verdict, evaluate};
use crate::runtime::Core;
use crate::txn::{Cause, Phase};

/// Where the evaluation of the request's rules stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Stage {
    #[default]
    FrontendContent,
    FrontendBody,
    FrontendHttp,
    Switching,
    BackendContent,
    BackendBody,
    BackendHttp,
    Done,
}

/// What a rule set means for the flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flow {
    /// The next set.
    Next,
    /// The request is answered or ended, or waits.
    Stop(Step),
}

impl Stream {
    /// Runs one set of one proxy.
    pub(super) fn run_rules(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        set: RuleSet,
        of: ProxyId,
    ) -> Verdict {
        loop {
            let verdict = self.run_rules_until_log(session, core, set, of);
            if verdict != Verdict::Log {
                return verdict;
            }
            self.log_by_rule(session, core, set);
        }
    }

    fn run_rules_until_log(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        set: RuleSet,
        of: ProxyId,
    ) -> Verdict {
        let snapshot = Rc::clone(&session.snapshot);
        let (Some(proxy), Some(policy)) =
            (snapshot.proxies.get(of.0 as usize), snapshot.policies.get(of.0 as usize))
        else {
            return Verdict::Continue;
        };
        let rules = proxy.rules.of(set);
        if rules.is_empty() {
            return Verdict::Continue;
        }
        let is_response = set.is_response();
        let environment = Rc::clone(&core.environment);
        let is_final = match set {
            RuleSet::TcpResponseContent => self.response_rules_are_final(session, core),
            _ => set.is_http() || self.rules_are_final(session, core),
        };
        let mut progress = self.progress;
        let mut scratch = std::mem::take(&mut core.rule_scratch);
        let decoded = self.decoded_body(session);
        // A TCP stream has no message whose end could be known.
        let announced = self.up.announced().filter(|_| self.has_request);
        let request_payload = match &decoded {
            Some((data, complete)) => {
                Payload { data, complete: *complete, announced_bytes: complete.then_some(data.len() as u64) }
            }
            None => Payload {
                data: session.input.as_slice(),
                complete: announced.is_some_and(|bytes| session.input.len() as u64 >= bytes),
                announced_bytes: announced,
            },
        };
        let decoded_response = is_response.then(|| self.decoded_response_body(session)).flatten();
        let response_payload = match &decoded_response {
            Some((data, complete)) => {
                Payload { data, complete: *complete, announced_bytes: complete.then_some(data.len() as u64) }
            }
            None => Payload {
                data: self.server_input.as_slice(),
                complete: self.server_closed,
                ..Payload::default()
            },
        };
        let mut txn = Txn {
            session: &mut session.info,
            stream: Some(&mut self.info),
            request: self.has_request.then_some(&mut self.request),
            response: (is_response && self.has_request).then_some(&mut self.response),
            request_payload,
            response_payload,
            vars: &session.vars,
            env: &*environment,
            now: super::access_log::now(core),
            direction: if is_response { Direction::Response } else { Direction::Request },
            is_final,
            wait_expired: self.body_wait_over,
            pages: &policy.error_pages,
            reply: &mut self.reply,
            effects: &mut self.effects,
            scratch: &mut scratch,
        };
        let verdict = evaluate(rules, &mut progress, &mut txn);
        core.rule_scratch = scratch;
        self.progress = progress;
        session.mark_client(core, &mut self.effects);
        verdict
    }

    /// Nothing more will come that content rules could wait for.
    fn rules_are_final(&self, session: &Session, core: &Core) -> bool {
        let closed = core.connections.get(session.client).is_none_or(|client| client.is_hung_up());
        self.has_request
            || self.wait_expired
            || closed
            || session.input.len() >= session.snapshot.global.bufsize_bytes
    }

    /// The request's sets one after the other; leaves when the request has to wait or is answered.
    pub(super) fn run_request_stages(&mut self, session: &mut Session, core: &mut Core) -> Step {
        loop {
            let frontend = session.frontend;
            let backend = self.info.backend.unwrap_or(frontend);
            let (set, of, next) = match self.stage {
                Stage::FrontendContent => (RuleSet::TcpRequestContent, frontend, Stage::FrontendBody),
                Stage::FrontendBody | Stage::BackendBody => {
                    let (of, next) = match self.stage {
                        Stage::FrontendBody => (frontend, Stage::FrontendHttp),
                        _ => (backend, Stage::BackendHttp),
                    };
                    match self.buffer_request(session, core, of) {
                        Flow::Next => self.stage_done(core, next),
                        Flow::Stop(step) => return step,
                    }
                    continue;
                }
                Stage::FrontendHttp => (RuleSet::HttpRequest, frontend, Stage::Switching),
                Stage::Switching => {
                    self.stage = Stage::BackendContent;
                    match self.switch_backend(session, core) {
                        Flow::Next => continue,
                        Flow::Stop(step) => return step,
                    }
                }
                // A `listen` is its own backend: its rules have run.
                Stage::BackendContent if backend == frontend => {
                    self.stage = Stage::Done;
                    continue;
                }
                Stage::BackendContent => (RuleSet::TcpRequestContent, backend, Stage::BackendBody),
                Stage::BackendHttp => (RuleSet::HttpRequest, backend, Stage::Done),
                Stage::Done => {
                    if self.has_request {
                        self.log_step(session, core, LogStep::Request);
                    }
                    return self.request_ready(session, core);
                }
            };
            if set.is_http() && !self.has_request {
                self.stage = next;
                continue;
            }
            let stage = self.stage;
            let verdict = self.run_rules(session, core, set, of);
            if set.is_http() && !self.effects.early_hints.is_empty() {
                self.send_early_hints(session, core);
            }
            match self.obey(session, core, verdict, of) {
                Flow::Next => self.stage_done(core, next),
                Flow::Stop(step) => return step,
            }
            if set.is_http()
                && let Some(Flow::Stop(step)) = self.serve_stats(session, core, of)
            {
                if self.activity == Activity::Inspect {
                    // The form's body is awaited; then the page is looked at again.
                    self.stage = stage;
                }
                return step;
            }
        }
    }

    fn stage_done(&mut self, core: &Core, next: Stage) {
        self.stage = next;
        self.wait_expired = false;
        self.body_wait_over = false;
        if self.activity == Activity::Inspect {
            // What waits next has its own time.
            self.enter(Activity::Start, core.clock.monotonic_ms());
        }
    }

    /// `early-hint`: a 103 to clients that know interim answers (RFC 8297).
    fn send_early_hints(&mut self, session: &Session, core: &mut Core) {
        let mut head = ResponseHead::default();
        head.headers.copy_from(&self.effects.early_hints);
        self.effects.early_hints.clear();
        let named = head.set_start_line(Version::HTTP_11, 103, b"Early Hints");
        if named.is_err() || self.request.version() < Version::HTTP_11 {
            return;
        }
        // A client that is gone is noticed by whoever sends the answer.
        self.send_interim(session, core, &head);
    }

    /// Carries a request rule set's verdict out.
    fn obey(&mut self, session: &mut Session, core: &mut Core, verdict: Verdict, of: ProxyId) -> Flow {
        let status = match verdict {
            Verdict::Continue | Verdict::Allow | Verdict::Log => return Flow::Next,
            Verdict::SwitchMode if self.has_request => return Flow::Next,
            Verdict::SwitchMode => return Flow::Stop(self.switch_to_http(session, core)),
            Verdict::Wait => return self.wait_for_content(session, core, of),
            Verdict::WaitForBody { timeout, at_least_bytes } => {
                return self.wait_for_body(session, core, timeout, at_least_bytes);
            }
            Verdict::WaitForHandshake => return self.wait_for_handshake(session, core),
            Verdict::Deny => {
                self.count_denied(session, of);
                self.info.termination.set_once(Cause::Proxy, Phase::Request);
                return self.send_rule_reply(session, core);
            }
            Verdict::Return => {
                self.info.termination.set_once(Cause::Local, Phase::Request);
                self.count_intercepted(session);
                return self.send_rule_reply(session, core);
            }
            Verdict::Metrics => return self.serve_metrics(session, core),
            Verdict::Tarpit => {
                self.count_denied(session, of);
                self.enter(Activity::Tarpit, core.clock.monotonic_ms());
                return Flow::Stop(Step::Wait);
            }
            Verdict::Reject | Verdict::SilentDrop => {
                if verdict == Verdict::SilentDrop {
                    session.drop_silently(core, self.effects.reset_ttl);
                }
                self.count_denied(session, of);
                self.info.termination.set_once(Cause::Proxy, Phase::Request);
                // The request was not taken: it has no time (`TR` is -1).
                self.info.timing.request_done_us = None;
                self.client_keep_alive = false;
                return Flow::Stop(self.finish(session, core));
            }
            Verdict::Failed => 500,
        };
        self.info.termination.set_once(Cause::Proxy, Phase::Request);
        self.keep_alive_only_if_received();
        Flow::Stop(self.reply_for(session, core, status))
    }

    /// A TCP stream becomes HTTP, unless its `bind` line says that it may not.
    pub(super) fn switch_to_http(&mut self, session: &mut Session, core: &mut Core) -> Step {
        if session.listener.model.protocol.as_deref() == Some("none") {
            self.info.termination.set_once(Cause::Proxy, Phase::Request);
            return self.finish(session, core);
        }
        session.http1_only = self.effects.http1_only;
        Step::Upgrade
    }

    fn wait_for_content(&mut self, session: &Session, core: &mut Core, of: ProxyId) -> Flow {
        let delay = session.snapshot.proxies.get(of.0 as usize).and_then(|proxy| proxy.request_inspect_delay);
        if delay.is_none() {
            self.wait_expired = true;
            return Flow::Stop(Step::Again);
        }
        self.wait_ms = delay.map(|delay| u64::try_from(delay.as_millis()).unwrap_or(u64::MAX));
        if self.activity != Activity::Inspect {
            self.enter(Activity::Inspect, core.clock.monotonic_ms());
        }
        Flow::Stop(Step::Wait)
    }

    /// `wait-for-body`, `option http-buffer-request`.
    pub(super) fn wait_for_body(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        timeout: std::time::Duration,
        at_least_bytes: u64,
    ) -> Flow {
        let enough = at_least_bytes > 0 && session.input.len() as u64 >= at_least_bytes;
        if enough || self.has_whole_body(session) || self.is_cut {
            self.limit_rewriting(session);
            self.body_wait_over = true;
            return Flow::Stop(Step::Again);
        }
        if self.wait_expired {
            return match self.body_is_late(session, core) {
                Flow::Next => {
                    self.body_wait_over = true;
                    Flow::Stop(Step::Again)
                }
                stop => stop,
            };
        }
        self.allow_body(session, core);
        self.wait_ms = Some(u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX));
        if self.activity != Activity::Inspect {
            self.enter(Activity::Inspect, core.clock.monotonic_ms());
        }
        Flow::Stop(Step::Wait)
    }

    /// `wait-for-handshake`.
    fn wait_for_handshake(&mut self, session: &mut Session, core: &mut Core) -> Flow {
        // Its end may have come already, without anything that would be read as part of a request.
        let came = session.read_more(core);
        if session.confirm_early(core) {
            return Flow::Stop(Step::Again);
        }
        if self.wait_expired || matches!(came, More::Closed) {
            self.info.termination.set_once(Cause::ClientTimeout, Phase::Request);
            self.client_keep_alive = false;
            return Flow::Stop(self.reply_for(session, core, 408));
        }
        self.wait_ms = session.policy().handshake_ms;
        if self.activity != Activity::Inspect {
            self.enter(Activity::Inspect, core.clock.monotonic_ms());
        }
        Flow::Stop(Step::Wait)
    }

    pub(super) fn count_denied(&self, session: &Session, of: ProxyId) {
        if let Some(frontend) = session.snapshot.frontend(session.frontend) {
            frontend.counters.increment(Counter::DeniedRequests);
        }
        if of != session.frontend
            && let Some(backend) = session.snapshot.backend(of)
        {
            backend.counters.increment(Counter::DeniedRequests);
        }
    }

    pub(super) fn count_intercepted(&self, session: &Session) {
        if let Some(frontend) = session.snapshot.frontend(session.frontend) {
            frontend.counters.increment(Counter::Intercepted);
        }
    }

    pub(super) fn keep_alive_only_if_received(&mut self) {
        if !self.up.is_received() {
            self.client_keep_alive = false;
        }
    }

    /// Sends the reply that a rule built.
    pub(super) fn send_rule_reply(&mut self, session: &mut Session, core: &mut Core) -> Flow {
        self.keep_alive_only_if_received();
        if !self.has_request {
            self.client_keep_alive = false;
            return Flow::Stop(self.finish(session, core));
        }
        if self.reply.is_silent {
            self.client_keep_alive = false;
            return Flow::Stop(self.finish(session, core));
        }
        std::mem::swap(&mut self.response, &mut self.reply.head);
        self.info.status = self.response.status();
        let body = std::mem::take(&mut self.reply.body);
        self.after_response(session, core);
        self.queue_reply(session, core, &body);
        self.reply.body = body;
        Flow::Stop(Step::Again)
    }

    /// The tarpit's time is over: the reply at last.
    pub(super) fn leave_tarpit(&mut self, session: &mut Session, core: &mut Core) {
        self.info.termination.set_once(Cause::Proxy, Phase::Tarpit);
        // The time in the tarpit shows as time in a queue (manual, section 8.5, "PT").
        self.info.timing.request_done_us = None;
        self.info.timing.queue_done_us = Some(core.clock.monotonic_us);
        self.send_rule_reply(session, core);
    }

    /// `http-response` of backend and frontend; a status to answer with instead if a rule says so.
    pub(super) fn response_rules(&mut self, session: &mut Session, core: &mut Core) -> Verdict {
        for of in self.both_proxies(session) {
            let is_last = of == session.frontend;
            if self.backend_has_judged && !is_last {
                continue;
            }
            let verdict = self.run_rules(session, core, RuleSet::HttpResponse, of);
            if !matches!(verdict, Verdict::WaitForBody { .. }) {
                self.backend_has_judged = true;
                self.body_wait_over = false;
            }
            match verdict {
                // `allow` ends the rules of its section only.
                Verdict::Continue | Verdict::Allow => {}
                Verdict::Deny => {
                    self.count_denied_response(session);
                    return verdict;
                }
                other => return other,
            }
        }
        Verdict::Continue
    }

    /// `http-after-response`: for every answer, the proxy's own ones too.
    pub(super) fn after_response(&mut self, session: &mut Session, core: &mut Core) {
        for of in self.both_proxies(session) {
            self.run_rules(session, core, RuleSet::HttpAfterResponse, of);
        }
    }

    fn both_proxies(&self, session: &Session) -> impl Iterator<Item = ProxyId> + use<> {
        let frontend = session.frontend;
        self.info.backend.filter(|backend| *backend != frontend).into_iter().chain([frontend])
    }

    pub(super) fn count_denied_response(&self, session: &Session) {
        if let Some(frontend) = session.snapshot.frontend(session.frontend) {
            frontend.counters.increment(Counter::DeniedResponses);
        }
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else { return };
        backend.counters.increment(Counter::DeniedResponses);
        if let Some(server) = self.info.server.and_then(|id| backend.server(id)) {
            server.counters.increment(Counter::DeniedResponses);
        }
    }
}
