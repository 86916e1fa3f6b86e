//! Syslog messages: facilities, levels and the headers of all of HAProxy's log formats.
//!
//! Sources: RFC 3164, RFC 5424, and the configuration manual, "log" (section 3.1). The encoder keeps the part of
//! the header that does not change within a second, so that a line costs two copies and no formatting of dates.

use std::fmt;

use crate::time::BrokenDownTime;

/// Severity, most severe first (RFC 5424 table 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Level {
    Emerg,
    Alert,
    Crit,
    Err,
    Warning,
    Notice,
    Info,
    Debug,
}

/// Names of levels as HAProxy's `log` keyword takes them, by number.
pub const LEVEL_NAMES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// Names of facilities as HAProxy's `log` keyword takes them, by number.
pub const FACILITY_NAMES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "auth2", "ftp", "ntp",
    "audit", "alert", "cron2", "local0", "local1", "local2", "local3", "local4", "local5", "local6",
    "local7",
];

impl Level {
    const ALL: [Level; 8] = [
        Level::Emerg,
        Level::Alert,
        Level::Crit,
        Level::Err,
        Level::Warning,
        Level::Notice,
        Level::Info,
        Level::Debug,
    ];

    pub fn from_name(name: &str) -> Option<Self> {
        LEVEL_NAMES.iter().position(|n| *n == name).and_then(|n| Self::ALL.get(n).copied())
    }

    /// The level of this number; everything above 7 is `Debug`.
    pub fn from_number(number: u8) -> Self {
        Self::ALL.get(usize::from(number)).copied().unwrap_or(Level::Debug)
    }

    pub fn name(self) -> &'static str {
        LEVEL_NAMES.get(self as usize).copied().unwrap_or("debug")
    }
}

/// A facility's number, 0..=23.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Facility(u8);

impl Facility {
    pub const DAEMON: Facility = Facility(3);
    pub const LOCAL0: Facility = Facility(16);

    /// `None` above 23.
    pub fn from_number(number: u8) -> Option<Self> {
        (number < 24).then_some(Self(number))
    }

    /// By HAProxy's names ([`FACILITY_NAMES`]).
    pub fn from_name(name: &str) -> Option<Self> {
        FACILITY_NAMES.iter().position(|n| *n == name).map(|n| Self(n as u8))
    }

    pub fn number(self) -> u8 {
        self.0
    }

    fn priority(self, level: Level) -> u8 {
        self.0 * 8 + level as u8
    }
}

/// Which header goes in front of the text (configuration manual, "log", `format`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Format {
    /// `<134>Nov 22 16:00:00 haproxy[123]: `: what HAProxy sends when nothing is said.
    #[default]
    Local,
    /// The same with a host name; HAProxy takes this one when `log-send-hostname` is set.
    Rfc3164,
    /// `<134>1 2026-11-22T16:00:00.000000+00:00 host haproxy 123 - - `.
    Rfc5424,
    /// `<134>`.
    Priority,
    /// `<6>`.
    Short,
    /// `<6>2026-11-22T16:00:00.000000+00:00 `.
    Timed,
    /// `2026-11-22T16:00:00.000000+00:00 `.
    Iso,
    /// Nothing.
    Raw,
}

impl Format {
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "local" => Format::Local,
            "rfc3164" => Format::Rfc3164,
            "rfc5424" => Format::Rfc5424,
            "priority" => Format::Priority,
            "short" => Format::Short,
            "timed" => Format::Timed,
            "iso" => Format::Iso,
            "raw" => Format::Raw,
            _ => return None,
        })
    }
}

/// Who is logging.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// `log-tag`, by default the program's name.
    pub tag: String,
    pub pid: u32,
    /// `log-send-hostname`; `None` is `localhost` in RFC 3164 and `-` in RFC 5424.
    pub hostname: Option<String>,
}

impl Identity {
    pub fn new(tag: impl Into<String>) -> Self {
        Self { tag: tag.into(), pid: std::process::id(), hostname: None }
    }

    /// With a host name.
    pub fn with_hostname(self, hostname: impl Into<String>) -> Self {
        Self { hostname: Some(hostname.into()), ..self }
    }
}

/// HAProxy's default of `len`.
pub const LENGTH_MAX_DEFAULT: usize = 1024;

/// Puts headers in front of lines for one destination; one per thread and destination.
#[derive(Debug, Clone)]
pub struct Encoder {
    format: Format,
    facility: Facility,
    identity: Identity,
    length_max_bytes: usize,
    /// The second that `date` and `after` were made for.
    second: u64,
    /// What stands between the priority and the microseconds.
    date: Vec<u8>,
    /// What stands behind the microseconds (or, without them, the rest of the header).
    after: Vec<u8>,
}

