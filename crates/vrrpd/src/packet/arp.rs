//! Gratuitous ARP (RFC 5227 §2.3 announcement) as keepalived sends it: a broadcast request whose
//! sender and target are the virtual address and whose target hardware address is all ones.

use std::net::Ipv4Addr;

use pnet::packet::{
    arp::{ArpHardwareTypes, ArpOperations, MutableArpPacket},
    ethernet::{EtherTypes, MutableEthernetPacket},
};
use pnet::util::MacAddr;

/// Bytes of the frame: Ethernet and ARP, without padding.
pub const FRAME_LEN: usize = 42;

/// The Ethernet frame that announces `address` at `mac`.
pub fn gratuitous(mac: [u8; 6], address: Ipv4Addr) -> [u8; FRAME_LEN] {
    let mac = MacAddr::from(mac);
    let mut frame = [0; FRAME_LEN];
    if let Some(mut ethernet) = MutableEthernetPacket::new(&mut frame) {
        ethernet.set_destination(MacAddr::broadcast());
        ethernet.set_source(mac);
        ethernet.set_ethertype(EtherTypes::Arp);
    }
    if let Some(mut arp) = frame.get_mut(14..).and_then(MutableArpPacket::new) {
        arp.set_hardware_type(ArpHardwareTypes::Ethernet);
        arp.set_protocol_type(EtherTypes::Ipv4);
        arp.set_hw_addr_len(6);
        arp.set_proto_addr_len(4);
        arp.set_operation(ArpOperations::Request);
        arp.set_sender_hw_addr(mac);
        arp.set_sender_proto_addr(address);
        arp.set_target_hw_addr(MacAddr::broadcast());
        arp.set_target_proto_addr(address);
    }
    frame
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_is_the_one_keepalived_sends() {
        // Captured from keepalived 2.2.7 for 10.99.0.100 on ba:d5:b0:a4:71:b9.
        let expected = [
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xba, 0xd5, 0xb0, 0xa4, 0x71, 0xb9, 0x08, 0x06, 0x00, 0x01,
            0x08, 0x00, 0x06, 0x04, 0x00, 0x01, 0xba, 0xd5, 0xb0, 0xa4, 0x71, 0xb9, 0x0a, 0x63, 0x00, 0x64,
            0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x0a, 0x63, 0x00, 0x64,
        ];
        let mac = [0xba, 0xd5, 0xb0, 0xa4, 0x71, 0xb9];
        assert_eq!(gratuitous(mac, Ipv4Addr::new(10, 99, 0, 100)), expected);
    }
}
