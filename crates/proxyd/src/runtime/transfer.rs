//! Listening sockets from process to process: `-x`, `_getsocks` (`expose-fd listeners`), and the service manager's store.
//!
//! The exchange is that of HAProxy, in both roles: the client asks with a line; the answer is the number of sockets (a
//! native 32-bit integer), then messages of at most [`DESCRIPTORS_MAX`] descriptors, whose bytes tell for each its network
//! namespace and its interface (a length and a name) and 32 bits of options; the client acknowledges each message with
//! four bytes. What a socket listens on is asked of the socket itself.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use hacore::sys::{DESCRIPTORS_MAX, receive_descriptors, send_descriptors};
use socket2::Socket;

use crate::model::{Address, Bind};

/// What the client asks with.
const QUESTION: &[u8] = b"_getsocks\n";
/// How long one step may take.
const STEP_LIMIT: Duration = Duration::from_secs(10);
/// The most sockets that are taken: the descriptor limit is lower.
const SOCKETS_MAX: i32 = 1_048_576;
/// The most bytes that describe one descriptor: two names with their lengths, and options.
const DESCRIPTION_MAX: usize = 2 * 256 + 4;

/// Why the sockets of the old process could not be had.
#[derive(Debug, thiserror::Error)]
pub enum TransferError {
    #[error("Failed to connect to the old process socket '{path}'")]
    Connect { path: String },
    #[error("Failed to get the number of sockets to be transferred !")]
    NoNumber,
    #[error("We didn't get the expected number of sockets (expecting {expected} got {got})")]
    TooFew { expected: i32, got: usize },
}

/// Takes the listening sockets of the process behind an admin socket (`-x`).
pub fn take(path: &str) -> Result<Vec<Socket>, TransferError> {
    let mut stream = connect(path).map_err(|_| TransferError::Connect { path: path.to_owned() })?;
    let mut number = [0; 4];
    let asked = stream.write_all(QUESTION).and_then(|()| stream.read_exact(&mut number));
    let expected = i32::from_ne_bytes(number);
    if asked.is_err() || !(0..=SOCKETS_MAX).contains(&expected) {
        return Err(TransferError::NoNumber);
    }
    let mut sockets = Vec::new();
    let mut bytes = vec![0; DESCRIPTORS_MAX * DESCRIPTION_MAX];
    while (sockets.len() as i64) < i64::from(expected) {
        // The descriptions say nothing that the sockets themselves do not.
        match receive_descriptors(stream.as_fd(), &mut bytes) {
            Ok((length, descriptors)) if length > 0 => {
                sockets.extend(descriptors.into_iter().map(Socket::from));
                // Whether the other side still wants to know shows with the next message.
                let _ = stream.write_all(&[0; 4]);
            }
            _ => return Err(TransferError::TooFew { expected, got: sockets.len() }),
        }
    }
    Ok(sockets)
}

fn connect(path: &str) -> io::Result<UnixStream> {
    use std::os::linux::net::SocketAddrExt;
    let stream = match path.strip_prefix("abns@") {
        Some(name) => UnixStream::connect_addr(&std::os::unix::net::SocketAddr::from_abstract_name(name)?)?,
        None => UnixStream::connect(path.strip_prefix("unix@").unwrap_or(path))?,
    };
    stream.set_read_timeout(Some(STEP_LIMIT))?;
    stream.set_write_timeout(Some(STEP_LIMIT))?;
    Ok(stream)
}

