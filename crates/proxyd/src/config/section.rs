//! Sections: where they begin, and which keyword of which section a line belongs to.

use hacore::diag::{Diagnostic, PositionForm, Word, Words};

use super::keyword::{Keyword, Line, Parsed, Places, Prefix, Support};
use super::loader::{Draft, Loader, NamedDefaults, Section, SeenRules};
use super::preprocessor::TIGHT;
use super::{keywords, upgrade};
use crate::model::ProxyKind;
use crate::rules::RuleSets;

/// How a section's first line is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Start {
    Global,
    Defaults,
    Proxy(ProxyKind),
    /// Needs a name.
    Named,
    /// May have a name.
    Optional,
    /// Takes no name.
    Nameless,
}

/// A kind of section.
#[derive(Debug)]
pub struct SectionKind {
    pub name: &'static str,
    pub place: Places,
    start: Start,
    pub support: Support,
    pub doc: &'static str,
}

const fn section(
    name: &'static str,
    place: Places,
    start: Start,
    support: Support,
    doc: &'static str,
) -> SectionKind {
    SectionKind { name, place, start, support, doc }
}

/// All sections, in the order of the manual.
pub const SECTIONS: &[SectionKind] = &[
    section("global", Places::GLOBAL, Start::Global, Support::Yes, "Settings of the process."),
    section(
        "defaults",
        Places::DEFAULTS,
        Start::Defaults,
        Support::Yes,
        "Defaults of the proxies that follow.",
    ),
    section(
        "frontend",
        Places::FRONTEND,
        Start::Proxy(ProxyKind::Frontend),
        Support::Yes,
        "Listening sockets that accept client connections.",
    ),
    section(
        "backend",
        Places::BACKEND,
        Start::Proxy(ProxyKind::Backend),
        Support::Yes,
        "Servers to which connections are forwarded.",
    ),
    section(
        "listen",
        Places::LISTEN,
        Start::Proxy(ProxyKind::Listen),
        Support::Yes,
        "A frontend and a backend in one.",
    ),
    section(
        "userlist",
        Places::USERLIST,
        Start::Named,
        Support::Yes,
        "Users and groups for HTTP authentication.",
    ),
    section(
        "resolvers",
        Places::RESOLVERS,
        Start::Named,
        Support::Later("servers keep the addresses that the system's resolver gave at start"),
        "Name servers for resolving at run time.",
    ),
    section("peers", Places::PEERS, Start::Named, Support::Refused("peers"), "Exchange of stick tables."),
    section(
        "mailers",
        Places::MAILERS,
        Start::Named,
        Support::Later("no e-mail alert is sent"),
        "Mail servers for alerts.",
    ),
    section("ring", Places::RING, Start::Named, Support::Yes, "A ring buffer of log messages."),
    section(
        "cache",
        Places::CACHE,
        Start::Named,
        Support::Refused("the HTTP cache"),
        "A small-object HTTP cache.",
    ),
    section("http-errors", Places::HTTP_ERRORS, Start::Named, Support::Yes, "A named group of error files."),
    section("crt-store", Places::CRT_STORE, Start::Optional, Support::Yes, "Names for certificates."),
    section("log-forward", Places::LOG_FORWARD, Start::Named, Support::Yes, "A syslog relay."),
    section("log-profile", Places::LOG_PROFILE, Start::Named, Support::Yes, "Formats per log step."),
    section(
        "program",
        Places::PROGRAM,
        Start::Named,
        Support::Later("the program is not started"),
        "A command that the master process runs.",
    ),
    section(
        "fcgi-app",
        Places::FCGI_APP,
        Start::Named,
        Support::Refused("FastCGI"),
        "A FastCGI application.",
    ),
    section(
        "traces",
        Places::TRACES,
        Start::Nameless,
        Support::NoEffect("traces are HAProxy's own debugging output"),
        "Trace settings at start.",
    ),
    section("acme", Places::ACME, Start::Named, Support::Refused("ACME"), "A certificate authority account."),
    section("healthcheck", Places::HEALTHCHECK, Start::Named, Support::Yes, "A named health check."),
];

