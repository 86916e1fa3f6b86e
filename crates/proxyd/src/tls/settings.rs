//! The TLS words of a `bind` or `server` line together with the defaults of the `global` section.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::SignatureScheme;
use rustls::crypto::CryptoProvider;

use super::Problem;
use super::files::TlsFiles;
use super::parameters::{self, Versions};
use super::sigalgs;
use super::trust::Kind;
use crate::model::TlsSetting;

/// Versions in order, as `ssl-min-ver` names them; rustls has the last two.
const VERSIONS: [&str; 5] = ["SSLv3", "TLSv1.0", "TLSv1.1", "TLSv1.2", "TLSv1.3"];
const TLS12: usize = 3;
const TLS13: usize = 4;

/// Which side's defaults apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Bind,
    Server,
}

impl Side {
    fn name(self) -> &'static str {
        match self {
            Side::Bind => "bind",
            Side::Server => "server",
        }
    }
}

/// The words of one line over the defaults.
#[derive(Debug, Clone, Copy)]
pub struct Settings<'a> {
    /// `ssl-default-*`, `crt-base` and relatives by keyword.
    pub global: &'a BTreeMap<String, String>,
    pub words: &'a [TlsSetting],
    pub side: Side,
    /// What all lines share.
    pub files: &'a Arc<TlsFiles>,
}

