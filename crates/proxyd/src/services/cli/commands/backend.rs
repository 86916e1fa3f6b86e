//! Commands about backends: whether switching rules may choose them.

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["publish", "backend"],
        "publish backend <backend>",
        "let switching rules choose it",
        Level::Operator,
        |context, words| set_published(context, words, true),
    ),
    def(
        &["unpublish", "backend"],
        "unpublish backend <backend>",
        "hide it from switching rules",
        Level::Operator,
        |context, words| set_published(context, words, false),
    ),
];

fn set_published(context: &mut Context<'_>, words: &[&str], published: bool) -> Reply {
    let Some(name) = words.first() else { return Reply::error("A backend name is expected.") };
    let Some(backend) = context.snapshot.backend_named(name) else { return Reply::error("No such backend.") };
    if backend.model.disabled {
        return Reply::error("No effect on a disabled backend.");
    }
    backend.set_published(published);
    Reply::info(if published { "Backend published." } else { "Backend unpublished." })
}
