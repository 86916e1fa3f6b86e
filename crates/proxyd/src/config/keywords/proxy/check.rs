//! Health checks of a backend: `option httpchk` and its relatives, `http-check`, `tcp-check`, `external-check`.

use hacore::diag::Diagnostic;

use super::{listed, old};
use crate::config::keyword::{Keyword, Line, Parsed, Places, Prefix};
use crate::config::loader::Loader;
use crate::config::{check_rules, expression};
use crate::expr::{LogFormat, LogFormatOptions};
use crate::model::{CheckKind, CheckRule, CheckText};

pub const KEYWORDS: &[Keyword] = &[
    old(
        "option httpchk",
        Places::BACK,
        "[ [<method>] <uri> [<version> [<host>]] ]",
        "Checks servers by an HTTP request.",
        httpchk,
    ),
    old(
        "option tcp-check",
        Places::BACK,
        "",
        "Checks servers by a sequence of sends and expects.",
        tcp_check_option,
    ),
    old("option tcpchk", Places::BACK, "", "Old spelling of 'option tcp-check'.", tcpchk),
    old("option ssl-hello-chk", Places::BACK, "", "Checks servers by a TLS ClientHello.", protocol),
    old("option smtpchk", Places::BACK, "[ <hello> <domain> ]", "Checks servers by SMTP.", protocol),
    old(
        "option mysql-check",
        Places::BACK,
        "[ user <username> [ { post-41 | pre-41 } ] ]",
        "Checks MySQL servers.",
        protocol,
    ),
    old("option pgsql-check", Places::BACK, "user <username>", "Checks PostgreSQL servers.", protocol),
    old("option redis-check", Places::BACK, "", "Checks Redis servers.", protocol),
    old("option ldap-check", Places::BACK, "", "Checks LDAP servers.", protocol),
    old("option spop-check", Places::BACK, "", "Checks SPOP agents.", protocol),
    old("option external-check", Places::BACK, "", "Checks servers by a program.", protocol),
    old(
        "option grpc-check",
        Places::BACK,
        "[ service <name> ]",
        "Ours alone: asks the gRPC health service of servers over HTTP/2.",
        grpc,
    ),
    old(
        "option sentinel-check",
        Places::BACK,
        "master <name> [ quorum <count> ] { sentinel <addr>:<port> }...",
        "Ours alone: asks Redis sentinels whether a server is the master.",
        sentinel,
    ),
    listed(
        "external-check",
        Places::BACK,
        "{ command <command> | path <path> }",
        "The program of external checks.",
        external,
    ),
    listed(
        "http-check",
        Places::BACK,
        "{ comment | connect | disable-on-404 | expect | send | send-state | set-var | unset-var } ...",
        "A step of an HTTP check.",
        http_check,
    ),
    listed(
        "tcp-check",
        Places::BACK,
        "{ comment | connect | expect | send | send-lf | send-binary | send-binary-lf | set-var | unset-var } ...",
        "A step of a TCP check.",
        tcp_check,
    ),
];

/// An `option …-check` ends whatever check was set before it.
fn set(loader: &mut Loader, line: &Line<'_>, kind: CheckKind) -> Parsed {
    let check = loader.check()?;
    check.disinherit();
    check.kind = if line.prefix == Prefix::None { kind } else { CheckKind::Tcp };
    Ok(())
}

fn httpchk(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let host = line.words.peek_at(3);
    let words: Vec<&str> = line.words.by_ref().map(|word| word.as_str()).collect();
    if let Some(extra) = words.get(4) {
        return Err(line.alert(format!("'option httpchk' cannot handle unexpected argument '{extra}'.")));
    }
    let host = match host {
        None => None,
        Some(word) => {
            let format =
                expression::in_check(loader, |scope| LogFormat::parse(word, LogFormatOptions::HTTP, scope))
                    .map_err(|diagnostic| line.alert(format!("'option httpchk' : {}", diagnostic.message)))?;
            let ready = crate::rules::check::format_text(format).into();
            Some(CheckText { text: word.as_str().to_owned(), ready })
        }
    };
    let (method, uri, version) = match words.as_slice() {
        [] => ("OPTIONS", "/", ""),
        [uri] => ("OPTIONS", *uri, ""),
        [method, uri] => (*method, *uri, ""),
        [method, uri, version, ..] => (*method, *uri, *version),
    };
    let (version, headers) = legacy_headers(version, &[]);
    if !headers.is_empty() {
        loader.push(line.warning(
            "'option httpchk' : hiding headers or body at the end of the version string is deprecated. Please, consider to use 'http-check send' directive instead.",
        ));
    }
    let version = if version.is_empty() { "HTTP/1.0".to_owned() } else { version };
    let kind = CheckKind::Http { method: method.to_owned(), uri: uri.to_owned(), version, headers, host };
    set(loader, line, kind)
}