/// Gives sockets to the client of an admin socket that asked for them; blocks.
pub fn give(mut stream: UnixStream, sockets: &[Socket]) -> io::Result<()> {
    stream.set_nonblocking(false)?;
    stream.set_read_timeout(Some(STEP_LIMIT))?;
    stream.set_write_timeout(Some(STEP_LIMIT))?;
    stream.write_all(&i32::try_from(sockets.len()).unwrap_or(0).to_ne_bytes())?;
    let mut batches = sockets.chunks(DESCRIPTORS_MAX).peekable();
    while let Some(batch) = batches.next() {
        let mut bytes = Vec::new();
        for socket in batch {
            describe(socket, &mut bytes);
        }
        let descriptors: Vec<_> = batch.iter().map(AsFd::as_fd).collect();
        let sent = send_descriptors(stream.as_fd(), &bytes, &descriptors)?;
        stream.write_all(bytes.get(sent..).unwrap_or_default())?;
        if batches.peek().is_some() {
            // An acknowledgement of any length up to four bytes.
            let mut acknowledgement = [0; 4];
            if stream.read(&mut acknowledgement)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
    Ok(())
}

/// No namespace, the interface, no options.
fn describe(socket: &Socket, bytes: &mut Vec<u8>) {
    let interface = interface(socket);
    bytes.push(0);
    bytes.push(u8::try_from(interface.len()).unwrap_or(0));
    bytes.extend_from_slice(&interface);
    bytes.extend_from_slice(&[0; 4]);
}

fn interface(socket: &Socket) -> Vec<u8> {
    socket.device().ok().flatten().unwrap_or_default()
}

/// The sockets that a service manager kept or opened for this process (`LISTEN_FDS`, `sd_listen_fds(3)`).
pub fn from_service_manager() -> Vec<Socket> {
    const FIRST: i32 = 3;
    let number = |name| std::env::var(name).ok().and_then(|text| text.parse::<i32>().ok());
    if number("LISTEN_PID") != i32::try_from(std::process::id()).ok() {
        return Vec::new();
    }
    let count = number("LISTEN_FDS").unwrap_or(0).clamp(0, SOCKETS_MAX);
    let taken = (FIRST..FIRST + count).filter_map(|fd| hacore::sys::take_inherited_descriptor(fd).ok());
    taken.map(Socket::from).filter(|socket| socket.local_addr().is_ok()).collect()
}

/// Whether a socket of another process listens where a `bind` line wants to.
pub fn listens_at(socket: &Socket, bind: &Bind) -> bool {
    let Ok(local) = socket.local_addr() else { return false };
    if socket.r#type().ok() != Some(socket2::Type::STREAM) || !socket.is_listener().unwrap_or(false) {
        return false;
    }
    match &bind.address {
        Address::Inet(address) => {
            local.as_socket() == Some(*address)
                && interface(socket) == bind.interface.as_deref().unwrap_or_default().as_bytes()
        }
        Address::Unix(path) => local.as_pathname().is_some_and(|local| is_same_file(local, path)),
        Address::Abstract(name) => local.as_abstract_namespace().is_some_and(|local| {
            // HAProxy's names are as long as the field, filled up with zeros.
            local.strip_prefix(name.as_bytes()).is_some_and(|rest| rest.iter().all(|byte| *byte == 0))
        }),
        Address::Name { .. } | Address::Fd(_) | Address::SocketPair(_) => false,
    }
}

/// A socket that was bound beside its place as `PATH.PID.tmp` and renamed knows itself by that name.
fn is_same_file(local: &std::path::Path, wanted: &std::path::Path) -> bool {
    if local == wanted {
        return true;
    }
    let (local, wanted) = (local.to_string_lossy(), wanted.to_string_lossy());
    let pid = local.strip_prefix(&*wanted).and_then(|rest| rest.strip_prefix('.')?.strip_suffix(".tmp"));
    pid.is_some_and(|pid| !pid.is_empty() && pid.bytes().all(|byte| byte.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Location;

    fn listener(address: &str) -> Socket {
        let address: std::net::SocketAddr = address.parse().unwrap();
        Socket::from(std::net::TcpListener::bind(address).unwrap())
    }

    fn bind(address: Address) -> Bind {
        Bind::new(address, "", Location::default())
    }

    #[test]
    fn more_sockets_than_one_message_holds_arrive() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let admin = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let first = listener("127.0.0.1:0");
        let address = first.local_addr().unwrap().as_socket().unwrap();
        let sockets: Vec<Socket> = (0..=DESCRIPTORS_MAX).map(|_| first.try_clone().unwrap()).collect();
        let server = std::thread::spawn(move || {
            let (mut stream, _) = admin.accept().unwrap();
            let mut question = [0; QUESTION.len()];
            stream.read_exact(&mut question).unwrap();
            assert_eq!(question, QUESTION);
            give(stream, &sockets).unwrap();
        });
        let taken = take(path.to_str().unwrap()).unwrap();
        server.join().unwrap();
        assert_eq!(taken.len(), DESCRIPTORS_MAX + 1);
        assert!(taken.iter().all(|socket| listens_at(socket, &bind(Address::Inet(address)))));
    }

    #[test]
    fn what_is_not_a_process_with_sockets_is_an_error() {
        assert!(matches!(take("/no/such/socket"), Err(TransferError::Connect { .. })));
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("s");
        let admin = std::os::unix::net::UnixListener::bind(&path).unwrap();
        let server = std::thread::spawn(move || {
            drop(admin.accept());
            let (mut stream, _) = admin.accept().unwrap();
            stream.write_all(&3i32.to_ne_bytes()).unwrap();
        });
        assert!(matches!(take(path.to_str().unwrap()), Err(TransferError::NoNumber)));
        assert!(matches!(
            take(path.to_str().unwrap()),
            Err(TransferError::TooFew { expected: 3, got: 0 } | TransferError::NoNumber)
        ));
        server.join().unwrap();
    }

    #[test]
    fn a_socket_belongs_to_the_bind_line_with_its_address() {
        let tcp = listener("127.0.0.1:0");
        let address = tcp.local_addr().unwrap().as_socket().unwrap();
        assert!(listens_at(&tcp, &bind(Address::Inet(address))));
        let mut elsewhere = bind(Address::Inet(address));
        elsewhere.interface = Some("lo".to_owned());
        assert!(!listens_at(&tcp, &elsewhere));
        assert!(!listens_at(&tcp, &bind(Address::Unix("/x".into()))));
        for (local, same) in
            [("/run/u", true), ("/run/u.12.tmp", true), ("/run/u.x.tmp", false), ("/run/u2", false)]
        {
            assert_eq!(is_same_file(local.as_ref(), "/run/u".as_ref()), same, "{local}");
        }
    }
}
