//! What precedes requests: connection and session rules, PROXY headers on both sides, listeners' limits and sockets.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;

use super::*;
use crate::config::{Environment, LoadOptions, load_text};

/// A proxy from lines of a `listen` section, with a server `s`.
fn configured(mode: &str, lines: &str, server: SocketAddr, server_options: &str) -> Proxyd {
    let text = format!(
        "defaults\n mode {mode}\n timeout client 10s\n timeout server 10s\n timeout connect 10s\n retries 0\n\
         listen web\n bind 127.0.0.1:1\n {}\n server s {server} {server_options}\n",
        lines.replace('\n', "\n ")
    );
    let loaded = load_text("test.cfg", &text, LoadOptions::default(), Environment::default());
    let mut config = loaded.config.unwrap_or_else(|| panic!("{:?}", loaded.diagnostics));
    for bind in &mut config.proxies[0].binds {
        if let Address::Inet(address) = &mut bind.address {
            address.set_port(0);
        }
    }
    Proxyd::start(config.proxies)
}

const HEADER: &str = "PROXY TCP4 192.0.2.1 198.51.100.2 1000 2000\r\n";
const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";

#[test]
fn tcp_request_connection_reject_closes_at_once_and_counts_as_denied() {
    let proxyd = configured("tcp", "tcp-request connection reject if { src 127.0.0.1 }", closed_port(), "");
    assert_eq!(proxyd.client().rest(), "");
    let frontend = proxyd.snapshot.frontends().next().unwrap();
    assert_eq!(frontend.counters.value(Counter::DeniedConnections), 1);
    assert_eq!(frontend.counters.value(Counter::Sessions), 0);
}

#[test]
fn tcp_request_connection_accept_ends_the_set() {
    let origin = Origin::new();
    let rules = "tcp-request connection accept if { src 127.0.0.1 }\ntcp-request connection reject";
    let proxyd = configured("tcp", rules, origin.address(), "");
    let mut client = proxyd.client();
    client.send("x");
    assert_eq!(origin.accept().bytes(1), "x");
}

#[test]
fn a_session_variable_of_a_connection_rule_reaches_requests() {
    let origin = Origin::new();
    let rules = "tcp-request connection set-var(sess.seen) str(yes)\nhttp-request set-header x-seen %[var(sess.seen)]";
    let proxyd = configured("http", rules, origin.address(), "");
    let mut client = proxyd.client();
    client.send(GET);
    assert!(origin.accept().head().contains("x-seen: yes\r\n"));
}

#[test]
fn set_src_of_a_connection_rule_is_the_clients_address() {
    let origin = Origin::new();
    let rules = "tcp-request connection set-src ipv4(192.0.2.7)\nhttp-request set-header x-src %[src]";
    let rules = rules.replace("ipv4(192.0.2.7)", "str(192.0.2.7)");
    let proxyd = configured("http", &rules, origin.address(), "");
    let mut client = proxyd.client();
    client.send(GET);
    assert!(origin.accept().head().contains("x-src: 192.0.2.7\r\n"));
}

#[test]
fn accept_proxy_takes_the_addresses_before_session_rules() {
    let origin = Origin::new();
    let rules = "bind 127.0.0.1:2 accept-proxy\ntcp-request session reject unless { src 192.0.2.1 }\n\
                 http-request set-header x-ends %[src]:%[src_port]-%[dst]:%[dst_port]";
    let proxyd = configured("http", rules, origin.address(), "");
    assert_eq!(proxyd.client().rest(), "", "the first bind has no header: its source is refused");
    let mut client = Client::connect(proxyd.address_of(1));
    // The header in two pieces, the second with the request.
    client.send(&HEADER[..20]);
    client.send(&format!("{}{GET}", &HEADER[20..]));
    assert!(origin.accept().head().contains("x-ends: 192.0.2.1:1000-198.51.100.2:2000\r\n"));
    let frontend = proxyd.snapshot.frontends().next().unwrap();
    assert_eq!(frontend.counters.value(Counter::DeniedSessions), 1);
}

