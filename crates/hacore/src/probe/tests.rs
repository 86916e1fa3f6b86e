//! Checks against servers in this process. Statuses, codes and descriptions of the tables were recorded from HAProxy
//! 2.6 against servers that did the same.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::Instant;

use super::steps::{
    Action, Connect, Expect, HeaderPattern, HttpRequest, HttpSend, Matcher, Pattern, Program, Received,
    Render, Step, Text,
};
use super::*;

/// What a scripted server does on a connection.
#[derive(Clone, Copy, Debug)]
enum Act {
    Read,
    Write(&'static [u8]),
    /// One byte at a time.
    Dribble(&'static [u8]),
    /// Over and over, until the peer closes.
    Endless(&'static [u8]),
    Close,
    Reset,
    /// Says nothing more and waits for the peer to close.
    Wait,
}
use Act::{Close, Dribble, Endless, Read, Reset, Wait, Write};

const SHORT: Duration = Duration::from_millis(60);
const LONG: Duration = Duration::from_secs(20);

async fn serve(mut stream: TcpStream, script: &[Act]) -> Vec<u8> {
    let mut got = Vec::new();
    for act in script {
        let _ = match act {
            Read => {
                got.reserve(4096);
                stream.read_buf(&mut got).await.map(|_| ())
            }
            Write(bytes) => stream.write_all(bytes).await,
            Dribble(bytes) => {
                let _ = stream.set_nodelay(true);
                for byte in *bytes {
                    let _ = stream.write_all(&[*byte]).await;
                    tokio::task::yield_now().await;
                }
                Ok(())
            }
            Endless(bytes) => {
                while stream.write_all(bytes).await.is_ok() {}
                Ok(())
            }
            Close => return got,
            Reset => stream.set_zero_linger(),
            Wait => stream.read_to_end(&mut got).await.map(|_| ()),
        };
    }
    got
}

/// Runs a program against a server that follows the script on its first connection; the result and what it was sent.
async fn probe(program: Program, script: &'static [Act], timeout: Duration) -> (CheckResult, Vec<u8>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(async move {
        match listener.accept().await {
            Ok((stream, _)) => serve(stream, script).await,
            Err(_) => Vec::new(),
        }
    });
    let timeouts = Timeouts::new(timeout, None, None);
    let result = run(&program, &Target::tcp(address), &timeouts, &up()).await;
    if matches!(result.status, CheckStatus::Layer4Ok) {
        server.abort();
    }
    (result, server.await.unwrap_or_default())
}

fn up() -> Context {
    Context { server_up: true, state_header: None }
}

async fn closed_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

fn said(result: &CheckResult) -> (&'static str, Option<u32>, &str) {
    (result.status.word(), result.shown_code(), &result.description)
}

fn expect(pattern: Pattern) -> Step {
    Step::new(Action::Expect(Expect::new(pattern)))
}

fn string(text: &str) -> Pattern {
    Pattern::String(text.into())
}

fn regex(text: &str) -> Pattern {
    Pattern::Regex(regex::bytes::Regex::new(text).unwrap())
}

fn with(pattern: Pattern, change: impl FnOnce(&mut Expect)) -> Step {
    let mut expect = Expect::new(pattern);
    change(&mut expect);
    Step::new(Action::Expect(expect))
}

fn tcp_check(steps: Vec<Step>) -> Program {
    Program::tcp_check(steps)
}

fn httpchk(steps: Vec<Step>) -> Program {
    Program::http_check(HttpRequest::default(), steps)
}

#[tokio::test]
async fn option_httpchk_answers_are_judged_as_by_haproxy() {
    let table: &[(&'static [Act], &str, Option<u32>, &str)] = &[
        (&[Read, Write(b"HTTP/1.1 200 OK\r\n\r\n"), Close], "L7OK", Some(200), ""),
        (&[Read, Write(b"HTTP/1.0 200 OK\r\n\r\n"), Close], "L7OK", Some(200), ""),
        (&[Read, Write(b"HTTP/1.1 302 Found\r\n\r\n"), Close], "L7OK", Some(302), ""),
        (&[Read, Write(b"HTTP/1.1 404 Not Found\r\n\r\n"), Close], "L7STS", Some(404), "Not Found"),
        (
            &[Read, Write(b"HTTP/1.1 503 Service Unavailable\r\n\r\n"), Close],
            "L7STS",
            Some(503),
            "Service Unavailable",
        ),
        (&[Read, Write(b"HTTP/1.1 503\r\n\r\n"), Close], "L7STS", Some(503), ""),
        (&[Read, Write(b"HTTP/1.1 100 Continue\r\n\r\n"), Close], "L7STS", Some(100), "Continue"),
        (&[Read, Write(b"HTTP/1.1 200 OK\n\n"), Close], "L7OK", Some(200), ""),
        (&[Read, Write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), Close], "L7OK", Some(200), ""),
        (&[Read, Write(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nab"), Wait], "L7OK", Some(200), ""),
        (&[Read, Dribble(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"), Wait], "L7OK", Some(200), ""),
        (&[Read, Write(b"HTTP/1.1 200 OK\r\n\r\n"), Endless(b"xxxxxxxxxxxxxxxx")], "L7OK", Some(200), ""),
        (
            &[Read, Write(b"HTTP/1.1 200 OK\r\n"), Endless(b"X-A: xxxxxxxxxxxxxxxxxxxxxxx\r\n")],
            "L7RSP",
            None,
            "",
        ),
        (&[Read, Write(b"<html>hello"), Close], "L7RSP", None, ""),
        (&[Read, Write(b"\x80\x81\x82\x83\xff"), Close], "L7RSP", None, ""),
        (&[Read, Write(b"\0\x01\x02\x03\n\n"), Close], "L7RSP", None, ""),
        (&[Read, Write(b"\x15\x03\x01\0\x02\x02\x46"), Close], "L7RSP", None, ""),
        (&[Read, Write(b"HTTP/1.1 200 O"), Close], "L7RSP", None, ""),
        (&[Read, Write(b"HTTP/1.1 200 OK\r\nfoo\r\n\r\n"), Close], "L7RSP", None, ""),
        (&[Read, Close], "L7RSP", None, ""),
        (&[Read, Reset, Close], "SOCKERR", None, "Connection reset by peer"),
    ];
    for (script, word, code, description) in table {
        let (result, _) = probe(httpchk(vec![]), script, LONG).await;
        assert_eq!(said(&result), (*word, *code, *description), "{script:?}");
    }
}

#[tokio::test]
async fn time_outs_have_the_word_of_their_layer_and_are_exact() {
    for script in [&[Read, Wait] as &'static [Act], &[Read, Write(b"HTTP/1.1 200 OK\r\n"), Wait]] {
        let start = Instant::now();
        let (result, _) = probe(httpchk(vec![]), script, SHORT).await;
        assert_eq!(said(&result), ("L7TOUT", None, ""));
        assert!(result.duration >= SHORT && start.elapsed() < LONG, "{result:?}");
    }
    let (result, _) = probe(tcp_check(vec![expect(string("hello"))]), &[Wait], SHORT).await;
    assert_eq!(said(&result), ("L7TOUT", None, " at step 1 of tcp-check (expect string 'hello')"));
    let (result, _) = probe(builtin::ssl_hello([0; 4]), &[Wait], SHORT).await;
    assert_eq!(said(&result), ("L6TOUT", None, ""));
}

#[tokio::test]
async fn a_listener_with_a_full_backlog_is_a_layer_4_time_out() {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = socket.listen(1).unwrap();
    let address = listener.local_addr().unwrap();
    let mut fillers = Vec::new();
    while let Ok(Ok(stream)) = tokio::time::timeout(SHORT, TcpStream::connect(address)).await {
        fillers.push(stream);
    }
    let timeouts = Timeouts::new(SHORT, None, None);
    assert_eq!(said(&tcp(&Target::tcp(address), &timeouts).await), ("L4TOUT", None, ""));
    let program = httpchk(vec![]);
    let with_check_timeout = Timeouts::new(LONG, Some(SHORT), Some(LONG));
    let result = run(&program, &Target::tcp(address), &with_check_timeout, &up()).await;
    assert_eq!(said(&result), ("L4TOUT", None, ""));
}

#[tokio::test]
async fn timeout_check_counts_from_the_connection() {
    assert_eq!(Timeouts::new(LONG, Some(SHORT), None), Timeouts { connect: LONG, answer: None });
    assert_eq!(Timeouts::new(SHORT, Some(LONG), Some(LONG)), Timeouts { connect: SHORT, answer: Some(LONG) });
    assert_eq!(Timeouts::new(LONG, Some(SHORT), Some(LONG)), Timeouts { connect: SHORT, answer: Some(LONG) });
}

#[tokio::test]
async fn a_refused_connection_is_told_with_the_step_where_haproxy_does() {
    let timeouts = Timeouts::new(LONG, None, None);
    let target = Target::tcp(closed_port().await);
    let refused = |program: Program| {
        let target = target.clone();
        async move { run(&program, &target, &timeouts, &up()).await }
    };
    let commented = Step { action: Action::Connect(Connect::default()), comment: Some("abc".to_owned()) };
    for (program, description) in [
        (Program::default(), "Connection refused"),
        (tcp_check(vec![]), "Connection refused"),
        (httpchk(vec![]), "Connection refused"),
        (builtin::redis(), "Connection refused"),
        (builtin::smtp("HELO localhost"), "Connection refused"),
        (tcp_check(vec![expect(string("a"))]), "Connection refused at initial connection step of tcp-check"),
        (
            tcp_check(vec![commented, expect(string("a"))]),
            "Connection refused at step 1 of tcp-check (connect) comment: 'abc'",
        ),
    ] {
        assert_eq!(said(&refused(program).await), ("L4CON", None, description));
    }
}

#[tokio::test]
async fn a_bare_check_only_connects() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target::tcp(listener.local_addr().unwrap());
    assert_eq!(said(&tcp(&target, &Timeouts::new(LONG, None, None)).await), ("L4OK", None, ""));
}

#[tokio::test]
async fn tcp_check_expects_are_judged_as_by_haproxy() {
    let negated = |pattern| with(pattern, |e| e.negated = true);
    type Row = (Step, &'static [Act], &'static str, Option<u32>, &'static str);
    let table: Vec<Row> = vec![
        (expect(string("hello")), &[Write(b"xx hello"), Wait], "L7OK", Some(0), "(tcp-check)"),
        (expect(string("hello")), &[Dribble(b"hello"), Wait], "L7OK", Some(0), "(tcp-check)"),
        (
            expect(string("hello")),
            &[Write(b"xx hel"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content 'hello' at step 1",
        ),
        (expect(string("hello")), &[Close], "L7RSP", None, "TCPCHK got an empty response at step 1"),
        (
            expect(string("hello")),
            &[Reset, Close],
            "SOCKERR",
            None,
            "Connection reset by peer at step 1 of tcp-check (expect string 'hello')",
        ),
        (
            negated(string("hello")),
            &[Write(b"xx hello"), Wait],
            "L7RSP",
            None,
            "TCPCHK matched unwanted content 'hello' at step 1",
        ),
        (negated(string("abc")), &[Write(b"xb"), Close], "L7OK", Some(0), "(tcp-check)"),
        (expect(regex("^a+$")), &[Write(b"aaaa"), Wait], "L7OK", Some(0), "(tcp-check)"),
        (
            expect(regex("^a+$")),
            &[Write(b"bbb"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content (regex) at step 1",
        ),
        (
            expect(Pattern::Binary(Text::Fixed(b"ac".to_vec()))),
            &[Write(b"xab"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content (binary) at step 1",
        ),
        (
            expect(Pattern::BinaryRegex(regex::bytes::Regex::new("^61..63$").unwrap())),
            &[Write(b"azc"), Wait],
            "L7OK",
            Some(0),
            "(tcp-check)",
        ),
        (
            with(string("zz"), |e| e.min_recv_bytes = Some(0)),
            &[Write(b"azc"), Wait],
            "L7RSP",
            None,
            "TCPCHK did not match content 'zz' at step 1",
        ),
        (
            with(regex("a"), |e| (e.min_recv_bytes, e.negated) = (Some(2), true)),
            &[Dribble(b"xyz"), Wait],
            "L7OK",
            Some(0),
            "(tcp-check)",
        ),
        (
            Step { comment: Some("a b".to_owned()), ..expect(string("zz")) },
            &[Write(b"azc"), Close],
            "L7RSP",
            None,
            "TCPCHK did not match content 'zz' at step 1 comment: a b",
        ),
        (
            with(string("zz"), |e| e.on_error = Some("oops".into())),
            &[Write(b"azc"), Close],
            "L7RSP",
            None,
            "oops",
        ),
        (
            with(string("azc"), |e| e.on_success = Some("yes".into())),
            &[Write(b"azc"), Close],
            "L7OK",
            Some(0),
            "yes",
        ),
        (
            expect(string("hello")),
            &[Endless(b"\0\0\0\0\0\0\0\0")],
            "L7RSP",
            None,
            "TCPCHK did not match content 'hello' at step 1",
        ),
    ];
    for (step, script, word, code, description) in table {
        let (result, _) = probe(tcp_check(vec![step]), script, LONG).await;
        assert_eq!(said(&result), (word, code, description), "{script:?}");
    }
    for waits in [with(regex("a"), |e| e.min_recv_bytes = Some(10)), negated(string("hello"))] {
        let (result, _) = probe(tcp_check(vec![waits]), &[Write(b"azc"), Wait], SHORT).await;
        assert_eq!(result.status, CheckStatus::Layer7Timeout);
    }
}

#[tokio::test]
async fn the_redis_master_check_of_the_manual_talks_in_turns() {
    let steps = || {
        vec![
            Step::new(Action::Connect(Connect::default())),
            Step::new(Action::Send("PING\r\n".into())),
            expect(string("+PONG")),
            Step::new(Action::Send("info replication\r\n".into())),
            expect(string("role:master")),
            Step::new(Action::Send("QUIT\r\n".into())),
            expect(string("+OK")),
        ]
    };
    const MASTER: &[Act] =
        &[Read, Write(b"+PONG\r\n"), Read, Write(b"$9\r\nrole:master\r\n"), Read, Write(b"+OK\r\n"), Close];
    let (result, sent) = probe(tcp_check(steps()), MASTER, LONG).await;
    assert_eq!(said(&result), ("L7OK", Some(0), "(tcp-check)"));
    assert_eq!(sent, b"PING\r\ninfo replication\r\nQUIT\r\n");
    const REPLICA: &[Act] = &[Read, Write(b"+PONG\r\n"), Read, Write(b"$9\r\nrole:slave\r\n"), Wait];
    let (result, _) = probe(tcp_check(steps()), REPLICA, SHORT).await;
    assert_eq!(said(&result), ("L7TOUT", None, " at step 5 of tcp-check (expect string 'role:master')"));
}

struct Body;

impl Render for Body {
    fn render(&self, received: &Received<'_>) -> Vec<u8> {
        [b"E ", received.bytes].concat()
    }
}

#[tokio::test]
async fn http_check_expects_are_judged_as_by_haproxy() {
    const HELLO: &[Act] = &[
        Read,
        Write(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nX-A: b, c\r\nSet-Cookie: sid=1\r\n\r\nhello"),
        Wait,
    ];
    let negated = |pattern| with(pattern, |e| e.negated = true);
    let header =
        |full, name: Matcher, value: Option<Matcher>| Pattern::Header(HeaderPattern { full, name, value });
    let exact = |text: &str| Matcher::Exact(text.into());
    let did_not_match = "HTTP content check did not match";
    let table: Vec<(Step, &str, Option<u32>, &str)> = vec![
        (expect(string("hello")), "L7OK", Some(200), ""),
        (expect(string("nope")), "L7RSP", None, did_not_match),
        (negated(string("hello")), "L7RSP", None, "HTTP check matched unwanted content"),
        (negated(string("nope")), "L7OK", Some(200), ""),
        (expect(regex("^hel")), "L7OK", Some(200), ""),
        (expect(regex("nope")), "L7RSP", None, did_not_match),
        (expect(Pattern::Status(vec![(200, 299)])), "L7OK", Some(200), ""),
        (expect(Pattern::Status(vec![(404, 404)])), "L7STS", Some(200), "OK"),
        (negated(Pattern::Status(vec![(200, 200)])), "L7STS", Some(200), "OK"),
        (expect(Pattern::StatusRegex(regex::bytes::Regex::new("^5").unwrap())), "L7STS", Some(200), "OK"),
        (expect(header(false, exact("x-a"), Some(exact("c")))), "L7OK", Some(200), ""),
        (expect(header(false, exact("x-a"), Some(exact("z")))), "L7STS", Some(200), "OK"),
        (expect(header(true, exact("x-a"), Some(exact("c")))), "L7STS", Some(200), "OK"),
        (expect(header(false, exact("nope"), None)), "L7STS", Some(200), "OK"),
        (
            expect(header(true, Matcher::Prefix("X-".into()), Some(Matcher::Suffix("c".into())))),
            "L7OK",
            Some(200),
            "",
        ),
        (negated(header(false, exact("x-a"), None)), "L7STS", Some(200), "OK"),
        (
            Step { comment: Some("my c".to_owned()), ..expect(string("nope")) },
            "L7RSP",
            None,
            "HTTP content check did not match comment: my c",
        ),
        (
            with(string("nope"), |e| e.on_error = Some(Text::Dynamic(std::sync::Arc::new(Body)))),
            "L7RSP",
            None,
            "E hello",
        ),
        (with(string("hello"), |e| e.on_success = Some("S 200".into())), "L7OK", Some(200), "S 200"),
        (
            with(string("nope"), |e| e.error_status = Some(CheckStatus::Layer7OkConditionally)),
            "L7OKC",
            Some(200),
            did_not_match,
        ),
        (with(string("hello"), |e| e.ok_status = Some(CheckStatus::Layer6Ok)), "L6OK", None, ""),
        (with(string("hello"), |e| e.status_code = Some("77".into())), "L7OK", Some(77), ""),
    ];
    for (step, word, code, description) in table {
        let context = format!("{step:?}");
        let (result, sent) = probe(httpchk(vec![step]), HELLO, LONG).await;
        assert_eq!(said(&result), (word, code, description), "{context}");
        assert_eq!(sent, b"OPTIONS / HTTP/1.0\r\n\r\n");
    }
}

#[tokio::test]
async fn a_body_that_never_ends_or_never_comes_is_judged_by_what_has_come() {
    let nope = || httpchk(vec![expect(string("nope"))]);
    for (script, word, description) in [
        (
            &[Read, Write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), Close] as &'static [Act],
            "L7RSP",
            "HTTP content check did not match",
        ),
        (
            &[Read, Write(b"HTTP/1.1 200 OK\r\n\r\n"), Close],
            "L7RSP",
            "HTTP content check could not find a response body",
        ),
        (
            &[Read, Write(b"HTTP/1.1 200 OK\r\n\r\n"), Endless(b"xxxxxxxxxxxxxxxx")],
            "L7RSP",
            "HTTP content check did not match",
        ),
    ] {
        let (result, _) = probe(nope(), script, LONG).await;
        assert_eq!((result.status.word(), result.description.as_str()), (word, description), "{script:?}");
    }
    const STUCK: &[Act] = &[Read, Write(b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nhello"), Wait];
    assert_eq!(said(&probe(nope(), STUCK, SHORT).await.0), ("L7TOUT", None, ""));
    let layer_4 = with(string("nope"), |e| e.timeout_status = Some(CheckStatus::Layer4Timeout));
    assert_eq!(said(&probe(httpchk(vec![layer_4]), STUCK, SHORT).await.0), ("L4TOUT", None, ""));
}

#[tokio::test]
async fn requests_are_written_as_by_haproxy() {
    const OK: &[Act] = &[Read, Write(b"HTTP/1.1 200 OK\r\n\r\n"), Close];
    let host = |value: &str| ("Host".to_owned(), Text::from(value));
    let request = |method: &str, uri: &str| HttpRequest {
        method: method.to_owned(),
        uri: uri.into(),
        ..Default::default()
    };
    for (request, bytes) in [
        (request("GET", "/health"), "GET /health HTTP/1.0\r\n\r\n"),
        (
            HttpRequest { http11: true, headers: vec![host("a")], ..request("OPTIONS", "/") },
            "OPTIONS / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n",
        ),
        (
            HttpRequest {
                http11: true,
                headers: vec![host("foo"), ("X-B".to_owned(), "bar".into())],
                body: Some("hello".into()),
                ..request("POST", "/x")
            },
            "POST /x HTTP/1.1\r\nhost: foo\r\nx-b: bar\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello",
        ),
    ] {
        let (result, sent) = probe(Program::http_check(request, vec![]), OK, LONG).await;
        assert_eq!(
            (result.status, String::from_utf8(sent).unwrap().as_str()),
            (CheckStatus::Layer7Ok, bytes)
        );
    }
}

/// Recorded: `option httpchk GET /health HTTP/1.1` with `http-check send body abc hdr a b`, and with `uri /b`.
#[tokio::test]
async fn http_check_send_completes_the_httpchk_line() {
    const OK: &[Act] = &[Read, Write(b"HTTP/1.1 200 OK\r\n\r\n"), Close];
    let line =
        HttpRequest { method: "GET".to_owned(), uri: "/health".into(), http11: true, ..Default::default() };
    let header = |name: &str, value: &str| vec![(name.to_owned(), Text::from(value))];
    let first = HttpSend { body: Some("abc".into()), headers: header("a", "b"), ..HttpSend::default() };
    let second = HttpSend { uri: Some("/b".into()), http11: Some(false), ..HttpSend::default() };
    for (send, bytes) in [
        (first, "GET /health HTTP/1.1\r\na: b\r\ncontent-length: 3\r\nconnection: close\r\n\r\nabc"),
        (second, "GET /b HTTP/1.0\r\n\r\n"),
    ] {
        let steps = vec![Step::new(Action::SendHttp(send.over(&line)))];
        let (result, sent) = probe(Program::http_check(line.clone(), steps), OK, LONG).await;
        assert_eq!(
            (result.status, String::from_utf8(sent).unwrap().as_str()),
            (CheckStatus::Layer7Ok, bytes)
        );
    }
}

#[tokio::test]
async fn disable_on_404_applies_to_servers_that_are_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target::tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            serve(stream, &[Read, Write(b"HTTP/1.1 404 R404\r\n\r\n")]).await;
        }
    });
    let program = Program { disable_on_404: true, ..httpchk(vec![]) };
    let timeouts = Timeouts::new(LONG, None, None);
    let while_up = run(&program, &target, &timeouts, &up()).await;
    assert_eq!(said(&while_up), ("L7OKC", Some(404), ""));
    let down = Context { server_up: false, ..up() };
    assert_eq!(said(&run(&program, &target, &timeouts, &down).await), ("L7STS", Some(404), "R404"));
}

const MARIADB: &[u8] = b"\x59\0\0\0\x0a5.5.5-10.11.6-MariaDB\0\x01\0\0\0abcdefgh\0\xfe\xf7\x2d\x02\0\xff\x81\x15\0\0\0\0\0\0\0\0\0\0abcdefghijkl\0mysql_native_password\0";

#[tokio::test]
async fn built_in_checks_are_judged_as_by_haproxy() {
    const MYSQL_OK: &[u8] = b"\x07\0\0\x02\0\0\0\x02\0\0\0";
    const MYSQL_DENIED: &[u8] = b"\x16\0\0\x02\xff\x15\x04#28000Access denied";
    const MYSQL_BLOCKED: &[u8] = b"\x0f\0\0\0\xff\x69\x04Host blocked";
    let hello = || builtin::ssl_hello(*b"time");
    let smtp = || builtin::smtp("HELO localhost");
    let bob = || builtin::mysql_user("bob", false);
    let pgsql = || builtin::pgsql("bob");
    type Row = (Program, &'static [Act], &'static str, Option<u32>, &'static str);
    let table: Vec<Row> = vec![
        (builtin::redis(), &[Read, Write(b"+PONG\r\n"), Wait], "L7OK", Some(0), "Redis server is ok"),
        (builtin::redis(), &[Read, Write(b"-ERR\r\n"), Close], "L7STS", Some(0), "-ERR"),
        (builtin::redis(), &[Read, Close], "L7STS", Some(0), "TCPCHK got an empty response at step 2"),
        (hello(), &[Read, Write(b"\x16\x03\x01\0\x05"), Wait], "L6OK", None, ""),
        (hello(), &[Read, Write(b"\x15\x03\x01\0\x02\x02\x28"), Wait], "L6OK", None, ""),
        (hello(), &[Read, Write(b"garbage\r\n"), Wait], "L6RSP", None, ""),
        (hello(), &[Read, Close], "L6RSP", None, "TCPCHK got an empty response at step 2"),
        (
            smtp(),
            &[Write(b"220 hi\r\n"), Read, Write(b"250 ok\r\n"), Read, Write(b"221 bye\r\n"), Wait],
            "L7OK",
            Some(221),
            "bye",
        ),
        (smtp(), &[Write(b"220 hi\r\n"), Read, Write(b"550 ok\r\n"), Close], "L7STS", Some(550), "ok"),
        (
            smtp(),
            &[Write(b"220 hi\r\n"), Read, Write(b"250 ok\r\n"), Read, Write(b"500 bye\r\n"), Wait],
            "L7STS",
            Some(500),
            "bye",
        ),
        (smtp(), &[Write(b"554 hi\r\n"), Wait], "L7STS", Some(554), "hi"),
        (smtp(), &[Write(b"garbage\r\n"), Wait], "L7RSP", None, "garbage"),
        (smtp(), &[Close], "L7RSP", None, "TCPCHK got an empty response at step 2"),
        (builtin::mysql(), &[Write(MARIADB), Wait], "L7OK", Some(0), ""),
        (builtin::mysql(), &[Write(MYSQL_BLOCKED), Wait], "L7STS", Some(1129), "Host blocked"),
        (builtin::mysql(), &[Close], "L7RSP", None, "TCPCHK got an empty response at step 2"),
        (builtin::mysql(), &[Write(b"garbage long enough"), Close], "L7RSP", None, ""),
        (bob(), &[Write(MARIADB), Read, Write(MYSQL_OK), Wait], "L7OK", Some(0), ""),
        (
            bob(),
            &[Write(MARIADB), Read, Write(MYSQL_DENIED), Wait],
            "L7STS",
            Some(1045),
            "#28000Access denied",
        ),
        (bob(), &[Write(MYSQL_BLOCKED), Wait], "L7STS", Some(1129), "Host blocked"),
        (pgsql(), &[Read, Write(b"R\0\0\0\x08\0\0\0\0"), Wait], "L7OK", Some(0), "PostgreSQL server is ok"),
        (
            pgsql(),
            &[Read, Write(b"R\0\0\0\x17\0\0\0\x0aSCRAM-SHA-256\0\0"), Wait],
            "L7OK",
            Some(0),
            "PostgreSQL server is ok",
        ),
        (pgsql(), &[Read, Write(b"E\0\0\0\x20SFATAL\0C28000\0Mno pg_hba\0\0"), Wait], "L7RSP", None, "FATAL"),
        (pgsql(), &[Read, Write(b"garbage\r\n"), Wait], "L7STS", Some(0), "PostgreSQL unknown error"),
        (pgsql(), &[Read, Close], "L7RSP", None, "TCPCHK got an empty response at step 3"),
        (
            builtin::ldap(),
            &[Read, Write(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\0\x04\0\x04\0"), Wait],
            "L7OK",
            Some(0),
            "",
        ),
        (
            builtin::ldap(),
            &[Read, Write(b"\x30\x0c\x02\x01\x01\x61\x07\x0a\x01\x31\x04\0\x04\0"), Wait],
            "L7STS",
            Some(49),
            "See RFC: http://tools.ietf.org/html/rfc4511#section-4.1.9",
        ),
        (
            builtin::ldap(),
            &[Read, Write(b"xxxxxxxxxxxxxxxxxxxxxxxx"), Close],
            "L7RSP",
            None,
            "Not LDAPv3 protocol",
        ),
        (
            builtin::spop(),
            &[Read, Write(b"\0\0\0\x08garbagezzz"), Wait],
            "L7RSP",
            None,
            "invalid frame received",
        ),
    ];
    for (program, script, word, code, description) in table {
        let context = format!("{script:?}");
        let (result, _) = probe(program, script, LONG).await;
        assert_eq!(said(&result), (word, code, description), "{context}");
    }
}

#[tokio::test]
async fn built_in_checks_send_haproxys_bytes() {
    let table: Vec<(Program, &'static [Act], &'static [u8])> = vec![
        (builtin::redis(), &[Read, Close], b"*1\r\n$4\r\nPING\r\n"),
        (
            builtin::mysql_user("bob", false),
            &[Read, Close],
            b"%\0\0\x01\0\x82\0\0\0\x80\0\x01!\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0bob\0\0\x01\0\0\0\x01",
        ),
        (builtin::mysql_user("bob", true), &[Read, Close], b"\n\0\0\x01\0\x80\0\0\x01bob\0\0\x01\0\0\0\x01"),
        (builtin::pgsql("bob"), &[Read, Close], b"\0\0\0\x12\0\x03\0\0user\0bob\0\0"),
        (builtin::ldap(), &[Read, Close], b"0\x0c\x02\x01\x01`\x07\x02\x01\x03\x04\0\x80\0"),
        (
            builtin::spop(),
            &[Read, Close],
            b"\0\0\0N\x01\0\0\0\x01\0\0\x12supported-versions\x08\x032.0\x0emax-frame-size\x03\xfc\xf0\x06\x0ccapabilities\x08\0\x0bhealthcheck\x11",
        ),
        (
            builtin::ssl_hello([0x15, 0x70, b'H', b'A']),
            &[Read, Close],
            b"\x16\x03\0\0y\x01\0\0u\x03\0\x15pHAHAPROXYSSLCHK\nHAPROXYSSLCHK\n\0\0N\0\x01\0\x02\0\x03\0\x04\0\x05\0\x06\0\x07\0\x08\0\t\0\n\0\x0b\0\x0c\0\r\0\x0e\0\x0f\0\x10\0\x11\0\x12\0\x13\0\x14\0\x15\0\x16\0\x17\0\x18\0\x19\0\x1a\0\x1b\0/\x000\x001\x002\x003\x004\x005\x006\x007\x008\x009\0:\x01\0",
        ),
    ];
    for (program, script, bytes) in table {
        let (_, sent) = probe(program, script, LONG).await;
        assert_eq!(sent, bytes, "{}", String::from_utf8_lossy(bytes));
    }
}

#[tokio::test]
async fn an_agent_is_asked_and_its_silence_says_nothing() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target::tcp(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        for script in
            [&[Read, Write(b"up 75%\n"), Wait] as &'static [Act], &[Read, Close], &[Read, Endless(b"xxxx")]]
        {
            let (stream, _) = listener.accept().await.unwrap();
            asked.push(serve(stream, script).await);
        }
        asked
    });
    let timeouts = Timeouts::new(LONG, None, None);
    let up = agent(&target, &timeouts, b"be\n").await;
    assert_eq!((up.weight_percent, said(&up.result)), (Some(75), ("L7OK", Some(0), "via agent : up")));
    let silent = agent(&target, &timeouts, b"be\n").await;
    assert_eq!(said(&silent.result), ("L7RSP", None, "TCPCHK got an empty response at step 2"));
    let endless = agent(&target, &timeouts, b"be\n").await;
    assert_eq!(said(&endless.result), ("CHECKED", None, "Ignoring incomplete line from agent"));
    assert_eq!(server.await.unwrap()[0], b"be\n");
}

#[tokio::test]
async fn check_send_proxy_goes_first() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target { send_proxy: Some(ProxyHeader::V1), ..Target::tcp(listener.local_addr().unwrap()) };
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut got = Vec::new();
        while !got.ends_with(b"PING\r\n") && stream.read_buf(&mut got).await.unwrap() > 0 {}
        stream.write_all(b"+PONG\r\n").await.unwrap();
        got
    });
    let result = run(&builtin::redis(), &target, &Timeouts::new(LONG, None, None), &up()).await;
    assert_eq!(result.status, CheckStatus::Layer7Ok);
    assert_eq!(server.await.unwrap(), b"PROXY UNKNOWN\r\n*1\r\n$4\r\nPING\r\n");
}

#[tokio::test]
async fn check_via_socks4_asks_the_proxy_for_the_server() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let proxy = listener.local_addr().unwrap();
    let target = Target { socks4: Some(proxy), ..Target::tcp("192.0.2.7:6379".parse().unwrap()) };
    const REQUEST: &[u8] = b"\x04\x01\x18\xeb\xc0\0\x02\x07\0";
    let server = tokio::spawn(async move {
        let mut asked = Vec::new();
        for reply in [b"\0\x5a\0\0\0\0\0\0", b"\0\x5b\0\0\0\0\0\0"] {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = [0; REQUEST.len()];
            stream.read_exact(&mut request).await.unwrap();
            stream.write_all(reply).await.unwrap();
            asked.push(request);
            serve(stream, &[Read, Write(b"+PONG\r\n"), Wait]).await;
        }
        asked
    });
    let timeouts = Timeouts::new(LONG, None, None);
    let granted = run(&builtin::redis(), &target, &timeouts, &up()).await;
    assert_eq!(said(&granted), ("L7OK", Some(0), "Redis server is ok"));
    let denied = run(&builtin::redis(), &target, &timeouts, &up()).await;
    assert_eq!(said(&denied), ("L4CON", None, "SOCKS4 Proxy deny the request (code 91)"));
    assert_eq!(server.await.unwrap(), [REQUEST, REQUEST]);
}
