//! Which requests share server connections: `http-reuse` and the words of `server` lines about pools.

use super::request_keywords::configured;
use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

/// A server that answers everything with the number of its connection and of the request on it.
fn counting_origin() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for (connection, stream) in (1..).zip(listener.incoming()) {
            let Ok(stream) = stream else { return };
            std::thread::spawn(move || {
                let mut server = Client::over(stream);
                for request in 1.. {
                    let head = server.head();
                    if !head.ends_with("\r\n\r\n") {
                        return;
                    }
                    server.send(&format!(
                        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\nx-at: {connection}.{request}\r\n\r\n"
                    ));
                }
            });
        }
    });
    address
}

fn backend(address: SocketAddr, lines: &str, server: &str) -> Config {
    let proxies = vec![configured(&format!("{lines} server s0 {address} {server}\n"))];
    Config { proxies, ..Config::default() }
}

impl Proxyd {
    /// Waits until so many idle connections are kept.
    fn await_idle(&self, count: u32) {
        let end = std::time::Instant::now() + PATIENCE;
        while self.backend().servers[0].idle.total() != count {
            assert!(std::time::Instant::now() < end, "{:?}", self.backend().servers[0].idle);
            std::thread::yield_now();
        }
    }
}

/// Where a request ended up: `connection.request`.
fn ask(client: &mut Client, fields: &str) -> String {
    client.send(&format!("GET / HTTP/1.1\r\nhost: h\r\n{fields}\r\n"));
    let head = client.head();
    let at = head.lines().find_map(|line| line.strip_prefix("x-at: "));
    at.map_or(head.clone(), str::to_owned)
}

#[test]
fn an_idle_connection_of_another_thread_is_taken_over() {
    let proxyd = Proxyd::start_on(2, backend(counting_origin(), " http-reuse always\n", ""));
    // The kernel spreads clients over the threads; all of them use one connection.
    let mut clients = Vec::new();
    for n in 1..=12 {
        let mut client = proxyd.client();
        assert_eq!(ask(&mut client, ""), format!("1.{n}"));
        clients.push(client);
        proxyd.await_idle(1);
    }
    assert_eq!(proxyd.backend().counters.value(Counter::Connects), 1);
}

#[test]
fn a_client_that_has_its_answer_finds_the_connection_idle() {
    let proxyd = Proxyd::start_on(2, backend(counting_origin(), " http-reuse safe\n", "pool-max-conn 1"));
    let mut first = proxyd.client();
    assert_eq!(ask(&mut first, ""), "1.1");
    // No waiting: what the other thread sees when the next request comes is what counts.
    for n in 2..=50 {
        assert_eq!(proxyd.backend().servers[0].idle.total(), 1);
        assert_eq!(ask(&mut proxyd.client(), ""), format!("{n}.1"), "a first request has its own");
    }
    assert_eq!(ask(&mut first, ""), "1.2", "the only one that was kept");
}

#[test]
fn pool_low_conn_keeps_threads_from_asking() {
    let proxyd = Proxyd::start_on(2, backend(counting_origin(), " http-reuse always\n", "pool-low-conn 100"));
    let mut clients = Vec::new();
    for _ in 0..32 {
        let mut client = proxyd.client();
        ask(&mut client, "");
        clients.push(client);
        let connects = proxyd.backend().counters.value(Counter::Connects);
        proxyd.await_idle(u32::try_from(connects).unwrap());
    }
    assert_eq!(proxyd.backend().counters.value(Counter::Connects), 2, "one a thread");
}

#[test]
fn http_reuse_safe_gives_a_first_request_a_connection_of_its_own() {
    let proxyd = Proxyd::start_with(backend(counting_origin(), " http-reuse safe\n", ""));
    let (mut first, mut second) = (proxyd.client(), proxyd.client());
    assert_eq!(ask(&mut first, ""), "1.1");
    assert_eq!(ask(&mut second, ""), "2.1");
    assert_eq!(ask(&mut first, ""), "2.2", "the one that was used last");
}

#[test]
fn http_reuse_aggressive_wants_proof() {
    let proxyd = Proxyd::start_with(backend(counting_origin(), " http-reuse aggressive\n", ""));
    let mut first = proxyd.client();
    assert_eq!(ask(&mut first, ""), "1.1");
    assert_eq!(ask(&mut proxyd.client(), ""), "2.1", "not proven");
    assert_eq!(ask(&mut first, ""), "2.2");
    assert_eq!(ask(&mut proxyd.client(), ""), "2.3", "proven");
}

#[test]
fn http_reuse_never_keeps_a_connection_for_its_client() {
    let proxyd = Proxyd::start_with(backend(counting_origin(), " http-reuse never\n", ""));
    let (mut first, mut second) = (proxyd.client(), proxyd.client());
    for n in 1..=2 {
        assert_eq!(ask(&mut first, ""), format!("1.{n}"));
        assert_eq!(ask(&mut second, ""), format!("2.{n}"));
    }
}

#[test]
fn pool_conn_name_tells_connections_apart() {
    let proxyd = Proxyd::start_with(backend(
        counting_origin(),
        " http-reuse always\n",
        "pool-conn-name req.hdr(x-name)",
    ));
    let mut client = proxyd.client();
    assert_eq!(ask(&mut client, "x-name: a\r\n"), "1.1");
    assert_eq!(ask(&mut client, "x-name: b\r\n"), "2.1");
    assert_eq!(ask(&mut client, "x-name: a\r\n"), "1.2");
    assert_eq!(ask(&mut client, ""), "3.1");
}

#[test]
fn max_reuse_and_pool_max_conn_limit_what_is_kept() {
    let proxyd = Proxyd::start_with(backend(counting_origin(), "", "max-reuse 1"));
    let mut client = proxyd.client();
    for expected in ["1.1", "1.2", "2.1", "2.2"] {
        assert_eq!(ask(&mut client, ""), expected);
    }
    for none in ["pool-max-conn 0", "pool-purge-delay 0"] {
        let proxyd = Proxyd::start_with(backend(counting_origin(), " http-reuse always\n", none));
        let mut client = proxyd.client();
        assert_eq!(ask(&mut client, ""), "1.1");
        assert_eq!(ask(&mut client, ""), "2.1", "{none}");
    }
}

#[test]
fn strict_maxconn_closes_an_idle_connection_of_another_kind() {
    let server = "maxconn 1 strict-maxconn pool-conn-name req.hdr(x-name)";
    let proxyd = Proxyd::start_on(2, backend(counting_origin(), " http-reuse always\n", server));
    for n in 1..=8 {
        assert_eq!(ask(&mut proxyd.client(), &format!("x-name: {n}\r\n")), format!("{n}.1"));
        proxyd.await_idle(1);
    }
}

#[test]
fn a_connection_that_authenticates_is_not_shared() {
    let origin = Origin::new();
    let config = backend(origin.address(), " http-reuse always\n", "");
    let proxyd = Proxyd::start_with(config);
    let (mut first, mut second) = (proxyd.client(), proxyd.client());
    first.send(GET);
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 401 Unauthorized\r\nwww-authenticate: NTLM\r\ncontent-length: 0\r\n\r\n");
    first.head();
    second.send(GET);
    let mut other = origin.accept();
    other.head();
    other.send(OK);
    assert!(second.head().starts_with("HTTP/1.1 200"));
    first.send(GET);
    assert_eq!(server.head(), GET, "its own");
}
