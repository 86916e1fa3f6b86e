//! `balance roundrobin`: dynamic weights, smooth order, the same sequence as HAProxy's.
//!
//! Servers wait in three ordered sets: `curr` (positions of this turn), `init` (not yet seen this turn, heaviest
//! first) and `next` (the coming turn). A position advances by the group's weight over the server's own, with the
//! remainder carried, which is what makes the order smooth.

use super::heap::Heap;
use super::servers::{Group, Servers};
use super::{Loads, Request, ServerIndex};

/// How a weight change of a usable server treats its position.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WeightChange {
    /// The position is computed afresh (HAProxy 3.2 and later).
    #[default]
    Restart,
    /// The place in the turn is kept as far as possible (HAProxy up to 3.1).
    KeepPlace,
}

#[derive(Clone, Copy, Debug, Default)]
struct Position {
    next: i64,
    last: i64,
    rest: i64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Set {
    Curr,
    Init,
    Next,
}

/// The largest effective weight: sixteen per unit of weight 256.
const WEIGHT_TOP: i64 = 4096;

#[derive(Clone, Debug, Default)]
struct Turn {
    heaps: [Heap; 3],
    /// Which heap plays `init`; the other of the two plays `next`.
    swapped: bool,
    pos: i64,
    curr_weight: i64,
    next_weight: i64,
    /// Scratch for servers passed over during a pick.
    aside: Vec<u32>,
}

impl Turn {
    fn heap(&mut self, set: Set) -> &mut Heap {
        let at = match (set, self.swapped) {
            (Set::Curr, _) => 0,
            (Set::Init, false) | (Set::Next, true) => 1,
            (Set::Init, true) | (Set::Next, false) => 2,
        };
        &mut self.heaps[at]
    }

    fn set_of(&mut self, item: u32) -> Option<Set> {
        [Set::Curr, Set::Init, Set::Next].into_iter().find(|set| self.heap(*set).contains(item))
    }

    fn insert_in_init(&mut self, item: u32, weight: i64) {
        self.heap(Set::Init).insert(item, ordered(WEIGHT_TOP - weight));
    }

    fn place(&mut self, item: u32, position: &mut Position, weight: i64) {
        if position.next >= 2 * self.curr_weight || position.next >= self.curr_weight + self.next_weight {
            position.next -= self.curr_weight;
            self.heap(Set::Next).insert(item, ordered(WEIGHT_TOP - weight));
        } else {
            let key = 256 * position.next + (WEIGHT_TOP + position.rest - weight) / 16;
            self.heap(Set::Curr).insert(item, ordered(key));
        }
    }

    /// Takes a server out of its set and normalises its position for an update.
    fn take_out(&mut self, item: u32, position: &mut Position) {
        match self.set_of(item) {
            Some(Set::Init) => (position.next, position.rest) = (0, 0),
            Some(Set::Next) => position.next += self.curr_weight,
            Some(Set::Curr) => {}
            None => position.next = self.pos,
        }
        self.remove(item);
    }

    fn remove(&mut self, item: u32) {
        for heap in &mut self.heaps {
            heap.remove(item);
        }
    }

    fn exchange(&mut self) {
        self.swapped = !self.swapped;
        self.curr_weight = self.next_weight;
        self.pos = self.curr_weight;
    }

    fn candidate(&mut self, positions: &mut [Position]) -> Option<u32> {
        let first = self.heap(Set::Curr).first().map(|(item, _)| item);
        if let Some(item) = first
            && positions.get(item as usize).is_some_and(|p| p.next <= self.pos)
        {
            return Some(item);
        }
        if let Some((item, _)) = self.heap(Set::Init).first() {
            if let Some(position) = positions.get_mut(item as usize) {
                (position.next, position.rest) = (0, 0);
            }
            return Some(item);
        }
        first
    }
}

/// Heap keys are unsigned; positions are not.
fn ordered(key: i64) -> u64 {
    (key as u64) ^ (1 << 63)
}

/// The state of `balance roundrobin`.
#[derive(Clone, Debug)]
pub(super) struct RoundRobin {
    active: Turn,
    backup: Turn,
    positions: Vec<Position>,
    rule: WeightChange,
}

impl RoundRobin {
    pub(super) fn new(servers: &Servers, rule: WeightChange) -> Self {
        let mut this =
            RoundRobin { active: Turn::default(), backup: Turn::default(), positions: Vec::new(), rule };
        this.reserve(servers.len());
        for (index, server) in servers.indexed().filter(|(_, s)| s.usable()) {
            this.turn(server.backup).insert_in_init(index.0, i64::from(server.weight));
        }
        for (turn, weight) in
            [(&mut this.active, servers.active_weight()), (&mut this.backup, servers.backup_weight())]
        {
            let weight = i64::from(weight);
            (turn.pos, turn.curr_weight, turn.next_weight) = (weight, weight, weight);
        }
        this
    }

