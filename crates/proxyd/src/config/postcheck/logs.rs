//! Rings, forwarders and log profiles when everything was read, and the names by which lines refer to them.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use hacore::diag::{Diagnostic, PositionForm};

use super::{resolve, server_tls};
use crate::config::loader::{Draft, Loader};
use crate::model::{LogForward, LogProfile, LogTransport, Mode, Ring};

type Sections = (BTreeMap<String, Ring>, Vec<LogForward>, BTreeMap<String, Arc<LogProfile>>);

/// The sections as the model has them.
pub(super) fn finish(
    loader: &mut Loader,
    drafts: &[Draft],
    cache: &mut HashMap<(String, u8), Option<IpAddr>>,
) -> Sections {
    let mut rings = BTreeMap::new();
    for (mut ring, mut draft) in std::mem::take(&mut loader.logs.rings) {
        resolve::server_ids(loader, &mut draft);
        resolve::server_addresses(loader, &mut draft, cache, &mut crate::model::StateFiles::default());
        server_tls(loader, &mut draft);
        if ring.length_max_bytes > ring.size_bytes {
            let message = format!(
                "ring '{}' event max length '{}' exceeds size, forced to size '{}'.",
                ring.name, ring.length_max_bytes, ring.size_bytes
            );
            let warning = Diagnostic::warning(message).at(draft.span);
            loader.push(warning.positioned(PositionForm::Omitted));
            ring.length_max_bytes = ring.size_bytes;
        }
        ring.description = draft.proxy.description;
        ring.connect_timeout = draft.proxy.timeouts.connect;
        ring.server_timeout = draft.proxy.timeouts.server;
        ring.servers = draft.proxy.servers;
        let name = ring.name.clone();
        if rings.insert(name.clone(), ring).is_some() {
            let message = format!("sink named '{name}' already exists.");
            loader.push(Diagnostic::alert(message).at(draft.span).positioned(PositionForm::Omitted));
        }
    }
    let mut forwards = Vec::new();
    for (mut forward, draft) in std::mem::take(&mut loader.logs.forwards) {
        if draft.log_global {
            let mut logs = loader.global.logs.clone();
            logs.append(&mut forward.logs);
            forward.logs = logs;
        }
        forward.maxconn = draft.proxy.maxconn.unwrap_or(forward.maxconn);
        forward.backlog = draft.proxy.backlog;
        forward.client_timeout = draft.proxy.timeouts.client;
        forwards.push(forward);
    }
    let profiles = std::mem::take(&mut loader.logs.profiles);
    let profiles = profiles.into_iter().map(|(name, profile)| (name, Arc::new(profile))).collect();
    names(loader, drafts, &rings, &profiles);
    (rings, forwards, profiles)
}

fn names(
    loader: &mut Loader,
    drafts: &[Draft],
    rings: &BTreeMap<String, Ring>,
    profiles: &BTreeMap<String, Arc<LogProfile>>,
) {
    for (target, span) in std::mem::take(&mut loader.logs.names) {
        let mut missing = |message: String, name: &str, known: Vec<&str>| {
            let alert = Diagnostic::alert(message).at(span);
            loader.push(alert.did_you_mean(name, known));
        };
        if let Some(name) = target.profile.as_ref().filter(|name| !profiles.contains_key(*name)) {
            let message = format!("'log' : unknown log-profile '{name}'.");
            missing(message, name, profiles.keys().map(String::as_str).collect());
        }
        match &target.transport {
            LogTransport::Ring(name) if !rings.contains_key(name) => {
                let message = format!("'log' : cannot find ring '{name}'.");
                missing(message, name, rings.keys().map(String::as_str).collect());
            }
            LogTransport::Backend(name) => {
                let backends = || drafts.iter().filter(|draft| draft.proxy.kind.is_backend());
                let known = backends().filter(|draft| draft.proxy.mode == Mode::Log);
                let known: Vec<&str> = known.map(|draft| draft.proxy.name.as_str()).collect();
                if !backends().any(|draft| draft.proxy.name == *name) {
                    missing(format!("'log' : uses unknown log backend '{name}'."), name, known);
                } else if !known.contains(&name.as_str()) {
                    missing(
                        format!("'log' : uses incompatible backend '{name}', it needs 'mode log'."),
                        name,
                        known,
                    );
                }
            }
            _ => {}
        }
    }
    for draft in drafts {
        let rules = &draft.proxy.rules;
        let all = [
            &rules.tcp_request_connection,
            &rules.tcp_request_session,
            &rules.tcp_request_content,
            &rules.tcp_response_content,
            &rules.http_request,
            &rules.http_response,
            &rules.http_after_response,
        ];
        for rule in all.into_iter().flatten() {
            let Some(name) = rule.text.strip_prefix("do-log profile ") else { continue };
            if !profiles.contains_key(name) {
                let message = format!(
                    "parsing [{}:{}] : 'do-log' : unknown log-profile '{name}'.",
                    rule.location.file, rule.location.line
                );
                let alert = Diagnostic::alert(message).at(draft.span).positioned(PositionForm::Omitted);
                loader.push(alert.did_you_mean(name, profiles.keys().map(String::as_str)));
            }
        }
    }
}
