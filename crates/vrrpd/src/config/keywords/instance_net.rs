//! `vrrp_instance`: interfaces, vmacs, sources, unicast.

use std::net::IpAddr;

use hacore::diag::Span;

use crate::model::{IpvlanMode, IpvlanSettings, UnicastChecksum, UnicastPeer, VmacSettings};

use super::super::keyword::{Context, Keyword, Statement};
use super::super::{resolve, value};
use super::draft::{At, InstanceDraft};
use super::instance::flag;
use super::numbers::int;
use super::{keyword, no_effect, not_yet};

pub(super) const TABLE: &[Keyword<InstanceDraft>] = &[
    keyword("interface", "<IF>", 1, "interface of adverts and, by default, of VIPs", |i, s, c| {
        let value = s.text();
        let span = s.last_span();
        if !c.environment.interface_exists(&value) {
            let message = format!("WARNING - interface {value} for vrrp_instance {} doesn't exist", i.name);
            resolve::missing_interface(c, span, message);
        }
        i.interface = Some(At { value, span });
    }),
    keyword("vrf", "<IF>", 1, "VRF for unicast without interface", |i, s, c| {
        if i.interface.is_some() {
            let message = format!("({}) Cannot specify VRF interface and interface - ignoring", i.name);
            return c.warn(s.span(), message);
        }
        i.vrf = Some(s.text());
    }),
    keyword(
        "use_vmac",
        "[<NAME>] [<MAC>] [netlink_notify_msg] [group <N>]",
        0,
        "put VIPs and adverts on a private macvlan",
        vmac,
    ),
    keyword("use_vmac_addr", "", 0, "a macvlan also for VIPs on other interfaces", |i, _, _| {
        i.vmac_for_addresses = true
    }),
    keyword("vmac_xmit_base", "", 0, "adverts on the base interface although use_vmac is set", |i, _, _| {
        i.vmac_xmit_base = true
    }),
    keyword(
        "use_ipvlan",
        "[<NAME>] [<ADDR>] [bridge|private|vepa] [group <N>]",
        0,
        "put VIPs on an L2 ipvlan",
        ipvlan,
    ),
    keyword(
        "unicast_peer",
        "{…}",
        0,
        "ADDR [min_ttl N] [max_ttl N] a line; switches to unicast",
        |i, s, c| {
            i.unicast = true;
            for line in s.children() {
                let mut words = Statement::of_values(line);
                if let Some(peer) = peer(i, &mut words, c) {
                    i.peers.push(At { value: peer, span: line.span() });
                }
            }
        },
    ),
    keyword(
        "unicast_fault_no_peer",
        "",
        0,
        "FAULT, not multicast, when the peer list is empty",
        |i, _, _| i.unicast_fault_no_peer = true,
    ),
    keyword("check_unicast_src", "[<BOOL>]", 0, "drop adverts whose source is no peer", |i, s, c| {
        i.check_unicast_src = flag(&i.name, s, c).or(i.check_unicast_src);
    }),
    keyword(
        "old_unicast_checksum",
        "[never]",
        0,
        "pre 1.3.7 v3 unicast checksum; never: no automatic detection",
        |i, s, c| {
            i.unicast = true;
            match s.next() {
                None => i.unicast_checksum = UnicastChecksum::Old,
                Some("never") => i.unicast_checksum = UnicastChecksum::Never,
                Some(other) => {
                    c.warn(
                        s.last_span(),
                        format!("({}) Unknown old_unicast_chksum mode {other} - ignoring", i.name),
                    );
                }
            }
        },
    ),
    keyword("mcast_src_ip", "<ADDR>", 1, "source address of adverts", source),
    keyword("unicast_src_ip", "<ADDR>", 1, "source address of unicast adverts", |i, s, c| {
        i.unicast = true;
        source(i, s, c);
    }),
    keyword("mcast_dst_ip", "<ADDR>", 1, "own multicast group for this instance", |i, s, c| {
        let text = s.text();
        match text.parse::<IpAddr>() {
            Ok(group) if group.is_multicast() => {
                i.multicast_group = Some(At { value: group, span: s.last_span() })
            }
            Ok(_) => {
                c.warn(s.last_span(), format!("({}) mcast_dst_ip {text} not multicast. Skipping...", i.name))
            }
            Err(_) => {
                c.warn(s.last_span(), format!("({}) malformed mcast_dst_ip [{text}]. Skipping...", i.name));
            }
        }
    }),
    keyword("track_src_ip", "", 0, "FAULT while the source address is missing", |i, _, _| {
        i.track_source_address = true
    }),
    keyword("unicast_ttl", "<0..255>", 1, "TTL / hop limit of unicast adverts", |i, s, c| {
        let wrong = |text: &str| format!("({}): TTL '{text}' not valid - must be between 0 & 255", i.name);
        i.unicast_ttl = int(s, c, 0..=255, wrong).map(|ttl| ttl as u8).or(i.unicast_ttl);
    }),
    keyword("promote_secondaries", "", 0, "set the sysctl on the interface", |i, _, _| {
        i.promote_secondaries = true
    }),
    no_effect(keyword(
        "linkbeat_use_polling",
        "",
        0,
        "deprecated: poll link of this interface",
        |i, s, c| {
            let message = format!(
                "({}) 'linkbeat_use_polling' in vrrp instance deprecated - use linkbeat_interfaces block",
                i.name
            );
            c.warn(s.span(), message);
            i.linkbeat_use_polling = true;
        },
    )),
    keyword("v3_checksum_as_v2", "[<BOOL>]", 0, "no pseudo header in the v3 IPv4 checksum", |i, s, c| {
        i.v3_checksum_as_v2 = flag(&i.name, s, c).or(i.v3_checksum_as_v2);
    }),
    keyword("kernel_rx_buf_size", "<BYTES>", 1, "receive buffer of the advert socket", |i, s, c| {
        let wrong = |_: &str| format!("({}) invalid kernel_rx_buf_size specified", i.name);
        i.kernel_rx_buf_bytes = int(s, c, 1..=i64::from(i32::MAX), wrong).map(|bytes| bytes as u32);
    }),
    not_yet(keyword(
        "lvs_sync_daemon_interface",
        "<IF>",
        1,
        "deprecated: IPVS sync on this interface",
        |i, s, c| {
            let message =
                format!("({}) Specifying lvs_sync_daemon_interface against a vrrp is deprecated.", i.name);
            c.warn(s.span(), message);
            i.lvs_sync_interface = Some(s.text());
        },
    )),
];

