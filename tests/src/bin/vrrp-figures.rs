//! Figures of a keepalived-compatible daemon that the failover benchmark has no scenario for:
//! `vrrp-figures reloads|killed|frozen|stress|flood PROGRAM [COUNT]`, as root, in network namespaces of its own.
//!
//! * `reloads`: COUNT reloads of a master (the same file, a changed one, a broken one in turn) under a ping every 2 ms.
//! * `killed`: COUNT times SIGKILL to the process in the VRRP pid file, under a ping every 2 ms.
//! * `frozen`: SIGSTOP to everything of a master: how long until only its backup has the address.
//! * `stress`: COUNT seconds of adverts every 100 ms and every 10 ms with every core busy: the latest of them.
//! * `flood`: COUNT seconds of 100,000 wrong packets a second to a master and its backup.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement lasts a given time; nothing waits for an event here"
)]

use std::collections::BTreeSet;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::daemon::Daemon;
use testkit::vrrp::{Host, INTERFACE, LIMIT, Segment, await_line};
use testkit::wait;

const VIP: &str = "10.99.0.100";

fn file(priority: u8, body: &str, more: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface {INTERFACE}\n virtual_router_id 51\n priority {priority}\n {body}\n \
         virtual_ipaddress {{\n {VIP}/24\n {more}\n }}\n}}\n"
    )
}

/// A segment with a master on the first host and a backup of the same program on the second.
fn pair(program: &Path, body: &str) -> anyhow::Result<(Segment, Daemon, Daemon)> {
    let segment = Segment::new()?;
    let master = segment.start(Host::One, program, &file(150, body, ""))?;
    if !segment.await_owner(VIP, Host::One) {
        bail!("no master:\n{}", master.output());
    }
    // A new link carries frames only after a moment (the kernel looks once a second); until then nobody hears anybody.
    let node = segment.node(Host::Two);
    let reached = || {
        let words = ["netns", "exec", &node, "ping", "-qn", "-c", "1", "-W", "1", VIP];
        let status = std::process::Command::new("ip").args(words).output().ok()?.status;
        status.success().then_some(())
    };
    if wait::until(LIMIT, reached).is_none() {
        bail!("the address is not reached");
    }
    let backup = segment.start(Host::Two, program, &file(100, body, ""))?;
    if !await_line(&backup, "Entering BACKUP STATE") {
        bail!("no backup:\n{}", backup.output());
    }
    Ok((segment, master, backup))
}

/// A ping of the address from the second host, and how many of its packets were lost.
fn ping(segment: &Segment) -> anyhow::Result<Daemon> {
    let node = segment.node(Host::Two);
    Ok(Daemon::start(Path::new("ip"), &["netns", "exec", &node, "ping", "-qni", "0.002", VIP], &[])?)
}

fn summary(mut ping: Daemon) -> anyhow::Result<String> {
    ping.signal(Signal::SIGINT)?;
    let _ = ping.await_end();
    let output = ping.output();
    let line = output.lines().find(|line| line.contains("transmitted")).context("ping says nothing")?;
    Ok(line.to_owned())
}

fn vrrp_pid(daemon: &Daemon) -> Option<Pid> {
    std::fs::read_to_string(daemon.path("vrrp.pid")).ok()?.trim().parse().ok().map(Pid::from_raw)
}

fn reloads(program: &Path, count: usize) -> anyhow::Result<String> {
    let (segment, master, backup) = pair(program, "version 3\n advert_int 0.1")?;
    let pinging = ping(&segment)?;
    let same = file(150, "version 3\n advert_int 0.1", "");
    let changed = file(150, "version 3\n advert_int 0.1", "10.99.0.101/24");
    let broken = "vrrp_instance VI_1 {\n interface v0\n";
    let (mut reloads, mut answered) = (0, 0);
    for round in 0..count {
        let text = [same.as_str(), changed.as_str(), broken][round % 3];
        std::fs::write(master.path("keepalived.conf"), text)?;
        let before = master.output().matches("Reload").count();
        if master.signal(Signal::SIGHUP).is_err() {
            break;
        }
        reloads += 1;
        // Nothing else says that a program has ignored the signal.
        let more = || (master.output().matches("Reload").count() > before + 1).then_some(());
        answered += usize::from(wait::until(Duration::from_millis(500), more).is_some());
    }
    let entered = |daemon: &Daemon| daemon.output().matches("Entering").count();
    let states = (entered(&master), entered(&backup));
    let owners = segment.owners(VIP);
    if states != (2, 1) {
        write!(std::io::stderr(), "{}\n---\n{}", master.output(), backup.output())?;
    }
    Ok(format!(
        "{reloads} reloads ({answered} answered), owner {owners:?}, states entered {states:?} (2, 1 without a change), {}",
        summary(pinging)?
    ))
}

