//! The unsolicited neighbour advertisement (RFC 4861 §7.2.6) that announces an IPv6 virtual address.

use std::net::Ipv6Addr;

use pnet::packet::{
    ethernet::{EtherTypes, MutableEthernetPacket},
    ip::IpNextHeaderProtocols,
    ipv6::MutableIpv6Packet,
};
use pnet::util::MacAddr;

use super::checksum::Checksum;

/// Bytes of the frame: Ethernet, IPv6, advertisement with one link-layer option.
pub const FRAME_LEN: usize = 14 + 40 + ADVERT_LEN;
const ADVERT_LEN: usize = 32;
const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff02, 0, 0, 0, 0, 0, 0, 1);
const TYPE_NEIGHBOUR_ADVERT: u8 = 136;
const FLAG_OVERRIDE: u8 = 0x20;
const FLAG_ROUTER: u8 = 0x80;
const OPTION_TARGET_LINK_LAYER: u8 = 2;

/// Whether the sender forwards IPv6 (the Router flag).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Forwarding is off.
    Host,
    /// Forwarding is on.
    Router,
}

/// The frame that announces `address` at `mac` to all nodes.
pub fn unsolicited(mac: [u8; 6], address: Ipv6Addr, role: Role) -> [u8; FRAME_LEN] {
    let mut frame = [0; FRAME_LEN];
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_destination(MacAddr::new(0x33, 0x33, 0, 0, 0, 1));
        ethernet.set_source(MacAddr::from(mac));
        ethernet.set_ethertype(EtherTypes::Ipv6);
    }
    if let Some(mut ip) = frame.get_mut(14..).and_then(MutableIpv6Packet::new) {
        ip.set_version(6);
        ip.set_payload_length(ADVERT_LEN as u16);
        ip.set_next_header(IpNextHeaderProtocols::Icmpv6);
        ip.set_hop_limit(255);
        ip.set_source(address);
        ip.set_destination(ALL_NODES);
    }
    if let Some(advert) = frame.get_mut(54..) {
        advert.copy_from_slice(&message(mac, address, role));
    }
    frame
}

fn message(mac: [u8; 6], address: Ipv6Addr, role: Role) -> [u8; ADVERT_LEN] {
    let flags = match role {
        Role::Host => FLAG_OVERRIDE,
        Role::Router => FLAG_OVERRIDE | FLAG_ROUTER,
    };
    let mut bytes = Vec::with_capacity(ADVERT_LEN);
    bytes.extend_from_slice(&[TYPE_NEIGHBOUR_ADVERT, 0, 0, 0, flags, 0, 0, 0]);
    bytes.extend_from_slice(&address.octets());
    bytes.extend_from_slice(&[OPTION_TARGET_LINK_LAYER, 1]);
    bytes.extend_from_slice(&mac);
    let sum = Checksum::default()
        .add(&address.octets())
        .add(&ALL_NODES.octets())
        .add(&(ADVERT_LEN as u32).to_be_bytes())
        .add(&[0, 0, 0, 58])
        .add(&bytes)
        .value();
    let mut out = [0; ADVERT_LEN];
    for (to, from) in out.iter_mut().zip(bytes) {
        *to = from;
    }
    let [high, low] = sum.to_be_bytes();
    out[2] = high;
    out[3] = low;
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_covers_the_pseudo_header() {
        let address = "2001:db8::100".parse().unwrap();
        let frame = unsolicited([2, 0, 0, 0, 0, 1], address, Role::Router);
        let sum = Checksum::default().add(&frame[22..54]).add(&[0, 0, 0, 32, 0, 0, 0, 58]).add(&frame[54..]);
        assert_eq!(sum.value(), 0);
        assert_eq!(frame[58], 0xa0, "router and override, not solicited");
    }
}
