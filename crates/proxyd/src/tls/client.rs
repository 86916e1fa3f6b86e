//! The client side: `server … ssl` and checks over TLS.

use std::io;
use std::path::Path;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{ResolvesClientCert, WebPkiServerVerifier, verify_server_name};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, DigitallySignedStruct, Error, SignatureScheme};

use super::certificate::Certificate;
use super::chain::handshake_is_signed;
use super::parameters::{self, Versions};
use super::pem;
use super::pinned::Authorities;

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

impl ResolvesClientCert for ShownCertificate {
    fn resolve(&self, _: &[&[u8]], _: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.load().key))
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
        Some(certificate) => builder.with_client_cert_resolver(Arc::clone(certificate) as _),
        None => builder.with_no_client_auth(),
    };
    configuration.alpn_protocols.clone_from(&parameters.alpn);
    if !parameters.resumption {
        configuration.resumption = rustls::client::Resumption::disabled();
    }
    Ok(Arc::new(configuration))
}

/// The authorities of a `ca-file`: a PEM file, a directory of them, or `@system-ca`.
pub fn authorities(path: &str) -> io::Result<Authorities> {
    if path == "@system-ca" {
        return Ok(Authorities::new(rustls_native_certs::load_native_certs().certs));
    }
    let path = Path::new(path);
    let files: Vec<_> = if path.is_dir() {
        std::fs::read_dir(path)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .filter(|file| file.is_file())
            .collect()
    } else {
        vec![path.to_path_buf()]
    };
    let mut certificates = Vec::new();
    for file in files {
        certificates.extend(pem::certificates(&pem::read(&file)?));
    }
    Ok(Authorities::new(certificates))
}

fn verifier(parameters: &ClientParameters) -> Result<Arc<dyn ServerCertVerifier>, Error> {
    let provider = Arc::clone(&parameters.provider);
    match &parameters.verification {
        ServerVerification::None => Ok(Arc::new(SignatureOnly { provider })),
        ServerVerification::Required { authorities, host } => {
            let roots = Arc::clone(&authorities.roots);
            let chain = WebPkiServerVerifier::builder_with_provider(roots, provider)
                .with_crls(parameters.revocations.iter().cloned())
                .build()
                .map_err(|error| Error::General(error.to_string()))?;
            Ok(Arc::new(Required { chain, authorities: authorities.clone(), host: host.clone() }))
        }
    }
}

/// `verify none`.
#[derive(Debug)]
struct SignatureOnly {
    provider: Arc<CryptoProvider>,
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
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// `verify required`: the chain always, the name only when there is one to match (configuration manual, "verifyhost").
#[derive(Debug)]
struct Required {
    chain: Arc<WebPkiServerVerifier>,
    authorities: Authorities,
    host: Option<String>,
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
                rustls::CertificateError::NotValidForName
                | rustls::CertificateError::NotValidForNameContext { .. },
            )) if host.is_none() && matches!(name, ServerName::IpAddress(_)) => {
                Ok(ServerCertVerified::assertion())
            }
            Err(error) if self.authorities.holds(certificate, &error, now)? => {
                if host.is_some() || !matches!(name, ServerName::IpAddress(_)) {
                    verify_server_name(&ParsedCertificate::try_from(certificate)?, named)?;
                }
                Ok(ServerCertVerified::assertion())
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
        self.chain.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.chain.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.chain.supported_verify_schemes()
    }
}
