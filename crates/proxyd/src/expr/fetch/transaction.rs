//! The stream and its connections: timers, byte counts, queues, termination (manual, sections 7.3.2 and 7.3.3).

use super::{Fetch, fetch};
use crate::expr::eval::Side;
use crate::expr::logformat::Timers;
use crate::expr::{ArgKind, Args, BackendView, Contexts, EvalCtx, FetchState, Sample, SampleType};
use crate::txn::TimeoutOverrides;

const INT: SampleType = SampleType::Int;
const STR: SampleType = SampleType::Str;
const STREAM: Contexts = Contexts::STREAM;
const SERVER: Contexts = Contexts::SERVER;
const CLIENT: Contexts = Contexts::CLIENT;
const INTERNAL: Contexts = Contexts::INTERNAL;
const CHOSEN: Contexts = Contexts::SERVER_CHOSEN;

pub(super) const FETCHES: &[Fetch] = &[
    fetch("fc.timer.handshake", INT, CLIENT, |_, c, _| timer(c, |t| t.handshake), "handshake time, as %Th"),
    fetch(
        "fc.timer.total",
        INT,
        Contexts::FRONTEND,
        |_, c, _| timer(c, |t| t.total),
        "time since the connection was accepted",
    ),
    fetch("bc.timer.connect", INT, SERVER, |_, c, _| timer(c, |t| t.connect), "connect time, as %Tc"),
    fetch(
        "req.timer.hdr",
        INT,
        Contexts::REQUEST,
        |_, c, _| timer(c, |t| t.request),
        "time to receive the request, as %TR",
    ),
    fetch("req.timer.idle", INT, Contexts::REQUEST, |_, c, _| timer(c, |t| t.idle), "idle time, as %Ti"),
    fetch("req.timer.queue", INT, SERVER, |_, c, _| timer(c, |t| t.queue), "time in queues, as %Tw"),
    fetch("req.timer.tq", INT, Contexts::REQUEST, |_, c, _| timer(c, |t| t.until_request), "as %Tq"),
    fetch("res.timer.data", INT, CHOSEN, |_, c, _| timer(c, |t| t.data), "data time, as %Td"),
    fetch(
        "res.timer.hdr",
        INT,
        Contexts::RESPONSE,
        |_, c, _| timer(c, |t| t.response),
        "response time, as %Tr",
    ),
    fetch("txn.timer.total", INT, STREAM, |_, c, _| timer(c, |t| t.active), "active time, as %Ta"),
    fetch("txn.timer.user", INT, STREAM, |_, c, _| timer(c, |t| t.user), "time without idling, as %Tu"),
    fetch(
        "bytes_in",
        INT,
        STREAM,
        |_, c, _| Some(Sample::Int(c.stream?.bytes_uploaded as i64)),
        "bytes from the client",
    ),
    fetch(
        "req.bytes_in",
        INT,
        STREAM,
        |_, c, _| Some(Sample::Int(c.stream?.bytes_uploaded as i64)),
        "bytes from the client",
    ),
    fetch(
        "bytes_out",
        INT,
        CHOSEN,
        |_, c, _| Some(Sample::Int(c.stream?.bytes_sent as i64)),
        "bytes sent to the client",
    ),
    fetch(
        "res.bytes_out",
        INT,
        CHOSEN,
        |_, c, _| Some(Sample::Int(c.stream?.bytes_sent as i64)),
        "bytes sent to the client",
    ),
    fetch(
        "bc_be_queue",
        INT,
        SERVER,
        |_, c, _| Some(Sample::Int(c.stream?.queue_backend.into())),
        "requests ahead in the backend's queue",
    ),
    fetch(
        "bc_srv_queue",
        INT,
        SERVER,
        |_, c, _| Some(Sample::Int(c.stream?.queue_server.into())),
        "requests ahead in the server's queue",
    ),
    fetch(
        "txn.conn_retries",
        INT,
        SERVER,
        |_, c, _| Some(Sample::Int(c.stream?.retries.into())),
        "retries of the connection",
    ),
    fetch(
        "txn.redispatched",
        SampleType::Bool,
        SERVER,
        |_, c, _| Some(Sample::Bool(c.stream?.redispatched)),
        "a retry went to another server",
    ),
    fetch(
        "txn.sess_term_state",
        STR,
        INTERNAL,
        |_, c, _| Some(Sample::str(c.stream?.termination.letters().to_vec())),
        "termination state, as %ts",
    ),
    fetch(
        "txn.id32",
        INT,
        INTERNAL,
        |_, c, _| Some(Sample::Int((c.stream?.request_counter as u32).into())),
        "32 bits of the transaction's number",
    ),
    fetch(
        "fc_http_major",
        INT,
        CLIENT,
        |_, c, _| Some(Sample::Int(c.request.map_or(0, |r| r.version().major).into())),
        "HTTP's major version towards the client",
    ),
    fetch(
        "bc_http_major",
        INT,
        SERVER,
        |_, c, _| Some(Sample::Int(c.response?.version().major.into())),
        "HTTP's major version towards the server",
    ),
    fetch(
        "dst_conn",
        INT,
        Contexts::FRONTEND,
        |_, c, _| Some(Sample::Int(c.stream?.connections_frontend.into())),
        "connections of the frontend",
    ),
    fetch("fc_pp_authority", STR, CLIENT, |_, c, _| received_tlv(c, 0x02), "the PROXY header's authority"),
    fetch("fc_pp_unique_id", STR, CLIENT, |_, c, _| received_tlv(c, 0x05), "the PROXY header's unique id"),
    fetch("fc_pp_tlv", STR, Contexts::SESSION, proxy_tlv, "a TLV of the PROXY header")
        .args(1, &[ArgKind::Str])
        .check(check_tlv),
    fetch(
        "fc_err",
        INT,
        CLIENT,
        |_, c, _| Some(Sample::Int(c.env.connection_error(Side::Client).0)),
        "error code of the client connection, 0 without one",
    ),
    fetch(
        "fc_err_str",
        STR,
        CLIENT,
        |_, c, _| Some(Sample::str(c.env.connection_error(Side::Client).1)),
        "the client connection's error in words",
    ),
    fetch(
        "fc_err_name",
        STR,
        CLIENT,
        |_, c, _| Some(Sample::str(c.env.connection_error(Side::Client).2)),
        "the client connection's error by name",
    ),
    fetch(
        "bc_err",
        INT,
        SERVER,
        |_, c, _| Some(Sample::Int(c.env.connection_error(Side::Server).0)),
        "error code of the server connection, 0 without one",
    ),
    fetch(
        "bc_err_str",
        STR,
        SERVER,
        |_, c, _| Some(Sample::str(c.env.connection_error(Side::Server).1)),
        "the server connection's error in words",
    ),
    fetch(
        "bc_err_name",
        STR,
        SERVER,
        |_, c, _| Some(Sample::str(c.env.connection_error(Side::Server).2)),
        "the server connection's error by name",
    ),
    fetch(
        "bc_reused",
        SampleType::Bool,
        SERVER,
        |_, c, _| Some(Sample::Bool(c.stream?.server_reused)),
        "the server connection had served before",
    ),
    fetch(
        "last_rule_file",
        STR,
        INTERNAL,
        |_, c, _| Some(Sample::str(&*c.stream?.last_rule.as_ref()?.0)),
        "file of the last final rule",
    ),
    fetch(
        "last_rule_line",
        INT,
        INTERNAL,
        |_, c, _| Some(Sample::Int(c.stream?.last_rule.as_ref()?.1.into())),
        "line of the last final rule",
    ),
    fetch(
        "prio_class",
        INT,
        INTERNAL,
        |_, c, _| Some(Sample::Int(c.stream?.priority_class.into())),
        "queue priority class",
    ),
    fetch(
        "prio_offset",
        INT,
        INTERNAL,
        |_, c, _| Some(Sample::Int(c.stream?.priority_offset_ms.into())),
        "queue priority offset in ms",
    ),
    fetch(
        "cur_client_timeout",
        INT,
        Contexts::FRONTEND,
        |_, c, _| timeout(c, |t| t.client_ms, |c| c.env.frontend(c.session.frontend?)?.client_timeout_ms),
        "the client timeout in force, in ms",
    ),
    fetch(
        "cur_server_timeout",
        INT,
        Contexts::BACKEND,
        |_, c, _| timeout(c, |t| t.server_ms, |c| backend(c)?.server_timeout_ms),
        "the server timeout in force, in ms",
    ),
    fetch(
        "cur_tunnel_timeout",
        INT,
        Contexts::BACKEND,
        |_, c, _| timeout(c, |t| t.tunnel_ms, |c| backend(c)?.tunnel_timeout_ms),
        "the tunnel timeout in force, in ms",
    ),
    fetch(
        "cur_connect_timeout",
        INT,
        Contexts::BACKEND,
        |_, c, _| timeout(c, |t| t.connect_ms, |c| backend(c)?.connect_timeout_ms),
        "the connect timeout in force, in ms",
    ),
    fetch(
        "cur_queue_timeout",
        INT,
        Contexts::BACKEND,
        |_, c, _| timeout(c, |t| t.queue_ms, |c| backend(c)?.queue_timeout_ms),
        "the queue timeout in force, in ms",
    ),
    fetch(
        "cur_tarpit_timeout",
        INT,
        CLIENT,
        |_, c, _| timeout(c, |t| t.tarpit_ms, |c| c.env.frontend(c.session.frontend?)?.tarpit_timeout_ms),
        "the tarpit timeout in force, in ms",
    ),
    fetch(
        "cur_max_retries",
        INT,
        Contexts::BACKEND,
        |_, c, _| Some(Sample::Int(backend(c)?.retries.into())),
        "the retries in force",
    ),
    tcp_info("fc_rtt", CLIENT),
    tcp_info("fc_rttvar", CLIENT),
    tcp_info("bc_rtt", CLIENT),
    tcp_info("bc_rttvar", CLIENT),
    tcp_info("fc_unacked", CLIENT),
    tcp_info("fc_sacked", CLIENT),
    tcp_info("fc_retrans", CLIENT),
    tcp_info("fc_fackets", CLIENT),
    tcp_info("fc_lost", CLIENT),
    tcp_info("fc_reordering", CLIENT),
];

