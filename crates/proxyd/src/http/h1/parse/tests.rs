use proptest::prelude::*;

use super::super::{ConnectionField, EncodePlan, encode_request, encode_response};
use super::*;

fn text(bytes: &[u8]) -> String {
    bytes.escape_ascii().to_string()
}

/// What a server would see, or the error.
fn forwarded(bytes: &[u8]) -> String {
    let mut head = RequestHead::default();
    match parse_request(&mut head, bytes, &Limits::default()) {
        Parsed::Incomplete => "incomplete".into(),
        Parsed::Error(error) => format!("{}", error.status()),
        Parsed::Head { .. } => {
            let mut out = Vec::new();
            let connection = ConnectionField::for_request(&head, true);
            encode_request(&head, &mut out, EncodePlan { connection, framing: head.framing() });
            text(&out)
        }
    }
}

/// What a 1.1 client with a keep-alive connection would see.
fn answered(bytes: &[u8], context: ResponseContext) -> String {
    let mut head = ResponseHead::default();
    match parse_response(&mut head, bytes, context, &Limits::default()) {
        Parsed::Incomplete => "incomplete".into(),
        Parsed::Error(_) => "502".into(),
        Parsed::Head { .. } => {
            let mut out = Vec::new();
            let keep_alive = head.framing().is_self_delimited();
            let connection = ConnectionField::for_response(&head, Version::HTTP_11, keep_alive);
            encode_response(&head, &mut out, EncodePlan { connection, framing: head.framing() });
            text(&out)
        }
    }
}

/// Request line → what HAProxy 2.6 forwards (recorded from the real program).
#[test]
fn request_lines() {
    for (line, expected) in [
        ("GET / HTTP/1.1", "GET / HTTP/1.1"),
        ("GET \t /  HTTP/1.1", "GET / HTTP/1.1"),
        ("get / HTTP/1.1", "get / HTTP/1.1"),
        ("GET / HTTP/1.9", "GET / HTTP/1.1"),
        ("GET / HTTP/3.1", "GET / HTTP/1.1"),
        ("GET / HTTP/1.1 ", "400"),
        ("GET /", "400"),
        ("GET / ", "400"),
        (" GET / HTTP/1.1", "400"),
        ("GE(T / HTTP/1.1", "400"),
        ("GET /a b HTTP/1.1", "400"),
        ("GET / http/1.1", "400"),
        ("GET / HTTP/1.10", "400"),
        ("GET / HTTP/11", "400"),
        ("GET / RTSP/1.0", "400"),
        ("GET /a#b HTTP/1.1", "400"),
        ("GET /\u{e9} HTTP/1.1", "400"),
        ("GET /\u{7f} HTTP/1.1", "400"),
        ("GET /<\"{}|\\^`> HTTP/1.1", "GET /<\\\"{}|\\\\^`> HTTP/1.1"),
        ("GET * HTTP/1.1", "GET * HTTP/1.1"),
        ("GET *x HTTP/1.1", "GET *x HTTP/1.1"),
        ("GET a HTTP/1.1", "GET a HTTP/1.1"),
        ("GET b HTTP/1.1", "400"),
        ("GET a/b HTTP/1.1", "GET a/b HTTP/1.1"),
        ("GET http://a/x HTTP/1.1", "GET http://a/x HTTP/1.1"),
        ("GET http://b/x HTTP/1.1", "400"),
        ("GET http://a:80/x HTTP/1.1", "GET http://a/x HTTP/1.1"),
        ("GET https://a:443/x HTTP/1.1", "GET https://a/x HTTP/1.1"),
        ("GET http://a:443/x HTTP/1.1", "400"),
        ("GET http://a?x HTTP/1.1", "400"),
        ("GET http://u@a:80/x HTTP/1.1", "GET http://u@a/x HTTP/1.1"),
        ("GET 1x://a HTTP/1.1", "400"),
        ("GET http:///x HTTP/1.1", "GET http:///x HTTP/1.1"),
        ("CONNECT a:80 HTTP/1.1", "CONNECT a:80 HTTP/1.1"),
        ("CONNECT a:443 HTTP/1.1", "CONNECT a:443 HTTP/1.1"),
        ("CONNECT a:81 HTTP/1.1", "400"),
        ("CONNECT a HTTP/1.1", "400"),
        ("CONNECT /a HTTP/1.1", "400"),
    ] {
        let expected = match expected {
            "400" => expected.to_owned(),
            line => format!("{line}\\r\\nhost: a\\r\\n\\r\\n"),
        };
        assert_eq!(forwarded(format!("{line}\r\nHost: a\r\n\r\n").as_bytes()), expected, "{line}");
    }
}

