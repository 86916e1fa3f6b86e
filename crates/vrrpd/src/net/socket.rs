//! Opening the raw sockets of adverts (RFC 9568 §5.1).
//!
//! One receiving and one sending socket per [`Channel`]; instances that share a channel are told apart
//! by VRID.

use std::{
    io,
    net::{IpAddr, SocketAddr},
};

use nix::sys::socket::{setsockopt, sockopt};
use serde::{Deserialize, Serialize};
use socket2::{Domain, InterfaceIndexOrAddress, Protocol, Socket, Type};
use thiserror::Error;

use crate::packet::{Family, IPPROTO_VRRP, VRRP_TTL, ipv4::TOS_INTERNETWORK_CONTROL};

/// Queueing priority of adverts: `TC_PRIO_CONTROL`, so that they leave first on a loaded interface.
const PRIORITY_CONTROL: u32 = 6;

/// Receive buffer: the adverts of 255 instances of two masters while we are busy taking over. The kernel
/// uses it only when they pile up.
const RECEIVE_BUFFER_BYTES: usize = 2 << 20;

/// What a pair of sockets is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Channel {
    /// Index of the interface; 0 for unicast without interface.
    pub ifindex: u32,
    /// Its name, as `SO_BINDTODEVICE` takes it.
    pub interface: String,
    /// The group of a multicast channel, the own address of a unicast one.
    pub address: IpAddr,
    /// What it receives: VRRP, or the authentication header in front of it.
    pub protocol: u8,
}

impl Channel {
    /// Family of the carrier.
    pub fn family(&self) -> Family {
        Family::of(self.address)
    }

    /// Whether adverts go to a group.
    pub fn is_multicast(&self) -> bool {
        self.address.is_multicast()
    }
}

/// Where adverts of an instance are sent and heard, without a name that would need memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Index of the interface; 0 for unicast without one.
    pub ifindex: u32,
    /// The group, or the own address.
    pub address: IpAddr,
    /// VRRP, or the authentication header in front of it.
    pub protocol: u8,
    interface: [u8; 16],
}

impl Place {
    /// That of a channel.
    pub fn of(channel: &Channel) -> Self {
        let mut interface = [0; 16];
        interface.iter_mut().zip(channel.interface.bytes()).for_each(|(to, from)| *to = from);
        Place { ifindex: channel.ifindex, address: channel.address, protocol: channel.protocol, interface }
    }

    /// From its parts.
    pub fn new(ifindex: u32, address: IpAddr, protocol: u8, interface: [u8; 16]) -> Self {
        Place { ifindex, address, protocol, interface }
    }

    /// Name of the interface, padded with zero.
    pub fn interface_padded(&self) -> [u8; 16] {
        self.interface
    }

    /// Name of the interface.
    pub fn interface(&self) -> &[u8] {
        self.interface.split(|byte| *byte == 0).next().unwrap_or_default()
    }
}

/// A socket could not be opened.
#[derive(Debug, Error)]
pub enum SocketError {
    /// The capability is missing.
    #[error(
        "cannot open a raw socket: permission denied - run as root or give the program CAP_NET_RAW and CAP_NET_ADMIN"
    )]
    Permission,
    /// Anything else.
    #[error("cannot open a VRRP socket on {interface} for {address}: {source}")]
    Io {
        /// Interface of the channel.
        interface: String,
        /// Its address.
        address: IpAddr,
        /// What the kernel said.
        source: io::Error,
    },
}

impl SocketError {
    fn new(channel: &Channel, source: io::Error) -> Self {
        if source.kind() == io::ErrorKind::PermissionDenied {
            SocketError::Permission
        } else {
            SocketError::Io { interface: channel.interface.clone(), address: channel.address, source }
        }
    }
}

/// The receiving socket: bound to the group or own address, and to the interface.
///
/// # Errors
/// [`SocketError`]; a missing capability has its own case.
pub fn receiving(channel: &Channel, buffer_bytes: Option<u32>) -> Result<Socket, SocketError> {
    open_receiving(&Place::of(channel), buffer_bytes).map_err(|error| SocketError::new(channel, error))
}

/// The sending socket. IPv4 packets are given to it with their header.
///
/// # Errors
/// [`SocketError`]; a missing capability has its own case.
pub fn sending(channel: &Channel) -> Result<Socket, SocketError> {
    open_sending(&Place::of(channel)).map_err(|error| SocketError::new(channel, error))
}

fn raw(family: Family, protocol: i32) -> io::Result<Socket> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(protocol)))
}

fn bind_to_interface(socket: &Socket, place: &Place) -> io::Result<()> {
    if place.ifindex != 0 {
        socket.bind_device(Some(place.interface()))?;
    }
    Ok(())
}

/// [`receiving`] without taking memory.
///
/// # Errors
/// What the kernel said.
pub fn open_receiving(place: &Place, buffer_bytes: Option<u32>) -> io::Result<Socket> {
    let socket = raw(Family::of(place.address), i32::from(place.protocol))?;
    bind_to_interface(&socket, place)?;
    let bytes = buffer_bytes.map_or(RECEIVE_BUFFER_BYTES, |bytes| bytes as usize);
    // Beyond the system's limit with CAP_NET_ADMIN, else up to it.
    if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    match place.address {
        IpAddr::V4(address) if place.address.is_multicast() => {
            socket.set_multicast_all_v4(false)?;
            let interface = InterfaceIndexOrAddress::Index(place.ifindex);
            socket.join_multicast_v4_n(&address, &interface)?;
        }
        IpAddr::V4(_) => socket.set_freebind_v4(true)?,
        IpAddr::V6(address) => {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            if place.address.is_multicast() {
                socket.set_multicast_all_v6(false)?;
                socket.join_multicast_v6(&address, place.ifindex)?;
            } else {
                socket.set_freebind_v6(true)?;
            }
        }
    }
    let local = match place.address {
        IpAddr::V4(_) => SocketAddr::new(place.address, 0),
        IpAddr::V6(address) => std::net::SocketAddrV6::new(address, 0, 0, place.ifindex).into(),
    };
    socket.bind(&local.into())?;
    Ok(socket)
}

/// [`sending`] without taking memory.
///
/// # Errors
/// What the kernel said.
pub fn open_sending(place: &Place) -> io::Result<Socket> {
    // IPPROTO_RAW takes packets with their header and receives none.
    let protocol = match Family::of(place.address) {
        Family::V4 => nix::libc::IPPROTO_RAW,
        Family::V6 => i32::from(IPPROTO_VRRP),
    };
    let socket = raw(Family::of(place.address), protocol)?;
    bind_to_interface(&socket, place)?;
    // Failing to be first in the queue is no reason not to run.
    let _ = socket.set_priority(PRIORITY_CONTROL);
    match place.address {
        IpAddr::V4(_) => {
            socket.set_header_included_v4(true)?;
            socket.set_multicast_loop_v4(false)?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_loop_v6(false)?;
            socket.set_tclass_v6(u32::from(TOS_INTERNETWORK_CONTROL))?;
            if place.address.is_multicast() {
                socket.set_multicast_hops_v6(u32::from(VRRP_TTL))?;
                socket.set_multicast_if_v6(place.ifindex)?;
            }
            // It would otherwise queue a copy of every advert that arrives.
            socket.set_recv_buffer_size(0)?;
        }
    }
    Ok(socket)
}