/// Reads one line of words; the first is not empty.
pub fn read(loader: &mut Loader, words: &[Word]) -> Parsed {
    let Some(first) = words.first() else { return Ok(()) };
    if let Some(kind) = SECTIONS.iter().find(|kind| *first == *kind.name)
        && !is_keyword_here(loader, first)
    {
        return begin(loader, kind, words);
    }
    let (prefix, words) = prefixed(loader, words);
    let Some(first) = words.first() else { return Ok(()) };
    let Some(section) = loader.section else {
        let names = SECTIONS.iter().map(|kind| kind.name);
        return Err(Diagnostic::alert(format!("unknown keyword '{}' out of section.", first.as_str()))
            .at(first.span)
            .positioned(TIGHT)
            .did_you_mean(first.as_str(), names));
    };
    if loader.skipping {
        return Ok(());
    }
    let (keyword, used, ignored) = match keywords::find(section.place, words) {
        Ok((keyword, used)) => (keyword, used, false),
        Err(keywords::Unknown::OtherSide(keyword, used)) => {
            let warning = keywords::Unknown::OtherSide(keyword, used).explain(loader, section, words);
            loader.push(warning);
            (keyword, used, true)
        }
        Err(error) => return Err(error.explain(loader, section, words)),
    };
    let span = words.get(used - 1).map_or(first.span, |last| first.span.to(last.span));
    let location = loader.location(first.span.file, first.span.line);
    let arguments = words.get(used..).unwrap_or_default();
    let mut line = Line {
        name: keyword.name,
        words: Words::new(arguments, span),
        head: first,
        span,
        place: section.place,
        prefix,
        location,
    };
    if !ignored {
        return run(loader, keyword, &mut line);
    }
    // Read for its mistakes, then forgotten.
    let before = loader.current.clone();
    let result = run(loader, keyword, &mut line);
    loader.current = before;
    result
}

/// `user`, `group`, `log` and such are no sections; but `cache` or `acme` within another section may be keywords.
fn is_keyword_here(loader: &Loader, first: &Word) -> bool {
    loader.section.is_some_and(|section| {
        section.place.has(Places::TRACES.or(Places::ACME).or(Places::HEALTHCHECK))
            && keywords::find(section.place, std::slice::from_ref(first)).is_ok()
    })
}

/// Rules and ACLs are inherited from a `defaults` section with a name only.
const NAMED_DEFAULTS_ONLY: &[&str] =
    &["acl", "http-request", "http-response", "http-after-response", "tcp-request", "tcp-response"];

fn run(loader: &mut Loader, keyword: &'static Keyword, line: &mut Line<'_>) -> Parsed {
    if let Support::Removed(instead) = keyword.support {
        return Err(removed(loader, line, instead));
    }
    if NAMED_DEFAULTS_ONLY.contains(&keyword.head())
        && line.place == Places::DEFAULTS
        && loader.section_name.is_empty()
        && !keyword.name.ends_with("inspect-delay")
    {
        return Err(line
            .alert(format!("'{}' not allowed in anonymous 'defaults' section.", keyword.name))
            .help("give the section a name, and let proxies begin with 'from <name>'"));
    }
    (keyword.parse)(loader, line)?;
    // What is switched off need not be there.
    if line.prefix != Prefix::None {
        return Ok(());
    }
    tell_support(loader, keyword.name, keyword.support, line)
}

/// What a line with an old word should be, in the words of today; `None` for other lines.
pub fn modern_line(loader: &Loader, line: &Line<'_>) -> Option<String> {
    let kind = loader.section?.kind;
    let raw = loader.sources.file(line.head.span.file)?.line(line.head.span.line).to_owned();
    upgrade::instead(kind, &raw, &upgrade::words_of(&raw))
}

