//! Daemonizing and giving up privileges in processes of their own: this program starts itself again in each role.
//!
//! It has its own `main`, because a test harness has threads and a daemon must be forked before there are any.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // it is all test

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio, exit};

use hacore::process::daemonize::daemonize;
use hacore::process::pidfile::{Exclusive, PidFile};
use hacore::process::privileges::{Privileges, ProcessCapability};

const ROLE: &str = "HACORE_TEST_ROLE";

fn main() {
    match std::env::var(ROLE).as_deref() {
        Ok("ready") => become_daemon(true),
        Ok("failed") => become_daemon(false),
        Ok("dies") => drop(daemonize().unwrap()),
        Ok("privileges") => give_up_privileges(),
        _ => tests(),
    }
}

fn tests() {
    for (name, test) in [
        ("the_parent_ends_when_the_daemon_is_ready", the_parent_ends_when_the_daemon_is_ready as fn()),
        ("a_daemon_that_fails_gives_its_code", a_daemon_that_fails_gives_its_code),
        ("a_daemon_that_dies_before_it_is_ready_gives_1", a_daemon_that_dies_before_it_is_ready_gives_1),
        ("privileges_are_given_up_but_for_what_is_kept", privileges_are_given_up_but_for_what_is_kept),
    ] {
        test();
        println!("test {name} ... ok");
    }
}

fn start(role: &str, directory: &Path) -> Output {
    Command::new(std::env::current_exe().unwrap())
        .env(ROLE, role)
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .unwrap()
}

/// Writes what it became to `report`, a FIFO whose reader is the test.
fn become_daemon(ready: bool) {
    let readiness = daemonize().unwrap();
    let _pidfile = PidFile::create(Path::new("pid"), Exclusive::Yes).unwrap();
    if !ready {
        eprintln!("cannot bind");
        readiness.failed(7);
        return;
    }
    println!("said before ready");
    readiness.ready().unwrap();
    println!("said after ready");
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_ascii_whitespace().collect();
    // Session and terminal: fields 6 and 7 of proc(5).
    let mut report = std::fs::File::options().write(true).open("report").unwrap();
    write!(report, "{} {} {}", std::process::id(), fields[3], fields[4]).unwrap();
}

fn the_parent_ends_when_the_daemon_is_ready() {
    let directory = tempfile::tempdir().unwrap();
    let fifo = directory.path().join("report");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let output = start("ready", directory.path());
    assert!(output.status.success(), "{output:?}");
    assert_eq!(output.stdout, b"said before ready\n");
    // The parent is gone; the daemon waits for a reader of the FIFO.
    let report = std::fs::read_to_string(&fifo).unwrap();
    let fields: Vec<i32> = report.split(' ').map(|n| n.parse().unwrap()).collect();
    let written = std::fs::read_to_string(directory.path().join("pid")).unwrap();
    assert_eq!(written, format!("{}\n", fields[0]));
    assert_ne!(fields[1], fields[0], "a daemon does not lead its session");
    assert_eq!(fields[2], 0, "a daemon has no terminal");
}

fn a_daemon_that_fails_gives_its_code() {
    let directory = tempfile::tempdir().unwrap();
    let output = start("failed", directory.path());
    assert_eq!(output.status.code(), Some(7));
    assert_eq!(output.stderr, b"cannot bind\n");
}

fn a_daemon_that_dies_before_it_is_ready_gives_1() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(start("dies", directory.path()).status.code(), Some(1));
}

fn give_up_privileges() {
    let privileges = Privileges {
        chroot: Some(".".into()),
        gid: Some(nix::unistd::Gid::from_raw(65_534)),
        uid: Some(nix::unistd::Uid::from_raw(65_534)),
        groups: Vec::new(),
        keep: vec![ProcessCapability::CAP_NET_BIND_SERVICE],
    };
    // After chroot there is no /proc; a descriptor opened before still reads this process.
    let mut status = std::fs::File::open("/proc/self/status").unwrap();
    if let Err(error) = privileges.apply() {
        eprintln!("{error}");
        exit(1);
    }
    assert!(std::fs::metadata("/proc").is_err());
    assert!(nix::unistd::setuid(nix::unistd::Uid::from_raw(0)).is_err(), "root cannot be had back");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut status, &mut text).unwrap();
    print!("{text}");
}

fn privileges_are_given_up_but_for_what_is_kept() {
    let directory = tempfile::tempdir().unwrap();
    let output = start("privileges", directory.path());
    if !nix::unistd::geteuid().is_root() {
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(text.starts_with("cannot chroot to .: "), "{text}");
        return;
    }
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let line = |name: &str| {
        let found = text.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        found.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("Uid:"), "65534 65534 65534 65534");
    assert_eq!(line("Gid:"), "65534 65534 65534 65534");
    assert_eq!(line("Groups:"), "");
    // CAP_NET_BIND_SERVICE is number 10.
    assert_eq!(line("CapEff:"), format!("{:016x}", 1 << 10));
}
