//! The expression engine: samples, fetches, converters, ACL conditions, log formats. Sans-IO.
//!
//! Everything is compiled at load; evaluation reads [`crate::txn`] and message heads.

mod shared_text;

pub use shared_text::{Condition, Expr, LogFormat};
