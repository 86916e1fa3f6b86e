//! The `%aliases` of log formats: one item each (configuration manual, section 8.2.6).

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::LazyLock;

use super::date::{Civil, offset_text};
use super::encode::{Encoder, push_text};
use super::{Flags, LogFormatOptions};
use crate::expr::eval::TlsSide;
use crate::expr::{Args, Data, EvalCtx, Sample};
use crate::http::Uri;
use crate::txn::{Captures, CookieSeen, CookieSet, Endpoint, IP_TEXT_BYTES, Timing, ip_text};

/// An alias, as an index into [`aliases`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alias(usize);

/// What an alias stands for.
enum Value<'a> {
    /// Nothing to show.
    Missing,
    Text(Data<'a>),
    /// Text in which bytes are encoded.
    Encoded(Data<'a>, Encoder),
    /// A date with milliseconds.
    Stamp([u8; 24]),
    /// The first so many letters of a termination state.
    Letters([u8; 4], usize),
    Number(i64),
    /// A number that is written with `+` when it may still grow (`option logasap`).
    Partial(i64, bool),
    Address(IpAddr),
    Port(u16),
    /// Written as it is, encoding included, an empty value too.
    Verbatim(Vec<u8>),
    /// Written as it is, quotes included.
    List(Vec<u8>),
    /// Nothing, and the separator before it does not count either.
    Absent,
}

type AliasFn = for<'a> fn(&EvalCtx<'a>, Flags) -> Value<'a>;

/// One alias.
pub struct AliasDef {
    pub name: &'static str,
    /// Only meaningful with `mode http`.
    pub http_only: bool,
    /// One line for the documentation.
    pub doc: &'static str,
    run: AliasFn,
}

impl std::fmt::Debug for AliasDef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name)
    }
}

const fn any(name: &'static str, run: AliasFn, doc: &'static str) -> AliasDef {
    AliasDef { name, http_only: false, doc, run }
}

const fn http(name: &'static str, run: AliasFn, doc: &'static str) -> AliasDef {
    AliasDef { name, http_only: true, doc, run }
}

/// Every alias.
pub fn aliases() -> &'static [AliasDef] {
    ALIASES
}

/// The alias with this exact name.
pub(super) fn find(name: &str) -> Option<Alias> {
    static INDEX: LazyLock<HashMap<&'static str, usize>> =
        LazyLock::new(|| ALIASES.iter().enumerate().map(|(index, def)| (def.name, index)).collect());
    INDEX.get(name).copied().map(Alias)
}

