//! The kernel's interfaces, addresses, routes and rules through rtnetlink: reading, changing, watching.

pub mod address;
pub mod encap;
pub mod interface;
pub mod macvlan;
pub mod monitor;
pub mod plain;
pub mod route;
pub mod rule;

use std::time::Duration;

use futures_util::StreamExt;
use netlink_packet_core::{NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use thiserror::Error;

pub use address::KernelAddress;
pub use interface::{Interfaces, Link};
pub use monitor::{Change, Monitor};

/// How long a request may take; the kernel answers within microseconds.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// A request that the kernel or the channel refused.
#[derive(Debug, Error)]
pub enum NetlinkError {
    /// The channel cannot be opened.
    #[error("cannot open a netlink socket: {0}")]
    Open(#[from] std::io::Error),
    /// The capability is missing.
    #[error("permission denied - run as root or give the program CAP_NET_ADMIN")]
    Permission,
    /// What the kernel or the library said.
    #[error("{0}")]
    Request(String),
    /// No answer came in time.
    #[error("no answer from the kernel")]
    Timeout,
}

impl NetlinkError {
    fn from_request(error: rtnetlink::Error) -> Self {
        match errno(&error) {
            Some(nix::libc::EPERM | nix::libc::EACCES) => NetlinkError::Permission,
            _ => NetlinkError::Request(error.to_string()),
        }
    }
}

/// The positive error number of a refused request.
fn errno(error: &rtnetlink::Error) -> Option<i32> {
    match error {
        rtnetlink::Error::NetlinkError(message) => Some(message.raw_code().abs()),
        _ => None,
    }
}

/// The command channel.
#[derive(Debug, Clone)]
pub struct Netlink {
    handle: rtnetlink::Handle,
}

impl Netlink {
    /// Opens the channel; its driver runs as a local task of the current runtime.
    ///
    /// # Errors
    /// [`NetlinkError::Open`].
    pub fn open() -> Result<Self, NetlinkError> {
        let (connection, handle, _) = rtnetlink::new_connection()?;
        tokio::task::spawn_local(connection);
        Ok(Netlink { handle })
    }

    /// Sends a request and waits for the kernel's word; `false` when that is the `harmless` error number.
    async fn change(
        &self,
        request: NetlinkMessage<RouteNetlinkMessage>,
        harmless: i32,
    ) -> Result<bool, NetlinkError> {
        let mut answers = self.handle.clone().request(request).map_err(NetlinkError::from_request)?;
        let answer = async {
            while let Some(answer) = answers.next().await {
                if let NetlinkPayload::Error(error) = answer.payload {
                    return Some(error);
                }
            }
            None
        };
        match tokio::time::timeout(ANSWER_TIMEOUT, answer).await {
            Err(_) => Err(NetlinkError::Timeout),
            Ok(Some(error)) if error.raw_code() != 0 => {
                match errno(&rtnetlink::Error::NetlinkError(error.clone())) {
                    Some(number) if number == harmless => Ok(false),
                    _ => Err(NetlinkError::from_request(rtnetlink::Error::NetlinkError(error))),
                }
            }
            Ok(_) => Ok(true),
        }
    }
}
