//! The log line of a request or connection: whether there is one, its level, its text.

use std::io::Write as _;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use nix::sys::socket::{MsgFlags, recv};

use super::session::Session;
use super::state::Stream;
use crate::expr::{Direction, EvalCtx, Now};
use crate::model::{LogProfile, LogStep, Mode, Proxy};
use crate::rules::RuleSet;
use crate::runtime::Core;
use crate::runtime::log_writer::{LogWriter, Record};
use crate::txn::Endpoint;

/// Syslog's numbers.
const LEVEL_ERR: u8 = 3;
const LEVEL_INFO: u8 = 6;
/// `set-log-level silent`.
pub(super) const SILENT: u8 = 255;

impl Stream {
    /// What expressions see of the request, final.
    pub(super) fn context<'a>(&'a self, session: &'a Session, core: &'a Core) -> EvalCtx<'a> {
        EvalCtx {
            stream: Some(&self.info),
            request: self.has_request.then_some(&self.request),
            response: (self.response.status() > 0).then_some(&self.response),
            vars: Some(&session.vars),
            direction: Direction::Request,
            ..EvalCtx::new(&session.info, &*core.environment, now(core))
        }
    }

    /// Writes the line of a stream that is over.
    pub(super) fn write_log(&mut self, session: &Session, core: &mut Core) {
        let Some(proxy) = session.snapshot.proxies.get(session.frontend.0 as usize) else { return };
        let at = session.frontend.0 as usize;
        if self.is_logged || !core.log.is_wanted(at) || self.info.log_level == Some(SILENT) {
            return;
        }
        if proxy.log_format.is_none() && proxy.log_steps.is_none() {
            return;
        }
        let is_null = !self.has_request && self.info.bytes_uploaded == 0 && self.info.status == 0;
        if is_null && proxy.options.dontlognull && session.input.is_empty() && !session.has_unread(core) {
            return;
        }
        let failed = self.info.is_failure(proxy.mode == Mode::Http);
        if !failed && proxy.options.dontlog_normal {
            return;
        }
        if proxy.log_steps.is_some_and(|steps| steps & LogStep::Close.bit() == 0) {
            return;
        }
        self.note_connection_counts(session, core);
        let step = if failed { LogStep::Error } else { LogStep::Close };
        let level = self.level(proxy, failed);
        self.emit(session, core, &Line { proxy, at, level, step, profile: None });
        self.is_logged = true;
    }

    fn level(&self, proxy: &Proxy, failed: bool) -> u8 {
        match self.info.log_level {
            Some(level) => level,
            None if failed && proxy.options.log_separate_errors => LEVEL_ERR,
            None => LEVEL_INFO,
        }
    }

    /// A step of the stream's life that `log-steps` may name.
    pub(super) fn log_step(&mut self, session: &Session, core: &mut Core, step: LogStep) {
        let at = session.frontend.0 as usize;
        let Some(proxy) = session.snapshot.proxies.get(at) else { return };
        let is_wanted = proxy.log_steps.is_some_and(|steps| steps & step.bit() != 0);
        if !is_wanted || !core.log.is_wanted(at) || self.info.log_level == Some(SILENT) {
            return;
        }
        self.note_connection_counts(session, core);
        let level = self.level(proxy, false);
        self.emit(session, core, &Line { proxy, at, level, step, profile: None });
    }

    /// `do-log`: a line now, with the profile that the rule names.
    pub(super) fn log_by_rule(&mut self, session: &Session, core: &mut Core, set: RuleSet) {
        let name = self.effects.log_profile.take();
        let at = session.frontend.0 as usize;
        let Some(proxy) = session.snapshot.proxies.get(at).filter(|_| core.log.is_wanted(at)) else { return };
        let profile = name.and_then(|name| session.snapshot.log_profiles.get(&*name)).cloned();
        self.note_connection_counts(session, core);
        let level = self.level(proxy, false);
        let step = rule_step(set);
        self.emit(session, core, &Line { proxy, at, level, step, profile: profile.as_deref() });
    }

    fn emit(&self, session: &Session, core: &mut Core, line: &Line<'_>) {
        let mut log = std::mem::take(&mut core.log);
        let mut text = std::mem::take(&mut core.log_text);
        text.clear();
        let context = EvalCtx { log_origin: line.step.name(), ..self.context(session, core) };
        line.write(&context, core, &mut log, &mut text);
        core.log_text = text;
        core.log = log;
    }

    /// `option logasap`: the line is written as soon as an answer, or in TCP mode a server, is there.
    pub(super) fn log_early(&mut self, session: &Session, core: &mut Core) {
        let proxy = session.snapshot.proxies.get(session.frontend.0 as usize);
        if proxy.is_some_and(|proxy| proxy.options.logasap) {
            self.write_log(session, core);
        }
    }

    /// `%ac/%fc/%bc/%sc`: this request's own places in backend and server are given back by now.
    fn note_connection_counts(&mut self, session: &Session, core: &Core) {
        let info = &mut self.info;
        info.connections_process = core.process.connections.current();
        info.connections_frontend =
            session.snapshot.frontend(session.frontend).map_or(0, |frontend| frontend.sessions.current());
        let backend = session.snapshot.backend(info.backend.unwrap_or(session.frontend));
        info.connections_backend = backend.map_or(0, |backend| backend.sessions.current());
        let server = backend.and_then(|backend| backend.server(info.server?));
        info.connections_server = server.map_or(0, |server| server.sessions.current());
    }
}

impl Session {
    /// Whether the client has sent something that nobody has read: such a connection is no probe.
    fn has_unread(&self, core: &Core) -> bool {
        let Some(client) = core.connections.get(self.client) else { return false };
        let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
        recv(client.socket().as_raw_fd(), &mut [0; 1], flags).is_ok_and(|length| length > 0)
    }
}

