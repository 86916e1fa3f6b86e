//! The table of actions and the parser of a rule's line.

use std::cell::RefCell;
use std::sync::Arc;

use hacore::diag::{Diagnostic, Word, Words};

use super::{Action, Rule, RuleSet, actions};
use crate::expr::{AclTable, Condition, Expr, LogFormat, LogFormatOptions, ParseScope};
use crate::http::reply::StaticReply;
use crate::model::{Location, ProxyKind};

/// Capture slots of a proxy: name (empty for `declare capture` and rules) and length, in order.
#[derive(Debug, Clone, Default)]
pub struct Captures {
    pub request: Vec<(String, usize)>,
    pub response: Vec<(String, usize)>,
}

/// What the parser of a rule must know about the place it stands.
pub struct RuleScope<'a> {
    pub set: RuleSet,
    pub kind: ProxyKind,
    /// The expression scope; its contexts are replaced by the rule set's.
    pub expr: &'a ParseScope<'a>,
    pub acls: &'a AclTable,
    /// `http-request capture … len` adds a slot; put the result into [`crate::model::Proxy::request_captures`].
    pub captures: &'a RefCell<Captures>,
    /// A page of an `http-errors` section by its name and status.
    pub http_errors: &'a dyn Fn(&str, u16) -> Option<Arc<StaticReply>>,
    /// `expose-experimental-directives` is set.
    pub experimental: bool,
}

/// One action: where it may stand, what it does, how it is read.
pub struct ActionDef {
    /// Without parentheses.
    pub name: &'static str,
    /// Written as `name(argument)`.
    pub takes_argument: bool,
    /// Any word that begins with `name` is meant (`track-sc0`, `lua.x`).
    pub is_prefix: bool,
    pub sets: &'static [RuleSet],
    /// One sentence for `--explain` and the documentation.
    pub doc: &'static str,
    pub parse: ParseAction,
}

type ParseAction = fn(&mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic>;

impl ActionDef {
    /// An action written as its name.
    pub(super) const fn new(
        name: &'static str,
        sets: &'static [RuleSet],
        doc: &'static str,
        parse: ParseAction,
    ) -> Self {
        Self { name, takes_argument: false, is_prefix: false, sets, doc, parse }
    }

    /// A family of actions whose names begin alike.
    pub(super) const fn prefix(
        name: &'static str,
        sets: &'static [RuleSet],
        doc: &'static str,
        parse: ParseAction,
    ) -> Self {
        Self { is_prefix: true, ..Self::new(name, sets, doc, parse) }
    }

    /// Written as `name(argument)`.
    pub(super) const fn with_argument(self) -> Self {
        Self { takes_argument: true, ..self }
    }
}

/// Every set with message heads or a stream.
pub(super) const ALL: &[RuleSet] = &[
    RuleSet::TcpRequestConnection,
    RuleSet::TcpRequestSession,
    RuleSet::TcpRequestContent,
    RuleSet::TcpResponseContent,
    RuleSet::HttpRequest,
    RuleSet::HttpResponse,
    RuleSet::HttpAfterResponse,
];
pub(super) const STREAM: &[RuleSet] =
    &[RuleSet::TcpRequestContent, RuleSet::TcpResponseContent, RuleSet::HttpRequest, RuleSet::HttpResponse];
pub(super) const HTTP: &[RuleSet] =
    &[RuleSet::HttpRequest, RuleSet::HttpResponse, RuleSet::HttpAfterResponse];
pub(super) const HTTP_FIRST: &[RuleSet] = &[RuleSet::HttpRequest, RuleSet::HttpResponse];
pub(super) const HTTP_REQUEST: &[RuleSet] = &[RuleSet::HttpRequest];
pub(super) const REQUEST_STREAM: &[RuleSet] = &[RuleSet::TcpRequestContent, RuleSet::HttpRequest];
pub(super) const TCP: &[RuleSet] = &[
    RuleSet::TcpRequestConnection,
    RuleSet::TcpRequestSession,
    RuleSet::TcpRequestContent,
    RuleSet::TcpResponseContent,
];

/// The words of one action and helpers to read them.
pub struct ActionWords<'w, 's> {
    pub words: &'s mut Words<'w>,
    pub scope: &'s RuleScope<'s>,
    /// The action as written, with its parentheses.
    pub name: &'w Word,
    /// What stood in the parentheses.
    pub argument: Option<&'w str>,
    expr: ParseScope<'s>,
}

impl<'w> ActionWords<'w, '_> {
    /// The next argument; `None` at the end or at `if` and `unless`.
    pub fn next_word(&mut self) -> Option<&'w Word> {
        self.words.next_if_argument()
    }

    /// The next argument, or an error.
    pub fn required(&mut self, message: &str) -> Result<&'w Word, Diagnostic> {
        let here = self.words.here();
        self.next_word().ok_or_else(|| Diagnostic::alert(message.to_owned()).at(here))
    }

    pub fn alert(&self, message: impl Into<String>) -> Diagnostic {
        Diagnostic::alert(message.into()).at(self.words.here())
    }

    /// Scope for expressions of this rule.
    pub fn expr_scope(&self) -> &ParseScope<'_> {
        &self.expr
    }

    /// A warning about this rule.
    pub fn warn(&self, message: String) {
        self.expr.warnings.borrow_mut().push(Diagnostic::warning(message).at(self.name.span));
    }

    /// A string format for headers, paths and locations.
    pub fn http_format(&self, word: &Word) -> Result<LogFormat, Diagnostic> {
        LogFormat::parse(word, LogFormatOptions::HTTP, &self.expr)
    }

    /// A remark about this rule that is no warning.
    pub fn notice(&self, message: &str) {
        self.expr.warnings.borrow_mut().push(Diagnostic::notice(message).at(self.name.span));
    }

    /// A plain string format.
    pub fn string_format(&self, word: &Word) -> Result<LogFormat, Diagnostic> {
        LogFormat::parse(word, LogFormatOptions::STRING, &self.expr)
    }

    /// A sample expression.
    pub fn expression(&mut self) -> Result<Expr, Diagnostic> {
        if self.words.peek_str().is_none_or(|word| matches!(word, "if" | "unless")) {
            return Err(self.alert("missing fetch method."));
        }
        Expr::parse(self.words, &self.expr)
    }
}

