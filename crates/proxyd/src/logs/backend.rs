//! A `mode log` backend: each line goes to the server that the balancer chooses.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hacore::balance::Request;
use hacore::logging::{Receiver, Sink};

use crate::expr::{EvalCtx, Now, Sample, plain_environment};
use crate::model::BalanceAlgorithm;
use crate::proxy::{Backend, balancing};
use crate::txn::SessionInfo;

/// A backend and the way to each of its servers.
#[derive(Debug)]
pub(super) struct LogBackend {
    backend: Arc<Backend>,
    /// By server; none: it cannot be reached at all.
    sinks: Vec<Option<Arc<Sink>>>,
    /// State of a generator for `balance random`.
    random: AtomicU64,
}

impl LogBackend {
    pub(super) fn new(backend: Arc<Backend>, sinks: Vec<Option<Arc<Sink>>>) -> Self {
        Self { backend, sinks, random: AtomicU64::new(hacore::time::wall_us()) }
    }

    /// `balance log-hash`: the hash of what its converters make of the line.
    fn hash(&self, line: &[u8]) -> Option<u32> {
        let BalanceAlgorithm::LogHash(converters) = &self.backend.model.balance.algorithm else {
            return None;
        };
        let session = SessionInfo::default();
        let context = EvalCtx::new(&session, plain_environment(), Now::default());
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        let key = converters.convert(Sample::str(line), &context)?.into_text()?;
        Some(balancing::hash_type(&self.backend.model.balance.hash_type).hash(&key))
    }

    /// SplitMix64: for spreading only.
    fn seed(&self) -> u64 {
        let state = self.random.fetch_add(0x9e37_79b9_7f4a_7c15, Relaxed);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z ^ (z >> 27)
    }
}

impl Receiver for LogBackend {
    fn take(&self, line: &[u8]) -> bool {
        let request = Request { hash: self.hash(line), avoid: None, seed: self.seed() };
        let server = self.backend.pick(&request);
        let sink = server.and_then(|server| self.sinks.get(server.index().at())?.as_ref());
        sink.is_some_and(|sink| sink.send(line))
    }
}
