//! The client connection, layers 3 and 4 (manual, section 7.3.3).

use std::net::IpAddr;

use super::{Fetch, fetch};
use crate::expr::{Args, Contexts, EvalCtx, ParseScope, Sample, SampleType};
use crate::txn::Endpoint;

const CLIENT: Contexts = Contexts::CLIENT;
const FRONTEND: Contexts = Contexts::FRONTEND;
const SERVER: Contexts = Contexts::SERVER;

pub(super) const FETCHES: &[Fetch] = &[
    fetch(
        "src",
        SampleType::Addr,
        CLIENT,
        |_, c, _| ip(&c.session.source),
        "client address, as rules may have set it",
    ),
    fetch("src_port", SampleType::Int, CLIENT, |_, c, _| port(&c.session.source), "client port"),
    fetch(
        "src_is_local",
        SampleType::Bool,
        CLIENT,
        |_, c, _| local(c, &c.session.source),
        "the client's address is one of this machine",
    ),
    fetch(
        "dst",
        SampleType::Addr,
        CLIENT,
        |_, c, _| ip(&c.session.destination),
        "address the client connected to",
    ),
    fetch(
        "dst_port",
        SampleType::Int,
        CLIENT,
        |_, c, _| port(&c.session.destination),
        "port the client connected to",
    ),
    fetch(
        "dst_is_local",
        SampleType::Bool,
        CLIENT,
        |_, c, _| local(c, &c.session.destination),
        "the destination is one of this machine",
    ),
    fetch(
        "fc_src",
        SampleType::Addr,
        CLIENT,
        |_, c, _| ip(c.session.peer()),
        "the connection's own source address",
    ),
    fetch(
        "fc_src_port",
        SampleType::Int,
        CLIENT,
        |_, c, _| port(c.session.peer()),
        "the connection's own source port",
    ),
    fetch(
        "fc_src_is_local",
        SampleType::Bool,
        CLIENT,
        |_, c, _| local(c, c.session.peer()),
        "the connection's source is one of this machine",
    ),
    fetch(
        "fc_dst",
        SampleType::Addr,
        CLIENT,
        |_, c, _| ip(c.session.local()),
        "the connection's own destination address",
    ),
    fetch(
        "fc_dst_port",
        SampleType::Int,
        CLIENT,
        |_, c, _| port(c.session.local()),
        "the connection's own destination port",
    ),
    fetch(
        "fc_dst_is_local",
        SampleType::Bool,
        CLIENT,
        |_, c, _| local(c, c.session.local()),
        "the connection's destination is one of this machine",
    ),
    fetch(
        "fc_rcvd_proxy",
        SampleType::Bool,
        CLIENT,
        |_, c, _| Some(Sample::Bool(c.session.proxied)),
        "a PROXY header was received",
    ),
    fetch(
        "so_id",
        SampleType::Int,
        FRONTEND,
        |_, c, _| Some(Sample::Int(c.session.listener_id.into())),
        "the listener's number",
    ),
    fetch(
        "so_name",
        SampleType::Str,
        FRONTEND,
        |_, c, _| Some(Sample::str(&**c.session.listener_name.as_ref()?)),
        "the listener's name",
    ),
    fetch(
        "bc_src",
        SampleType::Addr,
        SERVER,
        |_, c, _| ip(&c.stream?.server_local),
        "source address of the server connection",
    )
    .check(note_use),
    fetch(
        "bc_src_port",
        SampleType::Int,
        SERVER,
        |_, c, _| port(&c.stream?.server_local),
        "source port of the server connection",
    )
    .check(note_use),
    fetch(
        "bc_dst",
        SampleType::Addr,
        SERVER,
        |_, c, _| ip(&c.stream?.server_peer),
        "destination address of the server connection",
    )
    .check(note_use),
    fetch(
        "bc_dst_port",
        SampleType::Int,
        SERVER,
        |_, c, _| port(&c.stream?.server_peer),
        "destination port of the server connection",
    )
    .check(note_use),
];

/// The data plane looks up these addresses only where something reads them.
fn note_use(_: &mut Args, scope: &ParseScope<'_>, _: hacore::diag::Span) -> Result<(), String> {
    scope.reads_server_ends.set(true);
    Ok(())
}

fn ip<'a>(endpoint: &Endpoint) -> Option<Sample<'a>> {
    Some(match endpoint.ip()? {
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => Sample::Ipv4(v4),
            None => Sample::Ipv6(v6),
        },
        IpAddr::V4(v4) => Sample::Ipv4(v4),
    })
}

fn port<'a>(endpoint: &Endpoint) -> Option<Sample<'a>> {
    endpoint.port().map(|port| Sample::Int(port.into()))
}

fn local<'a>(ctx: &EvalCtx<'a>, endpoint: &Endpoint) -> Option<Sample<'a>> {
    Some(Sample::Bool(ctx.env.is_local_address(endpoint.ip()?)))
}
