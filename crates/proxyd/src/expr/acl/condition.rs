//! `if`/`unless` conditions: ORs of ANDs of possibly negated ACLs (configuration manual, section 7.2).

use std::sync::Arc;

use hacore::diag::{Diagnostic, Words};
use serde::{Serialize, Serializer};

use super::AclExpr;
use super::table::{Acl, AclTable};
use crate::expr::{EvalCtx, ParseScope};

/// What a condition says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Fail,
    /// It depends on data that has not arrived yet.
    Wait,
    Pass,
}

impl Verdict {
    pub fn or(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Pass, _) | (_, Verdict::Pass) => Verdict::Pass,
            (Verdict::Wait, _) | (_, Verdict::Wait) => Verdict::Wait,
            _ => Verdict::Fail,
        }
    }

    pub fn and(self, other: Verdict) -> Verdict {
        match (self, other) {
            (Verdict::Fail, _) | (_, Verdict::Fail) => Verdict::Fail,
            (Verdict::Wait, _) | (_, Verdict::Wait) => Verdict::Wait,
            _ => Verdict::Pass,
        }
    }

    pub fn negate(self) -> Verdict {
        match self {
            Verdict::Pass => Verdict::Fail,
            Verdict::Wait => Verdict::Wait,
            Verdict::Fail => Verdict::Pass,
        }
    }
}

impl From<bool> for Verdict {
    fn from(pass: bool) -> Self {
        if pass { Verdict::Pass } else { Verdict::Fail }
    }
}

#[derive(Debug, Clone)]
struct Term {
    acl: Arc<Acl>,
    negated: bool,
}

/// A compiled condition. Compares and serialises as its source text, `if` or `unless` included.
#[derive(Debug, Clone)]
pub struct Condition {
    text: String,
    unless: bool,
    /// ORed; the terms of each are ANDed.
    suites: Vec<Vec<Term>>,
}

impl PartialEq for Condition {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Serialize for Condition {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl Condition {
    /// Terms of one condition; a longer one is refused.
    pub const TERMS_MAX: usize = 4096;

    /// Reads `if …` or `unless …` to the end of the words; `None` when there is nothing left.
    ///
    /// `what` names the rule in messages, such as `'http-request deny'`. ACLs that have no data at any of
    /// `scope.contexts` give HAProxy's warning.
    pub fn parse_optional(
        words: &mut Words<'_>,
        acls: &AclTable,
        scope: &ParseScope<'_>,
        what: &str,
    ) -> Result<Option<Condition>, Diagnostic> {
        match words.peek_str() {
            None => Ok(None),
            Some("if" | "unless") => Self::parse(words, acls, scope, what).map(Some),
            Some(other) => Err(Diagnostic::alert(format!(
                "{what} expects either 'if' or 'unless' followed by a condition but found '{other}'"
            ))
            .at(words.here())
            .did_you_mean(other, ["if", "unless"])),
        }
    }

    /// Reads `if …` or `unless …`, which must be there, to the end of the words.
    pub fn parse(
        words: &mut Words<'_>,
        acls: &AclTable,
        scope: &ParseScope<'_>,
        what: &str,
    ) -> Result<Condition, Diagnostic> {
        let unless = match words.peek_str() {
            Some("if") => false,
            Some("unless") => true,
            _ => {
                return Err(Diagnostic::alert(format!(
                    "{what} expects either 'if' or 'unless' followed by a condition"
                ))
                .at(words.here()));
            }
        };
        let _ = words.next();
        Self::parse_body(words, acls, scope, unless).map_err(|d| {
            super::table::prefixed(d, &format!("error detected while parsing an {what} condition"))
        })
    }

