//! Answers about TLS from what the handshakes settled: protocol, cipher, names, the peer's certificate.
//!
//! Not here: `ssl_fc_unique_id` and its kin: rustls does not tell the messages that it is made of.

use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::X509Name;

use crate::expr::eval::TlsSide;
use crate::expr::logformat::date::Civil;
use crate::expr::sample::hex_upper;
use crate::expr::{Args, EvalCtx, Sample};
use crate::tls::cipher_names;
use crate::txn::{Offer, TlsFacts};

/// The fact called `fact` of one side; `None` when it is not known here.
pub fn answer<'a>(ctx: &EvalCtx<'a>, side: TlsSide, fact: &str, args: &Args) -> Option<Sample<'a>> {
    let client = || ctx.session.tls_facts.as_deref();
    let server = || ctx.stream.and_then(|stream| stream.server_tls.as_deref());
    match side {
        TlsSide::Frontend if fact == "has_early" => Some(Sample::Bool(ctx.session.early_pending)),
        TlsSide::Frontend => session(client()?, fact, args),
        TlsSide::Backend => session(server()?, fact, args),
        TlsSide::ClientCertificate => match (fact, client()?.peer_chain.first()) {
            ("used", leaf) => Some(Sample::Bool(leaf.is_some())),
            ("verify", _) => Some(Sample::Int(client()?.verdict.result().into())),
            ("err", _) => Some(Sample::Int(client()?.verdict.leaf.into())),
            ("ca_err", _) => Some(Sample::Int(client()?.verdict.authority.into())),
            ("ca_err_depth", _) => Some(Sample::Int(client()?.verdict.authority_depth.into())),
            // OpenSSL's chain of a client is what came with its certificate.
            ("chain_der", _) => Some(Sample::bin(client()?.peer_chain.get(1..)?.concat())),
            (_, leaf) => certificate(client()?.peer_chain.iter().map(Vec::as_slice), leaf?, fact, args),
        },
        TlsSide::ServerCertificate => {
            let chain = &server()?.peer_chain;
            certificate(chain.iter().map(Vec::as_slice), chain.first()?, fact, args)
        }
        TlsSide::FrontendCertificate => {
            let chain = &client()?.own.as_ref()?.0.cert;
            certificate(chain.iter().map(AsRef::as_ref), chain.first()?, fact, args)
        }
    }
}

fn session<'a>(facts: &'a TlsFacts, fact: &str, args: &Args) -> Option<Sample<'a>> {
    Some(match fact {
        "" => Sample::Bool(true),
        "protocol" => Sample::str(facts.protocol.as_bytes()),
        "cipher" => Sample::str(facts.cipher.as_bytes()),
        "alpn" => Sample::str(facts.alpn.as_deref()?),
        "sni" => Sample::str(facts.sni.as_deref()?.as_bytes()),
        "has_sni" => Sample::Bool(facts.sni.is_some()),
        "has_crt" => Sample::Bool(!facts.peer_chain.is_empty()),
        "is_resumed" => Sample::Bool(facts.resumed),
        "has_early" => Sample::Bool(false),
        "early_rcvd" => Sample::Bool(facts.early_data),
        "crtname" => Sample::str(facts.own_name.as_deref()?.as_bytes()),
        "client_random" => Sample::bin(&facts.client_random[..]),
        "server_random" => Sample::bin(&facts.server_random[..]),
        "session_id" if !facts.session_id.is_empty() => Sample::bin(&facts.session_id[..]),
        "session_key" => Sample::bin(facts.secrets.find("CLIENT_RANDOM")?),
        "curve" => Sample::str(facts.curve?.as_bytes()),
        "alg_keysize" | "use_keysize" => Sample::Int(facts.key_bits()),
        "err" => Sample::Int(0),
        _ if fact.ends_with("_secret") || fact.ends_with("_secret_0") => {
            let secret = facts.secrets.find(&fact.to_ascii_uppercase())?;
            Sample::str(secret.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into_bytes())
        }
        _ => return offer(facts.offer.as_deref()?, fact, args),
    })
}

/// What the client's hello offered; the argument 1 leaves out what is there only to be ignored (RFC 8701).
fn offer<'a>(offer: &'a Offer, fact: &str, args: &Args) -> Option<Sample<'a>> {
    let cleaned = |list: &[u8]| {
        let is_grease = |pair: &&[u8]| matches!(pair, [a, b] if a == b && a & 0x0f == 0x0a);
        let all = args.int(0) != Some(1);
        list.chunks_exact(2).filter(|pair| all || !is_grease(pair)).flatten().copied().collect::<Vec<u8>>()
    };
    let pairs = |list: &[u8]| Sample::bin(cleaned(list));
    Some(match fact {
        "cipherlist_bin" => pairs(&offer.ciphers),
        "cipherlist_hex" => Sample::str(hex_upper(&cleaned(&offer.ciphers))),
        "cipherlist_str" => Sample::str(cipher_names::list(&cleaned(&offer.ciphers)).into_bytes()),
        "cipherlist_xxh" => Sample::Int(offer.ciphers_hash as i64),
        "protocol_hello_id" => Sample::Int(i64::from(offer.version)),
        "extlist_bin" => pairs(&offer.extensions),
        "eclist_bin" => pairs(&offer.groups),
        "ecformats_bin" => Sample::bin(&offer.point_formats[..]),
        "supported_versions_bin" => pairs(&offer.versions),
        "sigalgs_bin" => pairs(&offer.signatures),
        _ => return None,
    })
}

