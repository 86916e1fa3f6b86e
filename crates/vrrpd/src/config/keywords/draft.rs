//! What the parsers fill: the file's own words typed but not yet merged with defaults or checked against each other.

use std::net::IpAddr;
use std::rc::Rc;

use hacore::diag::Span;

use crate::model::{
    AddressSpec, BlockNode, GarpExtraInterfaces, GarpGroup, GlobalDefs, HmacSettings, InitFile, InitialState,
    InterfaceDelay, IpvlanSettings, LinkbeatInterface, ParamMatch, RouteSpec, RuleSpec, TrackGroup,
    UnicastChecksum, UnicastPeer, Version, VmacSettings,
};

/// Something with the place it was written at.
#[derive(Debug, Clone)]
pub(in crate::config) struct At<T> {
    pub(in crate::config) value: T,
    pub(in crate::config) span: Span,
}

/// A whole file.
#[derive(Debug, Default)]
pub(in crate::config) struct Draft {
    pub(in crate::config) global: GlobalDraft,
    pub(in crate::config) instances: Vec<InstanceDraft>,
    pub(in crate::config) groups: Vec<GroupDraft>,
    pub(in crate::config) scripts: Vec<ScriptDraft>,
    pub(in crate::config) files: Vec<FileDraft>,
    pub(in crate::config) processes: Vec<ProcessDraft>,
    pub(in crate::config) track_groups: Vec<TrackGroup>,
    pub(in crate::config) garp_groups: Vec<GarpGroup>,
    pub(in crate::config) static_addresses: Vec<At<AddressSpec>>,
    pub(in crate::config) static_routes: Vec<At<RouteSpec>>,
    pub(in crate::config) static_rules: Vec<At<RuleSpec>>,
    pub(in crate::config) linkbeat_interfaces: Vec<LinkbeatInterface>,
    pub(in crate::config) interface_delays: Vec<InterfaceDelay>,
    pub(in crate::config) virtual_servers: Vec<BlockNode>,
    pub(in crate::config) virtual_server_groups: Vec<BlockNode>,
    pub(in crate::config) bfd_instances: Vec<BlockNode>,
    pub(in crate::config) ssl: Option<BlockNode>,
    /// Names of what is defined so far.
    pub(in crate::config) known: Known,
}

/// `global_defs`: the model, and what are only defaults for instances.
#[derive(Debug, Default)]
pub(in crate::config) struct GlobalDraft {
    pub(in crate::config) model: GlobalDefs,
    pub(in crate::config) script_user: Option<UserDraft>,
    pub(in crate::config) smtp_alert: Option<bool>,
    pub(in crate::config) smtp_alert_vrrp: Option<bool>,
    pub(in crate::config) version: Option<Version>,
    pub(in crate::config) garp: GarpDraft,
    pub(in crate::config) min_garp: bool,
    pub(in crate::config) down_timer_adverts: Option<u8>,
    pub(in crate::config) lower_prio_no_advert: Option<bool>,
    pub(in crate::config) higher_prio_send_advert: Option<bool>,
    pub(in crate::config) check_unicast_src: bool,
    pub(in crate::config) skip_check_adv_addr: bool,
    pub(in crate::config) strict: bool,
    pub(in crate::config) v3_checksum_as_v2: bool,
    pub(in crate::config) owner_ignore_adverts: bool,
    pub(in crate::config) notify_priority_changes: bool,
    pub(in crate::config) vmac_addr_prefix_set: bool,
    pub(in crate::config) startup_script: Option<CommandDraft>,
    pub(in crate::config) shutdown_script: Option<CommandDraft>,
    pub(in crate::config) fifo: FifoDraft,
    pub(in crate::config) vrrp_fifo: FifoDraft,
    pub(in crate::config) lvs_fifo: FifoDraft,
}

#[derive(Debug, Clone, Default)]
pub(in crate::config) struct FifoDraft {
    pub(in crate::config) path: Option<String>,
    pub(in crate::config) owner: Option<UserDraft>,
    pub(in crate::config) script: Option<CommandDraft>,
}

/// User and group as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct UserDraft {
    pub(in crate::config) user: String,
    pub(in crate::config) group: Option<String>,
    pub(in crate::config) span: Span,
}

/// A script as written.
#[derive(Debug, Clone)]
pub(in crate::config) struct CommandDraft {
    pub(in crate::config) argv: Vec<String>,
    pub(in crate::config) user: Option<UserDraft>,
    pub(in crate::config) span: Span,
}

