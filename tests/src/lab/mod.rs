//! The laboratory of `scripts/lab` as a value: up when made, gone when dropped.

pub mod owners;
pub mod probe;

use std::path::PathBuf;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::environment;

/// The virtual address of both load balancers.
pub const VIRTUAL_ADDRESS: &str = "192.168.1.100";

/// A running laboratory.
#[derive(Debug)]
pub struct Lab {
    script: PathBuf,
    keep: bool,
}

impl Lab {
    /// Builds the laboratory and starts every daemon.
    pub fn up() -> Result<Self> {
        let lab = Self { script: environment::root().join("scripts/lab"), keep: false };
        lab.run(&["up"])?;
        Ok(lab)
    }

    /// Leaves the laboratory up when this value is dropped.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// Runs `scripts/lab` with these words; an error carries what it said.
    pub fn run(&self, words: &[&str]) -> Result<String> {
        let output = Command::new(&self.script)
            .args(words)
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("cannot run {}", self.script.display()))?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "lab {}: {}", words.join(" "), said.trim());
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// A command that will run on a node.
    pub fn command(&self, node: &str, program: &str) -> Command {
        let mut command = Command::new(&self.script);
        command.args(["exec", node, program]).stdin(Stdio::null());
        command
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.keep {
            let _ = self.run(&["down"]);
        }
    }
}

/// Microseconds of the machine's monotonic clock, which all namespaces share.
pub fn now_us() -> u64 {
    let now = nix::time::clock_gettime(nix::time::ClockId::CLOCK_MONOTONIC);
    now.map_or(0, |time| time.tv_sec() as u64 * 1_000_000 + time.tv_nsec() as u64 / 1000)
}
