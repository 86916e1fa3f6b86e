//! vrrpd and other programs on one virtual router, in every shape of the protocol and in both roles, with every packet
//! looked at by tshark.
//!
//! The other keepalived is Debian's; `KEEPALIVED` names another one.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::Signal;
use testkit::daemon::Daemon;
use testkit::vrrp::{Host, INTERFACE, LIMIT, Segment, await_line, missing};
use testkit::{environment, wait};

const VIP4: &str = "10.99.0.100";
const VIP6: &str = "2001:db8::100";

/// One shape of the protocol.
#[derive(Clone, Copy)]
struct Shape {
    /// For skips and failures.
    name: &'static str,
    /// Instances by host and priority.
    file: fn(Host, u8) -> String,
    /// An address of every instance.
    vips: &'static [&'static str],
    /// Priorities of the lower and the higher router.
    priorities: (u8, u8),
    /// Whether tshark knows the checksum of this shape.
    checksums: bool,
    /// A keyword of the other program's that an old one lacks.
    keyword: Option<&'static str>,
}

const PLAIN: Shape = Shape {
    name: "v2",
    file: |_, priority| v4(priority, "advert_int 1"),
    vips: &[VIP4],
    priorities: (100, 150),
    checksums: true,
    keyword: None,
};

fn instance(number: u8, priority: u8, body: &str, vip: &str) -> String {
    format!(
        "vrrp_instance VI_{number} {{
    interface {INTERFACE}
    virtual_router_id {}
    priority {priority}
    {body}
    virtual_ipaddress {{
        {vip}
    }}
}}
",
        50 + number
    )
}

fn v4(priority: u8, body: &str) -> String {
    instance(1, priority, body, &format!("{VIP4}/24"))
}

fn v6(priority: u8, body: &str) -> String {
    instance(1, priority, body, &format!("{VIP6}/64"))
}

fn authentication(kind: &str) -> String {
    format!(
        "advert_int 1\n    authentication {{\n        auth_type {kind}\n        auth_pass secret12\n    }}"
    )
}

fn hmac(mode: &str) -> String {
    format!(
        "version 3\n    advert_int 0.1\n    auth_hmac {{\n        key 7 0123456789abcdef0123456789abcdef\n        \
         active_key 7\n        mode {mode}\n    }}"
    )
}

fn unicast(host: Host, body: &str) -> String {
    let peer = if host == Host::One { Host::Two } else { Host::One };
    format!(
        "{body}\n    unicast_src_ip {}\n    unicast_peer {{\n        {}\n    }}",
        host.address(),
        peer.address()
    )
}

/// Our program and theirs; `None` says why the test is skipped.
fn programs(test: &str) -> Option<(PathBuf, PathBuf)> {
    if let Some(reason) = missing() {
        environment::skip(test, reason);
        return None;
    }
    let ours = std::env::var_os("VRRPD").map(PathBuf::from).or_else(|| environment::built("vrrpd"));
    let Some(ours) = ours else {
        environment::skip(test, "vrrpd is not built");
        return None;
    };
    let theirs =
        std::env::var_os("KEEPALIVED").map(PathBuf::from).or_else(|| environment::installed("keepalived"))?;
    Some((ours, theirs))
}

/// Whether a program knows a keyword: old ones lack some.
fn knows(program: &Path, keyword: &str) -> bool {
    std::fs::read(program)
        .is_ok_and(|bytes| bytes.windows(keyword.len()).any(|window| window == keyword.as_bytes()))
}

fn has_tshark() -> bool {
    environment::installed("tshark").is_some() && environment::installed("tcpdump").is_some()
}

fn assert_owner(segment: &Segment, shape: Shape, host: Host, daemons: &[&Daemon]) {
    let owned = || shape.vips.iter().all(|vip| segment.owners(vip) == [host]);
    if wait::until(LIMIT, || owned().then_some(())).is_none() {
        let logs: String = daemons.iter().map(|daemon| format!("{}\n---\n", daemon.output())).collect();
        panic!("{}: {:?} not on {host:?}:\n{logs}", shape.name, shape.vips);
    }
}

