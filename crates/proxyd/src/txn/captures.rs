//! The slots that `capture` lines, rules and converters fill, and logs read.

use std::borrow::Cow;
use std::cell::RefCell;

/// Slots in order of declaration.
#[derive(Debug, Clone, Default)]
pub struct Captures {
    slots: Vec<Option<Vec<u8>>>,
    /// What converters stored since: they run while others read the stream. Wins over `slots`.
    by_converters: RefCell<Vec<(usize, Vec<u8>)>>,
}

impl Captures {
    /// How many slots there are.
    pub fn len(&self) -> usize {
        self.slots.len()
    }

    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// The slot's text; `None` if it has none, or does not exist.
    pub fn get(&self, slot: usize) -> Option<Cow<'_, [u8]>> {
        let stored = self.by_converters.borrow();
        if let Some((_, text)) = stored.iter().find(|(known, _)| *known == slot) {
            return Some(Cow::Owned(text.clone()));
        }
        self.slots.get(slot)?.as_deref().map(Cow::Borrowed)
    }

    /// All slots in order.
    pub fn iter(&self) -> impl Iterator<Item = Option<Cow<'_, [u8]>>> {
        (0..self.len()).map(|slot| self.get(slot))
    }

    /// Makes at least `count` slots.
    pub fn reserve(&mut self, count: usize) {
        if self.slots.len() < count {
            self.slots.resize(count, None);
        }
    }

    /// Stores a slot, making it and those before it if they do not exist.
    pub fn set(&mut self, slot: usize, text: Vec<u8>) {
        self.reserve(slot.saturating_add(1));
        self.by_converters.get_mut().retain(|(known, _)| *known != slot);
        if let Some(place) = self.slots.get_mut(slot) {
            *place = Some(text);
        }
    }

    /// Stores a slot that exists; others are left alone.
    pub fn set_by_converter(&self, slot: usize, text: &[u8]) {
        if slot < self.slots.len() {
            let mut stored = self.by_converters.borrow_mut();
            stored.retain(|(known, _)| *known != slot);
            stored.push((slot, text.to_vec()));
        }
    }

    /// Forgets everything, and keeps the memory.
    pub fn clear(&mut self) {
        self.slots.clear();
        self.by_converters.get_mut().clear();
    }
}

impl From<Vec<Option<Vec<u8>>>> for Captures {
    fn from(slots: Vec<Option<Vec<u8>>>) -> Self {
        Captures { slots, ..Self::default() }
    }
}
