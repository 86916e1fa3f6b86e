//! The servers of a backend as the algorithms see them: effective weights, usability, active and backup group.

use super::{Condition, ServerIndex};

/// The largest weight a server may have (manual, server option "weight").
pub const WEIGHT_MAX: u16 = 256;

/// The slow-start step of a server that is fully started.
pub const RAMP_FULL: u16 = 16;

/// A server as the configuration has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerSetup {
    /// The numeric id (server option "id", or [`automatic_ids`]).
    pub id: u32,
    /// The configured weight, 0..=256.
    pub weight: u16,
    /// Whether it is a `backup` server.
    pub backup: bool,
    /// What places it on the ring of a consistent hash.
    pub ring_key: u32,
    /// Its condition when the balancer is built.
    pub condition: Condition,
}

/// The group of servers that a pick chooses from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Group {
    /// The usable active servers.
    Active,
    /// All usable backup servers (`option allbackups`).
    Backups,
    /// The first usable backup in order.
    FirstBackup(ServerIndex),
    /// No server is usable.
    None,
}

#[derive(Clone, Debug)]
pub(super) struct Server {
    pub(super) id: u32,
    pub(super) configured_weight: u16,
    pub(super) backup: bool,
    pub(super) ring_key: u32,
    pub(super) condition: Condition,
    /// The effective weight if available, else 0: what counts everywhere.
    pub(super) weight: u32,
}

impl Server {
    pub(super) fn usable(&self) -> bool {
        self.weight > 0
    }
}

/// How a configured weight becomes an effective one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scale {
    /// Tree algorithms: sixteen per unit, so that slow start has steps.
    Tree,
    /// Map algorithms: divided by the greatest common divisor of the configured weights.
    Map { divisor: u32 },
}

#[derive(Clone, Copy, Debug, Default)]
struct Sum {
    weight: u32,
    usable: u32,
}

/// All servers of a backend with the sums every algorithm needs.
#[derive(Clone, Debug)]
pub(super) struct Servers {
    list: Vec<Server>,
    scale: Scale,
    all_backups: bool,
    active: Sum,
    backup: Sum,
    first_backup: Option<ServerIndex>,
}

/// What [`Servers::set`] found changed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Change {
    pub(super) weight_before: u32,
    pub(super) weight_after: u32,
}

impl Servers {
    pub(super) fn new(setups: &[ServerSetup], map: bool, all_backups: bool) -> Self {
        let scale = if map {
            let divisor = setups.iter().map(|s| u32::from(s.weight)).filter(|w| *w > 0).fold(0, gcd).max(1);
            Scale::Map { divisor }
        } else {
            Scale::Tree
        };
        let none = Sum::default();
        let mut servers = Servers {
            list: Vec::with_capacity(setups.len()),
            scale,
            all_backups,
            active: none,
            backup: none,
            first_backup: None,
        };
        for setup in setups {
            servers.push(setup);
        }
        servers
    }

