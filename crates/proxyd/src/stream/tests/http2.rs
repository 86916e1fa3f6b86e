//! HTTP/2 clients: their requests are those of HTTP/1 to rules and servers.

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request, Response};

use super::*;

/// Runs a client's part; nothing in it waits longer than a failure takes.
fn run<T>(part: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(PATIENCE, part).await.unwrap() })
}

/// A client whose connection is driven beside the test.
async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    requests
}

fn get(path: &str) -> Request<()> {
    Request::get(format!("http://a.example{path}")).body(()).unwrap()
}

/// The whole body and what follows it.
async fn body(response: Response<h2::RecvStream>) -> (String, Option<HeaderMap>) {
    let mut body = response.into_body();
    let mut text = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        text.extend_from_slice(&data);
    }
    (String::from_utf8(text).unwrap(), body.trailers().await.unwrap())
}

/// Plays the server: each answer goes to one request head, which is given back.
fn serve(origin: Origin, answers: Vec<String>) -> std::thread::JoinHandle<Vec<String>> {
    std::thread::spawn(move || {
        let mut server = origin.accept();
        let answer = |text: String| {
            let head = server.head();
            server.send(&text);
            head
        };
        answers.into_iter().map(answer).collect()
    })
}

#[test]
fn a_request_reaches_an_http_1_server_and_its_answer_comes_back() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let serving = serve(origin, vec!["HTTP/1.1 200 OK\r\ncontent-length: 2\r\nx: y\r\n\r\nok".to_owned()]);
    run(async {
        let mut client = connect(proxyd.address()).await;
        let response = client.send_request(get("/p?q=1"), true).unwrap().0.await.unwrap();
        assert_eq!((response.status().as_u16(), response.headers()["x"].as_bytes()), (200, &b"y"[..]));
        assert_eq!(body(response).await, ("ok".to_owned(), None));
    });
    let heads = serving.join().unwrap();
    assert_eq!(heads[0], "GET /p?q=1 HTTP/1.1\r\nhost: a.example\r\n\r\n");
    let frontend = proxyd.snapshot.frontends().next().unwrap();
    assert_eq!(frontend.counters.value(Counter::Http2Requests), 1);
}

#[test]
fn a_chunked_answer_has_its_trailers_and_interim_answers_come_first() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let answer = "HTTP/1.1 103 Early Hints\r\nlink: a\r\n\r\nHTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n\
                  5\r\nhello\r\n0\r\nx-t: v\r\n\r\n";
    let serving = serve(origin, vec![answer.to_owned()]);
    run(async {
        let mut client = connect(proxyd.address()).await;
        let mut response = client.send_request(get("/"), true).unwrap().0;
        let interim = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!((interim.status().as_u16(), interim.headers()["link"].as_bytes()), (103, &b"a"[..]));
        let (text, trailers) = body(response.await.unwrap()).await;
        assert_eq!(text, "hello");
        assert_eq!(trailers.unwrap()["x-t"], "v");
    });
    serving.join().unwrap();
}

#[test]
fn a_body_without_length_goes_to_the_server_in_chunks_with_its_trailers() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let serving = std::thread::spawn(move || {
        let mut server = origin.accept();
        let head = server.head();
        let expected = "5\r\nhello\r\n0\r\nx-t: v\r\n\r\n";
        assert_eq!(server.bytes(expected.len()), expected);
        server.send("HTTP/1.1 204 No Content\r\n\r\n");
        head
    });
    run(async {
        let mut client = connect(proxyd.address()).await;
        let request = Request::post("http://a.example/").body(()).unwrap();
        let (response, mut upload) = client.send_request(request, false).unwrap();
        upload.send_data("hello".into(), false).unwrap();
        let mut trailers = HeaderMap::new();
        trailers.insert("x-t", "v".parse().unwrap());
        upload.send_trailers(trailers).unwrap();
        assert_eq!(response.await.unwrap().status().as_u16(), 204);
    });
    assert!(serving.join().unwrap().contains("transfer-encoding: chunked\r\n"));
}

#[test]
fn requests_of_one_connection_are_served_at_the_same_time() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let serving = std::thread::spawn(move || {
        let (mut first, mut second) = (origin.accept(), origin.accept());
        let heads = [first.head(), second.head()];
        // The last one is answered first.
        for (server, head) in [(&mut second, &heads[1]), (&mut first, &heads[0])] {
            let path = head.split(' ').nth(1).unwrap();
            server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{path}", path.len()));
        }
    });
    run(async {
        let mut client = connect(proxyd.address()).await;
        let one = client.send_request(get("/one"), true).unwrap().0;
        let two = client.send_request(get("/two"), true).unwrap().0;
        assert_eq!(body(two.await.unwrap()).await.0, "/two");
        assert_eq!(body(one.await.unwrap()).await.0, "/one");
    });
    serving.join().unwrap();
}

