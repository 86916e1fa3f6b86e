//! Commands about sessions.

use super::super::command::{CommandDef, Context, Level, Reply};
use super::{def, find_server};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["shutdown", "sessions", "server"],
        "shutdown sessions server <backend>/<server>",
        "end all sessions on a server",
        Level::Admin,
        shutdown_server,
    ),
    def(
        &["show", "errors"],
        "show errors [<proxy>] [request|response]",
        "show the last messages that could not be read",
        Level::Operator,
        show_errors,
    ),
];

fn shutdown_server(context: &mut Context<'_>, words: &[&str]) -> Reply {
    match find_server(context, words.first()) {
        Ok((backend, server)) => {
            context.admin.reporter.shutdown_sessions(backend, server);
            Reply::Done
        }
        Err(refusal) => refusal,
    }
}

/// Messages that cannot be read are counted, not kept: nothing is ever listed.
fn show_errors(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let known = |name: &str| {
        let number: Option<i64> = name.parse().ok();
        number == Some(-1)
            || context
                .snapshot
                .proxies
                .iter()
                .any(|proxy| proxy.name == name || number == Some(i64::from(proxy.numeric_id)))
    };
    if let Some(name) = words.first()
        && !known(name)
    {
        return Reply::error("No such proxy.");
    }
    let wall_us = hacore::time::wall_us();
    let t = hacore::time::local_time((wall_us / 1_000_000) as i64);
    let total: u64 =
        context.snapshot.frontends().map(|f| f.counters.value(crate::proxy::Counter::FailedRequests)).sum();
    Reply::Data(format!(
        "Total events captured on [{:02}/{}/{:04}:{:02}:{:02}:{:02}.{:03}] : {total}\n",
        t.day,
        t.month_name(),
        t.year,
        t.hour,
        t.minute,
        t.second,
        wall_us / 1000 % 1000
    ))
}
