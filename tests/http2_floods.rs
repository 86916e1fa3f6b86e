//! HTTP/2 clients that mean harm: each is ended or held up, memory stays where it was, and other clients are served.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::{environment, origin, port, raw, wait};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const CONTINUATION: u8 = 9;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
/// `GET http://a/` in HPACK: three fields of the static table, and the authority.
const GET: &[u8] = &[0x82, 0x86, 0x84, 0x41, 0x01, b'a'];
/// What one hostile connection may cost, with room for the allocator's habits.
const GROWTH_MAX_BYTES: u64 = 24 << 20;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut bytes = u32::try_from(payload.len()).unwrap().to_be_bytes()[1..].to_vec();
    bytes.extend_from_slice(&[kind, flags]);
    bytes.extend_from_slice(&stream.to_be_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

struct Proxy {
    daemon: Daemon,
    address: SocketAddr,
}

impl Proxy {
    fn start() -> Self {
        let (address, origin) = (port::free_tcp().unwrap(), origin::spawn("s1").unwrap());
        let text = format!(
            "defaults\n  mode http\n  timeout client 2s\n  timeout server 5s\n  timeout connect 5s\nfrontend f\n  bind {address}\n  \
             default_backend b\nbackend b\n  server s1 {origin}\n"
        );
        let mut daemon = Daemon::proxy(&environment::built("proxyd").unwrap(), &text).unwrap();
        daemon.await_listening(address).unwrap();
        Self { daemon, address }
    }

    fn memory_bytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.daemon.pid())).unwrap();
        let kilobytes = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        kilobytes.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
    }

    /// Sends the preface and then what `next` gives, up to `bytes_max`, while the proxy takes it; nothing is read
    /// meanwhile unless `reads`. Gives what the proxy sent at last, and how many bytes it took.
    fn attack(&self, bytes_max: usize, reads: bool, mut next: impl FnMut() -> Vec<u8>) -> (Vec<u8>, usize) {
        let before = self.memory_bytes();
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        stream.write_all(PREFACE).unwrap();
        stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
        let mut reader = stream.try_clone().unwrap();
        reader.set_read_timeout(Some(wait::LIMIT)).unwrap();
        let read_all = move || {
            let mut bytes = Vec::new();
            // A reset is an end as well.
            let _ = reader.read_to_end(&mut bytes);
            bytes
        };
        let (reading, read_later) = match reads {
            true => (Some(std::thread::spawn(read_all)), None),
            false => (None, Some(read_all)),
        };
        let mut taken = 0;
        while taken < bytes_max {
            let bytes = next();
            if stream.write_all(&bytes).is_err() {
                break;
            }
            taken += bytes.len();
        }
        // While the attack is on, others are served.
        let request = b"GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        let answer = raw::exchange(self.address, &[request], wait::LIMIT).unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
        let grown = self.memory_bytes().saturating_sub(before);
        assert!(grown < GROWTH_MAX_BYTES, "{grown} bytes for {taken} sent");
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let answer = match (reading, read_later) {
            (Some(thread), _) => thread.join().unwrap(),
            (None, Some(mut read)) => read(),
            (None, None) => Vec::new(),
        };
        (answer, taken)
    }
}

/// The kinds of the frames in `bytes`, with the error code of a GOAWAY.
fn frames(mut bytes: &[u8]) -> Vec<(u8, Option<u32>)> {
    let mut found = Vec::new();
    while let Some((head, rest)) = bytes.split_at_checked(9) {
        let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
        let Some((payload, after)) = rest.split_at_checked(length) else { break };
        let code = (head[3] == GOAWAY).then(|| u32::from_be_bytes(payload[4..8].try_into().unwrap()));
        found.push((head[3], code));
        bytes = after;
    }
    found
}

fn assert_told_to_go(bytes: &[u8], why: &str) {
    let gone = frames(bytes).iter().any(|(_, code)| code.is_some_and(|code| code != 0));
    assert!(gone, "{why}: no GOAWAY with an error in {:?}", frames(bytes));
}

