//! Addresses, routes and rules in one line each, in the words and the order of keepalived's dumps and log lines.

use std::fmt::Write;

use crate::model::{
    AddressSpec, Encapsulation, LIFETIME_FOREVER, RouteSpec, RouteType, RouteVia, RuleAction, RuleSpec,
    TunnelEncapsulation,
};
use crate::netlink::{address::broadcast, route::PROTOCOL_KEEPALIVED};

/// A line that grows by words.
struct Words(String);

impl Words {
    fn word(&mut self, word: impl std::fmt::Display) {
        if !self.0.is_empty() {
            self.0.push(' ');
        }
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{word}");
    }

    /// A word and its value, if there is one.
    fn pair(&mut self, word: &str, value: Option<impl std::fmt::Display>) {
        if let Some(value) = value {
            self.word(word);
            self.word(value);
        }
    }

    fn flag(&mut self, is_set: bool, word: &str) {
        if is_set {
            self.word(word);
        }
    }

    fn via(&mut self, via: Option<RouteVia>) {
        if let Some(RouteVia { address }) = via {
            let family = if address.is_ipv6() { "inet6" } else { "inet" };
            self.word(format_args!("via {family} {address}"));
        }
    }

    fn encapsulation(&mut self, encapsulation: &Encapsulation) {
        self.word("encap");
        match encapsulation {
            Encapsulation::Mpls { labels, ttl } => {
                let labels: Vec<String> = labels.iter().map(u32::to_string).collect();
                self.pair("mpls", Some(labels.join("/")));
                self.pair("ttl", *ttl);
            }
            Encapsulation::Tunnel(tunnel) => {
                let TunnelEncapsulation { ipv6, id, destination, source, class, hops, flags } = *tunnel;
                self.word(if ipv6 { "ip6" } else { "ip" });
                self.pair("id", id);
                self.pair("dst", destination);
                self.pair("src", source);
                self.pair(if ipv6 { "tc" } else { "tos" }, class);
                self.pair(if ipv6 { "hoplimit" } else { "ttl" }, hops);
                self.pair("flags", flags.map(|flags| format!("{flags:#x}")));
            }
            Encapsulation::Ila { locator } => {
                let words = locator.as_chunks::<2>().0;
                let words: Vec<String> =
                    words.iter().map(|pair| format!("{:x}", u16::from_be_bytes(*pair))).collect();
                self.pair("ila", Some(words.join(":")));
            }
        }
    }
}

/// An address on `dev`; `held` while it is set.
pub fn address_text(spec: &AddressSpec, dev: Option<&String>, held: bool) -> String {
    let mut out = Words(spec.address.to_string());
    let whole = if spec.address.is_ipv4() { 32 } else { 128 };
    if spec.prefix_len != whole {
        let _ = write!(out.0, "/{}", spec.prefix_len);
    }
    out.pair("brd", broadcast(spec));
    out.pair("dev", dev);
    out.pair(
        "scope",
        Some(match spec.scope {
            None | Some(0) => "global".to_owned(),
            Some(200) => "site".to_owned(),
            Some(253) => "link".to_owned(),
            Some(254) => "host".to_owned(),
            Some(other) => other.to_string(),
        }),
    );
    out.pair("label", spec.label.as_ref());
    out.pair("peer", spec.peer);
    out.flag(spec.flags.home, "home");
    out.flag(spec.address.is_ipv6() && !spec.flags.nodad, "-nodad");
    out.flag(spec.flags.mngtmpaddr, "mngtmpaddr");
    out.flag(spec.flags.noprefixroute, "noprefixroute");
    out.flag(spec.flags.autojoin, "autojoin");
    match spec.preferred_lft_s {
        Some(0) => out.word("deprecated"),
        Some(LIFETIME_FOREVER) => out.pair("preferred_lft", Some("forever")),
        None if spec.address.is_ipv6() => out.pair("preferred_lft", Some("forever")),
        seconds => out.pair("preferred_lft", seconds),
    }
    out.flag(spec.no_track, "no_track");
    out.pair("track_group", spec.track_group.as_ref());
    out.flag(held, "set");
    out.0
}

fn prefix((address, length): (std::net::IpAddr, u8)) -> String {
    let whole = if address.is_ipv4() { 32 } else { 128 };
    if length == whole { address.to_string() } else { format!("{address}/{length}") }
}

