//! TCP options that `nix` and `socket2` lack.

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
}
