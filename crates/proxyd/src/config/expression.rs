//! The seam to the expression engine: conditions, log formats, sample expressions, rules and ACLs of a line.
//!
//! Only this file calls `crate::expr`'s and `crate::rules`' parsers.

use std::sync::Arc;

use hacore::diag::{Diagnostic, Word};

use super::keyword::{Line, Parsed};
use super::loader::Loader;
use crate::expr::{Condition, Expr, LogFormat};
use crate::rules::RuleSet;

/// The optional `if …` or `unless …` that ends a line.
pub fn condition(_loader: &mut Loader, line: &mut Line<'_>) -> Result<Option<Arc<Condition>>, Diagnostic> {
    let Some(word) = line.words.next() else { return Ok(None) };
    if !matches!(word.as_str(), "if" | "unless") {
        let message = format!("'{}' expects 'if' or 'unless' followed by a condition, got '{}'.", line.name, word.as_str());
        return Err(line.alert_at(word, message));
    }
    if line.words.is_empty() {
        return Err(line.alert_at(word, format!("missing condition after '{}'.", word.as_str())));
    }
    let text = format!("{} {}", word.as_str(), line.rest_text());
    Ok(Some(Arc::new(Condition { text })))
}

/// One word as a log format.
pub fn log_format(_loader: &mut Loader, word: &Word) -> Result<Arc<LogFormat>, Diagnostic> {
    Ok(Arc::new(LogFormat { text: word.as_str().to_owned() }))
}

/// A sample expression that takes the rest of the line.
pub fn expression(_loader: &mut Loader, line: &mut Line<'_>) -> Result<Arc<Expr>, Diagnostic> {
    if line.words.is_empty() {
        return Err(line.alert(format!("'{}' : missing expression.", line.name)));
    }
    Ok(Arc::new(Expr { text: line.rest_text() }))
}

/// A rule of one of the rule sets: action, arguments, condition.
pub fn rule(_loader: &mut Loader, line: &mut Line<'_>, _set: RuleSet) -> Parsed {
    line.required("an action.")?;
    line.words.seek(usize::MAX);
    Ok(())
}

/// `acl NAME CRITERION …`.
pub fn acl(_loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.words.seek(usize::MAX);
    Ok(())
}

/// `redirect …` as a line of its own.
pub fn redirect(_loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    line.required("'location', 'prefix' or 'scheme' as argument.")?;
    line.words.seek(usize::MAX);
    Ok(())
}

/// A log format's source text.
pub fn text(format: &LogFormat) -> &str {
    &format.text
}
