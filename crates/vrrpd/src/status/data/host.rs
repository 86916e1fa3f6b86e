//! The sections about the machine: sockets, and interfaces with who follows them. Counters of keepalived's own work on an
//! interface are left out.

use std::fmt::Write;

use crate::net::Channel;
use crate::netlink::Link;
use crate::packet::{Family, IPPROTO_AH};

use super::super::view::View;
use super::{Lines, plain_seconds};

impl Lines {
    pub(super) fn sockets(&mut self, view: &View<'_>) {
        self.line("------< VRRP Sockpool >------");
        for socket in view.sockets {
            let Channel { interface, address, protocol, .. } = &socket.channel;
            self.line(format!(" fd_in {} fd_out = {}", socket.fd_in, socket.fd_out));
            self.value("Interface", if interface.is_empty() { "(none)" } else { interface });
            self.value("Family", socket.channel.family().name());
            self.value("Protocol", if *protocol == IPPROTO_AH { "AH" } else { "VRRP" });
            if socket.channel.is_multicast() {
                self.value("Type", "Multicast");
            } else {
                self.value("Type", "Unicast");
                self.value("Address", address);
            }
            self.value("Rx buf size", socket.receive_buffer_bytes.unwrap_or(0));
            self.line("   VRRP instances");
            for model in view.config.vrrp_instances.iter().filter(|m| socket.instances.contains(&m.name)) {
                self.line(format!("     {} vrid {}", model.name, model.vrid));
            }
        }
    }

    pub(super) fn interfaces(&mut self, view: &View<'_>) {
        self.line("------< Interfaces >------");
        for link in view.interfaces.links() {
            self.interface(view, link);
        }
    }

    fn interface(&mut self, view: &View<'_>, link: &Link) {
        self.line(format!(" Name = {}", link.name));
        self.value("index", link.index);
        for family in [Family::V4, Family::V6] {
            let address = view.interfaces.primary_address(link.index, family, |_| false);
            let text = address.map_or_else(|| "(none)".to_owned(), |address| address.to_string());
            self.value(&format!("{} address", family.name()), text);
        }
        if let Some(mac) = link.mac.filter(|mac| *mac != [0; 6]) {
            let hex: Vec<String> = mac.iter().map(|byte| format!("{byte:02x}")).collect();
            self.value("MAC", hex.join(":"));
        }
        let mut state = String::from(if link.admin_up { "UP" } else { "not UP" });
        state.push_str(if link.running { ", RUNNING" } else { ", not RUNNING" });
        if link.noarp {
            state.push_str(", no arp");
        }
        self.value("State", state);
        if let Some(delay) = view.config.interface_delays.iter().find(|delay| delay.interface == link.name) {
            self.value("Up debounce timer", format!("{}us", delay.up_us));
            self.value("Down debounce timer", format!("{}us", delay.down_us));
        }
        let below = link.macvlan_over.or(link.ipvlan_over).and_then(|index| view.interfaces.by_index(index));
        if let Some(below) = below {
            let kind = if link.ipvlan_over.is_some() { "IPVLAN" } else { "VMAC" };
            let state = if below.up { "UP, RUNNING" } else { "not RUNNING" };
            self.line(format!(
                "   {kind} type private, underlying interface = {}, state = {state}",
                below.name
            ));
        }
        self.value("MTU", link.mtu);
        self.garp_lane(view, &link.name);
        self.followers_of_interface(view, &link.name);
    }

    fn garp_lane(&mut self, view: &View<'_>, name: &str) {
        let mut groups = view.config.garp_groups.iter().enumerate();
        let group = groups.find(|(_, group)| group.interfaces.iter().any(|member| member == name));
        if let Some((index, group)) = group {
            self.line(format!("   Gratuitous ARP interval {}ms", group.garp_interval_us / 1000));
            self.line(format!("   Gratuitous NA interval {}ms", group.gna_interval_us / 1000));
            self.line(format!("   Gratuitous ARP aggregation group {}", index + 1));
        }
    }

    fn followers_of_interface(&mut self, view: &View<'_>, name: &str) {
        let mut lines = Vec::new();
        for model in &view.config.vrrp_instances {
            let group = view.config.sync_group_of(&model.name).map(|group| &group.track);
            let sets = std::iter::once(&model.track).chain(group);
            let tracked =
                sets.flat_map(|set| &set.interfaces).find(|tracked| tracked.name == name).map(|t| t.weight);
            let own = model.interface.as_deref() == Some(name) && !model.dont_track_primary
                || model.all_addresses().any(|spec| spec.dev.as_deref() == Some(name))
                || view.config.static_interfaces_of(&model.name).contains(&name);
            if let Some(weight) = tracked.or(own.then_some(0)) {
                lines.push(format!("{}, weight {weight}", model.name));
            }
        }
        self.list("Tracking VRRP instances", lines);
    }

    pub(super) fn garp_groups(&mut self, view: &View<'_>) {
        if view.config.garp_groups.is_empty() {
            return;
        }
        self.line("------< Gratuitous ARP delays >------");
        for (index, group) in view.config.garp_groups.iter().enumerate() {
            self.line(format!("------< GARP delay group {} >------", index + 1));
            self.line(format!(" GARP interval = {}", plain_seconds(group.garp_interval_us)));
            self.line(format!(" GNA interval = {}", plain_seconds(group.gna_interval_us)));
            self.line(" Interfaces");
            group.interfaces.iter().for_each(|name| self.line(format!("  {name}")));
        }
    }

    pub(super) fn static_things(&mut self, view: &View<'_>) {
        let config = view.config;
        let section = |out: &mut Self, title: &str, lines: Vec<String>| {
            if !lines.is_empty() {
                out.line(format!("------< {title} >------"));
                lines.iter().for_each(|line| out.line(format!("     {line}")));
            }
        };
        let default = Some(&config.global.default_interface);
        let address = |spec: &crate::model::AddressSpec| {
            super::address_text(spec, spec.dev.as_ref().or(default), view.is_running())
        };
        section(self, "Static Addresses", config.static_addresses.iter().map(address).collect());
        section(self, "Static Routes", config.static_routes.iter().map(super::route_text).collect());
        section(self, "Static Rules", config.static_rules.iter().map(super::rule_text).collect());
        if config.track_groups.is_empty() {
            return;
        }
        self.line("------< Static Track groups >------");
        for group in &config.track_groups {
            let mut text = String::new();
            // Writing to a string cannot fail.
            let _ = write!(text, " Static Track Group = {}", group.name);
            self.line(text);
            self.list("VRRP member instances", group.members.iter().cloned());
        }
    }
}
