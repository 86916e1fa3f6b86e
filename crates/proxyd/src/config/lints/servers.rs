//! Lints about backends and their servers.

use std::collections::HashMap;

use hacore::diag::Diagnostic;

use super::View;
use crate::config::loader::Draft;
use crate::model::{BalanceAlgorithm, Mode, Server};

pub(super) fn run(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    for draft in view.drafts.iter().filter(|draft| draft.proxy.kind.is_backend() && !draft.proxy.disabled) {
        if !matches!(draft.proxy.mode, Mode::Tcp | Mode::Http) {
            continue;
        }
        unchecked(view, draft, found);
        without_persistence(view, draft, found);
        unverified(view, draft, found);
        same_address(view, draft, found);
        without_cookie(view, draft, found);
    }
}

fn is_checked(server: &Server) -> bool {
    server.check || server.agent_check || server.track.is_some() || server.observe.is_some()
}

fn unchecked(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let servers = &draft.proxy.servers;
    let missing: Vec<&Server> =
        servers.iter().filter(|server| !server.disabled && !is_checked(server)).collect();
    let Some(first) = missing.first() else { return };
    let message = format!(
        "{} of {} servers of '{}' have no health check: a dead one keeps getting requests.",
        missing.len(),
        servers.len(),
        draft.proxy.name
    );
    found.push(view.hint("L001", &first.location, message).help("add 'check' to the 'server' lines"));
}

fn without_persistence(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let proxy = &draft.proxy;
    let spreads = matches!(
        proxy.balance.algorithm,
        BalanceAlgorithm::RoundRobin
            | BalanceAlgorithm::StaticRr
            | BalanceAlgorithm::LeastConn
            | BalanceAlgorithm::Random { .. }
            | BalanceAlgorithm::PeakEwma
    );
    let several = proxy.servers.iter().filter(|server| !server.backup).count() > 1;
    let Some((cookie, seen)) = &view.loader.facts.session_cookie else { return };
    if !several || !spreads || proxy.mode != Mode::Http || proxy.cookie.is_some() {
        return;
    }
    let message = format!(
        "the application's session cookie '{cookie}' is used in this configuration (line {}), but '{}' has no \
         persistence: a session's requests go to different servers.",
        seen.line, proxy.name
    );
    found.push(
        Diagnostic::hint("L002", message)
            .at(draft.span)
            .help("add 'cookie SRV insert indirect nocache' and a 'cookie' value to each server"),
    );
}

fn unverified(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let by_default = view.loader.global.tls.get("ssl-server-verify").is_some_and(|value| value == "none");
    for server in draft.proxy.servers.iter().filter(|server| server.tls) {
        let verify = server.tls_settings.iter().rev().find(|setting| setting.name == "verify");
        if verify.map_or(by_default, |setting| setting.value == "none") {
            let message =
                format!("the certificate of server '{}/{}' is not verified.", draft.proxy.name, server.name);
            let help = "write 'verify required ca-file @system-ca' or name the authority's file";
            found.push(view.hint("L007", &server.location, message).help(help));
        }
    }
}

fn same_address(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let mut seen: HashMap<(&crate::model::Address, Option<u16>), &Server> = HashMap::new();
    for server in draft.proxy.servers.iter().filter(|server| !server.disabled && server.fqdn.is_none()) {
        if let Some(first) = seen.insert((&server.address, server.check_port), server)
            && first.weight == server.weight
            && first.backup == server.backup
        {
            let message = format!(
                "servers '{}' and '{}' of '{}' have the same address.",
                first.name, server.name, draft.proxy.name
            );
            found.push(
                view.hint("L018", &server.location, message)
                    .help("give one server a higher 'weight' instead"),
            );
        }
    }
}

fn without_cookie(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let Some(cookie) = &draft.proxy.cookie else { return };
    if cookie.dynamic || draft.proxy.mode != Mode::Http {
        return;
    }
    let missing = |server: &&Server| server.cookie.is_none() && !server.backup && !server.disabled;
    if let Some(server) = draft.proxy.servers.iter().find(missing) {
        let message = format!(
            "server '{}/{}' has no 'cookie' value: clients are not kept on it.",
            draft.proxy.name, server.name
        );
        found
            .push(view.hint("L019", &server.location, message).help(format!("add 'cookie {}'", server.name)));
    }
}
