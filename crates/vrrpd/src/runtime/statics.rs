//! `static_ipaddress`, `static_routes`, `static_rules`: there while the daemon runs, whatever the states are. What somebody
//! else removes is set again (keepalived's behaviour), and so is what went with an interface that comes back.

use std::net::IpAddr;

use netlink_packet_route::{route::RouteMessage, rule::RuleMessage};

use crate::model::{AddressSpec, Config, RouteSpec};
use crate::netlink::{route, rule};
use crate::status;

use super::actor::Actor;

impl Actor {
    /// `static_ipaddress`: there while the daemon runs, whatever the states are.
    pub(super) async fn add_static_addresses(&mut self) {
        for (ifindex, spec) in self.placed_static_addresses(&self.config) {
            self.add_address("static", ifindex, &spec, None).await;
        }
        let (routes, rules) = (self.config.static_routes.clone(), self.config.static_rules.clone());
        self.add_paths("static", &routes, &rules).await;
    }

    pub(super) async fn remove_static_addresses(&mut self) {
        let (routes, rules) = (self.config.static_routes.clone(), self.config.static_rules.clone());
        self.remove_paths("static", &routes, &rules).await;
        for (ifindex, spec) in self.placed_static_addresses(&self.config) {
            self.remove_address("static", ifindex, &spec).await;
        }
    }

    /// After a reload only what differs is touched.
    pub(super) async fn change_static_addresses(&mut self, after: &Config) {
        let (routes, rules) = (self.config.static_routes.clone(), self.config.static_rules.clone());
        self.change_paths("static", (&routes, &rules), (&after.static_routes, &after.static_rules)).await;
        let (old, new) = (self.placed_static_addresses(&self.config), self.placed_static_addresses(after));
        for (ifindex, spec) in old.iter().filter(|entry| !new.contains(entry)) {
            self.remove_address("static", *ifindex, spec).await;
        }
        for (ifindex, spec) in new.iter().filter(|entry| !old.contains(entry)) {
            self.add_address("static", *ifindex, spec, None).await;
        }
    }

    pub(super) fn placed_static_addresses(&self, config: &Config) -> Vec<(u32, AddressSpec)> {
        config
            .static_addresses
            .iter()
            .filter_map(|spec| {
                let dev = spec.dev.as_deref().unwrap_or(&config.global.default_interface);
                Some((self.interfaces.by_name(dev)?.index, spec.clone()))
            })
            .collect()
    }

    /// A static address was removed, not by us.
    pub(super) async fn restore_static_address(&mut self, ifindex: u32, address: IpAddr) {
        let Some(name) = self.interfaces.by_index(ifindex).map(|link| link.name.clone()) else { return };
        let placed = self.placed_static_addresses(&self.config);
        let is_it =
            |(at, spec): &&(u32, AddressSpec)| *at == ifindex && spec.address == address && !spec.no_track;
        if let Some((_, spec)) = placed.iter().find(is_it) {
            let text = status::address_text(spec, Some(&name), true);
            self.log.info(&format!("Restoring deleted static address {text}"));
            // The kernel drops the routes that lead through an address with it, and says nothing.
            self.restore_static_things_of(ifindex, &name).await;
        }
    }

    /// The same of a route.
    pub(super) async fn restore_static_route(&mut self, gone: &RouteMessage) {
        let lost = |spec: &&RouteSpec| !spec.no_track && route::is_about(gone, spec);
        let Some(spec) = self.config.static_routes.iter().find(lost).cloned() else { return };
        // With its interface down it cannot be set; it comes back with that.
        if spec.dev.as_ref().is_some_and(|dev| !self.interfaces.by_name(dev).is_some_and(|link| link.up)) {
            return;
        }
        self.log.info(&format!("Restoring deleted static route {}", status::route_text(&spec)));
        self.add_paths("static", &[spec], &[]).await;
    }

    /// The same of a rule.
    pub(super) async fn restore_static_rule(&mut self, gone: &RuleMessage) {
        let lost = self.config.static_rules.iter().find(|spec| !spec.no_track && rule::is_about(gone, spec));
        let Some(spec) = lost.cloned() else { return };
        self.log.info(&format!("Restoring deleted static rule {}", status::rule_text(&spec)));
        self.add_paths("static", &[], &[spec]).await;
    }

    /// An interface came up (again): the kernel has dropped the routes over it, and with IPv6 the addresses, too.
    pub(super) async fn restore_static_things_of(&mut self, ifindex: u32, name: &str) {
        for (at, spec) in self.placed_static_addresses(&self.config) {
            if at == ifindex && !self.interfaces.has_address(ifindex, spec.address) {
                self.add_address("static", ifindex, &spec, None).await;
            }
        }
        let over = |spec: &&RouteSpec| spec.dev.as_deref().is_none_or(|dev| dev == name);
        let routes: Vec<RouteSpec> = self.config.static_routes.iter().filter(over).cloned().collect();
        for spec in &routes {
            // Some may still be there, others still have no way to their gateway.
            self.add_paths_quietly(spec).await;
        }
    }
}
