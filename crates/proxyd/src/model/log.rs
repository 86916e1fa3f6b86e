//! `log` lines (configuration manual, "log").

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::Serialize;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum LogSyslogFormat {
    Local,
    #[default]
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
    pub format: LogSyslogFormat,
    /// `sample`: the ranges and the size of a round.
    pub sample: Option<(Vec<SampleRange>, u32)>,
    pub facility: LogFacility,
    /// Less severe messages are not sent; default everything (`Debug`).
    pub level_max: LogLevel,
    /// More severe messages are sent as this.
    pub level_min: LogLevel,
}
