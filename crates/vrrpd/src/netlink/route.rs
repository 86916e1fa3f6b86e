//! Setting and removing routes: `virtual_routes` and `static_routes`.

use std::net::IpAddr;

use netlink_packet_core::{
    DefaultNla, NLM_F_ACK, NLM_F_APPEND, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage,
};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    route::{
        RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric as KernelMetric, RouteNextHop,
        RouteNextHopFlags, RoutePreference, RouteProtocol, RouteRealm, RouteScope, RouteType as KernelType,
        RouteVia as KernelVia,
    },
};

use crate::model::{NextHop, RouteSpec, RouteType, WhereInserted};

use super::{Link, Netlink, NetlinkError, encap};

/// `RTPROT_KEEPALIVED`: how routes of ours are marked when nothing is written.
pub const PROTOCOL_KEEPALIVED: u8 = 18;
const TABLE_MAIN: u32 = 254;
/// Attribute numbers inside `RTA_METRICS` that are not plain settings.
const RTAX_LOCK: u16 = 1;
/// `RTAX_FEATURE_ECN`.
const FEATURE_ECN: u32 = 1;

/// What a route asks for that is not carried out; an instance with it must not run.
pub fn unsupported(spec: &RouteSpec) -> Option<&'static str> {
    if spec.kind == RouteType::Nat {
        Some("a route of type 'nat' (the kernel has none)")
    } else if spec.expires_s.is_some() && !spec.ipv6 {
        Some("'expires' in an IPv4 route (the kernel has none)")
    } else {
        None
    }
}

/// The message that describes a route; `None` when one of its interfaces is not there.
///
/// `link_of` finds an interface by name.
pub fn message<'l>(spec: &RouteSpec, link_of: impl Fn(&str) -> Option<&'l Link>) -> Option<RouteMessage> {
    let index_of = |name: &str| link_of(name).map(|link| link.index);
    let mut message = RouteMessage::default();
    let of_vrf = match &spec.vrf {
        Some(vrf) => Some(link_of(vrf)?.vrf_table?),
        None => None,
    };
    let table = spec.table.or(of_vrf).unwrap_or(TABLE_MAIN);
    message.header.address_family = if spec.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    message.header.table = u8::try_from(table).unwrap_or(0);
    message.header.tos = spec.tos.unwrap_or(0);
    message.header.protocol = RouteProtocol::from(spec.protocol.unwrap_or(PROTOCOL_KEEPALIVED));
    message.header.kind = kernel_type(spec.kind);
    message.header.scope = spec.scope.map_or_else(|| default_scope(spec), RouteScope::from);
    if spec.onlink {
        message.header.flags |= RouteFlags::Onlink;
    }
    let attributes = &mut message.attributes;
    if let Some((address, length)) = spec.to {
        message.header.destination_prefix_length = length;
        attributes.push(RouteAttribute::Destination(address.into()));
    }
    if let Some((address, length)) = spec.from {
        message.header.source_prefix_length = length;
        attributes.push(RouteAttribute::Source(address.into()));
    }
    attributes.push(RouteAttribute::Table(table));
    attributes.extend(spec.source.map(|source| RouteAttribute::PrefSource(source.into())));
    attributes.extend(spec.via.map(|via| gateway(via.address, spec.ipv6)));
    attributes.extend(spec.priority.map(RouteAttribute::Priority));
    attributes.extend(spec.realms.map(|realms| RouteAttribute::Realm(realm(realms))));
    attributes.extend(spec.preference.map(|value| RouteAttribute::Preference(RoutePreference::from(value))));
    attributes.extend(spec.expires_s.map(RouteAttribute::Expires));
    if let Some(propagate) = spec.ttl_propagate {
        let value = vec![u8::from(propagate)];
        attributes.push(RouteAttribute::Other(DefaultNla::new(encap::RTA_TTL_PROPAGATE, value)));
    }
    if let Some(encapsulation) = &spec.encap {
        attributes.extend(encap::attributes(encapsulation).map(RouteAttribute::Other));
    }
    let metrics = metrics(spec);
    if !metrics.is_empty() {
        attributes.push(RouteAttribute::Metrics(metrics));
    }
    if spec.next_hops.is_empty() {
        if let Some(dev) = &spec.dev {
            attributes.push(RouteAttribute::Oif(index_of(dev)?));
        }
    } else {
        let hops: Option<Vec<_>> = spec.next_hops.iter().map(|hop| next_hop(hop, spec, &index_of)).collect();
        attributes.push(RouteAttribute::MultiPath(hops?));
    }
    Some(message)
}

