//! `log` lines (configuration manual, "log"), and the sections that they lead to.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::{Address, Bind, Server};
use crate::expr::LogFormat;

/// Where the datagrams go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum LogTransport {
    Udp(SocketAddr),
    /// A Unix datagram socket such as `/dev/log`.
    Unix(PathBuf),
    /// `stdout`, `stderr`, `fd@N`.
    Fd(i32),
    /// `ring@NAME`.
    Ring(String),
    /// `backend@NAME`.
    Backend(String),
    /// `tcp@…`, `uxst@…`: through a ring of its own.
    Stream(Address),
}

/// Syslog severity, most severe first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[repr(u8)]
pub enum LogLevel {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

/// The syslog facility's number, 0..=23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct LogFacility(pub u8);

/// `format` of a log line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum LogSyslogFormat {
    Local,
    Rfc3164,
    Rfc5424,
    Priority,
    Short,
    Timed,
    Iso,
    Raw,
}

/// One range of `sample <ranges>:<size>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SampleRange {
    pub first: u32,
    pub last: u32,
}

/// One destination of logs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LogTarget {
    pub transport: LogTransport,
    /// `len`: the longest line in bytes, default 1024.
    pub length_max_bytes: usize,
    /// None: `local`, or `rfc3164` with `log-send-hostname`; the ring's; or the one in which a forwarded line came.
    pub format: Option<LogSyslogFormat>,
    /// `profile`: the name of a `log-profile` section.
    pub profile: Option<String>,
    /// `sample`: the ranges and the size of a round.
    pub sample: Option<(Vec<SampleRange>, u32)>,
    pub facility: LogFacility,
    /// Less severe messages are not sent; default everything (`Debug`).
    pub level_max: LogLevel,
    /// More severe messages are sent as this.
    pub level_min: LogLevel,
}

/// A `ring` section (configuration manual, section 12.5).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ring {
    pub name: String,
    pub description: Option<String>,
    pub format: LogSyslogFormat,
    /// `maxlen`: the longest line in bytes.
    pub length_max_bytes: usize,
    pub size_bytes: usize,
    pub backing_file: Option<PathBuf>,
    pub connect_timeout: Option<Duration>,
    pub server_timeout: Option<Duration>,
    pub servers: Vec<Server>,
}

impl Ring {
    /// A ring with everything at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            description: None,
            format: LogSyslogFormat::Raw,
            length_max_bytes: 1024,
            size_bytes: 16384,
            backing_file: None,
            connect_timeout: None,
            server_timeout: None,
            servers: Vec::new(),
        }
    }
}

/// `option host` of a `log-forward` section.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum HostStrategy {
    Replace,
    #[default]
    Fill,
    Keep,
    Append,
}

/// A `log-forward` section (configuration manual, section 12.6).
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogForward {
    pub name: String,
    /// `bind`: where streams come from.
    pub binds: Vec<Bind>,
    /// `dgram-bind`.
    pub datagram_binds: Vec<Bind>,
    pub logs: Vec<LogTarget>,
    /// The most connections, default 10.
    pub maxconn: u32,
    pub backlog: Option<u32>,
    pub client_timeout: Option<Duration>,
    /// Unless `option dont-parse-log`.
    pub parse: bool,
    /// `option assume-rfc6587-ntf`.
    pub assume_lines: bool,
    pub host: HostStrategy,
}

impl LogForward {
    /// A section with everything at its default.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            binds: Vec::new(),
            datagram_binds: Vec::new(),
            logs: Vec::new(),
            maxconn: 10,
            backlog: None,
            client_timeout: None,
            parse: true,
            assume_lines: false,
            host: HostStrategy::default(),
        }
    }
}

/// The moments at which lines are written: `log-steps`, `on` of a `log-profile`, `%OG`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[repr(u8)]
pub enum LogStep {
    Accept,
    Request,
    Connect,
    Response,
    Close,
    Error,
    Any,
    QuicInit,
    TcpRequestConnection,
    TcpRequestSession,
    TcpRequestContent,
    TcpResponseContent,
    HttpRequest,
    HttpResponse,
    HttpAfterResponse,
}

impl LogStep {
    /// All of them by their names.
    pub const ALL: [(&'static str, LogStep); 15] = [
        ("accept", LogStep::Accept),
        ("request", LogStep::Request),
        ("connect", LogStep::Connect),
        ("response", LogStep::Response),
        ("close", LogStep::Close),
        ("error", LogStep::Error),
        ("any", LogStep::Any),
        ("quic-init", LogStep::QuicInit),
        ("tcp-req-conn", LogStep::TcpRequestConnection),
        ("tcp-req-sess", LogStep::TcpRequestSession),
        ("tcp-req-cont", LogStep::TcpRequestContent),
        ("tcp-res-cont", LogStep::TcpResponseContent),
        ("http-req", LogStep::HttpRequest),
        ("http-res", LogStep::HttpResponse),
        ("http-after-res", LogStep::HttpAfterResponse),
    ];
    /// Those of a stream's life that `log-steps` may name.
    pub const OF_STREAMS: [(&'static str, LogStep); 5] = [
        ("accept", LogStep::Accept),
        ("request", LogStep::Request),
        ("connect", LogStep::Connect),
        ("response", LogStep::Response),
        ("close", LogStep::Close),
    ];

    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, step)| *step == self).map_or("", |(name, _)| name)
    }

    /// The step's place in a set of bits.
    pub fn bit(self) -> u16 {
        1 << self as u8
    }
}

/// One `on` line of a `log-profile`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LogOverride {
    pub step: LogStep,
    pub drop: bool,
    pub format: Option<Arc<LogFormat>>,
    pub structured_data: Option<Arc<LogFormat>>,
}

/// A `log-profile` section (configuration manual, section 8.3.5).
#[derive(Debug, Clone, PartialEq, Serialize, Default)]
pub struct LogProfile {
    pub tag: Option<String>,
    pub overrides: Vec<LogOverride>,
}

impl LogProfile {
    /// What it says about a step: the line for the step itself, else the one for `any`.
    pub fn of(&self, step: LogStep) -> Option<&LogOverride> {
        let find = |wanted| self.overrides.iter().rev().find(|line| line.step == wanted);
        find(step).or_else(|| find(LogStep::Any))
    }
}
