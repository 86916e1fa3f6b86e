//! One `bind` address with its options (configuration manual, section 5.1).

use serde::Serialize;

use super::{Address, Location};

/// One TLS word of a `bind` or `server` line with its argument, as written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TlsSetting {
    pub name: String,
    pub value: String,
}

/// One listening address. A `bind` line with several addresses or a port range gives several of these.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Bind {
    pub address: Address,
    /// As written, for messages and names of listeners.
    pub text: String,
    pub location: Location,
    pub name: Option<String>,
    /// `id`: the listener's number in `show stat`.
    pub id: Option<u32>,
    pub accept_proxy: bool,
    pub backlog: Option<u32>,
    pub defer_accept: bool,
    /// `cc`: the congestion control algorithm.
    pub congestion_control: Option<String>,
    pub interface: Option<String>,
    pub maxconn: Option<u32>,
    /// `mss`; negative values are taken off the kernel's.
    pub mss: Option<i32>,
    pub nice: i32,
    pub tcp_fast_open: bool,
    /// `tcp-ut` in milliseconds.
    pub tcp_user_timeout_ms: Option<u64>,
    pub transparent: bool,
    pub v4v6: bool,
    pub v6only: bool,
    /// `mode`, `user`, `group` of a Unix socket.
    pub unix_mode: Option<u32>,
    pub unix_user: Option<u32>,
    pub unix_group: Option<u32>,
    /// `level` of a CLI socket: user, operator or admin (`stats socket` lines are binds too).
    pub level: Option<&'static str>,
    /// `ssl`.
    pub tls: bool,
    /// The TLS words of the line in order, whether or not `ssl` is among them.
    pub tls_settings: Vec<TlsSetting>,
    /// What the TLS words and their files amount to, when there is `ssl`.
    #[serde(skip)]
    pub tls_listener: crate::tls::Ready<crate::tls::listener::ListenerTls>,
    /// `proto`: the multiplexer that is forced, such as `h1` or `h2`.
    pub protocol: Option<String>,
    /// `namespace`: the network namespace.
    pub namespace: Option<String>,
    /// `severity-output` of a CLI socket.
    pub severity_output: Option<String>,
    /// `expose-fd listeners`.
    pub expose_listeners: bool,
    /// `shards`: how many sockets share the address; `None` is one per thread.
    pub shards: Option<u32>,
}

impl Bind {
    /// A bind with every option at its default.
    pub fn new(address: Address, text: impl Into<String>, location: Location) -> Self {
        Self {
            address,
            text: text.into(),
            location,
            name: None,
            id: None,
            accept_proxy: false,
            backlog: None,
            defer_accept: false,
            congestion_control: None,
            interface: None,
            maxconn: None,
            mss: None,
            nice: 0,
            tcp_fast_open: false,
            tcp_user_timeout_ms: None,
            transparent: false,
            v4v6: false,
            v6only: false,
            unix_mode: None,
            unix_user: None,
            unix_group: None,
            level: None,
            tls: false,
            tls_settings: Vec::new(),
            tls_listener: crate::tls::Ready::default(),
            protocol: None,
            namespace: None,
            severity_output: None,
            expose_listeners: false,
            shards: None,
        }
    }
}
