//! The ring of `hash-type consistent` and `balance random`.
//!
//! Each server has as many nodes as its effective weight; node j stands at avalanche(key + j). A request goes to the
//! nearest node of its hash, so a server that comes or goes moves only its own keys.

use super::algorithm::{Affinity, Cost, Options};
use super::servers::{Group, Servers};
use super::{Load, Loads, Request, ServerIndex};
use crate::hash::avalanche;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Node {
    position: u32,
    server: ServerIndex,
}

/// One kind's nodes (active or backup) in order of position; among equals the first inserted comes first.
#[derive(Clone, Debug, Default)]
struct Circle {
    nodes: Vec<Node>,
    /// The node of the round robin for requests without a key.
    cursor: Option<usize>,
}

impl Circle {
    fn after(&self, at: usize) -> usize {
        if at + 1 < self.nodes.len() { at + 1 } else { 0 }
    }

    /// The node a hash is nearest to; the one before it wins when both are as near.
    fn nearest(&self, hash: u32) -> Option<usize> {
        let next = self.nodes.partition_point(|node| node.position < hash);
        let next = if next < self.nodes.len() { next } else { 0 };
        let before = next.checked_sub(1).unwrap_or(self.nodes.len().checked_sub(1)?);
        let distance_before = hash.wrapping_sub(self.nodes[before].position);
        let distance_next = self.nodes[next].position.wrapping_sub(hash);
        Some(if distance_before <= distance_next { before } else { next })
    }

    /// Adds the nodes `from..to` of a server.
    fn add(&mut self, server: ServerIndex, key: u32, from: u32, to: u32) {
        let position = |j: u32| avalanche(key.wrapping_add(j));
        let mut added: Vec<Node> = (from..to).map(|j| Node { position: position(j), server }).collect();
        added.sort_by_key(|node| node.position);
        let old = std::mem::take(&mut self.nodes);
        let cursor = self.cursor.take();
        self.nodes.reserve_exact(old.len() + added.len());
        let mut added = added.into_iter().peekable();
        for (at, node) in old.into_iter().enumerate() {
            while let Some(new) = added.next_if(|new| new.position < node.position) {
                self.nodes.push(new);
            }
            if cursor == Some(at) {
                self.cursor = Some(self.nodes.len());
            }
            self.nodes.push(node);
        }
        self.nodes.extend(added);
    }

    /// Removes all nodes of a server but the first `keep`. A cursor on a removed node moves to the one after it.
    fn remove(&mut self, server: ServerIndex, key: u32, keep: u32, had: u32) {
        let mut gone: Vec<u32> = (keep..had).map(|j| avalanche(key.wrapping_add(j))).collect();
        gone.sort_unstable();
        let cursor = self.cursor.take();
        let old = std::mem::take(&mut self.nodes);
        self.nodes.reserve_exact(old.len().saturating_sub(gone.len()));
        let mut wanted = false;
        for (at, node) in old.into_iter().enumerate() {
            wanted |= cursor == Some(at);
            if node.server == server && gone.binary_search(&node.position).is_ok() {
                continue;
            }
            if wanted {
                self.cursor = Some(self.nodes.len());
                wanted = false;
            }
            self.nodes.push(node);
        }
        if wanted && !self.nodes.is_empty() {
            self.cursor = Some(0);
        }
    }
}

/// What bounds a server's share of the load (`hash-balance-factor`).
#[derive(Clone, Copy, Debug)]
struct Bound {
    factor: u64,
    total: u64,
    backend_served: u64,
}

/// Both rings of a backend.
#[derive(Clone, Debug)]
pub(super) struct Ring {
    active: Circle,
    backup: Circle,
    /// For each server the weights of the usable ones of its kind before it, as they were at the start.
    weight_before: Vec<u64>,
    balance_factor: u32,
    affinity: Affinity,
}

impl Ring {
    pub(super) fn new(servers: &Servers, options: &Options) -> Self {
        let mut ring = Ring {
            active: Circle::default(),
            backup: Circle::default(),
            weight_before: Vec::with_capacity(servers.len()),
            balance_factor: options.balance_factor,
            affinity: options.affinity,
        };
        let (mut before_active, mut before_backup) = (0u64, 0u64);
        let (mut active, mut backup) = (Vec::new(), Vec::new());
        for (index, server) in servers.indexed() {
            let (before, nodes) = if server.backup {
                (&mut before_backup, &mut backup)
            } else {
                (&mut before_active, &mut active)
            };
            ring.weight_before.push(*before);
            *before += u64::from(server.weight);
            let position = |j: u32| avalanche(server.ring_key.wrapping_add(j));
            nodes.extend((0..server.weight).map(|j| Node { position: position(j), server: index }));
        }
        // A stable sort keeps the first inserted first among equal positions.
        active.sort_by_key(|node| node.position);
        backup.sort_by_key(|node| node.position);
        (ring.active.nodes, ring.backup.nodes) = (active, backup);
        ring
    }

    /// Follows a change that `servers` has recorded already.
    pub(super) fn changed(&mut self, servers: &Servers, index: ServerIndex, before: u32) {
        let Some(server) = servers.get(index) else { return };
        if self.weight_before.len() < servers.len() {
            let kind = servers.indexed().filter(|(i, s)| s.backup == server.backup && i.at() < index.at());
            let sum = kind.map(|(_, s)| u64::from(s.weight)).sum();
            self.weight_before.resize(servers.len(), sum);
        }
        let circle = if server.backup { &mut self.backup } else { &mut self.active };
        if server.weight > before {
            circle.add(index, server.ring_key, before, server.weight);
        } else {
            circle.remove(index, server.ring_key, server.weight, before);
        }
    }

