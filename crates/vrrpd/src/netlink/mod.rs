//! The kernel's interfaces and addresses through rtnetlink: reading, changing, watching.

pub mod address;
pub mod interface;
pub mod monitor;

use thiserror::Error;

pub use address::KernelAddress;
pub use interface::{Interfaces, Link};
pub use monitor::{Change, Monitor};

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
}
