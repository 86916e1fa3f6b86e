//! Servers and backends that come and go at run time: `add server`, `del server`, `add backend`, `del backend`.
//!
//! Each is a change of the configuration in force that goes the way of a reload; the next reload brings back what the
//! files say.

use super::super::command::{CommandDef, Context, Level, Reply};
use super::process::ask;
use super::ssl::certificate_users;
use super::{def, find_server};
use crate::config::{self, Environment, LoadOptions, Running};
use crate::model::{BalanceAlgorithm, Config, HashKind, Location, Mode, Proxy, ProxyKind, Server};
use crate::runtime::reload::Wish;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["add", "server"],
        "add server <backend>/<server> <address> [keywords]*",
        "add a server, in maintenance",
        Level::Admin,
        add_server,
    ),
    def(
        &["del", "server"],
        "del server <backend>/<server>",
        "remove a server that is in maintenance",
        Level::Admin,
        del_server,
    ),
    def(
        &["add", "backend"],
        "add backend <name> from <backend> [mode <mode>]",
        "add a backend with the settings of another one, without servers",
        Level::Admin,
        add_backend,
    ),
    def(
        &["del", "backend"],
        "del backend <name>",
        "remove an unpublished backend",
        Level::Admin,
        del_backend,
    ),
];

/// What HAProxy says when something else names the object.
const POINTED_AT: &str = "cannot be removed at runtime due to other configuration elements pointing to it.";

fn error(text: &str) -> String {
    format!("{text}\n")
}

fn add_server(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some((backend, name)) = words.first().and_then(|word| word.split_once('/')) else {
        return Reply::error("Require 'backend/server'.");
    };
    let Some(found) = context.snapshot.backend_named(backend) else {
        return Reply::error("No such backend.");
    };
    let balance = &found.model.balance;
    let static_hash = matches!(
        balance.algorithm,
        BalanceAlgorithm::Source
            | BalanceAlgorithm::Uri { .. }
            | BalanceAlgorithm::UrlParam { .. }
            | BalanceAlgorithm::Header { .. }
            | BalanceAlgorithm::Hash(_)
            | BalanceAlgorithm::RdpCookie { .. }
    ) && balance.hash_type.kind == HashKind::MapBased;
    if static_hash || balance.algorithm == BalanceAlgorithm::StaticRr {
        return Reply::error(format!(
            "backend '{backend}' uses a non dynamic load balancing method. Only dynamic algorithms support dynamic servers."
        ));
    }
    if words.get(1).is_none() || name.is_empty() {
        return Reply::error("'server' expects <name> and <addr>[:<port>] as arguments.");
    }
    if found.server_named(name).is_some() {
        return Reply::error("Already exists a server with the same name in backend.");
    }
    let is_http = found.model.mode == Mode::Http;
    if !is_http && words.windows(2).any(|pair| matches!(pair, ["proto", "h2"])) {
        return Reply::error("MUX protocol is not usable for server.");
    }
    let tls = Running {
        global: context.snapshot.global.tls.clone(),
        files: context.snapshot.global.tls_files.clone(),
        certificates: certificate_users(context).certificates(),
    };
    let server = match read_server(found.model.mode, name, words.get(1..).unwrap_or_default(), tls) {
        Ok(server) => server,
        Err(why) => return Reply::error(why),
    };
    let (backend, name) = (backend.to_owned(), name.to_owned());
    ask(context, Wish::Edit(Box::new(move |config| insert_server(config, &backend, &name, server))))
}

