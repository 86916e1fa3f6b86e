//! `bind`, `server`, `default-server`, `server-template`.

use super::super::{bind, server};
use super::old;
use crate::config::keyword::{Keyword, Line, Parsed, Places, any};
use crate::config::loader::Loader;

pub const KEYWORDS: &[Keyword] = &[
    old(
        "bind",
        Places::FRONT_ONLY,
        "[<address>]:<port_range> [, ...] [param*]",
        "Listens on addresses.",
        parse_bind,
    ),
    old("server", Places::BACK_ONLY, "<name> <address>[:[port]] [param*]", "Adds a server.", server::parse),
    old(
        "default-server",
        Places::BACK,
        "[param*]",
        "Defaults of the servers that follow.",
        server::parse_default,
    ),
    old(
        "server-template",
        Places::BACK_ONLY,
        "<prefix> <num | range> <fqdn>[:<port>] [params*]",
        "Adds several servers of one name.",
        server::parse_template,
    ),
    old("dispatch", Places::BACK_ONLY, "<address>:<port>", "Sends everything to one address.", any)
        .removed("write 'server dispatch <address>:<port>' instead"),
];

fn parse_bind(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let binds = bind::parse(loader, line, bind::Role::Proxy)?;
    loader.proxy()?.binds.extend(binds);
    Ok(())
}
