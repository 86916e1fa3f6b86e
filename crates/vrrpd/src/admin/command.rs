//! What can be asked: one item a command, with its arguments and its line in `help`.

use hacore::diag::suggest::closest;
use thiserror::Error;

/// A question to the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    Help,
    Status,
    Json,
    Stats,
    Data,
    Metrics,
    Reload,
    Plan,
    /// Of one instance, or of all.
    Garp(Option<String>),
    Priority(String, u8),
    Drain(Option<String>),
    Resume(Option<String>),
}

/// The question is none.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum CommandError {
    #[error("a command is missing; 'help' lists them")]
    Empty,
    #[error("unknown command '{word}'{hint}; 'help' lists the commands")]
    Unknown { word: String, hint: String },
    #[error("usage: {0}")]
    Usage(String),
    #[error("priority '{0}' must be a number in [1, 254]; 255 is the address owner's, 0 means good-bye")]
    Priority(String),
}

/// A command as the table has it.
pub struct CommandSpec {
    pub name: &'static str,
    pub arguments: &'static str,
    pub doc: &'static str,
    /// It changes something: peers of level `user` may not.
    pub changes: bool,
    parse: fn(&[&str]) -> Option<Result<Command, CommandError>>,
}

const fn plain(
    name: &'static str,
    doc: &'static str,
    changes: bool,
    parse: fn(&[&str]) -> Option<Result<Command, CommandError>>,
) -> CommandSpec {
    CommandSpec { name, arguments: "", doc, changes, parse }
}

/// No argument is taken.
fn only(arguments: &[&str], command: Command) -> Option<Result<Command, CommandError>> {
    arguments.is_empty().then_some(Ok(command))
}

/// The name of an instance, or none for all.
fn of_instance(
    arguments: &[&str],
    command: fn(Option<String>) -> Command,
) -> Option<Result<Command, CommandError>> {
    match arguments {
        [] => Some(Ok(command(None))),
        [name] => Some(Ok(command(Some((*name).to_owned())))),
        _ => None,
    }
}

/// Every command.
pub const COMMANDS: &[CommandSpec] = &[
    plain("help", "this list", false, |words| only(words, Command::Help)),
    plain("status", "who holds what, since when, and why", false, |words| only(words, Command::Status)),
    plain("json", "everything as keepalived's JSON, with what vrrpd knows beyond", false, |words| {
        only(words, Command::Json)
    }),
    plain("stats", "the counters, as the dump on SIGUSR2", false, |words| only(words, Command::Stats)),
    plain("data", "configuration and state, as the dump on SIGUSR1", false, |words| {
        only(words, Command::Data)
    }),
    plain("metrics", "the metrics that Prometheus fetches", false, |words| only(words, Command::Metrics)),
    plain("plan", "what a reload would change; changes nothing", false, |words| only(words, Command::Plan)),
    plain("reload", "read the configuration again; a bad one changes nothing", true, |words| {
        only(words, Command::Reload)
    }),
    CommandSpec {
        name: "garp",
        arguments: "[INSTANCE]",
        doc: "announce the addresses of a master again",
        changes: true,
        parse: |words| of_instance(words, Command::Garp),
    },
    CommandSpec {
        name: "priority",
        arguments: "INSTANCE NUMBER",
        doc: "use this priority until 'resume'; a master whose priority falls hands over without a gap",
        changes: true,
        parse: |words| {
            let [name, number] = words else { return None };
            let priority = number.parse().ok().filter(|number| (1..=254).contains(number));
            Some(
                priority
                    .map(|priority| Command::Priority((*name).to_owned(), priority))
                    .ok_or_else(|| CommandError::Priority((*number).to_owned())),
            )
        },
    },
    CommandSpec {
        name: "drain",
        arguments: "[INSTANCE]",
        doc: "hand over without a gap, and be master only when nobody else is there, until 'resume'",
        changes: true,
        parse: |words| of_instance(words, Command::Drain),
    },
    CommandSpec {
        name: "resume",
        arguments: "[INSTANCE]",
        doc: "undo 'drain' and 'priority'",
        changes: true,
        parse: |words| of_instance(words, Command::Resume),
    },
];

impl CommandSpec {
    fn usage(&self) -> String {
        if self.arguments.is_empty() {
            self.name.to_owned()
        } else {
            format!("{} {}", self.name, self.arguments)
        }
    }
}

/// The command of a line, and whether it changes something.
///
/// # Errors
/// [`CommandError`], for the peer.
pub fn parse(line: &str) -> Result<(Command, bool), CommandError> {
    let words: Vec<&str> = line.split_ascii_whitespace().collect();
    let Some((first, arguments)) = words.split_first() else { return Err(CommandError::Empty) };
    let Some(spec) = COMMANDS.iter().find(|spec| spec.name == *first) else {
        let hint = closest(first, COMMANDS.iter().map(|spec| spec.name));
        let hint = hint.map(|name| format!(" - did you mean '{name}'?"));
        return Err(CommandError::Unknown { word: (*first).to_owned(), hint: hint.unwrap_or_default() });
    };
    match (spec.parse)(arguments) {
        Some(command) => Ok((command?, spec.changes)),
        None => Err(CommandError::Usage(spec.usage())),
    }
}

/// The text of `help`.
pub fn help() -> String {
    let width = COMMANDS.iter().map(|spec| spec.usage().len()).max().unwrap_or_default();
    COMMANDS.iter().map(|spec| format!("{:width$}  {}\n", spec.usage(), spec.doc)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_a_command_or_says_what_is_wrong() {
        assert_eq!(parse(" status \r"), Ok((Command::Status, false)));
        assert_eq!(parse("priority VI_1 90"), Ok((Command::Priority("VI_1".into(), 90), true)));
        assert_eq!(parse("drain"), Ok((Command::Drain(None), true)));
        let error = |line| parse(line).unwrap_err().to_string();
        assert_eq!(error(""), "a command is missing; 'help' lists them");
        assert_eq!(
            error("statsu"),
            "unknown command 'statsu' - did you mean 'status'?; 'help' lists the commands"
        );
        assert_eq!(error("priority VI_1"), "usage: priority INSTANCE NUMBER");
        assert_eq!(error("status now"), "usage: status");
        assert!(error("priority VI_1 0").contains("must be a number in [1, 254]"));
    }

    #[test]
    fn help_has_a_line_for_every_command() {
        assert_eq!(help().lines().count(), COMMANDS.len());
    }
}
