//! Which processes a `vrrp_track_process` means, as keepalived 2.2.7 finds them.
//!
//! A bare name is compared with the kernel's name of the process (15 bytes). With `full_command`, parameters or
//! `param_match` the command line counts instead: its first word must be the configured one, path and all.

use std::fs;

use crate::model::{ParamMatch, TrackProcess};

/// Bytes of a name that the kernel keeps.
const COMM_BYTES: usize = 15;
/// How much of a command line is looked at.
const COMMAND_BYTES_MAX: u64 = 32 * 1024;

/// Whether the command line counts, not the name.
pub(super) fn by_command(process: &TrackProcess) -> bool {
    process.full_command || !process.parameters.is_empty() || process.param_match.is_some()
}

/// What a process is, as far as somebody wants to know.
#[derive(Debug, Default)]
pub(super) struct Identity {
    name: Vec<u8>,
    /// Words of the command line; only when asked for.
    command: Vec<Vec<u8>>,
}

impl Identity {
    /// From `/proc`; `None` when it is gone.
    pub(super) fn read(pid: u32, with_command: bool) -> Option<Self> {
        use std::io::Read;
        let mut name = fs::read(format!("/proc/{pid}/comm")).ok()?;
        name.pop_if(|last| *last == b'\n');
        let mut command = Vec::new();
        if with_command {
            let file = fs::File::open(format!("/proc/{pid}/cmdline")).ok()?;
            file.take(COMMAND_BYTES_MAX).read_to_end(&mut command).ok()?;
            command.pop_if(|last| *last == 0);
        }
        let command = command.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
        Some(Self { name, command })
    }

    /// Whether `process` means this one.
    pub(super) fn is(&self, process: &TrackProcess) -> bool {
        if !by_command(process) {
            let wanted = process.process.as_bytes();
            return self.name == wanted.get(..COMM_BYTES).unwrap_or(wanted);
        }
        let Some((first, words)) = self.command.split_first() else { return false };
        first == process.process.as_bytes() && parameters_match(process, words)
    }
}

fn parameters_match(process: &TrackProcess, words: &[Vec<u8>]) -> bool {
    let wanted = &process.parameters;
    let equal = |count: usize| {
        words.len() >= count
            && words.iter().zip(wanted).take(count).all(|(word, want)| word == want.as_bytes())
    };
    match process.param_match {
        None if wanted.is_empty() => true,
        None | Some(ParamMatch::Exact) => words.len() == wanted.len() && equal(wanted.len()),
        Some(ParamMatch::Partial) => equal(wanted.len()),
        Some(ParamMatch::Initial) => match (wanted.len().checked_sub(1), wanted.last()) {
            (Some(last), Some(beginning)) => {
                equal(last) && words.get(last).is_some_and(|word| word.starts_with(beginning.as_bytes()))
            }
            _ => true,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::process;
    use super::*;

    fn runs(command: &str) -> Identity {
        let command: Vec<Vec<u8>> = command.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        let name = command[0].rsplit(|byte| *byte == b'/').next().unwrap().to_vec();
        Identity { name, command }
    }

    fn with(words: &str, param_match: ParamMatch) -> TrackProcess {
        TrackProcess { param_match: Some(param_match), ..process(words) }
    }

    /// Every line was tried with keepalived 2.2.7.
    #[test]
    fn names_commands_and_parameters() {
        assert!(runs("/opt/p 300").is(&process("p")));
        assert!(!runs("/opt/p 300").is(&process("/opt/p")));
        assert!(!runs("/opt/p 300").is(&process("p 300")), "with parameters the path counts");
        assert!(runs("/opt/p 300").is(&process("/opt/p 300")));
        assert!(!runs("/opt/p 300 301").is(&process("/opt/p 300")));
        let full = TrackProcess { full_command: true, ..process("/opt/p") };
        assert!(runs("/opt/p").is(&full) && runs("/opt/p 300").is(&full));
        let initial = with("/opt/p 30", ParamMatch::Initial);
        assert!(runs("/opt/p 300").is(&initial) && runs("/opt/p 301 9").is(&initial));
        assert!(!runs("/opt/p 3").is(&initial) && !runs("/opt/p").is(&initial));
        let second = with("/opt/p 300 30", ParamMatch::Initial);
        assert!(runs("/opt/p 300 301").is(&second) && !runs("/opt/p 301 300").is(&second));
        let partial = with("/opt/p 300", ParamMatch::Partial);
        assert!(runs("/opt/p 300 301").is(&partial) && !runs("/opt/p 3000").is(&partial));
        for matching in [ParamMatch::Partial, ParamMatch::Initial] {
            assert!(runs("/opt/p 1 2").is(&with("/opt/p", matching)));
        }
        assert!(!runs("/opt/p 1").is(&with("/opt/p", ParamMatch::Exact)));
    }

    #[test]
    fn the_kernel_keeps_15_bytes_of_a_name() {
        let identity = Identity { name: b"a-very-long-pro".to_vec(), command: Vec::new() };
        assert!(identity.is(&process("a-very-long-process-name")));
        let own = Identity::read(std::process::id(), true).unwrap();
        assert!(!own.name.is_empty() && !own.command.is_empty());
    }
}
