//! One client of an admin socket: bytes in, bytes out, no sockets.
//!
//! ```text
//!             line                        ┌── `<<` ──▶ payload ──┐
//! bytes ──▶ commands ── ; ── run ──▶ reply ◀─────────────────────┘
//!                                      │ without prompt: one line, then the end
//!                                      └ with `prompt`: "> " and the next line, until `quit`
//! ```

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::command::{Admin, CommandDef, Context, Level, Reply, Restriction, Severity};
use super::help;
use super::input::{self, Command, LINE_LENGTH_MAX, PAYLOAD_LENGTH_MAX};
use crate::services::report::Report;

/// How messages show their severity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SeverityOutput {
    #[default]
    None,
    Number,
    Text,
}

impl SeverityOutput {
    /// `none`, `number`, `string`.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "none" => Self::None,
            "number" => Self::Number,
            "string" => Self::Text,
            _ => return None,
        })
    }
}

/// What the client changes with commands about the session itself.
#[derive(Debug, Clone)]
pub struct Settings {
    pub level: Level,
    /// After how long without input the connection ends (`stats timeout`, `set timeout cli`).
    pub timeout: Duration,
    pub severity_output: SeverityOutput,
    /// More than one line is read.
    pub interactive: bool,
    /// `> ` is written before each line.
    pub prompt: bool,
    /// The prompt tells the uptime.
    pub timed: bool,
    pub expert: bool,
    pub experimental: bool,
    /// `quit` was given.
    pub quit: bool,
    /// The listening sockets may be had here (`expose-fd listeners`).
    pub exposes_listeners: bool,
}

impl Settings {
    fn new(level: Level, timeout: Duration) -> Self {
        Self {
            level,
            timeout,
            severity_output: SeverityOutput::None,
            interactive: false,
            prompt: false,
            timed: false,
            expert: false,
            experimental: false,
            quit: false,
            exposes_listeners: false,
        }
    }
}

/// One connection's state.
pub struct Session {
    admin: Arc<Admin>,
    table: &'static [CommandDef],
    pub settings: Settings,
    input: Vec<u8>,
    /// How much of `input` is known to hold no line break.
    searched: usize,
    pending: VecDeque<Command>,
    payload: Option<Payload>,
    waiting: Option<Waiting>,
    closing: bool,
}

/// What a command waits for.
#[derive(Debug)]
pub enum Waiting {
    Time(Duration),
    Answer(tokio::sync::oneshot::Receiver<String>),
    /// Its pieces are to be written.
    Report(Box<Report>),
    /// The client gets these sockets, and nothing more.
    Sockets(tokio::sync::oneshot::Receiver<Vec<socket2::Socket>>),
}

struct Payload {
    end: String,
    text: Vec<u8>,
}

impl Session {
    /// A new connection on a socket of this level.
    pub fn new(admin: Arc<Admin>, level: Level, timeout: Duration) -> Self {
        Self {
            admin,
            table: super::commands::all(),
            settings: Settings::new(level, timeout),
            input: Vec::new(),
            searched: 0,
            pending: VecDeque::new(),
            payload: None,
            waiting: None,
            closing: false,
        }
    }

    /// Nothing more is to be read; what was written is to be flushed.
    pub fn is_closing(&self) -> bool {
        self.closing
    }

    /// Takes what has to happen before [`Self::resume`], if a command waits.
    pub fn take_wait(&mut self) -> Option<Waiting> {
        self.waiting.take()
    }

    /// Goes on after a wait.
    pub fn resume(&mut self, out: &mut String) {
        self.end_reply(out);
        self.advance(out);
    }

