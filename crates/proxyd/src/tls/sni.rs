//! Which certificate a server name gets: exact names, wildcards, exceptions, and the default.
//!
//! Configuration manual, "crt-list" and "strict-sni": an exact match wins over a wildcard; a name with `!` excludes
//! what a wildcard of the same certificate would match; without a match the first certificate is used unless
//! `strict-sni` is set.

use std::collections::HashMap;
use std::sync::Arc;

use rustls::SignatureAlgorithm;

use super::certificate::Certificate;
use super::listener::OwnTls;

/// A certificate, and what its entry of a list says differently from the line.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub certificate: Arc<Certificate>,
    pub own: Option<Arc<OwnTls>>,
}

/// What a name leads to: at most one certificate for each kind of key.
#[derive(Debug, Default, Clone)]
struct Choice {
    candidates: Vec<Candidate>,
}

impl Choice {
    /// The first certificate of a kind stays; a later one with another kind of key joins it.
    fn add(&mut self, candidate: &Candidate) {
        let kind = candidate.certificate.algorithm();
        if !self.candidates.iter().any(|known| known.certificate.algorithm() == kind) {
            self.candidates.push(candidate.clone());
        }
    }

    /// ECDSA and EdDSA before RSA, as far as the client can verify them.
    fn best(&self, accepts: &dyn Fn(&Certificate) -> bool) -> Option<&Candidate> {
        let rank = |candidate: &&Candidate| match candidate.certificate.algorithm() {
            SignatureAlgorithm::RSA => 1,
            _ => 0,
        };
        self.candidates.iter().filter(|candidate| accepts(&candidate.certificate)).min_by_key(rank)
    }
}

/// The names of one listener's certificates.
#[derive(Debug, Default)]
pub struct SniTable {
    exact: HashMap<String, Choice>,
    /// By what follows the `*`, with its dot.
    wildcard: HashMap<String, Choice>,
    /// Names that wildcards must not answer for.
    excluded: HashMap<String, ()>,
    default: Choice,
    pub strict: bool,
    /// Some entry has settings of its own.
    pub has_own: bool,
}

impl SniTable {
    /// Adds a certificate under its own names, or under `filters` when a `crt-list` gives some.
    pub fn add(&mut self, candidate: &Candidate, filters: &[String]) {
        let certificate = &candidate.certificate;
        self.has_own |= candidate.own.is_some();
        // The default is the first certificate, and its twin with another kind of key.
        let first = self.default.candidates.first();
        if first.is_none_or(|first| first.certificate.names == certificate.names) {
            self.default.add(candidate);
        }
        let names = if filters.is_empty() { &certificate.names } else { filters };
        for name in names {
            let name = name.to_ascii_lowercase();
            if let Some(excluded) = name.strip_prefix('!') {
                self.excluded.insert(excluded.to_owned(), ());
            } else if let Some(suffix) = name.strip_prefix('*') {
                self.wildcard.entry(suffix.to_owned()).or_default().add(candidate);
            } else {
                self.exact.entry(name).or_default().add(candidate);
            }
        }
    }

    pub fn is_empty(&self) -> bool {
        self.default.candidates.is_empty()
    }

    /// The certificate for `name` (none when the client sent no name) among those that `accepts` allows.
    pub fn find(&self, name: Option<&str>, accepts: &dyn Fn(&Certificate) -> bool) -> Option<&Candidate> {
        let matched = name.and_then(|name| self.find_exactly(name, accepts));
        matched.or_else(|| if self.strict { None } else { self.first(accepts) })
    }

    /// The certificate that has `name`, without a default.
    pub fn find_exactly(&self, name: &str, accepts: &dyn Fn(&Certificate) -> bool) -> Option<&Candidate> {
        self.find_named(&name.to_ascii_lowercase(), accepts)
    }

    /// The first certificate, whether or not it is used for names that none has.
    pub fn first(&self, accepts: &dyn Fn(&Certificate) -> bool) -> Option<&Candidate> {
        self.default.best(accepts)
    }

    fn find_named(&self, name: &str, accepts: &dyn Fn(&Certificate) -> bool) -> Option<&Candidate> {
        if let Some(found) = self.exact.get(name).and_then(|choice| choice.best(accepts)) {
            return Some(found);
        }
        if self.excluded.contains_key(name) {
            return None;
        }
        let suffix = name.find('.').and_then(|dot| name.get(dot..))?;
        self.wildcard.get(suffix)?.best(accepts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tls::certificate::tests::certificate;

    fn table(certificates: &[(&[&str], &[&str])]) -> SniTable {
        let mut table = SniTable::default();
        for (names, filters) in certificates {
            let filters: Vec<String> = filters.iter().map(|&filter| filter.to_owned()).collect();
            let candidate = Candidate { certificate: Arc::new(certificate(names)), own: None };
            table.add(&candidate, &filters);
        }
        table
    }

    fn found(table: &SniTable, name: Option<&str>) -> Option<String> {
        table.find(name, &|_| true).map(|found| found.certificate.names[0].clone())
    }

    #[test]
    fn an_exact_name_wins_over_a_wildcard_and_the_first_is_the_default() {
        let table = table(&[(&["first.example"], &[]), (&["*.b.example"], &[]), (&["x.b.example"], &[])]);
        assert_eq!(found(&table, Some("X.b.example")).as_deref(), Some("x.b.example"));
        assert_eq!(found(&table, Some("y.b.example")).as_deref(), Some("*.b.example"));
        assert_eq!(found(&table, Some("y.x.b.example")).as_deref(), Some("first.example"), "one label only");
        assert_eq!(found(&table, None).as_deref(), Some("first.example"));
    }

    #[test]
    fn strict_sni_has_no_default() {
        let mut table = table(&[(&["first.example"], &[])]);
        table.strict = true;
        assert_eq!(found(&table, Some("other.example")), None);
        assert_eq!(found(&table, None), None);
    }

    #[test]
    fn a_filter_with_an_exclamation_mark_excludes() {
        let table = table(&[(&["first.example"], &[]), (&["w.example"], &["*.w.example", "!no.w.example"])]);
        assert_eq!(found(&table, Some("yes.w.example")).as_deref(), Some("w.example"));
        assert_eq!(found(&table, Some("no.w.example")).as_deref(), Some("first.example"));
    }
}
