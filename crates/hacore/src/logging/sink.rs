//! Where encoded lines go: a UDP or Unix datagram socket, a descriptor, or whoever else takes lines. Nothing here blocks.

use std::fs::File;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use nix::poll::{PollFd, PollFlags, PollTimeout};
use parking_lot::Mutex;

use super::datagrams::Datagrams;

/// Names a destination; [`Sink::open`] makes it usable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SinkTarget {
    Udp(SocketAddr),
    /// A datagram socket such as `/dev/log`.
    Unix(PathBuf),
    /// `stdout` is 1, `stderr` 2, `fd@N` any.
    Descriptor(i32),
}

/// A destination that cannot be opened at all.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    #[error("cannot create a log socket: {0}")]
    Socket(io::Error),
    #[error("log descriptor {number} is not open: {reason}")]
    Descriptor { number: i32, reason: io::Error },
}

/// Takes lines within the process: a ring, a choice among several destinations.
pub trait Receiver: std::fmt::Debug + Send + Sync {
    /// Takes one line with its final newline and returns at once; false when it is lost.
    fn take(&self, line: &[u8]) -> bool;
}

/// An open destination. Any thread may send; datagrams never mix.
#[derive(Debug)]
pub struct Sink {
    channel: Channel,
    sent: AtomicU64,
    dropped: AtomicU64,
}

#[derive(Debug)]
enum Channel {
    Udp(Datagrams),
    Unix(UnixChannel),
    File(File),
    Receiver(Arc<dyn Receiver>),
}

/// The syslog daemon may restart, so the socket is connected anew when a send says so.
#[derive(Debug)]
struct UnixChannel {
    path: PathBuf,
    /// Held only around a non-blocking send.
    socket: Mutex<Option<UnixDatagram>>,
}

impl Sink {
    /// Opens the destination. A Unix socket whose receiver is not there yet is no error: each send tries again.
    pub fn open(target: &SinkTarget) -> Result<Self, SinkError> {
        let channel = match target {
            SinkTarget::Udp(to) => Channel::Udp(Datagrams::open(*to).map_err(SinkError::Socket)?),
            SinkTarget::Unix(path) => {
                Channel::Unix(UnixChannel { path: path.clone(), socket: Mutex::new(connect(path).ok()) })
            }
            SinkTarget::Descriptor(number) => {
                let owned = crate::sys::duplicate_descriptor(*number)
                    .map_err(|reason| SinkError::Descriptor { number: *number, reason })?;
                Channel::File(File::from(owned))
            }
        };
        Ok(Self::with(channel))
    }

    /// A destination within the process.
    pub fn to(receiver: Arc<dyn Receiver>) -> Self {
        Self::with(Channel::Receiver(receiver))
    }

    fn with(channel: Channel) -> Self {
        Self { channel, sent: AtomicU64::new(0), dropped: AtomicU64::new(0) }
    }

    /// Sends one line as [`super::syslog::Encoder::encode`] made it; `false` when it was dropped.
    pub fn send(&self, line: &[u8]) -> bool {
        let outcome = match &self.channel {
            Channel::Udp(datagrams) => datagrams.send(line),
            Channel::Unix(channel) => channel.send(line),
            Channel::File(file) => write_if_ready(file, line),
            Channel::Receiver(receiver) if receiver.take(line) => Ok(()),
            Channel::Receiver(_) => Err(io::ErrorKind::WouldBlock.into()),
        };
        let counter = if outcome.is_ok() { &self.sent } else { &self.dropped };
        counter.fetch_add(1, Relaxed);
        outcome.is_ok()
    }

    /// Sends several lines, one after the other in `bytes` and ending at `ends`; gives how many were dropped.
    pub fn send_all(&self, bytes: &[u8], ends: &[usize]) -> u64 {
        let Channel::Udp(datagrams) = &self.channel else {
            let mut starts = std::iter::once(0).chain(ends.iter().copied());
            let lines = ends.iter().map(|end| bytes.get(starts.next().unwrap_or(0)..*end));
            return lines.filter(|line| !self.send(line.unwrap_or_default())).count() as u64;
        };
        let sent = datagrams.send_all(bytes, ends);
        let lost = ends.len().saturating_sub(sent) as u64;
        self.sent.fetch_add(sent as u64, Relaxed);
        self.dropped.fetch_add(lost, Relaxed);
        lost
    }

