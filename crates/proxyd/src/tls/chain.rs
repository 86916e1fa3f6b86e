//! A second look at a client's certificate, with OpenSSL's error numbers: for `crt-ignore-err`, `ca-ignore-err`, `crl-file`, and
//! certificates of version 1, which webpki does not read.
//!
//! webpki looks first; what it refuses for another reason than these stays refused. The path is built by names from the leaf to
//! an authority, then every certificate's signature, dates and revocation are judged; constraints are webpki's business.

use std::collections::BTreeSet;

use aws_lc_rs::signature::{RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, UnparsedPublicKey};
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, SignatureVerificationAlgorithm};
use rustls::{CertificateError, DigitallySignedStruct, Error};
use x509_parser::prelude::{CertificateRevocationList, FromDer, X509Certificate};

use super::der::Elements;

/// `sha1WithRSAEncryption`: webpki has no such algorithm, but lists that old tools make are signed so.
const RSA_SHA1: &[u8] = &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 1, 5, 5, 0];

/// Certificates of a path, OpenSSL's own default being 100.
const DEPTH_MAX: usize = 10;

/// OpenSSL's numbers (`X509_V_ERR_…`, openssl-verification-options(1)).
pub mod code {
    pub const OK: u32 = 0;
    pub const UNABLE_TO_GET_CRL: u32 = 3;
    pub const SIGNATURE: u32 = 7;
    pub const CRL_SIGNATURE: u32 = 8;
    pub const NOT_YET_VALID: u32 = 9;
    pub const EXPIRED: u32 = 10;
    pub const CRL_EXPIRED: u32 = 12;
    pub const SELF_SIGNED_LEAF: u32 = 18;
    pub const SELF_SIGNED_IN_CHAIN: u32 = 19;
    pub const NO_LOCAL_ISSUER: u32 = 20;
    pub const REVOKED: u32 = 23;
    pub const INVALID_CA: u32 = 24;
    pub const UNSPECIFIED: u32 = 1;
}

/// `crt-ignore-err`, `ca-ignore-err`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ignored {
    All,
    These(BTreeSet<u32>),
}

impl Default for Ignored {
    fn default() -> Self {
        Self::These(BTreeSet::new())
    }
}

impl Ignored {
    /// Numbers or names with commas between, or `all`.
    pub fn parse(text: &str) -> Result<Self, String> {
        if text == "all" {
            return Ok(Self::All);
        }
        let code = |word: &str| {
            let named = || (0..100).find(|code| crate::expr::conv::net::x509_error_name(*code) == Some(word));
            word.parse().ok().or_else(named).and_then(|code| u32::try_from(code).ok())
        };
        let words = text.split(',').map(str::trim);
        words.map(|word| code(word).ok_or_else(|| word.to_owned())).collect::<Result<_, _>>().map(Self::These)
    }

    fn has(&self, code: u32) -> bool {
        match self {
            Self::All => true,
            Self::These(codes) => codes.contains(&code),
        }
    }

    fn is_empty(&self) -> bool {
        matches!(self, Self::These(codes) if codes.is_empty())
    }
}

/// What was found of a chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    /// Of the client's own certificate: `ssl_c_err`.
    pub leaf: u32,
    /// Of the highest authority that has a problem: `ssl_c_ca_err`, `ssl_c_ca_err_depth`.
    pub authority: u32,
    pub authority_depth: u32,
}

impl Verdict {
    /// `ssl_c_verify`.
    pub fn result(self) -> u32 {
        if self.leaf == code::OK { self.authority } else { self.leaf }
    }

    fn note(&mut self, depth: usize, found: u32) {
        match (depth, found) {
            (_, code::OK) => {}
            (0, found) => self.leaf = found,
            (depth, found) if self.authority == code::OK => {
                self.authority = found;
                self.authority_depth = depth as u32;
            }
            _ => {}
        }
    }
}

/// Judges chains against a listener's authorities.
#[derive(Debug)]
pub struct Judge {
    anchors: Vec<CertificateDer<'static>>,
    revocations: Vec<CertificateRevocationListDer<'static>>,
    algorithms: WebPkiSupportedAlgorithms,
    pub leaf_ignored: Ignored,
    pub authorities_ignored: Ignored,
}

impl Judge {
    pub fn new(
        anchors: Vec<CertificateDer<'static>>,
        revocations: Vec<CertificateRevocationListDer<'static>>,
        algorithms: WebPkiSupportedAlgorithms,
    ) -> Self {
        let (leaf_ignored, authorities_ignored) = Default::default();
        Self { anchors, revocations, algorithms, leaf_ignored, authorities_ignored }
    }

