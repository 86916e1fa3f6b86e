//! A child that takes a user's supplementary groups, too, which the standard library cannot do yet.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Makes `command`'s process, before it runs its program, a member of `groups` and then change to `gid` and `uid`.
///
/// What the kernel refuses is the error of starting the process.
pub fn become_user_before_exec(command: &mut Command, uid: u32, gid: u32, groups: Vec<u32>) {
    let change = move || {
        // SAFETY: the pointer and the length are those of a vector that the closure owns; the call copies it.
        checked(unsafe { libc::setgroups(groups.len(), groups.as_ptr()) })?;
        // SAFETY: plain numbers.
        checked(unsafe { libc::setgid(gid) })?;
        // SAFETY: plain numbers.
        checked(unsafe { libc::setuid(uid) })
    };
    // SAFETY: between fork and exec the closure only makes system calls that are async-signal-safe and allocates
    // nothing; the vector was made before the fork.
    unsafe { command.pre_exec(change) };
}

fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_child_has_user_group_and_groups() {
        let mut command = Command::new("id");
        let root = nix::unistd::geteuid().is_root();
        become_user_before_exec(&mut command, 65534, 65534, vec![65533, 65532]);
        match command.output() {
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                assert!(text.starts_with("uid=65534"), "{text}");
                assert!(text.contains("65533") && text.contains("65532"), "{text}");
            }
            Err(error) => assert!(!root, "{error}"),
        }
    }
}
