//! Ping: an ICMP echo and its reply (keepalived's `PING_CHECK`).
//!
//! The kernel's ping sockets are used where `net.ipv4.ping_group_range` allows them, a raw socket otherwise (which needs
//! CAP_NET_RAW).

use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::time::{Instant, timeout_at};

use super::Verdict;
use super::connect::connect_text;
use crate::health::{CheckResult, CheckStatus};
use crate::sys::Watched;

/// What an echo carries after its number; the reply must carry it too.
const PAYLOAD: &[u8; 16] = b"hacore-ping-echo";
/// An IP header with options, an ICMP header and the payload fit.
const REPLY_MAX_BYTES: usize = 256;

/// One echo to `target`. `number` tells this echo from others; it should differ from check to check.
pub async fn ping(target: IpAddr, source: Option<IpAddr>, timeout: Duration, number: u32) -> CheckResult {
    let start = Instant::now();
    let verdict = match timeout_at(start + timeout, echo(target, source, number)).await {
        Ok(Ok(())) => Verdict::new(CheckStatus::Layer4Ok, ""),
        Ok(Err(error)) if error.raw_os_error() == Some(nix::errno::Errno::EHOSTUNREACH as i32) => {
            Verdict::new(CheckStatus::Layer4Connection, connect_text(&error))
        }
        Ok(Err(error)) => Verdict::new(CheckStatus::SocketError, connect_text(&error)),
        Err(_) => Verdict::new(CheckStatus::Layer4Timeout, ""),
    };
    verdict.into_result(start)
}

fn open(target: IpAddr, source: Option<IpAddr>) -> io::Result<(Socket, bool)> {
    let (domain, protocol) = match target {
        IpAddr::V4(_) => (Domain::IPV4, Protocol::ICMPV4),
        IpAddr::V6(_) => (Domain::IPV6, Protocol::ICMPV6),
    };
    let (socket, raw) = match Socket::new(domain, Type::DGRAM, Some(protocol)) {
        Ok(socket) => (socket, false),
        Err(_) => (Socket::new(domain, Type::RAW, Some(protocol))?, true),
    };
    socket.set_nonblocking(true)?;
    if let Some(source) = source {
        socket.bind(&SocketAddr::new(source, 0).into())?;
    }
    socket.connect(&SocketAddr::new(target, 0).into())?;
    Ok((socket, raw))
}

async fn echo(target: IpAddr, source: Option<IpAddr>, number: u32) -> io::Result<()> {
    let (socket, raw) = open(target, source)?;
    // A datagram this small goes out at once or not at all.
    (&socket).write_all(&request(target, number))?;
    let socket = Watched::new(socket.into())?;
    loop {
        let mut reply = [0; REPLY_MAX_BYTES];
        let count = socket.read_with(|descriptor| Ok(nix::unistd::read(descriptor, &mut reply)?)).await?;
        let reply = reply.get(..count).unwrap_or_default();
        if is_reply(target, raw, number, reply) {
            return Ok(());
        }
    }
}

/// RFC 792 and RFC 4443 §4.1: type 8 or 128, code 0, checksum, identifier, sequence number.
fn request(target: IpAddr, number: u32) -> Vec<u8> {
    let kind = if target.is_ipv4() { 8 } else { 128 };
    let mut request = vec![kind, 0, 0, 0];
    request.extend_from_slice(&number.to_be_bytes());
    request.extend_from_slice(&number.to_be_bytes());
    request.extend_from_slice(PAYLOAD);
    // Of version 6 the kernel knows the pseudo header and fills the checksum in.
    if target.is_ipv4() {
        let sum = checksum(&request).to_be_bytes();
        request.splice(2..4, sum);
    }
    request
}

/// Whether it is the reply to our echo. Ping sockets change the identifier, so the payload carries the number too.
fn is_reply(target: IpAddr, raw: bool, number: u32, bytes: &[u8]) -> bool {
    let (kind, header) = match target {
        // A raw socket of version 4 gives the IP header too.
        IpAddr::V4(_) if raw => (0, bytes.first().map_or(0, |first| usize::from(first & 0x0f) * 4)),
        IpAddr::V4(_) => (0, 0),
        IpAddr::V6(_) => (129, 0),
    };
    let Some(message) = bytes.get(header..) else { return false };
    let body = message.get(8..).unwrap_or_default();
    message.first() == Some(&kind)
        && body.strip_prefix(&number.to_be_bytes()).is_some_and(|rest| rest == PAYLOAD)
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let words = bytes.chunks(2).map(|pair| match pair {
        [high, low] => u32::from(u16::from_be_bytes([*high, *low])),
        [high] => u32::from(*high) << 8,
        _ => 0,
    });
    let mut sum: u32 = words.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const V4: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

    #[tokio::test]
    async fn loopback_answers() {
        let result = ping(V4, None, Duration::from_secs(5), 7).await;
        // Where neither kind of socket is allowed, that is said.
        if result.status == CheckStatus::SocketError {
            assert!(result.description.contains("not permitted"), "{result:?}");
        } else {
            assert_eq!(result.status, CheckStatus::Layer4Ok, "{result:?}");
        }
    }

    #[test]
    fn an_echo_is_told_from_other_messages() {
        let mut reply = request(V4, 7);
        assert_eq!(checksum(&reply), 0);
        assert!(!is_reply(V4, false, 7, &reply), "our own request on loopback");
        reply[0] = 0;
        assert!(is_reply(V4, false, 7, &reply));
        assert!(!is_reply(V4, false, 8, &reply));
        let with_header = [&[0x45; 1][..], &[0; 19], &reply].concat();
        assert!(is_reply(V4, true, 7, &with_header));
    }

    proptest! {
        #[test]
        fn any_datagram_is_looked_at(raw: bool, bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            is_reply(V4, raw, 1, &bytes);
        }
    }
}
