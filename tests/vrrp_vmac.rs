//! `use_vmac`: what is made, sent and put back, beside the genuine keepalived.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::daemon::Daemon;
use testkit::vrrp::{Host, INTERFACE, LIMIT, Segment, await_line, missing};
use testkit::{environment, wait};

const VIP: &str = "10.99.0.100";
const MAC: &str = "00:00:5e:00:01:33";

fn vrrpd(test: &str) -> Option<PathBuf> {
    if let Some(reason) = missing() {
        environment::skip(test, reason);
        return None;
    }
    if environment::installed("nft").is_none() || environment::installed("tcpdump").is_none() {
        environment::skip(test, "needs nft and tcpdump");
        return None;
    }
    let ours = std::env::var_os("VRRPD").map(PathBuf::from).or_else(|| environment::built("vrrpd"));
    if ours.is_none() {
        environment::skip(test, "vrrpd is not built");
    }
    ours
}

fn instance(priority: u8, extra: &str, vip: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{
    interface {INTERFACE}
    virtual_router_id 51
    version 3
    priority {priority}
    advert_int 0.1
    {extra}
    virtual_ipaddress {{
        {vip}/24
    }}
}}
"
    )
}

/// Output of a command on a host.
fn output(segment: &Segment, host: Host, words: &str) -> String {
    let output = Command::new("ip")
        .args(["netns", "exec", &segment.node(host)])
        .args(words.split_whitespace())
        .output()
        .expect("ip runs");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn assert_until(daemon: &Daemon, what: &str, mut holds: impl FnMut() -> bool) {
    let held = wait::until(LIMIT, || holds().then_some(()));
    assert!(held.is_some(), "not {what}; the daemon says:\n{}", daemon.output());
}

fn has_vip(segment: &Segment, host: Host, vip: &str) -> bool {
    output(segment, host, "ip -o addr show").contains(&format!(" {vip}/"))
}

/// Every switch of every interface, one a line.
fn switches(segment: &Segment) -> Vec<String> {
    let shown = output(segment, Host::One, "sysctl -a");
    let wanted = |line: &&str| line.contains(".conf.") && !line.contains("stable_secret");
    shown.lines().filter(wanted).map(str::to_owned).collect()
}

/// Interfaces with their kinds, and the packet filter, without what differs from run to run.
fn surroundings(segment: &Segment) -> String {
    let links = output(segment, Host::One, "ip -d link show type macvlan");
    let links: String = links
        .split_whitespace()
        .filter(|word| !word.starts_with("promiscuity"))
        .collect::<Vec<_>>()
        .join(" ");
    links + "\n" + &output(segment, Host::One, "nft list ruleset")
}

/// What a run of a program with a configuration looks like: surroundings, changed switches, and which kinds of packets
/// leave with which hardware addresses.
fn run(program: &Path, text: &str, vip: &str) -> (String, Vec<String>, BTreeSet<String>) {
    let segment = Segment::new().unwrap();
    output(&segment, Host::One, "sysctl -qw net.ipv4.conf.all.rp_filter=1");
    segment.ip(Host::Two, &format!("addr add 2001:db8::2/64 dev {INTERFACE}")).unwrap();
    let before = switches(&segment);
    let filter = "ether[6:4]==0x00005e00 and (arp or proto 112 or ip6)";
    let node = segment.node(Host::Two);
    // Enough for the second burst, five seconds on: the first may go before the interface is a port of the bridge.
    let mut words = vec!["netns", "exec", &node, "tcpdump", "-i", INTERFACE, "-c", "12", "-enqt"];
    words.extend(filter.split(' '));
    let mut capture = Daemon::start(Path::new("ip"), &words, &[]).unwrap();
    assert!(await_line(&capture, "listening on"));
    let mut daemon = segment.start(Host::One, program, text).unwrap();
    assert_until(&daemon, "holding the address", || has_vip(&segment, Host::One, vip));
    capture.await_end().expect("twelve packets");
    let shown = surroundings(&segment);
    let changed = switches(&segment).into_iter().filter(|line| !before.contains(line)).collect::<Vec<_>>();
    assert!(output(&segment, Host::Two, &format!("ping -n -c 1 -W 2 {vip}")).contains("1 received"));
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some_and(|status| status.success()), "{}", daemon.output());
    assert!(!daemon.output().contains("FAULT"), "{}", daemon.output());
    if !program.ends_with("keepalived") {
        assert_eq!(switches(&segment), before, "everything is put back");
        assert_eq!(surroundings(&segment).trim(), "", "nothing is left");
    }
    let packets = capture
        .output()
        .lines()
        .filter(|line| line.contains("00:00:5e") && !line.contains("router solicitation"))
        .map(|line| {
            line.split_whitespace()
                .filter(|word| !word.contains("fe80"))
                .take(6)
                .collect::<Vec<_>>()
                .join(" ")
        })
        .collect();
    (shown, changed, packets)
}

