//! Requests that go well.

use super::*;

const GET: &str = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

#[test]
fn keep_alive_on_both_sides_reuses_both_connections() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send(GET);
    let mut server = origin.accept();
    for round in 0..3 {
        assert_eq!(server.head(), GET, "round {round}");
        server.send(OK);
        assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
        assert_eq!(client.bytes(2), "ok");
        client.send(GET);
    }
    assert_eq!(server.head(), GET);
    assert_eq!(proxyd.backend().counters.value(Counter::Connects), 1);
    assert_eq!(proxyd.backend().counters.value(Counter::Reuses), 3);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send("GET /1 HTTP/1.1\r\nhost: h\r\n\r\nGET /2 HTTP/1.1\r\nhost: h\r\n\r\nGET /3");
    let mut server = origin.accept();
    for n in 1..=2 {
        assert_eq!(server.head(), format!("GET /{n} HTTP/1.1\r\nhost: h\r\n\r\n"));
        server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n{n}"));
        client.head();
        assert_eq!(client.bytes(1), n.to_string());
    }
    client.send(" HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(server.head(), "GET /3 HTTP/1.1\r\nhost: h\r\n\r\n");
}

#[test]
fn chunked_bodies_pass_both_ways() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n");
    let mut server = origin.accept();
    assert!(server.head().contains("transfer-encoding: chunked\r\n"));
    assert_eq!(server.bytes(8), "3\r\nabc\r\n");
    client.send("2;ext=1\r\nde\r\n0\r\n\r\n");
    assert_eq!(server.bytes(12), "2\r\nde\r\n0\r\n\r\n");
    server.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhel");
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(client.bytes(8), "3\r\nhel\r\n");
    server.send("lo\r\n0\r\n\r\n");
    assert_eq!(client.bytes(12), "2\r\nlo\r\n0\r\n\r\n");
    client.send(GET);
    assert_eq!(server.head(), GET);
}

#[test]
fn a_request_body_is_forwarded_before_the_answer() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 6\r\nexpect: 100-continue\r\n\r\n");
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
    client.send("abc");
    assert_eq!(server.bytes(3), "abc");
    client.send("def");
    assert_eq!(server.bytes(3), "def");
    server.send(OK);
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
}

#[test]
fn a_large_body_passes_slowly_read_clients() {
    const SIZE: usize = 4 << 20;
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send(GET);
    let mut server = origin.accept();
    server.head();
    let writer = std::thread::spawn(move || {
        server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
        let block: String = ('a'..='z').cycle().take(SIZE).collect();
        server.send(&block);
        server
    });
    client.head();
    let body = client.bytes(SIZE);
    assert!(body.bytes().zip((b'a'..=b'z').cycle()).all(|(got, expected)| got == expected));
    let mut server = writer.join().unwrap();
    client.send(GET);
    assert_eq!(server.head(), GET);
}

#[test]
fn head_and_304_have_no_body() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send("HEAD / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ncontent-length: 500\r\n\r\n");
    client.send(GET);
    server.head();
    server.send("HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n");
    assert_eq!(client.head(), "HTTP/1.1 304 Not Modified\r\netag: x\r\n\r\n");
    client.send(GET);
    assert_eq!(server.head(), GET);
}

#[test]
fn a_body_until_close_ends_with_the_connection() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send(GET);
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\n\r\nabc");
    drop(server);
    assert_eq!(client.head(), "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n");
    assert_eq!(client.rest(), "abc");
}

#[test]
fn http_server_close_closes_the_server_and_keeps_the_client() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.connection_mode = ConnectionMode::ServerClose;
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    for _ in 0..2 {
        client.send(GET);
        let mut server = origin.accept();
        assert_eq!(server.head(), "GET /a HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n");
        server.send(OK);
        assert_eq!(client.head(), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n");
        assert_eq!(client.bytes(2), "ok");
        assert_eq!(server.rest(), "");
    }
}

#[test]
fn an_upgrade_becomes_a_tunnel_with_half_close() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nearly");
    let mut server = origin.accept();
    assert!(server.head().contains("upgrade: echo\r\n"));
    server.send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: echo\r\n\r\nhello");
    assert!(client.head().starts_with("HTTP/1.1 101 "));
    assert_eq!(client.bytes(5), "hello");
    assert_eq!(server.bytes(5), "early");
    client.finish_sending();
    assert_eq!(server.rest(), "");
    server.send("late");
    drop(server);
    assert_eq!(client.rest(), "late");
}

#[test]
fn originalto_adds_where_the_client_connected_to() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.original_to = Some(ForwardFor { except: None, header: "x-original-to".into(), if_none: false });
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send(GET);
    assert_eq!(origin.accept().head(), "GET /a HTTP/1.1\r\nhost: h\r\nx-original-to: 127.0.0.1\r\n\r\n");
}

#[test]
fn forwardfor_of_the_backend_wins_and_if_none_needs_both() {
    let origin = Origin::new();
    let with = |if_none| Some(ForwardFor { except: None, header: "x-forwarded-for".into(), if_none });
    for (frontend, backend, added) in [(true, true, false), (true, false, true), (false, true, true)] {
        let mut front = listen(&[]);
        front.kind = ProxyKind::Frontend;
        front.forward_for = with(frontend);
        front.default_backend = Some(ProxyId(1));
        let mut back = listen(&[origin.address()]);
        back.binds.clear();
        back.name = "back".to_owned();
        back.kind = ProxyKind::Backend;
        back.forward_for = with(backend);
        let proxyd = Proxyd::start(vec![front, back]);
        let mut client = proxyd.client();
        client.send("GET /a HTTP/1.1\r\nx-forwarded-for: 192.0.2.1\r\n\r\n");
        let head = origin.accept().head();
        assert_eq!(head.matches("x-forwarded-for").count(), 1 + usize::from(added), "{head}");
    }
}

#[test]
fn forwardfor_adds_the_client() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.forward_for = Some(ForwardFor { except: None, header: "x-forwarded-for".into(), if_none: false });
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send(GET);
    assert_eq!(origin.accept().head(), "GET /a HTTP/1.1\r\nhost: h\r\nx-forwarded-for: 127.0.0.1\r\n\r\n");
}
