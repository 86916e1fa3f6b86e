//! Lines of `virtual_routes` and `static_routes`: the words of `ip route`.

use std::net::IpAddr;

use crate::model::{NextHop, RouteMetric, RouteSpec, RouteType, RouteVia, WhereInserted};

use super::super::keyword::{Context, Keyword, Statement};
use super::super::value;
use super::address::scope;
use super::draft::At;
use super::keyword;

/// A line while it is read.
pub(super) struct RouteLine {
    spec: RouteSpec,
    family_written: Option<bool>,
    dropped: bool,
}

pub(super) const TABLE: &[Keyword<RouteLine>] = &[
    keyword(
        "unicast|local|broadcast|anycast|multicast|throw|unreachable|prohibit|blackhole|nat",
        "",
        0,
        "type of the route",
        |_, _, _| {},
    ),
    keyword("to", "<PREFIX>|default", 1, "destination; the word itself may be left out", |line, s, c| {
        let text = s.text();
        destination(line, &text, s, c);
    }),
    keyword("src", "<ADDR>", 1, "preferred source", |line, s, c| {
        line.spec.source = address(s, c).or(line.spec.source)
    }),
    keyword("as", "[to] <ADDR>", 1, "for MPLS routes, which there are none of: left out", |_, s, c| {
        let span = s.last_span();
        let _ = s.take_if("to");
        let _ = s.next();
        c.warn(span, "\"as to\" for MPLS only - ignoring");
    }),
    keyword("via|gw", "[inet|inet6] <ADDR>", 1, "gateway", |line, s, c| line.spec.via = via(s, c)),
    keyword("or", "<ADDR>", 1, "second gateway (old two-nexthop form)", |line, s, c| {
        let second = via(s, c);
        let first = line.spec.via.take();
        line.spec.next_hops.extend([first, second].into_iter().flatten().map(|via| NextHop {
            via: Some(via),
            weight: 1,
            ..NextHop::default()
        }));
    }),
    keyword("from", "<PREFIX>", 1, "source prefix", |line, s, c| line.spec.from = prefix(s, c)),
    keyword("tos|dsfield", "<TOS>", 1, "TOS selector", |line, s, c| {
        line.spec.tos = number(s, c, "tos", 255).map(|tos| tos as u8)
    }),
    keyword("table", "<TABLE>", 1, "routing table", |line, s, c| {
        let text = s.text();
        line.spec.table = table(&text, c);
        if line.spec.table.is_none() {
            c.warn(s.last_span(), format!("Routing table '{text}' not found for route"));
        }
    }),
    keyword("protocol", "<PROTOCOL>", 1, "route protocol name", |line, s, c| {
        let text = s.text();
        line.spec.protocol = protocol(&text, c);
        if line.spec.protocol.is_none() {
            c.warn(s.last_span(), format!("Invalid protocol '{text}' specified for route"));
        }
    }),
    keyword("scope", "<SCOPE>", 1, "route scope", |line, s, c| {
        let text = s.text();
        line.spec.scope = scope(&text);
        if line.spec.scope.is_none() {
            c.warn(s.last_span(), format!("Invalid scope '{text}' specified for route"));
        }
    }),
    keyword("metric|priority|preference", "<NUMBER>", 1, "metric", |line, s, c| {
        line.spec.priority = number(s, c, "metric", i64::from(u32::MAX));
    }),
    keyword("dev|oif", "<IF>", 1, "interface", |line, s, c| {
        let name = s.text();
        if !c.environment.interface_exists(&name) {
            let message = format!("WARNING - interface {name} for VROUTE nexthop doesn't exist");
            super::super::resolve::missing_interface(c, s.last_span(), message);
        }
        line.spec.dev = Some(name);
    }),
    keyword("onlink", "", 0, "gateway is on link", |line, _, _| line.spec.onlink = true),
    keyword("encap", "<TYPE> …", 1, "ip|ip6|mpls|ila encapsulation", |line, s, c| {
        line.spec.encap = super::encap::encap(s, c);
    }),
    keyword("expires", "<SECONDS>", 1, "life time", |line, s, c| {
        line.spec.expires_s = number(s, c, "expires", i64::from(u32::MAX))
    }),
    metric("mtu", 2, "path MTU, lock"),
    metric("hoplimit", 10, "hop limit"),
    metric("advmss", 8, "advertised MSS, lock"),
    metric("rtt", 4, "round trip time, lock"),
    metric("rttvar", 5, "its variance, lock"),
    metric("reordering", 9, "reordering, lock"),
    metric("window", 3, "window clamp"),
    metric("cwnd", 7, "congestion window clamp, lock"),
    metric("ssthresh", 6, "slow start threshold, lock"),
    keyword("realms", "[<FROM>/]<TO>", 1, "routing realms", |line, s, c| line.spec.realms = realms(s, c)),
    metric("rto_min", 13, "minimum RTO, lock"),
    metric("initcwnd", 11, "initial congestion window"),
    metric("initrwnd", 14, "initial receive window"),
    keyword("features", "ecn", 1, "features", |line, s, c| match s.next() {
        Some("ecn") => line.spec.features_ecn = true,
        other => c.warn(s.last_span(), format!("feature {} not supported", other.unwrap_or_default())),
    }),
    metric("quickack", 15, "quick ack"),
    keyword("congctl", "[lock] <NAME>", 1, "congestion control", |line, s, _| {
        let lock = s.take_if("lock");
        line.spec.congestion_control = Some((s.text(), lock));
    }),
    keyword("pref", "low|medium|high", 1, "router preference", |line, s, c| {
        line.spec.preference = match s.next() {
            Some("low") => Some(3),
            Some("medium") => Some(0),
            Some("high") => Some(1),
            other => {
                c.warn(
                    s.last_span(),
                    format!("Invalid pref value '{}' specified for route", other.unwrap_or_default()),
                );
                None
            }
        };
    }),
    keyword("ttl-propagate", "enabled|disabled", 1, "MPLS TTL propagation", |line, s, c| {
        line.spec.ttl_propagate = match s.next() {
            Some("enabled") => Some(true),
            Some("disabled") => Some(false),
            other => {
                c.warn(s.last_span(), format!("Invalid ttl-propagate value '{}'", other.unwrap_or_default()));
                None
            }
        };
    }),
    metric("fastopen_no_cookie", 17, "TCP fast open without cookie"),
    keyword("add", "", 0, "insert only when no equal route exists", |line, _, _| {
        line.spec.insert = WhereInserted::Add
    }),
    keyword("prepend", "", 0, "insert before equal routes (default)", |line, _, _| {
        line.spec.insert = WhereInserted::Prepend
    }),
    keyword("append", "", 0, "insert after equal routes", |line, _, _| {
        line.spec.insert = WhereInserted::Append
    }),
    keyword("nexthop", "via <ADDR> [dev <IF>] [weight <N>] [onlink]", 1, "multipath leg", next_hop),
    keyword("no_track", "", 0, "losing it does not cost the master state", |line, _, _| {
        line.spec.no_track = true
    }),
    keyword("vrf", "<NAME>", 1, "table of that VRF", |line, s, _| line.spec.vrf = Some(s.text())),
    keyword("inet|inet6", "", 0, "force the family", |_, _, _| {}),
];

