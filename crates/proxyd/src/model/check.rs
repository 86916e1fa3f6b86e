//! How a backend's servers are checked (configuration manual: "option httpchk", "http-check", "option tcp-check" …).

use serde::Serialize;

/// The kind of check; the steps of `http-check` and `tcp-check` are added by the check engine's issue.
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub enum CheckKind {
    /// A TCP connection that succeeds.
    #[default]
    Tcp,
    /// `option tcp-check`, or an `option httpchk` with rules: the steps are in [`Check::rules`].
    TcpSequence,
    /// `option mysql-check [user U]`, `pgsql-check user U`, `redis-check`, `smtpchk`, `ldap-check`, `ssl-hello-chk`,
    /// `spop-check`, `external-check`: the protocol's name and its argument.
    Protocol { name: String, argument: String },
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
    /// `http-check send-state`.
    pub send_state: bool,
    /// `http-check …` and `tcp-check …` in order.
    pub rules: Vec<CheckRule>,
    /// `external-check command`.
    pub external_command: Option<String>,
    /// `external-check path`.
    pub external_path: Option<String>,
}

/// One `http-check` or `tcp-check` line: its words, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CheckRule {
    /// `http` or `tcp`.
    pub family: &'static str,
    pub words: Vec<String>,
    pub location: super::Location,
}
