//! Versions, cipher suites and key exchange groups under OpenSSL's names.
//!
//! What rustls has is all forward secret and authenticated; names of anything else are unknown here, and a list that
//! leaves nothing is an error, as in HAProxy.

use std::sync::Arc;

use rustls::crypto::aws_lc_rs::{self, cipher_suite as suite, kx_group as group};
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion, version};

/// `no-tlsv12`, `ssl-min-ver` and relatives: the versions left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Versions {
    pub tls12: bool,
    pub tls13: bool,
}

impl Default for Versions {
    fn default() -> Self {
        Self { tls12: true, tls13: true }
    }
}

impl Versions {
    /// For rustls; empty when the configuration disables all that exist here.
    pub fn supported(self) -> Vec<&'static SupportedProtocolVersion> {
        let mut versions = Vec::new();
        if self.tls13 {
            versions.push(&version::TLS13);
        }
        if self.tls12 {
            versions.push(&version::TLS12);
        }
        versions
    }
}

/// OpenSSL's name and the suite, in rustls's order of preference.
const TLS12: [(&str, SupportedCipherSuite); 6] = [
    ("ECDHE-ECDSA-AES256-GCM-SHA384", suite::TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-ECDSA-AES128-GCM-SHA256", suite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-ECDSA-CHACHA20-POLY1305", suite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256),
    ("ECDHE-RSA-AES256-GCM-SHA384", suite::TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384),
    ("ECDHE-RSA-AES128-GCM-SHA256", suite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256),
    ("ECDHE-RSA-CHACHA20-POLY1305", suite::TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256),
];

const TLS13: [(&str, SupportedCipherSuite); 3] = [
    ("TLS_AES_256_GCM_SHA384", suite::TLS13_AES_256_GCM_SHA384),
    ("TLS_AES_128_GCM_SHA256", suite::TLS13_AES_128_GCM_SHA256),
    ("TLS_CHACHA20_POLY1305_SHA256", suite::TLS13_CHACHA20_POLY1305_SHA256),
];

/// OpenSSL's group words whose suites we have in full; each means "all".
const EVERYTHING: [&str; 12] = [
    "DEFAULT",
    "ALL",
    "HIGH",
    "ECDHE",
    "EECDH",
    "kEECDH",
    "kECDHE",
    "AEAD",
    "TLSv1.2",
    "FIPS",
    "SUITEB128",
    "@SECLEVEL=1",
];

/// `ciphers`: the TLS 1.2 suites that an OpenSSL list selects, in the list's order.
///
/// Understood: suite names, the group words above, `PROFILE=SYSTEM` (the default), `AESGCM`, `CHACHA20`, `aRSA`, `aECDSA`
/// and their kin, `+` between words, and `!`, `-`. What names no suite that we have selects nothing.
pub fn tls12_suites(list: &str) -> Vec<SupportedCipherSuite> {
    let (mut chosen, mut banned): (Vec<&str>, Vec<&str>) = (Vec::new(), Vec::new());
    for word in list.split([':', ',', ' ']).filter(|word| !word.is_empty()) {
        if let Some(word) = word.strip_prefix('!') {
            banned.extend(matching(word));
            chosen.retain(|name| !banned.contains(name));
        } else if let Some(word) = word.strip_prefix('-') {
            let removed = matching(word);
            chosen.retain(|name| !removed.contains(name));
        } else if let Some(word) = word.strip_prefix('+') {
            let moved = matching(word);
            let (last, first): (Vec<&str>, Vec<&str>) = chosen.iter().partition(|name| moved.contains(name));
            chosen = [first, last].concat();
        } else {
            let added: Vec<&str> = matching(word)
                .into_iter()
                .filter(|name| !chosen.contains(name) && !banned.contains(name))
                .collect();
            chosen.extend(added);
        }
    }
    chosen.iter().filter_map(|name| by_name(&TLS12, name)).collect()
}

/// `ciphersuites`: the TLS 1.3 suites of a colon-separated list, in its order, and the names that are unknown here.
pub fn tls13_suites(list: &str) -> (Vec<SupportedCipherSuite>, Vec<&str>) {
    let (known, unknown): (Vec<_>, Vec<_>) = list
        .split(':')
        .filter(|name| !name.is_empty())
        .map(|name| (name, by_name(&TLS13, name)))
        .partition(|(_, suite)| suite.is_some());
    let suites = known.into_iter().filter_map(|(_, suite)| suite).collect();
    (suites, unknown.into_iter().map(|(name, _)| name).collect())
}

