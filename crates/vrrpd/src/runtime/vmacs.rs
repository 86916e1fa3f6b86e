//! The vmacs of the running daemon: made before the first socket is opened, made again when they or the interfaces below
//! them come back, removed at the end.

use std::net::IpAddr;
use std::time::Duration;

use crate::host::{
    firewall::VmacLink,
    sysctl,
    vmac::{self, Vmac},
};
use crate::model::{AddressSpec, Config, Family};
use crate::netlink::{
    Interfaces, Link,
    macvlan::{self, Macvlan},
};

use super::actor::Actor;

/// How often, and after which pause, a new interface is asked whether it runs.
const ASKED_MAX: usize = 40;
const ASKED_AFTER: Duration = Duration::from_millis(5);
/// Prefix length of link local addresses.
const LINK_LOCAL_LEN: u8 = 64;

/// Plans the vmacs of `config` on a machine with these interfaces; those of `former` keep their names.
pub(super) fn plan(config: &mut Config, former: &[Vmac], interfaces: &Interfaces) -> Vec<Vmac> {
    vmac::place(config, former, |vmac| interfaces.by_name(&vmac.name).is_some() && !is_made(vmac, interfaces))
}

fn is_made(vmac: &Vmac, interfaces: &Interfaces) -> bool {
    let parent = interfaces.by_name(&vmac.parent).map(|parent| parent.index);
    let is_it = |link: &Link| match vmac.ipvlan {
        Some(_) => link.ipvlan_over == parent,
        None => link.macvlan_over == parent && link.mac == Some(vmac.mac),
    };
    parent.is_some() && interfaces.by_name(&vmac.name).is_some_and(is_it)
}

impl Actor {
    /// Makes the vmacs that are missing and whose interface is there.
    pub(super) async fn make_vmacs(&mut self) {
        let missing: Vec<Vmac> =
            self.vmacs.iter().filter(|vmac| !is_made(vmac, &self.interfaces)).cloned().collect();
        if missing.is_empty() {
            return self.copy_link_locals().await;
        }
        for vmac in &missing {
            self.make_vmac(vmac).await;
        }
        // An interface that comes up speaks: the rules that silence it have to be there before.
        self.load_firewall_again();
        self.set_sysctls();
        for vmac in &missing {
            self.raise_vmac(vmac).await;
        }
        for vmac in &missing {
            self.await_running(vmac).await;
        }
        self.copy_link_locals().await;
    }

    async fn make_vmac(&mut self, vmac: &Vmac) {
        let Some(parent) = self.interfaces.by_name(&vmac.parent).map(|parent| parent.index) else { return };
        let Vmac { name, mac, group, owner, .. } = vmac;
        let wanted = Macvlan { name: name.clone(), parent, mac: *mac, group: *group };
        let kind = if vmac.ipvlan.is_some() { "ipvlan" } else { "VMAC" };
        let made = match &vmac.ipvlan {
            Some(settings) => self.netlink.add_ipvlan(macvlan::ipvlan(name, parent, settings)).await,
            None => self.netlink.add_macvlan(&wanted).await,
        };
        let unable = match made {
            Ok(true) => None,
            Ok(false) => Some("the name is taken".to_owned()),
            Err(error) => Some(error.to_string()),
        };
        let index = nix::net::if_::if_nametoindex(name.as_str());
        let (None, Ok(index)) = (&unable, index) else {
            let reason = unable.unwrap_or_else(|| "it is gone again".to_owned());
            return self
                .log
                .warning(&format!("({owner}): Unable to create {kind} interface {name}: {reason}"));
        };
        self.log.info(&format!("({owner}): Success creating {kind} interface {name}"));
        if let Some(settings) = &vmac.ipvlan {
            if let Some((address, length)) = settings.address {
                self.add_address(owner, index, &AddressSpec::new(address, length), None).await;
            }
            if let Ok(Some(link)) = self.netlink.link(index).await {
                self.interfaces.set_link(link);
            }
            return;
        }
        for failure in sysctl::prepare_vmac(vmac, self.carries_ipv6(vmac)) {
            self.log.warning(&format!("({owner}) {failure}"));
        }
        if let Ok(Some(link)) = self.netlink.link(index).await {
            self.interfaces.set_link(link);
        }
    }

    async fn raise_vmac(&self, Vmac { name, owner, ipvlan, .. }: &Vmac) {
        if ipvlan.is_some() {
            return;
        }
        let Some(index) = self.interfaces.by_name(name).map(|link| link.index) else { return };
        if let Err(error) = self.netlink.raise_macvlan(index).await {
            self.log.warning(&format!("({owner}) cannot take {name} up: {error}"));
        }
    }

