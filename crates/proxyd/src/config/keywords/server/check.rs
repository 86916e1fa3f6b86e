//! Server options about health checks and the agent.

use std::time::Duration;

use hacore::units::TimeUnit;

use super::{ServerKeyword, nothing, server, skip_one};
use crate::config::check_rules;
use crate::config::keyword::{Line, Parsed};
use crate::config::loader::Loader;
use crate::model::{InitialState, Server};

pub const KEYWORDS: &[ServerKeyword] = &[
    server("addr", "<ipv4|ipv6>", "The address that is checked.", addr),
    server("agent-addr", "<addr>", "The agent's address.", agent_addr),
    server("agent-check", "", "Asks the server's agent.", agent_check),
    server("no-agent-check", "", "Undoes 'agent-check'.", agent_check),
    server("agent-inter", "<delay>", "Time between two questions to the agent.", agent_inter),
    server("agent-port", "<port>", "The agent's port.", agent_port),
    server("agent-send", "<string>", "What the agent is sent.", agent_send),
    server("check", "", "Checks the server's health.", check),
    server("no-check", "", "Undoes 'check'.", check),
    server("check-alpn", "<protocols>", "ALPN of checks over TLS.", super::setting),
    server("check-pool-conn-name", "<name>", "Names the check's pooled connection.", skip_one)
        .later("checks use connections of their own"),
    server("check-proto", "<name>", "The protocol of checks.", check_proto),
    server("check-reuse-pool", "", "Checks over idle connections.", nothing)
        .later("checks use connections of their own"),
    server("no-check-reuse-pool", "", "Undoes 'check-reuse-pool'.", nothing),
    server("check-send-proxy", "", "Sends a PROXY header with checks.", check_send_proxy),
    server("no-check-send-proxy", "", "Undoes 'check-send-proxy'.", check_send_proxy),
    server("check-sni", "<sni>", "SNI of checks over TLS.", super::setting),
    server("check-sni-auto", "", "Chooses the SNI of checks.", nothing)
        .no_effect("checks send the name that 'check-sni' gives"),
    server("no-check-sni-auto", "", "Undoes 'check-sni-auto'.", nothing)
        .no_effect("checks send the name that 'check-sni' gives"),
    server("check-ssl", "", "Checks over TLS.", check_ssl),
    server("no-check-ssl", "", "Undoes 'check-ssl'.", check_ssl),
    server("check-via-socks4", "", "Checks through the SOCKS4 proxy.", check_via_socks4),
    server("downinter", "<delay>", "Time between checks of a server that is down.", downinter),
    server("error-limit", "<count>", "How many observed errors are too many.", error_limit),
    server("fall", "<count>", "Failed checks until the server is down.", fall),
    server("fastinter", "<delay>", "Time between checks while the state changes.", fastinter),
    server("healthcheck", "<name>", "The healthcheck section that is used.", healthcheck),
    server("init-state", "{ fully-up | up | down | fully-down }", "The state at start.", init_state),
    server("inter", "<delay>", "Time between checks.", inter),
    server("observe", "{ layer4 | layer7 }", "Counts errors of live traffic.", observe),
    server("port", "<port>", "The port that is checked.", port),
    server("rise", "<count>", "Good checks until the server is up.", rise),
];

/// An address without port, resolved if it is a name.
fn ip(line: &mut Line<'_>) -> Result<std::net::IpAddr, hacore::diag::Diagnostic> {
    let word = line.required("<addr> as argument.")?;
    let address = word.as_str().trim_start_matches('[').trim_end_matches(']');
    let named =
        || crate::config::arguments::resolve(address, 0, hacore::addr::Family::Any).map(|found| found.ip());
    address
        .parse()
        .ok()
        .or_else(named)
        .ok_or_else(|| line.alert_at(word, format!("'{}' : invalid address: '{}'", line.name, word.as_str())))
}

fn addr(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    // A port behind the address holds unless `port` gives another one.
    let with_port = line.words.peek_str().and_then(|word| word.parse::<std::net::SocketAddr>().ok());
    if let Some(address) = with_port {
        line.words.next();
        server.check_address = Some(address.ip());
        server.check_port.get_or_insert(address.port());
        return Ok(());
    }
    server.check_address = Some(ip(line)?);
    Ok(())
}

fn agent_addr(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.agent_address = Some(ip(line)?);
    Ok(())
}

fn agent_check(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.agent_check = line.name == "agent-check";
    Ok(())
}

fn agent_inter(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.agent_inter = delay(line)?;
    Ok(())
}

fn agent_port(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.agent_port = Some(line.integer(1..=65535)? as u16);
    Ok(())
}

fn agent_send(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.agent_send = line.required("<string> as argument.")?.bytes().to_vec();
    Ok(())
}

fn check(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.check = line.name == "check";
    Ok(())
}

fn check_proto(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a MUX name.")?;
    if let Err(error) = check_rules::http2(word.as_str()) {
        return Err(line.alert_at(word, format!("'{}' : {error}", line.name)));
    }
    server.check_protocol = Some(word.as_str().to_owned());
    Ok(())
}

fn check_send_proxy(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.check_send_proxy = line.name == "check-send-proxy";
    Ok(())
}

fn check_via_socks4(server: &mut Server, _: &mut Loader, _: &mut Line<'_>) -> Parsed {
    server.check_via_socks4 = true;
    Ok(())
}

/// The section may follow: whether there is one is judged at the end.
fn healthcheck(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.healthcheck = Some(line.required("a health check section.")?.as_str().to_owned());
    Ok(())
}

fn check_ssl(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.check_tls = Some(line.name == "check-ssl");
    Ok(())
}

/// A time of at least one millisecond.
fn delay(line: &mut Line<'_>) -> Result<Duration, hacore::diag::Diagnostic> {
    let word = line.required("a delay as argument.")?;
    let time = line.duration_of(word, TimeUnit::Milliseconds)?;
    if time.is_zero() {
        return Err(line.alert_at(word, format!("'{}' : invalid value 0 for argument.", line.name)));
    }
    Ok(time)
}

fn downinter(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.downinter = Some(delay(line)?);
    Ok(())
}

fn fastinter(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.fastinter = Some(delay(line)?);
    Ok(())
}

fn inter(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.inter = delay(line)?;
    Ok(())
}

fn error_limit(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.error_limit = line.integer(1..=i64::from(i32::MAX))? as u32;
    Ok(())
}

fn fall(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.fall = line.integer(1..=i64::from(i32::MAX))? as u32;
    Ok(())
}

fn rise(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.rise = line.integer(1..=i64::from(i32::MAX))? as u32;
    Ok(())
}

fn init_state(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("an initial state value.")?;
    server.init_state = match word.as_str() {
        "fully-up" => InitialState::FullyUp,
        "up" => InitialState::Up,
        "down" => InitialState::Down,
        "fully-down" => InitialState::FullyDown,
        other => {
            let message = format!(
                "'init-state' expects one of 'fully-up', 'up', 'down', or 'fully-down' but got '{other}'"
            );
            return Err(line.alert_at(word, message));
        }
    };
    Ok(())
}

fn observe(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a mode.")?;
    server.observe = match word.as_str() {
        "none" => None,
        "layer4" => Some(4),
        "layer7" => Some(7),
        other => {
            let message = format!("'observe' expects one of 'none', 'layer4', 'layer7' but got '{other}'");
            return Err(line.alert_at(word, message));
        }
    };
    Ok(())
}

fn port(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.check_port = Some(line.integer(1..=65535)? as u16);
    Ok(())
}
