//! The `balance` line as data, and the one type that carries it out.

use serde::{Deserialize, Serialize};

use super::first::{First, Sticky};
use super::least_conn::LeastConn;
use super::map::Map;
use super::ring::Ring;
use super::round_robin::{RoundRobin, WeightChange};
use super::servers::{Group, ServerSetup, Servers};
use super::{Condition, Loads, Request, ServerIndex};
use crate::hash::Method;

/// The draws of `balance random` without a number.
pub const RANDOM_DRAWS_DEFAULT: u32 = 2;

/// How a backend chooses (manual, "balance"). How the key of a hash is found is [`super::key::KeySource`]'s business.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Algorithm {
    /// `roundrobin`.
    #[default]
    RoundRobin,
    /// `static-rr`.
    StaticRr,
    /// `leastconn`.
    LeastConn,
    /// `first`.
    First,
    /// `random(draws)`.
    Random {
        /// How many servers are drawn, the least loaded of which is taken; at least 1.
        draws: u32,
        /// Which of the drawn servers is taken.
        cost: Cost,
    },
    /// `sticky`.
    Sticky,
    /// `source`, `uri`, `url_param`, `hdr`, `hash`, `rdp-cookie`, `log-hash`.
    Hash(HashOptions),
}

/// What makes one of the servers that `random` draws better than another.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Cost {
    /// What it carries for its weight, as HAProxy has it.
    #[default]
    Served,
    /// The same times how slow it has been lately: `peak-ewma`, an extension.
    Latency,
}

/// What the hash algorithms and `random` need besides the key's hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashOptions {
    /// Map or ring.
    pub method: Method,
    /// Whether one usable server is taken without looking for a key: true for all but `url_param`, and for
    /// `rdp-cookie` (which looks first).
    pub shortcut: bool,
}

/// Options of a backend that bear on every algorithm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// `option allbackups`.
    pub all_backups: bool,
    /// `hash-balance-factor` in percent, above 100; 0: off.
    pub balance_factor: u32,
    /// Which servers `hash-preserve-affinity` lets a consistent hash leave.
    pub affinity: Affinity,
    /// How round robin treats a weight change.
    pub weight_change: WeightChange,
}

/// `hash-preserve-affinity` (HAProxy 3.2).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Affinity {
    /// The server is kept whatever its load.
    #[default]
    Always,
    /// A server whose `maxconn` slots are taken is left.
    Maxconn,
    /// A server whose `maxconn` slots and `maxqueue` places are taken is left.
    Maxqueue,
}

/// How an absent key and a single server are treated by a hash.
#[derive(Clone, Copy, Debug)]
enum Shortcut {
    /// A single server is taken before the key is looked for.
    BeforeKey,
    /// Only after the key was found, or never: the outcome is the same.
    AfterKey,
}

/// The balancer of one backend.
#[derive(Clone, Debug)]
pub struct Balancer {
    servers: Servers,
    state: State,
    /// Counts the changes that a table has to follow.
    version: u64,
}

/// A table that is to be made anew; making it needs no access to the balancer, so no lock.
#[derive(Debug)]
pub struct Rebuild {
    servers: Servers,
    map: Map,
    version: u64,
}

impl Rebuild {
    /// Makes the table, which takes milliseconds for thousands of servers.
    pub fn make(&mut self) {
        self.map.rebuild(&self.servers);
    }
}

#[derive(Clone, Debug)]
enum State {
    RoundRobin(Box<RoundRobin>),
    StaticRr(Map),
    LeastConn(LeastConn),
    First(First),
    Random { ring: Ring, draws: u32, cost: Cost },
    Sticky(Sticky),
    MapHash { map: Map, shortcut: Shortcut },
    RingHash { ring: Ring, shortcut: Shortcut },
}

impl Balancer {
    /// A balancer over the servers in configuration order.
    pub fn new(algorithm: Algorithm, options: Options, setups: &[ServerSetup]) -> Self {
        let map = match algorithm {
            Algorithm::StaticRr => true,
            Algorithm::Hash(hash) => hash.method != Method::Consistent,
            _ => false,
        };
        let servers = Servers::new(setups, map, options.all_backups);
        let shortcut =
            |hash: HashOptions| if hash.shortcut { Shortcut::BeforeKey } else { Shortcut::AfterKey };
        let state = match algorithm {
            Algorithm::RoundRobin => {
                State::RoundRobin(Box::new(RoundRobin::new(&servers, options.weight_change)))
            }
            Algorithm::StaticRr => State::StaticRr(Map::new(&servers)),
            Algorithm::LeastConn => State::LeastConn(LeastConn::new(&servers)),
            Algorithm::First => State::First(First::new(&servers)),
            Algorithm::Random { draws, cost } => {
                State::Random { ring: Ring::new(&servers, &options), draws, cost }
            }
            Algorithm::Sticky => State::Sticky(Sticky::new(&servers)),
            Algorithm::Hash(hash) if hash.method == Method::Maglev => {
                State::MapHash { map: Map::maglev(&servers), shortcut: shortcut(hash) }
            }
            Algorithm::Hash(hash) if map => {
                State::MapHash { map: Map::new(&servers), shortcut: shortcut(hash) }
            }
            Algorithm::Hash(hash) => {
                State::RingHash { ring: Ring::new(&servers, &options), shortcut: shortcut(hash) }
            }
        };
        Balancer { servers, state, version: 0 }
    }

