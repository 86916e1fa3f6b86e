//! The connection to the server: reused or new, its failures, retries and redispatch.

use std::os::fd::AsRawFd;
use std::rc::Rc;

use hacore::proxy_protocol::find_tlv;

use super::Step;
use super::fault::Fault;
use super::greeting;
use super::idle_pool::Wanted;
use super::route::{self, Route};
use super::session::Session;
use super::state::{Activity, Stream};
use crate::model::{Address, HttpReuse, LogStep};
use crate::net::socket::{self, ConnectOptions, Marks};
use crate::net::{Connection, ConnectionKey, Greeting, Owner};
use crate::proxy::{Backend, Counter, Server};
use crate::runtime::Core;

impl Stream {
    /// Takes an idle connection or starts a new one.
    pub(super) fn connect(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let snapshot = Rc::clone(&session.snapshot);
        let backend = self.info.backend.and_then(|id| snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        let (Some(backend), Some(server)) = (backend, server) else {
            return self.fail(session, core, Fault::NoServer);
        };
        if self.has_request
            && (self.reuse_http2(session, core, backend, server)
                || self.reuse(session, core, backend, server))
        {
            server.counters.increment(Counter::Reuses);
            backend.counters.increment(Counter::Reuses);
            return self.connected(session, core, backend, server);
        }
        if let Some(step) = self.borrow_idle(session, core, backend, server) {
            return step;
        }
        if let Some(step) = self.make_room_for_connection(session, core, backend, server) {
            return step;
        }
        let route = self.route(session, core, backend, server);
        self.server_identity = route.identity;
        let started = self.open(session, core, backend, server, route);
        self.enter(Activity::Connecting, core.clock.monotonic_ms());
        self.server_requests = 0;
        match started {
            Ok(key) => {
                self.server_connection = Some(key);
                Step::Wait
            }
            Err(error) => {
                let ours =
                    matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::EADDRNOTAVAIL));
                self.attempt_failed(session, core, if ours { Fault::Resource } else { Fault::ConnectFailed })
            }
        }
    }

    /// A socket on its way to the server.
    fn open(
        &self,
        session: &Session,
        core: &mut Core,
        backend: &Backend,
        server: &Server,
        route: Route,
    ) -> std::io::Result<ConnectionKey> {
        let (model, options) = (&server.model, &backend.model.options);
        let greeting = match (model.socks4, &route.destination) {
            (Some(_), Address::Inet(address)) => Greeting::through_socks4(*address, route.greeting)
                .ok_or_else(|| std::io::Error::other("SOCKS4 has no IPv6"))?,
            _ => Greeting::new(route.greeting),
        };
        let begins = self.has_request || !session.input.is_empty() || !greeting.is_empty();
        let namespace = match model.namespace.as_deref() {
            // The one that the client's PROXY header named, if it did.
            Some("*") => {
                session.info.proxy_tlvs.as_deref().and_then(|tlvs| find_tlv(tlvs, greeting::NAMESPACE))
            }
            name => name.map(str::as_bytes),
        };
        let options = ConnectOptions {
            source: route::source(backend, server),
            presented: route.presented,
            namespace: namespace.and_then(|name| std::str::from_utf8(name).ok()),
            congestion_control: model.congestion_control.as_deref(),
            // Without anything to say the connection would never be opened.
            fast_open: model.tcp_fast_open && (begins || server.uses_tls()),
            user_timeout_ms: model.tcp_user_timeout_ms,
            keepalive: options.srvtcpka.then_some(backend.model.server_keepalive),
            nolinger: options.nolinger,
            delay_ack: options.tcp_smart_connect,
            marks: Marks { netfilter: self.effects.server_mark, tos: self.effects.server_tos },
        };
        let destination = model.socks4.map_or(route.destination, Address::Inet);
        let socket = socket::connect(&destination, options)?;
        let mut connection = Connection::connecting(socket);
        connection.owner = Owner::Server(session.key().slot);
        connection.set_greeting(greeting);
        if !self.start_server_tls(session, core, server, &mut connection) {
            return Err(std::io::Error::other("TLS"));
        }
        core.connections.insert(&core.poller, connection)
    }

    fn reuse(&mut self, session: &mut Session, core: &mut Core, backend: &Backend, server: &Server) -> bool {
        let first = session.info.requests_before <= 1;
        let identity = self.identity(session, core, backend, server);
        let private = session.private.take();
        let own = private.filter(|private| {
            private.backend == backend.id && private.server == server.id && private.identity == identity
        });
        if let Some(private) = private.filter(|_| own.is_none()) {
            core.close(private.key);
        }
        let own = own.filter(|private| {
            let quiet = core.connections.get_mut(private.key).is_some_and(Connection::is_quiet);
            if !quiet {
                core.close(private.key);
            }
            quiet
        });
        let (key, requests) = match own {
            Some(private) => (private.key, private.requests),
            None => {
                let same = Rc::ptr_eq(&session.snapshot, &core.snapshot);
                let pool = session.snapshot.pool_of(backend.id, server.id);
                let wanted = Wanted { pool, reuse: backend.model.http_reuse, first_request: first, identity };
                match core.take_idle(server, &wanted).filter(|_| same) {
                    Some(reused) => (reused.key, reused.requests),
                    None => return false,
                }
            }
        };
        self.server_identity = identity;
        let Some(connection) = core.connections.get_mut(key) else { return false };
        connection.owner = Owner::Server(session.key().slot);
        self.server_connection = Some(key);
        self.server_requests = requests;
        true
    }

    /// Looks whether the handshake has ended.
    pub(super) fn connecting(&mut self, session: &mut Session, core: &mut Core) -> Step {
        let Some(connection) = self.server_connection.and_then(|key| core.connections.get(key)) else {
            return self.attempt_failed(session, core, Fault::ConnectFailed);
        };
        if connection.is_broken() || connection.is_writable() && connection.is_hung_up() {
            // A server that accepts, answers and closes at once is hung up but has no error.
            if connection.connect_error().is_some() || connection.is_broken() {
                return self.attempt_failed(session, core, Fault::ConnectFailed);
            }
        }
        if !connection.is_writable() {
            return self.watch_client(session, core);
        }
        let greeted =
            self.server_connection.and_then(|key| core.connections.get_mut(key)?.send_greeting().ok());
        match greeted {
            Some(true) => {}
            Some(false) => return self.watch_client(session, core),
            None => return self.attempt_failed(session, core, Fault::ConnectFailed),
        }
        match self.server_connection.and_then(|key| self.shake_server_hands(core, key)) {
            None => return self.watch_client(session, core),
            Some(false) => return self.attempt_failed(session, core, Fault::ConnectFailed),
            Some(true) => {}
        }
        let snapshot = Rc::clone(&session.snapshot);
        let backend = self.info.backend.and_then(|id| snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        let (Some(backend), Some(server)) = (backend, server) else {
            return self.fail(session, core, Fault::NoServer);
        };
        server.counters.increment(Counter::Connects);
        backend.counters.increment(Counter::Connects);
        if self.is_http2_server(core, server) && !self.become_stream(session, core, backend, server) {
            return self.attempt_failed(session, core, Fault::ConnectFailed);
        }
        self.connected(session, core, backend, server)
    }

    fn connected(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        backend: &Backend,
        server: &Server,
    ) -> Step {
        let now_ms = core.clock.monotonic_ms();
        self.info.timing.connect_done_us = Some(core.clock.monotonic_us);
        self.observed(session, core, hacore::health::Observation::Connected);
        self.server_active_ms = now_ms;
        let connection = self.server_connection.and_then(|key| core.connections.get(key));
        self.info.server_socket = connection.map(|connection| connection.socket().as_raw_fd());
        let _ = backend;
        if session.snapshot.global.reads_server_ends
            && let Some(connection) = self.server_connection.and_then(|key| core.connections.get(key))
        {
            (self.info.server_local, self.info.server_peer) = socket::ends(connection.socket());
        }
        self.log_step(session, core, LogStep::Connect);
        if server.uses_tls() {
            let connection = self.server_connection.and_then(|key| core.connections.get(key));
            self.info.server_tls = connection.and_then(Connection::tls_facts).cloned();
        }
        if self.has_request {
            self.enter(Activity::Exchange, now_ms);
        } else {
            self.log_early(session, core);
            self.start_relay(session, core);
        }
        Step::Again
    }

    /// One attempt failed: another one now or after a pause, on this server or another, or the end.
    pub(super) fn attempt_failed(&mut self, session: &mut Session, core: &mut Core, fault: Fault) -> Step {
        if let Some(key) = self.server_connection.take() {
            core.close(key);
        }
        let snapshot = Rc::clone(&session.snapshot);
        let backend = self.info.backend.and_then(|id| snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        let (Some(backend), Some(server)) = (backend, server) else { return self.fail(session, core, fault) };
        let policy = snapshot.policies.get(backend.id.0 as usize);
        self.observed_fault(session, core, fault);
        let may_retry = policy.is_none_or(|policy| policy.retry_on.connect_failure)
            && (self.retries_left == 0 || within_retry_budget(backend, core));
        if self.retries_left == 0 || fault == Fault::Resource || !may_retry {
            server.counters.increment(Counter::FailedConnections);
            backend.counters.increment(Counter::FailedConnections);
            return self.fail(session, core, fault);
        }
        self.retries_left -= 1;
        self.info.retries += 1;
        // A time-out itself was the pause.
        let pause = if fault == Fault::ConnectTimeout { Activity::Connect } else { Activity::Pause };
        self.next_attempt(session, core, backend, server, pause)
    }

    /// On another server, or on this one after `pause`.
    pub(super) fn next_attempt(
        &mut self,
        session: &mut Session,
        core: &mut Core,
        backend: &Backend,
        server: &Server,
        pause: Activity,
    ) -> Step {
        let elsewhere = self.redispatches(backend, server);
        self.info.timing.connect_done_us = None;
        if elsewhere {
            self.info.redispatched = true;
            server.counters.increment(Counter::Redispatches);
            backend.counters.increment(Counter::Redispatches);
            self.release_slot(session, core);
            self.avoid = Some(server.id);
            self.info.server = None;
            self.is_persistent = false;
            self.enter(Activity::Assign, core.clock.monotonic_ms());
            return Step::Again;
        }
        server.counters.increment(Counter::Retries);
        backend.counters.increment(Counter::Retries);
        self.enter(pause, core.clock.monotonic_ms());
        if pause == Activity::Pause { Step::Wait } else { Step::Again }
    }

    /// Whether this retry runs the balancing again (design: BALANCING 9.6).
    fn redispatches(&self, backend: &Backend, server: &Server) -> bool {
        let Some(interval) = backend.model.redispatch else { return false };
        let retries = i64::from(backend.model.retries);
        let attempt = i64::from(self.info.retries);
        let due = match i64::from(interval) {
            0 => false,
            every if every > 0 => attempt % every == 0,
            before_last => {
                let every = retries + 1 + before_last;
                every > 0 && attempt % every == 0
            }
        };
        server.is_stopped() || due || self.may_leave_at_once(backend)
    }

    fn may_leave_at_once(&self, backend: &Backend) -> bool {
        !self.is_persistent && backend.key.is_none() && backend.balancer.lock().usable().0 > 1
    }

    /// The pause before a retry: a second, or `timeout connect` if that is less.
    pub(super) fn pause_ms(session: &Session, backend: Option<crate::model::ProxyId>) -> u64 {
        let connect_ms = backend.and_then(|id| session.snapshot.policies.get(id.0 as usize)?.connect_ms);
        connect_ms.unwrap_or(1000).min(1000)
    }

    /// Before the last bytes of a response go out: its server connection is idle by then. A client that has its answer
    /// may come back at once on another thread, which must find that connection, and not open one more.
    pub(super) fn settle_before_last_bytes(&mut self, session: &mut Session, core: &mut Core) {
        let backend = self.info.backend.and_then(|id| session.snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        let (Some(backend), Some(server)) = (backend, server) else { return };
        // `strict-maxconn` would count the connection twice while the slot is held.
        let pooled = backend.model.http_reuse != HttpReuse::Never
            && !self.is_private
            && !server.model.strict_maxconn
            && self.server_keep_alive;
        if pooled && self.up.is_done() && self.down.is_received() && self.server_input.is_empty() {
            self.settle_server_connection(session, core);
        }
    }

    /// After the exchange: keep the server connection for somebody, or close it.
    pub(super) fn settle_server_connection(&mut self, session: &mut Session, core: &mut Core) {
        let Some(key) = self.server_connection.take() else { return };
        let snapshot = Rc::clone(&session.snapshot);
        let backend = self.info.backend.and_then(|id| snapshot.backend(id));
        let server = backend.and_then(|backend| backend.server(self.info.server?));
        let (Some(backend), Some(server)) = (backend, server) else {
            core.close(key);
            return;
        };
        let is_stream = core.connections.get(key).is_some_and(Connection::is_h2);
        if is_stream
            || !self.server_keep_alive
            || server.is_stopped()
            || !Rc::ptr_eq(&snapshot, &core.snapshot)
        {
            core.close(key);
            return;
        }
        let requests = self.server_requests + 1;
        let identity = self.server_identity;
        if backend.model.http_reuse == HttpReuse::Never || self.is_private {
            if let Some(connection) = core.connections.get_mut(key) {
                connection.owner = Owner::None;
            }
            session.private = Some(super::session::Private {
                key,
                backend: backend.id,
                server: server.id,
                requests,
                identity,
            });
        } else {
            core.put_idle(key, backend.id, server, identity, requests);
        }
    }
}

/// Whether `retry-budget` allows another retry; it is counted then.
pub(super) fn within_retry_budget(backend: &Backend, core: &Core) -> bool {
    backend.retry_budget.as_ref().is_none_or(|budget| budget.withdraw(core.clock.monotonic_ms()))
}