pub(super) const STATIC: &[Keyword<RouteLine>] = &[keyword(
    "track_group",
    "<NAME>",
    1,
    "group whose instances need the route's interface",
    |line, s, _| {
        line.spec.track_group = Some(s.text());
    },
)];

/// `RTAX_*` settings share one parser; which one it is comes from the word.
const fn metric(name: &'static str, _attribute: u16, doc: &'static str) -> Keyword<RouteLine> {
    keyword(name, "[lock] <NUMBER>", 1, doc, |line, s, c| {
        let Some((name, attribute)) = s.previous().and_then(metric_attribute) else { return };
        let lock = s.take_if("lock");
        if let Some(value) = number(s, c, name, i64::from(u32::MAX)) {
            line.spec.metrics.push(RouteMetric { name: name.into(), attribute, value, lock });
        }
    })
}

/// `RTAX_*` of linux/rtnetlink.h.
fn metric_attribute(name: &str) -> Option<(&'static str, u16)> {
    const ATTRIBUTES: [(&str, u16); 14] = [
        ("mtu", 2),
        ("window", 3),
        ("rtt", 4),
        ("rttvar", 5),
        ("ssthresh", 6),
        ("cwnd", 7),
        ("advmss", 8),
        ("reordering", 9),
        ("hoplimit", 10),
        ("initcwnd", 11),
        ("rto_min", 13),
        ("initrwnd", 14),
        ("quickack", 15),
        ("fastopen_no_cookie", 17),
    ];
    ATTRIBUTES.into_iter().find(|(known, _)| *known == name)
}

