//! vrrpd and the genuine keepalived on one virtual router id, in both roles.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::PathBuf;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::daemon::Daemon;
use testkit::environment;
use testkit::vrrp::{Host, LIMIT, Segment, await_line, missing};

const VIP: &str = "10.99.0.100";

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
    Some((ours, environment::installed("keepalived")?))
}

fn configuration(priority: u8, extra: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{
    state BACKUP
    interface v0
    virtual_router_id 51
    priority {priority}
    {extra}
    virtual_ipaddress {{
        {VIP}/24
    }}
}}
"
    )
}

fn with_password(priority: u8) -> String {
    password(priority, "secret12")
}

fn password(priority: u8, secret: &str) -> String {
    let auth = format!(
        "advert_int 1\n    authentication {{\n        auth_type PASS\n        auth_pass {secret}\n    }}"
    );
    configuration(priority, &auth)
}

fn assert_line(daemon: &Daemon, text: &str) {
    assert!(await_line(daemon, text), "no '{text}' in:\n{}", daemon.output());
}

fn assert_owner(segment: &Segment, host: Host, daemons: &[&Daemon]) {
    if !segment.await_owner(VIP, host) {
        let logs: String = daemons.iter().map(|daemon| format!("{}\n---\n", daemon.output())).collect();
        panic!("{VIP} is on {:?}, not on {host:?}:\n{logs}", segment.owners(VIP));
    }
}

#[test]
fn we_preempt_a_lower_keepalived_and_hand_back_on_sigterm() {
    let Some((ours, theirs)) = programs("we_preempt_a_lower_keepalived") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    assert_owner(&segment, Host::Two, &[&keepalived]);
    let mut vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    assert_line(&vrrpd, "(VI_1) received lower priority (100) advert from 10.99.0.2 - discarding");
    assert_line(&vrrpd, "(VI_1) Entering MASTER STATE");
    assert_line(
        &keepalived,
        "(VI_1) Master received advert from 10.99.0.1 with higher priority 150, ours 100",
    );
    vrrpd.signal(Signal::SIGTERM).unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    assert_line(&keepalived, "(VI_1) Backup received priority 0 advertisement");
    let status = vrrpd.await_end().expect("vrrpd ends");
    assert!(status.success(), "{status}: {}", vrrpd.output());
    assert_line(&vrrpd, "(VI_1) sent 0 priority");
    assert_line(&vrrpd, "(VI_1) removing VIPs.");
}

#[test]
fn a_higher_keepalived_preempts_us_and_its_good_bye_brings_us_back() {
    let Some((ours, theirs)) = programs("a_higher_keepalived_preempts_us") else { return };
    let segment = Segment::new().unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(100)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd]);
    let keepalived = segment.start(Host::Two, &theirs, &with_password(150)).unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    assert_line(&vrrpd, "(VI_1) Master received advert from 10.99.0.2 with higher priority 150, ours 100");
    assert_line(&vrrpd, "(VI_1) Entering BACKUP STATE");
    keepalived.signal(Signal::SIGTERM).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    assert_line(&vrrpd, "(VI_1) Backup received priority 0 advertisement");
}

#[test]
fn a_silent_keepalived_is_replaced_and_a_healed_partition_leaves_one_owner() {
    let Some((ours, theirs)) = programs("a_silent_keepalived_is_replaced") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(150)).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(100)).unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    segment.cut(Host::Two).unwrap();
    assert_line(&vrrpd, "(VI_1) Receive advertisement timeout");
    assert_line(&vrrpd, "(VI_1) Entering MASTER STATE");
    segment.heal(Host::Two).unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
}

#[test]
fn a_dead_link_is_a_fault_and_its_return_a_preemption() {
    let Some((ours, theirs)) = programs("a_dead_link_is_a_fault") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    segment.ip(Host::One, "link set v0 down").unwrap();
    assert_line(&vrrpd, "Netlink reports v0 down");
    assert_line(&vrrpd, "(VI_1) Entering FAULT STATE");
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    segment.ip(Host::One, "link set v0 up").unwrap();
    assert_line(&vrrpd, "Netlink reports v0 up");
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
}

#[test]
fn a_removed_address_comes_back() {
    let Some((ours, theirs)) = programs("a_removed_address_comes_back") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    segment.ip(Host::One, &format!("addr del {VIP}/24 dev v0")).unwrap();
    assert_line(&vrrpd, "Netlink reflector reports IP 10.99.0.100 removed from v0");
    assert_line(&keepalived, "(VI_1) Backup received priority 0 advertisement");
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
}