/// What may follow the address of a unicast peer.
pub(super) const PEER: &[Keyword<UnicastPeer>] = &[
    keyword("min_ttl", "<0..255>", 1, "lowest accepted TTL", |peer, s, c| {
        peer.min_ttl = ttl(s, c).or(peer.min_ttl)
    }),
    keyword("max_ttl", "<0..255>", 1, "highest accepted TTL", |peer, s, c| {
        peer.max_ttl = ttl(s, c).or(peer.max_ttl)
    }),
];

fn ttl(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<u8> {
    s.int(c, 0..=255).ok().map(|ttl| ttl as u8)
}

fn peer(i: &InstanceDraft, words: &mut Statement<'_>, c: &mut Context<'_>) -> Option<UnicastPeer> {
    let text = words.text();
    let Ok(address) = text.parse::<IpAddr>() else {
        let message = format!(
            "Configuration error: VRRP instance[{}] malformed unicast peer address[{text}]. Skipping...",
            i.name
        );
        c.warn(words.last_span(), message);
        return None;
    };
    if i.is_ipv6().is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
        let message = format!(
            "Configuration error: VRRP instance[{}] and unicast peer address[{text}] MUST be of the same family !!! Skipping...",
            i.name
        );
        c.warn(words.last_span(), message);
        return None;
    }
    let mut peer = UnicastPeer { address, min_ttl: None, max_ttl: None };
    while let Some(option) = words.next() {
        if words.peek().is_none() {
            c.warn(words.last_span(), format!("({}) {option} is missing a value", i.name));
            break;
        }
        match PEER.iter().find(|keyword| keyword.name == option) {
            Some(keyword) => (keyword.apply)(&mut peer, words, c),
            None => {
                c.warn(
                    words.last_span(),
                    format!("({}) unknown unicast_peer option {option} - ignoring", i.name),
                );
                break;
            }
        }
    }
    Some(peer)
}

