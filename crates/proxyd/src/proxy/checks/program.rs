//! What is probed where: a server's check as [`hacore::probe`] takes it.

use std::net::{IpAddr, SocketAddr};

use hacore::probe::steps::{HttpRequest, Program, Text};
use hacore::probe::{Endpoint, ProxyHeader, Target, Timeouts, builtin};

use crate::model::{Address, Check, CheckKind};
use crate::proxy::{Backend, Server};

/// The steps of a backend's checks; made once, run for each of its servers.
pub(super) fn program(check: &Check) -> Program {
    match &check.kind {
        CheckKind::Tcp | CheckKind::TcpSequence => Program::default(),
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
            Program { disable_on_404: check.disable_on_404, ..Program::http_check(request, Vec::new()) }
        }
    }
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
    Some(target)
}

/// The time a server's check may take.
pub(super) fn timeouts(backend: &Backend, server: &Server) -> Timeouts {
    let timeouts = &backend.model.timeouts;
    Timeouts::new(server.model.inter, timeouts.connect, timeouts.check)
}
