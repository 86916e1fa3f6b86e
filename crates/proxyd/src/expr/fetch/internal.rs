//! Internal state: proxies, servers, process, time (manual, section 7.3.2).

use super::{Fetch, fetch};
use crate::expr::{
    ArgKind, Args, BackendView, Contexts, EvalCtx, FetchState, FrontendView, RefTarget, Sample, SampleType,
    ServerView,
};
use crate::model::ProxyId;

const INTERNAL: Contexts = Contexts::INTERNAL;
const ALL: Contexts = Contexts::EVERYWHERE;
const FRONTEND: Contexts = Contexts::FRONTEND;
const BACKEND: Contexts = Contexts::BACKEND;

pub(super) const FETCHES: &[Fetch] = &[
    fetch(
        "cpu_calls",
        SampleType::Int,
        Contexts::EVERYWHERE,
        |_, _, _| Some(Sample::Int(0)),
        "0: calls of tasks are not counted",
    ),
    fetch(
        "cpu_ns_avg",
        SampleType::Int,
        Contexts::EVERYWHERE,
        |_, _, _| Some(Sample::Int(0)),
        "0: not measured, as without profiling",
    ),
    fetch(
        "cpu_ns_tot",
        SampleType::Int,
        Contexts::EVERYWHERE,
        |_, _, _| Some(Sample::Int(0)),
        "0: not measured, as without profiling",
    ),
    fetch(
        "lat_ns_avg",
        SampleType::Int,
        Contexts::EVERYWHERE,
        |_, _, _| Some(Sample::Int(0)),
        "0: not measured, as without profiling",
    ),
    fetch(
        "lat_ns_tot",
        SampleType::Int,
        Contexts::EVERYWHERE,
        |_, _, _| Some(Sample::Int(0)),
        "0: not measured, as without profiling",
    ),
    fetch(
        "nbsrv",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, |b| b.servers_usable.into()),
        "usable servers of a backend",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "be_conn",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, |b| b.connections.into()),
        "connections of a backend",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "be_conn_free",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, |b| limit(b.free_connections)),
        "connections left on a backend",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "be_sess_rate",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, |b| b.session_rate.into()),
        "new sessions per second of a backend",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "connslots",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, |b| limit(b.free_slots)),
        "connections and queue places left",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "queue",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, |b| b.queue.into()),
        "requests waiting in a backend",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "avg_queue",
        SampleType::Int,
        INTERNAL,
        |a, c, _| be(a, c, average_queue),
        "waiting requests per usable server",
    )
    .args(1, &[ArgKind::Backend]),
    fetch(
        "fe_conn",
        SampleType::Int,
        INTERNAL,
        |a, c, _| fe(a, c, |f| f.connections.into()),
        "connections of a frontend",
    )
    .args(1, &[ArgKind::Frontend]),
    fetch(
        "fe_req_rate",
        SampleType::Int,
        INTERNAL,
        |a, c, _| fe(a, c, |f| f.request_rate.into()),
        "requests per second of a frontend",
    )
    .args(1, &[ArgKind::Frontend]),
    fetch(
        "fe_sess_rate",
        SampleType::Int,
        INTERNAL,
        |a, c, _| fe(a, c, |f| f.session_rate.into()),
        "new sessions per second of a frontend",
    )
    .args(1, &[ArgKind::Frontend]),
    fetch(
        "srv_conn",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| s.connections.into()),
        "connections of a server",
    )
    .args(1, &[ArgKind::Server]),
    fetch(
        "srv_conn_free",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| limit(s.free_connections)),
        "connections left on a server",
    )
    .args(1, &[ArgKind::Server]),
    fetch(
        "srv_queue",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| s.queue.into()),
        "requests waiting for a server",
    )
    .args(1, &[ArgKind::Server]),
    fetch(
        "srv_sess_rate",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| s.session_rate.into()),
        "new sessions per second of a server",
    )
    .args(1, &[ArgKind::Server]),
    fetch(
        "srv_weight",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| s.weight_effective.into()),
        "a server's effective weight",
    )
    .args(1, &[ArgKind::Server]),
    fetch(
        "srv_uweight",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| s.weight_user.into()),
        "a server's weight as set",
    )
    .args(1, &[ArgKind::Server]),
    fetch(
        "srv_iweight",
        SampleType::Int,
        INTERNAL,
        |a, c, _| srv(a, c, |s| s.weight_initial.into()),
        "a server's initial weight",
    )
    .args(1, &[ArgKind::Server]),
    fetch("srv_is_up", SampleType::Bool, INTERNAL, srv_is_up, "a server is usable")
        .args(1, &[ArgKind::Server]),
    fetch(
        "fe_id",
        SampleType::Int,
        FRONTEND,
        |_, c, _| Some(Sample::Int(own_fe(c)?.numeric_id.into())),
        "the frontend's number",
    ),
    fetch(
        "fe_name",
        SampleType::Str,
        FRONTEND,
        |_, c, _| Some(Sample::str(own_fe(c)?.name)),
        "the frontend's name",
    ),
    fetch(
        "fe_defbe",
        SampleType::Str,
        FRONTEND,
        |_, c, _| Some(Sample::str(own_fe(c)?.default_backend?)),
        "the frontend's default backend",
    ),
    fetch(
        "fe_client_timeout",
        SampleType::Int,
        FRONTEND,
        |_, c, _| ms(own_fe(c)?.client_timeout_ms),
        "the frontend's client timeout in ms",
    ),
    fetch(
        "fe_tarpit_timeout",
        SampleType::Int,
        FRONTEND,
        |_, c, _| ms(own_fe(c)?.tarpit_timeout_ms),
        "the frontend's tarpit timeout in ms",
    ),
    fetch(
        "be_id",
        SampleType::Int,
        BACKEND,
        |_, c, _| Some(Sample::Int(own_be(c)?.numeric_id.into())),
        "the backend's number",
    ),
    fetch(
        "be_name",
        SampleType::Str,
        BACKEND,
        |_, c, _| Some(Sample::str(own_be(c)?.name)),
        "the backend's name",
    ),
    fetch(
        "be_connect_timeout",
        SampleType::Int,
        BACKEND,
        |_, c, _| ms(own_be(c)?.connect_timeout_ms),
        "the backend's connect timeout in ms",
    ),
    fetch(
        "be_queue_timeout",
        SampleType::Int,
        BACKEND,
        |_, c, _| ms(own_be(c)?.queue_timeout_ms),
        "the backend's queue timeout in ms",
    ),
    fetch(
        "be_server_timeout",
        SampleType::Int,
        BACKEND,
        |_, c, _| ms(own_be(c)?.server_timeout_ms),
        "the backend's server timeout in ms",
    ),
    fetch(
        "be_tarpit_timeout",
        SampleType::Int,
        BACKEND,
        |_, c, _| ms(own_be(c)?.tarpit_timeout_ms),
        "the backend's tarpit timeout in ms",
    ),
    fetch(
        "be_tunnel_timeout",
        SampleType::Int,
        BACKEND,
        |_, c, _| ms(own_be(c)?.tunnel_timeout_ms),
        "the backend's tunnel timeout in ms",
    ),
    fetch(
        "be_max_retries",
        SampleType::Int,
        BACKEND,
        |_, c, _| Some(Sample::Int(own_be(c)?.retries.into())),
        "the backend's retries",
    ),
    fetch(
        "srv_id",
        SampleType::Int,
        Contexts::CONNECTING,
        |_, c, _| Some(Sample::Int(own_srv(c)?.numeric_id.into())),
        "the server's number",
    ),
    fetch(
        "srv_name",
        SampleType::Str,
        Contexts::CONNECTING,
        |_, c, _| Some(Sample::str(own_srv(c)?.name)),
        "the server's name",
    ),
    fetch(
        "act_conn",
        SampleType::Int,
        ALL,
        |_, c, _| Some(Sample::Int(c.env.process().connections.into())),
        "connections of the process",
    ),
    fetch(
        "hostname",
        SampleType::Str,
        ALL,
        |_, c, _| Some(Sample::str(c.env.process().hostname)),
        "the machine's name",
    ),
    fetch("nbproc", SampleType::Int, ALL, |_, _, _| Some(Sample::Int(1)), "always 1: there is one process"),
    fetch("proc", SampleType::Int, ALL, |_, _, _| Some(Sample::Int(1)), "always 1: there is one process"),
    fetch(
        "pid",
        SampleType::Int,
        ALL,
        |_, c, _| Some(Sample::Int(c.env.process().pid.into())),
        "the process's number",
    ),
    fetch(
        "thread",
        SampleType::Int,
        ALL,
        |_, c, _| Some(Sample::Int(c.env.process().thread.into())),
        "the thread's number",
    ),
    fetch(
        "tgroup",
        SampleType::Int,
        ALL,
        |_, c, _| Some(Sample::Int(c.env.process().thread_group.into())),
        "the thread group's number",
    ),
    fetch(
        "uptime",
        SampleType::Int,
        ALL,
        |_, c, _| Some(Sample::Int(c.env.process().uptime_s as i64)),
        "seconds since the start",
    ),
    fetch(
        "stopping",
        SampleType::Bool,
        INTERNAL,
        |_, c, _| Some(Sample::Bool(c.env.process().stopping)),
        "the process is stopping",
    ),
    fetch("quic_enabled", SampleType::Bool, ALL, |_, _, _| Some(Sample::Bool(false)), "QUIC is on"),
    fetch("date", SampleType::Int, ALL, date, "seconds since the epoch")
        .args(0, &[ArgKind::Int, ArgKind::Str])
        .check(check_date),
    fetch(
        "date_us",
        SampleType::Int,
        ALL,
        |_, c, _| Some(Sample::Int((c.now.wall_us % 1_000_000) as i64)),
        "microseconds of the current second",
    ),
    fetch(
        "accept_date",
        SampleType::Int,
        Contexts::CLIENT,
        |a, c, _| moment(a, 0, c.session.accepted_us),
        "when the connection was accepted",
    )
    .args(0, &[ArgKind::Str])
    .check(check_unit),
    fetch(
        "request_date",
        SampleType::Int,
        Contexts::STREAM,
        |a, c, _| moment(a, 0, c.stream?.timing.request_date_us),
        "when the request's first byte came",
    )
    .args(0, &[ArgKind::Str])
    .check(check_unit),
    fetch("rand", SampleType::Int, ALL, rand, "a random integer").args(0, &[ArgKind::Int]),
    fetch("uuid", SampleType::Str, ALL, uuid, "a random UUID").args(0, &[ArgKind::Int]).check(check_uuid),
    fetch("unique-id", SampleType::Str, ALL, |_, c, _| unique_id(c), "the request's unique id"),
    fetch("wait_end", SampleType::Bool, INTERNAL, wait_end, "nothing more is waited for"),
    fetch(
        "internal.strm.is_htx",
        SampleType::Bool,
        INTERNAL,
        |_, c, _| Some(Sample::Bool(c.request.is_some())),
        "the stream carries HTTP",
    ),
];

