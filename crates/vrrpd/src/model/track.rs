//! What instances follow: scripts, files, processes; and groups that change state together.

use serde::{Deserialize, Serialize};

use super::{CommandLine, NotifyScripts};

/// `vrrp_script`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VrrpScript {
    pub name: String,
    pub command: CommandLine,
    /// Time from one start to the next; at least a millisecond. Default one second.
    pub interval_us: u64,
    /// When a run counts as failed; 0 means the interval.
    pub timeout_us: u64,
    /// -253..=253; 0 means FAULT when down.
    pub weight: i32,
    pub weight_reverse: bool,
    /// Consecutive successes needed; default 1.
    pub rise: u32,
    /// Consecutive failures needed; default 1.
    pub fall: u32,
    pub init_fail: bool,
}

/// `track_file`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackFile {
    pub name: String,
    pub path: String,
    /// Factor for the number in the file; default 1; 0: any number but 0 is a failure.
    pub weight: i32,
    pub weight_reverse: bool,
    pub init_file: Option<InitFile>,
}

/// `init_file [VALUE] [overwrite]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct InitFile {
    pub value: i64,
    pub overwrite: bool,
}

/// `vrrp_track_process`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackProcess {
    pub name: String,
    /// Process name (at most 15 bytes are compared) or, with `full_command`, the command.
    pub process: String,
    pub parameters: Vec<String>,
    /// `None`: parameters are compared only when there are some.
    pub param_match: Option<ParamMatch>,
    pub full_command: bool,
    pub weight: i32,
    pub weight_reverse: bool,
    pub quorum: u32,
    pub quorum_max: Option<u32>,
    pub terminate_delay_us: u64,
    pub fork_delay_us: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ParamMatch {
    Exact,
    /// The last parameter may be longer.
    Initial,
    /// The first parameters must match.
    Partial,
}

/// One line of a `track_*` block with the default weight of what is tracked merged in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tracked {
    /// Name of the interface, script, file, process or BFD instance; it exists (interfaces are not checked).
    pub name: String,
    /// 0: FAULT when down.
    pub weight: i32,
    pub reverse: bool,
}

/// `track_proxy`: servers of a backend that have to be up (not known to keepalived).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackedProxy {
    /// Path of the admin socket.
    pub socket: String,
    pub backend: String,
    /// At least 1.
    pub min_up: u32,
    /// 0: FAULT when too few are up.
    pub weight: i32,
    pub reverse: bool,
    pub interval_us: u64,
    pub rise: u32,
    pub fall: u32,
}

impl TrackedProxy {
    /// `BACKEND@SOCKET`, which tells it from others.
    pub fn name(&self) -> String {
        format!("{}@{}", self.backend, self.socket)
    }
}

/// All `track_*` blocks of an instance or a group.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct TrackSet {
    pub interfaces: Vec<Tracked>,
    pub scripts: Vec<Tracked>,
    pub files: Vec<Tracked>,
    pub processes: Vec<Tracked>,
    pub proxies: Vec<TrackedProxy>,
    /// Read only; BFD is not carried out yet.
    pub bfds: Vec<Tracked>,
}

/// `vrrp_sync_group`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SyncGroup {
    pub name: String,
    /// Names of instances; all exist. A group without any is left out of the model.
    pub members: Vec<String>,
    pub track: TrackSet,
    pub notify: NotifyScripts,
    /// Members may have weighted trackers of their own.
    pub tracking_weight: bool,
    /// `global_tracking` (deprecated).
    pub global_tracking: bool,
}
