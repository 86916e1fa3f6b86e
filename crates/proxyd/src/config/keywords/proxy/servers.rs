//! `bind`, `server`, `default-server`, `server-template`.

use super::super::{bind, server};
use super::old;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;

pub const KEYWORDS: &[Keyword] = &[
    old(
        "bind",
        Places::FRONT_ONLY,
        "[<address>]:<port_range> [, ...] [param*]",
        "Listens on addresses.",
        parse_bind,
    ),
    old(
        "server",
        Places::BACK_ONLY.or(Places::RING),
        "<name> <address>[:[port]] [param*]",
        "Adds a server.",
        server::parse,
    ),
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
    old("dispatch", Places::BACK_ONLY, "<address>:<port>", "Sends everything to one address.", dispatch),
];

fn parse_bind(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let binds = bind::parse(loader, line, bind::Role::Proxy)?;
    loader.proxy()?.binds.extend(binds);
    Ok(())
}

/// `dispatch ADDRESS:PORT`: a backend without servers, and one address.
fn dispatch(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("<addr>:<port> as argument.")?;
    line.end()?;
    if !loader.draft()?.proxy.servers.is_empty() {
        return Err(line
            .alert("'dispatch' cannot be combined with 'server' lines.")
            .help("remove one of them"));
    }
    server::add_plain(loader, line, crate::model::NAMELESS, word)?;
    let message = "'dispatch' is deprecated; a server does the same and shows in statistics.";
    loader.push(line.warning(message).help(format!("write 'server dispatch {}'", word.as_str())));
    Ok(())
}
