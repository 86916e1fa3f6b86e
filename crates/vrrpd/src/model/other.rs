//! The small blocks, and the tree of blocks that are read but not carried out.

use serde::{Deserialize, Serialize};

/// `track_group`: instances that fail when a static address, route or rule cannot be kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackGroup {
    pub name: String,
    pub members: Vec<String>,
}

/// `garp_group`: pacing of gratuitous ARP / unsolicited NA over a set of interfaces.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GarpGroup {
    pub garp_interval_us: u64,
    pub gna_interval_us: u64,
    pub interfaces: Vec<String>,
}

/// A line of `interface_up_down_delays`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceDelay {
    pub interface: String,
    pub down_us: u64,
    pub up_us: u64,
}

/// A line of `linkbeat_interfaces`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkbeatInterface {
    pub interface: String,
    pub method: Option<LinkbeatMethod>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkbeatMethod {
    Mii,
    Ethtool,
    Ioctl,
}

/// A keyword with its words and, if it is a block, what is inside.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct BlockNode {
    pub keyword: String,
    pub arguments: Vec<String>,
    pub children: Vec<BlockNode>,
}
