//! The two hellos of a handshake as bytes on the wire: for rules that look at a hello without speaking TLS, and for what fetches tell
//! of a connection's own (JA3, JA4, key logs).
//!
//! Not a TLS implementation: nothing is decided here.

/// The fields of a ClientHello (RFC 8446 §4.1.2).
#[derive(Debug, Clone, Copy)]
pub struct ClientHello<'a> {
    pub legacy_version: [u8; 2],
    pub random: [u8; 32],
    pub session_id: &'a [u8],
    /// The cipher suites as they stand, two bytes each.
    pub ciphers: &'a [u8],
    extensions: &'a [u8],
}

/// Takes a vector with a length of `size` bytes before it.
fn vector<'a>(data: &mut &'a [u8], size: usize) -> Option<&'a [u8]> {
    let (prefix, rest) = data.split_at_checked(size)?;
    let length = prefix.iter().fold(0, |value, b| value << 8 | usize::from(*b));
    let (value, rest) = rest.split_at_checked(length)?;
    *data = rest;
    Some(value)
}

impl<'a> ClientHello<'a> {
    /// Only hellos within one record, which all but the largest are.
    pub fn parse(data: &'a [u8]) -> Option<ClientHello<'a>> {
        let mut record = data.strip_prefix(&[22, 3])?.get(1..)?;
        let mut handshake = vector(&mut record, 2)?.strip_prefix(&[1])?;
        let mut body = vector(&mut handshake, 3)?;
        let legacy_version = body.first_chunk::<2>().copied()?;
        body = body.get(2..)?;
        let random = body.first_chunk::<32>().copied()?;
        body = body.get(32..)?;
        let session_id = vector(&mut body, 1)?;
        let ciphers = vector(&mut body, 2)?;
        let _compression = vector(&mut body, 1)?;
        let extensions = if body.is_empty() { body } else { vector(&mut body, 2)? };
        Some(ClientHello { legacy_version, random, session_id, ciphers, extensions })
    }

    /// The content of an extension.
    pub fn extension(&self, wanted: u16) -> Option<&'a [u8]> {
        let mut rest = self.extensions;
        while let Some((kind, after)) = rest.split_first_chunk::<2>() {
            rest = after;
            let value = vector(&mut rest, 2)?;
            if u16::from_be_bytes(*kind) == wanted {
                return Some(value);
            }
        }
        None
    }

    /// An extension that is one list with a length of two bytes.
    pub fn list(&self, kind: u16) -> Option<&'a [u8]> {
        vector(&mut self.extension(kind)?, 2)
    }

    /// The host name that is asked for (RFC 6066 §3).
    pub fn sni(&self) -> Option<&'a [u8]> {
        let mut names = self.list(0)?;
        while let Some((kind, rest)) = names.split_first() {
            names = rest;
            let name = vector(&mut names, 2)?;
            if *kind == 0 {
                return Some(name);
            }
        }
        None
    }

    /// The application protocols, with commas between.
    pub fn alpn(&self) -> Option<Vec<u8>> {
        let mut list = self.list(16)?;
        let mut names = Vec::new();
        while !list.is_empty() {
            names.push(vector(&mut list, 1)?);
        }
        Some(names.join(&b','))
    }

    /// The highest supported version, or the legacy field.
    pub fn version(&self) -> i64 {
        let legacy = u16::from_be_bytes(self.legacy_version);
        let supported = self.extension(43).and_then(|mut e| vector(&mut e, 1)).unwrap_or_default();
        let versions =
            supported.chunks_exact(2).filter_map(|v| v.first_chunk().copied().map(u16::from_be_bytes));
        let best = versions.filter(|v| v >> 8 == 3).max().unwrap_or(legacy).max(legacy);
        i64::from(best >> 8) << 16 | i64::from(best & 0xff)
    }

    /// 0 without the extension, 1 with an empty one, 2 with a ticket.
    pub fn session_ticket(&self) -> i64 {
        match self.extension(35) {
            None => 0,
            Some([]) => 1,
            Some(_) => 2,
        }
    }

    /// The groups of the key shares, two bytes each.
    pub fn key_share_groups(&self) -> Option<Vec<u8>> {
        let mut shares = self.list(51)?;
        let mut groups = Vec::new();
        while let Some((group, rest)) = shares.split_first_chunk::<2>() {
            shares = rest;
            groups.extend_from_slice(group);
            vector(&mut shares, 2)?;
        }
        Some(groups)
    }

    /// The kinds of the extensions in their order, two bytes each.
    pub fn extension_kinds(&self) -> Vec<u8> {
        let (mut rest, mut kinds) = (self.extensions, Vec::new());
        while let Some((kind, after)) = rest.split_first_chunk::<2>() {
            rest = after;
            if vector(&mut rest, 2).is_none() {
                break;
            }
            kinds.extend_from_slice(kind);
        }
        kinds
    }

    /// The versions of `supported_versions`, two bytes each.
    pub fn supported_versions(&self) -> Option<&'a [u8]> {
        vector(&mut self.extension(43)?, 1)
    }

    /// The formats of points on curves, a byte each.
    pub fn point_formats(&self) -> Option<&'a [u8]> {
        vector(&mut self.extension(11)?, 1)
    }
}

