//! Commands about OCSP responses (management guide, "show ssl ocsp-response", "set ssl ocsp-response", "update ssl ocsp-response",
//! "show ssl ocsp-updates").

use std::path::Path;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use super::ssl::certificate_users;
use crate::tls::certificate::Certificate;
use crate::tls::ocsp::{CertificateId, Response, ResponseError};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "ssl", "ocsp-response"],
        "show ssl ocsp-response [[text|base64] id]",
        "list the OCSP responses in memory, or show one",
        Level::Operator,
        show,
    ),
    def(
        &["set", "ssl", "ocsp-response"],
        "set ssl ocsp-response <resp|payload>",
        "staple another OCSP response, as base64",
        Level::Admin,
        set,
    ),
    def(
        &["update", "ssl", "ocsp-response"],
        "update ssl ocsp-response <certfile>",
        "ask the responder of a certificate now",
        Level::Admin,
        update,
    ),
    def(
        &["show", "ssl", "ocsp-updates"],
        "show ssl ocsp-updates",
        "list the responses that are asked for, and when",
        Level::Operator,
        updates,
    ),
];

/// Certificates with a response, or one to come, by identity.
fn known(context: &Context<'_>) -> Vec<(CertificateId, Arc<Certificate>)> {
    let mut all = certificate_users(context).certificates();
    all.extend(context.admin.certificates.lock().unused().values().flatten().cloned());
    let followed = context.admin.ocsp.paths();
    let of_interest = |certificate: &Arc<Certificate>| {
        certificate.key.ocsp.is_some() || followed.contains(&certificate.path)
    };
    let with_id = |certificate: Arc<Certificate>| Some((certificate.ocsp_id()?, certificate));
    all.into_iter().filter(of_interest).filter_map(with_id).collect()
}

fn show(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let known = known(context);
    let (format, asked) = match words {
        [] => {
            let entries = known.iter().map(|(id, certificate)| {
                let path = certificate.path.display();
                let lines = id.lines("   ");
                format!(
                    "Certificate ID key : {}\nCertificate path : {path}\n Certificate ID:\n{lines}",
                    id.key()
                )
            });
            return Reply::Data(format!("# Certificate IDs\n{}", entries.collect::<String>()));
        }
        [format @ ("text" | "base64"), asked, ..] => (*format, *asked),
        ["text" | "base64"] => {
            return Reply::error("'show ssl ocsp-response [text|base64]' expects a valid certid");
        }
        [asked, ..] => ("text", *asked),
    };
    let found = known.iter().find(|(id, certificate)| {
        certificate.path == Path::new(asked) || id.key().eq_ignore_ascii_case(asked)
    });
    let Some((_, certificate)) = found else {
        return Reply::error("Certificate ID does not match any certificate.");
    };
    let response = certificate.key.ocsp.as_deref().unwrap_or_default();
    match format {
        "base64" => Reply::Data(STANDARD.encode(response) + "\n"),
        _ => Reply::Data(text(response)),
    }
}

/// A response in words; nothing without one.
pub(super) fn text(der: &[u8]) -> String {
    Response::parse(der).map(|response| response.text()).unwrap_or_default()
}

fn set(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(base64) = context.payload.or_else(|| words.first().copied()).filter(|text| !text.is_empty())
    else {
        return Reply::error("'set ssl ocsp-response' expects response in base64 encoding.");
    };
    let base64: String = base64.split_whitespace().collect();
    let Ok(der) = STANDARD.decode(base64) else {
        return Reply::error("'set ssl ocsp-response' received invalid base64 encoded response.");
    };
    let now_s = i64::try_from(crate::proxy::process::wall_us() / 1_000_000).unwrap_or(i64::MAX);
    let taken = Response::parse(&der).and_then(|response| response.check(now_s).map(|()| response));
    let taken = taken.and_then(|response| {
        let users = certificate_users(context);
        match context.admin.certificates.lock().staple(&response.id, &der, &users) {
            0 => Err(ResponseError::OtherCertificate),
            _ => Ok(()),
        }
    });
    match taken {
        Ok(()) => Reply::info("OCSP Response updated!"),
        Err(error) => Reply::error(format!("{error}.")),
    }
}

fn update(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(path) = words.first() else {
        return Reply::error("'update ssl ocsp-response' expects a filename");
    };
    let mut all = certificate_users(context).certificates();
    all.extend(context.admin.certificates.lock().unused().values().flatten().cloned());
    let found = all.into_iter().find(|certificate| certificate.path == Path::new(path));
    let Some(certificate) = found else { return Reply::error("Unknown certificate!") };
    if certificate.ocsp_id().is_none() {
        return Reply::error(
            "'update ssl ocsp-response' only works on certificates that already have a known OCSP response.",
        );
    }
    match context.admin.ocsp.ask(certificate) {
        Some(answer) => Reply::Later(answer),
        None => Reply::error("Could not find OCSP URI!"),
    }
}

fn updates(context: &mut Context<'_>, _: &[&str]) -> Reply {
    Reply::Data(context.admin.ocsp.shown())
}
