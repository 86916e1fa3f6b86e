//! Putting virtual addresses on interfaces and taking them off.

use futures_util::future::join_all;

use crate::model::AddressSpec;

use super::{actor::Actor, instance::Instance};

/// Requests that wait for the kernel's answer at once; the answers have to fit the socket's buffer.
const REQUESTS_MAX: usize = 64;

impl Actor {
    /// Every address of an instance with the index of its interface, where that exists.
    pub(super) fn placed_addresses(&self, instance: &Instance) -> Vec<(u32, AddressSpec)> {
        instance
            .model
            .all_addresses()
            .filter_map(|spec| {
                let link = self.interfaces.by_name(instance.interface_of(spec)?)?;
                Some((link.index, spec.clone()))
            })
            .collect()
    }

    /// VIPs, then excluded ones, then routes and rules.
    pub(super) async fn add_addresses(&mut self, index: usize) {
        self.add_addresses_of(&[index]).await;
    }

    /// The same for several instances, whose requests are on their way together: many may take over at once.
    pub(super) async fn add_addresses_of(&mut self, indexes: &[usize]) {
        let instances = || indexes.iter().filter_map(|index| self.instances.get(*index));
        let mut wanted = Vec::new();
        for instance in instances() {
            let lifetime_s = self.lifetime_s(instance);
            let placed = self.placed_addresses(instance).into_iter();
            wanted.extend(
                placed.map(|(ifindex, spec)| (instance.model.name.as_str(), ifindex, spec, lifetime_s)),
            );
        }
        for some in wanted.chunks(REQUESTS_MAX) {
            let requests = some
                .iter()
                .map(|(_, ifindex, spec, lifetime_s)| self.netlink.add_address(*ifindex, spec, *lifetime_s));
            for (answer, (name, _, spec, _)) in join_all(requests).await.into_iter().zip(some) {
                if let Err(error) = answer {
                    self.log.warning(&format!("({name}) cannot add {}: {error}", spec.address));
                }
            }
        }
        for instance in instances() {
            let model = &instance.model;
            self.add_paths(&model.name, &model.routes, &model.rules).await;
        }
        for index in indexes {
            self.lease_begins(*index, None);
        }
    }

    /// One address, for ever or for so long.
    pub(super) async fn add_address(
        &mut self,
        name: &str,
        ifindex: u32,
        spec: &AddressSpec,
        lifetime_s: Option<u32>,
    ) {
        if let Err(error) = self.netlink.add_address(ifindex, spec, lifetime_s).await {
            self.log.warning(&format!("({name}) cannot add {}: {error}", spec.address));
        }
    }

    /// Rules, routes, then addresses in the order in which they were added.
    pub(super) async fn remove_addresses(&mut self, index: usize) {
        let Some(instance) = self.instances.get(index) else { return };
        let name = instance.model.name.clone();
        let (routes, rules) = (instance.model.routes.clone(), instance.model.rules.clone());
        self.remove_paths(&name, &routes, &rules).await;
        let Some(instance) = self.instances.get(index) else { return };
        for (ifindex, spec) in self.placed_addresses(instance) {
            self.remove_address(&name, ifindex, &spec).await;
        }
        if let Some(lease) = self.leases.get_mut(index) {
            *lease = None;
        }
    }

    pub(super) async fn remove_address(&mut self, name: &str, ifindex: u32, spec: &AddressSpec) {
        *self.own_removals.entry((ifindex, spec.address)).or_default() += 1;
        match self.netlink.remove_address(ifindex, spec).await {
            Ok(true) => {}
            Ok(false) => self.forget_own_removal(ifindex, spec.address),
            Err(error) => {
                self.forget_own_removal(ifindex, spec.address);
                self.log.warning(&format!("({name}) cannot remove {}: {error}", spec.address));
            }
        }
    }

    /// As keepalived does at its start: whatever a former run left behind goes.
    pub(super) async fn remove_residual_addresses(&mut self, index: usize) {
        let Some(instance) = self.instances.get(index) else { return };
        let name = instance.model.name.clone();
        let (routes, rules) = (instance.model.routes.clone(), instance.model.rules.clone());
        self.remove_paths(&name, &routes, &rules).await;
        let Some(instance) = self.instances.get(index) else { return };
        let residual: Vec<(u32, AddressSpec)> = self
            .placed_addresses(instance)
            .into_iter()
            .filter(|(ifindex, spec)| self.interfaces.has_address(*ifindex, spec.address))
            .collect();
        self.log.detail(&format!("({name}) removing VIPs."));
        for (ifindex, spec) in residual {
            self.remove_address(&name, ifindex, &spec).await;
            self.interfaces.remove_address(ifindex, spec.address);
        }
    }

    /// Whether a reported removal is one of ours; counts it off.
    pub(super) fn forget_own_removal_if_known(&mut self, ifindex: u32, address: std::net::IpAddr) -> bool {
        let known = self.own_removals.contains_key(&(ifindex, address));
        self.forget_own_removal(ifindex, address);
        known
    }

    fn forget_own_removal(&mut self, ifindex: u32, address: std::net::IpAddr) {
        let key = (ifindex, address);
        if let Some(count) = self.own_removals.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.own_removals.remove(&key);
            }
        }
    }
}
