//! Picks of genuine HAProxy, as recorded in `shared/design/vectors`: the same configuration, key and history must give
//! the same server. Skipped by name where those files are not there.

// The whole file is a test; clippy only knows functions marked as one.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::net::IpAddr;
use std::path::PathBuf;

use hacore::balance::key::{self, UriOptions};
use hacore::balance::{
    Affinity, Algorithm, Balancer, Condition, HashOptions, Load, Loads, Options, RAMP_FULL, Request, RingKey,
    ServerIndex, ServerSetup, WeightChange, automatic_ids,
};
use hacore::hash::{self, Function, HashType, Method};

/// The rows of a file, or none where the shared data is not installed.
fn rows(name: &str) -> Option<Vec<Vec<String>>> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
    // Beside the checkout, or beside the directory that holds several worktrees.
    let places = ["../shared", "../../shared"].map(|p| root.join(p).join("design/vectors").join(name));
    let Some(text) = places.iter().find_map(|path| std::fs::read_to_string(path).ok()) else {
        println!("skipped: {name} is not installed");
        return None;
    };
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    Some(lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect())
}

fn condition(weight: u16) -> Condition {
    Condition { available: true, weight, ramp: RAMP_FULL }
}

fn server(id: u32, weight: u16) -> ServerSetup {
    let ring_key = RingKey::Id.key(id, None, None);
    ServerSetup { id, weight, backup: false, ring_key, condition: condition(weight) }
}

fn servers(weights: &[u16]) -> Vec<ServerSetup> {
    (1..).zip(weights).map(|(id, weight)| server(id, *weight)).collect()
}

/// Nothing is loaded.
struct Idle;

impl Loads for Idle {
    fn load(&self, _: ServerIndex) -> Load {
        Load::default()
    }

    fn backend_served(&self) -> u32 {
        0
    }
}

fn hash_algorithm(method: Method) -> Algorithm {
    Algorithm::Hash(HashOptions { method, shortcut: true })
}

fn hash_type(method: &str, function: &str, avalanche: bool) -> HashType {
    let method = if method == "consistent" { Method::Consistent } else { Method::MapBased };
    let (function, avalanche) = match function {
        "sdbm" => (Function::Sdbm, avalanche),
        "djb2" => (Function::Djb2, avalanche),
        "wt6" => (Function::Wt6, avalanche),
        "crc32" => (Function::Crc32, avalanche),
        "none" => (Function::None, avalanche),
        _ => (Function::Sdbm, method == Method::Consistent),
    };
    HashType { method, function, avalanche }
}

#[test]
fn hash_pick() {
    let (Some(rows), Some(keys)) = (rows("hash_pick.tsv"), rows("keys.tsv")) else { return };
    for row in &rows {
        let [algorithm, method, function, modifier, factor, state, _, expected] = &row[..] else {
            panic!("{row:?}")
        };
        let hash_type = hash_type(method, function, modifier == "avalanche");
        let options = Options { balance_factor: factor.parse().unwrap(), ..Options::default() };
        let mut balancer =
            Balancer::new(hash_algorithm(hash_type.method), options, &servers(&[1, 1, 2, 3, 1]));
        match state.as_str() {
            "base" => {}
            "s3-down" => balancer.set_server(ServerIndex(2), Condition { available: false, ..condition(2) }),
            "s4=0%" => balancer.set_server(ServerIndex(3), condition(0)),
            "s2=4,s4=1" => {
                balancer.set_server(ServerIndex(1), condition(4));
                balancer.set_server(ServerIndex(3), condition(1));
            }
            other => panic!("{other}"),
        }
        let mut picked = String::new();
        for key in &keys {
            let [_, uri, value, number, source] = &key[..] else { panic!("{key:?}") };
            let address: IpAddr = source.parse().unwrap();
            let hash = match algorithm.as_str() {
                "uri" => hash_type.hash(key::uri(uri.as_bytes(), &UriOptions::default())),
                "url_param" => {
                    let uri = format!("/p?a=1&id={value}&z=9");
                    hash_type.hash(key::url_param(uri.as_bytes(), b"id").unwrap())
                }
                "hdr" | "hash-str" => hash_type.hash(value.as_bytes()),
                "hdr-num" => hash_type.hash(number.as_bytes()),
                "hash-int" if hash_type.function == Function::None => hash_type.hash(number.as_bytes()),
                "hash-int" => hash_type.hash(&number.parse::<i64>().unwrap().to_be_bytes()),
                "hash-src" => match address {
                    IpAddr::V4(v4) => hash_type.hash(&v4.octets()),
                    IpAddr::V6(v6) => hash_type.hash(&v6.octets()),
                },
                "source" => hash_type.hash_source(address),
                other => panic!("{other}"),
            };
            let request = Request { hash: Some(hash), ..Request::default() };
            let pick = balancer.pick(&request, &Idle).map_or(0, |s| s.0 + 1);
            picked.push_str(&pick.to_string());
        }
        assert_eq!(&picked, expected, "{algorithm} {method} {function} {modifier} {factor} {state}");
    }
    println!("hash_pick.tsv: {} of {} rows", rows.len(), rows.len());
}

