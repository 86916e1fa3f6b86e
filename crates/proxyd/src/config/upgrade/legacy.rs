//! The old words, and what each is today (HAProxy's announcements of 2.1, 2.5 and later, and its manual).

use std::sync::LazyLock;

use regex::Regex;

use super::{Modern, OldLine, quoted};
use crate::config::keywords::proxy::legacy_headers;

fn one(line: String) -> Option<Modern> {
    Some(Modern::Lines(vec![line]))
}

fn advice(text: &str) -> Option<Modern> {
    Some(Modern::Advice(text.to_owned()))
}

pub(super) fn modern(section: &str, line: &OldLine<'_>) -> Option<Modern> {
    match section {
        "global" => global(line),
        "defaults" | "frontend" | "backend" | "listen" => proxy(line),
        _ => None,
    }
}

fn global(line: &OldLine<'_>) -> Option<Modern> {
    match line.word(0) {
        "nbproc" if line.word(1) == "1" => Some(Modern::Nothing("there is one process")),
        "nbproc" => one(format!("nbthread{}", line.then(1))),
        "debug" => Some(Modern::Nothing("use -d on the command line")),
        "tune.chksize" => Some(Modern::Nothing("tune.bufsize is used instead")),
        "stats" if line.word(1) == "bind-process" => Some(Modern::Nothing("there is one process")),
        "ssl-default-bind-ciphers" | "ssl-default-server-ciphers" | "ssl-default-bind-ciphersuites"
            if line.word(1).starts_with("PROFILE=") =>
        {
            Some(Modern::Nothing("the system's list is the default"))
        }
        _ => None,
    }
}

fn proxy(line: &OldLine<'_>) -> Option<Modern> {
    match line.word(0) {
        "contimeout" => one(format!("timeout connect{}", line.then(1))),
        "clitimeout" => one(format!("timeout client{}", line.then(1))),
        "srvtimeout" => one(format!("timeout server{}", line.then(1))),
        "listen" | "frontend" => listener(line),
        "option" => option(line),
        "redispatch" | "redisp" => one("option redispatch".to_owned()),
        "transparent" => one("option transparent".to_owned()),
        "dispatch" => one(format!("server dispatch{}", line.then(1))),
        "bind-process" => Some(Modern::Nothing("there is one process")),
        "grace" => Some(Modern::Nothing("'grace' of the global section delays a soft stop")),
        "mode" if line.word(1) == "health" => {
            Some(Modern::Lines(vec!["mode http".to_owned(), "http-request return status 200".to_owned()]))
        }
        "monitor-net" => one(format!("http-request return status 200 if {{ src {} }}", line.tail(1))),
        "http-check" if is_method(line.word(1)) => check(line, line.word(1), 2),
        "block" => one(format!("http-request deny{}", line.then(1))),
        "appsession" => advice(
            "write 'cookie <name> prefix' or a stick table on the cookie; sessions are not learned any more",
        ),
        "reqadd" => add("http-request", line),
        "rspadd" => add("http-response", line),
        "reqdel" => delete("http-request", line, false),
        "reqidel" => delete("http-request", line, true),
        "rspdel" => delete("http-response", line, false),
        "rspidel" => delete("http-response", line, true),
        "reqrep" => replace("http-request", line, false),
        "reqirep" => replace("http-request", line, true),
        "rsprep" => replace("http-response", line, false),
        "rspirep" => replace("http-response", line, true),
        "reqdeny" => judge("deny", line, false),
        "reqideny" => judge("deny", line, true),
        "reqallow" => judge("allow", line, false),
        "reqiallow" => judge("allow", line, true),
        "reqtarpit" => judge("tarpit", line, false),
        "reqitarpit" => judge("tarpit", line, true),
        "reqpass" | "reqipass" => advice("write 'http-request allow' with a condition if other rules follow"),
        "rspdeny" | "rspideny" => advice("write 'http-response deny if { res.hdr(<name>) -m reg <regex> }'"),
        "reqsetbe" | "reqisetbe" => advice("write 'use_backend <name> if { path_reg <regex> }'"),
        _ => None,
    }
}