    /// The same for the same authorities, revocations and tolerance, in whatever order they came.
    pub fn fingerprint(&self) -> [u8; 32] {
        use sha2::Digest as _;
        let anchors = self.anchors.iter().map(AsRef::as_ref);
        let lists = self.revocations.iter().map(AsRef::as_ref);
        let mut digests: Vec<_> = anchors.chain(lists).map(|der: &[u8]| sha2::Sha256::digest(der)).collect();
        digests.sort();
        let ignored = format!("{:?} {:?}", self.leaf_ignored, self.authorities_ignored);
        let mut all = sha2::Sha256::new();
        digests.iter().for_each(|digest| all.update(digest));
        all.update(ignored.as_bytes());
        all.finalize().into()
    }

    pub fn algorithms(&self) -> &WebPkiSupportedAlgorithms {
        &self.algorithms
    }

    /// Whether anything is ignored.
    pub fn is_lenient(&self) -> bool {
        !self.leaf_ignored.is_empty() || !self.authorities_ignored.is_empty()
    }

    /// Whether webpki's verdict is not the last word.
    pub fn has_a_say(&self, error: Option<&Error>) -> bool {
        let lenient = self.is_lenient();
        match error {
            None => !self.revocations.is_empty(),
            Some(Error::InvalidCertificate(CertificateError::Other(other))) => {
                lenient || format!("{other:?}").contains("UnsupportedCertVersion")
            }
            Some(Error::InvalidCertificate(_)) => lenient,
            Some(_) => false,
        }
    }

    /// Whether the chain is taken, whatever is ignored of it.
    pub fn accepts(&self, verdict: Verdict) -> bool {
        (verdict.leaf == code::OK || self.leaf_ignored.has(verdict.leaf))
            && (verdict.authority == code::OK || self.authorities_ignored.has(verdict.authority))
    }

    /// The errors of a chain at a time, in seconds since the epoch.
    pub fn judge(&self, leaf: &[u8], others: &[&[u8]], now_s: i64) -> Verdict {
        let mut verdict = Verdict::default();
        let mut path = vec![leaf];
        let anchored = loop {
            let current = path.last().copied().unwrap_or_default();
            if self.anchors.iter().any(|anchor| anchor.as_ref() == current) {
                break true;
            }
            let Ok((_, parsed)) = X509Certificate::from_der(current) else {
                verdict.note(path.len() - 1, code::UNSPECIFIED);
                return verdict;
            };
            let mut known = self.anchors.iter().map(AsRef::as_ref).chain(others.iter().copied());
            let issuer = known.find(|other| *other != current && is_named(other, parsed.issuer().as_raw()));
            match issuer.filter(|_| path.len() < DEPTH_MAX) {
                Some(issuer) => path.push(issuer),
                None => break false,
            }
        };
        if !anchored {
            let depth = path.len() - 1;
            let self_signed = path.last().is_some_and(|last| {
                X509Certificate::from_der(last).is_ok_and(|(_, last)| last.issuer() == last.subject())
            });
            verdict.note(
                depth,
                match (self_signed, depth) {
                    (true, 0) => code::SELF_SIGNED_LEAF,
                    (true, _) => code::SELF_SIGNED_IN_CHAIN,
                    (false, _) => code::NO_LOCAL_ISSUER,
                },
            );
        }
        for (depth, certificate) in path.iter().enumerate().rev() {
            let issuer = path.get(depth + 1).copied();
            verdict.note(depth, self.revocation(certificate, issuer.unwrap_or(certificate), now_s));
            verdict.note(depth, self.soundness(certificate, issuer, depth, now_s));
        }
        verdict
    }

