//! UDP checks: a datagram is sent, and a reply awaited or an ICMP refusal feared (keepalived's `UDP_CHECK`).
//!
//! UDP has no connection: without a protocol that answers, silence is all the good news there can be.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::{Instant, timeout_at};

use super::Verdict;
use super::connect::{connect_text, os_text};
use crate::health::{CheckResult, CheckStatus};

/// What is sent and what may come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UdpCheck {
    /// The datagram; may be empty.
    pub payload: Vec<u8>,
    /// Whether silence is a failure. Otherwise the server passes unless its machine refuses the port.
    pub require_reply: bool,
    /// The shortest and the longest reply that is good, in bytes.
    pub reply_bytes: std::ops::RangeInclusive<usize>,
}

impl Default for UdpCheck {
    fn default() -> Self {
        Self { payload: Vec::new(), require_reply: false, reply_bytes: 0..=REPLY_MAX_BYTES }
    }
}

/// The largest datagram there is.
pub const REPLY_MAX_BYTES: usize = 65_535;

/// One UDP check.
pub async fn udp(
    check: &UdpCheck,
    target: SocketAddr,
    source: Option<IpAddr>,
    timeout: Duration,
) -> CheckResult {
    let start = Instant::now();
    let verdict = match ask(target, source, &check.payload, start + timeout).await {
        Ok(Some(reply)) if check.reply_bytes.contains(&reply.len()) => {
            Verdict::new(CheckStatus::Layer7Ok, format!("{} bytes", reply.len()))
        }
        Ok(Some(reply)) => {
            Verdict::new(CheckStatus::Layer7Response, format!("a reply of {} bytes", reply.len()))
        }
        Ok(None) if check.require_reply => Verdict::new(CheckStatus::Layer7Timeout, ""),
        Ok(None) => Verdict::new(CheckStatus::Layer4Ok, ""),
        Err(verdict) => verdict,
    };
    verdict.into_result(start)
}

/// Sends one datagram and waits for one; none: nothing came in time.
pub(super) async fn ask(
    target: SocketAddr,
    source: Option<IpAddr>,
    payload: &[u8],
    end: Instant,
) -> Result<Option<Vec<u8>>, Verdict> {
    let any: IpAddr = if target.is_ipv4() { [0; 4].into() } else { std::net::Ipv6Addr::UNSPECIFIED.into() };
    let open = async {
        let socket = UdpSocket::bind((source.unwrap_or(any), 0)).await?;
        // Connected, so that an ICMP refusal is told to this socket and strangers' datagrams are not.
        socket.connect(target).await?;
        socket.send(payload).await?;
        Ok::<_, io::Error>(socket)
    };
    let socket =
        open.await.map_err(|error| Verdict::new(CheckStatus::Layer4Connection, connect_text(&error)))?;
    let mut reply = vec![0; REPLY_MAX_BYTES];
    match timeout_at(end, socket.recv(&mut reply)).await {
        Err(_) => Ok(None),
        Ok(Ok(count)) => {
            reply.truncate(count);
            Ok(Some(reply))
        }
        Ok(Err(error)) if error.kind() == io::ErrorKind::ConnectionRefused => {
            Err(Verdict::new(CheckStatus::Layer4Connection, connect_text(&error)))
        }
        Ok(Err(error)) => Err(Verdict::new(CheckStatus::SocketError, os_text(&error))),
    }
}
