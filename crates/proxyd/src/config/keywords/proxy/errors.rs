//! `errorfile`, `errorloc`, `errorfiles`, `http-error`.

use std::sync::Arc;

use hacore::diag::{Diagnostic, Word};

use super::listed;
use crate::config::expression::{self, FormatUse};
use crate::config::keyword::{Keyword, Line, Parsed, Places};
use crate::config::loader::Loader;
use crate::expr::LogFormat;
use crate::http::reply::StaticReply;
use crate::model::{DescribedBody, DescribedReply, ErrorReply};

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
struct Described<'w> {
    status: Option<u16>,
    content_type: Option<String>,
    headers: Vec<(String, Arc<LogFormat>)>,
    /// The word that named the payload, and the payload.
    payload: Option<(&'w str, Payload)>,
}

enum Payload {
    Body(DescribedBody),
    /// A whole reply from elsewhere instead of a described one.
    Ready(ErrorReply),
    /// `errorfiles NAME`: looked up when everything was read.
    Section(Word),
    DefaultPages,
}

/// `http-error status CODE …`: a page that is described by its parts.
fn http_error(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let mut reply = Described::default();
    while let Some(word) = line.words.next() {
        http_error_word(loader, line, word, &mut reply)?;
    }
    let Some(code) = reply.status else {
        return Err(line.alert("http-error : expects at least a <status> as arguments."));
    };
    let made = match reply.payload.take() {
        Some((_, Payload::DefaultPages)) => {
            loader.proxy()?.error_replies.remove(&code);
            return Ok(());
        }
        Some((_, Payload::Section(name))) => {
            loader.draft()?.errorfiles.push((name, vec![code]));
            return Ok(());
        }
        Some((_, Payload::Ready(ready))) => ready,
        Some((_, Payload::Body(body))) => described(line, code, reply, body)?,
        None => described(line, code, reply, DescribedBody::Constant(Arc::default()))?,
    };
    loader.proxy()?.error_replies.insert(code, made);
    Ok(())
}

fn http_error_word<'w>(
    loader: &mut Loader,
    line: &mut Line<'w>,
    word: &'w Word,
    reply: &mut Described<'w>,
) -> Parsed {
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
            let lower = name.as_str().to_ascii_lowercase();
            if matches!(&*lower, "content-length" | "transfer-encoding" | "content-type" | "connection") {
                return Err(
                    line.alert_at(name, format!("http-error : header '{}' is forbidden", name.as_str()))
                );
            }
            let format = expression::log_format(loader, line, value, FormatUse::ErrorField)?;
            reply.headers.push((lower, format));
        }
        "string" | "file" | "lf-string" | "lf-file" | "errorfile" | "errorfiles" | "default-errorfiles" => {
            if let Some((earlier, _)) = &reply.payload {
                let message = format!(
                    "http-error : unexpected '{}' argument, '{earlier}' already defined",
                    word.as_str()
                );
                return Err(line.alert_at(word, message));
            }
            let payload = payload(loader, line, word)?;
            reply.payload = Some((word.as_str(), payload));
        }
        other => {
            let message = format!("http-error : unknown keyword '{other}'.");
            return Err(line.alert_at(word, message).did_you_mean(other, WORDS.iter().copied()));
        }
    }
    Ok(())
}

/// All words of an `http-error` line.
const WORDS: &[&str] = &[
    "status",
    "content-type",
    "hdr",
    "string",
    "file",
    "lf-string",
    "lf-file",
    "errorfile",
    "errorfiles",
    "default-errorfiles",
];

fn payload(loader: &mut Loader, line: &mut Line<'_>, keyword: &Word) -> Result<Payload, Diagnostic> {
    if keyword.as_str() == "default-errorfiles" {
        return Ok(Payload::DefaultPages);
    }
    let what = match keyword.as_str() {
        "string" => "<str>",
        "lf-string" => "<fmt>",
        "errorfiles" => "<name>",
        _ => "<file>",
    };
    let Some(value) = line.words.next() else {
        let message = format!("http-error : '{}' expects {what} as argument", keyword.as_str());
        return Err(line.alert_at(keyword, message));
    };
    Ok(match keyword.as_str() {
        "string" => Payload::Body(DescribedBody::Constant(value.bytes().into())),
        "lf-string" => Payload::Body(DescribedBody::Format(expression::log_format(
            loader,
            line,
            value,
            FormatUse::ErrorBody,
        )?)),
        "errorfiles" => Payload::Section(value.clone()),
        "errorfile" => Payload::Ready(read(loader, line, value)?),
        kind => {
            let bytes = std::fs::read(loader.path(value.as_str())).map_err(|_| {
                line.alert_at(value, format!("http-error : error opening file '{}'", value.as_str()))
            })?;
            if kind == "file" {
                Payload::Body(DescribedBody::Constant(bytes.into()))
            } else {
                let text = Word::new(bytes, value.span);
                let format = expression::log_format(loader, line, &text, FormatUse::ErrorBody)?;
                Payload::Body(DescribedBody::Format(format))
            }
        }
    })
}

/// A described reply; one without anything to evaluate becomes a message at once.
fn described(
    line: &Line<'_>,
    status: u16,
    reply: Described<'_>,
    body: DescribedBody,
) -> Result<ErrorReply, Diagnostic> {
    let constant = match &body {
        DescribedBody::Constant(bytes) => Some(bytes.to_vec()),
        DescribedBody::Format(format) => format.as_constant(),
    };
    if constant.as_ref().is_none_or(|bytes| !bytes.is_empty()) && reply.content_type.is_none() {
        let message = "http-error : a content type must be defined when non-empty payload is configured";
        return Err(line.alert(message));
    }
    let headers: Option<Vec<(&str, Vec<u8>)>> =
        reply.headers.iter().map(|(name, format)| Some((name.as_str(), format.as_constant()?))).collect();
    match (constant, headers) {
        (Some(body), Some(headers)) => {
            constant_reply(line, status, &headers, reply.content_type.as_deref(), &body)
        }
        _ => Ok(ErrorReply::Described(Arc::new(DescribedReply {
            status,
            headers: reply.headers,
            content_type: reply.content_type,
            body,
        }))),
    }
}

/// The message of a reply that is known at load, headers in the original's order.
fn constant_reply(
    line: &Line<'_>,
    status: u16,
    headers: &[(&str, Vec<u8>)],
    content_type: Option<&str>,
    body: &[u8],
) -> Result<ErrorReply, Diagnostic> {
    let mut message = format!("HTTP/1.1 {status} {}\r\n", crate::http::reply::reason(status)).into_bytes();
    for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
        message.extend_from_slice(name.as_bytes());
        message.extend_from_slice(b": ");
        message.extend_from_slice(value);
        message.extend_from_slice(b"\r\n");
    }
    message.extend(format!("content-length: {}\r\n", body.len()).into_bytes());
    if let Some(content_type) = content_type.filter(|_| !body.is_empty()) {
        message.extend(format!("content-type: {content_type}\r\n").into_bytes());
    }
    message.extend_from_slice(b"\r\n");
    message.extend_from_slice(body);
    StaticReply::parse_within(message.clone(), usize::MAX)
        .map_err(|error| line.alert(format!("http-error : {error}.")))?;
    Ok(ErrorReply::File { path: format!("http-error {status}"), bytes: message.into() })
}
