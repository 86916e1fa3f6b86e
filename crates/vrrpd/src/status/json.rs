//! `vrrpd ctl json`: keepalived's JSON, and beside `data` and `stats` of each instance what it has no words for.

use serde_json::{Value, json};

use crate::track::Condition;
use crate::vrrp::{Effect, Router, Steering, rival::Outcome};

use super::stats::instance_json;
use super::view::{View, tracker_label};

/// The whole text, in the layout of `json_version`.
pub fn json_text(view: &View<'_>) -> String {
    let list: Vec<Value> = view
        .config
        .vrrp_instances
        .iter()
        .zip(view.routers)
        .map(|(model, router)| {
            let mut value = instance_json(view, model, router);
            if let Value::Object(map) = &mut value {
                map.insert("vrrpd".to_owned(), beyond(view, &model.name, router));
            }
            value
        })
        .collect();
    let value = match view.config.global.json_version {
        2 => json!({ "vrrp": list, "track_process": [] }),
        _ => Value::Array(list),
    };
    format!("{value}\n")
}

fn beyond(view: &View<'_>, name: &str, router: &Router) -> Value {
    let steering = match router.steering() {
        Steering::None => Value::Null,
        Steering::Priority(priority) => json!(priority),
        Steering::Drained => json!("drained"),
    };
    let trackers: Vec<Value> = router
        .effects()
        .iter()
        .map(|(tracker, effect)| {
            let (kind, name) = tracker_label(tracker);
            let condition = match view.conditions.get(tracker) {
                None | Some(Condition::Unknown) => Value::Null,
                Some(Condition::Good) => json!("good"),
                Some(Condition::Bad) => json!("bad"),
                Some(Condition::Value(value)) => json!(value),
            };
            let weight = match effect {
                Effect::Weight(weight) => *weight,
                _ => 0,
            };
            let (fault, pending) = (*effect == Effect::Fault, *effect == Effect::Pending);
            json!({
                "kind": kind, "name": name, "condition": condition, "weight": weight, "fault": fault,
                "pending": pending,
            })
        })
        .collect();
    let second_masters: Vec<Value> = router
        .rivals()
        .remembered()
        .map(|rival| {
            json!({
                "address": rival.address,
                "priority": rival.priority,
                "since": view.clocks.wall_seconds(rival.since_us),
                "until": view.clocks.wall_seconds(rival.until_us),
                "adverts": rival.adverts,
                "certain": rival.outcome == Outcome::Stayed,
            })
        })
        .collect();
    json!({
        "state": router.state().name(),
        "seconds_in_state": view.clocks.since_us(router.since_us()) as f64 / 1e6,
        "source": router.source(),
        "master": router.master().map(|(address, _)| address),
        "addresses_held": router.holds_addresses(),
        "handing_over": router.is_handing_over(),
        "steering": steering,
        "sync_group": view.group_of(name).map(|(group, _)| &group.name),
        "trackers": trackers,
        "second_masters": second_masters,
    })
}
