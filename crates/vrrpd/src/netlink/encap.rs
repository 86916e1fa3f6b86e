//! The attributes of a route that wraps its packets (`encap`): `RTA_ENCAP` and `RTA_ENCAP_TYPE`.
//!
//! Written out here: the message library has only the parts that iproute2 uses most.

use std::net::IpAddr;

use netlink_packet_core::DefaultNla;

use crate::model::{Encapsulation, TunnelEncapsulation};

/// `RTA_ENCAP_TYPE` of linux/rtnetlink.h.
pub const RTA_ENCAP_TYPE: u16 = 21;
/// `RTA_ENCAP`.
pub const RTA_ENCAP: u16 = 22;
/// `RTA_TTL_PROPAGATE`.
pub const RTA_TTL_PROPAGATE: u16 = 26;

/// `LWTUNNEL_ENCAP_*` of linux/lwtunnel.h.
fn kind(encapsulation: &Encapsulation) -> u16 {
    match encapsulation {
        Encapsulation::Mpls { .. } => 1,
        Encapsulation::Tunnel(tunnel) if tunnel.ipv6 => 4,
        Encapsulation::Tunnel(_) => 2,
        Encapsulation::Ila { .. } => 3,
    }
}

/// Both attributes.
pub fn attributes(encapsulation: &Encapsulation) -> [DefaultNla; 2] {
    let mut body = Vec::new();
    match encapsulation {
        Encapsulation::Mpls { labels, ttl } => {
            let last = labels.len().saturating_sub(1);
            let entry = |(index, label): (usize, &u32)| {
                let bottom = u32::from(index == last);
                (label << 12 | bottom << 8).to_be_bytes()
            };
            attribute(&mut body, 1, &labels.iter().enumerate().flat_map(entry).collect::<Vec<_>>());
            ttl.iter().for_each(|ttl| attribute(&mut body, 2, &[*ttl]));
        }
        Encapsulation::Tunnel(tunnel) => tunnel_attributes(&mut body, tunnel),
        Encapsulation::Ila { locator } => attribute(&mut body, 1, locator),
    }
    [
        DefaultNla::new(RTA_ENCAP_TYPE, kind(encapsulation).to_ne_bytes().to_vec()),
        DefaultNla::new(RTA_ENCAP, body),
    ]
}

/// `LWTUNNEL_IP_*` and `LWTUNNEL_IP6_*`, which have the same numbers.
fn tunnel_attributes(body: &mut Vec<u8>, tunnel: &TunnelEncapsulation) {
    let octets = |address: IpAddr| match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    };
    let fields = [
        (1, tunnel.id.map(|id| id.to_be_bytes().to_vec())),
        (2, tunnel.destination.map(octets)),
        (3, tunnel.source.map(octets)),
        (5, tunnel.class.map(|class| vec![class])),
        (4, tunnel.hops.map(|hops| vec![hops])),
        (6, tunnel.flags.map(|flags| flags.to_be_bytes().to_vec())),
    ];
    for (number, value) in fields {
        value.iter().for_each(|value| attribute(body, number, value));
    }
}

/// One attribute with its header, padded to four bytes.
fn attribute(out: &mut Vec<u8>, number: u16, value: &[u8]) {
    let len = u16::try_from(value.len() + 4).unwrap_or(u16::MAX);
    out.extend_from_slice(&len.to_ne_bytes());
    out.extend_from_slice(&number.to_ne_bytes());
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Nla;

    use super::*;

    fn body(encapsulation: &Encapsulation) -> Vec<u8> {
        let [_, nla] = attributes(encapsulation);
        let mut bytes = vec![0; nla.value_len()];
        nla.emit_value(&mut bytes);
        bytes
    }

    /// The bytes that keepalived 2.2.7 sends for `encap mpls 100/200` and `encap ila 1:2:3:4`, seen with strace(1).
    #[test]
    #[cfg(target_endian = "little")]
    fn labels_and_locators_are_keepaliveds() {
        let mpls = Encapsulation::Mpls { labels: vec![100, 200], ttl: None };
        assert_eq!(body(&mpls), b"\x0c\x00\x01\x00\x00\x06\x40\x00\x00\x0c\x81\x00");
        let ila = Encapsulation::Ila { locator: [0, 1, 0, 2, 0, 3, 0, 4] };
        assert_eq!(body(&ila), b"\x0c\x00\x01\x00\x00\x01\x00\x02\x00\x03\x00\x04");
    }

    /// The same for `encap ip id 5 dst 1.2.3.4 src 1.2.3.5 tos 4 ttl 9`; its padding holds whatever was there.
    #[test]
    #[cfg(target_endian = "little")]
    fn a_tunnel_is_keepaliveds() {
        let tunnel = Encapsulation::Tunnel(TunnelEncapsulation {
            ipv6: false,
            id: Some(5),
            destination: "1.2.3.4".parse().ok(),
            source: "1.2.3.5".parse().ok(),
            class: Some(4),
            hops: Some(9),
            flags: None,
        });
        assert_eq!(
            body(&tunnel),
            b"\x0c\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x05\x08\x00\x02\x00\x01\x02\x03\x04\
              \x08\x00\x03\x00\x01\x02\x03\x05\x05\x00\x05\x00\x04\x00\x00\x00\x05\x00\x04\x00\x09\x00\x00\x00"
        );
    }
}
