//! What can only be said when everything was read (HAProxy says these things at the same moment, mostly without a
//! position; the position is kept for the snippet).

mod logs;

use std::collections::HashMap;
use std::sync::Arc;

use hacore::diag::{Diagnostic, PositionForm};

use super::loader::{Draft, Loader};
use super::{expression, lints, resolve};
use crate::model::{Check, Config, Mode, ProxyKind, StateFiles};
use crate::rules::actions;
use crate::tls::settings::{Settings, Side};
use crate::tls::{Problem, Ready, backend};

/// Resolves and checks everything, and gives the model.
pub fn finish(loader: &mut Loader) -> Config {
    let mut drafts = std::mem::take(&mut loader.drafts);
    userlists(loader);
    resolve::proxy_ids(loader, &mut drafts);
    let mut cache = HashMap::new();
    let mut states = StateFiles::default();
    for draft in &mut drafts {
        global_logs(loader, draft);
        let mut redirects = std::mem::take(&mut draft.redirects);
        draft.proxy.rules.http_request.append(&mut redirects);
        restrict_names(draft);
        error_sections(loader, draft);
        mode_conflicts(loader, draft);
        resolve::server_ids(loader, draft);
        resolve::server_addresses(loader, draft, &mut cache, &mut states);
        server_tls(loader, draft);
        use_server(loader, draft);
        cookies(loader, draft);
    }
    resolve::switching(loader, &mut drafts);
    tracking(loader, &drafts);
    for draft in &drafts {
        completeness(loader, draft);
    }
    lints::run(loader, &drafts);
    for draft in &mut drafts {
        log_backend(loader, draft);
    }
    let (rings, log_forwards, log_profiles) = logs::finish(loader, &drafts, &mut cache);
    loader.global.environment =
        loader.environment.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    loader.global.reads_server_ends = loader.expressions.reads_server_ends.get();
    let config = Config {
        global: std::mem::take(&mut loader.global),
        proxies: drafts.into_iter().map(|draft| draft.proxy).collect(),
        pattern_files: std::sync::Arc::clone(&loader.expressions.pattern_files),
        userlists: std::mem::take(&mut loader.userlists),
        healthchecks: std::mem::take(&mut loader.healthchecks),
        rings,
        log_forwards,
        log_profiles,
    };
    expression::resolve_names(loader, &config);
    config
}

fn plain(diagnostic: Diagnostic, draft: &Draft) -> Diagnostic {
    diagnostic.at(draft.span).positioned(PositionForm::Omitted)
}

/// What a `mode log` backend may not have, and what it has otherwise than others.
fn log_backend(loader: &mut Loader, draft: &mut Draft) {
    use crate::model::BalanceAlgorithm as By;
    if draft.proxy.mode != Mode::Log {
        if matches!(draft.proxy.balance.algorithm, By::LogHash(_) | By::Sticky)
            && draft.proxy.kind.is_backend()
        {
            let message =
                format!("backend '{}' : this 'balance' algorithm needs 'mode log'.", draft.proxy.name);
            loader.push(plain(Diagnostic::alert(message), draft));
        }
        return;
    }
    match &mut draft.proxy.balance.algorithm {
        By::RoundRobin | By::LogHash(_) | By::Sticky => {}
        By::Random { draws } => *draws = 1,
        _ => {
            let message = format!(
                "backend '{}' : 'mode log' supports the 'balance' algorithms 'roundrobin', 'random', 'sticky' and 'log-hash' only.",
                draft.proxy.name
            );
            loader.push(plain(Diagnostic::alert(message), draft));
        }
    }
    for server in &mut draft.proxy.servers {
        // Weights are ignored (manual, "balance").
        server.weight = server.weight.min(1);
    }
}

/// A proxy as messages name it: `frontend`, `backend` or `proxy`.
fn kind_name(draft: &Draft) -> &'static str {
    match draft.proxy.kind {
        ProxyKind::Frontend => "frontend",
        ProxyKind::Backend => "backend",
        ProxyKind::Listen => "proxy",
    }
}

