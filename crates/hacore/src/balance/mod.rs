//! Which server gets the next request: HAProxy's balancing algorithms as pure data structures.
//!
//! A [`Balancer`] is built from an [`Algorithm`] and the servers of a backend in configuration order. It is told about
//! changes ([`Balancer::set_server`], [`Balancer::load_changed`]) and asked with [`Balancer::pick`]. It opens nothing,
//! reads no clock and draws no randomness (a [`Request`] carries a seed), so that for the same configuration, key and
//! history it names the same server as HAProxy.
//!
//! Cost: `pick` allocates nothing and takes O(log n) for n servers as long as the first candidates have room; every
//! server that has to be passed over (full, to be avoided) costs one more step. `set_server` may allocate.
//!
//! What this module does not do: queues, persistence, retries, redispatch. They surround the choice.

mod algorithm;
mod first;
mod heap;
pub mod key;
pub mod latency;
mod least_conn;
mod maglev;
mod map;
pub mod retry_budget;
mod ring;
mod ring_key;
mod round_robin;
mod servers;
#[cfg(test)]
mod tests;

pub use algorithm::{
    Affinity, Algorithm, Balancer, Cost, HashOptions, Options, RANDOM_DRAWS_DEFAULT, Rebuild,
};
pub use ring_key::RingKey;
pub use round_robin::WeightChange;
pub use servers::{RAMP_FULL, ServerSetup, WEIGHT_MAX, automatic_ids};

/// A server's place in its backend, in configuration order; servers added at run time follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ServerIndex(pub u32);

impl ServerIndex {
    /// The place as an index into a slice kept in the same order.
    pub fn at(self) -> usize {
        self.0 as usize
    }
}

/// What a server carries at this moment; read by `pick` for the candidates it looks at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Requests or connections that hold a slot on the server.
    pub served: u32,
    /// Requests that wait in the server's own queue.
    pub queued: u32,
    /// The slots it may give at present (dynamic between `minconn` and `maxconn`, and during slow start); none: no `maxconn`.
    pub limit: Option<u32>,
    /// `maxqueue`; none: unlimited.
    pub queue_limit: Option<u32>,
    /// How slow it is ([`latency::PeakEwma`]), for [`Cost::Latency`] only.
    pub latency_us: u32,
}

impl Load {
    /// Whether a new request gets a slot at once ("has room").
    pub fn has_room(&self) -> bool {
        self.limit.is_none_or(|limit| self.queued == 0 && self.served < limit)
    }
}

/// Where `pick` reads the servers' loads.
pub trait Loads {
    /// The load of one server. Called a few times per pick: it should be a handful of relaxed atomic reads.
    fn load(&self, server: ServerIndex) -> Load;

    /// Requests the whole backend holds now (for `hash-balance-factor`).
    fn backend_served(&self) -> u32;
}

/// What `pick` needs to know of one request.
#[derive(Clone, Copy, Debug, Default)]
pub struct Request {
    /// The hash of the request's key ([`key`], [`crate::hash::HashType`]); none: the algorithm needs none, or the
    /// request lacks the key, and the algorithm falls back to round robin as HAProxy does.
    pub hash: Option<u32>,
    /// The server of a failed attempt, not to be taken again if another will do.
    pub avoid: Option<ServerIndex>,
    /// 64 random bits; used by `random` only.
    pub seed: u64,
}

/// A server's condition as the health state and the administrator left it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Condition {
    /// Whether it may be chosen: running or starting, not in maintenance, not draining. (A weight of 0 counts by itself.)
    pub available: bool,
    /// The weight set by the administrator or an agent, 0..=256.
    pub weight: u16,
    /// The slow-start step, 1..=[`RAMP_FULL`]; [`RAMP_FULL`] when not slow-starting.
    pub ramp: u16,
}
