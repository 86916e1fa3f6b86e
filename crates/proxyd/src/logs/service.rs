//! The thread that delivers rings and forwards logs, apart from traffic and from the other services.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot};

use super::delivery;
use super::outlets::Outlets;
use super::relay::{ForwardSockets, Relay, start};
use super::ring::Ring;
use crate::model::LogForward;
use crate::proxy::Snapshot;

/// How long the end of the process waits for servers of rings to get what is left.
const DRAIN_MAX: Duration = Duration::from_millis(500);
const DRAIN_POLL: Duration = Duration::from_millis(10);

/// What one configuration wants.
struct Plan {
    rings: Vec<Arc<Ring>>,
    relays: Vec<Arc<Relay>>,
    sockets: ForwardSockets,
}

/// The running thread.
pub struct LogService {
    plans: mpsc::UnboundedSender<Plan>,
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
    /// What is bound now, to be handed on at a reload.
    sockets: ForwardSockets,
}

impl LogService {
    /// Starts it on sockets that were bound before privileges were dropped.
    pub fn start(snapshot: &Snapshot, outlets: &mut Outlets, sockets: ForwardSockets) -> io::Result<Self> {
        let (plans, received) = mpsc::unbounded_channel();
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let main = move || {
            tokio::task::LocalSet::new().block_on(&runtime, async move {
                let mut work = Work::default();
                let follow = work.follow(received);
                tokio::select! {
                    () = follow => {}
                    // Also when the sender was dropped.
                    _ = stopped => {}
                }
                work.drain().await;
            });
        };
        let thread = std::thread::Builder::new().name("proxyd/logs".to_owned()).spawn(main)?;
        let mut service = Self { plans, stop, thread, sockets: ForwardSockets::default() };
        service.adopt(snapshot, outlets, sockets).map_err(io::Error::other)?;
        Ok(service)
    }

    /// Binds what another configuration has; nothing is changed yet.
    pub fn bind(&self, forwards: &[LogForward]) -> Result<ForwardSockets, Vec<String>> {
        ForwardSockets::bind(forwards, &self.sockets)
    }

    /// Goes over to a configuration whose targets are all open in `outlets`.
    pub fn adopt(
        &mut self,
        snapshot: &Snapshot,
        outlets: &mut Outlets,
        sockets: ForwardSockets,
    ) -> Result<(), hacore::logging::SinkError> {
        let relays =
            snapshot.log_forwards.iter().map(|forward| Relay::new(forward, snapshot, outlets).map(Arc::new));
        let relays: Vec<_> = relays.collect::<Result<_, _>>()?;
        let rings = outlets.rings();
        snapshot.process.rings.lock().clone_from(&rings);
        let handles = ForwardSockets::bind(&snapshot.log_forwards, &sockets).unwrap_or_default();
        self.sockets = sockets;
        // The thread may have ended already.
        let _ = self.plans.send(Plan { rings, relays, sockets: handles });
        Ok(())
    }

    /// Ends it; servers that are connected get what is left within a moment.
    pub fn stop(self) {
        // The thread may have ended already.
        let _ = self.stop.send(());
        if self.thread.join().is_err() {
            tracing::error!("the log thread panicked");
        }
    }
}

/// The thread's tasks.
#[derive(Default)]
struct Work {
    rings: Vec<Arc<Ring>>,
    receivers: Vec<tokio::task::JoinHandle<()>>,
}

impl Work {
    async fn follow(&mut self, mut plans: mpsc::UnboundedReceiver<Plan>) {
        while let Some(plan) = plans.recv().await {
            self.apply(plan);
        }
        // Without a service there is nothing to do until the stop.
        std::future::pending::<()>().await;
    }

    fn apply(&mut self, plan: Plan) {
        let has = |rings: &[Arc<Ring>], ring: &Arc<Ring>| rings.iter().any(|known| Arc::ptr_eq(known, ring));
        for ring in self.rings.iter().filter(|ring| !has(&plan.rings, ring)) {
            ring.retire();
        }
        for ring in plan.rings.iter().filter(|ring| !has(&self.rings, ring)) {
            for at in 0..ring.servers.len() {
                tokio::task::spawn_local(delivery::to_server(Arc::clone(ring), at));
            }
            if let Some(path) = &ring.backing_file {
                tokio::task::spawn_local(delivery::to_file(Arc::clone(ring), path.clone()));
            }
        }
        self.rings = plan.rings;
        self.receivers.drain(..).for_each(|task| task.abort());
        for relay in &plan.relays {
            match start(relay, &plan.sockets) {
                Ok(tasks) => self.receivers.extend(tasks),
                Err(error) => {
                    tracing::error!(section = relay.model.name, %error, "log forwarding does not start")
                }
            }
        }
    }

    async fn drain(&self) {
        let all = async {
            while !self.rings.iter().all(|ring| ring.is_delivered()) {
                tokio::time::sleep(DRAIN_POLL).await;
            }
        };
        // What could not be delivered by then is lost.
        let _ = tokio::time::timeout(DRAIN_MAX, all).await;
    }
}