/// A lower router of one program is preempted by a higher one of the other, which hands back when it is stopped.
fn preempted_and_back(shape: Shape, lower: (Host, &Path), higher: (Host, &Path)) {
    let segment = Segment::new().unwrap();
    let capture = has_tshark().then(|| segment.capture(Host::Two).unwrap());
    let file = |host, priority| (shape.file)(host, priority);
    let low = segment.start(lower.0, lower.1, &file(lower.0, shape.priorities.0)).unwrap();
    assert_owner(&segment, shape, lower.0, &[&low]);
    let mut high = segment.start(higher.0, higher.1, &file(higher.0, shape.priorities.1)).unwrap();
    assert_owner(&segment, shape, higher.0, &[&high, &low]);
    high.signal(Signal::SIGTERM).unwrap();
    assert_owner(&segment, shape, lower.0, &[&high, &low]);
    assert!(high.await_end().is_some_and(|status| status.success()), "{}", high.output());
    if let Some(capture) = capture {
        let (packets, wrong) = capture.complaints().unwrap();
        assert!(packets >= 3, "{}: {packets} packets", shape.name);
        if shape.checksums {
            assert_eq!(wrong, Vec::<String>::new(), "{}", shape.name);
        }
    }
    let complaint =
        |line: &&str| ["checksum", "invalid", "mismatch", "IPSEC"].iter().any(|word| line.contains(word));
    for daemon in [&low, &high] {
        assert_eq!(daemon.output().lines().filter(complaint).collect::<Vec<_>>(), Vec::<&str>::new());
    }
}

fn both_roles(shape: Shape) {
    let Some((ours, theirs)) = programs(shape.name) else { return };
    if !has_tshark() {
        environment::skip(shape.name, "packets are not looked at: needs tshark and tcpdump");
    }
    if let Some(keyword) = shape.keyword.filter(|keyword| !knows(&theirs, keyword)) {
        return environment::skip(shape.name, &format!("this keepalived does not know {keyword}"));
    }
    preempted_and_back(shape, (Host::Two, &theirs), (Host::One, &ours));
    preempted_and_back(shape, (Host::One, &ours), (Host::Two, &theirs));
}

#[test]
fn v2_without_authentication() {
    both_roles(PLAIN);
}

#[test]
fn v2_pass() {
    both_roles(Shape { name: "v2 PASS", file: |_, priority| v4(priority, &authentication("PASS")), ..PLAIN });
}

#[test]
fn v2_authentication_header() {
    both_roles(Shape { name: "v2 AH", file: |_, priority| v4(priority, &authentication("AH")), ..PLAIN });
}

#[test]
fn v3() {
    both_roles(Shape { name: "v3", file: |_, priority| v4(priority, "version 3\n advert_int 1"), ..PLAIN });
}

#[test]
fn v3_below_a_second() {
    for (name, file) in [
        ("v3 0.1 s", (|_, priority| v4(priority, "version 3\n advert_int 0.1")) as fn(Host, u8) -> String),
        ("v3 0.01 s", |_, priority| v4(priority, "version 3\n advert_int 0.01")),
    ] {
        both_roles(Shape { name, file, ..PLAIN });
    }
}

#[test]
fn v3_with_the_checksum_of_the_rfc() {
    both_roles(Shape {
        name: "v3_checksum_as_v2",
        file: |_, priority| v4(priority, "version 3\n advert_int 0.1\n v3_checksum_as_v2"),
        // tshark expects the pseudo header.
        checksums: false,
        keyword: Some("v3_checksum_as_v2"),
        ..PLAIN
    });
}

#[test]
fn v3_over_ipv6() {
    both_roles(Shape {
        name: "v3 IPv6",
        file: |_, priority| v6(priority, "version 3\n advert_int 0.1"),
        vips: &[VIP6],
        ..PLAIN
    });
}

#[test]
fn unicast_in_v2_and_v3() {
    both_roles(Shape {
        name: "unicast v2",
        file: |host, priority| v4(priority, &unicast(host, "advert_int 1")),
        ..PLAIN
    });
    both_roles(Shape {
        name: "unicast v3",
        file: |host, priority| v4(priority, &unicast(host, "version 3\n advert_int 0.1")),
        ..PLAIN
    });
}

