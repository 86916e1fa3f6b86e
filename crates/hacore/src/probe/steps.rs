//! The step language of `tcp-check` and `http-check` as data.
//!
//! A configuration parser builds a [`Program`]; [`super::run`] carries it out. What a log-format string would give is
//! behind [`Render`], so that the expression engine stays outside.

use std::any::Any;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use super::connect::{Endpoint, ProxyHeader};
use crate::health::CheckStatus;

/// What a step may look at when it makes text: what has been received so far.
#[derive(Clone, Copy, Debug, Default)]
pub struct Received<'a> {
    /// The response's status, for HTTP.
    pub status: Option<u16>,
    /// The response's headers in order, for HTTP.
    pub headers: &'a [(String, Vec<u8>)],
    /// The body, or all bytes that are not HTTP.
    pub bytes: &'a [u8],
    /// What the caller of [`super::run`] gave for this run: what its [`Render`]s know besides the answer.
    pub scene: Option<&'a dyn Any>,
}

/// A log-format string or expression, compiled by the caller.
pub trait Render: Send + Sync {
    /// The text it gives.
    fn render(&self, received: &Received<'_>) -> Vec<u8>;
}

/// Bytes that are given, or made when they are needed.
#[derive(Clone)]
pub enum Text {
    /// As written.
    Fixed(Vec<u8>),
    /// A log-format string (`send-lf`, `uri-lf`, `on-error`, …).
    Dynamic(Arc<dyn Render>),
}

impl Text {
    /// The bytes for what has been received.
    pub fn bytes(&self, received: &Received<'_>) -> Cow<'_, [u8]> {
        match self {
            Text::Fixed(bytes) => Cow::Borrowed(bytes),
            Text::Dynamic(render) => Cow::Owned(render.render(received)),
        }
    }

    pub(super) fn string(&self, received: &Received<'_>) -> String {
        String::from_utf8_lossy(&self.bytes(received)).into_owned()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::Fixed(text.as_bytes().to_vec())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Text::Fixed(bytes) => write!(f, "{:?}", String::from_utf8_lossy(bytes)),
            Text::Dynamic(_) => f.write_str("(dynamic)"),
        }
    }
}

/// How a program's sends and expects are carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Protocol {
    /// Bytes as they are.
    #[default]
    Raw,
    /// HTTP/1 requests and responses.
    Http,
}

/// A whole check. The default one connects and does nothing else.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// Bytes or HTTP.
    pub protocol: Protocol,
    /// In order. A connect step is implied before the first other one if there is none.
    pub steps: Vec<Step>,
    /// Whether the descriptions name the step, as those of `option tcp-check` do.
    pub names_steps: bool,
    /// `http-check disable-on-404`.
    pub disable_on_404: bool,
    /// What the description of a success says, for example `(tcp-check)`.
    pub success: &'static str,
}

impl Program {
    /// Whether it holds texts that are made when they are needed, so that a run must bring a scene.
    pub fn is_dynamic(&self) -> bool {
        let dynamic = |text: &Text| matches!(text, Text::Dynamic(_));
        let matcher = |matcher: &Matcher| match matcher {
            Matcher::Exact(text)
            | Matcher::Prefix(text)
            | Matcher::Suffix(text)
            | Matcher::Contains(text) => dynamic(text),
            Matcher::Regex(_) => false,
        };
        self.steps.iter().any(|step| match &step.action {
            Action::Connect(connect) => connect.port.as_ref().is_some_and(dynamic),
            Action::Send(text) | Action::Evaluate(text) => dynamic(text),
            Action::SendHttp(request) => {
                dynamic(&request.uri)
                    || request.body.as_ref().is_some_and(dynamic)
                    || request.headers.iter().any(|(_, value)| dynamic(value))
            }
            Action::Expect(expect) => {
                let texts = [&expect.on_success, &expect.on_error, &expect.status_code];
                let pattern = match &expect.pattern {
                    Pattern::String(text) | Pattern::Binary(text) => dynamic(text),
                    Pattern::Header(header) => {
                        matcher(&header.name) || header.value.as_ref().is_some_and(matcher)
                    }
                    _ => false,
                };
                pattern || texts.into_iter().flatten().any(dynamic)
            }
            Action::Comment => false,
        })
    }

    /// `option tcp-check` with these `tcp-check` lines.
    pub fn tcp_check(steps: Vec<Step>) -> Self {
        let success = if steps.is_empty() { "" } else { "(tcp-check)" };
        Program { steps, names_steps: true, success, ..Program::default() }
    }

