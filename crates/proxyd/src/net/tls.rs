//! TLS between a connection's socket and its users: a rustls state machine fed by readiness, without task or copy of its own.
//!
//! Received ciphertext goes through one buffer of the thread; what rustls holds for a connection is at most one record of
//! input and one batch of output. A batch that the socket did not take whole counts as not sent: the sender keeps its bytes,
//! as for a plain socket, and offers them again, so nothing is lost when a connection is closed after its last byte was taken.
//!
//! Cost of a small request: the two system calls of a plain one.

use std::cell::RefCell;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::Arc;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, recv, sendmsg};

use rustls::ServerConfig;
use rustls::server::{Acceptor, ClientHello};

use crate::tls::hello::Hellos;
use crate::tls::secrets::Secrets;
use crate::tls::server::take_chosen;
use crate::tls::sni::Candidate;
use crate::txn::TlsFacts;

/// Ciphertext received by one system call.
const CIPHERTEXT_BYTES: usize = 64 * 1024;
/// The least that is asked of the socket, however little room the reader gives; rustls has room for its plaintext.
const READ_BYTES_MIN: usize = 4096;
/// Room that a record may need beyond what was received in this turn (RFC 8446 §5.2: 2^14 + 256 + 5).
const RECORD_BYTES_MAX: usize = 16 * 1024 + 512;

thread_local! {
    static CIPHERTEXT: RefCell<Box<[u8]>> = RefCell::new(vec![0; CIPHERTEXT_BYTES].into_boxed_slice());
}

/// How far a handshake got.
#[derive(Debug, PartialEq, Eq)]
pub enum Handshake {
    Done,
    /// Early data is there to be read; the handshake goes on while it is (RFC 8446 §2.3).
    Early,
    /// It waits for the peer or for room to send.
    Wait,
    /// The peer closed before anything came from it, or in the middle.
    Closed {
        silent: bool,
    },
    /// The peer broke the connection.
    Broken(Errno),
    /// One of the two refused: why, in rustls's words. The alert is on its way.
    Failed(String),
}

/// What reading gave.
#[derive(Debug, PartialEq, Eq)]
pub enum Plaintext {
    Data(usize),
    Nothing,
    End,
    Failed(Errno),
}

/// TLS state of a connection.
#[derive(Debug)]
pub struct Transport {
    tls: rustls::Connection,
    /// Bytes whose ciphertext waits in `tls` and that the sender will offer again.
    owed: usize,
    /// Something was received at all.
    heard: bool,
    /// The socket's end was seen, with or without `close_notify`.
    ended: bool,
    /// `close_notify` was queued.
    closing: bool,
    /// The name that was asked for, on the client's side.
    name: Option<String>,
    facts: Option<Arc<TlsFacts>>,
    /// The certificate that a client was shown, with what its entry says.
    chosen: Option<Candidate>,
    /// The beginning of both sides' bytes, until the handshake is over.
    hellos: Option<Box<Hellos>>,
    secrets: Secrets,
    /// Early data that was not read yet; rustls bounds it.
    early: Vec<u8>,
    /// It was said that there is some.
    told_early: bool,
    had_early: bool,
    /// An alert from before there was a connection.
    refusal: Vec<u8>,
    /// What is spoken depends on the client's hello, which has not come.
    choosing: Option<Box<Choosing>>,
}

/// Gives the configuration for a client's hello; `None`: the client is not wanted.
pub type Chooser = Box<dyn Fn(&ClientHello<'_>) -> Option<Arc<ServerConfig>> + Send>;

struct Choosing {
    acceptor: Acceptor,
    choose: Chooser,
}

impl std::fmt::Debug for Choosing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Choosing")
    }
}

impl Transport {
    pub fn new(tls: impl Into<rustls::Connection>) -> Self {
        Self {
            tls: tls.into(),
            owed: 0,
            heard: false,
            ended: false,
            closing: false,
            name: None,
            facts: None,
            chosen: None,
            hellos: Some(Box::default()),
            secrets: Secrets::default(),
            early: Vec::new(),
            told_early: false,
            had_early: false,
            refusal: Vec::new(),
            choosing: None,
        }
    }

