//! VRRP daemon that reads `keepalived.conf`: virtual addresses that move from a dead machine to a living one.

pub mod model;
pub mod net;
pub mod netlink;
pub mod packet;
pub mod vrrp;
