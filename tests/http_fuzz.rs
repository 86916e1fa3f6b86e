//! The HTTP/1 codec under mutated bytes: requests, responses and chunked bodies.
//!
//! It must not panic; a message that comes in pieces must mean what it means in one; and what goes out must be read again
//! as the same message, so that the next hop cannot see another one. Seed and time are bounded and printed:
//! `HTTP_FUZZ_SECONDS` (2) and `HTTP_FUZZ_SEED` change them.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "a test fails by panicking, in its helpers too"
)]

use std::time::{Duration, Instant};

use proxyd::http::h1::{
    ChunkDecoder, ChunkStep, ConnectionField, EncodePlan, Limits, Parsed, ResponseContext, encode_request,
    encode_response, parse_request, parse_response,
};
use proxyd::http::{Framing, RequestHead, ResponseHead};

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

const REQUESTS: &[&[u8]] = &[
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /x?y=z HTTP/1.1\r\nHost: a:80\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\nabc",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTE: trailers\r\n\r\n3;x=y\r\nabc\r\n0\r\nT: u\r\n\r\n",
    b"GET http://user@a:80/p HTTP/1.0\r\nConnection: keep-alive\r\nX: y\r\n z\r\n\r\n",
    b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n\r\n",
];
const RESPONSES: &[&[u8]] = &[
    b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nSet-Cookie: a=b; Path=/\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\nA\r\n0123456789\r\n0\r\nT: u\r\n\r\n",
    b"HTTP/1.0 404 Not Found\r\nServer: x\r\n\r\nuntil close",
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 204\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"HTTP/1.1 304 Not Modified\r\nContent-Length: 9, 9\r\n\r\n",
];
const CHUNKS: &[&[u8]] = &[
    b"3\r\nabc\r\n0\r\n\r\n",
    b"3;x=\"y\"\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: u\r\nV: w\r\n\r\nrest",
    b"0000001\r\na\r\n00\r\n\r\n",
    b"ffffffffffffffff\r\n",
];
const BYTES: &[u8] = b"\0\t\n\r \"#%*+,-./0129:;<=?@AFHTZ[\\]^_`afz{|}~\x7f\x80\xff";
const WORDS: &[&[u8]] = &[
    b"\r\n",
    b"\r\n\r\n",
    b"Content-Length: 2\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close, upgrade\r\n",
    b"HTTP/1.1 ",
    b"0\r\n\r\n",
    b"chunked",
    b", ",
    b"X: y\r\n ",
];

fn mutate(random: &mut Random, seeds: &[&[u8]]) -> Vec<u8> {
    let mut bytes = seeds[random.below(seeds.len())].to_vec();
    for _ in 0..=random.below(5) {
        let at = random.below(bytes.len() + 1);
        match random.below(7) {
            0 => bytes.insert(at, BYTES[random.below(BYTES.len())]),
            1 if at < bytes.len() => bytes[at] = BYTES[random.below(BYTES.len())],
            2 if at < bytes.len() => drop(bytes.remove(at)),
            3 => drop(bytes.splice(at..at, WORDS[random.below(WORDS.len())].iter().copied())),
            4 if at < bytes.len() => bytes[at] ^= 1 << random.below(8),
            5 => bytes.truncate(at),
            _ => {
                let end = at + random.below(bytes.len() + 1 - at);
                let piece = bytes[at..end].to_vec();
                let to = random.below(bytes.len() + 1);
                bytes.splice(to..to, piece);
            }
        }
    }
    bytes
}

/// What a head says, for comparison.
type Meaning = (Vec<Vec<u8>>, Vec<(Vec<u8>, Vec<u8>)>, Framing);

fn request_meaning(head: &RequestHead) -> Meaning {
    let line = vec![head.method_bytes().to_vec(), head.target().to_vec()];
    (line, fields(head.headers.iter()), head.framing())
}

fn response_meaning(head: &ResponseHead) -> Meaning {
    let line = vec![head.status().to_string().into_bytes(), head.reason().to_vec()];
    (line, fields(head.headers.iter()), head.framing())
}

fn fields<'a>(headers: impl Iterator<Item = proxyd::http::Header<'a>>) -> Vec<(Vec<u8>, Vec<u8>)> {
    headers.map(|header| (header.name.to_vec(), header.value.to_vec())).collect()
}

/// Everything before its end is incomplete or already refused: a decision is never taken back.
fn never_taken_back(bytes: &[u8], random: &mut Random, parse: impl Fn(&[u8]) -> Parsed) {
    let whole = parse(bytes);
    let cut = random.below(bytes.len() + 1);
    match (parse(&bytes[..cut]), whole) {
        (Parsed::Incomplete, _) => {}
        (Parsed::Head { consumed }, Parsed::Head { consumed: later }) => assert_eq!(consumed, later),
        (Parsed::Error(_), Parsed::Error(_)) => {}
        (earlier, later) => panic!("{earlier:?} became {later:?} for {}", bytes.escape_ascii()),
    }
}

