//! Gratuitous ARP and neighbour advertisements for the addresses of a master.

use hacore::time::monotonic_us;

use crate::model::AddressSpec;
use crate::net::garp::{Announcement, Lane, LaneKey};
use crate::netlink::Link;
use crate::packet::ndisc::Role;

use super::{actor::Actor, instance::Instance};

/// Whether this host forwards IPv6, which neighbours are told.
fn role() -> Role {
    match std::fs::read_to_string("/proc/sys/net/ipv6/conf/all/forwarding") {
        Ok(text) if text.trim() != "0" => Role::Router,
        _ => Role::Host,
    }
}

impl Actor {
    /// Announces every address of an instance `repeat` times, round robin by address (keepalived's behaviour).
    pub(super) fn announce(&mut self, index: usize, repeat: u32) {
        self.announce_those(index, repeat, |_, _| true);
    }

    /// `garp_extra_if`: announces the addresses on interfaces that no advert leaves by, so that switches remember where
    /// they are.
    pub(super) fn announce_elsewhere(&mut self, index: usize) {
        let vmacs: Vec<String> = self.vmacs.iter().map(|vmac| vmac.name.clone()).collect();
        self.announce_those(index, 1, |instance, spec| {
            let device = instance.interface_of(spec);
            let all = instance.model.garp.extra_interfaces.is_some_and(|extra| extra.all);
            device != instance.advert_interface()
                && (all || vmacs.iter().any(|vmac| Some(vmac.as_str()) == device))
        });
    }

    fn announce_those(
        &mut self,
        index: usize,
        repeat: u32,
        wanted: impl Fn(&Instance, &AddressSpec) -> bool,
    ) {
        let holds = self.domain.routers().get(index).is_some_and(|r| r.holds_addresses());
        let Some(instance) = self.instances.get(index).filter(|_| holds) else { return };
        let role = if instance.model.all_addresses().any(|spec| spec.address.is_ipv6()) {
            role()
        } else {
            Role::Host
        };
        let mut frames = Vec::new();
        for spec in instance.model.all_addresses().filter(|spec| wanted(instance, spec)) {
            let link = instance.interface_of(spec).and_then(|name| self.interfaces.by_name(name));
            if let Some((link, mac)) = link.filter(|link| !link.noarp).and_then(|l| Some((l, l.mac?))) {
                let frame = Announcement { ifindex: link.index, mac, address: spec.address, role };
                frames.push((frame, link.name.clone(), self.lane_of(link, spec.address.is_ipv4())));
            }
        }
        let name = instance.model.name.clone();
        for round in 0..repeat {
            for (frame, interface, lane) in &frames {
                self.announce_one(&name, *frame, (interface, *lane), round == 0);
            }
        }
    }

    /// The lane of an interface: that of its `garp_group`, else its own. A vmac waits with the interface below it.
    fn lane_of(&self, link: &Link, is_ipv4: bool) -> Lane {
        let vmac = self.vmacs.iter().find(|vmac| vmac.name == link.name);
        let physical = vmac.map_or(&link.name, |vmac| &vmac.parent);
        let choose = |garp_us, gna_us| if is_ipv4 { garp_us } else { gna_us };
        let interval = self.config.global.garp_interval;
        let mut groups = self.config.garp_groups.iter().enumerate();
        let group = groups.find(|(_, group)| group.interfaces.iter().any(|name| name == physical));
        match group {
            Some((position, group)) => Lane {
                key: LaneKey::Group(position),
                gap_us: choose(group.garp_interval_us, group.gna_interval_us),
            },
            None => Lane {
                key: LaneKey::Interface(link.index),
                gap_us: choose(interval.garp_us, interval.gna_us),
            },
        }
    }

    fn announce_one(
        &mut self,
        name: &str,
        frame: Announcement,
        (interface, lane): (&str, Lane),
        first: bool,
    ) {
        let (what, short) = if frame.address.is_ipv4() {
            ("gratuitous ARPs", "gratuitous ARP")
        } else {
            ("unsolicited Neighbour Adverts", "unsolicited Neighbour Advert")
        };
        if first {
            let text = format!("({name}) Sending/queueing {what} on {interface} for {}", frame.address);
            self.log.detail(&text);
        }
        match self.announcer.announce(frame, lane, monotonic_us()) {
            Ok(()) => {
                self.log.detail(&format!("Sending {short} on {interface} for {}", frame.address));
            }
            Err(error) => {
                let text = format!("Error sending {short} on {interface} for {}: {error}", frame.address);
                self.log.info(&text);
            }
        }
    }
}