/// The checksum of keepalived up to 1.3.6: one side is told to use it, the other finds out, whoever it is.
#[test]
fn old_unicast_checksums() {
    let name = "old unicast checksums";
    let Some((ours, theirs)) = programs(name) else { return };
    if !knows(&theirs, "to old version") {
        return environment::skip(name, "this keepalived was built without the old checksum");
    }
    let file = |host, priority, word: &str| {
        v4(priority, &unicast(host, &format!("version 3\n    advert_int 0.1\n    {word}")))
    };
    for (told, finds_out) in [(&theirs, &ours), (&ours, &theirs)] {
        let segment = Segment::new().unwrap();
        let mut high = segment.start(Host::One, told, &file(Host::One, 150, "old_unicast_checksum")).unwrap();
        assert_owner(&segment, PLAIN, Host::One, &[&high]);
        let low = segment.start(Host::Two, finds_out, &file(Host::Two, 100, "")).unwrap();
        let said = await_line(&low, "(VI_1) Setting unicast VRRPv3 checksum to old version");
        assert!(said, "{}\n---\n{}", low.output(), high.output());
        high.signal(Signal::SIGTERM).unwrap();
        assert_owner(&segment, PLAIN, Host::Two, &[&low, &high]);
        assert!(!low.output().contains("Invalid VRRPv3 checksum"), "{}", low.output());
        assert!(high.await_end().is_some());
    }
}

#[test]
fn vmac() {
    both_roles(Shape {
        name: "vmac",
        file: |_, priority| v4(priority, "version 3\n advert_int 0.1\n use_vmac"),
        ..PLAIN
    });
    both_roles(Shape {
        name: "vmac IPv6",
        file: |_, priority| v6(priority, "version 3\n advert_int 0.1\n use_vmac"),
        vips: &[VIP6],
        ..PLAIN
    });
}

#[test]
fn a_sync_group() {
    both_roles(Shape {
        name: "sync group",
        file: |_, priority| {
            let body = "version 3\n advert_int 0.1";
            format!(
                "vrrp_sync_group SG {{\n group {{\n VI_1\n VI_2\n }}\n}}\n{}{}",
                v4(priority, body),
                instance(2, priority, body, "10.99.0.101/24")
            )
        },
        vips: &[VIP4, "10.99.0.101"],
        ..PLAIN
    });
}

#[test]
fn a_preempt_delay() {
    both_roles(Shape {
        name: "preempt delay",
        file: |_, priority| v4(priority, "version 3\n advert_int 0.1\n preempt_delay 1"),
        ..PLAIN
    });
}

#[test]
fn an_owner_preempts_and_hands_back() {
    both_roles(Shape {
        name: "owner",
        file: |_, priority| {
            let state = if priority == 255 { "MASTER" } else { "BACKUP" };
            v4(priority, &format!("version 3\n advert_int 0.1\n state {state}"))
        },
        priorities: (100, 255),
        ..PLAIN
    });
}

#[test]
fn auth_hmac_enforced() {
    both_roles(Shape {
        name: "auth_hmac",
        file: |_, priority| v4(priority, &hmac("enforce")),
        checksums: false,
        keyword: Some("auth_hmac"),
        ..PLAIN
    });
    both_roles(Shape {
        name: "auth_hmac IPv6",
        file: |_, priority| v6(priority, &hmac("enforce")),
        vips: &[VIP6],
        checksums: false,
        keyword: Some("auth_hmac"),
        ..PLAIN
    });
}

