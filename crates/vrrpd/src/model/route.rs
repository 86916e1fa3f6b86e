//! Routes and policy rules, static ones and those held while master. The words are those of `ip route` / `ip rule`.

use std::borrow::Cow;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// One line of `virtual_routes` or `static_routes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteSpec {
    pub kind: RouteType,
    /// `None` is `default`.
    pub to: Option<(IpAddr, u8)>,
    /// From `inet` / `inet6`, or the first address on the line; IPv4 otherwise.
    pub ipv6: bool,
    pub source: Option<IpAddr>,
    /// Source prefix (`from`), IPv6 only in the kernel.
    pub from: Option<(IpAddr, u8)>,
    pub via: Option<RouteVia>,
    pub dev: Option<String>,
    pub table: Option<u32>,
    /// `vrf NAME`: the table of that VRF, looked up when the route is set.
    pub vrf: Option<String>,
    pub tos: Option<u8>,
    /// `RTPROT_*`; keepalived's own number 18 when not written.
    pub protocol: Option<u8>,
    pub scope: Option<u8>,
    pub priority: Option<u32>,
    pub onlink: bool,
    pub expires_s: Option<u32>,
    pub metrics: Vec<RouteMetric>,
    /// `realms` as the kernel packs them: from in the high half, to in the low.
    pub realms: Option<u32>,
    /// `RTA_PREF`: 0 medium, 1 high, 3 low.
    pub preference: Option<u8>,
    pub ttl_propagate: Option<bool>,
    pub features_ecn: bool,
    pub congestion_control: Option<(String, bool)>,
    pub next_hops: Vec<NextHop>,
    pub insert: WhereInserted,
    pub no_track: bool,
    pub track_group: Option<String>,
    pub encap: Option<Encapsulation>,
}

/// `encap`: what a packet that takes the route is wrapped in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Encapsulation {
    /// A stack of labels, 20 bits each, the outermost first.
    Mpls {
        labels: Vec<u32>,
        ttl: Option<u8>,
    },
    Tunnel(TunnelEncapsulation),
    /// The upper half of an IPv6 destination (identifier locator addressing).
    Ila {
        locator: [u8; 8],
    },
}

/// `encap ip` and `encap ip6`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TunnelEncapsulation {
    pub ipv6: bool,
    pub id: Option<u64>,
    pub destination: Option<IpAddr>,
    pub source: Option<IpAddr>,
    /// `tos`, `tc`.
    pub class: Option<u8>,
    /// `ttl`, `hoplimit`.
    pub hops: Option<u8>,
    pub flags: Option<u16>,
}

/// Gateway; its family may differ from the route's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteVia {
    pub address: IpAddr,
}

/// A leg of a multipath route.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NextHop {
    pub via: Option<RouteVia>,
    pub dev: Option<String>,
    /// 1..=256 as written; the kernel takes one less.
    pub weight: u16,
    pub onlink: bool,
    pub realms: Option<u32>,
    pub encap: Option<Encapsulation>,
}

/// A number for `RTA_METRICS`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteMetric {
    /// The word: `mtu hoplimit advmss rtt rttvar reordering window cwnd ssthresh rto_min initcwnd initrwnd quickack
    /// fastopen_no_cookie`.
    pub name: Cow<'static, str>,
    /// `RTAX_*`.
    pub attribute: u16,
    pub value: u32,
    pub lock: bool,
}

/// `RTN_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RouteType {
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Throw,
    Unreachable,
    Prohibit,
    Blackhole,
    Nat,
}

/// Relation to equal routes that are there already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WhereInserted {
    /// `add`: only when there is none.
    Add,
    /// `prepend`, the default.
    #[default]
    Prepend,
    Append,
}

/// One line of `virtual_rules` or `static_rules`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuleSpec {
    pub ipv6: bool,
    pub from: Option<(IpAddr, u8)>,
    pub to: Option<(IpAddr, u8)>,
    pub invert: bool,
    pub action: RuleAction,
    pub priority: Option<u32>,
    pub tos: Option<u8>,
    pub fwmark: Option<u32>,
    pub fwmask: Option<u32>,
    pub realms: Option<u32>,
    pub suppress_prefixlength: Option<u32>,
    pub suppress_ifgroup: Option<u32>,
    pub iif: Option<String>,
    pub oif: Option<String>,
    pub tunnel_id: Option<u64>,
    pub uid_range: Option<(u32, u32)>,
    pub l3mdev: bool,
    pub protocol: Option<u8>,
    pub ip_proto: Option<u8>,
    pub source_ports: Option<(u16, u16)>,
    pub destination_ports: Option<(u16, u16)>,
    pub no_track: bool,
    pub track_group: Option<String>,
}

/// What a rule does with a packet that it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RuleAction {
    Table(u32),
    Goto(u32),
    Nop,
    Blackhole,
    Unreachable,
    Prohibit,
    /// No action word: allowed with `l3mdev` only.
    Unspecified,
}
