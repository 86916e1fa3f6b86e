//! `interface_up_down_delays`: a link that goes down and comes back within its delay has not changed.

use std::collections::BTreeMap;

use hacore::time::monotonic_us;

use super::actor::Actor;

/// A change that does not count yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    /// What still counts.
    up: bool,
    until_us: u64,
}

/// Links whose last change does not count yet, by index.
#[derive(Debug, Default)]
pub(super) struct Debounce(BTreeMap<u32, Held>);

impl Debounce {
    /// The state that counts, where it is not the link's own.
    pub(super) fn held(&self, ifindex: u32) -> Option<bool> {
        self.0.get(&ifindex).map(|held| held.up)
    }

    /// A link is `up` now and was not, or the other way round; `true` when that does not count yet.
    fn changed(&mut self, ifindex: u32, up: bool, delay_us: u64, now_us: u64) -> bool {
        if self.0.remove(&ifindex).is_some() {
            // Back to what still counts.
            return true;
        }
        if delay_us > 0 {
            self.0.insert(ifindex, Held { up: !up, until_us: now_us + delay_us });
        }
        delay_us > 0
    }

    /// The earliest moment at which a change counts, microseconds.
    pub(super) fn next_deadline_us(&self) -> Option<u64> {
        self.0.values().map(|held| held.until_us).min()
    }

    /// Links whose change counts now, with what they are.
    fn due(&mut self, now_us: u64) -> Vec<(u32, bool)> {
        let due: Vec<(u32, bool)> = self
            .0
            .iter()
            .filter(|(_, held)| held.until_us <= now_us)
            .map(|(index, held)| (*index, !held.up))
            .collect();
        self.0.retain(|_, held| held.until_us > now_us);
        due
    }

    /// The link is gone.
    pub(super) fn forget(&mut self, ifindex: u32) {
        self.0.remove(&ifindex);
    }
}

impl Actor {
    /// The delay of an interface. As with keepalived it is held below two adverts of every instance on it, so that a
    /// master cannot be deaf for longer than its backups wait.
    fn delay_us(&self, interface: &str, up: bool) -> u64 {
        let Some(delay) = self.config.interface_delays.iter().find(|delay| delay.interface == interface)
        else {
            return 0;
        };
        let wanted_us = if up { delay.up_us } else { delay.down_us };
        let on_it = self.instances.iter().filter(|i| i.model.interface.as_deref() == Some(interface));
        let limits = on_it.map(|i| 2 * i.model.advert_int_us - i.model.advert_int_us / 256);
        limits.fold(wanted_us, u64::min)
    }

    /// Notes that a link changed; `true` when that does not count yet.
    pub(super) fn is_debounced(&mut self, ifindex: u32, interface: &str, up: bool) -> bool {
        let delay_us = self.delay_us(interface, up);
        let held = self.debounce.changed(ifindex, up, delay_us, monotonic_us());
        if held && self.debounce.held(ifindex).is_some() {
            let state = if up { "up" } else { "down" };
            self.log.detail(&format!("{interface}: Adding change to {state} delay by {delay_us}"));
        }
        held
    }

    /// Changes that count by now.
    pub(super) async fn debounced_links(&mut self, now_us: u64) {
        for (ifindex, up) in self.debounce.due(now_us) {
            let interface = self.interface_name(ifindex);
            let state = if up { "up" } else { "down" };
            self.log.info(&format!("Netlink reports {interface} {state}"));
            self.relink().await;
        }
    }

    /// Delays that are longer than an instance may be deaf are said at start, in keepalived's words.
    pub(super) fn say_long_delays(&self) {
        for instance in &self.instances {
            let Some(interface) = instance.model.interface.as_deref() else { continue };
            let long = |delay: &&crate::model::InterfaceDelay| {
                delay.interface == interface
                    && delay.down_us.max(delay.up_us) >= 2 * instance.model.advert_int_us
            };
            if self.config.interface_delays.iter().any(|delay| long(&delay)) {
                self.log.info(&format!(
                    "{}: interface {interface} debounce timer(s) not less that 2 * advert_int - resetting",
                    instance.model.name
                ));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_that_comes_back_in_time_never_went() {
        let mut debounce = Debounce::default();
        assert!(debounce.changed(3, false, 100, 1000));
        assert_eq!((debounce.held(3), debounce.next_deadline_us()), (Some(true), Some(1100)));
        assert!(debounce.changed(3, true, 100, 1050));
        assert_eq!((debounce.held(3), debounce.next_deadline_us()), (None, None));
        assert!(debounce.changed(3, false, 100, 2000));
        assert_eq!(debounce.due(2099), []);
        assert_eq!(debounce.due(2100), [(3, false)]);
        assert_eq!(debounce.held(3), None);
        assert!(!debounce.changed(3, true, 0, 3000), "without delay it counts at once");
    }
}
