//! One data-plane thread: its event loop, its accept loops, its sessions.
//!
//! A turn: wait for events or the next deadline, read the clock once, run the sessions concerned, send the log lines.
//! Cost of a turn besides its sessions: one `epoll_wait`.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use socket2::Socket;

use super::core::{Core, World};
use super::inbox::Message;
use super::listeners::ThreadListener;
use super::question::{About, Question};
use super::reload::Adoption;
use crate::model::Address;
use crate::net::socket::{self, ListenOptions};
use crate::net::{Owner, Token, Woken};
use crate::proxy::{FrontendState, Listener, Server, StreamKey};
use crate::services::report::Piece;
use crate::stream::{Detail, Loan, Newborn, Session, identity};

/// Connections accepted from one listener in one turn (`tune.maxaccept`'s purpose).
const ACCEPT_BATCH: usize = 64;
/// The slot of the inbox among the thread's own registrations (generation 0).
const INBOX_SLOT: u32 = u32::MAX;
/// How often idle connections are looked through, milliseconds.
const HOUSEKEEPING_MS: u64 = 1000;
/// How long a listener pauses when connections come faster than a rate allows, milliseconds.
const RATE_RETRY_MS: u64 = 20;

struct Accepting {
    id: u64,
    listener: Arc<Listener>,
    socket: Socket,
    paused: bool,
    /// The socket does not listen: its frontend was paused or stopped, and the port is free for others.
    held: bool,
}

impl Accepting {
    /// A paused or stopped frontend gives its ports free (`disable frontend`, SIGTTOU), and takes them again. Unix sockets
    /// could not be taken again; of those nobody accepts meanwhile.
    fn hold_or_release(&mut self, core: &Core, slot: u32) {
        let Some(frontend) = core.snapshot.frontend(self.listener.frontend) else { return };
        let closed = matches!(frontend.state(), FrontendState::Paused | FrontendState::Stopped);
        if closed == self.held || !matches!(self.listener.model.address, Address::Inet(_)) {
            return;
        }
        if closed {
            // The poller would tell of the end again and again.
            let gone = core.poller.remove(&self.socket);
            // Another thread may have done it to the same socket.
            let _ = self.socket.shutdown(std::net::Shutdown::Read);
            self.held = gone.is_ok();
            return;
        }
        let options = ListenOptions { backlog: self.listener.model.backlog, ..ListenOptions::default() };
        let again = self
            .socket
            .listen(socket::backlog(options))
            .and_then(|()| core.poller.add_listener(&self.socket, Token { slot, generation: 0 }));
        match again {
            Ok(()) => (self.held, self.paused) = (false, false),
            Err(error) => {
                tracing::error!(listener = %self.listener.name, %error, "a paused listener cannot listen again");
            }
        }
    }
}

/// A data-plane thread's state; [`Thread::run`] is its life.
pub struct Thread {
    core: Core,
    /// A listener's slot is its token: it stays empty once the listener is gone, until another takes it.
    listeners: Vec<Option<Accepting>>,
    /// Earlier configurations that sessions of this thread are still under.
    older: Vec<World>,
    sessions: Vec<Option<Box<Session>>>,
    free_sessions: Vec<u32>,
    generation: u32,
    active_sessions: usize,
    messages: Vec<Message>,
    woken: Vec<Woken>,
    due: Vec<Token>,
    housekeeping_ms: u64,
    /// How long it waited since the last housekeeping, and when that was.
    waited_us: u64,
    window_us: u64,
    /// When listeners that a rate has paused are looked at again.
    resume_ms: u64,
    hard_stop: bool,
}

impl Thread {
    pub fn new(core: Core, listeners: Vec<ThreadListener>) -> io::Result<Self> {
        if let Some(inbox) = core.inboxes.descriptor(usize::from(core.thread)) {
            core.poller.add_listener(inbox, Token { slot: INBOX_SLOT, generation: 0 })?;
        }
        let mut accepting = Vec::with_capacity(listeners.len());
        for (slot, ThreadListener { id, listener, socket }) in (0u32..).zip(listeners) {
            core.poller.add_listener(&socket, Token { slot, generation: 0 })?;
            accepting.push(Some(Accepting { id, listener, socket, paused: false, held: false }));
        }
        let housekeeping_ms = core.clock.monotonic_ms() + HOUSEKEEPING_MS;
        Ok(Self {
            core,
            listeners: accepting,
            older: Vec::new(),
            sessions: Vec::new(),
            free_sessions: Vec::new(),
            generation: 0,
            active_sessions: 0,
            messages: Vec::new(),
            woken: Vec::new(),
            due: Vec::new(),
            housekeeping_ms,
            waited_us: 0,
            window_us: 0,
            resume_ms: u64::MAX,
            hard_stop: false,
        })
    }

