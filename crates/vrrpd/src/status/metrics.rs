//! The metrics for Prometheus.
//!
//! `keepalived_*` with the labels `iname`, `intf`, `vrid` are those of mehdy's (before: cafebazaar's) keepalived-exporter,
//! `keepalived_vrrp_*` with `name`, `intf`, `vrid`, `state` those of gen2brain's keepalived_exporter, so that dashboards
//! and alerts go on working; the latter are untyped here, because counters without `_total` are bad style. `vrrpd_*` is
//! what only this daemon knows.

use std::fmt::Write;

use crate::model::{AddressSpec, VrrpInstance};
use crate::track::Condition;
use crate::version;
use crate::vrrp::{Counters, Router, State, Steering};

use super::data::address_text;
use super::view::{View, tracker_label};

/// A text under construction: every family's head is written once, before its samples.
struct Exposition(String);

type Labels<'a> = &'a [(&'a str, &'a str)];

impl Exposition {
    fn family(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string cannot fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn sample(&mut self, name: &str, labels: Labels<'_>, value: f64) {
        self.0.push_str(name);
        for (index, (label, text)) in labels.iter().enumerate() {
            self.0.push(if index == 0 { '{' } else { ',' });
            let _ = write!(self.0, "{label}=\"{}\"", escaped(text));
        }
        if !labels.is_empty() {
            self.0.push('}');
        }
        let _ = writeln!(self.0, " {value}");
    }

    fn single(&mut self, name: &str, kind: &str, help: &str, value: f64) {
        self.family(name, kind, help);
        self.sample(name, &[], value);
    }
}

/// Backslash, quote and line end, as the exposition format wants them.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

/// One counter of keepalived's under the names of both exporters.
struct CounterSpec {
    name: &'static str,
    short: &'static str,
    help: &'static str,
    value: fn(&Counters) -> u64,
}

const fn counter(
    name: &'static str,
    short: &'static str,
    help: &'static str,
    value: fn(&Counters) -> u64,
) -> CounterSpec {
    CounterSpec { name, short, help, value }
}

const COUNTERS: &[CounterSpec] = &[
    counter("advertisements_received", "advert_rcvd", "Advertisements received", |c| c.adverts_received),
    counter("advertisements_sent", "advert_sent", "Advertisements sent", |c| c.adverts_sent),
    counter("become_master", "become_master", "Times it became master", |c| c.became_master),
    counter("release_master", "release_master", "Times it gave that up", |c| c.released_master),
    counter("packet_length_errors", "packet_len_err", "Packets of a wrong length", |c| {
        c.refused.packet_length
    }),
    counter("advertisements_interval_errors", "advert_interval_err", "Packets of another interval", |c| {
        c.refused.advert_interval
    }),
    counter("ip_ttl_errors", "ip_ttl_err", "Packets of a wrong TTL", |c| c.refused.ttl),
    counter("invalid_type_received", "invalid_type_rcvd", "Packets of a wrong type", |c| {
        c.refused.packet_type
    }),
    counter("address_list_errors", "addr_list_err", "Packets with other addresses", |c| {
        c.address_list_errors
    }),
    counter("authentication_invalid", "invalid_authtype", "Packets with an undefined authentication", |c| {
        c.refused.invalid_auth_type
    }),
    counter("authentication_mismatch", "authtype_mismatch", "Packets with another authentication", |c| {
        c.refused.auth_type_mismatch
    }),
    counter("authentication_failure", "auth_failure", "Packets with a wrong secret", |c| {
        c.refused.auth_failure
    }),
    counter("priority_zero_received", "pri_zero_rcvd", "Good-byes received", |c| c.priority_zero_received),
    counter("priority_zero_sent", "pri_zero_sent", "Good-byes sent", |c| c.priority_zero_sent),
];

/// The whole text.
pub fn metrics(view: &View<'_>) -> String {
    let mut out = Exposition(String::new());
    out.single("keepalived_up", "gauge", "Whether the daemon answers", 1.0);
    states(view, &mut out);
    counters(view, &mut out);
    scripts(view, &mut out);
    instances(view, &mut out);
    trackers(view, &mut out);
    daemon(view, &mut out);
    out.0
}

fn each<'a>(view: &View<'a>) -> impl Iterator<Item = (&'a VrrpInstance, &'a Router, String)> {
    view.config
        .vrrp_instances
        .iter()
        .zip(view.routers)
        .map(|(model, router)| (model, router, model.vrid.to_string()))
}

