//! ACL keywords that are a fetch with a matching method: `path_beg` is `path -m beg`.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::MatchMethod;

/// One such keyword.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DerivedAcl {
    pub name: String,
    pub fetch: &'static str,
    pub method: MatchMethod,
}

/// Prefixes that exist with every string method, and their fetch.
const FAMILIES: &[(&str, &str)] = &[
    ("base", "base"),
    ("cook", "req.cook"),
    ("hdr", "req.hdr"),
    ("path", "path"),
    ("scook", "res.cook"),
    ("shdr", "res.hdr"),
    ("url", "url"),
    ("urlp", "urlp"),
];

const SUFFIXES: &[(&str, MatchMethod)] = &[
    ("", MatchMethod::Str),
    ("_beg", MatchMethod::Beg),
    ("_dir", MatchMethod::Dir),
    ("_dom", MatchMethod::Dom),
    ("_end", MatchMethod::End),
    ("_len", MatchMethod::Len),
    ("_reg", MatchMethod::Reg),
    ("_sub", MatchMethod::Sub),
];

const SINGLE: &[(&str, &str, MatchMethod)] = &[
    ("http_auth_group", "http_auth_group", MatchMethod::Str),
    ("method", "method", MatchMethod::Str),
    ("payload", "req.payload", MatchMethod::Bin),
    ("payload_lv", "req.payload_lv", MatchMethod::Bin),
    ("req.ssl_ver", "req.ssl_ver", MatchMethod::Int),
    ("req_rdp_cookie", "req.rdp_cookie", MatchMethod::Str),
    ("req_rdp_cookie_cnt", "req.rdp_cookie_cnt", MatchMethod::Int),
    ("req_ssl_sni", "req.ssl_sni", MatchMethod::Str),
    ("req_ssl_ver", "req.ssl_ver", MatchMethod::Int),
    ("req_ver", "req.ver", MatchMethod::Str),
    ("resp_ver", "res.ver", MatchMethod::Str),
    ("ssl_fc_sni_end", "ssl_fc_sni", MatchMethod::End),
    ("ssl_fc_sni_reg", "ssl_fc_sni", MatchMethod::Reg),
];

/// All of them, by name.
pub fn derived_acls() -> &'static HashMap<String, DerivedAcl> {
    static TABLE: LazyLock<HashMap<String, DerivedAcl>> = LazyLock::new(|| {
        let families = FAMILIES.iter().flat_map(|(prefix, fetch)| {
            SUFFIXES.iter().map(move |(suffix, method)| (format!("{prefix}{suffix}"), *fetch, *method))
        });
        let single = SINGLE.iter().map(|(name, fetch, method)| ((*name).to_owned(), *fetch, *method));
        families
            .chain(single)
            .map(|(name, fetch, method)| (name.clone(), DerivedAcl { name, fetch, method }))
            .collect()
    });
    &TABLE
}
