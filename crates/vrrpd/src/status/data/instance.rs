//! The section of one virtual router.

use crate::model::{Authentication, NotifyScripts, UnicastChecksum, Version, VrrpInstance};
use crate::packet::Family;
use crate::vrrp::{Router, State, Tracker};

use super::super::stats::wanted_state;
use super::super::view::View;
use super::{Lines, address_text, moment, on, plain_seconds, route_text, rule_text, yes};

impl Lines {
    pub(super) fn instance(&mut self, view: &View<'_>, model: &VrrpInstance, router: Option<&Router>) {
        self.line(format!(" VRRP Instance = {}", model.name));
        self.value("VRRP Version", model.version.number());
        if let Some((group, _)) = view.group_of(&model.name) {
            self.value("Sync group", &group.name);
        }
        if model.family == Family::V6 {
            self.line("   Using Native IPv6");
        }
        if let Some(router) = router {
            self.value("State", router.state().name());
        }
        self.flags(model);
        self.value("Wantstate", wanted_state(model, router).name());
        if let Some(router) = router {
            self.state(view, model, router);
        }
        self.place(view, model, router);
        self.settings(model, router);
        self.addresses(view, model, router.is_some_and(Router::holds_addresses));
        self.tracked(&model.track);
        self.notification(&model.notify);
    }

    fn flags(&mut self, model: &VrrpInstance) {
        let flags = [
            (model.unicast.is_some(), "Using unicast"),
            (model.dont_track_primary, "Don't track primary"),
            (model.skip_check_adv_addr, "Skip check advert addr"),
            (model.strict, "Strict mode"),
            (model.owner_ignore_adverts, "Owner ignore adverts"),
            (model.v3_checksum_as_v2, "v3 checksum as v2"),
        ];
        if flags.iter().all(|(set, _)| !set) {
            return self.value_of_flags();
        }
        self.line("   Flags:");
        flags.iter().filter(|(set, _)| *set).for_each(|(_, flag)| self.line(format!("     {flag}")));
    }

    fn value_of_flags(&mut self) {
        self.line("   Flags: none");
    }

    fn state(&mut self, view: &View<'_>, model: &VrrpInstance, router: &Router) {
        if let Some((address, priority)) = router.master().filter(|_| router.state() == State::Backup) {
            self.value("Master router", address);
            self.value("Master priority", priority);
            if model.version == Version::V3 {
                self.value("Master advert int", format!("{} milli-sec", router.master_interval_us() / 1000));
            }
        }
        let config_faults = usize::from(model.config_fault.is_some());
        self.value("Number of config faults", config_faults);
        let other = router.faults().filter(|tracker| **tracker != Tracker::Configuration).count();
        self.value("Number of interface and track script faults", other);
        self.value("Number of track scripts init", router.pending_trackers());
        self.value("Last transition", moment(view.clocks.wall_seconds(router.since_us())));
        match router.next_deadline_us() {
            Some(at_us) => self.value("Read timeout", moment(view.clocks.wall_seconds_ahead(at_us))),
            None => self.value("Read timeout", "DISABLED"),
        }
        self.value("Master down timer", format!("{} usecs", router.master_down_interval_us()));
    }

    fn place(&mut self, view: &View<'_>, model: &VrrpInstance, router: Option<&Router>) {
        let base = model.interface.as_deref().unwrap_or("none");
        match model.vmac.as_ref().and_then(|vmac| Some((vmac, vmac.name.as_deref()?))) {
            None => self.value("Interface", base),
            Some((vmac, name)) => {
                let up = view.interfaces.by_name(name).is_some_and(|link| link.up);
                let kind = if model.ipvlan.is_some() { "IPVLAN" } else { "VMAC" };
                let base_sends = vmac.xmit_base;
                self.line(format!("   Use {kind}, i/f name {name}, is_up = {up}, xmit_base = {base_sends}"));
                self.value("Interface", format!("{name}, {} on {base}", kind.to_lowercase()));
            }
        }
        if let Some(source) = router.and_then(Router::source) {
            let origin = if model.source_address.is_some() { " (from configuration)" } else { "" };
            self.value("Using src_ip", format!("{source}{origin}"));
        }
        if model.unicast.is_none() {
            let link = model.interface.as_deref().and_then(|name| view.interfaces.by_name(name));
            let index = link.filter(|_| model.family == Family::V6).map(|link| link.index);
            let index = index.map(|index| format!(", ifindex {index}")).unwrap_or_default();
            self.line(format!("   Multicast address {}{index}", model.multicast_group));
        }
    }

