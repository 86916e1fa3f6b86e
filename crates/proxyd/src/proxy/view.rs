//! What expressions see of a server, on a data-plane thread as in a check.

use super::{Backend, Server};
use crate::expr::ServerView;
use crate::model::Address;

/// A server now; weights are those in force, not those of the file.
pub fn server_view<'a>(backend: &Backend, server: &'a Server, now_ms: u64) -> ServerView<'a> {
    let load = server.load(backend.sessions.current(), backend.fullconn);
    let weight = u32::from(server.health.lock().weight());
    ServerView {
        name: server.name(),
        numeric_id: server.model.numeric_id,
        usable: server.is_usable(),
        connections: load.served,
        free_connections: load.limit.map(|limit| u64::from(limit.saturating_sub(load.served))),
        queue: load.queued,
        session_rate: server.session_rate.per_second(now_ms),
        weight_user: weight,
        weight_effective: weight,
        weight_initial: server.model.weight,
        address: match server.address() {
            Address::Inet(address) => Some(address),
            _ => None,
        },
    }
}
