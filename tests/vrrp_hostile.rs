//! Floods of packets that are wrong in every way: the state stays right, memory and log stay small.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use testkit::daemon::Daemon;
use testkit::vrrp::{Host, INTERFACE, LIMIT, Segment, await_line, missing};
use testkit::{environment, wait};

const VIP: &str = "10.99.0.100";
/// How long each kind floods.
const FLOOD: Duration = Duration::from_millis(400);

fn vrrpd(test: &str) -> Option<PathBuf> {
    if let Some(reason) = missing() {
        environment::skip(test, reason);
        return None;
    }
    let ours = std::env::var_os("VRRPD").map(PathBuf::from).or_else(|| environment::built("vrrpd"));
    if ours.is_none() {
        environment::skip(test, "vrrpd is not built");
    }
    ours
}

fn configuration(priority: u8) -> String {
    format!(
        "vrrp_instance VI_1 {{
    interface {INTERFACE}
    virtual_router_id 51
    priority {priority}
    advert_int 1
    authentication {{
        auth_type PASS
        auth_pass secret12
    }}
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"
    )
}

fn checksum(bytes: &[u8]) -> u16 {
    let sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    !((folded & 0xffff) + (folded >> 16)) as u16
}

/// A packet that 10.99.0.1 would accept from `source`, before `spoil` has changed its message.
fn packet(source: Host, ttl: u8, spoil: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut message = vec![0x21, 51, 200, 1, 1, 1, 0, 0, 10, 99, 0, 100];
    message.extend_from_slice(b"secret12");
    spoil(&mut message);
    if message.get(6..8) == Some(&[0, 0]) {
        let sum = checksum(&message).to_be_bytes();
        message[6..8].copy_from_slice(&sum);
    }
    let total = (20 + message.len()) as u16;
    let mut out = vec![
        0x45,
        0xc0,
        (total >> 8) as u8,
        total as u8,
        0,
        1,
        0,
        0,
        ttl,
        112,
        0,
        0,
        10,
        99,
        0,
        source as u8,
        224,
        0,
        0,
        18,
    ];
    out.extend(message);
    out
}

/// Every kind of bad packet, by name.
fn bad_packets() -> Vec<(&'static str, Vec<u8>)> {
    let two = |spoil: fn(&mut Vec<u8>)| packet(Host::Two, 255, spoil);
    let mut kinds = vec![
        ("wrong TTL", packet(Host::Two, 254, |_| {})),
        ("wrong version", two(|message| message[0] = 0x31)),
        ("wrong type", two(|message| message[0] = 0x22)),
        ("wrong checksum", two(|message| message[6] = 1)),
        ("unknown VRID", two(|message| message[1] = 99)),
        ("wrong auth type", two(|message| message[4] = 0)),
        ("undefined auth type", two(|message| message[4] = 9)),
        ("wrong password", two(|message| message[19] = b'3')),
        ("wrong interval", two(|message| message[5] = 7)),
        ("too many addresses", two(|message| message[3] = 200)),
        ("no addresses", two(|message| message[3] = 0)),
        ("from ourselves", packet(Host::One, 255, |message| message[2] = 150)),
        ("one too long", two(|message| message.push(0))),
    ];
    kinds.extend((0..20).step_by(3).map(|len| ("short", packet(Host::Two, 255, |m| m.truncate(len)))));
    kinds
}

/// Sends `bytes` from a host as fast as it can for a while; answers with the packets a second.
fn flood(segment: &Segment, from: Host, bytes: &[u8]) -> u64 {
    let namespace = std::fs::File::open(format!("/run/netns/{}", segment.node(from))).unwrap();
    let bytes = bytes.to_vec();
    let sender = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::from(255))).unwrap();
        socket.bind_device(Some(INTERFACE.as_bytes())).unwrap();
        let to: SockAddr = std::net::SocketAddrV4::new(Ipv4Addr::new(224, 0, 0, 18), 0).into();
        let start = Instant::now();
        let mut sent = 0_u64;
        while start.elapsed() < FLOOD {
            for _ in 0..64 {
                sent += u64::from(socket.send_to(&bytes, &to).is_ok());
            }
        }
        sent * 1000 / FLOOD.as_millis() as u64
    });
    sender.join().unwrap()
}

