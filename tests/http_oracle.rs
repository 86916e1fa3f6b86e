//! The HTTP/1 codec beside the genuine haproxy: which requests are let through, and with which bytes.
//!
//! Each request goes through our parser and encoder and through haproxy in front of a recording origin. Verdicts must
//! agree, and for accepted requests the bytes that a server gets. The mutated ones come from a seed that is printed;
//! `HTTP_ORACLE_CASES` and `HTTP_ORACLE_SEED` change count and seed.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proxyd::http::h1::{
    ChunkDecoder, ChunkStep, ConnectionField, EncodePlan, Limits, Parsed, encode_request, encode_trailers,
    parse_request,
};
use proxyd::http::{Framing, RequestHead};
use testkit::environment;
use testkit::oracle::Bench;

const CONFIGURATION: &str = "
defaults
    mode http
    timeout connect 1s
    timeout client 2s
    timeout server 2s
    timeout http-request 300ms
frontend web
    bind @LISTEN@
    default_backend app
backend app
    http-reuse never
    server s1 @ORIGIN@
";

/// What happened to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Fate {
    Refused(u16),
    /// Not complete: the proxy waits, times out or sees the client leave.
    Incomplete,
    /// Head as the server gets it; body and trailers decoded.
    Forwarded {
        head: Vec<u8>,
        body: Vec<u8>,
        trailers: Vec<u8>,
    },
}

/// Our codec's part.
fn ours(request: &[u8]) -> Fate {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    let consumed = match parse_request(&mut head, request, &limits) {
        Parsed::Incomplete => return Fate::Incomplete,
        Parsed::Error(error) => return Fate::Refused(error.status()),
        Parsed::Head { consumed } => consumed,
    };
    let mut out = Vec::new();
    let connection = ConnectionField::for_request(&head, true);
    encode_request(&head, &mut out, EncodePlan { connection, framing: head.framing() });
    match decode_body(&request[consumed..], head.framing()) {
        Ok(Some((body, trailers))) => Fate::Forwarded { head: out, body, trailers },
        Ok(None) => Fate::Incomplete,
        Err(()) => Fate::Refused(400),
    }
}

type Body = (Vec<u8>, Vec<u8>);

/// Body and trailer lines; `None` when it is not complete.
fn decode_body(input: &[u8], framing: Framing) -> Result<Option<Body>, ()> {
    let limits = Limits::default();
    match framing {
        Framing::Length(length) => Ok(input.get(..length as usize).map(|body| (body.to_vec(), Vec::new()))),
        Framing::Chunked => {
            let mut decoder = ChunkDecoder::default();
            let (mut body, mut at) = (Vec::new(), 0);
            loop {
                match decoder.decode(&input[at..], &limits).map_err(|_| ())? {
                    ChunkStep::Data { data } => {
                        body.extend_from_slice(&input[at..][data.clone()]);
                        at += data.end;
                    }
                    ChunkStep::NeedMore { .. } => return Ok(None),
                    ChunkStep::Done { trailers, .. } => {
                        let mut out = Vec::new();
                        encode_trailers(&input[at..][trailers], &limits, &mut out);
                        return Ok(Some((body, out)));
                    }
                }
            }
        }
        _ => Ok(Some((Vec::new(), Vec::new()))),
    }
}

/// An origin that keeps what each connection sent and answers when the message is complete or nothing more comes.
struct Recorder {
    address: SocketAddr,
    seen: Arc<Mutex<Vec<Vec<u8>>>>,
}

impl Recorder {
    fn start() -> Recorder {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let seen: Arc<Mutex<Vec<Vec<u8>>>> = Arc::default();
        let shared = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                record(stream, &shared);
            }
        });
        Recorder { address, seen }
    }
}

fn record(mut stream: TcpStream, seen: &Mutex<Vec<Vec<u8>>>) {
    let _ = stream.set_read_timeout(Some(Duration::from_millis(100)));
    let mut bytes = Vec::new();
    let mut buffer = [0; 65536];
    while !is_complete(&bytes) {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => break,
            Ok(length) => bytes.extend_from_slice(&buffer[..length]),
        }
    }
    seen.lock().unwrap().push(bytes);
    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
}

