//! The `global` section.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;

use super::{Bind, LogTarget};

/// A user or group by name or number, resolved when privileges are dropped.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum User {
    Name(String),
    Id(u32),
}

/// One `stats socket` line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsSocket {
    pub bind: Bind,
}

/// Settings of the process.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Global {
    pub daemon: bool,
    pub master_worker: bool,
    pub quiet: bool,
    pub chroot: Option<PathBuf>,
    pub user: Option<User>,
    pub group: Option<User>,
    pub pidfile: Option<PathBuf>,
    /// `maxconn`; `None` is computed from the descriptor limit.
    pub maxconn: Option<u32>,
    pub nbthread: Option<u16>,
    pub node: Option<String>,
    pub description: Option<String>,
    pub logs: Vec<LogTarget>,
    /// `log-tag`; default is the program's name.
    pub log_tag: Option<String>,
    /// `log-send-hostname`: `Some("")` is the machine's own name.
    pub log_send_hostname: Option<String>,
    pub stats_sockets: Vec<StatsSocket>,
    /// `stats timeout`, default 10 s.
    pub stats_timeout: Duration,
    /// `stats maxconn`, default 10.
    pub stats_maxconn: u32,
    pub hard_stop_after: Option<Duration>,
    pub grace: Option<Duration>,
    /// `spread-checks` in percent, 0..=50.
    pub spread_checks: u32,
    /// `tune.bufsize` in bytes, default 16384.
    pub bufsize_bytes: usize,
    /// `tune.maxrewrite` in bytes, default 1024.
    pub maxrewrite_bytes: usize,
    /// `tune.http.maxhdr`, default 101.
    pub http_headers_max: usize,
    /// `tune.http.logurilen`, default 1024.
    pub http_log_uri_length: usize,
    /// `tune.http.cookielen`, default 63.
    pub http_cookie_length: usize,
    /// `tune.pool-low-fd-ratio` and relatives are added with the idle pools.
    pub ulimit_n: Option<u64>,
}

impl Default for Global {
    fn default() -> Self {
        Self {
            daemon: false,
            master_worker: false,
            quiet: false,
            chroot: None,
            user: None,
            group: None,
            pidfile: None,
            maxconn: None,
            nbthread: None,
            node: None,
            description: None,
            logs: Vec::new(),
            log_tag: None,
            log_send_hostname: None,
            stats_sockets: Vec::new(),
            stats_timeout: Duration::from_secs(10),
            stats_maxconn: 10,
            hard_stop_after: None,
            grace: None,
            spread_checks: 0,
            bufsize_bytes: 16384,
            maxrewrite_bytes: 1024,
            http_headers_max: 101,
            http_log_uri_length: 1024,
            http_cookie_length: 63,
            ulimit_n: None,
        }
    }
}
