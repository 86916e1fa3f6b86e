//! One `server` (configuration manual, section 5.2).

use std::time::Duration;

use serde::Serialize;

use super::{Address, Location, SourceAddress};

/// Index of a server within its backend, in configuration order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize)]
pub struct ServerId(pub u32);

/// `init-state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum InitialState {
    #[default]
    Up,
    FullyUp,
    Down,
    FullyDown,
}

/// `on-error`: what to do after `error-limit` observed errors.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Default)]
pub enum OnError {
    FastInter,
    #[default]
    FailCheck,
    SuddenDeath,
    MarkDown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnMarkedDown {
    ShutdownSessions,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum OnMarkedUp {
    ShutdownBackupSessions,
}

/// A TLV of one's own in PROXY v2 headers.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ProxyTlv {
    pub kind: u8,
    /// As written.
    pub text: String,
    #[serde(skip)]
    pub format: crate::tls::Ready<crate::expr::LogFormat>,
}

/// A server with its defaults applied.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Server {
    pub name: String,
    pub location: Location,
    /// `id`, or the automatic one (see the balancing rules for its numbering).
    pub numeric_id: u32,
    /// Whether `id` was given.
    pub id_given: bool,
    pub address: Address,
    /// `true` when the address had no port: the port the client came to is used.
    pub port_from_client: bool,
    /// `+N`/`-N`: offset to the client's port.
    pub port_offset: Option<i32>,
    /// 0..=256, default 1.
    pub weight: u32,
    pub backup: bool,
    /// Added at run time: its checks wait for `enable health`.
    pub dynamic: bool,
    pub disabled: bool,
    /// `udp@…` in a log backend.
    pub is_datagram: bool,
    /// `log-proto octet-count`.
    pub log_octet_count: bool,
    /// `log-bufsize`.
    pub log_buffer_bytes: Option<usize>,
    pub cookie: Option<String>,
    /// 0 is unlimited.
    pub maxconn: u32,
    pub minconn: u32,
    pub maxqueue: u32,
    pub max_reuse: Option<u32>,
    pub pool_max_conn: Option<i32>,
    pub pool_low_conn: u32,
    /// `pool-conn-name`, compiled, and as written.
    #[serde(skip)]
    pub pool_conn_name: crate::tls::Ready<crate::tls::backend::NameSource>,
    pub pool_conn_name_text: Option<String>,
    pub pool_purge_delay: Duration,
    pub slowstart: Option<Duration>,
    pub source: Option<SourceAddress>,
    /// `socks4`: the proxy through which connections go.
    pub socks4: Option<std::net::SocketAddr>,
    /// `cc`: the congestion control algorithm.
    pub congestion_control: Option<String>,
    /// `set-proxy-v2-tlv-fmt`.
    pub proxy_tlvs: Vec<ProxyTlv>,
    /// `send-proxy` (1) or `send-proxy-v2` (2).
    pub send_proxy: Option<u8>,
    pub redirect_prefix: Option<String>,
    pub tcp_user_timeout_ms: Option<u64>,
    pub tcp_fast_open: bool,
    /// `track [backend/]server`.
    pub track: Option<String>,

