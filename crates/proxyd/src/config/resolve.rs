//! Names become numbers: backends of frontends, servers' host names, error sections, proxies' and servers' ids.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, SocketAddr};

use hacore::addr::Family;
use hacore::diag::{Diagnostic, PositionForm};

use super::arguments;
use super::loader::{Draft, Loader};
use crate::model::{Address, NAMELESS, ProxyId, Server, StateFiles, UseBackend, UseBackendTarget};

/// Index of backends by name; a name may also be a frontend's.
pub fn backends(drafts: &[Draft]) -> HashMap<String, ProxyId> {
    let mut backends = HashMap::new();
    for (index, draft) in drafts.iter().enumerate() {
        if draft.proxy.kind.is_backend() {
            backends.entry(draft.proxy.name.clone()).or_insert(ProxyId(index as u32));
        }
    }
    backends
}

/// `default_backend` and `use_backend`.
pub fn switching(loader: &mut Loader, drafts: &mut [Draft]) {
    let backends = backends(drafts);
    let modes: Vec<_> = drafts.iter().map(|draft| (draft.proxy.mode, draft.proxy.location.clone())).collect();
    let frontends: HashSet<String> = drafts
        .iter()
        .filter(|draft| !draft.proxy.kind.is_backend())
        .map(|draft| draft.proxy.name.clone())
        .collect();
    for draft in drafts.iter_mut().filter(|draft| draft.proxy.kind.is_frontend()) {
        let kind = if draft.proxy.kind.is_backend() { "proxy" } else { "frontend" };
        let owner = draft.proxy.name.clone();
        let (mode, place) = (draft.proxy.mode, draft.proxy.location.clone());
        let find = |loader: &mut Loader, name: &hacore::diag::Word, what: &str| -> Option<ProxyId> {
            match backends.get(name.as_str()) {
                Some(id) => {
                    let (other, there) = modes.get(id.0 as usize).cloned().unwrap_or_default();
                    // A TCP frontend may go to an HTTP backend: the connection is upgraded there.
                    let compatible = other == mode
                        || (mode == crate::model::Mode::Tcp && other == crate::model::Mode::Http);
                    if !compatible {
                        let role = match what {
                            "default_backend" => "as its default backend".to_owned(),
                            _ => format!("in a '{what}' rule"),
                        };
                        let message = format!(
                            "{} {kind} '{owner}' ({}:{}) tries to use incompatible {} backend '{}' ({}:{}) {role} (see 'mode').",
                            mode_name(mode),
                            place.file,
                            place.line,
                            mode_name(other),
                            name.as_str(),
                            there.file,
                            there.line,
                        );
                        loader
                            .push(Diagnostic::alert(message).at(name.span).positioned(PositionForm::Omitted));
                    }
                    Some(*id)
                }
                None => {
                    let message = if frontends.contains(name.as_str()) {
                        format!(
                            "unable to find required {what}: '{}' is a frontend and has no backend capability.",
                            name.as_str()
                        )
                    } else if what == "default_backend" {
                        format!(
                            "Proxy '{owner}': unable to find required default_backend: '{}'.",
                            name.as_str()
                        )
                    } else {
                        format!("Proxy '{owner}': unable to find required use_backend: '{}'.", name.as_str())
                    };
                    let diagnostic =
                        Diagnostic::alert(message).at(name.span).positioned(PositionForm::Omitted);
                    loader.push(diagnostic.did_you_mean(name.as_str(), backends.keys().map(String::as_str)));
                    None
                }
            }
        };
        if let Some(name) = draft.default_backend.take() {
            draft.proxy.default_backend = find(loader, &name, "default_backend");
        }
        for switch in std::mem::take(&mut draft.switches) {
            let target = match switch.dynamic {
                Some(format) => UseBackendTarget::Dynamic(format),
                None => match find(loader, &switch.name, "use_backend") {
                    Some(id) => UseBackendTarget::Static(id),
                    None => continue,
                },
            };
            draft.proxy.use_backend.push(UseBackend {
                target,
                condition: switch.condition,
                location: switch.location,
            });
        }
    }
}

/// A mode as messages name it.
pub fn mode_name(mode: crate::model::Mode) -> &'static str {
    match mode {
        crate::model::Mode::Tcp => "tcp",
        crate::model::Mode::Http => "http",
        crate::model::Mode::Log => "syslog",
        crate::model::Mode::Spop => "spop",
    }
}

/// Gives every proxy without `id` the lowest free number in configuration order, as HAProxy does.
pub fn proxy_ids(loader: &mut Loader, drafts: &mut [Draft]) {
    // The first number is taken by the internal proxy of the admin sockets when there is one.
    let mut used: HashMap<u32, String> = HashMap::new();
    for draft in drafts.iter().filter(|draft| draft.proxy.id_given) {
        if let Some(other) = used.insert(draft.proxy.numeric_id, draft.proxy.name.clone()) {
            let message =
                format!("'{}' has the same id as '{other}': {}.", draft.proxy.name, draft.proxy.numeric_id);
            loader.push(Diagnostic::alert(message).at(draft.span));
        }
    }
    let mut next = 2;
    for draft in drafts.iter_mut() {
        if !draft.proxy.id_given {
            while used.contains_key(&next) {
                next += 1;
            }
            draft.proxy.numeric_id = next;
        }
        // One that has a number of its own takes its turn all the same.
        next += 1;
    }
}

