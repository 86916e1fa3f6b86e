//! Connections, their time-outs, and what is said before the check itself; the agent.

use super::*;

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
        (Program::default(), "ECONNREFUSED returned by OS (Connection refused)"),
        (tcp_check(vec![]), "ECONNREFUSED returned by OS (Connection refused)"),
        (httpchk(vec![]), "ECONNREFUSED returned by OS (Connection refused)"),
        (builtin::redis(), "ECONNREFUSED returned by OS (Connection refused)"),
        (builtin::smtp("HELO localhost"), "ECONNREFUSED returned by OS (Connection refused)"),
        (
            tcp_check(vec![expect(string("a"))]),
            "ECONNREFUSED returned by OS (Connection refused) at initial connection step of tcp-check",
        ),
        (
            tcp_check(vec![commented, expect(string("a"))]),
            "ECONNREFUSED returned by OS (Connection refused) at step 1 of tcp-check (connect) comment: 'abc'",
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
    let target =
        Target { socks4: Some(proxy), via_socks4: true, ..Target::tcp("192.0.2.7:6379".parse().unwrap()) };
    const REQUEST: &[u8] = b"\x04\x01\x18\xeb\xc0\0\x02\x07HAProxy\0";
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

/// Whatever a server does, the check ends in its time, with the word of its layer and little memory.
#[tokio::test]
async fn a_byte_now_and_then_is_a_time_out_on_time() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let target = Target::tcp(listener.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                for byte in b"HTTP/1.1 200 OK\r\n".iter().cycle() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    if stream.write_all(&[*byte]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    let limit = Duration::from_millis(200);
    let timeouts = Timeouts::new(limit, None, None);
    for program in [
        httpchk(vec![]),
        tcp_check(vec![expect(string("never"))]),
        builtin::smtp("HELO localhost"),
        builtin::pgsql("bob"),
    ] {
        let start = Instant::now();
        let result = run(&program, &target, &timeouts, &up()).await;
        let took = start.elapsed();
        assert!(matches!(result.status.word(), "L7TOUT" | "L7RSP" | "L7STS"), "{program:?} {result:?}");
        assert!(took < limit + Duration::from_secs(1), "{program:?} took {took:?}");
    }
}

#[tokio::test]
async fn an_unreachable_network_is_a_layer_4_problem_at_once() {
    // TEST-NET-1 through an address that no interface has: the socket cannot even be bound.
    let target = Target { source: Some("192.0.2.1".parse().unwrap()), ..Target::tcp(closed_port().await) };
    let result = tcp(&target, &Timeouts::new(LONG, None, None)).await;
    assert_eq!(result.status.word(), "L4CON");
    assert!(result.description.starts_with("General socket error ("), "{result:?}");
}
