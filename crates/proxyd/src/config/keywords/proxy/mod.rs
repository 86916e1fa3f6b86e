//! Keywords of `defaults`, `frontend`, `backend` and `listen` (configuration manual, section 4).

mod balance;
mod capture;
pub(super) mod check;
mod cookie;
mod errors;
mod forwarded;
mod general;
mod legacy;
pub mod logging;
mod options;
mod persistence;
pub mod rules;
mod servers;
mod stats;
mod switching;
mod timeouts;

use super::super::keyword::{Item, Keyword, LineParser, Places};

/// The tables of this folder.
pub use check::legacy_headers;

pub const TABLES: &[&[Keyword]] = &[
    general::KEYWORDS,
    timeouts::KEYWORDS,
    options::KEYWORDS,
    options::SWITCHES,
    logging::KEYWORDS,
    errors::KEYWORDS,
    forwarded::KEYWORDS,
    balance::KEYWORDS,
    cookie::KEYWORDS,
    persistence::KEYWORDS,
    check::KEYWORDS,
    rules::KEYWORDS,
    switching::KEYWORDS,
    servers::KEYWORDS,
    capture::KEYWORDS,
    stats::KEYWORDS,
    legacy::KEYWORDS,
];

/// A keyword that `-dKcfg` shows.
const fn listed(
    name: &'static str,
    places: Places,
    arguments: &'static str,
    doc: &'static str,
    parse: LineParser,
) -> Keyword {
    Item::new(name, places, arguments, doc, parse)
}

/// A keyword of the oldest kind, which `-dKcfg` leaves out.
const fn old(
    name: &'static str,
    places: Places,
    arguments: &'static str,
    doc: &'static str,
    parse: LineParser,
) -> Keyword {
    Item::new(name, places, arguments, doc, parse).unlisted()
}

/// Options that only mean something in HTTP mode, as `-dKcfg` marks them.
pub fn needs_http(name: &str) -> bool {
    const HTTP: &[&str] = &[
        "option accept-invalid-http-request",
        "option accept-invalid-http-response",
        "option accept-unsafe-violations-in-http-request",
        "option accept-unsafe-violations-in-http-response",
        "option checkcache",
        "option disable-h2-upgrade",
        "option http-buffer-request",
        "option http-drop-request-trailers",
        "option http-drop-response-trailers",
        "option http-ignore-probes",
        "option http-no-delay",
        "option http-pretend-keepalive",
        "option http-use-proxy-header",
        "option idle-close-on-response",
        "option prefer-last-server",
    ];
    HTTP.contains(&name)
}
