//! What is known about a session and the request that runs on it: plain data, no sockets.
//!
//! Expressions, rules and the access log read it; the data plane writes it. One value of each per connection,
//! reset between requests, so that nothing is allocated per request.

mod captures;
mod ip_text;
mod session;
mod stream;
mod termination;
mod timing;
mod tls;

pub use captures::Captures;
pub use ip_text::{IP_TEXT_BYTES, ip_text};
pub use session::{Endpoint, SessionInfo};
pub use stream::{CookieSeen, CookieSet, StreamInfo, TimeoutOverrides};
pub use termination::{Cause, Phase, Termination};
pub use timing::Timing;
pub use tls::{Offer, OwnChain, TlsFacts};
