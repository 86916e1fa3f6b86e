//! The seam to the expression engine: conditions, log formats, sample expressions, rules and ACLs of a line.
//!
//! Only this file calls `crate::expr`'s and `crate::rules`' parsers.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use hacore::diag::{Diagnostic, Word};

use super::keyword::{Line, Parsed, Places};
use super::loader::Loader;
use crate::expr::{
    AclTable, Condition, Contexts, Expr, FileLoader, LoadError, LoadState, LogFormat, LogFormatOptions,
    NameRef, ParseScope, RefKind, RefTarget, Resolver,
};
use crate::http::reply::StaticReply;
use crate::model::{Config, Mode, ProxyId, ServerId};
use crate::rules::{self, Captures, Rule, RuleScope, RuleSet};

/// Reads pattern files from the disk; relative names begin at `default-path`.
struct Disk {
    base: Option<std::path::PathBuf>,
}

impl FileLoader for Disk {
    fn load(&self, path: &str) -> Result<Arc<[u8]>, LoadError> {
        let full = match &self.base {
            Some(base) => base.join(path),
            None => path.into(),
        };
        match std::fs::read(full) {
            Ok(bytes) => Ok(bytes.into()),
            Err(error) => Err(LoadError::Open { path: path.to_owned(), reason: super::describe(&error) }),
        }
    }
}

/// Runs a parser with the scope of the current proxy and its ACLs; collects the warnings that it leaves.
fn scoped<T>(
    loader: &mut Loader,
    contexts: Contexts,
    parse: impl FnOnce(&ParseScope<'_>, &AclTable) -> Result<T, Diagnostic>,
) -> Result<T, Diagnostic> {
    let state: Rc<LoadState> = Rc::clone(&loader.expressions);
    let disk = Disk { base: loader.default_path.clone() };
    let empty = AclTable::default();
    let result = match &loader.current {
        Some(draft) => {
            let name = (!draft.is_defaults).then_some(draft.proxy.name.as_str());
            let scope = state.scope(contexts, draft.proxy.mode, name, &disk);
            parse(&ParseScope { acls: Some(&draft.acls), ..scope }, &draft.acls)
        }
        // What a log profile names may be of either mode.
        None if contexts == Contexts::LOG => parse(&state.scope(contexts, Mode::Http, None, &disk), &empty),
        None => parse(&state.scope(contexts, Mode::Tcp, None, &disk), &empty),
    };
    let warnings = state.warnings.take();
    loader.diagnostics.extend(warnings);
    result
}

/// The sides of a proxy at which something is evaluated.
fn sides(place: Places, frontend: Contexts, backend: Contexts) -> Contexts {
    match place {
        Places::FRONTEND => frontend,
        Places::BACKEND => backend,
        _ => frontend | backend,
    }
}

/// Where the conditions of `line`'s keyword are evaluated.
fn contexts(line: &Line<'_>) -> Contexts {
    match line.name {
        "use_backend" | "force-be-switch" => Contexts::FE_SWITCHING,
        "use-server" | "force-persist" | "ignore-persist" => Contexts::BE_SET_SERVER,
        _ => sides(line.place, Contexts::FE_HTTP_REQUEST, Contexts::BE_HTTP_REQUEST),
    }
}

/// The optional `if …` or `unless …` that ends a line.
pub fn condition(loader: &mut Loader, line: &mut Line<'_>) -> Result<Option<Arc<Condition>>, Diagnostic> {
    let contexts = contexts(line);
    let what = format!("'{}'", line.name);
    scoped(loader, contexts, |scope, acls| Condition::parse_optional(&mut line.words, acls, scope, &what))
        .map(|condition| condition.map(Arc::new))
        .map_err(|diagnostic| or_at(diagnostic, line))
}

fn or_at(mut diagnostic: Diagnostic, line: &Line<'_>) -> Diagnostic {
    diagnostic.span.get_or_insert(line.span);
    diagnostic
}

/// What a format is for; it decides how it is cut and where it is evaluated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FormatUse {
    Log,
    UniqueId,
    /// `use_backend`, `use-server`.
    Name,
    /// `set-var-fmt` of the `global` section.
    Variable,
    /// `set-proxy-v2-tlv-fmt`.
    ProxyHeader,
    /// A field of `http-error`, and its body.
    ErrorField,
    ErrorBody,
}

