//! A `log-forward` section: syslog messages in over UDP and TCP, out to its log targets.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

use hacore::logging::syslog::{Facility, Format, Level};
use hacore::logging::{Sink, SinkError};
use parking_lot::Mutex;
use socket2::Socket;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::{TcpListener, UdpSocket, UnixListener};

use super::framing::Deframer;
use super::message::Message;
use super::outlets::Outlets;
use crate::model::{Address, Bind, HostStrategy, LogForward};
use crate::net::socket::{self, ListenOptions};
use crate::proxy::{Process, Snapshot};
use crate::runtime::log_writer::{Sampler, format_of, ring_of};

/// The longest datagram that UDP can bring.
const DATAGRAM_BYTES_MAX: usize = 65_535;
/// How long a listener pauses after an error such as no free descriptor.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bound sockets of all sections.
#[derive(Debug, Default)]
pub struct ForwardSockets {
    bound: Vec<ForwardSocket>,
}

#[derive(Debug)]
struct ForwardSocket {
    address: Address,
    is_datagram: bool,
    socket: Socket,
}

impl ForwardSockets {
    /// Binds what `forwards` want; sockets of `before` are taken over. The text says what cannot be bound.
    pub fn bind(forwards: &[LogForward], before: &Self) -> Result<Self, Vec<String>> {
        let (mut bound, mut errors) = (Vec::new(), Vec::new());
        for forward in forwards {
            let streams = forward.binds.iter().map(|bind| (bind, false));
            for (bind, is_datagram) in streams.chain(forward.datagram_binds.iter().map(|bind| (bind, true))) {
                match before.socket(bind, is_datagram).unwrap_or_else(|| open(bind, forward, is_datagram)) {
                    Ok(socket) => {
                        bound.push(ForwardSocket { address: bind.address.clone(), is_datagram, socket });
                    }
                    Err(error) => errors.push(format!(
                        "Starting log forwarder {}: cannot bind socket ({}) [{}]",
                        forward.name,
                        crate::config::describe(&error),
                        bind.text
                    )),
                }
            }
        }
        if errors.is_empty() { Ok(Self { bound }) } else { Err(errors) }
    }

    /// A handle of the socket that is bound there.
    fn socket(&self, bind: &Bind, is_datagram: bool) -> Option<io::Result<Socket>> {
        let same = |known: &&ForwardSocket| known.address == bind.address && known.is_datagram == is_datagram;
        self.bound.iter().find(same).map(|known| known.socket.try_clone())
    }
}

