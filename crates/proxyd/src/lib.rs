//! A TCP and HTTP load balancer that reads `haproxy.cfg`.
//!
//! One direction of dependency: `config` (text) → [`model`] (plain data) ← runtime. Sans-IO: [`http`], [`expr`].

pub mod cli;
pub mod config;
pub mod diagnose;
pub mod expr;
pub mod http;
pub mod logs;
pub mod model;
pub mod net;
pub mod proxy;
pub mod rules;
pub mod runtime;
pub mod services;
pub mod startup;
pub mod stream;
pub mod tls;
mod tools;
pub mod txn;
pub mod version;
