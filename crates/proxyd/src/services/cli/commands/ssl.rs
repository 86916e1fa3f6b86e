//! Commands about certificates (management guide, "show ssl cert", "set ssl cert", "commit ssl cert", "abort ssl cert").

use std::sync::Arc;

use x509_parser::prelude::{FromDer, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use crate::expr::fetch::tls_facts::{alternatives, distinguished_name};
use crate::tls::certificate::Certificate;
use crate::tls::listener::ListenerTls;
use crate::tls::ocsp::date;
use crate::tls::replace::{Part, Users};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "ssl", "cert"],
        "show ssl cert [<certfile>]",
        "list the certificates in memory, or show one",
        Level::Operator,
        show,
    ),
    def(
        &["set", "ssl", "cert"],
        "set ssl cert <certfile> <payload>",
        "replace a certificate; takes effect with 'commit ssl cert'",
        Level::Admin,
        set,
    ),
    def(
        &["commit", "ssl", "cert"],
        "commit ssl cert <certfile>",
        "let a replaced certificate take effect",
        Level::Admin,
        commit,
    ),
    def(
        &["abort", "ssl", "cert"],
        "abort ssl cert <certfile>",
        "forget a replaced certificate",
        Level::Admin,
        abort,
    ),
    def(
        &["show", "ssl", "sni"],
        "show ssl sni [-f <frontend>] [-A] [-t <offset>]",
        "list the names that listeners answer to, and their certificates",
        Level::Operator,
        sni,
    ),
    def(
        &["new", "ssl", "cert"],
        "new ssl cert <certfile>",
        "make an empty certificate store, to be filled with 'set ssl cert'",
        Level::Admin,
        new,
    ),
    def(
        &["del", "ssl", "cert"],
        "del ssl cert <certfile>",
        "delete a certificate that nothing uses",
        Level::Admin,
        del,
    ),
];

/// The listeners with TLS; several addresses of one `bind` line share theirs.
pub(super) fn listeners<'a>(context: &'a Context<'_>) -> Vec<&'a ListenerTls> {
    let all = context.snapshot.frontends().flat_map(|frontend| &frontend.listeners);
    let mut found: Vec<&ListenerTls> =
        all.filter_map(|listener| listener.model.tls_listener.0.as_deref()).collect();
    found.dedup_by(|a, b| std::ptr::eq(*a, *b));
    found
}

/// Everything that uses certificates.
pub(super) fn certificate_users<'a>(context: &'a Context<'_>) -> Users<'a> {
    let servers = context.snapshot.backends().flat_map(|backend| &backend.servers);
    let shown = |server: &'a std::sync::Arc<crate::proxy::Server>| {
        server.model.tls_client.0.as_ref()?.certificate.as_deref()
    };
    Users { listeners: listeners(context), servers: servers.filter_map(shown).collect() }
}

fn show(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let known = certificate_users(context).certificates();
    let replacement = context.admin.certificates.lock();
    let pending = replacement.pending();
    let Some(name) = words.first() else {
        let mut text = String::new();
        if let Some((path, _)) = pending {
            text.push_str(&format!("# transaction\n*{path}\n"));
        }
        text.push_str("# filename\n");
        let unused = replacement.unused().keys();
        let mut paths: Vec<_> = known.iter().map(|certificate| &certificate.path).chain(unused).collect();
        paths.sort();
        paths.dedup();
        for path in paths {
            text.push_str(&format!("{}\n", path.display()));
        }
        return Reply::Data(text);
    };
    let (bare, star) = name.strip_prefix('*').map_or((*name, ""), |bare| (bare, "*"));
    let (bare, part) = replacement.part(bare, &known);
    let name = format!("{star}{bare}");
    let found = match name.strip_prefix('*') {
        Some(name) => pending.filter(|(path, _)| *path == name).map(|(_, shown)| (shown, "Unused")),
        None => {
            let path = std::path::Path::new(&name);
            let used = known.iter().find(|known| known.path == path).map(|found| (found, "Used"));
            match (used, replacement.unused().get(path)) {
                (None, Some(None)) => {
                    return Reply::Data(format!("Filename: {name}\nStatus: Empty\nOCSP Response Key: \n"));
                }
                (None, Some(Some(unused))) => Some((unused, "Unused")),
                (used, _) => used,
            }
        }
    };
    if let (Some((certificate, _)), Part::Ocsp) = (found, part) {
        return Reply::Data(super::ssl_ocsp::text(certificate.key.ocsp.as_deref().unwrap_or_default()));
    }
    let follows = |certificate: &Certificate| context.admin.ocsp.paths().contains(&certificate.path);
    match found.and_then(|(found, status)| details(&name, found, status, follows(found))) {
        Some(text) => Reply::Data(text),
        None => Reply::error("Can't display the certificate: Not found or the certificate is a bundle!"),
    }
}

