//! `global_defs`: virtual servers, SNMP and D-Bus. Read and checked; nothing of it is carried out yet.

use super::super::keyword::{Keyword, Statement};
use super::draft::GlobalDraft;
use super::numbers::int;
use super::{keyword, no_effect, not_yet};

pub(super) const TABLE: &[Keyword<GlobalDraft>] = &[
    not_yet(keyword(
        "smtp_alert_checker",
        "[<BOOL>]",
        0,
        "default of smtp_alert for virtual and real servers",
        |_, _, _| {},
    )),
    not_yet(keyword(
        "checker_log_all_failures",
        "[<BOOL>]",
        0,
        "log each failed check, not only state changes",
        |_, _, _| {},
    )),
    not_yet(keyword(
        "lvs_timeouts",
        "[tcp <SECS>] [tcpfin <SECS>] [udp <SECS>]",
        1,
        "IPVS timeouts",
        |_, s, c| {
            while let Some(which) = s.next() {
                match which {
                    "tcp" | "tcpfin" | "udp" => {
                        if int(s, c, 1..=i64::from(i32::MAX), |text| {
                            format!("Invalid lvs_timeout {which} ({text}) - ignoring")
                        })
                        .is_none()
                        {
                            return;
                        }
                    }
                    other => {
                        return c.warn(
                            s.last_span(),
                            format!("Unknown option {other} specified for lvs_timeouts"),
                        );
                    }
                }
            }
        },
    )),
    not_yet(keyword("lvs_flush", "", 0, "clear the IPVS table at start", |_, _, _| {})),
    not_yet(keyword("lvs_flush_on_stop", "[VS]", 0, "clear the IPVS table at stop in one go", |_, _, _| {})),
    not_yet(keyword("lvs_flush_onstop", "[VS]", 0, "deprecated spelling of lvs_flush_on_stop", |_, _, _| {})),
    not_yet(keyword(
        "lvs_sync_daemon",
        "<IF> [[inst] <INSTANCE>] [id <N>] [maxlen <N>] [port <N>] [ttl <N>] [group <ADDR>]",
        1,
        "IPVS connection sync",
        |_, _, _| {},
    )),
    not_yet(keyword(
        "nftables_ipvs",
        "[<TABLE>]",
        0,
        "nftables table that marks packets for virtual server groups",
        |_, _, _| {},
    )),
    not_yet(keyword("nftables_ipvs_priority", "<NUMBER>", 1, "priority of its chains", |_, _, _| {})),
    not_yet(keyword(
        "nftables_ipvs_start_fwmark",
        "<NUMBER>",
        1,
        "first fwmark it hands out (1000)",
        |_, _, _| {},
    )),
    no_effect(keyword(
        "lvs_netlink_cmd_rcv_bufs",
        "<BYTES>",
        1,
        "netlink command socket buffer of the checkers",
        |_, _, _| {},
    )),
    no_effect(keyword(
        "lvs_netlink_cmd_rcv_bufs_force",
        "[<BOOL>]",
        0,
        "allow that buffer above rmem_max",
        |_, _, _| {},
    )),
    no_effect(keyword(
        "lvs_netlink_monitor_rcv_bufs",
        "<BYTES>",
        1,
        "netlink monitor socket buffer of the checkers",
        |_, _, _| {},
    )),
    no_effect(keyword(
        "lvs_netlink_monitor_rcv_bufs_force",
        "[<BOOL>]",
        0,
        "allow that buffer above rmem_max",
        |_, _, _| {},
    )),
    not_yet(keyword(
        "rs_init_notifies",
        "",
        0,
        "run notify scripts for real servers found up at start",
        |_, _, _| {},
    )),
    not_yet(keyword(
        "no_checker_emails",
        "",
        0,
        "mail only when a real server is added or removed",
        |_, _, _| {},
    )),
    not_yet(keyword("snmp_socket", "<SOCKET>", 0, "AgentX master socket", |g, s, c| match s.next() {
        Some(socket) => g.model.snmp.socket = Some(socket.to_owned()),
        None => c.warn(s.span(), "SNMP error : snmp socket name missing"),
    })),
    not_yet(keyword("enable_traps", "", 0, "send SNMP traps", |g, _, _| g.model.snmp.traps = true)),
    not_yet(keyword("enable_snmp_vrrp", "", 0, "serve the vrrp part of KEEPALIVED-MIB", |g, _, _| {
        g.model.snmp.vrrp = true
    })),
    not_yet(keyword("enable_snmp_keepalived", "", 0, "deprecated name of enable_snmp_vrrp", |g, _, _| {
        g.model.snmp.vrrp = true
    })),
    not_yet(keyword("enable_snmp_rfc", "", 0, "serve both RFC MIBs", |g, _, _| {
        g.model.snmp.rfc_v2 = true;
        g.model.snmp.rfc_v3 = true;
    })),
    not_yet(keyword("enable_snmp_rfcv2", "", 0, "serve RFC 2787 VRRP-MIB", |g, _, _| {
        g.model.snmp.rfc_v2 = true
    })),
    not_yet(keyword("enable_snmp_rfcv3", "", 0, "serve RFC 6527 VRRPV3-MIB", |g, _, _| {
        g.model.snmp.rfc_v3 = true
    })),
    not_yet(keyword("enable_snmp_checker", "", 0, "serve the checker part of KEEPALIVED-MIB", |g, _, _| {
        g.model.snmp.checker = true
    })),
    not_yet(keyword(
        "snmp_vs_stats_update_interval",
        "<TIMER>",
        1,
        "how old virtual server counters may be (5 s)",
        |_, _, _| {},
    )),
    not_yet(keyword(
        "snmp_rs_stats_update_interval",
        "<TIMER>",
        1,
        "how old real server counters may be",
        |_, _, _| {},
    )),
    not_yet(keyword("enable_dbus", "", 0, "offer the D-Bus interface", |g, _, _| g.model.dbus = true)),
    not_yet(keyword(
        "dbus_service_name",
        "<NAME>",
        1,
        "bus name (org.keepalived.Vrrp1)",
        |g, s: &mut Statement<'_>, _| {
            g.model.dbus_service_name = Some(s.text());
        },
    )),
    not_yet(keyword(
        "dbus_no_interface_name",
        "<NAME>",
        1,
        "path part for an instance without interface (none)",
        |_, _, _| {},
    )),
];
