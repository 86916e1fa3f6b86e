//! The units and sample files under `etc/`, judged by the programs they are written for.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // it is all test

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::environment::{built, installed, root, skip};

fn directory() -> PathBuf {
    root().join("etc")
}

/// The unit with a program in place that exists on every machine: the daemons may not be installed here.
fn unit_for_here(name: &str, into: &Path) -> PathBuf {
    let text = std::fs::read_to_string(directory().join("systemd").join(name)).unwrap();
    let daemon = name.trim_end_matches(".service");
    let path = into.join(name);
    std::fs::write(&path, text.replace(&format!("/usr/sbin/{daemon}"), "/bin/true")).unwrap();
    path
}

#[test]
fn systemd_has_nothing_to_say_about_the_units() {
    let Some(program) = installed("systemd-analyze") else {
        return skip("systemd_has_nothing_to_say_about_the_units", "systemd-analyze is not installed");
    };
    let scratch = tempfile::tempdir().unwrap();
    for unit in ["proxyd.service", "vrrpd.service"] {
        let path = unit_for_here(unit, scratch.path());
        let output = Command::new(&program).arg("verify").arg(path).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{unit}: {output:?}");
    }
}

#[test]
fn haproxy_takes_the_sample_configuration() {
    let Some(program) = installed("haproxy") else {
        return skip("haproxy_takes_the_sample_configuration", "haproxy is not installed");
    };
    let scratch = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(directory().join("proxyd/haproxy.cfg")).unwrap();
    let pages = directory().join("proxyd/errors");
    // The user and the paths of an installed system are not those of this one.
    let text = text
        .replace("/etc/proxyd/errors", &pages.display().to_string())
        .replace("user proxyd", "user root")
        .replace("group proxyd", "group root");
    let path = scratch.path().join("haproxy.cfg");
    std::fs::write(&path, text).unwrap();
    let output = Command::new(program).arg("-c").arg("-f").arg(path).output().unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn error_pages_are_whole_responses() {
    for status in [400, 403, 408, 500, 502, 503, 504] {
        let page = std::fs::read(directory().join(format!("proxyd/errors/{status}.http"))).unwrap();
        let text = String::from_utf8(page).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.0 {status} ")), "{status}");
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(!body.is_empty() && !head.replace("\r\n", "").contains('\n'), "{status}");
        assert!(text.len() < 1024, "fits every buffer");
    }
}

/// The options that are proxyd's own, which the genuine haproxy cannot know.
const OWN_OPTIONS: [&str; 2] = ["option sentinel-check", "option grpc-check"];

#[test]
fn every_sample_loads_here_and_in_haproxy_where_it_can() {
    let Some(ours) = built("proxyd") else {
        return skip("every_sample_loads_here_and_in_haproxy_where_it_can", "proxyd is not built");
    };
    let genuine = installed("haproxy");
    for entry in std::fs::read_dir(directory().join("proxyd/samples")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        let own =
            OWN_OPTIONS.iter().any(|option| text.lines().any(|line| line.trim_start().starts_with(option)));
        for program in [Some(&ours), genuine.as_ref().filter(|_| !own)].into_iter().flatten() {
            let output = Command::new(program).arg("-c").arg("-f").arg(&path).output().unwrap();
            assert!(output.status.success(), "{} of {}: {output:?}", path.display(), program.display());
        }
    }
}