/// Whether a server that trusts the headers would answer now.
fn is_complete(bytes: &[u8]) -> bool {
    let mut head = RequestHead::default();
    match parse_request(&mut head, bytes, &Limits::default()) {
        Parsed::Head { consumed } => !matches!(decode_body(&bytes[consumed..], head.framing()), Ok(None)),
        _ => false,
    }
}

struct Genuine {
    bench: Bench,
    recorder: Recorder,
}

impl Genuine {
    fn fate(&self, request: &[u8]) -> Fate {
        self.recorder.seen.lock().unwrap().clear();
        let mut stream = TcpStream::connect(self.bench.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(3))).unwrap();
        let _ = stream.write_all(request);
        let _ = stream.shutdown(Shutdown::Write);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        let status =
            answer.get(9..12).and_then(|digits| std::str::from_utf8(digits).ok()?.parse().ok()).unwrap_or(0);
        let seen = std::mem::take(&mut *self.recorder.seen.lock().unwrap());
        match (status, seen.first()) {
            (200, Some(bytes)) => split(bytes),
            (status, _) => Fate::Refused(status),
        }
    }
}

fn split(bytes: &[u8]) -> Fate {
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(bytes.len(), |at| at + 4);
    let mut head = RequestHead::default();
    let body = match parse_request(&mut head, bytes, &Limits::default()) {
        Parsed::Head { consumed } => decode_body(&bytes[consumed..], head.framing()),
        _ => Ok(None),
    };
    match body {
        Ok(Some((body, trailers))) => Fate::Forwarded { head: bytes[..end].to_vec(), body, trailers },
        _ => Fate::Incomplete,
    }
}

fn agree(ours: &Fate, genuine: &Fate) -> bool {
    match (ours, genuine) {
        // The client has left, so an incomplete message is refused or dropped, never answered by the server.
        (Fate::Incomplete, Fate::Refused(400 | 408 | 0)) => true,
        // 0: the answer was lost in a reset, but no server saw the request.
        (Fate::Refused(_), Fate::Refused(0)) => true,
        (Fate::Refused(ours), Fate::Refused(genuine)) => ours == genuine,
        // The body turned out to be wrong when the head was already on its way: the server sees no end.
        (Fate::Refused(400), Fate::Incomplete) => true,
        (ours, genuine) => ours == genuine,
    }
}

/// Where we differ on purpose, and why.
fn deliberate(request: &[u8]) -> Option<&'static str> {
    let lower = request.to_ascii_lowercase();
    let has = |text: &[u8]| lower.windows(text.len()).any(|window| window == text);
    if has(b"pri * http/2.0") {
        return Some("the HTTP/2 preface is not the codec's to see");
    }
    let values = |name: &[u8]| {
        let name = name.to_vec();
        lower
            .split(|&byte| byte == b'\n')
            .filter(move |line| line.starts_with(&name))
            .map(<[u8]>::to_vec)
            .collect::<Vec<_>>()
    };
    for line in values(b"transfer-encoding:") {
        if matches!(line.trim_ascii().last(), Some(b',' | b':')) {
            return Some("HAProxy refuses an empty last coding since 3.0");
        }
    }
    for line in values(b"connection:") {
        if line.contains(&0) {
            return Some("a NUL in a line that is rewritten becomes a blank (RFC 9110 section 5.5)");
        }
    }
    for line in values(b"content-length:") {
        if line.iter().filter(|byte| byte.is_ascii_digit()).count() > 18 {
            return Some("2.6 lets a length through that overflows 64 bits");
        }
    }
    None
}

fn genuine(test: &str) -> Option<Genuine> {
    let Some(program) = environment::installed("haproxy") else {
        environment::skip(test, "the genuine haproxy is not installed");
        return None;
    };
    let recorder = Recorder::start();
    let bench = Bench::start(&program, CONFIGURATION, recorder.address).unwrap();
    Some(Genuine { bench, recorder })
}

