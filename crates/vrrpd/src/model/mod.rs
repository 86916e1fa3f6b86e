//! What the daemon shall do, as plain data: the meaning of a `keepalived.conf` after defaults were merged.
//!
//! Everything here is `Serialize`, `PartialEq` and `Clone`, so that a reload is the difference of two values.
//! Times are integer microseconds. It deliberately holds no sockets, no interface indices and no text of the file.

mod address;
mod admin;
mod difference;
mod global;
mod instance;
mod notify;
mod other;
mod route;
mod track;

use serde::{Deserialize, Serialize};

pub use address::{AddressFlags, AddressSpec, Broadcast, LIFETIME_FOREVER};
pub use admin::{AdminLevel, AdminPath, AdminSettings, AdminSocket};
pub use difference::differences;
pub use global::{
    AddressLease, CheckerLimits, DynamicInterfaces, GarpInterval, GlobalDefs, InstanceDefaults, MailSettings,
    NftablesSettings, ProcessSettings, ReloadSettings, RxBufferPolicy, SnmpSettings,
};
pub use instance::{
    AntiReplay, Authentication, Family, GarpExtraInterfaces, GarpSettings, HmacKey, HmacMode, HmacSettings,
    InitialState, IpvlanMode, IpvlanSettings, Preempt, UnicastChecksum, UnicastPeer, UnicastSettings,
    Version, VmacSettings, VrrpInstance,
};
pub use notify::{CommandLine, FifoSettings, NotifyScripts, RunAs};
pub use other::{BlockNode, GarpGroup, InterfaceDelay, LinkbeatInterface, LinkbeatMethod, TrackGroup};
pub use route::{
    Encapsulation, NextHop, RouteMetric, RouteSpec, RouteType, RouteVia, RuleAction, RuleSpec,
    TunnelEncapsulation, WhereInserted,
};
pub use track::{
    InitFile, ParamMatch, SyncGroup, TrackFile, TrackProcess, TrackSet, Tracked, TrackedProxy, VrrpScript,
};

/// One configuration, complete and checked.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Config {
    pub global: GlobalDefs,
    /// In the order of the file; names are unique.
    pub vrrp_instances: Vec<VrrpInstance>,
    pub sync_groups: Vec<SyncGroup>,
    pub scripts: Vec<VrrpScript>,
    pub track_files: Vec<TrackFile>,
    pub track_processes: Vec<TrackProcess>,
    pub track_groups: Vec<TrackGroup>,
    pub garp_groups: Vec<GarpGroup>,
    /// Addresses that stay whatever the VRRP state is.
    pub static_addresses: Vec<AddressSpec>,
    pub static_routes: Vec<RouteSpec>,
    pub static_rules: Vec<RuleSpec>,
    pub linkbeat_interfaces: Vec<LinkbeatInterface>,
    pub interface_delays: Vec<InterfaceDelay>,
    /// `virtual_server` blocks, checked for their words only; not carried out yet.
    pub virtual_servers: Vec<BlockNode>,
    /// `virtual_server_group` blocks; not carried out yet.
    pub virtual_server_groups: Vec<BlockNode>,
    /// `bfd_instance` blocks; not carried out yet.
    pub bfd_instances: Vec<BlockNode>,
    /// The `SSL` block; not carried out yet.
    pub ssl: Option<BlockNode>,
}

impl Config {
    /// The instance of that name.
    pub fn instance(&self, name: &str) -> Option<&VrrpInstance> {
        self.vrrp_instances.iter().find(|instance| instance.name == name)
    }

    /// The `vrrp_script` of that name.
    pub fn script(&self, name: &str) -> Option<&VrrpScript> {
        self.scripts.iter().find(|script| script.name == name)
    }

    /// Interfaces of static addresses, routes and rules that an instance needs, too (`track_group`).
    pub fn static_interfaces_of(&self, instance: &str) -> Vec<&str> {
        let groups = || self.track_groups.iter().filter(|group| group.members.iter().any(|m| m == instance));
        let followed = |name: &Option<String>| {
            name.as_ref().is_some_and(|name| groups().any(|group| group.name == *name))
        };
        let default = Some(self.global.default_interface.as_str());
        let addresses = self.static_addresses.iter().map(|a| (&a.track_group, a.dev.as_deref().or(default)));
        let routes = self.static_routes.iter().map(|route| (&route.track_group, route.dev.as_deref()));
        let rules = self.static_rules.iter().map(|rule| (&rule.track_group, rule.iif.as_deref()));
        let all = addresses.chain(routes).chain(rules);
        let mut found: Vec<&str> =
            all.filter(|(group, _)| followed(group)).filter_map(|(_, dev)| dev).collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The group that `instance` is a member of.
    pub fn sync_group_of(&self, instance: &str) -> Option<&SyncGroup> {
        self.sync_groups.iter().find(|group| group.members.iter().any(|member| member == instance))
    }
}
