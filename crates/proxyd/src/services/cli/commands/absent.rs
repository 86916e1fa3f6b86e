//! Commands about things that this program has none of: they answer what HAProxy answers when there are none.

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "table"],
        "show table [<table>]",
        "list the stick tables: there are none",
        Level::User,
        table,
    ),
    def(
        &["clear", "table"],
        "clear table <table>",
        "empty a stick table: there are none",
        Level::Admin,
        |_, words| match words {
            [] => Reply::error(CLEAR_TABLE_USAGE),
            _ => Reply::error("No such table"),
        },
    ),
    def(
        &["set", "table"],
        "set table <table> key <key>",
        "change a stick table: there are none",
        Level::Admin,
        |_, words| match words {
            [] => Reply::error(SET_TABLE_USAGE),
            _ => Reply::error("No such table"),
        },
    ),
    def(
        &["show", "peers"],
        "show peers [<section>]",
        "list the peers: there are none",
        Level::Operator,
        |_, words| none_or(words, "No such peers"),
    ),
    def(&["show", "cache"], "show cache", "list the caches: there are none", Level::Operator, |_, _| {
        Reply::Data(String::new())
    }),
    def(
        &["show", "resolvers"],
        "show resolvers [<section>]",
        "list the resolvers: names are resolved by the system",
        Level::User,
        |_, words| none_or(words, "Can't find that resolvers section"),
    ),
    def(
        &["show", "trace"],
        "show trace [<source>]",
        "list the sources of traces: there are none",
        Level::User,
        |_, words| match words {
            [] => Reply::Data(
                "Supported trace sources and states (.=stopped, w=waiting, R=running) :\n".to_owned(),
            ),
            _ => bare("No such trace source"),
        },
    ),
    def(
        &["trace"],
        "trace [<source>|0] [cmd [args...]]",
        "manage traces: there are none",
        Level::Admin,
        |_, words| {
            match words {
            // Nothing runs: stopping everything is done.
            ["0"] => Reply::Done,
            [] => Reply::Data(
                "Supported trace sources and states (.=stopped, w=waiting, R=running) :\n [.] 0          : not a source, \
                 will immediately stop all traces\n"
                    .to_owned(),
            ),
            _ => bare("No such trace source"),
        }
        },
    ),
    def(&["show", "tasks"], "show tasks", "tell the tasks that run", Level::Operator, |context, _| {
        Reply::Data(format!(
            "Running tasks: 0 ({} threads)\n  function                     places     %    lat_tot   lat_avg\n",
            context.snapshot.process.threads
        ))
    }),
    def(
        &["show", "profiling"],
        "show profiling [<what>]",
        "tell what is profiled: nothing is",
        Level::Operator,
        |_, _| {
            Reply::Data(
            "Per-task CPU profiling              : off           # set profiling tasks {on|auto|off}\nMemory usage \
             profiling              : off           # set profiling memory {on|off}\n"
                .to_owned(),
        )
        },
    ),
    def(
        &["set", "profiling"],
        "set profiling <what> {auto|on|off}",
        "profiling: not built in",
        Level::Admin,
        profiling,
    ),
    def(
        &["show", "anon"],
        "show anon",
        "tell whether dumps are anonymised: they are not",
        Level::User,
        |_, _| Reply::info("Anonymized mode disabled"),
    ),
    def(
        &["set", "anon"],
        "set anon { on | off } | global-key <key>",
        "anonymise dumps: not built in",
        Level::Operator,
        |_, words| match words {
            ["off", ..] => Reply::Done,
            _ => Reply::error("Dumps are not anonymised here."),
        },
    ),
    def(
        &["show", "quic"],
        "show quic",
        "list QUIC connections: there is no QUIC",
        Level::Operator,
        |_, _| Reply::Data(String::new()),
    ),
];

const CLEAR_TABLE_USAGE: &str =
    "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>";
const SET_TABLE_USAGE: &str =
    "Required arguments: <table> \"data.<store_data_type>\" <operator> <value> or <table> key <key>";

/// A refusal that HAProxy writes without a line break.
fn bare(text: &str) -> Reply {
    Reply::Message(super::super::command::Severity::Error, text.to_owned())
}

/// Nothing to list, or the refusal of a name.
fn none_or(words: &[&str], refusal: &str) -> Reply {
    match words {
        [] => Reply::Data(String::new()),
        _ => Reply::error(refusal),
    }
}

fn table(_: &mut Context<'_>, words: &[&str]) -> Reply {
    match words {
        [] => Reply::Data(String::new()),
        _ => Reply::error("No such table"),
    }
}

fn profiling(_: &mut Context<'_>, words: &[&str]) -> Reply {
    match words {
        ["tasks", "off", ..] | ["memory", "off", ..] => Reply::Done,
        ["tasks", "on" | "auto", ..] => Reply::error("Task profiling not compiled in."),
        ["memory", "on", ..] => Reply::error("Memory profiling not compiled in."),
        ["tasks", ..] => Reply::error("Expects 'on', 'auto', or 'off'."),
        ["memory", ..] => Reply::error("Expects either 'on' or 'off'."),
        _ => Reply::error("Expects either 'tasks' or 'memory'."),
    }
}