/// A cursor that stops at a condition.
trait Arguments<'w> {
    fn next_if_argument(&mut self) -> Option<&'w Word>;
}

impl<'w> Arguments<'w> for Words<'w> {
    fn next_if_argument(&mut self) -> Option<&'w Word> {
        if matches!(self.peek_str(), Some("if" | "unless")) { None } else { self.next() }
    }
}

/// All actions, for `-dKall`, the documentation and suggestions.
pub fn action_defs() -> impl Iterator<Item = &'static ActionDef> {
    actions::TABLES.iter().flat_map(|table| table.iter())
}

/// Reads a rule: the words after `http-request` (or another set's keyword).
///
/// Messages are HAProxy's. The whole line must be consumed.
pub fn parse_rule(
    words: &mut Words<'_>,
    location: Location,
    scope: &RuleScope<'_>,
) -> Result<Rule, Diagnostic> {
    let keyword = scope.set.keyword();
    let Some(name) = words.next() else {
        return Err(unknown(scope, None).at(words.here()));
    };
    let Some((def, argument)) = find(scope.set, name.as_str()) else {
        return Err(unknown(scope, Some(name)).at(name.span));
    };
    let start = Words::position(words);
    let expr = scope.expr.within(scope.set.contexts(scope.kind));
    let mut action_words = ActionWords { words, scope, name, argument, expr };
    let action =
        (def.parse)(&mut action_words).map_err(|diagnostic| in_rule(diagnostic, scope, name.as_str()))?;
    let text = text_of(words, start, name);
    let condition = condition(words, scope, &format!("{keyword} {}", name.as_str()))?;
    Ok(Rule { text, location, action, condition })
}