#[test]
fn hash_key() {
    let (Some(rows), Some(keys)) = (rows("hash_key.tsv"), rows("keys.tsv")) else { return };
    for row in &rows {
        let [case, version, list, expected] = &row[..] else { panic!("{row:?}") };
        let words: Vec<Vec<&str>> = list.split('|').map(|s| s.split_whitespace().collect()).collect();
        let after = |words: &[&str], name: &str| {
            let at = words.iter().position(|w| *w == name)?;
            words.get(at + 1).map(|w| (*w).to_owned())
        };
        let ids = automatic_ids(
            &words.iter().map(|w| after(w, "id").map(|id| id.parse().unwrap())).collect::<Vec<_>>(),
        );
        let setups: Vec<ServerSetup> = words
            .iter()
            .zip(&ids)
            .map(|(words, id)| {
                let weight = after(words, "weight").map_or(1, |w| w.parse().unwrap());
                let kind = match after(words, "hash-key").as_deref() {
                    Some("id32") => RingKey::Id32,
                    Some("guid") => RingKey::Guid,
                    Some("addr") => RingKey::Addr,
                    Some("addr-port") => RingKey::AddrPort,
                    _ => RingKey::Id,
                };
                // The second `guid` is the option itself, after `hash-key guid`.
                let guid = words.iter().rposition(|w| *w == "guid").and_then(|at| words.get(at + 1)).copied();
                let address: std::net::SocketAddr = words[1].parse().unwrap();
                let ring_key = kind.key(*id, guid, Some((address.ip(), address.port())));
                ServerSetup { ring_key, ..server(*id, weight) }
            })
            .collect();
        let hash_type = hash_type("consistent", "", false);
        let mut balancer = Balancer::new(hash_algorithm(Method::Consistent), Options::default(), &setups);
        let pick = |value: &String| {
            let request = Request { hash: Some(hash_type.hash(value.as_bytes())), ..Request::default() };
            (balancer.pick(&request, &Idle).unwrap().0 + 1).to_string()
        };
        let picked: String = keys.iter().take(expected.len()).map(|key| &key[2]).map(pick).collect();
        assert_eq!(&picked, expected, "{case} {version}");
    }
    println!("hash_key.tsv: {} of {} rows", rows.len(), rows.len());
}

#[test]
fn sequences() {
    let Some(rows) = rows("sequences.tsv") else { return };
    let mut matched = 0;
    for row in &rows {
        let [balance, list, versions, expected] = &row[..] else { panic!("{row:?}") };
        // From 3.2 on leastconn draws among equals at random; we keep the order of insertion.
        if balance == "leastconn" && versions == "3.5" {
            continue;
        }
        let mut setups = parse_servers(list);
        setups.iter_mut().for_each(|(s, _)| s.ring_key = RingKey::Id.key(s.id, None, None));
        let setups: Vec<ServerSetup> = setups.into_iter().map(|(setup, _)| setup).collect();
        let (algorithm, hash) = parse_balance(balance);
        let weight_change = if versions == "2.6" { WeightChange::KeepPlace } else { WeightChange::Restart };
        let options =
            Options { all_backups: balance.contains("allbackups"), weight_change, ..Options::default() };
        let mut balancer = Balancer::new(algorithm, options, &setups);
        let mut conditions: Vec<Condition> = setups.iter().map(|s| s.condition).collect();
        let mut picked = Vec::new();
        for word in steps(expected) {
            if let Some(command) = word.strip_prefix('[') {
                command_between(command.trim_end_matches(']'), &setups, &mut conditions, &mut balancer);
                picked.push(word.clone());
                continue;
            }
            let server = balancer.pick(&Request { hash, ..Request::default() }, &Idle).unwrap();
            balancer.load_changed(server, 1, 0);
            balancer.load_changed(server, 0, 0);
            picked.push((server.0 + 1).to_string());
        }
        assert_eq!(picked.join(" "), *expected, "{balance} {list} {versions}");
        matched += 1;
    }
    println!("sequences.tsv: {matched} of {} rows", rows.len());
}

