//! The table of slots behind `balance static-rr` and every map-based hash.
//!
//! A table of as many slots as the total weight, in which each server appears as often as its weight says and as
//! evenly as HAProxy places it. It is rebuilt whenever a server's usability changes.

use super::heap::Heap;
use super::servers::{Group, Servers};
use super::{Loads, Request, ServerIndex, maglev};

/// Slots and the cursor of the round robin over them.
#[derive(Clone, Debug, Default)]
pub(super) struct Map {
    slots: Vec<ServerIndex>,
    cursor: usize,
    fill: Fill,
}

/// Who gets which slot.
#[derive(Clone, Copy, Debug, Default)]
enum Fill {
    /// As HAProxy deals them out.
    #[default]
    Dealt,
    /// As Maglev does.
    Maglev,
}

impl Map {
    pub(super) fn new(servers: &Servers) -> Self {
        let mut map = Map::default();
        map.rebuild(servers);
        map
    }

    /// A table filled as Maglev does.
    pub(super) fn maglev(servers: &Servers) -> Self {
        let mut map = Map { fill: Fill::Maglev, ..Map::default() };
        map.rebuild(servers);
        map
    }

    /// A table of the same kind without slots.
    pub(super) fn emptied(&self) -> Self {
        Map { slots: Vec::new(), ..*self }
    }

    /// Takes the slots of a table that was made elsewhere.
    pub(super) fn replace(&mut self, other: Map) {
        self.slots = other.slots;
    }

    /// The cursor survives.
    pub(super) fn rebuild(&mut self, servers: &Servers) {
        let backups = match servers.group() {
            Group::None => {
                self.slots.clear();
                return;
            }
            Group::Active => false,
            // Even when only the first backup counts, the walk includes all usable ones, as in HAProxy.
            Group::Backups | Group::FirstBackup(_) => true,
        };
        let group: Vec<(ServerIndex, u32)> = servers
            .indexed()
            .filter(|(_, s)| s.backup == backups && s.usable())
            .map(|(index, s)| (index, s.weight))
            .collect();
        self.slots = match self.fill {
            Fill::Dealt => fill(&group, servers.total_weight()),
            Fill::Maglev => {
                let key = |server: ServerIndex| servers.get(server).map_or(0, |s| s.ring_key);
                let group: Vec<_> = group.iter().map(|(s, weight)| (*s, key(*s), *weight)).collect();
                maglev::fill(&group)
            }
        };
    }

    /// The slot of a hash. The server is taken whatever its load. Only while a new table is being made may its server be
    /// unusable; then the next usable one stands in.
    pub(super) fn slot(&self, servers: &Servers, hash: u32) -> Option<ServerIndex> {
        let slot = (u64::from(hash) % self.slots.len().max(1) as u64) as usize;
        let usable = |server: &&ServerIndex| servers.get(**server).is_some_and(|s| s.usable());
        let (before, after) = self.slots.split_at_checked(slot)?;
        after.iter().chain(before).find(usable).copied()
    }

    /// The next slot whose server has room.
    pub(super) fn next(
        &mut self,
        servers: &Servers,
        request: &Request,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let count = self.slots.len();
        if self.cursor >= count {
            self.cursor = 0;
        }
        let mut avoided = None;
        for step in 0..count {
            let at = (self.cursor + step) % count;
            let server = self.slots[at];
            let usable = servers.get(server).is_some_and(|s| s.usable());
            if !usable || !loads.load(server).has_room() {
                continue;
            }
            if request.avoid == Some(server) {
                avoided.get_or_insert((at, server));
                continue;
            }
            self.cursor = at + 1;
            return Some(server);
        }
        let (at, server) = avoided?;
        self.cursor = at + 1;
        Some(server)
    }
}

