//! Gratuitous ARP and neighbour advertisements for the addresses of a master.

use hacore::time::monotonic_us;

use crate::model::Config;
use crate::net::garp::{Announcement, Pace};
use crate::packet::ndisc::Role;

use super::actor::Actor;

/// The minimum gaps that the configuration asks for.
pub(super) fn pace(config: &Config) -> Pace {
    let interval = config.global.garp_interval;
    Pace { garp_us: interval.garp_us, gna_us: interval.gna_us }
}

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
        let holds = self.domain.routers().get(index).is_some_and(|r| r.holds_addresses());
        let Some(instance) = self.instances.get(index).filter(|_| holds) else { return };
        let role = if instance.model.all_addresses().any(|spec| spec.address.is_ipv6()) {
            role()
        } else {
            Role::Host
        };
        let mut frames = Vec::new();
        for spec in instance.model.all_addresses() {
            let link = instance.interface_of(spec).and_then(|name| self.interfaces.by_name(name));
            if let Some((link, mac)) = link.filter(|link| !link.noarp).and_then(|l| Some((l, l.mac?))) {
                let frame = Announcement { ifindex: link.index, mac, address: spec.address, role };
                frames.push((frame, link.name.clone()));
            }
        }
        let name = instance.model.name.clone();
        for round in 0..repeat {
            for (frame, interface) in &frames {
                self.announce_one(&name, *frame, interface, round == 0);
            }
        }
    }

    fn announce_one(&mut self, name: &str, frame: Announcement, interface: &str, first: bool) {
        let (what, short) = if frame.address.is_ipv4() {
            ("gratuitous ARPs", "gratuitous ARP")
        } else {
            ("unsolicited Neighbour Adverts", "unsolicited Neighbour Advert")
        };
        if first {
            let text = format!("({name}) Sending/queueing {what} on {interface} for {}", frame.address);
            self.log.detail(&text);
        }
        match self.announcer.announce(frame, monotonic_us()) {
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
