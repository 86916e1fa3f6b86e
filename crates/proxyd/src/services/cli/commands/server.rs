//! Commands about servers: state, health, weight, address, limits.

use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::Ordering::Relaxed;

use hacore::health::{AdminState, ForcedHealth};

use super::super::command::{CommandDef, Context, Level, Reply, Severity};
use super::{def, find_server};
use crate::model::Address;
use crate::proxy::{Backend, Server};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["disable", "server"],
        "disable server <backend>/<server>",
        "put a server into maintenance",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, _| set_admin(c, b, s, AdminState::Maintenance)),
    ),
    def(
        &["enable", "server"],
        "enable server <backend>/<server>",
        "end a server's maintenance",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, _| set_admin(c, b, s, AdminState::Ready)),
    ),
    def(
        &["disable", "health"],
        "disable health <backend>/<server>",
        "stop a server's checks",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, _| enable_check(c, b, s, false)),
    ),
    def(
        &["enable", "health"],
        "enable health <backend>/<server>",
        "resume a server's checks",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, _| enable_check(c, b, s, true)),
    ),
    def(
        &["disable", "agent"],
        "disable agent <backend>/<server>",
        "stop asking a server's agent",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, _| enable_agent(c, b, s, false)),
    ),
    def(
        &["enable", "agent"],
        "enable agent <backend>/<server>",
        "ask a server's agent again",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, _| enable_agent(c, b, s, true)),
    ),
    def(
        &["set", "server"],
        "set server <backend>/<server> [opts]",
        "change a server's state, weight or address",
        Level::Admin,
        |c, a| with_server(c, a, set_server),
    ),
    def(
        &["get", "weight"],
        "get weight <backend>/<server>",
        "tell a server's weight",
        Level::User,
        |c, a| with_server(c, a, |_, _, s, _| get_weight(s)),
    ),
    def(
        &["set", "weight"],
        "set weight <backend>/<server> <weight>[%]",
        "change a server's weight",
        Level::Admin,
        |c, a| with_server(c, a, |c, b, s, rest| set_weight(c, b, s, rest.first().copied())),
    ),
    def(
        &["set", "maxconn", "server"],
        "set maxconn server <backend>/<server> <value>",
        "change how many connections a server takes at once",
        Level::Admin,
        |c, a| with_server(c, a, |_, _, s, rest| set_maxconn(s, rest.first().copied())),
    ),
];

const SET_SERVER_USAGE: &str = "usage: set server <backend>/<server> addr | agent | agent-addr | agent-port | agent-send | \
check-addr | check-port | fqdn | health | ssl | state | weight";

