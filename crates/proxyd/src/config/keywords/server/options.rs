//! Server options that are neither about checks nor about TLS.

use hacore::diag::Diagnostic;
use hacore::units::TimeUnit;

use super::{ServerKeyword, server, skip_one};
use crate::config::arguments::{self, Purpose};
use crate::config::expression;
use crate::config::keyword::{Line, Parsed};
use crate::config::loader::Loader;
use crate::model::{Address, OnMarkedDown, OnMarkedUp, ProxyTlv, Server, TlsSetting};
use crate::tls::backend::NameSource;

const RESOLVERS_LATER: &str = "servers keep the addresses that the system's resolver gave at start";

pub const KEYWORDS: &[ServerKeyword] = &[
    server("backup", "", "Uses the server when no other is up.", backup),
    server("no-backup", "", "Undoes 'backup'.", backup),
    server("cc", "<algorithm>", "Congestion control.", cc),
    server("cookie", "<value>", "The server's cookie.", cookie),
    server("disabled", "", "Starts in maintenance.", disabled),
    server("enabled", "", "Undoes 'disabled'.", disabled),
    server("guid", "<string>", "A name that is unique over all objects.", guid),
    server("hash-key", "<key>", "What consistent hashing takes as the server's key.", hash_key),
    server("id", "<value>", "The server's number.", id),
    server("idle-ping", "<delay>", "Pings idle HTTP/2 connections.", skip_one)
        .later("there is no HTTP/2 yet"),
    server(
        "init-addr",
        "{ last | libc | none | <ip> },[...]",
        "How the address is found at start.",
        init_addr,
    ),
    server("log-bufsize", "<bufsize>", "The ring of a log server.", log_bufsize),
    server("log-proto", "<logproto>", "How lines to a log server are set apart.", log_proto),
    server("max-reuse", "<count>", "How often a connection is reused.", max_reuse),
    server("maxconn", "<maxconn>", "The most connections to the server.", maxconn),
    server("maxqueue", "<maxqueue>", "The longest queue of the server.", maxqueue),
    server("minconn", "<minconn>", "The least dynamic limit of connections.", minconn),
    server("namespace", "<name>", "The network namespace.", namespace),
    server("non-stick", "", "Never stores the server in stick tables.", non_stick)
        .no_effect("there are no stick tables yet"),
    server("stick", "", "Undoes 'non-stick'.", non_stick).no_effect("there are no stick tables yet"),
    server("on-error", "<mode>", "What happens after too many observed errors.", on_error),
    server("on-marked-down", "<action>", "What happens when the server goes down.", on_marked_down),
    server("on-marked-up", "<action>", "What happens when the server comes up.", on_marked_up),
    server("pool-conn-name", "<expr>", "Names connections for reuse.", pool_conn_name),
    server("pool-low-conn", "<max>", "Below this many idle connections threads do not steal.", pool_low_conn),
    server("pool-max-conn", "<max>", "The most idle connections.", pool_max_conn),
    server("pool-purge-delay", "<delay>", "How often idle connections are purged.", pool_purge_delay),
    server("proto", "<name>", "The protocol that is spoken.", proto),
    server("proxy-v2-options", "<option>[,<option>]*", "What PROXY v2 headers carry.", proxy_v2_options),
    server("quic-cc-algo", "<algorithm>", "QUIC's congestion control.", skip_one)
        .no_effect("there is no QUIC"),
    server("redir", "<prefix>", "Redirects clients to the server.", redir),
    server("resolve-net", "<network>[,<network>[,...]]", "Preferred networks.", resolve)
        .later(RESOLVERS_LATER),
    server("resolve-opts", "<option>,<option>,...", "Options of resolution.", resolve).later(RESOLVERS_LATER),
    server("resolve-prefer", "<family>", "The preferred address family.", resolve),
    server("resolvers", "<id>", "The resolvers section of the server.", resolvers)
        .refused("run-time DNS resolution"),
    server("send-proxy", "", "Sends a PROXY v1 header.", send_proxy),
    server("no-send-proxy", "", "Undoes 'send-proxy'.", send_proxy),
    server("send-proxy-v2", "", "Sends a PROXY v2 header.", send_proxy),
    server("no-send-proxy-v2", "", "Undoes 'send-proxy-v2'.", send_proxy),
    server("send-proxy-v2-ssl", "", "Sends a PROXY v2 header with TLS details.", send_proxy),
    server("no-send-proxy-v2-ssl", "", "Undoes 'send-proxy-v2-ssl'.", send_proxy),
    server("send-proxy-v2-ssl-cn", "", "Sends a PROXY v2 header with the client's name.", send_proxy),
    server("no-send-proxy-v2-ssl-cn", "", "Undoes 'send-proxy-v2-ssl-cn'.", send_proxy),
    server("set-proxy-v2-tlv-fmt", "(<id>) <fmt>", "Adds a TLV to PROXY v2 headers.", proxy_tlv_without_kind),
    server("shard", "<shard>", "Which updates a peer gets.", skip_one).refused("exchange with peers"),
    server(
        "slowstart",
        "<start_time_in_ms>",
        "How long a server's weight grows after it came up.",
        slowstart,
    ),
    server("socks4", "<addr>:<port>", "Connects through a SOCKS4 proxy.", socks4),
    server(
        "source",
        "<addr>[:<pl>[-<ph>]] [interface <name>] [usesrc ...]",
        "The source address of connections.",
        source,
    ),
    server("strict-maxconn", "", "Counts idle connections in maxconn.", strict_maxconn),
    server("tcp-md5sig", "<password>", "TCP MD5 signatures.", skip_one).refused("TCP MD5 signatures"),
    server("tcp-ut", "<delay>", "The TCP user timeout.", tcp_ut),
    server("tfo", "", "TCP fast open.", tfo),
    server("no-tfo", "", "Undoes 'tfo'.", tfo),
    server("track", "[<backend>/]<server>", "Follows another server's state.", track),
    server("usesrc", "", "Belongs to 'source'.", usesrc),
    server("weight", "<weight>", "The server's share of the load, 0 to 256.", weight),
    server("ws", "{ auto | h1 | h2 }", "How WebSockets reach the server.", ws),
];