fn limit(value: Option<u64>) -> i64 {
    value.map_or(-1, |n| i64::try_from(n).unwrap_or(i64::MAX))
}

fn average_queue(backend: &BackendView<'_>) -> i64 {
    let queued = i64::from(backend.queue_total);
    match i64::from(backend.servers_usable) {
        0 => queued.saturating_mul(9999),
        servers => queued.div_euclid(servers) + i64::from(queued % servers != 0),
    }
}

fn ms<'a>(value: Option<u64>) -> Option<Sample<'a>> {
    Some(Sample::Int(value.unwrap_or(0) as i64))
}

fn own_fe<'a>(ctx: &EvalCtx<'a>) -> Option<FrontendView<'a>> {
    ctx.env.frontend(ctx.session.frontend?)
}

fn own_be<'a>(ctx: &EvalCtx<'a>) -> Option<BackendView<'a>> {
    let stream = ctx.stream.and_then(|stream| stream.backend);
    ctx.env.backend(stream.or(ctx.session.frontend)?)
}

fn own_srv<'a>(ctx: &EvalCtx<'a>) -> Option<ServerView<'a>> {
    let stream = ctx.stream?;
    ctx.env.server(stream.backend?, stream.server?)
}

/// The proxy named by the first argument, or the stream's own.
fn proxy_of(args: &Args, own: Option<ProxyId>) -> Option<ProxyId> {
    match args.name(0) {
        Some(name) => name.proxy_id(),
        None => own,
    }
}

