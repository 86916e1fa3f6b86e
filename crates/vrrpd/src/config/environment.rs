//! What a configuration refers to outside of itself: interfaces, users, host name, programs, variables.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// The machine as the checks of a configuration see it. Tests have their own.
pub trait Environment {
    fn host_name(&self) -> String;
    fn interface_exists(&self, name: &str) -> bool;
    /// User and primary group id.
    fn user(&self, name: &str) -> Option<(u32, u32)>;
    fn group(&self, name: &str) -> Option<u32>;
    /// The groups that a user is a member of, with its primary one.
    fn groups_of(&self, uid: u32, gid: u32) -> Vec<u32>;
    /// Our own user and group id: who runs scripts when nobody else is named.
    fn own_ids(&self) -> (u32, u32);
    /// An environment variable.
    fn variable(&self, name: &str) -> Option<String>;
    /// Whether a regular, executable file is there.
    fn is_executable(&self, path: &str) -> bool;
    /// Whether a host name or address resolves (`smtp_server`).
    fn resolves(&self, host: &str) -> bool;
    /// Why a script that root runs is not safe, see [`crate::notify::security`].
    fn unsafe_script(&self, path: &str, uid: u32) -> Option<String>;
}

/// The machine that we run on, in the network namespace that we are in.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemEnvironment;

impl Environment for SystemEnvironment {
    fn host_name(&self) -> String {
        nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok()).unwrap_or_default()
    }

    fn interface_exists(&self, name: &str) -> bool {
        nix::net::if_::if_nametoindex(name).is_ok()
    }

    fn user(&self, name: &str) -> Option<(u32, u32)> {
        let user = nix::unistd::User::from_name(name).ok()??;
        Some((user.uid.as_raw(), user.gid.as_raw()))
    }

    fn group(&self, name: &str) -> Option<u32> {
        Some(nix::unistd::Group::from_name(name).ok()??.gid.as_raw())
    }

    fn groups_of(&self, uid: u32, gid: u32) -> Vec<u32> {
        let groups = || {
            let user = nix::unistd::User::from_uid(uid.into()).ok()??;
            let name = std::ffi::CString::new(user.name).ok()?;
            nix::unistd::getgrouplist(&name, gid.into()).ok()
        };
        groups().unwrap_or_default().into_iter().map(nix::unistd::Gid::as_raw).collect()
    }

    fn own_ids(&self) -> (u32, u32) {
        (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
    }

    fn variable(&self, name: &str) -> Option<String> {
        std::env::var(name).ok()
    }

    fn is_executable(&self, path: &str) -> bool {
        std::fs::metadata(Path::new(path))
            .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
    }

    fn resolves(&self, host: &str) -> bool {
        use std::net::ToSocketAddrs;
        host.parse::<std::net::IpAddr>().is_ok()
            || (host, 25_u16).to_socket_addrs().is_ok_and(|mut all| all.next().is_some())
    }

    fn unsafe_script(&self, path: &str, uid: u32) -> Option<String> {
        crate::notify::security::unsafe_script(Path::new(path), uid)
    }
}