/// `curves`: the groups of a colon-separated list under OpenSSL's and NIST's names; `None` when none is known.
pub fn groups(list: &str) -> Option<Vec<&'static dyn SupportedKxGroup>> {
    let groups: Vec<&'static dyn SupportedKxGroup> = list
        .split(':')
        .filter_map(|name| match name.to_ascii_lowercase().as_str() {
            "x25519" => Some(group::X25519),
            "p-256" | "prime256v1" | "secp256r1" => Some(group::SECP256R1),
            "p-384" | "secp384r1" => Some(group::SECP384R1),
            "x25519mlkem768" => Some(group::X25519MLKEM768),
            _ => None,
        })
        .collect();
    (!groups.is_empty()).then_some(groups)
}

fn by_name(table: &[(&str, SupportedCipherSuite)], name: &str) -> Option<SupportedCipherSuite> {
    table.iter().find(|(known, _)| *known == name).map(|(_, suite)| *suite)
}

/// OpenSSL's name of a suite.
pub fn openssl_name(suite: SupportedCipherSuite) -> &'static str {
    TLS12.iter().chain(&TLS13).find(|(_, known)| *known == suite).map_or("", |(name, _)| name)
}

/// The TLS 1.2 names that a word without its sign selects.
fn matching(word: &str) -> Vec<&'static str> {
    let every = TLS12.iter().map(|(name, _)| *name);
    if word == "PROFILE=SYSTEM" || EVERYTHING.contains(&word) {
        return every.collect();
    }
    let accepts = |name: &str, part: &str| match part {
        "AESGCM" | "AES" => name.contains("-AES"),
        "AES128" | "AES128-GCM" => name.contains("-AES128"),
        "AES256" | "AES256-GCM" => name.contains("-AES256"),
        "CHACHA20" => name.contains("CHACHA20"),
        "RSA" | "aRSA" => name.contains("-RSA-"),
        "ECDSA" | "aECDSA" => name.contains("-ECDSA-"),
        "SHA256" => name.ends_with("SHA256"),
        "SHA384" => name.ends_with("SHA384"),
        _ => EVERYTHING.contains(&part) || name == part,
    };
    every.filter(|name| word.split('+').all(|part| accepts(name, part))).collect()
}

/// A provider with these suites and groups; empty lists mean the default.
pub fn provider(
    tls12: &[SupportedCipherSuite],
    tls13: &[SupportedCipherSuite],
    groups: &[&'static dyn SupportedKxGroup],
) -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    let or_all = |chosen: &[SupportedCipherSuite], all: &[(&str, SupportedCipherSuite)]| {
        if chosen.is_empty() { all.iter().map(|(_, suite)| *suite).collect() } else { chosen.to_vec() }
    };
    provider.cipher_suites = or_all(tls13, &TLS13);
    provider.cipher_suites.extend(or_all(tls12, &TLS12));
    if !groups.is_empty() {
        provider.kx_groups = groups.to_vec();
    }
    Arc::new(provider)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(list: &str) -> Vec<&'static str> {
        let suites = tls12_suites(list);
        suites
            .iter()
            .filter_map(|suite| TLS12.iter().find(|(_, known)| known == suite).map(|(name, _)| *name))
            .collect()
    }

    #[test]
    fn ciphers_takes_openssl_lists() {
        assert_eq!(names("HIGH:!aNULL:!MD5").len(), 6, "nothing of ours is anonymous or MD5");
        assert_eq!(names("PROFILE=SYSTEM").len(), 6);
        assert_eq!(
            names("ECDHE-RSA-AES128-GCM-SHA256:FOO:ECDHE-ECDSA-AES128-GCM-SHA256"),
            ["ECDHE-RSA-AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256"]
        );
        assert_eq!(names("ECDHE+CHACHA20:!aRSA"), ["ECDHE-ECDSA-CHACHA20-POLY1305"]);
        assert!(names("FOO").is_empty());
        assert!(names("ALL:!ECDHE").is_empty());
    }

    #[test]
    fn ciphersuites_and_curves_know_their_names() {
        let (suites, unknown) = tls13_suites("FOO:TLS_AES_128_GCM_SHA256");
        assert_eq!((suites.len(), unknown), (1, vec!["FOO"]));
        assert!(tls13_suites("FOO").0.is_empty());
        assert_eq!(groups("P-256:X25519").map(|groups| groups.len()), Some(2));
        assert!(groups("FOO").is_none());
    }
}
