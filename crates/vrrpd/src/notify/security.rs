//! Whether a script that root runs could be changed by somebody else (manual, `enable_script_security`).

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// Symbolic links that are followed before a path counts as unsafe.
const LINKS_MAX: usize = 40;
const S_IWGRP: u32 = 0o020;
const S_IWOTH: u32 = 0o002;
const S_ISVTX: u32 = 0o1000;

/// Why `script`, run by `uid`, is not safe: some part of its path, or what a link in it leads to, belongs to or can be
/// written by somebody other than root. `None` when it is safe, or when root does not run it.
pub fn unsafe_script(script: &Path, uid: u32) -> Option<String> {
    if uid != 0 {
        return None;
    }
    let mut path = script.to_owned();
    for _ in 0..LINKS_MAX {
        let mut link = None;
        for part in ancestors(&path) {
            let meta = match part.symlink_metadata() {
                Ok(meta) => meta,
                Err(error) => return Some(format!("{}: {error}", part.display())),
            };
            if meta.uid() != 0 {
                return Some(format!("{} is not owned by root", part.display()));
            }
            if meta.file_type().is_symlink() {
                link = Some(part);
                break;
            }
            let sticky_dir = meta.is_dir() && meta.mode() & S_ISVTX != 0;
            let group_writable = meta.mode() & S_IWGRP != 0 && meta.gid() != 0;
            if (meta.mode() & S_IWOTH != 0 || group_writable) && !sticky_dir {
                return Some(format!("{} is writable by others than root", part.display()));
            }
        }
        let link = link?;
        path = resolve(&path, &link)?;
    }
    Some(format!("{} has too many symbolic links", script.display()))
}

/// `/`, `/a`, `/a/b` … of a path.
fn ancestors(path: &Path) -> Vec<PathBuf> {
    let mut all: Vec<PathBuf> =
        path.ancestors().filter(|part| !part.as_os_str().is_empty()).map(Path::to_owned).collect();
    all.reverse();
    all
}

/// `path` with its part `link` replaced by where that leads.
fn resolve(path: &Path, link: &Path) -> Option<PathBuf> {
    let target = std::fs::read_link(link).ok()?;
    let rest = path.strip_prefix(link).ok()?;
    let base = link.parent()?.join(target);
    let joined = if rest.as_os_str().is_empty() { base } else { base.join(rest) };
    let mut clean = PathBuf::new();
    for part in joined.components() {
        match part {
            std::path::Component::ParentDir => {
                clean.pop();
            }
            std::path::Component::CurDir => {}
            other => clean.push(other),
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_script_that_others_may_write_is_unsafe_for_root_only() {
        let dir = tempfile::tempdir().unwrap();
        let script = dir.path().join("check.sh");
        std::fs::write(&script, "#!/bin/sh\n").unwrap();
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o777)).unwrap();
        assert!(unsafe_script(&script, 0).is_some());
        assert_eq!(unsafe_script(&script, 1000), None);
    }

    #[test]
    fn links_are_followed_and_loops_end() {
        let dir = tempfile::tempdir().unwrap();
        let link = dir.path().join("loop");
        std::os::unix::fs::symlink(&link, &link).unwrap();
        assert!(unsafe_script(&link, 0).is_some());
        assert!(unsafe_script(Path::new("/bin/sh"), 0).is_none());
        assert!(unsafe_script(Path::new("/no/such/file"), 0).is_some());
    }
}
