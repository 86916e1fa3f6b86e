//! `retry-on` and `option redispatch` beside the genuine haproxy: answers, log lines, and how often each server was asked.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use testkit::log_catcher::message;
use testkit::oracle::{self, Bench, normalise_log};
use testkit::{raw, wait};

/// Longer than every timeout below.
const QUIET: Duration = Duration::from_secs(3);

/// A server that counts requests and answers each with the same bytes; `None` is silence.
struct Server {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: Option<&'static [u8]>) -> Server {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(AtomicUsize::new(0));
        let counter = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut silent = Vec::new();
            for mut stream in listener.incoming().flatten() {
                let mut buffer = [0; 4096];
                if stream.read(&mut buffer).unwrap_or(0) == 0 {
                    continue;
                }
                counter.fetch_add(1, SeqCst);
                match answer {
                    Some(bytes) => drop(stream.write_all(bytes)),
                    None => silent.push(stream),
                }
            }
        });
        Server { address, asked }
    }
}

/// Both programs with these lines in the backend and two servers that answer so.
fn same(test: &str, lines: &str, answers: [Option<&'static [u8]>; 2], request: &[u8]) {
    let Some(programs) = oracle::proxies(test) else { return };
    let [ours, genuine] = programs.map(|program| {
        let servers = answers.map(Server::start);
        let configuration = format!(
            "global\n    log @LOG@ local0\ndefaults\n    mode http\n    log global\n    option httplog\n    option dontlognull\n\
             \x20   timeout connect 1s\n    timeout client 2s\n    timeout server 300ms\n    retries 2\n\
             frontend web\n    bind @LISTEN@\n    default_backend app\n\
             backend app\n{lines}\n    server s1 {}\n    server s2 {} backup\n",
            servers[0].address, servers[1].address
        );
        let bench = Bench::start(&program, &configuration, servers[0].address).unwrap();
        let answer = raw::exchange(bench.address, &[request], QUIET).unwrap();
        let log = bench.log.line(wait::LIMIT).unwrap().map(|line| normalise_log(message(&line)));
        let asked = servers.map(|server| server.asked.load(SeqCst));
        (String::from_utf8_lossy(&answer).into_owned(), log, asked)
    });
    assert_eq!(ours, genuine, "{test}");
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 4\r\n\r\nabcd";
const GOOD: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok";
const BUSY: &[u8] = b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

#[test]
fn no_answer_is_not_retried_by_default() {
    same("no_answer_is_not_retried_by_default", "", [Some(b""), Some(GOOD)], GET);
}

#[test]
fn empty_response() {
    same("empty_response", "    retry-on empty-response", [Some(b""), Some(GOOD)], POST);
}

#[test]
fn junk_response() {
    same("junk_response", "    retry-on junk-response", [Some(b"junk\r\n\r\n"), Some(GOOD)], GET);
}

#[test]
fn response_timeout() {
    same("response_timeout", "    retry-on response-timeout", [None, Some(GOOD)], POST);
}

#[test]
fn a_status_that_stays() {
    same("a_status_that_stays", "    retry-on 503", [Some(BUSY), Some(GOOD)], POST);
}

#[test]
fn another_condition_does_not_count() {
    same(
        "another_condition_does_not_count",
        "    retry-on 502 empty-response",
        [Some(BUSY), Some(GOOD)],
        GET,
    );
}

#[test]
fn disable_l7_retry() {
    let lines = "    http-request disable-l7-retry if METH_POST\n    retry-on all-retryable-errors";
    same("disable_l7_retry", lines, [Some(BUSY), Some(GOOD)], POST);
}