/// Runs `action` with the server that the first argument names, and the arguments behind it.
fn with_server(
    context: &mut Context<'_>,
    words: &[&str],
    action: impl FnOnce(&Context<'_>, &Backend, &Server, &[&str]) -> Reply,
) -> Reply {
    match find_server(context, words.first()) {
        Ok((backend, server)) => action(context, backend, server, words.get(1..).unwrap_or_default()),
        Err(refusal) => refusal,
    }
}

fn set_admin(context: &Context<'_>, backend: &Backend, server: &Server, admin: AdminState) -> Reply {
    let reporter = &context.admin.reporter;
    reporter.apply(context.snapshot, backend, server, |health, now| health.set_admin(admin, now));
    Reply::Done
}

fn enable_check(context: &Context<'_>, backend: &Backend, server: &Server, enabled: bool) -> Reply {
    if !server.model.check {
        return match enabled {
            true => Reply::error("Health check was not configured on this server, cannot enable."),
            false => Reply::Done,
        };
    }
    context.admin.reporter.apply(context.snapshot, backend, server, |health, _| {
        health.enable_check(enabled);
        Vec::new()
    });
    context.admin.reporter.wake(server);
    Reply::Done
}

fn enable_agent(context: &Context<'_>, backend: &Backend, server: &Server, enabled: bool) -> Reply {
    if !server.model.agent_check {
        return match enabled {
            true => Reply::error("Agent was not configured on this server, cannot enable."),
            false => Reply::Done,
        };
    }
    context.admin.reporter.apply(context.snapshot, backend, server, |health, _| {
        health.enable_agent(enabled);
        Vec::new()
    });
    context.admin.reporter.wake(server);
    Reply::Done
}

fn set_server(context: &Context<'_>, backend: &Backend, server: &Server, words: &[&str]) -> Reply {
    match words {
        ["weight", rest @ ..] => set_weight(context, backend, server, rest.first().copied()),
        ["state", rest @ ..] => set_state(context, backend, server, rest.first().copied()),
        ["health", rest @ ..] => set_health(context, backend, server, rest.first().copied()),
        ["agent", rest @ ..] => set_agent(context, backend, server, rest.first().copied()),
        ["addr", rest @ ..] => set_address(server, rest),
        ["check-port", rest @ ..] => set_check_port(context, server, rest.first().copied()),
        ["check-addr", rest @ ..] => set_check_address(context, server, rest),
        ["agent-send", ..] if !server.model.agent_check => {
            Reply::error("agent checks are not enabled on this server.")
        }
        ["agent-addr" | "agent-port", ..] if !server.model.agent_check => {
            bare("agent checks are not enabled on this server")
        }
        ["agent-addr", rest @ ..] => set_agent_address(context, server, rest),
        ["agent-port", rest @ ..] => set_agent_port(context, server, rest.first().copied()),
        ["agent-send", rest @ ..] => set_agent_send(context, server, rest.first().copied()),
        ["fqdn"] => Reply::error("set server <b>/<s> fqdn requires a FQDN."),
        ["fqdn", ..] => Reply::error("set server <b>/<s> fqdn failed because no resolution is configured."),
        ["ssl", rest @ ..] => set_tls(server, rest.first().copied()),
        _ => Reply::error(SET_SERVER_USAGE),
    }
}

fn set_tls(server: &Server, word: Option<&str>) -> Reply {
    if server.model.tls_client.0.is_none() {
        return Reply::error(
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings",
        );
    }
    match word {
        Some("on") => server.set_tls(true),
        Some("off") => server.set_tls(false),
        _ => return Reply::error("'set server <srv> ssl' expects 'on' or 'off'."),
    }
    Reply::Message(Severity::Notice, "server ssl setting updated.\n".to_owned())
}

fn set_state(context: &Context<'_>, backend: &Backend, server: &Server, word: Option<&str>) -> Reply {
    let admin = match word {
        Some("ready") => AdminState::Ready,
        Some("drain") => AdminState::Drain,
        Some("maint") => AdminState::Maintenance,
        _ => return Reply::error("'set server <srv> state' expects 'ready', 'drain' and 'maint'."),
    };
    set_admin(context, backend, server, admin)
}

fn set_health(context: &Context<'_>, backend: &Backend, server: &Server, word: Option<&str>) -> Reply {
    if server.model.track.is_some() {
        return Reply::error("cannot change health on a tracking server.");
    }
    let forced = match word {
        Some("up") => ForcedHealth::Up,
        Some("stopping") => ForcedHealth::Stopping,
        Some("down") => ForcedHealth::Down,
        _ => return Reply::error("'set server <srv> health' expects 'up', 'stopping', or 'down'."),
    };
    let reporter = &context.admin.reporter;
    reporter.apply(context.snapshot, backend, server, |health, now| health.set_health(forced, now));
    Reply::Done
}

fn set_agent(context: &Context<'_>, backend: &Backend, server: &Server, word: Option<&str>) -> Reply {
    if !server.model.agent_check {
        return Reply::error("agent checks are not enabled on this server.");
    }
    let up = match word {
        Some("up") => true,
        Some("down") => false,
        _ => return Reply::error("'set server <srv> agent' expects 'up' or 'down'."),
    };
    let reporter = &context.admin.reporter;
    reporter.apply(context.snapshot, backend, server, |health, now| health.set_agent_health(up, now));
    Reply::Done
}

fn get_weight(server: &Server) -> Reply {
    let now = server.health.lock().weight();
    Reply::Message(Severity::Info, format!("{now} (initial {})\n", server.model.weight))
}

fn set_weight(context: &Context<'_>, backend: &Backend, server: &Server, word: Option<&str>) -> Reply {
    let Some(word) = word else { return Reply::error("Require <weight> or <weight%>.") };
    match parse_weight(word, server.model.weight) {
        Ok(weight) => {
            let reporter = &context.admin.reporter;
            reporter.apply(context.snapshot, backend, server, |health, now| health.set_weight(weight, now));
            Reply::Done
        }
        Err(text) => Reply::error(text),
    }
}

/// The largest weight.
const WEIGHT_MAX: u64 = 256;

/// `N`, 0..=256, or `N%` of the configured weight, cut at 256.
fn parse_weight(word: &str, initial: u32) -> Result<u16, &'static str> {
    let negative = word.starts_with('-');
    let digits = word.trim_start_matches('-');
    let end = digits.find(|c: char| !c.is_ascii_digit()).unwrap_or(digits.len());
    let (number, rest) = digits.split_at(end);
    if number.is_empty() {
        return Err("Empty weight string empty or preceded by garbage");
    }
    let number: u64 = number.parse().unwrap_or(u64::MAX);
    let weight = match rest {
        "" if negative || number > WEIGHT_MAX => {
            return Err("Absolute weight can only be between 0 and 256 inclusive.");
        }
        "" => number,
        "%" if negative => return Err("Relative weight must be positive."),
        "%" => u64::from(initial).saturating_mul(number) / 100,
        _ => return Err("Trailing garbage in weight string"),
    };
    Ok(weight.min(WEIGHT_MAX) as u16)
}

