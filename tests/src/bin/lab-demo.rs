//! The demonstration: the chapter's high-availability set-up, and everything in it that can die, dying.
//!
//! Ends with a table and exit status 0 only if every act went as it should.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, IsTerminal};
use std::process::{Child, ExitCode, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use testkit::environment;
use testkit::lab::owners::Owners;
use testkit::lab::probe::{Answer, longest_gap_us};
use testkit::lab::{Lab, VIRTUAL_ADDRESS, now_us};

/// How often the timeline gets a line.
const LINE_EVERY: Duration = Duration::from_millis(500);
/// How long a good state must last before an act counts as over.
const SETTLED: Duration = Duration::from_millis(1500);
/// The same after a silent death: longer than a master-down time, so that a second holder would show.
const SETTLED_AFTER_DEATH: Duration = Duration::from_millis(5000);
const PROBE_INTERVAL_MS: &str = "5";

/// What must be true when an act is over, and what a client may have noticed.
struct Expectation {
    /// Exactly one of these holds the address in the end.
    holders: &'static [&'static str],
    servers: &'static [&'static str],
    /// From the theory of the timers, with an allowance for a busy machine.
    gap_max_ms: u64,
    failed_max: usize,
    settled: Duration,
    within: Duration,
}

struct Act {
    title: &'static str,
    /// The theory behind the expectation, one line.
    theory: &'static str,
    commands: &'static [&'static [&'static str]],
    expect: Expectation,
}

const ALL: &[&str] = &["app1", "app2", "app3"];

/// At 200 requests/s a silent address loses one request per 5 ms.
const fn lost_in_ms(ms: u64) -> usize {
    (ms / 5) as usize
}

impl Act {
    /// An act after which lb1 holds the address, all servers serve, and a client noticed next to nothing.
    const fn new(
        title: &'static str,
        theory: &'static str,
        commands: &'static [&'static [&'static str]],
    ) -> Self {
        let expect = Expectation {
            holders: &["lb1"],
            servers: ALL,
            gap_max_ms: 500,
            failed_max: lost_in_ms(500),
            settled: SETTLED,
            within: Duration::from_secs(20),
        };
        Self { title, theory, commands, expect }
    }

    const fn holders(mut self, holders: &'static [&'static str]) -> Self {
        self.expect.holders = holders;
        self
    }

    const fn servers(mut self, servers: &'static [&'static str]) -> Self {
        self.expect.servers = servers;
        self
    }

    /// The longest gap that theory allows, and with it the requests that may fail in it.
    const fn gap_max_ms(mut self, gap_ms: u64) -> Self {
        self.expect.gap_max_ms = gap_ms;
        self.expect.failed_max = lost_in_ms(gap_ms);
        self
    }

    const fn failed_max(mut self, count: usize) -> Self {
        self.expect.failed_max = count;
        self
    }

    const fn settled(mut self, time: Duration) -> Self {
        self.expect.settled = time;
        self
    }
}

const START: Act = Act::new(
    "everything starts",
    "lb1 has priority 100, lb2 90: lb1 takes the address after 3 adverts + skew = 3.6 s",
    &[],
)
.gap_max_ms(20_000);

const ACTS: [Act; 9] = [
    Act::new(
        "app2 dies",
        "checks find it after 3 x 0.5 s; until then new requests are retried on another server",
        &[&["kill", "app2", "origin"]],
    )
    .servers(&["app1", "app3"])
    // What was already sent to it when it died must not be sent twice; what was not is retried.
    .failed_max(3),
    Act::new("app2 comes back", "two good checks", &[&["start", "app2", "origin"]]).failed_max(0),
    Act::new(
        "proxyd on lb1 dies (SIGKILL)",
        "its script fails twice at 1 s, then one skew of 0.6 s",
        &[&["kill", "lb1", "proxyd"]],
    )
    .holders(&["lb2"])
    .gap_max_ms(4500),
    Act::new(
        "proxyd on lb1 comes back",
        "two good runs of the script, one master-down time, then lb1 preempts",
        &[&["start", "lb1", "proxyd"]],
    ),
    Act::new(
        "vrrpd on lb1 is stopped (SIGTERM)",
        "priority 0 on the wire; lb2 may move after one skew of 0.65 s",
        &[&["stop", "lb1", "vrrpd"]],
    )
    .holders(&["lb2"])
    .gap_max_ms(1200),
    Act::new(
        "vrrpd on lb1 is started",
        "preemption after one master-down time",
        &[&["start", "lb1", "vrrpd"]],
    ),
    Act::new(
        "vrrpd on lb1 is killed (SIGKILL)",
        "nobody may be left with an address that nobody answers for",
        &[&["kill", "lb1", "vrrpd"]],
    )
    .holders(&["lb1", "lb2"])
    .gap_max_ms(4500)
    .settled(SETTLED_AFTER_DEATH),
    Act::new(
        "vrrpd on lb1 is started again",
        "preemption, and still one holder",
        &[&["start", "lb1", "vrrpd"]],
    )
    .gap_max_ms(1200)
    .settled(SETTLED_AFTER_DEATH),
    Act::new("lb1 dies whole, as if by its power", "3 adverts + skew = 3.65 s at most", &[&["kill", "lb1"]])
        .holders(&["lb2"])
        .gap_max_ms(4500),
];

