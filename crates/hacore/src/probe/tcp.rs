//! The check of a bare `check`: a connection.

use std::io;

use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use super::connect::{Endpoint, Io, Target, Timeouts};
use crate::health::{CheckResult, CheckStatus};

/// Connects and closes.
pub async fn tcp(target: &Target, timeouts: &Timeouts) -> CheckResult {
    let start = Instant::now();
    match timeout_at(start + timeouts.connect, open(target)).await {
        Err(_) => CheckResult::new(CheckStatus::Layer4Timeout, start.elapsed()),
        Ok(Err(error)) => connect_failed(&error, start),
        Ok(Ok(_)) => CheckResult::new(CheckStatus::Layer4Ok, start.elapsed()),
    }
}

pub(super) fn connect_failed(error: &io::Error, start: Instant) -> CheckResult {
    CheckResult::new(CheckStatus::Layer4Connection, start.elapsed()).with_description(os_text(error))
}

/// The C library's words for an error, which HAProxy shows.
fn os_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}

pub(super) async fn open(target: &Target) -> io::Result<Box<dyn Io>> {
    match &target.endpoint {
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Endpoint::Tcp(address) => Ok(Box::new(open_tcp(target, *address).await?)),
    }
}

async fn open_tcp(target: &Target, address: std::net::SocketAddr) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = target.source {
        socket.bind((source, 0).into())?;
    }
    socket.connect(address).await
}
