//! `normalize-uri` (configuration manual, "http-request normalize-uri"; RFC 3986 §6.2).

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::rules::action_def::{ActionDef, ActionWords, HTTP_REQUEST};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] =
    &[ActionDef::new("normalize-uri", HTTP_REQUEST, "Brings the request target into a normal form.", parse)];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Normalizer {
    FragmentEncode,
    FragmentStrip,
    PathMergeSlashes,
    PathStripDot,
    PathStripDotDot { full: bool },
    PercentDecodeUnreserved { strict: bool },
    PercentToUppercase { strict: bool },
    QuerySortByName,
}

const NAMES: [(&str, Normalizer); 8] = [
    ("fragment-encode", Normalizer::FragmentEncode),
    ("fragment-strip", Normalizer::FragmentStrip),
    ("path-merge-slashes", Normalizer::PathMergeSlashes),
    ("path-strip-dot", Normalizer::PathStripDot),
    ("path-strip-dotdot", Normalizer::PathStripDotDot { full: false }),
    ("percent-decode-unreserved", Normalizer::PercentDecodeUnreserved { strict: false }),
    ("percent-to-uppercase", Normalizer::PercentToUppercase { strict: false }),
    ("query-sort-by-name", Normalizer::QuerySortByName),
];

fn parse(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    if !words.scope.experimental {
        return Err(words.alert(
            "'normalize-uri' action is experimental, must be allowed via a global 'expose-experimental-directives'",
        ));
    }
    let word = words.required("missing argument <normalizer>.")?;
    let Some((_, mut normalizer)) = NAMES.iter().find(|(name, _)| word == *name).copied() else {
        return Err(Diagnostic::alert(format!("unknown normalizer '{}'.", word.as_str()))
            .at(word.span)
            .did_you_mean(word.as_str(), NAMES.iter().map(|(name, _)| *name)));
    };
    let option = match &mut normalizer {
        Normalizer::PathStripDotDot { full } => Some(("full", full)),
        Normalizer::PercentDecodeUnreserved { strict } | Normalizer::PercentToUppercase { strict } => {
            Some(("strict", strict))
        }
        _ => None,
    };
    if let Some((name, flag)) = option {
        *flag = words.words.take_if(name);
    }
    Ok(Arc::new(Normalize(normalizer)))
}

#[derive(Debug)]
struct Normalize(Normalizer);

/// A percent sign without two hexadecimal digits, in strict mode.
#[derive(Debug, PartialEq, Eq)]
struct InvalidEscape;

impl Action for Normalize {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.with_buffer(|txn, out| {
            let Some(request) = txn.request.as_deref_mut() else { return Verdict::Continue };
            let uri = request.uri();
            match normalize(self.0, uri.path, uri.query, uri.path_and_query, out) {
                // A target that cannot be normalised is a bad request; the page is the proxy's.
                Err(InvalidEscape) => {
                    txn.reply_page(400);
                    Verdict::Deny
                }
                Ok(()) if out == uri.path_and_query => Verdict::Continue,
                Ok(()) => {
                    let result = request.set_path_and_query(out);
                    txn.rewritten(result)
                }
            }
        })
    }
}

fn normalize(
    normalizer: Normalizer,
    path: &[u8],
    query: Option<&[u8]>,
    whole: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), InvalidEscape> {
    match normalizer {
        Normalizer::FragmentEncode => {
            for &byte in whole {
                match byte {
                    b'#' => out.extend_from_slice(b"%23"),
                    other => out.push(other),
                }
            }
            return Ok(());
        }
        Normalizer::FragmentStrip => {
            out.extend_from_slice(whole.split(|&byte| byte == b'#').next().unwrap_or_default());
            return Ok(());
        }
        Normalizer::PercentDecodeUnreserved { strict } => return escapes(whole, strict, true, out),
        Normalizer::PercentToUppercase { strict } => return escapes(whole, strict, false, out),
        Normalizer::PathMergeSlashes => {
            for &byte in path {
                if byte != b'/' || out.last() != Some(&b'/') {
                    out.push(byte);
                }
            }
        }
        Normalizer::PathStripDot => strip_dots(path, out),
        Normalizer::PathStripDotDot { full } => strip_dot_dots(path, full, out),
        Normalizer::QuerySortByName => out.extend_from_slice(path),
    }
    if let Some(query) = query {
        out.push(b'?');
        if normalizer == Normalizer::QuerySortByName {
            let mut parameters: Vec<&[u8]> = query.split(|&byte| byte == b'&').collect();
            parameters.sort_by_key(|parameter| parameter.split(|&byte| byte == b'=').next());
            out.extend_from_slice(&parameters.join(&b'&'));
        } else {
            out.extend_from_slice(query);
        }
    }
    Ok(())
}

