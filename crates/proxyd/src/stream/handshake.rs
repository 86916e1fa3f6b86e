//! TLS handshakes: of the client before its first request, of a server connection before it is used.

use std::io::Write as _;
use std::sync::Arc;

use super::session::Session;
use super::state::Stream;
use crate::expr::SampleType;
use crate::expr::logformat::date::Civil;
use crate::net::tls::{Handshake, Transport};
use crate::net::{Connection, ConnectionKey};
use crate::proxy::{Listener, Server};
use crate::runtime::Core;
use crate::runtime::log_writer::Record;
use crate::tls::backend::server_name;
use crate::txn::{Endpoint, TlsFacts};

/// HAProxy's words for a client's handshake that came to nothing.
const FAILED: &str = "SSL handshake failure";
const CLOSED: &str = "Connection closed during SSL handshake";
const TIMED_OUT: &str = "Timeout during SSL handshake";

/// What became of a client's handshake.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handshaken {
    Done,
    Wait,
    Over,
}

/// Puts TLS on an accepted connection if its listener has it; false when that failed.
pub(super) fn start_client(listener: &Listener, is_http: bool, connection: &mut Connection) -> bool {
    let Some(tls) = &listener.model.tls_listener.0 else { return true };
    // A protocol that is forced is not negotiated.
    let configuration = if is_http && listener.model.protocol.is_none() { &tls.http } else { &tls.server };
    match rustls::ServerConnection::new(Arc::clone(configuration)) {
        Ok(server) => {
            let transport = Transport::new(server);
            connection.start_tls(if tls.certificates.has_own() {
                let (tls, default) = (Arc::clone(tls), Arc::clone(configuration));
                transport.choosing(Box::new(move |hello| match tls.certificates.find(hello)?.own {
                    Some(own) => Some(Arc::clone(if is_http { &own.http } else { &own.server })),
                    None => Some(Arc::clone(&default)),
                }))
            } else {
                transport
            });
            true
        }
        Err(error) => {
            tracing::error!(listener = %listener.name, %error, "no TLS connection could be made");
            false
        }
    }
}

impl Session {
    /// Goes on with the client's handshake; nothing else happens before it is over.
    pub(super) fn shake_hands(&mut self, core: &mut Core) -> Handshaken {
        let outcome = core.connections.handshake(&core.poller, self.client);
        match outcome {
            Handshake::Wait => Handshaken::Wait,
            Handshake::Done => {
                if let Some(tls) = core.connections.get(self.client).and_then(Connection::tls) {
                    let mut facts = TlsFacts::new(tls.session(), None);
                    if let Some(own) = tls.chosen() {
                        facts.own_chain = own.key.cert.iter().map(|der| der.to_vec()).collect();
                    }
                    self.note_verdict(core, &mut facts);
                    self.info.tls_facts = Some(Arc::new(facts));
                }
                Handshaken::Done
            }
            Handshake::Closed { silent } => {
                if !(silent && self.ignores_null()) {
                    self.log_handshake(core, CLOSED);
                }
                Handshaken::Over
            }
            Handshake::Failed(reason) => {
                tracing::debug!(reason, "client handshake failed");
                self.log_handshake(core, FAILED);
                Handshaken::Over
            }
            Handshake::Broken(_) => {
                self.log_handshake(core, FAILED);
                Handshaken::Over
            }
        }
    }

    /// What was ignored about the client's certificate is found out once more: the handshake has no place for it.
    fn note_verdict(&self, core: &Core, facts: &mut TlsFacts) {
        let judge = self.listener.model.tls_listener.0.as_ref().and_then(|tls| tls.judge.as_ref());
        let (Some(judge), Some((leaf, others))) = (judge, facts.peer_chain.split_first()) else { return };
        if judge.is_lenient() {
            let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
            let now_s = i64::try_from(core.clock.wall_us / 1_000_000).unwrap_or(i64::MAX);
            facts.verdict = judge.judge(leaf, &others, now_s);
        }
    }

    /// `timeout client-hs`, or else `timeout client`, has passed.
    pub(super) fn handshake_timed_out(&self, core: &mut Core) {
        self.log_handshake(core, TIMED_OUT);
    }

