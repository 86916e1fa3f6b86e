//! The conditions of `.if`, `.elif` and `-cc` (configuration manual, section 2.4 "Conditional blocks").

use pest::Parser;
use pest::iterators::Pair;

use crate::version;

#[derive(pest_derive::Parser)]
#[grammar = "config/grammar/condition.pest"]
struct ConditionGrammar;

/// The deepest nesting of parentheses; the grammar recurses.
const NESTING_MAX: usize = 32;

/// Why a condition cannot be evaluated, in HAProxy's wording; `at` is a byte offset within the condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ConditionError {
    pub message: String,
    pub at: usize,
}

/// What the predicates ask.
pub struct Facts<'a> {
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// Whether an option that `enabled()` names (`POLL`, `SPLICE`, …) is on.
    pub enabled: &'a dyn Fn(&str) -> bool,
}

/// Evaluates `text`; an empty condition is false.
pub fn evaluate(text: &str, facts: &Facts<'_>) -> Result<bool, ConditionError> {
    if text.trim().is_empty() {
        return Ok(false);
    }
    let unparsable = |at: usize| ConditionError {
        message: format!("unparsable conditional expression '{}'", text.get(at..).unwrap_or(text)),
        at,
    };
    let depth = text.bytes().filter(|&b| b == b'(').count();
    if depth > NESTING_MAX {
        return Err(unparsable(0));
    }
    let mut pairs = ConditionGrammar::parse(Rule::condition, text).map_err(|error| {
        let at = match error.location {
            pest::error::InputLocation::Pos(at) | pest::error::InputLocation::Span((at, _)) => at,
        };
        failure(text, at).unwrap_or_else(|| unparsable(blame(text, at)))
    })?;
    let or =
        pairs.next().and_then(|condition| condition.into_inner().find(|pair| pair.as_rule() == Rule::or));
    or.map_or(Err(unparsable(0)), |or| evaluate_or(or, text, facts))
}

/// Where an unparsable rest begins: at an operator without a right side, else where reading stopped.
fn blame(text: &str, at: usize) -> usize {
    let trimmed = text.trim_end();
    if at < trimmed.len() {
        at
    } else if trimmed.ends_with("&&") || trimmed.ends_with("||") {
        trimmed.len() - 2
    } else {
        0
    }
}

/// The two failures that HAProxy tells apart from an unparsable expression.
fn failure(text: &str, at: usize) -> Option<ConditionError> {
    let opened = text.bytes().filter(|&b| b == b'(').count();
    let closed = text.bytes().filter(|&b| b == b')').count();
    if opened > closed && text.trim_start().starts_with('(') {
        let message = format!("expected ')' after conditional expression '{text}'");
        return Some(ConditionError { message, at: 0 });
    }
    if at >= text.trim_end().len() {
        return None;
    }
    let character = text.get(at..)?.chars().next()?;
    let valid_before = ConditionGrammar::parse(Rule::condition, text.get(..at)?).is_ok();
    (valid_before && !matches!(character, '&' | '|')).then(|| ConditionError {
        message: format!("unexpected character '{character}' at the end of conditional expression '{text}'"),
        at,
    })
}

fn evaluate_or(or: Pair<'_, Rule>, text: &str, facts: &Facts<'_>) -> Result<bool, ConditionError> {
    let mut result = false;
    for and in or.into_inner().filter(|pair| pair.as_rule() == Rule::and) {
        let mut all = true;
        for term in and.into_inner().filter(|pair| pair.as_rule() == Rule::term) {
            // Every term is evaluated, so that a wrong predicate is reported wherever it stands.
            all &= evaluate_term(term, text, facts)?;
        }
        result |= all;
    }
    Ok(result)
}

fn evaluate_term(term: Pair<'_, Rule>, text: &str, facts: &Facts<'_>) -> Result<bool, ConditionError> {
    let mut negated = false;
    for part in term.into_inner() {
        let value = match part.as_rule() {
            Rule::not => {
                negated = !negated;
                continue;
            }
            Rule::integer => part.as_str().bytes().any(|b| (b'1'..=b'9').contains(&b)),
            Rule::group => match part.into_inner().find(|pair| pair.as_rule() == Rule::or) {
                Some(or) => evaluate_or(or, text, facts)?,
                None => false,
            },
            Rule::predicate => evaluate_predicate(part, text, facts)?,
            _ => continue,
        };
        return Ok(value != negated);
    }
    Ok(negated)
}

/// A predicate's name and how many arguments it needs.
const PREDICATES: &[(&str, usize)] = &[
    ("awslc_api_atleast", 1),
    ("awslc_api_before", 1),
    ("defined", 1),
    ("enabled", 1),
    ("feature", 1),
    ("fips_mode", 0),
    ("openssl_version_atleast", 1),
    ("openssl_version_before", 1),
    ("ssllib_name_startswith", 1),
    ("streq", 2),
    ("strneq", 2),
    ("strstr", 2),
    ("version_atleast", 1),
    ("version_before", 1),
];

