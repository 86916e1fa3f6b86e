//! `stats socket`, `stats timeout`, `stats maxconn` of the `global` section.

use hacore::units::TimeUnit;

use super::super::bind;
use super::global;
use crate::config::keyword::{Keyword, Line, Parsed, any};
use crate::config::loader::Loader;
use crate::model::StatsSocket;

pub const KEYWORDS: &[Keyword] = &[
    global("stats socket", "[<address:port>|<path>] [param*]", "Opens an admin socket.", socket).unlisted(),
    global("stats timeout", "<time>", "How long an admin connection may be idle.", timeout).unlisted(),
    global("stats maxconn", "<number>", "The most admin connections.", maxconn).unlisted(),
    global("stats bind-process", "{ all | odd | even | <set> }", "Which processes serve the socket.", any)
        .unlisted()
        .no_effect("there is one process"),
    global("stats-file", "<path>", "Reads counters from a file at start.", any)
        .unlisted()
        .refused("statistics files"),
];

fn socket(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    for bind in bind::parse(loader, line, bind::Role::StatsSocket)? {
        loader.global.stats_sockets.push(StatsSocket { bind });
    }
    Ok(())
}

fn timeout(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let timeout = line.duration(TimeUnit::Milliseconds)?;
    if timeout.is_zero() {
        return Err(line.alert("'stats timeout' expects a positive value."));
    }
    loader.global.stats_timeout = timeout;
    line.end()
}

fn maxconn(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.stats_maxconn = line.integer(1..=i64::from(i32::MAX))? as u32;
    line.end()
}