fn steps(text: &str) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match words.last_mut() {
            Some(open) if open.starts_with('[') && !open.ends_with(']') => *open = format!("{open} {word}"),
            _ => words.push(word.to_owned()),
        }
    }
    words
}

fn command_between(
    command: &str,
    setups: &[ServerSetup],
    conditions: &mut [Condition],
    balancer: &mut Balancer,
) {
    let [what, name, value] = command.split(' ').collect::<Vec<_>>()[..] else { panic!("{command}") };
    let at = name.trim_start_matches('s').parse::<usize>().unwrap() - 1;
    match (what, value.strip_suffix('%')) {
        ("weight", Some(percent)) => {
            let percent: u32 = percent.parse().unwrap();
            conditions[at].weight = (u32::from(setups[at].weight) * percent / 100) as u16;
        }
        ("weight", None) => conditions[at].weight = value.parse().unwrap(),
        ("state", _) => conditions[at].available = value == "ready",
        _ => panic!("{command}"),
    }
    balancer.set_server(ServerIndex(at as u32), conditions[at]);
}

/// `s1:1:id 30 s2:1:backup` and `s1:1 maxconn 2 maxqueue 1 s2:1 BAD`: servers and the words after them.
fn parse_servers(list: &str) -> Vec<(ServerSetup, Vec<String>)> {
    let mut found: Vec<(ServerSetup, Vec<String>)> = Vec::new();
    for word in list.split_whitespace() {
        match word.split_once(':') {
            Some((_, rest)) => {
                let mut parts = rest.split(':');
                let weight = parts.next().unwrap().parse().unwrap();
                let mut setup = server(found.len() as u32 + 1, weight);
                let words: Vec<String> = parts.map(str::to_owned).collect();
                setup.backup = words.iter().any(|w| w == "backup");
                found.push((setup, words));
            }
            None => {
                let (setup, words) = found.last_mut().unwrap();
                if words.last().is_some_and(|w| w == "id") {
                    setup.id = word.parse().unwrap();
                }
                words.push(word.to_owned());
            }
        }
    }
    found
}

fn parse_balance(balance: &str) -> (Algorithm, Option<u32>) {
    let method = if balance.contains("consistent") { Method::Consistent } else { Method::MapBased };
    let hash = |shortcut| Algorithm::Hash(HashOptions { method, shortcut });
    match balance.split([' ', ';', '(', ',']).next().unwrap() {
        "roundrobin" => (Algorithm::RoundRobin, None),
        "static-rr" => (Algorithm::StaticRr, None),
        "leastconn" => (Algorithm::LeastConn, None),
        "first" => (Algorithm::First, None),
        "url_param" => (hash(false), None),
        "hdr" => (hash(true), None),
        "source" => {
            let hash_type =
                hash_type(if method == Method::Consistent { "consistent" } else { "" }, "", false);
            (hash(true), Some(hash_type.hash_source([127, 0, 0, 1].into())))
        }
        other => panic!("{other}"),
    }
}

/// Connections that stay open, with slots and queues as the data plane keeps them.
struct Open {
    served: Vec<u32>,
    queued: Vec<u32>,
    maxconn: Vec<Option<u32>>,
    maxqueue: Vec<Option<u32>>,
}

impl Loads for Open {
    fn load(&self, server: ServerIndex) -> Load {
        let at = server.at();
        Load {
            served: self.served[at],
            queued: self.queued[at],
            limit: self.maxconn[at],
            queue_limit: self.maxqueue[at],
            ..Load::default()
        }
    }

    fn backend_served(&self) -> u32 {
        self.served.iter().sum::<u32>()
    }
}

#[test]
fn concurrent() {
    let Some(rows) = rows("concurrent.tsv") else { return };
    let mut matched = 0;
    for row in &rows {
        let [case, list, addresses, versions, expected, _] = &row[..] else { panic!("{row:?}") };
        if case.starts_with("leastconn") && versions == "3.5" {
            continue;
        }
        let picked = run_concurrent(case, list, addresses, expected.split_whitespace().count());
        assert_eq!(picked.join(" "), *expected, "{case} {list} {versions}");
        matched += 1;
    }
    println!("concurrent.tsv: {matched} of {} rows", rows.len());
}