impl Encoder {
    /// `length_max_bytes` limits header and text together, without the final newline (`len`).
    pub fn new(format: Format, facility: Facility, identity: Identity, length_max_bytes: usize) -> Self {
        let second = u64::MAX;
        Self { format, facility, identity, length_max_bytes, second, date: Vec::new(), after: Vec::new() }
    }

    /// Appends header, text and a newline to `out`; a text that is too long is cut.
    ///
    /// Allocates nothing once `out` has grown and the second's header is made.
    pub fn encode(&mut self, level: Level, wall_us: u64, text: &[u8], out: &mut Vec<u8>) {
        self.encode_with_data(level, wall_us, &[], text, out);
    }

    /// [`Self::encode`] with structured data, which RFC 5424 lines have (`log-format-sd`) and others leave out.
    pub fn encode_with_data(
        &mut self,
        level: Level,
        wall_us: u64,
        data: &[u8],
        text: &[u8],
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        self.header(level, wall_us, out);
        if self.format == Format::Rfc5424 {
            out.extend_from_slice(if data.is_empty() { b"-" } else { data });
            out.push(b' ');
        }
        let left = self.length_max_bytes.saturating_sub(out.len() - start);
        out.extend_from_slice(text.get(..left).unwrap_or(text));
        out.truncate(start + self.length_max_bytes);
        out.push(b'\n');
    }

    /// Appends the header alone; that of RFC 5424 ends before the structured data.
    pub fn header(&mut self, level: Level, wall_us: u64, out: &mut Vec<u8>) {
        let second = wall_us / 1_000_000;
        if second != self.second {
            self.second = second;
            self.make(second);
        }
        match self.format {
            Format::Short | Format::Timed => {
                out.push(b'<');
                out.push(b'0' + level as u8);
                out.push(b'>');
            }
            Format::Iso | Format::Raw => {}
            Format::Local | Format::Rfc3164 | Format::Rfc5424 | Format::Priority => {
                out.push(b'<');
                out.extend_from_slice(itoa::Buffer::new().format(self.facility.priority(level)).as_bytes());
                out.push(b'>');
            }
        }
        out.extend_from_slice(&self.date);
        if matches!(self.format, Format::Rfc5424 | Format::Timed | Format::Iso) {
            out.extend_from_slice(&six_digits((wall_us % 1_000_000) as u32));
        }
        out.extend_from_slice(&self.after);
    }

    fn make(&mut self, second: u64) {
        use std::io::Write as _;
        self.date.clear();
        self.after.clear();
        let t = crate::time::local_time(second.min(i64::MAX as u64) as i64);
        let Identity { tag, pid, hostname } = &self.identity;
        // Writing to a Vec cannot fail.
        let _ = match self.format {
            Format::Local => write!(self.date, "{} {tag}[{pid}]: ", Rfc3164Date(t)),
            Format::Rfc3164 => {
                let host = hostname.as_deref().unwrap_or("localhost");
                write!(self.date, "{} {host} {tag}[{pid}]: ", Rfc3164Date(t))
            }
            Format::Rfc5424 => {
                let host = hostname.as_deref().unwrap_or("-");
                write!(self.date, "1 {}.", IsoDate(t))
                    .and_then(|()| write!(self.after, "{} {host} {tag} {pid} - ", Offset(t)))
            }
            Format::Timed | Format::Iso => {
                write!(self.date, "{}.", IsoDate(t)).and_then(|()| write!(self.after, "{} ", Offset(t)))
            }
            Format::Priority | Format::Short | Format::Raw => Ok(()),
        };
    }
}

fn six_digits(mut value: u32) -> [u8; 6] {
    let mut digits = [b'0'; 6];
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (value % 10) as u8;
        value /= 10;
    }
    digits
}

/// `Nov  2 16:00:00` (RFC 3164 §4.1.2).
struct Rfc3164Date(BrokenDownTime);

impl fmt::Display for Rfc3164Date {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.0;
        write!(f, "{} {:>2} {:02}:{:02}:{:02}", t.month_name(), t.day, t.hour, t.minute, t.second)
    }
}

/// `2026-11-22T16:00:00`.
struct IsoDate(BrokenDownTime);

impl fmt::Display for IsoDate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let t = &self.0;
        write!(f, "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", t.year, t.month, t.day, t.hour, t.minute, t.second)
    }
}