const ALIASES: &[AliasDef] = &[
    any("B", |c, _| partial(c, |c| c.stream.map_or(0, |s| s.bytes_sent as i64)), "bytes sent to the client"),
    http("CC", |c, _| text(c.stream.and_then(|s| s.request_cookie.as_deref())), "captured request cookie"),
    http("CS", |c, _| text(c.stream.and_then(|s| s.response_cookie.as_deref())), "captured response cookie"),
    any("H", |c, _| text(Some(c.env.process().hostname.as_bytes())), "host name"),
    any("HMODE", |c, _| text(Some(if frontend_is_http(c) { b"HTTP" } else { b"TCP" })), "HTTP or TCP"),
    http("HM", |c, _| uri_part(c, Part::Method), "method"),
    http("HP", |c, _| uri_part(c, Part::UriWithoutQuery), "URI without query"),
    http("HPO", |c, _| uri_part(c, Part::Path), "path only"),
    http("HQ", |c, _| uri_part(c, Part::Query), "query with its '?'"),
    http("HU", |c, _| uri_part(c, Part::Uri), "URI"),
    http("HV", |c, _| uri_part(c, Part::Version), "version"),
    any("ID", |c, _| unique_id(c), "unique id"),
    any("OG", |c, _| text(Some(c.log_origin.as_bytes())), "the step at which the line is written"),
    any("ST", |c, _| Value::Number(status(c)), "status"),
    any("T", |c, _| date(accept_us(c), 0), "accept date in GMT"),
    http("Ta", |c, _| partial(c, |c| timers(c).active), "active time in ms"),
    any("Tc", |c, _| Value::Number(timers(c).connect), "connect time in ms"),
    any("Td", |c, _| Value::Number(timers(c).data), "data time in ms"),
    any("Th", |c, _| Value::Number(timers(c).handshake), "handshake time in ms"),
    http("Ti", |c, _| Value::Number(timers(c).idle), "idle time in ms"),
    any("Tl", |c, _| local_date(c, accept_us(c)), "accept date in local time"),
    http("Tq", |c, _| Value::Number(timers(c).until_request), "Th + Ti + TR"),
    http("TR", |c, _| Value::Number(timers(c).request), "time to receive the request in ms"),
    http("Tr", |c, _| Value::Number(timers(c).response), "response time in ms"),
    any("Ts", |c, f| hex_number(f, (accept_us(c) / 1_000_000) as i64), "accept date as a timestamp"),
    any("Tt", |c, _| partial(c, |c| timers(c).total), "total time in ms"),
    any("Tu", |c, _| partial(c, |c| timers(c).user), "total time without idle time in ms"),
    any("Tw", |c, _| Value::Number(timers(c).queue), "time in queues in ms"),
    any("U", |c, _| Value::Number(c.stream.map_or(0, |s| s.bytes_uploaded as i64)), "bytes from the client"),
    any(
        "ac",
        |c, _| Value::Number(c.stream.map_or(0, |s| s.connections_process.into())),
        "connections of the process",
    ),
    any("b", |c, _| backend_name(c), "backend"),
    any(
        "bc",
        |c, _| Value::Number(c.stream.map_or(0, |s| s.connections_backend.into())),
        "connections of the backend",
    ),
    any("bi", |c, _| address(c.stream.map(|s| &s.server_local)), "source address towards the server"),
    any("bp", |c, _| port(c.stream.map(|s| &s.server_local)), "source port towards the server"),
    any("bq", |c, _| Value::Number(c.stream.map_or(0, |s| s.queue_backend.into())), "backend queue"),
    any("ci", |c, _| client_address(c, &c.session.source), "client address"),
    any("cp", |c, _| client_port(c, &c.session.source), "client port"),
    any("f", |c, _| frontend_name(c, false), "frontend"),
    any(
        "fc",
        |c, _| Value::Number(c.stream.map_or(0, |s| s.connections_frontend.into())),
        "connections of the frontend",
    ),
    any("fi", |c, _| client_address(c, &c.session.destination), "address the client came to"),
    any("fp", |c, _| client_port(c, &c.session.destination), "port the client came to"),
    any("ft", |c, _| frontend_name(c, true), "frontend, with '~' for TLS"),
    any("hr", |c, _| captured(c.stream.map(|s| &s.request_captures)), "captured request headers"),
    any(
        "hrl",
        |c, f| captured_list(c.stream.map(|s| &s.request_captures), f),
        "captured request headers, CLF",
    ),
    any("hs", |c, _| captured(c.stream.map(|s| &s.response_captures)), "captured response headers"),
    any(
        "hsl",
        |c, f| captured_list(c.stream.map(|s| &s.response_captures), f),
        "captured response headers, CLF",
    ),
    any(
        "lc",
        |c, _| Value::Number(c.stream.map_or(0, |s| s.log_counter as i64)),
        "log lines of the frontend",
    ),
    any("ms", |c, f| milliseconds(f, accept_us(c)), "milliseconds of the accept date"),
    any("pid", |c, f| hex_number(f, c.env.process().pid.into()), "process id"),
    http("r", |c, _| request_line(c), "request line"),
    any("rc", |c, _| retries(c), "retries"),
    any("rt", |c, f| hex_number(f, c.stream.map_or(0, |s| s.request_counter as i64)), "request counter"),
    any("s", |c, _| server_name(c), "server"),
    any(
        "sc",
        |c, _| Value::Number(c.stream.map_or(0, |s| s.connections_server.into())),
        "connections of the server",
    ),
    any("si", |c, _| address(c.stream.map(|s| &s.server_peer)), "server address"),
    any("sp", |c, _| port(c.stream.map(|s| &s.server_peer)), "server port"),
    any("sq", |c, _| Value::Number(c.stream.map_or(0, |s| s.queue_server.into())), "server queue"),
    any("sslc", |c, _| tls(c, "cipher"), "TLS cipher"),
    any("sslv", |c, _| tls(c, "protocol"), "TLS version"),
    any("t", |c, _| short_date(c, accept_us(c)), "accept date in local time with milliseconds"),
    http("tr", |c, _| short_date(c, request_us(c)), "date of the request's first byte"),
    http("trg", |c, _| date(request_us(c), 0), "date of the request's first byte in GMT"),
    http("trl", |c, _| local_date(c, request_us(c)), "date of the request's first byte in local time"),
    any("ts", |c, _| termination(c, false), "termination state"),
    http("tsc", |c, _| termination(c, true), "termination state with cookie status"),
];

