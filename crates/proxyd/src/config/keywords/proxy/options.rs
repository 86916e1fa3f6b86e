//! `option …`: the switches, and the options with arguments that belong to no other file.

use ipnet::IpNet;

use super::{listed, old};
use crate::config::keyword::{Keyword, Line, Parsed, Places, Prefix, any};
use crate::config::loader::Loader;
use crate::model::{ConnectionMode, ForwardFor, ProxyOptions};

const fn switch(name: &'static str, places: Places, doc: &'static str) -> Keyword {
    listed(name, places, "", doc, parse_switch)
}

/// Options that are on or off.
pub const SWITCHES: &[Keyword] = &[
    switch("option abortonclose", Places::PROXY, "Drops queued requests of clients that left."),
    switch("option accept-invalid-http-request", Places::FRONT, "Accepts some malformed requests.")
        .unlisted(),
    switch("option accept-invalid-http-response", Places::BACK, "Accepts some malformed responses.")
        .unlisted(),
    switch(
        "option accept-unsafe-violations-in-http-request",
        Places::FRONT,
        "Accepts some malformed requests.",
    ),
    switch(
        "option accept-unsafe-violations-in-http-response",
        Places::BACK,
        "Accepts some malformed responses.",
    ),
    switch("option allbackups", Places::BACK, "Uses all backup servers together."),
    switch("option checkcache", Places::BACK, "Blocks cacheable responses with cookies."),
    switch("option clitcpka", Places::FRONT, "TCP keep-alive to clients."),
    switch("option contstats", Places::FRONT, "Counts bytes while they flow.")
        .later("a session's bytes are counted at its end"),
    switch(
        "option disable-h2-upgrade",
        Places::FRONT,
        "Does not take an HTTP/2 preface on a clear connection.",
    ),
    switch("option dontlog-normal", Places::FRONT, "Logs only what went wrong."),
    switch("option dontlognull", Places::FRONT, "Does not log connections without a byte."),
    switch(
        "option h1-case-adjust-bogus-client",
        Places::FRONT,
        "Spells header names to clients as h1-case-adjust says.",
    ),
    switch(
        "option h1-case-adjust-bogus-server",
        Places::BACK,
        "Spells header names to servers as h1-case-adjust says.",
    ),
    switch("option http-buffer-request", Places::PROXY, "Waits for the request's body."),
    switch("option http-drop-request-trailers", Places::BACK, "Drops request trailers.")
        .refused("dropping trailers"),
    switch("option http-drop-response-trailers", Places::FRONT, "Drops response trailers.")
        .refused("dropping trailers"),
    switch("option http-ignore-probes", Places::FRONT, "Ignores connections closed before a request."),
    switch("option http-no-delay", Places::PROXY, "Sends every piece at once.")
        .no_effect("every piece is sent at once anyway"),
    switch(
        "option http-pretend-keepalive",
        Places::BACK,
        "Hides from servers that the connection will be closed.",
    ),
    switch("option http-use-htx", Places::PROXY, "Has no effect since HAProxy 2.1.")
        .no_effect("it is always so since HAProxy 2.1")
        .unlisted(),
    switch("option http-use-proxy-header", Places::FRONT, "Uses Proxy-Connection.")
        .refused("the Proxy-Connection header"),
    switch(
        "option idle-close-on-response",
        Places::FRONT,
        "Closes idle connections after a response on a soft stop.",
    )
    .later("idle connections are closed at once on a soft stop"),
    switch("option independent-streams", Places::PROXY, "Timeouts of both directions are independent."),
    switch("option log-health-checks", Places::BACK, "Logs every change of a check's result."),
    switch("option log-separate-errors", Places::FRONT, "Logs errors at a higher level."),
    switch("option logasap", Places::FRONT, "Logs before the transfer is over."),
    switch("option nolinger", Places::PROXY, "Resets connections on close."),
    switch("option persist", Places::BACK, "Keeps to a server's cookie even when it is down."),
    switch("option prefer-last-server", Places::BACK, "Prefers the server used last."),
    switch("option socket-stats", Places::FRONT, "Counts each listener."),
    switch("option splice-auto", Places::PROXY, "Splices when it pays."),
    switch("option splice-request", Places::PROXY, "Splices requests."),
    switch("option splice-response", Places::PROXY, "Splices responses."),
    switch("option srvtcpka", Places::BACK, "TCP keep-alive to servers."),
    switch("option tcp-smart-accept", Places::FRONT, "Delays the ACK of the request."),
    switch("option tcp-smart-connect", Places::BACK, "Delays the ACK of the server's SYN."),
    switch("option tcpka", Places::PROXY, "TCP keep-alive on both sides.").unlisted(),
    switch("option transparent", Places::BACK, "Connects to the client's destination."),
    switch("option use-small-buffers", Places::BACK, "Uses small buffers for small messages.")
        .unlisted()
        .no_effect("buffers already grow with what they hold"),
    switch("option start-on-reload", Places::PROGRAM, "Starts the program again on reload.").unlisted(),
];