#[test]
fn rapid_resets_end_the_connection() {
    let proxy = Proxy::start();
    let mut stream = 1;
    let (answer, taken) = proxy.attack(20 << 20, true, || {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(frame(HEADERS, END_STREAM | END_HEADERS, stream, GET));
            bytes.extend(frame(RST_STREAM, 0, stream, &8u32.to_be_bytes()));
            stream += 2;
        }
        bytes
    });
    assert!(taken < 20 << 20, "all of it was taken");
    assert_told_to_go(&answer, "rapid reset (CVE-2023-44487)");
}

#[test]
fn a_head_without_end_ends_the_connection() {
    let proxy = Proxy::start();
    let mut first = true;
    // A literal field with an empty name's worth of text, again and again.
    let block: Vec<u8> = [&[0x00, 0x01, b'x', 0x7f, 0x81, 0x01][..], &[b'y'; 256]].concat().repeat(60);
    let (answer, taken) = proxy.attack(20 << 20, true, || {
        let kind = if std::mem::take(&mut first) { HEADERS } else { CONTINUATION };
        frame(kind, 0, 1, &block)
    });
    assert!(taken < 20 << 20, "all of it was taken");
    assert_told_to_go(&answer, "CONTINUATION flood");
}

#[test]
fn empty_continuations_end_the_connection() {
    let proxy = Proxy::start();
    let mut first = true;
    let (answer, taken) = proxy.attack(20 << 20, true, || match std::mem::take(&mut first) {
        true => frame(HEADERS, 0, 1, GET),
        false => frame(CONTINUATION, 0, 1, &[]).repeat(1000),
    });
    assert!(taken < 20 << 20, "all of it was taken");
    assert_told_to_go(&answer, "empty CONTINUATION frames");
}

#[test]
fn a_field_repeated_from_the_table_is_too_large_a_head() {
    let proxy = Proxy::start();
    let mut stream = 1;
    // 4000 bytes in the dynamic table, then named by one byte each: 40 MB a head.
    let mut bomb = GET.to_vec();
    bomb.extend_from_slice(&[0x40, 0x01, b'z', 0x7f, 0xa1, 0x1e]);
    bomb.extend_from_slice(&[b'z'; 4000]);
    bomb.extend_from_slice(&[0xbe; 10_000]);
    let (answer, _) = proxy.attack(50 * bomb.len(), true, || {
        let bytes = frame(HEADERS, END_STREAM | END_HEADERS, stream, &bomb);
        stream += 2;
        bytes
    });
    let served = frames(&answer).iter().filter(|(kind, _)| *kind == DATA).count();
    assert_eq!(served, 0, "no such request reaches a server");
}

#[test]
fn pings_and_settings_whose_answers_nobody_reads_are_not_collected() {
    for (kind, payload) in [(PING, &[0; 8][..]), (SETTINGS, &[0, 4, 0, 1, 0, 0][..])] {
        let proxy = Proxy::start();
        let many = frame(kind, 0, 0, payload).repeat(1000);
        let (_, taken) = proxy.attack(40 << 20, false, || many.clone());
        assert!(taken < 40 << 20, "kind {kind}: the proxy takes what it cannot answer");
    }
}

#[test]
fn a_client_that_opens_no_window_holds_little_and_is_ended() {
    let proxy = Proxy::start();
    let mut stream = 1;
    let path = b"/bytes/1000000";
    let mut get = vec![0x82, 0x86, 0x41, 0x01, b'a', 0x04, path.len() as u8];
    get.extend_from_slice(path);
    let (answer, _) = proxy.attack(100 * (9 + get.len()), true, || {
        if stream == 1 {
            stream += 2;
            // SETTINGS_INITIAL_WINDOW_SIZE 0.
            return frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
        }
        stream += 2;
        frame(HEADERS, END_STREAM | END_HEADERS, stream - 2, &get)
    });
    // Nothing of the bodies could be sent; `timeout client` ended it, as the thread that reads would tell by not returning.
    let data = frames(&answer).iter().filter(|(kind, _)| *kind == DATA).count();
    assert_eq!(data, 0);
}