    /// Signature, dates, and whether an authority may be one.
    fn soundness(&self, certificate: &[u8], issuer: Option<&[u8]>, depth: usize, now_s: i64) -> u32 {
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return code::UNSPECIFIED };
        if issuer.is_some_and(|issuer| !self.is_signed_by(certificate, issuer)) {
            return code::SIGNATURE;
        }
        let is_anchor = issuer.is_none();
        if depth > 0 && !is_anchor && !parsed.is_ca() {
            return code::INVALID_CA;
        }
        match parsed.validity() {
            dates if now_s < dates.not_before.timestamp() => code::NOT_YET_VALID,
            dates if now_s > dates.not_after.timestamp() => code::EXPIRED,
            _ => code::OK,
        }
    }

    fn revocation(&self, certificate: &[u8], issuer: &[u8], now_s: i64) -> u32 {
        if self.revocations.is_empty() {
            return code::OK;
        }
        let Ok((_, parsed)) = X509Certificate::from_der(certificate) else { return code::UNSPECIFIED };
        let lists = self.revocations.iter().filter_map(|der| {
            let (_, list) = CertificateRevocationList::from_der(der.as_ref()).ok()?;
            Some((der, list))
        });
        let Some((der, list)) =
            lists.into_iter().find(|(_, list)| list.issuer().as_raw() == parsed.issuer().as_raw())
        else {
            return code::UNABLE_TO_GET_CRL;
        };
        if !self.is_signed_by(der.as_ref(), issuer) {
            return code::CRL_SIGNATURE;
        }
        if list.iter_revoked_certificates().any(|revoked| revoked.raw_serial() == parsed.raw_serial()) {
            return code::REVOKED;
        }
        match list.next_update() {
            Some(next) if next.timestamp() < now_s => code::CRL_EXPIRED,
            _ => code::OK,
        }
    }

    /// Whether a signed structure (certificate or list) carries its issuer's signature.
    pub fn is_signed_by(&self, signed: &[u8], issuer: &[u8]) -> bool {
        let Some((_, key)) = public_key(issuer) else { return false };
        let Some(parts) = Signed::split(signed) else { return false };
        if parts.algorithm == RSA_SHA1 {
            let key = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA1_FOR_LEGACY_USE_ONLY, key);
            return parts.is_list && key.verify(parts.content, parts.signature).is_ok();
        }
        self.has_signed(issuer, parts.content, parts.algorithm, parts.signature)
    }

    /// Whether a signature of `content` is by the key in the certificate `signer`; `identifier` is that of the algorithm.
    pub fn has_signed(&self, signer: &[u8], content: &[u8], identifier: &[u8], signature: &[u8]) -> bool {
        let Some((key_algorithm, key)) = public_key(signer) else { return false };
        self.algorithms.all.iter().any(|algorithm| {
            algorithm.signature_alg_id().as_ref() == identifier
                && verifies(*algorithm, key_algorithm, key, content, signature)
        })
    }
}

/// Takes a handshake's signature whose certificate webpki does not read, because it is of version 1, if it is right.
pub fn handshake_is_signed(
    verdict: Result<HandshakeSignatureValid, Error>,
    algorithms: &WebPkiSupportedAlgorithms,
    message: &[u8],
    certificate: &[u8],
    signed: &DigitallySignedStruct,
) -> Result<HandshakeSignatureValid, Error> {
    if !matches!(verdict, Err(Error::InvalidCertificate(_))) {
        return verdict;
    }
    let Some((key_algorithm, key)) = public_key(certificate) else { return verdict };
    let known = algorithms.mapping.iter().find(|(scheme, _)| *scheme == signed.scheme);
    let is_right = known.is_some_and(|(_, algorithms)| {
        algorithms
            .iter()
            .any(|algorithm| verifies(*algorithm, key_algorithm, key, message, signed.signature()))
    });
    if is_right { Ok(HandshakeSignatureValid::assertion()) } else { verdict }
}

fn verifies(
    algorithm: &dyn SignatureVerificationAlgorithm,
    key_algorithm: &[u8],
    key: &[u8],
    message: &[u8],
    signature: &[u8],
) -> bool {
    algorithm.public_key_alg_id().as_ref() == key_algorithm
        && algorithm.verify_signature(key, message, signature).is_ok()
}

fn is_named(certificate: &[u8], name: &[u8]) -> bool {
    X509Certificate::from_der(certificate).is_ok_and(|(_, parsed)| parsed.subject().as_raw() == name)
}

/// The algorithm's identifier without its frame, and the key's bits.
fn public_key(certificate: &[u8]) -> Option<(&[u8], &[u8])> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let (info, _) = element(parsed.tbs_certificate.subject_pki.raw)?;
    let (algorithm, rest) = element(info)?;
    let (bits, _) = element(rest)?;
    // The first byte counts unused bits, of which keys have none.
    Some((algorithm, bits.get(1..)?))
}

/// `SEQUENCE { content, algorithm, BIT STRING signature }`.
struct Signed<'a> {
    content: &'a [u8],
    algorithm: &'a [u8],
    signature: &'a [u8],
    /// A list of revoked certificates, which the operator gave.
    is_list: bool,
}

impl<'a> Signed<'a> {
    fn split(der: &'a [u8]) -> Option<Self> {
        let (inner, _) = element(der)?;
        let (_, rest) = element(inner)?;
        let content = inner.get(..inner.len() - rest.len())?;
        let (algorithm, rest) = element(rest)?;
        let (signature, _) = element(rest)?;
        let is_list = CertificateRevocationList::from_der(der).is_ok();
        Some(Self { content, algorithm, signature: signature.get(1..)?, is_list })
    }
}

