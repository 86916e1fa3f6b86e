//! `deny`, `return`, `tarpit`, `auth`: replies that rules make.

use std::sync::Arc;

use hacore::diag::{Diagnostic, Word};

use crate::expr::LogFormat;
use crate::http::reply::{StaticReply, reason};
use crate::http::{HeadFull, Version};
use crate::rules::action_def::{ActionDef, ActionWords, HTTP_FIRST, HTTP_REQUEST};
use crate::rules::{Action, Reply, RuleSet, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new(
        "deny",
        HTTP_FIRST,
        "Blocks the message with an error page or a reply of its own.",
        |words| {
            let status = if words.scope.set == RuleSet::HttpResponse { 502 } else { 403 };
            parse(words, Verdict::Deny, status)
        },
    ),
    ActionDef::new("return", HTTP_FIRST, "Answers with a reply of the proxy's own.", |words| {
        parse(words, Verdict::Return, 200)
    }),
    ActionDef::new(
        "tarpit",
        HTTP_REQUEST,
        "Blocks the request after holding it for `timeout tarpit`.",
        |words| parse(words, Verdict::Tarpit, 500),
    ),
    ActionDef::new("auth", HTTP_REQUEST, "Asks for a user and password (HTTP Basic).", auth),
];

/// What is sent.
#[derive(Debug)]
enum Content {
    /// The proxy's error page of the status.
    Page,
    /// A whole message from an `errorfile`.
    Message(Arc<StaticReply>),
    /// Status, fields and a body of the rule's own.
    Own { headers: Vec<(Box<[u8]>, LogFormat)>, content_type: Option<Box<[u8]>>, body: Body },
}

#[derive(Debug)]
enum Body {
    Empty,
    Constant(Box<[u8]>),
    Format(LogFormat),
}

#[derive(Debug)]
struct Answer {
    verdict: Verdict,
    status: u16,
    content: Content,
}

impl Action for Answer {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        match &self.content {
            Content::Page => txn.reply_page(self.status),
            Content::Message(message) => {
                message.write_to(&mut txn.reply.head, &mut txn.reply.body);
                txn.reply.is_silent = message.is_silent();
            }
            Content::Own { headers, content_type, body } => {
                if self.write_own(txn, headers, content_type.as_deref(), body).is_err() {
                    return Verdict::Failed;
                }
            }
        }
        self.verdict
    }
}

impl Answer {
    fn write_own(
        &self,
        txn: &mut Txn<'_>,
        headers: &[(Box<[u8]>, LogFormat)],
        content_type: Option<&[u8]>,
        body: &Body,
    ) -> Result<(), HeadFull> {
        start(txn.reply, self.status, reason(self.status))?;
        for (name, format) in headers {
            // A field without a value is left out.
            txn.with_text(format, |txn, value| {
                if value.is_empty() { Ok(()) } else { txn.reply.head.headers.add(name, value) }
            })?;
        }
        match body {
            Body::Empty => {}
            Body::Constant(bytes) => txn.reply.body.extend_from_slice(bytes),
            Body::Format(format) => txn.with_text(format, |txn, text| txn.reply.body.extend_from_slice(text)),
        }
        finish(txn.reply, content_type)
    }
}

/// Begins a reply without fields.
pub(super) fn start(reply: &mut Reply, status: u16, reason: &str) -> Result<(), HeadFull> {
    reply.clear();
    reply.head.set_start_line(Version::HTTP_11, status, reason.as_bytes())
}

/// [`crate::http::reply::finish`] of a reply.
pub(super) fn finish(reply: &mut Reply, content_type: Option<&[u8]>) -> Result<(), HeadFull> {
    crate::http::reply::finish(&mut reply.head, &mut reply.body, content_type)
}

/// What the words of a reply said, in the order they may come.
#[derive(Default)]
struct Parts<'w> {
    status: Option<u16>,
    content_type: Option<&'w Word>,
    headers: Vec<(Box<[u8]>, LogFormat)>,
    /// Keyword and value of the payload.
    payload: Option<(&'w str, Payload)>,
}

enum Payload {
    DefaultPages,
    /// `errorfiles NAME`: needs the status, so it is looked up at the end.
    Section(String),
    Message(Arc<StaticReply>),
    Body(Body),
}

fn parse(
    words: &mut ActionWords<'_, '_>,
    verdict: Verdict,
    default: u16,
) -> Result<Arc<dyn Action>, Diagnostic> {
    let mut parts = Parts::default();
    while let Some(keyword) = words.words.peek() {
        match keyword.as_str() {
            "status" | "deny_status" => status(words, &mut parts)?,
            "content-type" => {
                let _ = words.next_word();
                parts.content_type = Some(words.required("'content-type' expects <ctype> as argument.")?);
            }
            "hdr" => header(words, &mut parts)?,
            "default-errorfiles" | "errorfile" | "errorfiles" | "file" | "lf-file" | "string"
            | "lf-string" => {
                payload(words, &mut parts)?;
            }
            _ => break,
        }
    }
    let status = parts.status.unwrap_or(default);
    let content = content(words, parts, verdict, status)?;
    Ok(Arc::new(Answer { verdict, status, content }))
}

fn status<'w>(words: &mut ActionWords<'w, '_>, parts: &mut Parts<'w>) -> Result<(), Diagnostic> {
    let _ = words.next_word();
    let word = words.required("'status' expects <status_code> as argument.")?;
    let number = crate::expr::sample::int_prefix(word.bytes()).unwrap_or(0);
    match number {
        200..=599 => parts.status = Some(number as u16),
        _ => return Err(Diagnostic::alert(format!("Unexpected status code '{number}'.")).at(word.span)),
    }
    Ok(())
}

