//! What the texts about the running daemon are made of.

use std::{collections::BTreeMap, sync::Arc};

use crate::model::{Config, SyncGroup};
use crate::net::Channel;
use crate::netlink::Interfaces;
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
    pub interfaces: Interfaces,
    pub sockets: Vec<SocketPair>,
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
            interfaces: &self.interfaces,
            sockets: &self.sockets,
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
    /// Empty before anything runs.
    pub interfaces: &'a Interfaces,
    pub sockets: &'a [SocketPair],
    pub clocks: Clocks,
}

/// The sockets of a channel and who shares them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketPair {
    pub channel: Channel,
    pub fd_in: i32,
    pub fd_out: i32,
    /// `None`: as large as the daemon finds sensible.
    pub receive_buffer_bytes: Option<u32>,
    /// Their names.
    pub instances: Vec<String>,
}

impl<'a> View<'a> {
    /// Whether this is about a daemon, and not about a file alone.
    pub(super) fn is_running(&self) -> bool {
        !self.routers.is_empty()
    }

    /// An interface as the dumps name it: a vmac with the one below it.
    pub(super) fn device_text(&self, name: &str) -> String {
        let link = self.interfaces.by_name(name);
        let below = link.and_then(|link| self.interfaces.by_index(link.macvlan_over.or(link.ipvlan_over)?));
        below.map_or_else(|| name.to_owned(), |below| format!("{name}@{}", below.name))
    }

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
