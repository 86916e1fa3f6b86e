//! Mode, identity, limits and the like.

use hacore::diag::Diagnostic;
use hacore::units::TimeUnit;

use super::{listed, old};
use crate::config::keyword::{Keyword, Line, Parsed, Places, any, one};
use crate::config::loader::Loader;
use crate::model::{HttpReuse, Mode, ProxyKind};

pub const KEYWORDS: &[Keyword] = &[
    old("mode", Places::PROXY, "{ tcp | http | log | spop }", "Sets the protocol of the proxy.", mode),
    old(
        "description",
        Places::PROXY_ONLY.or(Places::RING),
        "<text>",
        "Describes the proxy in statistics.",
        description,
    ),
    old("id", Places::PROXY_ONLY, "<value>", "Sets the proxy's number.", id),
    listed("guid", Places::PROXY_ONLY, "<string>", "Sets a name that is unique over all objects.", guid)
        .later("objects have no unique names yet"),
    old("disabled", Places::PROXY, "", "Disables the proxy.", disabled),
    old("enabled", Places::PROXY, "", "Enables the proxy.", enabled),
    old(
        "maxconn",
        Places::FRONT.or(Places::LOG_FORWARD),
        "<conns>",
        "The most concurrent connections of a frontend.",
        maxconn,
    ),
    old(
        "backlog",
        Places::FRONT.or(Places::LOG_FORWARD),
        "<conns>",
        "The length of the accept queue.",
        backlog,
    ),
    old("fullconn", Places::BACK, "<conns>", "The load at which servers reach their maxconn.", fullconn),
    old("retries", Places::BACK, "<value>", "How often a failed connection is tried again.", retries),
    listed(
        "retry-on",
        Places::BACK,
        "[space-delimited list of keywords]",
        "When a request is sent again.",
        retry_on,
    ),
    listed("rate-limit", Places::FRONT, "sessions <rate>", "Limits new sessions per second.", rate_limit),
    old(
        "http-reuse",
        Places::BACK,
        "{ never | safe | aggressive | always }",
        "How idle server connections are shared.",
        http_reuse,
    ),
    listed(
        "max-keep-alive-queue",
        Places::BACK,
        "<value>",
        "The longest queue for a preferred server.",
        max_keep_alive_queue,
    ),
    old(
        "max-session-srv-conns",
        Places::FRONT,
        "<nb>",
        "The most idle server connections of a session.",
        one,
    )
    .no_effect("idle connections belong to the threads, not to sessions"),
    old(
        "source",
        Places::BACK,
        "<addr>[:<port>] [usesrc ...] [interface <name>]",
        "The source address of connections.",
        source,
    ),
    old(
        "http-send-name-header",
        Places::BACK,
        "[<header>]",
        "Sends the server's name in a header.",
        send_name_header,
    ),
    old(
        "load-server-state-from-file",
        Places::BACK,
        "{ global | local | none }",
        "Where servers' states are read from.",
        load_state,
    ),
    old(
        "server-state-file-name",
        Places::BACK,
        "[ { use-backend-name | <file> } ]",
        "The file with servers' states.",
        state_file,
    ),
    listed("clitcpka-cnt", Places::FRONT, "<count>", "Keep-alive probes before a client is dead.", keepalive),
    listed(
        "clitcpka-idle",
        Places::FRONT,
        "<timeout>",
        "Idle time before keep-alive probes to clients.",
        keepalive,
    ),
    listed(
        "clitcpka-intvl",
        Places::FRONT,
        "<timeout>",
        "Time between keep-alive probes to clients.",
        keepalive,
    ),
    listed("srvtcpka-cnt", Places::BACK, "<count>", "Keep-alive probes before a server is dead.", keepalive),
    listed(
        "srvtcpka-idle",
        Places::BACK,
        "<timeout>",
        "Idle time before keep-alive probes to servers.",
        keepalive,
    ),
    listed(
        "srvtcpka-intvl",
        Places::BACK,
        "<timeout>",
        "Time between keep-alive probes to servers.",
        keepalive,
    ),
    listed("compression", Places::PROXY, "algo|type|offload|... ...", "Compresses responses.", any)
        .refused("compression of bodies"),
    listed("filter", Places::PROXY_ONLY, "<name> [param*]", "Adds a filter.", filter).refused("filters"),
    listed("filter-sequence", Places::PROXY_ONLY, "{ request | response } <list>", "Orders filters.", any)
        .refused("filters"),
    listed("use-fcgi-app", Places::BACK_ONLY, "<name>", "Speaks FastCGI to the servers.", any)
        .refused("FastCGI"),
    old("email-alert from", Places::PROXY, "<emailaddr>", "The sender of alerts.", one)
        .later("no e-mail alert is sent"),
    old("email-alert level", Places::PROXY, "<level>", "The level from which alerts are sent.", one)
        .later("no e-mail alert is sent"),
    old("email-alert mailers", Places::PROXY, "<mailersect>", "Who sends alerts.", one)
        .later("no e-mail alert is sent"),
    old("email-alert myhostname", Places::PROXY, "<hostname>", "The name given to mail servers.", one)
        .later("no e-mail alert is sent"),
    old("email-alert to", Places::PROXY, "<emailaddr>", "The recipient of alerts.", one)
        .later("no e-mail alert is sent"),
    listed("quic-initial", Places::FRONT, "<action>", "Rules on QUIC initial packets.", any)
        .no_effect("there is no QUIC"),
    listed("ssl-f-use", Places::FRONT_ONLY, "[<sslbindconf> ...]", "Chooses a certificate.", any)
        .refused("TLS"),
    old("crt", Places::FRONT_ONLY, "<cert>", "Adds a certificate.", any).refused("TLS"),
];

