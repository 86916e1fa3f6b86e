//! The data plane with real sockets: a running proxy in this process, an origin and a client of the test's own.
//!
//! Nothing waits for time: reads have a limit that only a failure reaches.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use crate::model::*;
use crate::proxy::{Counter, Process, Snapshot};
use crate::runtime::{Listeners, Runtime};

mod admission;
mod entry;
mod failures;
mod http2;
mod keep_alive;
mod persistence;
mod reach;
mod request_keywords;
mod retry;
mod reuse;
mod splice;
mod tcp;
mod tls;

/// A wait that only a failing test sees the end of.
const PATIENCE: Duration = Duration::from_secs(10);

/// A running proxy; stops when dropped.
struct Proxyd {
    runtime: Option<Runtime>,
    snapshot: Arc<Snapshot>,
}

impl Proxyd {
    fn start(mut proxies: Vec<Proxy>) -> Self {
        for proxy in &mut proxies {
            for (id, server) in (1..).zip(&mut proxy.servers) {
                server.numeric_id = id;
            }
        }
        Self::start_with(Config { proxies, ..Config::default() })
    }

    fn start_with(config: Config) -> Self {
        Self::start_on(1, config)
    }

    fn start_on(threads: usize, config: Config) -> Self {
        let process = Arc::new(Process::new(threads, 1000));
        let snapshot = Arc::new(Snapshot::build(&config, &process));
        let listeners = Listeners::bind(&snapshot, Vec::new()).unwrap();
        let runtime = Runtime::start(&snapshot, &listeners, "proxyd", &mut Default::default()).unwrap();
        Self { runtime: Some(runtime), snapshot }
    }

    fn address(&self) -> SocketAddr {
        self.address_of(0)
    }

    /// Where the bind at this place listens.
    fn address_of(&self, bind: usize) -> SocketAddr {
        *self.snapshot.frontends().next().unwrap().listeners[bind].bound.get().unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(self.address())
    }

    fn backend(&self) -> &crate::proxy::Backend {
        self.snapshot.backends().next().unwrap()
    }
}

impl Drop for Proxyd {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.hard_stop();
            runtime.join();
        }
    }
}

/// A `listen` in HTTP mode on a port of the kernel's choice.
fn listen(servers: &[SocketAddr]) -> Proxy {
    let mut proxy = Proxy::new(ProxyKind::Listen, "web", Location::default());
    proxy.mode = Mode::Http;
    proxy.timeouts.client = Some(PATIENCE);
    proxy.timeouts.server = Some(PATIENCE);
    proxy.timeouts.connect = Some(PATIENCE);
    proxy.binds.push(Bind::new(
        Address::Inet(([127, 0, 0, 1], 0).into()),
        "127.0.0.1:0",
        Location::default(),
    ));
    for (index, address) in servers.iter().enumerate() {
        proxy.servers.push(Server::new(format!("s{index}"), Address::Inet(*address), Location::default()));
    }
    proxy
}

/// A client or a server's end of a connection.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).unwrap())
    }

    fn over(stream: TcpStream) -> Self {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream: BufReader::new(stream) }
    }

    /// The other end's address.
    fn peer(&self) -> SocketAddr {
        self.stream.get_ref().peer_addr().unwrap()
    }

    fn send(&mut self, text: &str) {
        self.stream.get_mut().write_all(text.as_bytes()).unwrap();
    }

    /// Up to and with the empty line.
    fn head(&mut self) -> String {
        let mut head = String::new();
        loop {
            let before = head.len();
            self.stream.read_line(&mut head).unwrap();
            if head.len() == before || &head[before..] == "\r\n" {
                return head;
            }
        }
    }

    fn bytes(&mut self, count: usize) -> String {
        let mut bytes = vec![0; count];
        self.stream.read_exact(&mut bytes).unwrap();
        String::from_utf8(bytes).unwrap()
    }

    /// Everything until the other side closes.
    fn rest(&mut self) -> String {
        let mut rest = Vec::new();
        self.stream.read_to_end(&mut rest).unwrap();
        String::from_utf8(rest).unwrap()
    }

    fn finish_sending(&mut self) {
        self.stream.get_mut().shutdown(std::net::Shutdown::Write).unwrap();
    }
}

/// A server that the test plays itself.
struct Origin {
    listener: TcpListener,
}

impl Origin {
    fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").unwrap() }
    }

    fn address(&self) -> SocketAddr {
        self.listener.local_addr().unwrap()
    }

    fn accept(&self) -> Client {
        Client::over(self.listener.accept().unwrap().0)
    }
}

/// An address at which nobody listens.
fn closed_port() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}
