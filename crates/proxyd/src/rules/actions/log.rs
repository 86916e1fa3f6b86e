//! `set-log-level`.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::rules::action_def::{ActionDef, ActionWords, STREAM};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[ActionDef::new(
    "set-log-level",
    STREAM,
    "Changes the level of this request's log line, or silences it.",
    parse,
)];

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
