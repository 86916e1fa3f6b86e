//! Commands about `tls-ticket-keys` (management guide, "show tls-keys", "set ssl tls-key").

use std::sync::Arc;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use crate::tls::tickets::TicketKeys;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["show", "tls-keys"],
        "show tls-keys [id|*]",
        "list the files of ticket keys, or the keys of one or all",
        Level::Admin,
        show,
    ),
    def(
        &["set", "ssl", "tls-key"],
        "set ssl tls-key <id|file> <key>",
        "make a key the newest of a file, and forget its oldest",
        Level::Admin,
        set,
    ),
];

/// The file that `#NUMBER` or a name means.
fn find(all: &[Arc<TicketKeys>], asked: &str) -> Option<(usize, Arc<TicketKeys>)> {
    let found = match asked.strip_prefix('#') {
        Some(number) => number.parse().ok().filter(|number| *number < all.len()),
        None => all.iter().position(|keys| keys.name == asked),
    };
    found.and_then(|number| Some((number, Arc::clone(all.get(number)?))))
}

fn show(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let all = context.snapshot.global.shared_tls().all_ticket_keys();
    let listed: Vec<(usize, Arc<TicketKeys>)> = match words.first() {
        None => {
            let lines = all.iter().enumerate().map(|(number, keys)| format!("{number} ({})\n", keys.name));
            return Reply::Data(format!("# id (file)\n{}", lines.collect::<String>()));
        }
        Some(&"*") => all.into_iter().enumerate().collect(),
        Some(asked) => match find(&all, asked) {
            Some(found) => vec![found],
            None => return Reply::error("'show tls-keys' unable to locate referenced filename"),
        },
    };
    let mut text = "# id secret\n".to_owned();
    for (number, keys) in listed {
        text.push_str(&format!("# {number} ({})\n", keys.name));
        for (place, key) in keys.shown().iter().enumerate() {
            text.push_str(&format!("{number}.{place} {key}\n"));
        }
    }
    Reply::Data(text)
}

fn set(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let [asked, key, ..] = words else {
        return Reply::error("'set ssl tls-key' expects a filename and the new TLS key in base64 encoding.");
    };
    let Some((_, keys)) = find(&context.snapshot.global.shared_tls().all_ticket_keys(), asked) else {
        return Reply::error("'set ssl tls-key' unable to locate referenced filename");
    };
    if keys.push(key) {
        Reply::info("TLS ticket key updated!")
    } else {
        Reply::error("'set ssl tls-key' received invalid base64 encoded TLS key.")
    }
}