impl<'a> Settings<'a> {
    /// The last value of a word on the line.
    pub fn value(&self, name: &str) -> Option<&'a str> {
        self.words.iter().rev().find(|word| word.name == name).map(|word| word.value.as_str())
    }

    /// All values of a word, in order.
    pub fn values(&self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.words.iter().filter(move |word| word.name == name).map(|word| word.value.as_str())
    }

    /// The words of `ssl-default-*-options`.
    fn default_words(&self) -> impl Iterator<Item = &'a str> {
        let options = self.global.get(&format!("ssl-default-{}-options", self.side.name()));
        options.map_or("", String::as_str).split(' ').filter(|word| !word.is_empty())
    }

    /// Whether a flag is set by the line or by default; the line's `opposite` undoes it.
    pub fn flag(&self, name: &str, opposite: &str) -> bool {
        let own = self.words.iter().rev().find(|word| word.name == name || word.name == opposite);
        match own {
            Some(word) => word.name == name,
            None => {
                let last = self.default_words().filter(|word| *word == name || *word == opposite).last();
                last == Some(name)
            }
        }
    }

    /// The line's value, or that of `ssl-default-*-NAME`.
    fn or_default(&self, name: &str) -> Option<&'a str> {
        let default = || self.global.get(&format!("ssl-default-{}-{name}", self.side.name()));
        self.value(name).or_else(|| default().map(String::as_str))
    }

    /// A file name, under `base` (`crt-base`, `ca-base`) when it is relative.
    pub fn path(&self, base: &str, name: &str) -> PathBuf {
        match self.global.get(base) {
            Some(base) if !name.starts_with('/') && !name.starts_with('@') => {
                PathBuf::from(format!("{base}/{name}"))
            }
            _ => name.into(),
        }
    }

    /// `alpn` as a list; `None` when the line leaves it to the default.
    pub fn own_alpn(&self, problems: &mut Vec<Problem>) -> Option<Vec<Vec<u8>>> {
        let says = self.words.iter().any(|word| matches!(word.name.as_str(), "alpn" | "no-alpn"));
        says.then(|| self.alpn(problems))
    }

    /// `alpn` as a list.
    pub fn alpn(&self, problems: &mut Vec<Problem>) -> Vec<Vec<u8>> {
        let off = self.words.iter().rev().find(|word| matches!(word.name.as_str(), "alpn" | "no-alpn"));
        let Some(list) = off.filter(|word| word.name == "alpn").map(|word| word.value.as_str()) else {
            return Vec::new();
        };
        let names: Vec<&str> = list.split(',').collect();
        if let Some(name) = names.iter().find(|name| name.is_empty() || name.len() > 255) {
            let what = if name.is_empty() { "empty" } else { "too long" };
            problems.push(Problem::Word(format!("'alpn' : {what} protocol name in '{list}'")));
            return Vec::new();
        }
        names.iter().map(|name| name.as_bytes().to_vec()).collect()
    }

    /// `ssl-min-ver`, `ssl-max-ver`, `no-*`, `force-*`; without any that is spoken here there is a problem.
    pub fn versions(&self, problems: &mut Vec<Problem>) -> Versions {
        let mut range = Range::default();
        let mut defaults = self.default_words();
        while let Some(word) = defaults.next() {
            let value = if word.ends_with("-ver") { defaults.next().unwrap_or_default() } else { "" };
            range.apply(word, value);
        }
        let mut low = None;
        for word in self.words {
            if word.name.ends_with("-ver") && !VERSIONS.contains(&word.value.as_str()) {
                problems.push(Problem::Word(format!("'{}' : unknown ssl/tls version", word.value)));
                return Versions::default();
            }
            range.apply(&word.name, &word.value);
            if word.name == "ssl-min-ver" && range.first < TLS12 {
                low = Some(word);
            }
        }
        let versions = Versions { tls12: range.allows(TLS12), tls13: range.allows(TLS13) };
        if versions.tls12 || versions.tls13 {
            if let Some(word) = low {
                let text =
                    format!("'{} {}' : TLS 1.2 is the lowest version spoken here.", word.name, word.value);
                problems.push(Problem::Warning(text));
            }
        } else if (0..TLS12).any(|version| range.allows(version)) {
            let problem = "only versions below TLSv1.2 are enabled, and none of them is spoken here.";
            problems.push(Problem::Word(problem.to_owned()));
        } else {
            problems.push(Problem::Whole("all SSL/TLS versions are disabled".to_owned()));
        }
        versions
    }

    /// Cipher suites and groups.
    pub fn provider(&self, problems: &mut Vec<Problem>) -> Arc<CryptoProvider> {
        let system = |list: &str| list.starts_with("PROFILE=");
        let ciphers = self.or_default("ciphers");
        if let Some(list) = self.value("ciphers").filter(|list| system(list)) {
            problems.push(Problem::Warning(format!(
                "'ciphers' : '{list}' is taken as the system's default list."
            )));
        }
        let tls12 = match ciphers.filter(|list| !system(list)) {
            None => Vec::new(),
            Some(list) => {
                let suites = parameters::tls12_suites(list);
                if suites.is_empty() {
                    problems.push(Problem::Whole(format!("unable to set SSL cipher list to '{list}'")));
                }
                suites
            }
        };
        let tls13 = match self.or_default("ciphersuites") {
            None => Vec::new(),
            Some(list) => {
                let (suites, unknown) = parameters::tls13_suites(list);
                if suites.is_empty() {
                    problems.push(Problem::Whole(format!("unable to set TLS 1.3 cipher suites to '{list}'")));
                } else if !unknown.is_empty() {
                    let names = unknown.join(", ");
                    problems
                        .push(Problem::Warning(format!("'ciphersuites' : unknown and left out: {names}.")));
                }
                suites
            }
        };
        let ecdhe = || self.value("ecdhe").map(|list| (list, "elliptic named curve"));
        let curves = self.or_default("curves").map(|list| (list, "SSL curves list")).or_else(ecdhe);
        let groups = match curves {
            None => Vec::new(),
            Some((list, what)) => parameters::groups(list).unwrap_or_else(|| {
                problems.push(Problem::Whole(format!("unable to set {what} to '{list}'")));
                Vec::new()
            }),
        };
        parameters::provider(&tls12, &tls13, &groups)
    }

    /// `sigalgs`, `client-sigalgs`; `None` without one.
    pub fn signatures(&self, name: &str, problems: &mut Vec<Problem>) -> Option<Arc<[SignatureScheme]>> {
        let list = self.or_default(name)?;
        let parsed = sigalgs::parse(list);
        if parsed.is_none() {
            problems.push(Problem::Whole(format!("unable to set SSL Signature Algorithm list to '{list}'")));
        }
        parsed.map(Into::into)
    }

    /// Whether a word names this file of authorities or revocations.
    pub fn names(&self, kind: Kind, path: &str) -> bool {
        let is_of_kind = |word: &TlsSetting| match kind {
            Kind::Authorities => matches!(word.name.as_str(), "ca-file" | "ca-verify-file"),
            Kind::Revocations => word.name == "crl-file",
        };
        let mut named = self.words.iter().filter(|word| is_of_kind(word));
        named.any(|word| self.path("ca-base", &word.value) == Path::new(path))
    }

    /// A number of the `global` section.
    pub fn number(&self, name: &str) -> Option<usize> {
        self.global.get(name)?.parse().ok()
    }

    /// `{ on | off }` of the `global` section.
    pub fn is_on(&self, name: &str) -> bool {
        self.global.get(name).is_some_and(|value| value == "on")
    }
}

