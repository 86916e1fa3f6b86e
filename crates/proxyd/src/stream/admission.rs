//! What a connection goes through before its first request: `tcp-request connection` rules, a PROXY header
//! (`accept-proxy`, `expect-proxy`), `tcp-request session` rules; and the PROXY header towards a server.
//!
//! ```text
//! accept ─ connection rules ─ PROXY header ─ TLS ─ session rules ─▶ requests
//! ```

use std::rc::Rc;
use std::sync::Arc;

use super::session::Session;
use super::state::Stream;
use crate::expr::{Direction, Payload};
use crate::net::proxy_protocol::{self, Parsed};
use crate::net::{Connection, Received};
use crate::proxy::Counter;
use crate::rules::{Effects, Progress, Reply, RuleSet, Txn, Verdict, evaluate};
use crate::runtime::Core;
use crate::txn::Endpoint;

/// How far a connection got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Admission {
    /// Just accepted.
    Connection,
    /// A PROXY header must come first.
    Header,
    /// TLS, if the listener has it, then the session rules.
    Session,
    Done,
    /// To be closed without a word.
    Refused,
}

impl Session {
    /// `tcp-request connection` rules; what they set as addresses are the connection's own (`fc_src`, `fc_dst`).
    pub(super) fn admit_connection(&mut self, core: &mut Core) {
        let mut expects_header = self.listener.model.accept_proxy;
        match self.run_early_rules(core, RuleSet::TcpRequestConnection) {
            Verdict::ExpectProxy => expects_header = true,
            Verdict::Reject | Verdict::SilentDrop => {
                self.count_refused(Counter::DeniedConnections);
                self.admission = Admission::Refused;
                return;
            }
            _ => {}
        }
        self.info.peer = self.info.source.clone();
        self.info.local = self.info.destination.clone();
        self.admission = if expects_header { Admission::Header } else { Admission::Session };
    }

    /// `tcp-request session` rules; false: the connection is refused.
    pub(super) fn admit_session(&mut self, core: &mut Core) -> bool {
        super::access_log::log_accept(self, core);
        if let Verdict::Reject | Verdict::SilentDrop = self.run_early_rules(core, RuleSet::TcpRequestSession)
        {
            self.count_refused(Counter::DeniedSessions);
            self.admission = Admission::Refused;
            return false;
        }
        self.ends = (self.info.source.clone(), self.info.destination.clone());
        self.admission = Admission::Done;
        true
    }

    /// Takes the PROXY header off; false while it is incomplete. A wrong one refuses the connection.
    pub(super) fn receive_proxy_header(&mut self, core: &mut Core) -> bool {
        let mut scratch = std::mem::take(&mut core.scratch);
        let received = core.connections.get_mut(self.client).map_or(Received::End, |c| c.peek(&mut scratch));
        let parsed = match received {
            Received::Data(count) => proxy_protocol::parse(scratch.get(..count).unwrap_or_default()),
            Received::WouldBlock => Parsed::Incomplete,
            Received::End | Received::Failed(_) => Parsed::Bad,
        };
        let is_over = core.connections.get(self.client).is_none_or(Connection::is_hung_up);
        let outcome = match parsed {
            Parsed::Incomplete if !is_over => None,
            Parsed::Header { length, header } => {
                let client = core.connections.get_mut(self.client);
                let taken = scratch.get_mut(..length).zip(client).is_some_and(|(shown, c)| c.skip(shown));
                taken.then(|| self.adopt(header));
                Some(taken)
            }
            Parsed::Incomplete | Parsed::Bad => Some(false),
        };
        core.scratch = scratch;
        if let Some(accepted) = outcome {
            self.admission = if accepted { Admission::Session } else { Admission::Refused };
        }
        outcome.is_some()
    }

    fn adopt(&mut self, header: proxy_protocol::Header) {
        self.info.proxied = true;
        if let Some((source, destination)) = header.ends {
            self.info.source = Endpoint::Inet(source);
            self.info.destination = Endpoint::Inet(destination);
        }
        self.info.proxy_tlvs = (!header.tlvs.is_empty()).then(|| Arc::from(header.tlvs));
    }

    fn run_early_rules(&mut self, core: &mut Core, set: RuleSet) -> Verdict {
        let snapshot = Rc::clone(&self.snapshot);
        let at = self.frontend.0 as usize;
        let (Some(proxy), Some(policy)) = (snapshot.proxies.get(at), snapshot.policies.get(at)) else {
            return Verdict::Continue;
        };
        let rules = proxy.rules.of(set);
        if rules.is_empty() {
            return Verdict::Continue;
        }
        let environment = Rc::clone(&core.environment);
        let mut scratch = std::mem::take(&mut core.rule_scratch);
        let (mut reply, mut effects) = (Reply::default(), Effects::default());
        let mut txn = Txn {
            session: &mut self.info,
            stream: None,
            request: None,
            response: None,
            request_payload: Payload::default(),
            response_payload: Payload::default(),
            vars: &self.vars,
            env: &*environment,
            now: super::access_log::now(core),
            direction: Direction::Request,
            is_final: true,
            wait_expired: false,
            pages: &policy.error_pages,
            reply: &mut reply,
            effects: &mut effects,
            scratch: &mut scratch,
        };
        let verdict = evaluate(rules, &mut Progress::default(), &mut txn);
        core.rule_scratch = scratch;
        verdict
    }

    fn count_refused(&self, counter: Counter) {
        if let Some(frontend) = self.snapshot.frontend(self.frontend) {
            frontend.counters.increment(counter);
        }
        self.listener.counters.increment(counter);
    }
}

impl Stream {
    /// `send-proxy` and relatives, once per connection; false when the server does not take it.
    pub(super) fn send_proxy_header(&mut self, session: &Session, core: &mut Core) -> bool {
        let backend = self.info.backend.and_then(|id| session.snapshot.backend(id));
        let Some(server) = backend.and_then(|backend| backend.server(self.info.server?)) else { return true };
        let Some(version) = server.model.send_proxy else { return true };
        if std::mem::replace(&mut self.proxy_header_sent, true) {
            return true;
        }
        let ends = match (&session.info.source, &session.info.destination) {
            (Endpoint::Inet(source), Endpoint::Inet(destination)) => Some((*source, *destination)),
            _ => None,
        };
        let mut out = Vec::new();
        if version == 1 {
            proxy_protocol::write_line(ends, &mut out);
        } else {
            let wants = |option: &str| server.model.proxy_v2_options.iter().any(|given| given == option);
            let id = self.info.unique_id.as_deref().filter(|_| wants("unique-id"));
            let tlvs = id.map(|id| (proxy_protocol::TLV_UNIQUE_ID, id));
            proxy_protocol::write_binary(ends, tlvs.as_slice(), wants("crc32c"), &mut out);
        }
        let connection = self.server_connection.and_then(|key| core.connections.get_mut(key));
        connection.is_some_and(|connection| connection.send_plain(&out))
    }
}
