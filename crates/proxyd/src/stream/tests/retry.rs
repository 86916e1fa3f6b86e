//! `retry-on`: attempts after the request was sent.

use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const POST: &str = "POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 4\r\n\r\nabcd";
const GOOD: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

/// One server that is tried again when one of `words` happens.
fn retrying(origin: &Origin, words: &[&str]) -> Proxyd {
    let mut proxy = listen(&[origin.address()]);
    proxy.retry_on = words.iter().map(|word| (*word).to_owned()).collect();
    proxy.retries = 2;
    Proxyd::start(vec![proxy])
}

/// The first attempt gets `answer` and a close, the second a good answer.
fn second_attempt(words: &[&str], request: &str, answer: &str) {
    let origin = Origin::new();
    let proxyd = retrying(&origin, words);
    let mut client = proxyd.client();
    client.send(request);
    let mut server = origin.accept();
    assert_eq!(server.bytes(request.len()), request);
    server.send(answer);
    drop(server);
    let mut server = origin.accept();
    assert_eq!(server.bytes(request.len()), request, "the whole request once more");
    server.send(GOOD);
    assert_eq!(client.bytes(GOOD.len()), GOOD);
}

#[test]
fn empty_response() {
    second_attempt(&["empty-response"], GET, "");
}

#[test]
fn empty_response_with_a_body() {
    second_attempt(&["empty-response"], POST, "");
}

#[test]
fn junk_response() {
    second_attempt(&["junk-response"], POST, "what is this?\r\n\r\n");
}

#[test]
fn a_status() {
    second_attempt(&["503"], POST, "HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn all_retryable_errors() {
    second_attempt(&["all-retryable-errors"], GET, "HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n");
}

#[test]
fn response_timeout() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.retry_on = vec!["response-timeout".to_owned()];
    proxy.timeouts.server = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    client.send(POST);
    let mut silent = origin.accept();
    assert_eq!(silent.bytes(POST.len()), POST);
    let mut server = origin.accept();
    server.send(GOOD);
    assert_eq!(client.bytes(GOOD.len()), GOOD);
}

#[test]
fn the_last_attempt_s_answer_is_given() {
    let origin = Origin::new();
    let proxyd = retrying(&origin, &["404"]);
    let mut client = proxyd.client();
    client.send(GET);
    for _ in 0..3 {
        let mut server = origin.accept();
        assert_eq!(server.head(), GET);
        server.send("HTTP/1.1 404 No\r\ncontent-length: 0\r\n\r\n");
    }
    assert!(client.head().starts_with("HTTP/1.1 404 "));
    assert_eq!(proxyd.backend().servers[0].counters.value(Counter::Retries), 2);
}

#[test]
fn the_default_is_no_second_attempt() {
    let origin = Origin::new();
    let proxyd = retrying(&origin, &[]);
    let mut client = proxyd.client();
    client.send(GET);
    let mut server = origin.accept();
    assert_eq!(server.head(), GET);
    drop(server);
    assert!(client.head().starts_with("HTTP/1.1 502 "));
}

#[test]
fn a_body_larger_than_a_buffer_is_not_sent_again() {
    const LENGTH: usize = 40_000;
    let origin = Origin::new();
    let proxyd = retrying(&origin, &["empty-response"]);
    let mut client = proxyd.client();
    client.send(&format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {LENGTH}\r\n\r\n"));
    client.send(&"x".repeat(LENGTH));
    let mut server = origin.accept();
    server.head();
    server.bytes(LENGTH);
    drop(server);
    assert!(client.head().starts_with("HTTP/1.1 502 "));
}
