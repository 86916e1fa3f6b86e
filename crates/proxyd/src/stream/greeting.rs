//! The PROXY header that a new server connection begins with (`send-proxy` and its family).

use std::net::SocketAddr;

use hacore::proxy_protocol::{Addresses, TlvKind, V2Writer, encode_v1, find_tlv};

use super::session::Session;
use super::state::Stream;
use crate::expr::fetch::tls_facts as certificate;
use crate::proxy::Server;
use crate::runtime::Core;
use crate::txn::Endpoint;

/// Bits of the TLS block (proxy-protocol.txt, section 2.2.6).
const CLIENT_SSL: u8 = 1;
const CLIENT_CERT_CONNECTION: u8 = 2;
const CLIENT_CERT_SESSION: u8 = 4;
/// "Not verified" of the block.
const UNVERIFIED: u32 = 1;

/// The TLV with the client's network namespace (`PP2_TYPE_NETNS`).
pub(super) const NAMESPACE: u8 = 0x30;

/// What goes out first; nothing for servers that do not ask for it.
pub(super) fn of_server(stream: &Stream, session: &Session, core: &Core, server: &Server) -> Vec<u8> {
    let Some(version) = server.model.send_proxy else { return Vec::new() };
    let addresses = match (&session.info.source, &session.info.destination) {
        (Endpoint::Inet(source), Endpoint::Inet(destination)) => {
            Some(Addresses { source: plain(*source), destination: plain(*destination) })
        }
        _ => None,
    };
    if version == 1 {
        let mut header = Vec::new();
        encode_v1(addresses, &mut header);
        return header;
    }
    let asks = |option: &str| server.model.proxy_v2_options.iter().any(|asked| asked == option);
    let mut writer = V2Writer::new(addresses);
    let facts = session.info.tls_facts.as_deref();
    if asks("authority")
        && let Some(name) = facts.and_then(|facts| facts.sni.as_deref())
    {
        writer.add(TlvKind::Authority, name.as_bytes());
    }
    if asks("unique-id")
        && let Some(id) = &stream.info.unique_id
    {
        writer.add(TlvKind::UniqueId, id);
    }
    let with_name = server.model.send_proxy_tls > 1 || asks("cert-cn");
    if server.model.send_proxy_tls > 0 || with_name || asks("ssl") {
        add_tls(&mut writer, session, with_name, &asks);
    }
    for tlv in &server.model.proxy_tlvs {
        let mut value = Vec::new();
        if let Some(format) = &tlv.format.0 {
            format.render(&stream.context(session, core), &mut value);
        }
        writer.add_own(tlv.kind, &value);
    }
    if let Some(namespace) = session.info.proxy_tlvs.as_deref().and_then(|tlvs| find_tlv(tlvs, NAMESPACE)) {
        writer.add_own(NAMESPACE, namespace);
    }
    writer.finish(asks("crc32c"))
}

/// The TLS block; a client without TLS gets none of its flags.
fn add_tls(writer: &mut V2Writer, session: &Session, with_name: bool, asks: &dyn Fn(&str) -> bool) {
    let Some(facts) = session.info.tls_facts.as_deref() else {
        writer.add_ssl(0, UNVERIFIED, &[]);
        return;
    };
    let (mut flags, mut verify) = (CLIENT_SSL, UNVERIFIED);
    if !facts.peer_chain.is_empty() {
        flags |= CLIENT_CERT_SESSION | if facts.resumed { 0 } else { CLIENT_CERT_CONNECTION };
        // Not 0 only when the listener was told to ignore what it found.
        verify = facts.verdict.result();
    }
    let mut additions = vec![(TlvKind::SslVersion, facts.protocol.as_bytes().to_vec())];
    if with_name && let Some(name) = facts.peer_chain.first().and_then(|der| certificate::common_name(der)) {
        additions.push((TlvKind::SslCommonName, name));
    }
    if asks("cert-key")
        && let Some(algorithm) = facts.own_leaf().and_then(certificate::key_name)
    {
        additions.push((TlvKind::SslKeyAlgorithm, algorithm));
    }
    if asks("cert-sig")
        && let Some(algorithm) = facts.own_leaf().and_then(certificate::signature_algorithm)
    {
        additions.push((TlvKind::SslSignatureAlgorithm, algorithm));
    }
    if asks("ssl-cipher") {
        additions.push((TlvKind::SslCipher, facts.cipher.as_bytes().to_vec()));
    }
    let additions: Vec<(TlvKind, &[u8])> =
        additions.iter().map(|(kind, value)| (*kind, value.as_slice())).collect();
    writer.add_ssl(flags, verify, &additions);
}

/// IPv4 in IPv6 is IPv4.
fn plain(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}
