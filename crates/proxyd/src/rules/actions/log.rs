//! `set-log-level`, `do-log`.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::rules::action_def::{ALL, ActionDef, ActionWords, STREAM};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new(
        "set-log-level",
        STREAM,
        "Changes the level of this request's log line, or silences it.",
        parse,
    ),
    ActionDef::new("do-log", ALL, "Writes a log line now, besides the one at the end.", do_log),
];

/// Levels by number (RFC 5424 §6.2.1).
const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// [`crate::txn::StreamInfo::log_level`] of a request that is not logged.
const SILENT: u8 = 255;

#[derive(Debug)]
struct SetLogLevel(u8);

fn parse(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    const USAGE: &str = "expects exactly 1 argument (log level name or 'silent').";
    let word = words.required(USAGE)?;
    let level = match word.as_str() {
        "silent" => Some(SILENT),
        name => LEVELS.iter().position(|level| *level == name).map(|level| level as u8),
    };
    let level =
        level.ok_or_else(|| Diagnostic::alert(USAGE).at(word.span).did_you_mean(word.as_str(), LEVELS))?;
    Ok(Arc::new(SetLogLevel(level)))
}

impl Action for SetLogLevel {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        if let Some(stream) = txn.stream.as_deref_mut() {
            stream.log_level = Some(self.0);
        }
        Verdict::Continue
    }
}

/// `do-log`, with the name of a profile.
#[derive(Debug)]
struct DoLog(Option<Arc<str>>);

fn do_log(words: &mut ActionWords<'_, '_>) -> Result<Arc<dyn Action>, Diagnostic> {
    let Some(word) = words.next_word() else { return Ok(Arc::new(DoLog(None))) };
    if *word != "profile" {
        let message = format!("expects 'profile', 'if' or 'unless', got '{}'.", word.as_str());
        return Err(Diagnostic::alert(message).at(word.span));
    }
    let name = words.required("expects the name of a log-profile.")?;
    Ok(Arc::new(DoLog(Some(name.as_str().into()))))
}

impl Action for DoLog {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        txn.effects.log_profile.clone_from(&self.0);
        Verdict::Log
    }
}
