//! The text of the dumps, in keepalived's formats.

use std::fmt::Write;

use serde_json::{Value, json};

use crate::model::{AddressSpec, Authentication, InitialState, TrackProcess, VrrpInstance};
use crate::track::Condition;
use crate::vrrp::{Router, State, Tracker};

use super::data::{address_text, command_text, route_text, rule_text};
use super::view::View;

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

/// Where it is or goes: the configured state until it has been master once, FAULT in FAULT (keepalived's behaviour).
pub(super) fn wanted_state(model: &VrrpInstance, router: Option<&Router>) -> State {
    let been = |router: &Router| router.counters().became_master > 0;
    match (router.map(Router::state), model.initial_state) {
        (Some(state @ (State::Master | State::Fault)), _) => state,
        (_, InitialState::Master) if !router.is_some_and(been) => State::Master,
        _ => State::Backup,
    }
}

/// `keepalived.json`: version 1 is a bare array, version 2 an object.
pub(super) fn json(view: &View<'_>) -> String {
    let instances = view.config.vrrp_instances.iter().zip(view.routers);
    let list: Vec<Value> = instances.map(|(model, router)| instance_json(view, model, router)).collect();
    let value = match view.config.global.json_version {
        2 => json!({ "vrrp": list, "track_process": processes_json(view) }),
        _ => Value::Array(list),
    };
    value.to_string()
}

/// `track_process` of version 2: the manual names it without its fields, which are those of the block.
fn processes_json(view: &View<'_>) -> Vec<Value> {
    let one = |process: &TrackProcess| {
        let condition = view.conditions.get(&Tracker::Process(process.name.clone()));
        json!({
            "name": process.name,
            "process": process.process,
            "quorum": process.quorum,
            "quorum_max": process.quorum_max,
            "have_quorum": condition == Some(&Condition::Good),
            "weight": process.weight,
        })
    };
    view.config.track_processes.iter().map(one).collect()
}

pub(super) fn instance_json(view: &View<'_>, model: &VrrpInstance, router: &Router) -> Value {
    let counters = router.counters();
    let refused = &counters.refused;
    let held = router.holds_addresses();
    let vmac = model.vmac.as_ref().and_then(|vmac| vmac.name.as_deref());
    let addresses = |specs: &[AddressSpec]| -> Vec<String> {
        let text = |spec: &AddressSpec| {
            let dev = model.device_of(spec).map(|dev| view.device_text(dev));
            address_text(spec, dev.as_ref(), held)
        };
        specs.iter().map(text).collect()
    };
    let mut value = json!({
        "data": {
            "iname": model.name,
            "dont_track_primary": i32::from(model.dont_track_primary),
            "skip_check_adv_addr": i32::from(model.skip_check_adv_addr),
            "strict_mode": i32::from(model.strict),
            "vmac_ifname": vmac.unwrap_or_default(),
            "ifp_ifname": vmac.or(model.interface.as_deref()),
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
            "last_transition": view.clocks.wall_seconds(router.since_us()),
            "vipset": router.holds_addresses(),
            "vips": addresses(&model.vips),
            "promote_secondaries": model.promote_secondaries,
            "adver_int": model.advert_int_us as f64 / 1e6,
            "master_adver_int": router.master_interval_us() as f64 / 1e6,
            "accept": i32::from(model.accept),
            "nopreempt": !model.preempt.enabled,
            "preempt_delay": model.preempt.delay_us / 1_000_000,
            "state": router.state() as u8,
            "wantstate": wanted_state(model, Some(router)) as u8,
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
    if let Some(Value::Object(data)) = value.get_mut("data") {
        let notify = &model.notify;
        let scripts = [
            ("script_backup", &notify.backup),
            ("script_master", &notify.master),
            ("script_fault", &notify.fault),
            ("script_stop", &notify.stop),
            ("script", &notify.any),
            ("script_master_rx_lower_pri", &notify.master_rx_lower_pri),
        ];
        for (name, command) in scripts {
            if let Some(command) = command {
                data.insert(name.to_owned(), json!(command_text(command)));
            }
        }
        let track = &model.track;
        let commands = track.scripts.iter().filter_map(|tracked| view.config.script(&tracked.name));
        let lists: [(&str, Vec<String>); 5] = [
            ("evips", addresses(&model.excluded_vips)),
            ("vroutes", model.routes.iter().map(route_text).collect()),
            ("vrules", model.rules.iter().map(rule_text).collect()),
            ("track_script", commands.map(|script| command_text(&script.command)).collect()),
            ("track_ifp", track.interfaces.iter().map(|tracked| tracked.name.clone()).collect()),
        ];
        for (name, list) in lists {
            if !list.is_empty() {
                data.insert(name.to_owned(), json!(list));
            }
        }
    }
    value
}