#[test]
fn auth_hmac_is_introduced_without_a_gap_and_strangers_are_not_heard() {
    let test = "auth_hmac_is_introduced";
    let Some((ours, _)) = programs(test) else { return };
    let segment = Segment::new().unwrap();
    let shape = Shape { name: test, ..PLAIN };
    // Receive-only beside no trailer at all: one master.
    let unsigned = v4(150, "version 3\n advert_int 0.1");
    let master = segment.start(Host::One, &ours, &unsigned).unwrap();
    assert_owner(&segment, shape, Host::One, &[&master]);
    let backup = segment.start(Host::Two, &ours, &v4(100, &hmac("receive-only"))).unwrap();
    assert!(testkit::vrrp::await_line(&backup, "Entering BACKUP STATE"));
    let reload = |daemon: &Daemon, text: String| {
        let before = daemon.output().matches("Reload complete").count();
        std::fs::write(daemon.path("keepalived.conf"), text).unwrap();
        daemon.signal(Signal::SIGHUP).unwrap();
        let done = || daemon.output().matches("Reload complete").count() > before;
        assert!(wait::until(LIMIT, || done().then_some(())).is_some(), "{}", daemon.output());
    };
    reload(&master, v4(150, &hmac("permissive")));
    reload(&backup, v4(100, &hmac("enforce")));
    reload(&master, v4(150, &hmac("enforce")));
    assert_owner(&segment, shape, Host::One, &[&master, &backup]);
    assert_eq!(backup.output().matches("Entering MASTER STATE").count(), 0, "{}", backup.output());
    // Another key: nobody hears anybody.
    reload(&backup, v4(100, &hmac("enforce").replace("key 7 0", "key 7 X")));
    assert!(testkit::vrrp::await_line(&backup, "(VI_1) invalid authentication HMAC from 10.99.0.1"));
}

#[test]
fn two_owners_settle_on_one_master() {
    let Some((ours, theirs)) = programs("two_owners_settle") else { return };
    let segment = Segment::new().unwrap();
    let file = v4(255, "version 3\n advert_int 0.1\n state MASTER");
    let one = segment.start(Host::One, &ours, &file).unwrap();
    let two = segment.start(Host::Two, &theirs, &file).unwrap();
    // keepalived 2.2.7 lowers itself to 254; between two of ours the higher address wins (RFC 9568 §6.4.3).
    let settled = wait::until(LIMIT, || (segment.owners(VIP4).len() == 1).then_some(()));
    assert!(settled.is_some(), "{}\n---\n{}", one.output(), two.output());
    let strict = format!("global_defs {{\n vrrp_strict\n}}\n{}", file.replace(VIP4, "10.99.0.101"));
    let segment = Segment::new().unwrap();
    let one = segment.start(Host::One, &ours, &strict).unwrap();
    let two = segment.start(Host::Two, &ours, &strict).unwrap();
    assert!(segment.await_owner("10.99.0.101", Host::Two), "{}\n---\n{}", one.output(), two.output());
}

#[test]
fn a_daemon_in_a_network_namespace_of_its_own() {
    let Some((ours, _)) = programs("a_daemon_in_a_network_namespace") else { return };
    let segment = Segment::new().unwrap();
    let node = segment.node(Host::One);
    let text = format!("net_namespace {node}\ninstance test\n{}", v4(150, "version 3\n advert_int 0.1"));
    let arguments = ["-f", "{dir}/keepalived.conf", "-n", "-l", "-D", "-p", "{dir}/pid"];
    let mut daemon = Daemon::start(&ours, &arguments, &[("keepalived.conf", &text)]).unwrap();
    assert!(segment.await_owner(VIP4, Host::One), "{}", daemon.output());
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some_and(|status| status.success()), "{}", daemon.output());
    let wrong =
        Daemon::start(&ours, &arguments, &[("keepalived.conf", "net_namespace not-there\n")]).unwrap();
    assert!(
        testkit::vrrp::await_line(&wrong, "cannot enter network namespace not-there"),
        "{}",
        wrong.output()
    );
}

/// FRR's `zebra` and `vrrpd` on a host, with the macvlans that it wants.
struct Frr {
    folder: tempfile::TempDir,
    _zebra: Daemon,
    vrrpd: Daemon,
}

const FRR: &str = "/usr/lib/frr";

