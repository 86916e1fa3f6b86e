//! Compiled values that compare and serialise as their source text.

use serde::Serialize;

/// A sample expression: a fetch and its converters.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Expr {
    pub text: String,
}

/// An ACL condition after `if` or `unless`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Condition {
    pub text: String,
}

/// A log format or string format.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogFormat {
    pub text: String,
}
