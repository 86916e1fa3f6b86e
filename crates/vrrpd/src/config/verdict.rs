//! What a check of a configuration comes to.

use hacore::diag::{Diagnostics, Severity};

use super::{CODE_FATAL_PARAMETER, CODE_INCLUDE, CODE_INTERFACE, CODE_SCRIPT_SECURITY};

/// The worst that was found, from harmless to fatal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// Nothing that keepalived would mention.
    Good,
    /// Scripts run without `enable_script_security`.
    Security,
    /// Something was ignored or corrected; the daemon runs without it.
    Messages,
    /// The daemon cannot run with this.
    Fatal,
}

/// Everything that an exit status depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Verdict {
    pub messages: bool,
    pub security: bool,
    pub fatal: bool,
    /// A keyword without its parameter, where keepalived gives up at once.
    pub missing_parameter: bool,
    /// A file that had to be there was not.
    pub missing_file: bool,
    /// An interface is not there, before which keepalived looks at no script.
    pub missing_interface: bool,
}

impl Verdict {
    /// Exit status of our own `-t`: good.
    pub const EXIT_GOOD: i32 = 0;
    /// The file cannot be run (as keepalived's manual, "Exit status", documents it).
    pub const EXIT_FATAL: i32 = 3;
    /// There are errors but the daemon will run without what is wrong.
    pub const EXIT_MESSAGES: i32 = 4;
    /// Script security alone; the status that keepalived really gives.
    pub const EXIT_SECURITY: i32 = 6;

    /// The verdict that follows from what was found.
    pub fn of(diagnostics: &Diagnostics) -> Self {
        let mut verdict = Self::default();
        for diagnostic in diagnostics {
            match (diagnostic.severity, diagnostic.code) {
                (Severity::Alert, code) => {
                    verdict.fatal = true;
                    verdict.missing_parameter |= code == Some(CODE_FATAL_PARAMETER);
                    verdict.missing_file |= code == Some(CODE_INCLUDE);
                    verdict.missing_interface |= code == Some(CODE_INTERFACE);
                }
                (Severity::Warning, Some(CODE_SCRIPT_SECURITY)) => verdict.security = true,
                (Severity::Warning, None) => verdict.messages = true,
                _ => {}
            }
        }
        verdict
    }

    /// The worst of it.
    pub fn outcome(&self) -> Outcome {
        match *self {
            Self { fatal: true, .. } => Outcome::Fatal,
            Self { messages: true, .. } => Outcome::Messages,
            Self { security: true, .. } => Outcome::Security,
            _ => Outcome::Good,
        }
    }

    /// Exit status of `-t` that tells a typo from a fatal error. As in keepalived, script security hides messages.
    pub fn exit_code(&self) -> i32 {
        match *self {
            Self { fatal: true, .. } => Self::EXIT_FATAL,
            Self { security: true, .. } => Self::EXIT_SECURITY,
            Self { messages: true, .. } => Self::EXIT_MESSAGES,
            _ => Self::EXIT_GOOD,
        }
    }

    /// Exit status that keepalived's `-t` really gives: 2 for a missing parameter, 6 for a missing file or script
    /// security, 5 for any other message, fatal or not.
    pub fn keepalived_exit_code(&self) -> i32 {
        match *self {
            Self { missing_parameter: true, .. } => 2,
            Self { missing_file: true, .. } => 6,
            Self { missing_interface: true, .. } => 5,
            Self { security: true, .. } => 6,
            Self { messages: true, .. } | Self { fatal: true, .. } => 5,
            _ => 0,
        }
    }
}