impl Alias {
    pub fn def(self) -> &'static AliasDef {
        // An `Alias` is only made by `find`, from an index of this table.
        ALIASES.get(self.0).unwrap_or(&ALIASES[0])
    }

    /// Appends the value as the format's flags want it; `false` when there is nothing that a separator separates.
    pub(super) fn render(
        self,
        ctx: &EvalCtx<'_>,
        flags: Flags,
        options: LogFormatOptions,
        out: &mut Vec<u8>,
    ) -> bool {
        let plain = |out: &mut Vec<u8>, text: Option<&[u8]>| {
            push_text(out, text, Encoder::Plain, flags, options.mandatory)
        };
        match (self.def().run)(ctx, flags) {
            Value::Missing => plain(out, None),
            Value::Text(text) => plain(out, Some(&text)),
            Value::Stamp(stamp) => plain(out, Some(&stamp)),
            Value::Letters(letters, count) => plain(out, letters.get(..count)),
            Value::Encoded(text, encoder) => push_text(out, Some(&text), encoder, flags, options.mandatory),
            Value::Number(n) => out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes()),
            Value::Partial(n, growing) => {
                if growing {
                    out.push(b'+');
                }
                out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
            }
            Value::Address(address) => push_address(out, address, flags),
            Value::Port(port) if flags.hex => out.extend_from_slice(format!("{port:04X}").as_bytes()),
            Value::Port(port) => out.extend_from_slice(itoa::Buffer::new().format(port).as_bytes()),
            Value::Verbatim(bytes) => push_text(out, Some(&bytes), Encoder::Plain, quote_only(flags), false),
            Value::List(bytes) => out.extend_from_slice(&bytes),
            Value::Absent => return false,
        }
        true
    }

    /// The value as a sample, for JSON and CBOR.
    pub(super) fn value<'a>(self, ctx: &EvalCtx<'a>, flags: Flags) -> Option<Sample<'a>> {
        Some(match (self.def().run)(ctx, flags) {
            Value::Missing | Value::Absent => return None,
            Value::Text(text) | Value::Encoded(text, _) => Sample::Str(text),
            Value::Stamp(stamp) => Sample::str(stamp.to_vec()),
            Value::Letters(letters, count) => Sample::str(letters.get(..count).unwrap_or_default().to_vec()),
            Value::Number(n) | Value::Partial(n, _) => Sample::Int(n),
            Value::Address(address) => Sample::ip(address),
            Value::Port(port) => Sample::Int(port.into()),
            Value::Verbatim(bytes) | Value::List(bytes) => Sample::str(bytes),
        })
    }
}

/// What was encoded already is quoted at most.
fn quote_only(flags: Flags) -> Flags {
    Flags { quote: flags.quote, ..Flags::default() }
}

