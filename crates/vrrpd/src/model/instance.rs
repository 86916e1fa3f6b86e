//! One virtual router.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{AddressSpec, NotifyScripts, RouteSpec, RuleSpec, TrackSet};

/// `vrrp_instance` with the defaults of `global_defs` merged in and keepalived's corrections made (strict mode, v2
/// intervals in whole seconds, weights of sync group members, …).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VrrpInstance {
    pub name: String,
    /// `None` only for unicast without `interface`.
    pub interface: Option<String>,
    /// VRF of a unicast instance without interface.
    pub vrf: Option<String>,
    /// 1..=255.
    pub vrid: u8,
    pub version: Version,
    /// Of the adverts: that of the first VIP, else of the unicast source or peers.
    pub family: Family,
    /// 1..=255; 255 is the address owner.
    pub priority: u8,
    /// `state`; owner semantics are [`Self::is_owner`].
    pub initial_state: InitialState,
    /// Own interval: v2 whole seconds, v3 multiples of 10 ms up to 40.95 s.
    pub advert_int_us: u64,
    pub auth: Authentication,
    pub auth_hmac: Option<HmacSettings>,
    /// Carried in adverts, in this order; one family.
    pub vips: Vec<AddressSpec>,
    /// Kept out of adverts; any family.
    pub excluded_vips: Vec<AddressSpec>,
    /// `no_virtual_ipaddress`: having none is intended.
    pub no_vips: bool,
    pub routes: Vec<RouteSpec>,
    pub rules: Vec<RuleSpec>,
    /// `mcast_src_ip` / `unicast_src_ip`.
    pub source_address: Option<IpAddr>,
    /// FAULT while [`Self::source_address`] is missing.
    pub track_source_address: bool,
    /// `mcast_dst_ip`, else the global group of [`Self::family`].
    pub multicast_group: IpAddr,
    /// `Some` switches to unicast; with no peers only because of `unicast_fault_no_peer`.
    pub unicast: Option<UnicastSettings>,
    pub check_unicast_source: bool,
    pub preempt: Preempt,
    pub garp: GarpSettings,
    /// Take packets for the VIPs when not the owner.
    pub accept: bool,
    pub strict: bool,
    /// Check the VIP list only for a new master.
    pub skip_check_adv_addr: bool,
    pub v3_checksum_as_v2: bool,
    /// Adverts missed before take-over: 1..=100, default 3.
    pub down_timer_adverts: u8,
    pub lower_prio_no_advert: bool,
    pub higher_prio_send_advert: bool,
    /// Meaningful at priority 255 only.
    pub owner_ignore_adverts: bool,
    /// `timer_expired_backup`: step back to BACKUP after a late wake-up; the highest priority of the others if known.
    pub timer_expired_backup: Option<Option<u8>>,
    pub vmac: Option<VmacSettings>,
    pub ipvlan: Option<IpvlanSettings>,
    /// Own interface down is no fault.
    pub dont_track_primary: bool,
    pub linkbeat_use_polling: bool,
    pub promote_secondaries: bool,
    /// Receive buffer of the advert socket, bytes.
    pub kernel_rx_buf_bytes: Option<u32>,
    pub track: TrackSet,
    pub notify: NotifyScripts,
    /// `lvs_sync_daemon_interface`; not carried out yet.
    pub lvs_sync_interface: Option<String>,
    /// 0..=4; no effect.
    pub debug: u8,
    /// Why the instance can only be in FAULT (`unicast_fault_no_peer`); a sentence for the log.
    pub config_fault: Option<String>,
}

impl VrrpInstance {
    /// Priority 255: the owner of the addresses.
    pub fn is_owner(&self) -> bool {
        self.priority == 255
    }

    /// The interface that one of its addresses sits on.
    pub fn device_of<'a>(&'a self, spec: &'a AddressSpec) -> Option<&'a String> {
        spec.dev.as_ref().or(self.interface.as_ref())
    }

