//! `global_defs` and the few global keywords outside of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use serde::{Deserialize, Serialize};

use super::{AdminSettings, CommandLine, FifoSettings, GarpSettings, RunAs, Version};

/// Daemon wide settings. What are only defaults for instances is merged into them and not here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GlobalDefs {
    /// Default host name.
    pub router_id: String,
    pub instance_name: Option<String>,
    pub net_namespace: Option<String>,
    pub net_namespace_ipvs: Option<String>,
    pub namespace_with_ipsets: bool,
    pub use_pid_dir: bool,
    pub child_wait_us: u64,
    pub linkbeat_use_polling: bool,
    pub default_interface: String,
    pub mail: MailSettings,
    pub startup_script: Option<CommandLine>,
    pub startup_script_timeout_us: u64,
    pub shutdown_script: Option<CommandLine>,
    pub shutdown_script_timeout_us: u64,
    /// `script_user`, else `keepalived_script`, else ourselves.
    pub script_user: RunAs,
    pub script_security: bool,
    pub use_symlink_paths: bool,
    pub set_supplementary_groups: bool,
    pub vrrp_mcast_group4: Ipv4Addr,
    pub vrrp_mcast_group6: Ipv6Addr,
    pub garp_interval: GarpInterval,
    pub dynamic_interfaces: DynamicInterfaces,
    pub disable_local_igmp: bool,
    pub startup_delay_us: u64,
    /// Hold instances back until so long after boot.
    pub delay_after_boot_us: u64,
    pub log_unknown_vrids: bool,
    /// How long the kernel keeps a master's addresses when nobody renews them (not known to keepalived).
    pub vip_lease: AddressLease,
    /// Where the daemon can be asked (not known to keepalived).
    pub admin: AdminSettings,
    pub vmac_prefix: String,
    pub vmac_addr_prefix: String,
    pub nftables: NftablesSettings,
    pub notify_fifo: FifoSettings,
    pub vrrp_notify_fifo: FifoSettings,
    pub lvs_notify_fifo: FifoSettings,
    pub fifo_write_states_on_reload: bool,
    /// Title of the process that is started; `None` leaves it.
    pub process_name: Option<String>,
    pub vrrp_process: ProcessSettings,
    pub checker: CheckerLimits,
    pub max_auto_priority: Option<i32>,
    pub min_auto_priority_delay_us: u64,
    pub netlink_cmd_rcv_bufs: Option<(u32, bool)>,
    pub netlink_monitor_rcv_bufs: Option<(u32, bool)>,
    pub process_monitor_rcv_bufs: Option<(u32, bool)>,
    pub rx_bufs_policy: Option<RxBufferPolicy>,
    pub rx_bufs_multiplier: u32,
    pub umask: Option<u32>,
    pub reload: ReloadSettings,
    pub state_dump_file: Option<String>,
    pub stats_dump_file: Option<String>,
    pub json_dump_file: Option<String>,
    /// 1 bare array, 2 object.
    pub json_version: u8,
    pub data_use_instance: bool,
    pub iproute_usr_dir: Option<String>,
    pub iproute_etc_dir: Option<String>,
    pub defaults: InstanceDefaults,
    pub snmp: SnmpSettings,
    pub dbus: bool,
    pub dbus_service_name: Option<String>,
}

/// What instances have that say nothing else; merged into them already, and here to be shown.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct InstanceDefaults {
    pub version: Version,
    pub garp: GarpSettings,
    pub down_timer_adverts: u8,
    pub lower_prio_no_advert: bool,
    pub higher_prio_send_advert: bool,
    pub check_unicast_src: bool,
    pub skip_check_adv_addr: bool,
    pub strict: bool,
    pub notify_priority_changes: bool,
    /// `None`: not written.
    pub smtp_alert: Option<bool>,
    pub smtp_alert_vrrp: Option<bool>,
}

impl Default for InstanceDefaults {
    fn default() -> Self {
        Self {
            version: Version::V2,
            garp: GarpSettings::default(),
            down_timer_adverts: 3,
            lower_prio_no_advert: false,
            higher_prio_send_advert: false,
            check_unicast_src: false,
            skip_check_adv_addr: false,
            strict: false,
            notify_priority_changes: false,
            smtp_alert: None,
            smtp_alert_vrrp: None,
        }
    }
}

/// Where alerts go.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct MailSettings {
    pub to: Vec<String>,
    pub from: Option<String>,
    /// Host name or address.
    pub server: Option<String>,
    pub port: u16,
    pub helo_name: Option<String>,
    pub connect_timeout_us: u64,
    /// `no_email_faults`.
    pub no_faults: bool,
}

/// `vip_lease`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AddressLease {
    /// The master down time, in whole seconds, and 3 at least.
    #[default]
    Automatic,
    /// Until somebody removes them, as keepalived sets them.
    Off,
    Seconds(u32),
}

