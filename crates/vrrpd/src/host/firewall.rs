//! `no_accept`: packets to and from virtual addresses are dropped on a router that does not own them (RFC 9568 §6.1,
//! Accept_Mode), with nftables.
//!
//! The table, its chains and sets have keepalived's names. Unlike keepalived the addresses are in the sets from start to
//! end and not only while master: on a backup the rules match nothing, since the addresses are not there, and a
//! take-over waits for no program. The rules are loaded with the `nft` program in one transaction.

use std::io::{self, Write};
use std::net::IpAddr;
use std::process::{Command, Stdio};

use thiserror::Error;

use crate::model::{Config, NftablesSettings, VrrpInstance};

/// The rules could not be loaded.
#[derive(Debug, Error)]
pub enum FirewallError {
    /// There is no `nft` program.
    #[error("no_accept and strict mode need the 'nft' program (package nftables): {0}")]
    NoProgram(io::Error),
    /// It said no.
    #[error("nft: {0}")]
    Refused(String),
}

/// One set of each kind: plain addresses by family, link-local ones with their interface.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
struct Dropped {
    v4: Vec<String>,
    v6: Vec<String>,
    link_local: Vec<(String, String)>,
}

impl Dropped {
    fn of(config: &Config) -> Self {
        let mut dropped = Self::default();
        for instance in config.vrrp_instances.iter().filter(|instance| drops(instance)) {
            for spec in instance.all_addresses() {
                let interface = spec.dev.as_ref().or(instance.interface.as_ref());
                match (spec.address, interface) {
                    (IpAddr::V4(address), _) => dropped.v4.push(address.to_string()),
                    (IpAddr::V6(address), Some(interface)) if address.is_unicast_link_local() => {
                        dropped.link_local.push((address.to_string(), interface.clone()));
                    }
                    (IpAddr::V6(address), _) => dropped.v6.push(address.to_string()),
                }
            }
        }
        for list in [&mut dropped.v4, &mut dropped.v6] {
            list.sort();
            list.dedup();
        }
        dropped.link_local.sort();
        dropped.link_local.dedup();
        dropped
    }

    fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty() && self.link_local.is_empty()
    }
}

/// A vmac as the rules need it: its membership reports leave by the interface below, and it asks for no routers
/// (keepalived's behaviour), so that switches see its hardware address only when its addresses are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VmacLink {
    /// Its name.
    pub name: String,
    /// The interface below.
    pub parent: String,
    /// Its index: another one means another interface.
    pub index: u32,
    /// IGMP may come from it.
    pub ipv4: bool,
    /// MLD and router solicitations may come from it.
    pub ipv6: bool,
}

/// Whether the instance drops what its addresses get.
fn drops(instance: &VrrpInstance) -> bool {
    !instance.accept && !instance.is_owner()
}

/// The rules in the kernel.
#[derive(Debug, Default)]
pub struct Firewall {
    loaded: Option<Wanted>,
    /// Name of a table that a former worker loaded; it goes in the transaction that loads ours.
    inherited: Option<String>,
}

/// What the rules depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Wanted {
    settings: NftablesSettings,
    dropped: Dropped,
    vmacs: Vec<VmacLink>,
}

impl Wanted {
    fn is_empty(&self) -> bool {
        self.dropped.is_empty() && self.vmacs.is_empty()
    }
}

impl Firewall {
    /// Brings the rules to what the configuration and its vmacs ask for; nothing is run when nothing changed. A vmac
    /// works without rules: the answer says why they could not be loaded.
    ///
    /// # Errors
    /// [`FirewallError`]; the rules that were loaded before still hold then.
    pub fn load(
        &mut self,
        config: &Config,
        vmacs: &[VmacLink],
    ) -> Result<Option<FirewallError>, FirewallError> {
        let wanted = Wanted {
            settings: config.global.nftables.clone(),
            dropped: Dropped::of(config),
            vmacs: vmacs.to_vec(),
        };
        match self.bring_to(wanted.clone()) {
            Err(error) if !vmacs.is_empty() => {
                self.bring_to(Wanted { vmacs: Vec::new(), ..wanted })?;
                Ok(Some(error))
            }
            done => done.map(|()| None),
        }
    }

    /// What a former worker loaded is replaced by the first rules of ours.
    pub fn inherited(table: Option<String>) -> Self {
        Firewall { inherited: table, ..Firewall::default() }
    }

    /// Name of the table that is loaded.
    pub fn table(&self) -> Option<&str> {
        self.loaded.as_ref().map(|loaded| loaded.settings.table.as_str()).or(self.inherited.as_deref())
    }

