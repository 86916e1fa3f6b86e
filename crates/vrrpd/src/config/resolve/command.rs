//! Scripts: who runs them, whether they are there and safe (manual, "SCRIPTS").

use hacore::diag::{Diagnostic, Span};

use crate::model::{BlockNode, CommandLine, NotifyScripts, RunAs};

use super::super::keyword::Context;
use super::super::keywords::draft::{CommandDraft, GlobalDraft, NotifyDraft, UserDraft};
use super::super::keywords::notify;
use super::super::{CODE_NOTE, CODE_SCRIPT_SECURITY, environment::Environment};

/// The user that runs scripts when nobody else is named and it exists.
const DEFAULT_USER: &str = "keepalived_script";

/// What all scripts have in common, and what was seen of them.
pub(super) struct Commands {
    default: Option<RunAs>,
    security: bool,
    /// `set_supplementary_groups`.
    groups: bool,
    /// Some script would run, of an instance or a virtual server.
    vrrp_runs: bool,
    checker_runs: bool,
    default_reported: bool,
}

impl Commands {
    pub(super) fn new(global: &GlobalDraft, context: &Context<'_>) -> Self {
        let security = global.model.script_security;
        let named = global.script_user.as_ref().and_then(|user| notify::ids(user, context.environment));
        let default = named.or_else(|| context.environment.user(DEFAULT_USER)).or_else(|| {
            // With security on keepalived insists on a user that was made for scripts.
            (!security).then(|| context.environment.own_ids())
        });
        let default = default.map(|(uid, gid)| RunAs { uid, gid });
        let groups = global.model.set_supplementary_groups;
        Self { default, security, groups, vrrp_runs: false, checker_runs: false, default_reported: false }
    }

    pub(super) fn default_ids(&self) -> Option<RunAs> {
        self.default
    }

    pub(super) fn ids(&self, user: &UserDraft, context: &Context<'_>) -> Option<RunAs> {
        notify::ids(user, context.environment).map(|(uid, gid)| RunAs { uid, gid })
    }

    fn run_as(&mut self, user: Option<&UserDraft>, span: Span, context: &mut Context<'_>) -> Option<RunAs> {
        if let Some(user) = user {
            return self.ids(user, context);
        }
        if self.default.is_none() && !std::mem::replace(&mut self.default_reported, true) {
            let message = format!("Unable to set default user {DEFAULT_USER} for script");
            let help = "name a user with 'script_user' in global_defs";
            context.diagnostics.push(Diagnostic::warning(message).at(span).help(help));
        }
        self.default
    }

    /// The command of a `vrrp_script`; `None` when it is left out.
    pub(super) fn check_script(
        &mut self,
        name: &str,
        draft: &CommandDraft,
        user: Option<&UserDraft>,
        used: bool,
        context: &mut Context<'_>,
    ) -> Option<CommandLine> {
        let Some(run_as) = self.run_as(user, draft.span, context) else {
            if user.is_none() {
                let message = format!("Unable to set default user for vrrp script {name} - removing");
                context.warn(draft.span, message);
            }
            return None;
        };
        let found = find_program(draft, context.environment);
        let Some(argv) = found else {
            if used {
                context.warn(draft.span, format!("Disabling track script {name} since not found/accessible"));
            }
            return None;
        };
        if let Some(reason) = self.insecure(&argv, run_as, context) {
            if used {
                let message = format!("Disabling track script {name} due to insecure");
                context.diagnostics.push(Diagnostic::warning(message).at(draft.span).help(reason));
            }
            return None;
        }
        self.vrrp_runs |= used;
        Some(self.command(argv, run_as, context))
    }

    fn command(&self, argv: Vec<String>, run_as: RunAs, context: &Context<'_>) -> CommandLine {
        let groups =
            if self.groups { context.environment.groups_of(run_as.uid, run_as.gid) } else { Vec::new() };
        CommandLine { argv, run_as, groups }
    }

    fn insecure(&self, argv: &[String], run_as: RunAs, context: &Context<'_>) -> Option<String> {
        let program = argv.first().filter(|_| self.security)?;
        context.environment.unsafe_script(program, run_as.uid)
    }

