//! The server side of a listener with `ssl`: one rustls configuration whose certificates can be replaced.

use std::cell::RefCell;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::UnixTime;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{
    ClientHello, NoServerSessionStorage, ResolvesServerCert, ServerSessionMemoryCache, WebPkiClientVerifier,
};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, SignatureScheme};

use super::certificate::Certificate;
use super::chain::Judge;
use super::generate::Generator;
use super::parameters::{self, Versions};
use super::pinned::{Authorities, Clients};
use super::sni::{Candidate, SniTable};
use super::tickets::{TicketKeys, Tickets};
use super::{secrets, sigalgs};

/// Sessions that can be resumed without a ticket, unless `tune.ssl.cachesize` says otherwise; tickets need no memory.
pub const SESSIONS_MAX: usize = 20_000;

/// The certificates of a listener, replaceable while connections use them.
#[derive(Debug, Default)]
pub struct Certificates {
    table: ArcSwap<SniTable>,
    /// `generate-certificates`: who makes one for a name that none has.
    generator: Option<Generator>,
}

impl Certificates {
    pub fn new(table: SniTable) -> Self {
        Self { table: ArcSwap::from_pointee(table), generator: None }
    }

    /// Certificates that are made for names that none has.
    pub fn generating(generator: Option<Generator>) -> Self {
        Self { generator, ..Self::default() }
    }

    /// What a client's hello leads to.
    pub fn find(&self, hello: &ClientHello<'_>) -> Option<Candidate> {
        let table = self.table.load();
        let schemes = hello.signature_schemes();
        let accepts = |certificate: &Certificate| certificate.key.key.choose_scheme(schemes).is_some();
        if let (Some(generator), Some(name)) = (&self.generator, hello.server_name()) {
            let made = table.find_exactly(name, &accepts).is_none().then(|| {
                let now_s = i64::try_from(UnixTime::now().as_secs()).unwrap_or(i64::MAX);
                generator.certificate(&name.to_ascii_lowercase(), &table.first(&accepts)?.certificate, now_s)
            });
            // One that could not be made leaves the default.
            if let Some(certificate) = made.flatten() {
                return Some(Candidate { certificate, own: None });
            }
        }
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

/// The certificates as one configuration shows them.
#[derive(Debug)]
struct Resolver {
    certificates: Arc<Certificates>,
    signatures: Option<Arc<[SignatureScheme]>>,
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let found = self.certificates.find(&hello)?;
        let key = sigalgs::restricted(&found.certificate.key, self.signatures.as_ref());
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
    /// What a shared ticket has to agree on: how clients are verified, and against what.
    fn scope(&self) -> Vec<u8> {
        match self {
            Self::None => Vec::new(),
            Self::Optional(with) => [&b"optional"[..], &with.judge.fingerprint()].concat(),
            Self::Required(with) => [&b"required"[..], &with.judge.fingerprint()].concat(),
        }
    }

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
    /// `tls-ticket-keys`; without them keys are made at start and replaced by themselves.
    pub ticket_keys: Option<Arc<TicketKeys>>,
    /// `allow-0rtt`: bytes of early data that are taken.
    pub early_data_max_bytes: u32,
    /// `tune.ssl.cachesize`.
    pub sessions_max: usize,
    /// `tune.ssl.maxrecord`: the largest record that is sent, in bytes.
    pub record_max_bytes: Option<usize>,
    /// `tune.ssl.keylog`.
    pub key_log: bool,
    /// `sigalgs`, `client-sigalgs`.
    pub signatures: Option<Arc<[SignatureScheme]>>,
    pub client_signatures: Option<Arc<[SignatureScheme]>>,
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
            ticket_keys: None,
            early_data_max_bytes: 0,
            sessions_max: SESSIONS_MAX,
            record_max_bytes: None,
            key_log: false,
            signatures: None,
            client_signatures: None,
        }
    }
}

fn clients(
    chain: Arc<dyn ClientCertVerifier>,
    with: &Verification,
    parameters: &ServerParameters,
) -> Arc<Clients> {
    let (authorities, judge) = (with.authorities.clone(), Arc::clone(&with.judge));
    Arc::new(Clients { chain, authorities, judge, signatures: parameters.client_signatures.clone() })
}

thread_local! {
    /// What the last hello on this thread led to, until its connection asks.
    static CHOSEN: RefCell<Option<Candidate>> = const { RefCell::new(None) };
}

/// The certificate that was chosen for the hello that was just read, once.
pub fn take_chosen() -> Option<Candidate> {
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
            builder.with_client_cert_verifier(clients(chain, with, parameters))
        }
        ClientVerification::Required(with) => {
            let chain = verifier(with).build().map_err(unusable)?;
            builder.with_client_cert_verifier(clients(chain, with, parameters))
        }
    };
    let resolver = Resolver { certificates, signatures: parameters.signatures.clone() };
    let mut configuration = builder.with_cert_resolver(Arc::new(resolver));
    configuration.alpn_protocols.clone_from(&parameters.alpn);
    configuration.ignore_client_order = !parameters.prefer_client_ciphers;
    configuration.max_fragment_size = parameters.record_max_bytes;
    if parameters.key_log {
        configuration.key_log = Arc::new(secrets::Recorder);
    }
    configuration.session_storage = match parameters.sessions_max {
        0 => Arc::new(NoServerSessionStorage {}),
        sessions => ServerSessionMemoryCache::new(sessions),
    };
    if parameters.early_data_max_bytes > 0 {
        // A session that this process remembers is used once, so that early data cannot be replayed (RFC 8446 §8.1): no tickets.
        configuration.max_early_data_size = parameters.early_data_max_bytes;
        configuration.send_half_rtt_data = true;
    } else if parameters.tickets {
        configuration.ticketer = match &parameters.ticket_keys {
            Some(keys) => {
                Arc::new(Tickets { keys: Arc::clone(keys), scope: parameters.verification.scope() })
            }
            None => rustls::crypto::aws_lc_rs::Ticketer::new()?,
        };
    } else if parameters.sessions_max == 0 {
        configuration.send_tls13_tickets = 0;
    }
    Ok(Arc::new(configuration))
}
