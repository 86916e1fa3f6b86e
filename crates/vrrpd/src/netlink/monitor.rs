//! Watching interfaces and addresses.

use std::net::IpAddr;

use futures_util::{StreamExt, stream::BoxStream};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::RouteNetlinkMessage;
use rtnetlink::MulticastGroup;

use super::{KernelAddress, Link, NetlinkError};

/// Something changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// An interface appeared or changed.
    Link(Link),
    /// An interface is gone.
    LinkGone {
        /// Its former index.
        index: u32,
    },
    /// An address was set or changed.
    Address(KernelAddress),
    /// An address was removed.
    AddressGone {
        /// Interface.
        index: u32,
        /// The address.
        address: IpAddr,
    },
    /// Messages were lost: everything has to be read again.
    Overrun,
}

/// The stream of changes.
pub struct Monitor {
    changes: BoxStream<'static, Change>,
}

impl Monitor {
    /// Subscribes to interface and address changes.
    ///
    /// # Errors
    /// [`NetlinkError::Open`].
    pub fn open() -> Result<Self, NetlinkError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        let (connection, _, messages) = rtnetlink::new_multicast_connection(&groups)?;
        tokio::task::spawn_local(connection);
        let changes = messages.filter_map(|(message, _)| async move {
            match message.payload {
                NetlinkPayload::InnerMessage(inner) => change(&inner),
                NetlinkPayload::Overrun(_) => Some(Change::Overrun),
                _ => None,
            }
        });
        Ok(Monitor { changes: changes.boxed() })
    }

    /// The next change; never ends while the channel lives.
    pub async fn next(&mut self) -> Option<Change> {
        self.changes.next().await
    }
}

fn change(message: &RouteNetlinkMessage) -> Option<Change> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Link::from_message(link).map(Change::Link),
        RouteNetlinkMessage::DelLink(link) => Some(Change::LinkGone { index: link.header.index }),
        RouteNetlinkMessage::NewAddress(address) => KernelAddress::from_message(address).map(Change::Address),
        RouteNetlinkMessage::DelAddress(address) => KernelAddress::from_message(address)
            .map(|gone| Change::AddressGone { index: gone.index, address: gone.address }),
        _ => None,
    }
}
