//! `use_vmac` and `use_ipvlan`: which macvlan and ipvlan interfaces a configuration needs, and which address sits on which of them.
//!
//! Only the plan is made here; interfaces are made by the actor. Names are keepalived's: `vrrp.51`, for IPv6 where that
//! is taken `vrrp6.51`, then `vrrp1.51`, `vrrp2.51`, ….

use crate::model::{AddressSpec, Config, Family, IpvlanSettings, VmacSettings, VrrpInstance};

/// The kernel gives an ipvlan the address of the interface below.
const NO_MAC: [u8; 6] = [0; 6];
/// Names that are tried before a vmac is given up.
const NAMES_MAX: u32 = 255;

/// One macvlan or ipvlan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vmac {
    /// Name of the interface.
    pub name: String,
    /// Name of the interface below.
    pub parent: String,
    /// Its hardware address; an ipvlan has that of the interface below.
    pub mac: [u8; 6],
    /// An ipvlan, and the address that adverts leave from.
    pub ipvlan: Option<IpvlanSettings>,
    /// Interface group; `None` leaves the kernel's default.
    pub group: Option<u32>,
    /// Of the addresses on it.
    pub family: Family,
    /// Name of the instance that it belongs to.
    pub owner: String,
}

/// The virtual router's hardware address (RFC 9568 §7.3).
pub fn virtual_mac(family: Family, vrid: u8) -> [u8; 6] {
    let kind = match family {
        Family::V4 => 1,
        Family::V6 => 2,
    };
    [0, 0, 0x5e, 0, kind, vrid]
}

/// Plans the vmacs of a configuration, and writes into it which address sits on which (`dev`) and what each instance's
/// vmac is called.
///
/// `former` are the vmacs that are there, which keep their names; `is_foreign` says whether the name of a vmac is that of
/// an interface that is something else.
pub fn place(config: &mut Config, former: &[Vmac], is_foreign: impl Fn(&Vmac) -> bool) -> Vec<Vmac> {
    let mut planner = Planner { vmacs: Vec::new(), former, is_foreign };
    let (prefix, address_prefix) =
        (config.global.vmac_prefix.clone(), config.global.vmac_addr_prefix.clone());
    for instance in &mut config.vrrp_instances {
        if let Err(conflict) = planner.place_instance(instance, &prefix, &address_prefix) {
            instance.config_fault = Some(conflict);
        }
    }
    planner.vmacs
}

struct Planner<'a, F> {
    vmacs: Vec<Vmac>,
    former: &'a [Vmac],
    is_foreign: F,
}

impl<F: Fn(&Vmac) -> bool> Planner<'_, F> {
    fn place_instance(
        &mut self,
        instance: &mut VrrpInstance,
        prefix: &str,
        address_prefix: &str,
    ) -> Result<(), String> {
        let Some(base) = instance.interface.clone() else { return Ok(()) };
        let (family, vrid) = (instance.family, instance.vrid);
        let vmac = |name: String, parent: String, mac, group, family| Vmac {
            name,
            parent,
            mac,
            ipvlan: None,
            group,
            family,
            owner: instance.name.clone(),
        };
        let mut main = None;
        let mut for_addresses = false;
        if let Some(settings) = &instance.vmac {
            let mac = settings.mac.unwrap_or_else(|| virtual_mac(family, vrid));
            let named = settings.name.clone().unwrap_or_default();
            let wanted = vmac(named, base.clone(), mac, settings.group, family);
            main = Some(self.claim(wanted, prefix, vrid)?);
            for_addresses = settings.for_addresses;
        }
        if let Some(settings) = instance.ipvlan.clone() {
            let named = settings.name.clone().unwrap_or_default();
            let mut wanted = vmac(named, base.clone(), NO_MAC, settings.group, family);
            if family == Family::V4 && settings.address.is_none() {
                return Err("IPv4 ipvlan requires a source ip address to be configured".to_owned());
            }
            if let Some((address, _)) = settings.address {
                instance.source_address.get_or_insert(address);
            }
            wanted.ipvlan = Some(settings);
            let name = self.claim(wanted, prefix, vrid)?;
            // From here on it is like a vmac: adverts and addresses are on it.
            instance.vmac = Some(VmacSettings { name: Some(name.clone()), ..VmacSettings::default() });
            main = Some(name);
        }
        let elsewhere = |spec: &AddressSpec| {
            spec.dev.as_ref().is_some_and(|dev| *dev != base) || Family::of(spec.address) != family
        };
        let mut devices = Vec::new();
        for spec in instance.all_addresses() {
            let own = spec.use_vmac || for_addresses;
            devices.push(match &main {
                Some(name) if !elsewhere(spec) => Some(name.clone()),
                _ if own => {
                    let parent = spec.dev.clone().unwrap_or_else(|| base.clone());
                    let family = Family::of(spec.address);
                    let wanted = vmac(String::new(), parent, virtual_mac(family, vrid), None, family);
                    Some(self.claim(wanted, address_prefix, vrid)?)
                }
                _ => spec.dev.clone(),
            });
        }
        let specs = instance.vips.iter_mut().chain(&mut instance.excluded_vips);
        for (spec, dev) in specs.zip(devices) {
            spec.dev = dev;
        }
        if let Some(settings) = &mut instance.vmac {
            settings.name = main;
        }
        Ok(())
    }

    /// The name under which `wanted` is in the plan now; two vmacs with one hardware address on one interface cannot be.
    fn claim(&mut self, mut wanted: Vmac, prefix: &str, vrid: u8) -> Result<String, String> {
        let same = |vmac: &&Vmac| {
            let ipvlan = vmac.ipvlan.is_some() || wanted.ipvlan.is_some();
            let alike = if ipvlan { vmac.owner == wanted.owner } else { vmac.mac == wanted.mac };
            vmac.parent == wanted.parent && vmac.ipvlan.is_some() == wanted.ipvlan.is_some() && alike
        };
        if let Some(other) = self.vmacs.iter().find(same) {
            return match other.owner == wanted.owner {
                true => Ok(other.name.clone()),
                false => Err(format!("uses same VMAC as VRRP instance {}", other.owner)),
            };
        }
        let names = match self.former.iter().find(same) {
            _ if !wanted.name.is_empty() => vec![wanted.name.clone()],
            Some(former) => vec![former.name.clone()],
            None => candidates(prefix, vrid, wanted.family),
        };
        for name in names {
            wanted.name = name;
            let used = self.vmacs.iter().any(|vmac| vmac.name == wanted.name);
            if !used && !(self.is_foreign)(&wanted) {
                self.vmacs.push(wanted.clone());
                return Ok(wanted.name);
            }
        }
        Err(format!("no free name for a VMAC on {}, {} is taken", wanted.parent, wanted.name))
    }
}

