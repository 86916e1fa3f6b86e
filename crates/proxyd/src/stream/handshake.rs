//! TLS handshakes: of the client before its first request, of a server connection before it is used.

use std::io::Write as _;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::server::ClientHello;

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
use crate::tls::chain::Judge;
use crate::txn::{Endpoint, OwnChain, TlsFacts};

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
    let general = tls.general();
    let is_negotiated = is_http && listener.model.protocol.is_none();
    let configuration = if is_negotiated { &general.http } else { &general.server };
    match rustls::ServerConnection::new(Arc::clone(configuration)) {
        Ok(server) => {
            let transport = Transport::new(server);
            let (has_own, has_alpn) = (tls.certificates.has_own(), !configuration.alpn_protocols.is_empty());
            connection.start_tls(if has_own || has_alpn {
                let (tls, default) = (Arc::clone(tls), Arc::clone(configuration));
                transport.choosing(Box::new(move |hello| {
                    let own = if has_own { tls.certificates.find(hello)?.own } else { None };
                    let wanted = match own {
                        Some(own) => Arc::clone(if is_negotiated { &own.http } else { &own.server }),
                        None => Arc::clone(&default),
                    };
                    Some(agreeing(hello, wanted))
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

/// A client whose protocols are none of ours gets no answer about them, as OpenSSL has it; rustls would refuse it.
fn agreeing(hello: &ClientHello<'_>, configuration: Arc<ServerConfig>) -> Arc<ServerConfig> {
    let ours = &configuration.alpn_protocols;
    let known = hello.alpn().is_none_or(|mut theirs| theirs.any(|name| ours.iter().any(|own| own == name)));
    if known {
        return configuration;
    }
    let mut silent = (*configuration).clone();
    silent.alpn_protocols.clear();
    Arc::new(silent)
}

impl Session {
    /// Goes on with the client's handshake; nothing else happens before it is over.
    pub(super) fn shake_hands(&mut self, core: &mut Core) -> Handshaken {
        let outcome = core.connections.handshake(&core.poller, self.client);
        match outcome {
            Handshake::Wait => Handshaken::Wait,
            Handshake::Done => {
                self.note_facts(core);
                Handshaken::Done
            }
            Handshake::Early => {
                self.info.early_pending = true;
                self.note_facts(core);
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

    /// Keeps what the handshake settled.
    fn note_facts(&mut self, core: &mut Core) {
        let Some(listener) = self.listener.model.tls_listener.0.as_ref() else { return };
        let Some(tls) = core.connections.get_mut(self.client).and_then(Connection::tls_mut) else { return };
        let mut facts = TlsFacts::new(tls.session(), None);
        let (hellos, secrets) = tls.take_handshake();
        if let Some(hellos) = hellos {
            facts.add_hellos(&hellos, Some(listener.capture_max_bytes));
        }
        facts.secrets = secrets;
        facts.early_data = tls.had_early_data();
        let general = listener.general();
        let mut judge = general.judge.clone();
        if let Some(chosen) = tls.chosen() {
            facts.own = Some(OwnChain(Arc::clone(&chosen.certificate.key)));
            facts.own_name = Some(chosen.certificate.path.to_string_lossy().into());
            judge = chosen.own.as_ref().map_or(judge, |own| own.judge.clone());
        }
        if let Some(judge) = judge {
            note_verdict(&judge, core, &mut facts);
        }
        self.info.tls_facts = Some(Arc::new(facts));
    }

    /// Whether early data was pending, and the handshake is over by now: what came is no replay.
    pub(super) fn confirm_early(&mut self, core: &Core) -> bool {
        let tls = core.connections.get(self.client).and_then(Connection::tls);
        let is_over = self.info.early_pending && tls.is_none_or(|tls| !tls.is_handshaking());
        self.info.early_pending &= !is_over;
        is_over
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
        if !server.uses_tls() {
            return None;
        }
        let Some(source) = server.model.tls_name.0.as_ref() else { return self.automatic_name(server) };
        let name = source.0.eval_as(&self.context(session, core), SampleType::Str)?.into_text()?;
        String::from_utf8(name.to_vec()).ok().filter(|name| !name.is_empty())
    }

    /// `sni-auto`: the host that the request names, without its port.
    fn automatic_name(&self, server: &Server) -> Option<String> {
        let words = server.model.tls_settings.iter().rev();
        let last = words.into_iter().find(|word| matches!(word.name.as_str(), "sni-auto" | "no-sni-auto"));
        if !self.has_request || last.is_none_or(|word| word.name != "sni-auto") {
            return None;
        }
        let host = String::from_utf8_lossy(self.request.headers.find(b"host")?);
        let name = host.split(':').next().unwrap_or_default();
        (!name.is_empty()).then(|| name.to_owned())
    }

    /// Puts TLS on a new server connection; false when that failed.
    pub(super) fn start_server_tls(
        &self,
        session: &Session,
        core: &Core,
        server: &Server,
        connection: &mut Connection,
    ) -> bool {
        let Some(tls) = server.model.tls_client.0.as_ref().filter(|_| server.uses_tls()) else { return true };
        let asked = self.server_name(session, core, server);
        let address = match server.address() {
            crate::model::Address::Inet(address) => Some(address.ip()),
            _ => None,
        };
        let name = server_name(asked.as_deref(), address);
        match rustls::ClientConnection::new(tls.client(), name) {
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
            // Servers send none.
            Handshake::Wait | Handshake::Early => None,
            Handshake::Done => {
                if let Some(tls) = core.connections.get_mut(key).and_then(Connection::tls_mut) {
                    let mut facts = TlsFacts::new(tls.session(), tls.name());
                    let (hellos, secrets) = tls.take_handshake();
                    if let Some(hellos) = hellos {
                        facts.add_hellos(&hellos, None);
                    }
                    facts.secrets = secrets;
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

/// What was ignored about the client's certificate is found out once more: the handshake has no place for it.
fn note_verdict(judge: &Judge, core: &Core, facts: &mut TlsFacts) {
    let Some((leaf, others)) = facts.peer_chain.split_first() else { return };
    if judge.is_lenient() {
        let others: Vec<&[u8]> = others.iter().map(Vec::as_slice).collect();
        let now_s = i64::try_from(core.clock.wall_us / 1_000_000).unwrap_or(i64::MAX);
        facts.verdict = judge.judge(leaf, &others, now_s);
    }
}
