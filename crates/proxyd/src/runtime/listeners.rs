//! All listening sockets of a configuration: bound before privileges are dropped, all or none.

use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use socket2::Socket;
use thiserror::Error;

use super::transfer;
use crate::model::{Address, Bind, Proxy, ProxyId};
use crate::net::socket::{self, ListenOptions};
use crate::proxy::diff::is_same_place;
use crate::proxy::{Listener, Snapshot};

/// One address that could not be bound; displays as HAProxy's alert after `[ALERT] (pid) : `.
#[derive(Debug, Error)]
#[error("Starting frontend {frontend}: cannot bind socket ({}) [{address}]", reason_text(.reason))]
pub struct BindError {
    pub frontend: String,
    pub address: String,
    pub reason: io::Error,
    pub location: crate::model::Location,
}

/// `strerror`'s words, without the number that Rust appends.
fn reason_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_string(),
        None => error.to_string(),
    }
}

/// What one thread accepts from.
#[derive(Debug)]
pub struct ThreadListener {
    /// [`BoundListener::id`].
    pub id: u64,
    pub listener: Arc<Listener>,
    pub socket: Socket,
}

/// A listener with one socket per thread (TCP) or one shared by all (Unix, inherited).
#[derive(Debug)]
pub struct BoundListener {
    /// Names the sockets; it stays the same when a reload hands them to another listener.
    pub id: u64,
    pub frontend: ProxyId,
    pub listener: Arc<Listener>,
    sockets: Vec<Socket>,
}

/// The bound listeners of a snapshot.
#[derive(Debug, Default)]
pub struct Listeners {
    pub bound: Vec<BoundListener>,
    last_id: u64,
    /// Sockets of another process that no listener has taken yet.
    given: Vec<Socket>,
}

impl Listeners {
    /// Binds everything, or takes the sockets that another process gave; on errors all of them, and nothing stays bound.
    /// What was given and is not wanted is closed.
    pub fn bind(snapshot: &Snapshot, given: Vec<Socket>) -> Result<Self, Vec<BindError>> {
        let mut before = Self { given, ..Self::default() };
        let (listeners, _) = Self::bind_with(snapshot, &mut before)?;
        Ok(listeners)
    }

    /// Other handles of all sockets, for another process.
    pub fn sockets(&self) -> io::Result<Vec<Socket>> {
        self.bound.iter().flat_map(|bound| &bound.sockets).map(Socket::try_clone).collect()
    }

    /// Closes this handle of every socket; those of the threads are theirs.
    pub fn close(&mut self) {
        self.bound.clear();
    }

    /// Binds what another configuration has and this one has not, and takes over the other sockets. `before` still has
    /// its own handles of them, so that nothing is lost if something goes wrong. Gives the ids of the new ones too.
    pub fn bind_after(snapshot: &Snapshot, before: &mut Self) -> Result<(Self, Vec<u64>), Vec<BindError>> {
        Self::bind_with(snapshot, before)
    }

    fn bind_with(snapshot: &Snapshot, before: &mut Self) -> Result<(Self, Vec<u64>), Vec<BindError>> {
        let mut known: Vec<&BoundListener> = before.bound.iter().collect();
        let given = &mut before.given;
        let mut last_id = before.last_id;
        let mut fresh = Vec::new();
        let mut bound = Vec::new();
        let mut errors = Vec::new();
        for frontend in snapshot.frontends().filter(|frontend| !frontend.model.disabled) {
            for listener in &frontend.listeners {
                let same = |known: &&BoundListener| {
                    is_same_place(&known.listener.model, &listener.model)
                        && listener.bound.get().is_none_or(|at| known.listener.bound.get() == Some(at))
                };
                let taken = known.iter().position(same).map(|at| known.remove(at));
                let sockets = match taken {
                    Some(known) => {
                        if let Some(address) = known.listener.bound.get() {
                            // One that it has already is the same.
                            let _ = listener.bound.set(*address);
                        }
                        let sockets: io::Result<Vec<Socket>> =
                            known.sockets.iter().map(Socket::try_clone).collect();
                        sockets.map(|sockets| (known.id, sockets))
                    }
                    None => {
                        last_id += 1;
                        fresh.push(last_id);
                        let sockets = bind_one(listener, &frontend.model, snapshot.process.threads, given);
                        sockets.map(|sockets| (last_id, sockets))
                    }
                };
                match sockets {
                    Ok((id, sockets)) => {
                        let listener = Arc::clone(listener);
                        bound.push(BoundListener { id, frontend: frontend.id, listener, sockets });
                    }
                    Err(reason) => errors.push(BindError {
                        frontend: frontend.name().to_string(),
                        address: listener.model.text.clone(),
                        reason,
                        location: listener.model.location.clone(),
                    }),
                }
            }
        }
        if errors.is_empty() { Ok((Self { bound, last_id, given: Vec::new() }, fresh)) } else { Err(errors) }
    }

