//! What a TLS handshake settled, as fetches and logs ask for it.

use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::tls::chain::Verdict;
use crate::tls::hello::{ClientHello, Hellos};
use crate::tls::secrets::Secrets;
use rustls::{Connection, HandshakeKind, NamedGroup, ProtocolVersion};

/// The facts of one side's handshake.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TlsFacts {
    /// `TLSv1.2` or `TLSv1.3`.
    pub protocol: &'static str,
    /// The cipher suite under OpenSSL's name.
    pub cipher: &'static str,
    pub alpn: Option<Vec<u8>>,
    /// The name that was asked for.
    pub sni: Option<String>,
    pub resumed: bool,
    /// The group of the key exchange under OpenSSL's name.
    pub curve: Option<&'static str>,
    /// The peer's certificate and what it sent along, DER.
    pub peer_chain: Vec<Vec<u8>>,
    /// What was found, and ignored, about it.
    pub verdict: Verdict,
    /// Our own certificate and its chain, where this side shows one to clients.
    pub own: Option<OwnChain>,
    /// The file of our own certificate.
    pub own_name: Option<Arc<str>>,
    /// Of both hellos; zeros when they were not seen.
    pub client_random: [u8; 32],
    pub server_random: [u8; 32],
    /// TLS 1.2 only: later versions have none.
    pub session_id: Vec<u8>,
    /// What the client offered (`tune.ssl.capture-buffer-size`).
    pub offer: Option<Box<Offer>>,
    /// `tune.ssl.keylog`.
    pub secrets: Secrets,
    /// The request, or a part of it, came before the handshake was over.
    pub early_data: bool,
}

/// A chain that is shared with the listener; equal when it is the same.
#[derive(Clone)]
pub struct OwnChain(pub Arc<CertifiedKey>);

impl PartialEq for OwnChain {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for OwnChain {}

impl std::fmt::Debug for OwnChain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "OwnChain({} certificates)", self.0.cert.len())
    }
}

/// What a client's hello offers, each list cut at the configured number of bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Offer {
    /// The version in the hello itself, `0x0303` for TLS 1.2 and later.
    pub version: u16,
    pub ciphers: Vec<u8>,
    /// A hash of all ciphers, however many are kept.
    pub ciphers_hash: u64,
    pub extensions: Vec<u8>,
    pub groups: Vec<u8>,
    pub point_formats: Vec<u8>,
    pub versions: Vec<u8>,
    pub signatures: Vec<u8>,
}

impl Offer {
    fn new(hello: &ClientHello<'_>, max_bytes: usize) -> Self {
        let mut left = max_bytes;
        let mut cut = |list: &[u8]| {
            let kept = list.get(..left.min(list.len())).unwrap_or_default();
            left -= kept.len();
            kept.to_vec()
        };
        Self {
            version: u16::from_be_bytes(hello.legacy_version),
            ciphers: cut(hello.ciphers),
            ciphers_hash: xxhash_rust::xxh64::xxh64(hello.ciphers, 0),
            extensions: cut(&hello.extension_kinds()),
            groups: cut(hello.list(10).unwrap_or_default()),
            point_formats: cut(hello.point_formats().unwrap_or_default()),
            versions: cut(hello.supported_versions().unwrap_or_default()),
            signatures: cut(hello.list(13).unwrap_or_default()),
        }
    }
}

impl TlsFacts {
    /// Reads them off a handshake that is over.
    pub fn new(tls: &Connection, sni: Option<&str>) -> Self {
        let sni = match tls {
            Connection::Server(server) => server.server_name().map(str::to_owned),
            Connection::Client(_) => sni.map(str::to_owned),
        };
        let suite = tls.negotiated_cipher_suite();
        let group = tls.negotiated_key_exchange_group().map(|group| group.name());
        Self {
            protocol: match tls.protocol_version() {
                Some(ProtocolVersion::TLSv1_2) => "TLSv1.2",
                Some(ProtocolVersion::TLSv1_3) => "TLSv1.3",
                _ => "",
            },
            cipher: suite.map_or("", crate::tls::parameters::openssl_name),
            alpn: tls.alpn_protocol().map(<[u8]>::to_vec),
            sni,
            resumed: tls.handshake_kind() == Some(HandshakeKind::Resumed),
            curve: match group {
                Some(NamedGroup::X25519) => Some("X25519"),
                Some(NamedGroup::secp256r1) => Some("prime256v1"),
                Some(NamedGroup::secp384r1) => Some("secp384r1"),
                Some(NamedGroup::X25519MLKEM768) => Some("X25519MLKEM768"),
                _ => None,
            },
            peer_chain: tls
                .peer_certificates()
                .map(|chain| chain.iter().map(|certificate| certificate.to_vec()).collect())
                .unwrap_or_default(),
            ..Self::default()
        }
    }

    /// Our own certificate, DER.
    pub fn own_leaf(&self) -> Option<&[u8]> {
        self.own.as_ref()?.0.cert.first().map(AsRef::as_ref)
    }

    /// Adds what the hellos say, on the side of a server that keeps `offer_max_bytes` of a client's lists, or of a client.
    pub fn add_hellos(&mut self, hellos: &Hellos, offer_max_bytes: Option<usize>) {
        let (client, server) =
            if offer_max_bytes.is_some() { hellos.as_server() } else { hellos.as_client() };
        if let Some(client) = client {
            self.client_random = client.random;
            let wanted = offer_max_bytes.filter(|max_bytes| *max_bytes > 0);
            self.offer = wanted.map(|max_bytes| Box::new(Offer::new(&client, max_bytes)));
        }
        if let Some(server) = server {
            self.server_random = server.random;
            if self.protocol == "TLSv1.2" {
                self.session_id = server.session_id.to_vec();
            }
        }
    }

    /// Secret bits of the cipher suite.
    pub fn key_bits(&self) -> i64 {
        if self.cipher.contains("128") && !self.cipher.contains("POLY1305") { 128 } else { 256 }
    }
}