/// The words of a `server` line as the configuration reads them.
fn read_server(mode: Mode, name: &str, words: &[&str], tls: Running) -> Result<Server, String> {
    let mode = if mode == Mode::Http { "http" } else { "tcp" };
    let quoted: Vec<String> = words.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let text = format!(
        "defaults\n timeout connect 5s\n timeout server 5s\n mode {mode}\nbackend b\n server {name} {}\n",
        quoted.join(" ")
    );
    let options = LoadOptions { running: Some(tls), ..LoadOptions::default() };
    let loaded = config::load_text("<cli>", &text, options, Environment::of_process());
    let findings: Vec<String> = loaded
        .diagnostics
        .iter()
        .filter(|finding| finding.severity == hacore::diag::Severity::Alert)
        .map(|finding| finding.message.clone())
        .collect();
    let server = loaded.config.and_then(|mut config| config.proxies.pop()?.servers.pop());
    server.filter(|_| findings.is_empty()).ok_or_else(|| findings.join("\n"))
}

fn insert_server(
    config: &mut Config,
    backend: &str,
    name: &str,
    mut server: Server,
) -> Result<String, String> {
    let proxy = backend_mut(config, backend)?;
    if proxy.servers.iter().any(|known| known.name == name) {
        return Err(error("Already exists a server with the same name in backend."));
    }
    let taken = |id| proxy.servers.iter().any(|known| known.numeric_id == id);
    server.numeric_id = (1..).find(|id| !taken(*id)).unwrap_or(u32::MAX);
    server.disabled = true;
    server.dynamic = true;
    server.location = Location::default();
    proxy.servers.push(server);
    Ok(error("New server registered."))
}

fn backend_mut<'a>(config: &'a mut Config, name: &str) -> Result<&'a mut Proxy, String> {
    let found = config.proxies.iter_mut().find(|proxy| proxy.name == name && proxy.kind.is_backend());
    found.ok_or_else(|| error("No such backend."))
}

fn del_server(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (backend, server) = match find_server(context, words.first()) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    if let Some(shown) = server.model.tls_client.0.as_ref().and_then(|tls| tls.certificate.as_ref()) {
        context.admin.certificates.lock().remember(shown.get());
    }
    let in_maintenance = server.health.lock().admin() == hacore::health::AdminState::Maintenance;
    let idle = server.sessions.current() == 0 && server.queue.is_empty();
    let (backend, server) = (backend.name().to_owned(), server.name().to_owned());
    let edit = move |config: &mut Config| {
        let proxy = backend_mut(config, &backend)?;
        let at = proxy.servers.iter().position(|known| known.name == server);
        let at = at.ok_or_else(|| error("No such server."))?;
        // Expressions know servers by their place: whatever is behind this one must not be named either.
        let behind: Vec<String> = proxy.servers.iter().skip(at).map(|server| server.name.clone()).collect();
        if behind.iter().any(|name| is_server_named(config, &backend, name)) {
            return Err(error(&format!("This server {POINTED_AT}")));
        }
        if !in_maintenance {
            return Err(error("Only servers in maintenance mode can be deleted."));
        }
        if !idle {
            return Err(error("Server still has connections attached to it, cannot remove it."));
        }
        backend_mut(config, &backend)?.servers.remove(at);
        Ok(error("Server deleted."))
    };
    ask(context, Wish::Edit(Box::new(edit)))
}

/// Whether some rule, condition, `track` or `use-server` names the server.
fn is_server_named(config: &Config, backend: &str, server: &str) -> bool {
    let full = format!("{backend}/{server}");
    let names = |text: &str, name: &str| {
        text.match_indices(name).any(|(at, _)| {
            let is_word =
                |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_alphanumeric() || b"-_.:/".contains(b));
            let before = at.checked_sub(1).and_then(|at| text.as_bytes().get(at));
            !is_word(before) && !is_word(text.as_bytes().get(at + name.len()))
        })
    };
    config.proxies.iter().any(|proxy| {
        let own = proxy.name == backend;
        let tracks = proxy.servers.iter().filter_map(|known| known.track.as_deref());
        let tracked = tracks.into_iter().any(|track| track == full || own && track == server);
        let tracking = own && proxy.servers.iter().any(|known| known.name == server && known.track.is_some());
        let used = own && proxy.use_server.iter().any(|rule| rule.name.text() == server);
        let text =
            || serde_json::to_string(&(&proxy.rules, &proxy.acls, &proxy.use_backend)).unwrap_or_default();
        tracked || tracking || used || names(&text(), &full)
    })
}