    /// Reads what follows `if` or `unless`.
    pub fn parse_body(
        words: &mut Words<'_>,
        acls: &AclTable,
        scope: &ParseScope<'_>,
        unless: bool,
    ) -> Result<Condition, Diagnostic> {
        let mut condition = Condition {
            text: if unless { "unless" } else { "if" }.to_owned(),
            unless,
            suites: vec![Vec::new()],
        };
        let mut terms = 0;
        while let Some(word) = words.next() {
            condition.text.push(' ');
            condition.text.push_str(word.as_str());
            if word.as_str().eq_ignore_ascii_case("or") || word == "||" {
                condition.suites.push(Vec::new());
                continue;
            }
            let bare = word.as_str().trim_start_matches('!');
            let mut negated = (word.as_str().len() - bare.len()) % 2 == 1;
            let mut bare = bare;
            // Blanks may stand between `!` and what it negates.
            while bare.is_empty() {
                let Some(next) = words.next() else { break };
                condition.text.push(' ');
                condition.text.push_str(next.as_str());
                bare = next.as_str().trim_start_matches('!');
                negated ^= (next.as_str().len() - bare.len()) % 2 == 1;
            }
            terms += 1;
            if terms > Self::TERMS_MAX {
                return Err(Diagnostic::alert("too many terms in condition").at(word.span));
            }
            let acl = match bare {
                "" => break,
                "{" => condition.anonymous(words, scope)?,
                name => named(name, acls, scope, word.span)?,
            };
            if let Some(last) = condition.suites.last_mut() {
                last.push(Term { acl, negated });
            }
        }
        Ok(condition)
    }

    fn anonymous(&mut self, words: &mut Words<'_>, scope: &ParseScope<'_>) -> Result<Arc<Acl>, Diagnostic> {
        let inside = words.rest();
        let span = words.here();
        let Some(length) = inside
            .iter()
            .position(|word| word == "}" || word == "")
            .filter(|at| inside.get(*at).is_some_and(|w| w == "}"))
        else {
            return Err(Diagnostic::alert("missing closing '}' in condition").at(span));
        };
        let inside = inside.get(..length).unwrap_or_default();
        for word in inside {
            self.text.push(' ');
            self.text.push_str(word.as_str());
        }
        self.text.push_str(" }");
        words.seek(Words::position(words) + length + 1);
        let expr = AclExpr::parse(&mut Words::new(inside, span), scope)?;
        if !expr.contexts().intersects(scope.contexts) {
            scope.warn(
                Diagnostic::warning(format!(
                    "anonymous acl will never match because it uses keyword '{}' which is incompatible with '{}'",
                    expr.keyword(),
                    scope.contexts.place_name(),
                ))
                .at(span),
            );
        }
        let acl = Acl::new("");
        acl.push(expr);
        Ok(Arc::new(acl))
    }

    /// The source text, `if` or `unless` included.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Whether the rule applies now; data that has not arrived counts as absent.
    pub fn eval(&self, ctx: &EvalCtx<'_>) -> bool {
        self.check(ctx) == Verdict::Pass
    }

    /// Whether the rule applies, or must wait for more data ([`EvalCtx::is_final`] is off).
    pub fn check(&self, ctx: &EvalCtx<'_>) -> Verdict {
        let mut result = Verdict::Fail;
        for suite in &self.suites {
            let mut all = Verdict::Pass;
            for term in suite {
                let verdict = term.acl.eval(ctx);
                all = all.and(if term.negated { verdict.negate() } else { verdict });
                if all == Verdict::Fail {
                    break;
                }
            }
            result = result.or(all);
            if result == Verdict::Pass {
                break;
            }
        }
        if self.unless { result.negate() } else { result }
    }
}

fn named(
    name: &str,
    acls: &AclTable,
    scope: &ParseScope<'_>,
    span: hacore::diag::Span,
) -> Result<Arc<Acl>, Diagnostic> {
    let Some(acl) = acls.find(name, scope) else {
        let names = acls.names();
        return Err(Diagnostic::alert(format!("no such ACL : '{name}'"))
            .at(span)
            .did_you_mean(name, names.iter().map(String::as_str)));
    };
    if !acl.contexts().intersects(scope.contexts) {
        scope.warn(
            Diagnostic::warning(format!(
                "acl '{name}' will never match because it only involves keywords that are incompatible with '{}'",
                scope.contexts.place_name(),
            ))
            .at(span),
        );
    }
    Ok(acl)
}