/// Resident memory of the process that the pid file names, kB.
fn memory_kb(daemon: &Daemon) -> u64 {
    let pid = std::fs::read_to_string(daemon.path("vrrp.pid")).unwrap();
    let status = std::fs::read_to_string(format!("/proc/{}/status", pid.trim())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[test]
fn floods_of_every_bad_packet_change_no_state_and_little_else() {
    let Some(program) = vrrpd("floods_of_every_bad_packet") else { return };
    let segment = Segment::new().unwrap();
    let master = segment.start(Host::One, &program, &configuration(150)).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", master.output());
    let backup = segment.start(Host::Two, &program, &configuration(100)).unwrap();
    assert!(await_line(&backup, "Entering BACKUP STATE (init)"));
    let before_kb = memory_kb(&master);
    let lines = |daemon: &Daemon| daemon.output().lines().count();
    let lines_before = lines(&master);
    let mut slowest = u64::MAX;
    for (name, bytes) in bad_packets() {
        slowest = slowest.min(flood(&segment, Host::Two, &bytes));
        assert_eq!(segment.owners(VIP), [Host::One], "{name}: {}", backup.output());
    }
    println!("at least {slowest} packets a second of every kind");
    assert_eq!(master.output().matches("Entering").count(), 2, "{}", master.output());
    assert_eq!(backup.output().matches("Entering").count(), 1, "{}", backup.output());
    let grown_kb = memory_kb(&master).saturating_sub(before_kb);
    assert!(grown_kb < 8192, "{grown_kb} kB more");
    let written = lines(&master) - lines_before;
    assert!(written < 100, "{written} lines:\n{}", master.output());
    // And it still does its work.
    master.signal(Signal::SIGTERM).unwrap();
    assert!(segment.await_owner(VIP, Host::Two), "{}", backup.output());
}

#[test]
fn a_backup_hears_its_master_through_a_flood() {
    let Some(program) = vrrpd("a_backup_hears_its_master") else { return };
    let segment = Segment::new().unwrap();
    let master = segment.start(Host::Two, &program, &configuration(150)).unwrap();
    assert!(segment.await_owner(VIP, Host::Two), "{}", master.output());
    let backup = segment.start(Host::One, &program, &configuration(100)).unwrap();
    assert!(await_line(&backup, "Entering BACKUP STATE (init)"));
    let wrong = packet(Host::Two, 255, |message| message[19] = b'3');
    // Longer than a master down time.
    for _ in 0..10 {
        flood(&segment, Host::Two, &wrong);
    }
    assert_eq!(backup.output().matches("Entering MASTER").count(), 0, "{}", backup.output());
    assert!(await_line(&backup, "(VI_1) received an invalid passwd!"));
}

#[test]
fn interfaces_that_come_and_go_leave_the_instance_where_it_belongs() {
    let Some(program) = vrrpd("interfaces_that_come_and_go") else { return };
    let segment = Segment::new().unwrap();
    let file =
        format!("global_defs {{\n dynamic_interfaces\n}}\n{}", configuration(150).replace(INTERFACE, "d0"));
    let daemon = segment.start(Host::One, &program, &file).unwrap();
    assert!(await_line(&daemon, "Startup complete"), "{}", daemon.output());
    let wrong = packet(Host::Two, 255, |message| message[1] = 99);
    for round in 0..15 {
        segment.ip(Host::One, "link add d0 type veth peer name d1").unwrap();
        segment.ip(Host::One, "link set d1 up").unwrap();
        segment.ip(Host::One, "addr add 10.98.0.1/24 dev d0").unwrap();
        segment.ip(Host::One, "link set d0 up").unwrap();
        if round % 5 == 4 {
            flood(&segment, Host::Two, &wrong);
        }
        segment.ip(Host::One, "link del d0").unwrap();
    }
    segment.ip(Host::One, "link add d0 type veth peer name d1").unwrap();
    segment.ip(Host::One, "link set d1 up").unwrap();
    segment.ip(Host::One, "addr add 10.98.0.1/24 dev d0").unwrap();
    segment.ip(Host::One, "link set d0 up").unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
}

/// Scripts that hang, that fork and leave, that write without end: none holds up the election or is left behind.
#[test]
fn scripts_that_hang_fork_or_write_for_ever_do_not_hold_up_anything() {
    let Some(program) = vrrpd("scripts_that_hang_fork_or_write") else { return };
    let segment = Segment::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let script = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
        format!(
            "vrrp_script {name} {{\n script \"{}\"\n interval 1\n timeout 1\n weight -1\n user root\n}}\n",
            path.display()
        )
    };
    let marker = format!("sleep 98{}", std::process::id());
    let scripts = script("hangs", &format!("trap '' TERM\n{marker}"))
        + &script("forks", "sleep 3 &\nsleep 3 &\nexit 0")
        + &script("writes", "while :; do echo a lot of words to nobody; echo more >&2; done");
    let tracked = "track_script {\n hangs\n forks\n writes\n }\n virtual_ipaddress";
    let file = scripts + &configuration(150).replace("virtual_ipaddress", tracked);
    let mut daemon = segment.start(Host::One, &program, &file).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    assert!(await_line(&daemon, "timed_out") || await_line(&daemon, "timed out"), "{}", daemon.output());
    let before_kb = memory_kb(&daemon);
    assert!(await_line(&daemon, "Changing effective priority"), "{}", daemon.output());
    assert!(memory_kb(&daemon) < before_kb + 8192);
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some_and(|status| status.success()), "{}", daemon.output());
    let left = || {
        let processes = std::fs::read_dir("/proc").unwrap().flatten();
        processes
            .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
            .filter(|line| String::from_utf8_lossy(line).replace('\0', " ").trim() == marker)
            .count()
    };
    // A run that was under way has got SIGTERM, which this one does not heed; those before were killed.
    let gone = wait::until(LIMIT, || (left() <= 1).then_some(()));
    assert!(gone.is_some(), "{} processes left", left());
}