/// An element's content and what follows it.
fn element(der: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut elements = Elements::of(der);
    let first = elements.next()?;
    Some((first.content, elements.rest()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{
        BasicConstraints, CertificateParams, CertificateRevocationListParams, IsCa, Issuer, KeyPair,
    };

    const NOW_S: i64 = 1_800_000_000;

    struct Authority {
        der: CertificateDer<'static>,
        issuer: Issuer<'static, KeyPair>,
    }

    fn authority(name: &str) -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![rcgen::KeyUsagePurpose::CrlSign, rcgen::KeyUsagePurpose::KeyCertSign];
        let der = params.self_signed(&key).unwrap().der().clone();
        Authority { der, issuer: Issuer::new(params, key) }
    }

    fn leaf(by: &Authority, serial: u64, not_after: i32) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["c.example".to_owned()]).unwrap();
        params.serial_number = Some(serial.into());
        params.not_after = rcgen::date_time_ymd(not_after, 1, 1);
        params.signed_by(&key, &by.issuer).unwrap().der().clone()
    }

    fn judge(anchors: &[&Authority], revoked: Option<(&Authority, u64)>) -> Judge {
        let lists = revoked.map(|(by, serial)| {
            let revoked = rcgen::RevokedCertParams {
                serial_number: serial.into(),
                revocation_time: rcgen::date_time_ymd(2024, 1, 1),
                reason_code: None,
                invalidity_date: None,
            };
            let params = CertificateRevocationListParams {
                this_update: rcgen::date_time_ymd(2024, 1, 1),
                next_update: rcgen::date_time_ymd(2050, 1, 1),
                crl_number: 1.into(),
                issuing_distribution_point: None,
                revoked_certs: vec![revoked],
                key_identifier_method: rcgen::KeyIdMethod::Sha256,
            };
            params.signed_by(&by.issuer).unwrap().der().clone()
        });
        let algorithms = rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms;
        let anchors = anchors.iter().map(|authority| authority.der.clone()).collect();
        Judge::new(anchors, lists.into_iter().collect(), algorithms)
    }

    #[test]
    fn a_good_chain_has_no_error() {
        let root = authority("root");
        let verdict = judge(&[&root], None).judge(&leaf(&root, 7, 2049), &[], NOW_S);
        assert_eq!(verdict, Verdict::default());
    }

    #[test]
    fn errors_have_openssls_numbers() {
        let (root, other) = (authority("root"), authority("other"));
        let of = |judge: Judge, leaf: &[u8]| judge.judge(leaf, &[], NOW_S).result();
        assert_eq!(of(judge(&[&root], None), &leaf(&root, 7, 2020)), code::EXPIRED);
        assert_eq!(of(judge(&[&root], None), &leaf(&other, 7, 2049)), code::NO_LOCAL_ISSUER);
        assert_eq!(of(judge(&[&root], None), other.der.as_ref()), code::SELF_SIGNED_LEAF);
        let forged = authority("root");
        assert_eq!(of(judge(&[&root], None), &leaf(&forged, 7, 2049)), code::SIGNATURE);
        assert_eq!(of(judge(&[&root], None), b"garbage"), code::UNSPECIFIED);
    }

    #[test]
    fn crl_file_revokes_and_every_certificate_needs_a_list() {
        let (root, other) = (authority("root"), authority("other"));
        let with_list = judge(&[&root], Some((&root, 7)));
        assert_eq!(with_list.judge(&leaf(&root, 7, 2049), &[], NOW_S).leaf, code::REVOKED);
        assert_eq!(with_list.judge(&leaf(&root, 8, 2049), &[], NOW_S), Verdict::default());
        let wrong = judge(&[&root], Some((&other, 7)));
        assert_eq!(wrong.judge(&leaf(&root, 8, 2049), &[], NOW_S).leaf, code::UNABLE_TO_GET_CRL);
    }

    #[test]
    fn what_is_ignored_is_accepted_and_nothing_else() {
        let root = authority("root");
        let mut lenient = judge(&[&root], None);
        lenient.leaf_ignored = Ignored::parse("X509_V_ERR_CERT_HAS_EXPIRED").unwrap();
        assert!(lenient.accepts(lenient.judge(&leaf(&root, 7, 2020), &[], NOW_S)));
        assert!(!lenient.accepts(lenient.judge(&leaf(&authority("x"), 7, 2049), &[], NOW_S)));
        assert_eq!(Ignored::parse("10,23"), Ignored::parse("X509_V_ERR_CERT_HAS_EXPIRED,23"));
        assert_eq!(Ignored::parse("all"), Ok(Ignored::All));
        assert!(Ignored::parse("10,what").is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..64)) {
            let _ = Signed::split(&bytes);
            let _ = public_key(&bytes);
        }
    }
}
