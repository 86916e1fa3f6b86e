//! What a configuration says, as plain data: no sockets, no locks, comparable and serialisable.
//!
//! The runtime is built from it in one place, and a reload is a diff of two of these. Compiled expressions,
//! conditions and rules are shared immutable values that compare and serialise as their source text.

mod address;
mod bind;
mod check;
mod global;
mod h2;
mod log;
mod proxy;
mod server;
mod server_state;
mod stats;
mod userlist;

pub use address::{Address, SourceAddress, UseSource};
pub use bind::{Bind, TlsSetting};
pub use check::{Check, CheckKind, CheckRule, CheckStep, CheckText};
pub use global::{Global, GlobalValue, GlobalVariable, StatsSocket, UnixBind, User};
pub use h2::H2Tuning;
pub use log::{
    HostStrategy, LogFacility, LogForward, LogLevel, LogOverride, LogProfile, LogStep, LogSyslogFormat,
    LogTarget, LogTransport, Ring, SampleRange,
};
pub use proxy::{
    Balance, BalanceAlgorithm, ConnectionMode, Cookie, DescribedBody, DescribedReply, ErrorReply, ForwardFor,
    Forwarded, ForwardedValue, HashFunction, HashKind, HashType, HttpReuse, Mode, Proxy, ProxyId, ProxyKind,
    ProxyOptions, RestrictNames, ServerSwitch, TcpKeepAlive, Timeouts, UseBackend, UseBackendTarget,
};
pub use server::{InitialState, NAMELESS, OnError, OnMarkedDown, OnMarkedUp, ProxyTlv, Server, ServerId};
pub use server_state::{
    CHECK_CONFIGURED, CHECK_ENABLED, CONFIGURED_MAINTENANCE, FORCED_DRAIN, FORCED_MAINTENANCE, StateError,
    StateFiles, StateRecord, States,
};
pub use stats::{StatsAdmin, StatsPage};
pub use userlist::{User as HttpUser, Userlist};

use serde::Serialize;

/// Where a directive stands: file name and line, kept for messages that come after loading.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Default)]
pub struct Location {
    pub file: std::sync::Arc<str>,
    pub line: u32,
}

/// Everything that one load of all files produced.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Config {
    pub global: Global,
    /// Frontends, backends and listens in configuration order; [`ProxyId`] is the index.
    pub proxies: Vec<Proxy>,
    /// The pattern and map files that expressions read.
    #[serde(skip)]
    pub pattern_files: std::sync::Arc<crate::expr::PatternFiles>,
    /// `userlist` sections by name.
    pub userlists: std::collections::BTreeMap<String, Userlist>,
    /// `healthcheck` sections by name.
    pub healthchecks: std::collections::BTreeMap<String, Check>,
    /// `ring` sections by name.
    pub rings: std::collections::BTreeMap<String, Ring>,
    pub log_forwards: Vec<LogForward>,
    /// `log-profile` sections by name.
    pub log_profiles: std::collections::BTreeMap<String, std::sync::Arc<LogProfile>>,
}

impl Config {
    pub fn proxy(&self, id: ProxyId) -> Option<&Proxy> {
        self.proxies.get(id.0 as usize)
    }
}
