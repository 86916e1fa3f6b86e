//! The PROXY protocol (proxy-protocol.txt, versions 1 and 2): reading and writing the header that carries a client's
//! addresses through a proxy.
//!
//! Sans-IO: bytes in, a header out, or the other way round. What this module does not do: decide who may send a header,
//! or read a socket; the reader must take exactly [`Header::length`] bytes, because TLS may follow.

mod decode;
mod encode;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;

pub use decode::{Header, Malformed, Tlv, decode, find_tlv};
pub use encode::{CRC32C_BYTES, LOCAL_V2, TlvKind, UNKNOWN_V1, V2Writer, encode_v1};

/// The twelve bytes that begin every version 2 header (section 2.2).
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";
/// Signature, version and command, family, length.
const V2_FIXED_BYTES: usize = 16;
/// The longest version 1 header, with CRLF (section 2.1).
const V1_BYTES_MAX: usize = 107;

/// Who is connected to whom.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    pub source: SocketAddr,
    pub destination: SocketAddr,
}
