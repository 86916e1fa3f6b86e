//! Messages to data-plane threads: granted queue slots, stops, new snapshots.
//!
//! A sender pushes under a short lock and wakes the thread through an eventfd that its epoll instance watches.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::sys::eventfd::{EfdFlags, EventFd};
use parking_lot::Mutex;

use super::question::Question;
use super::reload::Adoption;
use crate::proxy::{Server, StreamKey};
use crate::services::report::Piece;
use crate::stream::Loan;

/// What a thread is told.
#[derive(Debug, Clone)]
pub enum Message {
    /// A queued request holds a slot of this server now.
    SlotGranted {
        stream: StreamKey,
        server: Arc<Server>,
    },
    /// Stop accepting, close idle connections, finish what runs.
    SoftStop,
    /// End now.
    HardStop,
    /// A new configuration.
    Reload(Arc<Adoption>),
    /// End the sessions that use this server (`shutdown sessions server`, `on-marked-down shutdown-sessions`).
    ShutdownServer {
        server: Arc<Server>,
    },
    /// What waits for this server may go to another one (it went down).
    Requeue {
        server: Arc<Server>,
    },
    /// Answer about the thread's sessions.
    Ask(Arc<Question>),
    /// Another thread wants an idle server connection; and the answer to that.
    WantIdle(Arc<Loan>),
    IdleGiven(Arc<Loan>),
    /// The next piece of a long answer.
    Rendered {
        stream: StreamKey,
        piece: Box<Piece>,
    },
    /// A frontend may accept again.
    ResumeAccept,
}

/// The inboxes of all threads.
#[derive(Debug)]
pub struct Inboxes {
    boxes: Vec<Inbox>,
}

#[derive(Debug)]
struct Inbox {
    messages: Mutex<Vec<Message>>,
    /// Set while the thread has been woken and has not looked yet, so that it is woken once.
    woken: AtomicBool,
    event: EventFd,
}

impl Inboxes {
    pub fn new(threads: usize) -> io::Result<Self> {
        let inbox = || -> io::Result<Inbox> {
            let event = EventFd::from_value_and_flags(0, EfdFlags::EFD_NONBLOCK | EfdFlags::EFD_CLOEXEC)?;
            Ok(Inbox { messages: Mutex::default(), woken: AtomicBool::new(false), event })
        };
        Ok(Self { boxes: (0..threads).map(|_| inbox()).collect::<io::Result<_>>()? })
    }

    /// Leaves a message for a thread.
    pub fn send(&self, thread: usize, message: Message) {
        let Some(inbox) = self.boxes.get(thread) else { return };
        inbox.messages.lock().push(message);
        if !inbox.woken.swap(true, Ordering::AcqRel) {
            // The counter cannot overflow: one write per wake-up.
            let _ = inbox.event.write(1);
        }
    }

    /// Leaves a message for every thread.
    pub fn broadcast(&self, message: &Message) {
        for thread in 0..self.boxes.len() {
            self.send(thread, message.clone());
        }
    }

    pub fn threads(&self) -> usize {
        self.boxes.len()
    }

    /// What the thread's poller watches.
    pub fn descriptor(&self, thread: usize) -> Option<BorrowedFd<'_>> {
        self.boxes.get(thread).map(|inbox| inbox.event.as_fd())
    }

    /// Takes a thread's messages.
    pub fn take(&self, thread: usize, into: &mut Vec<Message>) {
        let Some(inbox) = self.boxes.get(thread) else { return };
        // Nothing to read only means that the wake-up was taken before.
        let _ = inbox.event.read();
        inbox.woken.store(false, Ordering::Release);
        into.append(&mut inbox.messages.lock());
    }
}