/// Header lines after `host` → what HAProxy 2.6 forwards.
#[test]
fn request_fields() {
    for (fields, expected) in [
        ("X:b\r\n", "x: b"),
        ("X:  \tb \t \r\n", "x: b"),
        ("X:\r\n", "x: "),
        ("X : b\r\n", "400"),
        ("X\r\n", "400"),
        (": x\r\n", "400"),
        ("X: a\r\n b\r\n", "x: a   b"),
        ("X: a\n b\n", "x: a  b"),
        ("X: \r\n b\r\n", "x: b"),
        ("X: a\r\n \r\n", "x: a"),
        ("X: a\u{1}\u{1f}\u{7f}b\r\n", "x: a\\x01\\x1f\\x7fb"),
        ("X: a\rb\r\n", "400"),
        ("X(y: a\r\n", "400"),
        ("X_-.!#$%&'*+^`|~y: a\r\n", "x_-.!#$%&\\'*+^`|~y: a"),
        ("Connection: keep-alive\r\nX: y\r\n", "x: y"),
        ("Connection: foo\r\nConnection: close, bar\r\n", "connection: foo\\r\\nconnection: bar"),
        ("Connection: KEEP-alive , foo ,, bar\r\n", "connection: foo,,bar"),
        ("Connection: close; x\r\n", "connection: close; x"),
        ("Connection: upgrade\r\nUpgrade: ws\r\n", "connection: upgrade\\r\\nupgrade: ws"),
        ("Connection: upgrade\r\nUpgrade: websocket\r\n", "400"),
        ("Host: A\r\nX: y\r\n", "x: y"),
        ("Host: b\r\n", "400"),
        ("Host: a:80\r\n", "400"),
        ("Expect: 100-continue\r\n", "expect: 100-continue"),
    ] {
        let expected = match expected {
            "400" => expected.to_owned(),
            fields => format!("GET / HTTP/1.1\\r\\nhost: a\\r\\n{fields}\\r\\n\\r\\n"),
        };
        assert_eq!(
            forwarded(format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n").as_bytes()),
            expected,
            "{fields}"
        );
    }
}

/// `option accept-invalid-http-request` (recorded from HAProxy 2.6, but for the length headers).
#[test]
fn accept_invalid_http_request() {
    let limits = Limits { accept_invalid: true, ..Limits::default() };
    let verdict = |bytes: &[u8]| match parse_request(&mut RequestHead::default(), bytes, &limits) {
        Parsed::Head { .. } => 200,
        Parsed::Error(error) => error.status(),
        Parsed::Incomplete => 0,
    };
    for (request, expected) in [
        (&b"GET /#a HTTP/1.1\r\nHost: a\r\n\r\n"[..], 200),
        (b"GET /\xe9 HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nX(y: b\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nX y: b\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nX\xe9: b\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\n: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nXb\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nTransfer-Encoding : chunked\r\n\r\n", 400),
        (b"GET http://b/ HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n", 200),
        (b"GET /\r\n\r\n", 200),
        (b"GET / HTTP/1.1\r\nX: a\rb\r\n\r\n", 400),
    ] {
        assert_eq!(verdict(request), expected, "{}", text(request));
    }
}

/// Request smuggling: conflicting or odd length headers (RFC 9112 §11.2).
#[test]
fn request_framing_is_unambiguous() {
    let cases: &[(&str, Result<Framing, u16>)] = &[
        ("", Ok(Framing::None)),
        ("Content-Length: 2\r\n", Ok(Framing::Length(2))),
        ("Content-Length: 02\r\nContent-Length: 2\r\n", Ok(Framing::Length(2))),
        ("Content-Length: 2,2 ,2\r\n", Ok(Framing::Length(2))),
        ("Content-Length: 2, 3\r\n", Err(400)),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", Err(400)),
        ("Content-Length: 2,\r\n", Err(400)),
        ("Content-Length: +2\r\n", Err(400)),
        ("Content-Length: -2\r\n", Err(400)),
        ("Content-Length: 2a\r\n", Err(400)),
        ("Content-Length: 2 2\r\n", Err(400)),
        ("Content-Length: 0x2\r\n", Err(400)),
        ("Content-Length:\r\n", Err(400)),
        ("Content-Length: 18446744073709551616\r\n", Err(400)),
        ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: cHunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding:\r\n chunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", Ok(Framing::Chunked)),
        ("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
        ("Transfer-Encoding: xchunked\r\n", Err(400)),
        ("Transfer-Encoding: identity\r\n", Err(400)),
        ("Content-Length: 5\r\nTransfer-Encoding: identity\r\n", Err(400)),
        ("Transfer-Encoding: gzip, chunked\r\n", Err(422)),
        ("Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n", Err(422)),
        ("Transfer-Encoding: chunked, gzip\r\n", Err(400)),
        ("Transfer-Encoding: chunked, chunked\r\n", Err(400)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", Err(400)),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", Err(400)),
        ("Transfer-Encoding: chunked,\r\n", Err(400)),
        ("Transfer-Encoding: chunked;a=b\r\n", Err(400)),
        ("Transfer-Encoding: \"chunked\"\r\n", Err(400)),
        ("Transfer-Encoding:\u{b}chunked\r\n", Err(400)),
        ("Transfer-Encoding:\r\n", Err(400)),
        ("Transfer-Encoding : chunked\r\n", Err(400)),
    ];
    for (fields, expected) in cases {
        let mut head = RequestHead::default();
        let bytes = format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let verdict = match parse_request(&mut head, bytes.as_bytes(), &Limits::default()) {
            Parsed::Head { .. } => Ok(head.framing()),
            Parsed::Error(error) => Err(error.status()),
            Parsed::Incomplete => Err(0),
        };
        assert_eq!(verdict, *expected, "{fields}");
        if verdict == Ok(Framing::Chunked) {
            assert!(!head.headers.contains(b"content-length"), "{fields}");
        }
    }
}

#[test]
fn the_first_line_cannot_be_a_continuation() {
    assert_eq!(forwarded(b"GET / HTTP/1.1\r\n X: y\r\n\r\n"), "400");
}

#[test]
fn a_message_with_both_lengths_closes_the_connection() {
    let mut head = RequestHead::default();
    let bytes = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n";
    parse_request(&mut head, bytes, &Limits::default());
    assert!(!head.wants_keep_alive());
}

/// Responses → what HAProxy 2.6 gives to a keep-alive 1.1 client.
#[test]
fn responses() {
    let get = ResponseContext::default();
    for (response, expected) in [
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.1 200 OK\\r\\ncontent-length: 2\\r\\n\\r\\n",
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n",
            "HTTP/1.0 200 OK\\r\\ncontent-length: 2\\r\\nconnection: keep-alive\\r\\n\\r\\n",
        ),
        ("HTTP/1.0 200 OK\r\n\r\n", "HTTP/1.0 200 OK\\r\\n\\r\\n"),
        ("HTTP/1.1 200 OK\r\n\r\n", "HTTP/1.1 200 OK\\r\\nconnection: close\\r\\n\\r\\n"),
        ("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 200 \\r\\ncontent-length: 0\\r\\n\\r\\n"),
        ("HTTP/1.1  200  a b\nContent-Length: 0\n\n", "HTTP/1.1 200 a b\\r\\ncontent-length: 0\\r\\n\\r\\n"),
        ("HTTP/1.1 abc OK\r\n\r\n", "502"),
        ("http/1.1 200 OK\r\n\r\n", "502"),
        ("ICY 200 OK\r\n\r\n", "502"),
        ("HTTP/1.1 200 OK\r\nX(: 2\r\n\r\n", "502"),
        ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n", "502"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", "502"),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", "502"),
        ("HTTP/1.1 204 No\r\nContent-Length: 2\r\n\r\n", "HTTP/1.1 204 No\\r\\n\\r\\n"),
        ("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n", "HTTP/1.1 204 No\\r\\n\\r\\n"),
        (
            "HTTP/1.1 304 No\r\nContent-Length: 20\r\n\r\n",
            "HTTP/1.1 304 No\\r\\ncontent-length: 20\\r\\n\\r\\n",
        ),
        ("HTTP/1.1 103 E\r\nLink: x\r\n\r\n", "HTTP/1.1 103 E\\r\\nlink: x\\r\\n\\r\\n"),
        ("HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", "502"),
    ] {
        assert_eq!(answered(response.as_bytes(), get), expected, "{response}");
    }
    let upgrade = ResponseContext { method: Method::Get, upgrade: true };
    let switched = answered(b"HTTP/1.1 101 S\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n", upgrade);
    assert_eq!(switched, "HTTP/1.1 101 S\\r\\nupgrade: x\\r\\nconnection: upgrade\\r\\n\\r\\n");
}

