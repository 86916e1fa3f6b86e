//! Addresses that the daemon sets: virtual, excluded and static ones.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// `preferred_lft forever` as the kernel counts it.
pub const LIFETIME_FOREVER: u32 = u32::MAX;

/// One line of `virtual_ipaddress`, `virtual_ipaddress_excluded` or `static_ipaddress`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct AddressSpec {
    pub address: IpAddr,
    /// Without a length in the file: 32 or 128.
    pub prefix_len: u8,
    /// Far end of a point to point address; `prefix_len` then belongs to it.
    pub peer: Option<IpAddr>,
    pub broadcast: Broadcast,
    /// `None`: the instance's interface, or its vmac; for static ones `default_interface`.
    pub dev: Option<String>,
    /// `RT_SCOPE_*`: 0 global, 200 site, 253 link, 254 host, 255 nowhere. IPv4 only.
    pub scope: Option<u8>,
    pub label: Option<String>,
    pub flags: AddressFlags,
    /// Seconds; [`LIFETIME_FOREVER`] for `forever`. An IPv6 /128 without the word has `Some(0)`.
    pub preferred_lft_s: Option<u32>,
    /// Its loss does not cost the master state.
    pub no_track: bool,
    /// A vmac for just this address.
    pub use_vmac: bool,
    /// Static addresses only: the [`super::TrackGroup`] that fails when the address cannot be kept.
    pub track_group: Option<String>,
}

impl AddressSpec {
    /// A plain address as the file `ADDRESS` or `ADDRESS/LEN` gives it.
    pub fn new(address: IpAddr, prefix_len: u8) -> Self {
        Self {
            address,
            prefix_len,
            peer: None,
            broadcast: Broadcast::Unset,
            dev: None,
            scope: None,
            label: None,
            flags: AddressFlags { nodad: address.is_ipv6(), ..AddressFlags::default() },
            preferred_lft_s: (address.is_ipv6() && prefix_len == 128).then_some(0),
            no_track: false,
            use_vmac: false,
            track_group: None,
        }
    }
}

/// `brd`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Broadcast {
    /// Not written: no broadcast address.
    Unset,
    /// `brd +`: all host bits set.
    HostBitsSet,
    /// `brd -`: all host bits clear.
    HostBitsClear,
    Address(IpAddr),
}

/// IPv6 address flags, and `noprefixroute` for both families.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct AddressFlags {
    pub home: bool,
    /// `IFA_F_NODAD`: set for IPv6 unless `-nodad`.
    pub nodad: bool,
    pub mngtmpaddr: bool,
    pub noprefixroute: bool,
    pub autojoin: bool,
}
