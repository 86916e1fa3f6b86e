//! Programs and FIFOs that are told about state changes.

use serde::{Deserialize, Serialize};

/// A program with its arguments and who runs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct CommandLine {
    /// The program's path and its arguments; never empty. Not a shell line.
    pub argv: Vec<String>,
    pub run_as: RunAs,
    /// Supplementary groups of that user (`set_supplementary_groups`).
    pub groups: Vec<u32>,
}

impl CommandLine {
    /// Run without supplementary groups.
    pub fn new(argv: Vec<String>, run_as: RunAs) -> Self {
        Self { argv, run_as, groups: Vec::new() }
    }

    /// As it is shown in logs: the words joined by spaces.
    pub fn display(&self) -> String {
        self.argv.join(" ")
    }
}

/// User and group of a program, resolved when the file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RunAs {
    pub uid: u32,
    pub gid: u32,
}

/// `notify*` of an instance or a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifyScripts {
    pub master: Option<CommandLine>,
    pub backup: Option<CommandLine>,
    pub fault: Option<CommandLine>,
    pub stop: Option<CommandLine>,
    /// `notify_deleted`; see [`Self::says_deleted`].
    pub deleted: Option<CommandLine>,
    /// `notify`: for every change, with four arguments appended.
    pub any: Option<CommandLine>,
    /// `notify_master_rx_lower_pri`.
    pub master_rx_lower_pri: Option<CommandLine>,
    /// `notify_deleted` was written: a reload that removes the instance is told as DELETED, not FAULT.
    pub says_deleted: bool,
    /// `notify_priority_changes`: priority changes go to the FIFOs.
    pub priority_changes: bool,
    /// Mail on state changes.
    pub smtp_alert: bool,
}

impl NotifyScripts {
    /// Whether any program is configured.
    pub fn any_script(&self) -> bool {
        [
            &self.master,
            &self.backup,
            &self.fault,
            &self.stop,
            &self.deleted,
            &self.any,
            &self.master_rx_lower_pri,
        ]
        .iter()
        .any(|command| command.is_some())
    }
}

/// `notify_fifo`, `vrrp_notify_fifo`, `lvs_notify_fifo` with their scripts.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FifoSettings {
    pub path: Option<String>,
    /// Owner of the FIFO when the daemon makes it.
    pub owner: Option<RunAs>,
    /// Started with the FIFO's path as last argument.
    pub script: Option<CommandLine>,
}