fn push_address(out: &mut Vec<u8>, address: IpAddr, flags: Flags) {
    use std::io::Write;
    let result = match (address, flags.hex) {
        (IpAddr::V4(v4), true) => write!(out, "{:08X}", v4.to_bits()),
        (IpAddr::V6(v6), true) => write!(out, "{:032X}", v6.to_bits()),
        (address, false) => {
            out.extend_from_slice(ip_text(address, &mut [0; IP_TEXT_BYTES]));
            return;
        }
    };
    debug_assert!(result.is_ok(), "a Vec takes every byte");
}

fn text(text: Option<&[u8]>) -> Value<'_> {
    text.map_or(Value::Missing, |text| Value::Text(text.into()))
}

fn hex_number<'a>(flags: Flags, n: i64) -> Value<'a> {
    if flags.hex { Value::Text(format!("{n:04X}").into()) } else { Value::Number(n) }
}

fn partial<'a>(ctx: &EvalCtx<'a>, value: fn(&EvalCtx<'a>) -> i64) -> Value<'a> {
    let growing = ctx.stream.is_some_and(|s| s.timing.end_us.is_none());
    Value::Partial(value(ctx), growing)
}

/// The log's timers in milliseconds, -1 for what did not happen (manual, section 8.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timers {
    pub(crate) handshake: i64,
    pub(crate) idle: i64,
    pub(crate) request: i64,
    pub(crate) until_request: i64,
    pub(crate) queue: i64,
    pub(crate) connect: i64,
    pub(crate) response: i64,
    pub(crate) data: i64,
    pub(crate) active: i64,
    pub(crate) total: i64,
    pub(crate) user: i64,
}

impl Timers {
    /// `now_us` stands for the end while there is none.
    pub(crate) fn of(t: &Timing, now_us: u64) -> Timers {
        let between = |from: Option<u64>, to: Option<u64>| match (from, to) {
            (Some(from), Some(to)) => (to.saturating_sub(from) / 1000) as i64,
            _ => -1,
        };
        let start = Some(t.start_us);
        let end = Some(t.end_us.unwrap_or(now_us));
        let handshake_done = t.handshake_done_us.or(start);
        let handshake = between(start, handshake_done);
        let idle = between(handshake_done, t.request_first_byte_us);
        let total = between(start, end);
        Timers {
            handshake,
            idle,
            request: between(t.request_first_byte_us, t.request_done_us),
            until_request: between(start, t.request_done_us),
            queue: between(t.request_done_us.or(handshake_done), t.queue_done_us),
            connect: between(t.queue_done_us, t.connect_done_us),
            response: between(t.connect_done_us, t.response_head_us),
            // With HTTP data begins with the response's head; without, with the connection.
            data: between(
                if t.request_done_us.is_some() { t.response_head_us } else { t.connect_done_us },
                end,
            ),
            active: between(t.request_first_byte_us.or(handshake_done), end),
            total,
            user: total - idle.max(0),
        }
    }
}

fn timers(ctx: &EvalCtx<'_>) -> Timers {
    let timing = ctx.stream.map(|stream| stream.timing).unwrap_or_default();
    Timers::of(&timing, ctx.now.monotonic_us)
}

fn accept_us(ctx: &EvalCtx<'_>) -> u64 {
    match ctx.stream.map_or(0, |stream| stream.timing.accept_date_us) {
        0 => ctx.session.accepted_us,
        us => us,
    }
}

fn request_us(ctx: &EvalCtx<'_>) -> u64 {
    match ctx.stream.map_or(0, |stream| stream.timing.request_date_us) {
        0 => accept_us(ctx),
        us => us,
    }
}

fn date<'a>(us: u64, offset_s: i32) -> Value<'a> {
    let civil = Civil::from_unix((us / 1_000_000) as i64 + i64::from(offset_s));
    Value::Text(format!("{} {}", civil.log_text(), offset_text(offset_s)).into())
}

fn local_date<'a>(ctx: &EvalCtx<'a>, us: u64) -> Value<'a> {
    date(us, ctx.env.utc_offset_s(us))
}