fn realms(packed: u32) -> String {
    match (packed >> 16, packed & 0xffff) {
        (0, to) => to.to_string(),
        (from, to) => format!("{from}/{to}"),
    }
}

/// A route with everything that is written about it.
pub fn route_text(spec: &RouteSpec) -> String {
    let mut out = Words(format!("{:?}", spec.insert).to_lowercase());
    if spec.kind != RouteType::Unicast {
        out.word(format!("{:?}", spec.kind).to_lowercase());
    }
    let default = if spec.ipv6 { "::/0" } else { "0.0.0.0/0" };
    out.word(spec.to.map_or_else(|| default.to_owned(), prefix));
    out.pair("from", spec.from.map(prefix));
    out.pair("src", spec.source);
    out.pair("tos", spec.tos);
    spec.encap.iter().for_each(|encapsulation| out.encapsulation(encapsulation));
    out.via(spec.via);
    out.pair("dev", spec.dev.as_ref());
    out.pair("vrf", spec.vrf.as_ref());
    out.pair("table", spec.table);
    out.pair("proto", Some(spec.protocol.unwrap_or(PROTOCOL_KEEPALIVED)));
    out.pair("scope", spec.scope);
    out.pair("metric", spec.priority);
    out.flag(spec.onlink, "onlink");
    out.pair("realms", spec.realms.map(realms));
    out.pair("ttl-propagate", spec.ttl_propagate.map(|on| if on { "enabled" } else { "disabled" }));
    out.pair("expires", spec.expires_s.map(|seconds| format!("{seconds}sec")));
    out.pair("pref", spec.preference.map(|value| ["medium", "high", "", "low"][usize::from(value & 3)]));
    if let Some((name, lock)) = &spec.congestion_control {
        out.word("congctl");
        out.flag(*lock, "lock");
        out.word(name);
    }
    out.flag(spec.features_ecn, "features ecn");
    for metric in &spec.metrics {
        out.word(&metric.name);
        out.flag(metric.lock, "lock");
        out.word(metric.value);
    }
    for hop in &spec.next_hops {
        out.word("nexthop");
        out.via(hop.via);
        out.pair("dev", hop.dev.as_ref());
        hop.encap.iter().for_each(|encapsulation| out.encapsulation(encapsulation));
        out.pair("weight", Some(hop.weight).filter(|weight| *weight > 1));
        out.flag(hop.onlink, "onlink");
        out.pair("realms", hop.realms.map(realms));
    }
    out.flag(spec.no_track, "no_track");
    out.pair("track_group", spec.track_group.as_ref());
    out.0
}

/// The same of a rule.
pub fn rule_text(spec: &RuleSpec) -> String {
    let mut out = Words(String::new());
    out.flag(spec.invert, "not");
    out.pair("from", Some(spec.from.map_or_else(|| "all".to_owned(), prefix)));
    out.pair("to", spec.to.map(prefix));
    out.pair("priority", spec.priority);
    out.pair("tos", Some(format!("{:#x}", spec.tos.unwrap_or(0))));
    let mask = spec.fwmask.map(|mask| format!("/{mask:#x}")).unwrap_or_default();
    out.pair("fwmark", spec.fwmark.map(|mark| format!("{mark:#x}{mask}")));
    out.pair("iif", spec.iif.as_ref());
    out.pair("oif", spec.oif.as_ref());
    out.pair("suppress_prefixlen", spec.suppress_prefixlength);
    out.pair("suppress_ifgroup", spec.suppress_ifgroup);
    out.pair("tunnel-id", spec.tunnel_id);
    out.pair("uidrange", spec.uid_range.map(|(first, last)| format!("{first}-{last}")));
    out.flag(spec.l3mdev, "l3mdev");
    out.pair("ipproto", spec.ip_proto);
    let ports = |(first, last): (u16, u16)| {
        if first == last { first.to_string() } else { format!("{first}-{last}") }
    };
    out.pair("sport", spec.source_ports.map(ports));
    out.pair("dport", spec.destination_ports.map(ports));
    out.pair("realms", spec.realms.map(realms));
    out.pair("protocol", Some(spec.protocol.unwrap_or(PROTOCOL_KEEPALIVED)));
    match spec.action {
        RuleAction::Table(table) => out.pair("lookup", Some(table)),
        RuleAction::Goto(preference) => out.pair("goto", Some(preference)),
        // The device says which.
        RuleAction::Unspecified => out.pair("lookup", Some(0)),
        other => out.pair("type", Some(format!("{other:?}").to_lowercase())),
    }
    out.flag(spec.no_track, "no_track");
    out.pair("track_group", spec.track_group.as_ref());
    out.0
}

