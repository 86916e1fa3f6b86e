//! Sockets in another network namespace (`namespace` of `bind` and `server`), as `ip netns` names them.
//!
//! A socket stays in the namespace in which it was made: the thread goes there for the one call and comes back.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, setns};

/// Where `ip netns` puts them.
const FOLDER: &str = "/run/netns";
/// The namespace of the calling thread.
const OWN: &str = "/proc/thread-self/ns/net";

fn path(name: &str) -> Option<PathBuf> {
    (!name.is_empty() && !name.contains('/') && !name.starts_with('.')).then(|| Path::new(FOLDER).join(name))
}

/// Whether there is a namespace of this name that can be opened.
pub fn exists(name: &str) -> bool {
    path(name).is_some_and(|path| File::open(path).is_ok())
}

/// Does something in the namespace, or here when there is no name.
///
/// # Errors
/// What the action says, or why the namespace cannot be entered (none of this name, no privilege).
pub fn within<T>(name: Option<&str>, act: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
    let Some(name) = name else { return act() };
    let there = File::open(path(name).ok_or(io::ErrorKind::InvalidInput)?)?;
    let here = File::open(OWN)?;
    setns(there.as_fd(), CloneFlags::CLONE_NEWNET)?;
    let outcome = act();
    if let Err(error) = setns(here.as_fd(), CloneFlags::CLONE_NEWNET) {
        tracing::error!(%error, namespace = name, "a thread cannot leave a network namespace");
        return Err(error.into());
    }
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_without_one_nothing_is_entered() {
        assert!(!exists("../../proc/self/ns/net"));
        assert!(within(Some("there-is-no-such-namespace"), || Ok(())).is_err());
        assert_eq!(within(None, || Ok(7)).unwrap(), 7);
    }
}
