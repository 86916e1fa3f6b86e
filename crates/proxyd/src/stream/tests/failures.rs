//! Requests that go wrong.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
/// Errors leave the client's connection open, so that a test that reads to the end asks for the close.
const LAST: &str = "GET / HTTP/1.1\r\nhost: h\r\nconnection: close\r\n\r\n";

#[test]
fn no_server_gives_503() {
    let proxyd = Proxyd::start(vec![listen(&[])]);
    let mut client = proxyd.client();
    client.send(LAST);
    assert!(client.rest().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
}

#[test]
fn a_malformed_request_gives_the_built_in_400() {
    let mut proxy = listen(&[]);
    let bytes: Arc<[u8]> = b"HTTP/1.0 400 Own\r\nconnection: close\r\n\r\nown page"[..].into();
    proxy.error_replies.insert(400, ErrorReply::File { path: "400.http".into(), bytes });
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nbad header\r\n\r\n");
    assert!(client.rest().starts_with("HTTP/1.1 400 Bad request\r\n"));
}

#[test]
fn a_stalled_request_gives_408() {
    let mut proxy = listen(&[]);
    proxy.timeouts.http_request = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send("GET / HT");
    assert!(client.rest().starts_with("HTTP/1.1 408 Request Time"));
}

#[test]
fn a_refused_connection_is_retried_elsewhere() {
    let origin = Origin::new();
    let mut proxy = listen(&[closed_port(), origin.address()]);
    proxy.redispatch = Some(-1);
    let proxyd = Proxyd::start(vec![proxy]);
    for _ in 0..2 {
        let mut client = proxyd.client();
        client.send(GET);
        let mut server = origin.accept();
        assert_eq!(server.head(), GET);
        server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        assert!(client.head().starts_with("HTTP/1.1 200 OK\r\n"));
    }
    assert!(proxyd.backend().counters.value(Counter::Redispatches) >= 1);
}

#[test]
fn a_server_that_never_answers_gives_504() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.timeouts.server = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send(LAST);
    let _server = origin.accept();
    assert!(client.rest().starts_with("HTTP/1.1 504 Gateway Time"));
}

#[test]
fn a_server_that_closes_without_answer_gives_502() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send(LAST);
    let mut server = origin.accept();
    server.head();
    drop(server);
    assert!(client.rest().starts_with("HTTP/1.1 502 Bad Gateway\r\n"));
}

#[test]
fn a_truncated_answer_is_cut_off_for_the_client_too() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let mut client = proxyd.client();
    client.send(GET);
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc");
    drop(server);
    client.head();
    assert_eq!(client.rest(), "abc");
}

#[test]
fn maxconn_makes_the_second_request_wait_for_the_first() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.servers[0].maxconn = 1;
    proxy.connection_mode = ConnectionMode::Close;
    let proxyd = Proxyd::start(vec![proxy]);
    let (mut first, mut second) = (proxyd.client(), proxyd.client());
    first.send(GET);
    let mut server = origin.accept();
    server.head();
    second.send(GET);
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n1");
    assert!(first.rest().ends_with('1'));
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2");
    assert!(second.rest().ends_with('2'));
}

#[test]
fn a_queue_timeout_gives_503() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.servers[0].maxconn = 1;
    proxy.timeouts.queue = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    let (mut first, mut second) = (proxyd.client(), proxyd.client());
    first.send(GET);
    let mut server = origin.accept();
    server.head();
    second.send(LAST);
    assert!(second.rest().starts_with("HTTP/1.1 503 Service Unavailable\r\n"));
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(first.head().starts_with("HTTP/1.1 200"));
}
