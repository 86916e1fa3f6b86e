//! What a TLS handshake settled, as fetches and logs ask for it.

use crate::tls::chain::Verdict;
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
    /// Our own certificate and its chain, DER, where this side shows one to clients.
    pub own_chain: Vec<Vec<u8>>,
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
            verdict: Verdict::default(),
            own_chain: Vec::new(),
        }
    }

    /// Secret bits of the cipher suite.
    pub fn key_bits(&self) -> i64 {
        if self.cipher.contains("128") && !self.cipher.contains("POLY1305") { 128 } else { 256 }
    }
}
