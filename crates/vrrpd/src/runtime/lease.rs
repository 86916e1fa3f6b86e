//! Addresses with an end: the kernel removes the virtual addresses of a master that no longer renews them.
//!
//! Where everything of ours is killed or stopped, nobody is left to take them off, and the backup takes them over: two
//! owners. A lifetime that the daemon renews leaves one. To the kernel a renewal is a new number in the address: no ARP,
//! no route and no connection changes.

use std::sync::Arc;

use hacore::time::monotonic_us;

use crate::model::{AddressLease, VrrpInstance};
use crate::vrrp::{Router, State, timing};

use super::{actor::Actor, instance::Instance};

/// The shortest automatic lease: a machine that does not let us run for so long has lost its master state anyway.
const AUTOMATIC_MIN_S: u32 = 3;
/// Renewals within one lease: three in a row may fail or come late.
const RENEWALS: u64 = 4;
/// The kernel counts in seconds and looks a little late.
const KERNEL_SLACK_US: u64 = 1_000_000;

/// A running lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// How long the kernel keeps the addresses, seconds.
    pub seconds: u32,
    /// When that began, monotonic microseconds.
    pub from_us: u64,
    /// The kernel had removed them before the last renewal, which put them back then.
    pub lapsed_us: Option<u64>,
}

impl Lease {
    fn renewal_us(self) -> u64 {
        self.from_us + u64::from(self.seconds) * 1_000_000 / RENEWALS
    }

    /// Whether the kernel may have removed the addresses by `now_us`.
    fn may_be_over(self, now_us: u64) -> bool {
        // Lifetimes are rounded to seconds, so that the end may come a little early.
        now_us + KERNEL_SLACK_US / 2 >= self.from_us + u64::from(self.seconds) * 1_000_000
    }

    /// Whether a removal that is reported now is the kernel's, because of a lease that is or was over.
    fn explains_removal(self, now_us: u64) -> bool {
        self.may_be_over(now_us) || self.lapsed_us.is_some_and(|at_us| now_us < at_us + KERNEL_SLACK_US)
    }
}

/// Lifetime of an instance's addresses in seconds; `None` for ever.
///
/// Automatically it is the time after which the other routers take over, rounded up: an instance that falls silent loses
/// its addresses about when they are taken.
pub fn lease_seconds(lease: AddressLease, instance: &VrrpInstance) -> Option<u32> {
    match lease {
        AddressLease::Off => None,
        AddressLease::Seconds(seconds) => Some(seconds),
        AddressLease::Automatic => {
            let down_us = timing::master_down_us(
                instance.version,
                instance.priority,
                instance.advert_int_us,
                instance.down_timer_adverts,
            );
            let seconds = u32::try_from(down_us.div_ceil(1_000_000)).unwrap_or(u32::MAX - 1);
            Some(seconds.max(AUTOMATIC_MIN_S))
        }
    }
}

impl Actor {
    /// Lifetime of the addresses of an instance.
    pub(super) fn lifetime_s(&self, instance: &Instance) -> Option<u32> {
        lease_seconds(self.config.global.vip_lease, &instance.model)
    }

    /// Notes that the addresses of an instance have just been set.
    pub(super) fn lease_begins(&mut self, index: usize, lapsed_us: Option<u64>) {
        let from_us = monotonic_us();
        let lease = self
            .instances
            .get(index)
            .and_then(|instance| self.lifetime_s(instance))
            .map(|seconds| Lease { seconds, from_us, lapsed_us });
        if let Some(slot) = self.leases.get_mut(index) {
            *slot = lease;
        }
    }

    /// After a reload: the addresses of every holder get the lifetime of the new configuration.
    pub(super) async fn lease_anew(&mut self) {
        self.leases = self.instances.iter().map(|_| None).collect();
        for index in 0..self.instances.len() {
            if self.domain.routers().get(index).is_some_and(Router::holds_addresses) {
                self.add_addresses(index).await;
            }
        }
    }

