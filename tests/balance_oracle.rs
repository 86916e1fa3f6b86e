//! The hash algorithms beside the genuine haproxy: the same server for each of thousands of keys, also with a server
//! down and with weights changed.

// The whole file is a test; clippy only knows functions marked as one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fmt::Write as _;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use hacore::balance::{
    Algorithm, Balancer, Condition, HashOptions, Load, Loads, Options, RAMP_FULL, Request, RingKey,
    ServerIndex, ServerSetup,
};
use hacore::hash::{Function, HashType, Method};
use testkit::daemon::Daemon;
use testkit::environment::{installed, skip};
use testkit::port;

const WEIGHTS: [u16; 7] = [1, 3, 2, 10, 1, 7, 4];
const KEYS: u32 = 10_000;

struct Idle;

impl Loads for Idle {
    fn load(&self, _: ServerIndex) -> Load {
        Load::default()
    }

    fn backend_served(&self) -> u32 {
        0
    }
}

fn hash_types() -> Vec<(String, HashType)> {
    let mut types = Vec::new();
    for (method_word, method) in [("map-based", Method::MapBased), ("consistent", Method::Consistent)] {
        let functions = [
            ("sdbm", Function::Sdbm),
            ("djb2", Function::Djb2),
            ("wt6", Function::Wt6),
            ("crc32", Function::Crc32),
        ];
        for (function_word, function) in functions {
            for (modifier, avalanche) in [("", false), (" avalanche", true)] {
                let words = format!("{method_word} {function_word}{modifier}");
                types.push((words, HashType { method, function, avalanche }));
            }
        }
    }
    types
}

fn condition(weight: u16) -> Condition {
    Condition { available: true, weight, ramp: RAMP_FULL }
}

fn balancer(hash_type: &HashType) -> Balancer {
    let setup = |(id, weight): (u32, &u16)| ServerSetup {
        id,
        weight: *weight,
        backup: false,
        ring_key: RingKey::Id.key(id, None, None),
        condition: condition(*weight),
    };
    let setups: Vec<ServerSetup> = (1..).zip(&WEIGHTS).map(setup).collect();
    let algorithm = Algorithm::Hash(HashOptions { method: hash_type.method, shortcut: true });
    Balancer::new(algorithm, Options::default(), &setups)
}

/// One keep-alive connection to the proxy; each request names its backend and its key.
struct Client(BufReader<TcpStream>);

impl Client {
    /// The servers that took these keys, by number. Requests go out in batches and are answered in order.
    fn servers(&mut self, backend: usize, keys: &[String]) -> Vec<u32> {
        const BATCH: usize = 50;
        let mut servers = Vec::with_capacity(keys.len());
        for batch in keys.chunks(BATCH) {
            let mut bytes = String::new();
            for key in batch {
                let _ = write!(
                    bytes,
                    "GET / HTTP/1.1\r\nHost: x\r\nX-Backend: be{backend}\r\nX-Key: {key}\r\n\r\n"
                );
            }
            self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
            servers.extend(batch.iter().map(|_| self.answer()));
        }
        servers
    }

    fn answer(&mut self) -> u32 {
        let mut server = None;
        loop {
            let mut line = String::new();
            assert!(self.0.read_line(&mut line).unwrap() > 0, "the proxy closed the connection");
            match line.trim_end() {
                "" => return server.expect("an answer names its server"),
                header => {
                    let named = header.strip_prefix("x-server: s");
                    server = named.map(|number| number.parse().unwrap()).or(server);
                }
            }
        }
    }
}

fn command(socket: &Path, text: &str) {
    let mut stream = UnixStream::connect(socket).unwrap();
    writeln!(stream, "{text}").unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).unwrap();
    assert_eq!(reply.trim(), "", "{text}");
}

fn configuration(listen: &str, origin: &str) -> String {
    let mut text = format!(
        "global\n stats socket {{dir}}/admin.sock level admin\ndefaults\n mode http\n timeout connect 5s\n \
         timeout client 30s\n timeout server 30s\nfrontend origin\n bind {origin}\n http-request return status 204\n\
         frontend in\n bind {listen}\n use_backend %[req.hdr(x-backend)]\n"
    );
    for (number, (words, _)) in hash_types().iter().enumerate() {
        let _ = write!(
            text,
            "backend be{number}\n balance hdr(x-key)\n hash-type {words}\n http-response set-header x-server %s\n"
        );
        for (server, weight) in (1..).zip(WEIGHTS) {
            let _ = writeln!(text, " server s{server} {origin} weight {weight}");
        }
    }
    text
}

#[test]
fn ten_thousand_keys_go_to_the_same_servers_as_with_haproxy() {
    const NAME: &str = "ten_thousand_keys_go_to_the_same_servers_as_with_haproxy";
    let Some(haproxy) = installed("haproxy") else { return skip(NAME, "haproxy is not installed") };
    let (listen, origin) = (port::free_tcp().unwrap(), port::free_tcp().unwrap());
    let mut proxy =
        Daemon::proxy(&haproxy, &configuration(&listen.to_string(), &origin.to_string())).unwrap();
    proxy.await_listening(listen).unwrap();
    let socket = proxy.path("admin.sock");
    let stream = TcpStream::connect(listen).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut client = Client(BufReader::new(stream));
    let types = hash_types();
    // All keys are spread over the sixteen hash types, a new part of them for each state of the servers.
    let each = KEYS / types.len() as u32;
    let mut next = 0u32;
    let mut compare = |client: &mut Client, balancers: &mut [Balancer], state: &str| {
        let keys: Vec<String> =
            (next..next + each).map(|n| format!("key-{:x}-{n}", n.wrapping_mul(0x9e37_79b9))).collect();
        next += each;
        for (number, (words, hash_type)) in types.iter().enumerate() {
            let theirs = client.servers(number, &keys);
            for (key, theirs) in keys.iter().zip(theirs) {
                let hash = Some(hash_type.hash(key.as_bytes()));
                let ours =
                    balancers[number].pick(&Request { hash, ..Request::default() }, &Idle).map(|s| s.0 + 1);
                assert_eq!(ours, Some(theirs), "hash-type {words}, {state}, key {key}");
            }
        }
    };
    let mut balancers: Vec<Balancer> = types.iter().map(|(_, hash_type)| balancer(hash_type)).collect();
    compare(&mut client, &mut balancers, "all servers up");
    for (number, balancer) in balancers.iter_mut().enumerate() {
        command(&socket, &format!("set server be{number}/s4 state maint"));
        balancer.set_server(ServerIndex(3), Condition { available: false, ..condition(WEIGHTS[3]) });
    }
    compare(&mut client, &mut balancers, "s4 in maintenance");
    for (number, (balancer, (_, hash_type))) in balancers.iter_mut().zip(&types).enumerate() {
        command(&socket, &format!("set server be{number}/s4 state ready"));
        balancer.set_server(ServerIndex(3), condition(WEIGHTS[3]));
        // A map only knows the weight 0 and the configured one.
        let weight = if hash_type.method == Method::MapBased { 0 } else { 9 };
        let word = if weight == 0 { "0%".to_owned() } else { weight.to_string() };
        command(&socket, &format!("set server be{number}/s2 weight {word}"));
        balancer.set_server(ServerIndex(1), condition(weight));
    }
    compare(&mut client, &mut balancers, "s2 with another weight");
    for (number, balancer) in balancers.iter_mut().enumerate() {
        command(&socket, &format!("set server be{number}/s2 weight 100%"));
        balancer.set_server(ServerIndex(1), condition(WEIGHTS[1]));
    }
    compare(&mut client, &mut balancers, "as at first");
}