fn assert_same_as_keepalived(test: &str, text: &str, vip: &str) {
    let (Some(ours), Some(theirs)) = (vrrpd(test), environment::installed("keepalived")) else { return };
    let (shown, changed, packets) = run(&ours, text, vip);
    let (expected, expected_changed, expected_packets) = run(&theirs, text, vip);
    assert_eq!(shown, expected);
    assert_eq!(changed, expected_changed);
    assert_eq!(expected_packets.difference(&packets).next(), None, "{packets:?}");
    // The genuine program leaves out advertisements of an address that the kernel still examines for duplicates.
    let more: Vec<_> = packets.difference(&expected_packets).collect();
    assert!(more.iter().all(|kind| kind.contains("33:33:00:00:00:01")), "{more:?}");
}

#[test]
fn use_vmac_is_keepaliveds_interface_switches_rules_and_packets() {
    assert_same_as_keepalived("use_vmac_is_keepaliveds", &instance(150, "use_vmac", VIP), VIP);
}

#[test]
fn use_vmac_with_vmac_xmit_base_sends_adverts_from_the_interface_below() {
    let text = instance(150, "use_vmac own0 02:00:00:00:05\n    vmac_xmit_base", VIP);
    let test = "use_vmac_with_vmac_xmit_base";
    let Some(ours) = vrrpd(test) else { return };
    let segment = Segment::new().unwrap();
    let mut capture = segment.capture_advert(Host::Two).unwrap();
    assert!(await_line(&capture, "listening on"));
    let daemon = segment.start(Host::One, &ours, &text).unwrap();
    assert_until(&daemon, "holding the address", || has_vip(&segment, Host::One, VIP));
    capture.await_end().expect("an advert");
    assert!(output(&segment, Host::One, "ip link show own0").contains("02:00:00:00:05:33"));
    assert!(output(&segment, Host::Two, &format!("ping -n -c 1 -W 2 {VIP}")).contains("1 received"));
    // The hosts' own address is not the vmac's.
    assert!(!output(&segment, Host::Two, &format!("arping -c 1 {VIP}")).contains(MAC));
}

#[test]
fn use_vmac_over_ipv6_is_keepaliveds() {
    let text = instance(150, "use_vmac", "2001:db8::100").replace("/24", "/64");
    assert_same_as_keepalived("use_vmac_over_ipv6", &text, "2001:db8::100");
}

#[test]
fn a_master_with_a_vmac_hands_over_to_keepalived_and_back() {
    let test = "a_master_with_a_vmac_hands_over";
    let (Some(ours), Some(theirs)) = (vrrpd(test), environment::installed("keepalived")) else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &instance(100, "use_vmac", VIP)).unwrap();
    assert_until(&keepalived, "master", || has_vip(&segment, Host::Two, VIP));
    let vrrpd = segment.start(Host::One, &ours, &instance(150, "use_vmac", VIP)).unwrap();
    let owner =
        |one, two| (has_vip(&segment, Host::One, VIP), has_vip(&segment, Host::Two, VIP)) == (one, two);
    assert_until(&vrrpd, "the only owner", || owner(true, false));
    vrrpd.signal(Signal::SIGTERM).unwrap();
    assert_until(&keepalived, "the only owner again", || owner(false, true));
}

fn worker(daemon: &Daemon) -> Option<Pid> {
    let text = std::fs::read_to_string(daemon.path("vrrp.pid")).ok()?;
    text.trim().parse().ok().map(Pid::from_raw)
}

