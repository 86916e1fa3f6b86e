//! The commands, by what they work on; each is one [`CommandDef`] next to its code.

mod absent;
mod backend;
mod console;
mod crt_list;
mod dynamic;
mod events;
mod frontend;
mod patterns;
mod process;
mod server;
mod sessions;
mod show;
mod show_servers;
mod ssl;
mod ssl_ocsp;
mod ssl_tickets;
mod ssl_trust;
mod variables;

use std::sync::LazyLock;

use super::command::{CommandDef, Context, Level, Reply, Restriction};
use crate::proxy::{Backend, Server};

static ALL: LazyLock<Vec<CommandDef>> = LazyLock::new(|| {
    let mut all = Vec::new();
    for table in [
        absent::TABLE,
        backend::TABLE,
        console::TABLE,
        dynamic::TABLE,
        events::TABLE,
        patterns::TABLE,
        frontend::TABLE,
        process::TABLE,
        server::TABLE,
        sessions::TABLE,
        variables::TABLE,
    ] {
        all.extend(table.iter().map(CommandDef::copy));
    }
    all.extend(
        show::TABLE
            .iter()
            .chain(show_servers::TABLE)
            .chain(ssl::TABLE)
            .chain(ssl_ocsp::TABLE)
            .chain(ssl_tickets::TABLE)
            .chain(ssl_trust::TABLE)
            .chain(crt_list::TABLE)
            .map(CommandDef::copy),
    );
    all
});

/// Every command there is.
pub fn all() -> &'static [CommandDef] {
    &ALL
}

impl CommandDef {
    fn copy(&self) -> Self {
        Self { ..*self }
    }
}

/// A command without restriction.
const fn def(
    words: &'static [&'static str],
    usage: &'static str,
    doc: &'static str,
    level: Level,
    run: fn(&mut Context<'_>, &[&str]) -> Reply,
) -> CommandDef {
    CommandDef { words, usage, doc, level, restriction: Restriction::None, run }
}

/// `backend/server`, or the refusal in HAProxy's words.
fn find_server<'a>(
    context: &'a Context<'_>,
    argument: Option<&&str>,
) -> Result<(&'a Backend, &'a Server), Reply> {
    let (backend, server) = argument
        .and_then(|argument| argument.split_once('/'))
        .filter(|(_, server)| !server.is_empty())
        .ok_or_else(|| Reply::error("Require 'backend/server'."))?;
    let backend = context.snapshot.backend_named(backend).ok_or_else(|| Reply::error("No such backend."))?;
    let server = backend.server_named(server).ok_or_else(|| Reply::error("No such server."))?;
    Ok((backend, server))
}
