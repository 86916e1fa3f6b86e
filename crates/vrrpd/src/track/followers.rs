//! Who follows a tracker, with which weight.

use crate::model::{Config, TrackSet, Tracked};

/// An instance that follows a tracker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Follower {
    pub instance: String,
    pub weight: i32,
    pub reverse: bool,
}

/// All instances that follow one tracker, by themselves or through their sync group.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Followers(pub Vec<Follower>);

impl Followers {
    /// Those of a `vrrp_script`.
    pub fn of_script(config: &Config, name: &str) -> Self {
        Self::of(config, name, |set| &set.scripts)
    }

    /// Those of a `track_file`.
    pub fn of_file(config: &Config, name: &str) -> Self {
        Self::of(config, name, |set| &set.files)
    }

    /// Those of a `vrrp_track_process`.
    pub fn of_process(config: &Config, name: &str) -> Self {
        Self::of(config, name, |set| &set.processes)
    }

    fn of(config: &Config, name: &str, list: impl Fn(&TrackSet) -> &Vec<Tracked>) -> Self {
        let find = |set: &TrackSet| list(set).iter().find(|tracked| tracked.name == name).cloned();
        let followers = config.vrrp_instances.iter().filter_map(|instance| {
            let of_group = || find(&config.sync_group_of(&instance.name)?.track);
            let Tracked { weight, reverse, .. } = find(&instance.track).or_else(of_group)?;
            Some(Follower { instance: instance.name.clone(), weight, reverse })
        });
        Self(followers.collect())
    }

    /// Nobody follows it: it need not run.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
