//! What the texts about the running daemon are made of.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::{Config, SyncGroup};
use crate::track::Condition;
use crate::vrrp::{Group, Router, Tracker};

use super::Clocks;

/// How the process and its configuration came about. Times are microseconds of the monotonic clock.
#[derive(Debug, Clone, Default)]
pub struct Life {
    pub started_us: u64,
    pub config_file: String,
    /// When the configuration in use was read.
    pub read_us: u64,
    pub reloads: u64,
    pub reloads_refused: u64,
    /// When and why the last reload was refused, until one succeeds.
    pub refused: Option<(u64, String)>,
}

/// Everything at one moment, to be made into text elsewhere: with hundreds of instances that takes milliseconds, which
/// adverts do not wait for.
#[derive(Debug, Clone)]
pub struct Snapshot {
    pub config: Arc<Config>,
    pub routers: Vec<Router>,
    pub groups: Vec<Group>,
    pub conditions: BTreeMap<Tracker, Condition>,
    pub life: Life,
    pub clocks: Clocks,
}

impl Snapshot {
    /// To look at.
    pub fn view(&self) -> View<'_> {
        View {
            config: &self.config,
            routers: &self.routers,
            groups: &self.groups,
            conditions: &self.conditions,
            life: &self.life,
            clocks: self.clocks,
        }
    }
}

/// Everything at one moment. Routers and instances have the same order.
#[derive(Clone, Copy)]
pub struct View<'a> {
    pub config: &'a Config,
    pub routers: &'a [Router],
    pub groups: &'a [Group],
    /// What trackers that are no interfaces have found.
    pub conditions: &'a BTreeMap<Tracker, Condition>,
    pub life: &'a Life,
    pub clocks: Clocks,
}

impl<'a> View<'a> {
    /// The sync group of an instance, as configured and as it is.
    pub(super) fn group_of(&self, instance: &str) -> Option<(&'a SyncGroup, Option<&'a Group>)> {
        let model = self.config.sync_group_of(instance)?;
        Some((model, self.groups.iter().find(|group| group.name == model.name)))
    }
}

/// What a tracker is called in texts.
pub(super) fn tracker_name(tracker: &Tracker) -> String {
    let (kind, name) = tracker_label(tracker);
    if name.is_empty() { kind.to_owned() } else { format!("{kind} {name}") }
}

/// Kind and name of a tracker.
pub(super) fn tracker_label(tracker: &Tracker) -> (&'static str, &str) {
    match tracker {
        Tracker::Interface(name) | Tracker::TrackedInterface(name) => ("interface", name),
        Tracker::Source => ("source address", ""),
        Tracker::Script(name) => ("script", name),
        Tracker::File(name) => ("file", name),
        Tracker::Process(name) => ("process", name),
        Tracker::Proxy(name) => ("proxy", name),
        Tracker::Configuration => ("configuration", ""),
    }
}
