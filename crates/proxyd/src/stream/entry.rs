//! What a new connection goes through before its first request.
//!
//! ```text
//! accept ─ tcp-request connection ─ PROXY header ─ TLS handshake ─ tcp-request session ─▶ requests, or a relay
//! ```

use std::os::fd::AsFd;
use std::rc::Rc;
use std::sync::Arc;

use hacore::proxy_protocol::{self, Malformed};

use super::fault::Fault;
use super::handshake::{Handshaken, start_client};
use super::session::Session;
use crate::expr::{Direction, Payload};
use crate::net::{Received, socket};
use crate::proxy::Counter;
use crate::rules::{Effects, Progress, Reply, RuleSet, Txn, Verdict, evaluate};
use crate::runtime::Core;
use crate::txn::Endpoint;

/// HAProxy's words for a PROXY header that did not come (configuration manual, `fc_err_str`).
const CLOSED: &str = "Connection closed while waiting for PROXY protocol header";
const BROKEN: &str = "Connection error while waiting for PROXY protocol header";
const TIMED_OUT: &str = "Timeout while waiting for PROXY protocol header";
const TRUNCATED: &str = "Truncated PROXY protocol header received";
const OTHER: &str = "Received something which does not look like a PROXY protocol header";
const INVALID: &str = "Received an invalid PROXY protocol header";
const UNHANDLED: &str = "Received an unhandled protocol in the PROXY protocol header";

/// How far a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    ConnectionRules,
    ProxyHeader,
    Tls,
    SessionRules,
    /// Requests may come.
    Open,
}

/// What became of one step.
enum Progressed {
    To(Entry),
    Wait,
    Over,
}

impl Session {
    /// Goes on with the entry; true once it is open. Otherwise it waits, or is over if `entry_failed`.
    pub(super) fn enter(&mut self, core: &mut Core) -> bool {
        while self.entry != Entry::Open {
            let progressed = match self.entry {
                _ if self.killed.is_some() => Progressed::Over,
                Entry::ConnectionRules => self.connection_rules(core),
                Entry::ProxyHeader => self.proxy_header(core),
                Entry::Tls => self.client_tls(core),
                Entry::SessionRules => self.session_rules(core),
                Entry::Open => break,
            };
            match progressed {
                Progressed::To(next) => self.entry = next,
                Progressed::Wait => {
                    let timeout_ms = self.policy().handshake_ms;
                    self.set_deadline(core, timeout_ms.map(|ms| self.idle_since_us / 1000 + ms));
                    return false;
                }
                Progressed::Over => {
                    self.entry_failed = true;
                    return false;
                }
            }
        }
        true
    }

    /// `timeout client-hs`, or else `timeout client`, has passed.
    pub(super) fn entry_timed_out(&mut self, core: &mut Core) {
        if self.entry == Entry::ProxyHeader {
            self.log_handshake(core, TIMED_OUT);
        } else {
            self.handshake_timed_out(core);
        }
        self.killed = Some(Fault::ClientTimeout);
    }

    fn connection_rules(&mut self, core: &mut Core) -> Progressed {
        let (verdict, expects) = self.run_entry_rules(core, RuleSet::TcpRequestConnection);
        if !verdict {
            self.count_refused(Counter::DeniedConnections);
            return Progressed::Over;
        }
        self.count_session(core);
        // What these rules set as addresses are the connection's own (`fc_src`, `fc_dst`); a header's are not.
        self.info.own_ends();
        let expects = expects || self.listener.model.accept_proxy;
        Progressed::To(if expects { Entry::ProxyHeader } else { self.begin_tls(core) })
    }

    fn session_rules(&mut self, core: &mut Core) -> Progressed {
        if self.run_entry_rules(core, RuleSet::TcpRequestSession).0 {
            return Progressed::To(Entry::Open);
        }
        self.count_refused(Counter::DeniedSessions);
        Progressed::Over
    }

    fn count_refused(&self, counter: Counter) {
        if let Some(frontend) = self.snapshot.frontend(self.frontend) {
            frontend.counters.increment(counter);
        }
        self.listener.counters.increment(counter);
    }