    /// Serves until a stop was asked for and, if it was a soft one, the last session has ended.
    pub fn run(mut self) -> io::Result<()> {
        while !self.is_over() {
            self.turn()?;
        }
        self.core.log.flush(&self.core.process);
        Ok(())
    }

    fn is_over(&self) -> bool {
        self.hard_stop || self.core.stopping && self.active_sessions == 0
    }

    fn turn(&mut self) -> io::Result<()> {
        let timeout = self.timeout_ms();
        let before_us = self.core.process.now_us();
        let count = self.core.poller.wait(timeout)?;
        self.core.update_clock();
        self.beat(before_us, count);
        for index in 0..count {
            let Some(event) = self.core.poller.event(index) else { break };
            if event.token.generation == 0 {
                self.own_event(event.token.slot);
                continue;
            }
            match self.core.connections.note(&event) {
                Some(Owner::Client(slot) | Owner::Server(slot)) => self.run_session(slot),
                Some(Owner::Idle(pool)) => self.core.drop_idle(pool, event.token),
                Some(Owner::Multiplexer(slot)) => self.core.run_http2_server(slot),
                Some(Owner::None) | None => {}
            }
        }
        self.expire();
        self.run_again();
        self.run_woken();
        self.core.log.flush(&self.core.process);
        for world in &mut self.older {
            world.log.flush(&self.core.process);
        }
        if self.core.accept_again {
            self.core.accept_again = false;
            self.resume_listeners();
        }
        Ok(())
    }

    fn timeout_ms(&self) -> Option<u64> {
        if !self.core.runnable.is_empty() || self.core.accept_again || !self.core.woken.is_empty() {
            return Some(0);
        }
        let now = self.core.clock.monotonic_ms();
        let next =
            self.core.wheel.next_ms().unwrap_or(u64::MAX).min(self.housekeeping_ms).min(self.resume_ms);
        Some(next.saturating_sub(now))
    }

    /// Tells that it lives, and how busy it is.
    fn beat(&mut self, before_us: u64, events: usize) {
        let now_us = self.core.clock.monotonic_us;
        self.waited_us += now_us.saturating_sub(before_us);
        let Some(pulse) = self.core.process.pulses.get(usize::from(self.core.thread)) else { return };
        pulse.beat_ms.store(now_us / 1000, Relaxed);
        pulse.turns.store(pulse.turns.load(Relaxed) + 1, Relaxed);
        if events > 0 {
            pulse.turns_with_events.store(pulse.turns_with_events.load(Relaxed) + 1, Relaxed);
        }
    }

    /// What `Idle_pct` is made of.
    fn measure_idleness(&mut self) {
        let now_us = self.core.clock.monotonic_us;
        let window_us = now_us.saturating_sub(self.window_us).max(1);
        let percent = (self.waited_us * 100 / window_us).min(100);
        (self.waited_us, self.window_us) = (0, now_us);
        if let Some(pulse) = self.core.process.pulses.get(usize::from(self.core.thread)) {
            pulse.idle_percent.store(percent as u32, Relaxed);
        }
    }

    fn own_event(&mut self, slot: u32) {
        if slot == INBOX_SLOT {
            self.read_inbox();
        } else {
            self.accept(slot);
        }
    }

