//! The `global` section.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Bind, H2Tuning, LogTarget};
use crate::expr::{Expr, LogFormat};

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

/// `unix-bind`: what Unix sockets have when their own line says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Default)]
pub struct UnixBind {
    pub prefix: Option<String>,
    pub mode: Option<u32>,
    pub user: Option<u32>,
    pub group: Option<u32>,
}

/// What a variable of the `global` section is set to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub enum GlobalValue {
    /// `set-var`.
    Expression(Arc<Expr>),
    /// `set-var-fmt`.
    Format(Arc<LogFormat>),
}

/// `set-var` and `set-var-fmt` of the `global` section.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GlobalVariable {
    /// With its scope: `proc.name`.
    pub name: String,
    pub value: GlobalValue,
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
    /// `cpu-map`: the CPUs that a thread, counted from 1, may run on; all of them for those that are not here.
    pub cpu_map: std::collections::BTreeMap<u16, Vec<u16>>,
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
    /// `setcap`: what stays after `user`.
    #[serde(skip)]
    pub kept_capabilities: Vec<hacore::process::privileges::ProcessCapability>,
    /// `strict-limits`, on by default: a limit that cannot be had ends the start.
    pub strict_limits: bool,
    /// `spread-checks` in percent, 0..=50.
    pub spread_checks: u32,
    /// `tune.bufsize` in bytes, default 16384.
    pub bufsize_bytes: usize,
    /// `tune.maxrewrite` in bytes, default 1024.
    pub maxrewrite_bytes: usize,
    /// `tune.http.maxhdr`, default 101.
    pub http_headers_max: usize,
    /// `tune.idle-pool.shared`.
    pub idle_pool_shared: bool,
    /// `tune.http.logurilen`, default 1024.
    pub http_log_uri_length: usize,
    /// `tune.http.cookielen`, default 63.
    pub http_cookie_length: usize,
    /// `tune.pool-low-fd-ratio` and relatives are added with the idle pools.
    pub ulimit_n: Option<u64>,
    pub fd_hard_limit: Option<u64>,
    /// `maxconnrate`, connections per second.
    pub max_connection_rate: Option<u32>,
    /// `maxsessrate`, sessions per second.
    pub max_session_rate: Option<u32>,
    /// `maxsslconn`, and `maxsslrate` in handshakes per second.
    pub max_tls_connections: Option<u32>,
    pub max_tls_rate: Option<u32>,
    pub max_spread_checks: Option<Duration>,
    pub no_splice: bool,
    /// `maxpipes`; `None` is a quarter of `maxconn`.
    pub maxpipes: Option<u32>,
    /// `tune.pipesize` in bytes; `None` is [`crate::net::splice::PIPE_BYTES`].
    pub pipe_bytes: Option<usize>,
    pub no_reuse_port: bool,
    /// `external-check`: external checks are allowed.
    pub external_check: bool,
    /// `expose-experimental-directives`.
    pub experimental: bool,
    pub h1_accept_payload_with_any_method: bool,
    /// `h1-case-adjust`: lower-case name to the spelling for old programs.
    pub h1_case_adjust: BTreeMap<String, String>,
    /// `harden.reject-privileged-ports.tcp`.
    pub reject_privileged_ports: bool,
    pub server_state_base: Option<PathBuf>,
    pub server_state_file: Option<PathBuf>,
    pub unix_bind: UnixBind,
    /// `localpeer`, or the machine's name.
    pub local_peer: String,
    pub variables: Vec<GlobalVariable>,
    /// The environment with what `setenv` and its kin made of it, for `show env`.
    #[serde(skip)]
    pub environment: BTreeMap<String, String>,
    /// Some expression or log line reads the addresses of server connections (`bc_src`, `%si`…).
    #[serde(skip)]
    pub reads_server_ends: bool,
    /// TLS defaults by keyword, as written; the TLS layer reads them.
    pub tls: BTreeMap<String, String>,
    /// What the TLS lines share.
    #[serde(skip)]
    pub tls_files: crate::tls::Ready<crate::tls::files::TlsFiles>,
    /// `tune.maxaccept`.
    pub max_accept: Option<i32>,
    /// `tune.rcvbuf.client` and relatives; `None` is the kernel's default.
    pub receive_buffer_client_bytes: Option<u32>,
    pub receive_buffer_server_bytes: Option<u32>,
    pub send_buffer_client_bytes: Option<u32>,
    pub send_buffer_server_bytes: Option<u32>,
    /// `tune.h2.*` towards clients and towards servers.
    pub h2_frontend: H2Tuning,
    pub h2_backend: H2Tuning,
}

impl Global {
    /// What the TLS lines share.
    pub fn shared_tls(&self) -> std::sync::Arc<crate::tls::files::TlsFiles> {
        self.tls_files.0.clone().unwrap_or_default()
    }
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
            cpu_map: Default::default(),
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
            kept_capabilities: Vec::new(),
            strict_limits: true,
            spread_checks: 0,
            bufsize_bytes: 16384,
            maxrewrite_bytes: 1024,
            http_headers_max: 101,
            idle_pool_shared: true,
            http_log_uri_length: 1024,
            http_cookie_length: 63,
            ulimit_n: None,
            fd_hard_limit: None,
            max_connection_rate: None,
            max_session_rate: None,
            max_tls_connections: None,
            max_tls_rate: None,
            max_spread_checks: None,
            no_splice: false,
            maxpipes: None,
            pipe_bytes: None,
            no_reuse_port: false,
            external_check: false,
            experimental: false,
            h1_accept_payload_with_any_method: false,
            h1_case_adjust: BTreeMap::new(),
            reject_privileged_ports: false,
            server_state_base: None,
            server_state_file: None,
            unix_bind: UnixBind::default(),
            local_peer: String::new(),
            variables: Vec::new(),
            environment: BTreeMap::new(),
            reads_server_ends: false,
            tls: BTreeMap::new(),
            tls_files: crate::tls::files::TlsFiles::default().into(),
            max_accept: None,
            receive_buffer_client_bytes: None,
            receive_buffer_server_bytes: None,
            send_buffer_client_bytes: None,
            send_buffer_server_bytes: None,
            h2_frontend: H2Tuning::default(),
            h2_backend: H2Tuning::default(),
        }
    }
}