fn kind(word: &str) -> Option<RouteType> {
    Some(match word {
        "unicast" => RouteType::Unicast,
        "local" => RouteType::Local,
        "broadcast" => RouteType::Broadcast,
        "anycast" => RouteType::Anycast,
        "multicast" => RouteType::Multicast,
        "throw" => RouteType::Throw,
        "unreachable" => RouteType::Unreachable,
        "prohibit" => RouteType::Prohibit,
        "blackhole" => RouteType::Blackhole,
        "nat" => RouteType::Nat,
        _ => return None,
    })
}

/// The lines of a route block.
pub(super) fn block(list: &mut Vec<At<RouteSpec>>, s: &Statement<'_>, c: &mut Context<'_>, is_static: bool) {
    let tables: &[&[Keyword<RouteLine>]] = if is_static { &[TABLE, STATIC] } else { &[TABLE] };
    for node in s.children() {
        let mut words = Statement::of_values(node);
        if let Some(spec) = line(&mut words, tables, c) {
            list.push(At { value: spec, span: node.span() });
        }
    }
}

fn line(
    words: &mut Statement<'_>,
    tables: &[&[Keyword<RouteLine>]],
    c: &mut Context<'_>,
) -> Option<RouteSpec> {
    let mut line = RouteLine { spec: empty(), family_written: None, dropped: false };
    let mut to_written = false;
    while let Some(word) = words.next() {
        let found =
            tables.iter().flat_map(|table| table.iter()).find(|k| k.name.split('|').any(|name| name == word));
        match (kind(word), word, found) {
            (Some(kind), ..) => line.spec.kind = kind,
            (_, "inet" | "inet6", _) => line.family_written = Some(word == "inet6"),
            (.., Some(keyword)) if words.rest().len() < keyword.required => {
                c.warn(words.last_span(), format!("route keyword {word} is missing a value"));
                return None;
            }
            (.., Some(keyword)) => {
                to_written |= keyword.name == "to";
                c.remark(keyword.support, words.last_span(), keyword.name);
                (keyword.apply)(&mut line, words, c);
            }
            (_, text, None) => {
                if to_written || !destination(&mut line, text, words, c) {
                    c.warn(words.last_span(), format!("unknown route keyword {text}"));
                    return None;
                }
                to_written = true;
            }
        }
    }
    if !to_written {
        c.warn(words.last_span(), "Route without destination - ignoring");
        return None;
    }
    let addresses = [line.spec.to.map(|(to, _)| to), line.spec.via.map(|via| via.address), line.spec.source];
    line.spec.ipv6 = line
        .family_written
        .unwrap_or_else(|| addresses.into_iter().flatten().next().is_some_and(|a| a.is_ipv6()));
    if line.spec.next_hops.iter().any(|hop| hop.dev.is_none()) {
        let dev = line.spec.dev.clone();
        line.spec
            .next_hops
            .iter_mut()
            .filter(|hop| hop.dev.is_none())
            .for_each(|hop| hop.dev.clone_from(&dev));
    }
    (!line.dropped).then_some(line.spec)
}

fn empty() -> RouteSpec {
    RouteSpec {
        kind: RouteType::Unicast,
        to: None,
        ipv6: false,
        source: None,
        from: None,
        via: None,
        dev: None,
        table: None,
        vrf: None,
        tos: None,
        protocol: None,
        scope: None,
        priority: None,
        onlink: false,
        expires_s: None,
        metrics: Vec::new(),
        realms: None,
        preference: None,
        ttl_propagate: None,
        features_ecn: false,
        congestion_control: None,
        next_hops: Vec::new(),
        insert: WhereInserted::Prepend,
        no_track: false,
        track_group: None,
        encap: None,
    }
}

fn destination(line: &mut RouteLine, text: &str, s: &Statement<'_>, c: &mut Context<'_>) -> bool {
    if matches!(text, "default" | "default6") {
        line.spec.to = None;
        return true;
    }
    match value::prefix(text) {
        Some(to) => {
            line.spec.to = Some(to);
            true
        }
        None => {
            c.warn(s.last_span(), format!("VRRP parsed invalid IP {text}. skipping IP..."));
            line.dropped = true;
            false
        }
    }
}