fn certificate<'a>(
    chain: impl Iterator<Item = &'a [u8]>,
    der: &'a [u8],
    fact: &str,
    args: &Args,
) -> Option<Sample<'a>> {
    match fact {
        "der" => return Some(Sample::bin(der)),
        "chain_der" => return Some(Sample::bin(chain.collect::<Vec<_>>().concat())),
        "sha1" => {
            use sha1::Digest as _;
            return Some(Sample::bin(sha1::Sha1::digest(der).to_vec()));
        }
        _ => {}
    }
    if fact == "r_dn" {
        return Some(Sample::str(root_name(chain, der, args)?));
    }
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(match fact {
        "s_dn" => Sample::str(name(parsed.subject(), args)?),
        "i_dn" => Sample::str(name(parsed.issuer(), args)?),
        "serial" => Sample::bin(parsed.raw_serial().to_vec()),
        "notbefore" => Sample::str(time(parsed.validity().not_before)),
        "notafter" => Sample::str(time(parsed.validity().not_after)),
        "san" => Sample::str(alternatives(&parsed)?.into_bytes()),
        "policies" => Sample::str(policies(&parsed, args.bytes(0))?.into_bytes()),
        "version" => Sample::Int(i64::from(parsed.version().0) + 1),
        "key_alg" => Sample::str(algorithm(&parsed.public_key().algorithm.algorithm.to_id_string())),
        "sig_alg" => Sample::str(algorithm(&parsed.signature_algorithm.algorithm.to_id_string())),
        _ => return None,
    })
}

/// The common name of a certificate's subject.
pub fn common_name(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let name = parsed.subject().iter_common_name().next()?;
    Some(name.as_slice().to_vec())
}

/// The algorithm that a certificate is signed with, under OpenSSL's name.
pub fn signature_algorithm(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    Some(algorithm(&parsed.signature_algorithm.algorithm.to_id_string()))
}

/// Kind and bits of a certificate's key, as HAProxy writes them in PROXY headers: `RSA2048`, `EC256`.
pub fn key_name(der: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = X509Certificate::from_der(der).ok()?;
    let key = parsed.public_key().parsed().ok()?;
    let kind = match key {
        x509_parser::public_key::PublicKey::RSA(_) => "RSA",
        x509_parser::public_key::PublicKey::EC(_) => "EC",
        x509_parser::public_key::PublicKey::DSA(_) => "DSA",
        _ => return None,
    };
    Some(format!("{kind}{}", key.key_size()).into_bytes())
}

/// The name of who issued the last one of the path that begins with `leaf`; the certificates may stand in any order.
fn root_name<'a>(chain: impl Iterator<Item = &'a [u8]>, leaf: &[u8], args: &Args) -> Option<Vec<u8>> {
    const DEPTH_MAX: usize = 10;
    let parsed: Vec<_> = chain.filter_map(|der| Some(X509Certificate::from_der(der).ok()?.1)).collect();
    let (_, mut current) = X509Certificate::from_der(leaf).ok()?;
    for _ in 0..DEPTH_MAX {
        let issuer = current.issuer().as_raw();
        let is_root = issuer == current.subject().as_raw();
        match parsed.iter().find(|other| !is_root && other.subject().as_raw() == issuer) {
            Some(found) => current = found.clone(),
            None => break,
        }
    }
    name(current.issuer(), args)
}

/// `DNS:a.example, IP Address:127.0.0.1`, as OpenSSL writes the alternative names.
pub fn alternatives(certificate: &X509Certificate<'_>) -> Option<String> {
    let names = certificate.subject_alternative_name().ok()??;
    let shown = names.value.general_names.iter().filter_map(|name| {
        Some(match name {
            GeneralName::DNSName(name) => format!("DNS:{name}"),
            GeneralName::RFC822Name(name) => format!("email:{name}"),
            GeneralName::URI(uri) => format!("URI:{uri}"),
            GeneralName::IPAddress(bytes) => {
                match (<[u8; 4]>::try_from(*bytes), <[u8; 16]>::try_from(*bytes)) {
                    (Ok(v4), _) => format!("IP Address:{}", std::net::Ipv4Addr::from(v4)),
                    (_, Ok(v6)) => {
                        let groups =
                            std::net::Ipv6Addr::from(v6).segments().map(|group| format!("{group:X}"));
                        format!("IP Address:{}", groups.join(":"))
                    }
                    _ => return None,
                }
            }
            GeneralName::RegisteredID(oid) => format!("Registered ID:{}", oid.to_id_string()),
            _ => return None,
        })
    });
    Some(shown.collect::<Vec<_>>().join(", "))
}

