//! Commands about sessions.

use std::sync::Arc;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::{def, find_server};
use crate::runtime::Message;
use crate::runtime::question::{About, Question};
use crate::stream::Detail;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["shutdown", "sessions", "server"],
        "shutdown sessions server <backend>/<server>",
        "end all sessions on a server",
        Level::Admin,
        shutdown_server,
    ),
    def(
        &["show", "sess"],
        "show sess [<id> | all | older <age> | server <b>/<s>]",
        "list the sessions, or tell everything about one",
        Level::Operator,
        show_sessions,
    ),
    def(&["shutdown", "session"], "shutdown session <id>", "end a session", Level::Admin, shutdown_session),
    def(
        &["show", "errors"],
        "show errors [<proxy>] [request|response]",
        "show the last messages that could not be read",
        Level::Operator,
        show_errors,
    ),
];

/// Asks every thread about its sessions.
fn ask(context: &Context<'_>, about: About, empty: &'static str) -> Reply {
    let Some(inboxes) = &context.admin.inboxes else { return Reply::error("There are no sessions.") };
    let (question, answered) = Question::new(about, inboxes.threads(), empty);
    inboxes.broadcast(&Message::Ask(Arc::new(question)));
    Reply::Later(answered)
}

/// `0x…` as `show sess` writes it; with or without the prefix, as in HAProxy.
fn id(word: &str) -> Option<u64> {
    u64::from_str_radix(word.trim_start_matches("0x"), 16).ok()
}

fn show_sessions(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let about = match words {
        ["all", ..] => About::List { detail: Detail::All, older_than_s: 0 },
        ["older", age, ..] => match super::console::seconds(age) {
            Some(age) => About::List { detail: Detail::Line, older_than_s: age.as_secs() },
            None => return Reply::error("Invalid age."),
        },
        ["server", place, ..] => match place.split_once('/') {
            Some((backend, server)) => {
                About::OnServer { backend: backend.to_owned(), server: server.to_owned() }
            }
            None => return Reply::error("Require 'backend/server'."),
        },
        ["susp", ..] => return Reply::Data(String::new()),
        [word, ..] if word.starts_with("0x") => match id(word) {
            Some(id) => About::One(id),
            None => return Reply::Data(String::new()),
        },
        _ => About::List { detail: Detail::Line, older_than_s: 0 },
    };
    let empty = if matches!(about, About::One(_)) { "Session not found.\n" } else { "" };
    ask(context, about, empty)
}

fn shutdown_session(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(word) = words.first() else {
        return Reply::error("Session pointer expected (use 'show sess').");
    };
    match id(word) {
        Some(id) => ask(context, About::Shut(id), "No such session (use 'show sess').\n"),
        None => Reply::error("No such session (use 'show sess')."),
    }
}

fn shutdown_server(context: &mut Context<'_>, words: &[&str]) -> Reply {
    match find_server(context, words.first()) {
        Ok((backend, server)) => {
            context.admin.reporter.shutdown_sessions(backend, server);
            Reply::Done
        }
        Err(refusal) => refusal,
    }
}

/// `show errors [<iid>|<proxy>] [request|response]`.
fn show_errors(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let proxies = &context.snapshot.proxies;
    let proxy = match words.first() {
        None | Some(&"-1") => None,
        Some(name) => {
            let number: Option<u32> = name.parse().ok();
            let found = proxies.iter().find(|proxy| proxy.name == **name || Some(proxy.numeric_id) == number);
            let Some(found) = found else { return Reply::error("No such proxy.") };
            Some(found.numeric_id)
        }
    };
    let is_response = match words.get(1) {
        Some(&"request") => Some(false),
        Some(&"response") => Some(true),
        _ => None,
    };
    let captures = context.snapshot.process.captures.lock();
    Reply::Data(captures.text(proxy, is_response, hacore::time::wall_us()))
}