/// One word as a log format.
pub fn log_format(
    loader: &mut Loader,
    line: &Line<'_>,
    word: &Word,
    purpose: FormatUse,
) -> Result<Arc<LogFormat>, Diagnostic> {
    let (options, contexts) = match purpose {
        FormatUse::Log => (LogFormatOptions::LOG, Contexts::LOG),
        FormatUse::UniqueId => (
            LogFormatOptions::UNIQUE_ID,
            sides(line.place, Contexts::FE_HTTP_REQUEST, Contexts::BE_HTTP_REQUEST),
        ),
        FormatUse::Name if line.name == "use-server" => (LogFormatOptions::STRING, Contexts::BE_SET_SERVER),
        FormatUse::Name => (LogFormatOptions::STRING, Contexts::FE_SWITCHING),
        FormatUse::Variable => (LogFormatOptions::STRING, Contexts::CONFIG_PARSER),
        FormatUse::ProxyHeader => (LogFormatOptions::STRING, Contexts::BE_CONNECT),
        FormatUse::ErrorField => (LogFormatOptions::HTTP, Contexts::HTTP_REQUEST | Contexts::HTTP_RESPONSE),
        FormatUse::ErrorBody => (LogFormatOptions::STRING, Contexts::HTTP_REQUEST | Contexts::HTTP_RESPONSE),
    };
    scoped(loader, contexts, |scope, _| LogFormat::parse(word, options, scope)).map(Arc::new).map_err(
        |mut diagnostic| {
            diagnostic.message = format!("'{}' : {}", line.name, diagnostic.message);
            or_at(diagnostic, line)
        },
    )
}

/// A sample expression that takes the rest of the line.
pub fn expression(loader: &mut Loader, line: &mut Line<'_>) -> Result<Arc<Expr>, Diagnostic> {
    if line.words.is_empty() {
        return Err(line.alert(format!("'{}' : missing expression.", line.name)));
    }
    let contexts = match line.name {
        "set-var" => Contexts::CONFIG_PARSER,
        _ => Contexts::BE_SET_SERVER,
    };
    scoped(loader, contexts, |scope, _| Expr::parse(&mut line.words, scope)).map(Arc::new).map_err(
        |mut diagnostic| {
            diagnostic.message = format!("'{}' : {}", line.name, diagnostic.message);
            or_at(diagnostic, line)
        },
    )
}

/// The converters of `balance log-hash`, which are applied to a line of the log.
pub fn line_converters(loader: &mut Loader, line: &Line<'_>, word: &Word) -> Result<Arc<Expr>, Diagnostic> {
    // Converters follow a fetch; this one only says that they get a string.
    let text = format!("str(line),{}", word.as_str());
    scoped(loader, Contexts::LOG, |scope, _| Expr::parse_str(&text, word.span, scope)).map(Arc::new).map_err(
        |mut diagnostic| {
            diagnostic.message = format!("'balance log-hash' : {}", diagnostic.message);
            or_at(diagnostic, line)
        },
    )
}