fn userlists(loader: &mut Loader) {
    for (list_name, group, members) in std::mem::take(&mut loader.group_members) {
        let Some(list) = loader.userlists.get_mut(&list_name) else { continue };
        let mut missing = Vec::new();
        for member in members {
            match list.users.get_mut(&member) {
                Some(user) => user.groups.push(group.as_str().to_owned()),
                None => missing.push(member),
            }
        }
        for member in missing {
            let message = format!(
                "userlist '{list_name}': no such user '{member}' specified in group '{}'",
                group.as_str()
            );
            loader.push(Diagnostic::alert(message).at(group.span).positioned(PositionForm::Omitted));
        }
    }
    let mut missing = Vec::new();
    for (list_name, list) in &loader.userlists {
        for (name, user) in &list.users {
            for group in user.groups.iter().filter(|group| !list.groups.contains(group)) {
                let message =
                    format!("userlist '{list_name}': no such group '{group}' specified in user '{name}'");
                let known =
                    loader.user_spans.iter().find(|(list, user, _)| list == list_name && user == name);
                missing.push((message, known.map(|(_, _, span)| *span)));
            }
        }
    }
    for (message, span) in missing {
        let diagnostic = Diagnostic::alert(message).positioned(PositionForm::Omitted);
        loader.push(Diagnostic { span, ..diagnostic });
    }
}

fn global_logs(loader: &Loader, draft: &mut Draft) {
    if draft.log_global {
        let mut logs = loader.global.logs.clone();
        logs.append(&mut draft.proxy.logs);
        draft.proxy.logs = logs;
    }
}

/// The option works after the rules (manual), and before them where an `allow` may end them early.
fn restrict_names(draft: &mut Draft) {
    let proxy = &mut draft.proxy;
    let Some(rule) =
        proxy.restrict_header_names.and_then(|restrict| actions::restrict::rule(restrict, &proxy.location))
    else {
        return;
    };
    let rules = &mut proxy.rules.http_request;
    if rules.iter().any(|rule| rule.text.starts_with("allow")) {
        rules.insert(0, rule.clone());
    }
    rules.push(rule);
}

fn error_sections(loader: &mut Loader, draft: &mut Draft) {
    for (name, only) in std::mem::take(&mut draft.errorfiles) {
        let Some(section) = loader.http_errors.get(name.as_str()) else {
            let message = format!(
                "proxy '{}': unable to find the http-errors section '{}'.",
                draft.proxy.name,
                name.as_str()
            );
            let known: Vec<String> = loader.http_errors.keys().cloned().collect();
            loader.push(
                Diagnostic::alert(message)
                    .at(name.span)
                    .positioned(PositionForm::Omitted)
                    .did_you_mean(name.as_str(), known.iter().map(String::as_str)),
            );
            continue;
        };
        for (status, reply) in section {
            if only.is_empty() || only.contains(status) {
                draft.proxy.error_replies.entry(*status).or_insert_with(|| reply.clone());
            }
        }
    }
}

fn mode_conflicts(loader: &mut Loader, draft: &mut Draft) {
    if draft.proxy.mode == Mode::Http {
        return;
    }
    let kind = kind_name(draft);
    let name = draft.proxy.name.clone();
    let mut told: Vec<&str> = Vec::new();
    let becomes_http = |rule: &crate::rules::Rule| rule.text.starts_with("switch-mode");
    let http_only = std::mem::take(&mut draft.http_only);
    let is_asked = !draft.proxy.rules.tcp_request_content.iter().any(becomes_http);
    for (keyword, span) in http_only.into_iter().filter(|_| is_asked) {
        if told.contains(&keyword) {
            continue;
        }
        told.push(keyword);
        let message = format!("{kind} '{name}' : '{keyword}' rules will be ignored (needs 'mode http').");
        loader.push(Diagnostic::warning(message).at(span).positioned(PositionForm::Omitted));
    }
    let mut ignored = |condition: bool, what: &str| {
        if condition {
            let message = format!("'{what}' ignored for {kind} '{name}' as it requires HTTP mode.");
            loader.push(plain(Diagnostic::warning(message), draft));
        }
    };
    let proxy = &draft.proxy;
    ignored(proxy.forward_for.is_some(), "option forwardfor");
    ignored(proxy.original_to.is_some(), "option originalto");
    ignored(proxy.cookie.is_some(), "cookie");
    ignored(proxy.monitor_uri.is_some() && proxy.kind.is_frontend(), "monitor-uri");
    ignored(proxy.options.http_buffer_request, "option http-buffer-request");
    if proxy.kind.is_frontend() && uses_http_log(draft) {
        let location = &draft.proxy.location;
        let message = format!(
            "parsing [{}:{}] : 'option httplog' not usable with proxy '{name}' (needs 'mode http'). Falling back to 'option tcplog'.",
            location.file, location.line
        );
        loader.push(plain(Diagnostic::warning(message), draft));
    }
}