const fn tcp_info(name: &'static str, contexts: Contexts) -> Fetch {
    fetch(name, INT, contexts, ask_kernel, "a fact that the kernel knows of the connection")
        .args(0, &[ArgKind::Str])
        .check(check_time_unit)
}

fn backend<'a>(ctx: &EvalCtx<'a>) -> Option<BackendView<'a>> {
    ctx.env.backend(ctx.stream?.backend?)
}

/// What `set-timeout` set, or the proxy's own.
fn timeout<'a>(
    ctx: &EvalCtx<'a>,
    set: fn(&TimeoutOverrides) -> Option<u64>,
    own: for<'x> fn(&EvalCtx<'x>) -> Option<u64>,
) -> Option<Sample<'a>> {
    let value = ctx.stream.and_then(|stream| set(&stream.timeouts)).or_else(|| own(ctx));
    Some(Sample::Int(i64::try_from(value.unwrap_or(0)).unwrap_or(i64::MAX)))
}

fn timer<'a>(ctx: &EvalCtx<'a>, get: fn(&Timers) -> i64) -> Option<Sample<'a>> {
    let timers = Timers::of(&ctx.stream?.timing, ctx.now.monotonic_us);
    Some(Sample::Int(get(&timers)))
}

fn check_time_unit(
    args: &mut Args,
    _: &crate::expr::ParseScope<'_>,
    _: hacore::diag::Span,
) -> Result<(), String> {
    match args.text(0) {
        None | Some("us" | "ms") => Ok(()),
        Some(other) => Err(format!("unexpected unit '{other}' (expects 'us' or 'ms')")),
    }
}

