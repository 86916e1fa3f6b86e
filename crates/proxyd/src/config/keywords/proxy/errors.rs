//! `errorfile`, `errorloc`, `errorfiles`, `http-error`.

use hacore::diag::{Diagnostic, Word};

use super::listed;
use crate::config::expression::{self, FormatUse};
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

/// What an `http-error` line has said so far.
#[derive(Default)]
struct Described {
    status: Option<u16>,
    content_type: Option<String>,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
    /// A whole reply from elsewhere instead of a described one.
    ready: Option<ErrorReply>,
    default: bool,
}

/// `http-error status CODE …`: a page that is described by its parts; texts with `%[…]` are refused by name.
fn http_error(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut reply = Described::default();
    while let Some(word) = line.words.next() {
        http_error_word(loader, line, word, &mut reply)?;
    }
    let Some(code) = reply.status else {
        return Err(line.alert("http-error : expects at least a <status> as arguments."));
    };
    if reply.default {
        loader.proxy()?.error_replies.remove(&code);
        return Ok(());
    }
    let made = match reply.ready.take() {
        Some(ready) => ready,
        None => describe(line, code, &reply)?,
    };
    loader.proxy()?.error_replies.insert(code, made);
    Ok(())
}

fn http_error_word(loader: &mut Loader, line: &mut Line<'_>, word: &Word, reply: &mut Described) -> Parsed {
    let expects = |line: &Line<'_>, what: &str| {
        line.alert_at(word, format!("http-error : '{}' expects {what} as argument", word.as_str()))
    };
    match word.as_str() {
        "status" => {
            let code = line.words.next().ok_or_else(|| expects(line, "<status_code>"))?;
            let known = code.as_str().parse().ok().filter(|code| STATUSES.contains(code));
            let message = || format!("http-error : Unexpected status code '{}'", code.as_str());
            reply.status = Some(known.ok_or_else(|| line.alert_at(code, message()))?);
        }
        "content-type" => {
            let value = line.words.next().ok_or_else(|| expects(line, "<ctype>"))?;
            reply.content_type = Some(value.as_str().to_owned());
        }
        "hdr" => {
            let (Some(name), Some(value)) = (line.words.next(), line.words.next()) else {
                return Err(line.alert_at(word, "http-error : 'hdr' expects <name> and <value> as arguments"));
            };
            if value.as_str().contains("%[") {
                return Err(not_yet(line, value, "headers with expressions"));
            }
            let format = expression::log_format(loader, line, value, FormatUse::Variable)?;
            let Some(constant) = format.as_constant() else {
                return Err(not_yet(line, value, "headers with expressions"));
            };
            let constant = String::from_utf8_lossy(&constant).into_owned();
            reply.headers.push((name.as_str().to_owned(), constant));
        }
        "string" => {
            let value = line.words.next().ok_or_else(|| expects(line, "<str>"))?;
            reply.body = Some(value.bytes().to_vec());
        }
        "file" => {
            let path = line.words.next().ok_or_else(|| expects(line, "<file>"))?;
            let message = || format!("http-error : error opening file '{}'", path.as_str());
            let body = std::fs::read(loader.path(path.as_str()));
            reply.body = Some(body.map_err(|_| line.alert_at(path, message()))?);
        }
        "errorfile" => {
            let path = line.words.next().ok_or_else(|| expects(line, "<file>"))?;
            reply.ready = Some(read(loader, line, path)?);
        }
        "default-errorfiles" => reply.default = true,
        "lf-string" | "lf-file" | "errorfiles" => {
            return Err(not_yet(line, word, &format!("'{}'", word.as_str())));
        }
        other => return Err(line.alert_at(word, format!("http-error : unknown keyword '{other}'."))),
    }
    Ok(())
}

fn not_yet(line: &Line<'_>, word: &Word, what: &str) -> Diagnostic {
    let message =
        format!("'http-error' is not supported yet with {what}: it will come with a later release.");
    line.alert_at(word, message).help("'http-request return' and 'http-response return' have them")
}

/// The message of a described reply, headers in the original's order.
fn describe(line: &Line<'_>, status: u16, reply: &Described) -> Result<ErrorReply, Diagnostic> {
    let body = reply.body.clone().unwrap_or_default();
    let content_type = match &reply.content_type {
        Some(content_type) => Some(content_type),
        None if body.is_empty() => None,
        None => {
            let message = "http-error : a content type must be defined when non-empty payload is configured";
            return Err(line.alert(message));
        }
    };
    let mut head = format!("HTTP/1.1 {status} {}\r\n", crate::http::reply::reason(status));
    for (name, value) in &reply.headers {
        head += &format!("{name}: {value}\r\n");
    }
    head += &format!("content-length: {}\r\n", body.len());
    if let Some(content_type) = content_type.filter(|_| !body.is_empty()) {
        head += &format!("content-type: {content_type}\r\n");
    }
    let bytes = [head.as_bytes(), b"\r\n", &body].concat();
    StaticReply::parse_within(bytes.clone(), usize::MAX)
        .map_err(|error| line.alert(format!("http-error : {error}.")))?;
    Ok(ErrorReply::File { path: format!("http-error {status}"), bytes: bytes.into() })
}