fn set_maxconn(server: &Server, word: Option<&str>) -> Reply {
    let Some(word) = word else { return Reply::error("Require <maxconn>.") };
    let end = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    let (number, rest) = word.split_at(end);
    match number.parse::<u32>() {
        Err(_) => bare("maxconn string empty or preceded by garbage"),
        Ok(_) if !rest.is_empty() => bare("Trailing garbage in maxconn string"),
        Ok(value) => {
            // A fixed limit: the configured minconn no longer makes it dynamic.
            server.maxconn.store(value, Relaxed);
            server.minconn.store(value, Relaxed);
            Reply::Done
        }
    }
}

/// A refusal that HAProxy writes without a line break.
fn bare(text: impl Into<String>) -> Reply {
    Reply::Message(Severity::Error, text.into())
}

fn set_agent_address(context: &Context<'_>, server: &Server, words: &[&str]) -> Reply {
    let Some(text) = words.first() else {
        return Reply::error("set server <b>/<s> agent-addr requires an address and optionally a port.");
    };
    let Ok(address) = text.parse::<IpAddr>() else { return bare(format!("invalid addr '{text}'")) };
    let port = match words.get(1..) {
        None | Some([]) => None,
        Some(["port", port]) => match port.parse::<u16>() {
            Ok(port) if port > 0 => Some(port),
            _ => return bare("provided port is not an integer"),
        },
        Some(_) => {
            return Reply::error("set server <b>/<s> agent-addr requires an address and optionally a port.");
        }
    };
    context.admin.reporter.set_agent_target(server, Some(address), port);
    Reply::Done
}

fn set_agent_port(context: &Context<'_>, server: &Server, word: Option<&str>) -> Reply {
    match word.map(str::parse::<u16>) {
        None => Reply::error("set server <b>/<s> agent-port requires a port."),
        Some(Ok(port)) if port > 0 => {
            context.admin.reporter.set_agent_target(server, None, Some(port));
            Reply::Done
        }
        Some(_) => bare("provided port is not an integer"),
    }
}

fn set_agent_send(context: &Context<'_>, server: &Server, word: Option<&str>) -> Reply {
    let Some(text) = word else { return Reply::error("'set server <srv> agent-send' expects a string.") };
    context.admin.reporter.set_agent_send(server, text.as_bytes());
    Reply::Done
}

