//! Asks a target at a steady rate and prints a line for each answer, until its standard output is closed.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use testkit::lab::probe;

/// The most requests that wait for an answer at once; past it a tick is left out, so that nothing grows.
const WAITING_MAX: usize = 4096;

fn main() -> Result<()> {
    let (mut target, mut interval_ms, mut timeout_ms) = (String::new(), 5_u64, 1000_u64);
    let mut arguments = std::env::args().skip(1);
    while let Some(flag) = arguments.next() {
        let value = arguments.next().with_context(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--target" => target = value,
            "--interval-ms" => interval_ms = value.parse().context("--interval-ms")?,
            "--timeout-ms" => timeout_ms = value.parse().context("--timeout-ms")?,
            _ => bail!(
                "unknown flag {flag}; usage: lab-probe --target ADDRESS:PORT [--interval-ms N] [--timeout-ms N]"
            ),
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let local = tokio::task::LocalSet::new();
    local.block_on(
        &runtime,
        run(target, Duration::from_millis(interval_ms.max(1)), Duration::from_millis(timeout_ms)),
    )
}

async fn run(target: String, interval: Duration, timeout: Duration) -> Result<()> {
    let mut ticks = tokio::time::interval(interval);
    let mut waiting = tokio::task::JoinSet::new();
    loop {
        tokio::select! {
            _ = ticks.tick() => {
                if waiting.len() < WAITING_MAX {
                    let target = target.clone();
                    waiting.spawn_local(async move { probe::ask(&target, timeout).await });
                }
            }
            Some(answer) = waiting.join_next() => {
                let mut output = std::io::stdout().lock();
                if writeln!(output, "{}", answer?).and_then(|()| output.flush()).is_err() {
                    return Ok(());
                }
            }
        }
    }
}
