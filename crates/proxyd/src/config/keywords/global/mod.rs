//! Keywords of the `global` section (configuration manual, section 3).

mod cpu_map;
mod environment;
mod h2;
mod lua;
mod process;
mod stats;
mod tls;
mod tune;

use super::super::keyword::{Item, Keyword, LineParser, Places};

/// A keyword of the `global` section.
const fn global(
    name: &'static str,
    arguments: &'static str,
    doc: &'static str,
    parse: LineParser,
) -> Keyword {
    Item::new(name, Places::GLOBAL, arguments, doc, parse)
}

/// The tables of this folder.
pub const TABLES: &[&[Keyword]] = &[
    process::KEYWORDS,
    environment::KEYWORDS,
    stats::KEYWORDS,
    tls::KEYWORDS,
    lua::KEYWORDS,
    tune::KEYWORDS,
    h2::KEYWORDS,
    super::proxy::logging::GLOBAL_KEYWORDS,
];