    fn bring_to(&mut self, wanted: Wanted) -> Result<(), FirewallError> {
        let wanted = Some(wanted).filter(|wanted| !wanted.is_empty());
        if wanted == self.loaded && self.inherited.is_none() {
            return Ok(());
        }
        let mut text = self.table().map(removal).unwrap_or_default();
        if let Some(wanted) = &wanted {
            text.push_str(&removal(&wanted.settings.table));
            text.push_str(&rules(wanted));
        }
        run_nft(&text)?;
        self.loaded = wanted;
        self.inherited = None;
        Ok(())
    }

    /// Removes the rules.
    ///
    /// # Errors
    /// [`FirewallError`] when `nft` cannot be run any more.
    pub fn remove(&mut self) -> Result<(), FirewallError> {
        let removed = self.table().map_or(Ok(()), remove_table);
        *self = Firewall::default();
        removed
    }
}

/// Removes the table of that name in both families, whoever made it.
///
/// # Errors
/// [`FirewallError`] when `nft` cannot be run.
pub fn remove_table(table: &str) -> Result<(), FirewallError> {
    run_nft(&removal(table))
}

/// A table can only be deleted when it is there, so it is made first.
fn removal(table: &str) -> String {
    ["ip", "ip6"]
        .map(|family| format!("add table {family} {table}\ndelete table {family} {table}\n"))
        .concat()
}

fn rules(wanted: &Wanted) -> String {
    rules_v4(wanted) + &rules_v6(wanted)
}

/// `vmac_map`: from a vmac to the interface below.
fn vmac_map(vmacs: &[&VmacLink]) -> String {
    let pairs: Vec<String> =
        vmacs.iter().map(|vmac| format!("\"{}\" : \"{}\"", vmac.name, vmac.parent)).collect();
    format!("  map vmac_map {{ type iface_index : iface_index; elements = {{ {} }}; }}\n", pairs.join(", "))
}

fn rules_v4(wanted: &Wanted) -> String {
    let NftablesSettings { table, priority, counters, .. } = &wanted.settings;
    let drop = if *counters { "counter drop" } else { "drop" };
    let vmacs: Vec<&VmacLink> = wanted.vmacs.iter().filter(|vmac| vmac.ipv4).collect();
    let vips = &wanted.dropped.v4;
    let (mut sets, mut chain_in, mut out) = (String::new(), String::new(), String::new());
    if !vips.is_empty() {
        sets.push_str(&format!("  set vips {{ type ipv4_addr; elements = {{ {} }}; }}\n", vips.join(", ")));
        chain_in = format!(
            "  chain in {{ type filter hook input priority {priority}; policy accept; ip daddr @vips {drop}; }}\n"
        );
        out.push_str(&format!(" ip saddr @vips {drop};"));
    }
    if !vmacs.is_empty() {
        sets.push_str(&vmac_map(&vmacs));
        out.push_str(
            " ip protocol igmp meta oifkind \"macvlan\" dup to ip daddr device oif map @vmac_map drop;",
        );
    }
    if out.is_empty() {
        return String::new();
    }
    let chain_out =
        format!("  chain out {{ type filter hook output priority {priority}; policy accept;{out} }}\n");
    format!("table ip {table} {{\n{sets}{chain_in}{chain_out}}}\n")
}

fn rules_v6(wanted: &Wanted) -> String {
    let vmacs: Vec<&VmacLink> = wanted.vmacs.iter().filter(|vmac| vmac.ipv6).collect();
    let drops = !wanted.dropped.v6.is_empty() || !wanted.dropped.link_local.is_empty();
    let (table, priority) = (&wanted.settings.table, wanted.settings.priority);
    let (mut parts, mut out) = (String::new(), String::new());
    if drops {
        let (sets, last) = drops_v6(wanted);
        parts.push_str(&sets);
        out.push_str(&last);
    }
    if !vmacs.is_empty() {
        parts.push_str(&vmac_map(&vmacs));
        let names: Vec<String> = vmacs.iter().map(|vmac| format!("\"{}\"", vmac.name)).collect();
        parts.push_str(&format!(
            "  set vmac_set {{ type iface_index; elements = {{ {} }}; }}\n",
            names.join(", ")
        ));
        // Before the verdicts on addresses, which are final.
        out = format!(
            " icmpv6 type mld2-listener-report meta oifkind \"macvlan\" dup to ip6 daddr device oif map @vmac_map drop; \
             icmpv6 type nd-router-solicit meta oifkind \"macvlan\" oif @vmac_set drop;{out}"
        );
    }
    if out.is_empty() {
        return String::new();
    }
    let chain_out =
        format!("  chain out {{ type filter hook output priority {priority}; policy accept;{out} }}\n");
    format!("table ip6 {table} {{\n{parts}{chain_out}}}\n")
}

