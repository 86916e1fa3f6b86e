//! The test kit that the cross-crate tests and the laboratory share.
//!
//! Nothing here knows how a daemon works inside: it starts programs, speaks to them over sockets and reads what they write.

pub mod daemon;
pub mod environment;
pub mod flood;
pub mod lab;
pub mod log_catcher;
pub mod oracle;
pub mod origin;
pub mod pki;
pub mod port;
pub mod raw;
pub mod vrrp;
pub mod wait;