#[test]
fn another_password_is_refused_on_both_sides() {
    let Some((ours, theirs)) = programs("another_password_is_refused") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &password(100, "secret12")).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &password(150, "secret13")).unwrap();
    assert_line(&vrrpd, "(VI_1) received an invalid passwd!");
    assert_line(&keepalived, "(VI_1) received an invalid passwd!");
}

fn with_header(priority: u8, secret: &str) -> String {
    password(priority, secret).replace("PASS", "AH")
}

#[test]
fn a_header_made_with_another_secret_is_refused_on_both_sides() {
    let Some((ours, theirs)) = programs("a_header_made_with_another_secret") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_header(100, "secret12")).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_header(150, "secret13")).unwrap();
    let line = "invalid IPSEC HMAC-MD5 value. Due to fields mutation or bad password !";
    assert_line(&vrrpd, line);
    assert_line(&keepalived, line);
}

#[test]
fn a_sync_group_moves_as_one() {
    let Some((ours, theirs)) = programs("a_sync_group_moves_as_one") else { return };
    let segment = Segment::new().unwrap();
    let (first, second) = (VIP, "10.99.0.101");
    let group = |priority| {
        let one = with_password(priority);
        let two = one.replace("VI_1", "VI_2").replace("_id 51", "_id 52").replace(first, second);
        format!("vrrp_sync_group SG {{\n    group {{\n        VI_1\n        VI_2\n    }}\n}}\n{one}{two}")
    };
    let keepalived = segment.start(Host::Two, &theirs, &group(100)).unwrap();
    assert!(segment.await_owner(second, Host::Two), "{}", keepalived.output());
    let vrrpd = segment.start(Host::One, &ours, &group(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    assert!(segment.await_owner(second, Host::One), "{}", vrrpd.output());
    assert_line(&vrrpd, "VRRP_Group(SG) Syncing instances to MASTER state");
    segment.ip(Host::One, &format!("addr del {second}/24 dev v0")).unwrap();
    assert_line(&vrrpd, "VRRP_Group(SG) Syncing instances to BACKUP state");
}

#[test]
fn reloads_keep_a_master_and_a_broken_file_changes_nothing() {
    let Some((ours, _)) = programs("reloads_keep_a_master") else { return };
    let segment = Segment::new().unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd]);
    let reload = |text: &str| {
        std::fs::write(vrrpd.path("keepalived.conf"), text).unwrap();
        vrrpd.signal(Signal::SIGHUP).unwrap();
    };
    let second = "10.99.0.102";
    reload(&with_password(150).replace(&format!("{VIP}/24"), &format!("{VIP}/24\n        {second}/24")));
    assert!(segment.await_owner(second, Host::One), "{}", vrrpd.output());
    reload("vrrp_instance VI_1 {\n    interface v0\n");
    assert_line(&vrrpd, "Reload refused");
    assert_eq!(segment.owners(second), [Host::One]);
    reload(&with_password(150).replace("VI_1", "RENAMED"));
    assert!(
        testkit::wait::until(testkit::wait::LIMIT, || (!segment.has(Host::One, second)).then_some(()))
            .is_some()
    );
    assert_eq!(segment.owners(VIP), [Host::One]);
    assert_eq!(vrrpd.output().matches("Entering MASTER STATE").count(), 1, "{}", vrrpd.output());
}

