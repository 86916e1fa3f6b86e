//! Requests without a runtime: bytes that are ready to be sent, and sending them with one system call each. Sending takes
//! no memory, so that it works where there is none.

use std::os::fd::AsRawFd as _;

use netlink_packet_core::{NLM_F_REQUEST, NetlinkMessage};
use netlink_packet_route::RouteNetlinkMessage;
use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, socket,
};

/// Length of a netlink message's header.
const HEADER_LEN: usize = 16;
/// Length of the generic header of netfilter messages.
const NETFILTER_HEADER_LEN: usize = 4;
/// `NFTA_TABLE_NAME` of `linux/netfilter/nf_tables.h`.
const TABLE_NAME: u16 = 1;
/// An answer is a header, an error number and the head of the request.
const ANSWER_LEN_MAX: usize = 512;

/// Which part of the kernel a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Interfaces, addresses, routes, rules.
    Route,
    /// The packet filter.
    Netfilter,
}

/// The bytes of a request that wants no acknowledgement.
pub fn request(message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The bytes of a request that deletes an nftables table of a family (`NFPROTO_*`): a batch, as every change must be.
pub fn table_removal(family: u8, table: &str) -> Vec<u8> {
    const SUBSYSTEM: u16 = libc::NFNL_SUBSYS_NFTABLES as u16;
    let delete = SUBSYSTEM << 8 | libc::NFT_MSG_DELTABLE as u16;
    let mut name = table.as_bytes().to_vec();
    name.push(0);
    let mut attribute = ((4 + name.len()) as u16).to_ne_bytes().to_vec();
    attribute.extend_from_slice(&TABLE_NAME.to_ne_bytes());
    attribute.extend_from_slice(&name);
    attribute.resize(attribute.len().next_multiple_of(4), 0);
    [
        netfilter_message(libc::NFNL_MSG_BATCH_BEGIN as u16, 0, SUBSYSTEM, &[]),
        netfilter_message(delete, family, 0, &attribute),
        netfilter_message((libc::NFNL_MSG_BATCH_BEGIN + 1) as u16, 0, SUBSYSTEM, &[]),
    ]
    .concat()
}

fn netfilter_message(kind: u16, family: u8, resource: u16, body: &[u8]) -> Vec<u8> {
    let len = HEADER_LEN + NETFILTER_HEADER_LEN + body.len();
    let mut bytes = (len as u32).to_ne_bytes().to_vec();
    bytes.extend_from_slice(&kind.to_ne_bytes());
    bytes.extend_from_slice(&NLM_F_REQUEST.to_ne_bytes());
    bytes.extend_from_slice(&[0; 8]);
    bytes.extend_from_slice(&[family, 0]);
    bytes.extend_from_slice(&resource.to_be_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// Sends a request that removes something; what is not there is fine. The kernel carries it out before the call returns.
///
/// # Errors
/// What the kernel refused.
pub fn remove(part: Part, request: &[u8]) -> Result<(), Errno> {
    let protocol = match part {
        Part::Route => SockProtocol::NetlinkRoute,
        Part::Netfilter => SockProtocol::NetlinkNetFilter,
    };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
    sendto(socket.as_raw_fd(), request, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    // Without a wish for an acknowledgement only a refusal is answered, and it is there already.
    let mut answer = [0; ANSWER_LEN_MAX];
    let len = match recv(socket.as_raw_fd(), &mut answer, MsgFlags::empty()) {
        Ok(len) => len,
        Err(Errno::EAGAIN) => return Ok(()),
        Err(error) => return Err(error),
    };
    match refusal(answer.get(..len).unwrap_or_default()) {
        None
        | Some(Errno::EADDRNOTAVAIL | Errno::ENODEV | Errno::ESRCH | Errno::ENOENT | Errno::EAFNOSUPPORT) => {
            Ok(())
        }
        Some(error) => Err(error),
    }
}

/// The reason in an `NLMSG_ERROR`.
fn refusal(answer: &[u8]) -> Option<Errno> {
    let kind = u16::from_ne_bytes(*answer.get(4..6)?.first_chunk()?);
    let code = i32::from_ne_bytes(*answer.get(HEADER_LEN..HEADER_LEN + 4)?.first_chunk()?);
    (i32::from(kind) == libc::NLMSG_ERROR && code != 0).then(|| Errno::from_raw(code.saturating_neg()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_found_in_an_answer_and_nothing_in_garbage() {
        let mut answer = vec![36, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0];
        answer.extend_from_slice(&(-libc::EPERM).to_ne_bytes());
        assert_eq!(refusal(&answer), Some(Errno::EPERM));
        answer[4] = 3;
        assert_eq!(refusal(&answer), None);
        assert_eq!(refusal(&answer[..19]), None);
        assert_eq!(refusal(&[]), None);
    }

    #[test]
    fn a_table_is_deleted_in_a_batch_of_whole_words() {
        let bytes = table_removal(libc::NFPROTO_IPV4 as u8, "keepalived");
        assert_eq!(bytes.len(), 20 + 36 + 20);
        assert_eq!(&bytes[44..55], b"keepalived\0");
    }
}