/// `+01:00`.
struct Offset(BrokenDownTime);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let minutes = self.0.utc_offset_minutes;
        let sign = if minutes < 0 { '-' } else { '+' };
        write!(f, "{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2026-11-22 16:09:43.841313 in the zone of the machine.
    const AT_US: u64 = 1_795_363_783_841_313;

    fn line(format: Format, hostname: Option<&str>, length_max_bytes: usize) -> String {
        let identity = Identity { tag: "haproxy".into(), pid: 15679, hostname: hostname.map(Into::into) };
        let mut out = Vec::new();
        Encoder::new(format, Facility::LOCAL0, identity, length_max_bytes).encode(
            Level::Alert,
            AT_US,
            b"Server b/s1 is DOWN",
            &mut out,
        );
        String::from_utf8(out).unwrap()
    }

    /// Lines as haproxy 2.6 sent them for the same event, date and offset replaced by the machine's.
    #[test]
    fn headers_are_haproxys() {
        let t = crate::time::local_time((AT_US / 1_000_000) as i64);
        let date = Rfc3164Date(t).to_string();
        let iso = format!("{}.841313{}", IsoDate(t), Offset(t));
        for (format, host, expected) in [
            (Format::Local, None, format!("<129>{date} haproxy[15679]: Server b/s1 is DOWN\n")),
            (Format::Local, Some("h"), format!("<129>{date} haproxy[15679]: Server b/s1 is DOWN\n")),
            (Format::Rfc3164, None, format!("<129>{date} localhost haproxy[15679]: Server b/s1 is DOWN\n")),
            (Format::Rfc3164, Some("h"), format!("<129>{date} h haproxy[15679]: Server b/s1 is DOWN\n")),
            (Format::Rfc5424, None, format!("<129>1 {iso} - haproxy 15679 - - Server b/s1 is DOWN\n")),
            (Format::Rfc5424, Some("h"), format!("<129>1 {iso} h haproxy 15679 - - Server b/s1 is DOWN\n")),
            (Format::Priority, None, "<129>Server b/s1 is DOWN\n".into()),
            (Format::Short, None, "<1>Server b/s1 is DOWN\n".into()),
            (Format::Timed, None, format!("<1>{iso} Server b/s1 is DOWN\n")),
            (Format::Iso, None, format!("{iso} Server b/s1 is DOWN\n")),
            (Format::Raw, None, "Server b/s1 is DOWN\n".into()),
        ] {
            assert_eq!(line(format, host, 1024), expected, "{format:?}");
        }
    }

    #[test]
    fn len_counts_header_and_text_but_not_the_newline() {
        assert_eq!(line(Format::Priority, None, 11), "<129>Server\n");
        assert_eq!(line(Format::Priority, None, 3), "<12\n");
        assert_eq!(line(Format::Raw, None, 0), "\n");
    }

    #[test]
    fn structured_data_stands_in_rfc5424_lines_only() {
        let of = |format| {
            let mut out = Vec::new();
            let identity = Identity { tag: "t".into(), pid: 1, hostname: None };
            let mut encoder = Encoder::new(format, Facility::LOCAL0, identity, 1024);
            encoder.encode_with_data(Level::Info, AT_US, b"[a@1 x=\"y\"]", b"text", &mut out);
            String::from_utf8(out).unwrap()
        };
        assert!(of(Format::Rfc5424).ends_with(" - t 1 - [a@1 x=\"y\"] text\n"));
        assert_eq!(of(Format::Priority), "<134>text\n");
    }

    #[test]
    fn the_day_is_padded_with_a_space() {
        let t = BrokenDownTime { month: 11, day: 2, hour: 6, ..Default::default() };
        assert_eq!(Rfc3164Date(t).to_string(), "Nov  2 06:00:00");
        assert_eq!(Offset(BrokenDownTime { utc_offset_minutes: -210, ..t }).to_string(), "-03:30");
    }

    #[test]
    fn names_and_numbers_agree() {
        assert_eq!(Facility::from_name("local0"), Some(Facility::LOCAL0));
        assert_eq!(Facility::from_name("daemon").map(Facility::number), Some(3));
        assert_eq!(Facility::from_name("local8"), None);
        assert_eq!(Facility::from_number(24), None);
        for number in 0..8 {
            let level = Level::from_number(number);
            assert_eq!(Level::from_name(level.name()), Some(level));
            assert_eq!(level as u8, number);
        }
    }
}
