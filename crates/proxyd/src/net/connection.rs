//! One connected socket with what is known of its readiness, and the table of a thread's connections.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::greeting::Greeting;
use super::h2_stream::H2Stream;
use super::poller::{Event, Poller, Token};
use super::splice::Pipe;
use super::tls::{Handshake, Plaintext, Transport};

/// Names a connection of a [`ConnectionTable`].
pub type ConnectionKey = Token;

/// Whose events these are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// Nobody: a connection about to be given away or closed.
    None,
    /// The client side of the session in this slot.
    Client(u32),
    /// The server side of the session in this slot.
    Server(u32),
    /// Idle, in the pool of the server with this dense number.
    Idle(u32),
    /// The HTTP/2 connection to a server in this slot.
    Multiplexer(u32),
}

/// What a read gave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Received {
    Data(usize),
    WouldBlock,
    /// The peer has finished sending.
    End,
    /// The connection is broken (reset, timed out).
    Failed(Errno),
}

/// What a write did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sent {
    /// This many bytes; fewer than asked: the rest must wait.
    Bytes(usize),
    Failed(Errno),
}

/// A socket, which an HTTP/2 connection shares with its streams.
#[derive(Debug)]
enum SharedSocket {
    Own(OwnedFd),
    Shared(Rc<OwnedFd>),
}

impl SharedSocket {
    fn fd(&self) -> BorrowedFd<'_> {
        match self {
            SharedSocket::Own(socket) => socket.as_fd(),
            SharedSocket::Shared(socket) => socket.as_fd(),
        }
    }
}

/// A connected (or connecting) stream socket, with TLS between it and its users or without; or one HTTP/2 stream of one.
#[derive(Debug)]
pub struct Connection {
    socket: SharedSocket,
    pub owner: Owner,
    readable: bool,
    writable: bool,
    hangup: bool,
    error: bool,
    /// Registered for output: done when a write blocks for the first time.
    output_registered: bool,
    /// No call on the socket waits. Those that say so by themselves do without; `splice` has no word for it.
    nonblocking: bool,
    tls: Option<Box<Transport>>,
    /// This is a stream, whose socket somebody else reads and writes.
    stream: Option<Box<H2Stream>>,
    /// What precedes everything else, TLS included, until it is over.
    greeting: Option<Box<Greeting>>,
}

impl Connection {
    /// An accepted connection: nothing to read is known yet, writing is possible.
    pub fn accepted(socket: OwnedFd) -> Self {
        Self::over(SharedSocket::Own(socket))
    }

    /// A stream of an HTTP/2 connection over this socket.
    pub fn stream(socket: Rc<OwnedFd>, stream: H2Stream) -> Self {
        Self { readable: true, stream: Some(Box::new(stream)), ..Self::over(SharedSocket::Shared(socket)) }
    }

    fn over(socket: SharedSocket) -> Self {
        Self {
            socket,
            owner: Owner::None,
            readable: false,
            writable: true,
            hangup: false,
            error: false,
            output_registered: false,
            nonblocking: false,
            tls: None,
            stream: None,
            greeting: None,
        }
    }

    /// From here on the users' bytes are encrypted; [`ConnectionTable::handshake`] comes first.
    pub fn start_tls(&mut self, transport: Transport) {
        self.tls = Some(Box::new(transport));
    }

    /// This goes first; [`Self::send_greeting`] sends it.
    pub fn set_greeting(&mut self, greeting: Greeting) {
        self.greeting = (!greeting.is_empty()).then(|| Box::new(greeting));
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.socket.fd()
    }

    /// Goes on with the greeting, past TLS; true when it is over.
    ///
    /// # Errors
    /// What the kernel or a proxy says of the connection.
    pub fn send_greeting(&mut self) -> Result<bool, Errno> {
        let Some(greeting) = self.greeting.as_mut() else { return Ok(true) };
        match greeting.advance(self.socket.fd()) {
            Ok(true) => {
                self.greeting = None;
                Ok(true)
            }
            Ok(false) => {
                self.readable = false;
                Ok(false)
            }
            Err(Errno::EAGAIN) => {
                self.writable = false;
                Ok(false)
            }
            Err(error) => {
                self.error = true;
                Err(error)
            }
        }
    }

    /// Looks at what has come without taking it, past TLS: for what precedes a handshake.
    pub fn peek(&mut self, into: &mut [u8]) -> Received {
        loop {
            match recv(self.fd().as_raw_fd(), into, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) {
                Ok(0) => return Received::End,
                Ok(count) => return Received::Data(count),
                Err(Errno::EAGAIN) => {
                    self.readable = false;
                    return Received::WouldBlock;
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    self.error = true;
                    return Received::Failed(error);
                }
            }
        }
    }

