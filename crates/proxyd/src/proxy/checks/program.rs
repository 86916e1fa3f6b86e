//! What is probed where: a server's check as [`hacore::probe`] takes it.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use crate::tls::check::CheckTls;
use hacore::probe::sentinel::SentinelCheck;
use hacore::probe::steps::{HttpRequest, Program, Text};
use hacore::probe::{Endpoint, ExternalCheck, ProxyHeader, Target, Timeouts, builtin, grpc};

use crate::model::{Address, CheckKind, Mode};
use crate::proxy::{Backend, Server};
use crate::services::stats::collect;

/// How a backend's servers are checked; made once, run for each of its servers.
pub(super) enum Check {
    Steps {
        program: Program,
        /// `http-check send-state`.
        send_state: bool,
        /// HTTP/2 whatever the server says.
        http2: bool,
    },
    /// `option external-check`: told about each server when it is run.
    External(ExternalCheck),
    /// `option sentinel-check`.
    Sentinel(SentinelCheck),
}

/// The check of a backend, or of a `healthcheck` section in its place. Its rules were judged when the configuration was
/// read.
pub(super) fn check(backend: &Backend, check: &crate::model::Check) -> Check {
    let model = &backend.model;
    let mut http2 = false;
    let program = match &check.kind {
        CheckKind::Tcp => Program::default(),
        CheckKind::TcpSequence => Program::tcp_check(check.steps("tcp", &HttpRequest::default())),
        CheckKind::Protocol { name, .. } if name == "external-check" => {
            let bind = model.kind.is_frontend().then(|| model.binds.first()).flatten();
            let (proxy_address, proxy_port) = bind.map(|bind| place(&bind.address)).unwrap_or_default();
            return Check::External(ExternalCheck {
                command: check.external_command.clone().unwrap_or_default(),
                path: check.external_path.clone(),
                proxy_address,
                proxy_port,
                proxy_id: model.numeric_id,
                proxy_name: model.name.clone(),
                server_protocol: if model.mode == Mode::Http { "h1" } else { "tcp" },
                ..ExternalCheck::default()
            });
        }
        CheckKind::Protocol { name, argument } => service(name, argument),
        CheckKind::Http { method, uri, version, headers, host } => {
            let old = headers.iter().map(|(name, value)| (name.clone(), Text::from(value.as_str())));
            let host = host.as_ref().and_then(|host| host.ready.0.as_deref());
            let request = HttpRequest {
                method: method.clone(),
                uri: Text::from(uri.as_str()),
                http11: version.as_str() >= "HTTP/1.1",
                headers: host.map(|host| ("Host".to_owned(), host.clone())).into_iter().chain(old).collect(),
                ..HttpRequest::default()
            };
            let steps = check.steps("http", &request);
            Program { disable_on_404: check.disable_on_404, ..Program::http_check(request, steps) }
        }
        CheckKind::Grpc { service } => {
            http2 = true;
            grpc::health(service)
        }
        CheckKind::Sentinel { master, quorum, sentinels } => {
            return Check::Sentinel(SentinelCheck {
                master: master.clone(),
                sentinels: sentinels.clone(),
                quorum: *quorum,
            });
        }
    };
    Check::Steps { program, send_state: check.send_state, http2 }
}

/// An address and port as an external check is told.
fn place(address: &Address) -> (Option<String>, Option<u16>) {
    match address {
        Address::Inet(address) => (Some(address.ip().to_string()), Some(address.port())),
        Address::Name { host, port } => (Some(host.clone()), Some(*port)),
        Address::Unix(path) => (Some(path.display().to_string()), None),
        Address::Abstract(name) => (Some(name.clone()), None),
        Address::Fd(_) | Address::SocketPair(_) => (None, None),
    }
}

/// `external-check` as one server's run is told.
pub(super) fn external(check: &ExternalCheck, server: &Server) -> ExternalCheck {
    let (server_address, server_port) = place(&server.address());
    ExternalCheck {
        server_address: server_address.unwrap_or_default(),
        server_port,
        server_id: server.model.numeric_id,
        server_name: server.model.name.clone(),
        server_maxconn: server.maxconn.load(Relaxed),
        server_connections: server.sessions.current(),
        server_ssl: server.uses_tls(),
        server_protocol: match server.model.protocol.as_deref() {
            Some("h2") => "h2",
            Some("h1") => "h1",
            _ => check.server_protocol,
        },
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
        ("spop-check", ..) => builtin::spop(),
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
    // A server that was added at run time has only what its own words say (management manual, "add server").
    let elsewhere = model.check_port.is_some() || model.check_address.is_some() || model.dynamic;
    target.send_proxy = match model.send_proxy {
        _ if elsewhere && !model.check_send_proxy => None,
        Some(1) => Some(ProxyHeader::V1),
        Some(_) => Some(ProxyHeader::V2),
        None => model.check_send_proxy.then_some(ProxyHeader::V1),
    };
    target.socks4 = model.socks4;
    target.via_socks4 = model.check_via_socks4;
    // What the server's traffic speaks counts as long as the check goes the same way.
    target.http2 = match (&model.check_protocol, &model.protocol) {
        (Some(protocol), _) => Some(protocol == "h2"),
        (None, Some(protocol)) if !elsewhere => Some(protocol == "h2"),
        (None, _) => None,
    };
    tls(&mut target, model);
    Some(target)
}

/// Checks speak TLS when the server does, unless they go elsewhere, are told (manual, "check-ssl"), or the
/// server was added by a command.
fn tls(target: &mut Target, model: &crate::model::Server) {
    let Some(tls) = &model.tls_client.0 else { return };
    let elsewhere = model.check_port.is_some() || model.check_address.is_some();
    let value = |name: &str| model.tls_settings.iter().rev().find(|word| word.name == name);
    target.ssl = model.check_tls.unwrap_or(model.tls && !elsewhere && !model.dynamic);
    target.sni = value("check-sni").map(|word| word.value.clone());
    let protocols = value("check-alpn").map(|word| word.value.split(',').map(str::to_owned).collect());
    target.alpn = protocols.unwrap_or_default();
    target.tls = Some(std::rc::Rc::new(CheckTls::new(std::sync::Arc::clone(tls))));
}

/// The time a server's check may take.
pub(super) fn timeouts(backend: &Backend, server: &Server) -> Timeouts {
    let timeouts = &backend.model.timeouts;
    Timeouts::new(server.model.inter, timeouts.connect, timeouts.check)
}