#[test]
fn a_client_that_takes_nothing_stops_the_server() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    const SIZE: usize = 64 << 20;
    let serving = std::thread::spawn(move || {
        let mut server = origin.accept();
        server.head();
        server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {SIZE}\r\n\r\n"));
        let stream = server.stream.get_mut();
        stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
        let chunk = vec![b'x'; 1 << 16];
        let mut sent = 0;
        while let Ok(count) = stream.write(&chunk) {
            sent += count;
        }
        sent
    });
    run(async {
        let mut client = connect(proxyd.address()).await;
        let response = client.send_request(get("/"), true).unwrap().0.await.unwrap();
        let sent = tokio::task::spawn_blocking(move || serving.join().unwrap()).await.unwrap();
        assert!(sent < SIZE / 2, "{sent} bytes were taken although the window is closed");
        drop(response);
    });
}

#[test]
fn a_reset_stream_ends_its_request_and_no_other() {
    let origin = Origin::new();
    let mut proxy = listen(&[origin.address()]);
    proxy.options.abortonclose = true;
    let proxyd = Proxyd::start(vec![proxy]);
    run(async {
        let mut client = connect(proxyd.address()).await;
        let (first, mut handle) = client.send_request(get("/first"), true).unwrap();
        let mut server = tokio::task::spawn_blocking({
            let origin = origin.listener.try_clone().unwrap();
            move || {
                let mut server = Client::over(origin.accept().unwrap().0);
                assert!(server.head().starts_with("GET /first "));
                server
            }
        })
        .await
        .unwrap();
        handle.send_reset(h2::Reason::CANCEL);
        drop(first);
        let second = client.send_request(get("/second"), true).unwrap().0;
        let serving = serve(origin, vec!["HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n".to_owned()]);
        assert_eq!(second.await.unwrap().status().as_u16(), 200);
        tokio::task::spawn_blocking(move || {
            assert_eq!(server.rest(), "", "the first server connection is closed");
            serving.join().unwrap()
        })
        .await
        .unwrap();
    });
}

#[test]
fn a_reply_of_the_proxy_is_an_http_2_one() {
    let mut proxy = listen(&[closed_port()]);
    proxy.monitor_uri = Some("/alive".to_owned());
    proxy.retries = 0;
    let proxyd = Proxyd::start(vec![proxy]);
    run(async {
        let mut client = connect(proxyd.address()).await;
        let response = client.send_request(get("/alive"), true).unwrap().0.await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        let response = client.send_request(get("/"), true).unwrap().0.await.unwrap();
        assert_eq!(response.status().as_u16(), 503);
        assert!(body(response).await.0.contains("503 Service Unavailable"));
    });
}

#[test]
fn an_idle_connection_is_told_to_go_after_timeout_http_keep_alive() {
    let mut proxy = listen(&[closed_port()]);
    proxy.monitor_uri = Some("/alive".to_owned());
    proxy.timeouts.http_keep_alive = Some(Duration::from_millis(30));
    let proxyd = Proxyd::start(vec![proxy]);
    run(async {
        let stream = tokio::net::TcpStream::connect(proxyd.address()).await.unwrap();
        let (mut client, connection) = h2::client::handshake(stream).await.unwrap();
        let connection = tokio::spawn(connection);
        client.send_request(get("/alive"), true).unwrap().0.await.unwrap();
        connection.await.unwrap().unwrap();
    });
}

#[test]
fn a_websocket_over_http_2_is_an_upgrade_for_the_server() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen(&[origin.address()])]);
    let serving = std::thread::spawn(move || {
        let mut server = origin.accept();
        let head = server.head();
        server
            .send("HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\nhi");
        assert_eq!(server.bytes(4), "ping");
        server.send("pong");
        assert_eq!(server.rest(), "");
        head
    });
    run(async {
        let mut client = connect(proxyd.address()).await;
        let mut ready = client.clone();
        std::future::poll_fn(|cx| ready.poll_ready(cx)).await.unwrap();
        while !client.is_extended_connect_protocol_enabled() {
            tokio::task::yield_now().await;
        }
        let mut request = Request::connect("http://a.example/chat").body(()).unwrap();
        request.extensions_mut().insert(h2::ext::Protocol::from_static("websocket"));
        let (response, mut upload) = client.send_request(request, false).unwrap();
        let response = response.await.unwrap();
        assert_eq!(response.status().as_u16(), 200);
        upload.send_data("ping".into(), true).unwrap();
        assert_eq!(body(response).await.0, "hipong");
    });
    let head = serving.join().unwrap();
    assert!(head.starts_with("GET /chat HTTP/1.1\r\n") && head.contains("upgrade: websocket\r\n"), "{head}");
}

#[test]
fn garbage_after_the_preface_ends_the_connection() {
    let proxyd = Proxyd::start(vec![listen(&[closed_port()])]);
    let mut client = proxyd.client();
    client.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
    client.send(&"garbage ".repeat(10));
    let mut rest = Vec::new();
    let _ = client.stream.read_to_end(&mut rest);
    assert!(!rest.is_empty(), "settings, then GOAWAY");
}

