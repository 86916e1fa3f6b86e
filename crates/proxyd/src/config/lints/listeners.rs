//! Lints about where a proxy listens.

use std::net::{IpAddr, UdpSocket};
use std::path::Path;

use hacore::diag::Diagnostic;

use super::View;
use crate::config::loader::Draft;
use crate::model::{Address, Bind, Mode};

pub(super) fn run(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let mut told = false;
    for draft in view.drafts.iter().filter(|draft| !draft.proxy.disabled) {
        if !told {
            told = lonely_address(view, draft, found);
        }
        open_statistics(view, draft, found);
        if draft.proxy.kind.is_frontend() && draft.proxy.kind.is_backend() {
            idle(draft, found);
        }
    }
}

/// Where a VRRP daemon leaves traces: its configuration, or its process id.
const VRRP_TRACES: &[&str] = &[
    "/etc/vrrpd/keepalived.conf",
    "/etc/vrrpd/vrrpd.conf",
    "/etc/keepalived/keepalived.conf",
    "/run/vrrpd.pid",
    "/run/keepalived.pid",
    "/run/keepalived/keepalived.pid",
];

/// An address that this machine does not have itself is a virtual one: somebody must hold it.
fn lonely_address(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) -> bool {
    let foreign = |bind: &&Bind| match bind.address {
        Address::Inet(address) => is_virtual(address.ip()) && !bind.transparent,
        _ => false,
    };
    let Some(bind) = draft.proxy.binds.iter().find(foreign) else { return false };
    if VRRP_TRACES.iter().any(|path| Path::new(path).exists()) {
        return false;
    }
    let message = format!(
        "'{}' of '{}' is no address of this machine, and neither vrrpd nor keepalived is configured here to hold it: \
         a single load balancer is a single point of failure.",
        bind.text, draft.proxy.name
    );
    let help =
        "run vrrpd with this address as a virtual one on two machines, and set net.ipv4.ip_nonlocal_bind";
    found.push(view.hint("L003", &bind.location, message).help(help));
    true
}

fn is_virtual(ip: IpAddr) -> bool {
    let special = ip.is_unspecified() || ip.is_loopback() || ip.is_multicast();
    // Only own addresses can be bound; with ip_nonlocal_bind all can, and then nothing is known.
    !special
        && UdpSocket::bind((ip, 0)).is_err_and(|error| error.kind() == std::io::ErrorKind::AddrNotAvailable)
}

fn open_statistics(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let Some(page) = &draft.proxy.stats else { return };
    let public = |bind: &&Bind| match &bind.address {
        Address::Inet(address) => !address.ip().is_loopback(),
        _ => false,
    };
    if !page.users.is_empty() || draft.proxy.mode != Mode::Http || !draft.proxy.kind.is_frontend() {
        return;
    }
    let Some(bind) = draft.proxy.binds.iter().find(public) else { return };
    // Rules may guard it.
    if !draft.proxy.rules.http_request.is_empty() || !draft.proxy.rules.tcp_request_connection.is_empty() {
        return;
    }
    let message =
        format!("the statistics page of '{}' is open to everybody on '{}'.", draft.proxy.name, bind.text);
    let help = "add 'stats auth <user>:<password>', or bind it to 127.0.0.1";
    found.push(view.hint("L016", &bind.location, message).help(help));
}

fn idle(draft: &Draft, found: &mut Vec<Diagnostic>) {
    if draft.proxy.binds.is_empty() && draft.proxy.servers.is_empty() {
        let message = format!("proxy '{}' has neither 'bind' nor 'server' lines.", draft.proxy.name);
        found.push(Diagnostic::hint("L010", message).at(draft.span));
    }
}
