//! The client side: `server … ssl` and checks over TLS.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::{self, Certificate};
use super::chain::{Judge, handshake_is_signed};
use super::parameters::{self, Versions};
use super::pinned::Authorities;
use super::{secrets, sigalgs};

/// `verify` of a server, with its authorities.
#[derive(Debug, Clone)]
pub enum ServerVerification {
    /// `verify none`: any certificate, but the handshake's signature must be its own.
    None,
    /// `verify required` against these; `verifyhost` or the SNI is the name to match, without one the name is not checked.
    Required { authorities: Authorities, host: Option<String> },
}

/// The certificate that servers are shown, replaceable while connections use it.
#[derive(Debug)]
pub struct ShownCertificate(ArcSwap<Certificate>);

impl ShownCertificate {
    pub fn new(certificate: Arc<Certificate>) -> Self {
        Self(ArcSwap::new(certificate))
    }

    pub fn get(&self) -> Arc<Certificate> {
        self.0.load_full()
    }

    /// New handshakes show `certificate` from now on.
    pub fn replace(&self, certificate: Arc<Certificate>) {
        self.0.store(certificate);
    }
}

/// The certificate as one configuration shows it.
#[derive(Debug)]
struct Shown {
    certificate: Arc<ShownCertificate>,
    signatures: Option<Arc<[SignatureScheme]>>,
}

impl ResolvesClientCert for Shown {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(sigalgs::restricted(&self.certificate.get().key, self.signatures.as_ref()))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

/// What a `server … ssl` line says, with files read.
#[derive(Debug)]
pub struct ClientParameters {
    pub versions: Versions,
    pub provider: Arc<CryptoProvider>,
    pub alpn: Vec<Vec<u8>>,
    pub verification: ServerVerification,
    /// `crt`: the certificate shown to the server.
    pub certificate: Option<Arc<ShownCertificate>>,
    /// `no-ssl-reuse`.
    pub resumption: bool,
    /// `crl-file`.
    pub revocations: Vec<CertificateRevocationListDer<'static>>,
    /// `tune.ssl.keylog`.
    pub key_log: bool,
    /// `sigalgs`: what servers may sign with; `client-sigalgs`: what is signed with here.
    pub signatures: Option<Arc<[SignatureScheme]>>,
    pub client_signatures: Option<Arc<[SignatureScheme]>>,
    /// `allow-0rtt`.
    pub early_data: bool,
}

impl ClientParameters {
    pub fn new(verification: ServerVerification) -> Self {
        Self {
            versions: Versions::default(),
            provider: parameters::provider(&[], &[], &[]),
            alpn: Vec::new(),
            verification,
            certificate: None,
            resumption: true,
            revocations: Vec::new(),
            key_log: false,
            signatures: None,
            client_signatures: None,
            early_data: false,
        }
    }
}

/// Builds the configuration that all connections to a server share.
pub fn configuration(parameters: &ClientParameters) -> Result<Arc<ClientConfig>, Error> {
    let verifier = verifier(parameters)?;
    let builder = ClientConfig::builder_with_provider(Arc::clone(&parameters.provider))
        .with_protocol_versions(&parameters.versions.supported())?
        .dangerous()
        .with_custom_certificate_verifier(verifier);
    let mut configuration = match &parameters.certificate {
        Some(certificate) => builder.with_client_cert_resolver(Arc::new(Shown {
            certificate: Arc::clone(certificate),
            signatures: parameters.client_signatures.clone(),
        })),
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols.clone_from(&parameters.alpn);
    configuration.enable_early_data = parameters.early_data;
    if parameters.key_log {
        configuration.key_log = Arc::new(secrets::Recorder);
    }
    if !parameters.resumption {
        configuration.resumption = rustls::client::Resumption::disabled();
    }
    Ok(Arc::new(configuration))
}

fn verifier(parameters: &ClientParameters) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let provider = Arc::clone(&parameters.provider);
    let signatures = parameters.signatures.clone();
    match &parameters.verification {
        ServerVerification::None => Ok(Arc::new(SignatureOnly { provider, signatures })),
        ServerVerification::Required { authorities, host } => {
            let roots = Arc::clone(&authorities.roots);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .with_crls(parameters.revocations.iter().cloned())
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
            let judge = Judge::new(
                authorities.list().collect(),
                parameters.revocations.clone(),
                parameters.provider.signature_verification_algorithms,
            );
            let (authorities, host) = (authorities.clone(), host.clone());
            Ok(Arc::new(Required { chain, authorities, host, signatures, judge }))
        }
    }
}

/// `verify none`.
#[derive(Debug)]
struct SignatureOnly {
    provider: Arc<CryptoProvider>,
    signatures: Option<Arc<[SignatureScheme]>>,
}

impl ServerCertVerifier for SignatureOnly {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = verify_tls12_signature(message, certificate, signature, algorithms);
        handshake_is_signed(verdict, algorithms, message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        let verdict = verify_tls13_signature(message, certificate, signature, algorithms);
        handshake_is_signed(verdict, algorithms, message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        let known = self.provider.signature_verification_algorithms.supported_schemes();
        sigalgs::allowed(self.signatures.as_deref(), known)
    }
}

/// `verify required`: the chain always, the name only when there is one to match (configuration manual, "verifyhost").
#[derive(Debug)]
struct Required {
    chain: Arc<WebPkiServerVerifier>,
    authorities: Authorities,
    host: Option<String>,
    signatures: Option<Arc<[SignatureScheme]>>,
    judge: Judge,
}

/// Whether a certificate answers to a host name, by itself or by a wildcard for one label.
fn has_name(certificate: &[u8], name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    let rest = name.split_once('.').map(|(_, rest)| rest);
    let matches = |known: &String| match known.strip_prefix("*.") {
        Some(suffix) => rest == Some(suffix),
        None => *known == name,
    };
    certificate::names(certificate).is_ok_and(|names| names.iter().any(matches))
}

impl ServerCertVerifier for Required {
    fn verify_server_cert(
        &self,
        certificate: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let host = self.host.as_deref().and_then(|host| ServerName::try_from(host.to_owned()).ok());
        let named = host.as_ref().unwrap_or(name);
        match self.chain.verify_server_cert(certificate, intermediates, named, ocsp, now) {
            // Without SNI and verifyhost the connection's name is only the server's address, which says nothing.
            Err(Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) if host.is_none() && matches!(name, ServerName::IpAddress(_)) => {
                Ok(ServerCertVerified::assertion())
            }
            Err(error) if self.authorities.holds(certificate, &error, now)? => {
                if host.is_some() || !matches!(name, ServerName::IpAddress(_)) {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, named)?;
                }
                Ok(ServerCertVerified::assertion())
            }
            // Version 1, which webpki does not read.
            Err(error) if self.judge.has_a_say(Some(&error)) => {
                let others: Vec<&[u8]> = intermediates.iter().map(AsRef::as_ref).collect();
                let now_s = i64::try_from(now.as_secs()).unwrap_or(i64::MAX);
                let is_named = match named {
                    ServerName::DnsName(name) => has_name(certificate, name.as_ref()),
                    _ => host.is_none(),
                };
                match self.judge.accepts(self.judge.judge(certificate, &others, now_s)) {
                    true if is_named => Ok(ServerCertVerified::assertion()),
                    true => Err(Error::InvalidCertificate(CertificateError::NotValidForName)),
                    false => Err(error),
                }
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
