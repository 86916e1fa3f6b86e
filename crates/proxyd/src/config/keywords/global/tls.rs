//! TLS defaults of the `global` section.

use super::global;
use crate::config::keyword::{Keyword, Line, Parsed, any, none, one};
use crate::config::loader::Loader;

const NO_RENEWAL: &str =
    "certificates are renewed by tools beside this daemon, through files or the admin socket";
const NO_DECRYPTION: &str = "no converter decrypts tokens yet";

pub const KEYWORDS: &[Keyword] = &[
    global("ca-base", "<dir>", "Where relative CA file names begin.", path_setting),
    global("crt-base", "<dir>", "Where relative certificate names begin.", path_setting),
    global("key-base", "<dir>", "Where relative key names begin.", path_setting),
    global("issuers-chain-path", "<dir>", "Where issuers' chains are.", chains),
    global("ssl-default-bind-ciphers", "<ciphers>", "Default ciphers of listeners up to TLS 1.2.", ciphers),
    global(
        "ssl-default-bind-ciphersuites",
        "<ciphersuites>",
        "Default cipher suites of listeners for TLS 1.3.",
        stored,
    ),
    global(
        "ssl-default-bind-client-sigalgs",
        "<sigalgs>",
        "Default client signature algorithms of listeners.",
        stored,
    ),
    global("ssl-default-bind-curves", "<curves>", "Default curves of listeners.", stored),
    global("ssl-default-bind-options", "[<option>]...", "Default TLS options of listeners.", bind_options),
    global("ssl-default-bind-sigalgs", "<sigalgs>", "Default signature algorithms of listeners.", stored),
    global("ssl-default-server-ciphers", "<ciphers>", "Default ciphers to servers up to TLS 1.2.", ciphers),
    global(
        "ssl-default-server-ciphersuites",
        "<ciphersuites>",
        "Default cipher suites to servers for TLS 1.3.",
        stored,
    ),
    global(
        "ssl-default-server-client-sigalgs",
        "<sigalgs>",
        "Default client signature algorithms to servers.",
        stored,
    ),
    global("ssl-default-server-curves", "<curves>", "Default curves to servers.", stored),
    global("ssl-default-server-options", "[<option>]...", "Default TLS options to servers.", server_options),
    global("ssl-default-server-sigalgs", "<sigalgs>", "Default signature algorithms to servers.", stored),
    global("ssl-server-verify", "{ none | required }", "Whether servers are verified by default.", verify)
        .unlisted(),
    global("ssl-dh-param-file", "<file>", "Diffie-Hellman parameters.", one)
        .no_effect("finite-field Diffie-Hellman is not used"),
    global("ssl-engine", "<name> [algo <list>]", "An OpenSSL engine.", any).refused("OpenSSL engines"),
    global("ssl-load-extra-del-ext", "", "Drops the extension before looking for extra files.", del_ext),
    global("ssl-load-extra-files", "<type>*", "Which extra files are loaded beside a certificate.", extras),
    global("ssl-mode-async", "", "Asynchronous OpenSSL engines.", none).no_effect("there is no OpenSSL"),
    global("ssl-passphrase-cmd", "<command>", "A command that gives the keys' passphrase.", passphrase),
    global("ssl-propquery", "<query>", "OpenSSL provider property query.", one)
        .no_effect("there is no OpenSSL"),
    global("ssl-provider", "<name>", "An OpenSSL provider.", one).no_effect("there is no OpenSSL"),
    global("ssl-provider-path", "<path>", "Where OpenSSL providers are.", one)
        .no_effect("there is no OpenSSL"),
    global("ssl-security-level", "<number>", "OpenSSL's security level.", one)
        .no_effect("there is no OpenSSL"),
    global("ssl-skip-self-issued-ca", "", "Leaves self-issued authorities out of chains.", none),
    global("maxsslconn", "<number>", "The most TLS connections of clients.", maxsslconn),
    global("maxsslrate", "<number>", "The most TLS handshakes of clients per second.", maxsslrate).unlisted(),
    global("acme.scheduler", "{ auto | off }", "Whether certificates are renewed by ACME.", one)
        .later(NO_RENEWAL),
    global("jwt.decrypt_alg_list", "<list>", "Algorithms that the jwt_decrypt converters may use.", one)
        .later(NO_DECRYPTION),
    global("jwt.decrypt_enc_list", "<list>", "Encodings that the jwt_decrypt converters may use.", one)
        .later(NO_DECRYPTION),
    global("ocsp-update.disable", "{ on | off }", "Whether OCSP responses are never updated.", on_off),
    global("ocsp-update.httpproxy", "<address>", "The proxy for OCSP updates.", stored),
    global("ocsp-update.maxdelay", "<seconds>", "The longest time between OCSP updates.", seconds),
    global("ocsp-update.mindelay", "<seconds>", "The shortest time between OCSP updates.", seconds),
    global("ocsp-update.mode", "{ on | off }", "Whether OCSP responses are updated.", on_off),
];

