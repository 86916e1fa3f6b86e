//! From the words of a `server … ssl` line to what its connections need.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::client::{self, ClientParameters, ServerVerification, ShownCertificate};
use super::files::TlsFiles;
use super::settings::{Settings, Side};
use super::store::CertificateStore;
use super::trust::Kind;
use super::{Problem, listener};
use crate::expr::Expr;
use crate::model::TlsSetting;

/// What HAProxy says when it cannot know whom to trust.
const NO_AUTHORITY: &str = "verify is enabled by default but no CA file specified. If you're running on a LAN where you're certain to trust the server's certificate, please set an explicit 'verify none' statement on the 'server' line, or use 'ssl-server-verify none' in the global section to disable server-side verifications by default.";

/// The TLS side of a server, shared by all its connections.
#[derive(Debug)]
pub struct BackendTls {
    client: ArcSwap<ClientConfig>,
    /// `crt`: what the server is shown.
    pub certificate: Option<Arc<ShownCertificate>>,
    /// The line's words and the defaults, for when a file that they name is replaced.
    words: Vec<TlsSetting>,
    global: BTreeMap<String, String>,
    files: Arc<TlsFiles>,
}

impl BackendTls {
    /// What new connections are made with.
    pub fn client(&self) -> Arc<ClientConfig> {
        self.client.load_full()
    }

    /// Whether a line names this file of authorities or revocations.
    pub fn names(&self, kind: Kind, path: &str) -> bool {
        self.settings().names(kind, path)
    }

    fn settings(&self) -> Settings<'_> {
        Settings { global: &self.global, words: &self.words, side: Side::Server, files: &self.files }
    }

    /// Reads what its words name once more; the configuration is taken by [`Self::adopt`].
    ///
    /// # Errors
    /// What is wrong by now, in words.
    pub fn rebuilt(&self) -> Result<Arc<ClientConfig>, String> {
        let mut problems = Vec::new();
        let made = parameters(&self.settings(), self.certificate.clone(), &mut problems);
        if let Some(text) = Problem::first_error(problems) {
            return Err(text);
        }
        client::configuration(&made).map_err(|error| error.to_string())
    }

    /// New connections are made with this from now on; sessions with the server begin anew.
    pub fn adopt(&self, client: Arc<ClientConfig>) {
        self.client.store(client);
    }
}

/// `sni`: what gives the name.
#[derive(Debug)]
pub struct NameSource(pub Arc<Expr>);

/// Makes the server's configuration; nothing when there are problems that forbid it.
pub fn build(
    settings: &Settings<'_>,
    store: &mut CertificateStore,
    problems: &mut Vec<Problem>,
) -> Option<BackendTls> {
    let shown = settings.value("crt").and_then(|file| {
        let (certificates, errors) = store.load(&settings.path("crt-base", file));
        problems.extend(errors.iter().map(|error| Problem::Word(error.to_string())));
        let first = certificates.into_iter().next();
        first.map(|certificate| Arc::new(ShownCertificate::new(certificate)))
    });
    let parameters = parameters(settings, shown, problems);
    if problems.iter().any(|problem| !matches!(problem, Problem::Warning(_))) {
        return None;
    }
    match client::configuration(&parameters) {
        Ok(client) => Some(BackendTls {
            client: ArcSwap::new(client),
            certificate: parameters.certificate,
            words: settings.words.to_vec(),
            global: settings.global.clone(),
            files: Arc::clone(settings.files),
        }),
        Err(error) => {
            problems.push(Problem::Word(error.to_string()));
            None
        }
    }
}

/// What the words say, with files read and names looked up.
fn parameters(
    settings: &Settings<'_>,
    certificate: Option<Arc<ShownCertificate>>,
    problems: &mut Vec<Problem>,
) -> ClientParameters {
    let mut parameters = ClientParameters::new(verification(settings, problems));
    parameters.versions = settings.versions(problems);
    parameters.provider = settings.provider(problems);
    parameters.alpn = settings.alpn(problems);
    if let Some(file) = settings.value("crl-file") {
        let path = settings.path("ca-base", file);
        match settings.files.trust.revocations(&path.to_string_lossy()) {
            Ok(lists) if !lists.is_empty() => parameters.revocations = lists,
            _ => problems.push(Problem::Word(format!("unable to configure CRL file '{}'", path.display()))),
        }
    }
    parameters.resumption = !settings.flag("no-ssl-reuse", "ssl-reuse");
    parameters.key_log = settings.is_on("tune.ssl.keylog");
    parameters.signatures = settings.signatures("sigalgs", problems);
    parameters.client_signatures = settings.signatures("client-sigalgs", problems);
    parameters.certificate = certificate;
    parameters
}

fn verification(settings: &Settings<'_>, problems: &mut Vec<Problem>) -> ServerVerification {
    let default = settings.global.get("ssl-server-verify").map_or("required", String::as_str);
    let method = settings.value("verify").unwrap_or(default);
    if !matches!(method, "none" | "required") {
        let text =
            format!("'verify' : unknown verify method '{method}', only 'none' and 'required' are supported");
        problems.push(Problem::Word(text));
    }
    let authorities =
        settings.value("ca-file").and_then(|file| listener::authorities(settings, file, problems));
    match authorities {
        _ if method != "required" => ServerVerification::None,
        Some(authorities) => {
            let host = settings.value("verifyhost").map(str::to_owned);
            ServerVerification::Required { authorities, host }
        }
        None => {
            if settings.value("ca-file").is_none() {
                problems.push(Problem::Word(NO_AUTHORITY.to_owned()));
            }
            ServerVerification::None
        }
    }
}

/// The name that a handshake asks for; without one, an address, which is never sent (RFC 6066 §3).
pub fn server_name(name: Option<&str>, address: Option<std::net::IpAddr>) -> ServerName<'static> {
    let asked = name.and_then(|name| ServerName::try_from(name.to_owned()).ok());
    let unsent = || ServerName::IpAddress(address.unwrap_or(std::net::Ipv4Addr::UNSPECIFIED.into()).into());
    asked.unwrap_or_else(unsent)
}
