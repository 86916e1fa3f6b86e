//! Lints about times and limits.

use std::time::Duration;

use hacore::diag::Diagnostic;

use super::View;
use crate::config::loader::Draft;
use crate::model::{Mode, Timeouts};

pub(super) fn run(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    for draft in view.drafts.iter().filter(|draft| !draft.proxy.disabled) {
        fighting(draft, found);
        tiny(draft, found);
        slow_requests(draft, found);
    }
    descriptors(view, found);
}

fn shown(time: Duration) -> String {
    match time.as_millis() {
        ms if ms % 60_000 == 0 => format!("{}m", ms / 60_000),
        ms if ms % 1000 == 0 => format!("{}s", ms / 1000),
        ms => format!("{ms}ms"),
    }
}

fn fighting(draft: &Draft, found: &mut Vec<Diagnostic>) {
    let proxy = &draft.proxy;
    let times = &proxy.timeouts;
    let mut say = |message: String, help: &str| {
        found.push(Diagnostic::hint("L004", message).at(draft.span).help(help));
    };
    let name = &proxy.name;
    if let (Some(tunnel), Some(longest)) = (times.tunnel, times.client.max(times.server))
        && tunnel < longest
        && proxy.kind.is_backend()
    {
        say(
            format!(
                "'timeout tunnel' ({}) of '{name}' is shorter than the inactivity timeouts ({}): tunnels end earlier \
                 than ordinary connections.",
                shown(tunnel),
                shown(longest)
            ),
            "tunnels such as WebSocket usually get an hour",
        );
    }
    if let (Mode::Tcp, true, Some(client), Some(server), None) = (
        proxy.mode,
        proxy.kind.is_frontend() && proxy.kind.is_backend(),
        times.client,
        times.server,
        times.tunnel,
    ) && client != server
    {
        say(
            format!(
                "'timeout client' ({}) and 'timeout server' ({}) of '{name}' differ: in TCP mode the shorter one ends \
                 the connection.",
                shown(client),
                shown(server)
            ),
            "give both the same value",
        );
    }
    if !proxy.kind.is_backend() {
        return;
    }
    let fastest = proxy.servers.iter().filter(|server| server.check).map(|server| server.inter).min();
    if let (Some(check), Some(inter)) = (times.check, fastest)
        && check > inter
    {
        say(
            format!(
                "'timeout check' ({}) of '{name}' is longer than the time between checks ({}): a hanging server \
                 delays its own checks.",
                shown(check),
                shown(inter)
            ),
            "let 'timeout check' be at most 'inter'",
        );
    }
    if let (Some(connect), Some(server)) = (times.connect, times.server)
        && connect > server
    {
        say(
            format!(
                "'timeout connect' ({}) of '{name}' is longer than 'timeout server' ({}).",
                shown(connect),
                shown(server)
            ),
            "a server that accepts so slowly does not answer in time either",
        );
    }
}

fn tiny(draft: &Draft, found: &mut Vec<Diagnostic>) {
    /// Nobody means less than this by a timeout on a network.
    const LEAST: Duration = Duration::from_millis(100);
    let Timeouts { client, server, connect, http_request, http_keep_alive, queue, tunnel, .. } =
        draft.proxy.timeouts;
    // Without servers or listeners the value only passes through.
    let (front, back) = (!draft.proxy.binds.is_empty(), !draft.proxy.servers.is_empty());
    let all = [
        ("client", client, front),
        ("server", server, back),
        ("connect", connect, back),
        ("http-request", http_request, front),
        ("http-keep-alive", http_keep_alive, false),
        ("queue", queue, back),
        ("tunnel", tunnel, back),
    ];
    for (name, time, _) in all.into_iter().filter(|(_, _, matters)| *matters) {
        let Some(time) = time.filter(|time| !time.is_zero() && *time < LEAST) else { continue };
        let message = format!("'timeout {name}' of '{}' is only {}.", draft.proxy.name, shown(time));
        let help = format!("a bare number counts in milliseconds: write '{}s' for seconds", time.as_millis());
        found.push(Diagnostic::hint("L005", message).at(draft.span).help(help));
    }
}

fn slow_requests(draft: &Draft, found: &mut Vec<Diagnostic>) {
    let proxy = &draft.proxy;
    if proxy.kind.is_frontend()
        && !proxy.binds.is_empty()
        && proxy.mode == Mode::Http
        && proxy.timeouts.http_request.is_none()
        && proxy.timeouts.client.is_some_and(|client| client > Duration::from_secs(10))
    {
        let message = format!(
            "'{}' has no 'timeout http-request': a client may take as long as it likes for a request's head, a few \
             bytes within each 'timeout client'.",
            proxy.name
        );
        found.push(Diagnostic::hint("L017", message).at(draft.span).help("add 'timeout http-request 10s'"));
    }
}

fn descriptors(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let Ok(limits) = hacore::process::rlimit::open_files() else { return };
    let global = &view.loader.global;
    let limit = global.fd_hard_limit.map_or(limits.hard, |own| own.min(limits.hard));
    let Some(maxconn) = global.maxconn else { return };
    // Two for each connection, and some for listeners, checks, logs and pipes.
    let needed = u64::from(maxconn) * 2 + 100;
    if needed > limit
        && let Some(span) = view.loader.facts.maxconn
    {
        let message =
            format!("'maxconn {maxconn}' needs about {needed} descriptors, but the limit here is {limit}.");
        let help = "raise LimitNOFILE= of the unit (or ulimit -Hn), or lower 'maxconn'";
        found.push(Diagnostic::hint("L006", message).at(span).help(help));
    }
}
