//! Commands about authorities and revocation lists (management guide, "set ssl ca-file", "set ssl crl-file" and their kin): what
//! they change is gone after a reload, which reads the files again.

use std::sync::Arc;

use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use super::ssl::{describe, listeners};
use crate::expr::fetch::tls_facts::{algorithm, distinguished_name};
use crate::tls::backend::BackendTls;
use crate::tls::files::TlsFiles;
use crate::tls::ocsp::date;
use crate::tls::trust::{CommitError, Kind, TrustError};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "ssl", "ca-file"],
        "show ssl ca-file [<cafile>[:<index>]]",
        "list the files of authorities in memory, or show one",
        Level::Operator,
        |context, words| show(context, words, Kind::Authorities),
    ),
    def(
        &["new", "ssl", "ca-file"],
        "new ssl ca-file <cafile>",
        "make an empty file of authorities, to be filled with 'set ssl ca-file'",
        Level::Admin,
        |context, words| new(context, words, Kind::Authorities),
    ),
    def(
        &["set", "ssl", "ca-file"],
        "set ssl ca-file <cafile> <payload>",
        "replace a file of authorities; takes effect with 'commit ssl ca-file'",
        Level::Admin,
        |context, words| set(context, words, Kind::Authorities, "set"),
    ),
    def(
        &["add", "ssl", "ca-file"],
        "add ssl ca-file <cafile> <payload>",
        "add authorities to a file; takes effect with 'commit ssl ca-file'",
        Level::Admin,
        |context, words| set(context, words, Kind::Authorities, "add"),
    ),
    def(
        &["commit", "ssl", "ca-file"],
        "commit ssl ca-file <cafile>",
        "let a replaced file of authorities take effect",
        Level::Admin,
        |context, words| commit(context, words, Kind::Authorities),
    ),
    def(
        &["abort", "ssl", "ca-file"],
        "abort ssl ca-file <cafile>",
        "forget a replaced file of authorities",
        Level::Admin,
        |context, words| abort(context, words, Kind::Authorities),
    ),
    def(
        &["del", "ssl", "ca-file"],
        "del ssl ca-file <cafile>",
        "delete a file of authorities that nothing uses",
        Level::Admin,
        |context, words| del(context, words, Kind::Authorities),
    ),
    def(
        &["show", "ssl", "crl-file"],
        "show ssl crl-file [<crlfile>[:<index>]]",
        "list the files of revocations in memory, or show one",
        Level::Operator,
        |context, words| show(context, words, Kind::Revocations),
    ),
    def(
        &["new", "ssl", "crl-file"],
        "new ssl crl-file <crlfile>",
        "make an empty file of revocations, to be filled with 'set ssl crl-file'",
        Level::Admin,
        |context, words| new(context, words, Kind::Revocations),
    ),
    def(
        &["set", "ssl", "crl-file"],
        "set ssl crl-file <crlfile> <payload>",
        "replace a file of revocations; takes effect with 'commit ssl crl-file'",
        Level::Admin,
        |context, words| set(context, words, Kind::Revocations, "set"),
    ),
    def(
        &["commit", "ssl", "crl-file"],
        "commit ssl crl-file <crlfile>",
        "let a replaced file of revocations take effect",
        Level::Admin,
        |context, words| commit(context, words, Kind::Revocations),
    ),
    def(
        &["abort", "ssl", "crl-file"],
        "abort ssl crl-file <crlfile>",
        "forget a replaced file of revocations",
        Level::Admin,
        |context, words| abort(context, words, Kind::Revocations),
    ),
    def(
        &["del", "ssl", "crl-file"],
        "del ssl crl-file <crlfile>",
        "delete a file of revocations that nothing uses",
        Level::Admin,
        |context, words| del(context, words, Kind::Revocations),
    ),
];

/// `ca-file` or `crl-file`.
fn word(kind: Kind) -> &'static str {
    match kind {
        Kind::Authorities => "ca-file",
        Kind::Revocations => "crl-file",
    }
}