/// Sets and chains that drop IPv6 addresses, and the rules of the chain `out`.
fn drops_v6(wanted: &Wanted) -> (String, String) {
    let NftablesSettings { priority, counters, ifindex, .. } = &wanted.settings;
    let dropped = &wanted.dropped;
    let drop = if *counters { "counter drop" } else { "drop" };
    let (kind, iif, oif) =
        if *ifindex { ("iface_index", "iif", "oif") } else { ("ifname", "iifname", "oifname") };
    let link_local: Vec<String> = dropped
        .link_local
        .iter()
        .map(|(address, interface)| format!("{address} . \"{interface}\""))
        .collect();
    let parts = format!(
        "  set vips {{ type ipv6_addr; {} }}
  set vips_link_local {{ type ipv6_addr . {kind}; {} }}
  set neighbor-discovery {{ type icmpv6_type; flags constant; elements = {{ nd-neighbor-solicit, nd-neighbor-advert }}; }}
  chain in_link_local {{ ip6 daddr . {iif} @vips_link_local {drop}; }}
  chain out_link_local {{ ip6 saddr . {oif} @vips_link_local {drop}; }}
  chain in {{ type filter hook input priority {priority}; policy accept;
    icmpv6 type @neighbor-discovery accept; ip6 daddr fe80::/10 goto in_link_local; ip6 daddr @vips {drop}; }}
",
        elements(&dropped.v6),
        elements(&link_local),
    );
    let out = format!(
        " icmpv6 type @neighbor-discovery accept; ip6 saddr fe80::/10 goto out_link_local; ip6 saddr @vips {drop};"
    );
    (parts, out)
}

fn elements(list: &[String]) -> String {
    if list.is_empty() { String::new() } else { format!("elements = {{ {} }};", list.join(", ")) }
}

fn run_nft(rules: &str) -> Result<(), FirewallError> {
    let mut child = Command::new("nft")
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(FirewallError::NoProgram)?;
    if let Some(mut input) = child.stdin.take() {
        // What it does not read it complains about.
        let _ = input.write_all(rules.as_bytes());
    }
    let output = child.wait_with_output().map_err(FirewallError::NoProgram)?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(FirewallError::Refused(said.lines().next().unwrap_or("failed without a word").to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{LoadOptions, SystemEnvironment, load_text};

    fn config(text: &str) -> Config {
        let text = format!("global_defs {{\n dynamic_interfaces\n}}\n{text}");
        let (config, diagnostics, _) =
            load_text(text.as_bytes(), &LoadOptions::default(), &SystemEnvironment);
        config.unwrap_or_else(|| panic!("{diagnostics:?}"))
    }

    fn instance(vrid: u8, extra: &str, addresses: &str) -> String {
        format!(
            "vrrp_instance V{vrid} {{\n interface v0\n virtual_router_id {vrid}\n {extra}\n virtual_ipaddress {{\n{addresses}\n}}\n}}\n"
        )
    }

    #[test]
    fn only_instances_without_accept_drop_and_owners_never_do() {
        let text = instance(1, "", "192.0.2.1")
            + &instance(2, "no_accept", "192.0.2.2")
            + &instance(3, "no_accept\n priority 255", "192.0.2.3")
            + &instance(4, "strict_mode", "192.0.2.4");
        let dropped = Dropped::of(&config(&text));
        assert_eq!(dropped.v4, ["192.0.2.2", "192.0.2.4"]);
    }

    #[test]
    fn link_local_addresses_go_by_interface() {
        let dropped =
            Dropped::of(&config(&instance(1, "no_accept", "fe80::100\n2001:db8::1\n2001:db8::2 dev v1")));
        assert_eq!(dropped.v6, ["2001:db8::1", "2001:db8::2"]);
        assert_eq!(dropped.link_local, [("fe80::100".to_owned(), "v0".to_owned())]);
    }

    #[test]
    fn the_tables_have_keepaliveds_names() {
        let dropped = Dropped {
            v4: vec!["192.0.2.1".into()],
            v6: vec![],
            link_local: vec![("fe80::1".into(), "v0".into())],
        };
        let wanted = |settings| Wanted { settings, dropped: dropped.clone(), vmacs: Vec::new() };
        let text = rules(&wanted(NftablesSettings::default()));
        for part in [
            "table ip keepalived {",
            "ip daddr @vips drop;",
            "hook input priority -1;",
            "set vips_link_local { type ipv6_addr . ifname; elements = { fe80::1 . \"v0\" }; }",
            "ip6 saddr fe80::/10 goto out_link_local;",
        ] {
            assert!(text.contains(part), "no '{part}' in\n{text}");
        }
        let counting = NftablesSettings { counters: true, ifindex: true, ..NftablesSettings::default() };
        let text = rules(&wanted(counting));
        assert!(text.contains("ip6 daddr . iif @vips_link_local counter drop;"), "{text}");
    }
}