    /// Takes what [`Self::peek`] has shown; `room` has to hold it.
    pub fn take_peeked(&mut self, room: &mut [u8]) -> bool {
        matches!(recv(self.fd().as_raw_fd(), room, MsgFlags::MSG_DONTWAIT), Ok(count) if count == room.len())
    }

    /// Lets the connection vanish when it is dropped, without a word to the peer (`silent-drop`).
    pub fn abandon(&mut self, reset_ttl: Option<u8>) {
        self.error = true;
        super::socket::silence(self.fd(), reset_ttl);
    }

    /// The HTTP/2 stream that this is.
    pub fn h2(&mut self) -> Option<&mut H2Stream> {
        self.stream.as_deref_mut()
    }

    pub fn is_h2(&self) -> bool {
        self.stream.is_some()
    }

    fn sharing(self) -> (Self, Rc<OwnedFd>) {
        let socket = match self.socket {
            SharedSocket::Own(socket) => Rc::new(socket),
            SharedSocket::Shared(socket) => socket,
        };
        (Self { socket: SharedSocket::Shared(Rc::clone(&socket)), ..self }, socket)
    }

    /// Notes whether the peer has given an HTTP/2 stream up; tells it.
    pub fn notice_reset(&mut self) -> bool {
        let reset = self.stream.as_mut().is_some_and(|stream| stream.is_reset());
        self.hangup |= reset;
        self.error |= reset;
        reset
    }

    pub fn tls(&self) -> Option<&Transport> {
        self.tls.as_deref()
    }

    /// What the connection's handshake settled, or that of the connection whose stream it is.
    pub fn tls_facts(&self) -> Option<&std::sync::Arc<crate::txn::TlsFacts>> {
        match &self.stream {
            Some(stream) => stream.facts(),
            None => self.tls().and_then(Transport::facts),
        }
    }

    pub fn tls_mut(&mut self) -> Option<&mut Transport> {
        self.tls.as_deref_mut()
    }

    /// Tells a TLS peer that nothing follows; to be called before the connection is dropped.
    fn say_goodbye(&mut self) {
        if let Some(tls) = self.tls.as_mut()
            && !self.error
        {
            tls.close_notify(self.socket.fd());
        }
    }

    /// A connection whose handshake is under way: writability will tell its end.
    pub fn connecting(socket: OwnedFd) -> Self {
        Self { writable: false, output_registered: true, nonblocking: true, ..Self::accepted(socket) }
    }

