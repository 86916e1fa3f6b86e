//! `persist`, `force-persist`, `ignore-persist`, `stick …`, `stick-table`.

use super::old;
use crate::config::expression;
use crate::config::keyword::{Keyword, Line, Parsed, Places, any};
use crate::config::loader::Loader;

const TABLES_LATER: &str = "stick tables";

pub const KEYWORDS: &[Keyword] = &[
    old(
        "persist",
        Places::BACK,
        "rdp-cookie[(<name>)]",
        "Keeps a client on its server by the RDP cookie.",
        persist,
    ),
    old(
        "force-persist",
        Places::BACK_ONLY,
        "{ if | unless } <condition>",
        "Keeps to a server that is down.",
        rule,
    ),
    old("ignore-persist", Places::BACK_ONLY, "{ if | unless } <condition>", "Ignores persistence.", rule),
    old(
        "stick",
        Places::BACK_ONLY,
        "{ on | match | store-request | store-response } ...",
        "Keeps a client on its server by a table.",
        any,
    )
    .refused(TABLES_LATER),
    old(
        "stick-table",
        Places::PROXY_ONLY.or(Places::PEERS),
        "type <type> size <size> ...",
        "Defines a stick table.",
        any,
    )
    .refused(TABLES_LATER),
];

fn persist(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("rdp-cookie[(<name>)] as argument.")?;
    let name = match word.as_str().strip_prefix("rdp-cookie") {
        Some("") => "msts",
        Some(rest) => match rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')')) {
            Some(name) if !name.is_empty() => name,
            _ => return Err(line.alert_at(word, "persist rdp-cookie(name) requires an rdp cookie name.")),
        },
        None => return Err(line.alert_at(word, format!("unknown persist method '{}'.", word.as_str()))),
    };
    loader.proxy()?.persist_rdp_cookie = Some(name.to_owned());
    line.end()
}

fn rule(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if !matches!(line.words.peek_str(), Some("if" | "unless")) {
        return Err(
            line.alert(format!("'{}' requires either 'if' or 'unless' followed by a condition.", line.name))
        );
    }
    let condition = expression::condition(loader, line)?;
    let force = line.name == "force-persist";
    loader.proxy()?.persist_rules.push((force, condition));
    Ok(())
}