fn add_backend(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (name, from, mode) = match words {
        [name, "from", from] => ((*name).to_owned(), (*from).to_owned(), None),
        [name, "from", from, "mode", mode @ ("tcp" | "http")] => {
            let mode = if *mode == "http" { Mode::Http } else { Mode::Tcp };
            ((*name).to_owned(), (*from).to_owned(), Some(mode))
        }
        _ => return Reply::error("usage: add backend <name> from <backend> [mode { tcp | http }]"),
    };
    let edit = move |config: &mut Config| {
        if config.proxies.iter().any(|proxy| proxy.name == name) {
            return Err(error("Already exists a proxy with the same name."));
        }
        let model =
            config.proxies.iter().find(|proxy| proxy.name == from && proxy.kind == ProxyKind::Backend);
        let mut proxy = model.cloned().ok_or_else(|| error("No such backend."))?;
        proxy.name = name;
        proxy.mode = mode.unwrap_or(proxy.mode);
        proxy.servers.clear();
        proxy.use_server.clear();
        proxy.location = Location::default();
        let taken = |id| config.proxies.iter().any(|proxy| proxy.numeric_id == id);
        proxy.numeric_id = (2..).find(|id| !taken(*id)).unwrap_or(u32::MAX);
        config.proxies.push(proxy);
        Ok(error("New backend registered."))
    };
    ask(context, Wish::Edit(Box::new(edit)))
}

fn del_backend(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(name) = words.first().map(|name| (*name).to_owned()) else {
        return Reply::error("No such backend.");
    };
    let Some(backend) = context.snapshot.backend_named(&name) else {
        return Reply::error("No such backend.");
    };
    let unpublished = !backend.is_published();
    let idle = backend.sessions.current() == 0;
    let edit = move |config: &mut Config| {
        let proxy = backend_mut(config, &name)?;
        if proxy.kind != ProxyKind::Backend {
            return Err(error("Cannot delete a listen section."));
        }
        let has_servers = !proxy.servers.is_empty();
        if is_backend_named(config, &name) {
            return Err(error(&format!("This proxy {POINTED_AT}")));
        }
        if !unpublished {
            return Err(error("Backend must be unpublished prior to its deletion."));
        }
        if has_servers {
            return Err(error("Only a backend without server can be deleted."));
        }
        if !idle {
            return Err(error("Backend still has connections attached to it, cannot remove it."));
        }
        // Expressions know proxies by their place, so the place stays.
        let proxy = backend_mut(config, &name)?;
        proxy.disabled = true;
        proxy.name = format!("deleted:{}:{}", proxy.numeric_id, proxy.name);
        Ok(error("Backend deleted."))
    };
    ask(context, Wish::Edit(Box::new(edit)))
}

fn is_backend_named(config: &Config, name: &str) -> bool {
    let at = config.proxies.iter().position(|proxy| proxy.name == name);
    let id = at.and_then(|at| u32::try_from(at).ok()).map(crate::model::ProxyId);
    config.proxies.iter().any(|proxy| {
        let switched = proxy.use_backend.iter().any(|rule| match &rule.target {
            crate::model::UseBackendTarget::Static(to) => Some(*to) == id,
            crate::model::UseBackendTarget::Dynamic(_) => false,
        });
        let text =
            || serde_json::to_string(&(&proxy.rules, &proxy.acls, &proxy.use_backend)).unwrap_or_default();
        let tracked = || {
            let mut tracks = proxy.servers.iter().filter_map(|server| server.track.as_deref());
            tracks.any(|track| track.split('/').next() == Some(name) && track.contains('/'))
        };
        switched
            || id.is_some() && proxy.default_backend == id
            || tracked()
            || text().contains(&format!("({name})"))
            || text().contains(&format!("({name}/"))
    })
}