fn short_date<'a>(ctx: &EvalCtx<'a>, us: u64) -> Value<'a> {
    let offset_s = i64::from(ctx.env.utc_offset_s(us));
    let civil = Civil::from_unix((us / 1_000_000) as i64 + offset_s);
    Value::Stamp(civil.log_stamp(us / 1000 % 1000))
}

fn milliseconds<'a>(flags: Flags, us: u64) -> Value<'a> {
    let ms = us / 1000 % 1000;
    Value::Text(if flags.hex { format!("{ms:02X}") } else { format!("{ms:03}") }.into())
}

fn status(ctx: &EvalCtx<'_>) -> i64 {
    match ctx.stream.map_or(0, |stream| stream.status) {
        0 if frontend_is_http(ctx) => -1,
        status => status.into(),
    }
}

fn frontend_is_http(ctx: &EvalCtx<'_>) -> bool {
    ctx.session.frontend.and_then(|id| ctx.env.frontend(id)).is_some_and(|frontend| frontend.is_http)
}

fn frontend_name<'a>(ctx: &EvalCtx<'a>, with_transport: bool) -> Value<'a> {
    let Some(view) = ctx.session.frontend.and_then(|id| ctx.env.frontend(id)) else { return Value::Missing };
    if with_transport && ctx.session.tls {
        return Value::Text(format!("{}~", view.name).into());
    }
    Value::Text(view.name.into())
}

fn backend_name<'a>(ctx: &EvalCtx<'a>) -> Value<'a> {
    let backend = ctx.stream.and_then(|stream| stream.backend);
    match backend.and_then(|id| ctx.env.backend(id)) {
        Some(view) => Value::Text(view.name.into()),
        None => frontend_name(ctx, false),
    }
}

fn server_name<'a>(ctx: &EvalCtx<'a>) -> Value<'a> {
    let Some(stream) = ctx.stream else { return Value::Text("<NOSRV>".into()) };
    if let Some(service) = stream.service {
        return Value::Text(service.into());
    }
    let view =
        stream.backend.zip(stream.server).and_then(|(backend, server)| ctx.env.server(backend, server));
    Value::Text(view.map_or("<NOSRV>", |view| view.name).into())
}

fn address<'a>(endpoint: Option<&Endpoint>) -> Value<'a> {
    endpoint.and_then(Endpoint::ip).map_or(Value::Missing, Value::Address)
}

fn port<'a>(endpoint: Option<&Endpoint>) -> Value<'a> {
    endpoint.and_then(Endpoint::port).map_or(Value::Missing, Value::Port)
}

/// Clients of Unix sockets are `unix`, and their port is the listener's number.
fn client_address<'a>(_: &EvalCtx<'a>, endpoint: &Endpoint) -> Value<'a> {
    match endpoint {
        Endpoint::Unix => Value::Text("unix".into()),
        other => address(Some(other)),
    }
}

fn client_port<'a>(ctx: &EvalCtx<'a>, endpoint: &Endpoint) -> Value<'a> {
    match endpoint {
        Endpoint::Unix => Value::Number(ctx.session.listener_id.into()),
        other => port(Some(other)),
    }
}

fn unique_id<'a>(ctx: &EvalCtx<'a>) -> Value<'a> {
    match ctx.stream.and_then(|stream| stream.unique_id.as_deref()) {
        Some(id) => Value::Text(id.into()),
        None => ctx.env.unique_id().map_or(Value::Missing, Value::Text),
    }
}

/// `{first|second}`; nothing at all when no header is captured.
fn captured<'a>(slots: Option<&Captures>) -> Value<'a> {
    let Some(slots) = slots.filter(|slots| !slots.is_empty()) else { return Value::Absent };
    let mut out = vec![b'{'];
    for (index, slot) in slots.iter().enumerate() {
        if index > 0 {
            out.push(b'|');
        }
        push_text(&mut out, slot.as_deref(), Encoder::Header, Flags::default(), false);
    }
    out.push(b'}');
    Value::Verbatim(out)
}