/// Runs a parser of `http-check` and `tcp-check` lines with the scope of their expressions.
pub fn in_check<T>(
    loader: &mut Loader,
    parse: impl FnOnce(&ParseScope<'_>) -> Result<T, Diagnostic>,
) -> Result<T, Diagnostic> {
    scoped(loader, Contexts::BE_CHECK, |scope, _| parse(scope))
}

/// `sni`'s expression and its text.
pub fn server_name(loader: &mut Loader, line: &mut Line<'_>) -> Result<(Arc<Expr>, String), Diagnostic> {
    scoped(loader, Contexts::BE_CONNECT, |scope, _| Expr::parse(&mut line.words, scope))
        .map(|expression| {
            let text = expression.text().to_owned();
            (Arc::new(expression), text)
        })
        .map_err(|mut diagnostic| {
            diagnostic.message =
                format!("error detected while parsing sni expression : {}", diagnostic.message);
            or_at(diagnostic, line)
        })
}

/// A rule of one of the rule sets: action, arguments, condition.
pub fn rule(loader: &mut Loader, line: &mut Line<'_>, set: RuleSet) -> Parsed {
    let location = line.location.clone();
    let rule = ruled(loader, line, set, |line, scope| rules::parse_rule(&mut line.words, location, scope))?;
    let sets = &mut loader.proxy()?.rules;
    match set {
        RuleSet::TcpRequestConnection => &mut sets.tcp_request_connection,
        RuleSet::TcpRequestSession => &mut sets.tcp_request_session,
        RuleSet::TcpRequestContent => &mut sets.tcp_request_content,
        RuleSet::TcpResponseContent => &mut sets.tcp_response_content,
        RuleSet::HttpRequest => &mut sets.http_request,
        RuleSet::HttpResponse => &mut sets.http_response,
        RuleSet::HttpAfterResponse => &mut sets.http_after_response,
    }
    .push(rule);
    Ok(())
}

/// `redirect …` as a line of its own: evaluated after all `http-request` rules, wherever it stands.
pub fn redirect(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let (location, keyword) = (line.location.clone(), line.head);
    let rule = ruled(loader, line, RuleSet::HttpRequest, |line, scope| {
        rules::parse_redirect_keyword(&mut line.words, keyword, location, scope)
    })?;
    loader.draft()?.redirects.push(rule);
    Ok(())
}

/// Runs a rule parser with its scope, and takes over the capture slots that it adds.
fn ruled<'w>(
    loader: &mut Loader,
    line: &mut Line<'w>,
    set: RuleSet,
    parse: impl FnOnce(&mut Line<'w>, &RuleScope<'_>) -> Result<Rule, Diagnostic>,
) -> Result<Rule, Diagnostic> {
    let draft = loader.draft()?;
    let kind = draft.proxy.kind;
    let captures = RefCell::new(Captures {
        request: draft.proxy.request_captures.clone(),
        response: draft.proxy.response_captures.clone(),
    });
    let pages = loader.http_errors.clone();
    let page = |name: &str, status: u16| {
        pages
            .get(name)
            .and_then(|pages| pages.get(&status))
            .map(|reply| Arc::new(StaticReply::from_model(reply)))
    };
    let experimental = loader.global.experimental;
    let rule = scoped(loader, set.contexts(kind), |scope, acls| {
        let scope =
            RuleScope { set, kind, expr: scope, acls, captures: &captures, http_errors: &page, experimental };
        parse(line, &scope)
    })
    .map_err(|diagnostic| or_at(diagnostic, line))?;
    let captures = captures.into_inner();
    let proxy = loader.proxy()?;
    proxy.request_captures = captures.request;
    proxy.response_captures = captures.response;
    Ok(rule)
}

/// `acl NAME CRITERION …`.
pub fn acl(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> and <criterion> as arguments.")?;
    let contexts = sides(line.place, Contexts::FE_HTTP_REQUEST, Contexts::BE_HTTP_REQUEST);
    let words = std::iter::once(name).chain(line.words.rest());
    let written = words.map(|word| word.as_str()).collect::<Vec<_>>().join(" ");
    scoped(loader, contexts, |scope, acls| acls.define(name, &mut line.words, scope))
        .map_err(|diagnostic| or_at(diagnostic, line))?;
    let draft = loader.draft()?;
    draft.acl_spans.push((name.as_str().to_owned(), name.span));
    draft.proxy.acls.push(written);
    Ok(())
}

/// A log format's source text.
pub fn text(format: &LogFormat) -> &str {
    format.text()
}

struct Names<'a> {
    config: &'a Config,
}

impl Names<'_> {
    fn proxy(&self, name: &str, wanted: impl Fn(crate::model::ProxyKind) -> bool) -> Option<ProxyId> {
        let found = self.config.proxies.iter().position(|proxy| proxy.name == name && wanted(proxy.kind));
        found.map(|index| ProxyId(index as u32))
    }
}

impl Resolver for Names<'_> {
    fn resolve(&self, reference: &NameRef) -> Option<RefTarget> {
        let own = reference.proxy.as_deref().unwrap_or_default();
        let name = if reference.name.is_empty() { own } else { &*reference.name };
        match reference.kind {
            RefKind::Frontend => self.proxy(name, |kind| kind.is_frontend()).map(RefTarget::Proxy),
            RefKind::Backend => self.proxy(name, |kind| kind.is_backend()).map(RefTarget::Proxy),
            RefKind::Table => None,
            RefKind::UserList => self
                .config
                .userlists
                .keys()
                .position(|list| list == name)
                .map(|index| RefTarget::UserList(index as u32)),
            RefKind::Server => {
                let (backend, server) = name.rsplit_once('/').unwrap_or((own, name));
                let id = self.proxy(backend, |kind| kind.is_backend())?;
                let servers = &self.config.proxy(id)?.servers;
                let index = servers.iter().position(|candidate| candidate.name == server)?;
                Some(RefTarget::Server(id, ServerId(index as u32)))
            }
        }
    }
}

/// Gives every name in arguments its target.
pub fn resolve_names(loader: &mut Loader, config: &Config) {
    let found = loader.expressions.references.resolve(&Names { config });
    loader.diagnostics.extend(found);
}