fn candidates(prefix: &str, vrid: u8, family: Family) -> Vec<String> {
    let mut names = vec![format!("{prefix}.{vrid}")];
    if family == Family::V6 {
        names.push(format!("{prefix}6.{vrid}"));
    }
    names.extend((1..=NAMES_MAX).map(|number| format!("{prefix}{number}.{vrid}")));
    names
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, SystemEnvironment, load_text};

    fn config(instances: &[&str]) -> Config {
        let blocks: String = instances
            .iter()
            .enumerate()
            .map(|(i, body)| format!("vrrp_instance V{i} {{\n priority 100\n version 3\n {body}\n}}\n"))
            .collect();
        let text = format!("global_defs {{\n dynamic_interfaces\n}}\n{blocks}");
        let (config, diagnostics, _) =
            load_text(text.as_bytes(), &LoadOptions::default(), &SystemEnvironment);
        config.unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    fn names(vmacs: &[Vmac]) -> Vec<(&str, &str)> {
        vmacs.iter().map(|vmac| (vmac.name.as_str(), vmac.parent.as_str())).collect()
    }

    /// What keepalived 2.2.7 makes of the same file, seen with `ip link` and `ip addr`.
    #[test]
    fn names_and_places_are_keepaliveds() {
        let mut config = config(&[
            "interface v0\n virtual_router_id 51\n use_vmac\n virtual_ipaddress {\n10.99.0.100/24\n\
             10.98.0.100/24 dev v1 use_vmac\n}\n virtual_ipaddress_excluded {\n2001:db8::5/64\n}",
            "interface v0\n virtual_router_id 51\n use_vmac\n virtual_ipaddress {\nfe80::51/64\n}",
            "interface v0\n virtual_router_id 52\n use_vmac own0 02:00:00:00:05 group 7\n virtual_ipaddress {\n\
             10.99.0.104/24\n}",
        ]);
        let vmacs = place(&mut config, &[], |_| false);
        assert_eq!(
            names(&vmacs),
            [("vrrp.51", "v0"), ("vrrp1.51", "v1"), ("vrrp6.51", "v0"), ("own0", "v0")]
        );
        assert_eq!(vmacs[0].mac, [0, 0, 0x5e, 0, 1, 51]);
        assert_eq!(vmacs[2].mac, [0, 0, 0x5e, 0, 2, 51]);
        assert_eq!((vmacs[3].mac, vmacs[3].group), ([2, 0, 0, 0, 5, 52], Some(7)));
        let devices: Vec<_> =
            config.vrrp_instances[0].all_addresses().map(|spec| spec.dev.as_deref()).collect();
        assert_eq!(devices, [Some("vrrp.51"), Some("vrrp1.51"), None]);
    }

    #[test]
    fn one_hardware_address_on_one_interface_belongs_to_one_instance() {
        let same = "interface v0\n virtual_router_id 51\n use_vmac\n virtual_ipaddress {\n";
        let mut config = config(&[
            &format!("{same}10.0.0.1\n}}"),
            "interface v1\n virtual_router_id 51\n use_vmac_addr\n use_vmac\n virtual_ipaddress {\n10.0.0.2\n10.0.0.3 dev v0\n}",
        ]);
        place(&mut config, &[], |_| false);
        assert_eq!(config.vrrp_instances[0].config_fault, None);
        assert_eq!(
            config.vrrp_instances[1].config_fault.as_deref(),
            Some("uses same VMAC as VRRP instance V0")
        );
    }

    #[test]
    fn a_vmac_keeps_its_name_over_a_reload_and_leaves_foreign_interfaces_alone() {
        let body = "interface v0\n virtual_router_id 51\n use_vmac\n virtual_ipaddress {\n10.0.0.1\n}";
        let mut first = config(&[body]);
        let vmacs = place(&mut first, &[], |vmac| vmac.name == "vrrp.51");
        assert_eq!(names(&vmacs), [("vrrp1.51", "v0")]);
        let again = place(&mut config(&[body]), &vmacs, |_| false);
        assert_eq!(again, vmacs);
    }
}