    fn read_inbox(&mut self) {
        let mut messages = std::mem::take(&mut self.messages);
        self.core.inboxes.take(usize::from(self.core.thread), &mut messages);
        for message in messages.drain(..) {
            match message {
                Message::SlotGranted { stream, server } => self.slot_granted(stream, &server),
                Message::Rendered { stream, piece } => self.rendered(stream, *piece),
                Message::SoftStop => self.soft_stop(),
                Message::HardStop => self.hard_stop = true,
                Message::ResumeAccept => self.core.accept_again = true,
                Message::ShutdownServer { server } => {
                    self.each_session(|session, core| session.server_gone(core, &server));
                }
                Message::Requeue { server } => {
                    self.each_session(|session, _| session.requeue(&server));
                }
                Message::Reload(adoption) => self.adopt(&adoption),
                Message::WantIdle(loan) => self.core.lend_idle(&loan),
                Message::IdleGiven(loan) => self.idle_given(&loan),
                Message::Ask(question) => self.answer(&question),
            }
        }
        self.messages = messages;
    }

    fn answer(&mut self, question: &Question) {
        let core = &self.core;
        let mut text = String::new();
        let mut shut = None;
        for session in self.sessions.iter_mut().flatten() {
            match &question.about {
                About::List { detail, older_than_s } if session.age_s(core) >= *older_than_s => {
                    text.push_str(&session.describe(core, *detail));
                }
                About::OnServer { backend, server } if session.uses(backend, server) => {
                    text.push_str(&session.describe(core, Detail::Line));
                }
                About::One(id) if identity(session.key()) == *id => {
                    text.push_str(&session.describe(core, Detail::All));
                }
                About::Shut(id) if identity(session.key()) == *id => {
                    session.shut();
                    text.push('\n');
                    shut = Some(session.key().slot);
                }
                _ => {}
            }
        }
        if let Some(slot) = shut {
            self.run_session(slot);
        }
        question.answer(&text);
    }

    /// Goes over to a new configuration: its listeners, its logs, and the sessions that wait for a request.
    fn adopt(&mut self, adoption: &Adoption) {
        let Some(mut part) = adoption.take_part(usize::from(self.core.thread)) else { return };
        self.core.log.flush(&self.core.process);
        let old = self.core.adopt(&adoption.snapshot, part.log);
        self.older.push(old);
        for slot in &mut self.listeners {
            let known = slot.as_ref().and_then(|accepting| part.kept.remove(&accepting.id));
            match (known, slot.as_mut()) {
                (Some(listener), Some(accepting)) => accepting.listener = listener,
                _ => *slot = None,
            }
        }
        for ThreadListener { id, listener, socket } in part.fresh {
            let free = self.listeners.iter().position(Option::is_none);
            let at = free.unwrap_or_else(|| {
                self.listeners.push(None);
                self.listeners.len() - 1
            });
            let token = Token { slot: at as u32, generation: 0 };
            match self.core.poller.add_listener(&socket, token) {
                Ok(()) => {
                    self.listeners[at] = Some(Accepting { id, listener, socket, paused: false, held: false })
                }
                Err(error) => tracing::error!(listener = %listener.name, %error, "cannot watch a listener"),
            }
        }
        self.each_session(|session, core| {
            session.follow(core);
        });
        self.core.accept_again = true;
    }

    /// Forgets earlier configurations that no session is under any more.
    fn forget_older(&mut self) {
        let process = Arc::clone(&self.core.process);
        self.older.retain_mut(|world| {
            world.log.flush(&process);
            !world.is_deserted()
        });
    }

    fn slot_granted(&mut self, stream: StreamKey, server: &Arc<Server>) {
        let waiting = self.sessions.get_mut(stream.slot as usize).and_then(Option::as_mut);
        let taken = waiting
            .filter(|session| session.key() == stream)
            .is_some_and(|session| session.slot_granted(server));
        if taken {
            self.run_session(stream.slot);
        } else {
            crate::stream::return_slot(&mut self.core, server);
        }
    }

    fn idle_given(&mut self, loan: &Loan) {
        self.core.take_loan(loan);
        let waiting = self.sessions.get_mut(loan.stream.slot as usize).and_then(Option::as_mut);
        if let Some(session) = waiting.filter(|session| session.key() == loan.stream) {
            session.idle_answered(&self.core);
            self.run_session(loan.stream.slot);
        }
    }

    fn rendered(&mut self, stream: StreamKey, piece: Piece) {
        let waiting = self.sessions.get_mut(stream.slot as usize).and_then(Option::as_mut);
        // One that has gone needs it no more.
        if waiting.filter(|session| session.key() == stream).is_some_and(|session| session.rendered(piece)) {
            self.run_session(stream.slot);
        }
    }