/// `addr IP [port PORT]`; the answer says what changed.
fn set_address(server: &Server, words: &[&str]) -> Reply {
    const BY: &str = " by 'stats socket command'";
    let Some(text) = words.first() else {
        return Reply::error("set server <b>/<s> addr requires an address and optionally a port.");
    };
    let Ok(wanted) = text.parse::<IpAddr>() else {
        return Reply::error(format!("Invalid addr '{text}'{BY}"));
    };
    let (old_ip, old_port) = match server.address() {
        Address::Inet(address) => (Some(address.ip()), address.port()),
        Address::Name { port, .. } => (None, port),
        _ => return Reply::error(format!("cannot change the address of a server without an IP address{BY}")),
    };
    let mut port = old_port;
    let ip_text = match old_ip {
        Some(old) if old == wanted => "no need to change the addr".to_owned(),
        Some(old) => format!("IP changed from '{old}' to '{wanted}'"),
        None => format!("IP changed from '' to '{wanted}'"),
    };
    let port_text = match words.get(1..) {
        None | Some([]) => String::new(),
        Some(["port", value]) if value.starts_with(['+', '-']) => {
            return Reply::error(format!(
                "{ip_text}, can't change <port> to port map because it is incompatible with \
                current health check port configuration (use 'port' statement from the 'server' directive.{BY}"
            ));
        }
        Some(["port", value]) => match value.parse::<u16>() {
            Ok(value) if value == old_port => ", no need to change the port".to_owned(),
            Ok(value) => {
                port = value;
                format!(", port changed from '{old_port}' to '{value}'")
            }
            Err(_) => {
                return Reply::error(format!("{ip_text}, problem converting port '{value}' to an int{BY}"));
            }
        },
        Some(_) => {
            return Reply::error(format!("{ip_text}, problem converting port '' to an int{BY}"));
        }
    };
    server.set_address(Address::Inet(SocketAddr::new(wanted, port)));
    Reply::Message(Severity::Notice, format!("{ip_text}{port_text}{BY}\n"))
}

fn set_check_port(context: &Context<'_>, server: &Server, word: Option<&str>) -> Reply {
    if !server.model.check {
        return bare("health checks are not enabled on this server");
    }
    match word.map(str::parse::<u16>) {
        Some(Ok(port)) if port > 0 => {
            context.admin.reporter.set_check_target(server, None, Some(port));
            Reply::Message(Severity::Notice, "health check port updated.\n".to_owned())
        }
        None => Reply::error("set server <b>/<s> check-port requires a port."),
        Some(_) => bare("provided port is not an integer"),
    }
}

fn set_check_address(context: &Context<'_>, server: &Server, words: &[&str]) -> Reply {
    if !server.model.check {
        return bare("health checks are not enabled on this server");
    }
    let address = words.first().and_then(|word| word.parse::<IpAddr>().ok());
    if let (Some(text), None) = (words.first(), address) {
        return bare(format!("invalid addr '{text}'"));
    }
    let port = match words.get(1..) {
        Some(["port", port]) => port.parse::<u16>().ok().map(Some),
        None | Some([]) => Some(None),
        Some(_) => None,
    };
    let (Some(address), Some(port)) = (address, port) else {
        return Reply::error("set server <b>/<s> check-addr requires an address and optionally a port.");
    };
    context.admin.reporter.set_check_target(server, Some(address), port);
    Reply::Message(Severity::Notice, "health check address updated.\n".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_as_haproxy_reads_them() {
        for (word, expected) in [
            ("5", Ok(5)),
            ("0", Ok(0)),
            ("256", Ok(256)),
            ("50%", Ok(10)),
            ("10000%", Ok(256)),
            ("300", Err("Absolute weight can only be between 0 and 256 inclusive.")),
            ("-5", Err("Absolute weight can only be between 0 and 256 inclusive.")),
            ("5x", Err("Trailing garbage in weight string")),
            ("foo", Err("Empty weight string empty or preceded by garbage")),
            ("", Err("Empty weight string empty or preceded by garbage")),
            ("99999999999999999999999", Err("Absolute weight can only be between 0 and 256 inclusive.")),
        ] {
            assert_eq!(parse_weight(word, 20), expected, "{word}");
        }
    }
}
