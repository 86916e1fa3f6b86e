//! TLS words of a `server` line: kept as written; whether the line is refused depends on `ssl` alone.

use super::{ServerKeyword, flag, server, setting};
use crate::config::keyword::{Line, Parsed};
use crate::config::loader::Loader;
use crate::model::Server;

pub const KEYWORDS: &[ServerKeyword] = &[
    server("ssl", "", "Speaks TLS to the server.", ssl).refused("TLS"),
    server("no-ssl", "", "Undoes 'ssl'.", ssl),
    server("allow-0rtt", "", "TLS of servers: allow-0rtt.", flag).refused("TLS"),
    server("alpn", "<value>", "TLS of servers: alpn protocols.", setting).refused("TLS"),
    server("ca-file", "<value>", "TLS of servers: authorities for client certificates.", setting)
        .refused("TLS"),
    server("ciphers", "<value>", "TLS of servers: ciphers up to tls 1.2.", setting).refused("TLS"),
    server("ciphersuites", "<value>", "TLS of servers: cipher suites of tls 1.3.", setting).refused("TLS"),
    server("client-sigalgs", "<value>", "TLS of servers: client-sigalgs.", setting).refused("TLS"),
    server("crl-file", "<value>", "TLS of servers: crl-file.", setting).refused("TLS"),
    server("crt", "<value>", "TLS of servers: a certificate.", setting).refused("TLS"),
    server("curves", "<value>", "TLS of servers: curves.", setting).refused("TLS"),
    server("force-sslv3", "", "TLS of servers: force-sslv3.", flag).refused("TLS"),
    server("force-tlsv10", "", "TLS of servers: force-tlsv10.", flag).refused("TLS"),
    server("force-tlsv11", "", "TLS of servers: force-tlsv11.", flag).refused("TLS"),
    server("force-tlsv12", "", "TLS of servers: force-tlsv12.", flag).refused("TLS"),
    server("force-tlsv13", "", "TLS of servers: force-tlsv13.", flag).refused("TLS"),
    server("ktls", "<value>", "TLS of servers: ktls.", setting).refused("TLS"),
    server("no-renegotiate", "", "TLS of servers: no-renegotiate.", flag).refused("TLS"),
    server("no-sni-auto", "", "TLS of servers: no-sni-auto.", flag).refused("TLS"),
    server("no-ssl-reuse", "", "TLS of servers: no-ssl-reuse.", flag).refused("TLS"),
    server("no-sslv3", "", "TLS of servers: no-sslv3.", flag).refused("TLS"),
    server("no-tls-tickets", "", "TLS of servers: no-tls-tickets.", flag).refused("TLS"),
    server("no-tlsv10", "", "TLS of servers: no-tlsv10.", flag).refused("TLS"),
    server("no-tlsv11", "", "TLS of servers: no-tlsv11.", flag).refused("TLS"),
    server("no-tlsv12", "", "TLS of servers: no-tlsv12.", flag).refused("TLS"),
    server("no-tlsv13", "", "TLS of servers: no-tlsv13.", flag).refused("TLS"),
    server("npn", "<value>", "TLS of servers: npn.", setting).refused("TLS"),
    server("renegotiate", "", "TLS of servers: renegotiate.", flag).refused("TLS"),
    server("sigalgs", "<value>", "TLS of servers: sigalgs.", setting).refused("TLS"),
    server("sni", "<value>", "TLS of servers: sni.", setting).refused("TLS"),
    server("sni-auto", "", "TLS of servers: sni-auto.", flag).refused("TLS"),
    server("ssl-max-ver", "<value>", "TLS of servers: highest version.", setting).refused("TLS"),
    server("ssl-min-ver", "<value>", "TLS of servers: lowest version.", setting).refused("TLS"),
    server("ssl-reuse", "", "TLS of servers: ssl-reuse.", flag).refused("TLS"),
    server("tls-tickets", "", "TLS of servers: tls-tickets.", flag).refused("TLS"),
    server("verify", "<value>", "TLS of servers: whether client certificates are asked for.", setting)
        .refused("TLS"),
    server("verifyhost", "<value>", "TLS of servers: verifyhost.", setting).refused("TLS"),
];

fn ssl(server: &mut Server, _: &mut Loader, line: &mut Line<'_>) -> Parsed {
    server.tls = line.name == "ssl";
    Ok(())
}
