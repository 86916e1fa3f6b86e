//! A binary heap of server indices, each with a key that can be changed or removed in place.
//!
//! It stands for the ordered sets of the algorithms: among equal keys the first inserted comes first. All memory is
//! reserved when servers are added, so that no operation on the request path allocates.

/// The order inside a heap: by key, then by age of insertion.
type Rank = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Entry {
    rank: Rank,
    item: u32,
}

const ABSENT: u32 = u32::MAX;

/// The smallest key first; among equals the one inserted first.
#[derive(Clone, Debug, Default)]
pub(super) struct Heap {
    entries: Vec<Entry>,
    /// Where each item stands in `entries`, or [`ABSENT`].
    places: Vec<u32>,
    inserted: u64,
}

impl Heap {
    /// Makes room for items below `count`.
    pub(super) fn reserve(&mut self, count: usize) {
        if self.places.len() < count {
            self.places.resize(count, ABSENT);
            self.entries.reserve(count - self.entries.len());
        }
    }

    pub(super) fn contains(&self, item: u32) -> bool {
        self.places.get(item as usize).is_some_and(|place| *place != ABSENT)
    }

    pub(super) fn key(&self, item: u32) -> Option<u64> {
        let place = *self.places.get(item as usize)?;
        self.entries.get(place as usize).map(|e| e.rank.0)
    }

    /// The first item and its key.
    pub(super) fn first(&self) -> Option<(u32, u64)> {
        self.entries.first().map(|e| (e.item, e.rank.0))
    }

    /// Puts an item behind its equals; one that is already there moves.
    pub(super) fn insert(&mut self, item: u32, key: u64) {
        self.inserted += 1;
        self.insert_ranked(item, (key, self.inserted));
    }

    /// Takes the first item out, with the rank that puts it back at the same place.
    pub(super) fn pop_ranked(&mut self) -> Option<(u32, Rank)> {
        let first = *self.entries.first()?;
        self.remove(first.item);
        Some((first.item, first.rank))
    }

    /// Puts an item where it stood when it had this rank.
    pub(super) fn insert_ranked(&mut self, item: u32, rank: Rank) {
        self.remove(item);
        let Some(place) = self.places.get_mut(item as usize) else { return };
        *place = self.entries.len() as u32;
        self.entries.push(Entry { rank, item });
        self.rise(self.entries.len() - 1);
    }

    pub(super) fn remove(&mut self, item: u32) -> bool {
        let Some(place) = self.places.get_mut(item as usize).filter(|p| **p != ABSENT) else { return false };
        let at = std::mem::replace(place, ABSENT) as usize;
        let last = self.entries.len() - 1;
        self.entries.swap_remove(at);
        if at < last {
            self.settle(at);
            if !self.rise(at) {
                self.sink(at);
            }
        }
        true
    }

    fn settle(&mut self, at: usize) {
        let item = self.entries[at].item as usize;
        self.places[item] = at as u32;
    }

    fn rise(&mut self, mut at: usize) -> bool {
        let mut moved = false;
        while at > 0 {
            let above = (at - 1) / 2;
            if self.entries[above].rank <= self.entries[at].rank {
                break;
            }
            self.entries.swap(above, at);
            self.settle(at);
            at = above;
            moved = true;
        }
        self.settle(at);
        moved
    }

    fn sink(&mut self, mut at: usize) {
        loop {
            let (left, right) = (2 * at + 1, 2 * at + 2);
            let mut least = at;
            if left < self.entries.len() && self.entries[left].rank < self.entries[least].rank {
                least = left;
            }
            if right < self.entries.len() && self.entries[right].rank < self.entries[least].rank {
                least = right;
            }
            if least == at {
                break;
            }
            self.entries.swap(at, least);
            self.settle(at);
            at = least;
        }
        self.settle(at);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn comes_out_by_key_then_age(ops in prop::collection::vec((0u32..20, 0u64..5, any::<bool>()), 0..200)) {
            let mut heap = Heap::default();
            heap.reserve(20);
            let mut model: Vec<(u64, u64, u32)> = Vec::new();
            for (age, (item, key, insert)) in ops.into_iter().enumerate() {
                model.retain(|(_, _, i)| *i != item);
                if insert {
                    heap.insert(item, key);
                    model.push((key, age as u64, item));
                } else {
                    heap.remove(item);
                }
            }
            model.sort_unstable();
            let out: Vec<u32> = std::iter::from_fn(|| heap.pop_ranked().map(|(item, _)| item)).collect();
            prop_assert_eq!(out, model.into_iter().map(|(_, _, i)| i).collect::<Vec<_>>());
        }
    }
}