    /// Hands the sockets to the listeners of another snapshot of the same configuration.
    pub fn adopt(&mut self, snapshot: &Snapshot) {
        for bound in &mut self.bound {
            let frontend = snapshot.frontend(bound.frontend);
            let Some(listener) = frontend.and_then(|frontend| frontend.listeners.get(bound.listener.index))
            else {
                continue;
            };
            if let Some(address) = bound.listener.bound.get() {
                // A second call keeps the first address, which is the same.
                let _ = listener.bound.set(*address);
            }
            bound.listener = Arc::clone(listener);
        }
    }

    /// The sockets of one thread: its own, or another handle of the shared one.
    pub fn of_thread(&self, thread: usize) -> io::Result<Vec<ThreadListener>> {
        self.bound.iter().map(|bound| bound.of_thread(thread)).collect()
    }
}

impl BoundListener {
    /// One per thread, or one for all.
    pub fn sockets(&self) -> &[Socket] {
        &self.sockets
    }

    /// The thread's socket, or another handle of the shared one.
    pub fn of_thread(&self, thread: usize) -> io::Result<ThreadListener> {
        let socket = self.sockets.get(thread).or(self.sockets.first());
        let socket = socket.ok_or_else(|| io::Error::other("a listener without socket"))?.try_clone()?;
        Ok(ThreadListener { id: self.id, listener: Arc::clone(&self.listener), socket })
    }
}

fn bind_one(
    listener: &Listener,
    proxy: &Proxy,
    threads: usize,
    given: &mut Vec<Socket>,
) -> io::Result<Vec<Socket>> {
    let bind = &listener.model;
    let options = &proxy.options;
    let mut options = ListenOptions {
        backlog: bind.backlog.or(proxy.backlog),
        shared: false,
        keepalive: options.clitcpka.then_some(proxy.client_keepalive),
        nolinger: options.nolinger,
        delay_ack: options.tcp_smart_accept,
    };
    if let Address::Fd(number) = bind.address {
        let inherited: OwnedFd = hacore::sys::duplicate_descriptor(number)?;
        let socket = Socket::from(inherited);
        socket.set_nonblocking(true)?;
        // Whoever made it may not have called listen; calling it again only sets the backlog.
        socket.listen(i32::try_from(options.backlog.unwrap_or(1024)).unwrap_or(i32::MAX))?;
        if socket.local_addr()?.is_ipv4() || socket.local_addr()?.is_ipv6() {
            socket::set_listener_options(&socket, bind, options)?;
        }
        note_address(listener, &socket);
        return Ok(vec![socket]);
    }
    options.shared = matches!(bind.address, Address::Inet(_)) && threads > 1;
    let mut sockets = take_given(given, bind, options)?;
    if sockets.is_empty() {
        sockets.push(socket::listen(bind, options)?);
    }
    if let Some(first) = sockets.first() {
        note_address(listener, first);
        // One of a process that did not share the port cannot be joined by others; the threads then share it.
        options.shared &= first.reuse_port().unwrap_or(false);
    }
    if options.shared {
        let mut bind = bind.clone();
        if let Some(address) = listener.bound.get() {
            bind.address = Address::Inet(*address);
        }
        for _ in sockets.len()..threads {
            sockets.push(socket::listen(&bind, options)?);
        }
    }
    Ok(sockets)
}

/// The given sockets that listen where `bind` wants to, with its options.
fn take_given(given: &mut Vec<Socket>, bind: &Bind, options: ListenOptions) -> io::Result<Vec<Socket>> {
    let taken: Vec<Socket> = given.extract_if(.., |socket| transfer::listens_at(socket, bind)).collect();
    for socket in &taken {
        socket.set_nonblocking(true)?;
        // The other process's backlog may be another one; calling it again only sets it.
        socket.listen(socket::backlog(options))?;
        if matches!(bind.address, Address::Inet(_)) {
            socket::set_listener_options(socket, bind, options)?;
        }
    }
    Ok(taken)
}

fn note_address(listener: &Listener, socket: &Socket) {
    let address: Option<SocketAddr> = socket.local_addr().ok().and_then(|address| address.as_socket());
    if let Some(address) = address {
        // A second call keeps the first address, which is the same.
        let _ = listener.bound.set(address);
    }
}
