//! `get var` and `set var`: the process's variables.

use super::super::command::{CommandDef, Context, Level, Reply, Restriction, Severity};
use super::def;
use crate::config::{Environment, LoadOptions, load_text};
use crate::expr::{Sample, Scope, VarName};
use crate::model::GlobalVariable;
use crate::stream::ProcessVariables;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["get", "var"],
        "get var <name>",
        "tell the value of a variable of the process",
        Level::User,
        get_var,
    ),
    CommandDef {
        words: &["set", "var"],
        usage: "set var <name> {<expression> | expr <expression> | fmt <format>}",
        doc: "set a variable of the process",
        level: Level::Admin,
        restriction: Restriction::Experimental,
        run: set_var,
    },
];

/// What there is for variables; without a data plane there are none.
fn variables<'a>(context: &'a Context<'_>) -> Option<&'a ProcessVariables> {
    context.snapshot.process.variables.get().map(AsRef::as_ref)
}

fn get_var(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(name) = words.first() else { return Reply::error("Missing process-wide variable identifier.") };
    let known = VarName::parse(name).ok().filter(|name| name.scope == Scope::Process);
    let value = known.and_then(|known| variables(context)?.get(&known));
    match value {
        None => Reply::error("Variable not found."),
        Some(value) => {
            Reply::Data(format!("{name}: type={} value=<{}>", value.sample_type().name(), printable(&value)))
        }
    }
}

/// Text up to its first zero, as HAProxy prints it.
fn printable(value: &Sample<'static>) -> String {
    let text = value.clone().into_text();
    let bytes = text.as_deref().unwrap_or_default();
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    String::from_utf8_lossy(bytes.get(..end).unwrap_or_default()).into_owned()
}

fn set_var(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (name, keyword, value) = match words {
        [] => return Reply::error("Missing process-wide variable identifier."),
        [_] | [_, "expr" | "fmt"] => return Reply::error("Missing either 'expr', 'fmt' or expression."),
        [name, "expr", value @ ..] => (name, "set-var", value),
        [name, "fmt", value @ ..] => (name, "set-var-fmt", value),
        [name, value @ ..] => (name, "set-var", value),
    };
    match VarName::parse(name) {
        Err(problem) => return Reply::Message(Severity::Error, problem),
        Ok(parsed) if parsed.scope != Scope::Process => {
            return Reply::Message(
                Severity::Error,
                format!("'set var': cannot set variable '{name}', only scope 'proc' is permitted here."),
            );
        }
        Ok(_) => {}
    }
    match compile(keyword, name, value) {
        Ok(variable) => {
            if let Some(variables) = variables(context) {
                variables.apply(&[variable]);
            }
            Reply::Done
        }
        Err(problem) => Reply::error(problem),
    }
}

/// The command's words as the line of the `global` section that says the same.
fn compile(keyword: &str, name: &str, value: &[&str]) -> Result<GlobalVariable, String> {
    let quoted: Vec<String> = value.iter().map(|word| format!("'{}'", word.replace('\'', "'\\''"))).collect();
    let text = format!("global\n {keyword} {name} {}\n", quoted.join(" "));
    let loaded = load_text("set var", &text, LoadOptions::default(), Environment::default());
    let made = loaded.config.and_then(|mut config| config.global.variables.pop());
    made.ok_or_else(|| {
        let first = loaded.diagnostics.iter().next();
        first.map_or_else(|| "invalid expression".to_owned(), |problem| problem.message.clone())
    })
}