#[derive(Debug, Clone, Default)]
pub(in crate::config) struct NotifyDraft {
    pub(in crate::config) master: Option<CommandDraft>,
    pub(in crate::config) backup: Option<CommandDraft>,
    pub(in crate::config) fault: Option<CommandDraft>,
    pub(in crate::config) stop: Option<CommandDraft>,
    pub(in crate::config) deleted: Option<CommandDraft>,
    pub(in crate::config) any: Option<CommandDraft>,
    pub(in crate::config) master_rx_lower_pri: Option<CommandDraft>,
    pub(in crate::config) says_deleted: bool,
    pub(in crate::config) priority_changes: Option<bool>,
    pub(in crate::config) smtp_alert: Option<bool>,
}

/// A line of a `track_*` block; weight and sense as far as written.
#[derive(Debug, Clone)]
pub(in crate::config) struct TrackedDraft {
    pub(in crate::config) name: String,
    pub(in crate::config) weight: Option<i32>,
    pub(in crate::config) reverse: Option<bool>,
    pub(in crate::config) span: Span,
}

#[derive(Debug, Clone, Default)]
pub(in crate::config) struct TrackDraft {
    pub(in crate::config) interfaces: Vec<TrackedDraft>,
    pub(in crate::config) scripts: Vec<TrackedDraft>,
    pub(in crate::config) files: Vec<TrackedDraft>,
    pub(in crate::config) processes: Vec<TrackedDraft>,
    pub(in crate::config) bfds: Vec<TrackedDraft>,
    pub(in crate::config) proxies: Vec<crate::model::TrackedProxy>,
    pub(in crate::config) known: Known,
}

/// What was defined before a block: only that can be tracked in it.
#[derive(Debug, Clone, Default)]
pub(in crate::config) struct Known {
    pub(in crate::config) scripts: Rc<Vec<String>>,
    pub(in crate::config) files: Rc<Vec<String>>,
    pub(in crate::config) processes: Rc<Vec<String>>,
}

#[derive(Debug, Clone, Default)]
pub(in crate::config) struct GarpDraft {
    pub(in crate::config) master_delay_us: Option<u64>,
    pub(in crate::config) master_repeat: Option<u32>,
    pub(in crate::config) master_refresh_us: Option<u64>,
    pub(in crate::config) master_refresh_repeat: Option<u32>,
    pub(in crate::config) lower_prio_delay_us: Option<u64>,
    pub(in crate::config) lower_prio_repeat: Option<u32>,
    pub(in crate::config) extra_interfaces: Option<GarpExtraInterfaces>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::config) enum AuthKind {
    Pass,
    Ah,
}

/// `vrrp_instance`.
#[derive(Debug)]
pub(in crate::config) struct InstanceDraft {
    pub(in crate::config) name: String,
    pub(in crate::config) span: Span,
    pub(in crate::config) interface: Option<At<String>>,
    pub(in crate::config) vrf: Option<String>,
    pub(in crate::config) vrid: Option<u8>,
    pub(in crate::config) version: Option<At<Version>>,
    pub(in crate::config) native_ipv6: Option<Span>,
    pub(in crate::config) priority: Option<u8>,
    pub(in crate::config) state: Option<InitialState>,
    pub(in crate::config) advert_int_us: Option<u64>,
    pub(in crate::config) auth_kind: Option<AuthKind>,
    pub(in crate::config) auth_pass: Option<[u8; 8]>,
    pub(in crate::config) hmac: Option<HmacSettings>,
    pub(in crate::config) vips: Vec<At<AddressSpec>>,
    pub(in crate::config) excluded_vips: Vec<At<AddressSpec>>,
    pub(in crate::config) no_vips: bool,
    pub(in crate::config) routes: Vec<At<RouteSpec>>,
    pub(in crate::config) rules: Vec<At<RuleSpec>>,
    pub(in crate::config) source_address: Option<At<IpAddr>>,
    pub(in crate::config) track_source_address: bool,
    pub(in crate::config) multicast_group: Option<At<IpAddr>>,
    pub(in crate::config) peers: Vec<At<UnicastPeer>>,
    /// A unicast keyword was written.
    pub(in crate::config) unicast: bool,
    pub(in crate::config) unicast_fault_no_peer: bool,
    pub(in crate::config) unicast_ttl: Option<u8>,
    pub(in crate::config) unicast_checksum: UnicastChecksum,
    pub(in crate::config) check_unicast_src: Option<bool>,
    pub(in crate::config) nopreempt: bool,
    pub(in crate::config) preempt_delay_us: u64,
    pub(in crate::config) garp: GarpDraft,
    pub(in crate::config) accept: Option<bool>,
    pub(in crate::config) strict: Option<bool>,
    pub(in crate::config) skip_check_adv_addr: Option<bool>,
    pub(in crate::config) v3_checksum_as_v2: Option<bool>,
    pub(in crate::config) down_timer_adverts: Option<u8>,
    pub(in crate::config) lower_prio_no_advert: Option<bool>,
    pub(in crate::config) higher_prio_send_advert: Option<bool>,
    pub(in crate::config) owner_ignore_adverts: Option<bool>,
    pub(in crate::config) timer_expired_backup: Option<Option<u8>>,
    pub(in crate::config) vmac: Option<VmacSettings>,
    pub(in crate::config) vmac_xmit_base: bool,
    pub(in crate::config) vmac_for_addresses: bool,
    pub(in crate::config) ipvlan: Option<IpvlanSettings>,
    pub(in crate::config) dont_track_primary: bool,
    pub(in crate::config) linkbeat_use_polling: bool,
    pub(in crate::config) promote_secondaries: bool,
    pub(in crate::config) kernel_rx_buf_bytes: Option<u32>,
    pub(in crate::config) lvs_sync_interface: Option<String>,
    pub(in crate::config) debug: u8,
    pub(in crate::config) track: TrackDraft,
    pub(in crate::config) notify: NotifyDraft,
}

