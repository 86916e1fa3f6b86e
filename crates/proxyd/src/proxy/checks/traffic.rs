//! What the data plane's threads show of servers, brought to the reporter: `observe`, `option outlier-ejection`.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use hacore::health::Observation;
use tokio::runtime::Handle;

use super::Reporter;
use crate::model::{ProxyId, ServerId};
use crate::proxy::{Observer, Snapshot};

/// Stands between the threads and the reporter; ends ejections on the services' runtime.
pub struct Traffic {
    reporter: Arc<Reporter>,
    snapshot: Arc<ArcSwap<Snapshot>>,
    runtime: Handle,
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Traffic")
    }
}

impl Traffic {
    pub fn new(reporter: &Arc<Reporter>, snapshot: &Arc<ArcSwap<Snapshot>>, runtime: Handle) -> Self {
        Self { reporter: Arc::clone(reporter), snapshot: Arc::clone(snapshot), runtime }
    }

    /// Looks again when an ejection is over.
    fn settle_after(&self, backend: ProxyId, time: Duration) {
        let (reporter, snapshot) = (Arc::clone(&self.reporter), Arc::clone(&self.snapshot));
        self.runtime.spawn(async move {
            tokio::time::sleep(time).await;
            let snapshot = snapshot.load_full();
            if let Some(backend) = snapshot.backend(backend) {
                reporter.settle_outliers(&snapshot, backend);
            }
        });
    }
}

impl Observer for Traffic {
    fn observe(&self, backend: ProxyId, server: ServerId, observation: Observation) {
        let snapshot = self.snapshot.load_full();
        // A reload may just have taken the server away.
        let Some(backend) = snapshot.backend(backend) else { return };
        let Some(server) = backend.server(server) else { return };
        self.reporter.observe(&snapshot, backend, server, observation);
        if let Some(time) = self.reporter.observe_outlier(&snapshot, backend, server, observation) {
            self.settle_after(backend.id, time);
        }
    }
}