fn removed(loader: &Loader, line: &Line<'_>, instead: &str) -> Diagnostic {
    let advice = modern_line(loader, line).unwrap_or_else(|| instead.to_owned());
    line.alert(format!("the '{}' directive is not supported anymore: {advice}.", line.name))
        .help("'proxyd --upgrade <file>' rewrites the whole file")
}

/// Says once what is not carried out, or refuses.
pub fn tell_support(loader: &mut Loader, name: &'static str, support: Support, line: &Line<'_>) -> Parsed {
    match support {
        Support::Yes => Ok(()),
        Support::NoEffect(reason) => {
            if loader.told.insert(name) {
                loader.push(Diagnostic::notice(format!("'{name}' has no effect: {reason}.")).at(line.span));
            }
            Ok(())
        }
        Support::Later(what) => {
            if loader.told.insert(name) {
                loader.push(line.warning(format!("'{name}' is not supported yet and is ignored: {what}.")));
            }
            Ok(())
        }
        Support::Refused(feature) => Err(Diagnostic::needs(name, feature).at(line.span)),
        Support::Removed(instead) => {
            Err(line.alert(format!("the '{name}' directive is not supported anymore: {instead}.")))
        }
    }
}

/// Takes `no` or `default` off the line where it is a prefix.
fn prefixed<'a>(loader: &mut Loader, words: &'a [Word]) -> (Prefix, &'a [Word]) {
    let Some(first) = words.first() else { return (Prefix::None, words) };
    let prefix = match first.as_str() {
        "no" => Prefix::No,
        "default" => Prefix::Default,
        _ => return (Prefix::None, words),
    };
    let rest = words.get(1..).unwrap_or_default();
    let keyword = rest.first().map_or("", Word::as_str);
    if !keywords::NEGATABLE.contains(&keyword) {
        let message = format!(
            "negation/default currently supported only for {}.",
            "options, log, busy-polling, set-dumpable, strict-limits, insecure-fork-wanted and numa-cpu-mapping"
        );
        loader.push(Diagnostic::alert(message).at(first.span).positioned(TIGHT));
        return (Prefix::None, &[]);
    }
    (prefix, rest)
}

fn begin(loader: &mut Loader, kind: &'static SectionKind, words: &[Word]) -> Parsed {
    loader.finish_section();
    loader.section = Some(Section { kind: kind.name, place: kind.place });
    loader.section_name.clear();
    loader.skipping = false;
    let Some(first) = words.first() else { return Ok(()) };
    let arguments = words.get(1..).unwrap_or_default();
    let mut line = Line {
        name: kind.name,
        words: Words::new(arguments, first.span),
        head: first,
        span: first.span,
        place: kind.place,
        prefix: Prefix::None,
        location: loader.location(first.span.file, first.span.line),
    };
    let started = match kind.start {
        Start::Global | Start::Nameless => line.end(),
        Start::Defaults => begin_defaults(loader, &mut line),
        Start::Proxy(proxy) => begin_proxy(loader, proxy, &mut line),
        Start::Named => begin_named(loader, &mut line),
        Start::Optional if line.words.is_empty() => {
            loader.section_name = String::new();
            Ok(())
        }
        Start::Optional => begin_named(loader, &mut line),
    };
    started.and_then(|()| tell_support(loader, kind.name, kind.support, &line))
}

fn begin_named(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let Some(name) = line.words.next().filter(|word| !word.as_str().is_empty()) else {
        return Err(line.alert(format!("missing name for {} section.", line.name)));
    };
    check_name(line, name)?;
    loader.section_name = name.as_str().to_owned();
    loader.others.entry((line.name.to_owned(), name.as_str().to_owned())).or_default();
    begin_log_section(loader, line, name);
    line.words.seek(usize::MAX);
    Ok(())
}

