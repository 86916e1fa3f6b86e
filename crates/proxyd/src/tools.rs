//! What the program does with a file besides loading it: `--upgrade` and `--explain`.

use std::io::Write;
use std::process::ExitCode;

use hacore::diag::Diagnostic;

use crate::cli::Upgrade;
use crate::config;
use crate::config::upgrade::{Modern, Upgraded};
use crate::diagnose::Reporter;

/// `--upgrade`: the rewritten file, and on standard error what was done.
pub fn upgrade(wanted: &Upgrade, reporter: &mut Reporter) -> ExitCode {
    let name = wanted.file.display();
    let mut fail = |problem: String| {
        reporter.say(&Diagnostic::alert(problem));
        ExitCode::FAILURE
    };
    let old = match std::fs::read(&wanted.file) {
        Ok(old) => old,
        Err(error) => {
            let error = config::describe(&error);
            return fail(format!("Could not open configuration file {name} : {error}"));
        }
    };
    let Upgraded { text, changes } = config::upgrade::upgrade(&old);
    if !wanted.in_place {
        let _ = std::io::stdout().write_all(&text);
    } else if text != old {
        let mut backup = wanted.file.clone().into_os_string();
        backup.push(".before-upgrade");
        let written = std::fs::copy(&wanted.file, &backup).and_then(|_| std::fs::write(&wanted.file, &text));
        if let Err(error) = written {
            return fail(format!("Could not rewrite {name} : {}", config::describe(&error)));
        }
    }
    let mut summary = String::new();
    for change in &changes {
        let what = match &change.new {
            Modern::Lines(lines) => lines.join(" | "),
            Modern::Nothing(reason) => format!("removed: {reason}"),
            Modern::Advice(advice) => format!("needs a decision: {advice}"),
        };
        summary.push_str(&format!("{name}:{}: {} -> {what}\n", change.line, change.old));
    }
    let _ = std::io::stderr().write_all(summary.as_bytes());
    ExitCode::SUCCESS
}

/// `--explain FILE:LINE`.
pub fn explain(wanted: &str, reporter: &mut Reporter) -> ExitCode {
    let explained = match config::explain::place(wanted) {
        None => Err(format!("'--explain' expects <file>:<line>, got '{wanted}'.")),
        Some((file, line)) => match std::fs::read(file) {
            Err(error) => {
                Err(format!("Could not open configuration file {file} : {}", config::describe(&error)))
            }
            Ok(text) => config::explain::explain(&text, line).map_err(|error| format!("{file}: {error}.")),
        },
    };
    match explained {
        Ok(text) => {
            let _ = std::io::stdout().write_all(text.as_bytes());
            ExitCode::SUCCESS
        }
        Err(problem) => {
            reporter.say(&Diagnostic::alert(problem));
            ExitCode::FAILURE
        }
    }
}