#[test]
fn a_failed_script_moves_the_address_and_notify_scripts_hear_of_it_in_order() {
    let Some((ours, theirs)) = programs("a_failed_script_moves_the_address") else { return };
    let segment = Segment::new().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().display();
    let script = folder.path().join("notify.sh");
    std::fs::write(&script, format!("#!/bin/sh\necho \"$*\" >> {dir}/notes\n")).unwrap();
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let tracked = format!(
        "global_defs {{
    script_user root
}}
vrrp_script check {{
    script \"/usr/bin/test ! -e {dir}/bad\"
    interval 1
    timeout 1
    fall 1
    rise 1
}}
{}",
        configuration(
            150,
            &format!(
                "track_script {{\n        check\n    }}\n    notify {dir}/notify.sh\n    notify_fault \"{dir}/notify.sh fault\""
            )
        )
    );
    let keepalived = segment.start(Host::Two, &theirs, &configuration(100, "")).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &tracked).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    std::fs::write(folder.path().join("bad"), "").unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    assert_line(&vrrpd, "VRRP_Script(check) failed (exited with status 1)");
    assert_line(&keepalived, "(VI_1) Backup received priority 0 advertisement");
    std::fs::remove_file(folder.path().join("bad")).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    let expected = "INSTANCE VI_1 BACKUP 150\nINSTANCE VI_1 MASTER 150\nfault\nINSTANCE VI_1 FAULT 150\nINSTANCE VI_1 BACKUP 150\nINSTANCE VI_1 MASTER 150\n";
    let notes = || std::fs::read_to_string(folder.path().join("notes")).unwrap_or_default();
    let told = testkit::wait::until(testkit::wait::LIMIT, || (notes() == expected).then_some(()));
    assert!(told.is_some(), "{}\n{}", notes(), vrrpd.output());
}

/// The worker that a running vrrpd has now.
fn worker(daemon: &Daemon) -> Option<Pid> {
    let text = std::fs::read_to_string(daemon.path("vrrp.pid")).ok()?;
    text.trim().parse().ok().map(Pid::from_raw)
}

/// Sends SIGKILL to the worker and waits for the next one.
fn kill_worker(daemon: &Daemon) {
    let before = worker(daemon).expect("a worker");
    assert_ne!(before.as_raw().unsigned_abs(), daemon.pid(), "the supervisor is another process");
    kill(before, Signal::SIGKILL).unwrap();
    let next = testkit::wait::until(LIMIT, || worker(daemon).filter(|pid| *pid != before));
    assert!(next.is_some(), "no new worker:\n{}", daemon.output());
}

#[test]
fn a_killed_worker_is_replaced_by_one_that_goes_on_as_master() {
    let Some((ours, theirs)) = programs("a_killed_worker_is_replaced") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    let mut monitor = segment.monitor_addresses(Host::One).unwrap();
    for round in 1..=2 {
        kill_worker(&vrrpd);
        let continued = || vrrpd.output().matches("(VI_1) continuing in MASTER STATE").count();
        assert!(testkit::wait::until(LIMIT, || (continued() == round).then_some(())).is_some());
    }
    // An advert of the new worker has reached the other side if its answer to a lower one does.
    vrrpd.signal(Signal::SIGTERM).unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    let _ = monitor.end();
    let (ours, theirs) = (vrrpd.output(), keepalived.output());
    assert_eq!(ours.matches("Entering MASTER STATE").count(), 1, "{ours}");
    assert_eq!(theirs.matches("Entering MASTER STATE").count(), 1, "{theirs}");
    assert!(theirs.contains("Backup received priority 0 advertisement"), "{theirs}");
    let removals =
        monitor.output().lines().filter(|line| line.contains("Deleted") && line.contains(VIP)).count();
    assert_eq!(removals, 1, "only the good-bye removes the address:\n{}", monitor.output());
}

#[test]
fn a_worker_whose_supervisor_is_killed_hands_its_addresses_over() {
    let Some((ours, theirs)) = programs("a_worker_whose_supervisor_is_killed") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let mut vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    vrrpd.signal(Signal::SIGKILL).unwrap();
    assert!(vrrpd.await_end().is_some());
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    assert_line(&keepalived, "(VI_1) Backup received priority 0 advertisement");
    assert_line(&vrrpd, "(VI_1) removing VIPs.");
    assert_line(&vrrpd, "Stopped");
}

#[test]
fn a_worker_that_dies_again_and_again_is_given_up_with_a_good_bye() {
    let Some((ours, theirs)) = programs("a_worker_that_dies_again_and_again") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let mut vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    for _ in 0..4 {
        kill_worker(&vrrpd);
    }
    kill(worker(&vrrpd).expect("a worker"), Signal::SIGKILL).unwrap();
    let status = vrrpd.await_end().expect("the supervisor gives up");
    assert_eq!(status.code(), Some(70), "{}", vrrpd.output());
    assert_line(&keepalived, "(VI_1) Backup received priority 0 advertisement");
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
}

/// Stops or continues the supervisor and its worker.
fn signal_both(daemon: &Daemon, signal: Signal) {
    daemon.signal(signal).unwrap();
    kill(worker(daemon).expect("a worker"), signal).unwrap();
}