fn files(context: &Context<'_>) -> Arc<TlsFiles> {
    context.snapshot.global.shared_tls()
}

fn servers<'a>(context: &'a Context<'_>) -> Vec<&'a BackendTls> {
    let servers = context.snapshot.backends().flat_map(|backend| &backend.servers);
    servers.filter_map(|server| server.model.tls_client.0.as_deref()).collect()
}

fn is_used(context: &Context<'_>, kind: Kind, path: &str) -> bool {
    listeners(context).iter().any(|listener| listener.count_users(kind, path) > 0)
        || servers(context).iter().any(|server| server.names(kind, path))
}

fn show(context: &mut Context<'_>, words: &[&str], kind: Kind) -> Reply {
    let files = files(context);
    let pending = files.trust.pending(kind);
    let Some(asked) = words.first() else {
        let count = |number: usize| match kind {
            Kind::Authorities => format!(" - {number} certificate(s)"),
            Kind::Revocations => String::new(),
        };
        let mut text = String::new();
        if let Some((name, file)) = &pending {
            text.push_str(&format!("# transaction\n*{name}{}\n", count(file.len())));
        }
        text.push_str("# filename\n");
        for (name, file) in files.trust.list(kind) {
            text.push_str(&format!("{name}{}\n", count(file.len())));
        }
        return Reply::Data(text);
    };
    let (name, index) = match asked.rsplit_once(':') {
        Some((name, digits)) if digits.parse::<usize>().is_ok() => (name, digits.parse::<usize>().ok()),
        _ => (*asked, None),
    };
    let (found, status) = match name.strip_prefix('*') {
        Some(name) => (pending.filter(|(open, _)| open == name).map(|(_, file)| file), "Unused"),
        None => {
            let status = if is_used(context, kind, name) { "Used" } else { "Unused" };
            (files.trust.find(kind, name), status)
        }
    };
    let Some(file) = found else {
        return Reply::error(format!("Can't display the {} file : Not found!", kind.name()));
    };
    let wanted = |number: usize| index.is_none_or(|index| index == number);
    let shown: Vec<(usize, &Vec<u8>)> =
        (1..).zip(file.iter()).filter(|(number, _)| wanted(*number)).collect();
    match (kind, shown.is_empty(), file.is_empty()) {
        // Nothing at all, as the genuine program has it.
        (Kind::Authorities, true, _) => return Reply::Data(String::new()),
        (Kind::Revocations, _, true) => return Reply::Data(format!("Filename: {name}\nStatus: Empty\n")),
        _ => {}
    }
    let mut text = format!("Filename: {name}\nStatus: {status}\n");
    for (number, der) in shown {
        text.push_str(&match kind {
            Kind::Authorities => format!(" \nCertificate #{number}:\n{}", describe(der).unwrap_or_default()),
            Kind::Revocations => format!(" \nCertificate Revocation List #{number}:\n{}", list(der)),
        });
    }
    Reply::Data(text)
}

/// A revocation list in words.
fn list(der: &[u8]) -> String {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else { return String::new() };
    let version = list.version().map_or(1, |version| version.0 + 1);
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let mut shown = format!(
        "Version {version}\nSignature Algorithm: {}\nIssuer: {}\nLast Update: {}\n",
        text(algorithm(&list.signature_algorithm.algorithm.to_id_string())),
        text(distinguished_name(list.issuer())),
        date(list.last_update().timestamp()),
    );
    if let Some(next) = list.next_update() {
        shown += &format!("Next Update: {}\n", date(next.timestamp()));
    }
    let mut revoked = list.iter_revoked_certificates().peekable();
    shown += if revoked.peek().is_some() { "Revoked Certificates:\n" } else { "No Revoked Certificates.\n" };
    for certificate in revoked {
        let serial = certificate.raw_serial();
        let serial = serial.strip_prefix(&[0]).filter(|rest| !rest.is_empty()).unwrap_or(serial);
        let serial: String = serial.iter().map(|byte| format!("{byte:02X}")).collect();
        let at = date(certificate.revocation_date.timestamp());
        shown += &format!("    Serial Number: {serial}\n        Revocation Date: {at}\n");
    }
    shown
}

