//! Who holds the virtual address, as the kernels of the load balancers report it.

use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result};

use super::{Lab, VIRTUAL_ADDRESS, now_us};

/// One moment at which the holders changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    pub at_us: u64,
    pub node: &'static str,
    pub holds: bool,
}

/// Watches address events on the load balancers until dropped.
#[derive(Debug)]
pub struct Owners {
    changes: Arc<Mutex<Vec<Change>>>,
    monitors: Vec<Child>,
}

impl Owners {
    pub fn watch(lab: &Lab, nodes: &[&'static str]) -> Result<Self> {
        let mut owners = Self { changes: Arc::default(), monitors: Vec::new() };
        for &node in nodes {
            owners.add(lab, node)?;
        }
        Ok(owners)
    }

    /// Starts to watch a node, also one that was dead and is back.
    pub fn add(&mut self, lab: &Lab, node: &'static str) -> Result<()> {
        let mut monitor = lab
            .command(node, "ip")
            .args(["-o", "monitor", "address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot watch {node}"))?;
        let lines = BufReader::new(monitor.stdout.take().context("no output")?).lines();
        let changes = Arc::clone(&self.changes);
        std::thread::spawn(move || {
            let needle = format!(" {VIRTUAL_ADDRESS}/");
            for line in lines.map_while(Result::ok).filter(|line| line.contains(&needle)) {
                record(&changes, node, !line.starts_with("Deleted"));
            }
            // The monitor ends with its node: a dead node holds nothing.
            record(&changes, node, false);
        });
        self.monitors.push(monitor);
        let listed = lab.run(&["exec", node, "ip", "-o", "addr", "show"])?;
        if listed.contains(&format!(" {VIRTUAL_ADDRESS}/")) {
            record(&self.changes, node, true);
        }
        Ok(())
    }

    /// The nodes that hold the address now.
    pub fn current(&self) -> Vec<&'static str> {
        holders_after(&self.changes.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// All changes so far.
    pub fn changes(&self) -> Vec<Change> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Owners {
    fn drop(&mut self) {
        for monitor in &mut self.monitors {
            let _ = monitor.kill();
            let _ = monitor.wait();
        }
    }
}

fn record(changes: &Mutex<Vec<Change>>, node: &'static str, holds: bool) {
    let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
    if holders_after(&changes).contains(&node) != holds {
        changes.push(Change { at_us: now_us(), node, holds });
    }
}

/// Who holds the address after these changes, sorted by name.
fn holders_after(changes: &[Change]) -> Vec<&'static str> {
    let mut holders = Vec::new();
    for change in changes {
        holders.retain(|&node| node != change.node);
        if change.holds {
            holders.push(change.node);
        }
    }
    holders.sort_unstable();
    holders
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hand_over_has_one_holder_before_and_after() {
        let changes = Mutex::new(Vec::new());
        record(&changes, "lb1", true);
        record(&changes, "lb1", true);
        record(&changes, "lb2", true);
        record(&changes, "lb1", false);
        let changes = changes.into_inner().unwrap();
        assert_eq!(changes.len(), 3, "a repeated report is no change");
        assert_eq!(holders_after(&changes[..2]), ["lb1", "lb2"]);
        assert_eq!(holders_after(&changes), ["lb2"]);
    }
}
