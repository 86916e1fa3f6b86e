//! What is known of the system's interfaces, kept up to date by the monitor.

use std::{collections::BTreeMap, net::IpAddr};

use futures_util::TryStreamExt;
use netlink_packet_route::link::{
    InfoData, InfoKind, InfoVrf, LinkAttribute, LinkFlags, LinkInfo, LinkMessage,
};

use crate::model::Family;

use super::{KernelAddress, Netlink, NetlinkError, errno};

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    /// Kernel index.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Hardware address; none on tunnels and the like.
    pub mac: Option<[u8; 6]>,
    /// Up and running (keepalived's behaviour).
    pub up: bool,
    /// `IFF_UP`: somebody has switched it on.
    pub admin_up: bool,
    /// `IFF_RUNNING`: it has a carrier.
    pub running: bool,
    /// `IFF_NOARP`: announcing makes no sense.
    pub noarp: bool,
    /// Largest packet, bytes.
    pub mtu: u32,
    /// A macvlan: the interface below it.
    pub macvlan_over: Option<u32>,
    /// An ipvlan: the interface below it.
    pub ipvlan_over: Option<u32>,
    /// A VRF: its routing table.
    pub vrf_table: Option<u32>,
}

impl Link {
    /// What a link message says; `None` without a name.
    pub fn from_message(message: &LinkMessage) -> Option<Self> {
        let flags = message.header.flags;
        let mut link = Link {
            index: message.header.index,
            name: String::new(),
            mac: None,
            up: flags.contains(LinkFlags::Up) && flags.contains(LinkFlags::Running),
            admin_up: flags.contains(LinkFlags::Up),
            running: flags.contains(LinkFlags::Running),
            noarp: flags.contains(LinkFlags::Noarp),
            mtu: 1500,
            macvlan_over: None,
            ipvlan_over: None,
            vrf_table: None,
        };
        let (mut parent, mut kind) = (None, None);
        for attribute in &message.attributes {
            match attribute {
                LinkAttribute::IfName(name) => link.name.clone_from(name),
                LinkAttribute::Address(bytes) => link.mac = bytes.as_slice().try_into().ok(),
                LinkAttribute::Mtu(mtu) => link.mtu = *mtu,
                LinkAttribute::Link(below) => parent = Some(*below),
                LinkAttribute::LinkInfo(infos) => {
                    kind = infos.iter().find_map(|info| match info {
                        LinkInfo::Kind(kind) => Some(kind.clone()),
                        _ => None,
                    });
                    link.vrf_table = infos.iter().find_map(vrf_table);
                }
                _ => {}
            }
        }
        link.macvlan_over = parent.filter(|_| kind == Some(InfoKind::MacVlan));
        link.ipvlan_over = parent.filter(|_| kind == Some(InfoKind::IpVlan));
        (!link.name.is_empty()).then_some(link)
    }
}

fn vrf_table(info: &LinkInfo) -> Option<u32> {
    let LinkInfo::Data(InfoData::Vrf(data)) = info else { return None };
    data.iter().find_map(|entry| match entry {
        InfoVrf::TableId(table) => Some(*table),
        _ => None,
    })
}

/// All interfaces and their addresses.
#[derive(Debug, Clone, Default)]
pub struct Interfaces {
    links: BTreeMap<u32, Link>,
    addresses: Vec<KernelAddress>,
}

impl Interfaces {
    /// The interface of that name.
    pub fn by_name(&self, name: &str) -> Option<&Link> {
        self.links.values().find(|link| link.name == name)
    }

    /// All interfaces, by index.
    pub fn links(&self) -> impl Iterator<Item = &Link> {
        self.links.values()
    }

    /// The interface of that index.
    pub fn by_index(&self, index: u32) -> Option<&Link> {
        self.links.get(&index)
    }

    /// Every address the kernel has.
    pub fn addresses(&self) -> &[KernelAddress] {
        &self.addresses
    }

    /// The address adverts of `family` leave from: the first of the interface that is not one of
    /// `virtual_addresses`; for IPv6 the link-local one (RFC 9568 §5.1.2.1).
    pub fn primary_address(
        &self,
        index: u32,
        family: Family,
        is_virtual: impl Fn(IpAddr) -> bool,
    ) -> Option<IpAddr> {
        self.addresses
            .iter()
            .filter(|address| address.index == index && Family::of(address.address) == family)
            .filter(|address| match address.address {
                IpAddr::V4(_) => true,
                IpAddr::V6(v6) => v6.is_unicast_link_local() && !address.tentative,
            })
            .map(|address| address.address)
            .find(|address| !is_virtual(*address))
    }

    /// Notes a new or changed interface and returns what it was.
    pub fn set_link(&mut self, link: Link) -> Option<Link> {
        self.links.insert(link.index, link)
    }

    /// Notes that an interface is gone, and its addresses with it.
    pub fn remove_link(&mut self, index: u32) -> Option<Link> {
        self.addresses.retain(|address| address.index != index);
        self.links.remove(&index)
    }

    /// Notes an address; `false` when it was known.
    pub fn add_address(&mut self, address: KernelAddress) -> bool {
        let known = self
            .addresses
            .iter_mut()
            .find(|known| known.index == address.index && known.address == address.address);
        if let Some(known) = known {
            *known = address;
            return false;
        }
        self.addresses.push(address);
        true
    }

    /// Notes that an address is gone; `false` when it was not known.
    pub fn remove_address(&mut self, index: u32, address: IpAddr) -> bool {
        let before = self.addresses.len();
        self.addresses.retain(|known| known.index != index || known.address != address);
        self.addresses.len() != before
    }

    /// Whether the interface carries the address.
    pub fn has_address(&self, index: u32, address: IpAddr) -> bool {
        self.addresses.iter().any(|known| known.index == index && known.address == address)
    }
}

impl Netlink {
    /// Reads one interface; `None` when it is gone.
    ///
    /// # Errors
    /// [`NetlinkError`] when the kernel does not say.
    pub async fn link(&self, index: u32) -> Result<Option<Link>, NetlinkError> {
        let mut answers = self.handle.link().get().match_index(index).execute();
        match answers.try_next().await {
            Ok(message) => Ok(message.as_ref().and_then(Link::from_message)),
            Err(error) if errno(&error) == Some(nix::libc::ENODEV) => Ok(None),
            Err(error) => Err(NetlinkError::from_request(error)),
        }
    }

    /// Reads all interfaces and addresses.
    ///
    /// # Errors
    /// [`NetlinkError`] when the kernel refuses the dump.
    pub async fn interfaces(&self) -> Result<Interfaces, NetlinkError> {
        let mut interfaces = Interfaces::default();
        let mut links = self.handle.link().get().execute();
        while let Some(message) = links.try_next().await.map_err(NetlinkError::from_request)? {
            if let Some(link) = Link::from_message(&message) {
                interfaces.set_link(link);
            }
        }
        let mut addresses = self.handle.address().get().execute();
        while let Some(message) = addresses.try_next().await.map_err(NetlinkError::from_request)? {
            if let Some(address) = KernelAddress::from_message(&message) {
                interfaces.add_address(address);
            }
        }
        Ok(interfaces)
    }
}
