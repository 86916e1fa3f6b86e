//! The driver against real sockets on loopback, and what the reporter makes of the results.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use hacore::health::{AdminState, CheckStatus, Observation};
use hacore::logging::syslog::Level;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::*;
use crate::model::{
    Address, CheckKind, CheckRule, Config, Location, OnError, OnMarkedDown, Proxy, ProxyId, ProxyKind,
    Server, ServerId,
};
use crate::proxy::{Process, Snapshot};

/// Nothing here takes longer, however busy the machine is.
const LIMIT: Duration = Duration::from_secs(20);

/// A line of `http-check` or `tcp-check`.
fn rule(family: &'static str, words: &[&str]) -> CheckRule {
    use crate::expr::{Contexts, LoadState, NoFiles};
    let span = hacore::diag::Span::line(hacore::diag::FileId(0), 1);
    let state = LoadState::default();
    let scope = state.scope(Contexts::BE_CHECK, crate::model::Mode::Tcp, Some("b"), &NoFiles);
    let line: Vec<_> = words.iter().map(|word| hacore::diag::Word::new((*word).into(), span)).collect();
    let step = crate::config::check_rules::step(family, &line, &scope).unwrap().into();
    let words = words.iter().map(|word| (*word).to_owned()).collect();
    CheckRule { family, words, location: Location::default(), step }
}

struct Channel(UnboundedSender<String>);

impl Hooks for Channel {
    fn log(&self, _: ProxyId, level: Level, text: &str) {
        let _ = self.0.send(format!("<{}>{text}", level as u8));
    }

    fn log_global(&self, level: Level, text: &str) {
        let _ = self.0.send(format!("global <{}>{text}", level as u8));
    }

    fn shutdown_sessions(&self, backend: ProxyId, server: ServerId) {
        let _ = self.0.send(format!("shutdown {}/{}", backend.0, server.0));
    }

    fn requeue(&self, backend: ProxyId, server: ServerId) {
        let _ = self.0.send(format!("requeue {}/{}", backend.0, server.0));
    }

    fn frontend_changed(&self, _: ProxyId) {}

    fn console(&self, _: &'static str, _: &str) {}
}

struct Bench {
    snapshot: Arc<Snapshot>,
    reporter: Arc<Reporter>,
    lines: UnboundedReceiver<String>,
}

impl Bench {
    fn new(config: &Config) -> Self {
        let snapshot = Arc::new(Snapshot::build(config, &Arc::new(Process::new(1, 100))));
        let (sender, lines) = unbounded_channel();
        let reporter = Arc::new(Reporter::new(&snapshot, Box::new(Channel(sender))));
        Self { snapshot, reporter, lines }
    }

    /// Runs the checks until `test` is through.
    fn run(self, test: impl AsyncFnOnce(&mut Bench)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let mut bench = self;
        tokio::task::LocalSet::new().block_on(&runtime, async {
            let (snapshot, reporter) = (Arc::clone(&bench.snapshot), Arc::clone(&bench.reporter));
            tokio::select! {
                () = run(snapshot, reporter) => unreachable!("the driver never ends"),
                () = test(&mut bench) => {}
            }
        });
    }

    /// The next line that begins like this.
    async fn line(&mut self, begins: &str) -> String {
        let next = async {
            loop {
                let line = self.lines.recv().await.expect("the reporter lives");
                if line.starts_with(begins) {
                    return line;
                }
            }
        };
        tokio::time::timeout(LIMIT, next).await.unwrap_or_else(|_| panic!("no line '{begins}'"))
    }

    fn server(&self, name: &str) -> (&crate::proxy::Backend, &crate::proxy::Server) {
        let (backend, server) = self.snapshot.server_named("b", name).unwrap();
        (backend, server)
    }
}

fn backend(servers: Vec<Server>) -> Config {
    let mut backend = Proxy::new(ProxyKind::Backend, "b", Location::default());
    backend.servers = servers;
    Config { proxies: vec![backend], ..Config::default() }
}

fn checked(name: &str, address: SocketAddr) -> Server {
    let mut server = Server::new(name, Address::Inet(address), Location::default());
    server.check = true;
    server.inter = Duration::from_millis(20);
    server
}

fn listener() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    (listener, address)
}

#[test]
fn a_server_goes_down_with_its_listener_and_comes_back() {
    let (socket, address) = listener();
    let (other, other_address) = listener();
    Bench::new(&backend(vec![checked("s1", address), checked("s2", other_address)])).run(async |bench| {
        drop(socket);
        let line = bench.line("<1>").await;
        let line = line.split("check duration").collect::<Vec<_>>();
        assert_eq!(
            line[0],
            "<1>Server b/s1 is DOWN, reason: Layer4 connection problem, info: \"ECONNREFUSED returned by OS (Connection refused)\", "
        );
        assert!(line[1].ends_with(
            "ms. 1 active and 0 backup servers left. 0 sessions active, 0 requeued, 0 remaining in queue."
        ));
        let _again = TcpListener::bind(address).unwrap();
        let line = bench.line("<5>").await;
        assert!(
            line.starts_with("<5>Server b/s1 is UP, reason: Layer4 check passed, check duration: "),
            "{line}"
        );
        assert!(
            line.ends_with("2 active and 0 backup servers online. 0 sessions requeued, 0 total in queue.")
        );
    });
    drop(other);
}

