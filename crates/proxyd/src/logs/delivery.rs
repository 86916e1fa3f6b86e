//! Lines of a ring on their way to a server over a stream, or into the ring's file.

use std::fs::{File, OpenOptions};
use std::io::{self, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::timeout;

use super::ring::{Batch, LineFraming, Ring};
use crate::model::{Address, Server};
use crate::tls::backend::server_name;

/// Between two attempts to connect.
const RETRY_PAUSE: Duration = Duration::from_secs(1);
/// Where the ring has no `timeout connect` and `timeout server`.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(5);

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// Sends what is in the ring, and what comes, to its `at`th server; ends when the ring is retired and sent, or cannot be.
pub(super) async fn to_server(ring: Arc<Ring>, at: usize) {
    let Some(server) = ring.servers.get(at).cloned() else { return };
    let framing = match server.log_octet_count {
        true => LineFraming::OctetCount,
        false => LineFraming::LineFeed,
    };
    let mut batch = Batch::default();
    // Not before there is something to say.
    while ring.wait(ring.cursor(at), framing, &mut batch).await {
        match timeout(ring.connect_timeout.unwrap_or(TIMEOUT_DEFAULT), connect(&server)).await {
            Ok(Ok(mut stream)) => {
                if serve(&ring, at, framing, &mut *stream).await.is_ok() {
                    return;
                }
            }
            Ok(Err(error)) => tracing::debug!(ring = ring.name, %error, "log server is not reached"),
            Err(_) => tracing::debug!(ring = ring.name, "log server does not answer"),
        }
        tokio::time::sleep(RETRY_PAUSE).await;
    }
}

async fn connect(server: &Server) -> io::Result<Box<dyn Stream>> {
    let (stream, ip): (Box<dyn Stream>, _) = match &server.address {
        Address::Inet(address) => {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            (Box::new(stream), Some(address.ip()))
        }
        Address::Unix(path) => (Box::new(UnixStream::connect(path).await?), None),
        Address::Abstract(name) => {
            use std::os::linux::net::SocketAddrExt;
            let address = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
            let stream = std::os::unix::net::UnixStream::connect_addr(&address)?;
            stream.set_nonblocking(true)?;
            (Box::new(UnixStream::from_std(stream)?), None)
        }
        _ => return Err(io::ErrorKind::AddrNotAvailable.into()),
    };
    let Some(tls) = server.tls_client.0.as_ref().filter(|_| server.tls) else { return Ok(stream) };
    let connector = tokio_rustls::TlsConnector::from(tls.client());
    Ok(Box::new(connector.connect(server_name(None, ip), stream).await?))
}

/// Writes batches until the ring is retired and empty (Ok) or the connection is no good any more.
async fn serve(ring: &Ring, at: usize, framing: LineFraming, stream: &mut dyn Stream) -> io::Result<()> {
    let limit = ring.server_timeout.unwrap_or(TIMEOUT_DEFAULT);
    let mut batch = Batch::default();
    let mut ignored = [0; 512];
    loop {
        tokio::select! {
            more = ring.wait(ring.cursor(at), framing, &mut batch) => {
                if !more {
                    return stream.shutdown().await;
                }
                let write = async {
                    stream.write_all(&batch.bytes).await?;
                    stream.flush().await
                };
                timeout(limit, write).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
                ring.delivered(at, batch.end);
            }
            // Log servers say nothing; what matters is the end.
            read = stream.read(&mut ignored) => {
                if read? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            }
        }
    }
}

/// Keeps the newest lines in `path`, as text: behind the file's size it goes on at its beginning.
pub(super) async fn to_file(ring: Arc<Ring>, path: PathBuf) {
    if let Err(error) = write_file(&ring, &path).await {
        tracing::warn!(ring = ring.name, file = %path.display(), %error, "the ring's file cannot be written");
    }
}

async fn write_file(ring: &Ring, path: &Path) -> io::Result<()> {
    let (path, size_bytes) = (path.to_owned(), ring.size_bytes);
    let mut file = in_background(move || RingFile::create(&path, size_bytes)).await?;
    let mut next = 0;
    let mut batch = Batch::default();
    while ring.wait(next, LineFraming::LineFeed, &mut batch).await {
        next = batch.end;
        let lines = std::mem::take(&mut batch.bytes);
        file = in_background(move || file.append(&lines).map(|()| file)).await?;
    }
    Ok(())
}

/// Disks may be slow: the thread's other tasks go on meanwhile.
async fn in_background<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}

/// The file of a ring, as large as the ring.
struct RingFile {
    file: File,
    size_bytes: usize,
    at: usize,
}

impl RingFile {
    /// An empty file; what was there gets the suffix `.bak`.
    fn create(path: &Path, size_bytes: usize) -> io::Result<Self> {
        if std::fs::metadata(path).is_ok_and(|known| known.len() > 0) {
            let mut kept = path.as_os_str().to_owned();
            kept.push(".bak");
            // Failures are ignored (manual, "backing-file").
            let _ = std::fs::rename(path, kept);
        }
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.set_len(size_bytes as u64)?;
        Ok(Self { file, size_bytes, at: 0 })
    }

    /// Writes lines over the oldest ones.
    fn append(&mut self, lines: &[u8]) -> io::Result<()> {
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            if self.at + line.len() > self.size_bytes {
                self.file.seek(io::SeekFrom::Start(0))?;
                self.at = 0;
            }
            self.file.write_all(line)?;
            self.at += line.len();
        }
        Ok(())
    }
}