/// Options with arguments, and those that exclude each other.
pub const KEYWORDS: &[Keyword] = &[
    old(
        "option http-server-close",
        Places::PROXY,
        "",
        "Closes the server's connection after the response.",
        connection_mode,
    ),
    old(
        "option httpclose",
        Places::PROXY,
        "",
        "Closes both connections after the response.",
        connection_mode,
    ),
    old("option http-keep-alive", Places::PROXY, "", "Keeps both connections.", connection_mode),
    old("option httplog", Places::PROXY, "[ clf ]", "Logs requests in HTTP format.", httplog),
    old("option httpslog", Places::PROXY, "", "Logs requests in HTTPS format.", httpslog),
    old("option tcplog", Places::PROXY, "[ clf ]", "Logs sessions in TCP format.", tcplog),
    old(
        "option forwardfor",
        Places::PROXY,
        "[ except <network> ] [ header <name> ] [ if-none ]",
        "Adds X-Forwarded-For.",
        forwardfor,
    ),
    old(
        "option originalto",
        Places::PROXY,
        "[ except <network> ] [ header <name> ]",
        "Adds X-Original-To.",
        originalto,
    ),
    old(
        "option redispatch",
        Places::BACK,
        "[ <interval> ]",
        "Tries another server when one fails.",
        redispatch,
    ),
    old(
        "option http-restrict-req-hdr-names",
        Places::PROXY,
        "{ preserve | delete | reject }",
        "What happens to odd header names.",
        restrict_names,
    ),
    old("option http-tunnel", Places::PROXY, "", "Old form of a tunnel after the first request.", any)
        .removed("remove it: tunnels are made by CONNECT and upgrades only"),
    old("option forceclose", Places::PROXY, "", "Old form of 'option httpclose'.", any)
        .removed("write 'option httpclose' instead"),
];

type Field = fn(&mut ProxyOptions) -> &mut bool;

