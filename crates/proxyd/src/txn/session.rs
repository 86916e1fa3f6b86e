//! One client connection as expressions see it.

use std::net::{IpAddr, SocketAddr};

use crate::model::ProxyId;

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Endpoint {
    Inet(SocketAddr),
    /// A Unix socket; clients have no address of their own.
    Unix,
    #[default]
    Unknown,
}

impl Endpoint {
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Endpoint::Inet(address) => Some(address.ip()),
            _ => None,
        }
    }

    pub fn port(&self) -> Option<u16> {
        match self {
            Endpoint::Inet(address) => Some(address.port()),
            _ => None,
        }
    }
}

/// What stays the same for all requests of a client connection, unless a rule changes it.
#[derive(Debug, Clone, Default)]
pub struct SessionInfo {
    /// The client as rules see it: after `accept-proxy` and `set-src`.
    pub source: Endpoint,
    /// Where the client connected to: after `accept-proxy` and `set-dst`.
    pub destination: Endpoint,
    /// The connection's own ends, never changed by rules (`fc_src`, `fc_dst`).
    pub peer: Endpoint,
    pub local: Endpoint,
    pub frontend: Option<ProxyId>,
    /// Index of the listener within its frontend, and its number (`so_id`) and name.
    pub listener_index: usize,
    pub listener_id: u32,
    pub listener_name: Option<std::sync::Arc<str>>,
    /// Microseconds since the epoch at which the connection was accepted.
    pub accepted_us: u64,
    /// Requests of the connection so far; the one that is being handled counts.
    pub requests_before: u64,
    /// A PROXY header was received.
    pub proxied: bool,
    /// Its TLVs, if it has any.
    pub proxy_tlvs: Option<std::sync::Arc<[u8]>>,
    /// The client speaks TLS: `%ft` ends in `~`.
    pub tls: bool,
    /// What the client's handshake settled.
    pub tls_facts: Option<std::sync::Arc<super::TlsFacts>>,
}