fn is_method(word: &str) -> bool {
    matches!(word, "GET" | "HEAD" | "POST" | "PUT" | "OPTIONS")
}

/// `listen name address …`.
fn listener(line: &OldLine<'_>) -> Option<Modern> {
    let address = line.word(2);
    if address.is_empty() || address == "from" {
        return None;
    }
    Some(Modern::Lines(vec![format!("{} {}", line.word(0), line.word(1)), format!("bind{}", line.then(2))]))
}

fn option(line: &OldLine<'_>) -> Option<Modern> {
    match line.word(1) {
        "tcpchk" => one(format!("option tcp-check{}", line.then(2))),
        "forceclose" => one("option httpclose".to_owned()),
        "http-tunnel" => Some(Modern::Nothing("tunnels begin by themselves")),
        "http-use-htx" => Some(Modern::Nothing("it is always so since 2.1")),
        "http_proxy" => advice("write 'http-request set-dst' and 'http-request set-uri' rules"),
        "httpchk" if line.word(4).contains("\r\n") => check(line, line.word(2), 3),
        _ => None,
    }
}

/// A check whose headers hide behind the version, or that stands in an `http-check` line.
fn check(line: &OldLine<'_>, method: &str, index: usize) -> Option<Modern> {
    let uri = line.word(index);
    let uri = if uri.is_empty() { "/" } else { uri };
    let rest: Vec<&str> = line.words.iter().skip(index + 2).map(hacore::diag::Word::as_str).collect();
    let (version, headers) = legacy_headers(line.word(index + 1), &rest);
    let body = std::iter::once(line.word(index + 1)).chain(rest).collect::<Vec<_>>().join(" ");
    let body = body.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    if version.is_empty() && headers.is_empty() {
        return one(format!("option httpchk {method} {}", quoted(uri)));
    }
    let mut send = format!("http-check send meth {method} uri {} ver {version}", quoted(uri));
    for (name, value) in &headers {
        send += &format!(" hdr {name} {}", quoted(&value.replace('%', "%%")));
    }
    if !body.is_empty() {
        send += &format!(" body {}", quoted(body));
    }
    Some(Modern::Lines(vec!["option httpchk".to_owned(), send]))
}

/// `reqadd "Name: value" [condition]`.
fn add(set: &str, line: &OldLine<'_>) -> Option<Modern> {
    let Some((name, value)) = line.word(1).split_once(':') else {
        return advice(&format!("write '{set} add-header <name> <value>'"));
    };
    // The new argument is a format.
    let value = quoted(&value.trim_start().replace('%', "%%"));
    one(format!("{set} add-header {} {value}{}", name.trim(), line.then(2)))
}

/// A regular expression on `Name: value` lines, cut at the colon.
fn header_pattern(regex: &str) -> Option<(&str, &str)> {
    static NAMED: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^\^([A-Za-z0-9_-]+)(?::(?:\\s\*|\[ \]\*|\\ | ?\*| )?(.*))?$").ok());
    let found = NAMED.as_ref()?.captures(regex)?;
    Some((found.get(1)?.as_str(), found.get(2).map_or("", |rest| rest.as_str())))
}

fn delete(set: &str, line: &OldLine<'_>, _ignores_case: bool) -> Option<Modern> {
    match header_pattern(line.word(1)) {
        Some((name, "" | ".*" | "(.*)" | ".*$" | "$")) => {
            one(format!("{set} del-header {name}{}", line.then(2)))
        }
        _ => advice(&format!("write '{set} del-header <regex> -m reg': it is matched with names only")),
    }
}

/// `reqrep SEARCH STRING [condition]`.
fn replace(set: &str, line: &OldLine<'_>, ignores_case: bool) -> Option<Modern> {
    let (search, string) = (line.word(1), line.word(2));
    let found = if set == "http-request" { replace_request_line(search, string) } else { None };
    let found = found.or_else(|| replace_header(search, string));
    let Some((action, regex, new)) = found else {
        return advice(&format!(
            "write '{set} replace-header'{} rules for what this line does to the whole message line",
            if set == "http-request" { ", 'replace-path' or 'replace-uri'" } else { "" }
        ));
    };
    let flag = if ignores_case { "(?i)" } else { "" };
    let regex = quoted(&format!("{flag}{regex}"));
    one(format!("{set} {action} {regex} {}{}", quoted(&new.replace('%', "%%")), line.then(3)))
}

