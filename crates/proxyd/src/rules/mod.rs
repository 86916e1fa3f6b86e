//! Rules: an action and its condition, in one of the rule sets.
//!
//! Every action is one item ([`ActionDef`]) with its name, where it may stand, its documentation and its parser,
//! next to the code that carries it out.

use std::fmt;
use std::sync::Arc;

use serde::Serialize;

use crate::expr::Condition;
use crate::model::Location;

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

/// What an action does when its condition holds.
pub trait Action: fmt::Debug + Send + Sync {}

/// One rule; compares and serialises as its text.
#[derive(Debug, Clone)]
pub struct Rule {
    /// The action and its arguments as written, blanks normalised, without the condition.
    pub text: String,
    pub location: Location,
    pub action: Arc<dyn Action>,
    pub condition: Option<Arc<Condition>>,
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
