//! Making sockets: listening, accepting, connecting, with the options that `bind` and `server` lines ask for.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use socket2::{Domain, SockAddr, SockRef, Socket, TcpKeepalive, Type};

use hacore::sys::{TcpOption, set_tcp_option};
use nix::sys::socket::{setsockopt, sockopt};

use super::namespace;
use crate::model::{Address, Bind, SourceAddress, TcpKeepAlive};
use crate::txn::Endpoint;

/// Listen queue when neither `backlog` nor `maxconn` says more.
const BACKLOG_DEFAULT: i32 = 4096;

/// How long `defer-accept` waits for the first data, seconds; the kernel rounds it to retransmissions.
const DEFER_ACCEPT_S: i32 = 1;
/// Connections with data in their opening segment that may wait (`tfo`).
const FAST_OPEN_QUEUE: i32 = 1024;

/// What a frontend asks of its listening sockets; accepted connections inherit it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListenOptions {
    pub backlog: Option<u32>,
    /// Several threads get a socket each (`SO_REUSEPORT`).
    pub shared: bool,
    /// `option clitcpka` with its parameters.
    pub keepalive: Option<TcpKeepAlive>,
    /// `option nolinger`.
    pub nolinger: bool,
    /// `option tcp-smart-accept`.
    pub delay_ack: bool,
}

/// A listening socket for a `bind` address.
pub fn listen(bind: &Bind, options: ListenOptions) -> io::Result<Socket> {
    if let Address::Unix(path) = &bind.address {
        return listen_unix(path, bind, options);
    }
    let address = listen_address(&bind.address)?;
    let socket = namespace::within(bind.namespace.as_deref(), || {
        Socket::new(address.domain(), Type::STREAM.nonblocking().cloexec(), None)
    })?;
    if address.domain() != Domain::UNIX {
        socket.set_reuse_address(true)?;
        if options.shared {
            socket.set_reuse_port(true)?;
        }
        set_address_options(&socket, bind, address.domain())?;
        set_listener_options(&socket, bind, options)?;
    }
    socket.bind(&address)?;
    socket.listen(backlog(options))?;
    Ok(socket)
}

/// The length of the accept queue.
pub fn backlog(options: ListenOptions) -> i32 {
    options.backlog.and_then(|n| i32::try_from(n).ok()).unwrap_or(BACKLOG_DEFAULT)
}

/// What decides which packets reach the socket.
fn set_address_options(socket: &Socket, bind: &Bind, domain: Domain) -> io::Result<()> {
    if domain == Domain::IPV6 {
        socket.set_only_v6(bind.v6only || !bind.v4v6)?;
    }
    if let Some(interface) = &bind.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    match domain {
        Domain::IPV4 if bind.transparent => socket.set_ip_transparent_v4(true),
        Domain::IPV6 if bind.transparent => socket.set_ip_transparent_v6(true),
        _ => Ok(()),
    }
}

/// TCP options of a `bind` line and its frontend; also for a socket that was inherited.
pub fn set_listener_options(socket: &Socket, bind: &Bind, options: ListenOptions) -> io::Result<()> {
    if let Some(timeout_ms) = bind.tcp_user_timeout_ms {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(timeout_ms)))?;
    }
    if let Some(mss) = bind.mss {
        // A negative one is taken off what the kernel assumes for a socket without a route.
        let assumed = if mss < 0 { i64::from(socket.tcp_mss()?) } else { 0 };
        socket.set_tcp_mss(u32::try_from(assumed + i64::from(mss)).unwrap_or(0))?;
    }
    if bind.defer_accept {
        set_tcp_option(socket.as_fd(), TcpOption::DeferAccept, DEFER_ACCEPT_S)?;
    }
    if bind.tcp_fast_open {
        set_tcp_option(socket.as_fd(), TcpOption::FastOpen, FAST_OPEN_QUEUE)?;
    }
    if let Some(algorithm) = &bind.congestion_control {
        socket.set_tcp_congestion(algorithm.as_bytes())?;
    }
    if let Some(parameters) = options.keepalive {
        set_keepalive(socket, parameters)?;
    }
    if options.nolinger {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if options.delay_ack {
        socket.set_tcp_quickack(false)?;
    }
    // Small answers must not wait for acknowledgements.
    socket.set_tcp_nodelay(true)
}

fn set_keepalive(socket: &Socket, parameters: TcpKeepAlive) -> io::Result<()> {
    socket.set_keepalive(true)?;
    let mut keepalive = TcpKeepalive::new();
    if let Some(idle) = parameters.idle {
        keepalive = keepalive.with_time(idle);
    }
    if let Some(interval) = parameters.interval {
        keepalive = keepalive.with_interval(interval);
    }
    if let Some(count) = parameters.count {
        keepalive = keepalive.with_retries(count);
    }
    socket.set_tcp_keepalive(&keepalive)
}

