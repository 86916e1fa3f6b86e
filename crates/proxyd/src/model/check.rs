//! How a backend's servers are checked (configuration manual: "option httpchk", "http-check", "option tcp-check" …).

use hacore::probe::steps::{HttpRequest, HttpSend, Step, Text};
use serde::Serialize;

use crate::tls::Ready;

/// The kind of check.
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
    /// `option httpchk [METHOD] URI [VERSION [HOST]]`; headers are those of the old trick behind the version.
    Http {
        method: String,
        uri: String,
        version: String,
        headers: Vec<(String, String)>,
        host: Option<CheckText>,
    },
    /// Ours alone: `option grpc-check [service NAME]`; an empty name asks about the whole server.
    Grpc { service: String },
    /// Ours alone: `option sentinel-check master NAME [quorum N] sentinel ADDRESS…`.
    Sentinel { master: String, quorum: Option<usize>, sentinels: Vec<std::net::SocketAddr> },
}

impl CheckKind {
    /// `option httpchk` without arguments.
    pub fn http() -> Self {
        CheckKind::Http {
            method: "OPTIONS".to_owned(),
            uri: "/".to_owned(),
            version: "HTTP/1.0".to_owned(),
            headers: Vec::new(),
            host: None,
        }
    }
}

/// A log-format string and what it was made into.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckText {
    pub text: String,
    #[serde(skip)]
    pub ready: Ready<Text>,
}

/// A step, or for `http-check send` what it says about the request.
#[derive(Debug, Clone)]
pub enum CheckStep {
    Step(Step),
    /// Stands on the `option httpchk` line or on the default request; see [`HttpSend::over`].
    HttpSend {
        send: HttpSend,
        comment: Option<String>,
    },
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
    /// The kind and the rules come from a `defaults` section: the first rule of the proxy's own replaces them.
    #[serde(skip)]
    pub inherited: bool,
}

impl Check {
    /// Begins a ruleset of the proxy's own: what a `defaults` section says about the steps and the request is gone,
    /// only the kind stays.
    pub fn disinherit(&mut self) {
        if std::mem::take(&mut self.inherited) {
            self.rules.clear();
            if matches!(self.kind, CheckKind::Http { .. }) {
                self.kind = CheckKind::http();
            }
        }
    }

    /// Whether a step connects by TLS of its own accord (`connect ssl`).
    pub fn connects_by_tls(&self) -> bool {
        use hacore::probe::steps::Action;
        self.rules.iter().any(|rule| match rule.step.0.as_deref() {
            Some(CheckStep::Step(Step { action: Action::Connect(connect), .. })) => connect.ssl,
            _ => false,
        })
    }

    /// The steps in order; `line` is the request of the `option httpchk` line.
    pub fn steps(&self, family: &str, line: &HttpRequest) -> Vec<Step> {
        use hacore::probe::steps::Action;
        let mut steps = Vec::new();
        let mut first_send = true;
        for rule in self.rules.iter().filter(|rule| rule.family == family) {
            match rule.step.0.as_deref() {
                Some(CheckStep::Step(step)) => steps.push(step.clone()),
                Some(CheckStep::HttpSend { send, comment }) => {
                    let base = HttpRequest::default();
                    let request = send.clone().over(if first_send { line } else { &base });
                    first_send = false;
                    steps.push(Step { action: Action::SendHttp(request), comment: comment.clone() });
                }
                // Every line that was accepted has been made into a step.
                None => {}
            }
        }
        steps
    }
}

/// One `http-check` or `tcp-check` line: its words, and where it stands.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckRule {
    /// `http` or `tcp`.
    pub family: &'static str,
    pub words: Vec<String>,
    pub location: super::Location,
    /// What the words were made into.
    #[serde(skip)]
    pub step: Ready<CheckStep>,
}
