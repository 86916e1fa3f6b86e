//! Lines of `track_*` blocks: what they name must be there, and defaults come from it.

use crate::model::{Config, TrackSet, Tracked};

use super::super::keyword::Context;
use super::super::keywords::draft::{TrackDraft, TrackedDraft};

/// Why weights are not allowed, as the end of keepalived's sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoWeights {
    Owner,
    SyncGroup,
}

impl NoWeights {
    fn script_reason(self) -> &'static str {
        match self {
            Self::Owner => "with weights due to address_owner",
            Self::SyncGroup => "with weights due to SYNC group",
        }
    }

    fn interface_reason(self) -> &'static str {
        match self {
            Self::Owner => "due to address owner",
            Self::SyncGroup => "due to SYNC group",
        }
    }
}

/// The resolved trackers of the instance or group `owner`.
pub(super) fn resolve(
    draft: &TrackDraft,
    owner: &str,
    own_interface: Option<&str>,
    no_weights: Option<NoWeights>,
    config: &Config,
    context: &mut Context<'_>,
) -> TrackSet {
    let mut set = TrackSet::default();
    for entry in &draft.interfaces {
        if own_interface == Some(entry.name.as_str()) {
            let message = format!("({owner}) Ignoring track_interface {} since own interface", entry.name);
            context.warn(entry.span, message);
            continue;
        }
        if !context.environment.interface_exists(&entry.name) {
            let message = format!("({owner}) tracked interface {} doesn't exist", entry.name);
            super::missing_interface(context, entry.span, message);
        }
        let tracked = merge(entry, 0, false);
        if let (Some(reason), true) = (no_weights, tracked.weight != 0) {
            let message =
                format!("({owner}) ignoring {} tracked interface {}", entry.name, reason.interface_reason());
            context.warn(entry.span, message);
            continue;
        }
        set.interfaces.push(tracked);
    }
    let scripts = config.scripts.iter().map(|s| (s.name.as_str(), s.weight, s.weight_reverse));
    set.scripts =
        named(&draft.scripts, draft.known.scripts.as_slice(), scripts, "script", owner, no_weights, context);
    let files = config.track_files.iter().map(|f| (f.name.as_str(), f.weight, f.weight_reverse));
    set.files = named(&draft.files, draft.known.files.as_slice(), files, "file", owner, no_weights, context);
    let processes = config.track_processes.iter().map(|p| (p.name.as_str(), p.weight, p.weight_reverse));
    set.processes = named(
        &draft.processes,
        draft.known.processes.as_slice(),
        processes,
        "process",
        owner,
        no_weights,
        context,
    );
    for proxy in &draft.proxies {
        match no_weights {
            Some(reason) if proxy.weight != 0 => {
                let message =
                    format!("({owner}) ignoring tracked proxy {} {}", proxy.name(), reason.script_reason());
                context.diagnostics.push(hacore::diag::Diagnostic::warning(message));
            }
            _ => set.proxies.push(proxy.clone()),
        }
    }
    for entry in &draft.bfds {
        let known = config.bfd_instances.iter().any(|bfd| bfd.arguments.first() == Some(&entry.name));
        if known {
            set.bfds.push(merge(entry, 0, false));
        } else {
            context.warn(entry.span, format!("({owner}) track bfd {} not found, ignoring...", entry.name));
        }
    }
    set
}

fn merge(entry: &TrackedDraft, weight: i32, reverse: bool) -> Tracked {
    Tracked {
        name: entry.name.clone(),
        weight: entry.weight.unwrap_or(weight),
        reverse: entry.reverse.unwrap_or(reverse),
    }
}

/// `before`: what was defined before the block, the only things that keepalived finds. `all`: what is left of all.
fn named<'c>(
    entries: &[TrackedDraft],
    before: &[String],
    all: impl Iterator<Item = (&'c str, i32, bool)> + Clone,
    kind: &str,
    owner: &str,
    no_weights: Option<NoWeights>,
    context: &mut Context<'_>,
) -> Vec<Tracked> {
    let mut out = Vec::new();
    for entry in entries {
        let found = all.clone().find(|(name, ..)| *name == entry.name);
        if !before.contains(&entry.name) {
            let message = format!("({owner}) track {kind} {} not found, ignoring...", entry.name);
            let mut warning = hacore::diag::Diagnostic::warning(message).at(entry.span);
            warning = match found {
                Some(_) => {
                    warning.help(format!("it is defined further down: move its block before '{owner}'"))
                }
                None => warning.did_you_mean(&entry.name, before.iter().map(String::as_str)),
            };
            context.diagnostics.push(warning);
            continue;
        }
        // Defined but not usable: reported where it is defined.
        let Some((_, weight, reverse)) = found else { continue };
        let tracked = merge(entry, weight, reverse);
        match no_weights {
            Some(reason) if tracked.weight != 0 => {
                let message =
                    format!("({owner}) ignoring tracked {kind} {} {}", entry.name, reason.script_reason());
                context.warn(entry.span, message);
            }
            _ => out.push(tracked),
        }
    }
    out
}
