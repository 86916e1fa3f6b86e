//! How a backend's servers are checked (configuration manual: "option httpchk", "http-check", "option tcp-check" …).

use serde::Serialize;

/// The kind of check; the steps of `http-check` and `tcp-check` are added by the check engine's issue.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub enum CheckKind {
    /// A TCP connection that succeeds.
    #[default]
    Tcp,
    /// `option httpchk [METHOD] URI [VERSION]`.
    Http { method: String, uri: String, version: String, headers: Vec<(String, String)> },
}

/// The check of a whole backend.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct Check {
    pub kind: CheckKind,
    /// `http-check disable-on-404`.
    pub disable_on_404: bool,
    /// `option log-health-checks`.
    pub log: bool,
}
