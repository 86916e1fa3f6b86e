//! `hash-key`: what places a server on the ring (manual, server option "hash-key").

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::hash::{avalanche, xxh32};

/// What a server's place depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum RingKey {
    /// `id`: the numeric id, of which 28 bits count.
    #[default]
    Id,
    /// `id32`: the whole numeric id.
    Id32,
    /// `guid`.
    Guid,
    /// `addr`: the address.
    Addr,
    /// `addr-port`: the address and the port.
    AddrPort,
}

impl RingKey {
    /// The key of a server. What is not known (no guid, no address) is replaced by the id.
    ///
    /// Byte orders are those HAProxy has on little-endian machines.
    pub fn key(self, id: u32, guid: Option<&str>, address: Option<(IpAddr, u16)>) -> u32 {
        let by_id = id.wrapping_mul(4096);
        match (self, guid, address) {
            (RingKey::Id32, _, _) => avalanche(id.swap_bytes()),
            (RingKey::Guid, Some(guid), _) => xxh32(guid.as_bytes(), 0),
            (RingKey::Addr, _, Some((IpAddr::V4(v4), _))) => avalanche(u32::from_le_bytes(v4.octets())),
            (RingKey::Addr, _, Some((IpAddr::V6(v6), _))) => xxh32(&v6.octets(), 0),
            (RingKey::AddrPort, _, Some((address, port))) => {
                let port = avalanche(u32::from(port));
                match address {
                    IpAddr::V4(v4) => avalanche(port.wrapping_add(u32::from_le_bytes(v4.octets()))),
                    IpAddr::V6(v6) => xxh32(&v6.octets(), port),
                }
            }
            _ => by_id,
        }
    }
}
