//! Where an expression stands, and where a fetch has its data: the columns of HAProxy's keyword list.

use std::ops::BitOr;

/// A set of processing points. Bit order is the column order of `haproxy -dKsmp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Contexts(pub u32);

impl Contexts {
    pub const FE_TCP_CONNECTION: Contexts = Contexts(1 << 0);
    pub const FE_TCP_SESSION: Contexts = Contexts(1 << 1);
    pub const FE_REQUEST_CONTENT: Contexts = Contexts(1 << 2);
    pub const FE_HTTP_REQUEST: Contexts = Contexts(1 << 3);
    pub const FE_HTTP_REQUEST_BODY: Contexts = Contexts(1 << 4);
    /// `use_backend` and `default_backend`.
    pub const FE_SWITCHING: Contexts = Contexts(1 << 5);
    pub const BE_REQUEST_CONTENT: Contexts = Contexts(1 << 6);
    pub const BE_HTTP_REQUEST: Contexts = Contexts(1 << 7);
    pub const BE_HTTP_REQUEST_BODY: Contexts = Contexts(1 << 8);
    /// `use-server`, `balance`, `stick match`.
    pub const BE_SET_SERVER: Contexts = Contexts(1 << 9);
    /// `source … usesrc`, `sni`.
    pub const BE_CONNECT: Contexts = Contexts(1 << 10);
    pub const BE_RESPONSE_CONTENT: Contexts = Contexts(1 << 11);
    pub const BE_HTTP_RESPONSE: Contexts = Contexts(1 << 12);
    pub const BE_HTTP_RESPONSE_BODY: Contexts = Contexts(1 << 13);
    pub const BE_STORE: Contexts = Contexts(1 << 14);
    pub const FE_RESPONSE_CONTENT: Contexts = Contexts(1 << 15);
    pub const FE_HTTP_RESPONSE: Contexts = Contexts(1 << 16);
    pub const FE_HTTP_RESPONSE_BODY: Contexts = Contexts(1 << 17);
    pub const LOG: Contexts = Contexts(1 << 18);
    pub const BE_CHECK: Contexts = Contexts(1 << 19);
    pub const CONFIG_PARSER: Contexts = Contexts(1 << 20);
    pub const CLI_PARSER: Contexts = Contexts(1 << 21);

    /// `http-request` rules of frontends and backends.
    pub const HTTP_REQUEST: Contexts = Contexts(1 << 3 | 1 << 7);
    /// `http-response` and `http-after-response` rules.
    pub const HTTP_RESPONSE: Contexts = Contexts(1 << 12 | 1 << 16);
    /// `tcp-request content` rules.
    pub const TCP_REQUEST_CONTENT: Contexts = Contexts(1 << 2 | 1 << 6);
    /// `tcp-response content` rules.
    pub const TCP_RESPONSE_CONTENT: Contexts = Contexts(1 << 11 | 1 << 15);

    // Where fetches have their data.
    pub(crate) const EVERYWHERE: Contexts = Contexts(0x3f_ffff);
    pub(crate) const INTERNAL: Contexts = Contexts(0xf_ffff | 1 << 21);
    /// The client connection exists.
    pub(crate) const CLIENT: Contexts = Contexts(0xf_ffff);
    pub(crate) const FRONTEND: Contexts = Contexts(0x7_ffff);
    /// The client connection is established, TLS included.
    pub(crate) const SESSION: Contexts = Contexts(0x7_fffe);
    pub(crate) const STREAM: Contexts = Contexts(0x7_fffc);
    /// Both directions' buffers.
    pub(crate) const PAYLOAD: Contexts = Contexts(0x3_fffc | 1 << 19);
    /// The request while it is in the buffer.
    pub(crate) const REQUEST: Contexts = Contexts(0x7fc);
    pub(crate) const BACKEND: Contexts = Contexts(0xf_ffc0);
    pub(crate) const SERVER_CHOSEN: Contexts = Contexts(0x7_fe00);
    pub(crate) const CONNECTING: Contexts = Contexts(0xf_fc00);
    /// The server connection and what stays known of the response.
    pub(crate) const SERVER: Contexts = Contexts(0xf_f800);
    /// The response while it is in the buffer.
    pub(crate) const RESPONSE: Contexts = Contexts(0x3_f800 | 1 << 19);

    pub fn intersects(self, other: Contexts) -> bool {
        self.0 & other.0 != 0
    }

    pub fn contains(self, other: Contexts) -> bool {
        self.0 & other.0 == other.0
    }

    pub const fn or(self, other: Contexts) -> Contexts {
        Contexts(self.0 | other.0)
    }

    /// The row of `haproxy -dKsmp`: `Y` or `.` per column.
    pub fn row(self) -> String {
        let cells: Vec<&str> = (0..22).map(|bit| if self.0 >> bit & 1 == 1 { "Y" } else { "." }).collect();
        format!("[ {} ]", cells.join(" "))
    }
}

impl BitOr for Contexts {
    type Output = Contexts;

    fn bitor(self, other: Contexts) -> Contexts {
        self.or(other)
    }
}

impl Contexts {
    /// The first point's name as HAProxy's warnings give it.
    pub fn place_name(self) -> &'static str {
        const NAMES: [&str; 22] = [
            "frontend tcp-request connection rule",
            "frontend tcp-request session rule",
            "frontend tcp-request content rule",
            "frontend http-request header rule",
            "frontend http-request body rule",
            "frontend use-backend rule",
            "backend tcp-request content rule",
            "backend http-request header rule",
            "backend http-request body rule",
            "backend use-server, balance or stick-match rule",
            "server source selection",
            "backend tcp-response content rule",
            "backend http-response header rule",
            "backend http-response body rule",
            "backend stick-store rule",
            "frontend tcp-response content rule",
            "frontend http-response header rule",
            "frontend http-response body rule",
            "logs",
            "backend tcp-check rule",
            "configuration parser",
            "CLI parser",
        ];
        NAMES.get(self.0.trailing_zeros() as usize).copied().unwrap_or("unknown rule")
    }
}
