//! Responses beside the genuine haproxy: which heads a client gets, and which become 502.
//!
//! Seeded like `http_oracle`, with the same variables; only heads are compared, bodies are that test's matter.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxyd::http::h1::{
    ChunkDecoder, ChunkStep, ConnectionField, EncodePlan, Limits, Parsed, ResponseContext, encode_response,
    parse_response,
};
use proxyd::http::{Framing, ResponseHead, Version};
use testkit::environment;
use testkit::oracle::Bench;

const CONFIGURATION: &str = "
defaults
    mode http
    retries 0
    timeout connect 1s
    timeout client 2s
    timeout server 300ms
frontend web
    bind @LISTEN@
    default_backend app
backend app
    http-reuse never
    server s1 @ORIGIN@
";

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

/// The head that a 1.1 client gets, or `None` for 502.
fn ours(response: &[u8]) -> Option<Vec<u8>> {
    let mut head = ResponseHead::default();
    let parsed = parse_response(&mut head, response, ResponseContext::default(), &Limits::default());
    let Parsed::Head { consumed } = parsed else { return None };
    // A body that is wrong in the first buffer is found before the head leaves.
    if head.framing() == Framing::Chunked && !chunks_are_right(&response[consumed..]) {
        return None;
    }
    let connection =
        ConnectionField::for_response(&head, Version::HTTP_11, head.wants_keep_alive_with_client());
    let mut out = Vec::new();
    encode_response(&head, &mut out, EncodePlan { connection, framing: head.framing() });
    Some(out)
}

fn chunks_are_right(mut body: &[u8]) -> bool {
    let mut decoder = ChunkDecoder::default();
    loop {
        match decoder.decode(body, &Limits::default()) {
            Ok(ChunkStep::Data { data }) => body = &body[data.end..],
            Ok(_) => return true,
            Err(_) => return false,
        }
    }
}

/// What the client's connection depends on: the framing alone, the server's wish is the server's.
trait ClientSide {
    fn wants_keep_alive_with_client(&self) -> bool;
}

impl ClientSide for ResponseHead {
    fn wants_keep_alive_with_client(&self) -> bool {
        let old_chunked = self.version() < Version::HTTP_11 && self.framing() == Framing::Chunked;
        self.framing().is_self_delimited() && !old_chunked
    }
}

fn origin(response: Arc<Mutex<Vec<u8>>>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
            let mut seen = Vec::new();
            let mut buffer = [0; 4096];
            while !seen.ends_with(b"\r\n\r\n") {
                match stream.read(&mut buffer) {
                    Ok(0) | Err(_) => break,
                    Ok(length) => seen.extend_from_slice(&buffer[..length]),
                }
            }
            let bytes = response.lock().unwrap().clone();
            let _ = stream.write_all(&bytes);
        }
    });
    address
}