impl InstanceDraft {
    pub(in crate::config) fn new(name: String, span: Span) -> Self {
        Self {
            name,
            span,
            interface: None,
            vrf: None,
            vrid: None,
            version: None,
            native_ipv6: None,
            priority: None,
            state: None,
            advert_int_us: None,
            auth_kind: None,
            auth_pass: None,
            hmac: None,
            vips: Vec::new(),
            excluded_vips: Vec::new(),
            no_vips: false,
            routes: Vec::new(),
            rules: Vec::new(),
            source_address: None,
            track_source_address: false,
            multicast_group: None,
            peers: Vec::new(),
            unicast: false,
            unicast_fault_no_peer: false,
            unicast_ttl: None,
            unicast_checksum: UnicastChecksum::Auto,
            check_unicast_src: None,
            nopreempt: false,
            preempt_delay_us: 0,
            garp: GarpDraft::default(),
            accept: None,
            strict: None,
            skip_check_adv_addr: None,
            v3_checksum_as_v2: None,
            down_timer_adverts: None,
            lower_prio_no_advert: None,
            higher_prio_send_advert: None,
            owner_ignore_adverts: None,
            timer_expired_backup: None,
            vmac: None,
            vmac_xmit_base: false,
            vmac_for_addresses: false,
            ipvlan: None,
            dont_track_primary: false,
            linkbeat_use_polling: false,
            promote_secondaries: false,
            kernel_rx_buf_bytes: None,
            lvs_sync_interface: None,
            debug: 0,
            track: TrackDraft::default(),
            notify: NotifyDraft::default(),
        }
    }

    /// The family of the adverts as far as it is known by now.
    pub(in crate::config) fn is_ipv6(&self) -> Option<bool> {
        let first = self.vips.first().map(|vip| vip.value.address);
        let other = self
            .peers
            .first()
            .map(|peer| peer.value.address)
            .or(self.source_address.as_ref().map(|a| a.value));
        first.or(other).map(|address| address.is_ipv6())
    }
}

/// `vrrp_sync_group`.
#[derive(Debug)]
pub(in crate::config) struct GroupDraft {
    pub(in crate::config) name: String,
    pub(in crate::config) members: Vec<At<String>>,
    pub(in crate::config) track: TrackDraft,
    pub(in crate::config) notify: NotifyDraft,
    pub(in crate::config) tracking_weight: bool,
    pub(in crate::config) global_tracking: bool,
}

/// `vrrp_script`.
#[derive(Debug)]
pub(in crate::config) struct ScriptDraft {
    pub(in crate::config) name: String,
    pub(in crate::config) command: Option<CommandDraft>,
    pub(in crate::config) user: Option<UserDraft>,
    pub(in crate::config) interval_us: u64,
    pub(in crate::config) timeout_us: u64,
    pub(in crate::config) weight: i32,
    pub(in crate::config) weight_reverse: bool,
    pub(in crate::config) rise: u32,
    pub(in crate::config) fall: u32,
    pub(in crate::config) init_fail: bool,
}

/// `track_file`.
#[derive(Debug)]
pub(in crate::config) struct FileDraft {
    pub(in crate::config) name: String,
    pub(in crate::config) path: Option<String>,
    pub(in crate::config) weight: i32,
    pub(in crate::config) weight_reverse: bool,
    pub(in crate::config) init_file: Option<InitFile>,
}

/// `vrrp_track_process`.
#[derive(Debug)]
pub(in crate::config) struct ProcessDraft {
    pub(in crate::config) name: String,
    pub(in crate::config) process: Option<String>,
    pub(in crate::config) parameters: Vec<String>,
    pub(in crate::config) param_match: Option<ParamMatch>,
    pub(in crate::config) full_command: bool,
    pub(in crate::config) weight: i32,
    pub(in crate::config) weight_reverse: bool,
    pub(in crate::config) quorum: Option<u32>,
    pub(in crate::config) quorum_max: Option<u32>,
    pub(in crate::config) terminate_delay_us: u64,
    pub(in crate::config) fork_delay_us: u64,
}