/// The level of what is a failure whatever its details.
pub(super) fn failure_level(proxy: &Proxy) -> u8 {
    if proxy.options.log_separate_errors { LEVEL_ERR } else { LEVEL_INFO }
}

/// A line that is to be written.
struct Line<'a> {
    proxy: &'a Proxy,
    at: usize,
    level: u8,
    step: LogStep,
    /// `do-log profile`.
    profile: Option<&'a LogProfile>,
}

impl Line<'_> {
    /// Renders the proxy's format behind what `text` holds, and hands it to the writer.
    fn write(&self, context: &EvalCtx<'_>, core: &Core, log: &mut LogWriter, text: &mut Vec<u8>) {
        if let Some(format) = &self.proxy.log_format {
            format.render(context, text);
        }
        let mut data = Vec::new();
        if let Some(format) = &self.proxy.log_format_sd {
            format.render(context, &mut data);
        }
        let record = Record {
            level: self.level,
            wall_us: core.clock.wall_us,
            step: self.step,
            text,
            structured_data: &data,
            profile: self.profile,
        };
        log.write_with(&core.process, self.at, &record, &mut |format, out| format.render(context, out));
    }
}

/// The step that a rule's line belongs to.
fn rule_step(set: RuleSet) -> LogStep {
    match set {
        RuleSet::TcpRequestConnection => LogStep::TcpRequestConnection,
        RuleSet::TcpRequestSession => LogStep::TcpRequestSession,
        RuleSet::TcpRequestContent => LogStep::TcpRequestContent,
        RuleSet::TcpResponseContent => LogStep::TcpResponseContent,
        RuleSet::HttpRequest => LogStep::HttpRequest,
        RuleSet::HttpResponse => LogStep::HttpResponse,
        RuleSet::HttpAfterResponse => LogStep::HttpAfterResponse,
    }
}

/// A line about a session that has no stream: `do-log` in its rules, `log-steps accept`.
pub(super) fn log_session(session: &Session, core: &mut Core, step: LogStep, profile: Option<Arc<str>>) {
    let at = session.frontend.0 as usize;
    let Some(proxy) = session.snapshot.proxies.get(at).filter(|_| core.log.is_wanted(at)) else { return };
    let profile = profile.and_then(|name| session.snapshot.log_profiles.get(&*name)).cloned();
    let mut log = std::mem::take(&mut core.log);
    let mut text = std::mem::take(&mut core.log_text);
    text.clear();
    let environment = std::rc::Rc::clone(&core.environment);
    let context = EvalCtx {
        vars: Some(&session.vars),
        log_origin: step.name(),
        ..EvalCtx::new(&session.info, &*environment, now(core))
    };
    let line = Line { proxy, at, level: LEVEL_INFO, step, profile: profile.as_deref() };
    line.write(&context, core, &mut log, &mut text);
    core.log_text = text;
    core.log = log;
}

/// [`log_session`] for a rule.
pub(super) fn log_session_by_rule(
    session: &Session,
    core: &mut Core,
    set: RuleSet,
    profile: Option<Arc<str>>,
) {
    log_session(session, core, rule_step(set), profile);
}

/// The line of a proxy that has logs but no format: written when the connection comes.
pub(super) fn log_accept(session: &Session, core: &mut Core) {
    let Some(proxy) = session.snapshot.proxies.get(session.frontend.0 as usize) else { return };
    let at = session.frontend.0 as usize;
    if proxy.log_steps.is_some_and(|steps| steps & LogStep::Accept.bit() != 0) {
        return log_session(session, core, LogStep::Accept, None);
    }
    if proxy.log_format.is_some() || proxy.log_steps.is_some() || !core.log.is_wanted(at) {
        return;
    }
    let mut text = std::mem::take(&mut core.log_text);
    text.clear();
    let mode = if proxy.mode == Mode::Http { "HTTP" } else { "TCP" };
    let end = |endpoint: &Endpoint| match endpoint {
        Endpoint::Inet(address) => (address.ip().to_string(), address.port()),
        _ => ("unix".to_string(), session.info.listener_id as u16),
    };
    let ((from, from_port), (to, to_port)) = (end(&session.info.source), end(&session.info.destination));
    // Writing to a Vec cannot fail.
    let _ = write!(text, "Connect from {from}:{from_port} to {to}:{to_port} ({}/{mode})", proxy.name);
    let process = Arc::clone(&core.process);
    let (wall_us, step) = (core.clock.wall_us, LogStep::Accept);
    let record =
        Record { level: LEVEL_INFO, wall_us, step, text: &text, structured_data: &[], profile: None };
    core.log.write(&process, at, &record);
    core.log_text = text;
}

/// `option checkcache` has withheld a response.
pub(super) fn log_blocked_cookie(stream: &Stream, session: &Session, core: &mut Core) {
    let backend = stream.info.backend.and_then(|id| session.snapshot.backend(id));
    let Some(backend) = backend else { return };
    let server = stream.info.server.and_then(|id| backend.server(id));
    let mut text = std::mem::take(&mut core.log_text);
    text.clear();
    // Writing to a Vec cannot fail.
    let _ = write!(
        text,
        "Blocking cacheable cookie in response from instance {}, server {}.",
        backend.name(),
        server.map_or("", |server| server.name())
    );
    let process = Arc::clone(&core.process);
    let record = Record::event(hacore::logging::syslog::Level::Alert, core.clock.wall_us, &text);
    core.log.write(&process, backend.id.0 as usize, &record);
    core.log_text = text;
}

pub(super) fn now(core: &Core) -> Now {
    Now { wall_us: core.clock.wall_us, monotonic_us: core.clock.monotonic_us }
}
