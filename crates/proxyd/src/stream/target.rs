//! Which server gets the request, and the slot on it.

use std::rc::Rc;
use std::sync::Arc;

use hacore::balance::key::{self, KeySource};
use hacore::balance::{Request, ServerIndex};

use super::Step;
use super::fault::Fault;
use super::session::Session;
use super::state::{Activity, Stream, Waiting};
use crate::proxy::balancing;
use crate::proxy::{Applicant, Backend, Counter, Server, Slot};
use crate::runtime::{Core, LocalSnapshot};

impl Stream {
    /// Chooses a server unless one is fixed already, and takes a slot on it.
    pub(super) fn assign(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let snapshot = Rc::clone(&session.snapshot);
        let Some(backend) = self.info.backend.and_then(|id| snapshot.backend(id)) else {
            return self.fail(session, core, Fault::NoServer);
        };
        let applicant = Applicant {
            stream: session.key(),
            priority_class: i32::from(self.effects.priority_class),
            moment_us: i64::try_from(core.clock.monotonic_us)
                .unwrap_or(i64::MAX)
                .saturating_add(i64::from(self.effects.priority_offset_ms) * 1000),
        };
        let chosen = match self.info.server {
            Some(server) => backend.server(server),
            None => match self.last_server(session, backend) {
                Some(server) => Some(server),
                None => self.pick(session, core, backend),
            },
        };
        match chosen {
            Some(server) => match backend.take_slot(server, &applicant) {
                Slot::Taken => self.slot_taken(session, core, backend, server),
                Slot::Queued { ticket, before } => {
                    self.info.server = Some(server.id);
                    self.info.queue_server = before;
                    self.wait(core, Waiting { ticket, server: Some(server.id) })
                }
                Slot::QueueFull => self.fail(session, core, Fault::NoServer),
            },
            None if backend.used() > 0 => match backend.enter_queue(&applicant) {
                Some((ticket, before)) => {
                    self.info.queue_backend = before;
                    self.wait(core, Waiting { ticket, server: None })
                }
                None => self.fail(session, core, Fault::NoServer),
            },
            None => self.fail(session, core, Fault::NoServer),
        }
    }

