//! Rule sets: `tcp-request`, `tcp-response`, `http-request`, `http-response`, `http-after-response`, `redirect`, `acl`.

use hacore::units::TimeUnit;

use super::{listed, old};
use crate::config::expression;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::config::preprocessor::TIGHT;
use crate::rules::RuleSet;

pub const KEYWORDS: &[Keyword] = &[
    old(
        "acl",
        Places::PROXY,
        "<aclname> <criterion> [flags] [operator] <value> ...",
        "Defines a condition.",
        acl,
    ),
    listed(
        "tcp-request connection",
        Places::FRONT,
        "<action> [options...] [ { if | unless } <condition> ]",
        "A rule on new connections.",
        connection,
    ),
    listed(
        "tcp-request session",
        Places::FRONT,
        "<action> [ { if | unless } <condition> ]",
        "A rule on new sessions.",
        session,
    ),
    listed(
        "tcp-request content",
        Places::PROXY,
        "<action> [ { if | unless } <condition> ]",
        "A rule on a request's bytes.",
        content,
    ),
    listed(
        "tcp-request inspect-delay",
        Places::PROXY,
        "<timeout>",
        "How long content rules may wait.",
        request_delay,
    ),
    listed(
        "tcp-response content",
        Places::BACK,
        "<action> [ { if | unless } <condition> ]",
        "A rule on a response's bytes.",
        response_content,
    ),
    listed(
        "tcp-response inspect-delay",
        Places::BACK,
        "<timeout>",
        "How long content rules may wait.",
        response_delay,
    ),
    old(
        "http-request",
        Places::PROXY,
        "<action> [options...] [ { if | unless } <condition> ]",
        "A rule on requests.",
        http_request,
    ),
    old(
        "http-response",
        Places::PROXY,
        "<action> [options...] [ { if | unless } <condition> ]",
        "A rule on responses.",
        http_response,
    ),
    old(
        "http-after-response",
        Places::PROXY,
        "<action> [ { if | unless } <condition> ]",
        "A rule on all responses, also our own.",
        after_response,
    ),
    old(
        "redirect",
        Places::PROXY_ONLY,
        "{ location | prefix | scheme } <to> [code <code>] <option> [ { if | unless } <condition> ]",
        "Redirects requests.",
        redirect,
    ),
];

fn acl(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    expression::acl(loader, line)
}

fn request_delay(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let delay = line.duration(TimeUnit::Milliseconds)?;
    loader.proxy()?.request_inspect_delay = Some(delay);
    line.end()
}

fn response_delay(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let delay = line.duration(TimeUnit::Milliseconds)?;
    loader.proxy()?.response_inspect_delay = Some(delay);
    line.end()
}

/// Warns, as HAProxy does, that a rule will be evaluated earlier than the one above it.
fn order(loader: &mut Loader, line: &Line<'_>, late: &[(bool, &str)]) {
    if let Some((_, other)) = late.iter().find(|(seen, _)| *seen) {
        let message = format!(
            "a '{}' rule placed after {} '{other}' rule will still be processed before.",
            line.name,
            if other.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
        );
        loader.push(line.warning(message));
    }
}

/// Actions without condition after which HAProxy warns about the next rule.
pub(crate) const FINAL_HTTP: &[&str] = &["allow", "auth", "deny", "redirect", "return", "tarpit"];

/// Warns, as HAProxy does, that the rule above, of this section, never lets this one be reached.
fn after_final(loader: &mut Loader, line: &Line<'_>, set: RuleSet) -> Parsed {
    let proxy = &loader.draft()?.proxy;
    let Some(last) = proxy.rules.of(set).last() else { return Ok(()) };
    let own = last.location.file == proxy.location.file && last.location.line > proxy.location.line;
    if own && last.condition.is_none() && FINAL_HTTP.contains(&last.action_name()) {
        let message = format!(
            "previous '{}' action is final and has no condition attached, further entries are NOOP.",
            set.keyword()
        );
        let help = "move the rule up, or give the earlier one a condition";
        loader.push(line.warning(message).positioned(TIGHT).help(help));
    }
    Ok(())
}

fn connection(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let seen = loader.draft()?.seen_rules;
    order(
        loader,
        line,
        &[
            (seen.session, "tcp-request session"),
            (seen.content, "tcp-request content"),
            (seen.monitor_fail, "monitor fail"),
            (seen.http_request, "http-request"),
            (seen.redirect, "redirect"),
            (seen.use_backend, "use_backend"),
            (seen.use_server, "use-server"),
        ],
    );
    expression::rule(loader, line, RuleSet::TcpRequestConnection)
}

fn session(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let seen = loader.draft()?.seen_rules;
    order(
        loader,
        line,
        &[
            (seen.content, "tcp-request content"),
            (seen.monitor_fail, "monitor fail"),
            (seen.http_request, "http-request"),
            (seen.redirect, "redirect"),
            (seen.use_backend, "use_backend"),
            (seen.use_server, "use-server"),
        ],
    );
    loader.draft()?.seen_rules.session = true;
    expression::rule(loader, line, RuleSet::TcpRequestSession)
}

fn content(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let seen = loader.draft()?.seen_rules;
    order(
        loader,
        line,
        &[
            (seen.monitor_fail, "monitor fail"),
            (seen.http_request, "http-request"),
            (seen.redirect, "redirect"),
            (seen.use_backend, "use_backend"),
            (seen.use_server, "use-server"),
        ],
    );
    loader.draft()?.seen_rules.content = true;
    expression::rule(loader, line, RuleSet::TcpRequestContent)
}

fn response_content(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    expression::rule(loader, line, RuleSet::TcpResponseContent)
}

fn http_request(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let seen = loader.draft()?.seen_rules;
    order(
        loader,
        line,
        &[(seen.redirect, "redirect"), (seen.use_backend, "use_backend"), (seen.use_server, "use-server")],
    );
    let draft = loader.draft()?;
    draft.seen_rules.http_request = true;
    draft.http_only.push(("http-request", line.span));
    after_final(loader, line, RuleSet::HttpRequest)?;
    expression::rule(loader, line, RuleSet::HttpRequest)
}

fn http_response(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.draft()?.http_only.push(("http-response", line.span));
    after_final(loader, line, RuleSet::HttpResponse)?;
    expression::rule(loader, line, RuleSet::HttpResponse)
}

fn after_response(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.draft()?.http_only.push(("http-after-response", line.span));
    after_final(loader, line, RuleSet::HttpAfterResponse)?;
    expression::rule(loader, line, RuleSet::HttpAfterResponse)
}

/// `redirect …` is `http-request redirect …` that is evaluated after the other request rules.
fn redirect(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let seen = loader.draft()?.seen_rules;
    order(loader, line, &[(seen.use_backend, "use_backend"), (seen.use_server, "use-server")]);
    let draft = loader.draft()?;
    draft.seen_rules.redirect = true;
    draft.http_only.push(("redirect", line.span));
    expression::redirect(loader, line)
}