    /// Runs a set that has no request yet; whether the connection may stay, and whether a PROXY header is expected.
    fn run_entry_rules(&mut self, core: &mut Core, set: RuleSet) -> (bool, bool) {
        let snapshot = Rc::clone(&self.snapshot);
        let at = self.frontend.0 as usize;
        let (Some(proxy), Some(policy)) = (snapshot.proxies.get(at), snapshot.policies.get(at)) else {
            return (false, false);
        };
        let rules = proxy.rules.of(set);
        if rules.is_empty() {
            return (true, false);
        }
        let environment = Rc::clone(&core.environment);
        let mut effects = Effects::default();
        let mut progress = Progress::default();
        let verdict = loop {
            let mut scratch = std::mem::take(&mut core.rule_scratch);
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
                wait_expired: true,
                pages: &policy.error_pages,
                reply: &mut Reply::default(),
                effects: &mut effects,
                scratch: &mut scratch,
            };
            let verdict = evaluate(rules, &mut progress, &mut txn);
            core.rule_scratch = scratch;
            if verdict != Verdict::Log {
                break verdict;
            }
            super::access_log::log_session_by_rule(self, core, set, effects.log_profile.take());
        };
        self.mark_client(core, &mut effects);
        if verdict == Verdict::SilentDrop {
            self.drop_silently(core, effects.reset_ttl);
        }
        let stays = matches!(verdict, Verdict::Continue | Verdict::Allow);
        (stays, effects.expect_proxy)
    }

    /// `set-fc-mark`, `set-fc-tos`.
    pub(super) fn mark_client(&self, core: &Core, effects: &mut Effects) {
        let marks = socket::Marks { netfilter: effects.client_mark.take(), tos: effects.client_tos.take() };
        if marks != socket::Marks::default()
            && let Some(client) = core.connections.get(self.client)
        {
            socket::set_marks(client.socket().as_fd(), marks);
        }
    }

    /// `silent-drop`: the client learns nothing of the end.
    pub(super) fn drop_silently(&self, core: &mut Core, reset_ttl: Option<u8>) {
        if let Some(client) = core.connections.get_mut(self.client) {
            client.abandon(reset_ttl);
        }
    }

    /// Reads the header and no byte more: what follows may belong to TLS.
    fn proxy_header(&mut self, core: &mut Core) -> Progressed {
        let mut scratch = std::mem::take(&mut core.scratch);
        // A header that does not fit what is looked at would never be complete.
        let length_max = self.snapshot.global.bufsize_bytes.min(scratch.len());
        let outcome = self.take_proxy_header(core, scratch.get_mut(..length_max).unwrap_or_default());
        core.scratch = scratch;
        match outcome {
            Ok(true) => {
                self.info.proxied = true;
                Progressed::To(self.begin_tls(core))
            }
            Ok(false) => Progressed::Wait,
            Err(words) => {
                let ignored = words == CLOSED && self.ignores_null();
                if !ignored {
                    self.log_handshake(core, words);
                }
                Progressed::Over
            }
        }
    }

    fn take_proxy_header(&mut self, core: &mut Core, window: &mut [u8]) -> Result<bool, &'static str> {
        let Some(client) = core.connections.get_mut(self.client) else { return Err(BROKEN) };
        if !client.is_readable() && !client.is_hung_up() {
            return Ok(false);
        }
        let count = match client.peek(window) {
            Received::Data(count) => count,
            Received::WouldBlock => return Ok(false),
            Received::End => return Err(CLOSED),
            Received::Failed(_) => return Err(BROKEN),
        };
        let seen = window.get(..count).unwrap_or_default();
        let header = match proxy_protocol::decode(seen, window.len()) {
            Ok(Some(header)) => header,
            Ok(None) if client.is_hung_up() => return Err(TRUNCATED),
            Ok(None) => return Ok(false),
            Err(Malformed::Signature) => return Err(OTHER),
            Err(Malformed::Word(_)) => return Err(UNHANDLED),
            Err(_) => return Err(INVALID),
        };
        if let Some(addresses) = header.addresses {
            self.info.set_end(true, Endpoint::Inet(addresses.source));
            self.info.set_end(false, Endpoint::Inet(addresses.destination));
        }
        let tlvs = header.tlv_bytes();
        self.info.proxy_tlvs = (!tlvs.is_empty()).then(|| Arc::from(tlvs));
        let length = header.length;
        let room = window.get_mut(..length).unwrap_or_default();
        if client.take_peeked(room) { Ok(true) } else { Err(BROKEN) }
    }

    /// Puts TLS on the connection if the listener has it.
    fn begin_tls(&mut self, core: &mut Core) -> Entry {
        if self.listener.model.tls_listener.0.is_none() {
            return Entry::SessionRules;
        }
        let is_http = self.policy().is_http;
        let started =
            core.connections.get_mut(self.client).map(|client| start_client(&self.listener, is_http, client));
        if started == Some(true) {
            core.process.tls.count(core.clock.monotonic_ms());
            self.counts_tls = true;
        } else {
            self.killed = Some(Fault::Resource);
        }
        Entry::Tls
    }

    fn client_tls(&mut self, core: &mut Core) -> Progressed {
        match self.shake_hands(core) {
            Handshaken::Wait => Progressed::Wait,
            Handshaken::Over => Progressed::Over,
            Handshaken::Done => {
                let now_us = core.clock.monotonic_us;
                self.handshake_us = now_us - self.idle_since_us;
                self.idle_since_us = now_us;
                Progressed::To(Entry::SessionRules)
            }
        }
    }
}
