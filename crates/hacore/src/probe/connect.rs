//! Where a check connects to, how, and how long it may take.

use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UnixStream};
use tokio::time::{Instant, timeout_at};

use super::steps::{Connect, Received};
use super::transcript::{Tape, Taped};
use super::{Verdict, socks4};
use crate::health::CheckStatus;

/// A connected byte stream, plain or TLS.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// A connection after its TLS handshake.
pub struct Secured {
    /// The plain bytes within.
    pub io: Box<dyn Io>,
    /// What ALPN settled on.
    pub alpn: Option<Vec<u8>>,
}

/// A TLS handshake under way.
pub type TlsHandshake<'a> = Pin<Box<dyn Future<Output = io::Result<Secured>> + 'a>>;

/// Speaks TLS on a check's connection; given by whoever owns certificates and settings.
pub trait TlsClient {
    /// Starts a handshake with `check-sni` and `check-alpn`.
    fn handshake<'a>(
        &'a self,
        stream: Box<dyn Io>,
        sni: Option<&'a str>,
        alpn: &'a [String],
    ) -> TlsHandshake<'a>;
}

/// An address to connect to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// TCP.
    Tcp(SocketAddr),
    /// A Unix socket.
    Unix(PathBuf),
}

/// The PROXY header a check sends first (`check-send-proxy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyHeader {
    /// Version 1, text.
    V1,
    /// Version 2, binary, command LOCAL.
    V2,
}

impl ProxyHeader {
    /// A check speaks for itself and not for a client: `UNKNOWN` in version 1, the command LOCAL in version 2.
    fn bytes(self) -> &'static [u8] {
        match self {
            ProxyHeader::V1 => crate::proxy_protocol::UNKNOWN_V1,
            ProxyHeader::V2 => crate::proxy_protocol::LOCAL_V2,
        }
    }
}

/// Where and how a check connects.
#[derive(Clone)]
pub struct Target {
    /// The server's address with `check addr` and `check port` applied.
    pub endpoint: Endpoint,
    /// The address to connect from (`source`).
    pub source: Option<IpAddr>,
    /// `socks4`: the SOCKS4 proxy through which an IPv4 server may be reached.
    pub socks4: Option<SocketAddr>,
    /// `check-via-socks4`: connections go through it unless a step says otherwise.
    pub via_socks4: bool,
    /// `check-send-proxy`.
    pub send_proxy: Option<ProxyHeader>,
    /// Who speaks TLS, if any connection of the check does.
    pub tls: Option<Rc<dyn TlsClient>>,
    /// `check-ssl`: connections are TLS unless a step says otherwise.
    pub ssl: bool,
    /// `check-sni`.
    pub sni: Option<String>,
    /// `check-alpn`.
    pub alpn: Vec<String>,
    /// `check-proto`: HTTP checks speak HTTP/2 without asking, or never do; none: what ALPN settles on.
    pub http2: Option<bool>,
}

impl std::fmt::Debug for Target {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Target")
            .field("endpoint", &self.endpoint)
            .field("ssl", &self.ssl)
            .finish_non_exhaustive()
    }
}

impl Target {
    /// A plain connection without options.
    pub fn new(endpoint: Endpoint) -> Self {
        Target {
            endpoint,
            source: None,
            socks4: None,
            via_socks4: false,
            send_proxy: None,
            tls: None,
            ssl: false,
            sni: None,
            alpn: Vec::new(),
            http2: None,
        }
    }

    /// A plain TCP connection without options.
    pub fn tcp(address: SocketAddr) -> Self {
        Target::new(Endpoint::Tcp(address))
    }
}

/// How long a check may take (manual, "timeout check").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Timeouts {
    /// Until connected.
    pub connect: Duration,
    /// From connected to the verdict; none: what is left of `connect`.
    pub answer: Option<Duration>,
}

impl Timeouts {
    /// The manual's rule: with `timeout check`, the smaller of `timeout connect` and `inter` to connect and then
    /// `timeout check`; without it, `inter` for everything.
    pub fn new(inter: Duration, connect: Option<Duration>, check: Option<Duration>) -> Self {
        match check {
            Some(_) => Timeouts { connect: connect.map_or(inter, |c| c.min(inter)), answer: check },
            None => Timeouts { connect: inter, answer: None },
        }
    }

    pub(super) fn answer_by(&self, connect_by: Instant) -> Instant {
        self.answer.map_or(connect_by, |answer| Instant::now() + answer)
    }
}

/// A connection that is ready for the check's own bytes, and until when it must have its answer.
pub(super) struct Connection {
    pub(super) io: Box<dyn Io>,
    pub(super) answer_by: Instant,
    /// Whether it is TLS.
    pub(super) ssl: bool,
    /// Whether HTTP on it is HTTP/2.
    pub(super) http2: bool,
}

/// How a connection is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Close {
    /// With a FIN.
    InOrder,
    /// With a RST, unless the step says `linger`.
    Reset,
}