fn evaluate_predicate(pair: Pair<'_, Rule>, text: &str, facts: &Facts<'_>) -> Result<bool, ConditionError> {
    let (start, end) = (pair.as_span().start(), pair.as_span().end());
    let mut name = "";
    let mut arguments = Vec::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::name => name = part.as_str(),
            Rule::argument => arguments.push(argument(part)),
            _ => {}
        }
    }
    let Some(&(_, needed)) = PREDICATES.iter().find(|(known, _)| *known == name) else {
        let message = format!("unparsable conditional expression '{}'", text.get(start..).unwrap_or(text));
        return Err(ConditionError { message, at: start });
    };
    if needed > 1 && arguments.len() < needed {
        let message = format!(
            "missing arguments (got {}/{needed}), type 'string' expected in argument {} of predicate '{name}' used in conditional expression",
            arguments.len(),
            arguments.len()
        );
        return Err(ConditionError { message, at: end.saturating_sub(1) });
    }
    let first = arguments.first().map_or("", String::as_str);
    let second = arguments.get(1).map_or("", String::as_str);
    Ok(match name {
        "defined" => (facts.variable)(first).is_some(),
        "feature" => version::has_feature(first),
        "enabled" => (facts.enabled)(first),
        "streq" => first == second,
        "strneq" => first != second,
        "strstr" => first.contains(second),
        "version_atleast" => version::compare(&version::claimed(), first).is_ge(),
        "version_before" => version::compare(&version::claimed(), first).is_lt(),
        "ssllib_name_startswith" => version::TLS_LIBRARY.starts_with(first),
        "openssl_version_atleast" => version::compare(version::OPENSSL_LEVEL, first).is_ge(),
        "openssl_version_before" => version::compare(version::OPENSSL_LEVEL, first).is_lt(),
        // AWS-LC's C interface is not used: no version of it is there.
        _ => false,
    })
}

fn argument(pair: Pair<'_, Rule>) -> String {
    let mut text = String::new();
    for part in pair.into_inner() {
        match part.as_rule() {
            Rule::plain => text.push_str(part.as_str()),
            Rule::quoted | Rule::single_quoted => {
                text.extend(part.into_inner().map(|inner| inner.as_str().to_owned()));
            }
            _ => {}
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<bool, (String, usize)> {
        let facts = Facts { variable: &|name| (name == "HOME").then(String::new), enabled: &|_| false };
        evaluate(text, &facts).map_err(|e| (e.message, e.at + 1))
    }

    #[test]
    fn predicates_and_operators_are_the_manuals() {
        for text in [
            "1",
            "-1",
            "1||0 && 0",
            "!0",
            "!!1",
            "(1)",
            "defined(HOME)",
            "streq(a,a)",
            "strneq(a,b)",
            "strstr(abc,b)",
            "version_atleast(2.4-dev19)",
            "version_before(99.0)",
            "feature(THREAD)",
            "1 && (0 || 1)",
            "streq(\"a b\",'a b')",
        ] {
            assert_eq!(check(text), Ok(true), "{text}");
        }
        for text in [
            "",
            "0",
            "00",
            "!1",
            "0 && 1",
            "defined(NOPE)",
            "streq(a,b)",
            "feature(NOPE)",
            "defined",
            "version_before(2.0)",
        ] {
            assert_eq!(check(text), Ok(false), "{text}");
        }
    }

    /// The sentences were checked against HAProxy 2.6.12.
    #[test]
    fn mistakes_have_haproxys_wording() {
        let error = |text: &str| check(text).unwrap_err();
        assert_eq!(error("foo"), ("unparsable conditional expression 'foo'".into(), 1));
        assert_eq!(error("foo("), ("unparsable conditional expression 'foo('".into(), 1));
        assert_eq!(error("1 &&").0, "unparsable conditional expression '&&'");
        assert_eq!(
            error("1 2"),
            ("unexpected character '2' at the end of conditional expression '1 2'".into(), 3)
        );
        assert_eq!(error("1)").0, "unexpected character ')' at the end of conditional expression '1)'");
        assert_eq!(error("(1"), ("expected ')' after conditional expression '(1'".into(), 1));
        assert!(
            error("streq(a)")
                .0
                .starts_with("missing arguments (got 1/2), type 'string' expected in argument 1")
        );
        assert!(check(&"(".repeat(100_000)).is_err());
    }

    proptest::proptest! {
        #[test]
        fn no_condition_panics(text in "[a-z0-9()!&|, \"'_-]{0,40}") {
            let _ = check(&text);
        }
    }
}
