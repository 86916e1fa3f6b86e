//! Health checks of a backend: `option httpchk` and its relatives, `http-check`, `tcp-check`, `external-check`.

use hacore::diag::Diagnostic;

use super::{listed, old};
use crate::config::keyword::{Keyword, Line, Parsed, Places, Prefix};
use crate::config::loader::Loader;
use crate::model::{CheckKind, CheckRule, check_steps};

pub const KEYWORDS: &[Keyword] = &[
    old(
        "option httpchk",
        Places::BACK,
        "[ [<method>] <uri> [<version>] ]",
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
    let check = &mut loader.proxy()?.check;
    check.kind = if line.prefix == Prefix::None { kind } else { CheckKind::Tcp };
    Ok(())
}

fn httpchk(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let words: Vec<&str> = line.words.by_ref().map(|word| word.as_str()).collect();
    if let Some(extra) = words.get(3) {
        return Err(line.alert(format!("'option httpchk' cannot handle unexpected argument '{extra}'.")));
    }
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
    let kind = CheckKind::Http { method: method.to_owned(), uri: uri.to_owned(), version, headers };
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
        "spop-check" => {
            return wrong("'option spop-check' is not supported yet: SPOE will come with a later release.");
        }
        _ => {}
    }
    set(loader, line, CheckKind::Protocol { name, argument })
}

fn external(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let what = line.required("'command' or 'path' as argument.")?;
    let value = line.required("a value.")?.as_str().to_owned();
    let check = &mut loader.proxy()?.check;
    match what.as_str() {
        "command" => check.external_command = Some(value),
        "path" => check.external_path = Some(value),
        _ => return Err(line.alert_at(what, "'external-check' only supports 'command' and 'path'.")),
    }
    line.end()
}

fn rule(loader: &mut Loader, line: &mut Line<'_>, family: &'static str) -> Parsed {
    let words: Vec<String> = line.words.by_ref().map(|word| word.as_str().to_owned()).collect();
    if let Err(error) = check_steps::step(family, &words) {
        return Err(line.alert(format!("'{}' : {error}", line.name)));
    }
    let location = line.location.clone();
    loader.proxy()?.check.rules.push(CheckRule { family, words, location });
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

fn http_check(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let step = step(line);
    match step.as_str() {
        "disable-on-404" => {
            line.words.next();
            loader.proxy()?.check.disable_on_404 = line.prefix == Prefix::None;
            line.end()
        }
        "send-state" => {
            line.words.next();
            loader.proxy()?.check.send_state = line.prefix == Prefix::None;
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
    let check = &mut loader.proxy()?.check;
    check.kind = CheckKind::Http { method: method.to_owned(), uri: uri.to_owned(), version, headers };
    Ok(())
}

fn tcp_check(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
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
