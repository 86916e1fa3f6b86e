//! Making sockets: listening, accepting, connecting, with the options that `bind` and `server` lines ask for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, Type};

use crate::model::{Address, Bind, SourceAddress};
use crate::txn::Endpoint;

/// Listen queue when neither `backlog` nor `maxconn` says more.
const BACKLOG_DEFAULT: i32 = 4096;

/// A listening socket for a `bind` address. `shared`: several threads get one each (`SO_REUSEPORT`).
pub fn listen(bind: &Bind, backlog: Option<u32>, shared: bool) -> io::Result<Socket> {
    let backlog = backlog.and_then(|n| i32::try_from(n).ok()).unwrap_or(BACKLOG_DEFAULT);
    let address = listen_address(&bind.address)?;
    let domain = address.domain();
    let socket = Socket::new(domain, Type::STREAM.nonblocking().cloexec(), None)?;
    if domain == Domain::UNIX {
        if let Address::Unix(path) = &bind.address {
            remove_stale(path);
        }
    } else {
        socket.set_reuse_address(true)?;
        if shared {
            socket.set_reuse_port(true)?;
        }
        if domain == Domain::IPV6 {
            socket.set_only_v6(bind.v6only || !bind.v4v6)?;
        }
        if let Some(interface) = &bind.interface {
            socket.bind_device(Some(interface.as_bytes()))?;
        }
        if bind.transparent && domain == Domain::IPV4 {
            socket.set_ip_transparent_v4(true)?;
        }
        if let Some(timeout_ms) = bind.tcp_user_timeout_ms {
            socket.set_tcp_user_timeout(Some(Duration::from_millis(timeout_ms)))?;
        }
        // Accepted sockets inherit it; small answers must not wait for acknowledgements.
        socket.set_tcp_nodelay(true)?;
    }
    socket.bind(&address)?;
    socket.listen(backlog)?;
    Ok(socket)
}

fn listen_address(address: &Address) -> io::Result<SockAddr> {
    match address {
        Address::Inet(address) => Ok((*address).into()),
        Address::Unix(path) => SockAddr::unix(path),
        Address::Abstract(name) => SockAddr::unix(format!("\0{name}")),
        Address::Name { .. } | Address::Fd(_) | Address::SocketPair(_) => {
            Err(io::Error::new(io::ErrorKind::InvalidInput, "not an address to bind"))
        }
    }
}

/// A socket file left behind by a process that is gone would make the bind fail; a live one's is left alone.
fn remove_stale(path: &std::path::Path) {
    use std::os::unix::fs::FileTypeExt;
    let is_socket = std::fs::symlink_metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        // If this fails, the bind says why.
        let _ = std::fs::remove_file(path);
    }
}

/// Takes the next connection from a listener; `None` when there is none.
pub fn accept(listener: &Socket) -> io::Result<Option<(OwnedFd, Endpoint)>> {
    match listener.accept() {
        Ok((socket, address)) => Ok(Some((socket.into(), endpoint(&address)))),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
        // The client was gone before we looked (accept(2), "Error handling").
        Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => Ok(None),
        Err(error) => Err(error),
    }
}

/// Starts a connection; its end shows as writability.
pub fn connect(
    address: &Address,
    source: Option<&SourceAddress>,
    options: ConnectOptions,
) -> io::Result<OwnedFd> {
    let target = match address {
        Address::Inet(address) => SockAddr::from(*address),
        Address::Unix(path) => SockAddr::unix(path)?,
        Address::Abstract(name) => SockAddr::unix(format!("\0{name}"))?,
        Address::Name { .. } | Address::Fd(_) | Address::SocketPair(_) => {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to"));
        }
    };
    let socket = Socket::new(target.domain(), Type::STREAM.nonblocking().cloexec(), None)?;
    if target.domain() != Domain::UNIX {
        set_tcp_options(&socket, source, target.domain(), options)?;
    }
    match socket.connect(&target) {
        Ok(()) => {}
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => {}
        Err(error) => return Err(error),
    }
    Ok(socket.into())
}

/// Options of an outgoing TCP connection.
#[derive(Debug, Clone, Copy, Default)]
pub struct ConnectOptions {
    pub user_timeout_ms: Option<u64>,
    /// `option srvtcpka`.
    pub keepalive: bool,
}

fn set_tcp_options(
    socket: &Socket,
    source: Option<&SourceAddress>,
    domain: Domain,
    options: ConnectOptions,
) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if options.keepalive {
        socket.set_keepalive(true)?;
    }
    if let Some(timeout_ms) = options.user_timeout_ms {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(timeout_ms)))?;
    }
    let Some(source) = source else { return Ok(()) };
    if let Some(interface) = &source.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    let any: IpAddr =
        if domain == Domain::IPV6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
    let address = source.address.unwrap_or(any);
    match source.ports {
        None if source.address.is_none() => Ok(()),
        None => socket.bind(&SocketAddr::new(address, 0).into()),
        Some((first, last)) => bind_in_range(socket, address, first, last),
    }
}

fn bind_in_range(socket: &Socket, address: IpAddr, first: u16, last: u16) -> io::Result<()> {
    socket.set_reuse_address(true)?;
    let mut outcome = Err(io::Error::from(io::ErrorKind::AddrInUse));
    for port in first..=last {
        outcome = socket.bind(&SocketAddr::new(address, port).into());
        if outcome.is_ok() {
            break;
        }
    }
    outcome
}

/// The local end of a socket.
pub fn local_endpoint(socket: BorrowedFd<'_>) -> Endpoint {
    SockRef::from(&socket).local_addr().map_or(Endpoint::Unknown, |address| endpoint(&address))
}

/// A socket address as the transaction data has it; IPv4 in IPv6 becomes IPv4, as HAProxy shows it.
pub fn endpoint(address: &SockAddr) -> Endpoint {
    match address.as_socket() {
        Some(SocketAddr::V6(v6)) => match v6.ip().to_ipv4_mapped() {
            Some(v4) => Endpoint::Inet(SocketAddr::new(v4.into(), v6.port())),
            None => Endpoint::Inet(v6.into()),
        },
        Some(v4) => Endpoint::Inet(v4),
        None => Endpoint::Unix,
    }
}
