//! What the machine offers, and how a test that needs more says that it was skipped.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The workspace's root.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_path_buf).unwrap_or_default()
}

/// The reference material beside the workspace; `None` in a bare clone.
pub fn shared() -> Option<PathBuf> {
    let folder = root().parent()?.join("shared");
    folder.is_dir().then_some(folder)
}

/// A program of this workspace, as built for this test run.
pub fn built(program: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), PathBuf::from);
    let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
    let path = target.join(profile).join(program);
    path.is_file().then_some(path)
}

/// A program found in `PATH` or in the system's folders for daemons.
pub fn installed(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .map(|folder| folder.join(program))
        .find(|file| file.is_file())
}

/// Whether network namespaces can be made here, as root or through a user namespace.
pub fn has_namespaces() -> bool {
    let flags: &[&str] = if nix::unistd::geteuid().is_root() { &["-nm"] } else { &["-Urnm"] };
    Command::new("unshare").args(flags).arg("true").status().is_ok_and(|status| status.success())
}

/// Says that a test did not run, on standard error and in the file that `TESTKIT_SKIP_LOG` names, from which the test
/// command counts.
#[allow(clippy::print_stderr)]
pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIPPED {test}: {reason}");
    let Some(log) = std::env::var_os("TESTKIT_SKIP_LOG") else { return };
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(log) {
        let _ = writeln!(file, "{test}: {reason}");
    }
}