    /// When the next renewal is due.
    pub(super) fn next_renewal_us(&self) -> Option<u64> {
        self.leases.iter().flatten().map(|lease| lease.renewal_us()).min()
    }

    /// Renews the instance that waits longest. One at a time, so that an advert that is due meanwhile leaves first.
    pub(super) async fn renew_one(&mut self, now_us: u64) {
        let due = |lease: &Option<Lease>| lease.map(Lease::renewal_us).filter(|at_us| *at_us <= now_us);
        let oldest = self.leases.iter().enumerate().filter_map(|(i, lease)| Some((due(lease)?, i))).min();
        let Some((_, index)) = oldest else { return };
        let Some(lease) = self.leases.get(index).copied().flatten() else { return };
        let router = self.domain.routers().get(index);
        if !router.is_some_and(Router::holds_addresses) {
            if let Some(slot) = self.leases.get_mut(index) {
                *slot = None;
            }
            return;
        }
        let is_master = router.is_some_and(|router| router.state() == State::Master);
        let late = lease.may_be_over(now_us);
        self.add_addresses(index).await;
        if late {
            self.lease_begins(index, Some(monotonic_us()));
            if is_master {
                let name = self.instances.get(index).map_or("", |instance| instance.model.name.as_str());
                self.log
                    .warning(&format!("({name}) did not run for {} s: setting VIPs again", lease.seconds));
                let repeat =
                    self.instances.get(index).map_or(0, |instance| instance.model.garp.master_repeat);
                self.announce(index, repeat);
            }
        }
    }

    /// Whether the kernel has removed an instance's address because we were late; it comes back with the next renewal,
    /// which is due.
    pub(super) fn removed_by_lease(&self, index: usize) -> bool {
        let now_us = monotonic_us();
        self.leases.get(index).copied().flatten().is_some_and(|lease| lease.explains_removal(now_us))
    }

    /// `--dont-release-vrrp`: addresses that stay behind stay for ever.
    pub(super) async fn make_permanent(&mut self) {
        Arc::make_mut(&mut self.config).global.vip_lease = AddressLease::Off;
        self.lease_anew().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instance(advert_int_us: u64) -> VrrpInstance {
        let text = format!(
            "vrrp_instance A {{\n interface lo\n virtual_router_id 1\n priority 100\n version 3\n advert_int {}\n \
             virtual_ipaddress {{\n 10.0.0.1\n }}\n}}\n",
            advert_int_us as f64 / 1e6
        );
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keepalived.conf");
        std::fs::write(&file, text).unwrap();
        let (config, diagnostics, _) = crate::config::load(&[file], &crate::config::LoadOptions::default());
        config.unwrap_or_else(|| panic!("{diagnostics:?}")).vrrp_instances.remove(0)
    }

    #[test]
    fn an_automatic_lease_lasts_as_long_as_the_others_wait() {
        let seconds = |us| lease_seconds(AddressLease::Automatic, &instance(us));
        // 3 intervals and a skew of (256 - 100) / 256 of one.
        assert_eq!(seconds(1_000_000), Some(4));
        assert_eq!(seconds(10_000), Some(3));
        assert_eq!(seconds(5_000_000), Some(19));
        assert_eq!(lease_seconds(AddressLease::Seconds(9), &instance(10_000)), Some(9));
        assert_eq!(lease_seconds(AddressLease::Off, &instance(10_000)), None);
    }

    #[test]
    fn a_removal_is_the_kernels_only_when_the_lease_is_over() {
        let lease = Lease { seconds: 4, from_us: 10_000_000, lapsed_us: None };
        assert!(!lease.explains_removal(11_000_000) && !lease.explains_removal(13_000_000));
        assert!(lease.explains_removal(14_000_000));
        let renewed = Lease { from_us: 20_000_000, lapsed_us: Some(20_000_000), ..lease };
        assert!(renewed.explains_removal(20_100_000) && !renewed.explains_removal(22_000_000));
    }
}