#[test]
fn the_kernel_takes_the_address_from_a_daemon_that_is_frozen_and_it_returns_with_it() {
    let Some((ours, theirs)) = programs("the_kernel_takes_the_address_from_a_frozen_daemon") else { return };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    signal_both(&vrrpd, Signal::SIGSTOP);
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    signal_both(&vrrpd, Signal::SIGCONT);
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    assert_line(
        &keepalived,
        "(VI_1) Master received advert from 10.99.0.1 with higher priority 150, ours 100",
    );
    assert!(!vrrpd.output().contains("reports IP"), "{}", vrrpd.output());
}

#[test]
fn the_kernel_takes_the_address_when_everything_of_ours_is_killed() {
    let Some((ours, theirs)) = programs("the_kernel_takes_the_address_when_everything_is_killed") else {
        return;
    };
    let segment = Segment::new().unwrap();
    let keepalived = segment.start(Host::Two, &theirs, &with_password(100)).unwrap();
    let vrrpd = segment.start(Host::One, &ours, &with_password(150)).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd, &keepalived]);
    let worker = worker(&vrrpd).expect("a worker");
    signal_both(&vrrpd, Signal::SIGSTOP);
    // The other way round the kernel would let the orphan run once more (setpgid(2)), long enough for a farewell.
    kill(worker, Signal::SIGKILL).unwrap();
    vrrpd.signal(Signal::SIGKILL).unwrap();
    assert_owner(&segment, Host::Two, &[&vrrpd, &keepalived]);
    assert!(!vrrpd.output().contains("sent 0 priority"), "{}", vrrpd.output());
}

#[test]
fn renewals_of_a_lease_are_no_events_and_off_means_for_ever() {
    let Some((ours, _)) = programs("renewals_of_a_lease_are_no_events") else { return };
    let segment = Segment::new().unwrap();
    let file = |lease: &str| format!("global_defs {{\n    vip_lease {lease}\n}}\n{}", with_password(150));
    let vrrpd = segment.start(Host::One, &ours, &file("2")).unwrap();
    assert_owner(&segment, Host::One, &[&vrrpd]);
    let monitor = segment.monitor_addresses(Host::One).unwrap();
    let renewed = || monitor.output().lines().filter(|line| line.contains("valid_lft 2sec")).count();
    assert!(testkit::wait::until(LIMIT, || (renewed() >= 8).then_some(())).is_some(), "{}", monitor.output());
    assert!(!monitor.output().contains("Deleted"), "{}", monitor.output());
    assert_eq!(vrrpd.output().matches("Assigned address").count(), 0, "{}", vrrpd.output());
    std::fs::write(vrrpd.path("keepalived.conf"), file("off")).unwrap();
    vrrpd.signal(Signal::SIGHUP).unwrap();
    let shown = || segment.ip(Host::One, &format!("-o addr show to {VIP}")).unwrap_or_default();
    let for_ever = testkit::wait::until(LIMIT, || shown().contains("valid_lft forever").then_some(()));
    assert!(for_ever.is_some(), "{}", shown());
    assert_eq!(vrrpd.output().matches("Entering").count(), 2, "BACKUP, MASTER:\n{}", vrrpd.output());
}

/// The packet after the header line of `tcpdump -x`: only the words of bytes.
fn packet_bytes(output: &str) -> String {
    output
        .lines()
        .filter_map(|line| line.trim().strip_prefix("0x")?.split_once(':'))
        .map(|(_, words)| words.trim())
        .collect::<Vec<_>>()
        .join(" ")
}

#[test]
fn our_first_advert_is_keepaliveds_byte_for_byte() {
    let test = "our_first_advert_is_keepaliveds";
    let Some((ours, theirs)) = programs(test) else { return };
    if environment::installed("tcpdump").is_none() {
        return environment::skip(test, "needs tcpdump");
    }
    let capture = |program: &PathBuf| {
        let segment = Segment::new().unwrap();
        let mut listener = segment.capture_advert(Host::Two).unwrap();
        assert_line(&listener, "listening on");
        let daemon = segment.start(Host::One, program, &with_password(150)).unwrap();
        let ended = listener.await_end();
        assert!(ended.is_some(), "no advert from {}:\n{}", program.display(), daemon.output());
        packet_bytes(&listener.output())
    };
    let expected = capture(&theirs);
    assert!(expected.starts_with("45c0 0028"), "{expected}");
    assert_eq!(capture(&ours), expected);
}