    /// `option httpchk` with these `http-check` lines. An expect of status 200-399 is implied if none follows the
    /// last send, and a send of `request` (the `option httpchk` line's) if there is none at all.
    pub fn http_check(request: HttpRequest, mut steps: Vec<Step>) -> Self {
        if !steps.iter().any(|s| matches!(s.action, Action::SendHttp(_))) {
            let at = steps.iter().position(|s| matches!(s.action, Action::Expect(_))).unwrap_or(steps.len());
            steps.insert(at, Step::new(Action::SendHttp(request)));
        }
        let judged = steps.iter().rev().find(|s| matches!(s.action, Action::SendHttp(_) | Action::Expect(_)));
        if judged.is_none_or(|s| matches!(s.action, Action::SendHttp(_))) {
            steps.push(Step::new(Action::Expect(Expect::new(Pattern::Status(vec![(200, 399)])))));
        }
        Program { protocol: Protocol::Http, steps, ..Program::default() }
    }
}

/// One line of `tcp-check` or `http-check`.
#[derive(Clone, Debug)]
pub struct Step {
    /// What is done.
    pub action: Action,
    /// `comment`, shown when it fails.
    pub comment: Option<String>,
}

impl Step {
    /// A step without comment.
    pub fn new(action: Action) -> Self {
        Step { action, comment: None }
    }
}

/// What a step does.
#[derive(Clone, Debug)]
pub enum Action {
    /// `connect`: a new connection; one that is open is closed.
    Connect(Connect),
    /// `send`, `send-lf`, `send-binary`, `send-binary-lf`.
    Send(Text),
    /// `http-check send`.
    SendHttp(HttpRequest),
    /// `expect`.
    Expect(Expect),
    /// `set-var`, `set-var-fmt`, `unset-var`: rendered for what it does to the caller's scene.
    Evaluate(Text),
    /// `comment`: what the descriptions of the steps after it say if they have no comment of their own.
    Comment,
}

impl Action {
    /// Whether it may stand before a ruleset's first `connect`: it does nothing on the network.
    pub fn is_silent(&self) -> bool {
        matches!(self, Action::Comment | Action::Evaluate(_))
    }
}

/// `tcp-check connect` and `http-check connect`: what differs from the server's check settings.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    /// `default`: the server's check settings hold in spite of the options given here.
    pub default: bool,
    /// `port`; as an expression it is rendered when the connection is made.
    pub port: Option<Text>,
    /// `addr`.
    pub addr: Option<IpAddr>,
    /// `send-proxy`.
    pub send_proxy: Option<ProxyHeader>,
    /// `ssl`.
    pub ssl: bool,
    /// `sni`.
    pub sni: Option<String>,
    /// `alpn`.
    pub alpn: Vec<String>,
    /// `via-socks4`.
    pub via_socks4: bool,
    /// `proto`: whether it is HTTP/2.
    pub http2: Option<bool>,
    /// `linger`: close in order. Otherwise a raw check ends its connection with a reset, which leaves nothing behind on
    /// this side however many checks a second there are. HTTP checks always close in order.
    pub linger: bool,
}

impl Connect {
    /// Whether the server's settings apply: no transport option is given, or `default` is.
    pub(super) fn is_default(&self) -> bool {
        self.default
            || !self.ssl
                && !self.via_socks4
                && self.send_proxy.is_none()
                && self.sni.is_none()
                && self.alpn.is_empty()
                && self.http2.is_none()
    }

    pub(super) fn endpoint(&self, server: &Endpoint, received: &Received<'_>) -> Endpoint {
        let port = self.port.as_ref().and_then(|port| port.string(received).trim().parse().ok());
        match (server, self.addr) {
            (Endpoint::Tcp(address), _) => {
                let mut address = *address;
                address.set_ip(self.addr.unwrap_or(address.ip()));
                address.set_port(port.unwrap_or(address.port()));
                Endpoint::Tcp(address)
            }
            (Endpoint::Unix(_), Some(address)) => Endpoint::Tcp((address, port.unwrap_or(0)).into()),
            (Endpoint::Unix(_), None) => server.clone(),
        }
    }
}

/// An HTTP request of `option httpchk` and `http-check send`.
#[derive(Clone, Debug)]
pub struct HttpRequest {
    /// The method; `OPTIONS` by default.
    pub method: String,
    /// The URI; `/` by default.
    pub uri: Text,
    /// Whether the version is HTTP/1.1 (or later) instead of 1.0.
    pub http11: bool,
    /// `hdr`, in order.
    pub headers: Vec<(String, Text)>,
    /// `body`.
    pub body: Option<Text>,
}

impl Default for HttpRequest {
    fn default() -> Self {
        HttpRequest {
            method: "OPTIONS".to_owned(),
            uri: "/".into(),
            http11: false,
            headers: Vec::new(),
            body: None,
        }
    }
}

/// A line `http-check send` as it is written: what it does not say comes from elsewhere.
#[derive(Clone, Debug, Default)]
pub struct HttpSend {
    /// `meth`.
    pub method: Option<String>,
    /// `uri`, `uri-lf`.
    pub uri: Option<Text>,
    /// `ver`: whether it is HTTP/1.1 (or later).
    pub http11: Option<bool>,
    /// `hdr`, in order.
    pub headers: Vec<(String, Text)>,
    /// `body`, `body-lf`.
    pub body: Option<Text>,
}

