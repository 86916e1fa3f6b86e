//! OCSP (RFC 6960): the identity of a certificate, the request that asks about it, the response that is stapled.
//!
//! Bytes in, bytes out: asking is the business of `services::ocsp_update`. Nonces are not sent, so that responders may answer from
//! their cache (RFC 5019).

use sha1::{Digest as _, Sha1};
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::x509::X509Name;

use super::chain::Judge;
use super::der::{Element, Elements, inside, tag, wrap};
use crate::expr::logformat::date::Civil;

/// `sha1` as an AlgorithmIdentifier; certificates are named by it whatever else they are signed with (RFC 5019 §2.1.1).
const SHA1: [u8; 11] = [0x30, 9, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 5, 0];
/// id-pkix-ocsp-basic.
const BASIC: &[u8] = &[0x2b, 6, 1, 5, 5, 7, 0x30, 1, 1];
/// id-ad-ocsp.
const RESPONDER: &str = "1.3.6.1.5.5.7.48.1";
/// id-kp-OCSPSigning.
const SIGNING: &str = "1.3.6.1.5.5.7.3.9";
/// HAProxy's tolerance of clocks, in seconds.
const SKEW_S: i64 = 300;

/// Which certificate a response is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateId {
    pub issuer_name_hash: Vec<u8>,
    pub issuer_key_hash: Vec<u8>,
    /// The content of the INTEGER.
    pub serial: Vec<u8>,
}

impl CertificateId {
    /// `None` when one of the two is no certificate.
    pub fn new(leaf: &[u8], issuer: &[u8]) -> Option<Self> {
        let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
        let (_, issuer) = X509Certificate::from_der(issuer).ok()?;
        Some(Self {
            issuer_name_hash: Sha1::digest(issuer.subject().as_raw()).to_vec(),
            issuer_key_hash: Sha1::digest(&*issuer.public_key().subject_public_key.data).to_vec(),
            serial: leaf.raw_serial().to_vec(),
        })
    }

    /// As DER; in hexadecimal it is HAProxy's "Certificate ID key".
    pub fn encode(&self) -> Vec<u8> {
        wrap(
            tag::SEQUENCE,
            &[
                &SHA1,
                &wrap(tag::OCTET_STRING, &[&self.issuer_name_hash]),
                &wrap(tag::OCTET_STRING, &[&self.issuer_key_hash]),
                &wrap(tag::INTEGER, &[&self.serial]),
            ],
        )
    }

    /// The encoding in lower-case hexadecimal.
    pub fn key(&self) -> String {
        self.encode().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn parse(element: Element<'_>) -> Option<Self> {
        let mut parts = Elements::of(element.content);
        let algorithm = parts.next_if(tag::SEQUENCE)?;
        // Only names by SHA-1 are asked for.
        inside(algorithm.whole, tag::SEQUENCE)?.starts_with(SHA1.get(2..9)?).then_some(())?;
        Some(Self {
            issuer_name_hash: parts.next_if(tag::OCTET_STRING)?.content.to_vec(),
            issuer_key_hash: parts.next_if(tag::OCTET_STRING)?.content.to_vec(),
            serial: parts.next_if(tag::INTEGER)?.content.to_vec(),
        })
    }

    /// The lines that name it, as OpenSSL writes them, indented by `indent`.
    pub fn lines(&self, indent: &str) -> String {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
        let serial = match self.serial.split_first() {
            Some((0, rest)) if !rest.is_empty() => rest,
            _ => &self.serial,
        };
        format!(
            "{indent}Issuer Name Hash: {}\n{indent}Issuer Key Hash: {}\n{indent}Serial Number: {}\n",
            hex(&self.issuer_name_hash),
            hex(&self.issuer_key_hash),
            hex(serial)
        )
    }
}

/// The first HTTP address of the leaf's "Authority Information Access" (RFC 5280 §4.2.2.1).
pub fn responder(leaf: &[u8]) -> Option<String> {
    let (_, leaf) = X509Certificate::from_der(leaf).ok()?;
    leaf.extensions().iter().find_map(|extension| {
        let ParsedExtension::AuthorityInfoAccess(access) = extension.parsed_extension() else { return None };
        access.accessdescs.iter().find_map(|description| match &description.access_location {
            GeneralName::URI(uri) if description.access_method.to_id_string() == RESPONDER => {
                Some((*uri).to_owned())
            }
            _ => None,
        })
    })
}

/// A request about one certificate.
pub fn request(id: &CertificateId) -> Vec<u8> {
    let list = wrap(tag::SEQUENCE, &[&wrap(tag::SEQUENCE, &[&id.encode()])]);
    wrap(tag::SEQUENCE, &[&wrap(tag::SEQUENCE, &[&list])])
}

/// What a responder says of a certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    Good,
    Revoked { at_s: i64, reason: Option<u8> },
    Unknown,
}

