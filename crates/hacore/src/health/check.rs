//! What a check found: HAProxy's status words, their descriptions and the result they stand for.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// What a check result means for the counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// No result: not checked yet, or the check could not be run.
    Unknown,
    /// The check failed.
    Failed,
    /// The check passed.
    Passed,
    /// The check passed on condition that the server gets no new clients (`http-check disable-on-404`).
    ConditionallyPassed,
}

/// HAProxy's check status (manual, "show stat", field `check_status`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum CheckStatus {
    /// Unknown.
    Unknown,
    /// Initializing: no check has ended yet.
    Initializing,
    /// The socket could not be made.
    SocketError,
    /// Connected, and nothing more was asked.
    Layer4Ok,
    /// No connection in time.
    Layer4Timeout,
    /// Refused, unreachable or reset.
    Layer4Connection,
    /// The TLS handshake ended well.
    Layer6Ok,
    /// No TLS handshake in time.
    Layer6Timeout,
    /// The TLS handshake failed.
    Layer6Response,
    /// The answer was right.
    Layer7Ok,
    /// The answer passes under a condition (404 with `disable-on-404`).
    Layer7OkConditionally,
    /// No answer in time.
    Layer7Timeout,
    /// No valid answer.
    Layer7Response,
    /// A valid answer that says the server is not well.
    Layer7Status,
    /// An external check could not be run or failed.
    ProcessError,
    /// An external check took too long.
    ProcessTimeout,
    /// An external check ended with 0.
    ProcessOk,
    /// Traffic showed too many errors (`observe`).
    HealthAnalyze,
    /// An agent answered without saying anything about the state.
    Checked,
}

impl CheckStatus {
    /// All of them, for tables.
    pub const ALL: [CheckStatus; 19] = [
        CheckStatus::Checked,
        CheckStatus::Unknown,
        CheckStatus::Initializing,
        CheckStatus::SocketError,
        CheckStatus::HealthAnalyze,
        CheckStatus::Layer4Ok,
        CheckStatus::Layer4Timeout,
        CheckStatus::Layer4Connection,
        CheckStatus::Layer6Ok,
        CheckStatus::Layer6Timeout,
        CheckStatus::Layer6Response,
        CheckStatus::Layer7Timeout,
        CheckStatus::Layer7Response,
        CheckStatus::Layer7Ok,
        CheckStatus::Layer7OkConditionally,
        CheckStatus::Layer7Status,
        CheckStatus::ProcessError,
        CheckStatus::ProcessTimeout,
        CheckStatus::ProcessOk,
    ];

    /// The word of `show stat`, such as `L7OK`.
    pub fn word(self) -> &'static str {
        self.texts().0
    }

    /// The sentence of the log lines, such as `Layer7 wrong status`.
    pub fn sentence(self) -> &'static str {
        self.texts().1
    }

    /// What it means for the counters.
    pub fn verdict(self) -> Verdict {
        match self {
            CheckStatus::Unknown | CheckStatus::Initializing | CheckStatus::Checked => Verdict::Unknown,
            CheckStatus::Layer4Ok
            | CheckStatus::Layer6Ok
            | CheckStatus::Layer7Ok
            | CheckStatus::ProcessOk => Verdict::Passed,
            CheckStatus::Layer7OkConditionally => Verdict::ConditionallyPassed,
            CheckStatus::SocketError
            | CheckStatus::HealthAnalyze
            | CheckStatus::Layer4Timeout
            | CheckStatus::Layer4Connection
            | CheckStatus::Layer6Timeout
            | CheckStatus::Layer6Response
            | CheckStatus::Layer7Timeout
            | CheckStatus::Layer7Response
            | CheckStatus::Layer7Status
            | CheckStatus::ProcessError
            | CheckStatus::ProcessTimeout => Verdict::Failed,
        }
    }

    /// Whether a code is shown with it, in `show stat` and the log; if the check has none, 0 is.
    pub fn shows_code(self) -> bool {
        matches!(
            self,
            CheckStatus::Layer7Ok
                | CheckStatus::Layer7OkConditionally
                | CheckStatus::Layer7Status
                | CheckStatus::ProcessError
                | CheckStatus::ProcessTimeout
                | CheckStatus::ProcessOk
        )
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            CheckStatus::Checked => ("CHECKED", "No status change"),
            CheckStatus::Unknown => ("UNK", "Unknown"),
            CheckStatus::Initializing => ("INI", "Initializing"),
            CheckStatus::SocketError => ("SOCKERR", "Socket error"),
            CheckStatus::HealthAnalyze => ("HANA", "Health analyze"),
            CheckStatus::Layer4Ok => ("L4OK", "Layer4 check passed"),
            CheckStatus::Layer4Timeout => ("L4TOUT", "Layer4 timeout"),
            CheckStatus::Layer4Connection => ("L4CON", "Layer4 connection problem"),
            CheckStatus::Layer6Ok => ("L6OK", "Layer6 check passed"),
            CheckStatus::Layer6Timeout => ("L6TOUT", "Layer6 timeout"),
            CheckStatus::Layer6Response => ("L6RSP", "Layer6 invalid response"),
            CheckStatus::Layer7Timeout => ("L7TOUT", "Layer7 timeout"),
            CheckStatus::Layer7Response => ("L7RSP", "Layer7 invalid response"),
            CheckStatus::Layer7Ok => ("L7OK", "Layer7 check passed"),
            CheckStatus::Layer7OkConditionally => ("L7OKC", "Layer7 check conditionally passed"),
            CheckStatus::Layer7Status => ("L7STS", "Layer7 wrong status"),
            CheckStatus::ProcessError => ("PROCERR", "External check error"),
            CheckStatus::ProcessTimeout => ("PROCTOUT", "External check timeout"),
            CheckStatus::ProcessOk => ("PROCOK", "External check passed"),
        }
    }
}

/// The longest description kept, in bytes.
pub const DESCRIPTION_LENGTH_MAX: usize = 127;

/// One finished check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// How it ended.
    pub status: CheckStatus,
    /// The layer 7 code, for example an HTTP status or an external check's exit code.
    pub code: Option<u32>,
    /// From the start of the connection to the verdict.
    pub duration: Duration,
    /// What else there is to say, for example `Connection refused`; may be empty.
    pub description: String,
}

impl CheckResult {
    /// A result without code and description.
    pub fn new(status: CheckStatus, duration: Duration) -> Self {
        CheckResult { status, code: None, duration, description: String::new() }
    }

    /// The same with a layer 7 code.
    pub fn with_code(self, code: u32) -> Self {
        CheckResult { code: Some(code), ..self }
    }

    /// The same with a description, cut to [`DESCRIPTION_LENGTH_MAX`] bytes as HAProxy does.
    pub fn with_description(self, description: impl Into<String>) -> Self {
        let mut description = description.into();
        if description.len() > DESCRIPTION_LENGTH_MAX {
            let end =
                (0..=DESCRIPTION_LENGTH_MAX).rev().find(|at| description.is_char_boundary(*at)).unwrap_or(0);
            description.truncate(end);
        }
        CheckResult { description, ..self }
    }

    /// The code that is shown, see [`CheckStatus::shows_code`].
    pub fn shown_code(&self) -> Option<u32> {
        self.status.shows_code().then_some(self.code.unwrap_or(0))
    }
}
