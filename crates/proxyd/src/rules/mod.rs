//! Rules: an action and its condition, in one of the rule sets.
//!
//! Every action is one item ([`ActionDef`]) with its name, where it may stand, its documentation and its parser,
//! next to the code that carries it out. [`parse_rule`] reads a rule, [`evaluate`] runs a set over a [`Txn`].
//! What this module does not do: sockets, timers, sending; a [`Verdict`] tells the data plane what to do.

mod action_def;
pub mod actions;
pub mod check;
mod txn;
mod verdict;

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::expr::{Condition, Contexts};
use crate::model::{Location, ProxyKind};

pub use action_def::{
    ActionDef, ActionWords, Captures, RuleScope, action_defs, parse_redirect_keyword, parse_rule,
};
pub use txn::{Effects, Reply, Scratch, Txn};
pub use verdict::{Progress, Verdict, evaluate};

/// Where a rule stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
pub enum RuleSet {
    TcpRequestConnection,
    TcpRequestSession,
    TcpRequestContent,
    TcpResponseContent,
    HttpRequest,
    HttpResponse,
    HttpAfterResponse,
}

impl RuleSet {
    /// The words that begin its lines.
    pub fn keyword(self) -> &'static str {
        match self {
            RuleSet::TcpRequestConnection => "tcp-request connection",
            RuleSet::TcpRequestSession => "tcp-request session",
            RuleSet::TcpRequestContent => "tcp-request content",
            RuleSet::TcpResponseContent => "tcp-response content",
            RuleSet::HttpRequest => "http-request",
            RuleSet::HttpResponse => "http-response",
            RuleSet::HttpAfterResponse => "http-after-response",
        }
    }

    pub fn is_http(self) -> bool {
        matches!(self, RuleSet::HttpRequest | RuleSet::HttpResponse | RuleSet::HttpAfterResponse)
    }

    /// Rules about the response.
    pub fn is_response(self) -> bool {
        matches!(self, RuleSet::TcpResponseContent | RuleSet::HttpResponse | RuleSet::HttpAfterResponse)
    }

    /// Where expressions of such rules are evaluated.
    pub fn contexts(self, kind: ProxyKind) -> Contexts {
        let pick = |frontend: Contexts, backend: Contexts| match kind {
            ProxyKind::Frontend => frontend,
            ProxyKind::Backend => backend,
            ProxyKind::Listen => frontend | backend,
        };
        match self {
            RuleSet::TcpRequestConnection => Contexts::FE_TCP_CONNECTION,
            RuleSet::TcpRequestSession => Contexts::FE_TCP_SESSION,
            RuleSet::TcpRequestContent => pick(Contexts::FE_REQUEST_CONTENT, Contexts::BE_REQUEST_CONTENT),
            RuleSet::TcpResponseContent => pick(Contexts::FE_RESPONSE_CONTENT, Contexts::BE_RESPONSE_CONTENT),
            RuleSet::HttpRequest => pick(Contexts::FE_HTTP_REQUEST, Contexts::BE_HTTP_REQUEST),
            RuleSet::HttpResponse | RuleSet::HttpAfterResponse => {
                pick(Contexts::FE_HTTP_RESPONSE, Contexts::BE_HTTP_RESPONSE)
            }
        }
    }
}

/// What a rule does when its condition holds.
pub trait Action: fmt::Debug + Send + Sync {
    /// Carries it out. [`Verdict::Continue`] goes on with the next rule.
    fn run(&self, txn: &mut Txn<'_>) -> Verdict;
}

/// One rule; compares and serialises as its text.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The action and its arguments as written, blanks normalised, without the condition.
    pub text: String,
    pub location: Location,
    pub action: Arc<dyn Action>,
    pub condition: Option<Arc<Condition>>,
}

impl Rule {
    /// The action's name as written, with its argument in parentheses.
    pub fn action_name(&self) -> &str {
        self.text.split(' ').next().unwrap_or_default()
    }
}

impl PartialEq for Rule {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.condition == other.condition
    }
}

impl Serialize for Rule {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut rule = serializer.serialize_struct("Rule", 3)?;
        rule.serialize_field("text", &self.text)?;
        rule.serialize_field("condition", &self.condition)?;
        rule.serialize_field("location", &self.location)?;
        rule.end()
    }
}

/// All rules of a proxy, by set, in order.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RuleSets {
    pub tcp_request_connection: Vec<Rule>,
    pub tcp_request_session: Vec<Rule>,
    pub tcp_request_content: Vec<Rule>,
    pub tcp_response_content: Vec<Rule>,
    pub http_request: Vec<Rule>,
    pub http_response: Vec<Rule>,
    pub http_after_response: Vec<Rule>,
}

impl RuleSets {
    pub fn of(&self, set: RuleSet) -> &[Rule] {
        match set {
            RuleSet::TcpRequestConnection => &self.tcp_request_connection,
            RuleSet::TcpRequestSession => &self.tcp_request_session,
            RuleSet::TcpRequestContent => &self.tcp_request_content,
            RuleSet::TcpResponseContent => &self.tcp_response_content,
            RuleSet::HttpRequest => &self.http_request,
            RuleSet::HttpResponse => &self.http_response,
            RuleSet::HttpAfterResponse => &self.http_after_response,
        }
    }

    /// Appends a rule to its set.
    pub fn push(&mut self, set: RuleSet, rule: Rule) {
        match set {
            RuleSet::TcpRequestConnection => &mut self.tcp_request_connection,
            RuleSet::TcpRequestSession => &mut self.tcp_request_session,
            RuleSet::TcpRequestContent => &mut self.tcp_request_content,
            RuleSet::TcpResponseContent => &mut self.tcp_response_content,
            RuleSet::HttpRequest => &mut self.http_request,
            RuleSet::HttpResponse => &mut self.http_response,
            RuleSet::HttpAfterResponse => &mut self.http_after_response,
        }
        .push(rule);
    }
}
