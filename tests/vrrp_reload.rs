//! Reloads and renewals cost nothing: no advert, no connection, no state, whatever the file is like.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::Mode;
use nix::unistd::{Pid, mkfifo};
use testkit::daemon::Daemon;
use testkit::vrrp::{Host, INTERFACE, LIMIT, Segment, await_line, missing};
use testkit::{environment, wait};

const VIP: &str = "10.99.0.100";

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

fn configuration(priority: u8, more: &str, addresses: &str) -> String {
    format!(
        "vrrp_instance VI_1 {{\n interface {INTERFACE}\n virtual_router_id 51\n priority {priority}\n version 3\n \
         advert_int 0.2\n virtual_ipaddress {{\n {VIP}/24\n {addresses}\n }}\n}}\n{more}\n"
    )
}

fn state_changes(daemon: &Daemon) -> usize {
    daemon.output().matches("Entering").count()
}

fn await_count(daemon: &Daemon, text: &str, count: usize) {
    let reached = || (daemon.output().matches(text).count() >= count).then_some(());
    assert!(wait::until(LIMIT, reached).is_some(), "{count} times '{text}':\n{}", daemon.output());
}

/// Adverts that the other host hears, counted as they come.
fn adverts(segment: &Segment) -> Daemon {
    let node = segment.node(Host::Two);
    let words =
        ["netns", "exec", &node, "tcpdump", "-i", INTERFACE, "-nnl", "--immediate-mode", "ip proto 112"];
    let tcpdump = Daemon::start(std::path::Path::new("ip"), &words, &[]).unwrap();
    assert!(await_line(&tcpdump, "listening on"), "{}", tcpdump.output());
    tcpdump
}