    fn turn(&mut self, backup: bool) -> &mut Turn {
        if backup { &mut self.backup } else { &mut self.active }
    }

    fn reserve(&mut self, count: usize) {
        self.positions.resize(count, Position::default());
        for turn in [&mut self.active, &mut self.backup] {
            turn.heaps.iter_mut().for_each(|heap| heap.reserve(count));
            turn.aside.reserve(count);
        }
    }

    pub(super) fn pick(
        &mut self,
        servers: &Servers,
        request: &Request,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let turn = match servers.group() {
            Group::Active => &mut self.active,
            Group::Backups => &mut self.backup,
            Group::FirstBackup(first) => return Some(first),
            Group::None => return None,
        };
        let positions = &mut self.positions;
        turn.aside.clear();
        let (mut exchanged, mut avoided, mut picked) = (false, None, None);
        loop {
            if turn.curr_weight == 0 {
                (turn.pos, turn.curr_weight) = (turn.next_weight, turn.next_weight);
            }
            let Some(item) = turn.candidate(positions) else {
                if exchanged {
                    break;
                }
                turn.exchange();
                exchanged = true;
                continue;
            };
            let index = ServerIndex(item);
            let (Some(position), Some(server)) = (positions.get_mut(index.at()), servers.get(index)) else {
                break;
            };
            let weight = i64::from(server.weight.max(1));
            advance(turn, position, weight);
            turn.remove(item);
            turn.pos += 1;
            let room = loads.load(index).has_room();
            if room && (avoided.is_some() || request.avoid != Some(index)) {
                turn.place(item, position, weight);
                picked = Some(index);
                break;
            }
            if room {
                avoided = Some(index);
            }
            turn.aside.push(item);
        }
        while let Some(item) = turn.aside.pop() {
            let index = ServerIndex(item);
            let (Some(position), Some(server)) = (positions.get_mut(index.at()), servers.get(index)) else {
                continue;
            };
            if exchanged {
                turn.insert_in_init(item, i64::from(server.weight));
            } else {
                turn.place(item, position, i64::from(server.weight));
            }
        }
        picked.or(avoided)
    }

    /// Follows a change that `servers` has recorded already; also called for a server just added.
    pub(super) fn changed(&mut self, servers: &Servers, index: ServerIndex, before: u32) {
        if self.positions.len() < servers.len() {
            self.reserve(servers.len());
        }
        let Some(server) = servers.get(index) else { return };
        let (item, weight, rule) = (index.0, i64::from(server.weight), self.rule);
        let turn = if server.backup { &mut self.backup } else { &mut self.active };
        let Some(position) = self.positions.get_mut(index.at()) else { return };
        turn.next_weight += weight - i64::from(before);
        if weight == 0 {
            turn.remove(item);
            return;
        }
        let keep = before > 0 && rule == WeightChange::KeepPlace;
        if keep && turn.set_of(item) == Some(Set::Init) {
            turn.insert_in_init(item, weight);
            return;
        }
        turn.take_out(item, position);
        if keep {
            let old = position.next;
            position.next = (position.last + turn.next_weight / weight).min(old);
            position.rest = 0;
            if position.next < turn.pos + 2 {
                position.next = turn.pos + turn.next_weight / weight;
            }
        } else {
            position.next = turn.pos + (turn.next_weight + turn.curr_weight - turn.pos) / weight;
        }
        turn.place(item, position, weight);
    }
}

fn advance(turn: &Turn, position: &mut Position, weight: i64) {
    if position.next == 0 {
        position.next = turn.pos;
    }
    position.last = position.next;
    position.next += turn.next_weight / weight;
    position.rest += turn.next_weight % weight;
    if position.rest >= weight {
        position.rest -= weight;
        position.next += 1;
    }
}