fn be<'a>(args: &Args, ctx: &EvalCtx<'a>, get: fn(&BackendView<'_>) -> i64) -> Option<Sample<'a>> {
    let own = ctx.stream.and_then(|s| s.backend).or(ctx.session.frontend);
    Some(Sample::Int(get(&ctx.env.backend(proxy_of(args, own)?)?)))
}

fn fe<'a>(args: &Args, ctx: &EvalCtx<'a>, get: fn(&FrontendView<'_>) -> i64) -> Option<Sample<'a>> {
    Some(Sample::Int(get(&ctx.env.frontend(proxy_of(args, ctx.session.frontend)?)?)))
}

fn server_of<'a>(args: &Args, ctx: &EvalCtx<'a>) -> Option<ServerView<'a>> {
    match args.name(0)?.target()? {
        RefTarget::Server(backend, server) => ctx.env.server(backend, server),
        _ => None,
    }
}

fn srv<'a>(args: &Args, ctx: &EvalCtx<'a>, get: fn(&ServerView<'_>) -> i64) -> Option<Sample<'a>> {
    Some(Sample::Int(get(&server_of(args, ctx)?)))
}

fn srv_is_up<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    Some(Sample::Bool(server_of(args, ctx)?.usable))
}

/// `s`, `ms` or `us`: how many microseconds one unit is.
pub(crate) fn unit_us(unit: Option<&[u8]>) -> Option<u64> {
    match unit {
        None | Some(b"s") => Some(1_000_000),
        Some(b"ms") => Some(1_000),
        Some(b"us") => Some(1),
        Some(_) => None,
    }
}

