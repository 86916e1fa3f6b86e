//! `option splice-request`, `splice-response`, `splice-auto`: nothing is lost, doubled or mixed up on the way through pipes.

use super::*;

const LENGTH: usize = 3_000_000;

/// Bytes that show where they belong.
fn pattern() -> Vec<u8> {
    (0..LENGTH).map(|at| (at / 7 % 251) as u8).collect()
}

fn spliced(mode: Mode, server: SocketAddr) -> Proxyd {
    let mut proxy = listen(&[server]);
    proxy.mode = mode;
    proxy.options.splice_request = true;
    proxy.options.splice_response = true;
    Proxyd::start(vec![proxy])
}

fn read_exactly(client: &mut Client, count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    client.stream.read_exact(&mut bytes).unwrap();
    bytes
}

#[test]
fn a_long_response_and_the_next_request() {
    let origin = Origin::new();
    let proxyd = spliced(Mode::Http, origin.address());
    let server = std::thread::spawn(move || {
        let mut server = origin.accept();
        for _ in 0..2 {
            server.head();
            server.send(&format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n"));
            server.stream.get_mut().write_all(&pattern()).unwrap();
        }
    });
    let mut client = proxyd.client();
    for _ in 0..2 {
        client.send("GET / HTTP/1.1\r\nhost: h\r\n\r\n");
        assert!(client.head().contains("content-length"));
        assert!(read_exactly(&mut client, LENGTH) == pattern());
    }
    server.join().unwrap();
}

#[test]
fn a_long_request() {
    let origin = Origin::new();
    let proxyd = spliced(Mode::Http, origin.address());
    let mut client = proxyd.client();
    let sender = std::thread::spawn(move || {
        client.send(&format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: {LENGTH}\r\n\r\n"));
        client.stream.get_mut().write_all(&pattern()).unwrap();
        client.head()
    });
    let mut server = origin.accept();
    server.head();
    assert!(read_exactly(&mut server, LENGTH) == pattern());
    server.send("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n");
    assert!(sender.join().unwrap().starts_with("HTTP/1.1 200"));
}

#[test]
fn a_relay_both_ways_and_its_end() {
    let origin = Origin::new();
    let proxyd = spliced(Mode::Tcp, origin.address());
    let server = std::thread::spawn(move || {
        let mut server = origin.accept();
        assert_eq!(server.bytes(5), "small");
        server.stream.get_mut().write_all(&pattern()).unwrap();
        let mut rest = Vec::new();
        server.stream.read_to_end(&mut rest).unwrap();
        server.send("bye");
        rest
    });
    let mut client = proxyd.client();
    client.send("small");
    assert!(read_exactly(&mut client, LENGTH) == pattern());
    client.stream.get_mut().write_all(&pattern()).unwrap();
    client.finish_sending();
    assert_eq!(client.rest(), "bye");
    assert!(server.join().unwrap() == pattern());
}

#[test]
fn a_client_that_leaves_in_the_middle() {
    let origin = Origin::new();
    let proxyd = spliced(Mode::Tcp, origin.address());
    let client = proxyd.client();
    let mut server = origin.accept();
    let sender = std::thread::spawn(move || server.stream.get_mut().write_all(&pattern()).is_err());
    drop(client);
    sender.join().unwrap();
    // The proxy lives on and serves the next one.
    let mut client = proxyd.client();
    client.send("x");
    client.finish_sending();
}

/// Chunks of 1, 100,000 and 1,000,000 bytes both ways; counted for `show stat`.
#[test]
fn chunked_bodies_pass_through_pipes() {
    let origin = Origin::new();
    let proxyd = spliced(Mode::Http, origin.address());
    let sizes = [1, 100_000, 1_000_000, 100];
    let body = pattern();
    let send = move |to: &mut Client| {
        let mut at = 0;
        for size in sizes {
            to.send(&format!("{size:x};ext\r\n"));
            to.stream.get_mut().write_all(&pattern()[at..at + size]).unwrap();
            to.send("\r\n");
            at += size;
        }
        to.send("0\r\n\r\n");
    };
    let receive = |from: &mut Client| {
        let mut whole = Vec::new();
        loop {
            let mut line = String::new();
            from.stream.read_line(&mut line).unwrap();
            let size = usize::from_str_radix(line.trim_end(), 16).unwrap();
            whole.extend_from_slice(&read_exactly(from, size));
            assert_eq!(from.bytes(2), "\r\n");
            if size == 0 {
                return whole;
            }
        }
    };
    let mut client = proxyd.client();
    let server = std::thread::spawn(move || {
        let mut server = origin.accept();
        server.head();
        let got = receive(&mut server);
        server.send("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
        send(&mut server);
        got
    });
    client.send("POST / HTTP/1.1\r\nhost: h\r\ntransfer-encoding: chunked\r\n\r\n");
    send(&mut client);
    client.head();
    let total: usize = sizes.iter().sum();
    assert!(receive(&mut client) == body[..total]);
    assert!(server.join().unwrap() == body[..total]);
    drop(client);
    let end = std::time::Instant::now() + PATIENCE;
    let counters = &proxyd.backend().counters;
    while counters.value(Counter::SplicedIn) == 0 || counters.value(Counter::SplicedOut) == 0 {
        assert!(std::time::Instant::now() < end, "nothing went through a pipe");
        std::thread::yield_now();
    }
}

/// A client that does not read must not keep the thread from the others.
#[test]
fn a_slow_reader_does_not_stop_the_thread() {
    let origin = Origin::new();
    let proxyd = spliced(Mode::Tcp, origin.address());
    let mut slow = proxyd.client();
    let mut server = origin.accept();
    server.stream.get_mut().set_nonblocking(true).unwrap();
    let fill = |server: &mut Client| {
        let end = std::time::Instant::now() + PATIENCE;
        let (mut sent, mut refused) = (0, 0);
        // Until every buffer on the way is full.
        while refused < 1000 {
            assert!(std::time::Instant::now() < end);
            match server.stream.get_mut().write(&[7; 65536]) {
                Ok(count) => (sent, refused) = (sent + count, 0),
                Err(_) => refused += 1,
            }
            std::thread::yield_now();
        }
        sent
    };
    let sent = fill(&mut server);
    let mut other = proxyd.client();
    other.send("hello");
    assert_eq!(origin.accept().bytes(5), "hello");
    // And what it has not read is still there.
    assert!(read_exactly(&mut slow, sent).iter().all(|byte| *byte == 7));
}
