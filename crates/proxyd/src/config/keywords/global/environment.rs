//! `setenv` and relatives, and global variables.

use hacore::diag::Diagnostic;

use super::global;
use crate::config::expression::{self, FormatUse};
use crate::config::keyword::{Keyword, Line, Parsed};
use crate::config::loader::Loader;
use crate::expr::VarName;
use crate::model::{GlobalValue, GlobalVariable};

pub const KEYWORDS: &[Keyword] = &[
    global("setenv", "<name> <value>", "Sets an environment variable.", setenv),
    global("presetenv", "<name> <value>", "Sets an environment variable that is not set yet.", presetenv),
    global("unsetenv", "[<name> ...]", "Removes environment variables.", unsetenv),
    global("resetenv", "[<name> ...]", "Removes all environment variables but the named.", resetenv),
    global("set-var", "<name> <expr>", "Sets a process-wide variable at start.", set_var),
    global(
        "set-var-fmt",
        "<name> <fmt>",
        "Sets a process-wide variable to a formatted string at start.",
        set_var_fmt,
    ),
];

fn two<'a>(line: &mut Line<'a>) -> Result<(&'a str, &'a str), hacore::diag::Diagnostic> {
    let expects = "an env variable name and a value.";
    let name = line.required(expects)?;
    // The value may be empty, but it must be there.
    let Some(value) = line.words.next() else {
        return Err(line.alert(format!("'{}' expects {expects}", line.name)));
    };
    line.end()?;
    Ok((name.as_str(), value.as_str()))
}

fn setenv(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let (name, value) = two(line)?;
    loader.environment.set(name, value);
    Ok(())
}

fn presetenv(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let (name, value) = two(line)?;
    loader.environment.preset(name, value);
    Ok(())
}

fn unsetenv(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    for word in line.words.by_ref() {
        loader.environment.unset(word.as_str());
    }
    Ok(())
}

fn resetenv(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let names: Vec<&str> = line.words.by_ref().map(|word| word.as_str()).collect();
    loader.environment.keep_only(&names);
    Ok(())
}

fn set_var(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = variable(line, "a sample expression")?;
    let value = expression::expression(loader, line).map_err(unprefixed)?;
    loader.global.variables.push(GlobalVariable { name, value: GlobalValue::Expression(value) });
    // What follows the expression is left alone, as the original does.
    line.words.seek(usize::MAX);
    Ok(())
}

fn set_var_fmt(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    let name = variable(line, "a format string")?;
    let Some(word) = line.words.next() else { return line.end() };
    let value = expression::log_format(loader, line, word, FormatUse::Variable).map_err(unprefixed)?;
    loader.global.variables.push(GlobalVariable { name, value: GlobalValue::Format(value) });
    line.words.seek(usize::MAX);
    Ok(())
}

/// The variable's name, when a value follows it.
fn variable(line: &mut Line<'_>, value: &str) -> Result<String, Diagnostic> {
    let name = line.words.next().filter(|_| !line.words.is_empty());
    let Some(name) = name else {
        let message =
            format!("'{}' requires a process-wide variable name ('proc.<name>') and {value}.", line.name);
        return Err(line.alert(message));
    };
    if !name.as_str().starts_with("proc.") {
        let message = format!(
            "'{}': cannot set variable '{}', only scope 'proc' is permitted in the global section.",
            line.name,
            name.as_str()
        );
        return Err(line.alert_at(name, message));
    }
    match VarName::parse(name.as_str()) {
        Ok(_) => Ok(name.as_str().to_owned()),
        Err(problem) => Err(line.alert_at(name, problem)),
    }
}

/// Here the original does not name the keyword before what is wrong with its value.
fn unprefixed(mut diagnostic: Diagnostic) -> Diagnostic {
    if let Some((_, problem)) = diagnostic.message.split_once(" : ") {
        diagnostic.message = problem.to_owned();
    }
    diagnostic
}