    /// VIPs, then excluded ones: the order in which keepalived sets them.
    pub fn all_addresses(&self) -> impl Iterator<Item = &AddressSpec> {
        self.vips.iter().chain(&self.excluded_vips)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Version {
    V2,
    V3,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Family {
    V4,
    V6,
}

impl Family {
    pub fn of(address: IpAddr) -> Self {
        if address.is_ipv4() { Self::V4 } else { Self::V6 }
    }
}

/// `state`: a wish, not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum InitialState {
    Master,
    #[default]
    Backup,
}

/// VRRPv2 authentication (RFC 2338 §5.3.6; removed by RFC 3768).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Authentication {
    None,
    /// The secret cut to 8 bytes or padded with zero.
    Pass([u8; 8]),
    Ah([u8; 8]),
}

/// `auth_hmac`: a trailer that only keepalived 2.4 knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacSettings {
    pub keys: Vec<HmacKey>,
    /// Id of the key that signs.
    pub active_key: u8,
    pub time_window_s: u16,
    pub anti_replay: AntiReplay,
    pub mode: HmacMode,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HmacKey {
    pub id: u8,
    /// 32..=64 bytes.
    pub secret: Vec<u8>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AntiReplay {
    #[default]
    Time,
    Monotonic,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HmacMode {
    #[default]
    Enforce,
    Permissive,
    ReceiveOnly,
}

/// Adverts to named peers in place of a multicast group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct UnicastSettings {
    pub peers: Vec<UnicastPeer>,
    /// `unicast_ttl`; `None`: 255 for IPv4, the kernel's default for IPv6.
    pub ttl: Option<u8>,
    pub checksum: UnicastChecksum,
    /// FAULT, not multicast, when there are no peers.
    pub fault_no_peer: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnicastPeer {
    pub address: IpAddr,
    pub min_ttl: Option<u8>,
    pub max_ttl: Option<u8>,
}

/// `old_unicast_checksum`: the pseudo header of VRRPv3 over IPv4 unicast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum UnicastChecksum {
    /// Today's form, switching to the old one when a peer uses it.
    #[default]
    Auto,
    /// The form up to 1.3.6, forced.
    Old,
    /// Today's form, never switching.
    Never,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Preempt {
    /// `false`: `nopreempt`.
    pub enabled: bool,
    /// 0..=1000 s.
    pub delay_us: u64,
}

/// Gratuitous ARP / unsolicited NA schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GarpSettings {
    /// To the second burst; 0 none.
    pub master_delay_us: u64,
    /// Packets per address and burst.
    pub master_repeat: u32,
    /// Between refreshes while master; 0 none.
    pub master_refresh_us: u64,
    pub master_refresh_repeat: u32,
    /// To the second burst after a lower priority advert; 0 none.
    pub lower_prio_delay_us: u64,
    pub lower_prio_repeat: u32,
    /// Periodic packets on VIP interfaces other than the advert interface.
    pub extra_interfaces: Option<GarpExtraInterfaces>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GarpExtraInterfaces {
    /// `all`: on every interface, not vmacs only.
    pub all: bool,
    pub interval_us: u64,
}

/// `use_vmac`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct VmacSettings {
    /// `None`: `vmac_prefix` with VRID, as `vrrp.51`.
    pub name: Option<String>,
    /// `None`: 00:00:5e:00:01:VRID, IPv6 00:00:5e:00:02:VRID.
    pub mac: Option<[u8; 6]>,
    /// Adverts on the base interface (`vmac_xmit_base`; compulsory for unicast).
    pub xmit_base: bool,
    /// A vmac also for VIPs on other interfaces (`use_vmac_addr`).
    pub for_addresses: bool,
    pub netlink_notify: bool,
    /// Interface group.
    pub group: Option<u32>,
}

/// `use_ipvlan`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct IpvlanSettings {
    pub name: Option<String>,
    pub address: Option<(IpAddr, u8)>,
    pub mode: IpvlanMode,
    pub group: Option<u32>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum IpvlanMode {
    #[default]
    Bridge,
    Private,
    Vepa,
}