    /// `option prefer-last-server`: where the session's last request went, unless requests are bound by a hash.
    fn last_server<'b>(&self, session: &Session, backend: &'b Backend) -> Option<&'b Arc<Server>> {
        if !backend.model.options.prefer_last_server || backend.key.is_some() || self.avoid.is_some() {
            return None;
        }
        let (of, server) = session.last_server?;
        let server = backend.server(server).filter(|_| of == backend.id)?;
        let queue_max = u32::try_from(backend.model.max_keep_alive_queue).ok();
        let queue_fits = queue_max.is_none_or(|max| server.queue.len() <= max);
        (server.is_usable() && queue_fits).then_some(server)
    }

    fn pick<'b>(
        &mut self,
        session: &Session,
        core: &mut Core,
        backend: &'b Backend,
    ) -> Option<&'b Arc<Server>> {
        let request = Request {
            hash: backend.key.as_ref().and_then(|key| self.hash(session, core, backend, key)),
            avoid: self.avoid.map(|server| ServerIndex(server.0)),
            seed: core.random(),
        };
        backend.pick(&request)
    }

    /// The hash of what the `balance` line names in the request.
    fn hash(&self, session: &Session, core: &Core, backend: &Backend, key: &balancing::Key) -> Option<u32> {
        let hash_type = balancing::hash_type(&backend.model.balance.hash_type);
        let bytes = match &key.source {
            KeySource::Source => return Some(hash_type.hash_source(session.info.source.ip()?)),
            KeySource::Uri(options) if self.has_request => key::uri(self.request.target(), options),
            KeySource::UrlParam { name } if self.has_request => {
                if self.request.framing() == crate::http::Framing::Chunked
                    && let Some(hash) = self.param_in_chunks(session, &hash_type, name.as_bytes())
                {
                    return Some(hash);
                }
                self.param(session, name.as_bytes())?
            }
            KeySource::Header { name, domain_only } if self.has_request => {
                key::header(self.request.headers.find(name.as_bytes())?, *domain_only)?
            }
            KeySource::RdpCookie { name } => key::rdp_cookie(session.input.as_slice(), name.as_bytes())?,
            KeySource::Expression => {
                let sample = key.expression.as_ref()?.eval(&self.context(session, core))?;
                let none = hash_type.function == hacore::hash::Function::None;
                let bytes = if none { sample.into_text()? } else { sample.into_binary()? };
                return Some(hash_type.hash(&bytes));
            }
            _ => return None,
        };
        Some(hash_type.hash(bytes))
    }

    fn param<'s>(&'s self, session: &'s Session, name: &[u8]) -> Option<&'s [u8]> {
        let in_uri = key::url_param(self.request.target(), name);
        let is_post = self.request.method() == crate::http::Method::Post;
        in_uri.or_else(|| is_post.then(|| key::body_param(session.input.as_slice(), name)).flatten())
    }

    /// The same in a body that comes in chunks.
    fn param_in_chunks(
        &self,
        session: &Session,
        hash_type: &hacore::hash::HashType,
        name: &[u8],
    ) -> Option<u32> {
        if self.request.method() != crate::http::Method::Post
            || key::url_param(self.request.target(), name).is_some()
        {
            return None;
        }
        let (body, _) = self.decoded_body(session)?;
        Some(hash_type.hash(key::body_param(&body, name)?))
    }

    fn wait(&mut self, core: &mut Core, waiting: Waiting) -> Step {
        self.waiting = Some(waiting);
        self.enter(Activity::Queue, core.clock.monotonic_ms());
        // The client may have left before it got here.
        Step::Again
    }

    fn slot_taken(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        backend: &Backend,
        server: &Server,
    ) -> Step {
        self.holds_slot = true;
        self.info.server = Some(server.id);
        self.info.timing.queue_done_us = Some(core.clock.monotonic_us);
        let now_ms = core.clock.monotonic_ms();
        server.counters.increment(Counter::Sessions);
        server.counters.increment(Counter::Balanced);
        backend.counters.increment(Counter::Balanced);
        server.session_rate.tick(now_ms);
        server.last_session_ms.store(now_ms, std::sync::atomic::Ordering::Relaxed);
        backend.last_session_ms.store(now_ms, std::sync::atomic::Ordering::Relaxed);
        if self.redirect_to_server(session, core, server) {
            return Step::Again;
        }
        self.enter(Activity::Connect, now_ms);
        Step::Again
    }

    /// The thread was told that this request holds a slot now.
    /// `false`: the request's configuration has no such server, the slot is not its.
    pub(super) fn slot_granted(&mut self, snapshot: &LocalSnapshot, server: &Server) -> bool {
        let backend = self.info.backend.and_then(|id| snapshot.backend(id));
        let Some(server) = backend.and_then(|backend| backend.server_like(server)) else { return false };
        self.waiting = None;
        self.info.server = Some(server.id);
        self.holds_slot = true;
        true
    }

    pub(super) fn wait_in_queue(&mut self, session: &mut Session, core: &mut Core) -> Step {
        if self.waiting.is_some() {
            return self.watch_client(session, core);
        }
        let snapshot = Rc::clone(&session.snapshot);
        let backend = self.info.backend.and_then(|id| snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        match (backend, server) {
            (Some(backend), Some(server)) => self.slot_taken(session, core, backend, server),
            _ => self.fail(session, core, Fault::NoServer),
        }
    }

    /// Leaves the queue; a slot that was granted meanwhile is returned when its message arrives.
    pub(super) fn leave_queue(&mut self, session: &Session) {
        let Some(waiting) = self.waiting.take() else { return };
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else { return };
        let server = waiting.server.and_then(|server| backend.server(server));
        backend.leave_queue(server.map(|server| &**server), &waiting.ticket);
    }

    /// Leaves the queue of `server` and looks for another one, unless a slot was granted meanwhile.
    pub(super) fn requeue(&mut self, session: &Session, server: &Server) {
        let Some(waiting) = self.waiting.filter(|waiting| waiting.server.is_some()) else { return };
        let Some(backend) = self.info.backend.and_then(|id| session.snapshot.backend(id)) else { return };
        let Some(own) = waiting.server.and_then(|id| backend.server(id)).filter(|own| own.is(server)) else {
            return;
        };
        if backend.leave_queue(Some(own), &waiting.ticket) {
            self.waiting = None;
            self.info.server = None;
            self.is_persistent = false;
            self.activity = Activity::Assign;
        }
    }

    /// Gives the slot to the next in line.
    pub(super) fn release_slot(&mut self, session: &Session, core: &mut Core) {
        if !std::mem::take(&mut self.holds_slot) {
            return;
        }
        let backend = self.info.backend.and_then(|id| session.snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        if let (Some(backend), Some(server)) = (backend, server) {
            release(core, backend, server);
        }
    }
}

fn release(core: &mut Core, backend: &Backend, server: &Server) {
    backend.release_slot(server);
    if !backend.is_limited() {
        return;
    }
    for older in backend.older() {
        serve_waiting(core, &older, server);
    }
    serve_waiting(core, backend, server);
    let snapshot = Rc::clone(&core.snapshot);
    if !snapshot.backend(backend.id).is_some_and(|newest| std::ptr::eq(&**newest, backend))
        && let Some(newest) = snapshot.backend_named(backend.name())
    {
        serve_waiting(core, newest, server);
    }
}

/// Lets those who wait for the server in this configuration of its backend go on.
fn serve_waiting(core: &mut Core, backend: &Backend, server: &Server) {
    let Some(server) = backend.server_like(server) else { return };
    while let Some(ticket) = backend.next_waiting(server) {
        core.grant(ticket.stream, server);
    }
}

/// A slot was granted to a request that is no more.
pub fn return_slot(core: &mut Core, server: &Server) {
    let snapshot = Rc::clone(&core.snapshot);
    let has = |backend: &&Arc<Backend>| backend.server_like(server).is_some();
    let at_its_place = snapshot.backend(server.backend).filter(has);
    match at_its_place.or_else(|| snapshot.backends().find(has)) {
        Some(backend) => release(core, backend, server),
        // It was removed from the configuration.
        None => {
            server.sessions.decrement();
        }
    }
}

/// Looks for requests that wait although a server has room: one that came up, or got a higher `maxconn`.
pub fn serve_queues(core: &mut Core) {
    let snapshot = Rc::clone(&core.snapshot);
    for backend in snapshot.backends() {
        for older in backend.older() {
            serve_queues_of(core, &older);
        }
        serve_queues_of(core, backend);
    }
}

fn serve_queues_of(core: &mut Core, backend: &Backend) {
    if backend.queued() > 0 {
        for server in backend.servers.iter().filter(|server| server.is_usable()) {
            serve_waiting(core, backend, server);
        }
    }
}
