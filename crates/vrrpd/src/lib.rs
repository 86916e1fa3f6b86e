//! VRRP daemon that reads `keepalived.conf`: virtual addresses that move from a dead machine to a living one.

pub mod admin;
pub mod cli;
pub mod config;
pub mod daemon;
pub mod host;
pub mod logging;
pub mod model;
pub mod net;
pub mod netlink;
pub mod notify;
pub mod packet;
pub mod reader;
pub mod runtime;
pub mod status;
pub mod supervisor;
pub mod track;
pub mod version;
pub mod vrrp;