/// Minimum gaps between two packets on one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct GarpInterval {
    pub garp_us: u64,
    pub gna_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DynamicInterfaces {
    #[default]
    No,
    /// Interfaces may not exist yet.
    Yes,
    /// … and may come back as another type.
    AllowIfChanges,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NftablesSettings {
    /// `nftables` or `vrrp_iptables` was written (both are carried out with nftables).
    pub configured: bool,
    pub table: String,
    pub priority: i32,
    pub counters: bool,
    pub ifindex: bool,
}

impl Default for NftablesSettings {
    fn default() -> Self {
        Self { configured: false, table: "keepalived".into(), priority: -1, counters: false, ifindex: false }
    }
}

/// Scheduling of the VRRP part.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProcessSettings {
    pub name: Option<String>,
    pub nice: Option<i32>,
    pub no_swap: bool,
    /// `SCHED_RR` 1..=99.
    pub rt_priority: Option<u8>,
    pub cpu_affinity: Vec<u32>,
    pub rlimit_rttime_us: Option<u64>,
}

/// Scheduling of the health check and BFD parts; kept for their own time.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct CheckerLimits {
    pub checker: ProcessSettings,
    pub bfd: ProcessSettings,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RxBufferPolicy {
    Mtu,
    Advert,
    Bytes(u32),
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ReloadSettings {
    /// Written: test before a reload; the log file of the test if named. (We always test.)
    pub check_config: Option<Option<String>>,
    pub time_file: Option<String>,
    pub repeat: bool,
    /// Marker file while reading; `Some(None)`: the default name.
    pub file: Option<Option<String>>,
    pub config_save_dir: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SnmpSettings {
    pub socket: Option<String>,
    pub traps: bool,
    pub vrrp: bool,
    pub checker: bool,
    pub rfc_v2: bool,
    pub rfc_v3: bool,
}

impl Default for GlobalDefs {
    fn default() -> Self {
        Self {
            router_id: String::new(),
            instance_name: None,
            net_namespace: None,
            net_namespace_ipvs: None,
            namespace_with_ipsets: false,
            use_pid_dir: false,
            child_wait_us: 5_000_000,
            linkbeat_use_polling: false,
            default_interface: "eth0".into(),
            mail: MailSettings { port: 25, connect_timeout_us: 30_000_000, ..MailSettings::default() },
            startup_script: None,
            startup_script_timeout_us: 10_000_000,
            shutdown_script: None,
            shutdown_script_timeout_us: 10_000_000,
            script_user: RunAs { uid: 0, gid: 0 },
            script_security: false,
            use_symlink_paths: false,
            set_supplementary_groups: false,
            vrrp_mcast_group4: Self::MCAST_GROUP4,
            vrrp_mcast_group6: Self::MCAST_GROUP6,
            garp_interval: GarpInterval::default(),
            dynamic_interfaces: DynamicInterfaces::No,
            disable_local_igmp: false,
            startup_delay_us: 0,
            delay_after_boot_us: 0,
            log_unknown_vrids: false,
            vip_lease: AddressLease::default(),
            admin: AdminSettings::default(),
            vmac_prefix: "vrrp".into(),
            vmac_addr_prefix: "vrrp".into(),
            nftables: NftablesSettings::default(),
            notify_fifo: FifoSettings::default(),
            vrrp_notify_fifo: FifoSettings::default(),
            lvs_notify_fifo: FifoSettings::default(),
            fifo_write_states_on_reload: false,
            process_name: None,
            vrrp_process: ProcessSettings::default(),
            checker: CheckerLimits::default(),
            max_auto_priority: None,
            min_auto_priority_delay_us: 1_000_000,
            netlink_cmd_rcv_bufs: None,
            netlink_monitor_rcv_bufs: None,
            process_monitor_rcv_bufs: None,
            rx_bufs_policy: None,
            rx_bufs_multiplier: 3,
            umask: None,
            reload: ReloadSettings::default(),
            state_dump_file: None,
            stats_dump_file: None,
            json_dump_file: None,
            json_version: 1,
            data_use_instance: false,
            iproute_usr_dir: None,
            iproute_etc_dir: None,
            defaults: InstanceDefaults::default(),
            snmp: SnmpSettings::default(),
            dbus: false,
            dbus_service_name: None,
        }
    }
}

impl GlobalDefs {
    /// RFC 9568 §5.1.1.2.
    pub const MCAST_GROUP4: Ipv4Addr = Ipv4Addr::new(224, 0, 0, 18);
    /// RFC 9568 §5.1.2.2.
    pub const MCAST_GROUP6: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 0x12);

    /// The group that adverts of this family go to by default.
    pub fn mcast_group(&self, family: super::Family) -> IpAddr {
        match family {
            super::Family::V4 => self.vrrp_mcast_group4.into(),
            super::Family::V6 => self.vrrp_mcast_group6.into(),
        }
    }
}