fn kill_worker(daemon: &Daemon) {
    let before = worker(daemon).expect("a worker");
    kill(before, Signal::SIGKILL).unwrap();
    assert_until(daemon, "restarted", || worker(daemon).is_some_and(|pid| pid != before));
}

#[test]
fn a_new_worker_adopts_the_vmac_and_one_that_cannot_live_leaves_nothing_behind() {
    let Some(program) = vrrpd("a_new_worker_adopts_the_vmac") else { return };
    let segment = Segment::new().unwrap();
    let before = switches(&segment);
    let paths = "use_vmac\n    no_accept\n    virtual_routes {\n        192.0.2.0/24 via 10.99.0.2\n    }\n    \
                 virtual_rules {\n        from 10.1.0.0/16 table 100 priority 400\n    }";
    let backup = segment.start(Host::Two, &program, &instance(100, paths, VIP)).unwrap();
    let mut daemon = segment.start(Host::One, &program, &instance(150, paths, VIP)).unwrap();
    assert_until(&daemon, "the only owner", || {
        has_vip(&segment, Host::One, VIP) && !has_vip(&segment, Host::Two, VIP)
    });
    let first = output(&segment, Host::One, "ip -o link show vrrp.51");
    assert!(first.contains(MAC), "{first}");
    kill_worker(&daemon);
    assert!(await_line(&daemon, "(VI_1) continuing in MASTER STATE"), "{}", daemon.output());
    assert_eq!(output(&segment, Host::One, "ip -o link show vrrp.51"), first, "the same interface");
    for _ in 0..3 {
        kill_worker(&daemon);
    }
    kill(worker(&daemon).expect("a worker"), Signal::SIGKILL).unwrap();
    assert_eq!(daemon.await_end().expect("it gives up").code(), Some(70), "{}", daemon.output());
    assert_until(&backup, "master", || has_vip(&segment, Host::Two, VIP));
    assert_eq!(surroundings(&segment).trim(), "", "{}", daemon.output());
    assert_eq!(switches(&segment), before, "{}", daemon.output());
    let left = output(&segment, Host::One, "ip route") + &output(&segment, Host::One, "ip rule");
    assert!(!left.contains("192.0.2.0") && !left.contains("10.1.0.0"), "{left}");
}

#[test]
fn a_vmac_that_is_deleted_comes_back_and_a_reload_can_do_without_it() {
    let Some(program) = vrrpd("a_vmac_that_is_deleted_comes_back") else { return };
    let segment = Segment::new().unwrap();
    let daemon = segment.start(Host::One, &program, &instance(150, "use_vmac", VIP)).unwrap();
    assert_until(&daemon, "master", || has_vip(&segment, Host::One, VIP));
    segment.ip(Host::One, "link del vrrp.51").unwrap();
    assert!(await_line(&daemon, "Interface vrrp.51 deleted"), "{}", daemon.output());
    assert_until(&daemon, "master again", || {
        output(&segment, Host::One, "ip -o addr show dev vrrp.51").contains(VIP)
    });
    std::fs::write(daemon.path("keepalived.conf"), instance(150, "", VIP)).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert_until(&daemon, "without vmac", || {
        output(&segment, Host::One, &format!("ip -o addr show dev {INTERFACE}")).contains(VIP)
    });
    assert_until(&daemon, "cleaned up", || surroundings(&segment).trim().is_empty());
}

#[test]
fn garp_extra_if_refreshes_addresses_on_interfaces_without_adverts() {
    let Some(program) = vrrpd("garp_extra_if_refreshes_addresses") else { return };
    let segment = Segment::new().unwrap();
    let quiet = "use_vmac\n    vmac_xmit_base\n    garp_master_delay 0\n    garp_master_repeat 1\n    garp_extra_if 1";
    let daemon = segment.start(Host::One, &program, &instance(150, quiet, VIP)).unwrap();
    let sent = || daemon.output().matches(&format!("Sending gratuitous ARP on vrrp.51 for {VIP}")).count();
    assert_until(&daemon, "announcing again", || sent() >= 3);
    assert_eq!(daemon.output().matches("Entering MASTER STATE").count(), 1);
}
