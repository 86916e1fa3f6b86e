//! What remains to be done when nobody is left to do it, as bytes: the worker writes it while it can, the supervisor
//! carries it out without taking memory and without knowing what any of it means.
//!
//! A will is a run of items, each a kind, a length and so many bytes. Whatever is not understood ends it.

use std::net::{IpAddr, Ipv6Addr};

use crate::net::{Channel, socket::Place, transmit::Envelope};
use crate::packet::{ah, ipv4, ipv4::Ipv4Header, trailer};

/// An item's kind and length.
const HEAD_LEN: usize = 5;

const HOLDER: u8 = 1;
const PLACE: u8 = 2;
const ADVERT: u8 = 3;
const ROUTE_REMOVAL: u8 = 4;
const FILTER_REMOVAL: u8 = 5;
const SWITCH: u8 = 6;

/// How an advert that was made long ago becomes one of now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Renewal {
    /// It is as good as new.
    None,
    /// Its authentication header needs a later number.
    Header(ah::Seal),
    /// Its `auth_hmac` trailer needs a later number.
    Trailer(trailer::Signer),
}

/// One item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Item<'a> {
    /// Whose will this is; its router id; how long the others may take to find a new master, microseconds.
    Holder { name: &'a str, vrid: u8, master_down_us: u64 },
    /// Where the adverts that follow belong.
    Place(Place),
    /// An advert of priority 0; with its IP header where that is IPv4.
    Advert { source: IpAddr, destination: IpAddr, renewal: Renewal, packet: &'a [u8] },
    /// A netlink request that removes an address, a route, a rule or an interface.
    RouteRemoval(&'a [u8]),
    /// One that removes a table of the packet filter.
    FilterRemoval(&'a [u8]),
    /// A file of the kernel and what was in it.
    Switch { path: &'a [u8], value: &'a [u8] },
}

/// The will of an instance, or of what was changed on the machine for all of them, while it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Will(Vec<u8>);

impl Will {
    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Begins with whose it is.
    pub fn of_holder(name: &str, vrid: u8, master_down_us: u64) -> Self {
        let mut will = Will::default();
        will.push(HOLDER, &[&[vrid], &master_down_us.to_le_bytes(), name.as_bytes()]);
        will
    }

    /// Adds where adverts leave.
    pub fn place(&mut self, channel: &Channel) {
        let place = Place::of(channel);
        self.push(
            PLACE,
            &[
                &place.ifindex.to_le_bytes(),
                &[place.protocol],
                &address_bytes(place.address),
                &place.interface_padded(),
            ],
        );
    }

    /// Adds an advert.
    pub fn advert(&mut self, envelope: &Envelope, message: &[u8]) {
        let Envelope { source, destination, ttl, id, ah, signer } = *envelope;
        let signed = signer.map(|signer| signer.sign(source, destination, message));
        let message = signed.as_deref().unwrap_or(message);
        let packet = match (source, destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let protocol = crate::packet::IPPROTO_VRRP;
                let header = Ipv4Header { source, destination, ttl, protocol, id, total_len: 0 };
                match ah {
                    Some(seal) => ah::encapsulate(&header, seal, message),
                    None => ipv4::encapsulate(&header, message),
                }
            }
            _ => message.to_vec(),
        };
        let renewal = match (ah, signer) {
            (Some(seal), _) => [&[1][..], &seal.sequence.to_le_bytes(), &seal.secret].concat(),
            (None, Some(signer)) => {
                [&[2, signer.key_id][..], &signer.sequence.to_le_bytes(), signer.secret.bytes()].concat()
            }
            (None, None) => vec![0],
        };
        self.push(ADVERT, &[&address_bytes(source), &address_bytes(destination), &renewal, &packet]);
    }

    /// Adds a request of [`crate::netlink::plain::request`].
    pub fn route_removal(&mut self, request: &[u8]) {
        self.push(ROUTE_REMOVAL, &[request]);
    }

    /// Adds a request of [`crate::netlink::plain::table_removal`].
    pub fn filter_removal(&mut self, request: &[u8]) {
        self.push(FILTER_REMOVAL, &[request]);
    }

    /// Adds a switch of the kernel that gets its former value back.
    pub fn switch(&mut self, path: &[u8], value: &[u8]) {
        self.push(SWITCH, &[&(path.len() as u32).to_le_bytes(), path, value]);
    }

    fn push(&mut self, kind: u8, parts: &[&[u8]]) {
        let len: usize = parts.iter().map(|part| part.len()).sum();
        self.0.push(kind);
        self.0.extend_from_slice(&(len as u32).to_le_bytes());
        parts.iter().for_each(|part| self.0.extend_from_slice(part));
    }
}

/// An IPv4 address is written as the IPv6 address that maps it.
fn address_bytes(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().octets(),
        IpAddr::V6(v6) => v6.octets(),
    }
}

/// Takes a will apart; it takes no memory.
pub fn items(bytes: &[u8]) -> impl Iterator<Item = Item<'_>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let (head, behind) = rest.split_at_checked(HEAD_LEN)?;
        let [kind, a, b, c, d] = *head.first_chunk()?;
        let (body, behind) = behind.split_at_checked(u32::from_le_bytes([a, b, c, d]) as usize)?;
        rest = behind;
        item(kind, body)
    })
}

