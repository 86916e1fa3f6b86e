//! One ACL expression: a criterion, flags, and patterns.

use hacore::diag::{Diagnostic, Word, Words};

use super::condition::Verdict;
use super::derived::derived_acls;
use super::matcher::{MatchMethod, Matcher, MatcherBuilder};
use crate::expr::{Contexts, EvalCtx, Expr, FetchState, ParseScope, SampleType};

/// `criterion [flags] [operator] [patterns]`, compiled.
#[derive(Debug)]
pub struct AclExpr {
    keyword: String,
    expr: Expr,
    matcher: Matcher,
}

impl AclExpr {
    /// Values of one fetch that are tried; a header list longer than this is cut.
    pub const VALUES_MAX: usize = 10_000;

    /// Reads to the end of the words.
    pub fn parse(words: &mut Words<'_>, scope: &ParseScope<'_>) -> Result<AclExpr, Diagnostic> {
        let span = words.here();
        let keyword = words.peek_str().unwrap_or_default().to_owned();
        let (expr, default_method) = parse_criterion(words, scope, &keyword)?;
        let mut builder = MatcherBuilder::new(default_method, expr.output_type());
        let flags_ended = builder.parse_flags(words, scope)?;
        builder.add_patterns(words)?;
        if builder.never_matches() && !flags_ended {
            scope.warn(
                Diagnostic::warning(format!(
                    "parsing acl keyword '{keyword}' :\n  no pattern to match against were provided, so this ACL \
                     will never match.\n  If this is what you intended, please add '--' to get rid of this \
                     warning.\n  If you intended to match only for existence, please use '-m found'.\n  If you \
                     wanted to force an int to match as a bool, please use '-m bool'.\n"
                ))
                .at(span),
            );
        }
        let matcher = builder.build(expr.fetch_name(), scope)?;
        Ok(AclExpr { keyword, expr, matcher })
    }

    /// The criterion as written.
    pub fn keyword(&self) -> &str {
        &self.keyword
    }

    pub fn contexts(&self) -> Contexts {
        self.expr.contexts()
    }

    pub fn expr(&self) -> &Expr {
        &self.expr
    }

    /// Tries every value of the fetch.
    pub fn eval(&self, ctx: &EvalCtx<'_>) -> Verdict {
        let mut state = FetchState { iterate: true, ..FetchState::default() };
        for _ in 0..Self::VALUES_MAX {
            if let Some(sample) = self.expr.eval_step(ctx, &mut state)
                && self.matcher.matches(sample)
            {
                return Verdict::Pass;
            }
            if !state.more {
                break;
            }
        }
        if state.may_change && !ctx.is_final { Verdict::Wait } else { Verdict::Fail }
    }
}

/// The criterion's expression and the matching method it implies.
fn parse_criterion(
    words: &mut Words<'_>,
    scope: &ParseScope<'_>,
    keyword: &str,
) -> Result<(Expr, Option<MatchMethod>), Diagnostic> {
    let Some(word) = words.peek() else {
        return Err(Diagnostic::alert("missing fetch method in ACL expression ''").at(words.here()));
    };
    let length = word.as_str().find(['(', ',']).unwrap_or(word.as_str().len());
    let name = word.as_str().get(..length).unwrap_or_default();
    let Some(derived) = derived_acls().get(name) else {
        let expr = Expr::parse_anywhere(words, scope).map_err(|d| in_acl(d, keyword))?;
        return Ok((expr, None));
    };
    let rest = word.as_str().get(length..).unwrap_or_default();
    let rewritten = Word::new([derived.fetch, rest].concat().into_bytes(), word.span);
    let mut list = vec![rewritten];
    list.extend_from_slice(words.rest().get(1..).unwrap_or_default());
    let mut inner = Words::new(&list, word.span);
    let expr = Expr::parse_anywhere(&mut inner, scope).map_err(|d| in_acl(d, keyword))?;
    words.seek(Words::position(words) + Words::position(&inner));
    // A converter changes what is matched, so the keyword's own method no longer applies.
    let method = expr.converter_names().next().is_none().then_some(derived.method);
    let method = method.filter(|m| *m != MatchMethod::Str || expr.output_type() != SampleType::Int);
    Ok((expr, method))
}

fn in_acl(mut diagnostic: Diagnostic, keyword: &str) -> Diagnostic {
    let message = &diagnostic.message;
    diagnostic.message =
        if message.starts_with("unknown fetch method") || message.starts_with("missing fetch") {
            format!("{message} in ACL expression '{keyword}'")
        } else {
            let name = keyword.split(['(', ',']).next().unwrap_or(keyword);
            format!("ACL keyword '{name}' : {message}")
        };
    diagnostic
}
