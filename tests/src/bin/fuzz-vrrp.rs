//! Looks for packets and configurations that make vrrpd panic, hang or believe what it must not:
//! `fuzz-vrrp TARGET SECONDS [SEED]`.
//!
//! Each case has a seed of its own, which is printed with the case when something is found, so that `fuzz-vrrp TARGET 0
//! SEED` shows it again. Targets: `packets` (receive checks), `election` (adverts and events into the state machine),
//! `configuration` (text into the reader).

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::time::{ClockId, clock_gettime};
use vrrpd::config::{LoadOptions, SystemEnvironment, load_text, support};
use vrrpd::model::{UnicastPeer, Version};
use vrrpd::packet::receive::Datagram;
use vrrpd::packet::trailer::{Guard, Secret, Signer};
use vrrpd::packet::v3::ChecksumCover;
use vrrpd::packet::{
    Advertisement, Authentication, Expectation, Family, Received, ah, decode, encode, ipv4, peek_sequence,
    peek_vrid,
};
use vrrpd::vrrp::{Action, Effect, Ending, Event, Router, Settings, State, Tracker};

/// A case that needs more processor time is a finding.
const CASE_TIME_MAX: Duration = Duration::from_secs(3);

/// What is fuzzed.
struct Target {
    name: &'static str,
    run: fn(&mut Random, &[String]),
}

const TARGETS: &[Target] = &[
    Target { name: "packets", run: packets },
    Target { name: "election", run: election },
    Target { name: "configuration", run: configuration },
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        if limit == 0 { 0 } else { (self.next() >> 16) as usize % limit }
    }

    fn chance(&mut self, percent: usize) -> bool {
        self.below(100) < percent
    }

    fn pick<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        list.get(self.below(list.len()))
    }

    /// Changes a few bytes, cuts, lengthens.
    fn spoil(&mut self, bytes: &mut Vec<u8>) {
        for _ in 0..self.below(4) {
            match self.below(5) {
                0 => {
                    let at = self.below(bytes.len());
                    bytes.truncate(at);
                }
                1 => bytes.extend((0..self.below(40)).map(|_| 0)),
                2 => {
                    let at = self.below(bytes.len() + 1);
                    bytes.insert(at, self.0 as u8);
                }
                _ => {
                    let at = self.below(bytes.len());
                    let value = self.next() as u8;
                    if let Some(byte) = bytes.get_mut(at) {
                        *byte = value;
                    }
                }
            }
        }
    }
}

const SECRET: [u8; 8] = *b"secret12";

fn expectation(random: &mut Random, family: Family) -> Expectation {
    let auth = [Authentication::None, Authentication::Password(SECRET), Authentication::Header(SECRET)];
    let address = |text: &str| text.parse::<IpAddr>().ok();
    let own = if family == Family::V4 { address("10.0.0.100") } else { address("fe80::100") };
    let guard = Guard {
        keys: BTreeMap::from([(7, Secret::new(b"0123456789abcdef0123456789abcdef"))]),
        enforce: random.chance(50),
        window_s: random.chance(50).then_some(5),
        wall_us: 1_000_000_000,
        heard: BTreeMap::new(),
    };
    let peer = UnicastPeer { address: source(family), min_ttl: Some(200), max_ttl: None };
    Expectation {
        version: if random.chance(50) { Version::V2 } else { Version::V3 },
        family,
        vrid: 51,
        auth: random.pick(&auth).copied().unwrap_or_default(),
        sequence: random.below(10) as u32,
        interval_us: 1_000_000,
        checksum: if random.chance(20) { ChecksumCover::Message } else { ChecksumCover::PseudoHeader },
        old_checksum: None,
        unicast: random.chance(20),
        addresses: own.into_iter().collect(),
        peers: if random.chance(20) { vec![peer] } else { Vec::new() },
        hmac: random.chance(30).then_some(guard),
    }
}

fn source(family: Family) -> IpAddr {
    match family {
        Family::V4 => IpAddr::from([10, 0, 0, 2]),
        Family::V6 => IpAddr::from([0xfe80, 0, 0, 0, 0, 0, 0, 2]),
    }
}