fn maxsslconn(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.max_tls_connections = Some(line.integer(0..=i64::from(u32::MAX))? as u32);
    line.end()
}

fn maxsslrate(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.global.max_tls_rate = Some(line.integer(0..=i64::from(u32::MAX))? as u32);
    line.end()
}

fn path_setting(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let path = line.required("a directory path as an argument.")?.as_str().to_owned();
    loader.global.tls.insert(line.name.to_owned(), path);
    line.end()
}

/// Kept under its name for the TLS layer.
pub(super) fn stored(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.required("an argument.")?.as_str().to_owned();
    loader.global.tls.insert(line.name.to_owned(), value);
    line.end()
}

/// The same for a number.
pub(super) fn number(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let value = line.integer(0..=i64::from(i32::MAX))?;
    loader.global.tls.insert(line.name.to_owned(), value.to_string());
    line.end()
}

/// The same for `{ on | off }`.
pub(super) fn on_off(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'on' or 'off' as argument.")?;
    if !matches!(word.as_str(), "on" | "off") {
        return Err(line.alert_at(word, format!("'{}' expects 'on' or 'off'.", line.name)));
    }
    loader.global.tls.insert(line.name.to_owned(), word.as_str().to_owned());
    line.end()
}

/// The same for seconds, with or without a unit; the old names begin with `tune.ssl.`.
pub(super) fn seconds(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("a number of seconds as argument.")?;
    let Ok(delay) = hacore::units::parse_duration(word.as_str(), hacore::units::TimeUnit::Seconds) else {
        return Err(line.alert_at(word, format!("'{}' expects a number of seconds.", line.name)));
    };
    let name = line.name.trim_start_matches("tune.ssl.").to_owned();
    loader.global.tls.insert(name, delay.as_secs().to_string());
    line.end()
}

fn chains(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let folder = line.required("a directory path as an argument.")?;
    if let Err(error) = loader.certificates.read_chains(std::path::Path::new(folder.as_str())) {
        let reason = crate::config::describe(&error);
        let text = format!("'{}' : cannot read '{}' : {reason}.", line.name, folder.as_str());
        return Err(line.alert_at(folder, text));
    }
    line.end()
}

fn del_ext(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    loader.certificates.extras.without_extension = true;
    line.end()
}

fn extras(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.name;
    let extras = &mut loader.certificates.extras;
    let every = |extras: &mut crate::tls::pem::Extras, on: bool| {
        let kinds =
            [&mut extras.bundle, &mut extras.sctl, &mut extras.ocsp, &mut extras.issuer, &mut extras.key];
        kinds.into_iter().for_each(|kind| *kind = on);
    };
    if line.words.peek().is_none() {
        return Err(line.alert(format!("'{name}' expects at least one argument.")));
    }
    every(extras, false);
    while let Some(word) = line.words.next() {
        match word.as_str() {
            "none" => every(extras, false),
            "all" => every(extras, true),
            "bundle" => extras.bundle = true,
            "sctl" => extras.sctl = true,
            "ocsp" => extras.ocsp = true,
            "issuer" => extras.issuer = true,
            "key" => extras.key = true,
            other => return Err(line.alert_at(word, format!("'{name}' : unknown argument '{other}'."))),
        }
    }
    Ok(())
}

