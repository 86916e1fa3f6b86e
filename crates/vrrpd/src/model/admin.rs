//! Where the running daemon can be asked. keepalived knows none of this.

use std::net::SocketAddr;

use serde::Serialize;

/// `admin_socket` and `metrics_listen`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct AdminSettings {
    pub socket: AdminSocket,
    /// Where Prometheus may fetch metrics; nowhere by default.
    pub metrics: Option<SocketAddr>,
}

/// `admin_socket`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AdminSocket {
    pub path: AdminPath,
    /// Permission bits of the socket.
    pub mode: u32,
    pub user: Option<u32>,
    pub group: Option<u32>,
    pub level: AdminLevel,
}

impl Default for AdminSocket {
    fn default() -> Self {
        Self { path: AdminPath::Default, mode: 0o600, user: None, group: None, level: AdminLevel::Admin }
    }
}

/// Where the socket is.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminPath {
    /// [`AdminSocket::DEFAULT_PATH`], with the instance name of `global_defs` in its place if there is one.
    #[default]
    Default,
    /// No socket.
    Off,
    /// Here.
    At(String),
}

/// What peers that are neither root nor the daemon's own user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminLevel {
    /// Ask.
    User,
    /// Ask and change.
    Admin,
}

impl AdminSocket {
    /// Where the socket is unless something else is written.
    pub const DEFAULT_PATH: &str = "/run/vrrpd/admin.sock";

    /// The path; `instance` is the daemon's `instance` name.
    pub fn path(&self, instance: Option<&str>) -> Option<String> {
        match (&self.path, instance) {
            (AdminPath::Off, _) => None,
            (AdminPath::At(path), _) => Some(path.clone()),
            (AdminPath::Default, Some(name)) => Some(format!("/run/vrrpd/{name}.sock")),
            (AdminPath::Default, None) => Some(Self::DEFAULT_PATH.to_owned()),
        }
    }
}
