//! `net_namespace` and `--namespace`: the daemon lives in a named network namespace, as `ip netns` makes them.

use std::{fs::File, io, path::Path};

use nix::sched::{CloneFlags, setns};
use thiserror::Error;

/// Where `ip netns` puts them.
const FOLDER: &str = "/run/netns";

/// The namespace cannot be entered.
#[derive(Debug, Error)]
#[error(
    "cannot enter network namespace {name}: {source} - is it made ('ip netns add {name}'), and are we root?"
)]
pub struct NamespaceError {
    name: String,
    source: io::Error,
}

/// Moves this process, and with it all that it starts, to the namespace of that name.
///
/// # Errors
/// [`NamespaceError`] when there is none or we may not.
pub fn enter(name: &str) -> Result<(), NamespaceError> {
    let failed = |source| NamespaceError { name: name.to_owned(), source };
    if name.is_empty() || name.contains('/') || name.starts_with('.') {
        return Err(failed(io::ErrorKind::InvalidInput.into()));
    }
    let file = File::open(Path::new(FOLDER).join(name)).map_err(failed)?;
    setns(file, CloneFlags::CLONE_NEWNET).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_no_path_and_a_missing_namespace_is_said_by_name() {
        assert!(enter("../../proc/1/ns/net").is_err());
        let error = enter("there-is-no-such-namespace").unwrap_err().to_string();
        assert!(error.contains("there-is-no-such-namespace"), "{error}");
    }
}