    /// Does something with a session in the configuration that it is under.
    fn in_its_world<T>(
        &mut self,
        session: &mut Box<Session>,
        act: impl FnOnce(&mut Box<Session>, &mut Core) -> T,
    ) -> T {
        if Rc::ptr_eq(session.snapshot(), &self.core.snapshot) {
            return act(session, &mut self.core);
        }
        let world = self.older.iter().position(|world| Rc::ptr_eq(&world.snapshot, session.snapshot()));
        let Some(at) = world else { return act(session, &mut self.core) };
        self.older[at].enter(&mut self.core);
        self.core.environment.set_now_ms(self.core.clock.monotonic_ms());
        let outcome = act(session, &mut self.core);
        self.older[at].enter(&mut self.core);
        outcome
    }

    fn accept(&mut self, slot: u32) {
        for _ in 0..ACCEPT_BATCH {
            let Some(accepting) = self.listeners.get_mut(slot as usize).and_then(Option::as_mut) else {
                return;
            };
            let too_fast = !crate::stream::is_within_rates(&self.core, &accepting.listener);
            if too_fast {
                self.resume_ms = self.core.clock.monotonic_ms() + RATE_RETRY_MS;
            }
            if too_fast || !crate::stream::may_accept(&self.core, &accepting.listener) {
                accepting.paused = true;
                // A registration that cannot be changed would show as a busy loop, not as a fault.
                let _ =
                    self.core.poller.set_listening(&accepting.socket, Token { slot, generation: 0 }, false);
                return;
            }
            match socket::accept(&accepting.socket) {
                Ok(Some((client, source))) => {
                    let listener = Arc::clone(&accepting.listener);
                    self.start_session(&listener, client, source);
                }
                Ok(None) => return,
                Err(error) => {
                    // Out of descriptors: wait for one to be closed instead of spinning.
                    tracing::warn!(listener = %accepting.listener.name, %error, "accept failed");
                    accepting.paused = true;
                    let _ = self.core.poller.set_listening(
                        &accepting.socket,
                        Token { slot, generation: 0 },
                        false,
                    );
                    return;
                }
            }
        }
    }

    fn start_session(
        &mut self,
        listener: &Arc<Listener>,
        client: std::os::fd::OwnedFd,
        source: crate::txn::Endpoint,
    ) {
        let key = self.name_session();
        let slot = key.slot;
        match Session::accept(&mut self.core, key, listener, client, source) {
            Some(session) => {
                self.sessions[slot as usize] = Some(Box::new(session));
                self.active_sessions += 1;
                if let Some(pulse) = self.core.process.pulses.get(usize::from(self.core.thread)) {
                    pulse.accepted.store(pulse.accepted.load(Relaxed) + 1, Relaxed);
                }
                self.run_session(slot);
            }
            None => self.free_sessions.push(slot),
        }
    }

    /// A place for a session that is not there yet.
    fn name_session(&mut self) -> StreamKey {
        self.generation = self.generation.wrapping_add(1);
        let slot = match self.free_sessions.pop() {
            Some(slot) => slot,
            None => {
                self.sessions.push(None);
                self.sessions.len() as u32 - 1
            }
        };
        StreamKey { thread: self.core.thread, slot, generation: self.generation }
    }

    /// Requests that came on an HTTP/2 connection.
    fn start_streams(&mut self) {
        let mut newborn = std::mem::take(&mut self.core.newborn);
        for Newborn { mut session, arrived } in newborn.drain(..) {
            let key = self.name_session();
            session.begin_stream(&mut self.core, key, arrived);
            self.sessions[key.slot as usize] = Some(session);
            self.active_sessions += 1;
            self.run_session(key.slot);
        }
        self.core.newborn = newborn;
    }

    /// Those whom HTTP/2 has news for: streams first, so that what they say goes out with their connection's turn.
    fn run_woken(&mut self) {
        /// Rounds in one turn; what is left is looked at after the next events.
        const ROUNDS: usize = 4;
        for _ in 0..ROUNDS {
            let mut woken = std::mem::take(&mut self.woken);
            self.core.woken.take(&mut woken);
            if woken.is_empty() {
                self.woken = woken;
                return;
            }
            for name in woken.drain(..) {
                match name {
                    Woken::Session(token) => {
                        let session = self.sessions.get(token.slot as usize).and_then(Option::as_ref);
                        if session.is_some_and(|session| session.key().generation == token.generation) {
                            self.run_session(token.slot);
                        }
                    }
                    Woken::Server(token) => self.core.run_woken_http2_server(token),
                }
            }
            self.woken = woken;
        }
    }

