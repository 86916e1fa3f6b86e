//! Frontends, backends and servers at run time: built from the model by [`snapshot::Snapshot`], shared by all threads.
//!
//! Exactness lives here (slots, queues, counters), traffic does not: that is `stream`'s.

pub mod backend;
pub mod balancing;
pub mod captures;
pub mod checks;
pub mod counters;
pub mod diff;
pub mod frontend;
pub mod histogram;
pub mod idle;
pub mod process;
pub mod queue;
pub mod server;
pub mod server_state;
pub mod snapshot;
pub mod view;

pub use backend::{Applicant, Backend, Slot};
pub use counters::{Counter, Counters, Gauge, Rate, RequestTime};
pub use frontend::{Frontend, FrontendState, Listener};
pub use histogram::Histogram;
pub use process::{Observer, Process};
pub use queue::{Queue, StreamKey, Ticket};
pub use server::{Server, latency_clock_ms};
pub use snapshot::Snapshot;
pub use view::server_view;
