//! Sections that are read and refused, or read and skipped with a warning: their words are known, so that a typo is
//! still found.

use super::super::proxy::check;
use super::word;
use crate::config::keyword::{Keyword, LineParser, Places, any};

/// A word that `-dKcfg` does not show.
const fn hidden(name: &'static str, places: Places, arguments: &'static str, doc: &'static str) -> Keyword {
    word(name, places, arguments, doc, any as LineParser).unlisted()
}

const fn shown(name: &'static str, places: Places, arguments: &'static str, doc: &'static str) -> Keyword {
    word(name, places, arguments, doc, any as LineParser)
}

pub const KEYWORDS: &[Keyword] = &[
    // peers
    hidden("peer", Places::PEERS, "<peername> [<address>]:<port> [param*]", "A peer."),
    hidden("bind", Places::PEERS, "[<address>]:port [param*]", "Where to listen."),
    hidden("default-bind", Places::PEERS, "[param*]", "Defaults of the listener."),
    hidden("default-server", Places::PEERS, "[param*]", "Defaults of the peers."),
    hidden("disabled", Places::PEERS, "", "Disables the section."),
    hidden("enabled", Places::PEERS, "", "Enables the section."),
    hidden("log", Places::PEERS, "<target> ...", "Where log lines go."),
    hidden("shards", Places::PEERS, "<shards>", "How many shards there are."),
    hidden("table", Places::PEERS, "<tablename> type <type> size <size> ...", "A table."),
    // mailers
    hidden("mailer", Places::MAILERS, "<mailername> <ip>:<port>", "A mail server."),
    hidden("timeout mail", Places::MAILERS, "<time>", "How long a mail server may take."),
    // cache
    hidden("total-max-size", Places::CACHE, "<megabytes>", "The cache's size."),
    hidden("max-object-size", Places::CACHE, "<bytes>", "The largest object."),
    hidden("max-age", Places::CACHE, "<seconds>", "The longest age."),
    hidden("process-vary", Places::CACHE, "{ on | off }", "Whether Vary is looked at."),
    hidden("max-secondary-entries", Places::CACHE, "<number>", "The most variants of an object."),
    // program
    hidden("command", Places::PROGRAM, "<command> [arguments*]", "What is run."),
    hidden("user", Places::PROGRAM, "<username>", "As whom it runs."),
    hidden("group", Places::PROGRAM, "<groupname>", "With which group it runs."),
    // fcgi-app
    hidden("acl", Places::FCGI_APP, "<aclname> <criterion> ...", "A condition."),
    hidden("docroot", Places::FCGI_APP, "<path>", "The document root."),
    hidden("index", Places::FCGI_APP, "<script-name>", "The index script."),
    hidden("log-stderr", Places::FCGI_APP, "<target> ...", "Where stderr goes."),
    hidden(
        "pass-header",
        Places::FCGI_APP,
        "<name> [ { if | unless } <condition> ]",
        "A header that is passed.",
    ),
    hidden("path-info", Places::FCGI_APP, "<regex>", "How the path is cut."),
    hidden("set-param", Places::FCGI_APP, "<name> <fmt> [ { if | unless } <condition> ]", "A parameter."),
    hidden("option get-values", Places::FCGI_APP, "", "Asks the application for its limits."),
    hidden("option keep-conn", Places::FCGI_APP, "", "Keeps connections."),
    hidden("option max-reqs", Places::FCGI_APP, "<reqs>", "The most requests of a connection."),
    hidden("option mpxs-conns", Places::FCGI_APP, "", "Several requests on a connection."),
    // traces
    shown("trace", Places::TRACES, "<args>...", "A trace command."),
    // acme
    shown("account-key", Places::ACME, "<filename>", "The account's key."),
    shown("acme-vars", Places::ACME, "<string>", "Variables for tools."),
    shown("bits", Places::ACME, "<number>", "The size of RSA keys."),
    shown("challenge", Places::ACME, "<string>", "The kind of challenge."),
    shown("challenge-ready", Places::ACME, "<value>[,<value>]*", "When the challenge is ready."),
    shown("contact", Places::ACME, "<string>", "An e-mail address."),
    shown("curves", Places::ACME, "<string>", "The curve of ECDSA keys."),
    shown("directory", Places::ACME, "<string>", "The authority's URL."),
    shown("dns-delay", Places::ACME, "<time>", "How long DNS needs."),
    shown("dns-timeout", Places::ACME, "<time>", "How long DNS may need."),
    shown("eab-key-id", Places::ACME, "<string>", "External account binding."),
    shown("eab-mac-alg", Places::ACME, "<string>", "External account binding."),
    shown("eab-mac-key", Places::ACME, "<string>", "External account binding."),
    shown("keytype", Places::ACME, "<string>", "The kind of keys."),
    shown("map", Places::ACME, "<map>", "Where challenges are put."),
    shown("profile", Places::ACME, "<string>", "The certificate's profile."),
    shown("provider-name", Places::ACME, "<string>", "The DNS provider."),
    shown("reuse-key", Places::ACME, "{ on | off }", "Whether keys are kept."),
    // healthcheck
    word("type", Places::HEALTHCHECK, "<type>", "The kind of check.", check::section_type).unlisted(),
    word("http-check", Places::HEALTHCHECK, "...", "A step.", check::http_check).unlisted(),
    word("tcp-check", Places::HEALTHCHECK, "...", "A step.", check::tcp_check).unlisted(),
];
