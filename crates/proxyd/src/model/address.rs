//! Addresses as configurations write them (configuration manual, section 11 "Address formats").

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use serde::Serialize;

/// Where to listen or to connect.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum Address {
    /// `1.2.3.4:80`, `[::1]:80`, `*:80`, `:80`, `ipv4@`, `ipv6@` with the port filled in.
    Inet(SocketAddr),
    /// A host name to resolve at start (`init-addr`), with its port (0 when none was given).
    Name { host: String, port: u16 },
    /// `unix@/path` or `/path`.
    Unix(PathBuf),
    /// `abns@name`: the abstract namespace.
    Abstract(String),
    /// `fd@N`: an inherited descriptor; `stream+fd@` is the same.
    Fd(i32),
    /// `sockpair@N`.
    SocketPair(i32),
}

/// `source` of a server or backend.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct SourceAddress {
    /// `None` leaves the address to the kernel (`0.0.0.0`).
    pub address: Option<IpAddr>,
    /// First and last port; `None` leaves the port to the kernel.
    pub ports: Option<(u16, u16)>,
    pub interface: Option<String>,
    /// `usesrc`: the address that servers see; health checks do not use it.
    pub use_source: Option<UseSource>,
}

/// `usesrc` of a `source`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub enum UseSource {
    Address(SocketAddr),
    /// The client's address and port.
    Client,
    ClientIp,
    /// `hdr_ip(name,occurrence)`: the address in a request header.
    Header {
        name: String,
        occurrence: i32,
    },
}