/// Removes `.` segments.
fn strip_dots(path: &[u8], out: &mut Vec<u8>) {
    let segments: Vec<&[u8]> = path.split(|&byte| byte == b'/').collect();
    let last = segments.len().saturating_sub(1);
    let mut first = true;
    for (index, segment) in segments.iter().enumerate() {
        if *segment == b"." {
            // `/a/.` becomes `/a/`.
            if index == last && !first {
                out.push(b'/');
            }
            continue;
        }
        if !first {
            out.push(b'/');
        }
        first = false;
        out.extend_from_slice(segment);
    }
}

/// Removes `segment/..`; leading `..` only with `full`.
fn strip_dot_dots(path: &[u8], full: bool, out: &mut Vec<u8>) {
    let mut kept: Vec<&[u8]> = Vec::new();
    let absolute = path.first() == Some(&b'/');
    let mut ends_in_directory = false;
    for segment in path.strip_prefix(b"/").unwrap_or(path).split(|&byte| byte == b'/') {
        ends_in_directory = false;
        if segment != b".." {
            kept.push(segment);
        } else if kept.last().is_some_and(|last| *last != b"..") {
            kept.pop();
            ends_in_directory = true;
        } else if full {
            ends_in_directory = true;
        } else {
            kept.push(segment);
        }
    }
    if absolute {
        out.push(b'/');
    }
    out.extend_from_slice(&kept.join(&b'/'));
    if ends_in_directory && !out.ends_with(b"/") {
        out.push(b'/');
    }
}

/// Rewrites percent escapes: to upper case, or unreserved ones (RFC 3986 §2.3) to their byte.
fn escapes(text: &[u8], strict: bool, decode: bool, out: &mut Vec<u8>) -> Result<(), InvalidEscape> {
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        let (b'%', [high, low, after @ ..]) = (*first, tail) else {
            if *first == b'%' && strict {
                return Err(InvalidEscape);
            }
            out.push(*first);
            continue;
        };
        let digit = |byte: &u8| (*byte as char).to_digit(16);
        match (digit(high), digit(low)) {
            (Some(a), Some(b)) => {
                let byte = (a * 16 + b) as u8;
                let unreserved = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
                if decode && unreserved {
                    out.push(byte);
                } else if decode {
                    out.extend_from_slice(&[b'%', *high, *low]);
                } else {
                    out.extend_from_slice(&[b'%', high.to_ascii_uppercase(), low.to_ascii_uppercase()]);
                }
                rest = after;
            }
            _ if strict => return Err(InvalidEscape),
            _ => out.push(b'%'),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn normal(normalizer: Normalizer, target: &str) -> String {
        let uri = crate::http::Uri::parse(target.as_bytes());
        let mut out = Vec::new();
        match normalize(normalizer, uri.path, uri.query, uri.path_and_query, &mut out) {
            Ok(()) => String::from_utf8(out).unwrap(),
            Err(InvalidEscape) => "invalid".into(),
        }
    }

    /// The examples of the configuration manual.
    #[test]
    fn normalize_uri() {
        use Normalizer::*;
        for (normalizer, before, after) in [
            (FragmentEncode, "/#foo", "/%23foo"),
            (FragmentStrip, "/#foo", "/"),
            (PathStripDot, "/.", "/"),
            (PathStripDot, "/./bar/", "/bar/"),
            (PathStripDot, "/a/./a", "/a/a"),
            (PathStripDot, "/.well-known/", "/.well-known/"),
            (PathStripDotDot { full: false }, "/foo/../", "/"),
            (PathStripDotDot { full: false }, "/foo/../bar/", "/bar/"),
            (PathStripDotDot { full: false }, "/foo/bar/../", "/foo/"),
            (PathStripDotDot { full: false }, "/../bar/", "/../bar/"),
            (PathStripDotDot { full: false }, "/bar/../../", "/../"),
            (PathStripDotDot { full: false }, "/foo//../", "/foo/"),
            (PathStripDotDot { full: true }, "/../bar/", "/bar/"),
            (PathStripDotDot { full: true }, "/bar/../../", "/"),
            (PathMergeSlashes, "//", "/"),
            (PathMergeSlashes, "/foo//bar", "/foo/bar"),
            (PercentDecodeUnreserved { strict: false }, "/%61dmin", "/admin"),
            (PercentDecodeUnreserved { strict: false }, "/foo%3Fbar=baz", "/foo%3Fbar=baz"),
            (PercentDecodeUnreserved { strict: false }, "/%%36%36", "/%66"),
            (PercentDecodeUnreserved { strict: true }, "/%xx", "invalid"),
            (PercentToUppercase { strict: false }, "/%6f", "/%6F"),
            (PercentToUppercase { strict: false }, "/%zz", "/%zz"),
            (PercentToUppercase { strict: true }, "/%zz", "invalid"),
            (QuerySortByName, "/?c=3&a=1&b=2", "/?a=1&b=2&c=3"),
            (QuerySortByName, "/?aaa=3&a=1&aa=2", "/?a=1&aa=2&aaa=3"),
            (QuerySortByName, "/?a=3&b=4&a=1&b=5&a=2", "/?a=3&a=1&a=2&b=4&b=5"),
        ] {
            assert_eq!(normal(normalizer, before), after, "{normalizer:?} {before}");
        }
    }
}