/// Times are in milliseconds unless `us` is asked for; the environment gives microseconds.
fn ask_kernel<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let is_server = args.keyword.starts_with("bc_");
    let socket = if is_server { ctx.stream?.server_socket } else { ctx.session.socket };
    let facts = ctx.env.tcp_info(socket?)?;
    let value = i64::from(match args.keyword.get(3..).unwrap_or_default() {
        "rtt" => facts.rtt_us,
        "rttvar" => facts.rtt_variance_us,
        "unacked" => facts.unacked,
        "sacked" => facts.sacked,
        "retrans" => facts.retransmitted,
        "fackets" => facts.fackets,
        "lost" => facts.lost,
        "reordering" => facts.reordering,
        _ => return None,
    });
    let is_time = args.keyword.contains("_rtt");
    Some(Sample::Int(if is_time && args.text(0) != Some("us") { value / 1000 } else { value }))
}

fn check_tlv(args: &mut Args, _: &crate::expr::ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let text = args.text(0).unwrap_or_default();
    tlv_type(text).map(|_| ()).ok_or_else(|| format!("'{text}' is not a TLV type"))
}

/// A number or a name of the PROXY protocol's table.
fn tlv_type(text: &str) -> Option<u8> {
    Some(match text.to_ascii_uppercase().as_str() {
        "ALPN" => 0x01,
        "AUTHORITY" => 0x02,
        "CRC32C" => 0x03,
        "NOOP" => 0x04,
        "UNIQUE_ID" => 0x05,
        "SSL" => 0x20,
        "NETNS" => 0x30,
        other => match other.strip_prefix("0X") {
            Some(hex) => u8::from_str_radix(hex, 16).ok()?,
            None => other.parse().ok()?,
        },
    })
}

fn proxy_tlv<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    received_tlv(ctx, tlv_type(args.text(0)?)?)
}

fn received_tlv<'a>(ctx: &EvalCtx<'a>, kind: u8) -> Option<Sample<'a>> {
    let tlvs = ctx.session.proxy_tlvs.as_deref()?;
    Some(Sample::Str(hacore::proxy_protocol::find_tlv(tlvs, kind)?.into()))
}
