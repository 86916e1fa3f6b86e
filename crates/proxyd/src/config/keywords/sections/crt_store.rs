//! `crt-store` (configuration manual, section 3.11): certificates whose parts are named one by one, for `crt @STORE/NAME`.

use hacore::diag::Diagnostic;

use std::path::PathBuf;

use super::word;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::tls::pem::Parts;

pub const KEYWORDS: &[Keyword] = &[
    word("crt-base", Places::CRT_STORE, "<dir>", "Where relative certificate names begin.", crt_base),
    word("key-base", Places::CRT_STORE, "<dir>", "Where relative key names begin.", key_base),
    word("load", Places::CRT_STORE, "crt <filename> [param*]", "Loads a certificate.", load),
];

fn crt_base(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let folder = line.required("a directory path.")?.as_str().to_owned();
    loader.certificates.bases(&loader.section_name).0 = Some(folder);
    line.end()
}

fn key_base(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let folder = line.required("a directory path.")?.as_str().to_owned();
    loader.certificates.bases(&loader.section_name).1 = Some(folder);
    line.end()
}

fn load(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let (mut crt, mut alias, mut parts, mut update) = (None, None, Parts::default(), None);
    let section = loader.section_name.clone();
    let (crt_base, key_base) = loader.certificates.bases(&section).clone();
    let global = |base: &str| loader.global.tls.get(base).cloned();
    let crt_base = crt_base.or_else(|| global("crt-base"));
    let key_base = key_base.or_else(|| global("key-base")).or_else(|| crt_base.clone());
    let under = |base: &Option<String>, name: &str| match base {
        Some(base) if !name.starts_with('/') => PathBuf::from(format!("{base}/{name}")),
        _ => PathBuf::from(name),
    };
    while let Some(word) = line.words.next() {
        let name = word.as_str();
        let mut value = || line.required("an argument.").map(|word| word.as_str());
        match name {
            "crt" => crt = Some(value()?.to_owned()),
            "alias" => alias = Some(value()?.to_owned()),
            "key" => parts.key = Some(under(&key_base, value()?)),
            "ocsp" => parts.ocsp = Some(under(&crt_base, value()?)),
            "issuer" => parts.issuer = Some(under(&crt_base, value()?)),
            "sctl" => parts.sctl = Some(under(&crt_base, value()?)),
            "jwt" => {
                value()?;
            }
            "ocsp-update" => match value()? {
                "on" => update = Some(true),
                "off" => update = Some(false),
                other => {
                    let text = format!("'ocsp-update' expects either 'on' or 'off', not '{other}'.");
                    return Err(line.alert_at(word, text));
                }
            },
            "acme" | "domains" => {
                return Err(Diagnostic::needs(name, "ACME").at(word.span));
            }
            _ => return Err(line.alert_at(word, format!("'load' : unknown keyword '{name}'."))),
        }
    }
    let Some(crt) = crt else { return Err(line.alert("'load' : no 'crt' was specified.")) };
    let path = under(&crt_base, &crt);
    let names =
        [Some(crt.as_str()), alias.as_deref()].into_iter().flatten().map(|name| format!("@{section}/{name}"));
    let names: Vec<String> = names.collect();
    loader
        .certificates
        .load_parts(&path, names, &parts, update)
        .map_err(|problem| line.alert(format!("'load' : {problem}")))
}