/// The slots separated by blanks, `-` for an empty one; with `Q` every one in quotes.
fn captured_list<'a>(slots: Option<&Captures>, flags: Flags) -> Value<'a> {
    let Some(slots) = slots.filter(|slots| !slots.is_empty()) else { return Value::Absent };
    let mut out = Vec::new();
    for (index, slot) in slots.iter().enumerate() {
        if index > 0 {
            out.push(b' ');
        }
        push_text(&mut out, slot.as_deref(), Encoder::Header, quote_only(flags), true);
    }
    Value::List(out)
}

fn request_line<'a>(ctx: &EvalCtx<'a>) -> Value<'a> {
    let line = ctx.stream.map_or(&b""[..], |stream| &stream.request_line);
    Value::Encoded(if line.is_empty() { Data::Borrowed(b"<BADREQ>") } else { line.into() }, Encoder::Uri)
}

enum Part {
    Method,
    Uri,
    UriWithoutQuery,
    Path,
    Query,
    Version,
}

/// A part of the request line as it came; `<BADREQ>` when there is none.
fn uri_part<'a>(ctx: &EvalCtx<'a>, part: Part) -> Value<'a> {
    let line: &'a [u8] = match ctx.stream {
        Some(stream) => &stream.request_line,
        None => b"",
    };
    let mut words = line.split(|b| *b == b' ');
    let (method, uri, version) = (words.next(), words.next(), words.next());
    let bad: &[u8] = b"<BADREQ>";
    let (Some(method), Some(uri)) = (method, uri) else {
        return Value::Encoded(bad.into(), Encoder::Uri);
    };
    let mark = memchr::memchr(b'?', uri);
    let found: &[u8] = match part {
        Part::Method => method,
        Part::Uri => uri,
        Part::UriWithoutQuery => uri.get(..mark.unwrap_or(uri.len())).unwrap_or_default(),
        Part::Path => Uri::parse(uri).path,
        Part::Query => match mark.and_then(|mark| uri.get(mark..)) {
            Some(query) => query,
            None => return Value::Verbatim(Vec::new()),
        },
        Part::Version => version.unwrap_or(b"HTTP/0.9"),
    };
    Value::Encoded(found.into(), Encoder::Uri)
}

fn retries<'a>(ctx: &EvalCtx<'a>) -> Value<'a> {
    let Some(stream) = ctx.stream else { return Value::Number(0) };
    Value::Partial(stream.retries.into(), stream.redispatched)
}

fn tls<'a>(ctx: &EvalCtx<'a>, fact: &str) -> Value<'a> {
    let none = Args::default();
    let known = crate::expr::fetch::tls_facts::answer(ctx, TlsSide::Frontend, fact, &none);
    let found = known.or_else(|| ctx.env.tls(TlsSide::Frontend, fact, &none));
    match found.and_then(Sample::into_text) {
        Some(text) => Value::Text(text),
        None => Value::Missing,
    }
}

fn termination<'a>(ctx: &EvalCtx<'a>, with_cookies: bool) -> Value<'a> {
    let Some(stream) = ctx.stream else {
        return Value::Text(if with_cookies { "----" } else { "--" }.into());
    };
    let [cause, phase] = stream.termination.letters();
    if !with_cookies {
        return Value::Letters([cause, phase, 0, 0], 2);
    }
    let seen = match stream.cookie_seen {
        CookieSeen::NotApplicable => b'-',
        CookieSeen::None => b'N',
        CookieSeen::Invalid => b'I',
        CookieSeen::Down => b'D',
        CookieSeen::Valid => b'V',
        CookieSeen::Expired => b'E',
        CookieSeen::Old => b'O',
        CookieSeen::Unused => b'U',
    };
    let set = match stream.cookie_set {
        CookieSet::NotApplicable => b'-',
        CookieSet::None => b'N',
        CookieSet::Inserted => b'I',
        CookieSet::Updated => b'U',
        CookieSet::Provided => b'P',
        CookieSet::Rewritten => b'R',
        CookieSet::Deleted => b'D',
    };
    Value::Letters([cause, phase, seen, set], 4)
}
