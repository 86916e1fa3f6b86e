//! From the words of a `server … ssl` line to what its connections need.

use std::sync::Arc;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;

use super::client::{self, ClientParameters, ServerVerification, ShownCertificate};
use super::settings::Settings;
use super::store::CertificateStore;
use super::{Problem, listener};
use crate::expr::Expr;

/// What HAProxy says when it cannot know whom to trust.
const NO_AUTHORITY: &str = "verify is enabled by default but no CA file specified. If you're running on a LAN where you're certain to trust the server's certificate, please set an explicit 'verify none' statement on the 'server' line, or use 'ssl-server-verify none' in the global section to disable server-side verifications by default.";

/// The TLS side of a server, shared by all its connections.
#[derive(Debug)]
pub struct BackendTls {
    pub client: Arc<ClientConfig>,
    /// `crt`: what the server is shown.
    pub certificate: Option<Arc<ShownCertificate>>,
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
    let mut parameters = ClientParameters::new(verification(settings, problems));
    parameters.versions = settings.versions(problems);
    parameters.provider = settings.provider(problems);
    parameters.alpn = settings.alpn(problems);
    if let Some(file) = settings.value("crl-file") {
        let path = settings.path("ca-base", file);
        match super::chain::revocations(&path) {
            Ok(lists) if !lists.is_empty() => parameters.revocations = lists,
            _ => problems.push(Problem::Word(format!("unable to configure CRL file '{}'", path.display()))),
        }
    }
    parameters.resumption = !settings.flag("no-ssl-reuse", "ssl-reuse");
    if let Some(file) = settings.value("crt") {
        let (certificates, errors) = store.load(&settings.path("crt-base", file));
        problems.extend(errors.iter().map(|error| Problem::Word(error.to_string())));
        let first = certificates.into_iter().next();
        parameters.certificate = first.map(|certificate| Arc::new(ShownCertificate::new(certificate)));
    }
    if problems.iter().any(|problem| !matches!(problem, Problem::Warning(_))) {
        return None;
    }
    match client::configuration(&parameters) {
        Ok(client) => Some(BackendTls { client, certificate: parameters.certificate }),
        Err(error) => {
            problems.push(Problem::Word(error.to_string()));
            None
        }
    }
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
