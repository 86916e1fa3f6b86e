//! HAProxy's format of start-up messages: `[ALERT]    (pid) : config : parsing [file:line] : …`, and the documents
//! that build systems read instead.

mod document;
mod group;

use std::fmt::Write;
use std::io::Write as _;

use hacore::diag::render::{self, Style};
use hacore::diag::{Diagnostic, Diagnostics, PositionForm, Severity, SourceMap};

use crate::config::DIAG;
use crate::version;
use document::Finding;

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
    /// The offending line, the caret, the help; repeated findings are shown once.
    Full,
}

/// Where findings go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Format {
    /// Lines on standard error.
    #[default]
    Text,
    /// One JSON document on standard output.
    Json,
    /// One SARIF 2.1.0 document on standard output.
    Sarif,
}

/// What a check came to, with HAProxy's exit status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Valid,
    /// Without a listener there is nothing to start.
    NoListener,
    Invalid,
}

impl Verdict {
    pub fn name(self) -> &'static str {
        match self {
            Verdict::Valid => "valid",
            Verdict::NoListener => "no-listener",
            Verdict::Invalid => "invalid",
        }
    }

    pub fn exit_status(self) -> u8 {
        match self {
            Verdict::Valid => 0,
            Verdict::NoListener => 2,
            Verdict::Invalid => 1,
        }
    }
}

/// Writes start-up messages, or collects them for a document.
#[derive(Debug)]
pub struct Reporter {
    style: HaproxyStyle,
    detail: Detail,
    format: Format,
    quiet: bool,
    introduced: bool,
    /// The path shown in the second introductory line.
    executable: String,
    pub warnings: usize,
    /// Everything that was said, also with `-q`.
    pub said: String,
    findings: Vec<Finding>,
}

impl Reporter {
    pub fn new(detail: Detail, format: Format, quiet: bool) -> Self {
        let executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
        Self {
            style: HaproxyStyle { pid: std::process::id() },
            detail,
            format,
            quiet,
            introduced: false,
            executable,
            warnings: 0,
            said: String::new(),
            findings: Vec::new(),
        }
    }

    /// Writes one finding. Hints are for people: they are left out of plain output.
    pub fn report(&mut self, diagnostic: &Diagnostic, sources: &SourceMap) {
        self.report_with(diagnostic, sources, "");
    }

    fn report_with(&mut self, diagnostic: &Diagnostic, sources: &SourceMap, below: &str) {
        if diagnostic.severity == Severity::Warning {
            self.warnings += 1;
        }
        if self.format != Format::Text {
            self.findings.push(Finding::new(diagnostic, sources));
            return;
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
        text.push_str(below);
        let _ = std::io::stderr().write_all(text.as_bytes());
    }

    /// Writes a finding that belongs to no file.
    pub fn say(&mut self, diagnostic: &Diagnostic) {
        self.report(diagnostic, &SourceMap::default());
    }

    /// Writes what follows from the findings; in a document the verdict says it.
    pub fn conclude(&mut self, message: impl Into<String>) {
        if self.format == Format::Text {
            self.say(&Diagnostic::alert(message));
        }
    }

    /// Writes all findings in order, and how many there were no room for. For people, findings that say the same of
    /// several places are one.
    pub fn report_all(&mut self, diagnostics: &Diagnostics, sources: &SourceMap) {
        if self.detail == Detail::Full && self.format == Format::Text {
            for group in group::groups(diagnostics) {
                // Each counts, whether or not it is shown.
                self.warnings += group.rest.iter().filter(|d| d.severity == Severity::Warning).count();
                self.report_with(group.first, sources, &group.others(sources));
            }
        } else {
            for diagnostic in diagnostics {
                self.report(diagnostic, sources);
            }
        }
        if diagnostics.dropped() > 0 {
            let message = format!("{} more messages are not shown.", diagnostics.dropped());
            self.say(&Diagnostic::notice(message));
        }
    }

    /// The document of a check, when one was asked for.
    pub fn document(&self, verdict: Verdict) -> Option<String> {
        let value = match self.format {
            Format::Text => return None,
            Format::Json => document::json(&self.findings, verdict),
            Format::Sarif => document::sarif(&self.findings),
        };
        Some(serde_json::to_string_pretty(&value).unwrap_or_else(|error| error.to_string()) + "\n")
    }
}