    /// The configuration is chosen when the client's hello is there.
    #[must_use]
    pub fn choosing(mut self, choose: Chooser) -> Self {
        self.choosing = Some(Box::new(Choosing { acceptor: Acceptor::default(), choose }));
        self
    }

    /// Remembers the name that is asked for: only requests for the same one may reuse the connection.
    #[must_use]
    pub fn named(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Keeps what the handshake settled for later users of the connection.
    pub fn keep_facts(&mut self, facts: Arc<TlsFacts>) {
        self.facts = Some(facts);
    }

    /// The certificate that the client was shown.
    pub fn chosen(&self) -> Option<&Candidate> {
        self.chosen.as_ref()
    }

    /// Early data was received, whether or not the handshake was over by then.
    pub fn had_early_data(&self) -> bool {
        self.had_early
    }

    /// What the two sides said first, and the secrets of the handshake; both once.
    pub fn take_handshake(&mut self) -> (Option<Box<Hellos>>, Secrets) {
        (self.hellos.take(), std::mem::take(&mut self.secrets))
    }

    pub fn facts(&self) -> Option<&Arc<TlsFacts>> {
        self.facts.as_ref()
    }

    /// The state machine, for the facts of the handshake.
    pub fn session(&self) -> &rustls::Connection {
        &self.tls
    }

    pub fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// Ciphertext waits for the socket.
    pub fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Goes on with the handshake. `readable` and `writable` are the socket's, kept up to date.
    pub fn handshake(
        &mut self,
        socket: BorrowedFd<'_>,
        readable: &mut bool,
        writable: &mut bool,
        hangup: bool,
    ) -> Handshake {
        loop {
            if let Err(error) = self.flush(socket, writable) {
                return Handshake::Broken(error);
            }
            if !self.tls.is_handshaking() {
                // Output that is left (tickets) goes out before the first data. The first data may have come with the handshake.
                let state = self.tls.process_new_packets();
                *readable |= !self.early.is_empty()
                    || state
                        .is_ok_and(|state| state.plaintext_bytes_to_read() > 0 || state.peer_has_closed());
                return Handshake::Done;
            }
            // The streams of HTTP/2 share one connection: they begin when the handshake is over.
            if !self.early.is_empty() && !self.told_early && self.tls.alpn_protocol() != Some(b"h2") {
                self.told_early = true;
                *readable = true;
                return Handshake::Early;
            }
            if !*readable || self.tls.wants_write() {
                return Handshake::Wait;
            }
            let received = CIPHERTEXT.with_borrow_mut(|buffer| {
                // No plaintext is read before the end of the handshake; a first request in the same flight fits rustls's buffer.
                let room = buffer.get_mut(..RECORD_BYTES_MAX).unwrap_or_default();
                let count = receive(socket, room, readable, hangup)?;
                self.heard |= count > 0;
                let mut rest = room.get(..count).unwrap_or_default();
                if let Some(hellos) = &mut self.hellos {
                    hellos.received(rest);
                }
                while !rest.is_empty() {
                    if let Err(error) = self.take_in(&mut rest) {
                        return Ok((count, Some(error)));
                    }
                }
                Ok((count, None))
            });
            match received {
                Err(Errno::EAGAIN) => return Handshake::Wait,
                Err(error) => return Handshake::Broken(error),
                Ok((0, _)) => return Handshake::Closed { silent: !self.heard },
                Ok((_, Some(error))) => {
                    // The alert is worth one attempt.
                    if !self.refusal.is_empty() {
                        let _ = Socket(socket).write(&self.refusal);
                    }
                    let _ = self.flush(socket, writable);
                    return Handshake::Failed(error);
                }
                Ok(_) => {}
            }
        }
    }

    fn take_in(&mut self, rest: &mut &[u8]) -> Result<(), String> {
        if self.choosing.is_some() {
            return self.take_hello(rest);
        }
        let before = rest.len();
        self.tls.read_tls(rest).map_err(|error| error.to_string())?;
        self.process()?;
        if rest.len() == before {
            return Err("the peer sends more than the handshake needs".to_owned());
        }
        Ok(())
    }

    /// Goes through what rustls holds, and takes early data out of it while the handshake lasts.
    fn process(&mut self) -> Result<(), String> {
        let was_handshaking = self.tls.is_handshaking();
        let processed = self.tls.process_new_packets();
        if was_handshaking {
            self.secrets.take_last();
            if let rustls::Connection::Server(server) = &mut self.tls
                && let Some(mut data) = server.early_data()
            {
                let count = data.read_to_end(&mut self.early).map_err(|error| error.to_string())?;
                self.had_early |= count > 0;
            }
        }
        if self.chosen.is_none() && self.tls.is_handshaking() {
            self.chosen = take_chosen();
        }
        processed.map(drop).map_err(|error| error.to_string())
    }

    /// The hello, until it is complete; then the connection is what it asks for.
    fn take_hello(&mut self, rest: &mut &[u8]) -> Result<(), String> {
        let Some(choosing) = &mut self.choosing else { return Ok(()) };
        let before = rest.len();
        choosing.acceptor.read_tls(rest).map_err(|error| error.to_string())?;
        let accepted = match choosing.acceptor.accept() {
            Ok(Some(accepted)) => accepted,
            Ok(None) if rest.len() == before => return Err("the hello is too large".to_owned()),
            Ok(None) => return Ok(()),
            Err((error, mut alert)) => {
                // The alert is lost with a socket that takes nothing; it is a courtesy.
                let _ = alert.write_all(&mut self.refusal);
                return Err(error.to_string());
            }
        };
        let chosen = (choosing.choose)(&accepted.client_hello());
        let Some(configuration) = chosen else { return Err("no certificate for this name".to_owned()) };
        match accepted.into_connection(configuration) {
            Ok(server) => {
                self.tls = server.into();
                self.chosen = take_chosen();
                self.secrets.take_last();
            }
            Err((error, mut alert)) => {
                let _ = alert.write_all(&mut self.refusal);
                return Err(error.to_string());
            }
        }
        self.choosing = None;
        // What came in the same read as the hello, such as early data, is in rustls already: no later read would show it.
        self.process()
    }

    /// Reads as much plaintext as is there. Afterwards `readable` tells whether another read may give something.
    pub fn receive(
        &mut self,
        socket: BorrowedFd<'_>,
        into: &mut [u8],
        readable: &mut bool,
        hangup: bool,
    ) -> Plaintext {
        let mut filled = 0;
        let mut closed = self.read_plain(into, &mut filled);
        while !closed && !self.ended && *readable && into.len() > filled {
            let room = into.len() - filled;
            if filled > 0 && room < 2 * RECORD_BYTES_MAX {
                break;
            }
            let wanted = room.saturating_sub(RECORD_BYTES_MAX).clamp(READ_BYTES_MIN, CIPHERTEXT_BYTES);
            let outcome = CIPHERTEXT.with_borrow_mut(|buffer| {
                let space = buffer.get_mut(..wanted).unwrap_or_default();
                let count = receive(socket, space, readable, hangup)?;
                let mut rest = space.get(..count).unwrap_or_default();
                while !rest.is_empty() && !closed {
                    self.take_in(&mut rest).map_err(|_| Errno::EPROTO)?;
                    closed = self.read_plain(into, &mut filled);
                }
                Ok(count)
            });
            match outcome {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(Errno::EAGAIN) => break,
                Err(error) if filled == 0 => {
                    *readable = false;
                    let _ = self.flush(socket, &mut true);
                    return Plaintext::Failed(error);
                }
                // What came before the error is used first; the next read shows it again or ends.
                Err(_) => self.ended = true,
            }
        }
        self.ended |= closed;
        if filled > 0 {
            *readable |= self.ended || filled == into.len();
            return Plaintext::Data(filled);
        }
        if self.ended {
            *readable = false;
            return Plaintext::End;
        }
        *readable = false;
        Plaintext::Nothing
    }

    /// Moves decrypted bytes; true when the peer has said that there will be no more.
    fn read_plain(&mut self, into: &mut [u8], filled: &mut usize) -> bool {
        if !self.early.is_empty() {
            let space = into.get_mut(*filled..).unwrap_or_default();
            let count = space.len().min(self.early.len());
            for (place, byte) in space.iter_mut().zip(self.early.drain(..count)) {
                *place = byte;
            }
            *filled += count;
        }
        loop {
            let Some(space) = into.get_mut(*filled..).filter(|space| !space.is_empty()) else { return false };
            match self.tls.reader().read(space) {
                Ok(0) => return true,
                Ok(count) => *filled += count,
                Err(_) => return false,
            }
        }
    }

    /// Sends from the front of `bytes`; gives how many have left for good.
    ///
    /// What is not counted must be offered again, unchanged, before anything else.
    pub fn send(
        &mut self,
        socket: BorrowedFd<'_>,
        bytes: &[u8],
        writable: &mut bool,
    ) -> Result<usize, Errno> {
        self.flush(socket, writable)?;
        if self.tls.wants_write() {
            return Ok(0);
        }
        let mut done = std::mem::take(&mut self.owed).min(bytes.len());
        while let Some(rest) = bytes.get(done..).filter(|rest| !rest.is_empty()) {
            let taken = self.tls.writer().write(rest).map_err(|_| Errno::EPIPE)?;
            if taken == 0 {
                return Err(Errno::EPIPE);
            }
            self.flush(socket, writable)?;
            if self.tls.wants_write() {
                self.owed = taken;
                return Ok(done);
            }
            done += taken;
        }
        Ok(done)
    }

    /// Queues `close_notify` and sends it if the socket takes it at once (RFC 8446 §6.1).
    pub fn close_notify(&mut self, socket: BorrowedFd<'_>) {
        // An answer to early data may go out, and end, before the client's part of the handshake is here.
        let may_send = !self.tls.is_handshaking() || self.had_early;
        if !std::mem::replace(&mut self.closing, true) && may_send {
            self.tls.send_close_notify();
            let _ = self.flush(socket, &mut true);
        }
    }

    /// Sends what waits, as far as the socket takes it.
    pub fn flush(&mut self, socket: BorrowedFd<'_>, writable: &mut bool) -> Result<(), Errno> {
        while self.tls.wants_write() && *writable {
            let hellos = self.hellos.as_deref_mut().filter(|hellos| hellos.wants_sent());
            let written = match hellos {
                Some(hellos) => self.tls.write_tls(&mut Overheard { socket: Socket(socket), hellos }),
                None => self.tls.write_tls(&mut Socket(socket)),
            };
            match written {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => *writable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(Errno::from_raw(error.raw_os_error().unwrap_or(libc::EIO))),
            }
        }
        Ok(())
    }

    /// Whether an idle peer is neither closed nor has said anything but housekeeping (tickets, key updates).
    pub fn is_quiet(&mut self, socket: BorrowedFd<'_>, readable: &mut bool, hangup: bool) -> bool {
        let mut byte = [0];
        matches!(self.receive(socket, &mut byte, readable, hangup), Plaintext::Nothing)
    }
}

/// One read; `readable` becomes false when it was short.
fn receive(
    socket: BorrowedFd<'_>,
    into: &mut [u8],
    readable: &mut bool,
    hangup: bool,
) -> Result<usize, Errno> {
    loop {
        match recv(socket.as_raw_fd(), into, MsgFlags::MSG_DONTWAIT) {
            Ok(count) => {
                *readable = count == into.len() || hangup && count > 0;
                return Ok(count);
            }
            Err(Errno::EINTR) => {}
            Err(error) => {
                *readable = false;
                return Err(error);
            }
        }
    }
}

/// A socket as rustls writes to it: several records with one system call, and no SIGPIPE.
struct Socket<'a>(BorrowedFd<'a>);

impl Write for Socket<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        Ok(sendmsg::<()>(self.0.as_raw_fd(), slices, &[], flags, None)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same while the beginning of what is sent is kept.
struct Overheard<'a> {
    socket: Socket<'a>,
    hellos: &'a mut Hellos,
}

impl Write for Overheard<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write_vectored(&[IoSlice::new(bytes)])
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        let count = self.socket.write_vectored(slices)?;
        let mut rest = count;
        for slice in slices {
            let taken = slice.get(..rest.min(slice.len())).unwrap_or_default();
            self.hellos.sent(taken);
            rest -= taken.len();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