/// Why a response is not taken; the words are HAProxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResponseError {
    #[error("Unable to parse OCSP response")]
    Unreadable,
    #[error("OCSP response status not successful")]
    NotSuccessful,
    #[error("OCSP response ignored because contains more than one single response")]
    SeveralAnswers,
    #[error("OCSP single response: certificate status is unknown")]
    UnknownStatus,
    #[error("OCSP single response: no longer valid.")]
    Expired,
    #[error("OCSP single response: not yet valid.")]
    NotYetValid,
    #[error("OCSP single response: Certificate ID does not match any certificate or issuer")]
    OtherCertificate,
    #[error("OCSP response: its signature is not the issuer's")]
    Signature,
}

/// A response about one certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// As it came, to be stapled.
    pub der: Vec<u8>,
    pub id: CertificateId,
    pub status: Status,
    pub produced_s: i64,
    pub this_update_s: i64,
    pub next_update_s: Option<i64>,
    /// What is signed, and how.
    data: Vec<u8>,
    algorithm: Vec<u8>,
    signature: Vec<u8>,
    responder: Responder,
    certificates: Vec<Vec<u8>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Responder {
    Name(Vec<u8>),
    KeyHash(Vec<u8>),
}

impl Response {
    /// Reads a response; it must be successful and about exactly one certificate.
    pub fn parse(der: &[u8]) -> Result<Self, ResponseError> {
        let unreadable = ResponseError::Unreadable;
        let mut outer = Elements::of(inside(der, tag::SEQUENCE).ok_or(unreadable)?);
        if outer.next_if(tag::ENUMERATED).ok_or(unreadable)?.content != [0] {
            return Err(ResponseError::NotSuccessful);
        }
        let bytes = outer.next_if(tag::context(0)).ok_or(unreadable)?.content;
        let mut bytes = Elements::of(inside(bytes, tag::SEQUENCE).ok_or(unreadable)?);
        if bytes.next_if(tag::OBJECT).ok_or(unreadable)?.content != BASIC {
            return Err(unreadable);
        }
        let basic = bytes.next_if(tag::OCTET_STRING).ok_or(unreadable)?.content;
        Self::parse_basic(der, basic).unwrap_or(Err(unreadable))
    }

    /// `None`: it is not what it should be.
    fn parse_basic(der: &[u8], basic: &[u8]) -> Option<Result<Self, ResponseError>> {
        let mut parts = Elements::of(inside(basic, tag::SEQUENCE)?);
        let data = parts.next_if(tag::SEQUENCE)?;
        let algorithm = parts.next_if(tag::SEQUENCE)?.content;
        let signature = parts.next_if(tag::BIT_STRING)?.content.get(1..)?;
        let certificates = match parts.next_if(tag::context(0)) {
            Some(list) => Elements::of(inside(list.content, tag::SEQUENCE)?),
            None => Elements::of(&[]),
        };
        let mut fields = Elements::of(data.content);
        let _version = fields.next_if(tag::context(0));
        let responder = fields.next()?;
        let responder = match responder.tag {
            tag if tag == tag::context(1) => Responder::Name(responder.content.to_vec()),
            tag if tag == tag::context(2) => {
                Responder::KeyHash(inside(responder.content, tag::OCTET_STRING)?.to_vec())
            }
            _ => return None,
        };
        let produced_s = time(fields.next_if(tag::GENERALIZED_TIME)?.content)?;
        let mut answers = Elements::of(fields.next_if(tag::SEQUENCE)?.content);
        let answer = answers.next_if(tag::SEQUENCE)?;
        if answers.next().is_some() {
            return Some(Err(ResponseError::SeveralAnswers));
        }
        let mut answer = Elements::of(answer.content);
        let id = CertificateId::parse(answer.next_if(tag::SEQUENCE)?)?;
        let status = status(answer.next()?)?;
        let this_update_s = time(answer.next_if(tag::GENERALIZED_TIME)?.content)?;
        let next_update_s = match answer.next_if(tag::context(0)) {
            Some(next) => Some(time(inside(next.content, tag::GENERALIZED_TIME)?)?),
            None => None,
        };
        Some(Ok(Self {
            der: der.to_vec(),
            id,
            status,
            produced_s,
            this_update_s,
            next_update_s,
            data: data.whole.to_vec(),
            algorithm: algorithm.to_vec(),
            signature: signature.to_vec(),
            responder,
            certificates: certificates.map(|element| element.whole.to_vec()).collect(),
        }))
    }

