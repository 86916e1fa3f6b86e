//! `resolvers` (configuration manual, section 5.3.2): checked, not carried out yet.

use hacore::units::TimeUnit;

use super::word;
use crate::config::arguments::{self, Purpose};
use crate::config::keyword::{Keyword, Line, Parsed, Places, none};
use crate::config::loader::Loader;

const HERE: Places = Places::RESOLVERS;

pub const KEYWORDS: &[Keyword] = &[
    word("nameserver", HERE, "<name> <address>[:port] [param*]", "Adds a name server.", nameserver)
        .unlisted(),
    word("parse-resolv-conf", HERE, "", "Adds the system's name servers.", none).unlisted(),
    word("accepted_payload_size", HERE, "<nb>", "The largest UDP answer.", payload).unlisted(),
    word("hold", HERE, "<status> <period>", "How long a result is kept.", hold).unlisted(),
    word("resolve_retries", HERE, "<nb>", "How often a question is repeated.", retries).unlisted(),
    word("timeout", HERE, "{ resolve | retry } <time>", "Times of resolution.", timeout).unlisted(),
    word(
        "server",
        Places::RESOLVERS.or(Places::PEERS),
        "<name> <address> [param*]",
        "Adds a server.",
        one_or_more,
    )
    .unlisted(),
];

fn one_or_more(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.required("<name> and <addr>[:<port>] as arguments.")?;
    line.words.seek(usize::MAX);
    Ok(())
}

fn nameserver(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.required("<name> and <addr>[:<port>] as arguments.")?;
    let address = line.required("<name> and <addr>[:<port>] as arguments.")?;
    let endpoint = arguments::endpoint(loader, address.as_str(), Purpose::Connect)
        .map_err(|problem| line.alert_at(address, format!("'nameserver' : {problem}")))?;
    if endpoint.ports.is_none() && matches!(endpoint.address, crate::model::Address::Inet(_)) {
        return Err(
            line.alert_at(address, format!("'nameserver' : missing port number in '{}'", address.as_str()))
        );
    }
    line.words.seek(usize::MAX);
    Ok(())
}

fn payload(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.integer(512..=65535)?;
    line.end()
}

fn hold(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let status = line.required("a status and a time.")?;
    if !matches!(status.as_str(), "nx" | "other" | "refused" | "timeout" | "valid" | "obsolete") {
        let message = format!(
            "'hold' unknown event: '{}', expects either 'nx', 'timeout', 'refused', 'other', 'valid' or 'obsolete'.",
            status.as_str()
        );
        return Err(line.alert_at(status, message));
    }
    line.duration(TimeUnit::Milliseconds)?;
    line.end()
}

fn retries(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.integer(1..=i64::from(i32::MAX))?;
    line.end()
}

fn timeout(_: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let what = line.required("'retry' or 'resolve' and <time> as arguments.")?;
    if !matches!(what.as_str(), "resolve" | "retry") {
        let message = format!(
            "'timeout' expects 'retry' or 'resolve' and <time> as arguments got '{}'.",
            what.as_str()
        );
        return Err(line.alert_at(what, message));
    }
    line.duration(TimeUnit::Milliseconds)?;
    line.end()
}
