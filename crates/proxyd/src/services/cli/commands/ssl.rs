//! Commands about certificates (management guide, "show ssl cert", "set ssl cert", "commit ssl cert", "abort ssl cert").

use std::sync::Arc;

use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::time::ASN1Time;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use crate::expr::fetch::tls_facts::distinguished_name;
use crate::expr::logformat::date::Civil;
use crate::tls::certificate::Certificate;
use crate::tls::listener::ListenerTls;
use crate::tls::replace::in_use;

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
];

/// The listeners with TLS; several addresses of one `bind` line share theirs.
fn listeners<'a>(context: &'a Context<'_>) -> Vec<&'a ListenerTls> {
    let all = context.snapshot.frontends().flat_map(|frontend| &frontend.listeners);
    let mut found: Vec<&ListenerTls> =
        all.filter_map(|listener| listener.model.tls_listener.0.as_deref()).collect();
    found.dedup_by(|a, b| std::ptr::eq(*a, *b));
    found
}

fn show(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let known = in_use(listeners(context).into_iter());
    let replacement = context.admin.certificates.lock();
    let pending = replacement.pending();
    let Some(name) = words.first() else {
        let mut text = String::new();
        if let Some((path, _)) = pending {
            text.push_str(&format!("# transaction\n*{path}\n"));
        }
        text.push_str("# filename\n");
        for certificate in &known {
            text.push_str(&format!("{}\n", certificate.path.display()));
        }
        return Reply::Data(text);
    };
    let found = match name.strip_prefix('*') {
        Some(name) => pending.filter(|(path, _)| *path == name).map(|(_, shown)| (shown, "Unused")),
        None => {
            known.iter().find(|known| known.path == std::path::Path::new(name)).map(|found| (found, "Used"))
        }
    };
    match found.and_then(|(certificate, status)| details(name, certificate, status)) {
        Some(text) => Reply::Data(text),
        None => Reply::error("Can't display the certificate: Not found or the certificate is a bundle!"),
    }
}

fn details(name: &str, certificate: &Certificate, status: &str) -> Option<String> {
    use sha1::Digest as _;
    let der = certificate.key.cert.first()?;
    let (_, leaf) = X509Certificate::from_der(der).ok()?;
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02X}")).collect::<String>();
    let lossy = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut text = format!("Filename: {name}\nStatus: {status}\n");
    let mut line = |name: &str, value: String| text.push_str(&format!("{name}: {value}\n"));
    line("Serial", hex(leaf.raw_serial()));
    line("notBefore", date(leaf.validity().not_before));
    line("notAfter", date(leaf.validity().not_after));
    if let Ok(Some(alternatives)) = leaf.subject_alternative_name() {
        let names = alternatives.value.general_names.iter().filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(format!("DNS:{name}")),
            GeneralName::RFC822Name(name) => Some(format!("email:{name}")),
            GeneralName::URI(uri) => Some(format!("URI:{uri}")),
            _ => None,
        });
        line("Subject Alternative Name", names.collect::<Vec<_>>().join(", "));
    }
    line("Algorithm", algorithm(&leaf));
    line("SHA1 FingerPrint", hex(&sha1::Sha1::digest(der)));
    line("Subject", lossy(distinguished_name(leaf.subject())));
    line("Issuer", lossy(distinguished_name(leaf.issuer())));
    for der in certificate.key.cert.get(1..).unwrap_or_default() {
        let Ok((_, parent)) = X509Certificate::from_der(der) else { continue };
        line("Chain Subject", lossy(distinguished_name(parent.subject())));
        line("Chain Issuer", lossy(distinguished_name(parent.issuer())));
    }
    line("OCSP Response Key", String::new());
    Some(text)
}

/// `EC256`, `RSA2048`.
fn algorithm(certificate: &X509Certificate<'_>) -> String {
    match certificate.public_key().parsed() {
        Ok(PublicKey::EC(point)) => format!("EC{}", point.key_size().min(521)),
        Ok(PublicKey::RSA(key)) => format!("RSA{}", key.key_size()),
        _ => "unknown".to_owned(),
    }
}

/// `Nov 22 17:18:44 2026 GMT`, days padded with a blank.
fn date(at: ASN1Time) -> String {
    let at = Civil::from_unix(at.timestamp());
    let (month, day, year) = (at.month_name(), at.day, at.year);
    format!("{month} {day:>2} {:02}:{:02}:{:02} {year} GMT", at.hour, at.minute, at.second)
}

fn set(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (Some(path), Some(payload)) = (words.first(), context.payload) else {
        return Reply::error("'set ssl cert expects a filename and a certificate as a payload");
    };
    let known: Vec<Arc<Certificate>> = in_use(listeners(context).into_iter());
    match context.admin.certificates.lock().set(path, payload, &known) {
        Ok(true) => Reply::info(format!("Transaction created for certificate {path}!\n").trim_end()),
        Ok(false) => Reply::info(format!("Transaction updated for certificate {path}!\n").trim_end()),
        Err(error) => Reply::error(error.to_string()),
    }
}

fn commit(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(path) = words.first() else { return Reply::error("'commit ssl cert expects a filename") };
    let listeners = listeners(context);
    match context.admin.certificates.lock().commit(path, &listeners) {
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
