use super::*;

fn parts(method: &str, uri: &str, fields: &[(&str, &str)]) -> http::request::Parts {
    let mut builder = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        builder = builder.header(*name, *value);
    }
    builder.body(()).unwrap().into_parts().0
}

fn read(method: &str, uri: &str, fields: &[(&str, &str)], ended: bool) -> RequestHead {
    let mut head = RequestHead::default();
    read_request(&mut head, &parts(method, uri, fields), ended, &Limits::default()).unwrap();
    head
}

#[test]
fn a_request_has_an_absolute_target_and_its_authority_as_host() {
    let head = read("GET", "https://a.example:8443/p?q=1", &[("x", "y"), ("host", "other")], true);
    assert_eq!(head.target(), b"https://a.example:8443/p?q=1");
    assert_eq!(head.wire_target(), b"/p?q=1");
    assert_eq!(head.headers.find_all(b"host").collect::<Vec<_>>(), [b"a.example:8443"]);
    assert_eq!((head.version(), head.framing()), (Version::HTTP_2, Framing::None));
}

#[test]
fn the_framing_of_a_request_is_its_length_or_unknown() {
    assert_eq!(read("POST", "http://h/", &[("content-length", "5")], false).framing(), Framing::Length(5));
    assert_eq!(read("POST", "http://h/", &[], false).framing(), Framing::Chunked);
    let bad = parts("POST", "http://h/", &[("content-length", "5, 5x")]);
    let read = read_request(&mut RequestHead::default(), &bad, false, &Limits::default());
    assert_eq!(read, Err(ParseError::ContentLength));
}

#[test]
fn crumbs_of_a_cookie_are_one_field() {
    let head = read("GET", "http://h/", &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2")], true);
    assert_eq!(head.headers.find_all(b"cookie").collect::<Vec<_>>(), [b"a=1; b=2"]);
}

#[test]
fn too_many_fields_and_too_many_bytes_are_refused() {
    let many: Vec<(String, &str)> = (0..200).map(|n| (format!("x{n}"), "y")).collect();
    let many: Vec<(&str, &str)> = many.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let result = read_request(
        &mut RequestHead::default(),
        &parts("GET", "http://h/", &many),
        true,
        &Limits::default(),
    );
    assert_eq!(result, Err(ParseError::TooManyHeaders));
    let long = "y".repeat(20_000);
    let result = read_request(
        &mut RequestHead::default(),
        &parts("GET", "http://h/", &[("x", &long)]),
        true,
        &Limits::default(),
    );
    assert_eq!(result, Err(ParseError::TooLarge));
}

#[test]
fn extended_connect_is_an_upgrade() {
    let mut parts = parts("CONNECT", "https://h/chat", &[("sec-websocket-version", "13")]);
    parts.extensions.insert(Protocol::from_static("websocket"));
    let mut head = RequestHead::default();
    read_request(&mut head, &parts, false, &Limits::default()).unwrap();
    assert_eq!((head.method(), head.wire_target()), (Method::Get, &b"/chat"[..]));
    assert!(head.connection().upgrade && head.headers.contains(b"sec-websocket-key"));
    assert_eq!(head.headers.find(b"upgrade"), Some(&b"websocket"[..]));

    let request = write_request(&head, "http", true).unwrap();
    assert_eq!(request.method(), http::Method::CONNECT);
    assert!(request.extensions().get::<Protocol>().is_some());
    assert!(
        request.headers().get("upgrade").is_none() && request.headers().get("sec-websocket-key").is_none()
    );
    assert!(write_request(&head, "http", false).is_none(), "the server does not know extended CONNECT");
}

#[test]
fn a_response_leaves_connection_fields_behind() {
    let mut head = ResponseHead::default();
    head.set_start_line(Version::HTTP_11, 200, b"OK").unwrap();
    for (name, value) in
        [("connection", "x"), ("transfer-encoding", "chunked"), ("content-length", "9"), ("a", "b")]
    {
        head.headers.add(name.as_bytes(), value.as_bytes()).unwrap();
    }
    let response = write_response(&head, Framing::Chunked);
    let names: Vec<&str> = response.headers().keys().map(HeaderName::as_str).collect();
    assert_eq!(names, ["a"]);
    let response = write_response(&head, Framing::Length(2));
    assert_eq!(response.headers().get("content-length").unwrap(), "2");
}

#[test]
fn a_request_to_a_server_names_host_and_path() {
    let head = read("GET", "https://a.example/p", &[("te", "trailers")], true);
    let request = write_request(&head, "http", false).unwrap();
    assert_eq!(request.uri().to_string(), "https://a.example/p");
    assert!(request.headers().get("host").is_none());
    assert_eq!(request.headers().get("te").unwrap(), "trailers");
}

#[test]
fn a_response_without_length_is_chunked_for_http_1() {
    let request = read("GET", "http://h/", &[], true);
    let mut head = ResponseHead::default();
    let mut framing = |status: u16, fields: &[(&str, &str)], ended| {
        let mut map = HeaderMap::new();
        for (name, value) in fields {
            map.append(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        let status = StatusCode::from_u16(status).unwrap();
        read_response(&mut head, status, &map, ended, &request, &Limits::default()).unwrap();
        head.framing()
    };
    assert_eq!(framing(200, &[], false), Framing::Chunked);
    assert_eq!(framing(200, &[("content-length", "3")], false), Framing::Length(3));
    assert_eq!(framing(200, &[], true), Framing::Length(0));
    assert_eq!(framing(304, &[("content-length", "3")], true), Framing::None);
}

#[test]
fn trailers_go_both_ways_without_framing_fields() {
    let fields = trailer_fields(b"grpc-status: 0\r\ncontent-length: 3\r\nX-A: b\r\n").unwrap();
    assert_eq!(trailer_lines(&fields), b"grpc-status: 0\r\nx-a: b\r\n");
    assert!(trailer_fields(b"").is_none());
}