fn backup(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.backup = line.name == "backup";
    Ok(())
}

fn cookie(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.cookie = Some(line.required("<value> as argument.")?.as_str().to_owned());
    Ok(())
}

fn disabled(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.disabled = line.name == "disabled";
    Ok(())
}

fn guid(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.guid = Some(line.required("a string as argument.")?.as_str().to_owned());
    Ok(())
}

fn hash_key(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'id', 'addr' or 'addr-port' value.")?;
    if !matches!(word.as_str(), "id" | "addr" | "addr-port") {
        return Err(line.alert_at(word, "'hash-key' has to be 'id', 'addr', or 'addr-port'."));
    }
    server.hash_key = Some(word.as_str().to_owned());
    Ok(())
}

fn id(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an integer argument.")?;
    let value: i64 = word.as_str().parse().unwrap_or(0);
    if !(1..=i64::from(i32::MAX)).contains(&value) {
        return Err(line.alert_at(word, "custom id has to be > 0."));
    }
    server.numeric_id = value as u32;
    server.id_given = true;
    Ok(())
}

fn init_addr(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("<method> as argument.")?;
    let mut methods = Vec::new();
    for method in word.as_str().split(',') {
        if !matches!(method, "last" | "libc" | "none") && method.parse::<std::net::IpAddr>().is_err() {
            let message = format!(
                "'init-addr' : unknown init-addr method '{method}', supported methods are 'libc', 'last', 'none'."
            );
            return Err(line.alert_at(word, message));
        }
        methods.push(method.to_owned());
    }
    server.init_addr = methods;
    Ok(())
}

fn count(line: &mut Line<'_>) -> Result<u32, hacore::diag::Diagnostic> {
    Ok(line.integer(0..=i64::from(i32::MAX))? as u32)
}

fn max_reuse(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.integer(-1..=i64::from(i32::MAX))?;
    server.max_reuse = (value >= 0).then_some(value as u32);
    Ok(())
}

fn maxconn(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.maxconn = count(line)?;
    Ok(())
}

fn maxqueue(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.maxqueue = count(line)?;
    Ok(())
}

fn minconn(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.minconn = count(line)?;
    Ok(())
}

fn cc(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.congestion_control = Some(line.required("<algorithm> as argument.")?.as_str().to_owned());
    Ok(())
}

fn namespace(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("<name> as argument.")?;
    // '*': the one that a PROXY header names, looked for when it comes.
    if *word != "*" && !crate::net::namespace::exists(word.as_str()) {
        return Err(line.alert_at(word, format!("Cannot open namespace '{}'.", word.as_str())));
    }
    server.namespace = Some(word.as_str().to_owned());
    Ok(())
}