/// A packet near what is expected: good, then spoilt.
fn packet(random: &mut Random, expect: &Expectation) -> Vec<u8> {
    if random.chance(5) {
        return (0..random.below(600)).map(|_| random.next() as u8).collect();
    }
    let from = source(expect.family);
    let to = match expect.family {
        Family::V4 => IpAddr::from([224, 0, 0, 18]),
        Family::V6 => IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12]),
    };
    let mut addresses = expect.addresses.clone();
    addresses.extend((0..random.below(3)).map(|_| from));
    let advert = Advertisement {
        version: expect.version,
        vrid: 51,
        priority: random.next() as u8,
        interval_us: 1_000_000,
        addresses,
    };
    let mut message = encode(&advert, expect.auth, expect.checksum, from, to);
    if random.chance(10) {
        random.spoil(&mut message);
    }
    if expect.hmac.is_some() {
        let secret = Secret::new(b"0123456789abcdef0123456789abcdef");
        let signer = Signer { key_id: 7, secret, sequence: (1000 << 32) + random.next() % 100 };
        message = signer.sign(from, to, &message);
    }
    let mut bytes = match (from, to) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let header =
                ipv4::Ipv4Header { source, destination, ttl: 255, protocol: 112, id: 1, total_len: 0 };
            match expect.auth {
                Authentication::Header(secret) => {
                    ah::encapsulate(&header, ah::Seal { secret, sequence: random.below(20) as u32 }, &message)
                }
                _ => ipv4::encapsulate(&header, &message),
            }
        }
        _ => message,
    };
    random.spoil(&mut bytes);
    bytes
}

fn packets(random: &mut Random, _: &[String]) {
    let family = if random.chance(60) { Family::V4 } else { Family::V6 };
    let expect = expectation(random, family);
    let bytes = packet(random, &expect);
    let datagram = Datagram {
        bytes: &bytes,
        source: source(family),
        destination: random.chance(90).then(|| IpAddr::from([0xff02, 0, 0, 0, 0, 0, 0, 0x12])),
        hop_limit: Some(255),
    };
    let _ = (peek_vrid(&datagram), peek_sequence(&datagram));
    if let Ok(received) = decode(&datagram, &expect) {
        assert_eq!(received.advert.version, expect.version);
        assert!(received.advert.addresses.len() <= 255 && received.advert.interval_us > 0);
        if let Some(guard) = &expect.hmac {
            assert!(!guard.enforce || received.hmac_sequence.is_some(), "unsigned but accepted");
        }
    }
}

/// A random instance's settings, through its configuration.
fn settings(random: &mut Random) -> Option<Settings> {
    let text = format!(
        "global_defs {{\n dynamic_interfaces\n}}\nvrrp_instance A {{\n interface x\n version {}\n virtual_router_id 1\n \
         priority {}\n advert_int {}\n {}\n virtual_ipaddress {{\n 10.0.0.1\n }}\n}}\n",
        2 + random.below(2),
        1 + random.below(255),
        [1, 2, 10][random.below(3)],
        ["", "nopreempt", "preempt_delay 3", "strict_mode", "state MASTER", "garp_master_refresh 1"]
            [random.below(6)]
    );
    let (config, _, _) = load_text(text.as_bytes(), &LoadOptions::default(), &SystemEnvironment);
    config?.vrrp_instances.first().map(Settings::from)
}

fn event(random: &mut Random) -> Event {
    let sources = [[10, 0, 0, 1], [10, 0, 0, 2], [10, 0, 0, 9]].map(IpAddr::from);
    let from = random.pick(&sources).copied().unwrap_or(IpAddr::from([10, 0, 0, 2]));
    let effect = match random.below(4) {
        0 => Effect::Fault,
        1 => Effect::Weight(random.below(600) as i32 - 300),
        _ => Effect::None,
    };
    match random.below(12) {
        0..6 => Event::Advert(Received {
            advert: Advertisement {
                version: Version::V3,
                vrid: 1,
                priority: random.next() as u8,
                interval_us: 10_000 * (1 + random.below(4095) as u64),
                addresses: Vec::new(),
            },
            source: from,
            mismatch: None,
            hmac_sequence: None,
            old_checksum_found: random.chance(5),
        }),
        6 => Event::Track { tracker: Tracker::Script("s".into()), effect },
        7 => Event::Track { tracker: Tracker::Interface("x".into()), effect },
        8 => Event::Source(random.chance(80).then_some(from)),
        9 => Event::AddressLost,
        10 if random.chance(5) => Event::Stop(Ending::Shutdown),
        _ => Event::Timer,
    }
}

