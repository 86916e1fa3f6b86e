//! Giving up root: `chroot`, groups, user, and the capabilities that stay.

use std::io;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};
use nix::unistd::{Gid, Group, Uid, User};

/// Each error is one line that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum PrivilegeError {
    #[error("unknown user '{0}': create it (useradd --system {0}) or correct the configuration")]
    UnknownUser(String),
    #[error("unknown group '{0}': create it (groupadd --system {0}) or correct the configuration")]
    UnknownGroup(String),
    #[error("cannot look up '{name}': {reason}")]
    Lookup { name: String, reason: io::Error },
    #[error("cannot chroot to {path}: {reason}")]
    Chroot { path: PathBuf, reason: io::Error },
    #[error("cannot change to group id {gid}: {reason} (start as root, or leave 'group' out)")]
    Group { gid: Gid, reason: io::Error },
    #[error("cannot change to user id {uid}: {reason} (start as root, or leave 'user' out)")]
    User { uid: Uid, reason: io::Error },
    #[error("cannot keep capabilities: {0}")]
    Capabilities(String),
}

/// A user's numbers by name.
pub fn find_user(name: &str) -> Result<User, PrivilegeError> {
    match User::from_name(name) {
        Ok(Some(user)) => Ok(user),
        Ok(None) => Err(PrivilegeError::UnknownUser(name.to_owned())),
        Err(reason) => Err(PrivilegeError::Lookup { name: name.to_owned(), reason: reason.into() }),
    }
}

/// A group's number by name.
pub fn find_group(name: &str) -> Result<Gid, PrivilegeError> {
    match Group::from_name(name) {
        Ok(Some(group)) => Ok(group.gid),
        Ok(None) => Err(PrivilegeError::UnknownGroup(name.to_owned())),
        Err(reason) => Err(PrivilegeError::Lookup { name: name.to_owned(), reason: reason.into() }),
    }
}

/// What to become. Names are looked up before, because `/etc/passwd` is gone after `chroot`.
#[derive(Debug, Clone, Default)]
pub struct Privileges {
    pub chroot: Option<PathBuf>,
    pub gid: Option<Gid>,
    pub uid: Option<Uid>,
    /// Supplementary groups; with a `gid` or `uid` all others are dropped.
    pub groups: Vec<Gid>,
    /// Capabilities that stay effective after the user changed (`setcap`, raw sockets of a VRRP daemon).
    pub keep: Vec<Capability>,
}

impl Privileges {
    /// Carries it out in the only order that works: chroot, groups, group, user, capabilities.
    ///
    /// Call it before threads are started: credentials belong to threads.
    pub fn apply(&self) -> Result<(), PrivilegeError> {
        if let Some(path) = &self.chroot {
            change_root(path)?;
        }
        if self.uid.is_none() && self.gid.is_none() {
            return Ok(());
        }
        let keep: CapsHashSet = self.keep.iter().copied().collect();
        if !keep.is_empty() && self.uid.is_some() {
            caps::securebits::set_keepcaps(true).map_err(capabilities)?;
        }
        self.change_groups()?;
        if let Some(uid) = self.uid {
            nix::unistd::setresuid(uid, uid, uid)
                .map_err(|reason| PrivilegeError::User { uid, reason: reason.into() })?;
            if !keep.is_empty() {
                caps::set(None, CapSet::Permitted, &keep).map_err(capabilities)?;
                caps::set(None, CapSet::Effective, &keep).map_err(capabilities)?;
                caps::securebits::set_keepcaps(false).map_err(capabilities)?;
            }
        }
        Ok(())
    }

    fn change_groups(&self) -> Result<(), PrivilegeError> {
        let error = |gid| move |reason: nix::Error| PrivilegeError::Group { gid, reason: reason.into() };
        let shown = self.gid.unwrap_or_else(nix::unistd::getgid);
        if nix::unistd::geteuid().is_root() {
            nix::unistd::setgroups(&self.groups).map_err(error(shown))?;
        }
        if let Some(gid) = self.gid {
            nix::unistd::setresgid(gid, gid, gid).map_err(error(gid))?;
        }
        Ok(())
    }
}

fn capabilities(error: caps::errors::CapsError) -> PrivilegeError {
    PrivilegeError::Capabilities(error.to_string())
}

fn change_root(path: &Path) -> Result<(), PrivilegeError> {
    let error = |reason: io::Error| PrivilegeError::Chroot { path: path.to_owned(), reason };
    nix::unistd::chroot(path).map_err(|errno| error(errno.into()))?;
    // Without this the old working directory would still be reachable.
    std::env::set_current_dir("/").map_err(error)
}

/// Whether this process may use a privilege now, for a message before the attempt fails.
pub fn has_capability(capability: Capability) -> bool {
    caps::has_cap(None, CapSet::Effective, capability).unwrap_or(false)
}

pub use caps::Capability as ProcessCapability;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_name_is_one_clear_line() {
        let error = find_user("no-such-user-here").unwrap_err();
        assert_eq!(
            error.to_string(),
            "unknown user 'no-such-user-here': create it (useradd --system no-such-user-here) or correct the \
             configuration"
        );
        assert!(matches!(find_group("no-such-group-here"), Err(PrivilegeError::UnknownGroup(_))));
    }

    #[test]
    fn root_is_known() {
        assert_eq!(find_user("root").unwrap().uid, Uid::from_raw(0));
        assert_eq!(find_group("root").unwrap(), Gid::from_raw(0));
    }

    #[test]
    fn a_missing_root_directory_is_named() {
        let privileges = Privileges { chroot: Some("/no/such/place".into()), ..Default::default() };
        assert!(privileges.apply().unwrap_err().to_string().starts_with("cannot chroot to /no/such/place: "));
    }
}
