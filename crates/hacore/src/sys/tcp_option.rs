//! TCP options that `nix` and `socket2` lack, and `TCP_INFO`.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

/// An option with an integer value (tcp(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TcpOption {
    /// `TCP_DEFER_ACCEPT`: seconds to wait for the first data before a connection counts as there.
    DeferAccept,
    /// `TCP_FASTOPEN`: how many connections may wait whose opening segment carried data.
    FastOpen,
    /// `TCP_FASTOPEN_CONNECT`: `connect` only prepares, the first data opens the connection.
    FastOpenConnect,
}

/// Sets one option.
///
/// # Errors
/// What `setsockopt` says; `ENOPROTOOPT` or `EOPNOTSUPP` for a socket that is not TCP.
pub fn set_tcp_option(socket: BorrowedFd<'_>, option: TcpOption, value: i32) -> io::Result<()> {
    let name = match option {
        TcpOption::DeferAccept => libc::TCP_DEFER_ACCEPT,
        TcpOption::FastOpen => libc::TCP_FASTOPEN,
        TcpOption::FastOpenConnect => libc::TCP_FASTOPEN_CONNECT,
    };
    let length = size_of::<i32>() as libc::socklen_t;
    // SAFETY: the descriptor is open while it is borrowed; the kernel reads `length` bytes of `value`, which is an i32
    // that lives until the call returns.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), libc::IPPROTO_TCP, name, (&raw const value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the kernel knows of a connection (`TCP_INFO`): times in microseconds, else numbers of segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFacts {
    pub rtt_us: u32,
    pub rtt_variance_us: u32,
    pub unacked: u32,
    pub sacked: u32,
    pub lost: u32,
    pub retransmitted: u32,
    pub fackets: u32,
    pub reordering: u32,
}

/// Asks about the socket with this number; none where it is not open, or no TCP connection.
pub fn tcp_facts(number: i32) -> Option<TcpFacts> {
    let mut length = size_of::<libc::tcp_info>() as libc::socklen_t;
    let mut info = std::mem::MaybeUninit::<libc::tcp_info>::zeroed();
    // SAFETY: the kernel checks the number, and writes at most `length` bytes into `info`, which is that large.
    let result = unsafe {
        libc::getsockopt(number, libc::IPPROTO_TCP, libc::TCP_INFO, info.as_mut_ptr().cast(), &raw mut length)
    };
    if result != 0 {
        return None;
    }
    // SAFETY: it consists of integers, all of which are zeroes or what the kernel wrote.
    let info = unsafe { info.assume_init() };
    Some(TcpFacts {
        rtt_us: info.tcpi_rtt,
        rtt_variance_us: info.tcpi_rttvar,
        unacked: info.tcpi_unacked,
        sacked: info.tcpi_sacked,
        lost: info.tcpi_lost,
        retransmitted: info.tcpi_retrans,
        fackets: info.tcpi_fackets,
        reordering: info.tcpi_reordering,
    })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixDatagram;

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn listeners_take_the_options_and_other_sockets_do_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        set_tcp_option(listener.as_fd(), TcpOption::DeferAccept, 1).unwrap();
        set_tcp_option(listener.as_fd(), TcpOption::FastOpen, 16).unwrap();
        let client = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        set_tcp_option(client.as_fd(), TcpOption::FastOpenConnect, 1).unwrap();
        let other = UnixDatagram::unbound().unwrap();
        assert!(set_tcp_option(other.as_fd(), TcpOption::DeferAccept, 1).is_err());
    }

    #[test]
    fn the_kernel_tells_facts_of_tcp_connections_only() {
        use std::os::fd::AsRawFd;
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let facts = tcp_facts(client.as_raw_fd()).unwrap();
        assert!(facts.rtt_us > 0 && facts.reordering > 0, "{facts:?}");
        let other = UnixDatagram::unbound().unwrap();
        assert_eq!((tcp_facts(other.as_raw_fd()), tcp_facts(-1)), (None, None));
    }
}