/// `^([^\ :]*)\ /old(.*)` and `\1\ /new\2`: the method is kept, the target is rewritten.
fn replace_request_line(search: &str, string: &str) -> Option<(String, String, String)> {
    static METHOD: LazyLock<Option<Regex>> = LazyLock::new(|| {
        Regex::new(r"^\^?\((?:\[\^[^\]]*\][*+]|\.\*|\\S[*+]|\\w[*+])\)(?: |\\ |\\s\+?)(.*)$").ok()
    });
    let target = METHOD.as_ref()?.captures(search)?.get(1)?.as_str();
    let new = string.strip_prefix("\\1 ")?;
    // The version follows the target.
    static VERSION: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"(?: |\\ |\\s)(?:HTTP/[^ ]*|\(HTTP/[^ )]*\)|\(\.\*\)|\.\*)\$?$").ok());
    let (mut target, mut new) = (target.to_owned(), new.to_owned());
    if let Some(version) = VERSION.as_ref()?.find(&target) {
        target.truncate(version.start());
        let end = new.rfind(' ')?;
        new.truncate(end);
    }
    if target.contains(' ') || new.contains(' ') || new.contains("\\1") {
        return None;
    }
    // The method's group is gone.
    let renumbered = Regex::new(r"\\([2-9])").ok()?.replace_all(&new, |found: &regex::Captures<'_>| {
        let number: u32 = found.get(1).and_then(|digit| digit.as_str().parse().ok()).unwrap_or(2);
        format!("\\{}", number - 1)
    });
    let action =
        if target.contains("\\?") || renumbered.contains('?') { "replace-pathq" } else { "replace-path" };
    let anchor = if target.starts_with(['^', '.']) { "" } else { "^" };
    Some((action.to_owned(), format!("{anchor}{target}"), renumbered.into_owned()))
}

/// `^Name:\ old` and `Name:\ new`.
fn replace_header(search: &str, string: &str) -> Option<(String, String, String)> {
    let (name, old) = header_pattern(search)?;
    let (new_name, new) = string.split_once(':')?;
    if !new_name.eq_ignore_ascii_case(name) {
        return None;
    }
    let old = if old.is_empty() { ".*" } else { old };
    Some((format!("replace-header {name}"), old.to_owned(), new.trim_start().to_owned()))
}

/// `reqdeny REGEX [condition]` on the request line.
fn judge(action: &str, line: &OldLine<'_>, ignores_case: bool) -> Option<Modern> {
    static METHOD: LazyLock<Option<Regex>> =
        LazyLock::new(|| Regex::new(r"^\^?\(?\[\^[^\]]*\][*+]\)?(?: |\\ )(.*)$").ok());
    let regex = line.word(1);
    let flag = if ignores_case { "-i " } else { "" };
    let test = if let Some(target) = METHOD.as_ref()?.captures(regex).and_then(|found| found.get(1)) {
        let target = target.as_str();
        let anchor = if target.starts_with(['^', '.']) { "" } else { "^" };
        format!("{{ url_reg {flag}{} }}", quoted(&format!("{anchor}{target}")))
    } else if let Some((name, value)) = header_pattern(regex) {
        format!("{{ req.hdr({name}) -m reg {flag}{} }}", quoted(if value.is_empty() { ".*" } else { value }))
    } else {
        return advice(&format!(
            "write 'http-request {action} if {{ url_reg {flag}<regex> }}' or a test of a header"
        ));
    };
    let condition = line.tail(3);
    match line.word(2) {
        "" => one(format!("http-request {action} if {test}")),
        "if" if !condition.contains("||") && !condition.contains(" or ") => {
            one(format!("http-request {action} if {test} {condition}"))
        }
        _ => advice(&format!(
            "write 'http-request {action} if {test}' with the condition added to each alternative"
        )),
    }
}