    fn settings(&mut self, model: &VrrpInstance, router: Option<&Router>) {
        let garp = &model.garp;
        self.value("Gratuitous ARP delay", plain_seconds(garp.master_delay_us));
        self.value("Gratuitous ARP repeat", garp.master_repeat);
        self.value("Gratuitous ARP refresh", plain_seconds(garp.master_refresh_us));
        self.value("Gratuitous ARP refresh repeat", garp.master_refresh_repeat);
        self.value("Gratuitous ARP lower priority delay", plain_seconds(garp.lower_prio_delay_us));
        self.value("Gratuitous ARP lower priority repeat", garp.lower_prio_repeat);
        self.value("Down timer adverts", model.down_timer_adverts);
        self.value("Send advert after receive lower priority advert", !model.lower_prio_no_advert);
        self.value("Send advert after receive higher priority advert", model.higher_prio_send_advert);
        self.value("Virtual Router ID", model.vrid);
        self.value("Priority", model.priority);
        let effective = router.map_or(model.priority, Router::priority);
        self.value("Effective priority", effective);
        self.value("Total priority", router.map_or(i64::from(model.priority), Router::total_priority));
        self.value(
            "Advert interval",
            match model.version {
                Version::V2 => format!("{} sec", plain_seconds(model.advert_int_us)),
                Version::V3 => format!("{} milli-sec", model.advert_int_us / 1000),
            },
        );
        self.value("Accept", on(model.accept));
        self.value("Preempt", on(model.preempt.enabled));
        if model.preempt.delay_us > 0 {
            self.value("Preempt delay", format!("{} secs", plain_seconds(model.preempt.delay_us)));
        }
        self.value("Promote_secondaries", on(model.promote_secondaries));
        if model.version == Version::V2 {
            // The secret is nobody's business: the file is read by exporters.
            let kind = match model.auth {
                Authentication::None => "none",
                Authentication::Pass(_) => "SIMPLE_PASSWORD",
                Authentication::Ah(_) => "IPSEC_AH",
            };
            self.value("Authentication type", kind);
        }
    }

    fn addresses(&mut self, view: &View<'_>, model: &VrrpInstance, held: bool) {
        let text = |spec| {
            let dev = model.device_of(spec).map(|dev| view.device_text(dev));
            address_text(spec, dev.as_ref(), held)
        };
        if !model.vips.is_empty() {
            self.line(format!("   Virtual IP ({}):", model.vips.len()));
        }
        for spec in &model.vips {
            self.line(format!("     {}", text(spec)));
        }
        self.list("Virtual IP Excluded", model.excluded_vips.iter().map(text));
        if let Some(unicast) = &model.unicast {
            self.value("Unicast TTL", unicast.ttl.unwrap_or(crate::packet::VRRP_TTL));
            self.line(format!("   Check unicast src : {}", yes(model.check_unicast_source)));
            let limits = unicast.peers.iter().map(|peer| {
                let (min, max) = (peer.min_ttl.unwrap_or(0), peer.max_ttl.unwrap_or(u8::MAX));
                format!("{} min_ttl {min} max_ttl {max}", peer.address)
            });
            self.list("Unicast Peer", limits);
            if model.family == Family::V4 {
                let compatible = match unicast.checksum {
                    UnicastChecksum::Auto => "no",
                    UnicastChecksum::Old => "config",
                    UnicastChecksum::Never => "never",
                };
                self.value("Unicast checksum compatibility", compatible);
            }
        }
        if let Some(socket) = view.sockets.iter().find(|socket| socket.instances.contains(&model.name)) {
            self.line(format!("   fd_in {}, fd_out {}", socket.fd_in, socket.fd_out));
        }
        self.list("Virtual Routes", model.routes.iter().map(route_text));
        self.list("Virtual Rules", model.rules.iter().map(rule_text));
    }

    fn notification(&mut self, notify: &NotifyScripts) {
        self.value("Using smtp notification", yes(notify.smtp_alert));
        self.value("Notify deleted", if notify.says_deleted { "Deleted" } else { "Fault" });
        self.scripts_of(notify);
        self.value("Notify priority changes", notify.priority_changes);
    }
}