#[test]
fn accept_proxy_refuses_what_is_no_header() {
    let proxyd = configured("tcp", "bind 127.0.0.1:2 accept-proxy", closed_port(), "");
    let mut client = Client::connect(proxyd.address_of(1));
    client.send(GET);
    let mut rest = Vec::new();
    // Unread bytes may turn the close into a reset.
    let _ = client.stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
}

#[test]
fn expect_proxy_is_up_to_the_rule() {
    let origin = Origin::new();
    let rules = "tcp-request connection expect-proxy layer4 if { src 127.0.0.0/8 }\n\
                 tcp-request session reject unless { src 192.0.2.1 }";
    let proxyd = configured("tcp", rules, origin.address(), "");
    let mut client = proxyd.client();
    client.send(&format!("{HEADER}x"));
    assert_eq!(origin.accept().bytes(1), "x");
}

#[test]
fn send_proxy_begins_each_connection_with_the_clients_address() {
    let origin = Origin::new();
    let proxyd = configured("tcp", "", origin.address(), "send-proxy");
    let mut client = proxyd.client();
    let ends = (client.stream.get_ref().local_addr().unwrap(), proxyd.address());
    client.send("x");
    let expected = format!("PROXY TCP4 127.0.0.1 127.0.0.1 {} {}\r\nx", ends.0.port(), ends.1.port());
    assert_eq!(origin.accept().bytes(expected.len()), expected);
}

#[test]
fn send_proxy_v2_carries_the_same_in_binary() {
    let origin = Origin::new();
    let options = "send-proxy-v2 proxy-v2-options crc32c";
    let proxyd =
        configured("tcp", "tcp-request connection set-src str(192.0.2.7)", origin.address(), options);
    let _client = proxyd.client();
    let mut server = origin.accept();
    let mut bytes = [0; 35];
    server.stream.read_exact(&mut bytes).unwrap();
    let header = hacore::proxy_protocol::decode(&bytes, 1000).unwrap().unwrap();
    let addresses = header.addresses.unwrap();
    assert_eq!(addresses.source.ip().to_string(), "192.0.2.7");
    assert_eq!(addresses.destination, proxyd.address());
    assert_eq!(header.tlvs().map(|tlv| tlv.kind).collect::<Vec<_>>(), [3]);
}

#[test]
fn a_connection_with_a_proxy_header_is_not_given_to_another_client() {
    let origin = Origin::new();
    let proxyd = configured("http", "http-reuse always", origin.address(), "send-proxy");
    let mut seen = Vec::new();
    for _ in 0..2 {
        let mut client = proxyd.client();
        client.send(GET);
        let mut server = origin.accept();
        assert!(server.head().starts_with("PROXY TCP4 "));
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200"));
        seen.push((client, server));
    }
}

#[test]
fn silent_drop_tells_the_client_nothing() {
    let proxyd = configured("tcp", "tcp-request connection silent-drop rst-ttl 1", closed_port(), "");
    // On loopback a reset with one hop arrives; without the privilege to repair sockets that is all there is.
    let mut client = proxyd.client();
    let mut rest = Vec::new();
    assert!(client.stream.read_to_end(&mut rest).is_err(), "an end of data would have told the client");
}

#[test]
fn tcp_response_content_rules_see_the_first_bytes() {
    let origin = Origin::new();
    let rules = "tcp-response inspect-delay 10s\ntcp-response content accept if { res.payload(0,2) -m str OK }\n\
                 tcp-response content reject";
    let proxyd = configured("tcp", rules, origin.address(), "");
    let (mut good, mut bad) = (proxyd.client(), proxyd.client());
    let (mut first, mut second) = (origin.accept(), origin.accept());
    first.send("O");
    first.send("K then more");
    assert_eq!(good.bytes(12), "OK then more");
    second.send("NO");
    assert_eq!(bad.rest(), "");
    assert_eq!(proxyd.backend().counters.value(Counter::DeniedResponses), 1);
}

#[test]
fn tcp_response_content_close_ends_an_http_exchange_without_a_reply() {
    let origin = Origin::new();
    let proxyd = configured("http", "tcp-response content close if { res.len ge 0 }", origin.address(), "");
    let mut client = proxyd.client();
    client.send(GET);
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(client.rest(), "");
}

