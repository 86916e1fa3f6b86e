//! Commands about frontends: switching them off and on, their limits.

use std::sync::atomic::Ordering::Relaxed;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::def;
use crate::proxy::{Frontend, FrontendState};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["disable", "frontend"],
        "disable frontend <frontend>",
        "stop accepting for a while",
        Level::Admin,
        disable,
    ),
    def(&["enable", "frontend"], "enable frontend <frontend>", "accept again", Level::Admin, enable),
    def(
        &["shutdown", "frontend"],
        "shutdown frontend <frontend>",
        "stop accepting for good",
        Level::Admin,
        shutdown,
    ),
    def(
        &["set", "maxconn", "frontend"],
        "set maxconn frontend <frontend> <value>",
        "change how many connections it takes at once",
        Level::Admin,
        set_maxconn,
    ),
];

fn find<'a>(context: &'a Context<'_>, words: &[&str]) -> Result<&'a Frontend, Reply> {
    let name = words.first().ok_or_else(|| Reply::error("A frontend name is expected."))?;
    let found = context.snapshot.frontend_named(name).map(AsRef::as_ref);
    found.ok_or_else(|| Reply::error("No such frontend."))
}

/// Runs a command whose refusals are replies too.
fn either(result: Result<Reply, Reply>) -> Reply {
    result.unwrap_or_else(|refusal| refusal)
}

fn disable(context: &mut Context<'_>, words: &[&str]) -> Reply {
    either(find(context, words).map(|frontend| match frontend.state() {
        FrontendState::Stopped => Reply::error("Frontend was previously shut down, cannot disable."),
        FrontendState::Paused => Reply::error("All sockets are already disabled."),
        FrontendState::Open | FrontendState::Full => {
            frontend.set_state(FrontendState::Paused);
            context.admin.reporter.warn_frontend(
                frontend.id,
                &format!("Paused {} {}.", frontend.model.kind.noun(), frontend.name()),
            );
            Reply::Done
        }
    }))
}

fn enable(context: &mut Context<'_>, words: &[&str]) -> Reply {
    either(find(context, words).map(|frontend| match frontend.state() {
        FrontendState::Stopped => Reply::error("Frontend was previously shut down, cannot enable."),
        FrontendState::Open | FrontendState::Full => Reply::error("All sockets are already enabled."),
        FrontendState::Paused => {
            frontend.set_state(FrontendState::Open);
            context.admin.reporter.warn_frontend(
                frontend.id,
                &format!("Resumed {} {}.", frontend.model.kind.noun(), frontend.name()),
            );
            Reply::Done
        }
    }))
}

fn shutdown(context: &mut Context<'_>, words: &[&str]) -> Reply {
    either(find(context, words).map(|frontend| {
        if frontend.state() == FrontendState::Stopped {
            return Reply::error("Frontend was already shut down.");
        }
        frontend.set_state(FrontendState::Stopped);
        context.admin.reporter.warn_frontend(frontend.id, &format!("Stopped frontend {}.", frontend.name()));
        Reply::Done
    }))
}

fn set_maxconn(context: &mut Context<'_>, words: &[&str]) -> Reply {
    either(find(context, words).map(|frontend| match words.get(1) {
        None => Reply::error("Integer value expected."),
        Some(value) => match value.parse::<u32>() {
            Ok(value) => {
                frontend.maxconn.store(value, Relaxed);
                Reply::Done
            }
            Err(_) => Reply::error("Value out of range."),
        },
    }))
}