fn interface(model: &VrrpInstance) -> &str {
    model.interface.as_deref().unwrap_or_default()
}

/// Name, help, and the addresses that it is about.
type StateFamily = (&'static str, &'static str, fn(&VrrpInstance) -> &[AddressSpec]);

fn states(view: &View<'_>, out: &mut Exposition) {
    let families: [StateFamily; 2] = [
        ("keepalived_vrrp_state", "State of each address: 0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT", |m| &m.vips),
        ("keepalived_vrrp_excluded_state", "The same of each excluded address", |m| &m.excluded_vips),
    ];
    for (name, help, addresses) in families {
        out.family(name, "gauge", help);
        for (model, router, vrid) in each(view) {
            for spec in addresses(model) {
                let text = address_text(spec, model.device_of(spec), false);
                let address = text.split(' ').next().unwrap_or_default();
                let device = spec.dev.as_deref().unwrap_or_else(|| interface(model));
                let labels =
                    [("iname", &*model.name), ("intf", device), ("vrid", &*vrid), ("ip_address", address)];
                out.sample(name, &labels, f64::from(router.state() as u8));
            }
        }
    }
    let name = "keepalived_gratuitous_arp_delay_total";
    out.family(name, "counter", "Seconds until the second gratuitous ARP of a new master");
    for (model, _, vrid) in each(view) {
        let labels = [("iname", &*model.name), ("intf", interface(model)), ("vrid", &*vrid)];
        out.sample(name, &labels, (model.garp.master_delay_us / 1_000_000) as f64);
    }
}

fn counters(view: &View<'_>, out: &mut Exposition) {
    for spec in COUNTERS {
        let name = format!("keepalived_{}_total", spec.name);
        out.family(&name, "counter", spec.help);
        for (model, router, vrid) in each(view) {
            let labels = [("iname", &*model.name), ("intf", interface(model)), ("vrid", &*vrid)];
            out.sample(&name, &labels, (spec.value)(router.counters()) as f64);
        }
    }
    for spec in COUNTERS {
        let name = format!("keepalived_vrrp_{}", spec.short);
        out.family(&name, "untyped", spec.help);
        for (model, router, vrid) in each(view) {
            let state = router.state().name();
            let labels =
                [("name", &*model.name), ("intf", interface(model)), ("vrid", &*vrid), ("state", state)];
            out.sample(&name, &labels, (spec.value)(router.counters()) as f64);
        }
    }
}

fn scripts(view: &View<'_>, out: &mut Exposition) {
    let name = "keepalived_script_status";
    out.family(name, "gauge", "Whether the script's last verdict was good");
    for (tracker, condition) in view.conditions {
        let good = match condition {
            Condition::Good => 1.0,
            Condition::Bad => 0.0,
            Condition::Unknown | Condition::Value(_) => continue,
        };
        if let ("script", script) = tracker_label(tracker) {
            out.sample(name, &[("name", script)], good);
        }
    }
}

