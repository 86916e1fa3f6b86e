//! The text of the dumps, in keepalived's formats.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::{AddressSpec, Authentication, Config, InitialState, VrrpInstance};
use crate::netlink::address::broadcast;
use crate::vrrp::Router;

use super::Clocks;

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

/// `keepalived.data`: the section of the instances. Routers that do not run yet have no state lines.
pub(super) fn data(config: &Config, routers: &[Router], clocks: Clocks) -> String {
    let mut out = String::from("------< VRRP Topology >------\n");
    for (index, model) in config.vrrp_instances.iter().enumerate() {
        let router = routers.get(index);
        let lines = state_lines(model, router, clocks).into_iter().chain(setting_lines(model, router));
        let _ = writeln!(out, " VRRP Instance = {}", model.name);
        for (name, value) in lines {
            let _ = writeln!(out, "   {name} = {value}");
        }
        let held = router.is_some_and(Router::holds_addresses);
        for (title, specs) in [("Virtual IP", &model.vips), ("Virtual IP Excluded", &model.excluded_vips)] {
            if specs.is_empty() {
                continue;
            }
            let _ = writeln!(out, "   {title} ({}):", specs.len());
            for spec in specs {
                let _ = writeln!(out, "     {}", address_text(spec, model, held));
            }
        }
    }
    out
}

type Line = (&'static str, String);

fn state_lines(model: &VrrpInstance, router: Option<&Router>, clocks: Clocks) -> Vec<Line> {
    let mut lines = vec![("VRRP Version", model.version.number().to_string())];
    if let Some(router) = router {
        lines.push(("State", router.state().name().into()));
        if let Some((address, priority)) = router.master() {
            lines.push(("Master router", address.to_string()));
            lines.push(("Master priority", priority.to_string()));
        }
        lines.push(("Last transition", format!("{:.6}", clocks.wall_seconds(router.since_us()))));
        if let Some(source) = router.source() {
            lines.push(("Using src_ip", source.to_string()));
        }
    }
    lines
}

fn setting_lines(model: &VrrpInstance, router: Option<&Router>) -> Vec<Line> {
    let enabled = |on: bool| if on { "enabled" } else { "disabled" }.to_owned();
    let seconds = |us: u64| (us as f64 / 1e6).to_string();
    let garp = &model.garp;
    vec![
        ("Wantstate", format!("{:?}", model.initial_state).to_uppercase()),
        ("Interface", model.interface.clone().unwrap_or_else(|| "none".into())),
        ("Gratuitous ARP delay", seconds(garp.master_delay_us)),
        ("Gratuitous ARP repeat", garp.master_repeat.to_string()),
        ("Gratuitous ARP refresh", seconds(garp.master_refresh_us)),
        ("Gratuitous ARP refresh repeat", garp.master_refresh_repeat.to_string()),
        ("Gratuitous ARP lower priority delay", seconds(garp.lower_prio_delay_us)),
        ("Gratuitous ARP lower priority repeat", garp.lower_prio_repeat.to_string()),
        ("Down timer adverts", model.down_timer_adverts.to_string()),
        ("Send advert after receive lower priority advert", (!model.lower_prio_no_advert).to_string()),
        ("Send advert after receive higher priority advert", model.higher_prio_send_advert.to_string()),
        ("Virtual Router ID", model.vrid.to_string()),
        ("Priority", model.priority.to_string()),
        ("Effective priority", router.map_or(model.priority, Router::priority).to_string()),
        ("Advert interval", format!("{} sec", seconds(model.advert_int_us))),
        ("Accept", enabled(model.accept)),
        ("Preempt", enabled(model.preempt.enabled)),
        ("Promote_secondaries", enabled(model.promote_secondaries)),
        ("Authentication type", auth_name(model).into()),
    ]
}

fn auth_name(model: &VrrpInstance) -> &'static str {
    match model.auth {
        Authentication::None => "none",
        Authentication::Pass(_) => "SIMPLE_PASSWORD",
        Authentication::Ah(_) => "IPSEC_AH",
    }
}

/// An address as keepalived's dumps show it.
pub(super) fn address_text(spec: &AddressSpec, model: &VrrpInstance, held: bool) -> String {
    let mut out = format!("{}/{}", spec.address, spec.prefix_len);
    if let Some(broadcast) = broadcast(spec) {
        let _ = write!(out, " brd {broadcast}");
    }
    if let Some(dev) = spec.dev.as_ref().or(model.interface.as_ref()) {
        let _ = write!(out, " dev {dev}");
    }
    let scope = match spec.scope {
        None | Some(0) => "global".to_owned(),
        Some(200) => "site".to_owned(),
        Some(253) => "link".to_owned(),
        Some(254) => "host".to_owned(),
        Some(other) => other.to_string(),
    };
    let _ = write!(out, " scope {scope}");
    if let Some(label) = &spec.label {
        let _ = write!(out, " label {label}");
    }
    if held {
        out.push_str(" set");
    }
    out
}

/// `keepalived.json`: version 1 is a bare array, version 2 an object.
pub(super) fn json(config: &Config, routers: &[Router], clocks: Clocks) -> String {
    let list: Vec<Value> = config
        .vrrp_instances
        .iter()
        .zip(routers)
        .map(|(model, router)| instance_json(model, router, clocks))
        .collect();
    let value = match config.global.json_version {
        2 => json!({ "vrrp": list, "track_process": [] }),
        _ => Value::Array(list),
    };
    value.to_string()
}

pub(super) fn instance_json(model: &VrrpInstance, router: &Router, clocks: Clocks) -> Value {
    let counters = router.counters();
    let refused = &counters.refused;
    let held = router.holds_addresses();
    let addresses = |specs: &[AddressSpec]| -> Vec<String> {
        specs.iter().map(|spec| address_text(spec, model, held)).collect()
    };
    let mut value = json!({
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
            "last_transition": clocks.wall_seconds(router.since_us()),
            "vipset": router.holds_addresses(),
            "vips": addresses(&model.vips),
            "promote_secondaries": i32::from(model.promote_secondaries),
            "adver_int": model.advert_int_us as f64 / 1e6,
            "master_adver_int": router.master_interval_us() as f64 / 1e6,
            "accept": i32::from(model.accept),
            "nopreempt": !model.preempt.enabled,
            "preempt_delay": model.preempt.delay_us / 1_000_000,
            "state": router.state() as u8,
            "wantstate": match model.initial_state {
                InitialState::Backup => 1,
                InitialState::Master => 2,
            },
            "version": model.version.number(),
            "smtp_alert": model.notify.smtp_alert,
            "notify_deleted": model.notify.says_deleted,
            "auth_type": match model.auth {
                Authentication::None => 0,
                Authentication::Pass(_) => 1,
                Authentication::Ah(_) => 2,
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
    });
    if !model.excluded_vips.is_empty()
        && let Some(data) = value.get_mut("data")
    {
        data["evips"] = json!(addresses(&model.excluded_vips));
    }
    value
}
