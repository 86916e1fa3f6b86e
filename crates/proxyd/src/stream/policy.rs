//! What the request path needs of a proxy's model in ready-made form.

use std::rc::Rc;
use std::time::Duration;

use super::body::Splicing;
use super::retry::RetryOn;
use crate::http::h1::{HeaderCase, Limits};
use crate::http::reply::ErrorPages;
use crate::model::{Global, Mode, Proxy};

/// Derived once per proxy and thread.
#[derive(Debug, Clone)]
pub struct FrontendPolicy {
    pub is_http: bool,
    pub error_pages: ErrorPages,
    pub request_limits: Limits,
    pub response_limits: Limits,
    /// Waiting for the first byte of a connection's first request, and for the rest of any head; milliseconds.
    pub request_ms: Option<u64>,
    /// Waiting for the first byte of a further request.
    pub keep_alive_ms: Option<u64>,
    pub client_ms: Option<u64>,
    /// The client's TLS handshake.
    pub handshake_ms: Option<u64>,
    pub client_fin_ms: Option<u64>,
    pub connect_ms: Option<u64>,
    pub queue_ms: Option<u64>,
    pub server_ms: Option<u64>,
    pub server_fin_ms: Option<u64>,
    pub tunnel_ms: Option<u64>,
    pub tarpit_ms: Option<u64>,
    pub retry_on: RetryOn,
    /// `option independent-streams`: what is sent to this side does not count as its activity.
    pub independent_streams: bool,
    /// `option splice-request`, `splice-response`; `splice-auto` is both, when it pays.
    pub splice_request: Splicing,
    pub splice_response: Splicing,
    /// `h1-case-adjust`, where `option h1-case-adjust-bogus-client` and `-server` ask for it.
    pub client_case: Option<Rc<HeaderCase>>,
    pub server_case: Option<Rc<HeaderCase>>,
}

impl FrontendPolicy {
    pub fn new(proxy: &Proxy, global: &Global) -> Self {
        let timeouts = &proxy.timeouts;
        let client = timeouts.client;
        let options = &proxy.options;
        let splicing = |forced: bool| match (global.no_splice, forced, options.splice_auto) {
            (false, true, _) => Splicing::On,
            (false, false, true) => Splicing::Ready,
            _ => Splicing::Off,
        };
        let case = header_case(global);
        let limits = |accept_invalid| Limits {
            head_bytes_max: global.bufsize_bytes.saturating_sub(global.maxrewrite_bytes),
            rewritten_bytes_max: global.bufsize_bytes,
            headers_max: global.http_headers_max,
            accept_invalid,
        };
        Self {
            is_http: proxy.mode == Mode::Http,
            error_pages: ErrorPages::new(&proxy.error_replies),
            request_limits: limits(proxy.options.accept_invalid_http_request),
            response_limits: limits(proxy.options.accept_invalid_http_response),
            request_ms: ms(timeouts.http_request.or(client)),
            keep_alive_ms: ms(timeouts.http_keep_alive.or(timeouts.http_request).or(client)),
            client_ms: ms(client),
            handshake_ms: ms(timeouts.client_hs.or(client)),
            client_fin_ms: ms(timeouts.client_fin),
            connect_ms: ms(timeouts.connect),
            queue_ms: ms(timeouts.queue.or(timeouts.connect)),
            server_ms: ms(timeouts.server),
            server_fin_ms: ms(timeouts.server_fin),
            tunnel_ms: ms(timeouts.tunnel),
            tarpit_ms: ms(timeouts.tarpit.or(timeouts.connect)),
            independent_streams: options.independent_streams,
            retry_on: RetryOn::new(&proxy.retry_on),
            splice_request: splicing(options.splice_request),
            splice_response: splicing(options.splice_response),
            client_case: case.clone().filter(|_| options.h1_case_adjust_bogus_client),
            server_case: case.filter(|_| options.h1_case_adjust_bogus_server),
        }
    }
}

fn header_case(global: &Global) -> Option<Rc<HeaderCase>> {
    let mut case = HeaderCase::default();
    for (from, to) in &global.h1_case_adjust {
        case.add(from.as_bytes(), to.as_bytes());
    }
    (!case.is_empty()).then(|| Rc::new(case))
}

fn ms(timeout: Option<Duration>) -> Option<u64> {
    timeout.map(|duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX / 2))
}
