//! The persistence cookie beside the genuine haproxy: generated `cookie` lines, and for each requests with every kind of
//! cookie that a client may bring and every kind of answer that a server may give. Answers, what servers saw, and log
//! lines (with their cookie flags) have to be the same.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::time::{Duration, SystemTime};

use proxyd::http::cookie::encode_date;
use testkit::log_catcher::message;
use testkit::oracle::{self, Bench, normalise_log};
use testkit::{raw, wait};

/// Longer than anything here takes.
const QUIET: Duration = Duration::from_secs(5);
const CONFIGURATIONS: usize = 60;
/// The generated cases are the same in every run.
const SEED: u64 = 20_261_122;

/// xorshift64: reproducible.
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    fn one<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    fn chance(&mut self, in_hundred: usize) -> bool {
        self.below(100) < in_hundred
    }
}

/// A server that answers with the cookies that its request asks for, and says which it got.
fn server(name: &'static str) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut head = Vec::new();
            let mut byte = [0];
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap_or(0) == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let field = |name: &'static str| {
                head.lines().filter_map(move |line| line.strip_prefix(name)?.strip_prefix(": "))
            };
            let mut answer =
                format!("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\nX-Server: {name}\r\n");
            for got in field("cookie") {
                let _ = write!(answer, "X-Got: {got}\r\n");
            }
            for set in field("x-set") {
                let _ = write!(answer, "Set-Cookie: {set}\r\n");
            }
            for tag in field("x-tag") {
                let _ = write!(answer, "ETag: {tag}\r\n");
            }
            answer.push_str("\r\n");
            // A client that is gone has seen enough.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    address
}

/// A `cookie` line that HAProxy 2.6 takes, with the lines that go with it.
fn cookie_lines(choices: &mut Choices) -> String {
    let mode = *choices.one(&["insert", "insert", "insert", "rewrite", "prefix", ""]);
    let mut line = format!("    cookie SRV {mode}");
    let inserts = mode == "insert";
    for (word, likely, fits) in [
        (" indirect", 40, inserts),
        (" nocache", 40, true),
        (" postonly", 15, inserts),
        (" preserve", 25, inserts),
        (" httponly", 25, inserts),
        (" secure", 25, inserts),
        (" domain .example.org", 20, inserts),
        (" maxidle 10m", 25, inserts),
        (" maxlife 1h", 25, inserts),
        (" attr SameSite=Lax", 20, inserts),
    ] {
        if fits && choices.chance(likely) {
            line.push_str(word);
        }
    }
    if choices.chance(15) {
        line.push_str(" dynamic\n    dynamic-cookie-key secret");
    }
    line.push('\n');
    if choices.chance(25) {
        line.push_str("    option persist\n");
    }
    if choices.chance(20) {
        line.push_str("    ignore-persist if { req.hdr(x-ignore) 1 }\n");
    }
    if choices.chance(20) {
        line.push_str("    force-persist if { req.hdr(x-force) 1 }\n");
    }
    if choices.chance(20) {
        line.push_str("    option redispatch\n");
    }
    line
}