fn theirs(address: SocketAddr) -> Option<Vec<u8>> {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
    stream.write_all(REQUEST).unwrap();
    let _ = stream.shutdown(Shutdown::Write);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").map_or(answer.len(), |at| at + 4);
    answer.truncate(end);
    if answer.starts_with(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 107") { None } else { Some(answer) }
}

/// Where we differ on purpose: a status that is not three digits from 100 up, odd lengths and codings (see
/// `http_oracle`), and a body so broken that haproxy finds out before the head has left.
fn deliberate(response: &[u8]) -> bool {
    let lower = response.to_ascii_lowercase();
    let has = |text: &[u8]| lower.windows(text.len()).any(|window| window == text);
    let line =
        response.split(|&byte| byte == b'\n').find(|line| !line.trim_ascii().is_empty()).unwrap_or_default();
    let status = line.split(|byte| matches!(byte, b' ' | b'\t')).filter(|part| !part.is_empty()).nth(1);
    let digits = status.unwrap_or_default().trim_ascii();
    let odd_status = digits.iter().all(u8::is_ascii_digit) && (digits.len() != 3 || digits.starts_with(b"0"));
    // 2.6 takes any four capitals or digits for HTTP; an interim head needs a final one behind it.
    let other_protocol = !line.starts_with(b"HTTP/") && line.get(4) == Some(&b'/');
    let interim = digits.starts_with(b"1") && digits != b"101";
    odd_status
        || other_protocol
        || interim
        || has(b"chunked,")
        || is_incomplete(response)
        || has(b"transfer-encoding") && has(b"\r\n\r\n2x")
}

/// The client has left when an incomplete head ends, and haproxy may answer to that instead.
fn is_incomplete(response: &[u8]) -> bool {
    let mut head = ResponseHead::default();
    parse_response(&mut head, response, ResponseContext::default(), &Limits::default()) == Parsed::Incomplete
}

fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "HTTP/1.1 200 OK",
        "HTTP/1.0 200 OK",
        "HTTP/1.1 200",
        "HTTP/1.1 200 ",
        "HTTP/1.1  404  Not there",
        "HTTP/1.1 204 No",
        "HTTP/1.1 304 Not Modified",
        "HTTP/1.5 200 OK",
        "HTTP/2.0 200 OK",
        "http/1.1 200 OK",
        "ICY 200 OK",
        "HTTP/1.1 abc OK",
        "HTTP/1.1 999 OK",
        "HTTP/1.1 101 Sw",
        "HTTP/1.1 500 O\u{e9}",
    ];
    let fields = [
        "Content-Length: 2\r\n",
        "",
        "Transfer-Encoding: chunked\r\n",
        "Content-Length: 2\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nContent-Length: 3\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "Transfer-Encoding: gzip\r\n",
        "Content-Length: 2\r\nConnection: close\r\n",
        "Content-Length: 2\r\nConnection: keep-alive, X-Foo\r\n",
        "Content-Length: 2\r\nX: a\r\n b\r\n",
        "Content-Length : 2\r\n",
        "X(: 2\r\n",
        "Upgrade: x\r\nConnection: upgrade\r\nContent-Length: 2\r\n",
        "Content-Length: 2\r\nSet-Cookie: a=b; path=/\r\n",
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        for field in fields {
            let body = if field.contains("chunked") { "2\r\nok\r\n0\r\n\r\n" } else { "ok" };
            all.push(format!("{line}\r\n{field}\r\n{body}").into_bytes());
        }
    }
    all
}

fn below(state: &mut u64, limit: usize) -> usize {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    (*state >> 11) as usize % limit.max(1)
}

fn mutate(state: &mut u64, seeds: &[Vec<u8>]) -> Vec<u8> {
    const INTERESTING: &[u8] = b"\t\n\r \"(,-0129:;AZ_az~\x7f\x80";
    let mut bytes = seeds[below(state, seeds.len())].clone();
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(0) + 2;
    for _ in 0..=below(state, 2) {
        let at = below(state, head.min(bytes.len()));
        let byte = INTERESTING[below(state, INTERESTING.len())];
        match below(state, 3) {
            0 => bytes.insert(at, byte),
            1 => bytes[at] = byte,
            _ => drop(bytes.remove(at)),
        }
    }
    bytes
}

#[test]
fn responses_become_the_same_heads() {
    let Some(program) = environment::installed("haproxy") else {
        environment::skip("responses_become_the_same_heads", "the genuine haproxy is not installed");
        return;
    };
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (cases, mut state) = (number("HTTP_ORACLE_CASES", 1000), number("HTTP_ORACLE_SEED", 20_261_122));
    println!("seed {state}, {cases} mutated cases");
    let current: Arc<Mutex<Vec<u8>>> = Arc::default();
    let bench = Bench::start(&program, CONFIGURATION, origin(Arc::clone(&current))).unwrap();
    let seeds = seeds();
    let mutated: Vec<Vec<u8>> = (0..cases).map(|_| mutate(&mut state, &seeds)).collect();
    let (mut passed, mut refused, mut differences) = (0, 0, Vec::new());
    for response in seeds.iter().chain(&mutated).filter(|response| !deliberate(response)) {
        current.lock().unwrap().clone_from(response);
        let mine = ours(response);
        let genuine = theirs(bench.address);
        match mine {
            Some(_) => passed += 1,
            None => refused += 1,
        }
        if mine != genuine {
            let show = |head: &Option<Vec<u8>>| {
                head.as_ref().map_or("502".into(), |head| head.escape_ascii().to_string())
            };
            differences.push(format!(
                "{}\n  ours   {}\n  theirs {}",
                response.escape_ascii(),
                show(&mine),
                show(&genuine)
            ));
        }
    }
    println!("{passed} passed on, {refused} refused");
    assert!(differences.is_empty(), "{} differences:\n{}", differences.len(), differences.join("\n"));
}
