//! Keywords of the sections that are neither `global` nor proxies.

mod crt_store;
mod logs;
mod other;
mod resolvers;
mod userlist;

use super::super::keyword::{Item, Keyword, LineParser, Places};

/// The tables of this folder.
pub const TABLES: &[&[Keyword]] =
    &[userlist::KEYWORDS, crt_store::KEYWORDS, resolvers::KEYWORDS, logs::KEYWORDS, other::KEYWORDS];

/// A keyword of one of these sections.
const fn word(
    name: &'static str,
    places: Places,
    arguments: &'static str,
    doc: &'static str,
    parse: LineParser,
) -> Keyword {
    Item::new(name, places, arguments, doc, parse)
}