fn item(kind: u8, body: &[u8]) -> Option<Item<'_>> {
    let mut body = Body(body);
    Some(match kind {
        HOLDER => Item::Holder {
            vrid: body.take::<1>().map(u8::from_le_bytes)?,
            master_down_us: u64::from_le_bytes(body.take()?),
            name: std::str::from_utf8(body.0).unwrap_or("?"),
        },
        PLACE => {
            let ifindex = u32::from_le_bytes(body.take()?);
            let [protocol] = body.take()?;
            let address = body.address()?;
            Item::Place(Place::new(ifindex, address, protocol, body.take()?))
        }
        ADVERT => Item::Advert {
            source: body.address()?,
            destination: body.address()?,
            renewal: body.renewal()?,
            packet: body.0,
        },
        ROUTE_REMOVAL => Item::RouteRemoval(body.0),
        FILTER_REMOVAL => Item::FilterRemoval(body.0),
        SWITCH => {
            let len = u32::from_le_bytes(body.take()?) as usize;
            let (path, value) = body.0.split_at_checked(len)?;
            Item::Switch { path, value }
        }
        _ => return None,
    })
}

/// What is left of an item.
struct Body<'a>(&'a [u8]);

impl Body<'_> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*taken)
    }

    fn address(&mut self) -> Option<IpAddr> {
        let address = Ipv6Addr::from(self.take::<16>()?);
        Some(address.to_ipv4_mapped().map_or(IpAddr::V6(address), IpAddr::V4))
    }

    fn renewal(&mut self) -> Option<Renewal> {
        Some(match self.take()? {
            [0] => Renewal::None,
            [1] => {
                let sequence = u32::from_le_bytes(self.take()?);
                Renewal::Header(ah::Seal { sequence, secret: self.take()? })
            }
            [2] => {
                let [key_id] = self.take()?;
                let sequence = u64::from_le_bytes(self.take()?);
                let secret = trailer::Secret::new(&self.take::<{ trailer::Secret::LEN }>()?);
                Renewal::Trailer(trailer::Signer { key_id, secret, sequence })
            }
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn channel() -> Channel {
        Channel {
            ifindex: 7,
            interface: "eth0".into(),
            address: "224.0.0.18".parse().unwrap(),
            protocol: 112,
        }
    }

    fn envelope(source: &str, destination: &str) -> Envelope {
        let (source, destination) = (source.parse().unwrap(), destination.parse().unwrap());
        Envelope { source, destination, ttl: 255, id: 1, ah: None, signer: None }
    }

    fn will() -> Will {
        let mut will = Will::of_holder("VI_1", 51, 3_609_375);
        will.place(&channel());
        will.advert(&envelope("10.0.0.1", "224.0.0.18"), b"four");
        let seal = ah::Seal { secret: *b"secret12", sequence: 9 };
        will.advert(&Envelope { ah: Some(seal), ..envelope("10.0.0.1", "224.0.0.18") }, b"sealed");
        let signer = trailer::Signer { key_id: 3, secret: trailer::Secret::new(&[5; 40]), sequence: 1 << 33 };
        will.advert(&Envelope { signer: Some(signer), ..envelope("fe80::1", "ff02::12") }, b"12345678");
        will.route_removal(b"address");
        will.filter_removal(b"table");
        will.switch(b"/proc/sys/a", b"1");
        will
    }

    #[test]
    fn what_is_written_is_read() {
        let will = will();
        let found: Vec<Item<'_>> = items(will.bytes()).collect();
        let place = Place::of(&channel());
        assert_eq!(place.interface(), b"eth0");
        assert_eq!(found[0], Item::Holder { name: "VI_1", vrid: 51, master_down_us: 3_609_375 });
        assert_eq!(found[1], Item::Place(place));
        assert!(
            matches!(found[2], Item::Advert { renewal: Renewal::None, packet, .. } if packet.len() == 24)
        );
        assert!(matches!(found[3], Item::Advert { renewal: Renewal::Header(seal), packet, .. }
            if seal.sequence == 9 && packet.len() == 20 + 24 + 6));
        assert!(matches!(found[4], Item::Advert { renewal: Renewal::Trailer(signer), packet, source, .. }
            if signer.sequence == 1 << 33 && signer.key_id == 3 && packet.len() == 8 + 28 && source.is_ipv6()));
        assert_eq!(found[5], Item::RouteRemoval(b"address"));
        assert_eq!(found[6], Item::FilterRemoval(b"table"));
        assert_eq!(found[7], Item::Switch { path: b"/proc/sys/a", value: b"1" });
        assert_eq!(found.len(), 8);
    }

    proptest! {
        #[test]
        fn a_will_that_is_cut_or_garbled_ends_early(at in 0usize..400, with: u8, cut in 0usize..400) {
            let mut bytes = will().bytes().to_vec();
            if let Some(byte) = bytes.get_mut(at) {
                *byte = with;
            }
            bytes.truncate(cut);
            prop_assert!(items(&bytes).count() <= 8 + bytes.len() / HEAD_LEN);
        }
    }
}
