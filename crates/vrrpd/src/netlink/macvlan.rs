//! Making and removing macvlan and ipvlan interfaces: `use_vmac` and `use_ipvlan`.

use netlink_packet_core::{NLM_F_ACK, NLM_F_CREATE, NLM_F_EXCL, NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::{
    RouteNetlinkMessage,
    link::{
        AfSpecInet6, AfSpecUnspec, In6AddrGenMode, InfoData, InfoIpVlan, InfoKind, InfoMacVlan, IpVlanFlags,
        IpVlanMode, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, MacVlanMode,
    },
};

use crate::model::{IpvlanMode, IpvlanSettings};

use super::{Netlink, NetlinkError};

/// A macvlan to be made: private, down, without link local address of its own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macvlan {
    /// Its name.
    pub name: String,
    /// Index of the interface below.
    pub parent: u32,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// Interface group; the kernel's default is 0.
    pub group: Option<u32>,
}

/// The message that makes an ipvlan in mode L2, up at once (as keepalived 2.2.7 sends it).
pub fn ipvlan(name: &str, parent: u32, settings: &IpvlanSettings) -> LinkMessage {
    let flags = match settings.mode {
        IpvlanMode::Bridge => IpVlanFlags::empty(),
        IpvlanMode::Private => IpVlanFlags::Private,
        IpvlanMode::Vepa => IpVlanFlags::Vepa,
    };
    let mut message = LinkMessage::default();
    message.header.flags = LinkFlags::Up;
    message.header.change_mask = LinkFlags::Up;
    message.attributes.push(LinkAttribute::Link(parent));
    message.attributes.push(LinkAttribute::IfName(name.to_owned()));
    message.attributes.extend(settings.group.map(LinkAttribute::Group));
    message.attributes.push(LinkAttribute::LinkInfo(vec![
        LinkInfo::Kind(InfoKind::IpVlan),
        LinkInfo::Data(InfoData::IpVlan(vec![InfoIpVlan::Mode(IpVlanMode::L2), InfoIpVlan::Flags(flags)])),
    ]));
    message
}

/// The message that removes an interface.
pub fn removal(index: u32) -> LinkMessage {
    let mut message = LinkMessage::default();
    message.header.index = index;
    message
}

/// IPv6 without a link local address made from the hardware address: only what we set is there.
fn no_address_generation(message: &mut LinkMessage) {
    let inet6 = vec![AfSpecInet6::AddrGenMode(In6AddrGenMode::None)];
    message.attributes.push(LinkAttribute::AfSpecUnspec(vec![AfSpecUnspec::Inet6(inet6)]));
}

impl Netlink {
    /// Makes the interface; `false` when the name is taken.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn add_macvlan(&self, macvlan: &Macvlan) -> Result<bool, NetlinkError> {
        let mut message = LinkMessage::default();
        message.attributes.push(LinkAttribute::IfName(macvlan.name.clone()));
        message.attributes.push(LinkAttribute::Link(macvlan.parent));
        message.attributes.push(LinkAttribute::Address(macvlan.mac.to_vec()));
        message.attributes.extend(macvlan.group.map(LinkAttribute::Group));
        message.attributes.push(LinkAttribute::LinkInfo(vec![
            LinkInfo::Kind(InfoKind::MacVlan),
            LinkInfo::Data(InfoData::MacVlan(vec![InfoMacVlan::Mode(MacVlanMode::Private)])),
        ]));
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewLink(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.change(request, nix::libc::EEXIST).await
    }

    /// Makes an ipvlan; `false` when the name is taken.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn add_ipvlan(&self, message: LinkMessage) -> Result<bool, NetlinkError> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::NewLink(message));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
        self.change(request, nix::libc::EEXIST).await
    }

    /// Takes an interface up, without an IPv6 address of its own making.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn raise_macvlan(&self, index: u32) -> Result<(), NetlinkError> {
        let mut quiet = LinkMessage::default();
        quiet.header.index = index;
        no_address_generation(&mut quiet);
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::SetLink(quiet));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        // A kernel without IPv6 knows nothing of it.
        self.change(request, nix::libc::EAFNOSUPPORT).await?;
        let mut up = LinkMessage::default();
        up.header.index = index;
        up.header.flags = LinkFlags::Up;
        up.header.change_mask = LinkFlags::Up;
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::SetLink(up));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        self.change(request, nix::libc::EEXIST).await.map(drop)
    }

    /// Removes an interface; `false` when it is gone already.
    ///
    /// # Errors
    /// [`NetlinkError`] with the kernel's reason.
    pub async fn remove_link(&self, index: u32) -> Result<bool, NetlinkError> {
        let mut request = NetlinkMessage::from(RouteNetlinkMessage::DelLink(removal(index)));
        request.header.flags = NLM_F_REQUEST | NLM_F_ACK;
        self.change(request, nix::libc::ENODEV).await
    }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::Emitable;

    use super::*;

    /// The bytes after the header that keepalived 2.2.7 sends for `use_ipvlan 10.77.0.55/24 private group`, where it takes
    /// the last word for a name; seen with strace(1).
    #[test]
    #[cfg(target_endian = "little")]
    fn an_ipvlan_is_keepaliveds() {
        let settings = IpvlanSettings { mode: IpvlanMode::Private, ..IpvlanSettings::default() };
        let message = ipvlan("group", 11, &settings);
        let mut bytes = vec![0; message.buffer_len()];
        message.emit(&mut bytes);
        let expected: &[u8] = b"\x08\x00\x05\x00\x0b\x00\x00\x00\x0a\x00\x03\x00group\x00\x00\x00\
            \x24\x00\x12\x00\x0a\x00\x01\x00ipvlan\x00\x00\x14\x00\x02\x00\
            \x06\x00\x01\x00\x00\x00\x00\x00\x06\x00\x02\x00\x01\x00\x00\x00";
        // Kind and name end with a zero or not, which the kernel does not mind.
        let expected: Vec<u8> = expected.to_vec();
        let without_lengths = |bytes: &[u8]| {
            bytes.iter().filter(|byte| byte.is_ascii_lowercase()).copied().collect::<Vec<u8>>()
        };
        assert_eq!(without_lengths(&bytes), without_lengths(&expected));
        assert!(bytes.ends_with(b"\x06\x00\x01\x00\x00\x00\x00\x00\x06\x00\x02\x00\x01\x00\x00\x00"));
    }
}