#[test]
fn the_last_server_takes_its_backend_down_and_ends_sessions_where_asked() {
    let (socket, address) = listener();
    drop(socket);
    let mut server = checked("s1", address);
    server.on_marked_down = Some(OnMarkedDown::ShutdownSessions);
    Bench::new(&backend(vec![server])).run(async |bench| {
        bench.line("<1>Server b/s1 is DOWN").await;
        bench.line("shutdown 0/0").await;
        bench.line("<0>backend b has no server available!").await;
        let (backend, server) = bench.server("s1");
        assert!(!server.is_usable() && server.is_stopped());
        assert_eq!(backend.counters.value(crate::proxy::Counter::DownTransitions), 1);
        let last = bench.reporter.history(server).pop().unwrap();
        assert_eq!((last.result.status, last.up), (CheckStatus::Layer4Connection, false));
    });
}

#[test]
fn track_follows_another_server() {
    let (socket, address) = listener();
    drop(socket);
    let mut follower = Server::new("s2", Address::Inet(address), Location::default());
    follower.track = Some("b/s1".to_owned());
    Bench::new(&backend(vec![checked("s1", address), follower])).run(async |bench| {
        bench.line("<1>Server b/s2 is DOWN via b/s1.").await;
        assert!(bench.server("s2").1.is_stopped());
    });
}

#[test]
fn httpchk_wants_a_good_status() {
    let (socket, address) = listener();
    let origin = std::thread::spawn(move || {
        // One good answer, then bad ones until the test is over.
        for (number, stream) in socket.incoming().enumerate() {
            let mut stream = stream.unwrap();
            let mut head = [0; 1024];
            let n = stream.read(&mut head).unwrap();
            if head[..n].starts_with(b"QUIT") {
                return;
            }
            assert!(head.starts_with(b"GET /health HTTP/1.0\r\n"));
            let status = if number == 0 { "200 OK" } else { "500 Oops" };
            let _ = stream.write_all(format!("HTTP/1.0 {status}\r\ncontent-length: 0\r\n\r\n").as_bytes());
        }
    });
    let mut config = backend(vec![checked("s1", address)]);
    config.proxies[0].check.kind = CheckKind::Http {
        method: "GET".into(),
        uri: "/health".into(),
        version: String::new(),
        headers: Vec::new(),
        host: None,
    };
    config.proxies[0].check.log = true;
    Bench::new(&config).run(async |bench| {
        bench.line("<5>Health check for server b/s1 failed, reason: Layer7 wrong status, code: 500").await;
        bench.line("<1>Server b/s1 is DOWN.").await;
    });
    std::net::TcpStream::connect(address).unwrap().write_all(b"QUIT").unwrap();
    origin.join().unwrap();
}

#[test]
fn the_lines_of_tcp_check_are_carried_out() {
    let (socket, address) = listener();
    let origin = std::thread::spawn(move || {
        let (mut stream, _) = socket.accept().unwrap();
        let mut asked = [0; 6];
        stream.read_exact(&mut asked).unwrap();
        stream.write_all(b"+NOPE\r\n").unwrap();
        asked
    });
    let mut server = checked("s1", address);
    server.fall = 1;
    let mut config = backend(vec![server]);
    let check = &mut config.proxies[0].check;
    check.kind = CheckKind::TcpSequence;
    for line in
        [vec!["send", "PING\r\n"], vec!["expect", "rstring", "^[+]NOPE"], vec!["expect", "string", "+PONG"]]
    {
        check.rules.push(rule("tcp", &line));
    }
    Bench::new(&config).run(async |bench| {
        let line = bench.line("<1>Server b/s1 is DOWN").await;
        assert!(line.contains("did not match content '+PONG' at step 3"), "{line}");
    });
    assert_eq!(&origin.join().unwrap(), b"PING\r\n");
}

#[test]
fn external_check_runs_the_command_about_the_server() {
    let directory = tempfile::tempdir().unwrap();
    let script = directory.path().join("check");
    std::fs::write(&script, "#!/bin/sh\n[ \"$HAPROXY_SERVER_NAME $4\" = 's1 81' ] && exit 3\nexit 0\n")
        .unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let mut server = checked("s1", ([127, 0, 0, 1], 81).into());
    (server.fall, server.inter) = (1, Duration::from_secs(5));
    let mut config = backend(vec![server]);
    let check = &mut config.proxies[0].check;
    check.kind = CheckKind::Protocol { name: "external-check".into(), argument: String::new() };
    check.external_command = Some(script.display().to_string());
    Bench::new(&config).run(async |bench| {
        bench.line("<1>Server b/s1 is DOWN, reason: External check error, code: 3").await;
    });
}

#[test]
fn maintenance_stops_the_checks_and_ready_resumes_them() {
    let (socket, address) = listener();
    Bench::new(&backend(vec![checked("s1", address)])).run(async |bench| {
        let (snapshot, reporter) = (Arc::clone(&bench.snapshot), Arc::clone(&bench.reporter));
        let (backend, server) = snapshot.server_named("b", "s1").unwrap();
        reporter
            .apply(&snapshot, backend, server, |health, now| health.set_admin(AdminState::Maintenance, now));
        bench.line("<1>Server b/s1 is going DOWN for maintenance.").await;
        drop(socket);
        reporter.apply(&snapshot, backend, server, |health, now| health.set_admin(AdminState::Ready, now));
        reporter.wake(server);
        bench.line("<1>Server b/s1 is DOWN, reason: Layer4 connection problem").await;
    });
}

#[test]
fn observed_errors_mark_a_server_down() {
    let (_socket, address) = listener();
    let mut server = checked("s1", address);
    server.inter = Duration::from_secs(3600);
    (server.observe, server.error_limit, server.on_error) = (Some(4), 2, OnError::MarkDown);
    let mut bench = Bench::new(&backend(vec![server]));
    let (backend, server) = bench.server("s1");
    for _ in 0..2 {
        bench.reporter.observe(&bench.snapshot, backend, server, Observation::ConnectionFailed);
    }
    let line = bench.lines.try_recv().unwrap();
    assert!(line.starts_with("<1>Server b/s1 is DOWN, reason: Health analyze"), "{line}");
}