#[test]
fn a_reload_of_a_file_that_includes_a_pipe_waits_for_nobody() {
    let Some(program) = vrrpd("a_reload_of_a_file_that_includes_a_pipe") else { return };
    let segment = Segment::new().unwrap();
    let master = segment.start(Host::One, &program, &configuration(150, "", "")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", master.output());
    let backup = segment.start(Host::Two, &program, &configuration(100, "", "")).unwrap();
    assert!(await_line(&backup, "Entering BACKUP STATE (init)"), "{}", backup.output());
    let pipe = master.path("endless.conf");
    mkfifo(&pipe, Mode::from_bits_truncate(0o600)).unwrap();
    let include = format!("include {}", pipe.display());
    std::fs::write(master.path("keepalived.conf"), configuration(150, &include, "")).unwrap();
    let heard = adverts(&segment);
    master.signal(Signal::SIGHUP).unwrap();
    assert!(await_line(&master, "not a regular file"), "{}", master.output());
    assert!(await_line(&master, "Reload complete"), "{}", master.output());
    // Several master down times.
    await_count(&heard, "VRRPv3", 12);
    assert_eq!((state_changes(&master), state_changes(&backup)), (2, 1), "{}", backup.output());
    assert_eq!(segment.owners(VIP), [Host::One]);
}

#[test]
fn reloads_of_255_instances_change_no_state() {
    let Some(program) = vrrpd("reloads_of_255_instances") else { return };
    let segment = Segment::new().unwrap();
    let file = |priority: u8, address: u8| -> String {
        let instance = |vrid: u8| {
            format!(
                "vrrp_instance VI_{vrid} {{\n interface {INTERFACE}\n virtual_router_id {vrid}\n priority {priority}\n \
                 version 3\n advert_int 1\n virtual_ipaddress {{\n 10.99.{address}.{vrid}/16\n }}\n}}\n"
            )
        };
        (1..=255).map(instance).collect()
    };
    let master = segment.start(Host::One, &program, &file(150, 1)).unwrap();
    await_count(&master, "Entering MASTER STATE", 255);
    let backup = segment.start(Host::Two, &program, &file(100, 1)).unwrap();
    await_count(&backup, "Entering BACKUP STATE (init)", 255);
    for round in 1..=4 {
        // Two rounds that change every address, two that change nothing.
        std::fs::write(master.path("keepalived.conf"), file(150, 1 + u8::from(round == 2 || round == 3)))
            .unwrap();
        master.signal(Signal::SIGHUP).unwrap();
        await_count(&master, "Reload complete", round);
    }
    assert_eq!(state_changes(&master), 510);
    assert_eq!(state_changes(&backup), 255, "{}", backup.output());
}

#[test]
fn a_worker_that_dies_after_a_reload_goes_on_with_what_was_reloaded_whatever_the_file_says_now() {
    let Some(program) = vrrpd("a_worker_that_dies_after_a_reload") else { return };
    let segment = Segment::new().unwrap();
    let daemon = segment.start(Host::One, &program, &configuration(150, "", "")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let file = daemon.path("keepalived.conf");
    std::fs::write(&file, configuration(150, "", "10.99.0.101/24")).unwrap();
    daemon.signal(Signal::SIGHUP).unwrap();
    assert!(await_line(&daemon, "Reload complete"), "{}", daemon.output());
    std::fs::write(&file, "vrrp_instance VI_1 {\n").unwrap();
    let worker =
        || -> Option<i32> { std::fs::read_to_string(daemon.path("vrrp.pid")).ok()?.trim().parse().ok() };
    kill(Pid::from_raw(worker().unwrap()), Signal::SIGKILL).unwrap();
    assert!(await_line(&daemon, "(VI_1) continuing in MASTER STATE"), "{}", daemon.output());
    assert!(segment.has(Host::One, VIP) && segment.has(Host::One, "10.99.0.101"));
    // And the broken file is still refused.
    daemon.signal(Signal::SIGHUP).unwrap();
    assert!(await_line(&daemon, "Reload refused"), "{}", daemon.output());
    assert_eq!(state_changes(&daemon), 2, "{}", daemon.output());
}

/// Does something in the network namespace of a host.
fn on<T: Send + 'static>(segment: &Segment, host: Host, work: impl FnOnce() -> T + Send + 'static) -> T {
    let namespace = std::fs::File::open(format!("/run/netns/{}", segment.node(host))).unwrap();
    let thread = std::thread::spawn(move || {
        setns(namespace, CloneFlags::CLONE_NEWNET).unwrap();
        work()
    });
    thread.join().unwrap()
}

#[test]
fn renewals_of_a_lease_disturb_neither_a_connection_nor_the_neighbours() {
    let Some(program) = vrrpd("renewals_of_a_lease_disturb_neither") else { return };
    let segment = Segment::new().unwrap();
    let global = "global_defs {\n vip_lease 2\n vrrp_garp_master_repeat 1\n vrrp_garp_master_delay 0\n}";
    let daemon = segment.start(Host::One, &program, &configuration(150, global, "")).unwrap();
    assert!(segment.await_owner(VIP, Host::One), "{}", daemon.output());
    let listener = on(&segment, Host::One, || TcpListener::bind((VIP, 0)).unwrap());
    let port = listener.local_addr().unwrap().port();
    let mut client = on(&segment, Host::Two, move || TcpStream::connect((VIP, port)).unwrap());
    let mut server = listener.accept().unwrap().0;
    let neighbour = || {
        let shown = segment.ip(Host::Two, &format!("neigh show {VIP}")).unwrap();
        shown.split_whitespace().skip_while(|word| *word != "lladdr").nth(1).map(str::to_owned)
    };
    let before = neighbour();
    let node = segment.node(Host::Two);
    let filter = format!("arp src host {VIP} and arp[6:2] == 1 and arp dst host {VIP}");
    let words = ["netns", "exec", &node, "tcpdump", "-i", INTERFACE, "-nnl", "--immediate-mode", &filter];
    let announced = Daemon::start(std::path::Path::new("ip"), &words, &[]).unwrap();
    assert!(await_line(&announced, "listening on"), "{}", announced.output());
    let monitor = segment.monitor_addresses(Host::One).unwrap();
    for round in 1..=10 {
        await_count(&monitor, "valid_lft 2sec", round);
        client.write_all(&[7; 1000]).unwrap();
        let mut read = [0; 1000];
        server.read_exact(&mut read).unwrap();
        assert_eq!(read, [7; 1000]);
    }
    assert!(!monitor.output().contains("Deleted"), "{}", monitor.output());
    assert!(!announced.output().contains("ARP, Request"), "{}", announced.output());
    assert!(before.is_some() && neighbour() == before, "{before:?} {:?}", neighbour());
}