fn uses_http_log(draft: &Draft) -> bool {
    draft.proxy.log_format.as_ref().is_some_and(|format| {
        let text = expression::text(format);
        text.contains("%ST") && text.contains("%hr %hs")
    })
}

/// Makes the TLS side of each server that has one: only now are its defaults known.
pub(super) fn server_tls(loader: &mut Loader, draft: &mut Draft) {
    if !draft.proxy.kind.is_backend() {
        return;
    }
    let global = loader.global.tls.clone();
    for (index, server) in draft.proxy.servers.iter_mut().enumerate() {
        let check = match &server.healthcheck {
            Some(section) => loader.healthchecks.get(section),
            None => Some(&draft.proxy.check),
        };
        if server.check && check.is_none() {
            let section = server.healthcheck.as_deref().unwrap_or_default();
            let message = format!(
                "'server {}/{}' : unable to find the healthcheck section '{section}'.",
                draft.proxy.name, server.name
            );
            let known = loader.healthchecks.keys().map(String::as_str);
            let span = draft.server_spans.get(index).copied().unwrap_or(draft.span);
            let diagnostic = Diagnostic::alert(message).at(span).did_you_mean(section, known);
            loader.diagnostics.push(diagnostic.positioned(PositionForm::Between("[", "] : ")));
        }
        let by_step = server.check && check.is_some_and(Check::connects_by_tls);
        if !server.tls && !server.tls_switchable && server.check_tls != Some(true) && !by_step {
            continue;
        }
        let mut problems = Vec::new();
        let files = loader.global.shared_tls();
        let settings =
            Settings { global: &global, words: &server.tls_settings, side: Side::Server, files: &files };
        let made = backend::build(&settings, &mut loader.certificates, &mut problems);
        let span = draft.server_spans.get(index).copied().unwrap_or(draft.span);
        let intro = format!("'server {}/{}'", draft.proxy.name, server.name);
        for problem in problems {
            let diagnostic = match problem {
                Problem::Word(text) => Diagnostic::alert(format!("{intro} : {text}")),
                Problem::Whole(text) => Diagnostic::alert(format!("{intro} : {text}.")),
                Problem::Warning(text) => Diagnostic::warning(format!("{intro} : {text}")),
            };
            loader.push(diagnostic.at(span).positioned(PositionForm::Between("[", "] : ")));
        }
        server.tls_client = Ready(made.map(Arc::new));
    }
}

fn use_server(loader: &mut Loader, draft: &Draft) {
    for name in draft.use_server_names.iter().filter(|name| !name.as_str().contains('%')) {
        if !draft.proxy.servers.iter().any(|server| *name == *server.name.as_str()) {
            let message = format!(
                "{} '{}' : unable to find server '{}' referenced in a 'use-server' rule.",
                kind_name(draft),
                draft.proxy.name,
                name.as_str()
            );
            let known = draft.proxy.servers.iter().map(|server| server.name.as_str());
            let diagnostic = Diagnostic::alert(message).at(name.span).positioned(PositionForm::Omitted);
            loader.push(diagnostic.did_you_mean(name.as_str(), known));
        }
    }
}

fn cookies(loader: &mut Loader, draft: &Draft) {
    if !draft.proxy.kind.is_backend() || draft.proxy.mode != Mode::Http || draft.proxy.cookie.is_some() {
        return;
    }
    for (index, server) in
        draft.proxy.servers.iter().enumerate().filter(|(_, server)| server.cookie.is_some())
    {
        let span = draft.server_spans.get(index).copied().unwrap_or(draft.span);
        let message = format!(
            "ignored cookie for server '{}': backend '{}' has no 'cookie' line.",
            server.name, draft.proxy.name
        );
        loader.push(Diagnostic::notice(message).at(span));
    }
}