    /// The server of a hash.
    pub(super) fn lookup(
        &self,
        servers: &Servers,
        hash: u32,
        avoid: Option<ServerIndex>,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let circle = match servers.group() {
            Group::Active => &self.active,
            Group::Backups => &self.backup,
            Group::FirstBackup(first) => return Some(first),
            Group::None => return None,
        };
        let bound = (self.balance_factor > 0).then(|| Bound {
            factor: u64::from(self.balance_factor),
            total: u64::from(servers.total_weight().max(1)),
            backend_served: u64::from(loads.backend_served()),
        });
        let mut at = circle.nearest(hash)?;
        if avoid.is_none() && bound.is_none() && self.affinity == Affinity::Always {
            return circle.nodes.get(at).map(|node| node.server);
        }
        let mut wraps = 0;
        loop {
            let server = circle.nodes.get(at)?.server;
            let skipped = avoid == Some(server) || self.is_passed_over(servers, server, bound, loads);
            if !skipped {
                return Some(server);
            }
            at = circle.after(at);
            if at == 0 {
                wraps += 1;
                if wraps == 2 {
                    return Some(server);
                }
            }
        }
    }

    fn is_passed_over(
        &self,
        servers: &Servers,
        server: ServerIndex,
        bound: Option<Bound>,
        loads: &dyn Loads,
    ) -> bool {
        if bound.is_none() && self.affinity == Affinity::Always {
            return false;
        }
        let load = loads.load(server);
        let over = bound.is_some_and(|bound| u64::from(load.served) >= self.allowed(servers, server, bound));
        over || leaves(self.affinity, &load)
    }

    /// How many requests a server may hold: its share of all, by weight, times the factor, the remainder dealt out in
    /// order.
    fn allowed(&self, servers: &Servers, server: ServerIndex, bound: Bound) -> u64 {
        let weight = servers.get(server).map_or(0, |s| u64::from(s.weight));
        let before = self.weight_before.get(server.at()).copied().unwrap_or(0);
        let slots = ((bound.backend_served + 1) * bound.factor).div_ceil(100);
        let (each, rest) = (slots / bound.total, slots % bound.total);
        let share = weight * each + (before + weight) * rest / bound.total - before * rest / bound.total;
        share.max(1)
    }

    /// The next node with room, for a request without a key.
    pub(super) fn walk(
        &mut self,
        servers: &Servers,
        request: &Request,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let circle = match servers.group() {
            Group::Active => &mut self.active,
            Group::Backups => &mut self.backup,
            Group::FirstBackup(first) => return Some(first),
            Group::None => return None,
        };
        let mut at = circle.cursor;
        let mut avoided = None;
        for _ in 0..circle.nodes.len() {
            let next = at.map_or(0, |at| circle.after(at));
            let server = circle.nodes.get(next)?.server;
            at = Some(next);
            if !loads.load(server).has_room() {
                continue;
            }
            if request.avoid == Some(server) {
                avoided.get_or_insert((next, server));
                continue;
            }
            circle.cursor = at;
            return Some(server);
        }
        let (at, server) = avoided?;
        circle.cursor = Some(at);
        Some(server)
    }

    /// The least loaded of `draws` servers drawn by the seed; none if it has no room.
    pub(super) fn draw(
        &self,
        servers: &Servers,
        draws: u32,
        cost: Cost,
        request: &Request,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let mut seed = request.seed;
        let mut best: Option<(ServerIndex, Load)> = None;
        for _ in 0..draws.clamp(1, DRAWS_MAX) {
            let Some(server) = self.lookup(servers, next_random(&mut seed), request.avoid, loads) else {
                continue;
            };
            let load = loads.load(server);
            let weight = |s: ServerIndex| servers.get(s).map_or(0, |s| u128::from(s.weight));
            let keep_old = best.is_some_and(|(old, old_load)| {
                cost_of(cost, &load) * weight(old) > cost_of(cost, &old_load) * weight(server)
            });
            if !keep_old {
                best = Some((server, load));
            }
        }
        let (server, load) = best?;
        load.has_room().then_some(server)
    }
}

/// A server that nobody has measured counts as fast, so that it is tried.
fn cost_of(cost: Cost, load: &Load) -> u128 {
    match cost {
        Cost::Served => u128::from(load.served),
        Cost::Latency => (u128::from(load.served) + 1) * (u128::from(load.latency_us) + 1),
    }
}

/// More draws than this cost time and change nothing.
const DRAWS_MAX: u32 = 64;

fn leaves(affinity: Affinity, load: &Load) -> bool {
    match (affinity, load.limit) {
        (Affinity::Always, _) | (_, None) => false,
        (Affinity::Maxconn, Some(limit)) => load.served >= limit,
        (Affinity::Maxqueue, Some(limit)) => load
            .queue_limit
            .is_some_and(|queue| load.served.saturating_add(load.queued) >= limit.saturating_add(queue)),
    }
}

/// SplitMix64, its upper half.
fn next_random(seed: &mut u64) -> u32 {
    *seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (*seed ^ (*seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ (z >> 31)) >> 32) as u32
}
