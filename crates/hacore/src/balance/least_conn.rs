//! `balance leastconn`: the server with the least load for its weight.
//!
//! Servers stand in order of (served + queued + 1) / weight, idle ones first; one whose load changes goes behind its
//! equals, so that idle servers are used in turn.

use super::heap::Heap;
use super::servers::{Group, Servers};
use super::{Load, Loads, Request, ServerIndex};

/// The state of `balance leastconn`.
#[derive(Clone, Debug)]
pub(super) struct LeastConn {
    active: Heap,
    backup: Heap,
    /// served + queued of each server as last told.
    loads: Vec<u32>,
    /// Scratch for servers passed over during a pick.
    aside: Vec<(u32, (u64, u64))>,
}

impl LeastConn {
    pub(super) fn new(servers: &Servers) -> Self {
        let mut this = LeastConn {
            active: Heap::default(),
            backup: Heap::default(),
            loads: Vec::new(),
            aside: Vec::new(),
        };
        for (index, _) in servers.indexed() {
            this.changed(servers, index);
        }
        this
    }

    /// Follows a change of weight or usability.
    pub(super) fn changed(&mut self, servers: &Servers, index: ServerIndex) {
        if self.loads.len() < servers.len() {
            self.loads.resize(servers.len(), 0);
            self.active.reserve(servers.len());
            self.backup.reserve(servers.len());
            self.aside.reserve(servers.len());
        }
        let Some(server) = servers.get(index) else { return };
        // A change of weight puts a server behind its equals even if its key stays the same.
        if server.backup { &mut self.backup } else { &mut self.active }.remove(index.0);
        self.place(servers, index);
    }

    /// Follows a change of load.
    pub(super) fn load_changed(&mut self, servers: &Servers, index: ServerIndex, served: u32, queued: u32) {
        let Some(load) = self.loads.get_mut(index.at()) else { return };
        *load = served.saturating_add(queued);
        self.place(servers, index);
    }

    fn place(&mut self, servers: &Servers, index: ServerIndex) {
        let (Some(server), Some(load)) = (servers.get(index), self.loads.get(index.at())) else { return };
        let heap = if server.backup { &mut self.backup } else { &mut self.active };
        if !server.usable() {
            heap.remove(index.0);
            return;
        }
        let key = match load {
            0 => 0,
            load => (u64::from(*load) + 1) * 4096 / u64::from(server.weight),
        };
        if heap.key(index.0) != Some(key) {
            heap.insert(index.0, key);
        }
    }

    pub(super) fn pick(
        &mut self,
        servers: &Servers,
        request: &Request,
        loads: &dyn Loads,
    ) -> Option<ServerIndex> {
        let heap = match servers.group() {
            Group::Active => &mut self.active,
            Group::Backups => &mut self.backup,
            Group::FirstBackup(first) => return Some(first),
            Group::None => return None,
        };
        let (mut picked, mut avoided) = (None, None);
        while let Some((item, _)) = heap.first() {
            let index = ServerIndex(item);
            if may_wait(&loads.load(index)) {
                if request.avoid != Some(index) {
                    picked = Some(index);
                    break;
                }
                avoided = Some(index);
            }
            // Back at its old place afterwards: it was only passed over.
            self.aside.extend(heap.pop_ranked());
        }
        for (item, rank) in self.aside.drain(..) {
            heap.insert_ranked(item, rank);
        }
        picked.or(avoided)
    }
}

/// Unlike the others, leastconn also takes a server whose queue has a place.
fn may_wait(load: &Load) -> bool {
    load.limit.is_none_or(|limit| {
        let places = limit.saturating_add(load.queue_limit.unwrap_or(0));
        load.served.saturating_add(load.queued) < places
    })
}
