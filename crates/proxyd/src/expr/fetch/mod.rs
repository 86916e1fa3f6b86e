//! Sample fetches (configuration manual, sections 7.3.2 to 7.3.6), one file per noun.

mod auth;
mod client;
mod constant;
mod cookie;
mod distcc;
mod dump;
mod header;
mod internal;
mod message_blocks;
mod named_acl;
mod payload;
mod request;
mod response;
mod stick;
mod tls;
pub mod tls_facts;
mod transaction;

use std::collections::HashMap;
use std::sync::LazyLock;

use hacore::diag::Span;

use super::args::ArgSpec;
use super::{Args, Contexts, EvalCtx, FetchState, ParseScope, Sample, SampleType};

pub type FetchFn = for<'a> fn(&'a Args, &EvalCtx<'a>, &mut FetchState) -> Option<Sample<'a>>;
/// Checks and compiles arguments at load; the error is the end of HAProxy's sentence.
pub type CheckFn = fn(&mut Args, &ParseScope<'_>, Span) -> Result<(), String>;

/// One sample fetch.
pub struct Fetch {
    pub name: &'static str,
    pub args: ArgSpec,
    pub output: SampleType,
    /// Where it has its data.
    pub contexts: Contexts,
    /// One line for `--explain` and the support table.
    pub doc: &'static str,
    pub run: FetchFn,
    pub check: Option<CheckFn>,
}

impl std::fmt::Debug for Fetch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

/// A question to the stick tables, by the keyword that asks.
#[derive(Debug)]
pub struct StickQuery<'q> {
    /// `sc_http_req_rate`, `src_conn_cnt`, `table_gpc0`…; never one of the numbered spellings (`sc0_…`).
    pub keyword: &'q str,
    /// `sc0`, `sc1`, `sc2`: the number in the keyword or in the first argument.
    pub counter: Option<u32>,
    /// The other arguments.
    pub args: &'q Args,
    /// What a `table_…` or `in_table` converter was applied to.
    pub key: Option<&'q Sample<'q>>,
}

pub(crate) use constant::read_variable;
pub(crate) use internal::unit_us;

const TABLES: &[&[Fetch]] = &[
    auth::FETCHES,
    client::FETCHES,
    constant::FETCHES,
    cookie::FETCHES,
    distcc::FETCHES,
    dump::FETCHES,
    header::FETCHES,
    internal::FETCHES,
    message_blocks::FETCHES,
    named_acl::FETCHES,
    payload::FETCHES,
    request::FETCHES,
    response::FETCHES,
    tls::HELLO,
    transaction::FETCHES,
];

/// Every fetch, table by table.
pub fn all() -> impl Iterator<Item = &'static Fetch> {
    let families = stick::FETCHES.iter().chain(tls::FETCHES.iter());
    TABLES.iter().flat_map(|table| table.iter()).chain(families)
}

/// The fetch with this exact name.
pub fn find(name: &str) -> Option<&'static Fetch> {
    static INDEX: LazyLock<HashMap<&'static str, &'static Fetch>> =
        LazyLock::new(|| all().map(|fetch| (fetch.name, fetch)).collect());
    INDEX.get(name).copied()
}

/// What a fetch reads, in the words of HAProxy's messages.
pub(crate) fn source_name(fetch: &Fetch) -> &'static str {
    let is_buffer = ["len", "payload", "ssl_", "rdp_"].iter().any(|part| fetch.name.contains(part))
        && !fetch.name.contains("body");
    match (fetch.contexts, is_buffer) {
        (Contexts::REQUEST, true) => "request buffer",
        (Contexts::REQUEST, false) => "HTTP request headers",
        (Contexts::RESPONSE, true) => "response buffer",
        (Contexts::RESPONSE, false) => "HTTP response headers",
        (Contexts::PAYLOAD, true) => "request buffer,response buffer",
        (Contexts::PAYLOAD, false) => "HTTP request headers,HTTP response headers",
        (Contexts::STREAM, _) => "HTTP request",
        (Contexts::SERVER, _) if fetch.name.starts_with("bc_") => "server address",
        (Contexts::SERVER, _) if fetch.name.starts_with("ssl_") => "server-side connection",
        (Contexts::SERVER | Contexts::SERVER_CHOSEN, _) => "HTTP response",
        (Contexts::CONNECTING, _) => "server",
        (Contexts::BACKEND, _) => "backend",
        (Contexts::SESSION, _) => "client-side connection",
        (Contexts::CLIENT | Contexts::FRONTEND, _) => "client address",
        _ => "internal state",
    }
}

/// Names that HAProxy knows and this daemon has no data for, with what they need; using one is refused by name.
pub(crate) const UNSUPPORTED: &[(&str, &str)] = &[
    ("bc_glitches", "the state of protocol multiplexers"),
    ("bc_nb_streams", "the state of protocol multiplexers"),
    ("bc_settings_streams_limit", "the state of protocol multiplexers"),
    ("bs.aborted", "the state of protocol multiplexers"),
    ("bs.debug_str", "the state of protocol multiplexers"),
    ("bs.id", "the state of protocol multiplexers"),
    ("bs.rst_code", "the state of protocol multiplexers"),
    ("cpu_calls", "accounting of CPU time"),
    ("cpu_ns_avg", "accounting of CPU time"),
    ("cpu_ns_tot", "accounting of CPU time"),
    ("cpu_usage_grp", "accounting of CPU time"),
    ("cpu_usage_proc", "accounting of CPU time"),
    ("cpu_usage_thr", "accounting of CPU time"),
    ("fc_glitches", "the state of protocol multiplexers"),
    ("fc_nb_streams", "the state of protocol multiplexers"),
    ("fc_saved_syn", "saved SYNs"),
    ("fc_settings_streams_limit", "the state of protocol multiplexers"),
    ("fcgi.docroot", "FastCGI"),
    ("fcgi.index", "FastCGI"),
    ("fs.aborted", "the state of protocol multiplexers"),
    ("fs.debug_str", "the state of protocol multiplexers"),
    ("fs.id", "the state of protocol multiplexers"),
    ("fs.rst_code", "the state of protocol multiplexers"),
    ("last_entity", "the history of a stream"),
    ("lat_ns_avg", "accounting of CPU time"),
    ("lat_ns_tot", "accounting of CPU time"),
    ("req.bytes_out", "counting of bytes on the server's side"),
    ("res.bytes_in", "counting of bytes on the server's side"),
    ("res.cache_hit", "the HTTP cache"),
    ("res.cache_name", "the HTTP cache"),
    ("res.comp", "compression of bodies"),
    ("res.comp_algo", "compression of bodies"),
    ("spoe.engine-id", "SPOE"),
    ("term_events", "the history of a stream"),
    ("waiting_entity", "the history of a stream"),
];

// Short forms for the tables.

const fn fetch(
    name: &'static str,
    output: SampleType,
    contexts: Contexts,
    run: FetchFn,
    doc: &'static str,
) -> Fetch {
    Fetch { name, args: ArgSpec::NONE, output, contexts, doc, run, check: None }
}

impl Fetch {
    const fn args(mut self, required: usize, kinds: &'static [super::ArgKind]) -> Fetch {
        self.args = ArgSpec { required, kinds };
        self
    }

    const fn check(mut self, check: CheckFn) -> Fetch {
        self.check = Some(check);
        self
    }
}

/// [`source_name`] of an expression's fetch.
pub(crate) fn source_name_of(expr: &super::Expr) -> &'static str {
    find(expr.fetch_name()).map_or("internal state", source_name)
}