fn header<'w>(words: &mut ActionWords<'w, '_>, parts: &mut Parts<'w>) -> Result<(), Diagnostic> {
    const USAGE: &str = "'hdr' expects <name> and <value> as arguments.";
    let _ = words.next_word();
    let name = words.required(USAGE)?;
    let value = words.required(USAGE)?;
    let lower = name.bytes().to_ascii_lowercase();
    if matches!(lower.as_slice(), b"content-length" | b"transfer-encoding" | b"content-type" | b"connection")
    {
        let message = format!("header '{}' is forbidden.", name.as_str());
        return Err(Diagnostic::alert(message).at(name.span));
    }
    parts.headers.push((lower.into(), words.http_format(value)?));
    Ok(())
}

fn payload<'w>(words: &mut ActionWords<'w, '_>, parts: &mut Parts<'w>) -> Result<(), Diagnostic> {
    let Some(keyword) = words.next_word() else { return Ok(()) };
    if let Some((earlier, _)) = &parts.payload {
        let message = format!("unexpected '{}' argument, '{earlier}' already defined.", keyword.as_str());
        return Err(Diagnostic::alert(message).at(keyword.span));
    }
    let payload = match keyword.as_str() {
        "default-errorfiles" => Payload::DefaultPages,
        "errorfiles" => {
            Payload::Section(words.required("'errorfiles' expects <name> as argument.")?.as_str().into())
        }
        "errorfile" => {
            let path = words.required("'errorfile' expects <fmt> as argument.")?;
            let reply = StaticReply::parse(load(words, path)?)
                .map_err(|error| Diagnostic::alert(format!("'{}': {error}", path.as_str())).at(path.span))?;
            Payload::Message(Arc::new(reply))
        }
        "file" => {
            let path = words.required("'file' expects <file> as argument.")?;
            Payload::Body(Body::Constant(load(words, path)?.to_vec().into()))
        }
        "lf-file" => {
            let path = words.required("'lf-file' expects <file> as argument.")?;
            let text = Word::new(load(words, path)?.to_vec(), path.span);
            Payload::Body(Body::Format(words.string_format(&text)?))
        }
        "lf-string" => {
            let text = words.required("'lf-string' expects <fmt> as argument.")?;
            Payload::Body(Body::Format(words.string_format(text)?))
        }
        _ => {
            let text = words.required("'string' expects <str> as argument.")?;
            Payload::Body(Body::Constant(text.bytes().into()))
        }
    };
    parts.payload = Some((keyword.as_str(), payload));
    Ok(())
}

fn load(words: &ActionWords<'_, '_>, path: &Word) -> Result<Arc<[u8]>, Diagnostic> {
    words
        .expr_scope()
        .loader
        .load(path.as_str())
        .map_err(|_| Diagnostic::alert(format!("error opening file '{}'.", path.as_str())).at(path.span))
}

fn content(
    words: &ActionWords<'_, '_>,
    parts: Parts<'_>,
    verdict: Verdict,
    status: u16,
) -> Result<Content, Diagnostic> {
    let own = |body| Content::Own {
        headers: Vec::new(),
        content_type: parts.content_type.map(|word| word.bytes().into()),
        body,
    };
    let mut content = match parts.payload {
        None if verdict != Verdict::Return && parts.headers.is_empty() => Content::Page,
        None => own(Body::Empty),
        Some((_, Payload::DefaultPages)) => Content::Page,
        Some((_, Payload::Message(message))) => Content::Message(message),
        Some((keyword, Payload::Section(name))) => match (words.scope.http_errors)(&name, status) {
            Some(page) => Content::Message(page),
            None => {
                return Err(
                    words.alert(format!("'{keyword}': no page for status {status} in http-errors '{name}'."))
                );
            }
        },
        Some((_, Payload::Body(body))) => {
            let is_empty = matches!(&body, Body::Constant(bytes) if bytes.is_empty());
            if !is_empty && parts.content_type.is_none() {
                return Err(
                    words.alert("a content type must be defined when non-empty payload is configured.")
                );
            }
            own(body)
        }
    };
    match &mut content {
        Content::Own { headers, content_type, body } => {
            *headers = parts.headers;
            if let (Body::Empty, Some(ignored)) =
                (body, content_type.take_if(|_| parts.content_type.is_some()))
            {
                let name = String::from_utf8_lossy(&ignored).into_owned();
                words.warn(format!(
                    "content-type '{name}' ignored by the http reply because neither errorfile nor payload defined."
                ));
            } else {
                *content_type = parts.content_type.map(|word| word.bytes().into());
            }
        }
        _ if !parts.headers.is_empty() => {
            words.warn("hdr parameters ignored by the http reply when used with an erorrfile.".to_owned());
        }
        _ => {}
    }
    Ok(content)
}

#[derive(Debug)]
struct Auth {
    challenge: Box<[u8]>,
}

fn auth(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let realm = if words.words.take_if("realm") {
        words.required("missing realm value.")?.as_str().to_owned()
    } else {
        words.expr_scope().proxy.unwrap_or_default().to_owned()
    };
    let realm = realm.replace('"', "\\\"");
    Ok(Arc::new(Auth { challenge: format!("Basic realm=\"{realm}\"").into_bytes().into() }))
}

impl Action for Auth {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.reply_page(401);
        match txn.reply.head.headers.add(b"www-authenticate", &self.challenge) {
            Ok(()) => Verdict::Deny,
            Err(HeadFull) => Verdict::Failed,
        }
    }
}