#[test]
fn response_framing_follows_the_request() {
    let framing = |response: &str, method| {
        let mut head = ResponseHead::default();
        let context = ResponseContext { method, upgrade: false };
        let parsed = parse_response(&mut head, response.as_bytes(), context, &Limits::default());
        assert!(matches!(parsed, Parsed::Head { .. }));
        head.framing()
    };
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n";
    assert_eq!(framing(chunked, Method::Get), Framing::Chunked);
    assert_eq!(framing(chunked, Method::Head), Framing::None);
    assert_eq!(framing(chunked, Method::Connect), Framing::Tunnel);
    assert_eq!(framing("HTTP/1.1 404 No\r\n\r\n", Method::Connect), Framing::UntilClose);
    assert_eq!(framing("HTTP/1.1 304 No\r\nContent-Length: 4\r\n\r\n", Method::Get), Framing::None);
}

#[test]
fn limits_of_count_and_size() {
    let lines = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "x: y\r\n".repeat(count));
    let verdict =
        |bytes: &str| parse_request(&mut RequestHead::default(), bytes.as_bytes(), &Limits::default());
    assert!(matches!(verdict(&lines(100)), Parsed::Head { .. }));
    assert_eq!(verdict(&lines(101)), Parsed::Error(ParseError::TooManyHeaders));
    let long = format!("GET / HTTP/1.1\r\nx: {}\r\n\r\n", "y".repeat(15400));
    assert_eq!(verdict(&long), Parsed::Error(ParseError::TooLarge));
    assert_eq!(verdict(&long[..15400]), Parsed::Error(ParseError::TooLarge));
    assert_eq!(verdict(&long[..15000]), Parsed::Incomplete);
}

