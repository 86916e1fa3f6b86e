//! `help`, and what to say to a command that does not exist.

use super::command::{CommandDef, Level, Restriction};

/// How wide the column of the usages is.
const USAGE_WIDTH: usize = 40;
/// How many guesses are offered.
const GUESSES_MAX: usize = 5;
/// Always listed last.
const ALWAYS: [(&str, &str); 3] = [
    ("help [<command>]", "list all commands, or those that begin like this"),
    ("prompt [help | n | i | p | timed]*", "read more than one line, with a prompt"),
    ("quit", "disconnect"),
];

/// The list behind `help`; with words, only the commands that begin with them or resemble them.
pub fn list(table: &[CommandDef], words: &[&str], level: Level) -> String {
    format!("The following commands are valid at this level:\n{}", lines(&matching(table, words, level)))
}

/// The answer to an unknown command.
pub fn unknown(table: &[CommandDef], words: &[&str], level: Level) -> String {
    let head = if words.is_empty() {
        "Unknown command. Please enter one of the following commands only:\n"
    } else {
        "Unknown command, but maybe one of the following ones is a better match:\n"
    };
    format!("{head}{}", lines(&matching(table, words, level)))
}

fn lines(commands: &[&CommandDef]) -> String {
    let mut out = String::new();
    let defs = commands.iter().map(|def| (def.usage, def.doc));
    for (usage, doc) in defs.chain(ALWAYS) {
        out.push_str(&format!("  {usage:<USAGE_WIDTH$}: {doc}\n"));
    }
    out
}

/// Those that share the most leading words with what was typed; without any, the ones that look alike.
fn matching<'a>(table: &'a [CommandDef], words: &[&str], level: Level) -> Vec<&'a CommandDef> {
    let mut visible: Vec<&CommandDef> = table
        .iter()
        .filter(|def| {
            !def.usage.is_empty()
                && def.restriction == Restriction::None
                && level >= def.level.min(Level::User)
        })
        .filter(|def| !ALWAYS.iter().any(|(usage, _)| usage.split(' ').next() == def.words.first().copied()))
        .collect();
    visible.sort_by_key(|def| def.usage);
    if words.is_empty() {
        return visible;
    }
    let shared =
        |def: &CommandDef| def.words.iter().zip(words).take_while(|(a, b)| a.starts_with(**b)).count();
    let best = visible.iter().map(|def| shared(def)).max().unwrap_or(0);
    if best > 0 {
        visible.retain(|def| shared(def) == best);
        return visible;
    }
    let typed = words.join(" ");
    let distance = |def: &CommandDef| hacore::diag::suggest::edit_distance(&typed, &def.words.join(" "));
    visible.sort_by_cached_key(|def| distance(def));
    visible.truncate(GUESSES_MAX);
    visible
}
