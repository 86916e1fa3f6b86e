//! A client that sends exact bytes and keeps exact bytes.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

/// The most that is read of one answer.
const ANSWER_MAX_BYTES: u64 = 16 << 20;

/// Sends `parts` one write each, then reads until the peer closes or `quiet` passes without a byte.
///
/// A reset counts as a close: what came before it is the answer.
pub fn exchange(address: SocketAddr, parts: &[&[u8]], quiet: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, quiet)?;
    for part in parts {
        if stream.write_all(part).is_err() {
            break;
        }
    }
    Ok(read_all(&mut stream))
}

/// Like [`exchange`] with one part, closing the sending side after it.
pub fn exchange_and_finish(address: SocketAddr, bytes: &[u8], quiet: Duration) -> io::Result<Vec<u8>> {
    let mut stream = connect(address, quiet)?;
    stream.write_all(bytes)?;
    stream.shutdown(Shutdown::Write)?;
    Ok(read_all(&mut stream))
}

fn connect(address: SocketAddr, quiet: Duration) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(quiet))?;
    Ok(stream)
}

fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut answer = Vec::new();
    // The error that ends it (time, reset) is part of the answer's end.
    let _ = stream.take(ANSWER_MAX_BYTES).read_to_end(&mut answer);
    answer
}
