//! What traffic shows of a server: `observe`, `option outlier-ejection`, and how slow it is.
//!
//! The common case, a server that works and has worked, costs one relaxed load. Only what may change the server's health
//! goes to the services' side ([`crate::proxy::Observer`]).

use std::sync::atomic::Ordering::Relaxed;

use hacore::health::Observation;

use super::fault::Fault;
use super::{Session, Stream};
use crate::model::BalanceAlgorithm;
use crate::runtime::Core;

impl Stream {
    /// A connection or a response showed this.
    pub(super) fn observed(&self, session: &Session, core: &Core, observation: Observation) {
        let backend = self.info.backend.and_then(|id| session.snapshot.backend(id));
        let Some((backend, server)) = backend.and_then(|b| Some((b, b.server(self.info.server?)?))) else {
            return;
        };
        let observe = server.model.observe;
        if observe.is_none() && backend.model.outlier.is_none() {
            return;
        }
        let failed = match observation {
            // A connection is good news only where nothing more is looked at.
            Observation::Connected if self.has_request && observe != Some(4) => return,
            Observation::Connected | Observation::GoodResponse => false,
            _ => true,
        };
        if !failed && server.errors_in_a_row.swap(0, Relaxed) == 0 {
            return;
        }
        if failed {
            server.errors_in_a_row.fetch_add(1, Relaxed);
        }
        if let Some(observer) = core.process.observer.get() {
            observer.observe(backend.id, server.id, observation);
        }
    }

    /// A request failed at its server.
    pub(super) fn observed_fault(&self, session: &Session, core: &Core, fault: Fault) {
        let observation = match fault {
            Fault::ConnectFailed | Fault::ConnectTimeout => Observation::ConnectionFailed,
            _ if self.response_started || !self.has_request => return,
            Fault::ServerGone => Observation::Closed,
            Fault::ServerTimeout => Observation::ReadTimeout,
            Fault::BadResponse => Observation::InvalidHeaders,
            _ => return,
        };
        self.observed(session, core, observation);
    }

    /// The server has answered: `balance peak-ewma` remembers how soon.
    pub(super) fn observed_latency(&self, session: &Session, latency_us: u64) {
        let backend = self.info.backend.and_then(|id| session.snapshot.backend(id));
        let Some(backend) = backend.filter(|b| b.model.balance.algorithm == BalanceAlgorithm::PeakEwma)
        else {
            return;
        };
        if let Some(server) = self.info.server.and_then(|id| backend.server(id)) {
            server.latency.observe(latency_us, crate::proxy::latency_clock_ms());
        }
    }
}
