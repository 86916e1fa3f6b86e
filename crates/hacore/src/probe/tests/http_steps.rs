//! `option httpchk` and `http-check`.

use super::*;

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

/// An HTTP/2 server that answers every request with this status, body and trailers.
async fn serve_http2(status: u16, body: &'static [u8], trailer: Option<&'static str>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                let asked = format!("{} {}", request.method(), request.uri());
                let response =
                    hyper::Response::builder().status(status).header("asked", asked).body(()).unwrap();
                let mut stream = respond.send_response(response, false).unwrap();
                stream.send_data(bytes::Bytes::from_static(body), trailer.is_none()).unwrap();
                if let Some(status) = trailer {
                    let mut trailers = hyper::HeaderMap::new();
                    trailers.insert("grpc-status", status.parse().unwrap());
                    stream.send_trailers(trailers).unwrap();
                }
            }
        }
    });
    address
}

#[tokio::test]
async fn check_proto_h2_asks_over_http_2() {
    let asked = |text: &str| Matcher::Exact(text.into());
    let header = |text| {
        let name = Matcher::Exact("asked".into());
        expect(Pattern::Header(HeaderPattern { full: true, name, value: Some(asked(text)) }))
    };
    let with_host = HttpRequest {
        method: "GET".to_owned(),
        uri: "/health".into(),
        headers: vec![("Host".to_owned(), "example.org".into())],
        ..HttpRequest::default()
    };
    let timeouts = Timeouts::new(LONG, None, None);
    for (status, request, step, word, code) in [
        (200, HttpRequest::default(), expect(Pattern::Status(vec![(200, 399)])), "L7OK", 200),
        (503, HttpRequest::default(), expect(Pattern::Status(vec![(200, 399)])), "L7STS", 503),
        (200, HttpRequest::default(), expect(string("hel")), "L7OK", 200),
        (200, HttpRequest::default(), header("OPTIONS /"), "L7OK", 200),
        (200, with_host, header("GET http://example.org/health"), "L7OK", 200),
    ] {
        let address = serve_http2(status, b"hello", None).await;
        let target = Target { http2: Some(true), ..Target::tcp(address) };
        let result = run(&Program::http_check(request, vec![step]), &target, &timeouts, &up()).await;
        assert_eq!((result.status.word(), result.code), (word, Some(code)), "{result:?}");
    }
    let plain = closed_port().await;
    let target = Target { http2: Some(true), ..Target::tcp(plain) };
    assert_eq!(run(&httpchk(vec![]), &target, &timeouts, &up()).await.status, CheckStatus::Layer4Connection);
}

#[tokio::test]
async fn a_server_that_does_not_speak_http_2_fails_the_check() {
    for (script, word) in [
        (&[Read, Write(b"HTTP/1.1 400 Bad Request\r\n\r\n"), Close] as &'static [Act], "L7RSP"),
        (&[Read, Close], "L7RSP"),
        (&[Wait], "L7TOUT"),
    ] {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let target = Target { http2: Some(true), ..Target::tcp(listener.local_addr().unwrap()) };
        tokio::spawn(async move { serve(listener.accept().await.unwrap().0, script).await });
        let timeouts = Timeouts::new(Duration::from_millis(300), None, None);
        let result = run(&httpchk(vec![]), &target, &timeouts, &up()).await;
        assert_eq!(result.status.word(), word, "{script:?} {result:?}");
    }
}

#[tokio::test]
async fn a_grpc_health_service_is_asked() {
    let timeouts = Timeouts::new(LONG, None, None);
    for (body, trailer, word) in [
        (&b"\0\0\0\0\x02\x08\x01"[..], Some("0"), "L7OK"),
        (b"\0\0\0\0\x02\x08\x02", Some("0"), "L7STS"),
        (b"", Some("12"), "L7STS"),
        (b"hello", None, "L7RSP"),
    ] {
        let address = serve_http2(200, body, trailer).await;
        let target = Target { http2: Some(true), ..Target::tcp(address) };
        let result = run(&grpc::health("db"), &target, &timeouts, &up()).await;
        assert_eq!(result.status.word(), word, "{result:?}");
    }
}

/// `set-var` lines are evaluated in their place, and what was said is kept.
#[tokio::test]
async fn texts_are_made_when_they_are_needed_from_the_callers_scene() {
    struct Count;
    impl Render for Count {
        fn render(&self, received: &Received<'_>) -> Vec<u8> {
            let count =
                received.scene.and_then(|scene| scene.downcast_ref::<std::cell::Cell<u32>>()).unwrap();
            count.set(count.get() + 1);
            format!("/{}", count.get()).into_bytes()
        }
    }
    let count = || Text::Dynamic(std::sync::Arc::new(Count));
    let request = HttpRequest { uri: count(), ..HttpRequest::default() };
    let steps = vec![Step::new(Action::Evaluate(count())), Step::new(Action::SendHttp(request))];
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target::tcp(listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        serve(listener.accept().await.unwrap().0, &[Read, Write(b"HTTP/1.1 204 No Content\r\n\r\n")]).await
    });
    let tape = Tape::default();
    let context = Context {
        scene: Some(std::rc::Rc::new(std::cell::Cell::new(0u32))),
        tape: Some(Tape::clone(&tape)),
        ..up()
    };
    let program = Program::http_check(HttpRequest::default(), steps);
    let result = run(&program, &target, &Timeouts::new(LONG, None, None), &context).await;
    assert_eq!(said(&result), ("L7OK", Some(204), ""));
    assert_eq!(server.await.unwrap(), b"OPTIONS /2 HTTP/1.0\r\n\r\n");
    assert_eq!(tape.borrow().sent, b"OPTIONS /2 HTTP/1.0\r\n\r\n");
    assert_eq!(tape.borrow().received, b"HTTP/1.1 204 No Content\r\n\r\n");
}