#[test]
fn the_preface_may_come_in_single_bytes() {
    let mut proxy = listen(&[closed_port()]);
    proxy.monitor_uri = Some("/alive".to_owned());
    let proxyd = Proxyd::start(vec![proxy]);
    let mut client = proxyd.client();
    for byte in "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".bytes() {
        client.stream.get_mut().write_all(&[byte]).unwrap();
    }
    // SETTINGS of both sides.
    client.stream.get_mut().write_all(&[0, 0, 0, 4, 0, 0, 0, 0, 0]).unwrap();
    let mut frame = [0; 9];
    client.stream.read_exact(&mut frame).unwrap();
    assert_eq!(frame[3], 4, "a SETTINGS frame");
}

/// Plays an HTTP/2 server: every request gets 200 with its path as the body, until the client goes.
fn http2_origin(origin: Origin) -> std::thread::JoinHandle<usize> {
    std::thread::spawn(move || {
        run(async {
            origin.listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(origin.listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut count = 0;
            while let Some(Ok((request, mut respond))) = connection.accept().await {
                count += 1;
                tokio::spawn(async move {
                    let path = request.uri().path().to_owned();
                    let mut received = 0;
                    let mut upload = request.into_body();
                    while let Some(Ok(data)) = upload.data().await {
                        upload.flow_control().release_capacity(data.len()).unwrap();
                        received += data.len();
                    }
                    let mut body = respond.send_response(Response::new(()), false).unwrap();
                    body.send_data(format!("{path} {received}").into(), false).unwrap();
                    let mut trailers = HeaderMap::new();
                    trailers.insert("grpc-status", "0".parse().unwrap());
                    body.send_trailers(trailers).unwrap();
                });
            }
            count
        })
    })
}

fn listen_h2(origin: &Origin) -> Proxy {
    let mut proxy = listen(&[origin.address()]);
    proxy.servers[0].protocol = Some("h2".to_owned());
    proxy.http_reuse = HttpReuse::Always;
    proxy
}

#[test]
fn requests_to_an_http_2_server_share_a_connection_and_keep_their_trailers() {
    let origin = Origin::new();
    let mut proxy = listen_h2(&origin);
    // One thread shares its connections.
    proxy.servers[0].pool_purge_delay = Duration::from_millis(1);
    let proxyd = Proxyd::start(vec![proxy]);
    let serving = http2_origin(origin);
    run(async {
        let mut client = connect(proxyd.address()).await;
        let upload = Request::post("http://a.example/up").body(()).unwrap();
        let (first, mut sending) = client.send_request(upload, false).unwrap();
        sending.send_data("hello".into(), true).unwrap();
        let (text, trailers) = body(first.await.unwrap()).await;
        assert_eq!((text.as_str(), trailers.unwrap()["grpc-status"].as_bytes()), ("/up 5", &b"0"[..]));
        for path in ["/a", "/b"] {
            let response = client.send_request(get(path), true).unwrap().0.await.unwrap();
            assert_eq!(body(response).await.0, format!("{path} 0"));
        }
    });
    assert_eq!(proxyd.backend().counters.value(Counter::Connects), 1);
    drop(proxyd);
    assert_eq!(serving.join().unwrap(), 3);
}

#[test]
fn an_http_1_client_gets_an_http_2_servers_answer_in_chunks() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen_h2(&origin)]);
    let serving = http2_origin(origin);
    let mut client = proxyd.client();
    for _ in 0..2 {
        client.send("POST /x HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        let head = client.head();
        assert!(
            head.starts_with("HTTP/1.1 200") && head.contains("transfer-encoding: chunked\r\n"),
            "{head}"
        );
        let expected = "4\r\n/x 3\r\n0\r\ngrpc-status: 0\r\n\r\n";
        assert_eq!(client.bytes(expected.len()), expected);
    }
    drop((client, proxyd));
    assert_eq!(serving.join().unwrap(), 2);
}

#[test]
fn a_request_that_a_server_refused_is_sent_again() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen_h2(&origin)]);
    let serving = std::thread::spawn(move || {
        run(async {
            origin.listener.set_nonblocking(true).unwrap();
            let listener = tokio::net::TcpListener::from_std(origin.listener).unwrap();
            let (stream, _) = listener.accept().await.unwrap();
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let mut refused = false;
            while let Some(Ok((_, mut respond))) = connection.accept().await {
                if std::mem::replace(&mut refused, true) {
                    respond.send_response(Response::new(()), true).unwrap();
                } else {
                    respond.send_reset(h2::Reason::REFUSED_STREAM);
                }
            }
        });
    });
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let head = client.head();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    drop((client, proxyd));
    serving.join().unwrap();
}

#[test]
fn a_server_that_waits_for_the_preface_gets_it_at_once() {
    let origin = Origin::new();
    let proxyd = Proxyd::start(vec![listen_h2(&origin)]);
    let mut client = proxyd.client();
    client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
    let mut server = origin.accept();
    assert_eq!(server.bytes(24), "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
}