fn killed(program: &Path, count: usize) -> anyhow::Result<String> {
    let (segment, master, _backup) = pair(program, "version 3\n advert_int 0.1")?;
    let pinging = ping(&segment)?;
    for _ in 0..count {
        let before = vrrp_pid(&master).context("no VRRP process")?;
        kill(before, Signal::SIGKILL)?;
        let _ = wait::until(LIMIT, || vrrp_pid(&master).filter(|pid| *pid != before));
        // Five deaths within ten seconds are given up by design.
        std::thread::sleep(Duration::from_secs(3));
    }
    Ok(format!("{count} kills, owner {:?}, {}", segment.owners(VIP), summary(pinging)?))
}

/// The process and all that it started.
fn family(root: u32) -> BTreeSet<u32> {
    let mut found = BTreeSet::from([root]);
    loop {
        let before = found.len();
        for parent in found.clone() {
            let path = format!("/proc/{parent}/task/{parent}/children");
            let text = std::fs::read_to_string(path).unwrap_or_default();
            found.extend(text.split_whitespace().filter_map(|pid| pid.parse::<u32>().ok()));
        }
        if found.len() == before {
            return found;
        }
    }
}

fn frozen(program: &Path, _: usize) -> anyhow::Result<String> {
    let (segment, master, _backup) = pair(program, "version 3\n advert_int 0.1")?;
    let processes = family(master.pid());
    for pid in &processes {
        kill(Pid::from_raw(*pid as i32), Signal::SIGSTOP)?;
    }
    let start = Instant::now();
    let one = wait::until(Duration::from_secs(15), || (segment.owners(VIP) == [Host::Two]).then_some(()));
    let text = match one {
        Some(()) => format!("one owner after {} ms", start.elapsed().as_millis()),
        None => format!("after 15 s the owners are {:?}", segment.owners(VIP)),
    };
    for pid in &processes {
        kill(Pid::from_raw(*pid as i32), Signal::SIGCONT)?;
    }
    Ok(text)
}

/// Gaps between adverts of the first host that arrive at the second one, seconds.
fn gaps(segment: &Segment, time: Duration) -> anyhow::Result<Vec<f64>> {
    let node = segment.node(Host::Two);
    let filter = "ip proto 112 and src host 10.99.0.1";
    let words = ["netns", "exec", &node, "tcpdump", "-i", INTERFACE, "-ttnnl", "--immediate-mode", filter];
    let mut tcpdump = Daemon::start(Path::new("ip"), &words, &[])?;
    std::thread::sleep(time);
    tcpdump.signal(Signal::SIGINT)?;
    let _ = tcpdump.await_end();
    let times: Vec<f64> = tcpdump
        .output()
        .lines()
        .filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .collect();
    Ok(times.windows(2).filter_map(|pair| Some(pair.last()? - pair.first()?)).collect())
}

