//! `redirect` to a location, a prefix or a scheme.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use super::reply::start;
use crate::expr::LogFormat;
use crate::http::{Framing, HeadFull};
use crate::rules::action_def::{ActionDef, ActionWords, HTTP_FIRST};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] =
    &[ActionDef::new("redirect", HTTP_FIRST, "Answers with a redirect.", parse)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Location,
    Prefix,
    Scheme,
}

#[derive(Debug)]
struct Redirect {
    kind: Kind,
    target: LogFormat,
    code: u16,
    drop_query: bool,
    append_slash: bool,
    ignore_empty: bool,
    /// `location … keep-query`: the request's query is appended.
    keep_query: bool,
    set_cookie: Option<Box<[u8]>>,
}

/// Reads the words after `redirect`.
pub(in crate::rules) fn parse(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    const EXPECTED: [&str; 10] = [
        "code",
        "prefix",
        "location",
        "scheme",
        "set-cookie",
        "clear-cookie",
        "drop-query",
        "keep-query",
        "ignore-empty",
        "append-slash",
    ];
    let mut target = None;
    let (mut code, mut set_cookie) = (302, None);
    let (mut drop_query, mut append_slash, mut ignore_empty, mut keep_query) = (false, false, false, false);
    while let Some(keyword) = words.next_word() {
        let name = keyword.as_str();
        match name {
            "location" | "prefix" | "scheme" => {
                let kind = match name {
                    "location" => Kind::Location,
                    "prefix" => Kind::Prefix,
                    _ => Kind::Scheme,
                };
                target = Some((kind, argument(words, name)?));
            }
            "code" => {
                let word = argument(words, name)?;
                code = crate::expr::sample::int_prefix(word.bytes()).unwrap_or(0) as u16;
                if !matches!(code, 301 | 302 | 303 | 307 | 308) {
                    let message = format!(
                        "'code': unsupported HTTP code '{}' (must be one of 301, 302, 303, 307 or 308).",
                        word.as_str()
                    );
                    return Err(Diagnostic::alert(message).at(word.span));
                }
            }
            "set-cookie" => set_cookie = Some(cookie(argument(words, name)?.bytes(), b"; path=/;")),
            "clear-cookie" => {
                set_cookie = Some(cookie(argument(words, name)?.bytes(), b"; path=/; Max-Age=0;"));
            }
            "drop-query" => drop_query = true,
            "keep-query" => keep_query = true,
            "append-slash" => append_slash = true,
            "ignore-empty" => ignore_empty = true,
            _ => {
                let message = format!(
                    "expects 'code', 'prefix', 'location', 'scheme', 'set-cookie', 'clear-cookie', 'drop-query', \
                     'ignore-empty' or 'append-slash' (was '{name}')."
                );
                return Err(Diagnostic::alert(message).at(keyword.span).did_you_mean(name, EXPECTED));
            }
        }
    }
    let Some((kind, word)) = target else {
        return Err(words.alert("redirection type expected ('prefix', 'location', or 'scheme')."));
    };
    let target = words.http_format(word)?;
    Ok(Arc::new(Redirect {
        kind,
        target,
        code,
        drop_query,
        append_slash,
        ignore_empty,
        keep_query,
        set_cookie,
    }))
}

fn argument<'w>(
    words: &mut ActionWords<'w, '_>,
    keyword: &str,
) -> Result<&'w hacore::diag::Word, Diagnostic> {
    words.required(&format!("missing argument for '{keyword}'."))
}

fn cookie(text: &[u8], attributes: &[u8]) -> Box<[u8]> {
    [text, attributes].concat().into()
}

impl Redirect {
    fn reason(&self) -> &'static str {
        match self.code {
            301 => "Moved Permanently",
            303 => "See Other",
            307 => "Temporary Redirect",
            308 => "Permanent Redirect",
            _ => "Found",
        }
    }

    /// Appends the location that `rendered` leads to.
    fn location(&self, txn: &Txn<'_>, rendered: &[u8], out: &mut Vec<u8>) {
        let request = txn.request.as_deref();
        let uri = request.map(|head| head.uri());
        let kept: &[u8] = match uri {
            Some(uri) if self.drop_query => uri.path,
            Some(uri) => uri.path_and_query,
            None => b"/",
        };
        match self.kind {
            Kind::Location => {
                out.extend_from_slice(rendered);
                if self.keep_query
                    && let Some(query) = uri.and_then(|uri| uri.query)
                {
                    out.push(if rendered.contains(&b'?') { b'&' } else { b'?' });
                    out.extend_from_slice(query);
                }
                return;
            }
            Kind::Prefix if rendered == b"/" => {}
            Kind::Prefix => out.extend_from_slice(rendered),
            Kind::Scheme => {
                out.extend_from_slice(rendered);
                out.extend_from_slice(b"://");
                let host = request.and_then(|head| head.headers.find(b"host"));
                out.extend_from_slice(host.unwrap_or_default());
            }
        }
        out.extend_from_slice(kept);
        if self.append_slash && !kept.is_empty() && !kept.ends_with(b"/") {
            out.push(b'/');
        }
    }

    fn write(&self, txn: &mut Txn<'_>, location: &[u8]) -> Result<(), HeadFull> {
        start(txn.reply, self.code, self.reason())?;
        let headers = &mut txn.reply.head.headers;
        headers.add(b"content-length", b"0")?;
        headers.add(b"location", location)?;
        if matches!(self.code, 302 | 303 | 307) {
            headers.add(b"cache-control", b"no-cache")?;
        }
        if let Some(cookie) = &self.set_cookie {
            headers.add(b"set-cookie", cookie)?;
        }
        txn.reply.head.set_framing(Framing::Length(0));
        Ok(())
    }
}

impl Action for Redirect {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.with_text(&self.target, |txn, rendered| {
            if self.ignore_empty && rendered.is_empty() {
                return Verdict::Continue;
            }
            txn.with_buffer(|txn, location| {
                self.location(txn, rendered, location);
                match self.write(txn, location) {
                    Ok(()) => Verdict::Return,
                    Err(HeadFull) => Verdict::Failed,
                }
            })
        })
    }
}