#[cfg(test)]
mod tests {
    use crate::config::{LoadOptions, SystemEnvironment, load_text};

    use super::*;

    /// What keepalived 2.2.7 shows of the same lines; its `rtt` in wrong units and its binary labels are left out.
    #[test]
    fn addresses_routes_and_rules_are_shown_as_keepalived_does() {
        let text = "static_ipaddress {
 10.78.0.2/24 dev lo scope link brd - noprefixroute
 10.77.0.101/24 dev lo brd 10.77.0.5 scope site no_track
 2001:db8::5/128 dev lo
 2001:db8::6/64 dev lo home -nodad preferred_lft 0
 2001:db8::7/64 dev lo preferred_lft 100 noprefixroute
}
static_routes {
 192.0.2.128/25 table 100 dev lo nexthop via 10.77.0.2 weight 3 nexthop via 10.77.0.3 onlink
 2001:db8:2::/48 from 2001:db8:3::/48 dev lo via fe80::1
 10.1.0.0/24 via 10.77.0.2 dev lo encap ip id 5 dst 1.2.3.4 src 1.2.3.5 tos 4 ttl 9
 10.5.0.0/24 via 10.77.0.2 dev lo ttl-propagate enabled
 2001:db8:1::/48 dev lo pref high expires 50
}
static_rules {
 not to 10.2.0.0/16 iif lo lookup 100 preference 401 fwmark 0x10/0xff tos 0x10
 from 2001:db8:2::/48 blackhole priority 402
 l3mdev priority 405
}
";
        let (config, diagnostics, _) =
            load_text(text.as_bytes(), &LoadOptions::default(), &SystemEnvironment);
        let config = config.unwrap_or_else(|| panic!("{diagnostics:?}"));
        let addresses: Vec<String> =
            config.static_addresses.iter().map(|spec| address_text(spec, spec.dev.as_ref(), true)).collect();
        assert_eq!(
            addresses,
            [
                "10.78.0.2/24 brd 10.78.0.0 dev lo scope link noprefixroute set",
                "10.77.0.101/24 brd 10.77.0.5 dev lo scope site no_track set",
                "2001:db8::5 dev lo scope global deprecated set",
                "2001:db8::6/64 dev lo scope global home -nodad deprecated set",
                "2001:db8::7/64 dev lo scope global noprefixroute preferred_lft 100 set",
            ]
        );
        assert_eq!(
            config.static_routes.iter().map(route_text).collect::<Vec<_>>(),
            [
                "prepend 192.0.2.128/25 dev lo table 100 proto 18 nexthop via inet 10.77.0.2 dev lo weight 3 \
                 nexthop via inet 10.77.0.3 dev lo onlink",
                "prepend 2001:db8:2::/48 from 2001:db8:3::/48 via inet6 fe80::1 dev lo proto 18",
                "prepend 10.1.0.0/24 encap ip id 5 dst 1.2.3.4 src 1.2.3.5 tos 4 ttl 9 via inet 10.77.0.2 dev lo \
                 proto 18",
                "prepend 10.5.0.0/24 via inet 10.77.0.2 dev lo proto 18 ttl-propagate enabled",
                "prepend 2001:db8:1::/48 dev lo proto 18 expires 50sec pref high",
            ]
        );
        assert_eq!(
            config.static_rules.iter().map(rule_text).collect::<Vec<_>>(),
            [
                "not from all to 10.2.0.0/16 priority 401 tos 0x10 fwmark 0x10/0xff iif lo protocol 18 lookup 100",
                "from 2001:db8:2::/48 priority 402 tos 0x0 protocol 18 type blackhole",
                "from all priority 405 tos 0x0 l3mdev protocol 18 lookup 0",
            ]
        );
    }
}
