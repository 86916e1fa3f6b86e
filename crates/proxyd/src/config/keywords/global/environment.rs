//! `setenv` and relatives, and global variables.

use super::global;
use crate::config::keyword::{Keyword, Line, Parsed};
use crate::config::loader::Loader;

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
    variable(loader, line, false)
}

fn set_var_fmt(loader: &mut Loader, line: &mut Line<'_>) -> Parsed {
    variable(loader, line, true)
}

fn variable(loader: &mut Loader, line: &mut Line<'_>, format: bool) -> Parsed {
    let name = line.required("a process-wide variable name ('proc.<name>') and an expression.")?;
    if !name.as_str().starts_with("proc.") {
        let message = format!("'{}': variable name '{}' must begin with 'proc.'.", line.name, name.as_str());
        return Err(line.alert_at(name, message));
    }
    if line.words.is_empty() {
        return Err(line.alert(format!("'{}' : missing expression.", line.name)));
    }
    let text = line.rest_text();
    loader.global.variables.push(crate::model::GlobalVariable {
        name: name.as_str().to_owned(),
        text,
        format,
    });
    Ok(())
}