/// Whether a message is about the route that `spec` describes: what the kernel tells routes apart by, and their mark.
pub fn is_about(message: &RouteMessage, spec: &RouteSpec) -> bool {
    let family = if spec.ipv6 { AddressFamily::Inet6 } else { AddressFamily::Inet };
    let header = &message.header;
    let (mut to, mut table, mut priority) = (None, u32::from(header.table), None);
    for attribute in &message.attributes {
        match attribute {
            RouteAttribute::Destination(RouteAddress::Inet(address)) => to = Some(IpAddr::V4(*address)),
            RouteAttribute::Destination(RouteAddress::Inet6(address)) => to = Some(IpAddr::V6(*address)),
            RouteAttribute::Table(number) => table = *number,
            RouteAttribute::Priority(number) => priority = Some(*number),
            _ => {}
        }
    }
    header.address_family == family
        && header.kind == kernel_type(spec.kind)
        && header.protocol == RouteProtocol::from(spec.protocol.unwrap_or(PROTOCOL_KEEPALIVED))
        && header.tos == spec.tos.unwrap_or(0)
        && header.destination_prefix_length == spec.to.map_or(0, |(_, length)| length)
        && to == spec.to.map(|(address, _)| address)
        // The table of a VRF is not known here.
        && (spec.table.is_none() && spec.vrf.is_some() || table == spec.table.unwrap_or(TABLE_MAIN))
        && spec.priority.is_none_or(|wanted| priority == Some(wanted))
}

/// As `ip route` chooses it (ip-route(8), `scope`), but for unicast routes without gateway, which keepalived leaves at
/// global.
fn default_scope(spec: &RouteSpec) -> RouteScope {
    if spec.ipv6 {
        return RouteScope::Universe;
    }
    match spec.kind {
        RouteType::Local | RouteType::Nat => RouteScope::Host,
        RouteType::Broadcast | RouteType::Multicast | RouteType::Anycast => RouteScope::Link,
        _ => RouteScope::Universe,
    }
}

fn kernel_type(kind: RouteType) -> KernelType {
    match kind {
        RouteType::Unicast => KernelType::Unicast,
        RouteType::Local => KernelType::Local,
        RouteType::Broadcast => KernelType::Broadcast,
        RouteType::Anycast => KernelType::Anycast,
        RouteType::Multicast => KernelType::Multicast,
        RouteType::Throw => KernelType::Throw,
        RouteType::Unreachable => KernelType::Unreachable,
        RouteType::Prohibit => KernelType::Prohibit,
        RouteType::Blackhole => KernelType::BlackHole,
        RouteType::Nat => KernelType::Nat,
    }
}

/// A gateway of the other family has an attribute of its own.
fn gateway(address: IpAddr, ipv6: bool) -> RouteAttribute {
    if address.is_ipv6() == ipv6 {
        RouteAttribute::Gateway(address.into())
    } else {
        RouteAttribute::Via(KernelVia::from(address))
    }
}

fn realm(packed: u32) -> RouteRealm {
    RouteRealm { source: (packed >> 16) as u16, destination: packed as u16 }
}

fn metrics(spec: &RouteSpec) -> Vec<KernelMetric> {
    let mut out = Vec::new();
    let mut locked = 0_u32;
    for metric in &spec.metrics {
        out.push(KernelMetric::Other(DefaultNla::new(metric.attribute, metric.value.to_ne_bytes().to_vec())));
        if metric.lock {
            locked |= 1 << metric.attribute;
        }
    }
    if spec.features_ecn {
        out.push(KernelMetric::Features(FEATURE_ECN));
    }
    if let Some((name, lock)) = &spec.congestion_control {
        out.push(KernelMetric::CcAlgo(name.clone()));
        locked |= u32::from(*lock) << 16;
    }
    if locked != 0 {
        out.push(KernelMetric::Other(DefaultNla::new(RTAX_LOCK, locked.to_ne_bytes().to_vec())));
    }
    out
}

fn next_hop(
    hop: &NextHop,
    spec: &RouteSpec,
    index_of: &impl Fn(&str) -> Option<u32>,
) -> Option<RouteNextHop> {
    let mut out = RouteNextHop::default();
    // The kernel counts weights from zero.
    out.hops = u8::try_from(hop.weight.saturating_sub(1)).unwrap_or(u8::MAX);
    if hop.onlink {
        out.flags |= RouteNextHopFlags::Onlink;
    }
    if let Some(dev) = &hop.dev {
        out.interface_index = index_of(dev)?;
    }
    out.attributes.extend(hop.via.map(|via| gateway(via.address, spec.ipv6)));
    out.attributes.extend(hop.realms.map(|realms| RouteAttribute::Realm(realm(realms))));
    if let Some(encapsulation) = &hop.encap {
        out.attributes.extend(encap::attributes(encapsulation).map(RouteAttribute::Other));
    }
    Some(out)
}

impl Netlink {
    /// Sets the route; one that is there already is fine.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn add_route(&self, route: RouteMessage, insert: WhereInserted) -> Result<(), NetlinkError> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewRoute(route));
        let place = match insert {
            WhereInserted::Add => NLM_F_EXCL,
            WhereInserted::Prepend => 0,
            WhereInserted::Append => NLM_F_APPEND,
        };
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | place;
        self.change(request, nix::libc::EEXIST).await.map(drop)
    }

    /// Removes the route; `false` when it was not there.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn remove_route(&self, route: RouteMessage) -> Result<bool, NetlinkError> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::DelRoute(route));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        self.change(request, nix::libc::ESRCH).await
    }
}