fn new(context: &mut Context<'_>, words: &[&str], kind: Kind) -> Reply {
    let Some(path) = words.first() else {
        return Reply::error(format!("'new ssl {}' expects a filename", word(kind)));
    };
    let name = kind.name();
    if files(context).trust.create(kind, path) {
        Reply::info(format!("New {name} file created '{path}'!"))
    } else {
        Reply::error(format!("{name} file '{path}' already exists!"))
    }
}

fn set(context: &mut Context<'_>, words: &[&str], kind: Kind, verb: &str) -> Reply {
    let name = kind.name();
    let (Some(path), Some(payload)) = (words.first(), context.payload) else {
        return Reply::error(format!(
            "'{verb} ssl {} expects a filename and {name}s as a payload",
            word(kind)
        ));
    };
    match files(context).trust.set(kind, path, payload, verb == "add") {
        Ok(created) => {
            let what = if created { "created" } else { "updated" };
            Reply::info(format!("transaction {what} for {name} {path}!"))
        }
        Err(error) => Reply::error(format!("{error}\nCan't update {path}!")),
    }
}

fn commit(context: &mut Context<'_>, words: &[&str], kind: Kind) -> Reply {
    let Some(path) = words.first() else {
        return Reply::error(format!("'commit ssl {} expects a filename", word(kind)));
    };
    let take = || {
        let listeners: Vec<_> =
            listeners(context).into_iter().filter(|listener| listener.count_users(kind, path) > 0).collect();
        let servers: Vec<_> =
            servers(context).into_iter().filter(|server| server.names(kind, path)).collect();
        // All are made before any is taken.
        let rebuilt: Vec<_> =
            listeners.iter().map(|listener| listener.rebuilt()).collect::<Result<_, String>>()?;
        let clients: Vec<_> = servers.iter().map(|server| server.rebuilt()).collect::<Result<_, String>>()?;
        let count = listeners.iter().map(|listener| listener.count_users(kind, path)).sum::<usize>();
        listeners.iter().zip(rebuilt).for_each(|(listener, made)| listener.adopt(made));
        servers.iter().zip(clients).for_each(|(server, made)| server.adopt(made));
        Ok(count + servers.len())
    };
    match files(context).trust.commit(kind, path, take) {
        Ok(count) => Reply::Data(format!("Committing {path}{}\nSuccess!\n", ".".repeat(count))),
        // The original's extra mark.
        Err(CommitError::Refused(error @ TrustError::None)) => {
            Reply::error(format!("{error} !\nCan't commit {path}!"))
        }
        Err(error) => Reply::error(format!("{error}\nCan't commit {path}!")),
    }
}

fn abort(context: &mut Context<'_>, words: &[&str], kind: Kind) -> Reply {
    let Some(path) = words.first() else {
        return Reply::error(format!("'abort ssl {}' expects a filename", word(kind)));
    };
    match files(context).trust.abort(kind, path) {
        Ok(()) => Reply::info(format!("Transaction aborted for certificate '{path}'!")),
        Err(error) => Reply::error(error.to_string()),
    }
}

fn del(context: &mut Context<'_>, words: &[&str], kind: Kind) -> Reply {
    let name = kind.name();
    let Some(path) = words.first() else {
        return Reply::error(format!("'del ssl {}' expects a {name} file name", word(kind)));
    };
    let intro = format!("Can't remove the {name} file: {name} file '{path}'");
    if is_used(context, kind, path) {
        return Reply::error(format!("{intro} in use, can't be deleted!\n"));
    }
    if files(context).trust.delete(kind, path) {
        Reply::info(format!("{name} file '{path}' deleted!"))
    } else {
        Reply::error(format!("{intro} doesn't exist!\n"))
    }
}