/// What a new connection needs of its check: what was received before it, and where to write down what is said.
pub(super) struct Seen<'a> {
    pub(super) received: Received<'a>,
    pub(super) tape: Option<&'a Tape>,
}

impl Seen<'_> {
    fn taped(&self, io: Box<dyn Io>) -> Box<dyn Io> {
        match self.tape {
            Some(tape) => Box::new(Taped { io, tape: Tape::clone(tape) }),
            None => io,
        }
    }
}

/// Connects, sends the PROXY header, does the TLS handshake.
pub(super) async fn connect(
    target: &Target,
    step: &Connect,
    timeouts: &Timeouts,
    close: Close,
    seen: &Seen<'_>,
) -> Result<Connection, Verdict> {
    let connect_by = Instant::now() + timeouts.connect;
    let endpoint = step.endpoint(&target.endpoint, &seen.received);
    let close = if step.linger { Close::InOrder } else { close };
    let default = step.is_default();
    let socks4 = target.socks4.filter(|_| step.via_socks4 || target.via_socks4 && default);
    let opened = async {
        match (socks4, &endpoint) {
            (Some(proxy), Endpoint::Tcp(SocketAddr::V4(address))) => {
                let mut io = open(&Endpoint::Tcp(proxy), target.source, close).await?;
                socks4::ask(&mut io, *address).await?;
                Ok(io)
            }
            _ => open(&endpoint, target.source, close).await,
        }
    };
    let mut io = match timeout_at(connect_by, opened).await {
        Err(_) => return Err(Verdict::new(CheckStatus::Layer4Timeout, "")),
        Ok(Err(error)) => return Err(Verdict::new(CheckStatus::Layer4Connection, connect_text(&error))),
        Ok(Ok(io)) => io,
    };
    let answer_by = timeouts.answer_by(connect_by);
    if let Some(header) = step.send_proxy.or(target.send_proxy.filter(|_| default)) {
        match timeout_at(answer_by, io.write_all(header.bytes())).await {
            Err(_) => return Err(Verdict::new(CheckStatus::Layer4Timeout, "")),
            Ok(Err(error)) => return Err(Verdict::new(CheckStatus::SocketError, os_text(&error))),
            Ok(Ok(())) => {}
        }
    }
    let told = step.http2.or(target.http2.filter(|_| default));
    if !(step.ssl || target.ssl && default) {
        return Ok(Connection { io: seen.taped(io), answer_by, ssl: false, http2: told.unwrap_or(false) });
    }
    let Some(tls) = &target.tls else {
        return Err(Verdict::new(CheckStatus::SocketError, "TLS is not available for checks"));
    };
    let sni = step.sni.as_deref().or(target.sni.as_deref());
    let alpn = if step.alpn.is_empty() { &target.alpn } else { &step.alpn };
    match timeout_at(answer_by, tls.handshake(io, sni, alpn)).await {
        Err(_) => Err(Verdict::new(CheckStatus::Layer6Timeout, "")),
        Ok(Err(error)) => Err(Verdict::new(CheckStatus::Layer6Response, error.to_string())),
        Ok(Ok(Secured { io, alpn })) => {
            let http2 = told.unwrap_or(alpn.as_deref() == Some(b"h2"));
            Ok(Connection { io: seen.taped(io), answer_by, ssl: true, http2 })
        }
    }
}

async fn open(endpoint: &Endpoint, source: Option<IpAddr>, close: Close) -> io::Result<Box<dyn Io>> {
    match endpoint {
        Endpoint::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        Endpoint::Tcp(address) => Ok(Box::new(open_tcp(*address, source, close).await?)),
    }
}

async fn open_tcp(address: SocketAddr, source: Option<IpAddr>, close: Close) -> io::Result<TcpStream> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    let stream = socket.connect(address).await?;
    stream.set_nodelay(true)?;
    if close == Close::Reset {
        stream.set_zero_linger()?;
    }
    Ok(stream)
}

/// HAProxy's words for a failed connection (manual, `fc_err_str`), with the C library's behind them: by the error's
/// name if it came from the network, in general if the connection could not even be tried.
pub(super) fn connect_text(error: &io::Error) -> String {
    use nix::errno::Errno;
    let what = match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::ECONNREFUSED) => "ECONNREFUSED returned by OS",
        Some(Errno::ECONNRESET) => "ECONNRESET returned by OS",
        Some(Errno::ENETUNREACH | Errno::EADDRNOTAVAIL | Errno::EACCES | Errno::EPERM | Errno::EINVAL) => {
            "General socket error"
        }
        _ => return os_text(error),
    };
    format!("{what} ({})", os_text(error))
}

/// The C library's words for an error, which HAProxy shows.
pub(super) fn os_text(error: &io::Error) -> String {
    match error.raw_os_error() {
        Some(code) => nix::errno::Errno::from_raw(code).desc().to_owned(),
        None => error.to_string(),
    }
}
