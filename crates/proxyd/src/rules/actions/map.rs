//! `set-map(…)`, `del-map(…)`, `add-acl(…)`, `del-acl(…)`: changes of pattern files from traffic.

use std::sync::Arc;

use hacore::diag::Diagnostic;

use crate::expr::{LogFormat, PatternEntry, PatternFile};
use crate::rules::action_def::{ActionDef, ActionWords, HTTP};
use crate::rules::{Action, Txn, Verdict};

pub(super) const ACTIONS: &[ActionDef] = &[
    ActionDef::new("set-map", HTTP, "Sets a key of a map to a value, adding it if need be.", |words| {
        parse(words, Change::SetMap)
    })
    .with_argument(),
    ActionDef::new("del-map", HTTP, "Removes a key from a map.", |words| parse(words, Change::DelMap))
        .with_argument(),
    ActionDef::new("add-acl", HTTP, "Adds a pattern to an ACL's file if it is not there.", |words| {
        parse(words, Change::AddAcl)
    })
    .with_argument(),
    ActionDef::new("del-acl", HTTP, "Removes a pattern from an ACL's file.", |words| {
        parse(words, Change::DelAcl)
    })
    .with_argument(),
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Change {
    SetMap,
    DelMap,
    AddAcl,
    DelAcl,
}

#[derive(Debug)]
struct ChangeFile {
    change: Change,
    file: Arc<PatternFile>,
    key: LogFormat,
    value: Option<LogFormat>,
}

fn parse(words: &mut ActionWords<'_, '_>, change: Change) -> Result<Arc<dyn Action>, Diagnostic> {
    let usage = match change {
        Change::SetMap => "expects exactly 2 arguments.",
        _ => "expects exactly 1 arguments.",
    };
    let path =
        words.argument.and_then(|argument| argument.strip_suffix(')')).ok_or_else(|| words.alert(usage))?;
    let key = words.required(usage)?;
    let key = words.http_format(key)?;
    let value = match change {
        Change::SetMap => {
            let value = words.required(usage)?;
            Some(words.http_format(value)?)
        }
        _ => None,
    };
    let is_map = matches!(change, Change::SetMap | Change::DelMap);
    let scope = words.expr_scope();
    let file = scope
        .pattern_files
        .open(path, is_map, scope.loader)
        .map_err(|error| Diagnostic::alert(error.to_string()).at(words.name.span))?;
    Ok(Arc::new(ChangeFile { change, file, key, value }))
}

impl Action for ChangeFile {
    fn run(&self, txn: &mut Txn<'_>) -> Verdict {
        let mut key = Vec::new();
        self.key.render(&txn.ctx(), &mut key);
        let mut value = Vec::new();
        if let Some(format) = &self.value {
            format.render(&txn.ctx(), &mut value);
        }
        // A pattern that a user's method cannot read changes nothing, as in HAProxy.
        let _ = self.file.update(|entries| self.apply(entries, &key, &value));
        Verdict::Continue
    }
}

impl ChangeFile {
    fn apply(&self, entries: &mut Vec<PatternEntry>, key: &[u8], value: &[u8]) {
        let known = entries.iter().any(|entry| &*entry.key == key);
        match self.change {
            Change::DelMap | Change::DelAcl => entries.retain(|entry| &*entry.key != key),
            Change::SetMap if known => {
                for entry in entries.iter_mut().filter(|entry| &*entry.key == key) {
                    entry.value = value.into();
                }
            }
            Change::AddAcl if known => {}
            Change::SetMap | Change::AddAcl if entries.len() < PatternFile::ENTRIES_MAX => {
                entries.push(PatternEntry::new(key, value, 0));
            }
            Change::SetMap | Change::AddAcl => {}
        }
    }
}