/// One line of the final table.
struct Row {
    title: &'static str,
    holder: String,
    gap_ms: u64,
    failed: usize,
    /// Microseconds in which two load balancers held the address.
    two_holders_us: u64,
    faults: Vec<String>,
}

struct Demo {
    lab: Lab,
    owners: Owners,
    answers: Arc<Mutex<Vec<Answer>>>,
    probe: Child,
    started: Instant,
    colour: bool,
}

#[allow(clippy::print_stdout)]
impl Demo {
    fn start() -> Result<Self> {
        println!(
            "Building the laboratory: a client, lb1 and lb2, app1 to app3; the virtual address is {VIRTUAL_ADDRESS}."
        );
        let lab = Lab::up()?;
        let owners = Owners::watch(&lab, &["lb1", "lb2"])?;
        let program = std::env::current_exe()?.with_file_name("lab-probe");
        let mut probe = lab
            .command("client", &program.display().to_string())
            .args(["--target", &format!("{VIRTUAL_ADDRESS}:80"), "--interval-ms", PROBE_INTERVAL_MS])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start the client")?;
        let answers = Arc::<Mutex<Vec<Answer>>>::default();
        let lines = BufReader::new(probe.stdout.take().context("no output")?).lines();
        let sink = Arc::clone(&answers);
        std::thread::spawn(move || {
            for answer in lines.map_while(Result::ok).filter_map(|line| line.parse().ok()) {
                sink.lock().unwrap_or_else(PoisonError::into_inner).push(answer);
            }
        });
        let colour = std::io::stdout().is_terminal();
        Ok(Self { lab, owners, answers, probe, started: Instant::now(), colour })
    }

