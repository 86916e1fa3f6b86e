//! Command lines, users and FIFOs: what all script keywords share.

use crate::config::environment::Environment;
use crate::config::lexer;

use super::super::keyword::{Context, Statement};
use super::draft::{CommandDraft, FifoDraft, NotifyDraft, UserDraft};

/// `USER [GROUP]` or `USER[:GROUP]` at the cursor.
pub(in crate::config) fn user(statement: &mut Statement<'_>) -> Option<UserDraft> {
    let first = statement.next_word()?;
    let (user, group) =
        first.as_str().split_once(':').map_or((first.as_str(), None), |(user, group)| (user, Some(group)));
    let group = group
        .map(str::to_owned)
        .or_else(|| statement.next().map(|group| group.trim_start_matches(':').to_owned()));
    Some(UserDraft { user: user.to_owned(), group, span: first.span })
}

/// User and group id; numbers are taken as ids.
pub(in crate::config) fn ids(draft: &UserDraft, environment: &dyn Environment) -> Option<(u32, u32)> {
    let (uid, gid) = environment.user(&draft.user).or_else(|| draft.user.parse().ok().map(|id| (id, id)))?;
    let gid = match &draft.group {
        None => gid,
        Some(group) => environment.group(group).or_else(|| group.parse().ok())?,
    };
    Some((uid, gid))
}

/// `COMMAND [USER [GROUP]]`. The command is one word, quoted if it has arguments. Words after an unquoted command are
/// its arguments when the first of them is no user: files written as `notify_master /path/notify.sh master` mean that.
pub(in crate::config) fn command(
    statement: &mut Statement<'_>,
    environment: &dyn Environment,
) -> Option<CommandDraft> {
    let span = statement.node.words.get(1)?.span;
    let (quoted, rest) = split_quoted(statement.node.raw_arguments());
    let (mut argv, rest) = match quoted {
        Some(inner) => (lexer::command_words(&inner), rest),
        None => {
            let mut words = lexer::command_words(rest);
            let others = if words.is_empty() { Vec::new() } else { words.split_off(1) };
            return Some(with_rest(words, &others, false, span, environment));
        }
    };
    if argv.is_empty() {
        argv.push(String::new());
    }
    Some(with_rest(argv, &lexer::command_words(rest), true, span, environment))
}

fn with_rest(
    mut argv: Vec<String>,
    rest: &[String],
    quoted: bool,
    span: hacore::diag::Span,
    environment: &dyn Environment,
) -> CommandDraft {
    let mut user = None;
    if let [first, others @ ..] = rest {
        let (name, group) =
            first.split_once(':').map_or((first.as_str(), None), |(name, group)| (name, Some(group)));
        let group = group.or_else(|| others.first().map(String::as_str)).map(str::to_owned);
        if quoted || environment.user(name).is_some() {
            user = Some(UserDraft { user: name.to_owned(), group, span });
        } else {
            argv.extend(rest.iter().cloned());
        }
    }
    CommandDraft { argv, user, span }
}

/// All words are the command: `script` of `vrrp_script`, `misc_path`.
pub(in crate::config) fn whole_command(statement: &Statement<'_>) -> Option<CommandDraft> {
    let span = statement.node.words.get(1)?.span;
    let argv = match split_quoted(statement.node.raw_arguments()) {
        (Some(inner), rest) => {
            lexer::command_words(&inner).into_iter().chain(lexer::command_words(rest)).collect()
        }
        (None, rest) => lexer::command_words(rest),
    };
    Some(CommandDraft { argv, user: None, span })
}

/// The text inside quotes at the start with `\"` resolved, and what follows; `None` when it does not start with one.
fn split_quoted(text: &str) -> (Option<String>, &str) {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else { return (None, text) };
    let mut inner = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' if chars.peek().is_some_and(|&(_, next)| next == quote) => {
                inner.extend(chars.next().map(|(_, c)| c));
            }
            c if c == quote => return (Some(inner), text.get(at + 1..).unwrap_or_default()),
            c => inner.push(c),
        }
    }
    (Some(inner), "")
}

/// `*_notify_fifo NAME [USER [GROUP]]`.
pub(super) fn fifo(fifo: &mut FifoDraft, statement: &mut Statement<'_>, context: &mut Context<'_>) {
    match statement.next() {
        Some(path) => fifo.path = Some(path.to_owned()),
        None => context.warn(statement.span(), format!("No {} name specified", statement.keyword())),
    }
    fifo.owner = user(statement);
}

/// `notify*` of instances and groups; the keyword says which one.
pub(super) fn script(notify: &mut NotifyDraft, statement: &mut Statement<'_>, context: &mut Context<'_>) {
    let command = command(statement, context.environment);
    let (slot, name) = match statement.keyword() {
        "notify_master" => (&mut notify.master, "notify_master"),
        "notify_backup" => (&mut notify.backup, "notify_backup"),
        "notify_fault" => (&mut notify.fault, "notify_fault"),
        "notify_stop" => (&mut notify.stop, "notify_stop"),
        "notify_deleted" => (&mut notify.deleted, "notify_deleted"),
        "notify_master_rx_lower_pri" => (&mut notify.master_rx_lower_pri, "notify_master_rx_lower_pri"),
        _ => (&mut notify.any, "notify"),
    };
    if slot.is_some() {
        context.warn(statement.span(), format!("{name} script already specified - ignoring"));
    } else {
        *slot = command;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quoted_command_ends_at_its_quote() {
        assert_eq!(split_quoted(r#""/bin/a b" root"#), (Some("/bin/a b".into()), " root"));
        assert_eq!(split_quoted(r#""echo \"x y\"" z"#), (Some(r#"echo "x y""#.into()), " z"));
        assert_eq!(split_quoted("/bin/a b"), (None, "/bin/a b"));
        assert_eq!(split_quoted("\"open"), (Some("open".into()), ""));
    }
}
