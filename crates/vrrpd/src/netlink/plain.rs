//! Requests without a runtime: bytes that are ready to be sent, and sending them with one system call each.

use std::io;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

/// The bytes of a request that wants no acknowledgement.
pub fn request(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// Sends a request that removes something; what is not there is fine. The kernel carries it out before the call returns.
///
/// # Errors
/// What the kernel refused.
pub fn remove(request: &[u8]) -> io::Result<()> {
    let socket = Socket::new(NETLINK_ROUTE)?;
    socket.set_non_blocking(true)?;
    socket.send_to(request, &SocketAddr::new(0, 0), 0)?;
    // Without a wish for an acknowledgement only a refusal is answered, and it is there already.
    let answer = match socket.recv_from_full() {
        Ok((answer, _)) => answer,
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
        Err(error) => return Err(error),
    };
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).map(|message| message.payload) {
        Ok(NetlinkPayload::Error(error)) => match error.raw_code().abs() {
            0 | nix::libc::EADDRNOTAVAIL | nix::libc::ENODEV | nix::libc::ESRCH | nix::libc::ENOENT => Ok(()),
            code => Err(io::Error::from_raw_os_error(code)),
        },
        _ => Ok(()),
    }
}