    pub check: bool,
    pub agent_check: bool,
    /// `agent-addr`, `agent-port`, `agent-inter` (default 2 s), `agent-send`.
    pub agent_address: Option<std::net::IpAddr>,
    pub agent_port: Option<u16>,
    pub agent_inter: Duration,
    pub agent_send: Vec<u8>,
    pub check_port: Option<u16>,
    pub check_address: Option<std::net::IpAddr>,
    pub inter: Duration,
    pub fastinter: Option<Duration>,
    pub downinter: Option<Duration>,
    pub rise: u32,
    pub fall: u32,
    pub init_state: InitialState,
    /// `observe layer4` (4) or `layer7` (7).
    pub observe: Option<u8>,
    pub error_limit: u32,
    pub on_error: OnError,
    pub on_marked_down: Option<OnMarkedDown>,
    pub on_marked_up: Option<OnMarkedUp>,
    /// The host name that `address` was resolved from.
    pub fqdn: Option<String>,
    /// `init-addr` words; empty is `last,libc`.
    pub init_addr: Vec<String>,
    /// `ssl`.
    pub tls: bool,
    /// `no-ssl`.
    pub tls_denied: bool,
    /// `ssl` was said for the server or before `no-ssl`: commands may switch it on and off.
    pub tls_switchable: bool,
    /// The TLS words of the line in order.
    pub tls_settings: Vec<super::TlsSetting>,
    /// What the TLS words and their files amount to, when traffic or checks use TLS.
    #[serde(skip)]
    pub tls_client: crate::tls::Ready<crate::tls::backend::BackendTls>,
    /// `sni`: the name to ask for, compiled.
    #[serde(skip)]
    pub tls_name: crate::tls::Ready<crate::tls::backend::NameSource>,
    /// `check-ssl`, `no-check-ssl`.
    pub check_tls: Option<bool>,
    pub check_send_proxy: bool,
    pub check_via_socks4: bool,
    /// `healthcheck`: the section whose check is used instead of the proxy's.
    pub healthcheck: Option<String>,
    /// `check-proto`, `proto`.
    pub check_protocol: Option<String>,
    pub protocol: Option<String>,
    /// `send-proxy-v2-ssl` (1), `send-proxy-v2-ssl-cn` (2).
    pub send_proxy_tls: u8,
    /// `proxy-v2-options` words.
    pub proxy_v2_options: Vec<String>,
    pub non_stick: bool,
    pub namespace: Option<String>,
    /// `resolvers`, `resolve-prefer`, `resolve-opts`, `resolve-net`: as written.
    pub resolvers: Option<String>,
    pub resolve_settings: Vec<super::TlsSetting>,
    pub guid: Option<String>,
    pub strict_maxconn: bool,
    /// `hash-key { id | addr | addr-port }`.
    pub hash_key: Option<String>,
}

/// How logs call the server of `dispatch` and `option transparent`.
pub const NAMELESS: &str = "<NOSRV>";

impl Server {
    /// It stands for an address without a name; nobody but the data plane sees it.
    pub fn is_nameless(&self) -> bool {
        self.name == NAMELESS
    }

    /// A server with HAProxy's defaults.
    pub fn new(name: impl Into<String>, address: Address, location: Location) -> Self {
        Self {
            name: name.into(),
            location,
            numeric_id: 0,
            id_given: false,
            address,
            port_from_client: false,
            port_offset: None,
            weight: 1,
            backup: false,
            dynamic: false,
            disabled: false,
            is_datagram: false,
            log_octet_count: false,
            log_buffer_bytes: None,
            cookie: None,
            maxconn: 0,
            minconn: 0,
            maxqueue: 0,
            max_reuse: None,
            pool_max_conn: None,
            pool_low_conn: 0,
            pool_conn_name: crate::tls::Ready::default(),
            pool_conn_name_text: None,
            socks4: None,
            congestion_control: None,
            proxy_tlvs: Vec::new(),
            pool_purge_delay: Duration::from_secs(5),
            slowstart: None,
            source: None,
            send_proxy: None,
            redirect_prefix: None,
            tcp_user_timeout_ms: None,
            tcp_fast_open: false,
            track: None,
            check: false,
            agent_check: false,
            agent_address: None,
            agent_port: None,
            agent_inter: Duration::from_secs(2),
            agent_send: Vec::new(),
            check_port: None,
            check_address: None,
            inter: Duration::from_secs(2),
            fastinter: None,
            downinter: None,
            rise: 2,
            fall: 3,
            init_state: InitialState::default(),
            observe: None,
            error_limit: 10,
            on_error: OnError::default(),
            on_marked_down: None,
            on_marked_up: None,
            fqdn: None,
            init_addr: Vec::new(),
            tls: false,
            tls_denied: false,
            tls_switchable: false,
            tls_settings: Vec::new(),
            tls_client: crate::tls::Ready::default(),
            tls_name: crate::tls::Ready::default(),
            check_tls: None,
            check_send_proxy: false,
            check_via_socks4: false,
            healthcheck: None,
            check_protocol: None,
            protocol: None,
            send_proxy_tls: 0,
            proxy_v2_options: Vec::new(),
            non_stick: false,
            namespace: None,
            resolvers: None,
            resolve_settings: Vec::new(),
            guid: None,
            strict_maxconn: false,
            hash_key: None,
        }
    }
}