fn run_concurrent(case: &str, list: &str, addresses: &str, count: usize) -> Vec<String> {
    let parsed = parse_servers(list);
    let number = |words: &[String], name: &str| {
        let at = words.iter().position(|w| w == name)?;
        words.get(at + 1)?.parse::<u32>().ok()
    };
    let mut open = Open {
        served: vec![0; parsed.len()],
        queued: vec![0; parsed.len()],
        maxconn: parsed.iter().map(|(_, words)| number(words, "maxconn")).collect(),
        maxqueue: parsed.iter().map(|(_, words)| number(words, "maxqueue")).collect(),
    };
    let bad: Vec<bool> = parsed.iter().map(|(_, words)| words.iter().any(|w| w == "BAD")).collect();
    let setups: Vec<ServerSetup> = parsed.into_iter().map(|(setup, _)| setup).collect();
    let (algorithm, _) = parse_balance(case);
    let words: Vec<&str> = case.split([' ', ',']).collect();
    let affinity = match words.last() {
        Some(&"maxconn") if case.contains("affinity") => Affinity::Maxconn,
        Some(&"maxqueue") if case.contains("affinity") => Affinity::Maxqueue,
        _ => Affinity::Always,
    };
    let factor = words.iter().position(|w| *w == "hbf").map_or(0, |at| words[at + 1].parse().unwrap());
    let options = Options { balance_factor: factor, affinity, ..Options::default() };
    let mut balancer = Balancer::new(algorithm, options, &setups);
    let (first, last) = addresses.trim_start_matches("127.0.1.").split_once('-').unwrap_or(("1", "1"));
    let (first, last) = if addresses.contains('-') {
        (first.parse().unwrap(), last.parse::<u8>().unwrap())
    } else {
        let only = addresses.rsplit('.').next().unwrap().parse().unwrap();
        (only, only)
    };
    let hash_type = hash_type(if case.contains("consistent") { "consistent" } else { "" }, "", false);
    let mut backend_queue = 0;
    let mut picked = Vec::new();
    for number in 0..count {
        let address = first + (number % usize::from(last - first + 1)) as u8;
        let hash = case.starts_with("source").then(|| hash_type.hash_source([127, 0, 1, address].into()));
        let waits_first = backend_queue > 0
            && matches!(algorithm, Algorithm::RoundRobin | Algorithm::StaticRr | Algorithm::First);
        let mut request = Request { hash, ..Request::default() };
        let mut choice = if waits_first { None } else { balancer.pick(&request, &open) };
        if let Some(failed) = choice.filter(|s| bad[s.at()]) {
            request.avoid = Some(failed);
            choice = balancer.pick(&request, &open);
        }
        let word = match choice {
            None => {
                backend_queue += 1;
                "Q".to_owned()
            }
            Some(server) if bad[server.at()] => "F".to_owned(),
            Some(server) => {
                let load = open.load(server);
                let word = if load.has_room() {
                    open.served[server.at()] += 1;
                    (server.0 + 1).to_string()
                } else if load.queue_limit.is_some_and(|limit| limit > 0 && load.queued >= limit) {
                    "F".to_owned()
                } else {
                    open.queued[server.at()] += 1;
                    "Q".to_owned()
                };
                balancer.load_changed(server, open.served[server.at()], open.queued[server.at()]);
                word
            }
        };
        picked.push(word);
    }
    picked
}

#[test]
fn key_extract() {
    let Some(rows) = rows("key_extract.tsv") else { return };
    let (mut matched, mut modelled) = (0, 0);
    let mut balancers: std::collections::HashMap<(String, &str), Balancer> = std::collections::HashMap::new();
    let hash_type = HashType::default();
    for row in &rows {
        let [setting, input, versions, expected] = &row[..] else { panic!("{row:?}") };
        if !expected.starts_with('p') || expected.contains(' ') {
            continue;
        }
        let key: Option<Vec<u8>> = match extract(setting, input) {
            Some(key) => key,
            None => continue,
        };
        modelled += 1;
        // Each version was recorded on its own, so each has its own round robin for requests without a key.
        for version in versions.split(',') {
            let hash_options = HashOptions { method: Method::MapBased, shortcut: true };
            let balancer = balancers
                .entry((setting.clone(), if version == "2.6" { "2.6" } else { "3.5" }))
                .or_insert_with(|| {
                    Balancer::new(Algorithm::Hash(hash_options), Options::default(), &servers(&[1; 61]))
                });
            let request =
                Request { hash: key.as_deref().map(|key| hash_type.hash(key)), ..Request::default() };
            let pick = format!("p{}", balancer.pick(&request, &Idle).unwrap().0 + 1);
            // Where the versions differ we follow the newer one for URIs, the older one for bodies.
            let followed = version == if setting.contains("check_post") { "2.6" } else { "3.5" };
            if versions.contains(',') || followed {
                assert_eq!(&pick, expected, "{setting}: {input} ({version})");
            }
        }
        matched += 1;
    }
    println!("key_extract.tsv: {matched} of {modelled} rows with a pick ({} rows in all)", rows.len());
}