fn field(name: &str) -> Option<Field> {
    Some(match name {
        "option abortonclose" => |o| &mut o.abortonclose,
        "option accept-invalid-http-request" | "option accept-unsafe-violations-in-http-request" => {
            |o| &mut o.accept_invalid_http_request
        }
        "option accept-invalid-http-response" | "option accept-unsafe-violations-in-http-response" => {
            |o| &mut o.accept_invalid_http_response
        }
        "option allbackups" => |o| &mut o.allbackups,
        "option checkcache" => |o| &mut o.checkcache,
        "option clitcpka" => |o| &mut o.clitcpka,
        "option contstats" => |o| &mut o.contstats,
        "option disable-h2-upgrade" => |o| &mut o.disable_h2_upgrade,
        "option dontlog-normal" => |o| &mut o.dontlog_normal,
        "option dontlognull" => |o| &mut o.dontlognull,
        "option h1-case-adjust-bogus-client" => |o| &mut o.h1_case_adjust_bogus_client,
        "option h1-case-adjust-bogus-server" => |o| &mut o.h1_case_adjust_bogus_server,
        "option http-buffer-request" => |o| &mut o.http_buffer_request,
        "option http-drop-request-trailers" => |o| &mut o.http_drop_request_trailers,
        "option http-drop-response-trailers" => |o| &mut o.http_drop_response_trailers,
        "option http-ignore-probes" => |o| &mut o.http_ignore_probes,
        "option http-no-delay" => |o| &mut o.http_no_delay,
        "option http-pretend-keepalive" => |o| &mut o.http_pretend_keepalive,
        "option http-use-htx" => |o| &mut o.http_use_htx,
        "option http-use-proxy-header" => |o| &mut o.http_use_proxy_header,
        "option idle-close-on-response" => |o| &mut o.idle_close_on_response,
        "option independent-streams" => |o| &mut o.independent_streams,
        "option log-health-checks" => |o| &mut o.log_health_checks,
        "option log-separate-errors" => |o| &mut o.log_separate_errors,
        "option logasap" => |o| &mut o.logasap,
        "option nolinger" => |o| &mut o.nolinger,
        "option persist" => |o| &mut o.persist,
        "option prefer-last-server" => |o| &mut o.prefer_last_server,
        "option socket-stats" => |o| &mut o.socket_stats,
        "option splice-auto" => |o| &mut o.splice_auto,
        "option splice-request" => |o| &mut o.splice_request,
        "option splice-response" => |o| &mut o.splice_response,
        "option srvtcpka" => |o| &mut o.srvtcpka,
        "option tcp-smart-accept" => |o| &mut o.tcp_smart_accept,
        "option tcp-smart-connect" => |o| &mut o.tcp_smart_connect,
        "option transparent" => |o| &mut o.transparent,
        _ => return None,
    })
}

fn parse_switch(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()?;
    let on = line.prefix == Prefix::None;
    if line.place == Places::PROGRAM {
        return Ok(());
    }
    let options = &mut loader.proxy()?.options;
    if line.name == "option tcpka" {
        options.clitcpka = on;
        options.srvtcpka = on;
    } else if let Some(field) = field(line.name) {
        *field(options) = on;
    }
    if line.name == "option log-health-checks" {
        loader.proxy()?.check.log = on;
    }
    Ok(())
}

/// For options that cannot be negated.
fn no_prefix(line: &Line<'_>) -> Parsed {
    if line.prefix == Prefix::None {
        return Ok(());
    }
    let name = line.name.strip_prefix("option ").unwrap_or(line.name);
    let message = format!("negation/default is not supported for option '{name}'.");
    Err(line.alert(message).positioned(super::super::super::preprocessor::TIGHT))
}

fn connection_mode(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()?;
    let wanted = match line.name {
        "option http-server-close" => ConnectionMode::ServerClose,
        "option httpclose" => ConnectionMode::Close,
        _ => ConnectionMode::KeepAlive,
    };
    let proxy = loader.proxy()?;
    if line.prefix == Prefix::None {
        proxy.connection_mode = wanted;
    } else if proxy.connection_mode == wanted {
        proxy.connection_mode = ConnectionMode::KeepAlive;
    }
    Ok(())
}

/// The formats behind the options (configuration manual, sections 8.2.2, 8.2.3 and 8.2.4).
const TCP_LOG: &str = "%ci:%cp [%t] %ft %b/%s %Tw/%Tc/%Tt %B %ts %ac/%fc/%bc/%sc/%rc %sq/%bq";
const HTTP_LOG: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r";
const CLF_LOG: &str = "%{+Q}o %{-Q}ci - - [%trg] %r %ST %B \"\" \"\" %cp %ms %ft %b %s %TR %Tw %Tc %Tr %Ta %tsc %ac %fc %bc %sc %rc %sq %bq %CC %CS %hrl %hsl";
const HTTPS_LOG: &str = "%ci:%cp [%tr] %ft %b/%s %TR/%Tw/%Tc/%Tr/%Ta %ST %B %CC %CS %tsc %ac/%fc/%bc/%sc/%rc %sq/%bq %hr %hs %{+Q}r %[fc_err]/%[ssl_fc_err,hex]/%[ssl_c_err]/%[ssl_c_ca_err]/%[ssl_fc_is_resumed] %[ssl_fc_sni]/%sslv/%sslc";
const TCP_CLF_LOG: &str = "%{+Q}o %{-Q}ci - - [%T] \"TCP \" 000 %B \"\" \"\" %cp %ms %ft %b %s %Th %Tw %Tc %Tt %U %ts-- %ac %fc %bc %sc %rc %sq %bq \"\" \"\"";

