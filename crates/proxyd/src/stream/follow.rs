//! A session that waits for a request goes over to the configuration that a reload brought.

use std::rc::Rc;
use std::sync::Arc;

use super::entry::Entry;
use super::session::{Private, Session};
use crate::model::{ProxyId, ServerId};
use crate::runtime::Core;

impl Session {
    /// Between two requests: goes over to the present configuration if that has the frontend as it was. Under a
    /// frontend that changed the client stays with the rules it came under; one whose frontend is gone ends here.
    /// Whether it went over.
    pub fn follow(&mut self, core: &mut Core) -> bool {
        let waits = self.stream.is_none() && self.parent.is_none() && self.entry == Entry::Open;
        if Rc::ptr_eq(&self.snapshot, &core.snapshot) || !waits {
            return false;
        }
        let Some(old) = self.snapshot.frontend(self.frontend) else { return false };
        let Some(new) = core.snapshot.frontend_named(old.name()) else {
            if self.first_byte_us.is_none() {
                self.soft_stop(core);
            }
            return false;
        };
        let Some(listener) = new.listeners.get(self.listener.index) else { return false };
        if !new.is_unchanged_since(old) {
            return false;
        }
        let counterpart = |(backend, server): (ProxyId, ServerId)| {
            let server = self.snapshot.backend(backend)?.server(server)?;
            let backend = core.snapshot.backend(core.snapshot.counterpart(&self.snapshot, backend)?)?;
            backend.server_like(server).map(|server| (backend.id, server.id))
        };
        self.last_server = self.last_server.and_then(counterpart);
        // A private connection stays usable: only its server's number may be another one.
        let private = self.private.map(|private| (private, counterpart((private.backend, private.server))));
        match private {
            Some((private, Some((backend, server)))) => {
                self.private = Some(Private { backend, server, ..private });
            }
            // Its server is gone; whoever uses the connection next finds it unfit and closes it.
            Some((_, None)) => return false,
            None => {}
        }
        self.listener = Arc::clone(listener);
        self.frontend = new.id;
        self.info.frontend = Some(new.id);
        self.snapshot = Rc::clone(&core.snapshot);
        true
    }
}
