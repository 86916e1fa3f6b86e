//! What `--version` says.

/// The daemon's own version.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The keepalived whose configuration language and behaviour this follows.
pub const DIALECT: &str = "2.4";

/// The first line of the log and of `--version`.
pub fn title() -> String {
    format!("vrrpd v{VERSION} (keepalived {DIALECT} compatible)")
}
