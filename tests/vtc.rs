//! The project's own VTest files, `tests/vtc/*.vtc`: each passes with proxyd, and with the genuine haproxy beside it.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::path::{Path, PathBuf};
use std::process::Command;

use testkit::{environment, oracle};

/// All files, by name.
fn files() -> Vec<PathBuf> {
    let folder = environment::root().join("tests/vtc");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|end| end == "vtc"))
        .collect();
    files.sort();
    files
}

/// Runs one file with a program, which is started under the name `haproxy`, as log tags and messages expect.
fn run(varnishtest: &Path, program: &Path, file: &Path) -> Result<(), String> {
    let folder = tempfile::tempdir().unwrap();
    let link = folder.path().join("haproxy");
    std::os::unix::fs::symlink(program, &link).unwrap();
    let output = Command::new(varnishtest)
        .args(["-t", "20"])
        .arg(file)
        .env("HAPROXY_PROGRAM", &link)
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    if output.status.success() {
        return Ok(());
    }
    Err(format!(
        "{} with {}:\n{}",
        file.display(),
        program.display(),
        String::from_utf8_lossy(&output.stdout)
    ))
}

#[test]
fn every_file_passes_with_both_programs() {
    let test = "every_file_passes_with_both_programs";
    let Some(varnishtest) = environment::installed("varnishtest") else {
        return environment::skip(test, "varnishtest is not installed (Debian package varnish)");
    };
    let Some(programs) = oracle::proxies(test) else { return };
    let mut failures = String::new();
    for file in files() {
        for program in &programs {
            if let Err(log) = run(&varnishtest, program, &file) {
                failures += &log;
            }
        }
    }
    assert!(failures.is_empty(), "{failures}");
}