    /// Whether it may be stapled now: it says something, and its time is now.
    pub fn check(&self, now_s: i64) -> Result<(), ResponseError> {
        match self.status {
            Status::Unknown => Err(ResponseError::UnknownStatus),
            _ if self.this_update_s > now_s.saturating_add(SKEW_S) => Err(ResponseError::NotYetValid),
            _ if self.next_update_s.is_some_and(|next| next.saturating_add(SKEW_S) < now_s) => {
                Err(ResponseError::Expired)
            }
            _ => Ok(()),
        }
    }

    /// Whether the issuer signed it, or somebody whom the issuer allowed to (RFC 6960 §4.2.2.2).
    pub fn is_signed_for(&self, issuer: &[u8], judge: &Judge) -> bool {
        let signed = |by: &[u8]| judge.has_signed(by, &self.data, &self.algorithm, &self.signature);
        signed(issuer)
            || self.certificates.iter().any(|delegate| {
                may_sign(delegate) && judge.is_signed_by(delegate, issuer) && signed(delegate)
            })
    }

    /// What `openssl ocsp -text` says of it, without the responders' certificates in words.
    pub fn text(&self) -> String {
        let mut text = "OCSP Response Data:\n    OCSP Response Status: successful (0x0)\n    \
                        Response Type: Basic OCSP Response\n    Version: 1 (0x0)\n"
            .to_owned();
        let responder = match &self.responder {
            Responder::Name(name) => one_line(name),
            Responder::KeyHash(hash) => hash.iter().map(|byte| format!("{byte:02X}")).collect(),
        };
        text += &format!("    Responder Id: {responder}\n    Produced At: {}\n", date(self.produced_s));
        text += "    Responses:\n    Certificate ID:\n      Hash Algorithm: sha1\n";
        text += &self.id.lines("      ");
        match &self.status {
            Status::Good => text += "    Cert Status: good\n",
            Status::Unknown => text += "    Cert Status: unknown\n",
            Status::Revoked { at_s, reason } => {
                text += &format!("    Cert Status: revoked\n    Revocation Time: {}\n", date(*at_s));
                if let Some(reason) = reason {
                    text += &format!("    Revocation Reason: {} (0x{reason:x})\n", reason_name(*reason));
                }
            }
        }
        text += &format!("    This Update: {}\n", date(self.this_update_s));
        if let Some(next_s) = self.next_update_s {
            text += &format!("    Next Update: {}\n", date(next_s));
        }
        let oid = inside(&self.algorithm, tag::OBJECT).unwrap_or_default();
        text += &format!(" \n    Signature Algorithm: {}\n    Signature Value:\n", signature_name(oid));
        let lines = self.signature.chunks(18).map(|line| {
            let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("        {}", hex.join(":"))
        });
        text += &(lines.collect::<Vec<_>>().join(":\n") + "\n");
        for der in &self.certificates {
            text += &super::pem::armoured("CERTIFICATE", der);
        }
        text
    }
}

fn status(element: Element<'_>) -> Option<Status> {
    match element.tag {
        kind if kind == tag::context_primitive(0) => Some(Status::Good),
        kind if kind == tag::context_primitive(2) => Some(Status::Unknown),
        kind if kind == tag::context(1) => {
            let mut parts = Elements::of(element.content);
            let at_s = time(parts.next_if(tag::GENERALIZED_TIME)?.content)?;
            let reason = match parts.next_if(tag::context(0)) {
                Some(reason) => inside(reason.content, tag::ENUMERATED)?.first().copied(),
                None => None,
            };
            Some(Status::Revoked { at_s, reason })
        }
        _ => None,
    }
}

/// A delegate's certificate says what it is for.
fn may_sign(certificate: &[u8]) -> bool {
    let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return false };
    match parsed.extended_key_usage() {
        Ok(Some(usage)) => {
            usage.value.ocsp_signing || usage.value.other.iter().any(|oid| oid.to_id_string() == SIGNING)
        }
        _ => false,
    }
}