/// Rings and forwarders are read into a proxy of their own, so that `server` and `bind` lines mean there what they always do.
fn begin_log_section(loader: &mut Loader, line: &Line<'_>, name: &Word) {
    let draft = |kind| {
        let mut draft = Draft::new(kind, name.as_str(), line.location.clone(), name.span, false);
        draft.proxy.mode = crate::model::Mode::Tcp;
        draft
    };
    match line.place {
        Places::RING => {
            let ring = crate::model::Ring::new(name.as_str());
            loader.current = Some(draft(ProxyKind::Backend));
            loader.logs.rings.push((ring, draft(ProxyKind::Backend)));
        }
        Places::LOG_FORWARD => {
            let forward = crate::model::LogForward::new(name.as_str());
            loader.current = Some(draft(ProxyKind::Frontend));
            loader.logs.forwards.push((forward, draft(ProxyKind::Frontend)));
        }
        Places::LOG_PROFILE => {
            loader.logs.profiles.entry(name.as_str().to_owned()).or_default();
        }
        _ => {}
    }
}

/// A name has letters, digits, `-`, `_`, `.`, `:` only.
fn check_name(line: &Line<'_>, name: &Word) -> Parsed {
    match name.as_str().chars().find(|c| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | ':'))) {
        None => Ok(()),
        Some(c) => {
            let message =
                format!("character '{c}' is not permitted in '{}' name '{}'.", line.name, name.as_str());
            Err(line.alert_at(name, message))
        }
    }
}

/// `from NAME`: the defaults to begin with.
fn inherited(loader: &Loader, line: &mut Line<'_>, name: &str) -> Result<Option<Draft>, Diagnostic> {
    if !line.words.take_if("from") {
        return loader.defaults.last().map(|defaults| begin_with(defaults, line)).transpose();
    }
    let Some(wanted) = line.words.next() else {
        return loader.defaults.last().map(|defaults| begin_with(defaults, line)).transpose();
    };
    let mut found = loader.defaults.iter().filter(|defaults| *wanted == *defaults.name.as_str());
    let section = line.name;
    match (found.next(), found.next()) {
        (Some(one), None) => begin_with(one, line).map(Some),
        (Some(one), Some(other)) => Err(line.alert_at(
            wanted,
            format!(
                "ambiguous defaults section name '{}' referenced by {section} '{name}' exists at least at {}:{} and {}:{}.",
                wanted.as_str(),
                one.location.file,
                one.location.line,
                other.location.file,
                other.location.line
            ),
        )),
        (None, _) => {
            let known = loader.defaults.iter().map(|defaults| defaults.name.as_str());
            Err(line
                .alert_at(wanted, format!("defaults section '{}' not found for {section} '{name}'.", wanted.as_str()))
                .did_you_mean(wanted.as_str(), known))
        }
    }
}

/// What a section begins with; rules are inherited within limits (manual, "http-request", last paragraphs).
fn begin_with(defaults: &NamedDefaults, line: &Line<'_>) -> Result<Draft, Diagnostic> {
    let rules = &defaults.draft.proxy.rules;
    let kind = match line.name {
        "frontend" => Some(ProxyKind::Frontend),
        "backend" => Some(ProxyKind::Backend),
        _ => None,
    };
    let early = !rules.tcp_request_connection.is_empty() || !rules.tcp_request_session.is_empty();
    let at = format!("(defaults section at {}:{})", defaults.location.file, defaults.location.line);
    let refuse = |what: String| Err(line.alert(what));
    if *rules == RuleSets::default() {
        return Ok(defaults.draft.clone());
    }
    match kind {
        None if line.name == "defaults" => refuse(format!(
            "a defaults section cannot inherit from a defaults section defining TCP/HTTP rules {at}."
        )),
        None => refuse(
            "a listen section cannot inherit from a defaults section defining TCP/HTTP rules.".to_owned(),
        ),
        Some(ProxyKind::Backend) if early => refuse(format!(
            "a backend section cannot inherit from a defaults section defining 'tcp-request connection' or \
             'tcp-request session' rules {at}."
        )),
        Some(ProxyKind::Frontend) if !rules.tcp_response_content.is_empty() => refuse(format!(
            "a frontend section cannot inherit from a defaults section defining 'tcp-response content' rules {at}."
        )),
        Some(kind) => match defaults.used_as.replace(Some(kind)) {
            Some(other) if other != kind => refuse(format!(
                "frontends and backends cannot inherit from the same defaults section if it defines TCP/HTTP rules {at}."
            )),
            _ => Ok(defaults.draft.clone()),
        },
    }
}