#[test]
fn the_encoder_repairs_what_rules_did_to_the_length() {
    let mut head = RequestHead::default();
    parse_request(&mut head, b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n", &Limits::default());
    head.headers.set(b"content-length", b"7").unwrap();
    head.headers.add(b"transfer-encoding", b"chunked").unwrap();
    let mut out = Vec::new();
    encode_request(
        &head,
        &mut out,
        EncodePlan { connection: ConnectionField::None, framing: head.framing() },
    );
    assert_eq!(text(&out), "POST / HTTP/1.1\\r\\ncontent-length: 3\\r\\n\\r\\n");
}

fn message() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"GET / HTTP/1.1\r\n".to_vec()),
        Just(b"POST http://a/ HTTP/1.0\r\n".to_vec()),
        Just(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Just(b"Host: a\r\n".to_vec()),
        Just(b"Content-Length: 3\r\n".to_vec()),
        Just(b"Transfer-Encoding: chunked\r\n".to_vec()),
        Just(b"Connection: close, x\r\n".to_vec()),
        Just(b"X: a\r\n b\r\n".to_vec()),
        Just(b"\r\n".to_vec()),
        Just(b"\n".to_vec()),
        prop::collection::vec(any::<u8>(), 1..4),
        "[A-Za-z-]{1,8}:[ ]?[ -~]{0,8}\r\n".prop_map(String::into_bytes),
    ];
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    /// Any prefix of a message is incomplete or already has the whole message's verdict; nothing panics.
    #[test]
    fn split_anywhere_gives_the_same_result(bytes in message()) {
        let mut head = RequestHead::default();
        let whole = parse_request(&mut head, &bytes, &Limits::default());
        for cut in 0..bytes.len() {
            let part = parse_request(&mut head, &bytes[..cut], &Limits::default());
            prop_assert!(part == Parsed::Incomplete || part == whole, "cut {cut}: {part:?} but {whole:?}");
        }
        let mut head = ResponseHead::default();
        let whole = parse_response(&mut head, &bytes, ResponseContext::default(), &Limits::default());
        for cut in 0..bytes.len() {
            let part = parse_response(&mut head, &bytes[..cut], ResponseContext::default(), &Limits::default());
            prop_assert!(part == Parsed::Incomplete || part == whole);
        }
    }

    /// What was encoded parses to the same and encodes to the same.
    #[test]
    fn encoding_is_stable(bytes in message()) {
        let once = forwarded_bytes(&bytes);
        if let Some(once) = once {
            prop_assert_eq!(forwarded_bytes(&once), Some(once));
        }
    }
}

fn forwarded_bytes(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut head = RequestHead::default();
    let Parsed::Head { .. } = parse_request(&mut head, bytes, &Limits::default()) else { return None };
    let mut out = Vec::new();
    encode_request(
        &head,
        &mut out,
        EncodePlan { connection: ConnectionField::None, framing: head.framing() },
    );
    Some(out)
}
