//! Interfaces and addresses come and go: what that means to the routers.

use std::net::IpAddr;

use crate::netlink::{Change, Link};
use crate::vrrp::{Effect, Event, State, Tracker, priority};

use super::{actor::Actor, instance::Instance};

impl Actor {
    /// The address an instance sends from: the configured one, else the interface's first that is
    /// not virtual.
    pub(super) fn source_of(&self, instance: &Instance) -> Option<IpAddr> {
        if let Some(source) = instance.model.source_address {
            let there = !instance.model.track_source_address || self.carries(instance, source);
            return there.then_some(source);
        }
        let device = if instance.model.ipvlan.is_some() { instance.vmac() } else { None };
        let link = self.interfaces.by_name(device.or(instance.model.interface.as_deref())?)?;
        let is_virtual = |address| self.instances.iter().any(|candidate| candidate.is_virtual(address));
        self.interfaces.primary_address(link.index, instance.model.family, is_virtual)
    }

    /// `track_src_ip`: whether the instance's interface, or any without one, has the address.
    fn carries(&self, instance: &Instance, source: IpAddr) -> bool {
        match &instance.model.interface {
            Some(name) => {
                self.interfaces.by_name(name).is_some_and(|l| self.interfaces.has_address(l.index, source))
            }
            None => self.interfaces.addresses().iter().any(|address| address.address == source),
        }
    }

    fn is_up(&self, name: &str) -> bool {
        self.interfaces.by_name(name).is_some_and(|link| self.debounce.held(link.index).unwrap_or(link.up))
    }

    /// What the interfaces and the source address mean to an instance now.
    fn link_events(&self, index: usize) -> Vec<Event> {
        let Some(instance) = self.instances.get(index) else { return Vec::new() };
        let mut events = Vec::new();
        let mut interface = |name: &str| {
            let effect = if self.is_up(name) { Effect::None } else { Effect::Fault };
            events.push(Event::Track { tracker: Tracker::Interface(name.to_owned()), effect });
        };
        if let Some(name) = instance.model.interface.as_deref()
            && !instance.model.dont_track_primary
        {
            interface(name);
        }
        if let Some(vrf) = &instance.model.vrf {
            interface(vrf);
        }
        for name in instance.address_interfaces() {
            interface(&name);
        }
        for name in self.config.static_interfaces_of(&instance.model.name) {
            interface(name);
        }
        for tracked in self.tracked_interfaces(instance) {
            let effect = priority::effect(tracked.1, tracked.2, self.is_up(&tracked.0));
            events.push(Event::Track { tracker: Tracker::TrackedInterface(tracked.0), effect });
        }
        events.push(Event::Source(self.source_of(instance)));
        events
    }

    /// `track_interface` entries of the instance and of its group: name, weight, reverse.
    fn tracked_interfaces(&self, instance: &Instance) -> Vec<(String, i32, bool)> {
        let group = self.config.sync_group_of(&instance.model.name);
        let of_group = group.into_iter().flat_map(|group| &group.track.interfaces);
        instance
            .model
            .track
            .interfaces
            .iter()
            .chain(of_group)
            .map(|tracked| (tracked.name.clone(), tracked.weight, tracked.reverse))
            .collect()
    }

    /// Everything a router must know before it leaves INIT.
    pub(super) fn initial_events(&self, index: usize) -> Vec<Event> {
        let mut events = self.link_events(index);
        let Some(instance) = self.instances.get(index) else { return events };
        if instance.model.config_fault.is_some() {
            let (tracker, effect) = (Tracker::Configuration, Effect::Fault);
            events.push(Event::Track { tracker, effect });
        }
        events
    }

    /// Why a router starts in FAULT.
    pub(super) fn say_faults(&self, index: usize) {
        let Some(instance) = self.instances.get(index) else { return };
        let Some(router) = self.domain.routers().get(index) else { return };
        let name = &instance.model.name;
        for fault in router.faults() {
            match fault {
                Tracker::Interface(link) | Tracker::TrackedInterface(link) => {
                    self.log.info(&format!("({name}): entering FAULT state (interface {link} down)"));
                }
                Tracker::Source => self.log.info(&format!(
                    "({name}) entering FAULT state (no {} address for interface)",
                    instance.model.family.name()
                )),
                Tracker::Configuration => {
                    let reason = instance.model.config_fault.as_deref().unwrap_or("configuration");
                    self.log.info(&format!("({name}) entering FAULT state ({reason})"));
                }
                Tracker::Process(process) => self.log.info(&format!(
                    "({name}) entering FAULT state (tracked process {process} quorum not achieved)"
                )),
                Tracker::Script(_) | Tracker::File(_) | Tracker::Proxy(_) => {}
            }
        }
    }

