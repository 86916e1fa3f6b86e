//! A peer whose own certificate is in the `ca-file`: OpenSSL, and so HAProxy, takes it whatever it says about itself.
//!
//! webpki has no such rule: a self-signed certificate made by the usual tools says that it is an authority, and is refused as a
//! peer's own. It is common to trust exactly that file, so the rule is added here: same bytes, valid today.

use std::collections::HashSet;
use std::sync::Arc;

use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, RootCertStore, SignatureScheme,
    client::danger::HandshakeSignatureValid,
};
use x509_parser::prelude::{FromDer, X509Certificate};

use super::chain::{Judge, code, handshake_is_signed};
use super::sigalgs;

/// What a `ca-file` holds: anchors of chains, and each certificate as it stands.
#[derive(Debug, Clone)]
pub struct Authorities {
    pub roots: Arc<RootCertStore>,
    certificates: Arc<HashSet<Vec<u8>>>,
}

impl Authorities {
    pub fn new(certificates: Vec<CertificateDer<'static>>) -> Self {
        let mut roots = RootCertStore::empty();
        let bytes = certificates.iter().map(|certificate| certificate.to_vec()).collect();
        roots.add_parsable_certificates(certificates);
        Self { roots: Arc::new(roots), certificates: Arc::new(bytes) }
    }

    /// All of them together.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        Self::new(self.list().chain(others.list()).collect())
    }

    /// The certificates as they stand.
    pub fn list(&self) -> impl Iterator<Item = CertificateDer<'static>> {
        self.certificates.iter().map(|der| CertificateDer::from(der.clone()))
    }

    pub fn is_empty(&self) -> bool {
        self.roots.is_empty()
    }

    /// Whether `error` is about the rule above and the certificate is one of these; errors: it is, but not valid now.
    pub fn holds(&self, leaf: &CertificateDer<'_>, error: &Error, now: UnixTime) -> Result<bool, Error> {
        let about_the_kind = matches!(
            error,
            Error::InvalidCertificate(CertificateError::Other(_) | CertificateError::UnknownIssuer)
        );
        if !about_the_kind || !self.certificates.contains(leaf.as_ref()) {
            return Ok(false);
        }
        let invalid = |error| Err(Error::InvalidCertificate(error));
        let Ok((_, parsed)) = X509Certificate::from_der(leaf) else {
            return invalid(CertificateError::BadEncoding);
        };
        let now = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
        if now < parsed.validity().not_before.timestamp() {
            return invalid(CertificateError::NotValidYet);
        }
        if now > parsed.validity().not_after.timestamp() {
            return invalid(CertificateError::Expired);
        }
        Ok(true)
    }
}

/// The verifier of clients with the rule added.
#[derive(Debug)]
pub struct Clients {
    pub chain: Arc<dyn ClientCertVerifier>,
    pub authorities: Authorities,
    pub judge: Arc<Judge>,
    /// `client-sigalgs`.
    pub signatures: Option<Arc<[SignatureScheme]>>,
}

impl ClientCertVerifier for Clients {
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        self.chain.root_hint_subjects()
    }

    fn offer_client_auth(&self) -> bool {
        self.chain.offer_client_auth()
    }

    fn client_auth_mandatory(&self) -> bool {
        self.chain.client_auth_mandatory()
    }

    fn verify_client_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let verdict = self.chain.verify_client_cert(certificate, intermediates, now);
        if self.judge.has_a_say(verdict.as_ref().err()) {
            let others: Vec<&[u8]> = intermediates.iter().map(AsRef::as_ref).collect();
            let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
            let found = self.judge.judge(certificate, &others, now_s);
            return if self.judge.accepts(found) {
                Ok(ClientCertVerified::assertion())
            } else if found.result() == code::REVOKED {
                Err(Error::InvalidCertificate(CertificateError::Revoked))
            } else {
                // What webpki said, where it said something, names the reason better.
                verdict.and(Err(Error::InvalidCertificate(CertificateError::UnknownRevocationStatus)))
            };
        }
        match verdict {
            Err(error) if self.authorities.holds(certificate, &error, now)? => {
                Ok(ClientCertVerified::assertion())
            }
            verdict => verdict,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = self.chain.verify_tls12_signature(message, certificate, signature);
        handshake_is_signed(verdict, self.judge.algorithms(), message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let verdict = self.chain.verify_tls13_signature(message, certificate, signature);
        handshake_is_signed(verdict, self.judge.algorithms(), message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        sigalgs::allowed(self.signatures.as_deref(), self.chain.supported_verify_schemes())
    }
}
