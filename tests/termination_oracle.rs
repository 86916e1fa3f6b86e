//! Every way a stream can end, beside the genuine haproxy: the same termination letters, status, server, retries, and
//! the same timers that never began (configuration manual, sections 8.4 and 8.5).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a test ends with a panic; clients and servers that stall are what it is about"
)]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::log_catcher::LogCatcher;
use testkit::{oracle, port, wait};

/// What the server does once it has a request's head.
#[derive(Clone, Copy)]
enum Server {
    /// Sends this and closes.
    Says(&'static str),
    /// Sends this and nothing more.
    Stalls(&'static str),
    /// Sends this and resets the connection.
    Resets(&'static str),
    /// Nobody listens.
    Absent,
    /// Sends a body without end.
    Endless,
    /// Closes at once, without reading.
    Closes,
}

/// What the client does.
#[derive(Clone, Copy)]
enum Client {
    /// Sends this and reads to the end.
    Sends(&'static str),
    /// Sends this and leaves as soon as the server has it, or after a moment.
    Leaves(&'static str),
    /// Sends this, reads the first bytes of the answer, and resets the connection.
    Aborts(&'static str),
    /// Sends this and never reads.
    Sleeps(&'static str),
    /// Opens a second connection that takes the only slot first.
    Queues(&'static str),
    /// As `Queues`, and leaves while waiting.
    LeavesQueue(&'static str),
}

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

type Scenario = (&'static str, &'static str, Server, Client);

/// Name, lines of the section, server, client.
const SCENARIOS: &[Scenario] = &[
    ("normal", "", Server::Says(OK), Client::Sends(GET)),
    ("no_server", "no-server", Server::Absent, Client::Sends(GET)),
    ("refused", "", Server::Absent, Client::Sends(GET)),
    ("retried", "retries 2", Server::Absent, Client::Sends(GET)),
    ("closes", "", Server::Closes, Client::Sends(GET)),
    ("server_says_nothing", "", Server::Says(""), Client::Sends(GET)),
    ("server_resets", "", Server::Resets(""), Client::Sends(GET)),
    ("server_stalls", "", Server::Stalls(""), Client::Sends(GET)),
    ("half_a_head", "", Server::Says("HTTP/1.1 200 OK\r\nx: "), Client::Sends(GET)),
    ("garbage", "", Server::Says("garbage\r\n\r\n"), Client::Sends(GET)),
    ("bad_header", "", Server::Says("HTTP/1.1 200 OK\r\nbad header\r\n\r\n"), Client::Sends(GET)),
    ("body_cut", "", Server::Says("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"), Client::Sends(GET)),
    (
        "body_stalls",
        "",
        Server::Stalls("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n12345"),
        Client::Sends(GET),
    ),
    (
        "chunks_cut",
        "",
        Server::Says("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\n12345\r\n"),
        Client::Sends(GET),
    ),
    (
        "bad_chunk",
        "",
        Server::Stalls("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n12345\r\n"),
        Client::Sends(GET),
    ),
    ("client_aborts", "", Server::Endless, Client::Aborts(GET)),
    ("client_sleeps", "", Server::Endless, Client::Sleeps(GET)),
    (
        "half_request",
        "timeout http-request 200ms",
        Server::Says(OK),
        Client::Sends("GET / HTTP/1.1\r\nhost: h\r\n"),
    ),
    ("request_cut", "", Server::Says(OK), Client::Leaves("GET / HTTP/1.1\r\nhost: h\r\n")),
    ("bad_request", "", Server::Says(OK), Client::Sends("GET / HTP/1.1\r\n\r\n")),
    (
        "body_never_comes",
        "timeout client 300ms",
        Server::Stalls(""),
        Client::Sends("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n123"),
    ),
    (
        "body_left",
        "",
        Server::Stalls(""),
        Client::Leaves("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 10\r\n\r\n123"),
    ),
    ("left_while_waiting", "option abortonclose", Server::Stalls(""), Client::Leaves(GET)),
    ("denied", "http-request deny", Server::Says(OK), Client::Sends(GET)),
    ("rejected", "http-request reject", Server::Says(OK), Client::Sends(GET)),
    ("returned", "http-request return status 204", Server::Says(OK), Client::Sends(GET)),
    ("redirected", "redirect location /x", Server::Says(OK), Client::Sends(GET)),
    ("tarpitted", "timeout tarpit 100ms\n  http-request tarpit", Server::Says(OK), Client::Sends(GET)),
    ("response_denied", "http-response deny", Server::Says(OK), Client::Sends(GET)),
    ("content_rejected", "tcp-request content reject", Server::Says(OK), Client::Sends(GET)),
    ("response_content_rejected", "tcp-response content reject", Server::Says(OK), Client::Sends(GET)),
    ("stats", "stats enable\n  stats uri /", Server::Says(OK), Client::Sends(GET)),
    ("queue_timeout", "timeout server 2s\n  timeout queue 200ms", Server::Stalls(""), Client::Queues(GET)),
    (
        "left_the_queue",
        "timeout server 2s\n  option abortonclose",
        Server::Stalls(""),
        Client::LeavesQueue(GET),
    ),
    ("cookie_none", "cookie C insert indirect", Server::Says(OK), Client::Sends(GET)),
    (
        "cookie_valid",
        "cookie C insert indirect",
        Server::Says(OK),
        Client::Sends("GET / HTTP/1.1\r\nhost: h\r\ncookie: C=s1\r\n\r\n"),
    ),
    (
        "cookie_invalid",
        "cookie C insert indirect",
        Server::Says(OK),
        Client::Sends("GET / HTTP/1.1\r\nhost: h\r\ncookie: C=other\r\n\r\n"),
    ),
    (
        "cookie_passes",
        "cookie C rewrite",
        Server::Says("HTTP/1.1 200 OK\r\nset-cookie: C=a\r\ncontent-length: 0\r\n\r\n"),
        Client::Sends(GET),
    ),
    ("tcp_client_sleeps", "mode tcp", Server::Endless, Client::Sleeps(GET)),
    ("tcp_normal", "mode tcp", Server::Says(OK), Client::Sends(GET)),
    ("tcp_refused", "mode tcp", Server::Absent, Client::Sends(GET)),
    ("tcp_server_stalls", "mode tcp", Server::Stalls(""), Client::Sends(GET)),
    ("tcp_client_aborts", "mode tcp", Server::Endless, Client::Aborts(GET)),
    ("tcp_server_resets", "mode tcp", Server::Resets("x"), Client::Sends(GET)),
    ("tcp_denied", "mode tcp\n  tcp-request content reject", Server::Says(OK), Client::Sends(GET)),
];

/// Where ours differs, and why.
const DELIBERATE: &[(&str, &str)] = &[
    (
        "bad_chunk",
        "a head is passed on before the body that came with it is looked at: PD instead of PH and 502",
    ),
    (
        "body_never_comes",
        "'timeout client' runs while the server waits for the body: cD and 408, not the server's sH and 504",
    ),
];

fn reset(stream: &TcpStream) {
    socket2::SockRef::from(stream).set_linger(Some(Duration::ZERO)).unwrap();
}

fn serve(listener: &TcpListener, server: Server) {
    let mut held = Vec::new();
    while let Ok((mut stream, _)) = listener.accept() {
        if matches!(server, Server::Closes) {
            continue;
        }
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        let (mut head, mut byte) = (Vec::new(), [0; 1]);
        while !head.ends_with(b"\r\n\r\n") && matches!(stream.read(&mut byte), Ok(1)) {
            head.push(byte[0]);
        }
        match server {
            Server::Says(text) => {
                // A peer that is gone shows in the log that is compared.
                let _ = stream.write_all(text.as_bytes());
            }
            Server::Stalls(text) => {
                let _ = stream.write_all(text.as_bytes());
                held.push(stream);
            }
            Server::Resets(text) => {
                let _ = stream.write_all(text.as_bytes());
                std::thread::sleep(Duration::from_millis(50));
                reset(&stream);
            }
            Server::Endless => {
                std::thread::spawn(move || {
                    let head = b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000\r\n\r\n";
                    let _ = stream.write_all(head);
                    while stream.write_all(&[b'x'; 65536]).is_ok() {}
                });
            }
            Server::Absent | Server::Closes => {}
        }
    }
}

/// Longer than every timeout of the configuration.
const PATIENCE: Duration = Duration::from_secs(4);
/// How long a client that leaves waits until its request was looked at.
const MOMENT: Duration = Duration::from_millis(150);

/// Plays the client; what it returns is kept until the log line is there.
fn play(address: SocketAddr, client: Client) -> Vec<TcpStream> {
    let open = |text: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        stream
    };
    match client {
        Client::Sends(text) => {
            let mut stream = open(text);
            // A reset ends it as well.
            let _ = stream.read_to_end(&mut Vec::new());
            vec![]
        }
        Client::Leaves(text) => {
            let _stream = open(text);
            std::thread::sleep(MOMENT);
            vec![]
        }
        Client::Aborts(text) => {
            let mut stream = open(text);
            let _ = stream.read(&mut [0; 64]);
            reset(&stream);
            vec![]
        }
        Client::Sleeps(text) => vec![open(text)],
        Client::Queues(text) => {
            let first = open(text);
            std::thread::sleep(MOMENT);
            let mut second = open(text);
            let _ = second.read_to_end(&mut Vec::new());
            vec![first]
        }
        Client::LeavesQueue(text) => {
            let first = open(text);
            std::thread::sleep(MOMENT);
            drop(open(text));
            vec![first]
        }
    }
}

/// Timers as `-1` or `N`: how long something took differs, whether it happened does not.
fn shape(line: &str) -> String {
    let timer = |text: &str| if text.starts_with('-') { "-1" } else { "N" }.to_owned();
    let words = line.split(' ').map(|word| match word.split('/').count() {
        5 => word.split('/').map(timer).collect::<Vec<_>>().join("/"),
        _ => word.to_owned(),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// What a program logs for every scenario.
fn outcomes(program: &std::path::Path) -> Vec<(&'static str, String)> {
    let log = LogCatcher::new().unwrap();
    let mut text = format!(
        "global\n  log {} format raw local0\ndefaults\n  mode http\n  log global\n  retries 0\n  option dontlognull\n  log-format \"%f %b/%s %tsc \
         %ST %rc %TR/%Tw/%Tc/%Tr/%Ta\"\n  timeout connect 1s\n  timeout client 1s\n  timeout server 500ms\n",
        log.address().unwrap()
    );
    let mut addresses = Vec::new();
    let (listen, absent) = (port::free_tcp().unwrap().port(), port::free_tcp().unwrap());
    // Addresses of their own: no outgoing connection takes their ports meanwhile.
    let folder = u8::from(program.ends_with("proxyd"));
    for (number, (name, lines, server, client)) in (1u8..).zip(SCENARIOS) {
        let address = SocketAddr::from(([127, 77, folder, number], listen));
        let mut origin = absent;
        if !matches!(server, Server::Absent) {
            let listener = TcpListener::bind("127.0.0.1:0").unwrap();
            origin = listener.local_addr().unwrap();
            let server = *server;
            std::thread::spawn(move || serve(&listener, server));
        }
        let limit =
            if matches!(client, Client::Queues(_) | Client::LeavesQueue(_)) { " maxconn 1" } else { "" };
        text.push_str(&format!("listen {name}\n  bind {address}\n"));
        if *lines == "no-server" {
            text.push_str(&format!("  server s1 {origin} disabled\n"));
        } else {
            if lines.contains("mode tcp") {
                text.push_str("  log-format \"%f %b/%s %ts - %rc %Tw/%Tc/%Tt/0/0\"\n");
            }
            text.push_str(&format!("  {lines}\n  server s1 {origin} cookie s1{limit}\n"));
        }
        addresses.push(address);
    }
    let mut daemon = Daemon::proxy(program, &text).unwrap();
    // They are bound one after the other.
    for address in &addresses {
        daemon.await_listening(*address).unwrap();
    }
    let clients: Vec<_> = SCENARIOS
        .iter()
        .zip(addresses)
        .map(|((_, _, _, client), address)| std::thread::spawn(move || play(address, *client)))
        .collect();
    let mut lines: BTreeMap<String, String> = BTreeMap::new();
    while lines.len() < SCENARIOS.len() {
        let Some(line) = log.line(PATIENCE).unwrap() else { break };
        let name = line.split(' ').next().unwrap_or_default().to_owned();
        // The one that holds the slot has a line too.
        if name.contains("queue") && !line.contains("<NOSRV>") {
            continue;
        }
        lines.entry(name).or_insert_with(|| shape(&line));
    }
    // Whoever keeps its connection open does so until the lines are there.
    let _kept: Vec<_> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    SCENARIOS.iter().map(|(name, ..)| (*name, lines.remove(*name).unwrap_or_default())).collect()
}

#[test]
fn streams_end_with_the_letters_of_the_genuine_program() {
    let test = "streams_end_with_the_letters_of_the_genuine_program";
    let Some([ours, genuine]) = oracle::proxies(test) else { return };
    let (ours, genuine) = (outcomes(&ours), outcomes(&genuine));
    let different: Vec<String> = ours
        .iter()
        .zip(&genuine)
        .filter(|(ours, genuine)| {
            let is_deliberate = DELIBERATE.iter().any(|(name, _)| *name == ours.0);
            (ours != genuine) != is_deliberate
        })
        .map(|((name, ours), (_, genuine))| format!("{name}:\n  ours    {ours}\n  genuine {genuine}"))
        .collect();
    assert!(different.is_empty(), "{} of {} differ:\n{}", different.len(), ours.len(), different.join("\n"));
}
