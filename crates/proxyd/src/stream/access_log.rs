//! The log line of a request or connection: whether there is one, its level, its text.

use std::io::Write as _;

use super::session::Session;
use super::state::Stream;
use crate::expr::{Direction, EvalCtx, Now};
use crate::model::{Mode, Proxy};
use crate::runtime::Core;
use crate::txn::{Cause, Endpoint};

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
        let Some(format) = &proxy.log_format else { return };
        let is_null = !self.has_request && self.info.bytes_uploaded == 0 && self.info.status == 0;
        if is_null && proxy.options.dontlognull && session.input.is_empty() {
            return;
        }
        let failed = self.is_failure(proxy);
        if !failed && proxy.options.dontlog_normal {
            return;
        }
        self.note_connection_counts(session, core);
        let level = match self.info.log_level {
            Some(level) => level,
            None if failed && proxy.options.log_separate_errors => LEVEL_ERR,
            None => LEVEL_INFO,
        };
        let mut text = std::mem::take(&mut core.log_text);
        text.clear();
        format.render(&self.context(session, core), &mut text);
        let process = std::sync::Arc::clone(&core.process);
        core.log.write(&process, at, level, core.clock.wall_us, &text);
        core.log_text = text;
        self.is_logged = true;
    }

    /// `option logasap`: the line is written as soon as an answer, or in TCP mode a server, is there.
    pub(super) fn log_early(&mut self, session: &Session, core: &mut Core) {
        let proxy = session.snapshot.proxies.get(session.frontend.0 as usize);
        if proxy.is_some_and(|proxy| proxy.options.logasap) {
            self.write_log(session, core);
        }
    }

    /// What `dontlog-normal` and `log-separate-errors` call an error.
    fn is_failure(&self, proxy: &Proxy) -> bool {
        let info = &self.info;
        let cause = info.termination.cause;
        info.redispatched
            || !matches!(cause, Cause::Normal | Cause::Local)
            || cause == Cause::Normal && info.retries > 0
            || proxy.mode == Mode::Http && info.status >= 500
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

/// The level of what is a failure whatever its details.
pub(super) fn failure_level(proxy: &Proxy) -> u8 {
    if proxy.options.log_separate_errors { LEVEL_ERR } else { LEVEL_INFO }
}

/// The line of a proxy that has logs but no format: written when the connection comes.
pub(super) fn log_accept(session: &Session, core: &mut Core) {
    let Some(proxy) = session.snapshot.proxies.get(session.frontend.0 as usize) else { return };
    let at = session.frontend.0 as usize;
    if proxy.log_format.is_some() || !core.log.is_wanted(at) {
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
    let process = std::sync::Arc::clone(&core.process);
    core.log.write(&process, at, LEVEL_INFO, core.clock.wall_us, &text);
    core.log_text = text;
}

pub(super) fn now(core: &Core) -> Now {
    Now { wall_us: core.clock.wall_us, monotonic_us: core.clock.monotonic_us }
}