/// One request of a client.
fn request(choices: &mut Choices, backend: usize, now_s: u64) -> String {
    let date = |ago_s: u64| String::from_utf8(encode_date(now_s - ago_s).to_vec()).unwrap();
    let (fresh, idle, old) = (date(10), date(1200), date(7200));
    let cookies = [
        String::new(),
        "SRV=a".into(),
        "SRV=b".into(),
        "SRV=c".into(),
        "SRV=nobody".into(),
        "SRV=".into(),
        "SRV=\"a\"".into(),
        "x=1; SRV=b; y=2".into(),
        "SRV=b; SRV=a".into(),
        "x=1;SRV=a".into(),
        "xSRV=a; SRVx=b".into(),
        "SRV=a~session".into(),
        "x=1; SRV=c~session; y=2".into(),
        "SRV=nobody~session".into(),
        format!("SRV=a|{fresh}"),
        format!("SRV=b|{fresh}|{fresh}"),
        format!("SRV=a|{idle}|{idle}"),
        format!("SRV=b|{fresh}|{old}"),
        "SRV=a|!!!!!".into(),
        "SRV=a|".into(),
    ];
    let sets: [&[&str]; 7] = [
        &[],
        &[],
        &["SRV=app; path=/"],
        &["other=1"],
        &["other=1", "SRV=app"],
        &["SRV=app, other=2"],
        &["SRV="],
    ];
    let method = if choices.chance(25) { "POST" } else { "GET" };
    let mut text = format!("{method} / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX-Case: b{backend}\r\n");
    if method == "POST" {
        text.push_str("Content-Length: 0\r\n");
    }
    let cookie = choices.one(&cookies);
    if !cookie.is_empty() {
        let _ = write!(text, "Cookie: {cookie}\r\n");
    }
    for set in *choices.one(&sets) {
        let _ = write!(text, "X-Set: {set}\r\n");
    }
    for (field, likely) in [("X-Tag: v1", 40), ("X-Ignore: 1", 15), ("X-Force: 1", 15)] {
        if choices.chance(likely) {
            let _ = write!(text, "{field}\r\n");
        }
    }
    text.push_str("\r\n");
    text
}

/// An answer without the dates that cookies carry.
fn undated(answer: &str) -> String {
    let line = |line: &str| {
        let mut parts = line.split('|');
        let mut out = parts.next().unwrap_or_default().to_owned();
        for part in parts {
            let rest = part.get(5..).unwrap_or_default();
            let _ = write!(out, "|DATE{rest}");
        }
        out
    };
    answer.split("\r\n").map(line).collect::<Vec<_>>().join("\r\n")
}

#[test]
fn cookies_are_read_set_and_removed_as_by_the_original() {
    let Some(programs) = oracle::proxies("cookie_oracle") else { return };
    let mut choices = Choices(SEED);
    let servers = ["s1", "s2", "s3", "s4"].map(server);
    let mut configuration = "global\n    log @LOG@ local0\ndefaults\n    mode http\n    log global\n    option httplog\n    option dontlognull\n\
        \x20   timeout connect 5s\n    timeout client 5s\n    timeout server 5s\n\
        frontend web\n    bind @LISTEN@\n    use_backend %[req.hdr(x-case)]\n"
        .to_owned();
    let mut lines = Vec::new();
    for number in 0..CONFIGURATIONS {
        let cookie = cookie_lines(&mut choices);
        let _ = write!(
            configuration,
            "backend b{number}\n{cookie}    server s1 {} cookie a\n    server s2 {} cookie b\n    server s3 {} cookie c disabled\n    server s4 {}\n",
            servers[0], servers[1], servers[2], servers[3]
        );
        lines.push(cookie);
    }
    let benches = programs.map(|program| Bench::start(&program, &configuration, servers[0]).unwrap());
    let now_s = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    let mut differences = Vec::new();
    for (number, cookie) in lines.iter().enumerate() {
        for _ in 0..12 {
            let text = request(&mut choices, number, now_s);
            let [ours, genuine] = [&benches[0], &benches[1]].map(|bench| {
                let answer = raw::exchange(bench.address, &[text.as_bytes()], QUIET).unwrap();
                let log = bench.log.line(wait::LIMIT).unwrap().map(|line| normalise_log(message(&line)));
                (undated(&String::from_utf8_lossy(&answer)), log)
            });
            if ours != genuine {
                differences
                    .push(format!("with\n{cookie}asked\n{text}ours    {ours:?}\ngenuine {genuine:?}\n"));
            }
        }
    }
    let count = differences.len();
    differences.truncate(5);
    assert!(count == 0, "{count} differences (seed {SEED}), the first ones:\n{}", differences.join("\n"));
}