fn open(bind: &Bind, forward: &LogForward, is_datagram: bool) -> io::Result<Socket> {
    if !is_datagram {
        if let Address::Fd(number) = bind.address {
            let socket = Socket::from(hacore::sys::duplicate_descriptor(number)?);
            socket.set_nonblocking(true)?;
            socket.listen(i32::try_from(forward.backlog.unwrap_or(1024)).unwrap_or(i32::MAX))?;
            return Ok(socket);
        }
        let backlog = bind.backlog.or(forward.backlog);
        return socket::listen(bind, ListenOptions { backlog, ..ListenOptions::default() });
    }
    let socket = match bind.address {
        Address::Fd(number) => Socket::from(hacore::sys::duplicate_descriptor(number)?),
        Address::Inet(address) => {
            let socket = Socket::new(socket2::Domain::for_address(address), socket2::Type::DGRAM, None)?;
            socket.set_reuse_address(true)?;
            if let Some(interface) = &bind.interface {
                socket.bind_device(Some(interface.as_bytes()))?;
            }
            socket.bind(&address.into())?;
            socket
        }
        _ => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    socket.set_nonblocking(true)?;
    Ok(socket)
}

/// A destination and how its messages look.
struct Destination {
    sink: Arc<Sink>,
    /// None: as they came.
    format: Option<Format>,
    facility: Facility,
    level_max: u8,
    level_min: u8,
    length_max_bytes: usize,
    sampler: Sampler,
}

/// A section at work.
pub(super) struct Relay {
    pub(super) model: LogForward,
    message_bytes_max: usize,
    process: Arc<Process>,
    outlets: Mutex<(Vec<Destination>, Vec<u8>)>,
    connections: AtomicU32,
}

impl Relay {
    pub(super) fn new(
        model: &LogForward,
        snapshot: &Snapshot,
        outlets: &mut Outlets,
    ) -> Result<Self, SinkError> {
        let mut destinations = Vec::new();
        for target in &model.logs {
            let Some(sink) = outlets.open(target, Some(snapshot))? else { continue };
            let ring = ring_of(target, &snapshot.rings);
            let format = target.format.or(ring.map(|ring| ring.format));
            destinations.push(Destination {
                sink,
                format: format.map(format_of),
                facility: Facility::from_number(target.facility.0).unwrap_or(Facility::LOCAL0),
                level_max: target.level_max as u8,
                level_min: target.level_min as u8,
                length_max_bytes: target.length_max_bytes.max(ring.map_or(0, |ring| ring.length_max_bytes)),
                sampler: Sampler::new(target, Arc::default()),
            });
        }
        Ok(Self {
            model: model.clone(),
            message_bytes_max: snapshot.global.bufsize_bytes,
            process: Arc::clone(&snapshot.process),
            outlets: Mutex::new((destinations, Vec::new())),
            connections: AtomicU32::new(0),
        })
    }

    /// Passes one message on.
    fn pass(&self, bytes: &[u8], from: Option<IpAddr>) {
        let end = bytes.iter().rposition(|byte| !matches!(byte, b'\n' | b'\0')).map_or(0, |at| at + 1);
        let bytes = bytes.get(..end).unwrap_or_default();
        if bytes.is_empty() {
            return;
        }
        let mut message = match self.model.parse {
            true => Message::parse(bytes),
            false => Message { text: bytes, ..Message::default() },
        };
        let came_in = message.format();
        let host = self.host(&message, from);
        message.host = host.as_deref().map(str::as_bytes).or(message.host);
        // A message without a priority passes every filter, as in HAProxy.
        let level = message.level.unwrap_or(Level::Emerg as u8);
        let wall_us = hacore::time::wall_us();
        let mut lost = 0;
        let (destinations, line) = &mut *self.outlets.lock();
        for destination in destinations {
            if level > destination.level_max || !destination.sampler.takes() {
                continue;
            }
            let facility = message.facility.and_then(Facility::from_number).unwrap_or(destination.facility);
            let level = Level::from_number(level.max(destination.level_min));
            let format = destination.format.unwrap_or(came_in);
            line.clear();
            message.encode(format, (facility, level), wall_us, destination.length_max_bytes, line);
            lost += u64::from(!destination.sink.send(line));
        }
        self.process.dropped_logs.fetch_add(lost, Relaxed);
    }

    /// `option host`: the host to put in, if it is another than the message's.
    fn host(&self, message: &Message<'_>, from: Option<IpAddr>) -> Option<String> {
        let from = from?.to_canonical().to_string();
        match (self.model.host, message.host) {
            (HostStrategy::Keep, _) | (HostStrategy::Fill, Some(_)) => None,
            (HostStrategy::Append, Some(host)) => Some(format!("{},{from}", String::from_utf8_lossy(host))),
            (HostStrategy::Replace | HostStrategy::Fill | HostStrategy::Append, _) => Some(from),
        }
    }
}

/// Starts receiving on the section's sockets.
pub(super) fn start(
    relay: &Arc<Relay>,
    sockets: &ForwardSockets,
) -> io::Result<Vec<tokio::task::JoinHandle<()>>> {
    let mut tasks = Vec::new();
    let missing = || Err(io::Error::from(io::ErrorKind::AddrNotAvailable));
    for bind in &relay.model.datagram_binds {
        let socket = sockets.socket(bind, true).unwrap_or_else(missing)?;
        let socket = UdpSocket::from_std(socket.into())?;
        tasks.push(tokio::task::spawn_local(datagrams(Arc::clone(relay), socket)));
    }
    for bind in &relay.model.binds {
        let socket = sockets.socket(bind, false).unwrap_or_else(missing)?;
        let relay = Arc::clone(relay);
        tasks.push(match bind.address {
            Address::Unix(_) | Address::Abstract(_) => {
                let listener = UnixListener::from_std(socket.into())?;
                tokio::task::spawn_local(async move {
                    loop {
                        let accepted = listener.accept().await;
                        welcome(&relay, accepted.map(|(stream, _)| (stream, None))).await;
                    }
                })
            }
            _ => {
                let listener = TcpListener::from_std(socket.into())?;
                tokio::task::spawn_local(async move {
                    loop {
                        let accepted = listener.accept().await;
                        let from = |address: SocketAddr| Some(address.ip());
                        welcome(&relay, accepted.map(|(stream, address)| (stream, from(address)))).await;
                    }
                })
            }
        });
    }
    Ok(tasks)
}

async fn datagrams(relay: Arc<Relay>, socket: UdpSocket) {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => relay.pass(buffer.get(..length).unwrap_or_default(), Some(from.ip())),
            Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
        }
    }
}

/// Serves a connection in a task of its own; those above `maxconn` are closed.
async fn welcome<S>(relay: &Arc<Relay>, accepted: io::Result<(S, Option<IpAddr>)>)
where
    S: AsyncRead + Unpin + 'static,
{
    match accepted {
        Ok((stream, from)) => {
            if relay.connections.fetch_add(1, Relaxed) >= relay.model.maxconn {
                relay.connections.fetch_sub(1, Relaxed);
                return;
            }
            let relay = Arc::clone(relay);
            tokio::task::spawn_local(async move {
                receive(&relay, stream, from).await;
                relay.connections.fetch_sub(1, Relaxed);
            });
        }
        Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
    }
}

async fn receive(relay: &Relay, mut stream: impl AsyncRead + Unpin, from: Option<IpAddr>) {
    let mut deframer = Deframer::new(relay.message_bytes_max, relay.model.assume_lines);
    let mut buffer = vec![0; relay.message_bytes_max];
    loop {
        let read = stream.read(&mut buffer);
        let length = match relay.model.client_timeout {
            Some(limit) => tokio::time::timeout(limit, read).await.unwrap_or(Ok(0)),
            None => read.await,
        };
        let bytes = match length {
            Ok(length) if length > 0 => buffer.get(..length).unwrap_or_default(),
            _ => return,
        };
        if let Err(error) = deframer.feed(bytes, |message| relay.pass(message, from)) {
            tracing::debug!(section = relay.model.name, %error, "a log sender is left");
            return;
        }
    }
}