/// What `show ssl cert` and `show ssl ca-file` say of one certificate.
pub(super) fn describe(der: &[u8]) -> Option<String> {
    use sha1::Digest as _;
    let (_, leaf) = X509Certificate::from_der(der).ok()?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name}: {value}\n"));
    // The zero that keeps a large number positive is not shown.
    let serial = leaf.raw_serial();
    line("Serial", hex(serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial)));
    line("notBefore", date_of(leaf.validity().not_before));
    line("notAfter", date_of(leaf.validity().not_after));
    line("Subject Alternative Name", alternatives(&leaf).unwrap_or_default());
    line("Algorithm", algorithm(&leaf));
    line("SHA1 FingerPrint", hex(&sha1::Sha1::digest(der)));
    line("Subject", lossy(distinguished_name(leaf.subject())));
    line("Issuer", lossy(distinguished_name(leaf.issuer())));
    Some(text)
}

fn details(name: &str, certificate: &Certificate, status: &str, follows_ocsp: bool) -> Option<String> {
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut text =
        format!("Filename: {name}\nStatus: {status}\n{}", describe(certificate.key.cert.first()?)?);
    let mut line = |name: &str, value: String| text.push_str(&format!("{name}: {value}\n"));
    if let Some(file) = &certificate.chain_file {
        line("Chain Filename", file.display().to_string());
    }
    for der in certificate.key.cert.get(1..).unwrap_or_default() {
        let Ok((_, parent)) = X509Certificate::from_der(der) else { continue };
        line("Chain Subject", lossy(distinguished_name(parent.subject())));
        line("Chain Issuer", lossy(distinguished_name(parent.issuer())));
    }
    let shows_key = certificate.key.ocsp.is_some() || follows_ocsp;
    let id = if shows_key { certificate.ocsp_id() } else { None };
    line("OCSP Response Key", id.map(|id| id.key()).unwrap_or_default());
    Some(text)
}

fn date_of(at: ASN1Time) -> String {
    date(at.timestamp())
}

/// `EC256`, `RSA2048`.
fn algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::EC(point)) => format!("EC{}", point.key_size().min(521)),
        Ok(PublicKey::RSA(key)) => format!("RSA{}", key.key_size()),
        _ => "unknown".to_owned(),
    }
}

fn set(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (Some(path), Some(payload)) = (words.first(), context.payload) else {
        return Reply::error("'set ssl cert expects a filename and a certificate as a payload");
    };
    let known: Vec<Arc<Certificate>> = certificate_users(context).certificates();
    let mut replacement = context.admin.certificates.lock();
    let (name, _) = replacement.part(path, &known);
    match replacement.set(path, payload, &known) {
        Ok(true) => Reply::info(format!("Transaction created for certificate {name}!\n").trim_end()),
        Ok(false) => Reply::info(format!("Transaction updated for certificate {name}!\n").trim_end()),
        Err(error) => Reply::error(error.to_string()),
    }
}

fn commit(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(path) = words.first() else { return Reply::error("'commit ssl cert expects a filename") };
    let users = certificate_users(context);
    match context.admin.certificates.lock().commit(path, &users) {
        Ok(count) => Reply::Data(format!("Committing {path}{}\nSuccess!\n", ".".repeat(count))),
        Err(error @ crate::tls::replace::ReplaceError::None) => {
            // The original's extra mark.
            Reply::error(format!("{error} !\nCan't commit {path}!"))
        }
        Err(error) => Reply::error(format!("{error}\nCan't commit {path}!")),
    }
}