    fn run_session(&mut self, slot: u32) {
        let Some(mut session) = self.sessions.get_mut(slot as usize).and_then(Option::take) else { return };
        if self.in_its_world(&mut session, |session, core| session.run(core)) {
            self.sessions[slot as usize] = Some(session);
        } else {
            self.close_session(session);
            self.free_sessions.push(slot);
            self.active_sessions -= 1;
        }
        if !self.core.newborn.is_empty() {
            self.start_streams();
        }
    }

    fn close_session(&mut self, session: Box<Session>) {
        let world = self.older.iter().position(|world| Rc::ptr_eq(&world.snapshot, session.snapshot()));
        let world = world.filter(|_| !Rc::ptr_eq(session.snapshot(), &self.core.snapshot));
        if let Some(at) = world {
            self.older[at].enter(&mut self.core);
        }
        session.close(&mut self.core);
        if let Some(at) = world {
            self.older[at].enter(&mut self.core);
        }
    }

    fn each_session(&mut self, mut visit: impl FnMut(&mut Session, &mut Core)) {
        for slot in 0..self.sessions.len() {
            if let Some(session) = self.sessions[slot].as_mut() {
                visit(session, &mut self.core);
                self.run_session(slot as u32);
            }
        }
    }

    fn expire(&mut self) {
        let now = self.core.clock.monotonic_ms();
        let mut due = std::mem::take(&mut self.due);
        self.core.wheel.expire(now, &mut due);
        for token in due.drain(..) {
            let Some(place) = self.sessions.get_mut(token.slot as usize) else { continue };
            let Some(mut session) = place.take_if(|session| session.key().generation == token.generation)
            else {
                continue;
            };
            let due = self.in_its_world(&mut session, |session, core| session.timer_fired(core, now));
            self.sessions[token.slot as usize] = Some(session);
            if due {
                self.run_session(token.slot);
            }
        }
        self.due = due;
        if now >= self.resume_ms {
            self.resume_ms = u64::MAX;
            self.core.accept_again = true;
        }
        if now >= self.housekeeping_ms {
            self.housekeeping_ms = now + HOUSEKEEPING_MS;
            self.measure_idleness();
            self.core.purge_idle();
            crate::stream::serve_queues(&mut self.core);
            self.forget_older();
            self.resume_listeners();
        }
    }

    fn run_again(&mut self) {
        let mut runnable = std::mem::take(&mut self.core.runnable);
        for token in runnable.drain(..) {
            let session = self.sessions.get(token.slot as usize).and_then(Option::as_ref);
            if session.is_some_and(|session| session.key().generation == token.generation) {
                self.run_session(token.slot);
            }
        }
        if self.core.runnable.is_empty() {
            self.core.runnable = runnable;
        }
    }

    fn resume_listeners(&mut self) {
        for (slot, accepting) in (0u32..).zip(&mut self.listeners) {
            let Some(accepting) = accepting else { continue };
            accepting.hold_or_release(&self.core, slot);
            if accepting.held {
                continue;
            }
            if accepting.paused && !crate::stream::is_within_rates(&self.core, &accepting.listener) {
                self.resume_ms = self.core.clock.monotonic_ms() + RATE_RETRY_MS;
            } else if accepting.paused && crate::stream::may_accept(&self.core, &accepting.listener) {
                accepting.paused = false;
                let _ =
                    self.core.poller.set_listening(&accepting.socket, Token { slot, generation: 0 }, true);
            }
        }
    }

    fn soft_stop(&mut self) {
        // Whoever waits in an accept queue would be reset with it.
        for slot in 0..self.listeners.len() {
            self.accept(slot as u32);
        }
        self.core.stopping = true;
        self.listeners.clear();
        self.core.drop_all_idle();
        self.each_session(|session, core| session.soft_stop(core));
    }
}