/// The policies with commas between, or the one that is asked for if it is among them.
fn policies(certificate: &X509Certificate<'_>, wanted: Option<&[u8]>) -> Option<String> {
    let found: Vec<String> =
        certificate.extensions().iter().find_map(|extension| match extension.parsed_extension() {
            ParsedExtension::CertificatePolicies(policies) => {
                Some(policies.iter().map(|policy| policy.policy_id.to_id_string()).collect())
            }
            _ => None,
        })?;
    match wanted.filter(|wanted| !wanted.is_empty()) {
        None => Some(found.join(",")),
        Some(wanted) => found.into_iter().find(|policy| policy.as_bytes() == wanted),
    }
}

/// OpenSSL's short name of a type of a distinguished name.
pub fn short(oid: &str) -> &str {
    match oid {
        "2.5.4.3" => "CN",
        "2.5.4.4" => "SN",
        "2.5.4.5" => "serialNumber",
        "2.5.4.6" => "C",
        "2.5.4.7" => "L",
        "2.5.4.8" => "ST",
        "2.5.4.9" => "street",
        "2.5.4.10" => "O",
        "2.5.4.11" => "OU",
        "2.5.4.12" => "title",
        "2.5.4.42" => "GN",
        "0.9.2342.19200300.100.1.1" => "UID",
        "0.9.2342.19200300.100.1.25" => "DC",
        "1.2.840.113549.1.9.1" => "emailAddress",
        other => other,
    }
}

/// OpenSSL's name of an algorithm of keys or signatures.
pub fn algorithm(oid: &str) -> Vec<u8> {
    match oid {
        "1.2.840.113549.1.1.1" => "rsaEncryption",
        "1.2.840.113549.1.1.10" => "RSASSA-PSS",
        "1.2.840.113549.1.1.11" => "RSA-SHA256",
        "1.2.840.113549.1.1.12" => "RSA-SHA384",
        "1.2.840.113549.1.1.13" => "RSA-SHA512",
        "1.2.840.10045.2.1" => "id-ecPublicKey",
        "1.2.840.10045.4.3.2" => "ecdsa-with-SHA256",
        "1.2.840.10045.4.3.3" => "ecdsa-with-SHA384",
        "1.2.840.10045.4.3.4" => "ecdsa-with-SHA512",
        "1.3.101.112" => "ED25519",
        other => other,
    }
    .as_bytes()
    .to_vec()
}

/// A distinguished name as `/C=…/CN=…`, or one entry of it by name and occurrence (negative ones count from the end), or
/// as RFC 2253 with the third argument `rfc2253`.
fn name(name: &X509Name<'_>, args: &Args) -> Option<Vec<u8>> {
    let entries: Vec<(String, Vec<u8>)> = name
        .iter_attributes()
        .map(|entry| (entry.attr_type().to_id_string(), entry.as_slice().to_vec()))
        .collect();
    let wanted = args.bytes(0).unwrap_or_default();
    if !wanted.is_empty() {
        let mut found: Vec<&Vec<u8>> = entries
            .iter()
            .filter(|(oid, _)| short(oid).as_bytes() == wanted)
            .map(|(_, value)| value)
            .collect();
        let position = args.int(1).unwrap_or(1);
        if position < 0 {
            found.reverse();
        }
        let index = usize::try_from(position.unsigned_abs().max(1)).ok()? - 1;
        return found.get(index).map(|value| (*value).clone());
    }
    let pairs = entries.iter().map(|(oid, value)| [short(oid).as_bytes(), b"=", value].concat());
    if args.bytes(2) == Some(b"rfc2253".as_slice()) {
        let mut pairs: Vec<Vec<u8>> = pairs.collect();
        pairs.reverse();
        return Some(pairs.join(&b','));
    }
    Some(distinguished_name(name))
}

/// `/C=…/O=…/CN=…`, as OpenSSL writes it in one line.
pub fn distinguished_name(name: &X509Name<'_>) -> Vec<u8> {
    let entries = name.iter_attributes();
    entries
        .flat_map(|entry| {
            let oid = entry.attr_type().to_id_string();
            [b"/", short(&oid).as_bytes(), b"=", entry.as_slice()].concat()
        })
        .collect()
}

/// `YYMMDDhhmmss[Z]`, as certificates write it.
fn time(at: x509_parser::time::ASN1Time) -> Vec<u8> {
    let at = Civil::from_unix(at.timestamp());
    let year = at.year.rem_euclid(100);
    format!("{year:02}{:02}{:02}{:02}{:02}{:02}Z", at.month, at.day, at.hour, at.minute, at.second)
        .into_bytes()
}
