//! `balance first` and `balance sticky`: no balance at all, on purpose.

use super::servers::{Group, Servers};
use super::{Loads, Request, ServerIndex};

/// `first`: the usable server with the lowest id that has room.
///
/// A bit for each server tells whether it may have room; `pick` clears it when a server proves full and
/// `load_changed` sets it again, so that a pick need not look at all the full ones in front.
#[derive(Clone, Debug)]
pub(super) struct First {
    /// Servers in order of id.
    by_id: Vec<ServerIndex>,
    /// Each server's place in `by_id`.
    places: Vec<usize>,
    may_have_room: Vec<u64>,
}

impl First {
    pub(super) fn new(servers: &Servers) -> Self {
        let mut this = First { by_id: Vec::new(), places: Vec::new(), may_have_room: Vec::new() };
        this.renumber(servers);
        this
    }

    /// To be called when servers were added.
    pub(super) fn renumber(&mut self, servers: &Servers) {
        self.by_id = servers.indexed().map(|(index, _)| index).collect();
        self.by_id.sort_by_key(|index| servers.get(*index).map_or(0, |s| s.id));
        self.places = vec![0; self.by_id.len()];
        for (place, index) in self.by_id.iter().enumerate() {
            self.places[index.at()] = place;
        }
        self.may_have_room = vec![u64::MAX; self.by_id.len().div_ceil(64)];
    }

    /// To be called when a server became usable or gave a slot back.
    pub(super) fn may_have_room(&mut self, index: ServerIndex) {
        if let Some(place) = self.places.get(index.at())
            && let Some(word) = self.may_have_room.get_mut(place / 64)
        {
            *word |= 1 << (place % 64);
        }
    }

    pub(super) fn pick(
        &mut self,
        servers: &Servers,
        request: &Request,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let backups = match servers.group() {
            Group::Active => false,
            Group::Backups => true,
            Group::FirstBackup(first) => return Some(first),
            Group::None => return None,
        };
        let mut avoided = None;
        for word in 0..self.may_have_room.len() {
            let mut bits = self.may_have_room[word];
            while bits != 0 {
                let bit = bits.trailing_zeros() as usize;
                bits &= bits - 1;
                let Some(index) = self.by_id.get(word * 64 + bit).copied() else { break };
                let usable = servers.get(index).is_some_and(|s| s.usable() && s.backup == backups);
                if !usable {
                    continue;
                }
                if !loads.load(index).has_room() {
                    self.may_have_room[word] &= !(1 << bit);
                } else if request.avoid == Some(index) {
                    avoided = Some(index);
                } else {
                    return Some(index);
                }
            }
        }
        avoided
    }
}

/// `sticky`: one server until it goes down; one that comes back stands behind the others.
#[derive(Clone, Debug)]
pub(super) struct Sticky {
    /// The usable servers in the order in which they became so.
    order: Vec<ServerIndex>,
}

impl Sticky {
    pub(super) fn new(servers: &Servers) -> Self {
        let usable = servers.indexed().filter(|(_, server)| server.usable());
        Self { order: usable.map(|(index, _)| index).collect() }
    }

    /// A server came or went.
    pub(super) fn changed(&mut self, servers: &Servers, changed: ServerIndex) {
        let usable = servers.get(changed).is_some_and(|server| server.usable());
        if !usable {
            self.order.retain(|index| *index != changed);
        } else if !self.order.contains(&changed) {
            self.order.push(changed);
        }
    }

    pub(super) fn pick(&self, servers: &Servers) -> Option<ServerIndex> {
        let backups = match servers.group() {
            Group::Active => false,
            Group::Backups | Group::FirstBackup(_) => true,
            Group::None => return None,
        };
        let fits =
            |index: &ServerIndex| servers.get(*index).is_some_and(|s| s.usable() && s.backup == backups);
        self.order.iter().copied().find(fits)
    }
}
