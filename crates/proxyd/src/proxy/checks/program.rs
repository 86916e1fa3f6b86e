//! What is probed where: a server's check as [`hacore::probe`] takes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::tls::check::CheckTls;
use hacore::probe::steps::{HttpRequest, Program, Text};
use hacore::probe::{Endpoint, ExternalCheck, ProxyHeader, Target, Timeouts, builtin};

use crate::model::{Address, CheckKind, Mode, check_steps};
use crate::proxy::{Backend, Server};
use crate::services::stats::collect;

/// How a backend's servers are checked; made once, run for each of its servers.
pub(super) enum Check {
    Steps(Program),
    /// `option external-check`: told about each server when it is run.
    External(ExternalCheck),
}

/// The check of a backend. Its rules were judged when the configuration was read; a line that cannot be carried out
/// never comes this far.
pub(super) fn check(backend: &Backend) -> Check {
    let model = &backend.model;
    let check = &model.check;
    let steps = |family, request: &HttpRequest| {
        check_steps::steps(&check.rules, family, request).unwrap_or_else(|error| {
            tracing::error!(backend = model.name, %error, "check rules left out");
            Vec::new()
        })
    };
    Check::Steps(match &check.kind {
        CheckKind::Tcp => Program::default(),
        CheckKind::TcpSequence => Program::tcp_check(steps("tcp", &HttpRequest::default())),
        CheckKind::Protocol { name, .. } if name == "external-check" => {
            return Check::External(ExternalCheck {
                command: check.external_command.clone().unwrap_or_default(),
                path: check.external_path.clone(),
                proxy_id: model.numeric_id,
                proxy_name: model.name.clone(),
                server_protocol: if model.mode == Mode::Http { "h1" } else { "tcp" },
                ..ExternalCheck::default()
            });
        }
        CheckKind::Protocol { name, argument } => service(name, argument),
        CheckKind::Http { method, uri, version, headers } => {
            let request = HttpRequest {
                method: method.clone(),
                uri: Text::from(uri.as_str()),
                http11: version.as_str() >= "HTTP/1.1",
                headers: headers
                    .iter()
                    .map(|(name, value)| (name.clone(), Text::from(value.as_str())))
                    .collect(),
                ..HttpRequest::default()
            };
            let steps = steps("http", &request);
            Program { disable_on_404: check.disable_on_404, ..Program::http_check(request, steps) }
        }
    })
}

/// `external-check` as one server's run is told.
pub(super) fn external(check: &ExternalCheck, server: &Server) -> ExternalCheck {
    let (server_address, server_port) = match server.address() {
        Address::Inet(address) => (address.ip().to_string(), Some(address.port())),
        Address::Name { host, port } => (host, Some(port)),
        Address::Unix(path) => (path.display().to_string(), None),
        Address::Abstract(name) => (name, None),
        Address::Fd(_) | Address::SocketPair(_) => (String::new(), None),
    };
    ExternalCheck {
        server_address,
        server_port,
        server_id: server.model.numeric_id,
        server_name: server.model.name.clone(),
        server_maxconn: server.maxconn.load(Relaxed),
        server_connections: server.sessions.current(),
        ..check.clone()
    }
}

/// The value of `X-Haproxy-Server-State` (`http-check send-state`).
pub(super) fn state_header(backend: &Backend, server: &Server, node: &str) -> String {
    let (status, weight) = {
        let health = server.health.lock();
        (health.status().to_string(), health.weight())
    };
    let total = collect::usable(backend, Instant::now()).weight;
    let (address, port) = match server.address() {
        Address::Inet(address) => (address.ip().to_string(), address.port()),
        Address::Name { host, port } => (host, port),
        _ => (String::new(), 0),
    };
    format!(
        "{status}; address={address}; port={port}; name={}/{}; node={node}; weight={weight}/{total}; scur={}/{}; qcur={}",
        backend.name(),
        server.name(),
        server.sessions.current(),
        backend.sessions.current(),
        server.queue.len()
    )
}

/// The built-in check of a service: `option redis-check` and its relatives.
fn service(name: &str, argument: &str) -> Program {
    let mut words = argument.split(' ');
    let (first, second, third) = (words.next(), words.next(), words.next());
    match (name, first, second) {
        ("redis-check", ..) => builtin::redis(),
        ("ldap-check", ..) => builtin::ldap(),
        ("smtpchk", Some(hello), Some(domain)) => builtin::smtp(&format!("{hello} {domain}")),
        ("smtpchk", ..) => builtin::smtp("HELO localhost"),
        ("mysql-check", Some("user"), Some(user)) => builtin::mysql_user(user, third == Some("pre-41")),
        ("mysql-check", ..) => builtin::mysql(),
        ("pgsql-check", Some("user"), Some(user)) => builtin::pgsql(user),
        // A fixed random keeps the check free of surprises; the server's answer does not depend on it.
        ("ssl-hello-chk", ..) => builtin::ssl_hello([0x5a, 0x17, 0xc3, 0x2e]),
        _ => Program::default(),
    }
}

/// Where a server's check goes: its own address unless `addr`, `port` or a command say otherwise.
///
/// `None` while the address is not known (a name that does not resolve) or cannot be dialled.
pub(super) fn target(
    backend: &Backend,
    server: &Server,
    address: Option<IpAddr>,
    port: Option<u16>,
) -> Option<Target> {
    let model = &server.model;
    let address = address.or(model.check_address);
    let port = port.or(model.check_port);
    let mut target = match server.address() {
        Address::Inet(own) => {
            Target::tcp(SocketAddr::new(address.unwrap_or(own.ip()), port.unwrap_or(own.port())))
        }
        Address::Name { port: own, .. } => Target::tcp(SocketAddr::new(address?, port.unwrap_or(own))),
        Address::Unix(path) => Target::new(Endpoint::Unix(path)),
        Address::Abstract(_) | Address::Fd(_) | Address::SocketPair(_) => {
            Target::tcp(SocketAddr::new(address?, port?))
        }
    };
    let source = model.source.as_ref().or(backend.model.source.as_ref());
    target.source = source.and_then(|source| source.address);
    // A check that goes elsewhere (`port`, `addr`) does not speak the PROXY protocol unless told to.
    if model.check_port.is_none() && model.check_address.is_none() {
        target.send_proxy = match model.send_proxy {
            Some(1) => Some(ProxyHeader::V1),
            Some(_) => Some(ProxyHeader::V2),
            None => None,
        };
    }
    tls(&mut target, model);
    Some(target)
}

/// Checks speak TLS when the server does, unless they go elsewhere or are told (manual, "check-ssl").
fn tls(target: &mut Target, model: &crate::model::Server) {
    let Some(tls) = &model.tls_client.0 else { return };
    let elsewhere = model.check_port.is_some() || model.check_address.is_some();
    let value = |name: &str| model.tls_settings.iter().rev().find(|word| word.name == name);
    target.ssl = model.check_tls.unwrap_or(model.tls && !elsewhere);
    target.sni = value("check-sni").map(|word| word.value.clone());
    let protocols = value("check-alpn").map(|word| word.value.split(',').map(str::to_owned).collect());
    target.alpn = protocols.unwrap_or_default();
    target.tls = Some(std::rc::Rc::new(CheckTls::new(std::sync::Arc::clone(&tls.client))));
}

/// The time a server's check may take.
pub(super) fn timeouts(backend: &Backend, server: &Server) -> Timeouts {
    let timeouts = &backend.model.timeouts;
    Timeouts::new(server.model.inter, timeouts.connect, timeouts.check)
}
