//! `crt-list` files: one certificate a line, with options of its own and the names it answers to.
//!
//! Configuration manual, "crt-list": `<crtfile> [\[<sslbindconf>…\]] [[!]<snifilter> …]`.

use std::path::PathBuf;

use super::pem::Parts;
use crate::model::TlsSetting;

/// Words of `[…]` that stand alone.
const FLAGS: [&str; 4] = ["allow-0rtt", "no-alpn", "no-ca-names", "no-tls-tickets"];
/// Words that have a value.
const WITH_VALUE: [&str; 18] = [
    "alpn",
    "ca-file",
    "ca-verify-file",
    "ciphers",
    "ciphersuites",
    "client-sigalgs",
    "crl-file",
    "curves",
    "ecdhe",
    "issuer",
    "key",
    "npn",
    "ocsp",
    "ocsp-update",
    "sctl",
    "sigalgs",
    "ssl-max-ver",
    "ssl-min-ver",
];

/// One line of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub file: String,
    /// What is said between brackets, as words of a `bind` line.
    pub options: Vec<TlsSetting>,
    /// Names instead of the certificate's own; empty keeps those.
    pub filters: Vec<String>,
    /// Counted from 1.
    pub line: u32,
}

/// Reads a list; errors are per line, with its number.
pub fn parse(text: &str) -> (Vec<Entry>, Vec<(usize, String)>) {
    let (mut entries, mut errors) = (Vec::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()) {
        match entry(line, number) {
            Ok(Some(entry)) => entries.push(entry),
            Ok(None) => {}
            Err(problem) => errors.push((number as usize, problem)),
        }
    }
    (entries, errors)
}

/// Reads one line; `None` for an empty one or a comment.
pub fn entry(line: &str, number: u32) -> Result<Option<Entry>, String> {
    let line = line.trim();
    if line.is_empty() || line.starts_with('#') {
        return Ok(None);
    }
    let (file, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
    let rest = rest.trim_start();
    let (options, filters) = match rest.strip_prefix('[') {
        None => (Vec::new(), rest),
        Some(rest) => {
            let Some((options, filters)) = rest.split_once(']') else {
                return Err("']' is missing after the options".to_owned());
            };
            (settings(options)?, filters)
        }
    };
    let filters = filters.split_whitespace().take_while(|filter| !filter.starts_with('#')).map(str::to_owned);
    Ok(Some(Entry { file: file.to_owned(), options, filters: filters.collect(), line: number }))
}

fn settings(text: &str) -> Result<Vec<TlsSetting>, String> {
    let mut words = text.split_whitespace();
    let mut found = Vec::new();
    while let Some(name) = words.next() {
        let value = if FLAGS.contains(&name) {
            ""
        } else if WITH_VALUE.contains(&name) || name == "verify" {
            words.next().ok_or_else(|| format!("'{name}' : missing argument"))?
        } else {
            return Err(format!("unknown ssl keyword {name}"));
        };
        if name == "ocsp-update" && !matches!(value, "on" | "off") {
            return Err(format!("'{name}' : expects 'on' or 'off', not '{value}'"));
        }
        found.push(TlsSetting { name: name.to_owned(), value: value.to_owned() });
    }
    Ok(found)
}

/// Words that say what is loaded, and nothing about handshakes.
pub fn is_about_loading(word: &TlsSetting) -> bool {
    matches!(word.name.as_str(), "issuer" | "key" | "ocsp" | "ocsp-update" | "sctl")
}

/// The files that an entry names beside its certificate; `None` when it leaves them to their usual places.
pub fn parts(options: &[TlsSetting], resolve: impl Fn(&str, &str) -> PathBuf) -> Option<Parts> {
    let named = |name: &str, base: &str| {
        options.iter().rev().find(|word| word.name == name).map(|word| resolve(base, &word.value))
    };
    let parts = Parts {
        key: named("key", "key-base"),
        ocsp: named("ocsp", "crt-base"),
        issuer: named("issuer", "crt-base"),
        sctl: named("sctl", "crt-base"),
    };
    (parts != Parts::default()).then_some(parts)
}

/// The name that a list goes by: directories lose the slashes at their end.
pub fn name(path: &str) -> &str {
    match path.trim_end_matches('/') {
        "" => path,
        name => name,
    }
}

/// The options as `show ssl crt-list` shows them, with brackets; nothing without any.
pub fn shown(options: &[TlsSetting]) -> String {
    if options.is_empty() {
        return String::new();
    }
    let words: Vec<String> =
        options
            .iter()
            .map(|word| {
                if word.value.is_empty() {
                    word.name.clone()
                } else {
                    format!("{} {}", word.name, word.value)
                }
            })
            .collect();
    format!(" [{}]", words.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_a_file_options_and_filters() {
        let text =
            "# comment\n\na.pem\nb.pem [] *.b.example !no.b.example # why\nc.pem [alpn h2 allow-0rtt] c\n";
        let (entries, errors) = parse(text);
        assert!(errors.is_empty(), "{errors:?}");
        let seen: Vec<_> =
            entries.iter().map(|e| (e.line, e.file.as_str(), e.options.len(), e.filters.len())).collect();
        assert_eq!(seen, [(3, "a.pem", 0, 0), (4, "b.pem", 0, 2), (5, "c.pem", 2, 1)]);
        assert_eq!(shown(&entries[2].options), " [alpn h2 allow-0rtt]");
    }

    #[test]
    fn bad_options_are_named_with_their_line() {
        let (entries, errors) =
            parse("a.pem [alpn\nb.pem [verify]\nc.pem [what 1]\nd.pem [ocsp-update maybe]\n");
        assert!(entries.is_empty());
        let lines: Vec<usize> = errors.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [1, 2, 3, 4]);
        assert_eq!(errors[2].1, "unknown ssl keyword what");
    }
}