/// Runs all requests, and says how many of each fate there were.
fn compare(test: &str, requests: impl Iterator<Item = Vec<u8>>) {
    let Some(genuine) = genuine(test) else { return };
    let (mut forwarded, mut refused, mut incomplete, mut skipped) = (0, 0, 0, 0);
    let mut differences = Vec::new();
    for request in requests {
        if deliberate(&request).is_some() {
            skipped += 1;
            continue;
        }
        let mine = ours(&request);
        match &mine {
            Fate::Forwarded { .. } => forwarded += 1,
            Fate::Refused(_) => refused += 1,
            Fate::Incomplete => incomplete += 1,
        }
        // A connection that an earlier request left behind may be recorded late; a real difference stays one.
        let mut theirs = genuine.fate(&request);
        for _ in 0..2 {
            if !agree(&mine, &theirs) {
                theirs = genuine.fate(&request);
            }
        }
        if !agree(&mine, &theirs) {
            differences.push(format!(
                "{}\n  ours   {}\n  theirs {}",
                request.escape_ascii(),
                show(&mine),
                show(&theirs)
            ));
        }
    }
    println!(
        "{test}: {forwarded} forwarded, {refused} refused, {incomplete} incomplete, {skipped} deliberate"
    );
    let shown = differences.iter().take(40).cloned().collect::<Vec<_>>().join("\n");
    assert!(differences.is_empty(), "{} differences:\n{shown}", differences.len());
}

fn show(fate: &Fate) -> String {
    match fate {
        Fate::Forwarded { head, body, trailers } => {
            format!("{} + {} + {}", head.escape_ascii(), body.escape_ascii(), trailers.escape_ascii())
        }
        other => format!("{other:?}"),
    }
}

/// Heads that are whole requests, and bodies that go with them.
fn seeds() -> Vec<Vec<u8>> {
    let lines = [
        "GET / HTTP/1.1",
        "GET /a?b=c HTTP/1.1",
        "GET / HTTP/1.0",
        "HEAD / HTTP/1.1",
        "OPTIONS * HTTP/1.1",
        "GET * HTTP/1.1",
        "GET http://a/x HTTP/1.1",
        "GET http://a:80/x HTTP/1.1",
        "GET http://A:80/ HTTP/1.1",
        "GET http://b/ HTTP/1.1",
        "GET https://a:443/x HTTP/1.1",
        "GET ftp://a:21/x HTTP/1.1",
        "GET http://u:p@a:80/x HTTP/1.1",
        "GET a HTTP/1.1",
        "GET a:80 HTTP/1.1",
        "GET http://a?x HTTP/1.1",
        "GET x HTTP/1.1",
        "GET  /  HTTP/1.1",
        "GET\t/ HTTP/1.1",
        "get / HTTP/1.1",
        "GET / HTTP/1.2",
        "GET / HTTP/2.0",
        "GET / HTTP/0.9",
        "GET / HTTP/1.10",
        "GET / HTTP/1.1 ",
        "GET /",
        "GET / http/1.1",
        "GET /a b HTTP/1.1",
        "GET /# HTTP/1.1",
        "GET /<>\"{}|\\^` HTTP/1.1",
        "G(T / HTTP/1.1",
        "PATCH / HTTP/1.1",
    ];
    let fields = [
        "Host: a\r\n",
        "",
        "Host: a\r\nHost: a\r\n",
        "Host: a\r\nHost: b\r\n",
        "Host: a:80\r\n",
        "Host:\r\n",
        "host:a\r\n",
        "Host: a\r\nConnection: close\r\n",
        "Host: a\r\nConnection: keep-alive, foo\r\n",
        "Host: a\r\nX:  y \t\r\n",
        "Host: a\r\nX: y\r\n z\r\n",
        "Host: a\r\nX : y\r\n",
        "Host: a\nX: y\n",
        "Host: a\r\nConnection: upgrade\r\nUpgrade: ws\r\n",
        "Host: a\r\nX: \u{e9}\u{1}\r\n",
        "Host: a\r\nExpect: 100-continue\r\n",
    ];
    let mut all: Vec<Vec<u8>> = Vec::new();
    for line in lines {
        for field in fields {
            all.push(format!("{line}\r\n{field}\r\n").into_bytes());
        }
    }
    let chunked = "2\r\nab\r\n0\r\n\r\n";
    for (field, body) in [
        ("Content-Length: 2\r\n", "ab"),
        ("Content-Length: 2\r\nContent-Length: 2\r\n", "ab"),
        ("Content-Length: 2, 2\r\n", "ab"),
        ("Content-Length: 2\r\nContent-Length: 3\r\n", "ab"),
        ("Content-Length: +2\r\n", "ab"),
        ("Content-Length: 02\r\n", "ab"),
        ("Content-Length: 2\r\n", "abGET /smuggled HTTP/1.1\r\n\r\n"),
        ("Content-Length:\r\n", ""),
        ("Content-Length: 0\r\n", ""),
        ("Transfer-Encoding: chunked\r\n", chunked),
        ("Transfer-Encoding: Chunked\r\n", chunked),
        ("Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", chunked),
        ("Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", chunked),
        ("Transfer-Encoding: xchunked\r\n", chunked),
        ("Transfer-Encoding : chunked\r\n", chunked),
        ("Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n", chunked),
        ("Transfer-Encoding: gzip, chunked\r\n", chunked),
        ("Transfer-Encoding: chunked, identity\r\n", chunked),
        ("Transfer-Encoding:\u{b}chunked\r\n", chunked),
        ("Transfer-Encoding:\r\n chunked\r\n", chunked),
        ("X: y\r\nTransfer-Encoding\r\n : chunked\r\n", chunked),
        ("Transfer-Encoding: chunked\r\n", "2;x=y\r\nab\r\n0\r\nX-Sum: 1\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2\nab\n0\n\n"),
        ("Transfer-Encoding: chunked\r\n", "002 ;e\r\nab\r\n1\r\nc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "0x2\r\nab\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nabc\r\n0\r\n\r\n"),
        ("Transfer-Encoding: chunked\r\n", "2\r\nab\r\n0\r\n\r\nGET /s HTTP/1.1\r\n\r\n"),
        ("Connection: upgrade\r\nUpgrade: ws\r\nContent-Length: 2\r\n", "ab"),
    ] {
        for line in [
            "POST / HTTP/1.1",
            "GET / HTTP/1.1",
            "POST / HTTP/1.0",
            "GET / HTTP/1.0",
            "DELETE / HTTP/1.0",
            "PUT / HTTP/0.9",
            "OPTIONS / HTTP/1.0",
        ] {
            all.push(format!("{line}\r\nHost: a\r\n{field}\r\n{body}").into_bytes());
        }
    }
    all
}

#[test]
fn handwritten_requests() {
    compare("handwritten_requests", seeds().into_iter());
}

/// A small generator: reproducible, and no dependency for it.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as usize % limit.max(1)
    }
}

