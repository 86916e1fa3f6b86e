//! The daemon's log: keepalived's lines to syslog under its idents, or to the console in its format.

use std::{
    cell::{Cell, RefCell},
    fmt::{self, Write as _},
    io::Write as _,
    os::fd::AsFd as _,
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
};

use hacore::{
    logging::{
        OperationalLog, Sink, SinkTarget,
        syslog::{Encoder, Facility, Format, Identity, LENGTH_MAX_DEFAULT, Level as Severity},
    },
    time::{BrokenDownTime, local_time, wall_us},
};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::vrrp::Level;

/// What monitoring looks for in syslog; keepalived's VRRP process has the same.
pub const SYSLOG_IDENT: &str = "Keepalived_vrrp";
/// The supervisor's, as keepalived's parent process has it.
pub const SYSLOG_IDENT_SUPERVISOR: &str = "Keepalived";
const DEV_LOG: &str = "/dev/log";
const WEEKDAYS: [&str; 7] = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

/// Where lines go, and how many of them.
#[derive(Debug, Clone)]
pub struct LogSettings {
    /// Name in syslog.
    pub ident: String,
    /// `-l`: standard error.
    pub console: bool,
    /// `-D`: detailed lines, too.
    pub detail: bool,
    /// `-S`; `None` with `-G`.
    pub facility: Option<Facility>,
}

/// A handle that every part of the daemon holds.
#[derive(Clone)]
pub struct Log {
    operational: Rc<OperationalLog>,
    console: bool,
    detail: bool,
    pace: Rc<Pace>,
    line: Rc<RefCell<Line>>,
    console_line: Rc<RefCell<String>>,
}

/// Longest line that [`Log::say`] writes; what is behind is cut.
const LINE_LEN_MAX: usize = 2048;

/// Room for one line, taken once.
#[derive(Debug)]
struct Line(String);

impl fmt::Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.0.capacity() - self.0.len();
        // Up to the last whole character that has room.
        let end = (0..=room.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        self.0.push_str(text.get(..end).unwrap_or_default());
        if end == text.len() { Ok(()) } else { Err(fmt::Error) }
    }
}

/// Lines within one second; a takeover of 255 instances writes half as many.
const LINES_PER_SECOND_MAX: u32 = 10_000;

/// How many lines this second has seen: a flood of packets must not become a flood of lines.
#[derive(Debug, Default)]
struct Pace {
    second: Cell<u64>,
    lines: Cell<u32>,
}

impl Pace {
    /// Whether one more line may be written; `Err` with how many were left out, when a new second begins.
    fn admit(&self, now_s: u64) -> Result<bool, u32> {
        let lines = if self.second.replace(now_s) == now_s { self.lines.get().saturating_add(1) } else { 1 };
        let before = self.lines.replace(lines);
        match before.checked_sub(LINES_PER_SECOND_MAX) {
            Some(suppressed @ 1..) if lines == 1 => Err(suppressed),
            _ => Ok(lines <= LINES_PER_SECOND_MAX),
        }
    }
}

impl Log {
    /// Opens the destinations. Without a syslog socket lines are lost, as with syslog(3).
    pub fn open(settings: &LogSettings) -> Self {
        Log {
            operational: Rc::new(destinations(settings)),
            console: settings.console,
            detail: settings.detail,
            pace: Rc::default(),
            line: Rc::new(RefCell::new(Line(String::with_capacity(LINE_LEN_MAX)))),
            console_line: Rc::new(RefCell::new(String::with_capacity(2 * LINE_LEN_MAX))),
        }
    }

    /// One line that takes no memory: for a process that must not need any.
    pub fn say(&self, text: fmt::Arguments<'_>) {
        // Taken out, so that a Display that logs finds an empty line and no borrow.
        let mut line = self.line.replace(Line(String::new()));
        line.0.clear();
        // A line that is too long is cut.
        let _ = line.write_fmt(text);
        self.warning(&line.0);
        self.line.replace(line);
    }

    /// One line.
    pub fn log(&self, level: Level, text: &str) {
        let severity = match level {
            Level::Warning => Severity::Warning,
            Level::Info => Severity::Info,
            Level::Detail if !self.detail => return,
            Level::Detail => Severity::Info,
        };
        match self.pace.admit(wall_us() / 1_000_000) {
            Ok(true) => {}
            Ok(false) => return,
            Err(suppressed) => {
                self.write(Severity::Warning, &format!("{suppressed} lines of the last second left out"));
            }
        }
        self.write(severity, text);
    }

    fn write(&self, severity: Severity, text: &str) {
        if self.console {
            self.write_to_console(text);
        }
        self.operational.log(severity, text);
    }

    /// In one piece, because several processes may write there; and only where there is room, because a reader that has
    /// stopped must not stop the election.
    fn write_to_console(&self, text: &str) {
        let mut stderr = std::io::stderr();
        let mut out = self.console_line.take();
        out.clear();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}: {text}", ConsoleDate::now());
        if let Some(breaks) = out.get(..out.len() - 1).filter(|line| line.contains(['\n', '\r'])) {
            out = breaks.replace(['\n', '\r'], " ") + "\n";
        }
        let room = poll(&mut [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)], PollTimeout::ZERO);
        if !matches!(room, Ok(0)) {
            // A terminal that went away, or a full disk behind it, must not end the daemon.
            let _ = stderr.write_all(out.as_bytes());
        }
        self.console_line.replace(out);
    }

    /// A line that is always written.
    pub fn info(&self, text: &str) {
        self.log(Level::Info, text);
    }

    /// A line that `-D` shows.
    pub fn detail(&self, text: &str) {
        self.log(Level::Detail, text);
    }

    /// A line somebody should look at.
    pub fn warning(&self, text: &str) {
        self.log(Level::Warning, text);
    }
}

fn destinations(settings: &LogSettings) -> OperationalLog {
    let mut log = OperationalLog::new();
    if settings.console {
        return log;
    }
    if let Some(facility) = settings.facility {
        let target = SinkTarget::Unix(PathBuf::from(DEV_LOG));
        if let Ok(sink) = Sink::open(&target) {
            let identity = Identity::new(&settings.ident);
            let encoder = Encoder::new(Format::Local, facility, identity, LENGTH_MAX_DEFAULT);
            log = log.destination(Arc::new(sink), encoder, Severity::Debug, Severity::Emerg);
        }
    }
    log
}

/// `Sun Nov 22 16:01:47 2026`, as ctime(3) writes it.
struct ConsoleDate(BrokenDownTime);

impl ConsoleDate {
    fn now() -> Self {
        ConsoleDate(local_time((wall_us() / 1_000_000) as i64))
    }
}

impl fmt::Display for ConsoleDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = &self.0;
        let weekday = WEEKDAYS.get(usize::from(at.weekday)).copied().unwrap_or("---");
        write!(
            f,
            "{weekday} {} {:2} {:02}:{:02}:{:02} {}",
            at.month_name(),
            at.day,
            at.hour,
            at.minute,
            at.second,
            at.year
        )
    }
}

/// `'vrrpd' '-f' 'x.conf'`, as the first lines of the log show it.
pub fn quoted_command_line(arguments: impl Iterator<Item = std::ffi::OsString>) -> String {
    arguments.map(|word| format!("'{}'", Path::new(&word).display())).collect::<Vec<_>>().join(" ")
}
