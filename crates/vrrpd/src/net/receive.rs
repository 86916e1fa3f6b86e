//! Receiving datagrams: one task per socket that hands them to the actor unread.
//!
//! The queue between them is short; under a flood the kernel drops at the socket, not we in memory.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    os::fd::{AsRawFd, BorrowedFd, RawFd},
    rc::Rc,
};

use hacore::sys::Watched;
use nix::{
    cmsg_space,
    libc::{c_int, in6_pktinfo},
    sys::socket::{ControlMessageOwned, MsgFlags, SockaddrIn6, recv, recvmsg},
};
use tokio::{sync::mpsc, task::JoinHandle};

use crate::packet::{Family, receive::ADVERT_LEN_MAX, receive::Datagram};

use super::{Channel, SocketError, socket};

/// Datagrams that wait for the actor at most.
pub const QUEUE_LEN: usize = 512;
/// Largest datagram read: an advert, an IPv4 header with options, an authentication header.
const DATAGRAM_LEN_MAX: usize = ADVERT_LEN_MAX + 60 + 24;

/// A datagram on its way to the actor.
#[derive(Debug)]
pub struct Inbound {
    /// Where it arrived.
    pub channel: Rc<Channel>,
    /// IPv4: with header.
    pub bytes: Vec<u8>,
    /// Sender.
    pub source: IpAddr,
    /// IPv6 only.
    pub destination: Option<IpAddr>,
    /// IPv6 only.
    pub hop_limit: Option<u8>,
}

impl Inbound {
    /// As the decoder takes it.
    pub fn datagram(&self) -> Datagram<'_> {
        Datagram {
            bytes: &self.bytes,
            source: self.source,
            destination: self.destination,
            hop_limit: self.hop_limit,
        }
    }
}

/// The receive task of one channel; dropping it closes the socket.
#[derive(Debug)]
pub struct Listener {
    task: JoinHandle<()>,
    descriptor: RawFd,
}

impl Listener {
    /// Opens the channel's receiving socket and starts to read. Must run inside a `LocalSet`.
    ///
    /// # Errors
    /// [`SocketError`] when the socket cannot be opened.
    pub fn open(
        channel: Rc<Channel>,
        buffer_bytes: Option<u32>,
        to: mpsc::Sender<Inbound>,
    ) -> Result<Self, SocketError> {
        let socket = socket::receiving(&channel, buffer_bytes)?;
        let descriptor = socket.as_raw_fd();
        let socket = Watched::new(socket.into()).map_err(|source| SocketError::Io {
            interface: channel.interface.clone(),
            address: channel.address,
            source,
        })?;
        let task = tokio::task::spawn_local(read(socket, channel, to));
        Ok(Listener { task, descriptor })
    }

    /// The number of its socket, for those who look at the process.
    pub fn descriptor(&self) -> RawFd {
        self.descriptor
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(socket: Watched, channel: Rc<Channel>, to: mpsc::Sender<Inbound>) {
    let mut buffer = vec![0; DATAGRAM_LEN_MAX];
    loop {
        // Room first: what cannot be queued stays in the kernel.
        let Ok(permit) = to.reserve().await else { return };
        match socket.read_with(|socket| read_one(socket, &channel, &mut buffer)).await {
            Ok(Some(inbound)) => permit.send(inbound),
            // A pending socket error (interface down) is given once; the monitor tells the state.
            Ok(None) | Err(_) => tokio::task::yield_now().await,
        }
    }
}

fn read_one(socket: BorrowedFd<'_>, channel: &Rc<Channel>, buffer: &mut [u8]) -> io::Result<Option<Inbound>> {
    match channel.family() {
        Family::V4 => read_v4(socket, channel, buffer),
        Family::V6 => read_v6(socket, channel, buffer),
    }
}

fn read_v4(socket: BorrowedFd<'_>, channel: &Rc<Channel>, buffer: &mut [u8]) -> io::Result<Option<Inbound>> {
    let len = recv(socket.as_raw_fd(), buffer, MsgFlags::empty())?;
    let bytes = buffer.get(..len).unwrap_or_default().to_vec();
    let source = bytes.get(12..16).and_then(|octets| <[u8; 4]>::try_from(octets).ok()).map(Ipv4Addr::from);
    Ok(source.map(|source| Inbound {
        channel: Rc::clone(channel),
        bytes,
        source: source.into(),
        destination: None,
        hop_limit: None,
    }))
}

fn read_v6(socket: BorrowedFd<'_>, channel: &Rc<Channel>, buffer: &mut [u8]) -> io::Result<Option<Inbound>> {
    let mut control = cmsg_space!(in6_pktinfo, c_int);
    let mut pieces = [io::IoSliceMut::new(buffer)];
    let message =
        recvmsg::<SockaddrIn6>(socket.as_raw_fd(), &mut pieces, Some(&mut control), MsgFlags::empty())?;
    let (mut destination, mut hop_limit) = (None, None);
    for part in message.cmsgs()? {
        match part {
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                destination = Some(IpAddr::from(info.ipi6_addr.s6_addr));
            }
            ControlMessageOwned::Ipv6HopLimit(limit) => hop_limit = u8::try_from(limit).ok(),
            _ => {}
        }
    }
    let (source, len) = (message.address.map(|address| address.ip()), message.bytes);
    Ok(source.map(|source| Inbound {
        channel: Rc::clone(channel),
        bytes: buffer.get(..len).unwrap_or_default().to_vec(),
        source: source.into(),
        destination,
        hop_limit,
    }))
}
