//! TLS words of a `server` line: kept as written, and made into a configuration when everything is read.

use super::{ServerKeyword, flag, server, setting};
use crate::config::keyword::{Line, Parsed};
use crate::config::loader::Loader;
use crate::model::{Server, TlsSetting};
use crate::tls::backend::NameSource;

pub const KEYWORDS: &[ServerKeyword] = &[
    server("ssl", "", "Speaks TLS to the server.", ssl),
    server("no-ssl", "", "Undoes 'ssl'.", ssl),
    server("allow-0rtt", "", "TLS of servers: allow-0rtt.", flag)
        .no_effect("requests are sent after the handshake, never before"),
    server("alpn", "<value>", "TLS of servers: alpn protocols.", setting),
    server("ca-file", "<value>", "TLS of servers: authorities for client certificates.", setting),
    server("ciphers", "<value>", "TLS of servers: ciphers up to tls 1.2.", setting),
    server("ciphersuites", "<value>", "TLS of servers: cipher suites of tls 1.3.", setting),
    server("client-sigalgs", "<value>", "TLS of servers: client-sigalgs.", setting),
    server("crl-file", "<value>", "TLS of servers: crl-file.", setting),
    server("crt", "<value>", "TLS of servers: a certificate.", setting),
    server("curves", "<value>", "TLS of servers: curves.", setting),
    server("force-sslv3", "", "TLS of servers: force-sslv3.", flag),
    server("force-tlsv10", "", "TLS of servers: force-tlsv10.", flag),
    server("force-tlsv11", "", "TLS of servers: force-tlsv11.", flag),
    server("force-tlsv12", "", "TLS of servers: force-tlsv12.", flag),
    server("force-tlsv13", "", "TLS of servers: force-tlsv13.", flag),
    server("ktls", "<value>", "TLS of servers: ktls.", setting)
        .no_effect("encryption is done in the process"),
    server("no-renegotiate", "", "TLS of servers: no-renegotiate.", flag)
        .no_effect("renegotiation does not exist here"),
    server("no-sni-auto", "", "TLS of servers: no-sni-auto.", flag),
    server("no-ssl-reuse", "", "TLS of servers: no-ssl-reuse.", flag),
    server("no-sslv3", "", "TLS of servers: no-sslv3.", flag),
    server("no-tls-tickets", "", "TLS of servers: no-tls-tickets.", flag),
    server("no-tlsv10", "", "TLS of servers: no-tlsv10.", flag),
    server("no-tlsv11", "", "TLS of servers: no-tlsv11.", flag),
    server("no-tlsv12", "", "TLS of servers: no-tlsv12.", flag),
    server("no-tlsv13", "", "TLS of servers: no-tlsv13.", flag),
    server("npn", "<value>", "TLS of servers: npn.", setting)
        .no_effect("NPN was replaced by ALPN, and no server speaks it"),
    server("renegotiate", "", "TLS of servers: renegotiate.", flag)
        .no_effect("renegotiation does not exist here"),
    server("sigalgs", "<value>", "TLS of servers: sigalgs.", setting),
    server("sni", "<expression>", "The name to ask the server for.", sni),
    server("sni-auto", "", "TLS of servers: sni-auto.", flag),
    server("ssl-max-ver", "<value>", "TLS of servers: highest version.", setting),
    server("ssl-min-ver", "<value>", "TLS of servers: lowest version.", setting),
    server("ssl-reuse", "", "TLS of servers: ssl-reuse.", flag),
    server("tls-tickets", "", "TLS of servers: tls-tickets.", flag),
    server("verify", "<value>", "TLS of servers: whether client certificates are asked for.", setting),
    server("verifyhost", "<value>", "TLS of servers: verifyhost.", setting),
];

fn ssl(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.tls = line.name == "ssl";
    server.tls_denied = !server.tls;
    server.tls_switchable |= server.tls;
    Ok(())
}

/// `sni EXPRESSION`.
fn sni(server: &mut Server, loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    if line.words.peek().is_none() {
        return Err(line.alert("'sni' : missing sni expression."));
    }
    let (expression, text) = crate::config::expression::server_name(loader, line)?;
    server.tls_settings.push(TlsSetting { name: line.name.to_owned(), value: text });
    server.tls_name = NameSource(expression).into();
    Ok(())
}

/// With TLS wanted, says which of the words are not carried out.
pub(super) fn tell_support(loader: &mut Loader, line: &Line<'_>, server: &Server) -> Parsed {
    if !server.tls && server.check_tls != Some(true) {
        return Ok(());
    }
    for word in &server.tls_settings {
        if let Some(keyword) = KEYWORDS.iter().find(|keyword| keyword.name == word.name) {
            crate::config::section::tell_support(loader, keyword.name, keyword.support, line)?;
        }
    }
    Ok(())
}
