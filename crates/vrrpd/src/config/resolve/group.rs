//! Sync groups: members that exist, each in one group only.

use std::collections::HashSet;

use hacore::diag::Diagnostic;

use crate::model::{Config, SyncGroup};

use super::super::keyword::Context;
use super::super::keywords::draft::{GlobalDraft, GroupDraft, InstanceDraft};
use super::command::Commands;
use super::tracked;

pub(super) fn resolve(
    drafts: Vec<GroupDraft>,
    instances: &[InstanceDraft],
    global: &GlobalDraft,
    config: &Config,
    commands: &mut Commands,
    context: &mut Context<'_>,
) -> Vec<SyncGroup> {
    let mut taken: HashSet<String> = HashSet::new();
    let mut groups = Vec::new();
    for draft in drafts {
        let name = draft.name;
        let mut warn = |message: String| context.diagnostics.push(Diagnostic::warning(message));
        if draft.members.is_empty() {
            warn(format!("Sync group {name} has no virtual router(s). removing"));
            continue;
        }
        let mut members = Vec::new();
        for member in draft.members {
            let member = member.value;
            if !instances.iter().any(|instance| instance.name == member) {
                warn(format!(
                    "Virtual router {member} specified in sync group {name} doesn't exist - ignoring"
                ));
            } else if !taken.insert(member.clone()) {
                warn(format!(
                    "Virtual router {member} cannot exist in more than one sync group; ignoring {name}"
                ));
            } else {
                members.push(member);
            }
        }
        if members.is_empty() {
            warn(format!(
                "Sync group {name}, no matching virtual router found in group declaration - removing"
            ));
            continue;
        }
        if members.len() == 1 {
            warn(format!(
                "Sync group {name} has only 1 virtual router(s) - this probably isn't what you want"
            ));
        }
        let track = tracked::resolve(&draft.track, &name, None, None, config, context);
        let notify = commands.notify_scripts(&draft.notify, global, context);
        groups.push(SyncGroup {
            name,
            members,
            track,
            notify,
            tracking_weight: draft.tracking_weight,
            global_tracking: draft.global_tracking,
        });
    }
    groups
}
