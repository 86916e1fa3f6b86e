//! Real-world configurations: the verdict of the genuine programs, from the reference material beside the workspace.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::process::Command;

use testkit::environment;

/// Runs the corpus against one program of ours; the summary line `NAME: agree A/N (…)`.
fn agreement(test: &str, flag: &str, program: &str, reference: &str) -> Option<String> {
    let Some(shared) = environment::shared() else {
        environment::skip(test, "the corpus (../shared/corpus) is not beside this clone");
        return None;
    };
    if !nix::unistd::geteuid().is_root() || !environment::has_namespaces() {
        environment::skip(test, "the corpus needs root for its scratch namespaces");
        return None;
    }
    if environment::installed("python3").is_none() {
        environment::skip(test, "python3 is not installed");
        return None;
    }
    let program = environment::built(program).expect("the workspace is built before its tests");
    let output =
        Command::new("python3").arg(shared.join("corpus/check.py")).arg(flag).arg(program).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let prefix = format!("{reference}: agree ");
    let line = text.lines().find(|line| line.starts_with(&prefix));
    Some(
        line.unwrap_or_else(|| panic!("no summary:\n{text}{}", String::from_utf8_lossy(&output.stderr)))
            .to_owned(),
    )
}

/// How many entries agree, and of how many.
fn counts(line: &str) -> (usize, usize) {
    let (agree, all) =
        line.split("agree ").nth(1).and_then(|rest| rest.split(' ').next()?.split_once('/')).unwrap();
    (agree.parse().unwrap(), all.parse().unwrap())
}

#[test]
fn real_haproxy_files_get_the_genuine_verdict() {
    let name = "real_haproxy_files_get_the_genuine_verdict";
    let Some(line) = agreement(name, "--proxyd", "proxyd", "haproxy") else { return };
    let (agree, all) = counts(&line);
    assert!(agree >= all - HAPROXY_OTHERWISE, "{line}");
}

#[test]
fn real_keepalived_files_get_the_genuine_verdict() {
    let name = "real_keepalived_files_get_the_genuine_verdict";
    let Some(line) = agreement(name, "--vrrpd", "vrrpd", "keepalived") else { return };
    let (agree, all) = counts(&line);
    assert!(agree >= all - KEEPALIVED_OTHERWISE, "{line}");
}

/// Files that need a feature of a later release (filters, Lua, stick tables, run-time DNS, HTTP/2 …) and are refused by name, and
/// one with `PROFILE=SYSTEM`, which is taken as the system's default. This number only goes down.
const HAPROXY_OTHERWISE: usize = 36;
const KEEPALIVED_OTHERWISE: usize = 0;
