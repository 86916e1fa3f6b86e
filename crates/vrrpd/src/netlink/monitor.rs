//! Watching interfaces and addresses.

use std::net::IpAddr;

use futures_util::{StreamExt, stream::BoxStream};
use netlink_packet_core::NetlinkPayload;
use netlink_packet_route::{RouteNetlinkMessage, route::RouteMessage, rule::RuleMessage};
use rtnetlink::MulticastGroup;

use crate::model::{Config, VrrpInstance};

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
    /// A route was removed.
    RouteGone(Box<RouteMessage>),
    /// A policy rule was removed.
    RuleGone(Box<RuleMessage>),
    /// Messages were lost: everything has to be read again.
    Overrun,
}

/// The stream of changes.
pub struct Monitor {
    changes: BoxStream<'static, Change>,
    /// Routes and rules, once some of ours have to be looked after.
    paths: Option<BoxStream<'static, Change>>,
}

/// The changes that these groups report.
fn subscribe(groups: &[MulticastGroup]) -> Result<BoxStream<'static, Change>, NetlinkError> {
    let (connection, _, messages) = rtnetlink::new_multicast_connection(groups)?;
    tokio::task::spawn_local(connection);
    let changes = messages.filter_map(|(message, _)| async move {
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => change(&inner),
            NetlinkPayload::Overrun(_) => Some(Change::Overrun),
            _ => None,
        }
    });
    Ok(changes.boxed())
}

impl Monitor {
    /// Subscribes to interface and address changes.
    ///
    /// # Errors
    /// [`NetlinkError::Open`].
    pub fn open() -> Result<Self, NetlinkError> {
        let groups = [MulticastGroup::Link, MulticastGroup::Ipv4Ifaddr, MulticastGroup::Ipv6Ifaddr];
        Ok(Monitor { changes: subscribe(&groups)?, paths: None })
    }

    /// Subscribes to removed routes and rules, too, if the configuration has some that are tracked. A router's table may
    /// change a thousand times a second: nobody listens to that without need.
    ///
    /// # Errors
    /// [`NetlinkError::Open`]; it is not tried again.
    pub fn watch_paths(&mut self, config: &Config) -> Result<(), NetlinkError> {
        let tracked = |instance: &VrrpInstance| {
            instance.routes.iter().any(|route| !route.no_track)
                || instance.rules.iter().any(|rule| !rule.no_track)
        };
        let tracked = config.vrrp_instances.iter().any(tracked)
            || config.static_routes.iter().any(|route| !route.no_track)
            || config.static_rules.iter().any(|rule| !rule.no_track);
        if self.paths.is_some() || !tracked {
            return Ok(());
        }
        self.paths = Some(futures_util::stream::pending().boxed());
        self.paths = Some(subscribe(&[
            MulticastGroup::Ipv4Route,
            MulticastGroup::Ipv6Route,
            MulticastGroup::Ipv4Rule,
            MulticastGroup::Ipv6Rule,
        ])?);
        Ok(())
    }

    /// The next change; never ends while the channel lives.
    pub async fn next(&mut self) -> Option<Change> {
        match &mut self.paths {
            None => self.changes.next().await,
            Some(paths) => tokio::select! {
                change = self.changes.next() => change,
                Some(change) = paths.next() => Some(change),
            },
        }
    }
}

fn change(message: &RouteNetlinkMessage) -> Option<Change> {
    match message {
        RouteNetlinkMessage::NewLink(link) => Link::from_message(link).map(Change::Link),
        RouteNetlinkMessage::DelLink(link) => Some(Change::LinkGone { index: link.header.index }),
        RouteNetlinkMessage::NewAddress(address) => KernelAddress::from_message(address).map(Change::Address),
        RouteNetlinkMessage::DelAddress(address) => KernelAddress::from_message(address)
            .map(|gone| Change::AddressGone { index: gone.index, address: gone.address }),
        RouteNetlinkMessage::DelRoute(route) => Some(Change::RouteGone(Box::new(route.clone()))),
        RouteNetlinkMessage::DelRule(rule) => Some(Change::RuleGone(Box::new(rule.clone()))),
        _ => None,
    }
}