fn request(bytes: &[u8], random: &mut Random) {
    let limits = Limits::default();
    let mut head = RequestHead::default();
    never_taken_back(bytes, random, |part| parse_request(&mut RequestHead::default(), part, &limits));
    let Parsed::Head { consumed } = parse_request(&mut head, bytes, &limits) else { return };
    assert!(consumed <= bytes.len());
    let mut out = Vec::new();
    encode_request(
        &head,
        &mut out,
        EncodePlan { connection: ConnectionField::None, framing: head.framing() },
    );
    let mut again = RequestHead::default();
    match parse_request(&mut again, &out, &limits) {
        Parsed::Head { consumed } => assert_eq!(consumed, out.len(), "one head: {}", out.escape_ascii()),
        other => panic!("{other:?} for our own {}", out.escape_ascii()),
    }
    let (line, _, framing) = request_meaning(&again);
    assert_eq!(framing, head.framing(), "{}", bytes.escape_ascii());
    if head.target().first() != Some(&b'/') {
        // Default ports are taken off an authority once a hop, as HAProxy does.
        return;
    }
    assert_eq!(line, request_meaning(&head).0, "{}", bytes.escape_ascii());
    let mut third = Vec::new();
    encode_request(&again, &mut third, EncodePlan { connection: ConnectionField::None, framing });
    assert_eq!(third.escape_ascii().to_string(), out.escape_ascii().to_string());
}

fn response(bytes: &[u8], random: &mut Random) {
    let limits = Limits::default();
    let context = ResponseContext::default();
    let mut head = ResponseHead::default();
    never_taken_back(bytes, random, |part| {
        parse_response(&mut ResponseHead::default(), part, context, &limits)
    });
    let Parsed::Head { consumed } = parse_response(&mut head, bytes, context, &limits) else { return };
    assert!(consumed <= bytes.len());
    let mut out = Vec::new();
    encode_response(
        &head,
        &mut out,
        EncodePlan { connection: ConnectionField::None, framing: head.framing() },
    );
    let mut again = ResponseHead::default();
    match parse_response(&mut again, &out, context, &limits) {
        Parsed::Head { consumed } => assert_eq!(consumed, out.len(), "one head: {}", out.escape_ascii()),
        other => panic!("{other:?} for our own {}", out.escape_ascii()),
    }
    assert_eq!(response_meaning(&again).0, response_meaning(&head).0);
    assert_eq!(again.framing(), head.framing(), "{}", bytes.escape_ascii());
}

/// The data of a chunked body fed in pieces that end at `cuts`; the bytes used; `None` when it is refused.
fn decode(bytes: &[u8], cuts: &[usize]) -> Option<(Vec<u8>, usize, bool)> {
    let limits = Limits::default();
    let mut decoder = ChunkDecoder::default();
    let (mut data, mut at) = (Vec::new(), 0);
    for &end in cuts.iter().chain([&bytes.len()]) {
        loop {
            let input = &bytes[at..end];
            if input.is_empty() {
                break;
            }
            match decoder.decode(input, &limits).ok()? {
                ChunkStep::Data { data: range } => {
                    data.extend_from_slice(&input[range.clone()]);
                    at += range.end;
                }
                ChunkStep::NeedMore { consumed } => {
                    at += consumed;
                    break;
                }
                ChunkStep::Done { consumed, .. } => return Some((data, at + consumed, true)),
            }
        }
    }
    Some((data, at, false))
}

fn chunks(bytes: &[u8], random: &mut Random) {
    let whole = decode(bytes, &[]);
    let mut cuts: Vec<usize> = (0..random.below(4)).map(|_| random.below(bytes.len() + 1)).collect();
    cuts.sort_unstable();
    let pieces = decode(bytes, &cuts);
    match (&whole, &pieces) {
        (None, None) => {}
        (Some((data, used, true)), Some(other)) => {
            assert_eq!((data, *used, true), (&other.0, other.1, other.2), "{}", bytes.escape_ascii());
        }
        (Some((data, _, false)), Some((other, _, done))) => {
            assert!(!done && data == other, "{} cut at {cuts:?}", bytes.escape_ascii());
        }
        _ => panic!("{whole:?} in one, {pieces:?} cut at {cuts:?}: {}", bytes.escape_ascii()),
    }
}

#[test]
fn mutated_messages() {
    let number = |name: &str, default| {
        std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(default)
    };
    let (seconds, seed) = (number("HTTP_FUZZ_SECONDS", 2), number("HTTP_FUZZ_SEED", 20_261_122));
    let end = Instant::now() + Duration::from_secs(seconds);
    println!("mutated_messages: seed {seed}, {seconds} s");
    let mut random = Random(seed.max(1));
    let mut rounds = 0_u64;
    while Instant::now() < end {
        for _ in 0..100 {
            let bytes = mutate(&mut random, REQUESTS);
            request(&bytes, &mut random);
            let bytes = mutate(&mut random, RESPONSES);
            response(&bytes, &mut random);
            let bytes = mutate(&mut random, CHUNKS);
            chunks(&bytes, &mut random);
        }
        rounds += 300;
    }
    println!("mutated_messages: {rounds} messages");
}