/// `YYYYMMDDhhmmssZ` as seconds since the epoch.
fn time(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let digits = text.strip_suffix('Z')?.get(..14)?;
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let part = |from: usize, to: usize| digits.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(4, 6)?, part(6, 8)?);
    let (hour, minute, second) = (part(8, 10)?, part(10, 12)?, part(12, 14)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days since 0000-03-01, so that a leap day is a year's last.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + hour * 3600 + minute * 60 + second)
}

/// `Nov 22 17:18:44 2026 GMT`, days padded with a blank.
pub fn date(at_s: i64) -> String {
    let at = Civil::from_unix(at_s);
    let (month, day, year) = (at.month_name(), at.day, at.year);
    format!("{month} {day:>2} {:02}:{:02}:{:02} {year} GMT", at.hour, at.minute, at.second)
}

/// `C = FR, O = Example, CN = ocsp`, OpenSSL's one-line form.
fn one_line(name: &[u8]) -> String {
    let Ok((_, name)) = X509Name::from_der(name) else { return String::new() };
    let entries = name.iter_attributes().map(|entry| {
        let oid = entry.attr_type().to_id_string();
        let value = String::from_utf8_lossy(entry.as_slice());
        // Quoted where a comma would end it (RFC 2253).
        let quoted = value.contains([',', '+', '"', '\\', '<', '>', ';']);
        let value = if quoted { format!("\"{value}\"") } else { value.into_owned() };
        format!("{} = {value}", crate::expr::fetch::tls_facts::short(&oid))
    });
    entries.collect::<Vec<_>>().join(", ")
}

fn signature_name(oid: &[u8]) -> &'static str {
    match oid {
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5] => "sha1WithRSAEncryption",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 11] => "sha256WithRSAEncryption",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 12] => "sha384WithRSAEncryption",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 13] => "sha512WithRSAEncryption",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2] => "ecdsa-with-SHA256",
        [0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 3] => "ecdsa-with-SHA384",
        [0x2b, 0x65, 0x70] => "ED25519",
        _ => "unknown",
    }
}