    /// One change that the monitor reports.
    pub(super) async fn changed(&mut self, change: Change) {
        match change {
            Change::Link(link) => self.link_changed(link).await,
            Change::LinkGone { index } => self.link_gone(index).await,
            Change::Address(address) => {
                let (ifindex, ip) = (address.index, address.address);
                let new = self.interfaces.add_address(address);
                let text = format!("Assigned address {ip} for interface {}", self.interface_name(ifindex));
                if new && self.report_addresses {
                    self.log.info(&text);
                } else if new && !self.is_virtual(ip) {
                    self.log.detail(&text);
                }
                // A virtual address is nobody's source, and there may be hundreds of them.
                if !self.is_virtual(ip) {
                    self.copy_link_locals().await;
                    self.relink().await;
                }
            }
            Change::AddressGone { index, address } => self.address_gone(index, address).await,
            Change::RouteGone(route) => self.route_gone(&route).await,
            Change::RuleGone(rule) => self.rule_gone(&rule).await,
            Change::Overrun => self.read_everything_again().await,
        }
    }

    fn is_virtual(&self, address: IpAddr) -> bool {
        self.instances.iter().any(|instance| instance.is_virtual(address))
    }

    pub(super) fn interface_name(&self, ifindex: u32) -> String {
        self.interfaces.by_index(ifindex).map_or_else(|| ifindex.to_string(), |l| l.name.clone())
    }

    async fn link_changed(&mut self, link: Link) {
        let link = self.newest(link).await;
        let (index, name, up) = (link.index, link.name.clone(), link.up);
        let before = self.interfaces.set_link(link.clone());
        if before.as_ref() == Some(&link) {
            return;
        }
        self.announcer.forget(index);
        let was_down = before.as_ref().is_none_or(|before| !before.up);
        match before {
            Some(before) if before.up == up => {}
            Some(_) if self.is_debounced(index, &name, up) => {}
            Some(_) => {
                let state = if up { "up" } else { "down" };
                self.log.info(&format!("Netlink reports {name} {state}"));
            }
            None => {
                self.log.info(&format!("Interface {name} added"));
                self.set_sysctls();
                self.make_vmacs().await;
                self.reopen_ports().await;
            }
        }
        if up && was_down {
            self.restore_static_things_of(index, &name).await;
        }
        self.relink().await;
    }

    async fn link_gone(&mut self, index: u32) {
        self.announcer.forget(index);
        self.debounce.forget(index);
        let Some(link) = self.interfaces.remove_link(index) else { return };
        self.log.info(&format!("Interface {} deleted", link.name));
        self.listeners.retain(|channel, _| channel.ifindex != index);
        for instance in &mut self.instances {
            if instance.port.as_ref().is_some_and(|(channel, _)| channel.ifindex == index) {
                instance.port = None;
            }
        }
        self.sysctls.forget(&link.name);
        self.relink().await;
        if self.vmacs.iter().any(|vmac| vmac.name == link.name) {
            self.make_vmacs().await;
            self.relink().await;
        }
    }

    /// Opens the sockets of instances whose interface (or source address) has come.
    async fn reopen_ports(&mut self) {
        for index in 0..self.instances.len() {
            if self.instances.get(index).is_some_and(|instance| instance.port.is_none())
                && let Err(error) = self.open_port(index)
            {
                self.log.warning(&error.to_string());
            }
        }
    }

    /// Tells every router what its interfaces are now; unchanged news have no effect.
    pub(super) async fn relink(&mut self) {
        self.reopen_ports().await;
        for index in 0..self.instances.len() {
            for event in self.link_events(index) {
                self.feed(index, event).await;
            }
        }
    }

    /// As with keepalived, a VIP deleted by someone else costs the master state, unless it is `no_track`.
    async fn address_gone(&mut self, ifindex: u32, address: IpAddr) {
        self.interfaces.remove_address(ifindex, address);
        let ours = self.forget_own_removal_if_known(ifindex, address);
        let interface = self.interface_name(ifindex);
        let text = format!("Deassigned address {address} from interface {interface}");
        if self.report_addresses {
            self.log.info(&text);
        } else if !self.is_virtual(address) {
            self.log.detail(&text);
        }
        if !ours && self.is_virtual(address) {
            for index in self.masters_that_lost(&interface, address) {
                if self.removed_by_lease(index) {
                    continue;
                }
                let text = format!("Netlink reflector reports IP {address} removed from {interface}");
                self.log.info(&text);
                self.feed(index, Event::AddressLost).await;
            }
        }
        if !ours {
            self.restore_static_address(ifindex, address).await;
        }
        if !self.is_virtual(address) {
            self.relink().await;
        }
    }

    fn masters_that_lost(&self, interface: &str, address: IpAddr) -> Vec<usize> {
        let lost = |instance: &Instance| {
            instance.model.all_addresses().any(|spec| {
                spec.address == address && !spec.no_track && instance.interface_of(spec) == Some(interface)
            })
        };
        self.instances
            .iter()
            .zip(self.domain.routers())
            .enumerate()
            .filter(|(_, (instance, router))| router.state() == State::Master && lost(instance))
            .map(|(index, _)| index)
            .collect()
    }

    async fn read_everything_again(&mut self) {
        self.log.warning("Netlink: messages lost, reading all interfaces again");
        match self.netlink.interfaces().await {
            Ok(interfaces) => {
                self.interfaces = interfaces;
                self.relink().await;
            }
            Err(error) => self.log.warning(&format!("Netlink: {error}")),
        }
    }
}