fn mode(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.words.next();
    let mode = match word.map_or("", |word| word.as_str()) {
        "http" => Mode::Http,
        "tcp" => Mode::Tcp,
        "log" => Mode::Log,
        "spop" => Mode::Spop,
        "health" => {
            return Err(line.alert(
                "'mode health' doesn't exist anymore. Please use 'http-request return status 200' instead.",
            ));
        }
        other => {
            let at = word.map_or(line.span, |word| word.span);
            return Err(super::super::suggest(
                line.alert(format!("unknown proxy mode '{other}'.")).at(at),
                other,
                ["http", "tcp", "log", "spop"],
            ));
        }
    };
    if mode == Mode::Spop {
        return Err(Diagnostic::needs("mode spop", "SPOE").at(line.span));
    }
    if mode == Mode::Log && loader.draft()?.proxy.kind != ProxyKind::Backend && !loader.draft()?.is_defaults {
        return Err(line.alert("'mode log' is only supported in backends."));
    }
    loader.proxy()?.mode = mode;
    line.end()
}

fn description(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.words.is_empty() {
        return Err(line.alert("'description' expects a string argument."));
    }
    loader.proxy()?.description = Some(line.rest_text());
    Ok(())
}

fn id(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an integer argument.")?;
    let value: i64 = word.as_str().parse().unwrap_or(0);
    if !(1..=i64::from(i32::MAX)).contains(&value) {
        return Err(line.alert_at(word, "custom id has to be > 0."));
    }
    let draft = loader.draft()?;
    draft.proxy.numeric_id = value as u32;
    draft.proxy.id_given = true;
    line.end()
}

fn guid(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.guid = Some(line.required("a string as argument.")?.as_str().to_owned());
    line.end()
}

fn disabled(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.disabled = true;
    line.end()
}

fn enabled(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.disabled = false;
    line.end()
}

fn maxconn(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.maxconn = Some(line.integer(0..=i64::from(i32::MAX))? as u32);
    line.end()
}

fn backlog(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.backlog = Some(line.integer(0..=i64::from(i32::MAX))? as u32);
    line.end()
}

fn fullconn(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.fullconn = Some(line.integer(0..=i64::from(i32::MAX))? as u32);
    line.end()
}

fn retries(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an integer argument (dispatch counts for one).")?;
    let value: i64 = word.as_str().parse().map_err(|_| {
        line.alert_at(word, format!("'retries' expects an integer argument, got '{}'.", word.as_str()))
    })?;
    loader.proxy()?.retries = value.clamp(0, i64::from(i32::MAX)) as u32;
    line.end()
}

/// Words of `retry-on`.
const RETRY_ON: &[&str] = &[
    "none",
    "conn-failure",
    "empty-response",
    "junk-response",
    "response-timeout",
    "0rtt-rejected",
    "all-retryable-errors",
    "401",
    "403",
    "404",
    "408",
    "421",
    "425",
    "429",
    "500",
    "501",
    "502",
    "503",
    "504",
];