fn check_unit(args: &mut Args, _: &crate::expr::ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let unit = args.bytes(0);
    unit_us(unit).map(|_| ()).ok_or_else(|| {
        format!(
            "unsupported unit '{}' (expects 's', 'ms' or 'us')",
            String::from_utf8_lossy(unit.unwrap_or_default())
        )
    })
}

fn check_date(args: &mut Args, _: &crate::expr::ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    let unit = args.bytes(1);
    unit_us(unit).map(|_| ()).ok_or_else(|| {
        format!(
            "unsupported unit '{}' (expects 's', 'ms' or 'us')",
            String::from_utf8_lossy(unit.unwrap_or_default())
        )
    })
}

fn moment<'a>(args: &Args, unit: usize, us: u64) -> Option<Sample<'a>> {
    Some(Sample::Int((us / unit_us(args.bytes(unit))?) as i64))
}

fn date<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let unit = unit_us(args.bytes(1))?;
    let offset = args.int(0).unwrap_or(0);
    Some(Sample::Int(((ctx.now.wall_us / unit) as i64).saturating_add(offset)))
}

fn rand<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let random = ctx.env.random_u64() >> 32;
    let range = u64::try_from(args.int(0).unwrap_or(0)).unwrap_or(0);
    Some(Sample::Int(
        if range == 0 { random } else { ((u128::from(random) * u128::from(range)) >> 32) as u64 } as i64,
    ))
}

fn check_uuid(args: &mut Args, _: &crate::expr::ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    match args.int(0).unwrap_or(4) {
        4 | 7 => Ok(()),
        _ => Err("Unsupported UUID version".to_owned()),
    }
}

fn uuid<'a>(args: &'a Args, ctx: &EvalCtx<'a>, _: &mut FetchState) -> Option<Sample<'a>> {
    let version = args.int(0).unwrap_or(4) as u64;
    let (mut high, mut low) = (ctx.env.random_u64(), ctx.env.random_u64());
    if version == 7 {
        high = (ctx.now.wall_us / 1000) << 16 | high & 0xffff;
    }
    high = high & !0xf000 | version << 12;
    low = low & !(0b11 << 62) | 0b10 << 62;
    let text = format!(
        "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xffff,
        low >> 48,
        low & 0xffff_ffff_ffff
    );
    Some(Sample::str(text))
}

fn unique_id<'a>(ctx: &EvalCtx<'a>) -> Option<Sample<'a>> {
    match ctx.stream.and_then(|stream| stream.unique_id.as_deref()) {
        Some(id) => Some(Sample::str(id)),
        None => ctx.env.unique_id().map(Sample::Str),
    }
}

fn wait_end<'a>(_: &'a Args, ctx: &EvalCtx<'a>, state: &mut FetchState) -> Option<Sample<'a>> {
    state.may_change = !ctx.is_final;
    ctx.is_final.then_some(Sample::Bool(true))
}
