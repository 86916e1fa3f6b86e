//! TLS words of a `bind` line: kept as written, and made into a configuration when the whole line is read.

use hacore::diag::{Diagnostic, PositionForm, Word};

use super::{BindKeyword, bind, flag, setting};
use crate::config::keyword::{Line, Parsed};
use crate::config::loader::Loader;
use crate::model::Bind;
use crate::tls::settings::{Settings, Side};
use crate::tls::{Problem, listener};

pub const KEYWORDS: &[BindKeyword] = &[
    bind("allow-0rtt", "", "TLS of listeners: allow-0rtt.", flag),
    bind("alpn", "<value>", "TLS of listeners: alpn protocols.", setting),
    bind("ca-file", "<value>", "TLS of listeners: authorities for client certificates.", setting),
    bind("ca-ignore-err", "<value>", "TLS of listeners: ca-ignore-err.", setting),
    bind("ca-sign-file", "<value>", "TLS of listeners: ca-sign-file.", setting),
    bind("ca-sign-pass", "<value>", "TLS of listeners: ca-sign-pass.", setting),
    bind("ca-verify-file", "<value>", "TLS of listeners: ca-verify-file.", setting),
    bind("ciphers", "<value>", "TLS of listeners: ciphers up to tls 1.2.", setting),
    bind("ciphersuites", "<value>", "TLS of listeners: cipher suites of tls 1.3.", setting),
    bind("client-sigalgs", "<value>", "TLS of listeners: client-sigalgs.", setting),
    bind("crl-file", "<value>", "TLS of listeners: crl-file.", setting),
    bind("crt", "<value>", "TLS of listeners: a certificate.", setting),
    bind("crt-ignore-err", "<value>", "TLS of listeners: crt-ignore-err.", setting),
    bind("crt-list", "<value>", "TLS of listeners: a list of certificates.", setting),
    bind("curves", "<value>", "TLS of listeners: curves.", setting),
    bind("default-crt", "<value>", "TLS of listeners: default-crt.", setting),
    bind("ecdhe", "<value>", "TLS of listeners: ecdhe.", setting),
    bind("force-sslv3", "", "TLS of listeners: force-sslv3.", flag),
    bind("force-tlsv10", "", "TLS of listeners: force-tlsv10.", flag),
    bind("force-tlsv11", "", "TLS of listeners: force-tlsv11.", flag),
    bind("force-tlsv12", "", "TLS of listeners: force-tlsv12.", flag),
    bind("force-tlsv13", "", "TLS of listeners: force-tlsv13.", flag),
    bind("generate-certificates", "", "TLS of listeners: generate-certificates.", flag),
    bind("ktls", "<value>", "TLS of listeners: ktls.", setting)
        .no_effect("encryption is done in the process"),
    bind("no-alpn", "", "TLS of listeners: no-alpn.", flag),
    bind("no-ca-names", "", "TLS of listeners: no-ca-names.", flag),
    bind("no-sslv3", "", "TLS of listeners: no-sslv3.", flag),
    bind("no-strict-sni", "", "TLS of listeners: no-strict-sni.", flag),
    bind("no-tls-tickets", "", "TLS of listeners: no-tls-tickets.", flag),
    bind("no-tlsv10", "", "TLS of listeners: no-tlsv10.", flag),
    bind("no-tlsv11", "", "TLS of listeners: no-tlsv11.", flag),
    bind("no-tlsv12", "", "TLS of listeners: no-tlsv12.", flag),
    bind("no-tlsv13", "", "TLS of listeners: no-tlsv13.", flag),
    bind("npn", "<value>", "TLS of listeners: npn.", setting)
        .no_effect("NPN was replaced by ALPN, and no client speaks it"),
    bind("prefer-client-ciphers", "", "TLS of listeners: prefer-client-ciphers.", flag),
    bind("sigalgs", "<value>", "TLS of listeners: sigalgs.", setting),
    bind("ssl-max-ver", "<value>", "TLS of listeners: highest version.", setting),
    bind("ssl-min-ver", "<value>", "TLS of listeners: lowest version.", setting),
    bind("strict-sni", "", "TLS of listeners: strict-sni.", flag),
    bind("tls-ticket-keys", "<value>", "TLS of listeners: tls-ticket-keys.", setting),
    bind("tls-tickets", "", "TLS of listeners: tls-tickets.", flag),
    bind("verify", "<value>", "TLS of listeners: whether client certificates are asked for.", setting),
];

/// Loads the certificates of a whole line and, with `ssl`, makes its configuration.
pub(super) fn finish(
    loader: &mut Loader,
    line: &Line<'_>,
    address: &Word,
    intro: &str,
    template: &mut Bind,
) -> Parsed {
    let words = template.tls_settings.clone();
    if words.is_empty() && !template.tls {
        return Ok(());
    }
    if template.tls {
        for word in &words {
            if let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == word.name) {
                crate::config::section::tell_support(loader, keyword.name, keyword.support, line)?;
            }
        }
    }
    let mut problems = Vec::new();
    let global = std::mem::take(&mut loader.global.tls);
    let files = loader.global.shared_tls();
    let settings = Settings { global: &global, words: &words, side: Side::Bind, files: &files };
    let loaded = listener::certificates(&settings, &mut loader.certificates, &mut problems);
    if template.tls
        && let Some(made) = listener::build(&settings, loaded, &mut problems)
    {
        template.tls_listener = made.into();
    }
    loader.global.tls = global;
    for problem in problems {
        let diagnostic = told(loader, line, address, intro, problem);
        loader.push(diagnostic);
    }
    Ok(())
}

fn told(loader: &Loader, line: &Line<'_>, address: &Word, intro: &str, problem: Problem) -> Diagnostic {
    match problem {
        Problem::Word(text) => line.alert_at(address, format!("{intro} : {text}")),
        Problem::Warning(text) => Diagnostic::warning(format!("{intro} : {text}")).at(address.span),
        Problem::Whole(text) => {
            let place = format!("[{}:{}]", line.location.file, line.location.line);
            let hint = if text.starts_with("no SSL certificate") { " (use 'crt')" } else { "" };
            let (proxy, address_text) = (&loader.section_name, address.as_str());
            let text = format!("Proxy '{proxy}': {text} for bind '{address_text}' at {place}{hint}.");
            Diagnostic::alert(text).at(address.span).positioned(PositionForm::Omitted)
        }
    }
}