fn non_stick(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.non_stick = line.name == "non-stick";
    Ok(())
}

fn on_error(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    use crate::model::OnError;
    let word = line.required("an action.")?;
    server.on_error = match word.as_str() {
        "fastinter" => OnError::FastInter,
        "fail-check" => OnError::FailCheck,
        "sudden-death" => OnError::SuddenDeath,
        "mark-down" => OnError::MarkDown,
        other => {
            let message = format!(
                "'on-error' expects one of 'fastinter', 'fail-check', 'sudden-death' or 'mark-down' but got '{other}'"
            );
            return Err(line.alert_at(word, message));
        }
    };
    Ok(())
}

fn on_marked_down(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an action.")?;
    if *word != "shutdown-sessions" {
        let message = format!("'on-marked-down' expects 'shutdown-sessions' but got '{}'", word.as_str());
        return Err(line.alert_at(word, message));
    }
    server.on_marked_down = Some(OnMarkedDown::ShutdownSessions);
    Ok(())
}

fn on_marked_up(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an action.")?;
    if *word != "shutdown-backup-sessions" {
        let message =
            format!("'on-marked-up' expects 'shutdown-backup-sessions' but got '{}'", word.as_str());
        return Err(line.alert_at(word, message));
    }
    server.on_marked_up = Some(OnMarkedUp::ShutdownBackupSessions);
    Ok(())
}

fn pool_conn_name(server: &mut Server, loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.words.peek().is_none() {
        return Err(line.alert("'pool-conn-name' : missing expression."));
    }
    let (expression, text) = crate::config::expression::server_name(loader, line)?;
    server.pool_conn_name = NameSource(expression).into();
    server.pool_conn_name_text = Some(text);
    Ok(())
}

fn pool_low_conn(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.pool_low_conn = count(line)?;
    Ok(())
}

fn pool_max_conn(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.pool_max_conn = Some(line.integer(-1..=i64::from(i32::MAX))? as i32).filter(|max| *max >= 0);
    Ok(())
}

fn pool_purge_delay(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.pool_purge_delay = line.duration(TimeUnit::Milliseconds)?;
    Ok(())
}

fn proto(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a MUX name.")?;
    if !matches!(word.as_str(), "h1" | "h2" | "none" | "fcgi") {
        return Err(line.alert_at(word, format!("'proto' :  unknown MUX protocol '{}'.", word.as_str())));
    }
    if *word == "fcgi" {
        return Err(Diagnostic::needs("proto fcgi", "FastCGI").at(word.span));
    }
    server.protocol = Some(word.as_str().to_owned());
    Ok(())
}

/// Words of `proxy-v2-options`.
const PROXY_V2_OPTIONS: &[&str] =
    &["ssl", "cert-cn", "cert-key", "cert-sig", "ssl-cipher", "authority", "crc32c", "unique-id"];

fn proxy_v2_options(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a list of options.")?;
    for option in word.as_str().split(',') {
        if !PROXY_V2_OPTIONS.contains(&option) {
            return Err(line.alert_at(word, format!("'proxy-v2-options' : unknown option '{option}'.")));
        }
        server.proxy_v2_options.push(option.to_owned());
    }
    server.send_proxy = Some(2);
    Ok(())
}

fn redir(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.redirect_prefix = Some(line.required("<prefix> as argument.")?.as_str().to_owned());
    Ok(())
}

fn resolve(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an argument.")?;
    if line.name == "resolve-prefer" && !matches!(word.as_str(), "ipv4" | "ipv6") {
        return Err(line.alert_at(word, "'resolve-prefer' expects either ipv4 or ipv6 as argument."));
    }
    server.resolve_settings.push(TlsSetting { name: line.name.to_owned(), value: word.as_str().to_owned() });
    Ok(())
}

fn resolvers(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.resolvers = Some(line.required("a resolvers section's name.")?.as_str().to_owned());
    Ok(())
}

fn send_proxy(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    (server.send_proxy, server.send_proxy_tls) = match line.name {
        "send-proxy" => (Some(1), 0),
        "send-proxy-v2" => (Some(2), server.send_proxy_tls),
        "send-proxy-v2-ssl" => (Some(2), 1),
        "send-proxy-v2-ssl-cn" => (Some(2), 2),
        "no-send-proxy-v2-ssl" | "no-send-proxy-v2-ssl-cn" => (server.send_proxy, 0),
        _ => (None, 0),
    };
    Ok(())
}