fn standard_format(loader: &mut Loader, line: &mut Line<'_>, text: &str) -> Parsed {
    no_prefix(line)?;
    if line.place == Places::BACKEND {
        let name = loader.section_name.clone();
        let option = line.name.strip_prefix("option ").unwrap_or(line.name);
        loader.push(line.warning(format!(
            "'option {option}' ignored because backend '{name}' has no frontend capability."
        )));
        return Ok(());
    }
    let word = hacore::diag::Word::new(text.as_bytes().to_vec(), line.span);
    let format = crate::config::expression::log_format(
        loader,
        line,
        &word,
        crate::config::expression::FormatUse::Log,
    )?;
    loader.proxy()?.log_format = Some(format);
    Ok(())
}

fn httplog(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let text = match line.words.next() {
        None => HTTP_LOG,
        Some(word) if *word == "clf" => CLF_LOG,
        Some(word) => return Err(line.alert_at(word, "keyword 'httplog' only supports option 'clf'.")),
    };
    line.end()?;
    standard_format(loader, line, text)
}

fn httpslog(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.end()?;
    standard_format(loader, line, HTTPS_LOG)
}

fn tcplog(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let text = if line.words.take_if("clf") { TCP_CLF_LOG } else { TCP_LOG };
    line.end()?;
    standard_format(loader, line, text)
}

fn header_option(
    line: &mut Line<'_>,
    header: &str,
    if_none: bool,
) -> Result<ForwardFor, hacore::diag::Diagnostic> {
    let mut forward = ForwardFor { except: None, header: header.to_owned(), if_none: false };
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "except" => {
                let network = line.words.next();
                let text = network.map_or("", |word| word.as_str());
                let parsed =
                    text.parse::<IpNet>().or_else(|_| text.parse::<std::net::IpAddr>().map(IpNet::from));
                forward.except = Some(parsed.map_err(|_| {
                    let option = line.name.strip_prefix("option ").unwrap_or(line.name);
                    line.alert(format!("'option {option}' : 'except' expects <address>[/mask] as argument."))
                        .at(network.map_or(word.span, |word| word.span))
                })?);
            }
            "header" => {
                forward.header = line.required("<header_name> as argument.")?.as_str().to_owned();
            }
            "if-none" if if_none => forward.if_none = true,
            _ => {
                let option = line.name.strip_prefix("option ").unwrap_or(line.name);
                let list = if if_none { "'except', 'header' and 'if-none'" } else { "'except' and 'header'" };
                let message = format!("'option {option}' only supports optional values: {list}.");
                return Err(line.alert_at(word, message));
            }
        }
    }
    Ok(forward)
}

fn forwardfor(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    no_prefix(line)?;
    loader.proxy()?.forward_for = Some(header_option(line, "X-Forwarded-For", true)?);
    Ok(())
}

fn originalto(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    no_prefix(line)?;
    loader.proxy()?.original_to = Some(header_option(line, "X-Original-To", false)?);
    Ok(())
}

fn redispatch(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.prefix != Prefix::None {
        loader.proxy()?.redispatch = None;
        return line.end();
    }
    let interval = match line.words.next() {
        None => -1,
        Some(word) => word.as_str().parse::<i32>().map_err(|_| {
            line.alert_at(
                word,
                format!("invalid argument '{}' to option 'redispatch', expects an integer.", word.as_str()),
            )
        })?,
    };
    loader.proxy()?.redispatch = (interval != 0).then_some(interval);
    line.end()
}

fn restrict_names(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("either 'preserve', 'delete' or 'reject' as argument.")?;
    let restrict = match word.as_str() {
        "preserve" => crate::model::RestrictNames::Preserve,
        "delete" => crate::model::RestrictNames::Delete,
        "reject" => crate::model::RestrictNames::Reject,
        other => {
            let message = format!("invalid keyword '{other}', expects 'preserve', 'delete' or 'reject'.");
            return Err(line.alert_at(word, message));
        }
    };
    loader.proxy()?.restrict_header_names = Some(restrict);
    line.end()
}
