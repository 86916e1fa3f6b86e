//! Reload in place: what both configurations have goes on, what is wrong changes nothing.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::daemon::Daemon;
use testkit::{port, wait};

fn proxyd() -> PathBuf {
    testkit::environment::built("proxyd").unwrap()
}

/// A server that answers every connection line by line: `GET` gets a small response, anything else comes back.
fn origin(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            std::thread::spawn(move || serve(name, stream));
        }
    });
    address
}

fn serve(name: &str, mut stream: TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream.try_clone().ok()?);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).ok()? == 0 {
            return None;
        }
        if line.starts_with("GET") {
            let mut header = String::new();
            while header != "\r\n" {
                header.clear();
                reader.read_line(&mut header).ok()?;
            }
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{name}", name.len());
            stream.write_all(head.as_bytes()).ok()?;
        } else {
            stream.write_all(line.as_bytes()).ok()?;
        }
    }
}

struct Setup {
    daemon: Daemon,
    web: SocketAddr,
    tcp: SocketAddr,
    origins: [SocketAddr; 2],
}

fn configuration(
    setup: (SocketAddr, SocketAddr, [SocketAddr; 2]),
    web: &str,
    servers: &str,
    more: &str,
) -> String {
    let (http, tcp, [a, _]) = setup;
    format!(
        "global\n  stats socket {{dir}}/admin.sock level admin\ndefaults\n  timeout client 60s\n  timeout server 60s\n  \
         timeout connect 5s\nfrontend web\n  mode http\n  bind {http}\n  {web}\n  default_backend app\nbackend app\n  mode \
         http\n{servers}\nlisten raw\n  mode tcp\n  bind {tcp}\n  server a {a}\n{more}\n"
    )
}

impl Setup {
    fn start() -> Self {
        let (web, tcp) = (port::free_tcp().unwrap(), port::free_tcp().unwrap());
        let origins = [origin("one"), origin("two")];
        let servers = format!("  server a {} check inter 100ms weight 10", origins[0]);
        let text = configuration((web, tcp, origins), "", &servers, "");
        let mut daemon = Daemon::proxy(&proxyd(), &text).unwrap();
        daemon.await_listening(web).unwrap();
        Self { daemon, web, tcp, origins }
    }

    fn write(&self, web: &str, servers: &str, more: &str) {
        let text = configuration((self.web, self.tcp, self.origins), web, servers, more);
        let dir = self.daemon.path("").display().to_string();
        std::fs::write(self.daemon.path("haproxy.cfg"), text.replace("{dir}/", &dir)).unwrap();
    }

    fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.daemon.path("admin.sock")).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn server_a(&self) -> String {
        format!("  server a {} check inter 100ms weight 10", self.origins[0])
    }

    fn column(&self, proxy: &str, service: &str, column: &str) -> String {
        let table = self.ask("show stat");
        let mut lines = table.lines();
        let at = lines
            .next()
            .unwrap()
            .trim_start_matches("# ")
            .split(',')
            .position(|name| name == column)
            .unwrap();
        let line = lines.find(|line| line.starts_with(&format!("{proxy},{service},"))).unwrap_or_default();
        line.split(',').nth(at).unwrap_or_default().to_owned()
    }
}

/// A client that keeps its connection.
struct Client(BufReader<TcpStream>);

impl Client {
    fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        Self(BufReader::new(stream))
    }

    fn send(&mut self, text: &str) {
        self.0.get_mut().write_all(text.as_bytes()).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line
    }

    /// One request: its headers and the body, as one text.
    fn get(&mut self) -> String {
        self.send("GET / HTTP/1.1\r\nhost: x\r\n\r\n");
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            let line = self.line();
            assert!(!line.is_empty(), "the connection ended after {head:?}");
            head.push_str(&line);
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
        let mut body = vec![0; length.parse().unwrap()];
        self.0.read_exact(&mut body).unwrap();
        head + &String::from_utf8(body).unwrap()
    }
}

#[test]
fn connections_counters_and_admin_state_go_on_and_new_requests_follow_the_new_file() {
    let setup = Setup::start();
    let mut keep_alive = Client::connect(setup.web);
    let mut tunnel = Client::connect(setup.tcp);
    assert!(keep_alive.get().ends_with("one"));
    tunnel.send("before\n");
    assert_eq!(tunnel.line(), "before\n");
    setup.ask("set server app/a weight 5");
    setup.ask("set maxconn frontend web 77");
    let requests = setup.column("web", "FRONTEND", "req_tot");

    // The backend gets another server before the old one, so that every number shifts.
    let added = port::free_tcp().unwrap();
    let more = format!("frontend added\n  mode http\n  bind {added}\n  default_backend app");
    setup.write("", &format!("  server b {} weight 10\n{}", setup.origins[1], setup.server_a()), &more);
    let plan = setup.ask("show plan");
    assert!(plan.contains("+   server b") && plan.contains("+ frontend added"), "{plan}");
    let answer = setup.ask("reload");
    assert!(answer.starts_with("Success=1\n--\n"), "{answer}");

    assert_eq!(setup.column("web", "FRONTEND", "req_tot"), requests);
    assert_eq!(setup.column("web", "FRONTEND", "slim"), "77");
    assert_eq!(setup.column("app", "a", "stot"), "1");
    assert_eq!(setup.column("app", "a", "weight"), "5");
    tunnel.send("after\n");
    assert_eq!(tunnel.line(), "after\n");
    // The frontend is as it was: the connection goes on and finds both servers.
    let seen: std::collections::BTreeSet<bool> = (0..8).map(|_| keep_alive.get().ends_with("two")).collect();
    assert_eq!(seen.len(), 2);
    assert!(Client::connect(added).get().starts_with("HTTP/1.1 200"));
    assert_eq!(
        setup.ask("show plan").lines().next(),
        Some("0 to add, 0 to change, 0 to remove; 4 proxies unchanged")
    );
}