fn retry_on(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.words.is_empty() {
        return Err(line.alert("'retry-on' needs at least one keyword to specify when to retry"));
    }
    let mut list = Vec::new();
    for word in line.words.clone() {
        if !RETRY_ON.contains(&word.as_str()) {
            return Err(super::super::suggest(
                line.alert_at(word, format!("'retry-on' : unknown keyword '{}'", word.as_str())),
                word.as_str(),
                RETRY_ON.iter().copied(),
            ));
        }
        if word.as_str() == "none" && line.words.rest().len() > 1 {
            return Err(line.alert_at(word, "'retry-on' 'none' keyword only usable alone"));
        }
        list.push(word.as_str().to_owned());
    }
    loader.proxy()?.retry_on = list;
    line.words.seek(usize::MAX);
    Ok(())
}

fn rate_limit(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if !line.words.take_if("sessions") {
        return Err(line.alert("'rate-limit' only supports 'sessions'."));
    }
    loader.proxy()?.rate_limit_sessions = Some(line.integer(0..=i64::from(u32::MAX))? as u32);
    line.end()
}

fn http_reuse(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'never', 'safe', 'aggressive', 'always' as argument.")?;
    let reuse = match word.as_str() {
        "never" => HttpReuse::Never,
        "safe" => HttpReuse::Safe,
        "aggressive" => HttpReuse::Aggressive,
        "always" => HttpReuse::Always,
        _ => {
            let message = "'http-reuse' only supports 'never', 'safe', 'aggressive', 'always'.";
            return Err(line.alert_at(word, message));
        }
    };
    loader.proxy()?.http_reuse = reuse;
    line.end()
}

fn max_keep_alive_queue(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.proxy()?.max_keep_alive_queue = line.integer(-1..=i64::from(i32::MAX))? as i32;
    line.end()
}

fn source(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let source = super::super::server::source(loader, line)?;
    loader.proxy()?.source = Some(source);
    line.end()
}

fn send_name_header(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("a header string.")?;
    if matches!(
        name.as_str().to_ascii_lowercase().as_str(),
        "connection" | "content-length" | "host" | "transfer-encoding"
    ) {
        let message =
            format!("'http-send-name-header' cannot be used to set the '{}' header.", name.as_str());
        return Err(line.alert_at(name, message));
    }
    loader.proxy()?.send_name_header = Some(name.as_str().to_owned());
    line.end()
}

fn load_state(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'global', 'local' or 'none' as argument.")?;
    loader.proxy()?.load_server_state = match word.as_str() {
        "global" => Some("global"),
        "local" => Some("local"),
        "none" => None,
        _ => {
            let message = "'load-server-state-from-file' expects 'global', 'local' or 'none'.";
            return Err(line.alert_at(word, message));
        }
    };
    line.end()
}

fn state_file(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = match line.words.next() {
        Some(word) if *word != "use-backend-name" => word.as_str().to_owned(),
        _ => loader.section_name.clone(),
    };
    loader.proxy()?.server_state_file_name = Some(name);
    line.end()
}

fn keepalive(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.name;
    if name.ends_with("-cnt") {
        let count = Some(line.integer(0..=i64::from(i32::MAX))? as u32);
        let proxy = loader.proxy()?;
        let side =
            if name.starts_with("cli") { &mut proxy.client_keepalive } else { &mut proxy.server_keepalive };
        side.count = count;
    } else {
        let time = Some(line.duration(TimeUnit::Seconds)?);
        let proxy = loader.proxy()?;
        let side =
            if name.starts_with("cli") { &mut proxy.client_keepalive } else { &mut proxy.server_keepalive };
        if name.ends_with("-idle") {
            side.idle = time;
        } else {
            side.interval = time;
        }
    }
    line.end()
}

/// Each filter belongs to a feature that has other keywords, too.
fn filter(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a filter name.")?;
    let feature = match word.as_str() {
        "spoe" => "SPOE",
        "compression" | "comp-req" | "comp-res" => "compression of bodies",
        "cache" => "the HTTP cache",
        "fcgi-app" => "FastCGI",
        "bwlim-in" | "bwlim-out" => "bandwidth limits",
        "opentracing" => "OpenTracing",
        _ => "filters",
    };
    Err(Diagnostic::needs(&format!("filter {}", word.as_str()), feature).at(word.span))
}