/// Binds beside and renames, so that the socket of an earlier process is replaced without a moment of absence, and nobody
/// reaches it before it has its `mode`, `user` and `group`.
fn listen_unix(path: &Path, bind: &Bind, options: ListenOptions) -> io::Result<Socket> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    // What a process of the same number left behind; if there is nothing, there is nothing to remove.
    let _ = std::fs::remove_file(&beside);
    let socket = Socket::new(Domain::UNIX, Type::STREAM.nonblocking().cloexec(), None)?;
    socket.bind(&SockAddr::unix(&beside)?)?;
    let dress = || -> io::Result<()> {
        if let Some(mode) = bind.unix_mode {
            std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode))?;
        }
        if bind.unix_user.is_some() || bind.unix_group.is_some() {
            std::os::unix::fs::chown(&beside, bind.unix_user, bind.unix_group)?;
        }
        socket.listen(backlog(options))?;
        std::fs::rename(&beside, path)
    };
    if let Err(error) = dress() {
        let _ = std::fs::remove_file(&beside);
        return Err(error);
    }
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
pub fn connect(address: &Address, options: ConnectOptions<'_>) -> io::Result<OwnedFd> {
    let target = match address {
        Address::Inet(address) => SockAddr::from(*address),
        Address::Unix(path) => SockAddr::unix(path)?,
        Address::Abstract(name) => SockAddr::unix(format!("\0{name}"))?,
        Address::Name { .. } | Address::Fd(_) | Address::SocketPair(_) => {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "no address to connect to"));
        }
    };
    let socket = namespace::within(options.namespace, || {
        Socket::new(target.domain(), Type::STREAM.nonblocking().cloexec(), None)
    })?;
    if target.domain() != Domain::UNIX {
        set_tcp_options(&socket, options)?;
        bind_source(&socket, target.domain(), options)?;
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
pub struct ConnectOptions<'a> {
    /// `source`.
    pub source: Option<&'a SourceAddress>,
    /// `usesrc`: the address that the peer sees, instead of the source's.
    pub presented: Option<SocketAddr>,
    pub namespace: Option<&'a str>,
    /// `cc`.
    pub congestion_control: Option<&'a str>,
    /// `tfo`: the connection is opened by the first data; there must be some.
    pub fast_open: bool,
    pub user_timeout_ms: Option<u64>,
    /// `option srvtcpka` with its parameters.
    pub keepalive: Option<TcpKeepAlive>,
    /// `option nolinger`.
    pub nolinger: bool,
    /// `option tcp-smart-connect`.
    pub delay_ack: bool,
    pub marks: Marks,
}

/// What rules want packets to carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Marks {
    /// `set-fc-mark`, `set-bc-mark`.
    pub netfilter: Option<u32>,
    /// `set-fc-tos`, `set-bc-tos`.
    pub tos: Option<u8>,
}

/// Marks the packets that a socket sends. It may need a privilege that is gone; then they go unmarked, as HAProxy's do.
pub fn set_marks(socket: BorrowedFd<'_>, marks: Marks) {
    let socket = SockRef::from(&socket);
    if let Some(mark) = marks.netfilter {
        let _ = socket.set_mark(mark);
    }
    if let Some(tos) = marks.tos {
        // An IPv4 client of an IPv6 socket needs the one, an IPv6 client the other.
        let _ = socket.set_tos_v4(u32::from(tos));
        let _ = socket.set_tclass_v6(u32::from(tos));
    }
}

/// Lets a connection end without the peer's being told: its state is taken out of the kernel, or where that is not
/// permitted its reset does not get farther than the next router. With `reset_ttl` a reset goes that many hops.
pub fn silence(socket: BorrowedFd<'_>, reset_ttl: Option<u8>) {
    let reference = SockRef::from(&socket);
    // None of these may fail the end of a connection; what could be done is done.
    let _ = reference.set_tcp_quickack(false);
    if reset_ttl.is_none() && setsockopt(&socket, sockopt::TcpRepair, &1).is_ok() {
        return;
    }
    let ttl = u32::from(reset_ttl.unwrap_or(1));
    let _ = reference.set_ttl_v4(ttl);
    let _ = reference.set_unicast_hops_v6(ttl);
    let _ = reference.set_linger(Some(Duration::ZERO));
}

fn set_tcp_options(socket: &Socket, options: ConnectOptions<'_>) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    if let Some(algorithm) = options.congestion_control {
        socket.set_tcp_congestion(algorithm.as_bytes())?;
    }
    if options.fast_open {
        set_tcp_option(socket.as_fd(), TcpOption::FastOpenConnect, 1)?;
    }
    if let Some(parameters) = options.keepalive {
        set_keepalive(socket, parameters)?;
    }
    if options.nolinger {
        socket.set_linger(Some(Duration::ZERO))?;
    }
    if options.delay_ack {
        socket.set_tcp_quickack(false)?;
    }
    if let Some(timeout_ms) = options.user_timeout_ms {
        socket.set_tcp_user_timeout(Some(Duration::from_millis(timeout_ms)))?;
    }
    set_marks(socket.as_fd(), options.marks);
    Ok(())
}

fn bind_source(socket: &Socket, domain: Domain, options: ConnectOptions<'_>) -> io::Result<()> {
    let Some(source) = options.source else { return Ok(()) };
    if let Some(interface) = &source.interface {
        socket.bind_device(Some(interface.as_bytes()))?;
    }
    if let Some(presented) = options.presented.filter(|address| address.is_ipv6() == (domain == Domain::IPV6))
    {
        match domain {
            Domain::IPV6 => socket.set_ip_transparent_v6(true)?,
            _ => socket.set_ip_transparent_v4(true)?,
        }
        // The client's own port may be in use on this machine by the connection that it came by.
        socket.set_reuse_address(true)?;
        return socket.bind(&presented.into());
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

/// The local and the other end of a socket.
pub fn ends(socket: BorrowedFd<'_>) -> (Endpoint, Endpoint) {
    let peer = SockRef::from(&socket).peer_addr().map_or(Endpoint::Unknown, |address| endpoint(&address));
    (local_endpoint(socket), peer)
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