/// `track` must lead to a checked server, and not in a circle.
fn tracking(loader: &mut Loader, drafts: &[Draft]) {
    let mut targets: HashMap<(usize, usize), (usize, usize)> = HashMap::new();
    for (proxy_index, draft) in drafts.iter().enumerate() {
        for (server_index, server) in draft.proxy.servers.iter().enumerate() {
            let Some(track) = &server.track else { continue };
            let span = draft.server_spans.get(server_index).copied().unwrap_or(draft.span);
            let (backend, wanted) = match track.rsplit_once('/') {
                Some((backend, wanted)) => (backend, wanted),
                None => (draft.proxy.name.as_str(), track.as_str()),
            };
            let intro = format!("'server {}/{}' ", draft.proxy.name, server.name);
            let mut alert = |problem: String| {
                loader
                    .push(Diagnostic::alert(problem).at(span).positioned(PositionForm::Between("[", "] : ")));
            };
            let Some((other_index, other)) = drafts
                .iter()
                .enumerate()
                .find(|(_, other)| other.proxy.name == backend && other.proxy.kind.is_backend())
            else {
                alert(format!("{intro}: unable to find required proxy '{backend}' for tracking."));
                continue;
            };
            let found =
                other.proxy.servers.iter().enumerate().find(|(_, candidate)| candidate.name == wanted);
            let Some((found_index, found)) = found else {
                alert(format!("{intro}: unable to find required server '{wanted}' for tracking."));
                continue;
            };
            if !found.check && !found.agent_check && found.track.is_none() {
                alert(format!(
                    "{intro}: unable to use {backend}/{wanted} for tracking as it does not have any check nor agent enabled."
                ));
            }
            targets.insert((proxy_index, server_index), (other_index, found_index));
        }
    }
    let mut starts: Vec<&(usize, usize)> = targets.keys().collect();
    starts.sort_unstable();
    for start in starts {
        let mut at = *start;
        for _ in 0..=targets.len() {
            match targets.get(&at) {
                Some(next) => at = *next,
                None => break,
            }
            if at == *start {
                let Some(draft) = drafts.get(start.0) else { return };
                let name = draft.proxy.servers.get(start.1).map_or("?", |server| server.name.as_str());
                let message = format!("unable to track server '{name}': tracking is circular.");
                let span = draft.server_spans.get(start.1).copied().unwrap_or(draft.span);
                loader.push(Diagnostic::alert(message).at(span).positioned(PositionForm::Omitted));
                return;
            }
        }
    }
}

/// Warnings about what is missing.
fn completeness(loader: &mut Loader, draft: &Draft) {
    let proxy = &draft.proxy;
    if proxy.disabled {
        return;
    }
    let kind = kind_name(draft);
    let name = &proxy.name;
    if proxy.kind == ProxyKind::Frontend && proxy.binds.is_empty() {
        let message = format!(
            "{kind} '{name}' has no 'bind' directive. Please declare it as a backend if this was intended."
        );
        loader.push(plain(Diagnostic::warning(message), draft));
    }
    if proxy.kind.is_frontend() && proxy.log_format.is_some() && proxy.logs.is_empty() {
        let message = format!("log format ignored for {kind} '{name}' since it has no log address.");
        loader.push(plain(Diagnostic::warning(message), draft));
    }
    let timeouts = &proxy.timeouts;
    let missing = (proxy.kind.is_frontend() && timeouts.client.is_none())
        || (proxy.kind.is_backend()
            && (timeouts.connect.is_none() || timeouts.server.is_none())
            && (!proxy.servers.is_empty() || proxy.options.transparent));
    if missing {
        let message = format!(
            "missing timeouts for {kind} '{name}'.\n   | While not properly invalid, you will certainly encounter various problems\n   | with such a configuration. To fix this, please ensure that all following\n   | timeouts are set to a non-zero value: 'client', 'connect', 'server'."
        );
        loader.push(plain(Diagnostic::warning(message), draft));
    }
}