/// Gives each of `total` slots to the server with the highest quotient (score + total) / total, the first in order
/// among equals; each slot adds every server's weight to its score and takes the total from the winner's.
///
/// A score only matters when its quotient changes, so each server waits in a heap for the slot at which that happens:
/// O(total · log n) instead of O(total · n).
fn fill(group: &[(ServerIndex, u32)], total: u32) -> Vec<ServerIndex> {
    let total_slots = total as usize;
    if total == 1 {
        return group.iter().take(1).map(|(server, _)| *server).collect();
    }
    let mut slots = Vec::with_capacity(total_slots);
    let (total, mut standings, mut rises) = (u64::from(total), Heap::default(), Heap::default());
    standings.reserve(group.len());
    rises.reserve(group.len());
    let mut servers: Vec<Standing> =
        group.iter().map(|(_, weight)| Standing::new(u64::from(*weight))).collect();
    for (item, standing) in servers.iter().enumerate() {
        standings.insert(item as u32, standing.rank(item));
        rises.insert(item as u32, standing.rises_at(total));
    }
    for slot in 1..=total {
        while let Some((item, due)) = rises.first().filter(|(_, due)| *due <= slot) {
            let standing = &mut servers[item as usize];
            standing.quotient = standing.quotient_at(due, total);
            standings.insert(item, standing.rank(item as usize));
            rises.insert(item, standing.rises_at(total));
        }
        let Some((winner, _)) = standings.first() else { break };
        let standing = &mut servers[winner as usize];
        standing.wins += 1;
        standing.quotient = standing.quotient_at(slot, total);
        standings.insert(winner, standing.rank(winner as usize));
        rises.insert(winner, standing.rises_at(total));
        slots.push(group[winner as usize].0);
    }
    slots
}

/// One server's place in the competition for slots.
struct Standing {
    weight: u64,
    wins: u64,
    /// (score + total) / total as of the last time it was looked at; never negative.
    quotient: u64,
}

impl Standing {
    fn new(weight: u64) -> Self {
        Standing { weight, wins: 0, quotient: 1 }
    }

    /// After `slots` additions: (slots · weight - wins · total + total) / total.
    fn quotient_at(&self, slots: u64, total: u64) -> u64 {
        (slots * self.weight + total).saturating_sub(self.wins * total) / total
    }

    /// The first slot at which the quotient is one more.
    fn rises_at(&self, total: u64) -> u64 {
        (total * (self.quotient + self.wins)).div_ceil(self.weight.max(1))
    }

    /// Highest quotient first, then order.
    fn rank(&self, item: usize) -> u64 {
        (u64::from(u32::MAX) - self.quotient.min(u64::from(u32::MAX))) << 32 | item as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The definition, literally.
    fn fill_naively(group: &[(ServerIndex, u32)], total: u32) -> Vec<ServerIndex> {
        if total == 1 {
            return vec![group[0].0];
        }
        let mut scores = vec![0i64; group.len()];
        let total = i64::from(total);
        let mut slots = Vec::new();
        for _ in 0..total {
            let mut best = (0, 0);
            for (at, (_, weight)) in group.iter().enumerate() {
                scores[at] += i64::from(*weight);
                let quotient = (scores[at] + total).max(0) / total;
                if quotient > best.1 {
                    best = (at, quotient);
                }
            }
            scores[best.0] -= total;
            slots.push(group[best.0].0);
        }
        slots
    }

    fn picks(weights: &[u32]) -> Vec<u32> {
        let group: Vec<_> = weights.iter().zip(1..).map(|(weight, i)| (ServerIndex(i), *weight)).collect();
        fill(&group, weights.iter().sum()).into_iter().map(|s| s.0).collect()
    }

    #[test]
    fn slots_are_spread_as_haproxy_spreads_them() {
        assert_eq!(picks(&[1, 1, 2, 3, 1]), [1, 2, 4, 3, 3, 4, 4, 5]);
        assert_eq!(picks(&[3, 2, 1]), [1, 1, 2, 1, 2, 3]);
    }

    proptest! {
        #[test]
        fn slots_are_those_of_the_definition(weights in prop::collection::vec(1u32..20, 1..12), first_only: bool) {
            let group: Vec<_> = weights.iter().zip(0..).map(|(weight, i)| (ServerIndex(i), *weight)).collect();
            let total = if first_only { weights[0] } else { weights.iter().sum() };
            prop_assert_eq!(fill(&group, total), fill_naively(&group, total));
        }
    }
}
