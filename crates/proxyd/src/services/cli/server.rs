//! The admin sockets themselves: binding, accepting, reading and writing.
//!
//! Runs on one current-thread runtime beside the data plane, never on a thread that carries traffic: a large
//! `show stat` costs time. What a line means is [`super::session`]'s business.

use std::io;
use std::net::SocketAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::command::{Admin, Level, SocketInfo};
use super::session::{Session, SeverityOutput, Waiting};
use crate::model::{Address, Bind};
use crate::runtime::transfer;
use crate::services::report::{Piece, Report};

/// A socket that cannot be opened, in one line.
#[derive(Debug, thiserror::Error)]
#[error("cannot bind stats socket [{address}]: {reason}")]
pub struct AdminSocketError {
    address: String,
    reason: io::Error,
}

/// A bound admin socket; made before privileges are dropped.
#[derive(Debug)]
pub struct AdminSocket {
    listener: Listener,
    pub info: SocketInfo,
    /// `severity-output` of its line.
    severity: SeverityOutput,
    /// `expose-fd listeners`.
    exposes_listeners: bool,
    /// Removed at the end.
    file: Option<SocketFile>,
}

/// The file of a Unix socket, as long as it is ours: another process may have put its own in the same place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SocketFile {
    path: PathBuf,
    identity: Option<(u64, u64)>,
}

impl SocketFile {
    fn new(path: PathBuf) -> Self {
        let identity = identity(&path);
        Self { path, identity }
    }

    /// Removes it; after `chroot` it may be out of reach.
    pub fn remove(&self) {
        if self.identity.is_some() && identity(&self.path) == self.identity {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt;
    std::fs::symlink_metadata(path).ok().map(|file| (file.dev(), file.ino()))
}

#[derive(Debug)]
enum Listener {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl AdminSocket {
    /// Binds one `stats socket` line, with `mode`, `user`, `group` and `level`.
    pub fn bind(bind: &Bind) -> Result<Self, AdminSocketError> {
        let error = |reason| AdminSocketError { address: bind.text.clone(), reason };
        let level = bind.level.and_then(Level::from_name).unwrap_or(Level::Operator);
        let (listener, path) = match &bind.address {
            Address::Inet(address) => (bind_tcp(*address, bind).map_err(error)?, None),
            Address::Unix(path) => (bind_unix(path, bind).map_err(error)?, Some(path.clone())),
            Address::Abstract(name) => (bind_abstract(name).map_err(error)?, None),
            Address::Fd(number) | Address::SocketPair(number) => {
                let owned = hacore::sys::duplicate_descriptor(*number).map_err(error)?;
                (inherited(owned).map_err(error)?, None)
            }
            Address::Name { .. } => return Err(error(io::ErrorKind::AddrNotAvailable.into())),
        };
        let address = match &bind.address {
            Address::Unix(path) => format!("unix@{}", path.display()),
            Address::Abstract(name) => format!("abns@{name}"),
            Address::Inet(address) if address.is_ipv4() => format!("ipv4@{address}"),
            Address::Inet(address) => format!("ipv6@{address}"),
            _ => bind.text.clone(),
        };
        let severity =
            bind.severity_output.as_deref().and_then(SeverityOutput::from_name).unwrap_or_default();
        Ok(Self {
            listener,
            info: SocketInfo { address, level },
            severity,
            exposes_listeners: bind.expose_listeners,
            file: path.map(SocketFile::new),
        })
    }

    /// Where it listens, if that is an IP address.
    pub fn local_address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Tcp(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Gives every connection to `each` for ever.
    pub async fn each_connection(
        self,
        mut each: impl FnMut(Box<dyn crate::runtime::master::Duplex>),
    ) -> io::Result<()> {
        match self.listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                loop {
                    each(Box::new(listener.accept().await?.0));
                }
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                loop {
                    each(Box::new(listener.accept().await?.0));
                }
            }
        }
    }

    /// The file of a Unix socket.
    pub fn file(&self) -> Option<&SocketFile> {
        self.file.as_ref()
    }
}

fn bind_tcp(address: SocketAddr, bind: &Bind) -> io::Result<Listener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(bind.backlog.and_then(|n| i32::try_from(n).ok()).unwrap_or(128))?;
    Ok(Listener::Tcp(socket.into()))
}

/// Binds beside and renames, so that a socket of an earlier process is replaced without a moment of absence.
fn bind_unix(path: &Path, bind: &Bind) -> io::Result<Listener> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}.tmp", std::process::id()));
    let beside = PathBuf::from(beside);
    let _ = std::fs::remove_file(&beside);
    let listener = std::os::unix::net::UnixListener::bind(&beside)?;
    let dress = || -> io::Result<()> {
        if let Some(mode) = bind.unix_mode {
            std::fs::set_permissions(&beside, std::fs::Permissions::from_mode(mode))?;
        }
        if bind.unix_user.is_some() || bind.unix_group.is_some() {
            std::os::unix::fs::chown(&beside, bind.unix_user, bind.unix_group)?;
        }
        std::fs::rename(&beside, path)
    };
    if let Err(reason) = dress() {
        let _ = std::fs::remove_file(&beside);
        return Err(reason);
    }
    Ok(Listener::Unix(listener))
}