    /// The kernel says a moment later that a new interface runs; without waiting every start would begin with a fault.
    async fn await_running(&mut self, vmac: &Vmac) {
        let parent_runs = self.interfaces.by_name(&vmac.parent).is_some_and(|parent| parent.up);
        for _ in 0..ASKED_MAX {
            let Ok(index) = nix::net::if_::if_nametoindex(vmac.name.as_str()) else { return };
            if let Ok(Some(link)) = self.netlink.link(index).await {
                let done = link.up || !parent_runs;
                self.interfaces.set_link(link);
                if done {
                    return;
                }
            }
            tokio::time::sleep(ASKED_AFTER).await;
        }
    }

    /// Whether IPv6 addresses sit on an IPv4 vmac.
    fn carries_ipv6(&self, vmac: &Vmac) -> bool {
        self.instances
            .iter()
            .filter(|instance| instance.model.name == vmac.owner)
            .flat_map(|instance| instance.model.all_addresses())
            .any(|spec| spec.address.is_ipv6())
    }

    /// An IPv6 vmac gets the link local addresses of the interface below, from which its adverts leave (keepalived's
    /// behaviour).
    pub(super) async fn copy_link_locals(&self) {
        for vmac in self.vmacs.iter().filter(|vmac| vmac.family == Family::V6 && vmac.ipvlan.is_none()) {
            let index = |name: &str| self.interfaces.by_name(name).map(|link| link.index);
            let (Some(own), Some(parent)) = (index(&vmac.name), index(&vmac.parent)) else { continue };
            let addresses: Vec<IpAddr> = self
                .interfaces
                .addresses()
                .iter()
                .filter(|address| address.index == parent && !address.tentative)
                .map(|address| address.address)
                .filter(|address| matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
                .filter(|address| !self.interfaces.has_address(own, *address))
                .collect();
            for address in addresses {
                let spec =
                    AddressSpec { preferred_lft_s: Some(0), ..AddressSpec::new(address, LINK_LOCAL_LEN) };
                if let Err(error) = self.netlink.add_address(own, &spec, None).await {
                    let text = format!("({}) cannot add {address} to {}: {error}", vmac.owner, vmac.name);
                    self.log.warning(&text);
                }
            }
        }
    }

    /// Removes the vmacs of `gone` that are there.
    pub(super) async fn remove_vmacs(&mut self, gone: &[Vmac]) {
        for Vmac { name, owner, .. } in gone {
            let Some(index) = self.interfaces.by_name(name).map(|link| link.index) else { continue };
            match self.netlink.remove_link(index).await {
                Ok(_) => self.log.info(&format!("({owner}) Success removing VMAC interface {name}")),
                Err(error) => {
                    self.log.warning(&format!("({owner}) cannot remove VMAC interface {name}: {error}"));
                }
            }
        }
    }

    /// What is true of an interface that the monitor calls down: its news of a vmac that we have just made are old.
    pub(super) async fn newest(&self, link: Link) -> Link {
        if link.up || !self.vmacs.iter().any(|vmac| vmac.name == link.name) {
            return link;
        }
        self.netlink.link(link.index).await.ok().flatten().unwrap_or(link)
    }

    /// Goes over to the vmacs of a new configuration, and answers with those that it no longer has: they go when nothing
    /// uses them any more.
    pub(super) async fn change_vmacs(&mut self, vmacs: Vec<Vmac>) -> Vec<Vmac> {
        let former = std::mem::replace(&mut self.vmacs, vmacs);
        self.make_vmacs().await;
        self.load_firewall_again();
        self.set_sysctls();
        former.into_iter().filter(|old| self.vmacs.iter().all(|vmac| vmac.name != old.name)).collect()
    }

    /// Vmacs that are there, as the packet filter takes them.
    pub(super) fn vmac_links(&self) -> Vec<VmacLink> {
        self.vmacs
            .iter()
            .filter(|vmac| vmac.ipvlan.is_none())
            .filter_map(|vmac| {
                let link = self.interfaces.by_name(&vmac.name)?;
                Some(VmacLink {
                    name: vmac.name.clone(),
                    parent: vmac.parent.clone(),
                    index: link.index,
                    ipv4: vmac.family == Family::V4,
                    ipv6: vmac.family == Family::V6 || self.carries_ipv6(vmac),
                })
            })
            .collect()
    }
}
