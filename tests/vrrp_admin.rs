//! Asking a running vrrpd: the admin socket with its real client, and what Prometheus fetches.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use nix::sys::signal::Signal;
use testkit::daemon::Daemon;
use testkit::vrrp::{Host, INTERFACE, LIMIT, Segment, missing};
use testkit::{environment, wait};

const VIP: &str = "10.99.0.100";

fn vrrpd(test: &str) -> Option<PathBuf> {
    if let Some(reason) = missing() {
        environment::skip(test, reason);
        return None;
    }
    let ours = environment::built("vrrpd");
    if ours.is_none() {
        environment::skip(test, "vrrpd is not built");
    }
    ours
}

fn configuration(priority: u8, extra: &str) -> String {
    format!(
        "global_defs {{
    admin_socket {{dir}}/admin.sock
    {extra}
}}
vrrp_instance VI_1 {{
    interface {INTERFACE}
    virtual_router_id 51
    version 3
    priority {priority}
    advert_int 0.1
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"
    )
}

fn ctl(program: &Path, daemon: &Daemon, words: &str) -> Output {
    Command::new(program)
        .args(["ctl", "-s"])
        .arg(daemon.path("admin.sock"))
        .args(words.split_whitespace())
        .output()
        .unwrap()
}

/// Standard output of a question that succeeds.
fn answer(program: &Path, daemon: &Daemon, words: &str) -> String {
    let output = ctl(program, daemon, words);
    assert!(output.status.success(), "{words}: {output:?}\n{}", daemon.output());
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Standard error of a question that is refused.
fn refusal(program: &Path, daemon: &Daemon, words: &str) -> String {
    let output = ctl(program, daemon, words);
    assert_eq!(output.status.code(), Some(1), "{words}: {output:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Asks until the answer has the text.
fn await_answer(program: &Path, daemon: &Daemon, words: &str, text: &str) -> String {
    let mut last = String::new();
    let found = wait::until(LIMIT, || {
        last = String::from_utf8_lossy(&ctl(program, daemon, words).stdout).into_owned();
        last.contains(text).then_some(())
    });
    assert!(found.is_some(), "no '{text}' in:\n{last}\n{}", daemon.output());
    last
}

#[test]
fn drain_hands_over_without_losing_a_probe_and_resume_takes_back() {
    let Some(program) = vrrpd("drain_hands_over_without_losing_a_probe") else { return };
    let segment = Segment::new().unwrap();
    let one = segment.start(Host::One, &program, &configuration(150, "")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", one.output());
    let two = segment.start(Host::Two, &program, &configuration(100, "")).unwrap();
    await_answer(&program, &two, "status", "VI_1: BACKUP");
    await_answer(&program, &two, "status", "master is 10.99.0.1, priority 150");
    // The bridge itself is the client.
    segment.switch_ip("addr add 10.99.0.250/24 dev br0").unwrap();
    let ping = Command::new("ip")
        .args(["netns", "exec", &segment.switch(), "ping", "-n", "-q", "-i", "0.005", "-c", "400", VIP])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let said = answer(&program, &one, "drain VI_1");
    assert!(said.starts_with("VI_1: priority 150 -> 1, said good-bye"), "{said}");
    let status = await_answer(&program, &two, "status", "VI_1: MASTER");
    assert!(!status.contains("SPLIT"), "{status}");
    await_answer(&program, &one, "status", "drained by hand");
    let said = String::from_utf8_lossy(&ping.wait_with_output().unwrap().stdout).into_owned();
    assert!(said.contains(" 0% packet loss"), "{said}");
    assert!(answer(&program, &one, "resume").contains("priority 1 -> 150"));
    assert!(segment.await_owner(VIP, Host::One), "{}", one.output());
    assert!(answer(&program, &one, "priority VI_1 90").contains("priority 150 -> 90"));
    assert!(segment.await_owner(VIP, Host::Two), "{}", one.output());
}

#[test]
fn a_reload_answers_with_what_changed_or_why_nothing_did() {
    let Some(program) = vrrpd("a_reload_answers_with_what_changed") else { return };
    let segment = Segment::new().unwrap();
    let mut daemon = segment.start(Host::One, &program, &configuration(150, "")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let file = daemon.path("keepalived.conf");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(answer(&program, &daemon, "reload"), "nothing changed\n");
    std::fs::write(&file, text.replace("priority 150", "priority 120")).unwrap();
    let change = "~ vrrp_instance VI_1: priority 150 -> 120\n";
    assert_eq!(answer(&program, &daemon, "plan"), change);
    assert!(answer(&program, &daemon, "status").contains("priority 150"));
    assert_eq!(answer(&program, &daemon, "reload"), change);
    assert!(answer(&program, &daemon, "status").contains("priority 120"));
    std::fs::write(&file, text.replace("virtual_router_id 51", "virtual_router_id 999")).unwrap();
    let reason = refusal(&program, &daemon, "reload");
    assert!(reason.starts_with("reload refused, the configuration in use stays:\n"), "{reason}");
    assert!(reason.contains("(VI_1): VRID '999' not valid"), "{reason}");
    let status = answer(&program, &daemon, "status");
    assert!(status.contains("LAST RELOAD REFUSED") && status.contains("VI_1: MASTER"), "{status}");
    assert!(refusal(&program, &daemon, "garp VI_2").contains("there are: VI_1"));
    assert!(answer(&program, &daemon, "garp").contains("VI_1: announced 1 address"));
    let json: serde_json::Value = serde_json::from_str(&answer(&program, &daemon, "json")).unwrap();
    assert_eq!(json[0]["data"]["state"], 2);
    assert_eq!(json[0]["vrrpd"]["addresses_held"], true);
    assert_eq!(daemon.output().matches("Entering").count(), 2, "{}", daemon.output());
    daemon.signal(Signal::SIGTERM).unwrap();
    assert!(daemon.await_end().is_some_and(|status| status.success()));
    assert!(!daemon.path("admin.sock").exists());
    assert_eq!(ctl(&program, &daemon, "status").status.code(), Some(2));
}

#[test]
fn metrics_are_what_promtool_wants_and_exporters_know() {
    let test = "metrics_are_what_promtool_wants";
    let Some(program) = vrrpd(test) else { return };
    let Some(curl) = environment::installed("curl") else { return environment::skip(test, "needs curl") };
    let segment = Segment::new().unwrap();
    let text = configuration(150, "metrics_listen 127.0.0.1:9165");
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let node = segment.node(Host::One);
    let output = Command::new("ip")
        .args(["netns", "exec", &node])
        .arg(curl)
        .args(["-sSf", "http://127.0.0.1:9165/metrics"])
        .output()
        .unwrap();
    let metrics = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in [
        "keepalived_up 1",
        "keepalived_vrrp_state{iname=\"VI_1\",intf=\"v0\",vrid=\"51\",ip_address=\"10.99.0.100/24\"} 2",
        "keepalived_become_master_total{iname=\"VI_1\",intf=\"v0\",vrid=\"51\"} 1",
        "keepalived_vrrp_become_master{name=\"VI_1\",intf=\"v0\",vrid=\"51\",state=\"MASTER\"} 1",
        "vrrpd_instance_priority{iname=\"VI_1\",intf=\"v0\",vrid=\"51\"} 150",
    ] {
        assert!(metrics.contains(line), "no '{line}' in:\n{metrics}");
    }
    let Some(promtool) = environment::installed("promtool") else {
        return environment::skip(test, "needs promtool for the rest");
    };
    let file = daemon.path("metrics");
    std::fs::write(&file, &metrics).unwrap();
    let check = Command::new(promtool)
        .args(["check", "metrics"])
        .stdin(std::fs::File::open(&file).unwrap())
        .output()
        .unwrap();
    assert!(check.status.success() && check.stdout.is_empty() && check.stderr.is_empty(), "{check:?}");
}

#[test]
fn two_masters_are_reported_on_both_sides_after_the_network_has_healed() {
    let Some(program) = vrrpd("two_masters_are_reported_on_both_sides") else { return };
    let segment = Segment::new().unwrap();
    let one = segment.start(Host::One, &program, &configuration(150, "")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", one.output());
    let two = segment.start(Host::Two, &program, &configuration(100, "")).unwrap();
    await_answer(&program, &two, "status", "master is 10.99.0.1");
    segment.cut(Host::Two).unwrap();
    await_answer(&program, &two, "status", "VI_1: MASTER");
    segment.heal(Host::Two).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", two.output());
    await_answer(&program, &one, "status", "SPLIT BRAIN with 10.99.0.2 (priority 100)");
    await_answer(&program, &two, "status", "SPLIT BRAIN possible with 10.99.0.1 (priority 150)");
    // The owner told the network again.
    let healed = one.output().rfind("forcing new election").unwrap();
    assert!(one.output()[healed..].contains("Sending gratuitous ARP"), "{}", one.output());
}
