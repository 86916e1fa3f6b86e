//! The SOCKS4 request of `check-via-socks4` (the protocol's CONNECT command).

use std::io;
use std::net::SocketAddrV4;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::connect::Io;

const VERSION: u8 = 4;
const CONNECT: u8 = 1;
const GRANTED: u8 = 0x5a;
/// HAProxy's identification.
const USER: &[u8] = b"HAProxy\0";

/// Asks the proxy at the other end for a connection to `address`.
pub(super) async fn ask(io: &mut Box<dyn Io>, address: SocketAddrV4) -> io::Result<()> {
    let mut request = vec![VERSION, CONNECT];
    request.extend_from_slice(&address.port().to_be_bytes());
    request.extend_from_slice(&address.ip().octets());
    request.extend_from_slice(USER);
    io.write_all(&request).await?;
    let mut reply = [0; 8];
    io.read_exact(&mut reply).await?;
    match reply {
        [0, GRANTED, ..] => Ok(()),
        [0, code, ..] => Err(io::Error::other(format!("SOCKS4 Proxy deny the request (code {code})"))),
        _ => Err(io::Error::other("SOCKS4 Proxy gave an invalid reply")),
    }
}
