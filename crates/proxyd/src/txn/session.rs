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

/// What the ends of a connection were before a PROXY header or a rule said otherwise.
#[derive(Debug, Clone, Default)]
pub struct KeptEnds {
    /// The connection's own (`fc_src`, `fc_dst`).
    pub peer: Endpoint,
    pub local: Endpoint,
    /// As every request finds them, whatever rules made of them in the one before.
    pub source: Endpoint,
    pub destination: Endpoint,
}

/// What stays the same for all requests of a client connection, unless a rule changes it.
#[derive(Debug, Clone, Default)]
pub struct SessionInfo {
    /// The client as rules see it: after `accept-proxy` and `set-src`.
    pub source: Endpoint,
    /// Where the client connected to: after `accept-proxy` and `set-dst`.
    pub destination: Endpoint,
    /// The ends as they were before something changed them, if something did.
    pub kept: Option<Box<KeptEnds>>,
    pub frontend: Option<ProxyId>,
    /// The connection's socket, about which the kernel is asked (`fc_rtt`).
    pub socket: Option<i32>,
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
    /// What came of the client so far may be a replay: its handshake was not over when it was last looked at.
    pub early_pending: bool,
}

impl SessionInfo {
    /// The connection's own client end (`fc_src`).
    pub fn peer(&self) -> &Endpoint {
        self.kept.as_ref().map_or(&self.source, |kept| &kept.peer)
    }

    /// The connection's own proxy end (`fc_dst`).
    pub fn local(&self) -> &Endpoint {
        self.kept.as_ref().map_or(&self.destination, |kept| &kept.local)
    }

    /// Changes `source` or `destination`; what they were is kept.
    pub fn set_end(&mut self, of_client: bool, end: Endpoint) {
        let (source, destination) = (&self.source, &self.destination);
        self.kept.get_or_insert_with(|| {
            Box::new(KeptEnds {
                peer: source.clone(),
                local: destination.clone(),
                source: source.clone(),
                destination: destination.clone(),
            })
        });
        *(if of_client { &mut self.source } else { &mut self.destination }) = end;
    }

    /// What rules on the connection set as its ends are its own from now on.
    pub fn own_ends(&mut self) {
        self.kept = None;
    }

    /// Every request begins with the ends as they are now.
    pub fn fix_ends(&mut self) {
        if let Some(kept) = self.kept.as_mut() {
            kept.source.clone_from(&self.source);
            kept.destination.clone_from(&self.destination);
        }
    }

    /// A request begins: what rules made of the ends in the one before is forgotten.
    pub fn restore_ends(&mut self) {
        if let Some(kept) = &self.kept {
            self.source.clone_from(&kept.source);
            self.destination.clone_from(&kept.destination);
        }
    }
}