    /// Takes what the client sent and appends the answers to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut String) {
        if self.closing {
            return;
        }
        self.input.extend_from_slice(bytes);
        self.advance(out);
        let limit = if self.payload.is_some() { PAYLOAD_LENGTH_MAX } else { LINE_LENGTH_MAX };
        if self.input.len() > limit && self.waiting.is_none() {
            out.push_str("Command line too long\n");
            self.closing = true;
        }
    }

    /// Runs what is complete until more input or a pause is needed.
    fn advance(&mut self, out: &mut String) {
        while !self.closing && self.waiting.is_none() {
            if self.payload.is_none()
                && self.pending.front().is_some_and(|command| command.payload_end.is_none())
            {
                if let Some(command) = self.pending.pop_front() {
                    self.run(&command.words, None, out);
                }
                continue;
            }
            let Some(line) = self.next_line() else { return };
            self.take_line(line, out);
        }
    }

    fn take_line(&mut self, line: Vec<u8>, out: &mut String) {
        if let Some(mut payload) = self.payload.take() {
            if line != payload.end.as_bytes() {
                payload.text.extend_from_slice(&line);
                payload.text.push(b'\n');
                if payload.text.len() > PAYLOAD_LENGTH_MAX {
                    out.push_str("Payload too large\n");
                    self.closing = true;
                }
                self.payload = Some(payload);
                return;
            }
            if let Some(command) = self.pending.pop_front() {
                self.run(&command.words, Some(&String::from_utf8_lossy(&payload.text)), out);
            }
            return;
        }
        let commands = input::commands(&String::from_utf8_lossy(&line));
        if commands.is_empty() {
            if self.settings.interactive {
                self.write_prompt(out);
            } else {
                out.push_str(&help::unknown(self.table, &[], self.settings.level));
                self.end_reply(out);
            }
            return;
        }
        self.pending.extend(commands);
        self.begin_payload(out);
    }

    /// When the next command announces a payload, the following lines are its.
    fn begin_payload(&mut self, out: &mut String) {
        let Some(end) = self.pending.front().and_then(|command| command.payload_end.clone()) else { return };
        self.payload = Some(Payload { end, text: Vec::new() });
        if self.settings.prompt {
            out.push_str("+ ");
        }
    }

    fn run(&mut self, words: &[String], payload: Option<&str>, out: &mut String) {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let reply = self.dispatch(&words, payload);
        match reply {
            Reply::Done => {}
            Reply::Data(text) => out.push_str(&text),
            Reply::Message(severity, text) => self.write_message(severity, &text, out),
            Reply::Wait(delay) => {
                self.waiting = Some(Waiting::Time(delay));
                return;
            }
            Reply::Later(answer) => {
                self.waiting = Some(Waiting::Answer(answer));
                return;
            }
            Reply::Report(report) => {
                self.waiting = Some(Waiting::Report(report));
                return;
            }
            Reply::Sockets(sockets) => {
                self.waiting = Some(Waiting::Sockets(sockets));
                return;
            }
            Reply::Close => {
                self.closing = true;
                return;
            }
        }
        self.end_reply(out);
    }

    fn dispatch(&mut self, words: &[&str], payload: Option<&str>) -> Reply {
        // The longest match wins: `show servers state` before `show`.
        let found = self.table.iter().filter(|def| def.matches(words)).max_by_key(|def| def.words.len());
        let Some(def) = found else {
            return Reply::Message(Severity::Error, help::unknown(self.table, words, self.settings.level));
        };
        if self.settings.level < def.level {
            return Reply::denied();
        }
        match def.restriction {
            Restriction::Expert if !self.settings.expert => {
                return Reply::error("This command is restricted to expert mode only.");
            }
            Restriction::Experimental if !self.settings.experimental => {
                return Reply::error("This command is restricted to experimental mode only.");
            }
            _ => {}
        }
        let snapshot = self.admin.snapshot.load_full();
        let mut context =
            Context { admin: &self.admin, snapshot: &snapshot, settings: &mut self.settings, payload };
        (def.run)(&mut context, words.get(def.words.len()..).unwrap_or_default())
    }

    fn write_message(&self, severity: Severity, text: &str, out: &mut String) {
        match self.settings.severity_output {
            SeverityOutput::None => {}
            SeverityOutput::Number => out.push_str(&format!("[{}]: ", severity as u8)),
            SeverityOutput::Text => out.push_str(&format!("[{}]: ", severity.name())),
        }
        out.push_str(text);
    }

    /// The empty line behind every reply, and what comes next.
    fn end_reply(&mut self, out: &mut String) {
        if self.settings.quit {
            self.closing = true;
            return;
        }
        out.push('\n');
        if self.settings.interactive {
            self.write_prompt(out);
        }
        if !self.pending.is_empty() {
            self.begin_payload(out);
        } else if !self.settings.interactive {
            self.closing = true;
        }
    }

    fn write_prompt(&self, out: &mut String) {
        if !self.settings.prompt {
            return;
        }
        if self.settings.timed {
            let seconds = self.admin.snapshot.load().process.now_ms() / 1000;
            let (days, hours) = (seconds / 86_400, seconds / 3600 % 24);
            out.push_str(&format!("[{days}:{hours:02}:{:02}:{:02}]", seconds / 60 % 60, seconds % 60));
        }
        out.push_str("> ");
    }

    /// The next complete line without its line break (LF or CRLF).
    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = match memchr::memchr(b'\n', self.input.get(self.searched..)?) {
            Some(at) => self.searched + at,
            None => {
                self.searched = self.input.len();
                return None;
            }
        };
        let mut line: Vec<u8> = self.input.drain(..=end).collect();
        self.searched = 0;
        line.pop();
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Some(line)
    }
}
