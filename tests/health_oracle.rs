//! The health machine beside the genuine haproxy: the same results in the same order give the same lines in the log,
//! which name every counter and every change of state.

// The whole file is a test; clippy only knows functions marked as one.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::{Duration, Instant};

use hacore::health::{
    CheckResult, CheckStatus, Event, Health, Left, Operation, Settings, Subject, Timing, Transition,
};
use testkit::daemon::Daemon;
use testkit::environment::{installed, skip};
use testkit::log_catcher::{LogCatcher, message};

const BACKENDS: u64 = 12;
const RESULTS: usize = 60;
const LIMIT: Duration = Duration::from_secs(60);

/// SplitMix64: a failing seed can be run again.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// One server and the statuses it answers checks with, in turn.
struct Case {
    name: String,
    rise: u32,
    fall: u32,
    statuses: Vec<u16>,
}

impl Case {
    fn new(seed: u64) -> Self {
        let mut random = Random(seed);
        let (rise, fall) = (1 + random.below(4) as u32, 1 + random.below(4) as u32);
        // Runs of the same status, so that counters get to their ends.
        let mut statuses = Vec::new();
        while statuses.len() < RESULTS {
            let status = [200, 200, 500, 503, 404][random.below(5) as usize];
            statuses.extend(std::iter::repeat_n(status, 1 + random.below(4) as usize));
        }
        Case { name: format!("be{seed}"), rise, fall, statuses }
    }

    /// What our machine says to the same results.
    fn lines(&self) -> Vec<String> {
        let timing = Timing { rise: self.rise, fall: self.fall, ..Timing::default() };
        let now = Instant::now();
        let mut health = Health::new(Settings { check: Some(timing), ..Settings::default() }, now);
        let subject = Subject { backend: &self.name, server: "s1", backup: false };
        let mut lines = Vec::new();
        for status in &self.statuses {
            let result = judge(*status, health.operation() != Operation::Stopped);
            for event in health.on_check(result, now) {
                match event {
                    Event::Report(report) => lines.push(report.line(&subject)),
                    Event::Changed(change) => {
                        let left = Left { active: u32::from(change.to == Transition::Up), ..Left::default() };
                        lines.push(change.line(&subject, &left, true));
                    }
                    _ => {}
                }
            }
        }
        lines
    }
}

/// `option httpchk` with `http-check disable-on-404`.
fn judge(status: u16, up: bool) -> CheckResult {
    let result = |word| CheckResult::new(word, Duration::ZERO).with_code(u32::from(status));
    match status {
        200..=399 => result(CheckStatus::Layer7Ok),
        404 if up => result(CheckStatus::Layer7OkConditionally),
        _ => result(CheckStatus::Layer7Status).with_description(format!("R{status}")),
    }
}

/// Answers each connection with the next status; after the last one it lets checks wait, which end after the test.
fn serve(statuses: Vec<u16>) -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for status in statuses {
            let Ok((mut stream, _)) = listener.accept() else { return };
            let _ = stream.read(&mut [0; 1024]);
            let _ = write!(stream, "HTTP/1.1 {status} R{status}\r\nContent-Length: 0\r\n\r\n");
            let _ = stream.read(&mut [0; 1024]);
        }
        // Dropped, the listener refuses: the next line of the log is not one of ours.
    });
    address
}

/// A line without how long the check took.
fn without_duration(line: &str) -> String {
    match line.split_once("check duration: ") {
        Some((before, after)) => {
            format!("{before}check duration: -{}", after.trim_start_matches(|c: char| c.is_ascii_digit()))
        }
        None => line.to_owned(),
    }
}

#[test]
fn the_same_results_give_the_same_log_as_haproxy() {
    let Some(haproxy) = installed("haproxy") else {
        return skip("the_same_results_give_the_same_log_as_haproxy", "haproxy is not installed");
    };
    let log = LogCatcher::new().unwrap();
    let cases: Vec<Case> = (0..BACKENDS).map(Case::new).collect();
    let mut configuration = format!(
        "global\n log {} local0\n stats socket {{dir}}/admin.sock\ndefaults\n mode http\n log global\n timeout connect 5s\n timeout client 5s\n \
         timeout server 5s\n",
        log.address().unwrap()
    );
    for case in &cases {
        let address = serve(case.statuses.clone());
        let (name, rise, fall) = (&case.name, case.rise, case.fall);
        let _ = write!(
            configuration,
            "backend {name}\n option httpchk GET /\n option log-health-checks\n http-check disable-on-404\n \
             timeout check 5s\n server s1 {address} check inter 20ms rise {rise} fall {fall}\n"
        );
    }
    let proxy = Daemon::proxy(&haproxy, &configuration).unwrap();
    let mut genuine: HashMap<String, Vec<String>> = HashMap::new();
    let expected: HashMap<&str, Vec<String>> =
        cases.iter().map(|case| (case.name.as_str(), case.lines())).collect();
    let deadline = Instant::now() + LIMIT;
    let complete = |genuine: &HashMap<String, Vec<String>>| {
        expected.iter().all(|(name, lines)| genuine.get(*name).is_some_and(|got| got.len() >= lines.len()))
    };
    while !complete(&genuine) {
        let left = deadline.saturating_duration_since(Instant::now());
        let Some(line) = log.line(left).unwrap() else { panic!("lines are missing\n{}", proxy.output()) };
        let text = message(&line);
        let server = text.split_whitespace().find_map(|word| word.strip_suffix("/s1"));
        if let Some(name) = server {
            genuine.entry(name.to_owned()).or_default().push(without_duration(text));
        }
    }
    for case in &cases {
        let ours: Vec<String> =
            expected[case.name.as_str()].iter().map(|line| without_duration(line)).collect();
        let theirs = &genuine[&case.name][..ours.len()];
        assert_eq!(ours, theirs, "{}: rise {} fall {} {:?}", case.name, case.rise, case.fall, case.statuses);
    }
}