/// Old files put headers behind the version, with `\r\n` between: `HTTP/1.1\r\nHost:\ www`.
pub fn legacy_headers(version: &str, rest: &[&str]) -> (String, Vec<(String, String)>) {
    let whole = std::iter::once(version).chain(rest.iter().copied()).collect::<Vec<_>>().join(" ");
    let mut lines = whole.split("\r\n");
    let version = lines.next().unwrap_or_default().trim().to_owned();
    let headers = lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned()))
        .collect();
    (version, headers)
}

fn tcp_check_option(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()?;
    set(loader, line, CheckKind::TcpSequence)
}

fn tcpchk(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()?;
    loader.push(
        line.warning("'option tcpchk' is taken as 'option tcp-check', which is its name.")
            .help("write 'option tcp-check'"),
    );
    set(loader, line, CheckKind::TcpSequence)
}

fn protocol(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.name.strip_prefix("option ").unwrap_or(line.name).to_owned();
    let argument = line.rest_text();
    let words: Vec<&str> = argument.split(' ').collect();
    let wrong = |message: &str| Err(line.alert(message.to_owned()));
    match name.as_str() {
        "pgsql-check" if words.first() != Some(&"user") || words.len() < 2 => {
            return wrong("'option pgsql-check' requires 'user' followed by a user name.");
        }
        "mysql-check" if !argument.is_empty() && (words.first() != Some(&"user") || words.len() < 2) => {
            return wrong("'option mysql-check' only supports optional values: 'user'.");
        }
        "external-check" if !loader.global.external_check => {
            return wrong("'option external-check' requires 'external-check' in the 'global' section.");
        }
        _ => {}
    }
    set(loader, line, CheckKind::Protocol { name, argument })
}

/// `option grpc-check [service NAME]`.
fn grpc(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut service = String::new();
    if line.words.take_if("service") {
        let word = line.required("'service' followed by a name.")?;
        let limit = hacore::probe::grpc::SERVICE_LENGTH_MAX;
        if word.as_str().len() > limit {
            return Err(line.alert_at(word, format!("a service's name has at most {limit} bytes.")));
        }
        service = word.as_str().to_owned();
    }
    line.end()?;
    set(loader, line, CheckKind::Grpc { service })
}

/// `option sentinel-check master NAME [quorum N] sentinel ADDRESS…`.
fn sentinel(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let (mut master, mut quorum, mut sentinels) = (None, None, Vec::new());
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "master" => master = Some(line.required("'master' followed by a name.")?.as_str().to_owned()),
            "quorum" => {
                quorum = Some(line.integer(1..=hacore::probe::sentinel::SENTINELS_MAX as i64)? as usize)
            }
            "sentinel" => {
                let at = line.required("'sentinel' followed by an address.")?;
                let Ok(address) = at.as_str().parse() else {
                    return Err(line.alert_at(at, format!("'{}' is no <ip>:<port>.", at.as_str())));
                };
                sentinels.push(address);
            }
            other => {
                return Err(line
                    .alert_at(word, format!("'option sentinel-check' does not know '{other}'."))
                    .did_you_mean(other, ["master", "quorum", "sentinel"]));
            }
        }
    }
    let limit = hacore::probe::sentinel::SENTINELS_MAX;
    match master {
        Some(master) if (1..=limit).contains(&sentinels.len()) && quorum.unwrap_or(1) <= sentinels.len() => {
            set(loader, line, CheckKind::Sentinel { master, quorum, sentinels })
        }
        Some(_) => Err(line.alert(format!(
            "'option sentinel-check' requires 1 to {limit} sentinels, and no greater quorum."
        ))),
        None => Err(line.alert("'option sentinel-check' requires 'master' followed by a name.".to_owned())),
    }
}

/// `type KIND …` of a `healthcheck` section: what `option KIND` is in a proxy.
pub fn section_type(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a type of health check.")?;
    let known = KEYWORDS.iter().filter_map(|keyword| Some((keyword, keyword.name.strip_prefix("option ")?)));
    let known = known.filter(|(_, name)| !matches!(*name, "external-check" | "tcpchk"));
    let Some((keyword, _)) = known.clone().find(|(_, name)| *word == **name) else {
        let message = format!("unknown health check type '{}'.", word.as_str());
        return Err(line.alert_at(word, message).did_you_mean(word.as_str(), known.map(|(_, name)| name)));
    };
    line.name = keyword.name;
    (keyword.parse)(loader, line)
}

