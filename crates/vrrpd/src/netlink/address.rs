//! Setting and removing addresses.

use std::net::{IpAddr, Ipv4Addr};

use netlink_packet_route::address::{
    AddressAttribute, AddressFlags as KernelFlags, AddressMessage, AddressScope, CacheInfo,
};

use crate::model::{AddressSpec, Broadcast, LIFETIME_FOREVER};

use super::{ANSWER_TIMEOUT, Netlink, NetlinkError, errno};

/// An address as the kernel has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelAddress {
    /// Interface.
    pub index: u32,
    /// The address itself (not a peer's).
    pub address: IpAddr,
    /// Length of its prefix.
    pub prefix_len: u8,
    /// IPv6: duplicate address detection has not finished.
    pub tentative: bool,
}

impl KernelAddress {
    /// What an address message says; `None` without an address.
    pub fn from_message(message: &AddressMessage) -> Option<Self> {
        let (mut address, mut local, mut flags) = (None, None, KernelFlags::empty());
        for attribute in &message.attributes {
            match attribute {
                AddressAttribute::Address(value) => address = Some(*value),
                AddressAttribute::Local(value) => local = Some(*value),
                AddressAttribute::Flags(value) => flags = *value,
                _ => {}
            }
        }
        Some(KernelAddress {
            index: message.header.index,
            address: local.or(address)?,
            prefix_len: message.header.prefix_len,
            tentative: flags.contains(KernelFlags::Tentative),
        })
    }
}

/// The broadcast address that `brd` asks for.
pub fn broadcast(spec: &AddressSpec) -> Option<Ipv4Addr> {
    let IpAddr::V4(address) = spec.address else { return None };
    let host_bits = u32::MAX.checked_shr(u32::from(spec.prefix_len)).unwrap_or(0);
    match spec.broadcast {
        Broadcast::Unset => None,
        Broadcast::HostBitsSet => Some(Ipv4Addr::from(u32::from(address) | host_bits)),
        Broadcast::HostBitsClear => Some(Ipv4Addr::from(u32::from(address) & !host_bits)),
        Broadcast::Address(IpAddr::V4(broadcast)) => Some(broadcast),
        Broadcast::Address(IpAddr::V6(_)) => None,
    }
}

fn kernel_flags(spec: &AddressSpec) -> KernelFlags {
    let wanted = [
        (spec.flags.home, KernelFlags::Homeaddress),
        (spec.flags.nodad, KernelFlags::Nodad),
        (spec.flags.mngtmpaddr, KernelFlags::Managetempaddr),
        (spec.flags.noprefixroute, KernelFlags::Noprefixroute),
        (spec.flags.autojoin, KernelFlags::Mcautojoin),
    ];
    wanted.into_iter().filter(|(wanted, _)| *wanted).fold(KernelFlags::empty(), |all, (_, flag)| all | flag)
}

/// Fills the attributes of `message` from `spec`; rtnetlink has set the address itself.
fn describe(message: &mut AddressMessage, spec: &AddressSpec, lifetime_s: Option<u32>) {
    if let Some(scope) = spec.scope {
        message.header.scope = AddressScope::from(scope);
    }
    message.attributes.retain(|attribute| {
        !matches!(
            attribute,
            AddressAttribute::Address(_) | AddressAttribute::Local(_) | AddressAttribute::Broadcast(_)
        )
    });
    message.attributes.push(AddressAttribute::Local(spec.address));
    message.attributes.push(AddressAttribute::Address(spec.peer.unwrap_or(spec.address)));
    if let Some(broadcast) = broadcast(spec) {
        message.attributes.push(AddressAttribute::Broadcast(broadcast));
    }
    if let (Some(label), IpAddr::V4(_)) = (&spec.label, spec.address) {
        message.attributes.push(AddressAttribute::Label(label.clone()));
    }
    let flags = kernel_flags(spec);
    if !flags.is_empty() {
        message.attributes.push(AddressAttribute::Flags(flags));
    }
    if spec.preferred_lft_s.is_some() || lifetime_s.is_some() {
        let valid_s = lifetime_s.unwrap_or(LIFETIME_FOREVER);
        let mut info = CacheInfo::default();
        // The kernel refuses an address that is preferred for longer than it is valid.
        info.ifa_preferred = spec.preferred_lft_s.unwrap_or(LIFETIME_FOREVER).min(valid_s);
        info.ifa_valid = valid_s;
        message.attributes.push(AddressAttribute::CacheInfo(info));
    }
}

/// The message that removes an address.
pub fn removal(index: u32, spec: &AddressSpec) -> AddressMessage {
    let mut message = AddressMessage::default();
    message.header.family = match spec.address {
        IpAddr::V4(_) => netlink_packet_route::AddressFamily::Inet,
        IpAddr::V6(_) => netlink_packet_route::AddressFamily::Inet6,
    };
    message.header.prefix_len = spec.prefix_len;
    message.header.index = index;
    message.attributes.push(AddressAttribute::Local(spec.address));
    if let Some(peer) = spec.peer {
        message.attributes.push(AddressAttribute::Address(peer));
    }
    message
}

impl Netlink {
    /// Puts the address on the interface, for ever or for so many seconds; one that is there already stays and gets
    /// the new lifetime.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn add_address(
        &self,
        index: u32,
        spec: &AddressSpec,
        lifetime_s: Option<u32>,
    ) -> Result<(), NetlinkError> {
        let mut request = self.handle.address().add(index, spec.address, spec.prefix_len).replace();
        describe(request.message_mut(), spec, lifetime_s);
        match tokio::time::timeout(ANSWER_TIMEOUT, request.execute()).await {
            Err(_) => Err(NetlinkError::Timeout),
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) if errno(&error) == Some(nix::libc::EEXIST) => Ok(()),
            Ok(Err(error)) => Err(NetlinkError::from_request(error)),
        }
    }

    /// Takes the address off the interface; `false` when it was not there.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn remove_address(&self, index: u32, spec: &AddressSpec) -> Result<bool, NetlinkError> {
        let request = self.handle.address().del(removal(index, spec));
        match tokio::time::timeout(ANSWER_TIMEOUT, request.execute()).await {
            Err(_) => Err(NetlinkError::Timeout),
            Ok(Ok(())) => Ok(true),
            Ok(Err(error)) => match errno(&error) {
                Some(nix::libc::EADDRNOTAVAIL | nix::libc::ENODEV) => Ok(false),
                _ => Err(NetlinkError::from_request(error)),
            },
        }
    }
}
