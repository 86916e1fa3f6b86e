//! `timeout …`.

use std::time::Duration;

use hacore::units::TimeUnit;

use super::listed;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::model::Timeouts;

const fn timeout(name: &'static str, places: Places, doc: &'static str) -> Keyword {
    listed(name, places, "<timeout>", doc, parse)
}

pub const KEYWORDS: &[Keyword] = &[
    timeout("timeout check", Places::BACK, "Extra time for a check after the connection."),
    timeout("timeout client", Places::FRONT.or(Places::LOG_FORWARD), "The longest inactivity of a client."),
    timeout("timeout client-fin", Places::FRONT, "The longest inactivity of a half-closed client."),
    timeout("timeout client-hs", Places::FRONT, "The longest TLS handshake of a client."),
    timeout(
        "timeout connect",
        Places::BACK.or(Places::RING),
        "The longest wait for a connection to a server.",
    ),
    timeout("timeout http-keep-alive", Places::PROXY, "The longest wait for a new request."),
    timeout("timeout http-request", Places::PROXY, "The longest wait for a complete request head."),
    timeout("timeout queue", Places::BACK, "The longest wait for a free connection slot."),
    timeout("timeout server", Places::BACK.or(Places::RING), "The longest inactivity of a server."),
    timeout("timeout server-fin", Places::BACK, "The longest inactivity of a half-closed server."),
    timeout("timeout tarpit", Places::PROXY, "How long a tarpitted request is held."),
    timeout("timeout tunnel", Places::BACK, "The longest inactivity of a tunnel."),
    timeout("contimeout", Places::BACK, "Old form of 'timeout connect'.")
        .removed("write 'timeout connect' instead"),
    timeout("clitimeout", Places::FRONT, "Old form of 'timeout client'.")
        .removed("write 'timeout client' instead"),
    timeout("srvtimeout", Places::BACK, "Old form of 'timeout server'.")
        .removed("write 'timeout server' instead"),
];

fn field<'a>(timeouts: &'a mut Timeouts, name: &str) -> Option<&'a mut Option<Duration>> {
    Some(match name {
        "timeout check" => &mut timeouts.check,
        "timeout client" => &mut timeouts.client,
        "timeout client-fin" => &mut timeouts.client_fin,
        "timeout client-hs" => &mut timeouts.client_hs,
        "timeout connect" => &mut timeouts.connect,
        "timeout http-keep-alive" => &mut timeouts.http_keep_alive,
        "timeout http-request" => &mut timeouts.http_request,
        "timeout queue" => &mut timeouts.queue,
        "timeout server" => &mut timeouts.server,
        "timeout server-fin" => &mut timeouts.server_fin,
        "timeout tarpit" => &mut timeouts.tarpit,
        "timeout tunnel" => &mut timeouts.tunnel,
        _ => return None,
    })
}

fn parse(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.duration(TimeUnit::Milliseconds)?;
    line.end()?;
    if let Some(field) = field(&mut loader.proxy()?.timeouts, line.name) {
        // Zero is the same as none: infinite.
        *field = (!value.is_zero()).then_some(value);
    }
    Ok(())
}
