//! `global_defs`: VRRP, and the defaults of instances.

use crate::model::{AddressLease, DynamicInterfaces, GarpExtraInterfaces, RxBufferPolicy, Version};

use super::super::keyword::{Context, Keyword, Statement};
use super::draft::GlobalDraft;
use super::keyword;
use super::numbers::{SECONDS_MAX_US, flag, int, timer};

pub(super) const TABLE: &[Keyword<GlobalDraft>] = &[
    keyword(
        "default_interface",
        "<IF>",
        1,
        "interface for static addresses without dev (default eth0)",
        |g, s, _| {
            g.model.default_interface = s.text();
        },
    ),
    keyword(
        "vip_lease",
        "<SECONDS>|auto|off",
        1,
        "remove the addresses of a master that is dead or stopped after so long (default auto: the master down time, \
         at least 3 s; not known to keepalived)",
        |g, s, c| match s.peek() {
            Some("off") => g.model.vip_lease = AddressLease::Off,
            Some("auto") => g.model.vip_lease = AddressLease::Automatic,
            _ => {
                let wrong =
                    |text: &str| format!("vip_lease '{text}' must be auto, off or in [2, 86400] - ignoring");
                if let Some(seconds) = int(s, c, 2..=86_400, wrong) {
                    g.model.vip_lease = AddressLease::Seconds(seconds as u32);
                }
            }
        },
    ),
    keyword(
        "dynamic_interfaces",
        "[allow_if_changes]",
        0,
        "accept interfaces that do not exist yet",
        |g, s, c| {
            g.model.dynamic_interfaces = match s.next() {
                None => DynamicInterfaces::Yes,
                Some("allow_if_changes") => DynamicInterfaces::AllowIfChanges,
                Some(other) => {
                    c.warn(s.last_span(), format!("Unknown dynamic_interfaces option '{other}'"));
                    DynamicInterfaces::Yes
                }
            };
        },
    ),
    keyword(
        "disable_local_igmp",
        "",
        0,
        "switch off igmp_link_local_mcast_reports in the kernel while running",
        |g, _, _| {
            g.model.disable_local_igmp = true;
        },
    ),
    keyword(
        "v3_checksum_as_v2",
        "[<BOOL>]",
        0,
        "leave the pseudo header out of the IPv4 VRRPv3 checksum (RFC 9568)",
        |g, s, c| {
            if let Some(on) = flag(s, c) {
                g.v3_checksum_as_v2 = on;
            }
        },
    ),
    keyword("vrrp_mcast_group4", "<ADDR>", 1, "IPv4 group for adverts (default 224.0.0.18)", |g, s, c| {
        let text = s.text();
        match text.parse::<std::net::Ipv4Addr>() {
            Ok(group) if group.is_multicast() => g.model.vrrp_mcast_group4 = group,
            Ok(_) => c.warn(s.last_span(), format!("vrrp_mcast_group4 [{text}] is not multicast. Skipping")),
            Err(_) => c.warn(s.last_span(), format!("Can't parse vrrp_mcast_group4 [{text}]. Skipping")),
        }
    }),
    keyword("vrrp_mcast_group6", "<ADDR>", 1, "IPv6 group for adverts (default ff02::12)", |g, s, c| {
        let text = s.text();
        match text.parse::<std::net::Ipv6Addr>() {
            Ok(group) if group.is_multicast() => g.model.vrrp_mcast_group6 = group,
            Ok(_) => c.warn(s.last_span(), format!("vrrp_mcast_group6 [{text}] is not multicast. Skipping")),
            Err(_) => c.warn(s.last_span(), format!("Can't parse vrrp_mcast_group6 [{text}]. Skipping")),
        }
    }),
    keyword(
        "vrrp_garp_master_delay",
        "<SECONDS>",
        1,
        "default seconds to the second GARP burst (5, 0 none)",
        |g, s, c| {
            g.garp.master_delay_us =
                seconds(s, c, |text| format!("vrrp_garp_master_delay '{text}' invalid - ignoring"));
        },
    ),
    keyword("vrrp_garp_master_repeat", "<NUMBER>", 1, "default GARPs per burst (5)", |g, s, c| {
        g.garp.master_repeat = repeat(s, c);
    }),
    keyword(
        "vrrp_garp_master_refresh",
        "<SECONDS>",
        1,
        "default seconds between refresh GARPs while master (0 none)",
        |g, s, c| {
            g.garp.master_refresh_us =
                seconds(s, c, |text| format!("Invalid vrrp_garp_master_refresh '{text}' - ignoring"));
        },
    ),
    keyword("vrrp_garp_master_refresh_repeat", "<NUMBER>", 1, "default GARPs per refresh (1)", |g, s, c| {
        g.garp.master_refresh_repeat = repeat(s, c);
    }),
    keyword(
        "vrrp_garp_lower_prio_delay",
        "<SECONDS>",
        1,
        "default delay of the second burst after a lower priority advert",
        |g, s, c| {
            g.garp.lower_prio_delay_us =
                seconds(s, c, |text| format!("vrrp_garp_lower_prio_delay '{text}' invalid - ignoring"));
        },
    ),
    keyword(
        "vrrp_garp_lower_prio_repeat",
        "<NUMBER>",
        1,
        "default GARPs per burst after a lower priority advert",
        |g, s, c| {
            let wrong = |text: &str| format!("Invalid vrrp_garp_lower_prio_repeat '{text}'");
            g.garp.lower_prio_repeat = int(s, c, 0..=i64::from(i32::MAX), wrong).map(|value| value as u32);
        },
    ),
    keyword(
        "vrrp_down_timer_adverts",
        "<1..100>",
        1,
        "default missed adverts before take-over (3)",
        |g, s, c| {
            let wrong = |text: &str| format!("Invalid vrrp_down_timer_adverts [1:100] '{text}'");
            g.down_timer_adverts = int(s, c, 1..=100, wrong).map(|value| value as u8);
        },
    ),
    keyword(
        "vrrp_garp_interval",
        "<TIMER>",
        1,
        "minimum seconds between two GARPs on an interface (0)",
        |g, s, c| {
            if let Some(us) =
                timer(s, c, 1..=4_294_967_295, |text| format!("vrrp_garp_interval '{text}' is invalid"))
            {
                g.model.garp_interval.garp_us = us;
            }
        },
    ),
    keyword(
        "vrrp_gna_interval",
        "<TIMER>",
        1,
        "minimum seconds between two unsolicited NAs on an interface (0)",
        |g, s, c| {
            if let Some(us) =
                timer(s, c, 1..=4_294_967_295, |text| format!("vrrp_gna_interval '{text}' is invalid"))
            {
                g.model.garp_interval.gna_us = us;
            }
        },
    ),
    keyword("vrrp_min_garp", "[<BOOL>]", 0, "send one GARP and no second burst", |g, s, c| {
        if let Some(on) = flag(s, c) {
            g.min_garp = on;
        }
    }),
    keyword(
        "vrrp_garp_extra_if",
        "[all] <SECONDS>",
        1,
        "periodic GARP on VIP interfaces other than the advert interface",
        extra_if,
    ),
    keyword("vrrp_vmac_garp_intvl", "[all] <SECONDS>", 1, "deprecated name of vrrp_garp_extra_if", extra_if),
    keyword(
        "vrrp_lower_prio_no_advert",
        "[<BOOL>]",
        0,
        "default: do not answer a lower priority advert with one of ours",
        |g, s, c| {
            g.lower_prio_no_advert = flag(s, c).or(g.lower_prio_no_advert);
        },
    ),
    keyword(
        "vrrp_higher_prio_send_advert",
        "[<BOOL>]",
        0,
        "default: send one advert before yielding to a higher priority",
        |g, s, c| {
            g.higher_prio_send_advert = flag(s, c).or(g.higher_prio_send_advert);
        },
    ),
    keyword("vrrp_version", "<2|3>", 1, "default VRRP version (2; IPv6 always 3)", |g, s, c| {
        let wrong = |_: &str| "VRRP Error: Version must be either 2 or 3".to_owned();
        let version = int(s, c, 2..=3, wrong);
        g.version = version.map(|version| if version == 2 { Version::V2 } else { Version::V3 }).or(g.version);
    }),
    keyword(
        "vrrp_check_unicast_src",
        "",
        0,
        "drop unicast adverts from addresses that are no peer",
        |g, _, _| {
            g.check_unicast_src = true;
        },
    ),
    keyword(
        "vrrp_skip_check_adv_addr",
        "[<BOOL>]",
        0,
        "check the VIP list only for a new master",
        |g, s, _| {
            g.skip_check_adv_addr = s.flag().unwrap_or(true);
        },
    ),
    keyword("vrrp_strict", "[<BOOL>]", 0, "default of strict_mode", |g, s, _| {
        g.strict = s.flag().unwrap_or(true)
    }),
    keyword(
        "vrrp_notify_priority_changes",
        "[<BOOL>]",
        0,
        "default: write priority changes to the FIFOs",
        |g, s, c| {
            if let Some(on) = flag(s, c) {
                g.notify_priority_changes = on;
            }
        },
    ),
    keyword(
        "vrrp_rx_bufs_policy",
        "MTU|ADVERT|<BYTES>",
        1,
        "receive buffer of the advert sockets",
        |g, s, c| {
            g.model.rx_bufs_policy = match s.peek() {
                Some(word) if word.eq_ignore_ascii_case("MTU") => Some(RxBufferPolicy::Mtu),
                Some(word) if word.eq_ignore_ascii_case("ADVERT") => Some(RxBufferPolicy::Advert),
                _ => int(s, c, 1..=i64::from(i32::MAX), |text| format!("Invalid vrrp_rx_bufs_policy {text}"))
                    .map(|bytes| RxBufferPolicy::Bytes(bytes as u32)),
            };
        },
    ),
    keyword("vrrp_rx_bufs_multiplier", "<NUMBER>", 1, "factor for vrrp_rx_bufs_policy (3)", |g, s, c| {
        if let Some(value) =
            int(s, c, 1..=i64::from(i32::MAX), |text| format!("Invalid vrrp_rx_bufs_multiplier {text}"))
        {
            g.model.rx_bufs_multiplier = value as u32;
        }
    }),
    keyword("vrrp_startup_delay", "<TIMER>", 1, "seconds to hold instances back after start", |g, s, c| {
        if let Some(us) =
            timer(s, c, 0..=SECONDS_MAX_US, |text| format!("vrrp_startup_delay '{text}' is invalid"))
        {
            g.model.startup_delay_us = us;
        }
    }),
    keyword(
        "vrrp_delay_after_boot",
        "<TIMER>",
        1,
        "hold instances back until so long after boot",
        |g, s, c| {
            if let Some(us) =
                timer(s, c, 0..=SECONDS_MAX_US, |text| format!("vrrp_delay_after_boot '{text}' is invalid"))
            {
                g.model.delay_after_boot_us = us;
            }
        },
    ),
    keyword("log_unknown_vrids", "", 0, "log adverts for VRIDs nobody configured here", |g, _, _| {
        g.model.log_unknown_vrids = true;
    }),
    keyword(
        "vrrp_owner_ignore_adverts",
        "[<BOOL>]",
        0,
        "default: an address owner ignores received adverts",
        |g, s, c| {
            if let Some(on) = flag(s, c) {
                g.owner_ignore_adverts = on;
            }
        },
    ),
    keyword("vmac_prefix", "<STRING>", 1, "name prefix of generated vmac interfaces (vrrp)", |g, s, _| {
        g.model.vmac_prefix = s.text();
        if !g.vmac_addr_prefix_set {
            g.model.vmac_addr_prefix = g.model.vmac_prefix.clone();
        }
    }),
    keyword(
        "vmac_addr_prefix",
        "<STRING>",
        1,
        "name prefix of vmac interfaces made for single VIPs",
        |g, s, _| {
            g.model.vmac_addr_prefix = s.text();
            g.vmac_addr_prefix_set = true;
        },
    ),
    keyword(
        "nftables",
        "[<TABLE>]",
        0,
        "use nftables for no_accept and vmacs, optional table name (keepalived)",
        |g, s, _| {
            g.model.nftables.configured = true;
            if let Some(table) = s.next() {
                g.model.nftables.table = table.to_owned();
            }
        },
    ),
    keyword("nftables_priority", "<NUMBER>", 1, "priority of the base chains (-1)", |g, s, c| {
        let wrong = |text: &str| format!("invalid nftables chain priority '{text}'");
        if let Some(value) = int(s, c, i64::from(i32::MIN)..=i64::from(i32::MAX), wrong) {
            g.model.nftables.priority = value as i32;
        }
    }),
    keyword("nftables_ifindex", "", 0, "key link local sets by interface index, not name", |g, _, _| {
        g.model.nftables.ifindex = true;
    }),
    keyword("nftables_counters", "", 0, "add counters to generated rules", |g, _, _| {
        g.model.nftables.counters = true
    }),
    keyword("vrrp_iptables", "[<IN> [<OUT>]]", 0, "use iptables chains; carried out with nftables", iptables),
    keyword(
        "vrrp_ipsets",
        "[<NAME>…]",
        0,
        "ipset names used with iptables; carried out with nftables",
        iptables,
    ),
];

