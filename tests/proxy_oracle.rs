//! What a client and the log see, beside the genuine haproxy: the same bytes for the same input.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::net::SocketAddr;
use std::time::Duration;

use testkit::log_catcher::message;
use testkit::oracle::{self, Bench, normalise_log};
use testkit::{origin, port, raw, wait};

/// Longer than every timeout in the configurations below.
const QUIET: Duration = Duration::from_secs(3);

const CONFIGURATION: &str = "
global
    log @LOG@ local0
defaults
    mode http
    log global
    option httplog
    option dontlognull
    option forwardfor except 127.0.0.0/8
    option http-server-close
    timeout connect 1s
    timeout client 2s
    timeout server 1s
    timeout http-request 300ms
frontend web
    bind @LISTEN@
    default_backend app
backend app
    server s1 @ORIGIN@
";

/// Runs the same exchange against ours and the genuine one, and compares answer and log line.
fn same(test: &str, configuration: &str, origin: SocketAddr, parts: &[&[u8]]) {
    let Some(programs) = oracle::proxies(test) else { return };
    let [ours, genuine] = programs.map(|program| {
        let bench = Bench::start(&program, configuration, origin).unwrap();
        let answer = raw::exchange(bench.address, parts, QUIET).unwrap();

        let log = bench.log.line(wait::LIMIT).unwrap();
        (without_date(&answer), log.map(|line| normalise_log(message(&line))))
    });
    assert_eq!(ours.0, genuine.0, "{test}: the answers differ");
    assert_eq!(ours.1, genuine.1, "{test}: the log lines differ");
}

/// The answer as text without the origin's `date` header.
fn without_date(answer: &[u8]) -> String {
    String::from_utf8_lossy(answer)
        .split_inclusive("\r\n")
        .filter(|line| !line.starts_with("date:"))
        .collect()
}

#[test]
fn a_malformed_request_gets_the_400_page() {
    let origin = origin::spawn("s1").unwrap();
    same(
        "a_malformed_request_gets_the_400_page",
        CONFIGURATION,
        origin,
        &[b"GET / HTP/1.1\r\nHost: x\r\n\r\n"],
    );
}

#[test]
fn a_header_without_colon_gets_the_400_page() {
    let origin = origin::spawn("s1").unwrap();
    same(
        "a_header_without_colon_gets_the_400_page",
        CONFIGURATION,
        origin,
        &[b"GET / HTTP/1.1\r\nHost x\r\n\r\n"],
    );
}

#[test]
fn a_stalled_request_gets_the_408_page() {
    let origin = origin::spawn("s1").unwrap();
    same("a_stalled_request_gets_the_408_page", CONFIGURATION, origin, &[b"GET / HTTP/1.1\r\nHost:"]);
}

#[test]
fn no_server_gives_the_503_page() {
    let closed = port::free_tcp().unwrap();
    let configuration = CONFIGURATION.replace("server s1 @ORIGIN@", "server s1 @ORIGIN@ disabled");
    same("no_server_gives_the_503_page", &configuration, closed, &[b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"]);
}

#[test]
fn a_refused_connection_is_retried_and_gives_the_503_page() {
    let closed = port::free_tcp().unwrap();
    let configuration = CONFIGURATION.replace("timeout connect 1s", "timeout connect 20ms");
    let parts: [&[u8]; 1] = [b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"];
    same("a_refused_connection_is_retried_and_gives_the_503_page", &configuration, closed, &parts);
}

#[test]
fn a_request_passes_with_its_headers() {
    let origin = origin::spawn("s1").unwrap();
    let request =
        b"GET /echo?a=b HTTP/1.1\r\nHost: Example.COM\r\nX-One:  1 \r\nConnection: close\r\nx-TWO: 2\r\n\r\n";
    same("a_request_passes_with_its_headers", CONFIGURATION, origin, &[request]);
}

#[test]
fn a_body_with_a_length_passes_in_both_directions() {
    let origin = origin::spawn("s1").unwrap();
    let head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 11\r\n\r\nhello";
    same("a_body_with_a_length_passes_in_both_directions", CONFIGURATION, origin, &[head, b" world"]);
}

#[test]
fn a_chunked_body_passes_in_both_directions() {
    let origin = origin::spawn("s1").unwrap();
    let head = b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
    same(
        "a_chunked_body_passes_in_both_directions",
        CONFIGURATION,
        origin,
        &[head, b"6\r\n world\r\n0\r\n\r\n"],
    );
}

#[test]
fn an_http_1_0_client_gets_an_answer_it_understands() {
    let origin = origin::spawn("s1").unwrap();
    same(
        "an_http_1_0_client_gets_an_answer_it_understands",
        CONFIGURATION,
        origin,
        &[b"GET /chunked/20 HTTP/1.0\r\n\r\n"],
    );
}

#[test]
fn the_answer_to_head_has_no_body() {
    let origin = origin::spawn("s1").unwrap();
    let request = b"HEAD /bytes/100 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    same("the_answer_to_head_has_no_body", CONFIGURATION, origin, &[request]);
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let origin = origin::spawn("s1").unwrap();
    let requests = b"GET /bytes/3 HTTP/1.1\r\nHost: x\r\n\r\nGET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    same("pipelined_requests_are_answered_in_order", CONFIGURATION, origin, &[requests]);
}

#[test]
fn conflicting_lengths_are_refused() {
    let origin = origin::spawn("s1").unwrap();
    let request = b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!";
    same("conflicting_lengths_are_refused", CONFIGURATION, origin, &[request]);
}
