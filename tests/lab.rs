//! The demonstration as a test: every act of the laboratory goes as it should.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, in its helpers too")]

use std::process::Command;

use testkit::environment;

#[test]
fn every_act_of_the_laboratory_goes_as_it_should() {
    const NAME: &str = "every_act_of_the_laboratory_goes_as_it_should";
    if !environment::has_namespaces() {
        return environment::skip(NAME, "needs root or user namespaces");
    }
    let state = tempfile::tempdir().unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_lab-demo"))
        .env("LAB_STATE", state.path().join("proxyd-lab-test"))
        .env("LAB_PROFILE", if cfg!(debug_assertions) { "debug" } else { "release" })
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