fn bind_abstract(name: &str) -> io::Result<Listener> {
    use std::os::linux::net::SocketAddrExt;
    let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
    Ok(Listener::Unix(std::os::unix::net::UnixListener::bind_addr(&address)?))
}

/// A descriptor that is already bound, and listening or not.
fn inherited(owned: OwnedFd) -> io::Result<Listener> {
    let socket = Socket::from(owned);
    let address: SockAddr = socket.local_addr()?;
    socket.listen(128)?;
    Ok(if address.is_unix() { Listener::Unix(socket.into()) } else { Listener::Tcp(socket.into()) })
}

/// Limits of the admin sockets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// `stats timeout`.
    pub timeout: Duration,
    /// `stats maxconn`.
    pub connections_max: u32,
}

/// Serves all sockets until the returned future is dropped. Needs a `LocalSet` and a runtime with I/O and time.
pub async fn serve(sockets: Vec<AdminSocket>, admin: Arc<Admin>, limits: Limits) -> io::Result<()> {
    let slots = Arc::new(Semaphore::new(limits.connections_max.max(1) as usize));
    let mut tasks = Vec::new();
    for socket in sockets {
        let service = Rc::new(Service {
            admin: Arc::clone(&admin),
            level: socket.info.level,
            severity: socket.severity,
            exposes_listeners: socket.exposes_listeners,
            limits,
        });
        let slots = Arc::clone(&slots);
        tasks.push(tokio::task::spawn_local(async move { service.accept(socket.listener, slots).await }));
    }
    let aborts: Vec<_> = tasks.iter().map(|task| AbortOnDrop(task.abort_handle())).collect();
    for task in tasks {
        // A task ends only with an error of its listener.
        task.await.unwrap_or_else(|error| Err(io::Error::other(error)))?;
    }
    drop(aborts);
    // Without any socket there is nothing to do, and nothing that failed.
    std::future::pending().await
}

struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

struct Service {
    admin: Arc<Admin>,
    level: Level,
    severity: SeverityOutput,
    exposes_listeners: bool,
    limits: Limits,
}

impl Service {
    async fn accept(self: Rc<Self>, listener: Listener, slots: Arc<Semaphore>) -> io::Result<()> {
        match listener {
            Listener::Tcp(listener) => {
                listener.set_nonblocking(true)?;
                let listener = TcpListener::from_std(listener)?;
                loop {
                    let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
                    let accepted = listener.accept().await;
                    self.start(accepted.map(|(stream, _)| stream), slot).await;
                }
            }
            Listener::Unix(listener) => {
                listener.set_nonblocking(true)?;
                let listener = UnixListener::from_std(listener)?;
                loop {
                    let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
                    let accepted = listener.accept().await;
                    self.start(accepted.map(|(stream, _)| stream), slot).await;
                }
            }
        }
    }