    /// The server for a request; none if no server is usable, or if those that are have no room and the algorithm
    /// looks at that (the request then waits in the backend's queue when [`Self::used`] is not 0).
    pub fn pick(&mut self, request: &Request, loads: &dyn Loads) -> Option<ServerIndex> {
        let servers = &self.servers;
        let single = servers.used() == 1;
        // One server needs no key, and the round robin of requests without one does not move.
        let hash = |shortcut: Shortcut| match shortcut {
            Shortcut::BeforeKey if single => Some(0),
            _ => request.hash,
        };
        match &mut self.state {
            State::RoundRobin(state) => state.pick(servers, request, loads),
            State::StaticRr(map) => map.next(servers, request, loads),
            State::LeastConn(state) => state.pick(servers, request, loads),
            State::First(state) => state.pick(servers, request, loads),
            State::Random { ring, draws, cost } => ring.draw(servers, *draws, *cost, request, loads),
            State::Sticky(state) => state.pick(servers),
            State::MapHash { map, shortcut } => match hash(*shortcut) {
                Some(hash) => map.slot(servers, hash),
                None => map.next(servers, request, loads),
            },
            State::RingHash { ring, shortcut } => match hash(*shortcut) {
                Some(hash) => ring.lookup(servers, hash, request.avoid, loads),
                None => ring.walk(servers, request, loads),
            },
        }
    }

    /// Records a server's changed condition. To be called for every change of state, weight or slow-start step.
    pub fn set_server(&mut self, index: ServerIndex, condition: Condition) {
        let Some(change) = self.servers.set(index, condition) else { return };
        if change.weight_before == change.weight_after {
            return;
        }
        self.changed(index, change.weight_before);
    }

    /// Like [`Self::set_server`], but a table that would have to be made anew is handed out: the caller makes it
    /// ([`Rebuild::make`]) without holding the balancer and gives it to [`Self::take`]. Until then the old table is used,
    /// without the servers that have become unusable.
    pub fn set_server_later(&mut self, index: ServerIndex, condition: Condition) -> Option<Rebuild> {
        let (State::StaticRr(map) | State::MapHash { map, .. }) = &self.state else {
            self.set_server(index, condition);
            return None;
        };
        let change = self.servers.set(index, condition)?;
        if change.weight_before == change.weight_after {
            return None;
        }
        self.version += 1;
        Some(Rebuild { servers: self.servers.clone(), map: map.emptied(), version: self.version })
    }

    /// Takes a table that was made outside, unless servers have changed again meanwhile: then a newer one is under way.
    pub fn take(&mut self, rebuilt: Rebuild) {
        if let (State::StaticRr(map) | State::MapHash { map, .. }, true) =
            (&mut self.state, rebuilt.version == self.version)
        {
            map.replace(rebuilt.map);
        }
    }

    /// Adds a server at run time, behind all others.
    pub fn add_server(&mut self, setup: &ServerSetup) -> ServerIndex {
        let index = self.servers.push(setup);
        if let State::First(state) = &mut self.state {
            state.renumber(&self.servers);
        }
        self.changed(index, 0);
        index
    }

    fn changed(&mut self, index: ServerIndex, weight_before: u32) {
        self.version += 1;
        let servers = &self.servers;
        match &mut self.state {
            State::RoundRobin(state) => state.changed(servers, index, weight_before),
            State::StaticRr(map) | State::MapHash { map, .. } => map.rebuild(servers),
            State::LeastConn(state) => state.changed(servers, index),
            State::First(state) => state.may_have_room(index),
            State::Random { ring, .. } | State::RingHash { ring, .. } => {
                ring.changed(servers, index, weight_before)
            }
            State::Sticky(state) => state.changed(servers, index),
        }
    }

    /// Tells that a server's load has changed: a slot taken or released, a request queued or taken from its queue, or
    /// its limit changed. Only needed when [`Self::follows_load`] says so.
    pub fn load_changed(&mut self, index: ServerIndex, served: u32, queued: u32) {
        match &mut self.state {
            State::LeastConn(state) => state.load_changed(&self.servers, index, served, queued),
            State::First(state) => state.may_have_room(index),
            _ => {}
        }
    }

    /// Whether [`Self::load_changed`] must be called.
    pub fn follows_load(&self) -> bool {
        matches!(self.state, State::LeastConn(_) | State::First(_))
    }

    /// Whether the algorithm is a hash: a retry then only leaves the failed server when the method can.
    pub fn is_hash(&self) -> bool {
        matches!(self.state, State::MapHash { .. } | State::RingHash { .. })
    }

    /// The server used while no active one is usable and `option allbackups` is not set.
    pub fn first_backup(&self) -> Option<ServerIndex> {
        match self.servers.group() {
            Group::FirstBackup(first) => Some(first),
            _ => None,
        }
    }

    /// The sum of effective weights of the group in use; 0: no server.
    pub fn total_weight(&self) -> u32 {
        self.servers.total_weight()
    }

    /// How many servers are in the group in use.
    pub fn used(&self) -> u32 {
        self.servers.used()
    }

    /// How many active and how many backup servers are usable.
    pub fn usable(&self) -> (u32, u32) {
        self.servers.usable()
    }

    /// The weight shown for a server, which slow start lowers.
    pub fn displayed_weight(&self, index: ServerIndex) -> u32 {
        self.servers.displayed_weight(index)
    }

    /// Whether the algorithm can take this weight: the map algorithms know only 0 and the configured one.
    pub fn accepts_weight(&self, index: ServerIndex, weight: u16) -> bool {
        self.servers.accepts_weight(index, weight)
    }
}
