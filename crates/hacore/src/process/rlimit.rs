//! Limits of the process: descriptors and core files.

use std::io;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// The soft and hard limit of open descriptors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OpenFiles {
    pub soft: u64,
    pub hard: u64,
}

pub fn open_files() -> io::Result<OpenFiles> {
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    Ok(OpenFiles { soft, hard })
}

/// Raises the soft limit of open descriptors to at least `wanted`, and the hard one where that is allowed.
///
/// Returns the limits that now hold; they may be lower than wanted, and the caller says so with its own numbers.
pub fn raise_open_files(wanted: u64) -> io::Result<OpenFiles> {
    let now = open_files()?;
    if now.soft >= wanted {
        return Ok(now);
    }
    if setrlimit(Resource::RLIMIT_NOFILE, wanted, now.hard.max(wanted)).is_err() {
        setrlimit(Resource::RLIMIT_NOFILE, now.hard.min(wanted), now.hard)?;
    }
    open_files()
}

/// Lets the process write core files of any size, as far as the hard limit goes.
pub fn allow_core_files() -> io::Result<()> {
    let (_, hard) = getrlimit(Resource::RLIMIT_CORE)?;
    Ok(setrlimit(Resource::RLIMIT_CORE, hard, hard)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raising_to_what_is_there_changes_nothing() {
        let before = open_files().unwrap();
        assert_eq!(raise_open_files(before.soft).unwrap(), before);
        assert!(before.soft <= before.hard);
    }
}