/// The beginnings of what both sides of a handshake sent.
#[derive(Debug, Default)]
pub struct Hellos {
    received: Vec<u8>,
    sent: Vec<u8>,
}

/// Room for a hello of a client; larger ones are not looked at.
const CLIENT_HELLO_MAX_BYTES: usize = 16 * 1024 + 5;

impl Hellos {
    /// Keeps the first flight of the peer.
    pub fn received(&mut self, bytes: &[u8]) {
        keep(&mut self.received, bytes);
    }

    /// Keeps the first flight of this side.
    pub fn sent(&mut self, bytes: &[u8]) {
        keep(&mut self.sent, bytes);
    }

    /// Whether what is sent is still of interest.
    pub fn wants_sent(&self) -> bool {
        self.sent.len() < CLIENT_HELLO_MAX_BYTES
    }

    /// What the client and the server said, on the server's side.
    pub fn as_server(&self) -> (Option<ClientHello<'_>>, Option<ServerHello<'_>>) {
        (ClientHello::parse(&self.received), ServerHello::parse(&self.sent))
    }

    /// The same on the client's side.
    pub fn as_client(&self) -> (Option<ClientHello<'_>>, Option<ServerHello<'_>>) {
        (ClientHello::parse(&self.sent), ServerHello::parse(&self.received))
    }
}

fn keep(kept: &mut Vec<u8>, bytes: &[u8]) {
    let room = CLIENT_HELLO_MAX_BYTES - kept.len().min(CLIENT_HELLO_MAX_BYTES);
    kept.extend_from_slice(bytes.get(..room.min(bytes.len())).unwrap_or_default());
}

/// The random and the session id of a ServerHello.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerHello<'a> {
    pub random: [u8; 32],
    pub session_id: &'a [u8],
}

/// The random of a ServerHello that asks for another hello (RFC 8446 §4.1.3).
const RETRY: [u8; 8] = [0xcf, 0x21, 0xad, 0x74, 0xe5, 0x9a, 0x61, 0x11];

impl<'a> ServerHello<'a> {
    /// Reads the beginning of what a server sent; a request for another hello is passed over.
    pub fn parse(mut data: &'a [u8]) -> Option<Self> {
        loop {
            let (kind, rest) = data.split_first()?;
            let mut rest = rest.get(2..)?;
            let length = usize::from(u16::from_be_bytes(rest.first_chunk().copied()?));
            rest = rest.get(2..)?;
            // Of the record with the hello its beginning is enough.
            let hello = if *kind == 22 { rest.strip_prefix(&[2]) } else { None };
            if let Some(body) = hello.and_then(|body| body.get(5..)) {
                let random = body.first_chunk::<32>().copied()?;
                if !random.starts_with(&RETRY) {
                    let session_id = vector(&mut body.get(32..)?, 1)?;
                    return Some(Self { random, session_id });
                }
            }
            data = rest.get(length..)?;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_hello_is_found_behind_a_request_for_another_hello() {
        let hello = |random: [u8; 32]| {
            let body = [&[2, 0, 0, 70, 3, 3][..], &random, &[4, 1, 2, 3, 4], &[0x13, 1, 0, 0, 0]].concat();
            [&[22, 3, 3, 0, body.len() as u8][..], &body].concat()
        };
        let mut retry = [7; 32];
        retry[..8].copy_from_slice(&RETRY);
        let bytes = [hello(retry), vec![20, 3, 3, 0, 1, 1], hello([9; 32])].concat();
        let found = ServerHello::parse(&bytes).unwrap();
        assert_eq!((found.random, found.session_id), ([9; 32], &[1, 2, 3, 4][..]));
        assert_eq!(ServerHello::parse(&bytes[..80]), None);
        for cut in 0..bytes.len() {
            let _ = ServerHello::parse(&bytes[..cut]);
            let _ = ClientHello::parse(&bytes[..cut]);
        }
    }
}