    pub(super) fn push(&mut self, setup: &ServerSetup) -> ServerIndex {
        let index = ServerIndex(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        let unavailable = Condition { available: false, ..setup.condition };
        self.list.push(Server {
            id: setup.id,
            configured_weight: setup.weight.min(WEIGHT_MAX),
            backup: setup.backup,
            ring_key: setup.ring_key,
            condition: unavailable,
            weight: 0,
        });
        self.set(index, setup.condition);
        index
    }

    /// Records a server's condition; none if there is no such server.
    pub(super) fn set(&mut self, index: ServerIndex, condition: Condition) -> Option<Change> {
        let scale = self.scale;
        let server = self.list.get_mut(index.at())?;
        let weight_before = server.weight;
        server.condition = condition;
        server.weight = if condition.available { effective_weight(scale, condition) } else { 0 };
        let weight_after = server.weight;
        let backup = server.backup;
        let sum = if backup { &mut self.backup } else { &mut self.active };
        sum.weight = sum.weight - weight_before + weight_after;
        sum.usable = sum.usable + u32::from(weight_after > 0) - u32::from(weight_before > 0);
        if backup && (weight_before > 0) != (weight_after > 0) {
            let first = self.indexed().find(|(_, s)| s.backup && s.usable()).map(|(i, _)| i);
            self.first_backup = first;
        }
        Some(Change { weight_before, weight_after })
    }

    pub(super) fn get(&self, index: ServerIndex) -> Option<&Server> {
        self.list.get(index.at())
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn indexed(&self) -> impl Iterator<Item = (ServerIndex, &Server)> {
        (0u32..).map(ServerIndex).zip(&self.list)
    }

    pub(super) fn group(&self) -> Group {
        if self.active.usable > 0 {
            return Group::Active;
        }
        match self.first_backup {
            None => Group::None,
            Some(_) if self.all_backups => Group::Backups,
            Some(first) => Group::FirstBackup(first),
        }
    }

    /// The sum of effective weights of the group in use.
    pub(super) fn total_weight(&self) -> u32 {
        match self.group() {
            Group::Active => self.active.weight,
            Group::Backups => self.backup.weight,
            Group::FirstBackup(first) => self.get(first).map_or(0, |s| s.weight),
            Group::None => 0,
        }
    }

    /// The number of servers in the group in use.
    pub(super) fn used(&self) -> u32 {
        match self.group() {
            Group::Active => self.active.usable,
            Group::Backups => self.backup.usable,
            Group::FirstBackup(_) => 1,
            Group::None => 0,
        }
    }

    /// Usable servers: active, backup.
    pub(super) fn usable(&self) -> (u32, u32) {
        (self.active.usable, self.backup.usable)
    }

    pub(super) fn active_weight(&self) -> u32 {
        self.active.weight
    }

    pub(super) fn backup_weight(&self) -> u32 {
        self.backup.weight
    }

    /// The weight shown to people for a server in slow start or with a changed weight.
    pub(super) fn displayed_weight(&self, index: ServerIndex) -> u32 {
        let Some(server) = self.get(index) else { return 0 };
        let effective = effective_weight(self.scale, server.condition);
        match self.scale {
            Scale::Tree => effective.div_ceil(u32::from(RAMP_FULL)),
            Scale::Map { divisor } => effective * divisor,
        }
    }

    /// Whether the algorithm can take this weight: map algorithms know only 0 and the configured one.
    pub(super) fn accepts_weight(&self, index: ServerIndex, weight: u16) -> bool {
        match self.scale {
            Scale::Tree => weight <= WEIGHT_MAX,
            Scale::Map { .. } => {
                weight == 0 || self.get(index).is_some_and(|s| s.configured_weight == weight)
            }
        }
    }
}

fn effective_weight(scale: Scale, condition: Condition) -> u32 {
    let weight = u32::from(condition.weight.min(WEIGHT_MAX));
    match scale {
        Scale::Tree => weight * u32::from(condition.ramp.min(RAMP_FULL)),
        Scale::Map { divisor } => weight.div_ceil(divisor),
    }
}

fn gcd(a: u32, b: u32) -> u32 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// Numeric ids for servers in configuration order: explicit ones are kept, the others get the lowest free id at or
/// after their position, as HAProxy gives them (manual, server option "id").
pub fn automatic_ids(explicit: &[Option<u32>]) -> Vec<u32> {
    let taken: std::collections::HashSet<u32> = explicit.iter().flatten().copied().collect();
    let mut counter = 1u32;
    let mut ids = Vec::with_capacity(explicit.len());
    for id in explicit {
        let given = id.unwrap_or_else(|| {
            while taken.contains(&counter) {
                counter = counter.saturating_add(1);
            }
            counter
        });
        ids.push(given);
        counter = counter.saturating_add(1);
    }
    ids
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn automatic_ids_skip_explicit_ones_and_count_every_server() {
        assert_eq!(automatic_ids(&[None, None, None]), [1, 2, 3]);
        assert_eq!(automatic_ids(&[None, Some(10), None, Some(4), None]), [1, 10, 3, 4, 5]);
    }
}
