//! What comes before the rules: PROXY headers on both sides, a body that rules want to see.

use super::*;

const GET: &str = "GET /a HTTP/1.1\r\nhost: h\r\n\r\n";

/// A `listen` with `accept-proxy` that tells its servers the client's address.
fn accept_proxy(origin: &Origin) -> Proxyd {
    let mut proxy = listen(&[origin.address()]);
    proxy.binds[0].accept_proxy = true;
    proxy.forward_for = Some(ForwardFor { except: None, header: "x-forwarded-for".into(), if_none: false });
    Proxyd::start(vec![proxy])
}

#[test]
fn accept_proxy_takes_the_client_from_the_header() {
    let origin = Origin::new();
    let proxyd = accept_proxy(&origin);
    let mut client = proxyd.client();
    client.send("PROXY TCP4 192.0.2.1 ");
    client.send("192.0.2.2 1000 80\r\n");
    client.send(GET);
    assert!(origin.accept().head().ends_with("\r\nx-forwarded-for: 192.0.2.1\r\n\r\n"));
}

#[test]
fn accept_proxy_closes_without_a_header() {
    let origin = Origin::new();
    let proxyd = accept_proxy(&origin);
    let mut client = proxyd.client();
    client.send(GET);
    let mut answer = Vec::new();
    // The unread request turns the close into a reset.
    let _ = client.stream.read_to_end(&mut answer);
    assert!(answer.is_empty());
}

#[test]
fn send_proxy_comes_before_the_request() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.servers[0].send_proxy = Some(1);
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send(GET);
    let head = origin.accept().head();
    let port = client.stream.get_ref().local_addr().unwrap().port();
    let to = proxyd.address().port();
    assert_eq!(head, format!("PROXY TCP4 127.0.0.1 127.0.0.1 {port} {to}\r\n{GET}"));
}

#[test]
fn http_buffer_request_waits_for_the_body_and_answers_408_without_it() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.options.http_buffer_request = true;
    proxy.timeouts.http_request = Some(Duration::from_millis(50));
    let proxyd = Proxyd::start(vec![proxy]);
    let mut late = proxyd.client();
    late.send("POST /a HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhel");
    assert!(late.head().starts_with("HTTP/1.1 408 "));
    let mut client = proxyd.client();
    client.send("POST /b HTTP/1.1\r\nhost: h\r\ncontent-length: 5\r\n\r\nhello");
    assert!(origin.accept().head().starts_with("POST /b "));
}

#[test]
fn te_goes_on_as_trailers_only() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    for (te, sent) in [("trailers, gzip", "te: trailers\r\n"), ("gzip;q=1", "")] {
        let mut client = proxyd.client();
        client.send(&format!("GET /a HTTP/1.1\r\nhost: h\r\nte: {te}\r\n\r\n"));
        assert_eq!(origin.accept().head(), format!("GET /a HTTP/1.1\r\nhost: h\r\n{sent}\r\n"));
    }
}