fn abort(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(path) = words.first() else { return Reply::error("'abort ssl cert' expects a filename") };
    match context.admin.certificates.lock().abort(path) {
        Ok(()) => Reply::info(format!("Transaction aborted for certificate '{path}'!")),
        Err(error) => Reply::error(error.to_string()),
    }
}

fn new(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(path) = words.first() else { return Reply::error("'new ssl cert' expects a filename") };
    let known = certificate_users(context).certificates();
    if context.admin.certificates.lock().create(path, &known) {
        Reply::info(format!("New empty certificate store '{path}'!"))
    } else {
        Reply::error(format!("Certificate '{path}' already exists!"))
    }
}

fn del(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(path) = words.first() else { return Reply::error("'del ssl cert' expects a certificate name") };
    let known = certificate_users(context).certificates();
    let intro = "Can't remove the certificate: certificate";
    if known.iter().any(|used| used.path == std::path::Path::new(path)) {
        return Reply::error(format!("{intro} '{path}' in use, can't be deleted!\n"));
    }
    if context.admin.certificates.lock().delete(path) {
        Reply::info(format!("Certificate '{path}' deleted!"))
    } else {
        Reply::error(format!("{intro} '{path}' doesn't exist!\n"))
    }
}

/// `-A` keeps certificates that have expired, or will have after `-t`.
fn sni(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (mut wanted, mut only_expired, mut offset_s) = (None, false, 0);
    let mut words = words.iter();
    while let Some(word) = words.next() {
        match *word {
            "-f" => wanted = words.next().copied(),
            "-A" => only_expired = true,
            "-t" => {
                let text = words.next().copied().unwrap_or_default();
                let Some(offset) = hacore::units::parse_duration(text, hacore::units::TimeUnit::Seconds).ok()
                else {
                    return Reply::error("Invalid offset!");
                };
                offset_s = i64::try_from(offset.as_secs()).unwrap_or(i64::MAX);
            }
            _ => {
                return Reply::error(
                    "Invalid parameters, 'show ssl sni' only supports '-f', '-A' or '-t' options!",
                );
            }
        }
    }
    if wanted.is_some_and(|name| context.snapshot.frontend_named(name).is_none()) {
        return Reply::error("Couldn't find the specified frontend!");
    }
    let now_s = i64::try_from(crate::proxy::process::wall_us() / 1_000_000).unwrap_or(i64::MAX);
    let mut text = "# Frontend/Bind\tSNI\tNegative Filter\tType\tFilename\tNotAfter\tNotBefore\n".to_owned();
    for frontend in context.snapshot.frontends().filter(|f| wanted.is_none_or(|name| f.model.name == name)) {
        for listener in &frontend.listeners {
            let Some(tls) = listener.model.tls_listener.0.as_deref() else { continue };
            let at = &listener.model.location;
            let place = format!("{}/{}:{}", frontend.model.name, at.file, at.line);
            for entry in tls.loaded.lock().iter() {
                let certificate = &entry.certificate;
                let Some(der) = certificate.key.cert.first() else { continue };
                let Ok((_, leaf)) = X509Certificate::from_der(der) else { continue };
                let validity = leaf.validity();
                if only_expired && validity.not_after.timestamp() > now_s.saturating_add(offset_s) {
                    continue;
                }
                let kind = match certificate.algorithm() {
                    rustls::SignatureAlgorithm::RSA => "rsa",
                    rustls::SignatureAlgorithm::ECDSA => "ecdsa",
                    _ => "eddsa",
                };
                let names = if entry.filters.is_empty() { &certificate.names } else { &entry.filters };
                let (negative, positive): (Vec<&String>, Vec<&String>) =
                    names.iter().partition(|name| name.starts_with('!'));
                let negative = if negative.is_empty() {
                    "-".to_owned()
                } else {
                    negative.iter().map(|name| name.as_str()).collect::<Vec<_>>().join(" ")
                };
                let file = certificate.path.display();
                let (after, before) = (date_of(validity.not_after), date_of(validity.not_before));
                for name in positive {
                    text.push_str(&format!(
                        "{place}\t{name}\t{negative}\t{kind}\t{file}\t{after}\t{before}\n"
                    ));
                }
            }
        }
    }
    Reply::Data(text)
}