fn external(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let what = line.required("'command' or 'path' as argument.")?;
    let value = line.required("a value.")?.as_str().to_owned();
    let check = loader.check()?;
    match what.as_str() {
        "command" => check.external_command = Some(value),
        "path" => check.external_path = Some(value),
        _ => return Err(line.alert_at(what, "'external-check' only supports 'command' and 'path'.")),
    }
    line.end()
}

fn rule(loader: &mut Loader, line: &mut Line<'_>, family: &'static str) -> Parsed {
    let words = line.words.rest();
    line.words.seek(usize::MAX);
    let step = expression::in_check(loader, |scope| {
        check_rules::step(family, words, scope)
            .map_err(|error| line.alert(format!("'{}' : {error}", line.name)))
    })?;
    let location = line.location.clone();
    let words = words.iter().map(|word| word.as_str().to_owned()).collect();
    let check = loader.check()?;
    check.disinherit();
    check.rules.push(CheckRule { family, words, location, step: step.into() });
    Ok(())
}

fn unknown(line: &Line<'_>, at: Option<&hacore::diag::Word>, known: &[&'static str]) -> Diagnostic {
    let word = at.map_or("", |word| word.as_str());
    let list = known.iter().map(|name| format!("'{name}'")).collect::<Vec<_>>().join(", ");
    let span = at.map_or(line.span, |word| word.span);
    let message = format!("'{}' only supports {list} (got '{word}').", line.name);
    line.alert(message).at(span).did_you_mean(word, known.iter().copied())
}

const HTTP_STEPS: &[&str] = &[
    "comment",
    "connect",
    "disable-on-404",
    "expect",
    "send",
    "send-state",
    "set-var",
    "set-var-fmt",
    "unset-var",
];
const TCP_STEPS: &[&str] = &[
    "comment",
    "connect",
    "expect",
    "send",
    "send-lf",
    "send-binary",
    "send-binary-lf",
    "set-var",
    "set-var-fmt",
    "unset-var",
];

/// The step's name without a variable in parentheses.
fn step(line: &Line<'_>) -> String {
    let word = line.words.peek_str().unwrap_or_default();
    word.split('(').next().unwrap_or_default().to_owned()
}

pub fn http_check(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let step = step(line);
    match step.as_str() {
        "disable-on-404" => {
            line.words.next();
            loader.check()?.disable_on_404 = line.prefix == Prefix::None;
            line.end()
        }
        "send-state" => {
            line.words.next();
            loader.check()?.send_state = line.prefix == Prefix::None;
            line.end()
        }
        method if method.chars().all(|c| c.is_ascii_uppercase()) && !method.is_empty() => {
            old_request(loader, line)
        }
        step if HTTP_STEPS.contains(&step) => rule(loader, line, "http"),
        _ => Err(unknown(line, line.words.peek(), HTTP_STEPS)),
    }
}

/// `http-check GET /uri HTTP/1.1\r\nHost:\ x` is what many tutorials have; genuine HAProxy refuses it.
fn old_request(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let words: Vec<&str> = line.words.by_ref().map(|word| word.as_str()).collect();
    let method = words.first().copied().unwrap_or("GET");
    let uri = words.get(1).copied().unwrap_or("/");
    let (version, headers) =
        legacy_headers(words.get(2).copied().unwrap_or_default(), words.get(3..).unwrap_or_default());
    let mut modern = format!("http-check send meth {method} uri {uri}");
    if !version.is_empty() {
        modern.push_str(&format!(" ver {version}"));
    }
    for (name, value) in &headers {
        modern.push_str(&format!(" hdr {name} {value}"));
    }
    let message = format!("'http-check {method} ...' is taken as '{modern}'.");
    loader.push(line.warning(message).help(format!("write 'option httpchk' and '{modern}'")));
    let version = if version.is_empty() { "HTTP/1.0".to_owned() } else { version };
    let kind =
        CheckKind::Http { method: method.to_owned(), uri: uri.to_owned(), version, headers, host: None };
    let check = loader.check()?;
    check.disinherit();
    check.kind = kind;
    Ok(())
}

pub fn tcp_check(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let step = step(line);
    if !TCP_STEPS.contains(&step.as_str()) {
        return Err(unknown(line, line.words.peek(), TCP_STEPS));
    }
    if matches!(step.as_str(), "expect" | "send" | "send-lf" | "send-binary" | "send-binary-lf")
        && line.words.rest().len() < 2
    {
        return Err(line.alert(format!("'tcp-check {step}' expects an argument.")));
    }
    rule(loader, line, "tcp")
}
