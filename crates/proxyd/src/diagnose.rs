//! HAProxy's format of start-up messages: `[ALERT]    (pid) : config : parsing [file:line] : …`.

use std::fmt::Write;
use std::io::Write as _;

use hacore::diag::render::{self, Style};
use hacore::diag::{Diagnostic, Diagnostics, PositionForm, Severity, SourceMap};

use crate::config::DIAG;
use crate::version;

/// The head of a line up to and including the process id.
fn tag(diagnostic: &Diagnostic) -> &'static str {
    match diagnostic.severity {
        _ if diagnostic.code == Some(DIAG) => "DIAG",
        Severity::Alert => "ALERT",
        Severity::Warning => "WARNING",
        Severity::Notice => "NOTICE",
        Severity::Hint => "HINT",
    }
}

/// HAProxy's line format.
#[derive(Debug, Clone, Copy)]
pub struct HaproxyStyle {
    pub pid: u32,
}

impl Style for HaproxyStyle {
    fn headline(&self, diagnostic: &Diagnostic, sources: &SourceMap) -> String {
        let label = format!("[{}]", tag(diagnostic));
        let mut line = format!("{label:<10} ({}) : config : ", self.pid);
        let position = diagnostic.span.map(|span| format!("{}:{}", sources.name(span.file), span.line));
        match (position, diagnostic.position) {
            (Some(position), PositionForm::Usual) => {
                let _ = write!(line, "parsing [{position}] : ");
            }
            (Some(position), PositionForm::Between(before, after)) => {
                let _ = write!(line, "{before}{position}{after}");
            }
            _ => {}
        }
        line.push_str(&diagnostic.message);
        if let (Severity::Hint, Some(code)) = (diagnostic.severity, diagnostic.code) {
            let _ = write!(line, " [{code}]");
        }
        line
    }
}

/// What is shown below the first line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// Exactly HAProxy's lines.
    Plain,
    /// The offending line, the caret, the help.
    Full,
}

/// Writes start-up messages to standard error.
#[derive(Debug)]
pub struct Reporter {
    style: HaproxyStyle,
    detail: Detail,
    quiet: bool,
    introduced: bool,
    /// The path shown in the second introductory line.
    executable: String,
    pub warnings: usize,
    /// Everything that was said, also with `-q`.
    pub said: String,
}

impl Reporter {
    pub fn new(detail: Detail, quiet: bool) -> Self {
        let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        Self {
            style: HaproxyStyle { pid: std::process::id() },
            detail,
            quiet,
            introduced: false,
            executable,
            warnings: 0,
            said: String::new(),
        }
    }

    /// Writes one finding. Hints are for people: they are left out of plain output.
    pub fn report(&mut self, diagnostic: &Diagnostic, sources: &SourceMap) {
        if diagnostic.severity == Severity::Warning {
            self.warnings += 1;
        }
        if diagnostic.severity == Severity::Hint && self.detail == Detail::Plain {
            return;
        }
        self.said.push_str(&render::render(&self.style, diagnostic, sources, false));
        if self.quiet {
            return;
        }
        // HAProxy prints notices in check mode only once something worse was said; they are few, so that ours always are.
        let mut text = String::new();
        if !self.introduced {
            self.introduced = true;
            let pid = self.style.pid;
            let _ = writeln!(text, "[NOTICE]   ({pid}) : haproxy version is {}", version::full());
            let _ = writeln!(text, "[NOTICE]   ({pid}) : path to executable is {}", self.executable);
        }
        text.push_str(&render::render(&self.style, diagnostic, sources, self.detail == Detail::Full));
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Writes a finding that belongs to no file.
    pub fn say(&mut self, diagnostic: &Diagnostic) {
        self.report(diagnostic, &SourceMap::default());
    }

    /// Writes all findings in order, and how many there were no room for.
    pub fn report_all(&mut self, diagnostics: &Diagnostics, sources: &SourceMap) {
        for diagnostic in diagnostics {
            self.report(diagnostic, sources);
        }
        if diagnostics.dropped() > 0 {
            let message = format!("{} more messages are not shown.", diagnostics.dropped());
            self.say(&Diagnostic::notice(message));
        }
    }
}
