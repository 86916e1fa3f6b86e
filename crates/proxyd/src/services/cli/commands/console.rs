//! Commands about the session itself: help, prompt, levels, modes, timeouts.

use std::time::Duration;

use super::super::command::{CommandDef, Context, Level, Reply, Severity};
use super::super::help;
use super::super::session::SeverityOutput;
use super::def;

pub(super) const TABLE: &[CommandDef] = &[
    def(&["help"], "help [<command>]", "list matching or all commands", Level::User, run_help),
    def(&["quit"], "quit", "disconnect", Level::User, quit),
    def(
        &["prompt"],
        "prompt [help | n | i | p | timed]*",
        "toggle reading more lines with a prompt",
        Level::User,
        prompt,
    ),
    def(&["user"], "user", "lower the level of this session to user", Level::User, |c, _| {
        lower(c, Level::User)
    }),
    def(&["operator"], "operator", "lower the level of this session to operator", Level::Operator, |c, _| {
        lower(c, Level::Operator)
    }),
    def(
        &["show", "cli", "level"],
        "show cli level",
        "tell the level of this session",
        Level::User,
        show_level,
    ),
    def(
        &["set", "timeout"],
        "set timeout [cli] <delay>",
        "change how long this session may be silent",
        Level::User,
        set_timeout,
    ),
    def(
        &["set", "severity-output"],
        "set severity-output [none|number|string]",
        "show how serious messages are",
        Level::User,
        set_severity_output,
    ),
    def(&["expert-mode"], "expert-mode [on|off]", "allow commands for experts", Level::Admin, |c, a| {
        let (shown, reply) = switch("expert-mode", c.settings.expert, a);
        c.settings.expert = shown;
        reply
    }),
    def(
        &["experimental-mode"],
        "experimental-mode [on|off]",
        "allow experimental commands",
        Level::Admin,
        |c, a| {
            let (shown, reply) = switch("experimental-mode", c.settings.experimental, a);
            c.settings.experimental = shown;
            reply
        },
    ),
    def(&["echo"], "echo <text>", "print the text", Level::User, |_, a| Reply::info(a.join(" "))),
    def(&["wait"], "wait { -h | <delay> }", "wait before the next command", Level::User, wait),
];

/// Longest `wait`, so that a forgotten one does not hold a slot for ever.
const WAIT_MAX: Duration = Duration::from_secs(24 * 3600);

fn run_help(context: &mut Context<'_>, words: &[&str]) -> Reply {
    Reply::Data(help::list(super::all(), words, context.settings.level))
}

fn quit(context: &mut Context<'_>, _: &[&str]) -> Reply {
    context.settings.quit = true;
    Reply::Done
}

fn prompt(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let settings = &mut *context.settings;
    if words.is_empty() {
        let on = !settings.prompt;
        (settings.interactive, settings.prompt) = (on, on);
        return Reply::Done;
    }
    for word in words {
        match *word {
            "n" => (settings.interactive, settings.prompt) = (false, false),
            "i" => (settings.interactive, settings.prompt) = (true, false),
            "p" => (settings.interactive, settings.prompt) = (true, true),
            "timed" => {
                settings.timed = !settings.timed;
                (settings.interactive, settings.prompt) = (true, true);
            }
            _ => {
                return Reply::error(
                    "usage: prompt [n | i | p | timed]*\n  n      read one line only\n  i      read lines, no \
                     prompt\n  p      read lines with a prompt\n  timed  show the uptime in the prompt",
                );
            }
        }
    }
    Reply::Done
}

fn lower(context: &mut Context<'_>, level: Level) -> Reply {
    context.settings.level = context.settings.level.min(level);
    Reply::Done
}

fn show_level(context: &mut Context<'_>, _: &[&str]) -> Reply {
    Reply::info(context.settings.level.name())
}

fn set_timeout(context: &mut Context<'_>, words: &[&str]) -> Reply {
    match words {
        ["cli", delay, ..] => match seconds(delay) {
            Some(timeout) if !timeout.is_zero() => {
                context.settings.timeout = timeout;
                Reply::Done
            }
            _ => Reply::error("Invalid timeout value."),
        },
        ["cli"] => Reply::error("Expects an integer value."),
        _ => Reply::error("'set timeout' only supports 'cli'."),
    }
}

/// A time whose default unit is the second, as on the console (`set timeout cli 60`).
pub(super) fn seconds(text: &str) -> Option<Duration> {
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().ok()?;
    let unit_us: u64 = match unit {
        "" | "s" => 1_000_000,
        "us" => 1,
        "ms" => 1000,
        "m" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    number.checked_mul(unit_us).map(Duration::from_micros)
}

fn set_severity_output(context: &mut Context<'_>, words: &[&str]) -> Reply {
    context.settings.severity_output = match words.first() {
        Some(&"none") => SeverityOutput::None,
        Some(&"number") => SeverityOutput::Number,
        Some(&"string") => SeverityOutput::Text,
        // HAProxy ends this text without a line break.
        _ => {
            let text = "one of 'none', 'number', 'string' is a required argument";
            return Reply::Message(Severity::Error, format!("{text}\n"));
        }
    };
    Reply::Done
}

/// The new state of a mode and what to say; without an argument the state is told and kept.
fn switch(name: &str, now: bool, words: &[&str]) -> (bool, Reply) {
    match words.first() {
        None => (now, Reply::info(format!("{name} is {}", if now { "ON" } else { "OFF" }))),
        Some(&"on") => (true, Reply::Done),
        Some(_) => (false, Reply::Done),
    }
}

fn wait(_: &mut Context<'_>, words: &[&str]) -> Reply {
    match words {
        ["-h", ..] => {
            Reply::error("usage: wait <delay>\nWaits that long before the next command of the line.")
        }
        [delay] => match milliseconds(delay) {
            Some(delay) if delay <= WAIT_MAX => Reply::Wait(delay),
            _ => Reply::error("Invalid duration."),
        },
        [_, condition, ..] => {
            Reply::error(format!("Unknown condition '{condition}': none is supported yet."))
        }
        [] => Reply::error("Expects a duration in milliseconds."),
    }
}

/// A time whose default unit is the millisecond.
fn milliseconds(text: &str) -> Option<Duration> {
    if text.bytes().all(|b| b.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_millis);
    }
    seconds(text)
}
