//! Lints about what is never reached: rules, ACLs, backends.

use std::collections::HashSet;

use hacore::diag::Diagnostic;

use super::View;
use crate::config::keywords::proxy::rules::FINAL_HTTP;
use crate::config::loader::Draft;
use crate::model::{Mode, UseBackendTarget};
use crate::rules::{Rule, RuleSet};

pub(super) fn run(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    for draft in view.drafts.iter().filter(|draft| !draft.proxy.disabled) {
        for set in SETS {
            unreachable(view, *set, draft.proxy.rules.of(*set), found);
        }
        unreachable_switches(view, draft, found);
        redirects(view, draft, found);
        unused_acls(draft, found);
        dead_ends(draft, found);
    }
    unused_backends(view, found);
}

const SETS: &[RuleSet] = &[
    RuleSet::TcpRequestConnection,
    RuleSet::TcpRequestSession,
    RuleSet::TcpRequestContent,
    RuleSet::TcpResponseContent,
    RuleSet::HttpRequest,
    RuleSet::HttpResponse,
    RuleSet::HttpAfterResponse,
];

/// Actions after which no further rule of the set is evaluated.
const FINAL: &[&str] =
    &["accept", "allow", "deny", "reject", "redirect", "return", "silent-drop", "tarpit", "use-service"];

fn unreachable(view: &View<'_>, set: RuleSet, rules: &[Rule], found: &mut Vec<Diagnostic>) {
    let Some(last) =
        rules.iter().position(|rule| rule.condition.is_none() && FINAL.contains(&rule.action_name()))
    else {
        return;
    };
    let (Some(end), Some(next)) = (rules.get(last), rules.get(last + 1)) else { return };
    if set.is_http() && FINAL_HTTP.contains(&end.action_name()) {
        return; // A warning says so already.
    }
    let count = rules.len() - last - 1;
    let message = format!(
        "{count} '{}' rule{} from here on can never be reached: line {} says '{}' without condition.",
        set.keyword(),
        if count == 1 { "" } else { "s" },
        end.location.line,
        end.action_name()
    );
    found.push(
        view.hint("L009", &next.location, message)
            .help("move the rule up, or give the earlier one a condition"),
    );
}

fn unreachable_switches(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let switches = &draft.proxy.use_backend;
    let Some(last) = switches.iter().position(|switch| {
        switch.condition.is_none() && matches!(switch.target, UseBackendTarget::Static(_))
    }) else {
        return;
    };
    if let (Some(end), Some(next)) = (switches.get(last), switches.get(last + 1)) {
        let message = format!(
            "this 'use_backend' rule can never be reached: the one on line {} has no condition.",
            end.location.line
        );
        found.push(view.hint("L009", &next.location, message));
    }
}

/// `redirect scheme https if !{ ssl_fc }` where every listener speaks TLS, and the opposite.
fn redirects(view: &View<'_>, draft: &Draft, found: &mut Vec<Diagnostic>) {
    let proxy = &draft.proxy;
    if !proxy.kind.is_frontend() || proxy.binds.is_empty() || proxy.mode != Mode::Http {
        return;
    }
    // A PROXY header may tell of TLS that ended before us.
    if proxy.binds.iter().any(|bind| bind.accept_proxy) {
        return;
    }
    let all_tls = proxy.binds.iter().all(|bind| bind.tls);
    let no_tls = proxy.binds.iter().all(|bind| !bind.tls);
    for rule in proxy.rules.http_request.iter().filter(|rule| rule.action_name() == "redirect") {
        let Some(condition) = &rule.condition else { continue };
        let never = match condition.text() {
            "if !{ ssl_fc }" | "unless { ssl_fc }" | "if ! { ssl_fc }" => all_tls,
            "if { ssl_fc }" | "unless !{ ssl_fc }" => no_tls,
            _ => false,
        };
        if never {
            let what = if all_tls { "every listener speaks TLS" } else { "no listener speaks TLS" };
            let message = format!("this redirect of '{}' can never fire: {what}.", proxy.name);
            let help = "put it into a frontend of its own, or add a listener without 'ssl'";
            found.push(view.hint("L008", &rule.location, message).help(help));
        }
    }
}

fn unused_acls(draft: &Draft, found: &mut Vec<Diagnostic>) {
    let mut told: HashSet<&str> = HashSet::new();
    for (name, span) in &draft.acl_spans {
        if draft.acls.is_unused(name) && told.insert(name) {
            let message = format!("ACL '{name}' of '{}' is never used.", draft.proxy.name);
            found.push(Diagnostic::hint("L011", message).at(*span));
        }
    }
}

fn dead_ends(draft: &Draft, found: &mut Vec<Diagnostic>) {
    let proxy = &draft.proxy;
    let answers =
        |rule: &Rule| matches!(rule.action_name(), "return" | "deny" | "redirect" | "tarpit" | "use-service");
    let answered = proxy.stats.is_some()
        || proxy.monitor_uri.is_some()
        || proxy.options.transparent
        || proxy.rules.http_request.iter().any(answers)
        || proxy
            .rules
            .tcp_request_content
            .iter()
            .any(|rule| matches!(rule.action_name(), "reject" | "silent-drop"));
    if answered || !matches!(proxy.mode, Mode::Tcp | Mode::Http) {
        return;
    }
    if !proxy.kind.is_backend() {
        if proxy.default_backend.is_none() && proxy.use_backend.is_empty() && !proxy.binds.is_empty() {
            let message = format!("frontend '{}' leads to no backend.", proxy.name);
            found.push(Diagnostic::hint("L015", message).at(draft.span).help("add 'default_backend <name>'"));
        }
        return;
    }
    let elsewhere = proxy.default_backend.is_some() || !proxy.use_backend.is_empty();
    if proxy.servers.is_empty() && !elsewhere && (!proxy.kind.is_frontend() || !proxy.binds.is_empty()) {
        let message = format!("'{}' has no servers: every request gets a 503.", proxy.name);
        found.push(Diagnostic::hint("L014", message).at(draft.span));
    }
}

fn unused_backends(view: &View<'_>, found: &mut Vec<Diagnostic>) {
    let dynamic = view
        .drafts
        .iter()
        .flat_map(|draft| &draft.proxy.use_backend)
        .any(|switch| matches!(switch.target, UseBackendTarget::Dynamic(_)));
    if dynamic || !view.drafts.iter().any(|draft| !draft.proxy.binds.is_empty()) {
        return;
    }
    let mut used = vec![false; view.drafts.len()];
    let mut tracked = std::collections::HashSet::new();
    for draft in view.drafts {
        let ids = draft.proxy.use_backend.iter().filter_map(|switch| match switch.target {
            UseBackendTarget::Static(id) => Some(id),
            UseBackendTarget::Dynamic(_) => None,
        });
        for id in ids.chain(draft.proxy.default_backend) {
            if let Some(used) = used.get_mut(id.0 as usize) {
                *used = true;
            }
        }
        for server in &draft.proxy.servers {
            tracked.extend(
                server.track.as_deref().and_then(|track| track.split_once('/')).map(|(name, _)| name),
            );
        }
    }
    for (draft, used) in view.drafts.iter().zip(used) {
        let proxy = &draft.proxy;
        let is_plain = proxy.kind.is_backend() && !proxy.kind.is_frontend() && !proxy.disabled;
        if is_plain && !used && !tracked.contains(proxy.name.as_str()) && proxy.mode != Mode::Log {
            let message = format!("backend '{}' is used by no frontend.", proxy.name);
            found.push(Diagnostic::hint("L013", message).at(draft.span));
        }
    }
}
