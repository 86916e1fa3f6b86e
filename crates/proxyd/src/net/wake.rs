//! Who has to be looked at again in this turn because an HTTP/2 state machine has news for it.
//!
//! The `h2` crate tells progress through wakers. Ours only note a name; the thread looks at the list after each turn's
//! events. Wakers have to be `Send`, so the list has a lock; nobody but its thread ever takes it.

use std::sync::Arc;
use std::task::Waker;

use parking_lot::Mutex;

use super::poller::Token;

/// Whom a waker names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Woken {
    Session(Token),
    /// A connection to an HTTP/2 server.
    Server(Token),
}

/// The names noted since the thread last looked.
#[derive(Debug, Default)]
pub struct WakeList {
    woken: Mutex<Vec<Woken>>,
}

#[derive(Debug)]
struct Bell {
    list: Arc<WakeList>,
    names: Woken,
}

impl std::task::Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.list.woken.lock().push(self.names);
    }
}

impl WakeList {
    /// A waker that notes this name.
    pub fn waker(self: &Arc<Self>, names: Woken) -> Waker {
        Waker::from(Arc::new(Bell { list: Arc::clone(self), names }))
    }

    pub fn is_empty(&self) -> bool {
        self.woken.lock().is_empty()
    }

    /// Moves the names into `into`, each once.
    pub fn take(&self, into: &mut Vec<Woken>) {
        let mut woken = self.woken.lock();
        for name in woken.drain(..) {
            if into.last() != Some(&name) {
                into.push(name);
            }
        }
    }
}