/// As Debian's keepalived, which is built without iptables.
fn iptables(global: &mut GlobalDraft, statement: &mut Statement<'_>, context: &mut Context<'_>) {
    global.model.nftables.configured = true;
    context.warn(
        statement.span(),
        "iptables not supported, using nftables instead. Please replace 'vrrp_iptables and 'vrrp_ipsets' with 'nftables' config option",
    );
}

fn seconds(s: &mut Statement<'_>, c: &mut Context<'_>, wrong: impl FnOnce(&str) -> String) -> Option<u64> {
    int(s, c, 0..=4294, wrong).map(|seconds| seconds as u64 * 1_000_000)
}

fn repeat(s: &mut Statement<'_>, c: &mut Context<'_>) -> Option<u32> {
    let keyword = s.keyword();
    match int(s, c, 0..=i64::from(i32::MAX), |text| format!("{keyword} '{text}' invalid - ignoring"))? {
        0 => {
            c.warn(s.last_span(), format!("{keyword} must be greater than 0, setting to 1"));
            Some(1)
        }
        value => Some(value as u32),
    }
}

fn extra_if(g: &mut GlobalDraft, s: &mut Statement<'_>, c: &mut Context<'_>) {
    let keyword = s.keyword();
    let all = s.take_if("all");
    if let Some(seconds) = int(s, c, 0..=86400, |text| format!("{keyword} '{text}' invalid - ignoring")) {
        g.garp.extra_interfaces =
            (seconds > 0).then_some(GarpExtraInterfaces { all, interval_us: seconds as u64 * 1_000_000 });
    }
}