impl HttpSend {
    /// The request. The first send of a backend takes method, URI and version from the `option httpchk` line (`line`)
    /// where it does not say them itself; headers written behind that line's version are replaced by the send's. Later
    /// sends stand on [`HttpRequest::default`].
    pub fn over(self, line: &HttpRequest) -> HttpRequest {
        HttpRequest {
            method: self.method.unwrap_or_else(|| line.method.clone()),
            uri: self.uri.unwrap_or_else(|| line.uri.clone()),
            http11: self.http11.unwrap_or(line.http11),
            headers: self.headers,
            body: self.body,
        }
    }
}

/// `tcp-check expect` and `http-check expect`.
#[derive(Clone, Debug)]
pub struct Expect {
    /// What is looked for.
    pub pattern: Pattern,
    /// `!`.
    pub negated: bool,
    /// `min-recv`: bytes to have before it is decided; with it, the absence of a match is conclusive.
    pub min_recv_bytes: Option<usize>,
    /// `ok-status`.
    pub ok_status: Option<CheckStatus>,
    /// `error-status`.
    pub error_status: Option<CheckStatus>,
    /// `tout-status`.
    pub timeout_status: Option<CheckStatus>,
    /// `on-success`.
    pub on_success: Option<Text>,
    /// `on-error`.
    pub on_error: Option<Text>,
    /// `status-code`: gives a decimal number.
    pub status_code: Option<Text>,
}

impl Expect {
    /// An expect without options.
    pub fn new(pattern: Pattern) -> Self {
        Expect {
            pattern,
            negated: false,
            min_recv_bytes: None,
            ok_status: None,
            error_status: None,
            timeout_status: None,
            on_success: None,
            on_error: None,
            status_code: None,
        }
    }
}

/// What an `expect` looks for.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// `string`, `string-lf`.
    String(Text),
    /// `rstring`.
    Regex(regex::bytes::Regex),
    /// `binary`, `binary-lf`: the bytes themselves.
    Binary(Text),
    /// `rbinary`: on the upper-case hexadecimal form.
    BinaryRegex(regex::bytes::Regex),
    /// `status`: ranges, both ends included.
    Status(Vec<(u16, u16)>),
    /// `rstatus`.
    StatusRegex(regex::bytes::Regex),
    /// `hdr`, `fhdr`.
    Header(HeaderPattern),
    /// The answer of a protocol that a built-in check knows.
    Protocol(Judge),
    /// A gRPC health service that says `SERVING` (HTTP/2 only).
    GrpcServing,
}

/// `expect hdr` and `expect fhdr`.
#[derive(Clone, Debug)]
pub struct HeaderPattern {
    /// Whether the value is taken whole (`fhdr`) or as a comma-separated list (`hdr`).
    pub full: bool,
    /// `name`, without case.
    pub name: Matcher,
    /// `value`; none: the header's presence is enough.
    pub value: Option<Matcher>,
}

/// `-m` of `expect hdr`.
#[derive(Clone, Debug)]
pub enum Matcher {
    /// `str`.
    Exact(Text),
    /// `beg`.
    Prefix(Text),
    /// `end`.
    Suffix(Text),
    /// `sub`.
    Contains(Text),
    /// `reg`.
    Regex(regex::bytes::Regex),
}

impl Matcher {
    pub(super) fn matches(&self, bytes: &[u8], received: &Received<'_>) -> bool {
        self.compares(bytes, |text| text.bytes(received).into_owned())
    }

    /// Like `matches`, without case. A regex is to be compiled without case by the caller.
    pub(super) fn matches_name(&self, name: &str, received: &Received<'_>) -> bool {
        self.compares(name.to_ascii_lowercase().as_bytes(), |text| text.bytes(received).to_ascii_lowercase())
    }

    fn compares(&self, bytes: &[u8], pattern: impl Fn(&Text) -> Vec<u8>) -> bool {
        match self {
            Matcher::Exact(text) => bytes == pattern(text),
            Matcher::Prefix(text) => bytes.starts_with(&pattern(text)),
            Matcher::Suffix(text) => bytes.ends_with(&pattern(text)),
            Matcher::Contains(text) => memchr::memmem::find(bytes, &pattern(text)).is_some(),
            Matcher::Regex(regex) => regex.is_match(bytes),
        }
    }
}

/// Judges the bytes received so far; the second argument tells that no more will come.
pub type Judge = fn(&[u8], bool) -> Judgement;

/// What a [`Judge`] says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Judgement {
    /// More bytes are needed.
    More,
    /// As expected: a code and a description for the case that it is the last step.
    Match(Option<u32>, String),
    /// Not as expected.
    Fail(CheckStatus, Option<u32>, String),
}