/// `option transparent` without servers: to where the client wanted to go.
fn add_transparent(draft: &mut Draft) {
    let proxy = &mut draft.proxy;
    if proxy.options.transparent && proxy.kind.is_backend() && proxy.servers.is_empty() {
        let anywhere = Address::Inet(SocketAddr::from(([0, 0, 0, 0], 0)));
        let mut server = Server::new(NAMELESS, anywhere, proxy.location.clone());
        server.port_from_client = true;
        proxy.servers.push(server);
        draft.server_spans.push(draft.span);
    }
}

/// Numbers a backend's servers, and finds duplicates.
pub fn server_ids(loader: &mut Loader, draft: &mut Draft) {
    add_transparent(draft);
    let name = draft.proxy.name.clone();
    let mut used: HashSet<u32> = HashSet::new();
    let mut names: HashMap<String, usize> = HashMap::new();
    for (index, server) in draft.proxy.servers.iter().enumerate() {
        let span = draft.server_spans.get(index).copied().unwrap_or(draft.span);
        if server.numeric_id != 0 && !used.insert(server.numeric_id) {
            let message = format!(
                "'server {}' : custom id {} is already used in {name}.",
                server.name, server.numeric_id
            );
            loader.push(Diagnostic::alert(message).at(span));
        }
        if let Some(first) = names.insert(server.name.clone(), index) {
            let line = draft.proxy.servers.get(first).map_or(0, |server| server.location.line);
            let message = format!(
                "backend '{name}', another server named '{}' was already defined at line {line}, please use distinct names.",
                server.name
            );
            loader.push(
                Diagnostic::alert(message).at(span).positioned(PositionForm::Between("parsing [", "] : ")),
            );
        }
    }
    let mut next = 1;
    for server in &mut draft.proxy.servers {
        if server.numeric_id == 0 {
            while used.contains(&next) {
                next += 1;
            }
            server.numeric_id = next;
        }
        // One that has a number of its own takes its turn all the same.
        next += 1;
    }
}

/// Finds the addresses of servers that were given by name, in the order of `init-addr`.
pub fn server_addresses(
    loader: &mut Loader,
    draft: &mut Draft,
    cache: &mut HashMap<(String, u8), Option<IpAddr>>,
    states: &mut StateFiles,
) {
    let backend = draft.proxy.name.clone();
    let named = draft.proxy.servers.iter().any(|server| matches!(server.address, Address::Name { .. }));
    let states = named.then(|| states.of(&loader.global, &draft.proxy).ok().flatten()).flatten();
    for (index, server) in draft.proxy.servers.iter_mut().enumerate() {
        let Address::Name { host, port } = server.address.clone() else { continue };
        let span = draft.server_spans.get(index).copied().unwrap_or(draft.span);
        let last = states.and_then(|states| states.get(&backend, &server.name)?.address);
        match first_address(server, &host, last, cache) {
            Initial::Found(ip) => server.address = Address::Inet(std::net::SocketAddr::new(ip, port)),
            Initial::WithoutAddress => server.disabled = true,
            Initial::Failed => {
                let message =
                    format!("'server {backend}/{}' : could not resolve address '{host}'", server.name);
                let at = PositionForm::Between("parsing [", "] : ");
                if loader.options.ignore_unresolved {
                    loader.push(
                        Diagnostic::warning(format!("{message}, disabling server.")).at(span).positioned(at),
                    );
                    server.disabled = true;
                } else {
                    loader.push(Diagnostic::alert(format!("{message}.")).at(span).positioned(at).help(
                        "add 'init-addr last,libc,none' to start without an address, or check the name",
                    ));
                }
            }
        }
    }
}

enum Initial {
    Found(IpAddr),
    WithoutAddress,
    Failed,
}

fn first_address(
    server: &Server,
    host: &str,
    last: Option<IpAddr>,
    cache: &mut HashMap<(String, u8), Option<IpAddr>>,
) -> Initial {
    let prefer = server.resolve_settings.iter().find(|setting| setting.name == "resolve-prefer");
    let family = match prefer.map(|setting| setting.value.as_str()) {
        Some("ipv6") => Family::V6,
        Some("ipv4") => Family::V4,
        _ => Family::Any,
    };
    let default = ["last".to_owned(), "libc".to_owned()];
    let methods = if server.init_addr.is_empty() { &default[..] } else { &server.init_addr };
    for method in methods {
        match method.as_str() {
            "last" => {
                if let Some(ip) = last {
                    return Initial::Found(ip);
                }
            }
            "none" => return Initial::WithoutAddress,
            "libc" => {
                let found = *cache.entry((host.to_owned(), family as u8)).or_insert_with(|| {
                    let found = arguments::resolve(host, 0, family);
                    found.or_else(|| arguments::resolve(host, 0, Family::Any)).map(|address| address.ip())
                });
                if let Some(ip) = found {
                    return Initial::Found(ip);
                }
            }
            address => {
                if let Ok(ip) = address.parse() {
                    return Initial::Found(ip);
                }
            }
        }
    }
    Initial::Failed
}
