//! The server side of a listener with `ssl`: one rustls configuration whose certificates can be replaced.

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ServerConfig;
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;

use super::certificate::Certificate;
use super::chain::Judge;
use super::parameters::{self, Versions};
use super::pinned::{Authorities, Clients};
use super::sni::{Candidate, SniTable};

/// Sessions that can be resumed by id in TLS 1.2; tickets need no memory.
const SESSIONS_MAX: usize = 20_000;

/// The certificates of a listener, replaceable while connections use them.
#[derive(Debug, Default)]
pub struct Certificates {
    table: ArcSwap<SniTable>,
}

impl Certificates {
    pub fn new(table: SniTable) -> Self {
        Self { table: ArcSwap::from_pointee(table) }
    }

    /// What a client's hello leads to.
    pub fn find(&self, hello: &ClientHello<'_>) -> Option<Candidate> {
        let table = self.table.load();
        let schemes = hello.signature_schemes();
        let accepts = |certificate: &Certificate| certificate.key.key.choose_scheme(schemes).is_some();
        table.find(hello.server_name(), &accepts).cloned()
    }

    /// Some certificate has settings of its own, so that the hello has to be seen before anything is decided.
    pub fn has_own(&self) -> bool {
        self.table.load().has_own
    }

    /// New handshakes see `table` from now on.
    pub fn replace(&self, table: SniTable) {
        self.table.store(Arc::new(table));
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.find(&hello)?.certificate;
        let key = Arc::clone(&found.key);
        CHOSEN.set(Some(found));
        Some(key)
    }
}

/// `verify` with its authorities.
#[derive(Debug, Clone, Default)]
pub enum ClientVerification {
    #[default]
    None,
    Optional(Verification),
    Required(Verification),
}

/// Against what client certificates are verified.
#[derive(Debug, Clone)]
pub struct Verification {
    /// `ca-file` and `ca-verify-file`.
    pub authorities: Authorities,
    /// `ca-file`: those that clients are told of.
    pub named: Authorities,
    pub judge: Arc<Judge>,
}

impl ClientVerification {
    pub fn judge(&self) -> Option<&Arc<Judge>> {
        match self {
            Self::None => None,
            Self::Optional(with) | Self::Required(with) => Some(&with.judge),
        }
    }
}

/// What a `bind … ssl` line says, with files read and names looked up.
#[derive(Debug)]
pub struct ServerParameters {
    pub versions: Versions,
    pub provider: Arc<CryptoProvider>,
    /// `alpn`, in order of preference.
    pub alpn: Vec<Vec<u8>>,
    pub verification: ClientVerification,
    /// `no-tls-tickets`.
    pub tickets: bool,
    /// `prefer-client-ciphers`.
    pub prefer_client_ciphers: bool,
    /// Whether clients are told whose certificates are taken; false with `no-ca-names`.
    pub ca_names: bool,
}

impl Default for ServerParameters {
    fn default() -> Self {
        Self {
            versions: Versions::default(),
            provider: parameters::provider(&[], &[], &[]),
            alpn: Vec::new(),
            verification: ClientVerification::None,
            tickets: true,
            prefer_client_ciphers: false,
            ca_names: true,
        }
    }
}

fn clients(chain: Arc<dyn ClientCertVerifier>, with: &Verification) -> Arc<Clients> {
    let (authorities, judge) = (with.authorities.clone(), Arc::clone(&with.judge));
    Arc::new(Clients { chain, authorities, judge })
}

thread_local! {
    /// What the last hello on this thread led to, until its connection asks.
    static CHOSEN: RefCell<Option<Arc<Certificate>>> = const { RefCell::new(None) };
}

/// The certificate that was chosen for the hello that was just read, once.
pub fn take_chosen() -> Option<Arc<Certificate>> {
    CHOSEN.take()
}

/// Builds the configuration that all threads share.
pub fn configuration(
    parameters: &ServerParameters,
    certificates: Arc<Certificates>,
) -> Result<Arc<ServerConfig>, rustls::Error> {
    let builder = ServerConfig::builder_with_provider(Arc::clone(&parameters.provider))
        .with_protocol_versions(&parameters.versions.supported())?;
    let verifier = |with: &Verification| {
        let roots = Arc::clone(&with.authorities.roots);
        let builder = WebPkiClientVerifier::builder_with_provider(roots, Arc::clone(&parameters.provider));
        let builder = builder.clear_root_hint_subjects();
        match parameters.ca_names {
            true => builder.add_root_hint_subjects(with.named.roots.subjects()),
            false => builder,
        }
    };
    let unusable = |error: rustls::server::VerifierBuilderError| rustls::Error::General(error.to_string());
    let builder = match &parameters.verification {
        ClientVerification::None => builder.with_no_client_auth(),
        ClientVerification::Optional(with) => {
            let chain = verifier(with).allow_unauthenticated().build().map_err(unusable)?;
            builder.with_client_cert_verifier(clients(chain, with))
        }
        ClientVerification::Required(with) => {
            let chain = verifier(with).build().map_err(unusable)?;
            builder.with_client_cert_verifier(clients(chain, with))
        }
    };
    let mut configuration = builder.with_cert_resolver(certificates);
    configuration.alpn_protocols.clone_from(&parameters.alpn);
    configuration.ignore_client_order = !parameters.prefer_client_ciphers;
    if parameters.tickets {
        configuration.ticketer = rustls::crypto::aws_lc_rs::Ticketer::new()?;
        configuration.session_storage = ServerSessionMemoryCache::new(SESSIONS_MAX);
    } else {
        configuration.session_storage = Arc::new(NoServerSessionStorage {});
        configuration.send_tls13_tickets = 0;
    }
    Ok(Arc::new(configuration))
}
