//! `errorfile`, `errorloc`, `errorfiles`, `http-error`.

use hacore::diag::{Diagnostic, Word};

use super::listed;
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::http::reply::StaticReply;
use crate::model::ErrorReply;

pub const KEYWORDS: &[Keyword] = &[
    listed(
        "errorfile",
        Places::PROXY.or(Places::HTTP_ERRORS),
        "<code> <file>",
        "Sends a file instead of an error page.",
        errorfile,
    ),
    listed(
        "errorfiles",
        Places::PROXY,
        "<name> [<code> ...]",
        "Takes error files from an http-errors section.",
        errorfiles,
    ),
    listed("errorloc", Places::PROXY, "<code> <url>", "Redirects (302) instead of an error page.", errorloc),
    listed(
        "errorloc302",
        Places::PROXY,
        "<code> <url>",
        "Redirects (302) instead of an error page.",
        errorloc,
    ),
    listed(
        "errorloc303",
        Places::PROXY,
        "<code> <url>",
        "Redirects (303) instead of an error page.",
        errorloc,
    ),
    listed(
        "http-error",
        Places::PROXY,
        "status <code> [content-type <type>] [...]",
        "Defines an error reply.",
        http_error,
    ),
];

/// Statuses that have an error page of their own.
pub const STATUSES: &[u16] =
    &[200, 400, 401, 403, 404, 405, 407, 408, 410, 413, 421, 422, 425, 429, 431, 500, 501, 502, 503, 504];

fn status(line: &Line<'_>, word: &Word) -> Result<u16, Diagnostic> {
    word.as_str().parse().ok().filter(|code| STATUSES.contains(code)).ok_or_else(|| {
        let message = format!("status code '{}' not handled by directive '{}'.", word.as_str(), line.name);
        let list = STATUSES.iter().map(u16::to_string).collect::<Vec<_>>().join(", ");
        line.alert_at(word, message).help(format!("statuses with an error page are {list}"))
    })
}

/// Reads an error file and checks that it can be sent.
pub fn read(loader: &Loader, line: &Line<'_>, path: &Word) -> Result<ErrorReply, Diagnostic> {
    let full = loader.path(path.as_str());
    let bytes = std::fs::read(&full).map_err(|error| {
        let message = format!(
            "'{}' : error opening file '{}' ({}).",
            line.name,
            path.as_str(),
            crate::config::describe(&error)
        );
        line.alert_at(path, message)
    })?;
    StaticReply::parse_within(bytes.clone(), loader.global.bufsize_bytes)
        .map_err(|error| line.alert_at(path, format!("'{}' : '{}' {error}.", line.name, path.as_str())))?;
    Ok(ErrorReply::File { path: full.to_string_lossy().into_owned(), bytes: bytes.into() })
}

fn errorfile(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let code = line.required("<status_code> and <file> as arguments.")?;
    let path = line.required("<status_code> and <file> as arguments.")?;
    let status = status(line, code)?;
    let reply = read(loader, line, path)?;
    if line.place == Places::HTTP_ERRORS {
        let name = loader.section_name.clone();
        loader.http_errors.entry(name).or_default().insert(status, reply);
    } else {
        loader.proxy()?.error_replies.insert(status, reply);
    }
    line.end()
}

fn errorfiles(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = line.required("<name> as argument.")?;
    let mut only = Vec::new();
    while let Some(word) = line.words.next() {
        only.push(status(line, word)?);
    }
    // The section may come later in the file: resolved at the end.
    let name = name.clone();
    loader.draft()?.errorfiles.push((name, only));
    Ok(())
}

fn errorloc(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let code = line.required("<status_code> and <url> as arguments.")?;
    let url = line.required("<status_code> and <url> as arguments.")?;
    let error = status(line, code)?;
    let status = if line.name == "errorloc303" { 303 } else { 302 };
    loader
        .proxy()?
        .error_replies
        .insert(error, ErrorReply::Location { status, url: url.as_str().to_owned() });
    line.end()
}

fn http_error(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut code = None;
    let mut words = line.words.clone();
    while let Some(word) = words.next() {
        if *word == "status"
            && let Some(value) = words.next()
        {
            code = Some(status(line, value)?);
        }
    }
    let Some(code) = code else {
        return Err(line.alert("'http-error' : expects at least a <status> as arguments."));
    };
    let text = line.rest_text();
    let _ = (loader, text);
    Err(line.alert(format!(
        "'http-error' is not supported yet (status {code}): write 'errorfile {code} <file>' for now."
    )))
}