    pub fn socket(&self) -> BorrowedFd<'_> {
        self.fd()
    }

    /// A read may give something.
    pub fn is_readable(&self) -> bool {
        self.readable
    }

    pub fn is_writable(&self) -> bool {
        self.writable
    }

    /// The peer has closed its side, or everything; data may still be there to read.
    pub fn is_hung_up(&self) -> bool {
        self.hangup
    }

    /// The kernel reported an error (reset).
    pub fn is_broken(&self) -> bool {
        self.error
    }

    fn note(&mut self, event: &Event) {
        self.readable |= event.readable;
        self.writable |= event.writable;
        self.hangup |= event.hangup;
        self.error |= event.error;
        if event.writable
            && self.greeting.is_none()
            && let Some(tls) = self.tls.as_mut().filter(|tls| tls.wants_write())
            && tls.flush(self.socket.fd(), &mut self.writable).is_err()
        {
            self.error = true;
        }
    }

    /// Tells that there may be something to read, though no event said so.
    pub fn assume_readable(&mut self) {
        self.readable = true;
    }

    /// Reads once. A short read means that the socket is drained: the next event will say more.
    pub fn receive(&mut self, into: &mut [u8]) -> Received {
        if let Some(stream) = self.stream.as_mut() {
            return stream.receive(into);
        }
        if self.tls.is_some() {
            return self.receive_tls(into);
        }
        loop {
            match recv(self.fd().as_raw_fd(), into, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => {
                    self.hangup = true;
                    self.readable = false;
                    return Received::End;
                }
                Ok(count) => {
                    self.readable = count == into.len() || self.hangup;
                    return Received::Data(count);
                }
                Err(Errno::EAGAIN) => {
                    self.readable = false;
                    return Received::WouldBlock;
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    self.error = true;
                    self.readable = false;
                    return Received::Failed(error);
                }
            }
        }
    }

    fn receive_tls(&mut self, into: &mut [u8]) -> Received {
        let Some(tls) = self.tls.as_mut() else { return Received::End };
        match tls.receive(self.socket.fd(), into, &mut self.readable, self.hangup) {
            Plaintext::Data(count) => Received::Data(count),
            Plaintext::Nothing => Received::WouldBlock,
            Plaintext::End => {
                self.hangup = true;
                Received::End
            }
            Plaintext::Failed(error) => {
                self.error = true;
                Received::Failed(error)
            }
        }
    }

    /// Looks whether an idle peer closed or sent something unasked; neither should be reused.
    pub fn is_quiet(&mut self) -> bool {
        if !self.readable && !self.hangup {
            return true;
        }
        if let Some(tls) = self.tls.as_mut() {
            return tls.is_quiet(self.socket.fd(), &mut self.readable, self.hangup);
        }
        let mut byte = [0];
        let quiet = matches!(
            recv(self.fd().as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK),
            Err(Errno::EAGAIN)
        );
        if quiet {
            self.readable = false;
        }
        quiet
    }

    /// Writes once; what did not go must wait for writability.
    pub fn send(&mut self, bytes: &[u8]) -> Sent {
        if let Some(stream) = self.stream.as_mut() {
            return stream.send(bytes);
        }
        if let Some(tls) = self.tls.as_mut() {
            return match tls.send(self.socket.fd(), bytes, &mut self.writable) {
                Ok(count) => Sent::Bytes(count),
                Err(error) => {
                    self.error = true;
                    Sent::Failed(error)
                }
            };
        }
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        loop {
            match send(self.fd().as_raw_fd(), bytes, flags) {
                Ok(count) => {
                    self.writable = count == bytes.len();
                    return Sent::Bytes(count);
                }
                Err(Errno::EAGAIN) => {
                    self.writable = false;
                    return Sent::Bytes(0);
                }
                Err(Errno::EINTR) => {}
                Err(error) => {
                    self.error = true;
                    return Sent::Failed(error);
                }
            }
        }
    }

    /// Its bytes are the peer's bytes: nothing stands between, so that they can be spliced.
    pub fn is_plain(&self) -> bool {
        self.tls.is_none() && self.stream.is_none()
    }

    fn never_wait(&mut self) -> Result<(), Errno> {
        if !self.nonblocking {
            let outcome = socket2::SockRef::from(&self.fd()).set_nonblocking(true);
            outcome.map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))?;
            self.nonblocking = true;
        }
        Ok(())
    }

    /// Takes bytes into an empty pipe; `None` when this socket cannot be spliced.
    pub fn splice_in(&mut self, pipe: &mut Pipe, most_bytes: usize) -> Option<Received> {
        // A socket that waits would hold the thread here until its peer sends.
        self.never_wait().ok()?;
        Some(match pipe.fill(self.fd(), most_bytes) {
            Ok(0) => {
                self.hangup = true;
                self.readable = false;
                Received::End
            }
            Ok(count) => Received::Data(count),
            Err(Errno::EAGAIN) => {
                self.readable = false;
                Received::WouldBlock
            }
            Err(Errno::EINVAL) => return None,
            Err(error) => {
                self.error = true;
                self.readable = false;
                Received::Failed(error)
            }
        })
    }

    fn splice_out(&mut self, pipe: &mut Pipe) -> Sent {
        if let Err(error) = self.never_wait() {
            self.error = true;
            return Sent::Failed(error);
        }
        match pipe.drain(self.fd()) {
            // Whether there is more room is known when the kernel says that there is none.
            Ok(count) => Sent::Bytes(count),
            Err(Errno::EAGAIN) => {
                self.writable = false;
                Sent::Bytes(0)
            }
            Err(error) => {
                self.error = true;
                Sent::Failed(error)
            }
        }
    }

    /// The outcome of a connect, once writable.
    pub fn connect_error(&self) -> Option<Errno> {
        let code = nix::sys::socket::getsockopt(&self.fd(), nix::sys::socket::sockopt::SocketError).ok()?;
        (code != 0).then(|| Errno::from_raw(code))
    }

    /// Asks to be told of room, the first time that there was none.
    fn register_output(&mut self, poller: &Poller, key: ConnectionKey) -> Result<(), Errno> {
        if self.writable || self.output_registered || self.stream.is_some() {
            return Ok(());
        }
        self.output_registered = true;
        poller.want_output(self.fd(), key).map_err(|error| Errno::from_raw(error.raw_os_error().unwrap_or(0)))
    }

    /// Sends FIN; reading goes on.
    pub fn shutdown_write(&mut self) {
        if let Some(stream) = self.stream.as_mut() {
            return stream.finish(None);
        }
        self.say_goodbye();
        // A peer that is gone already makes this fail; there is nobody left to tell.
        let _ = shutdown(self.fd().as_raw_fd(), Shutdown::Write);
    }
}

/// An idle connection on its way from one thread to another.
#[derive(Debug)]
pub struct Lent {
    socket: OwnedFd,
    tls: Option<Box<Transport>>,
}

/// The connections of one thread, by key.
#[derive(Debug)]
pub struct ConnectionTable {
    entries: Vec<Entry>,
    free: Vec<u32>,
}

#[derive(Debug)]
struct Entry {
    generation: u32,
    connection: Option<Connection>,
}