fn address(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<IpAddr> {
    let text = s.text();
    let address = text.parse().ok();
    if address.is_none() {
        c.warn(s.last_span(), format!("VRRP parsed invalid IP {text}. skipping IP..."));
    }
    address
}

fn via(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<RouteVia> {
    let _ = s.take_if("inet") || s.take_if("inet6");
    address(s, c).map(|address| RouteVia { address })
}

/// `ADDR/LEN` at the cursor.
pub(super) fn prefix(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<(IpAddr, u8)> {
    let text = s.text();
    let prefix = value::prefix(&text);
    if prefix.is_none() {
        c.warn(s.last_span(), format!("VRRP parsed invalid IP {text}. skipping IP..."));
    }
    prefix
}

/// A number, decimal or hexadecimal, as `ip` reads them.
pub(super) fn number(s: &mut Statement<'_>, c: &mut Context<'_>, what: &str, max: i64) -> Option<u32> {
    let text = s.text();
    let value = match text.strip_prefix("0x") {
        Some(hex) => i64::from_str_radix(hex, 16).ok(),
        None => text.parse::<i64>().ok(),
    };
    let value = value.filter(|value| (0..=max).contains(value)).map(|value| value as u32);
    if value.is_none() {
        c.warn(s.last_span(), format!("Invalid {what} value '{text}' specified"));
    }
    value
}

/// `[FROM/]TO` as the kernel packs it.
pub(super) fn realms(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<u32> {
    let text = s.text();
    let (from, to) = text.split_once('/').unwrap_or(("0", &text));
    let one = |part: &str| match part.strip_prefix("0x") {
        Some(hex) => u16::from_str_radix(hex, 16).ok(),
        None => part
            .parse::<u16>()
            .ok()
            .or_else(|| named(c, "rt_realms", part).and_then(|id| u16::try_from(id).ok())),
    };
    match (one(from), one(to)) {
        (Some(from), Some(to)) => Some(u32::from(from) << 16 | u32::from(to)),
        _ => {
            c.warn(s.last_span(), format!("Invalid realms '{text}' specified"));
            None
        }
    }
}

/// A routing table's number by number or name.
pub(super) fn table(text: &str, c: &Context<'_>) -> Option<u32> {
    match text {
        "default" => Some(253),
        "main" => Some(254),
        "local" => Some(255),
        number => number.parse().ok().or_else(|| named(c, "rt_tables", number)),
    }
}

/// `RTPROT_*` by number or name.
pub(super) fn protocol(text: &str, c: &Context<'_>) -> Option<u8> {
    Some(match text {
        "redirect" => 1,
        "kernel" => 2,
        "boot" => 3,
        "static" => 4,
        "ra" => 9,
        "bird" => 12,
        "keepalived" => 18,
        number => number
            .parse()
            .ok()
            .or_else(|| named(c, "rt_protos", number).and_then(|id| u8::try_from(id).ok()))?,
    })
}

/// A name in one of iproute2's tables, the administrator's first.
fn named(c: &Context<'_>, table: &str, name: &str) -> Option<u32> {
    c.iproute_dirs.iter().find_map(|dir| {
        let text = std::fs::read_to_string(format!("{dir}/{table}")).ok()?;
        text.lines().find_map(|line| {
            let mut words = line.split('#').next()?.split_whitespace();
            let (id, known) = (words.next()?, words.next()?);
            let id = id
                .strip_prefix("0x")
                .map_or_else(|| id.parse().ok(), |hex| u32::from_str_radix(hex, 16).ok());
            (known == name).then_some(id).flatten()
        })
    })
}

fn next_hop(line: &mut RouteLine, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let mut hop = NextHop { weight: 1, ..NextHop::default() };
    while let Some(word) = s.peek() {
        match word {
            "via" => {
                let _ = s.next();
                hop.via = via(s, c);
            }
            "dev" | "oif" => {
                let _ = s.next();
                hop.dev = s.next().map(str::to_owned);
            }
            "weight" => {
                let _ = s.next();
                hop.weight = number(s, c, "weight", 256).map_or(1, |weight| weight.max(1) as u16);
            }
            "onlink" => {
                let _ = s.next();
                hop.onlink = true;
            }
            "realms" => {
                let _ = s.next();
                hop.realms = realms(s, c);
            }
            "encap" => {
                let _ = s.next();
                hop.encap = super::encap::encap(s, c);
            }
            _ => break,
        }
    }
    line.spec.next_hops.push(hop);
}
