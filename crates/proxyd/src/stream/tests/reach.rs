//! How servers are reached: through what, from where, beginning with what; and requests that do not reach any.

use super::request_keywords::configured;
use super::*;

const GET: &str = "GET / HTTP/1.1\r\nhost: h\r\n\r\n";
const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n";

fn read(client: &mut Client, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.stream.read_exact(&mut bytes).unwrap();
    bytes
}

/// A proxy with these lines and one request to it; gives the client.
fn request(lines: &str, text: &str) -> (Proxyd, Client) {
    let proxyd = Proxyd::start(vec![configured(lines)]);
    let mut client = proxyd.client();
    client.send(text);
    (proxyd, client)
}

#[test]
fn socks4_goes_before_the_proxy_header_and_the_request() {
    let socks = Origin::new();
    let line = format!(" server s0 192.0.2.7:80 socks4 {} send-proxy\n", socks.address());
    let (_proxyd, mut client) = request(&line, GET);
    let mut proxy = socks.accept();
    assert_eq!(read(&mut proxy, 16), b"\x04\x01\0P\xc0\0\x02\x07HAProxy\0");
    proxy.stream.get_mut().write_all(b"\0\x5a\0\0\0\0\0\0").unwrap();
    let head = proxy.head();
    assert!(head.starts_with("PROXY TCP4 127.0.0.1 127.0.0.1 "), "{head}");
    assert!(head.ends_with(GET), "{head}");
    proxy.send(OK);
    assert!(client.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_socks4_refusal_is_a_failed_connection() {
    let socks = Origin::new();
    let line = format!(" retries 0\n server s0 192.0.2.7:80 socks4 {}\n", socks.address());
    let (_proxyd, mut client) = request(&line, GET);
    let mut proxy = socks.accept();
    read(&mut proxy, 16);
    proxy.stream.get_mut().write_all(b"\0\x5b\0\0\0\0\0\0").unwrap();
    assert!(client.head().starts_with("HTTP/1.1 503"));
    let line = format!(" retries 0\n server s0 [2001:db8::1]:80 socks4 {}\n", socks.address());
    assert!(request(&line, GET).1.head().starts_with("HTTP/1.1 503"), "SOCKS4 has no IPv6");
}

/// Needs the right to bind to foreign addresses; without it there is nothing to see.
#[test]
fn usesrc_shows_the_server_another_address() {
    let privileged = nix::unistd::Uid::effective().is_root();
    for (words, expected) in [
        ("127.0.0.9", "127.0.0.9"),
        ("clientip", "127.0.0.1"),
        ("hdr_ip(x-from)", "127.0.0.8"),
        ("hdr_ip(x-from,1)", "127.0.0.7"),
        ("hdr_ip(x-none)", "127.0.0.1"),
    ] {
        if !privileged {
            continue;
        }
        let origin = Origin::new();
        let line = format!(" server s0 {} source 0.0.0.0 usesrc {words}\n", origin.address());
        let text = "GET / HTTP/1.1\r\nhost: h\r\nx-from: 127.0.0.7, 127.0.0.8\r\n\r\n";
        let (_proxyd, _client) = request(&line, text);
        let (_, from) = origin.listener.accept().unwrap();
        assert_eq!(from.ip().to_string(), expected, "{words}");
    }
}

#[test]
fn source_binds_address_and_interface() {
    let origin = Origin::new();
    let line = format!(" server s0 {} source 127.0.0.5 interface lo\n", origin.address());
    let (_proxyd, _client) = request(&line, GET);
    assert_eq!(origin.listener.accept().unwrap().1.ip().to_string(), "127.0.0.5");
}

#[test]
fn tfo_cc_and_tcp_ut_do_not_keep_a_request_from_its_server() {
    let origin = Origin::new();
    let line = format!(" server s0 {} tfo cc reno tcp-ut 10s\n", origin.address());
    let (_proxyd, mut client) = request(&line, GET);
    let mut server = origin.accept();
    assert_eq!(server.head(), GET);
    server.send(OK);
    assert!(client.head().starts_with("HTTP/1.1 200"));
    // Nothing to say first: the connection is opened all the same.
    let line = format!(" mode tcp\n server s0 {} tfo\n", origin.address());
    let proxyd = Proxyd::start(vec![configured(&line)]);
    let mut client = proxyd.client();
    origin.accept().send("welcome");
    assert_eq!(client.bytes(7), "welcome");
}

#[test]
fn unix_and_abstract_sockets_on_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let mut inner = configured(&format!(" server s0 unix@{}\n", path.display()));
    let name = format!("proxyd-test-{}", std::process::id());
    inner.binds.push(Bind { address: Address::Abstract(name.clone()), ..inner.binds[0].clone() });
    let _inner = Proxyd::start(vec![inner]);
    let (_outer, mut client) = request(&format!(" server s0 abns@{name}\n"), GET);
    let (server, _) = listener.accept().unwrap();
    let mut server = BufReader::new(server);
    let mut line = String::new();
    server.read_line(&mut line).unwrap();
    assert_eq!(line, "GET / HTTP/1.1\r\n");
    server.get_mut().write_all(OK.as_bytes()).unwrap();
    assert!(client.head().starts_with("HTTP/1.1 200"));
}

#[test]
fn set_proxy_v2_tlv_fmt_and_crc32c_are_in_the_header() {
    let origin = Origin::new();
    let line = format!(
        " unique-id-format id-%[req.hdr(x-a)]\n server s0 {} send-proxy-v2 proxy-v2-options unique-id,crc32c set-proxy-v2-tlv-fmt(0xE1) own-%[req.hdr(x-a)]\n",
        origin.address()
    );
    let (_proxyd, _client) = request(&line, "GET / HTTP/1.1\r\nhost: h\r\nx-a: 7\r\n\r\n");
    let mut server = origin.accept();
    let fixed = read(&mut server, 16);
    let rest = read(&mut server, usize::from(u16::from_be_bytes([fixed[14], fixed[15]])));
    let all = [fixed, rest].concat();
    let header = hacore::proxy_protocol::decode(&all, 4096).unwrap().unwrap();
    let tlvs: Vec<(u8, Vec<u8>)> = header.tlvs().map(|tlv| (tlv.kind, tlv.value.to_vec())).collect();
    assert!(tlvs.contains(&(5, b"id-7".to_vec())) && tlvs.contains(&(0xe1, b"own-7".to_vec())), "{tlvs:?}");
    assert!(tlvs.iter().any(|(kind, _)| *kind == 3), "{tlvs:?}");
}

/// A TLS server gets the header before the handshake, whatever the connection has to say first.
#[test]
fn send_proxy_comes_before_tls() {
    let origin = Origin::new();
    let line = format!(" server s0 {} ssl verify none alpn XXX send-proxy\n", origin.address());
    let (_proxyd, _client) = request(&line, GET);
    let mut server = origin.accept();
    let mut header = String::new();
    server.stream.read_line(&mut header).unwrap();
    assert!(header.starts_with("PROXY TCP4 "), "{header}");
    assert_eq!(read(&mut server, 1), [22], "a TLS record of the handshake");
}

#[test]
fn a_port_of_zero_is_the_port_that_the_client_came_to() {
    let origin = Origin::new();
    let line = format!(" http-request set-dst-port hdr(x-port)\n server s0 {}:0\n", origin.address().ip());
    let text = format!("GET / HTTP/1.1\r\nhost: h\r\nx-port: {}\r\n\r\n", origin.address().port());
    let (_proxyd, _client) = request(&line, &text);
    assert!(origin.accept().head().starts_with("GET / "));
}

#[test]
fn dispatch_and_option_transparent_need_no_server() {
    let origin = Origin::new();
    let (proxyd, _client) = request(&format!(" dispatch {}\n", origin.address()), GET);
    assert!(origin.accept().head().starts_with("GET / "));
    assert!(proxyd.backend().servers[0].model.is_nameless());
    let address = origin.address();
    let lines = format!(
        " option transparent\n http-request set-dst src\n http-request set-dst-port int({})\n",
        address.port()
    );
    let (_proxyd, _client) = request(&lines, GET);
    assert!(origin.accept().head().starts_with("GET / "));
}

/// What HAProxy 2.6 answers for this line.
#[test]
fn redir_sends_gets_to_the_server_itself() {
    let origin = Origin::new();
    let line = format!(
        " http-response set-header x-r 1\n http-after-response set-header x-a 1\n server s0 {} redir http://other.example\n",
        origin.address()
    );
    let (proxyd, mut client) = request(&line, "GET /x?y=1 HTTP/1.1\r\nhost: h\r\n\r\n");
    assert_eq!(
        client.head(),
        "HTTP/1.1 302 Found\r\ncache-control: no-cache\r\ncontent-length: 0\r\nlocation: http://other.example/x?y=1\r\nx-a: 1\r\n\r\n"
    );
    client.send("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 0\r\n\r\n");
    assert!(origin.accept().head().starts_with("POST / "));
    drop(proxyd);
}

#[test]
fn option_checkcache_withholds_what_caches_would_keep_with_its_cookie() {
    for (fields, status) in [
        ("set-cookie: a=b\r\netag: x\r\n", 502),
        ("set-cookie: a=b\r\n", 200),
        ("etag: x\r\n", 200),
        ("set-cookie: a=b\r\netag: x\r\ncache-control: no-cache=\"set-cookie\"\r\n", 200),
    ] {
        let origin = Origin::new();
        let (_proxyd, mut client) =
            request(&format!(" option checkcache\n server s0 {}\n", origin.address()), GET);
        let mut server = origin.accept();
        server.head();
        server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n"));
        let head = client.head();
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{fields}: {head}");
    }
}

#[test]
fn cookie_nocache_only_speaks_where_caches_would_keep_the_answer() {
    for (fields, expected) in [("etag: x\r\n", true), ("", false), ("etag: x\r\npragma: no-cache\r\n", false)]
    {
        let origin = Origin::new();
        let lines = format!(
            " cookie C insert nocache\n http-response del-header set-cookie\n server s0 {} cookie A\n",
            origin.address()
        );
        let (_proxyd, mut client) = request(&lines, GET);
        let mut server = origin.accept();
        server.head();
        server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n"));
        let head = client.head();
        assert_eq!(head.contains("cache-control: private"), expected, "{fields}: {head}");
        assert!(head.contains("set-cookie: C=A"), "rules come before the cookie: {head}");
    }
}

#[test]
fn persist_rdp_cookie_finds_the_server_in_the_cookie() {
    let origins = [Origin::new(), Origin::new()];
    let [first, second] = [origins[0].address(), origins[1].address()];
    let lines = format!(
        " mode tcp\n tcp-request inspect-delay 10s\n tcp-request content accept if {{ req.rdp_cookie(msts) -m found }}\n persist rdp-cookie\n server s0 {first}\n server s1 {second}\n"
    );
    for (origin, address) in origins.iter().zip([first, second]).rev() {
        let proxyd = Proxyd::start(vec![configured(&lines)]);
        let mut client = proxyd.client();
        let ip = u32::from_le_bytes([127, 0, 0, 1]);
        let cookie = format!("Cookie: msts={ip}.{}.0000\r\n", address.port().swap_bytes());
        let length = u8::try_from(11 + cookie.len()).unwrap();
        let mut packet = vec![3, 0, 0, length, length - 5, 0xe0, 0, 0, 0, 0, 0];
        packet.extend_from_slice(cookie.as_bytes());
        client.stream.get_mut().write_all(&packet).unwrap();
        let mut server = origin.accept();
        assert_eq!(read(&mut server, packet.len()), packet);
    }
}

#[test]
fn res_body_of_a_chunked_response_is_its_data() {
    let origin = Origin::new();
    let lines = format!(
        " http-response wait-for-body time 10s\n http-response set-header x-body \"%[res.body]\"\n server s0 {}\n",
        origin.address()
    );
    let (_proxyd, mut client) = request(&lines, GET);
    let mut server = origin.accept();
    server.head();
    server.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n");
    let head = client.head();
    assert!(head.contains("x-body: abcde\r\n"), "{head}");
}

#[test]
fn balance_url_param_check_post_reads_chunked_bodies() {
    let origins = [Origin::new(), Origin::new()];
    let lines = format!(
        " balance url_param u check_post\n option http-buffer-request\n server s0 {}\n server s1 {}\n",
        origins[0].address(),
        origins[1].address()
    );
    let proxyd = Proxyd::start(vec![configured(&lines)]);
    let picked = |text: &str| {
        let mut client = proxyd.client();
        client.send(text);
        for origin in &origins {
            origin.listener.set_nonblocking(true).unwrap();
        }
        let end = std::time::Instant::now() + PATIENCE;
        loop {
            if let Some(at) = origins.iter().position(|origin| origin.listener.accept().is_ok()) {
                return at;
            }
            assert!(std::time::Instant::now() < end);
            std::thread::yield_now();
        }
    };
    for user in ["anna", "bert", "carla", "dora", "emil", "frida"] {
        let body = format!("x=1&u={user}");
        let plain = format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {}\r\n\r\n{body}", body.len());
        let (start, end) = body.split_at(5);
        let chunked = format!(
            "POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{start}\r\n{:x}\r\n{end}\r\n0\r\n\r\n",
            start.len(),
            end.len()
        );
        assert_eq!(picked(&plain), picked(&chunked), "{user}");
    }
}

#[test]
fn option_independent_streams_lets_a_server_that_only_takes_time_out() {
    let origin = Origin::new();
    let (lines, short) =
        (format!(" mode tcp\n server s0 {}\n", origin.address()), Duration::from_millis(300));
    // `None`: the machine was too busy to send in time, which proves nothing.
    let run = |independent: bool| {
        let mut proxy = configured(&lines);
        proxy.options.independent_streams = independent;
        proxy.timeouts.server = Some(short);
        let proxyd = Proxyd::start(vec![proxy]);
        let mut client = proxyd.client();
        let mut server = origin.accept();
        client.stream.get_mut().set_read_timeout(Some(short / 60)).unwrap();
        let begin = std::time::Instant::now();
        let (mut last, mut longest) = (begin, Duration::ZERO);
        // The client keeps sending; the server never says a word.
        while begin.elapsed() < 3 * short {
            if client.stream.get_mut().write_all(b"x").is_err() {
                break;
            }
            longest = longest.max(last.elapsed());
            last = std::time::Instant::now();
            // What comes back is nothing for a while, or the end.
            if client.stream.get_mut().read(&mut [0]).is_ok_and(|count| count == 0) {
                break;
            }
        }
        if longest > short / 3 {
            return None;
        }
        server.stream.get_mut().set_nonblocking(true).unwrap();
        let mut sink = [0; 4096];
        loop {
            match server.stream.get_mut().read(&mut sink) {
                Ok(0) => return Some(true),
                Ok(_) => {}
                Err(error) => return Some(error.kind() != std::io::ErrorKind::WouldBlock),
            }
        }
    };
    for independent in [true, false] {
        let outcome = (0..20).find_map(|_| run(independent));
        assert_eq!(outcome, Some(independent));
    }
}
