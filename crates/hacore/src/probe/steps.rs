//! The step language of `tcp-check` and `http-check` as data.

use std::time::Duration;

/// A whole check: its steps and what the verdict says.
#[derive(Clone, Debug, Default)]
pub struct Program {
    /// In order.
    pub steps: Vec<Step>,
}

/// One line of `tcp-check` or `http-check`.
#[derive(Clone, Debug)]
pub enum Step {
    /// `connect`.
    Connect(Connect),
    /// `send`, `send-binary`: bytes.
    Send {
        /// What is sent.
        bytes: Vec<u8>,
    },
    /// `expect`.
    Expect(Expect),
}

/// `tcp-check connect` and `http-check connect`: what differs from the server's check settings.
#[derive(Clone, Debug, Default)]
pub struct Connect {
    /// `port`.
    pub port: Option<u16>,
    /// `ssl`.
    pub ssl: Option<bool>,
}

/// `tcp-check expect` and `http-check expect`.
#[derive(Clone, Debug)]
pub struct Expect {
    /// What is looked for.
    pub pattern: Pattern,
    /// `!`.
    pub negated: bool,
    /// `min-recv`: bytes to have before it is decided.
    pub min_recv_bytes: Option<usize>,
    /// Until when.
    pub timeout: Option<Duration>,
}

/// What an `expect` looks for.
#[derive(Clone, Debug)]
pub enum Pattern {
    /// `string`.
    String(Vec<u8>),
    /// `binary`.
    Binary(Vec<u8>),
}