fn passphrase(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut command = vec![line.required("a command.")?.as_str().to_owned()];
    for word in line.words.by_ref() {
        command.push(word.as_str().to_owned());
    }
    loader.certificates.extras.passphrase_command = Some(command);
    Ok(())
}

fn ciphers(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let list = line.required("a cipher suite as an argument.")?;
    line.end()?;
    if list.as_str().starts_with("PROFILE=") {
        let message = format!("'{}' : '{}' is taken as the system's default list.", line.name, list.as_str());
        loader.push(
            hacore::diag::Diagnostic::warning(message)
                .at(list.span)
                .help(format!("leave '{}' out, or name the ciphers", line.name)),
        );
        return Ok(());
    }
    loader.global.tls.insert(line.name.to_owned(), list.as_str().to_owned());
    Ok(())
}

/// Words of `ssl-default-bind-options`.
const BIND_OPTIONS: &[&str] = &[
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "no-alpn",
    "no-sslv3",
    "no-strict-sni",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "prefer-client-ciphers",
    "prefer-server-ciphers",
    "strict-sni",
    "tls-tickets",
];

/// Words of `ssl-default-server-options`.
const SERVER_OPTIONS: &[&str] = &[
    "force-sslv3",
    "force-tlsv10",
    "force-tlsv11",
    "force-tlsv12",
    "force-tlsv13",
    "no-renegotiate",
    "no-ssl-reuse",
    "no-sslv3",
    "no-tls-tickets",
    "no-tlsv10",
    "no-tlsv11",
    "no-tlsv12",
    "no-tlsv13",
    "renegotiate",
    "ssl-reuse",
    "tls-tickets",
];

fn bind_options(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    options(loader, line, BIND_OPTIONS)
}

fn server_options(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    options(loader, line, SERVER_OPTIONS)
}

fn options(loader: &mut Loader, line: &mut Line<'_>, known: &[&str]) -> Parsed {
    if line.words.is_empty() {
        return Err(line.alert(format!("global statement '{}' requires an option as argument.", line.name)));
    }
    let mut list = Vec::new();
    while let Some(word) = line.words.next() {
        list.push(word.as_str().to_owned());
        if matches!(word.as_str(), "ssl-min-ver" | "ssl-max-ver") {
            let version = line.required("a TLS version.")?;
            if !matches!(version.as_str(), "SSLv3" | "TLSv1.0" | "TLSv1.1" | "TLSv1.2" | "TLSv1.3") {
                let message =
                    format!("'{}' '{}' : unknown version '{}'.", line.name, word.as_str(), version.as_str());
                return Err(line.alert_at(version, message));
            }
            list.push(version.as_str().to_owned());
        } else if !known.contains(&word.as_str()) {
            let message = format!("unknown option '{}' on global statement '{}'.", word.as_str(), line.name);
            let names = known.iter().copied().chain(["ssl-min-ver", "ssl-max-ver"]);
            return Err(line.alert_at(word, message).did_you_mean(word.as_str(), names));
        }
    }
    loader.global.tls.insert(line.name.to_owned(), list.join(" "));
    Ok(())
}

fn verify(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let word = line.required("'none' or 'required' as argument.")?;
    if !matches!(word.as_str(), "none" | "required") {
        return Err(line.alert_at(word, format!("'{}' expects 'none' or 'required' as argument.", line.name)));
    }
    loader.global.tls.insert(line.name.to_owned(), word.as_str().to_owned());
    line.end()
}
