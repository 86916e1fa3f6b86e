//! `global_defs`: scripts, FIFOs and who runs them.

use super::super::keyword::Keyword;
use super::draft::GlobalDraft;
use super::notify;
use super::numbers::int;
use super::{keyword, no_effect, not_yet};

pub(super) const TABLE: &[Keyword<GlobalDraft>] = &[
    keyword("script_user", "<USER> [<GROUP>]", 0, "default user and group of all scripts", |g, s, c| {
        let Some(user) = notify::user(s) else {
            return c.warn(s.span(), "No script username specified");
        };
        if notify::ids(&user, c.environment).is_none() {
            c.warn(user.span, "Error setting global script uid/gid");
        }
        g.script_user = Some(user);
    }),
    keyword(
        "enable_script_security",
        "",
        0,
        "refuse root scripts a non root user could change",
        |g, _, _| {
            g.model.script_security = true;
        },
    ),
    no_effect(keyword(
        "use_symlink_paths",
        "[<BOOL>]",
        0,
        "run scripts by the configured path rather than the resolved one",
        |g, s, _| {
            g.model.use_symlink_paths = s.flag().unwrap_or(true);
        },
    )),
    keyword(
        "set_supplementary_groups",
        "[<BOOL>]",
        0,
        "give scripts the supplementary groups of their user",
        |g, s, _| {
            g.model.set_supplementary_groups = s.flag().unwrap_or(true);
        },
    ),
    keyword(
        "startup_script",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run once before anything starts",
        |g, s, c| {
            g.startup_script = notify::command(s, c.environment);
            if user_unknown(g.startup_script.as_ref(), c) {
                c.warn(s.span(), "Invalid startup script");
            }
        },
    ),
    keyword("startup_script_timeout", "<1..1000>", 1, "seconds it may take (default 10)", |g, s, c| {
        let wrong = |text: &str| format!("startup_script_timeout '{text}' must be in [1, 1000] - ignoring");
        if let Some(seconds) = int(s, c, 1..=1000, wrong) {
            g.model.startup_script_timeout_us = seconds as u64 * 1_000_000;
        }
    }),
    keyword(
        "shutdown_script",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program run once after everything stopped",
        |g, s, c| {
            g.shutdown_script = notify::command(s, c.environment);
            if user_unknown(g.shutdown_script.as_ref(), c) {
                c.warn(s.span(), "Invalid shutdown script");
            }
        },
    ),
    keyword("shutdown_script_timeout", "<1..1000>", 1, "seconds it may take (default 10)", |g, s, c| {
        let wrong = |text: &str| format!("shutdown_script_timeout '{text}' must be in [1, 1000] - ignoring");
        if let Some(seconds) = int(s, c, 1..=1000, wrong) {
            g.model.shutdown_script_timeout_us = seconds as u64 * 1_000_000;
        }
    }),
    keyword("notify_fifo", "<PATH> [<USER> [<GROUP>]]", 0, "FIFO for all notify lines", |g, s, c| {
        notify::fifo(&mut g.fifo, s, c)
    }),
    keyword(
        "notify_fifo_script",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program started with that FIFO as last argument",
        |g, s, c| {
            g.fifo.script = notify::command(s, c.environment);
        },
    ),
    keyword("vrrp_notify_fifo", "<PATH> [<USER> [<GROUP>]]", 0, "FIFO for VRRP lines only", |g, s, c| {
        notify::fifo(&mut g.vrrp_fifo, s, c);
    }),
    keyword(
        "vrrp_notify_fifo_script",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program started with that FIFO as last argument",
        |g, s, c| {
            g.vrrp_fifo.script = notify::command(s, c.environment);
        },
    ),
    not_yet(keyword(
        "lvs_notify_fifo",
        "<PATH> [<USER> [<GROUP>]]",
        0,
        "FIFO for virtual and real server lines only",
        |g, s, c| {
            notify::fifo(&mut g.lvs_fifo, s, c);
        },
    )),
    not_yet(keyword(
        "lvs_notify_fifo_script",
        "<COMMAND> [<USER> [<GROUP>]]",
        1,
        "program started with that FIFO as last argument",
        |g, s, c| {
            g.lvs_fifo.script = notify::command(s, c.environment);
        },
    )),
    keyword(
        "fifo_write_vrrp_states_on_reload",
        "",
        0,
        "write all states to the FIFOs after a reload",
        |g, _, _| {
            g.model.fifo_write_states_on_reload = true;
        },
    ),
];

fn user_unknown(
    command: Option<&super::draft::CommandDraft>,
    context: &super::super::keyword::Context<'_>,
) -> bool {
    command
        .and_then(|command| command.user.as_ref())
        .is_some_and(|user| notify::ids(user, context.environment).is_none())
}