/// RFC 5280 §5.3.1.
fn reason_name(reason: u8) -> &'static str {
    match reason {
        0 => "unspecified",
        1 => "keyCompromise",
        2 => "cACompromise",
        3 => "affiliationChanged",
        4 => "superseded",
        5 => "cessationOfOperation",
        6 => "certificateHold",
        8 => "removeFromCRL",
        _ => "(UNKNOWN)",
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use aws_lc_rs::rand::SystemRandom;
    use aws_lc_rs::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair};
    use proptest::prelude::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    /// An authority, a leaf with the address of a responder, and the authority's key for responses.
    pub(crate) struct Pki {
        pub authority: Vec<u8>,
        pub leaf: Vec<u8>,
        key: Vec<u8>,
    }

    pub(crate) fn pki() -> Pki {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(DnType::CommonName, "OCSP, Inc");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).unwrap().der().to_vec();
        let pkcs8 = key.serialize_der();
        let issuer = Issuer::new(params, key);
        let mut leaf = CertificateParams::new(vec!["a.example".to_owned()]).unwrap();
        leaf.serial_number = Some(0x1001u64.into());
        // authorityInfoAccess (1.3.6.1.5.5.7.1.1) with one OCSP responder.
        let access =
            [wrap(tag::OBJECT, &[&[0x2b, 6, 1, 5, 5, 7, 0x30, 1]]), wrap(0x86, &[b"http://127.0.0.1:1/o"])];
        let access = wrap(tag::SEQUENCE, &[&wrap(tag::SEQUENCE, &[&access.concat()])]);
        let extension = rcgen::CustomExtension::from_oid_content(&[1, 3, 6, 1, 5, 5, 7, 1, 1], access);
        leaf.custom_extensions.push(extension);
        let leaf = leaf.signed_by(&KeyPair::generate().unwrap(), &issuer).unwrap().der().to_vec();
        Pki { authority, leaf, key: pkcs8 }
    }

    impl Pki {
        /// A response of the authority itself about the leaf.
        pub(crate) fn response(&self, revoked: bool, this_update: &str, next_update: &str) -> Vec<u8> {
            let id = CertificateId::new(&self.leaf, &self.authority).unwrap();
            let at = |text: &str| wrap(tag::GENERALIZED_TIME, &[text.as_bytes()]);
            let status = match revoked {
                true => wrap(
                    tag::context(1),
                    &[&at(this_update), &wrap(tag::context(0), &[&wrap(tag::ENUMERATED, &[&[1]])])],
                ),
                false => wrap(tag::context_primitive(0), &[]),
            };
            let next = wrap(tag::context(0), &[&at(next_update)]);
            let single = wrap(tag::SEQUENCE, &[&id.encode(), &status, &at(this_update), &next]);
            let (_, parsed) = X509Certificate::from_der(&self.authority).unwrap();
            let data = wrap(
                tag::SEQUENCE,
                &[
                    &wrap(tag::context(1), &[parsed.subject().as_raw()]),
                    &at(this_update),
                    &wrap(tag::SEQUENCE, &[&single]),
                ],
            );
            let key = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &self.key).unwrap();
            let signature = key.sign(&SystemRandom::new(), &data).unwrap();
            let algorithm =
                wrap(tag::SEQUENCE, &[&wrap(tag::OBJECT, &[&[0x2a, 0x86, 0x48, 0xce, 0x3d, 4, 3, 2]])]);
            let basic = wrap(
                tag::SEQUENCE,
                &[&data, &algorithm, &wrap(tag::BIT_STRING, &[&[0], signature.as_ref()])],
            );
            let bytes =
                wrap(tag::SEQUENCE, &[&wrap(tag::OBJECT, &[BASIC]), &wrap(tag::OCTET_STRING, &[&basic])]);
            wrap(tag::SEQUENCE, &[&wrap(tag::ENUMERATED, &[&[0]]), &wrap(tag::context(0), &[&bytes])])
        }
    }

    fn judge() -> Judge {
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        Judge::new(Vec::new(), Vec::new(), algorithms)
    }

    #[test]
    fn a_certificate_is_named_as_haproxy_names_it() {
        let id = CertificateId {
            issuer_name_hash: vec![1; 20],
            issuer_key_hash: vec![2; 20],
            serial: vec![0x10, 0x0f],
        };
        let expected =
            format!("303b300906052b0e03021a05000414{}0414{}0202100f", "01".repeat(20), "02".repeat(20));
        assert_eq!(id.key(), expected);
        assert!(id.lines("  ").contains("  Serial Number: 100F\n"));
    }

    #[test]
    fn a_response_is_read_checked_and_verified() {
        let pki = pki();
        assert_eq!(responder(&pki.leaf).as_deref(), Some("http://127.0.0.1:1/o"));
        let der = pki.response(false, "20260101000000Z", "20260108000000Z");
        let response = Response::parse(&der).unwrap();
        assert_eq!(response.status, Status::Good);
        assert_eq!(response.this_update_s, 1_767_225_600);
        assert_eq!(response.check(1_767_225_600), Ok(()));
        assert_eq!(response.check(1_767_000_000), Err(ResponseError::NotYetValid));
        assert_eq!(response.check(1_768_000_000), Err(ResponseError::Expired));
        assert!(response.is_signed_for(&pki.authority, &judge()));
        assert!(!response.is_signed_for(&super::tests::pki().authority, &judge()), "another authority");
        let text = response.text();
        assert!(text.contains("    This Update: Jan  1 00:00:00 2026 GMT\n"), "{text}");
        assert!(text.contains("    Responder Id: CN = \"OCSP, Inc\"\n"), "{text}");
        let revoked = Response::parse(&pki.response(true, "20260101000000Z", "20260108000000Z")).unwrap();
        assert!(revoked.text().contains("    Revocation Reason: keyCompromise (0x1)\n"));
        // tryLater.
        assert_eq!(Response::parse(&[0x30, 3, 0x0a, 1, 3]), Err(ResponseError::NotSuccessful));
    }

    proptest! {
        #[test]
        fn changed_responses_are_read_without_harm_and_never_verified(at in 0usize..500, byte in 1u8..=255) {
            let pki = pki();
            let mut der = pki.response(false, "20260101000000Z", "20260108000000Z");
            let at = at % der.len();
            der[at] ^= byte;
            if let Ok(response) = Response::parse(&der) {
                let before = Response::parse(&pki.response(false, "20260101000000Z", "20260108000000Z")).unwrap();
                prop_assert!(response.data == before.data || !response.is_signed_for(&pki.authority, &judge()));
                let _ = response.text();
            }
        }
    }
}