impl Frr {
    fn start(segment: &Segment, host: Host, priority: u8) -> Self {
        let folder = tempfile::tempdir().unwrap();
        assert!(Command::new("chown").arg("frr:frrvty").arg(folder.path()).status().unwrap().success());
        for (name, mac, vip) in [("vr4", "01", format!("{VIP4}/24")), ("vr6", "02", format!("{VIP6}/64"))] {
            let add = format!(
                "link add {name} link {INTERFACE} address 00:00:5e:00:{mac}:33 type macvlan mode bridge"
            );
            segment.ip(host, &add).unwrap();
            segment.ip(host, &format!("addr add {vip} dev {name}")).unwrap();
            segment.ip(host, &format!("link set {name} up")).unwrap();
        }
        let file = format!(
            "interface {INTERFACE}\n vrrp 51 version 3\n vrrp 51 priority {priority}\n \
             vrrp 51 advertisement-interval 100\n vrrp 51 ip {VIP4}\n vrrp 51 ipv6 {VIP6}\n"
        );
        let dir = folder.path().display().to_string();
        let start = |program: &str, file: &str| {
            let node = segment.node(host);
            let program = format!("{FRR}/{program}");
            let (pid, socket) = (format!("{dir}/{}.pid", file.len()), format!("{dir}/zserv"));
            let path = folder.path().join(format!("{}.conf", file.len()));
            std::fs::write(&path, file).unwrap();
            let path = path.display().to_string();
            let words = [
                "netns",
                "exec",
                &node,
                &program,
                "-f",
                &path,
                "-i",
                &pid,
                "-z",
                &socket,
                "--vty_socket",
                &dir,
                "-P",
                "0",
                "--log",
                "stdout",
            ];
            Daemon::start(Path::new("ip"), &words, &[]).unwrap()
        };
        let zebra = start("zebra", "!");
        wait::until(LIMIT, || folder.path().join("zserv").exists().then_some(())).expect("zebra is up");
        let vrrpd = start("vrrpd", &file);
        Frr { folder, _zebra: zebra, vrrpd }
    }

    fn shown(&self) -> String {
        let output = Command::new("vtysh")
            .arg("--vty_socket")
            .arg(self.folder.path())
            .args(["-c", "show vrrp"])
            .output();
        output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default()
    }

    /// State of the virtual router of a family.
    fn await_state(&self, family: &str, state: &str) {
        let line = format!("Status ({family})");
        let is =
            || self.shown().lines().any(|shown| shown.contains(&line) && shown.contains(state)).then_some(());
        assert!(wait::until(LIMIT, is).is_some(), "not {state}:\n{}\n{}", self.shown(), self.vrrpd.output());
    }
}

#[test]
fn frr_in_both_roles_over_ipv4_and_ipv6() {
    let test = "frr_in_both_roles";
    let Some((ours, _)) = programs(test) else { return };
    if !Path::new(FRR).join("vrrpd").exists() || environment::installed("vtysh").is_none() {
        return environment::skip(test, "needs frr");
    }
    for (family, vip, file) in [("v4", VIP4, v4 as fn(u8, &str) -> String), ("v6", VIP6, v6)] {
        let segment = Segment::new().unwrap();
        let body = "version 3\n advert_int 0.1";
        let capture = has_tshark().then(|| segment.capture(Host::Two).unwrap());
        let frr = Frr::start(&segment, Host::Two, 100);
        frr.await_state(family, "Master");
        // We preempt and hand back.
        let mut daemon = segment.start(Host::One, &ours, &file(150, body)).unwrap();
        let holds = |wanted: bool| {
            wait::until(LIMIT, || (segment.has(Host::One, vip) == wanted).then_some(())).is_some()
        };
        assert!(holds(true), "{}", daemon.output());
        frr.await_state(family, "Backup");
        daemon.signal(Signal::SIGTERM).unwrap();
        assert!(daemon.await_end().is_some_and(|status| status.success()), "{}", daemon.output());
        frr.await_state(family, "Master");
        // We are lower, and follow when it falls silent.
        let daemon = segment.start(Host::One, &ours, &file(50, body)).unwrap();
        assert!(testkit::vrrp::await_line(&daemon, "Entering BACKUP STATE (init)"));
        frr.await_state(family, "Master");
        assert!(!segment.has(Host::One, vip));
        frr.vrrpd.signal(Signal::SIGKILL).unwrap();
        assert!(holds(true), "{}", daemon.output());
        assert!(!daemon.output().contains("checksum"), "{}", daemon.output());
        if let Some(capture) = capture {
            let (packets, wrong) = capture.complaints().unwrap();
            assert!(packets > 3 && wrong.is_empty(), "{packets} packets; {wrong:?}");
        }
    }
}
