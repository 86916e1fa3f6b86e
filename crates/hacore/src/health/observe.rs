//! Health seen from traffic: `observe`, `error-limit`, `on-error`.

use serde::{Deserialize, Serialize};

/// `error-limit` when it is not given.
pub const ERROR_LIMIT_DEFAULT: u32 = 10;

/// `observe`'s mode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Layer {
    /// Connections count.
    Layer4,
    /// HTTP responses count too.
    Layer7,
}

/// `on-error`: what too many errors do. Each also forces the fast interval.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OnError {
    /// Nothing but the fast interval.
    FastInter,
    /// Counts as a failed check.
    #[default]
    FailCheck,
    /// One more failed check takes the server down.
    SuddenDeath,
    /// Takes it down at once.
    MarkDown,
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Observe {
    /// What counts.
    pub layer: Layer,
    /// Errors in a row that trigger `on_error`.
    pub error_limit: u32,
    /// What is triggered.
    pub on_error: OnError,
}

/// What one connection or response showed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observation {
    /// A connection was made.
    Connected,
    /// A connection failed or timed out.
    ConnectionFailed,
    /// A valid response with a good status: 100 to 499, 501 or 505.
    GoodResponse,
    /// A response with another status.
    WrongStatus,
    /// Unparsable headers.
    InvalidHeaders,
    /// Reading failed.
    ReadError,
    /// No response in time.
    ReadTimeout,
    /// Closed before the response.
    Closed,
}

impl Observation {
    /// A response by its status code.
    pub fn of_status(code: u16) -> Self {
        match code {
            100..=499 | 501 | 505 => Observation::GoodResponse,
            _ => Observation::WrongStatus,
        }
    }

    /// HAProxy's words for it.
    pub fn sentence(self) -> &'static str {
        match self {
            Observation::Connected => "L4 successful connection",
            Observation::ConnectionFailed => "L4 unsuccessful connection",
            Observation::GoodResponse => "Correct http response",
            Observation::WrongStatus => "Wrong http response",
            Observation::InvalidHeaders => "Invalid http response (headers)",
            Observation::ReadError => "Read error (http)",
            Observation::ReadTimeout => "Read timeout (http)",
            Observation::Closed => "Close from server (http)",
        }
    }

    /// Whether it counts as an error, as a success, or not at all for this layer.
    pub(super) fn counts(self, layer: Layer) -> Option<bool> {
        match (self, layer) {
            (Observation::ConnectionFailed, _) => Some(true),
            (Observation::Connected, Layer::Layer4) => Some(false),
            (Observation::GoodResponse, Layer::Layer7) => Some(false),
            // A connection says nothing about the response that follows it.
            (Observation::Connected, Layer::Layer7) | (_, Layer::Layer4) => None,
            (_, Layer::Layer7) => Some(true),
        }
    }
}
