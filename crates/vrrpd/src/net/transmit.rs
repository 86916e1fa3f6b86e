//! Sending adverts.

use std::{
    io,
    net::{IpAddr, SocketAddr, SocketAddrV6},
    os::fd::{AsRawFd, RawFd},
};

use nix::libc::MSG_DONTROUTE;
use serde::{Deserialize, Serialize};
use socket2::Socket;

use crate::packet::{
    IPPROTO_VRRP, ah,
    ipv4::{self, Ipv4Header},
    trailer,
};

use super::{Channel, SocketError, socket};

/// The sending socket of one channel.
#[derive(Debug)]
pub struct Transmitter {
    socket: Socket,
    ifindex: u32,
}

/// Addressing of one advert.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// Sender.
    pub source: IpAddr,
    /// The group or a peer.
    pub destination: IpAddr,
    /// TTL of IPv4 packets.
    pub ttl: u8,
    /// IPv4 identification.
    pub id: u16,
    /// The authentication header that goes in front, IPv4 only.
    pub ah: Option<ah::Seal>,
    /// What makes the `auth_hmac` trailer.
    pub signer: Option<trailer::Signer>,
}

impl Transmitter {
    /// Opens the channel's sending socket.
    ///
    /// # Errors
    /// [`SocketError`] when it cannot be opened.
    pub fn open(channel: &Channel) -> Result<Self, SocketError> {
        Ok(Transmitter { socket: socket::sending(channel)?, ifindex: channel.ifindex })
    }

    /// The number of its socket, for those who look at the process.
    pub fn descriptor(&self) -> RawFd {
        self.socket.as_raw_fd()
    }

    /// Sends `message` at once; an advert that cannot leave now is lost, as a packet on the wire may be.
    ///
    /// # Errors
    /// What the kernel said, for one log line.
    pub fn send(&self, envelope: Envelope, message: &[u8]) -> io::Result<()> {
        let signed =
            envelope.signer.map(|signer| signer.sign(envelope.source, envelope.destination, message));
        let message = signed.as_deref().unwrap_or(message);
        let flags = if envelope.destination.is_multicast() { MSG_DONTROUTE } else { 0 };
        match (envelope.source, envelope.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let header = Ipv4Header {
                    source,
                    destination,
                    ttl: envelope.ttl,
                    protocol: IPPROTO_VRRP,
                    id: envelope.id,
                    total_len: 0,
                };
                let packet = match envelope.ah {
                    None => ipv4::encapsulate(&header, message),
                    Some(seal) => ah::encapsulate(&header, seal, message),
                };
                let to = SocketAddr::new(envelope.destination, 0);
                self.socket.send_to_with_flags(&packet, &to.into(), flags)?;
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                self.send_v6(source, SocketAddrV6::new(destination, 0, 0, self.ifindex), message)?;
            }
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        }
        Ok(())
    }

    fn send_v6(&self, source: std::net::Ipv6Addr, to: SocketAddrV6, message: &[u8]) -> io::Result<()> {
        use nix::sys::socket::{ControlMessage, MsgFlags, SockaddrIn6, sendmsg};
        use std::os::fd::AsRawFd;
        let info = nix::libc::in6_pktinfo {
            ipi6_addr: nix::libc::in6_addr { s6_addr: source.octets() },
            ipi6_ifindex: self.ifindex,
        };
        let flags = if to.ip().is_multicast() { MSG_DONTROUTE } else { 0 };
        sendmsg(
            self.socket.as_raw_fd(),
            &[io::IoSlice::new(message)],
            &[ControlMessage::Ipv6PacketInfo(&info)],
            MsgFlags::from_bits_retain(flags),
            Some(&SockaddrIn6::from(to)),
        )?;
        Ok(())
    }
}