impl ConnectionTable {
    pub fn new() -> Self {
        Self { entries: Vec::new(), free: Vec::new() }
    }

    /// Takes a connection in and registers it.
    pub fn insert(&mut self, poller: &Poller, connection: Connection) -> io::Result<ConnectionKey> {
        let slot = match self.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = u32::try_from(self.entries.len()).map_err(io::Error::other)?;
                self.entries.push(Entry { generation: 1, connection: None });
                slot
            }
        };
        let entry = &mut self.entries[slot as usize];
        let key = Token { slot, generation: entry.generation };
        // A stream's events are those of its connection.
        if connection.stream.is_none()
            && let Err(error) = poller.add(connection.fd(), key, connection.output_registered)
        {
            self.free.push(slot);
            return Err(error);
        }
        entry.connection = Some(connection);
        Ok(key)
    }

    pub fn get_mut(&mut self, key: ConnectionKey) -> Option<&mut Connection> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        entry.connection.as_mut()
    }

    pub fn get(&self, key: ConnectionKey) -> Option<&Connection> {
        let entry = self.entries.get(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        entry.connection.as_ref()
    }

    /// Takes a connection out; closing it ends its registration.
    pub fn remove(&mut self, key: ConnectionKey) -> Option<Connection> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let mut connection = entry.connection.take()?;
        connection.say_goodbye();
        // Generation 0 belongs to the thread's own registrations.
        entry.generation = entry.generation.wrapping_add(1).max(1);
        self.free.push(key.slot);
        Some(connection)
    }

    /// The socket of an HTTP/2 connection, for its streams.
    pub fn share_socket(&mut self, key: ConnectionKey) -> Option<Rc<OwnedFd>> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let (connection, socket) = entry.connection.take()?.sharing();
        entry.connection = Some(connection);
        Some(socket)
    }

    /// Takes a connection out for another thread; one that is shared or still begins cannot be given away, and is closed.
    pub fn lend(&mut self, poller: &Poller, key: ConnectionKey) -> Option<Lent> {
        let entry = self.entries.get_mut(key.slot as usize)?;
        if entry.generation != key.generation {
            return None;
        }
        let connection = entry.connection.take()?;
        entry.generation = entry.generation.wrapping_add(1).max(1);
        self.free.push(key.slot);
        let Connection { socket, tls, stream: None, greeting: None, .. } = connection else { return None };
        let SharedSocket::Own(socket) = socket else { return None };
        poller.remove(&socket).ok()?;
        Some(Lent { socket, tls })
    }

    /// Takes in a connection of another thread.
    ///
    /// # Errors
    /// When it cannot be registered; it is closed then.
    pub fn borrow(&mut self, poller: &Poller, lent: Lent) -> io::Result<ConnectionKey> {
        let connection = Connection { tls: lent.tls, readable: true, ..Connection::accepted(lent.socket) };
        self.insert(poller, connection)
    }

    /// Notes an event; gives the owner of the connection, none if it is gone.
    pub fn note(&mut self, event: &Event) -> Option<Owner> {
        let connection = self.get_mut(event.token)?;
        connection.note(event);
        Some(connection.owner)
    }

    /// Sends, and registers for output the first time that not everything went.
    pub fn send(&mut self, poller: &Poller, key: ConnectionKey, bytes: &[u8]) -> Sent {
        let Some(connection) = self.get_mut(key) else { return Sent::Failed(Errno::EBADF) };
        let sent = connection.send(bytes);
        connection.register_output(poller, key).map_or_else(Sent::Failed, |()| sent)
    }

    /// The same with the bytes in a pipe.
    pub fn splice_out(&mut self, poller: &Poller, key: ConnectionKey, pipe: &mut Pipe) -> Sent {
        let Some(connection) = self.get_mut(key) else { return Sent::Failed(Errno::EBADF) };
        let sent = connection.splice_out(pipe);
        connection.register_output(poller, key).map_or_else(Sent::Failed, |()| sent)
    }

    /// Goes on with a connection's TLS handshake, and registers for output if that has to wait.
    pub fn handshake(&mut self, poller: &Poller, key: ConnectionKey) -> Handshake {
        let Some(connection) = self.get_mut(key) else { return Handshake::Broken(Errno::EBADF) };
        let Connection { socket, tls, readable, writable, hangup, .. } = connection;
        let Some(tls) = tls.as_mut() else { return Handshake::Done };
        let outcome = tls.handshake(socket.fd(), readable, writable, *hangup);
        connection.error |= matches!(outcome, Handshake::Broken(_) | Handshake::Failed(_));
        connection.register_output(poller, key).map_or_else(Handshake::Broken, |()| outcome)
    }

    pub fn len(&self) -> usize {
        self.entries.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Default for ConnectionTable {
    fn default() -> Self {
        Self::new()
    }
}