    /// Lines handed to the kernel.
    pub fn sent(&self) -> u64 {
        self.sent.load(Relaxed)
    }

    /// Lines lost because the receiver was gone or did not keep up (`DroppedLogs`).
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

impl UnixChannel {
    fn send(&self, line: &[u8]) -> io::Result<()> {
        let mut slot = self.socket.lock();
        if let Some(socket) = slot.as_ref() {
            match socket.send(line) {
                Ok(_) => return Ok(()),
                Err(error) if receiver_is_gone(&error) => *slot = None,
                Err(error) => return Err(error),
            }
        }
        let socket = connect(&self.path)?;
        let outcome = socket.send(line).map(drop);
        *slot = Some(socket);
        outcome
    }
}

/// One write per line keeps lines of several threads apart. The descriptor may be shared with a terminal or a
/// supervisor, so it is asked whether it takes data instead of being made non-blocking.
fn write_if_ready(mut file: &File, line: &[u8]) -> io::Result<()> {
    let mut ready = [PollFd::new(file.as_fd(), PollFlags::POLLOUT)];
    if nix::poll::poll(&mut ready, PollTimeout::ZERO)? == 0 {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    file.write(line).map(drop)
}

fn receiver_is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionRefused | io::ErrorKind::NotConnected | io::ErrorKind::ConnectionReset
    )
}

fn connect(path: &Path) -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect(path)?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    use super::*;

    fn receive(socket: &UnixDatagram) -> Vec<u8> {
        let mut buffer = [0; 100];
        let n = socket.recv(&mut buffer).unwrap();
        buffer[..n].to_vec()
    }

    #[test]
    fn a_unix_receiver_may_come_late_and_restart() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let sink = Sink::open(&SinkTarget::Unix(path.clone())).unwrap();
        assert!(!sink.send(b"nobody listens\n"));

        let first = UnixDatagram::bind(&path).unwrap();
        assert!(sink.send(b"one\n"));
        assert_eq!(receive(&first), b"one\n");
        drop(first);
        std::fs::remove_file(&path).unwrap();
        let second = UnixDatagram::bind(&path).unwrap();
        assert!(sink.send(b"two\n"));
        assert_eq!(receive(&second), b"two\n");
        assert_eq!((sink.sent(), sink.dropped()), (2, 1));
    }

    #[test]
    fn a_receiver_that_does_not_read_costs_lines_and_no_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("log");
        let _receiver = UnixDatagram::bind(&path).unwrap();
        let sink = Sink::open(&SinkTarget::Unix(path)).unwrap();
        let mut accepted = 0;
        while sink.send(b"x\n") {
            accepted += 1;
            assert!(accepted < 1_000_000, "the queue of a datagram socket is bounded");
        }
        assert_eq!(sink.dropped(), 1);
    }

    #[test]
    fn many_lines_arrive_as_so_many_datagrams() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sink = Sink::open(&SinkTarget::Udp(receiver.local_addr().unwrap())).unwrap();
        let lines: Vec<String> =
            (0..2 * super::super::datagrams::BATCH + 3).map(|n| format!("line {n}\n")).collect();
        let ends: Vec<usize> = lines
            .iter()
            .scan(0, |end, line| {
                *end += line.len();
                Some(*end)
            })
            .collect();
        assert_eq!(sink.send_all(lines.concat().as_bytes(), &ends), 0);
        let mut buffer = [0; 20];
        for line in &lines {
            let n = receiver.recv(&mut buffer).unwrap();
            assert_eq!(&buffer[..n], line.as_bytes());
        }
        assert_eq!(sink.sent(), lines.len() as u64);
    }

    #[test]
    fn udp_and_descriptors() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sink = Sink::open(&SinkTarget::Udp(receiver.local_addr().unwrap())).unwrap();
        assert!(sink.send(b"line\n"));
        let mut buffer = [0; 10];
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 5);

        let (ours, theirs) = UnixDatagram::pair().unwrap();
        let sink = Sink::open(&SinkTarget::Descriptor(ours.as_raw_fd())).unwrap();
        assert!(sink.send(b"fd\n"));
        assert_eq!(receive(&theirs), b"fd\n");
        assert!(matches!(
            Sink::open(&SinkTarget::Descriptor(-3)),
            Err(SinkError::Descriptor { number: -3, .. })
        ));
    }
}
