//! `set-var(…)`, `set-var-fmt(…)`, `unset-var(…)`.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::{Expr, LogFormat, Sample, Scope, VarName};
use crate::rules::action_def::{ALL, ActionDef, ActionWords};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new(
        "set-var",
        ALL,
        "Sets a variable to an expression's value, under conditions on the variable or the value.",
        |words| set(words, false),
    )
    .with_argument(),
    ActionDef::new("set-var-fmt", ALL, "Sets a variable to a formatted string.", |words| set(words, true))
        .with_argument(),
    ActionDef::new("unset-var", ALL, "Forgets a variable.", unset).with_argument(),
];

/// Conditions within the parentheses; all must hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Test {
    Exists,
    NotExists,
    Empty,
    NotEmpty,
    Set,
    NotSet,
    Greater,
    Less,
}

const TESTS: [(&str, Test); 8] = [
    ("ifexists", Test::Exists),
    ("ifnotexists", Test::NotExists),
    ("ifempty", Test::Empty),
    ("ifnotempty", Test::NotEmpty),
    ("ifset", Test::Set),
    ("ifnotset", Test::NotSet),
    ("ifgt", Test::Greater),
    ("iflt", Test::Less),
];

impl Test {
    /// The condition of this name.
    pub(crate) fn named(name: &str) -> Option<Test> {
        TESTS.iter().find(|(known, _)| *known == name).map(|(_, test)| *test)
    }
}

#[derive(Debug)]
enum Value {
    Expr(Expr),
    Format(LogFormat),
}

#[derive(Debug)]
struct Set {
    name: VarName,
    tests: Vec<Test>,
    value: Value,
}

#[derive(Debug)]
struct Unset(VarName);

/// The text within the parentheses.
fn argument<'w>(words: &ActionWords<'w, '_>) -> Result<&'w str, Diagnostic> {
    const EXPECTED: &str =
        "Expects 'set-var(<var-name>)', 'set-var-fmt(<var-name>)' or 'unset-var(<var-name>)'.";
    let written = words.name.as_str();
    let problem = match words.argument {
        None => format!("invalid or incomplete action '{written}'. {EXPECTED}"),
        Some(argument) => match argument.strip_suffix(')') {
            Some(inner) => return Ok(inner),
            None => format!("incomplete argument after action '{written}'. {EXPECTED}"),
        },
    };
    Err(Diagnostic::alert(problem).at(words.name.span))
}

fn name(words: &ActionWords<'_, '_>, text: &str) -> Result<VarName, Diagnostic> {
    VarName::parse(text).map_err(|error| Diagnostic::alert(error).at(words.name.span))
}

fn set(words: &mut ActionWords<'_, '_>, is_format: bool) -> Result<Arc<dyn Action>, Diagnostic> {
    let mut parts = argument(words)?.split(',');
    let name = name(words, parts.next().unwrap_or_default())?;
    let mut tests = Vec::new();
    for part in parts {
        let Some(test) = Test::named(part.trim()) else {
            let message = format!("unknown condition \"{part}\".");
            let known = TESTS.iter().map(|(known, _)| *known);
            return Err(Diagnostic::alert(message).at(words.name.span).did_you_mean(part.trim(), known));
        };
        tests.push(test);
    }
    let value = if is_format {
        let word = words.required("missing format string.")?;
        Value::Format(words.string_format(word)?)
    } else {
        Value::Expr(words.expression()?)
    };
    Ok(Arc::new(Set { name, tests, value }))
}

fn unset(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    Ok(Arc::new(Unset(name(words, argument(words)?)?)))
}

impl Action for Set {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        match &self.value {
            Value::Format(format) => txn.with_text(format, |txn, text| {
                self.store(txn, Some(Sample::str(text.to_vec()).into_static()));
            }),
            Value::Expr(expr) => {
                let value = expr.eval(&txn.ctx()).map(Sample::into_static);
                self.store(txn, value);
            }
        }
        Verdict::Continue
    }
}

impl Set {
    fn store(&self, txn: &mut Txn<'_>, value: Option<Sample<'static>>) {
        // An expression without a value leaves the variable as it is.
        let Some(value) = value else { return };
        if !self.tests.is_empty() {
            let old = get(txn, &self.name);
            if !self.tests.iter().all(|test| holds(*test, old.as_ref(), &value)) {
                return;
            }
        }
        if self.name.scope == Scope::Process {
            txn.env.set_process_variable(&self.name, Some(value));
        } else {
            txn.vars.set(&self.name, value);
        }
    }
}

fn get(txn: &Txn<'_>, name: &VarName) -> Option<Sample<'static>> {
    match name.scope {
        Scope::Process => txn.env.process_variable(name),
        _ => txn.vars.get(name),
    }
}

/// Whether a condition holds for the variable's old value and the new one.
pub(crate) fn holds(test: Test, old: Option<&Sample<'static>>, new: &Sample<'static>) -> bool {
    let is_empty = |sample: &Sample<'static>| match sample {
        Sample::Str(data) | Sample::Bin(data) => data.is_empty(),
        _ => false,
    };
    match test {
        Test::Exists | Test::Set => old.is_some(),
        Test::NotExists | Test::NotSet => old.is_none(),
        Test::Empty => is_empty(new),
        Test::NotEmpty => !is_empty(new),
        Test::Greater => compare(old, new).is_some_and(|order| order.is_gt()),
        Test::Less => compare(old, new).is_some_and(|order| order.is_lt()),
    }
}

/// How the variable's old value compares to the new one; only integers do.
fn compare(old: Option<&Sample<'static>>, new: &Sample<'static>) -> Option<std::cmp::Ordering> {
    match (old?, new) {
        (Sample::Int(old), Sample::Int(new)) => Some(old.cmp(new)),
        _ => None,
    }
}

impl Action for Unset {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        if self.0.scope == Scope::Process {
            txn.env.set_process_variable(&self.0, None);
        } else {
            txn.vars.unset(&self.0);
        }
        Verdict::Continue
    }
}