fn stress(program: &Path, seconds: usize) -> anyhow::Result<String> {
    let mut text = String::new();
    let real_time = "global_defs {\n vrrp_rt_priority 50\n vrrp_no_swap\n}\n";
    for (interval_s, global) in [(0.1, ""), (0.01, ""), (0.1, real_time), (0.01, real_time)] {
        let segment = Segment::new()?;
        let body = format!("version 3\n advert_int {interval_s}");
        let _master = segment.start(Host::One, program, &format!("{global}{}", file(150, &body, "")))?;
        if !segment.await_owner(VIP, Host::One) {
            bail!("no master");
        }
        let busy = Arc::new(AtomicBool::new(true));
        let cores = std::thread::available_parallelism().map_or(2, usize::from);
        for _ in 0..2 * cores {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || while busy.load(Ordering::Relaxed) {});
        }
        let gaps = gaps(&segment, Duration::from_secs(seconds as u64));
        busy.store(false, Ordering::Relaxed);
        let mut late: Vec<f64> = gaps?.into_iter().map(|gap| (gap - interval_s) * 1000.0).collect();
        late.sort_by(f64::total_cmp);
        let at = |part: f64| late.get((late.len() as f64 * part) as usize).copied().unwrap_or(f64::NAN);
        text.push_str(&format!(
            "every {} ms{}: {} adverts, late by median {:.2} ms, p99 {:.2} ms, at most {:.2} ms; ",
            interval_s * 1000.0,
            if global.is_empty() { "" } else { ", vrrp_rt_priority 50" },
            late.len() + 1,
            at(0.5),
            at(0.99),
            late.last().copied().unwrap_or(f64::NAN)
        ));
    }
    Ok(text)
}

/// Processor time of a program and all that it started, seconds, and their resident memory, kB.
fn usage(daemon: &Daemon) -> (f64, u64) {
    let number = |pid: u32, file: &str, key: &str| -> u64 {
        let text = std::fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        let line = text.lines().find(|line| line.starts_with(key)).unwrap_or_default();
        line.trim_start_matches(key).split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    let of = |pid: u32| (number(pid, "schedstat", ""), number(pid, "status", "VmRSS:"));
    let all = family(daemon.pid()).into_iter().map(of);
    let (time_ns, memory_kb) = all.fold((0, 0), |(a, b), (c, d)| (a + c, b + d));
    (time_ns as f64 / 1e9, memory_kb)
}

fn flooded(program: &Path, seconds: usize) -> anyhow::Result<String> {
    const RATE: u64 = 100_000;
    let (segment, master, backup) = pair(program, "version 3\n advert_int 0.1")?;
    let before = [usage(&master), usage(&backup)];
    let time = Duration::from_secs(seconds as u64);
    let (sent, gaps) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| testkit::flood::from_the_switch(&segment, RATE, time));
        let gaps = gaps(&segment, time);
        (flood.join(), gaps)
    });
    let Ok(sent) = sent else { bail!("the flood panicked") };
    let mut late: Vec<f64> = gaps?.into_iter().map(|gap| (gap - 0.1) * 1000.0).collect();
    late.sort_by(f64::total_cmp);
    let after = [usage(&master), usage(&backup)];
    let entered = |daemon: &Daemon| daemon.output().matches("Entering").count();
    let line = |name: &str, before: (f64, u64), after: (f64, u64)| {
        let share = (after.0 - before.0) / time.as_secs_f64() * 100.0;
        format!("{name} {share:.0} % of a core, {} -> {} kB", before.1, after.1)
    };
    Ok(format!(
        "{} packets a second, states entered {:?} (2, 1 without a change), adverts late by at most {:.2} ms, {}, {}",
        sent? / seconds as u64,
        (entered(&master), entered(&backup)),
        late.last().copied().unwrap_or(f64::NAN),
        line("master", before[0], after[0]),
        line("backup", before[1], after[1]),
    ))
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (Some(what), Some(program)) = (arguments.first(), arguments.get(1)) else {
        bail!("usage: vrrp-figures reloads|killed|frozen|stress|flood PROGRAM [COUNT]");
    };
    let program = std::fs::canonicalize(PathBuf::from(program)).context("no such program")?;
    let count = |default| arguments.get(2).and_then(|text| text.parse().ok()).unwrap_or(default);
    let figures = match what.as_str() {
        "reloads" => reloads(&program, count(1000))?,
        "killed" => killed(&program, count(5))?,
        "frozen" => frozen(&program, 1)?,
        "stress" => stress(&program, count(20))?,
        "flood" => flooded(&program, count(10))?,
        other => bail!("no figures of '{other}'"),
    };
    writeln!(std::io::stdout(), "{what} {}: {figures}", program.display())?;
    Ok(())
}
