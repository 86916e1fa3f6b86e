//! Where a check connects to and how long it may take.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// A connected byte stream, plain or TLS.
pub trait Io: AsyncRead + AsyncWrite + Unpin {}
impl<T: AsyncRead + AsyncWrite + Unpin> Io for T {}

/// A TLS handshake under way.
pub type TlsHandshake<'a> = Pin<Box<dyn Future<Output = std::io::Result<Box<dyn Io>>> + 'a>>;

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

/// Where and how a check connects.
#[derive(Clone)]
pub struct Target {
    /// The server's address with `check addr` and `check port` applied.
    pub endpoint: Endpoint,
    /// The address to connect from (`source`).
    pub source: Option<IpAddr>,
    /// `check-send-proxy`.
    pub send_proxy: Option<ProxyHeader>,
    /// `check-ssl`.
    pub tls: Option<Rc<dyn TlsClient>>,
    /// `check-sni`.
    pub sni: Option<String>,
    /// `check-alpn`.
    pub alpn: Vec<String>,
}

impl Target {
    /// A plain connection without options.
    pub fn tcp(address: SocketAddr) -> Self {
        Target {
            endpoint: Endpoint::Tcp(address),
            source: None,
            send_proxy: None,
            tls: None,
            sni: None,
            alpn: Vec::new(),
        }
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
    /// HAProxy's rule: with `timeout check`, the smaller of `timeout connect` and `inter` to connect and then
    /// `timeout check`; without it, `inter` for everything.
    pub fn new(inter: Duration, connect: Option<Duration>, check: Option<Duration>) -> Self {
        match check {
            Some(_) => Timeouts { connect: connect.map_or(inter, |c| c.min(inter)), answer: check },
            None => Timeouts { connect: inter, answer: None },
        }
    }
}