fn mutate(random: &mut Random, seeds: &[Vec<u8>]) -> Vec<u8> {
    const INTERESTING: &[u8] = b"\0\t\n\r \"#%*+,-./0129:;<=?@AHTZ[\\]^_`az{|}~\x7f\x80\xff";
    const WORDS: &[&[u8]] = &[
        b"\r\n",
        b"\n",
        b" ",
        b"Host: a\r\n",
        b"Content-Length: 2\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"HTTP/1.1",
        b"0\r\n\r\n",
        b", ",
        b"http://",
        b"a:80",
        b"chunked",
        b"Connection: close\r\n",
        b"Upgrade: ws\r\n",
        b"\r\n ",
        b"X: y\r\n",
    ];
    let mut bytes = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 => bytes.insert(at, INTERESTING[random.below(INTERESTING.len())]),
            1 if at < bytes.len() => bytes[at] = INTERESTING[random.below(INTERESTING.len())],
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            4 => {
                // One line of another request.
                let other = &seeds[random.below(seeds.len())];
                let lines: Vec<&[u8]> = other.split_inclusive(|&byte| byte == b'\n').collect();
                let line = lines[random.below(lines.len())].to_vec();
                let starts: Vec<usize> =
                    (0..bytes.len()).filter(|&at| at == 0 || bytes[at - 1] == b'\n').collect();
                let start = starts[random.below(starts.len())];
                bytes.splice(start..start, line);
            }
            5 if at < bytes.len() => bytes[at] = bytes[at].to_ascii_uppercase(),
            _ if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            _ => {}
        }
    }
    bytes
}

#[test]
fn mutated_requests() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (cases, seed) = (number("HTTP_ORACLE_CASES", 1500), number("HTTP_ORACLE_SEED", 20_261_122));
    println!("mutated_requests: seed {seed}, {cases} cases");
    let seeds = seeds();
    let mut random = Random(seed.max(1));
    compare("mutated_requests", (0..cases).map(|_| mutate(&mut random, &seeds)));
}
