use super::*;

/// Recorded from HAProxy 2.6.12 without any errorfile.
#[test]
fn early_pages_are_those_of_haproxy() {
    let pages = ErrorPages::default();
    assert_eq!(
        pages.early(400).escape_ascii().to_string(),
        "HTTP/1.1 400 Bad request\\r\\nContent-length: 90\\r\\nCache-Control: no-cache\\r\\nConnection: close\\r\\n\
         Content-Type: text/html\\r\\n\\r\\n<html><body><h1>400 Bad request</h1>\\nYour browser sent an invalid \
         request.\\n</body></html>\\n"
    );
    assert_eq!(
        pages.early(408).escape_ascii().to_string(),
        "HTTP/1.1 408 Request Time-out\\r\\nContent-length: 110\\r\\nCache-Control: no-cache\\r\\n\
         Connection: close\\r\\nContent-Type: text/html\\r\\n\\r\\n<html><body><h1>408 Request Time-out</h1>\\n\
         Your browser didn\\'t send a complete request in time.\\n</body></html>\\n"
    );
    assert_eq!(
        pages.early(422).escape_ascii().to_string(),
        "HTTP/1.1 422 Unprocessable Content\\r\\nContent-length: 116\\r\\nCache-Control: no-cache\\r\\n\
         Content-Type: text/html\\r\\n\\r\\n<html><body><h1>422 Unprocessable Content</h1>\\nThe server cannot \
         process the contained instructions.\\n</body></html>\\n"
    );
}

/// Sizes of the bodies as the real program announces them.
#[test]
fn builtin_pages_have_the_lengths_of_haproxys() {
    for (status, length) in [
        (200, 58),
        (400, 90),
        (401, 112),
        (403, 93),
        (404, 83),
        (405, 146),
        (407, 112),
        (408, 110),
        (410, 114),
        (413, 106),
        (421, 104),
        (422, 116),
        (425, 80),
        (429, 117),
        (500, 97),
        (501, 136),
        (502, 107),
        (503, 107),
        (504, 92),
    ] {
        let page = builtin(status);
        assert_eq!((page.status(), page.body().len()), (status, length), "{status}");
    }
}

#[test]
fn errorfiles_are_refused_in_haproxys_words() {
    let verdict =
        |raw: &str| StaticReply::parse(raw.as_bytes()).map(|_| ()).map_err(|error| error.to_string());
    for (raw, expected) in [
        ("HTTP/1.0 403 No\r\nConnection: close\r\n\r\nbody", Ok(())),
        ("HTTP/1.0 403 No\nX-A: b\n\nbody", Ok(())),
        ("", Ok(())),
        ("HTTP/1.1 403 No\r\nContent-Length: 4\r\n\r\nbody", Ok(())),
        ("<html>hello</html>", Err("unable to parse headers (error offset: 0)")),
        ("HTTP/1.1 403 C\r\nX y\r\n\r\nbody", Err("unable to parse headers (error offset: 17)")),
        ("HTTP/1.1 403 C\r\nX: y\r\n", Err("unable to parse headers (error offset: -2)")),
        (
            "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nbody",
            Err("payload size does not match the announced content-length (4 != 2)"),
        ),
        (
            "HTTP/1.1 403 No\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            Err("chunk-encoded payload not supported"),
        ),
        ("HTTP/1.1 204 No\r\n\r\nbody", Err("message payload not expected")),
    ] {
        assert_eq!(verdict(raw), expected.map_err(str::to_owned), "{raw}");
    }
}

#[test]
fn an_empty_errorfile_silences_the_page() {
    let file = ErrorReply::File { path: "/dev/null".into(), bytes: Arc::from(&b""[..]) };
    let pages = ErrorPages::new(&BTreeMap::from([(408, file)]));
    assert!(pages.page(408).is_silent());
    assert_eq!(pages.early(408), b"");
    assert!(!pages.page(503).is_silent());
}

#[test]
fn errorloc_redirects() {
    let reply = StaticReply::location(303, "http://x/");
    let (mut head, mut body) = (ResponseHead::default(), Vec::new());
    reply.write_to(&mut head, &mut body);
    assert_eq!((head.status(), head.headers.find(b"location")), (303, Some(&b"http://x/"[..])));
    assert!(body.is_empty());
}