/// The versions that words leave.
struct Range {
    first: usize,
    last: usize,
    off: [bool; 5],
}

impl Default for Range {
    fn default() -> Self {
        Self { first: TLS12, last: TLS13, off: [false; 5] }
    }
}

impl Range {
    fn apply(&mut self, word: &str, value: &str) {
        let flagged = |prefix: &str| {
            let name = word.strip_prefix(prefix)?;
            ["sslv3", "tlsv10", "tlsv11", "tlsv12", "tlsv13"].iter().position(|known| *known == name)
        };
        let named = VERSIONS.iter().position(|known| *known == value);
        if let Some(version) = flagged("no-") {
            if let Some(off) = self.off.get_mut(version) {
                *off = true;
            }
        } else if let Some(version) = flagged("force-") {
            (self.first, self.last) = (version, version);
        } else if let ("ssl-min-ver", Some(version)) = (word, named) {
            self.first = version;
        } else if let ("ssl-max-ver", Some(version)) = (word, named) {
            self.last = version;
        }
    }

    fn allows(&self, version: usize) -> bool {
        (self.first..=self.last).contains(&version) && self.off.get(version) == Some(&false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions(words: &[(&str, &str)], default: &str) -> (Versions, Vec<Problem>) {
        let words: Vec<TlsSetting> = words
            .iter()
            .map(|(name, value)| TlsSetting { name: (*name).to_owned(), value: (*value).to_owned() })
            .collect();
        let global = BTreeMap::from([("ssl-default-bind-options".to_owned(), default.to_owned())]);
        let mut problems = Vec::new();
        let files = Arc::default();
        let settings = Settings { global: &global, words: &words, side: Side::Bind, files: &files };
        (settings.versions(&mut problems), problems)
    }

    #[test]
    fn versions_are_a_range_with_holes() {
        let both = Versions { tls12: true, tls13: true };
        let only13 = Versions { tls12: false, tls13: true };
        assert_eq!(versions(&[], ""), (both, vec![]));
        assert_eq!(versions(&[("ssl-min-ver", "TLSv1.3")], ""), (only13, vec![]));
        assert_eq!(versions(&[], "ssl-min-ver TLSv1.3 no-tls-tickets"), (only13, vec![]));
        assert_eq!(versions(&[("ssl-min-ver", "TLSv1.2")], "ssl-min-ver TLSv1.3").0, both, "the line wins");
        assert_eq!(versions(&[("no-tlsv12", "")], "").0, only13);
        assert_eq!(versions(&[("force-tlsv13", "")], "").0, only13);
    }

    #[test]
    fn no_version_left_is_an_error_and_old_ones_are_said_to_be_missing() {
        let (_, problems) = versions(&[("no-tlsv12", ""), ("no-tlsv13", "")], "");
        assert_eq!(problems, [Problem::Whole("all SSL/TLS versions are disabled".to_owned())]);
        let (left, problems) = versions(&[("ssl-min-ver", "TLSv1.0")], "");
        assert!(left.tls12 && matches!(problems[..], [Problem::Warning(_)]));
        let (_, problems) = versions(&[("force-tlsv10", "")], "");
        assert!(matches!(problems[..], [Problem::Word(_)]));
        let (_, problems) = versions(&[("ssl-min-ver", "TLSv1.9")], "");
        assert_eq!(problems, [Problem::Word("'TLSv1.9' : unknown ssl/tls version".to_owned())]);
    }
}