    /// A notify script. One that is not there is kept: it may come later, and running it reports.
    pub(super) fn notify(&mut self, draft: &CommandDraft, context: &mut Context<'_>) -> Option<CommandLine> {
        let Some(run_as) = self.run_as(draft.user.as_ref(), draft.span, context) else {
            let message = format!("Unable to set uid/gid for script {} - ignoring", draft.argv.join(" "));
            context.note(draft.span, message);
            return None;
        };
        let Some(argv) = find_program(draft, context.environment) else {
            let program = draft.argv.first().map(String::as_str).unwrap_or_default();
            context.note(draft.span, format!("script '{program}' not found or not executable"));
            return (!program.is_empty()).then(|| self.command(draft.argv.clone(), run_as, context));
        };
        if let Some(reason) = self.insecure(&argv, run_as, context) {
            let program = argv.first().map(String::as_str).unwrap_or_default();
            context.note(
                draft.span,
                format!("Unsafe permissions found for script '{program}' - disabling: {reason}"),
            );
            return None;
        }
        self.vrrp_runs = true;
        Some(self.command(argv, run_as, context))
    }

    /// All notify scripts of an instance or a group with their defaults.
    pub(super) fn notify_scripts(
        &mut self,
        draft: &NotifyDraft,
        global: &GlobalDraft,
        context: &mut Context<'_>,
    ) -> NotifyScripts {
        let mut one = |command: &Option<CommandDraft>| command.as_ref().and_then(|c| self.notify(c, context));
        NotifyScripts {
            master: one(&draft.master),
            backup: one(&draft.backup),
            fault: one(&draft.fault),
            stop: one(&draft.stop),
            deleted: one(&draft.deleted),
            any: one(&draft.any),
            master_rx_lower_pri: one(&draft.master_rx_lower_pri),
            says_deleted: draft.says_deleted,
            priority_changes: draft.priority_changes.unwrap_or(global.notify_priority_changes),
            smtp_alert: draft.smtp_alert.or(global.smtp_alert_vrrp).or(global.smtp_alert).unwrap_or(false),
        }
    }

    /// Scripts of virtual servers count for the security verdict even though they do not run yet.
    pub(super) fn check_servers(&mut self, servers: &[BlockNode], context: &Context<'_>) {
        for node in servers {
            let is_script = matches!(
                node.keyword.as_str(),
                "misc_path" | "notify_up" | "notify_down" | "quorum_up" | "quorum_down"
            );
            if is_script && let Some(text) = node.arguments.first() {
                let argv = super::super::lexer::command_words(text);
                let draft = CommandDraft { argv, user: None, span: Span::line(hacore::diag::FileId(0), 0) };
                self.checker_runs |= find_program(&draft, context.environment).is_some();
            }
            self.check_servers(&node.children, context);
        }
    }

    /// keepalived's closing remark when scripts run and nobody asked for them to be checked.
    pub(super) fn verdict(&self, context: &mut Context<'_>) {
        if self.security {
            return;
        }
        for (runs, kind) in [(self.checker_runs, "check scripts"), (self.vrrp_runs, "scripts")] {
            if runs {
                let message = format!(
                    "SECURITY VIOLATION - {kind} are being executed but script_security not enabled."
                );
                let help = "add 'enable_script_security' and 'script_user' to global_defs";
                let warning = Diagnostic::warning(message).help(help);
                context.diagnostics.push(Diagnostic { code: Some(CODE_SCRIPT_SECURITY), ..warning });
            }
        }
    }
}

impl Context<'_> {
    /// Something worth saying that keepalived does not say in a test.
    pub(super) fn note(&mut self, span: Span, message: String) {
        let warning = Diagnostic::warning(message).at(span);
        self.diagnostics.push(Diagnostic { code: Some(CODE_NOTE), ..warning });
    }
}

/// The arguments with the program's path: as written when it has a slash, else found in `PATH`.
fn find_program(draft: &CommandDraft, environment: &dyn Environment) -> Option<Vec<String>> {
    let (program, arguments) = draft.argv.split_first()?;
    let path = if program.contains('/') {
        environment.is_executable(program).then(|| program.clone())?
    } else {
        /// What execvp(3) searches without `PATH`.
        const PATH_DEFAULT: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let path = environment.variable("PATH").unwrap_or_else(|| PATH_DEFAULT.into());
        path.split(':').map(|dir| format!("{dir}/{program}")).find(|path| environment.is_executable(path))?
    };
    Some(std::iter::once(path).chain(arguments.iter().cloned()).collect())
}