/// Whatever happens: addresses are held by a master, or by one that is handing them over and has a deadline for it.
fn election(random: &mut Random, _: &[String]) {
    let Some(settings) = settings(random) else { return };
    let mut router = Router::new(settings);
    let (mut now_us, mut holds) = (0, false);
    let mut feed = |router: &mut Router, event: Event, now_us: u64| {
        let mut out = Vec::new();
        router.step(event, now_us, &mut out);
        assert!(out.len() < 100, "{} actions at once", out.len());
        for action in out {
            match action {
                Action::AddAddresses => holds = true,
                Action::RemoveAddresses => holds = false,
                _ => {}
            }
        }
        assert_eq!(holds, router.holds_addresses());
        let masters = router.state() == State::Master;
        assert!(!masters || holds, "a master without addresses");
        assert!(!holds || masters || router.next_deadline_us().is_some(), "addresses for ever");
    };
    feed(&mut router, Event::Source(Some(IpAddr::from([10, 0, 0, 1]))), now_us);
    feed(&mut router, Event::Start, now_us);
    for _ in 0..random.below(300) {
        now_us += random.below(3_000_000) as u64;
        let next = event(random);
        feed(&mut router, next, now_us);
    }
}

/// Keywords, numbers, braces and what people write, in an order that is nearly right.
fn configuration(random: &mut Random, words: &[String]) {
    const PIECES: &[&str] = &[
        "{",
        "}",
        "\n",
        "\n",
        "!",
        "#",
        "\"",
        "'",
        "\\",
        "\\\n",
        "$X",
        "$X=",
        "${X}",
        "${_RANDOM 1 9}",
        "~SEQ(A, 1, 3)",
        "~LST(A, 1, 2)",
        "@a",
        "@^a",
        "include /dev/null",
        "10.0.0.1/24",
        "fe80::1",
        "224.0.0.18",
        "255",
        "-1",
        "1.5",
        "99999999999999999999",
        "eth0",
        "dev",
        "weight",
        "on",
        "off",
        "\0",
        "\u{e9}",
        "vrrp_instance A {",
        "global_defs {",
        "virtual_ipaddress {",
        "interface lo",
        "virtual_router_id 1",
        "priority 100",
    ];
    let mut text = String::new();
    for _ in 0..random.below(120) {
        if random.chance(50) {
            text.push_str(random.pick(words).map_or("", String::as_str));
        } else {
            text.push_str(random.pick(PIECES).copied().unwrap_or_default());
        }
        text.push(if random.chance(20) { '\n' } else { ' ' });
    }
    let mut bytes = text.into_bytes();
    random.spoil(&mut bytes);
    let (config, diagnostics, _) = load_text(&bytes, &LoadOptions::default(), &SystemEnvironment);
    assert!(config.is_some() || diagnostics.has_alerts(), "refused without a reason");
}

/// Every keyword of the tables.
fn keywords() -> Vec<String> {
    let table = support::table();
    let cells = table.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`'));
    cells.map(|(keyword, _)| keyword.to_owned()).collect()
}

/// What this thread has used; others may keep the processor for seconds.
fn processor_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from).unwrap_or_default()
}

fn main() -> ExitCode {
    let mut out = std::io::stdout();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let target = arguments.first().and_then(|name| TARGETS.iter().find(|target| target.name == *name));
    let seconds = arguments.get(1).and_then(|text| text.parse::<u64>().ok());
    let (Some(target), Some(seconds)) = (target, seconds) else {
        let names: Vec<&str> = TARGETS.iter().map(|target| target.name).collect();
        let _ = writeln!(out, "usage: fuzz-vrrp {} SECONDS [SEED]", names.join("|"));
        return ExitCode::from(2);
    };
    let given = arguments.get(2).and_then(|text| text.parse::<u64>().ok());
    let start_seed = given.unwrap_or_else(hacore::time::wall_us);
    let words = keywords();
    let (start, mut cases) = (Instant::now(), 0_u64);
    let _ = writeln!(out, "{}: first seed {start_seed}", target.name);
    loop {
        let seed = start_seed.wrapping_add(cases);
        let began = processor_time();
        let outcome = catch_unwind(AssertUnwindSafe(|| (target.run)(&mut Random(seed), &words)));
        let took = processor_time().saturating_sub(began);
        if outcome.is_err() || took > CASE_TIME_MAX {
            let _ = writeln!(out, "FOUND: fuzz-vrrp {} 0 {seed} ({took:?})", target.name);
            return ExitCode::FAILURE;
        }
        cases += 1;
        if start.elapsed() >= Duration::from_secs(seconds) {
            let _ = writeln!(out, "{}: {cases} cases in {seconds} s, nothing found", target.name);
            return ExitCode::SUCCESS;
        }
    }
}