/// A gauge of every instance.
type InstanceGauge = (&'static str, &'static str, fn(&View<'_>, &VrrpInstance, &Router) -> f64);

const INSTANCE_GAUGES: &[InstanceGauge] = &[
    ("vrrpd_instance_state", "0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT", |_, _, r| f64::from(r.state() as u8)),
    ("vrrpd_instance_priority", "Effective priority", |_, _, r| f64::from(r.priority())),
    ("vrrpd_instance_configured_priority", "Priority of the configuration", |_, m, _| f64::from(m.priority)),
    ("vrrpd_instance_last_transition_time_seconds", "When the state began", |v, _, r| {
        v.clocks.wall_seconds(r.since_us())
    }),
    ("vrrpd_instance_addresses_held", "Whether its addresses are on this machine", |_, _, r| {
        f64::from(u8::from(r.holds_addresses()))
    }),
    ("vrrpd_instance_handing_over", "Whether it keeps them until a new master is heard", |_, _, r| {
        f64::from(u8::from(r.is_handing_over()))
    }),
    ("vrrpd_instance_steered", "Whether it is drained or has another priority by hand", |_, _, r| {
        f64::from(u8::from(r.steering() != Steering::None))
    }),
    ("vrrpd_instance_faults", "Trackers that hold it in FAULT", |_, _, r| r.faults().count() as f64),
];

fn instances(view: &View<'_>, out: &mut Exposition) {
    for (name, help, value) in INSTANCE_GAUGES {
        out.family(name, "gauge", help);
        for (model, router, vrid) in each(view) {
            let labels = [("iname", &*model.name), ("intf", interface(model)), ("vrid", &*vrid)];
            out.sample(name, &labels, value(view, model, router));
        }
    }
    let name = "vrrpd_instance_second_masters_total";
    out.family(name, "counter", "Encounters with another master");
    for (model, router, vrid) in each(view) {
        let labels = [("iname", &*model.name), ("intf", interface(model)), ("vrid", &*vrid)];
        out.sample(name, &labels, router.rivals().count() as f64);
    }
    let name = "vrrpd_sync_group_state";
    out.family(name, "gauge", "0 INIT, 1 BACKUP, 2 MASTER, 3 FAULT");
    for group in view.groups {
        out.sample(name, &[("name", &*group.name)], f64::from(group.state as u8));
    }
}

fn trackers(view: &View<'_>, out: &mut Exposition) {
    let name = "vrrpd_tracker_good";
    out.family(name, "gauge", "Whether a script, process or proxy is as it should be");
    for (tracker, condition) in view.conditions {
        let (kind, which) = tracker_label(tracker);
        match condition {
            Condition::Good => out.sample(name, &[("kind", kind), ("name", which)], 1.0),
            Condition::Bad => out.sample(name, &[("kind", kind), ("name", which)], 0.0),
            Condition::Unknown | Condition::Value(_) => {}
        }
    }
    let name = "vrrpd_track_file_value";
    out.family(name, "gauge", "The number in a tracked file");
    for (tracker, condition) in view.conditions {
        if let Condition::Value(value) = condition {
            out.sample(name, &[("name", tracker_label(tracker).1)], *value as f64);
        }
    }
}

fn daemon(view: &View<'_>, out: &mut Exposition) {
    let life = view.life;
    out.family("vrrpd_build_info", "gauge", "Always 1; the labels say what runs");
    out.sample("vrrpd_build_info", &[("version", version::VERSION), ("dialect", version::DIALECT)], 1.0);
    let masters = view.routers.iter().filter(|router| router.state() == State::Master).count();
    out.single("vrrpd_masters", "gauge", "Instances that are master", masters as f64);
    let start = view.clocks.wall_seconds(life.started_us);
    out.single("vrrpd_start_time_seconds", "gauge", "When the worker process started", start);
    let read = view.clocks.wall_seconds(life.read_us);
    out.single("vrrpd_config_read_time_seconds", "gauge", "When the configuration in use was read", read);
    let good = if life.refused.is_none() { 1.0 } else { 0.0 };
    out.single("vrrpd_config_last_reload_successful", "gauge", "0 after a refused reload", good);
    out.family("vrrpd_reloads_total", "counter", "Reloads by outcome");
    out.sample("vrrpd_reloads_total", &[("result", "done")], life.reloads as f64);
    out.sample("vrrpd_reloads_total", &[("result", "refused")], life.reloads_refused as f64);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_escaped() {
        let mut out = Exposition(String::new());
        out.sample("x", &[("a", "b\"c\\d\ne"), ("f", "g")], 1.5);
        assert_eq!(out.0, "x{a=\"b\\\"c\\\\d\\ne\",f=\"g\"} 1.5\n");
    }
}