fn slowstart(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.slowstart = Some(line.duration(TimeUnit::Milliseconds)?).filter(|time| !time.is_zero());
    Ok(())
}

fn source(server: &mut Server, loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.source = Some(super::source(loader, line)?);
    Ok(())
}

fn socks4(server: &mut Server, loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("<addr>:<port> as argument.")?;
    let text = word.as_str();
    let alert = |problem: String| line.alert_at(word, format!("'socks4 {text}' : {problem}"));
    let endpoint = arguments::endpoint(loader, text, Purpose::Connect).map_err(alert)?;
    if endpoint.ports.is_none_or(|(first, last)| first != last) {
        return Err(alert(format!("missing port specification in '{text}'.")));
    }
    server.socks4 = match endpoint.address {
        Address::Inet(address) => Some(address),
        Address::Name { host, port } => arguments::resolve(&host, port, endpoint.family),
        _ => None,
    };
    if server.socks4.is_none() {
        return Err(alert(format!("invalid address: '{text}'.")));
    }
    Ok(())
}

/// `set-proxy-v2-tlv-fmt(KIND) FORMAT`; the kind came with the keyword.
pub(super) fn proxy_tlv(
    server: &mut Server,
    loader: &mut Loader,
    line: &mut Line<'_>,
    head: &hacore::diag::Word,
) -> Parsed {
    let kind = head.as_str().split_once('(').and_then(|(_, rest)| rest.strip_suffix(')')).unwrap_or_default();
    let number = match kind.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16),
        None => kind.parse(),
    };
    let Ok(kind) = number else {
        return Err(
            line.alert_at(head, format!("'{}' : '{kind}' is not a TLV's type (0 to 255).", head.as_str()))
        );
    };
    let word = line.required("a format as argument.")?;
    let format = expression::log_format(loader, line, word, expression::FormatUse::ProxyHeader)?;
    let text = word.as_str().to_owned();
    server.proxy_tlvs.push(ProxyTlv { kind, text, format: crate::tls::Ready(Some(format)) });
    Ok(())
}

fn proxy_tlv_without_kind(_: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    Err(line.alert(
        "'set-proxy-v2-tlv-fmt' : expects the TLV's type in parentheses, as in set-proxy-v2-tlv-fmt(0x20).",
    ))
}

fn usesrc(_: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    Err(line.alert("'usesrc' only allowed after a 'source' statement."))
}

fn strict_maxconn(server: &mut Server, _: &mut Loader, _: &mut Line<'_>) -> Parsed {
    server.strict_maxconn = true;
    Ok(())
}

fn tcp_ut(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.tcp_user_timeout_ms = Some(line.duration(TimeUnit::Milliseconds)?.as_millis() as u64);
    Ok(())
}

fn tfo(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.tcp_fast_open = line.name == "tfo";
    Ok(())
}

fn track(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.track = Some(line.required("[<proxy>/]<server> as argument.")?.as_str().to_owned());
    Ok(())
}

fn weight(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an integer argument.")?;
    let value: i64 = word.as_str().parse().unwrap_or(-1);
    if !(0..=256).contains(&value) {
        return Err(line.alert_at(
            word,
            format!("weight of server {} is not within 0 and 256 ({}).", server.name, word.as_str()),
        ));
    }
    server.weight = value as u32;
    Ok(())
}

fn ws(_: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'auto', 'h1' or 'h2' as argument.")?;
    if !matches!(word.as_str(), "auto" | "h1" | "h2") {
        return Err(
            line.alert_at(word, format!("'ws' has to be 'auto', 'h1' or 'h2' (got '{}').", word.as_str()))
        );
    }
    Ok(())
}

/// The largest ring of a log server.
const LOG_BUFFER_BYTES_MAX: u64 = 1 << 30;

fn log_bufsize(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let bytes = line.size(LOG_BUFFER_BYTES_MAX)?;
    server.log_buffer_bytes = usize::try_from(bytes).ok().filter(|bytes| *bytes > 0);
    Ok(())
}

fn log_proto(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'legacy' or 'octet-count'.")?;
    server.log_octet_count = match word.as_str() {
        "legacy" => false,
        "octet-count" => true,
        other => {
            let message = format!("'log-proto' expects one of 'legacy' or 'octet-count' but got '{other}'.");
            return Err(line.alert_at(word, message));
        }
    };
    Ok(())
}