    fn answers(&self) -> Vec<Answer> {
        self.answers.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn say(&self, text: &str) {
        let (bold, plain) = if self.colour { ("\x1b[1m", "\x1b[0m") } else { ("", "") };
        println!("{bold}{:6.1} s  {text}{plain}", self.started.elapsed().as_secs_f64());
    }

    /// One line of the timeline: answers by server since `from_us`, failures, and who holds the address.
    fn line(&self, from_us: u64) {
        let mut counts: BTreeMap<&str, usize> = ALL.iter().map(|&name| (name, 0)).collect();
        let mut failed = 0;
        let answers = self.answers();
        for answer in answers.iter().filter(|answer| answer.done_us >= from_us) {
            match &answer.outcome {
                Ok(name) => *counts.entry(name).or_default() += 1,
                Err(_) => failed += 1,
            }
        }
        let servers: Vec<String> =
            counts.iter().map(|(name, count)| format!("{name} {:<14}", bar(*count))).collect();
        let holders = self.owners.current();
        let holders = if holders.is_empty() { "nobody".to_owned() } else { holders.join(" and ") };
        println!(
            "{:6.1} s  {} failed {failed:<4} {VIRTUAL_ADDRESS} on {holders}",
            self.started.elapsed().as_secs_f64(),
            servers.join(" ")
        );
    }

    /// Shows the timeline until the expectation has held for its time or time is up; the faults that remain.
    fn watch(&self, expect: &Expectation) -> Vec<String> {
        let deadline = Instant::now() + expect.within;
        let mut good_since: Option<Instant> = None;
        let mut last_line_us = now_us();
        loop {
            std::thread::park_timeout(LINE_EVERY);
            self.line(last_line_us);
            let faults = self.faults_now(expect, last_line_us);
            last_line_us = now_us();
            if faults.is_empty() {
                let since = *good_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= expect.settled {
                    return Vec::new();
                }
            } else {
                good_since = None;
                if Instant::now() >= deadline {
                    return faults;
                }
            }
        }
    }

    /// What is not as it should be, judged by the answers since `from_us`.
    fn faults_now(&self, expect: &Expectation, from_us: u64) -> Vec<String> {
        let mut faults = Vec::new();
        let holders = self.owners.current();
        if !matches!(holders[..], [holder] if expect.holders.contains(&holder)) {
            faults.push(format!("the address is on {holders:?}, not on {}", expect.holders.join(" or ")));
        }
        let answers = self.answers();
        let recent: Vec<&str> = answers
            .iter()
            .filter(|answer| answer.done_us >= from_us)
            .filter_map(|answer| answer.outcome.as_deref().ok())
            .collect();
        for &server in ALL {
            match (expect.servers.contains(&server), recent.contains(&server)) {
                (true, false) => faults.push(format!("{server} gets no requests")),
                (false, true) => faults.push(format!("{server} still gets requests")),
                _ => {}
            }
        }
        faults
    }

    fn play(&mut self, act: &Act) -> Result<Row> {
        self.say(&format!("--- {}: {}", act.title, act.theory));
        let from_us = now_us();
        for command in act.commands {
            self.lab.run(command)?;
        }
        let mut faults = self.watch(&act.expect);
        let to_us = now_us();
        let answers = self.answers();
        let gap_ms = longest_gap_us(&answers, from_us, to_us) / 1000;
        let failed = answers
            .iter()
            .filter(|answer| answer.outcome.is_err() && answer.sent_us >= from_us && answer.sent_us < to_us)
            .count();
        if gap_ms > act.expect.gap_max_ms {
            faults.push(format!("gap {gap_ms} ms, at most {} ms expected", act.expect.gap_max_ms));
        }
        if failed > act.expect.failed_max {
            faults.push(format!("{failed} requests failed, at most {} expected", act.expect.failed_max));
        }
        let two_holders_us = self.two_holders_us(from_us, to_us);
        Ok(Row {
            title: act.title,
            holder: self.owners.current().join("+"),
            gap_ms,
            failed,
            two_holders_us,
            faults,
        })
    }

    fn two_holders_us(&self, from_us: u64, to_us: u64) -> u64 {
        let (mut held, mut since, mut total) = (Vec::new(), None::<u64>, 0);
        for change in self.owners.changes().iter().filter(|change| change.at_us <= to_us) {
            held.retain(|&node| node != change.node);
            if change.holds {
                held.push(change.node);
            }
            match (held.len() > 1, since) {
                (true, None) => since = Some(change.at_us),
                (false, Some(start)) => {
                    total += change.at_us.saturating_sub(start.max(from_us));
                    since = None;
                }
                _ => {}
            }
        }
        total + since.map_or(0, |start| to_us.saturating_sub(start.max(from_us)))
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let _ = self.probe.kill();
        let _ = self.probe.wait();
    }
}

/// A bar of up to ten cells, one per four answers, and the count.
fn bar(count: usize) -> String {
    format!("{:<10}{count:>4}", "#".repeat((count / 4).min(10)))
}

#[allow(clippy::print_stdout)]
fn summary(rows: &[Row], seconds: f64) {
    println!(
        "\n{:<36} {:>8} {:>9} {:>8} {:>12}  verdict",
        "act", "holder", "gap ms", "failed", "two holders"
    );
    for row in rows {
        let verdict = if row.faults.is_empty() { "as it should".to_owned() } else { row.faults.join("; ") };
        println!(
            "{:<36} {:>8} {:>9} {:>8} {:>9} ms  {verdict}",
            row.title,
            row.holder,
            row.gap_ms,
            row.failed,
            row.two_holders_us / 1000
        );
    }
    let good = rows.iter().filter(|row| row.faults.is_empty()).count();
    println!("\n{good} of {} acts went as they should, in {seconds:.0} s.", rows.len());
}

#[allow(clippy::print_stdout)]
fn run(keep: bool) -> Result<bool> {
    let mut demo = Demo::start()?;
    let mut rows = vec![demo.play(&START)?];
    if rows.iter().all(|row| row.faults.is_empty()) {
        for act in &ACTS {
            rows.push(demo.play(act)?);
        }
    }
    summary(&rows, demo.started.elapsed().as_secs_f64());
    if keep {
        demo.lab.keep();
        println!(
            "\nThe laboratory is still up (lb1 is dead; lb2 serves). Try:\n  \
             scripts/lab status\n  scripts/lab exec client curl -si http://{VIRTUAL_ADDRESS}/\n  \
             scripts/lab exec lb2 socat - unix:/run/proxyd/admin.sock <<< 'show stat'\n  \
             scripts/lab exec lb2 tcpdump -ni eth0 vrrp\n  scripts/lab down"
        );
    }
    Ok(rows.len() == ACTS.len() + 1 && rows.iter().all(|row| row.faults.is_empty()))
}

#[allow(clippy::print_stderr)]
fn main() -> ExitCode {
    if !environment::has_namespaces() {
        eprintln!("lab-demo: needs root or user namespaces (unshare -Urnm is refused here)");
        return ExitCode::from(2);
    }
    let keep = std::env::args().any(|argument| argument == "--keep");
    match run(keep) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("lab-demo: {error:#}");
            ExitCode::from(2)
        }
    }
}