    /// The line of a connection that ends before it has a request (configuration manual, section 8.2.5 "Error log format").
    pub(super) fn log_handshake(&self, core: &mut Core, what: &str) {
        let at = self.frontend.0 as usize;
        let Some(proxy) = self.snapshot.proxies.get(at).filter(|_| core.log.is_wanted(at)) else { return };
        let (from, port) = match &self.info.source {
            Endpoint::Inet(address) => (address.ip().to_string(), address.port()),
            _ => ("unix".to_owned(), self.info.listener_id as u16),
        };
        let accepted_us = self.info.accepted_us;
        let offset_s = crate::expr::Environment::utc_offset_s(&*core.environment, accepted_us);
        let seconds = i64::try_from(accepted_us / 1_000_000).unwrap_or_default() + i64::from(offset_s);
        let date = Civil::from_unix(seconds).log_text();
        let listener = self
            .info
            .listener_name
            .as_deref()
            .map_or_else(|| self.info.listener_id.to_string(), str::to_owned);
        let mut text = std::mem::take(&mut core.log_text);
        text.clear();
        // Writing to a Vec cannot fail.
        let millis = accepted_us / 1000 % 1000;
        match &proxy.error_log_format {
            Some(format) => {
                let now = super::access_log::now(core);
                let context = crate::expr::EvalCtx {
                    vars: Some(&self.vars),
                    ..crate::expr::EvalCtx::new(&self.info, &*core.environment, now)
                };
                format.render(&context, &mut text);
            }
            None => {
                let _ = write!(text, "{from}:{port} [{date}.{millis:03}] {}/{listener}: {what}", proxy.name);
            }
        }
        let process = Arc::clone(&core.process);
        let level = super::access_log::failure_level(proxy);
        let (wall_us, step) = (core.clock.wall_us, crate::model::LogStep::Error);
        let record = Record { level, wall_us, step, text: &text, structured_data: &[], profile: None };
        core.log.write(&process, at, &record);
        core.log_text = text;
    }
}

impl Stream {
    /// The name to ask a TLS server for (`sni`).
    pub(super) fn server_name(&self, session: &Session, core: &Core, server: &Server) -> Option<String> {
        let source = server.model.tls_name.0.as_ref().filter(|_| server.model.tls)?;
        let name = source.0.eval_as(&self.context(session, core), SampleType::Str)?.into_text()?;
        String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
    }

    /// Puts TLS on a new server connection; false when that failed.
    pub(super) fn start_server_tls(
        &self,
        session: &Session,
        core: &Core,
        server: &Server,
        connection: &mut Connection,
    ) -> bool {
        let Some(tls) = server.model.tls_client.0.as_ref().filter(|_| server.model.tls) else { return true };
        let asked = self.server_name(session, core, server);
        let address = match server.address() {
            crate::model::Address::Inet(address) => Some(address.ip()),
            _ => None,
        };
        let name = server_name(asked.as_deref(), address);
        match rustls::ClientConnection::new(Arc::clone(&tls.client), name) {
            Ok(client) => {
                connection.start_tls(Transport::new(client).named(asked));
                true
            }
            Err(error) => {
                tracing::error!(server = server.name(), %error, "no TLS connection could be made");
                false
            }
        }
    }

    /// Goes on with the server's handshake; `None` while it is under way, false when it failed.
    pub(super) fn shake_server_hands(&mut self, core: &mut Core, key: ConnectionKey) -> Option<bool> {
        if core.connections.get(key).is_none_or(|connection| connection.tls().is_none()) {
            return Some(true);
        }
        match core.connections.handshake(&core.poller, key) {
            Handshake::Wait => None,
            Handshake::Done => {
                if let Some(tls) = core.connections.get_mut(key).and_then(Connection::tls_mut) {
                    let facts = TlsFacts::new(tls.session(), tls.name());
                    tls.keep_facts(Arc::new(facts));
                }
                Some(true)
            }
            Handshake::Failed(reason) => {
                tracing::debug!(reason, "server handshake failed");
                Some(false)
            }
            Handshake::Closed { .. } | Handshake::Broken(_) => Some(false),
        }
    }
}