    async fn start<S>(self: &Rc<Self>, accepted: io::Result<S>, slot: OwnedSemaphorePermit)
    where
        S: AsyncRead + AsyncWrite + AsFd + Unpin + 'static,
    {
        /// How long to leave the listener alone when the process is out of descriptors.
        const PAUSE_AFTER_ERROR: Duration = Duration::from_millis(100);
        match accepted {
            Ok(stream) => {
                let service = Rc::clone(self);
                tokio::task::spawn_local(async move {
                    // A client that goes away in the middle is nobody's fault.
                    let _ = service.talk(stream).await;
                    drop(slot);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "admin socket: accept failed");
                tokio::time::sleep(PAUSE_AFTER_ERROR).await;
            }
        }
    }

    /// Writes a long answer piece by piece; its last piece is left in `out`.
    async fn write_report<S: AsyncWrite + Unpin>(
        &self,
        report: Box<Report>,
        stream: &mut S,
        out: &mut String,
    ) -> io::Result<()> {
        let mut asked = Some(self.next_piece(report));
        while let Some(piece) = asked.take() {
            let piece = piece.await.map_err(io::Error::other)?;
            asked = piece.rest.map(|rest| self.next_piece(rest));
            out.push_str(&piece.text);
            // While this one is written the next one is made.
            if asked.is_some() {
                tokio::time::timeout(self.limits.timeout, stream.write_all(out.as_bytes())).await??;
                out.clear();
            }
        }
        Ok(())
    }

    /// Has a piece made, beside this thread too: checks shall not wait for it.
    fn next_piece(&self, report: Box<Report>) -> tokio::sync::oneshot::Receiver<Piece> {
        let (done, piece) = tokio::sync::oneshot::channel();
        match self.admin.snapshot.load().process.renderer.get() {
            // Whoever asked may have gone.
            Some(renderer) => renderer.submit(report, move |piece| drop(done.send(piece))),
            None => drop(done.send(report.piece())),
        }
        piece
    }

    async fn talk<S: AsyncRead + AsyncWrite + AsFd + Unpin>(&self, mut stream: S) -> io::Result<()> {
        let mut session = Session::new(Arc::clone(&self.admin), self.level, self.limits.timeout);
        session.settings.severity_output = self.severity;
        session.settings.exposes_listeners = self.exposes_listeners;
        let mut buffer = vec![0; 16 * 1024];
        let mut out = String::new();
        loop {
            while let Some(waiting) = session.take_wait() {
                match waiting {
                    Waiting::Time(delay) => tokio::time::sleep(delay).await,
                    // Nobody answers any more when the process ends.
                    Waiting::Answer(answer) => out.push_str(&answer.await.unwrap_or_default()),
                    Waiting::Report(report) => self.write_report(report, &mut stream, &mut out).await?,
                    Waiting::Sockets(sockets) => {
                        let Ok(sockets) = sockets.await else { return Ok(()) };
                        let stream = UnixStream::from(stream.as_fd().try_clone_to_owned()?);
                        let gave = move || transfer::give(stream, &sockets);
                        return tokio::task::spawn_blocking(gave).await.map_err(io::Error::other)?;
                    }
                }
                session.resume(&mut out);
            }
            if !out.is_empty() {
                // A client that does not read must not hold its slot for ever.
                tokio::time::timeout(session.settings.timeout, stream.write_all(out.as_bytes())).await??;
                out.clear();
            }
            if session.is_closing() {
                return stream.shutdown().await;
            }
            let read = tokio::time::timeout(session.settings.timeout, stream.read(&mut buffer)).await??;
            if read == 0 {
                return stream.shutdown().await;
            }
            session.feed(buffer.get(..read).unwrap_or_default(), &mut out);
        }
    }
}