#[test]
fn a_changed_frontend_serves_old_connections_under_the_old_rules() {
    let setup = Setup::start();
    let mut old = Client::connect(setup.web);
    assert!(!old.get().contains("x-new"));
    setup.write("http-response set-header x-new yes", &setup.server_a(), "");
    setup.daemon.signal(Signal::SIGUSR2).unwrap();
    let mut changed = || Client::connect(setup.web).get().contains("x-new: yes").then_some(());
    wait::until(wait::LIMIT, &mut changed).unwrap();
    assert!(!old.get().contains("x-new"));
    assert!(!old.get().contains("x-new"));
}

#[test]
fn a_bad_file_or_an_address_in_use_changes_nothing_and_says_why() {
    let setup = Setup::start();
    setup.write("", &setup.server_a(), "frontend x\n  bnid :1");
    let answer = setup.ask("reload");
    assert!(answer.starts_with("Success=0\n--\n") && answer.contains("unknown keyword 'bnid'"), "{answer}");
    assert!(setup.daemon.output().contains("bnid"), "{}", setup.daemon.output());

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let more = format!("frontend x\n  mode http\n  bind {address}\n  default_backend app");
    setup.write("http-response set-header x-new yes", &setup.server_a(), &more);
    let answer = setup.ask("reload");
    assert!(answer.contains("cannot bind socket (Address already in use)"), "{answer}");
    assert!(!Client::connect(setup.web).get().contains("x-new"));
    drop(taken);
    let answer = setup.ask("reload");
    assert!(answer.starts_with("Success=1"), "{answer}");
    assert!(Client::connect(setup.web).get().contains("x-new"));
}

#[test]
fn a_removed_server_drains_and_a_removed_frontend_stops_listening() {
    let setup = Setup::start();
    let mut tunnel = Client::connect(setup.tcp);
    tunnel.send("before\n");
    assert_eq!(tunnel.line(), "before\n");
    let text = configuration((setup.web, setup.tcp, setup.origins), "", &setup.server_a(), "");
    let text = text.split("listen raw").next().unwrap().replace("server a", "server other");
    let dir = setup.daemon.path("").display().to_string();
    std::fs::write(setup.daemon.path("haproxy.cfg"), text.replace("{dir}/", &dir)).unwrap();
    let answer = setup.ask("reload");
    assert!(answer.contains("-   server a (drains)") && answer.contains("- listen raw"), "{answer}");
    let gone = || TcpStream::connect(setup.tcp).is_err().then_some(());
    wait::until(wait::LIMIT, gone).unwrap();
    tunnel.send("after\n");
    assert_eq!(tunnel.line(), "after\n");
    assert!(Client::connect(setup.web).get().ends_with("one"));
    assert_eq!(setup.column("app", "a", "svname"), "");
    assert_eq!(setup.column("app", "other", "stot"), "1");
}

#[test]
fn what_waits_in_a_queue_gets_its_turn_after_a_reload() {
    let setup = Setup::start();
    let slow = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = slow.local_addr().unwrap();
    setup.write("", &format!("  server slow {address} maxconn 1"), "");
    assert!(setup.ask("reload").starts_with("Success=1"));
    let mut first = Client::connect(setup.web);
    first.send("GET /1 HTTP/1.1\r\nhost: x\r\n\r\n");
    let (held, _) = slow.accept().unwrap();
    let mut second = Client::connect(setup.web);
    second.send("GET /2 HTTP/1.1\r\nhost: x\r\n\r\n");
    wait::until(wait::LIMIT, || (setup.column("app", "BACKEND", "qcur") == "1").then_some(())).unwrap();
    // Another server, so that the backend's numbers, balancer and queue are new ones.
    let servers = format!("  server z {} disabled\n  server slow {address} maxconn 1", setup.origins[1]);
    setup.write("", &servers, "");
    assert!(setup.ask("reload").starts_with("Success=1"));
    let answer = |mut stream: TcpStream| {
        let mut request = [0; 512];
        let count = stream.read(&mut request).unwrap();
        let text = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
        stream.write_all(text.as_bytes()).unwrap();
        String::from_utf8_lossy(&request[..count]).into_owned()
    };
    assert!(answer(held).starts_with("GET /1"));
    let (held, _) = slow.accept().unwrap();
    assert!(answer(held).starts_with("GET /2"));
    assert!(second.line().starts_with("HTTP/1.1 200"));
}
