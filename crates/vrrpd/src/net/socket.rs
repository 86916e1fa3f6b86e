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
    open_receiving(channel, buffer_bytes).map_err(|error| SocketError::new(channel, error))
}

/// The sending socket. IPv4 packets are given to it with their header.
///
/// # Errors
/// [`SocketError`]; a missing capability has its own case.
pub fn sending(channel: &Channel) -> Result<Socket, SocketError> {
    open_sending(channel).map_err(|error| SocketError::new(channel, error))
}

fn raw(family: Family, protocol: i32) -> io::Result<Socket> {
    let domain = match family {
        Family::V4 => Domain::IPV4,
        Family::V6 => Domain::IPV6,
    };
    Socket::new(domain, Type::RAW.nonblocking().cloexec(), Some(Protocol::from(protocol)))
}

fn bind_to_interface(socket: &Socket, channel: &Channel) -> io::Result<()> {
    if channel.ifindex != 0 {
        socket.bind_device(Some(channel.interface.as_bytes()))?;
    }
    Ok(())
}

fn open_receiving(channel: &Channel, buffer_bytes: Option<u32>) -> io::Result<Socket> {
    let socket = raw(channel.family(), i32::from(channel.protocol))?;
    bind_to_interface(&socket, channel)?;
    let bytes = buffer_bytes.map_or(RECEIVE_BUFFER_BYTES, |bytes| bytes as usize);
    // Beyond the system's limit with CAP_NET_ADMIN, else up to it.
    if setsockopt(&socket, sockopt::RcvBufForce, &bytes).is_err() {
        socket.set_recv_buffer_size(bytes)?;
    }
    match channel.address {
        IpAddr::V4(address) if channel.is_multicast() => {
            socket.set_multicast_all_v4(false)?;
            let interface = InterfaceIndexOrAddress::Index(channel.ifindex);
            socket.join_multicast_v4_n(&address, &interface)?;
        }
        IpAddr::V4(_) => socket.set_freebind_v4(true)?,
        IpAddr::V6(address) => {
            setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?;
            setsockopt(&socket, sockopt::Ipv6RecvHopLimit, &true)?;
            if channel.is_multicast() {
                socket.set_multicast_all_v6(false)?;
                socket.join_multicast_v6(&address, channel.ifindex)?;
            } else {
                socket.set_freebind_v6(true)?;
            }
        }
    }
    let local = match channel.address {
        IpAddr::V4(_) => SocketAddr::new(channel.address, 0),
        IpAddr::V6(address) => std::net::SocketAddrV6::new(address, 0, 0, channel.ifindex).into(),
    };
    socket.bind(&local.into())?;
    Ok(socket)
}

fn open_sending(channel: &Channel) -> io::Result<Socket> {
    // IPPROTO_RAW takes packets with their header and receives none.
    let protocol = match channel.family() {
        Family::V4 => nix::libc::IPPROTO_RAW,
        Family::V6 => i32::from(IPPROTO_VRRP),
    };
    let socket = raw(channel.family(), protocol)?;
    bind_to_interface(&socket, channel)?;
    // Failing to be first in the queue is no reason not to run.
    let _ = socket.set_priority(PRIORITY_CONTROL);
    match channel.address {
        IpAddr::V4(_) => {
            socket.set_header_included_v4(true)?;
            socket.set_multicast_loop_v4(false)?;
        }
        IpAddr::V6(_) => {
            socket.set_multicast_loop_v6(false)?;
            socket.set_tclass_v6(u32::from(TOS_INTERNETWORK_CONTROL))?;
            if channel.is_multicast() {
                socket.set_multicast_hops_v6(u32::from(VRRP_TTL))?;
                socket.set_multicast_if_v6(channel.ifindex)?;
            }
            // It would otherwise queue a copy of every advert that arrives.
            socket.set_recv_buffer_size(0)?;
        }
    }
    Ok(socket)
}