fn begin_defaults(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = match line.words.peek() {
        Some(word) if *word != "from" => {
            line.words.next();
            check_name(line, word)?;
            word.as_str()
        }
        _ => "",
    };
    // Even when something is wrong a section is begun, so that its lines are checked too.
    loader.section_name = name.to_owned();
    loader.current = Some(Draft::new(ProxyKind::Listen, name, line.location.clone(), line.span, true));
    // Without `from` a defaults section begins empty, whatever was before it.
    let base = if line.words.peek_str() == Some("from") { inherited(loader, line, name)? } else { None };
    let mut draft =
        base.unwrap_or_else(|| Draft::new(ProxyKind::Listen, name, line.location.clone(), line.span, true));
    draft.proxy.check.inherited = true;
    draft.proxy.name = name.to_owned();
    draft.proxy.location = line.location.clone();
    draft.span = line.span;
    loader.section_name = name.to_owned();
    loader.current = Some(draft);
    Ok(())
}

fn kind_word(kind: ProxyKind) -> &'static str {
    match kind {
        ProxyKind::Frontend => "frontend",
        ProxyKind::Backend => "backend",
        ProxyKind::Listen => "proxy",
    }
}

fn begin_proxy(loader: &mut Loader, kind: ProxyKind, line: &mut Line<'_>) -> Parsed {
    // Even when something is wrong a proxy is begun, so that its lines are checked too.
    loader.current = Some(Draft::new(kind, "", line.location.clone(), line.span, false));
    let Some(name) = line.words.next().filter(|word| !word.as_str().is_empty()) else {
        return Err(line.alert(format!("'{}' expects an <id> argument", line.name)));
    };
    check_name(line, name)?;
    loader.section_name = name.as_str().to_owned();
    let base = inherited(loader, line, name.as_str());
    let mut draft = match &base {
        Ok(Some(defaults)) => defaults.clone(),
        _ => Draft::new(kind, name.as_str(), line.location.clone(), name.span, false),
    };
    draft.proxy.kind = kind;
    draft.proxy.check.inherited = true;
    draft.proxy.name = name.as_str().to_owned();
    draft.proxy.location = line.location.clone();
    draft.is_defaults = false;
    // Inherited rules come first whatever stands in this section.
    draft.seen_rules = SeenRules::default();
    draft.acl_spans.clear();
    draft.span = name.span;
    loader.current = Some(draft);
    base?;
    if let Some(address) = line.words.next() {
        let message = match modern_line(loader, line) {
            Some(modern) => format!("please use the 'bind' keyword for listening addresses: {modern}."),
            None => "please use the 'bind' keyword for listening addresses.".to_owned(),
        };
        loader.push(
            Diagnostic::alert(message)
                .at(address.span)
                .help("'proxyd --upgrade <file>' rewrites the whole file"),
        );
    }
    let index = loader.drafts.len();
    let same = loader.names.entry(name.as_str().to_owned()).or_default();
    same.push(index);
    let other = same.iter().filter_map(|&other| loader.drafts.get(other)).find(|other| {
        let (a, b) = (kind, other.proxy.kind);
        (a.is_frontend() && b.is_frontend()) || (a.is_backend() && b.is_backend())
    });
    match other {
        None => Ok(()),
        Some(other) => {
            let message = format!(
                "{} '{}' has the same name as {} '{}' declared at {}:{}.",
                kind_word(kind),
                name.as_str(),
                kind_word(other.proxy.kind),
                name.as_str(),
                other.proxy.location.file,
                other.proxy.location.line
            );
            Err(line.alert_at(name, message).positioned(PositionForm::Between("Parsing [", "]: ")))
        }
    }
}