#[test]
fn a_unix_listener_has_its_mode_and_a_unix_server_is_reached() {
    let directory = std::env::temp_dir().join(format!("proxyd-entry-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let (front, back) = (directory.join("front"), directory.join("back"));
    let origin = std::os::unix::net::UnixListener::bind(&back).unwrap();
    // A file left behind by an earlier process is replaced.
    drop(std::os::unix::net::UnixListener::bind(&front).unwrap());
    let mut proxy = listen(&[closed_port()]);
    proxy.mode = Mode::Tcp;
    proxy.binds[0].address = Address::Unix(front.clone());
    proxy.binds[0].unix_mode = Some(0o640);
    proxy.servers[0].address = Address::Unix(back);
    let proxyd = Proxyd::start(vec![proxy]);
    assert_eq!(std::fs::metadata(&front).unwrap().permissions().mode() & 0o777, 0o640);
    let mut client = UnixStream::connect(&front).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut server, _) = origin.accept().unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"ping").unwrap();
    let mut bytes = [0; 4];
    server.read_exact(&mut bytes).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(&bytes, b"pong");
    drop(proxyd);
    std::fs::remove_dir_all(&directory).unwrap();
}

#[test]
fn rate_limit_sessions_makes_the_next_client_wait() {
    let origin = Origin::new();
    let proxyd = configured("tcp", "rate-limit sessions 2", origin.address(), "");
    let begun = std::time::Instant::now();
    let mut clients: Vec<Client> = (0..5).map(|_| proxyd.client()).collect();
    for client in &mut clients {
        client.send("x");
    }
    for _ in 0..5 {
        assert_eq!(origin.accept().bytes(1), "x");
    }
    assert!(begun.elapsed() > Duration::from_millis(500), "five sessions at two a second");
}

#[test]
fn a_listeners_maxconn_makes_the_second_client_wait_for_the_first() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.mode = Mode::Tcp;
    proxy.binds[0].maxconn = Some(1);
    let proxyd = Proxyd::start(vec![proxy]);
    let (mut first, mut second) = (proxyd.client(), proxyd.client());
    first.send("1");
    second.send("2");
    let mut server = origin.accept();
    assert_eq!(server.bytes(1), "1");
    origin.listener.set_nonblocking(true).unwrap();
    assert!(origin.listener.accept().is_err(), "the second client is not served yet");
    origin.listener.set_nonblocking(false).unwrap();
    drop((first, server));
    assert_eq!(origin.accept().bytes(1), "2");
}

#[test]
fn listening_sockets_have_what_their_bind_asks_for() {
    let mut proxy = listen(&[]);
    proxy.options.clitcpka = true;
    proxy.client_keepalive.idle = Some(Duration::from_secs(77));
    proxy.client_keepalive.count = Some(5);
    proxy.options.nolinger = true;
    let bind = &mut proxy.binds[0];
    (bind.defer_accept, bind.tcp_fast_open, bind.mss) = (true, true, Some(900));
    bind.tcp_user_timeout_ms = Some(4000);
    let proxyd = Proxyd::start(vec![proxy]);
    let listeners = Listeners::bind(&proxyd.snapshot, Vec::new()).unwrap();
    let socket = listeners.of_thread(0).unwrap().pop().unwrap().socket;
    assert!(socket.keepalive().unwrap());
    assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(77));
    assert_eq!(socket.tcp_keepalive_retries().unwrap(), 5);
    assert_eq!(socket.linger().unwrap(), Some(Duration::ZERO));
    assert_eq!(socket.tcp_mss().unwrap(), 900);
    assert_eq!(socket.tcp_user_timeout().unwrap(), Some(Duration::from_secs(4)));
}

#[test]
fn a_servers_source_is_where_connections_come_from() {
    let origin = Origin::new();
    let proxyd = configured("tcp", "", origin.address(), "source 127.0.0.9");
    let _client = proxyd.client();
    let (stream, from) = origin.listener.accept().unwrap();
    drop(stream);
    assert_eq!(from.ip().to_string(), "127.0.0.9");
}
