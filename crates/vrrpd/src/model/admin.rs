//! Where the running daemon can be asked. keepalived knows none of this.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

/// `admin_socket` and `metrics_listen`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct AdminSettings {
    pub socket: AdminSocket,
    /// Where Prometheus may fetch metrics; nowhere by default.
    pub metrics: Option<SocketAddr>,
}

/// `admin_socket`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
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
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AdminPath {
    /// [`AdminSocket::DEFAULT_PATH`], with the names of instance and namespace in its place if there are some.
    #[default]
    Default,
    /// No socket.
    Off,
    /// Here.
    At(String),
}

/// What peers that are neither root nor the daemon's own user may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
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

    /// The path; `names` are those of the daemon's instance and namespace.
    pub fn path(&self, names: &[String]) -> Option<String> {
        match &self.path {
            AdminPath::Off => None,
            AdminPath::At(path) => Some(path.clone()),
            AdminPath::Default if names.is_empty() => Some(Self::DEFAULT_PATH.to_owned()),
            AdminPath::Default => Some(format!("/run/vrrpd/{}.sock", names.join("_"))),
        }
    }
}
