//! The text of the dumps, in keepalived's formats.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::{Config, VrrpInstance};
use crate::vrrp::Router;

/// `keepalived.stats`.
pub(super) fn stats(routers: &[Router]) -> String {
    let mut out = String::new();
    for router in routers {
        let counters = router.counters();
        let refused = &counters.refused;
        // Writing to a string cannot fail.
        let _ = write!(
            out,
            "VRRP Instance: {}\n  Advertisements:\n    Received: {}\n    Sent: {}\n  Became master: {}\n  \
             Released master: {}\n  Packet Errors:\n    Length: {}\n    TTL: {}\n    Invalid Type: {}\n    \
             Advertisement Interval: {}\n    Address List: {}\n  Authentication Errors:\n    Invalid Type: {}\n    \
             Type Mismatch: {}\n    Failure: {}\n  Priority Zero:\n    Received: {}\n    Sent: {}\n",
            router.settings().name,
            counters.adverts_received,
            counters.adverts_sent,
            counters.became_master,
            counters.released_master,
            refused.packet_length,
            refused.ttl,
            refused.packet_type,
            refused.advert_interval,
            counters.address_list_errors,
            refused.invalid_auth_type,
            refused.auth_type_mismatch,
            refused.auth_failure,
            counters.priority_zero_received,
            counters.priority_zero_sent,
        );
    }
    out
}

/// `keepalived.data`: the essentials of every instance.
pub(super) fn data(config: &Config, routers: &[Router]) -> String {
    let mut out = String::from("------< VRRP Topology >------\n");
    for (model, router) in config.vrrp_instances.iter().zip(routers) {
        let _ = writeln!(out, " VRRP Instance = {}", model.name);
        let _ = writeln!(out, "   VRRP Version = {}", model.version.number());
        let _ = writeln!(out, "   State = {}", router.state().name());
        if let Some((address, priority)) = router.master() {
            let _ = writeln!(out, "   Master router = {address}");
            let _ = writeln!(out, "   Master priority = {priority}");
        }
        let _ = writeln!(out, "   Interface = {}", model.interface.as_deref().unwrap_or("none"));
        let _ = writeln!(out, "   Virtual Router ID = {}", model.vrid);
        let _ = writeln!(out, "   Priority = {}", model.priority);
        let _ = writeln!(out, "   Effective priority = {}", router.priority());
        let _ = writeln!(out, "   Advert interval = {} sec", model.advert_int_us as f64 / 1e6);
        let _ = writeln!(out, "   Virtual IP ({}):", model.vips.len());
        for spec in &model.vips {
            let _ = writeln!(out, "     {}/{}", spec.address, spec.prefix_len);
        }
    }
    out
}

/// `keepalived.json`: version 1 is a bare array, version 2 an object.
pub(super) fn json(config: &Config, routers: &[Router]) -> String {
    let list: Vec<Value> = config
        .vrrp_instances
        .iter()
        .zip(routers)
        .map(|(model, router)| instance_json(model, router))
        .collect();
    let value = match config.global.json_version {
        2 => json!({ "vrrp": list, "track_process": [] }),
        _ => Value::Array(list),
    };
    value.to_string()
}

fn instance_json(model: &VrrpInstance, router: &Router) -> Value {
    let counters = router.counters();
    let refused = &counters.refused;
    let addresses = |specs: &[crate::model::AddressSpec]| -> Vec<String> {
        specs.iter().map(|spec| format!("{}/{}", spec.address, spec.prefix_len)).collect()
    };
    json!({
        "data": {
            "iname": model.name,
            "dont_track_primary": i32::from(model.dont_track_primary),
            "skip_check_adv_addr": i32::from(model.skip_check_adv_addr),
            "strict_mode": i32::from(model.strict),
            "vmac_ifname": "",
            "ifp_ifname": model.interface,
            "master_priority": router.master().map_or(0, |(_, priority)| priority),
            "garp_delay": model.garp.master_delay_us / 1_000_000,
            "garp_refresh": model.garp.master_refresh_us / 1_000_000,
            "garp_rep": model.garp.master_repeat,
            "garp_refresh_rep": model.garp.master_refresh_repeat,
            "garp_lower_prio_delay": model.garp.lower_prio_delay_us / 1_000_000,
            "garp_lower_prio_rep": model.garp.lower_prio_repeat,
            "lower_prio_no_advert": i32::from(model.lower_prio_no_advert),
            "higher_prio_send_advert": i32::from(model.higher_prio_send_advert),
            "vrid": model.vrid,
            "base_priority": model.priority,
            "effective_priority": router.priority(),
            "vipset": router.holds_addresses(),
            "vips": addresses(&model.vips),
            "evips": addresses(&model.excluded_vips),
            "promote_secondaries": i32::from(model.promote_secondaries),
            "adver_int": model.advert_int_us as f64 / 1e6,
            "master_adver_int": router.master_interval_us() as f64 / 1e6,
            "accept": i32::from(model.accept),
            "nopreempt": !model.preempt.enabled,
            "preempt_delay": model.preempt.delay_us / 1_000_000,
            "state": router.state() as u8,
            "wantstate": model.initial_state as u8 + 1,
            "version": model.version.number(),
            "smtp_alert": model.notify.smtp_alert,
            "notify_deleted": model.notify.says_deleted,
            "auth_type": match model.auth {
                crate::model::Authentication::None => 0,
                crate::model::Authentication::Pass(_) => 1,
                crate::model::Authentication::Ah(_) => 2,
            },
        },
        "stats": {
            "advert_rcvd": counters.adverts_received,
            "advert_sent": counters.adverts_sent,
            "become_master": counters.became_master,
            "release_master": counters.released_master,
            "packet_len_err": refused.packet_length,
            "advert_interval_err": refused.advert_interval,
            "ip_ttl_err": refused.ttl,
            "invalid_type_rcvd": refused.packet_type,
            "addr_list_err": counters.address_list_errors,
            "invalid_authtype": refused.invalid_auth_type,
            "authtype_mismatch": refused.auth_type_mismatch,
            "auth_failure": refused.auth_failure,
            "pri_zero_rcvd": counters.priority_zero_received,
            "pri_zero_sent": counters.priority_zero_sent,
        },
    })
}
