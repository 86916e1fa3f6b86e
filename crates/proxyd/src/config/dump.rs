//! `-dKcfg` in the genuine format, from the tables.

use std::fmt::Write;

use super::keyword::{Keyword, Places};
use super::keywords::{self, bind, server};
use crate::rules::{RuleSet, action_defs};
use crate::services::cli::Restriction;

/// All configuration keywords.
pub fn configuration() -> String {
    let mut out = String::from("# List of registered configuration keywords:\n");
    section(&mut out, "global", Places::GLOBAL);
    out.push_str("\tstats\n");
    out.push_str("listen\n");
    let mut names: Vec<&str> = listed(Places::PROXY)
        .filter(|keyword| !keyword.name.starts_with("option "))
        .map(Keyword::head)
        .collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let _ = writeln!(out, "\t{name}");
    }
    let tls: Vec<&str> = bind::tls_keywords().iter().map(|keyword| keyword.name).collect();
    for keyword in bind::keywords() {
        let kind = if tls.contains(&keyword.name) { "ssl " } else { "" };
        let _ = writeln!(out, "\tbind <addr> {kind}{}{}", keyword.name, skip(keyword.arguments));
    }
    for keyword in server::keywords() {
        let skip = if keyword.name == "source" { " +-1" } else { skip(keyword.arguments) };
        let _ = writeln!(out, "\tserver <name> <addr> {}{skip}", keyword.name);
    }
    for keyword in listed(Places::PROXY).filter(|keyword| keyword.name.starts_with("option ")) {
        let mut sides = String::new();
        if keyword.places.has(Places::FRONTEND) {
            sides.push_str(" FE");
        }
        if keyword.places.has(Places::BACKEND) {
            sides.push_str(" BE");
        }
        if super::keywords::proxy::needs_http(keyword.name) {
            sides.push_str(" HTTP");
        }
        let _ = writeln!(out, "\t{} [{sides} ]", keyword.name);
    }
    for set in [
        RuleSet::TcpRequestConnection,
        RuleSet::TcpRequestSession,
        RuleSet::TcpRequestContent,
        RuleSet::TcpResponseContent,
        RuleSet::HttpRequest,
        RuleSet::HttpResponse,
        RuleSet::HttpAfterResponse,
    ] {
        let actions = action_defs().filter(|action| action.sets.contains(&set));
        for action in actions {
            if action.name == "sc-" {
                for name in STICK_COUNTER_ACTIONS {
                    let _ = writeln!(out, "\t{} {name}*", set.keyword());
                }
                continue;
            }
            let open = if action.takes_argument || action.is_prefix { "*" } else { "" };
            let _ = writeln!(out, "\t{} {}{open}", set.keyword(), action.name);
        }
    }
    section(&mut out, "userlist", Places::USERLIST);
    out.push_str("peers\n");
    // Words of a certificate list's lines: those of `bind` that concern one certificate.
    out.push_str("crt-list\n");
    for keyword in bind::tls_keywords().iter().filter(|keyword| CRT_LIST.contains(&keyword.name)) {
        let _ = writeln!(out, "\t{}{}", keyword.name, skip(keyword.arguments));
    }
    section(&mut out, "crt-store", Places::CRT_STORE);
    section(&mut out, "traces", Places::TRACES);
    section(&mut out, "acme", Places::ACME);
    out
}

/// The family `sc-…`, one item in the table of actions.
const STICK_COUNTER_ACTIONS: &[&str] =
    &["sc-add-gpc", "sc-inc-gpc", "sc-inc-gpc0", "sc-inc-gpc1", "sc-set-gpt", "sc-set-gpt0"];

/// TLS words that may stand in a certificate list.
const CRT_LIST: &[&str] = &[
    "allow-0rtt",
    "alpn",
    "ca-file",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "curves",
    "ecdhe",
    "ktls",
    "no-alpn",
    "no-ca-names",
    "npn",
    "sigalgs",
    "ssl-max-ver",
    "ssl-min-ver",
    "verify",
];

fn listed(places: Places) -> impl Iterator<Item = &'static Keyword> {
    keywords::tables().filter(move |keyword| keyword.listed && keyword.places.has(places))
}

fn section(out: &mut String, name: &str, place: Places) {
    let _ = writeln!(out, "{name}");
    let mut names: Vec<&str> = listed(place).map(Keyword::head).collect();
    names.sort_unstable();
    names.dedup();
    for name in names {
        let _ = writeln!(out, "\t{name}");
    }
}

fn skip(arguments: &str) -> &'static str {
    if arguments.is_empty() { "" } else { " +1" }
}

/// `-dKcli`: one line a command; there is no master process, so that all are the worker's.
fn commands() -> Vec<String> {
    let mut lines: Vec<String> = crate::services::cli::commands()
        .iter()
        .map(|command| {
            let gate = match command.restriction {
                Restriction::None => "",
                Restriction::Expert => "[EXPERT]",
                Restriction::Experimental => "[EXPERIM]",
            };
            format!("{} [WORKER] {gate}", command.words.join(" "))
        })
        .collect();
    lines.sort();
    lines
}

/// The classes of `-dK`, in the order of `all`.
pub const CLASSES: &[&str] = &["acl", "cfg", "cli", "cnv", "flt", "smp", "svc"];

/// What `-dK<classes>` prints; without classes, or with `help`, the list of classes.
pub fn classes(wanted: &[String]) -> String {
    let all = wanted.iter().any(|class| class == "all");
    if wanted.is_empty() || wanted.iter().any(|class| class == "help") {
        return "# List of supported keyword classes:\nall: list all keywords\nacl: ACL keywords\ncfg: configuration keywords\ncli: CLI keywords\ncnv: sample converter keywords\nflt: filter names\nsmp: sample fetch functions\nsvc: service names\n".to_owned();
    }
    let mut out = String::new();
    for class in CLASSES.iter().filter(|class| all || wanted.iter().any(|wanted| wanted == *class)) {
        let (title, lines) = match *class {
            "acl" => ("ACL keywords", crate::expr::keywords::acl_lines()),
            "cfg" => {
                out.push_str(&configuration());
                continue;
            }
            "cli" => ("CLI keywords", commands()),
            "cnv" => ("sample converter functions", crate::expr::keywords::converter_lines()),
            "flt" => ("filter names", Vec::new()),
            "smp" => ("sample fetch functions", crate::expr::keywords::fetch_lines()),
            _ => ("service names", vec!["prometheus-exporter".to_owned()]),
        };
        let _ = writeln!(out, "# List of registered {title}:");
        for line in lines {
            let _ = writeln!(out, "{line}");
        }
    }
    out
}