/// The old proxy keyword `redirect …`, which is an `http-request redirect` rule.
pub fn parse_redirect_keyword<'w>(
    words: &mut Words<'w>,
    keyword: &'w Word,
    location: Location,
    scope: &RuleScope<'_>,
) -> Result<Rule, Diagnostic> {
    let start = Words::position(words);
    let expr = scope.expr.within(scope.set.contexts(scope.kind));
    let wrap = |diagnostic: Diagnostic, middle: &str| {
        let message = format!("error detected in {} while parsing redirect rule : {middle}", place(scope));
        prefixed(diagnostic, &message)
    };
    let mut action_words = ActionWords { words, scope, name: keyword, argument: None, expr };
    let action = actions::redirect::parse(&mut action_words).map_err(|diagnostic| wrap(diagnostic, ""))?;
    let text = text_of(words, start, keyword);
    let condition = match words.peek_str() {
        None => None,
        Some(_) => Some(
            Condition::parse(
                words,
                scope.acls,
                &scope.expr.within(scope.set.contexts(scope.kind)),
                "'redirect'",
            )
            .map(Arc::new)
            .map_err(|diagnostic| wrap(diagnostic, "error in condition: "))?,
        ),
    };
    Ok(Rule { text, location, action, condition })
}

fn condition(
    words: &mut Words<'_>,
    scope: &RuleScope<'_>,
    what: &str,
) -> Result<Option<Arc<Condition>>, Diagnostic> {
    if let Some(other) = words.peek_str()
        && !matches!(other, "if" | "unless")
        && !scope.set.is_http()
    {
        let message = format!("'{what}' only accepts 'if' or 'unless', in {} (got '{other}')", place(scope));
        return Err(Diagnostic::alert(message).at(words.here()));
    }
    let expr = scope.expr.within(scope.set.contexts(scope.kind));
    Ok(Condition::parse_optional(words, scope.acls, &expr, &format!("'{what}'"))?.map(Arc::new))
}

/// `frontend 'name'`.
fn place(scope: &RuleScope<'_>) -> String {
    let kind = match scope.kind {
        ProxyKind::Frontend => "frontend",
        ProxyKind::Backend => "backend",
        ProxyKind::Listen => "listen",
    };
    match scope.expr.proxy {
        Some(name) => format!("{kind} '{name}'"),
        None => "defaults".to_owned(),
    }
}

fn in_rule(diagnostic: Diagnostic, scope: &RuleScope<'_>, name: &str) -> Diagnostic {
    if !scope.set.is_http() {
        return diagnostic;
    }
    let rule = format!("{} {name}", scope.set.keyword());
    let mut diagnostic =
        prefixed(diagnostic, &format!("error detected in {} while parsing '{rule}' rule : ", place(scope)));
    if !diagnostic.message.ends_with('.') {
        diagnostic.message.push('.');
    }
    diagnostic
}

fn prefixed(mut diagnostic: Diagnostic, prefix: &str) -> Diagnostic {
    diagnostic.message.insert_str(0, prefix);
    diagnostic
}

fn text_of(words: &Words<'_>, start: usize, name: &Word) -> String {
    let mut all = words.clone();
    all.seek(start);
    let taken = Words::position(words).saturating_sub(start);
    let mut text = name.as_str().to_owned();
    for word in all.rest().iter().take(taken) {
        text.push(' ');
        text.push_str(word.as_str());
    }
    text
}

fn find(set: RuleSet, word: &str) -> Option<(&'static ActionDef, Option<&str>)> {
    let (name, argument) = match word.split_once('(') {
        Some((name, rest)) => (name, Some(rest)),
        None => (word, None),
    };
    let fits = |def: &&ActionDef| {
        def.sets.contains(&set)
            && if def.is_prefix {
                word.starts_with(def.name)
            } else {
                def.name == name && (def.takes_argument || argument.is_none())
            }
    };
    action_defs().find(fits).map(|def| (def, argument))
}

fn unknown(scope: &RuleScope<'_>, word: Option<&Word>) -> Diagnostic {
    let known: Vec<&ActionDef> = action_defs().filter(|def| def.sets.contains(&scope.set)).collect();
    let list: Vec<String> = known
        .iter()
        .map(|def| format!("'{}{}'", def.name, if def.takes_argument || def.is_prefix { "(*)" } else { "" }))
        .collect();
    let got = word.map_or("", Word::as_str);
    let end = if word.is_none() { " (missing argument)." } else { "." };
    let message = format!("'{}' expects {}, but got '{got}'{end}", scope.set.keyword(), list.join(", "));
    Diagnostic::alert(message).did_you_mean(got, known.iter().map(|def| def.name))
}
