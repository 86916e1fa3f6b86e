//! Free loopback ports.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};

/// A TCP address on loopback that nobody listens on.
///
/// The kernel gives ports in turn, so that a second caller gets another one; a listener that needs certainty binds port 0 itself.
pub fn free_tcp() -> io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// A UDP address on loopback that nobody listens on.
pub fn free_udp() -> io::Result<SocketAddr> {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}
