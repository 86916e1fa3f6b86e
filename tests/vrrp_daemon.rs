//! What `global_defs` and the static blocks ask of the daemon itself, in namespaces: planned reloads and what is kept of
//! them, titles, late wake-ups, and static addresses, routes and rules.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::vrrp::{Host, INTERFACE, Segment, assert_line, assert_until, program};

const VIP: &str = "10.99.0.100";

/// An instance that is master after a few tenths of a second.
fn instance(extra: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{
    interface {INTERFACE}
    virtual_router_id 51
    version 3
    priority 150
    advert_int 0.1
    {extra}
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"
    )
}

fn names_in(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.map(|entry| entry.file_name().display().to_string()).collect();
    names.sort();
    names
}

#[test]
fn a_planned_reload_comes_in_its_time_and_leaves_its_copies() {
    let Some(program) = program("a_planned_reload_comes_in_its_time") else { return };
    let segment = Segment::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let global = format!(
        "global_defs {{
    reload_time_file {dir}/when
    reload_file {dir}/reading
    reload_check_config {dir}/check.log
    config_save_dir {dir}/copies
}}
"
    );
    let daemon = segment.start(Host::One, &program, &format!("{global}{}", instance(""))).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    // The second file has something to be said about.
    let changed = format!("{global}no_such_word\n{}", instance("garp_master_repeat 2"));
    std::fs::write(daemon.path("keepalived.conf"), changed).unwrap();
    let when = folder.path().join("when");
    std::fs::write(&when, "garbage\n").unwrap();
    assert_line(&daemon, "Reload time garbage format is incorrect - ignoring");
    let date = std::process::Command::new("date").args(["-d", "2 seconds", "+%F %T"]).output().unwrap();
    std::fs::write(&when, date.stdout).unwrap();
    assert_line(&daemon, "Scheduling reload for ");
    assert_line(&daemon, "Reload complete");
    assert!(!when.exists() && !folder.path().join("reading").exists(), "{}", daemon.output());
    let check = std::fs::read_to_string(folder.path().join("check.log")).unwrap();
    assert!(check.contains("Unknown keyword 'no_such_word'"), "{check}");
    let copies = folder.path().join("copies");
    let has = |start: &str, end: &str| {
        names_in(&copies).iter().any(|name| name.starts_with(start) && name.ends_with(end))
    };
    assert_until(&daemon, "the state kept", || {
        has("keepalived_vrrp.", ".pre") && has("keepalived_vrrp.", ".post")
    });
    // One that the daemon started with, one that it went over to.
    let files = names_in(&copies).iter().filter(|name| name.starts_with("keepalived.conf.")).count();
    assert_eq!(files, 2, "{:?}", names_in(&copies));
    assert_eq!(daemon.output().matches("Entering MASTER STATE").count(), 1);
}

#[test]
fn the_processes_have_the_titles_that_they_are_given() {
    let Some(program) = program("the_processes_have_the_titles") else { return };
    let segment = Segment::new().unwrap();
    let titles = "global_defs {\n    process_names\n    vrrp_process_name my_vrrp\n}\n";
    let daemon = segment.start(Host::One, &program, &format!("{titles}{}", instance(""))).unwrap();
    assert_line(&daemon, "Startup complete");
    let title = |file: &str| {
        let pid = std::fs::read_to_string(daemon.path(file)).unwrap();
        std::fs::read_to_string(format!("/proc/{}/comm", pid.trim())).unwrap().trim_end().to_owned()
    };
    assert_eq!((title("pid").as_str(), title("vrrp.pid").as_str()), ("keepalived", "my_vrrp"));
}

#[test]
#[allow(clippy::disallowed_methods, reason = "how long the master was stopped is what the keyword is about")]
fn a_master_that_slept_too_long_steps_back_with_timer_expired_backup() {
    let Some(program) = program("a_master_that_slept_too_long") else { return };
    let segment = Segment::new().unwrap();
    let text = format!(
        "global_defs {{\n    max_auto_priority 5\n    min_auto_priority_delay 100000\n    vip_lease off\n}}\n{}",
        instance("nopreempt\n    timer_expired_backup 200")
    );
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let pid = std::fs::read_to_string(daemon.path("vrrp.pid")).unwrap();
    let pid = Pid::from_raw(pid.trim().parse().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    // Longer than three adverts and the skew of priority 200: somebody else would be master by now.
    std::thread::sleep(std::time::Duration::from_millis(700));
    kill(pid, Signal::SIGCONT).unwrap();
    assert_line(&daemon, "A thread timer expired ");
    assert_line(&daemon, "Set realtime priority 1");
    assert_line(&daemon, "VRRP thread timer expired ");
    assert_line(&daemon, "(VI_1) Entering BACKUP STATE\n");
    // Nobody else is there.
    assert_until(&daemon, "master again", || daemon.output().matches("Entering MASTER STATE").count() == 2);
}

#[test]
fn static_things_are_set_again_and_a_track_group_needs_their_interface() {
    let Some(program) = program("static_things_are_set_again") else { return };
    let segment = Segment::new().unwrap();
    segment.ip(Host::One, "link add s0 type veth peer name s1").unwrap();
    for words in ["link set s1 up", "link set s0 up"] {
        segment.ip(Host::One, words).unwrap();
    }
    let text = format!(
        "track_group G {{
    group {{
        VI_1
    }}
}}
static_ipaddress {{
    10.98.0.1/24 dev s0 track_group G
}}
static_routes {{
    192.0.2.0/24 via 10.98.0.9 dev s0
}}
static_rules {{
    from 10.96.0.0/16 table 100 priority 400
}}
{}",
        instance("")
    );
    let daemon = segment.start(Host::One, &program, &text).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let shown = |words: &str, text: &str| segment.ip(Host::One, words).unwrap().contains(text);
    segment.ip(Host::One, "addr del 10.98.0.1/24 dev s0").unwrap();
    assert_line(
        &daemon,
        "Restoring deleted static address 10.98.0.1/24 dev s0 scope global track_group G set",
    );
    assert_until(&daemon, "set again", || shown("addr show dev s0", "10.98.0.1/24"));
    assert_until(&daemon, "with the route through it", || shown("route show", "192.0.2.0/24"));
    segment.ip(Host::One, "route del 192.0.2.0/24").unwrap();
    assert_line(
        &daemon,
        "Restoring deleted static route prepend 192.0.2.0/24 via inet 10.98.0.9 dev s0 proto 18",
    );
    assert_until(&daemon, "set again", || shown("route show", "192.0.2.0/24"));
    segment.ip(Host::One, "rule del priority 400").unwrap();
    assert_line(
        &daemon,
        "Restoring deleted static rule from 10.96.0.0/16 priority 400 tos 0x0 protocol 18 lookup 100",
    );
    assert_until(&daemon, "set again", || shown("rule show", "10.96.0.0/16"));
    assert_eq!(daemon.output().matches("Entering BACKUP STATE").count(), 1, "{}", daemon.output());
    segment.ip(Host::One, "link set s0 down").unwrap();
    assert_line(&daemon, "(VI_1) Entering FAULT STATE");
    assert_until(&daemon, "without the route", || !shown("route show", "192.0.2.0/24"));
    segment.ip(Host::One, "link set s0 up").unwrap();
    assert_until(&daemon, "with the route again", || shown("route show", "192.0.2.0/24"));
    assert_until(&daemon, "master again", || daemon.output().matches("Entering MASTER STATE").count() == 2);
}