/// The key of a row; none if the row is not about extraction.
fn extract(setting: &str, input: &str) -> Option<Option<Vec<u8>>> {
    let input = input.replace("\\r", "\r").replace("\\n", "\n");
    let bytes = input.as_bytes();
    let owned = |key: Option<&[u8]>| Some(key.map(<[u8]>::to_vec));
    if let Some(options) = setting.strip_prefix("balance uri") {
        return owned(Some(key::uri(bytes, &uri_options(options))));
    }
    if setting.starts_with("H2") {
        let uri = format!("http://ex.org{input}");
        let options = uri_options(setting.split("balance uri").nth(1)?);
        return owned(Some(key::uri(uri.as_bytes(), &options)));
    }
    if setting.starts_with("balance hdr(x-h):") || setting.contains("consistent") {
        return None;
    }
    if setting.starts_with("balance hdr") {
        return owned(key::header(bytes, setting.contains("use_domain_only")));
    }
    if setting.contains("check_post") {
        let (uri, body) = input.split_once(' ').unwrap_or((&input, ""));
        let found = key::url_param(uri.as_bytes(), b"id").or_else(|| key::body_param(body.as_bytes(), b"id"));
        return owned(found);
    }
    if setting.starts_with("balance url_param") {
        return owned(key::url_param(bytes, b"id"));
    }
    if setting.starts_with("balance rdp-cookie") {
        let packet = [b"\x03\0\0\x2a\x25\xe0\0\0\0\0\0Cookie: ", bytes, b"\r\n"].concat();
        return owned(key::rdp_cookie(&packet, b"mstshash"));
    }
    None
}

fn uri_options(text: &str) -> UriOptions {
    let words: Vec<&str> = text.split_whitespace().collect();
    let number = |name| words.iter().position(|w| *w == name).map(|at| words[at + 1].parse().unwrap());
    UriOptions {
        len_bytes: number("len"),
        depth: number("depth"),
        whole: words.contains(&"whole"),
        path_only: words.contains(&"path-only"),
    }
}

#[test]
fn converters() {
    let Some(rows) = rows("converters.tsv") else { return };
    for row in &rows {
        let bytes = match row[0].as_str() {
            "(empty)" => Vec::new(),
            hex => {
                (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap()).collect()
            }
        };
        let mut ours: Vec<i64> = Vec::new();
        for value in [
            hash::sdbm(&bytes),
            hash::djb2(&bytes),
            hash::wt6(&bytes),
            hash::crc32(&bytes),
            hash::crc32c(&bytes),
        ] {
            ours.extend([i64::from(value), i64::from(hash::avalanche(value))]);
        }
        ours.extend([0, 1, 12345].map(|seed| i64::from(hash::xxh32(&bytes, seed))));
        ours.extend([0, 1, 12345].map(|seed| hash::xxh64(&bytes, seed) as i64));
        ours.extend([0, 12345].map(|seed| hash::xxh3(&bytes, seed) as i64));
        let theirs: Vec<i64> = row[1..].iter().map(|v| v.parse().unwrap()).collect();
        assert_eq!(ours, theirs, "{}", row[0]);
    }
    println!("converters.tsv: {} of {} rows", rows.len(), rows.len());
}

#[test]
fn slowstart() {
    let Some(rows) = rows("slowstart.tsv") else { return };
    use hacore::health::SlowStart;
    let start = std::time::Instant::now();
    let slow = SlowStart::new(std::time::Duration::from_secs(10), start).unwrap();
    let setup = server(1, 100);
    let mut balancer = Balancer::new(Algorithm::RoundRobin, Options::default(), &[setup]);
    for row in &rows {
        let [second, displayed, effective] =
            row.iter().map(|v| v.parse::<u64>().unwrap()).collect::<Vec<_>>()[..]
        else {
            panic!("{row:?}")
        };
        let ramp = slow.ramp(start + std::time::Duration::from_secs(second));
        balancer.set_server(ServerIndex(0), Condition { ramp, ..condition(100) });
        let shown = u64::from(balancer.displayed_weight(ServerIndex(0)));
        assert_eq!((shown, u64::from(ramp) * 100), (displayed, effective), "after {second} s");
    }
    println!("slowstart.tsv: {} of {} rows", rows.len(), rows.len());
}