fn source(i: &mut InstanceDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let text = s.text();
    let span: Span = s.last_span();
    let Ok(address) = text.parse::<IpAddr>() else {
        let message = format!(
            "Configuration error: VRRP instance[{}] malformed src address[{text}]. Skipping...",
            i.name
        );
        return c.warn(span, message);
    };
    if i.is_ipv6().is_some_and(|ipv6| ipv6 != address.is_ipv6()) {
        let message = format!(
            "Configuration error: VRRP instance[{}] and src address[{text}] MUST be of the same family !!! Skipping...",
            i.name
        );
        return c.warn(span, message);
    }
    i.source_address = Some(At { value: address, span });
}

/// `IFNAMSIZ` - 1.
const INTERFACE_NAME_BYTES_MAX: usize = 15;

fn vmac(i: &mut InstanceDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let mut vmac = VmacSettings::default();
    while let Some(word) = s.next() {
        match (word, mac(word, i.vrid)) {
            ("netlink_notify_msg", _) => vmac.netlink_notify = true,
            ("group", _) => {
                vmac.group = s.int(c, 0..=i64::from(u32::MAX)).ok().map(|group| group as u32);
            }
            ("name", _) => vmac.name = s.next().map(str::to_owned),
            (_, Some(mac)) => vmac.mac = Some(mac),
            (name, None) if vmac.name.is_some() => {
                let _ = name;
                c.warn(s.last_span(), "VMAC interface name already specified");
                break;
            }
            (name, None) if name.len() > INTERFACE_NAME_BYTES_MAX || name.contains(['/', ':']) => {
                let message =
                    format!("VMAC interface name '{name}' too long or invalid characters - ignoring");
                c.warn(s.last_span(), message);
            }
            (name, None) => vmac.name = Some(name.to_owned()),
        }
    }
    i.vmac = Some(vmac);
}

/// Six octets, or five to which the VRID is added.
fn mac(text: &str, vrid: Option<u8>) -> Option<[u8; 6]> {
    let octets: Vec<u8> =
        text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect::<Option<_>>()?;
    match octets[..] {
        [a, b, c, d, e, f] => Some([a, b, c, d, e, f]),
        [a, b, c, d, e] => Some([a, b, c, d, e, vrid?]),
        _ => None,
    }
}

fn ipvlan(i: &mut InstanceDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let name = i.name.clone();
    if i.ipvlan.is_some() {
        return c.warn(s.span(), format!("({name}) use_ipvlan already specified"));
    }
    let mut ipvlan = IpvlanSettings::default();
    let mut mode = None;
    while let Some(word) = s.next() {
        let known_mode = match word {
            "bridge" => Some(IpvlanMode::Bridge),
            "private" => Some(IpvlanMode::Private),
            "vepa" => Some(IpvlanMode::Vepa),
            _ => None,
        };
        match (word, known_mode, value::address(word)) {
            (_, Some(_), _) if mode.is_some() => {
                c.warn(s.last_span(), format!("({name}) ipvlan type already specified - ignoring '{word}'"));
            }
            (_, Some(_), _) => mode = known_mode,
            ("group", ..) => {
                ipvlan.group = s.int(c, 0..=i64::from(u32::MAX)).ok().map(|group| group as u32);
            }
            (_, _, Some(_)) if ipvlan.address.is_some() => {
                let message = format!("({name}) ipvlan address already specified - ignoring '{word}'");
                c.warn(s.last_span(), message);
            }
            (_, _, Some((address, _))) if i.is_ipv6().is_some_and(|ipv6| ipv6 != address.is_ipv6()) => {
                let message = format!(
                    "({name}) ipvlan address[{word}] MUST match vrrp instance family !!! Skipping..."
                );
                c.warn(s.last_span(), message);
            }
            (_, _, Some((address, length))) => {
                let max = value::length_max(address);
                let length = length.and_then(|text| text.parse().ok()).unwrap_or(max).min(max);
                ipvlan.address = Some((address, length));
            }
            ("name", None, None) => ipvlan.name = s.next().map(str::to_owned),
            (word, None, None) if word.len() > INTERFACE_NAME_BYTES_MAX => {
                let message = format!("({name}) IPVLAN interface name '{word}' too long - ignoring");
                c.warn(s.last_span(), message);
            }
            (word, None, None) if ipvlan.name.is_some() => {
                let message = format!("({name}) IPVLAN interface already specified - ignoring '{word}'");
                c.warn(s.last_span(), message);
            }
            (word, None, None) => ipvlan.name = Some(word.to_owned()),
        }
    }
    ipvlan.mode = mode.unwrap_or_default();
    i.ipvlan = Some(ipvlan);
}
