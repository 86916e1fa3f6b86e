//! A syslog message that came from elsewhere: its fields (RFC 3164, RFC 5424), and the same message in another format.

use hacore::logging::syslog::{Encoder, Facility, Format, Identity, Level};

/// The fields of a message; what it lacks is `None` or empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Message<'a> {
    pub facility: Option<u8>,
    pub level: Option<u8>,
    pub date: Option<Date<'a>>,
    pub host: Option<&'a [u8]>,
    pub tag: Option<&'a [u8]>,
    pub pid: Option<&'a [u8]>,
    pub message_id: Option<&'a [u8]>,
    pub structured_data: Option<&'a [u8]>,
    pub text: &'a [u8],
}

/// When it was written, as it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Date<'a> {
    /// `Nov  2 16:00:00`.
    Rfc3164(&'a [u8]),
    /// `2026-11-22T16:00:00.000000+00:00`.
    Iso(&'a [u8]),
    /// `-`: a message of RFC 5424 that says that it has none.
    Nil,
}

/// Bytes of a date of RFC 3164.
const RFC3164_DATE_BYTES: usize = 15;
/// The shortest date of RFC 5424: to the second, in UTC.
const ISO_DATE_BYTES: usize = 20;

impl<'a> Message<'a> {
    /// Understands a datagram or a line; a message that is no syslog is all text.
    pub fn parse(bytes: &'a [u8]) -> Self {
        let Some((priority, rest)) = priority(bytes) else { return Self { text: bytes, ..Self::default() } };
        let message =
            Self { facility: Some(priority / 8), level: Some(priority % 8), text: rest, ..Self::default() };
        match rest.strip_prefix(b"1 ") {
            Some(rest) => message.rfc5424(rest).unwrap_or(message),
            None => message.rfc3164(rest).unwrap_or(message),
        }
    }

    fn rfc5424(self, rest: &'a [u8]) -> Option<Self> {
        let known = |field: &'a [u8]| (field != b"-").then_some(field);
        let (date, rest) = word(rest)?;
        let (host, rest) = word(rest)?;
        let (tag, rest) = word(rest)?;
        let (pid, rest) = word(rest)?;
        let (message_id, rest) = word(rest)?;
        let (structured_data, text) = structured_data(rest)?;
        Some(Self {
            date: match known(date) {
                Some(date) => Some(date).filter(|date| date.len() >= ISO_DATE_BYTES).map(Date::Iso),
                None => Some(Date::Nil),
            },
            host: known(host),
            tag: known(tag),
            pid: known(pid),
            message_id: known(message_id),
            structured_data: known(structured_data),
            text,
            ..self
        })
    }

    /// `Nov  2 16:00:00 host tag[pid]: text`. The first word is the host, as in HAProxy, even where a sender left its
    /// host out and it is the tag: in the same format the message stays what it was.
    fn rfc3164(self, rest: &'a [u8]) -> Option<Self> {
        let date = rest.get(..RFC3164_DATE_BYTES).filter(|date| is_rfc3164_date(date))?;
        let rest = rest.get(RFC3164_DATE_BYTES..)?.strip_prefix(b" ")?;
        let (host, rest) = word(rest)?;
        let message = Self { date: Some(Date::Rfc3164(date)), host: Some(host), text: rest, ..self };
        let Some((second, text)) = word(rest) else { return Some(message) };
        Some(match tag(second) {
            Some((tag, pid)) => Self { tag: Some(tag), pid, text, ..message },
            None => message,
        })
    }

    /// The format that it came in, as near as its fields tell.
    pub fn format(&self) -> Format {
        match (self.date, self.host) {
            (Some(Date::Iso(_)), _) => Format::Rfc5424,
            (_, Some(_)) => Format::Rfc3164,
            _ if self.tag.or(self.message_id).or(self.structured_data).is_some() => Format::Local,
            _ if self.facility.is_some() => Format::Priority,
            _ => Format::Raw,
        }
    }

    /// Appends the message in `format` with a final newline, no longer than `length_max_bytes` without it.
    ///
    /// What it lacks is filled in: the time is `wall_us`, the rest what the standards have for nothing.
    pub fn encode(
        &self,
        format: Format,
        priority: (Facility, Level),
        wall_us: u64,
        length_max_bytes: usize,
        out: &mut Vec<u8>,
    ) {
        let start = out.len();
        let (facility, level) = priority;
        match format {
            Format::Iso | Format::Raw => {}
            Format::Short | Format::Timed => push_number(level as u8, out),
            _ => push_number(facility.number() * 8 + level as u8, out),
        }
        if matches!(format, Format::Timed | Format::Iso) {
            self.push_iso(wall_us, out);
            out.push(b' ');
        }
        if format == Format::Rfc5424 {
            out.extend_from_slice(b"1 ");
            match self.date {
                Some(Date::Nil) => out.push(b'-'),
                _ => self.push_iso(wall_us, out),
            }
            let data = self.structured_data;
            for field in [self.host, self.tag, self.pid, self.message_id, data] {
                out.push(b' ');
                out.extend_from_slice(field.unwrap_or(b"-"));
            }
            out.push(b' ');
        } else if matches!(format, Format::Local | Format::Rfc3164) {
            match self.date {
                Some(Date::Rfc3164(date)) => out.extend_from_slice(date),
                Some(Date::Iso(date)) if push_rfc3164(date, out).is_some() => {}
                _ => push_now(Format::Local, wall_us, out),
            }
            if format == Format::Rfc3164 {
                out.push(b' ');
                out.extend_from_slice(self.host.unwrap_or(b"localhost"));
            }
            if let Some(tag) = self.tag {
                out.push(b' ');
                out.extend_from_slice(tag);
                if let Some(pid) = self.pid {
                    out.push(b'[');
                    out.extend_from_slice(pid);
                    out.push(b']');
                }
                out.push(b':');
            }
            out.push(b' ');
        }
        out.extend_from_slice(self.text);
        out.truncate(start + length_max_bytes);
        out.push(b'\n');
    }

    /// The message's date as RFC 5424 has it, or the date of now.
    fn push_iso(&self, wall_us: u64, out: &mut Vec<u8>) {
        match self.date {
            Some(Date::Iso(date)) => out.extend_from_slice(date),
            Some(Date::Rfc3164(date)) if push_this_years(date, wall_us, out).is_some() => {}
            _ => push_now(Format::Iso, wall_us, out),
        }
    }
}

fn push_number(number: u8, out: &mut Vec<u8>) {
    out.push(b'<');
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    out.push(b'>');
}

/// `<134>`: a number up to 191 without leading zeros.
fn priority(bytes: &[u8]) -> Option<(u8, &[u8])> {
    let rest = bytes.strip_prefix(b"<")?;
    let end = rest.iter().take(4).position(|byte| *byte == b'>')?;
    let number: u8 = std::str::from_utf8(rest.get(..end)?).ok()?.parse().ok()?;
    (number < 192 && rest.first()?.is_ascii_digit()).then_some((number, rest.get(end + 1..)?))
}

fn word(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(b' ', bytes)?;
    Some((bytes.get(..end)?, bytes.get(end + 1..)?)).filter(|(word, _)| !word.is_empty())
}

/// `-` or elements in brackets, and what follows.
fn structured_data(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (mut at, mut quoted, mut escaped, mut open) = (0, false, false, false);
    for byte in bytes {
        match byte {
            b' ' if !open => break,
            b'"' if open && !escaped => quoted = !quoted,
            b'[' if !quoted => open = true,
            b']' if !quoted && !escaped => open = false,
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
        at += 1;
    }
    let (data, rest) = bytes.split_at_checked(at)?;
    (!data.is_empty() && !open).then(|| (data, rest.strip_prefix(b" ").unwrap_or(rest)))
}

/// `name:` or `name[pid]:`.
fn tag(word: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let word = word.strip_suffix(b":")?;
    match memchr::memchr(b'[', word) {
        Some(at) => Some((word.get(..at)?, word.get(at + 1..)?.strip_suffix(b"]"))),
        None => Some((word, None)),
    }
}

const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

fn is_rfc3164_date(date: &[u8]) -> bool {
    let pattern = b"aaa _0 00:00:00";
    let fits = |(byte, wanted): (&u8, &u8)| match wanted {
        b'a' => byte.is_ascii_alphabetic(),
        b'0' => byte.is_ascii_digit(),
        b'_' => *byte == b' ' || byte.is_ascii_digit(),
        other => byte == other,
    };
    date.len() == pattern.len() && date.iter().zip(pattern).all(fits)
}

/// A date of RFC 5424 as one of RFC 3164.
fn push_rfc3164(iso: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let month: usize = std::str::from_utf8(iso.get(5..7)?).ok()?.parse().ok()?;
    let month = MONTHS.get(month.checked_sub(1)?)?;
    let (day, time) = (iso.get(8..10)?, iso.get(11..19)?);
    out.extend_from_slice(*month);
    out.push(b' ');
    match day {
        [b'0', day] => out.extend_from_slice(&[b' ', *day]),
        day => out.extend_from_slice(day),
    }
    out.push(b' ');
    out.extend_from_slice(time);
    Some(())
}

/// A date of RFC 3164 as one of RFC 5424: it lacks the year, which is taken to be this one, and the zone, which is
/// written as unknown (RFC 3339 §4.3).
fn push_this_years(date: &[u8], wall_us: u64, out: &mut Vec<u8>) -> Option<()> {
    let month = MONTHS.iter().position(|month| date.starts_with(*month))? + 1;
    let day: u8 = std::str::from_utf8(date.get(4..6)?.trim_ascii()).ok()?.parse().ok()?;
    let time = date.get(7..15)?;
    let year = hacore::time::local_time(i64::try_from(wall_us / 1_000_000).ok()?).year;
    out.extend_from_slice(format!("{year:04}-{month:02}-{day:02}T").as_bytes());
    out.extend_from_slice(time);
    out.extend_from_slice(b"-00:00");
    Some(())
}

/// The date of now in the shape that this format has, without what follows it.
fn push_now(shape: Format, wall_us: u64, out: &mut Vec<u8>) {
    let mut header = Vec::new();
    Encoder::new(shape, Facility::LOCAL0, Identity::new("x"), usize::MAX).header(
        Level::Info,
        wall_us,
        &mut header,
    );
    let date = match shape {
        Format::Iso => header.strip_suffix(b" ").unwrap_or(&header),
        _ => {
            let start = memchr::memchr(b'>', &header).map_or(0, |at| at + 1);
            header.get(start..start + RFC3164_DATE_BYTES).unwrap_or_default()
        }
    };
    out.extend_from_slice(date);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn again(bytes: &str, format: Format) -> String {
        let message = Message::parse(bytes.as_bytes());
        let facility = Facility::from_number(message.facility.unwrap_or(16)).unwrap();
        let level = Level::from_number(message.level.unwrap_or(6));
        let mut out = Vec::new();
        message.encode(format, (facility, level), 0, 1024, &mut out);
        String::from_utf8(out).unwrap()
    }

    const OLD: &str = "<165>Aug  4 05:06:07 mymachine myproc[10]: %% It's time to make the do-nuts";
    const NEW: &str =
        "<165>1 2003-08-04T05:06:07.000003-07:00 host app 77 ID47 [e@1 a=\"]\\\"\"][f@2] text [x]";

    #[test]
    fn fields_of_both_standards() {
        let old = Message::parse(OLD.as_bytes());
        assert_eq!((old.facility, old.level), (Some(20), Some(5)));
        assert_eq!(
            (old.host, old.tag, old.pid),
            (Some(&b"mymachine"[..]), Some(&b"myproc"[..]), Some(&b"10"[..]))
        );
        assert_eq!(old.text, b"%% It's time to make the do-nuts");
        let new = Message::parse(NEW.as_bytes());
        assert_eq!(
            (new.message_id, new.structured_data),
            (Some(&b"ID47"[..]), Some(&b"[e@1 a=\"]\\\"\"][f@2]"[..]))
        );
        assert_eq!(new.text, b"text [x]");
    }

    #[test]
    fn a_message_keeps_its_format() {
        for text in [
            OLD,
            NEW,
            "<134>Nov 22 16:00:00 haproxy[123]: text",
            "<13>only a priority",
            "no syslog at all",
            "<999>no priority",
            "<13>Aug  4 05:06:07 host",
            "<13>",
        ] {
            let format = Message::parse(text.as_bytes()).format();
            assert_eq!(again(text, format), format!("{text}\n"));
        }
    }

    #[test]
    fn one_standard_becomes_the_other() {
        assert_eq!(again(NEW, Format::Rfc3164), "<165>Aug  4 05:06:07 host app[77]: text [x]\n");
        let new = again(OLD, Format::Rfc5424);
        let end = "-08-04T05:06:07-00:00 mymachine myproc 10 - - %% It's time to make the do-nuts\n";
        assert!(new.starts_with("<165>1 ") && new.ends_with(end), "{new}");
        assert_eq!(again(NEW, Format::Timed), "<5>2003-08-04T05:06:07.000003-07:00 text [x]\n");
        assert_eq!(again(OLD, Format::Raw), "%% It's time to make the do-nuts\n");
        assert_eq!(again(OLD, Format::Short), "<5>%% It's time to make the do-nuts\n");
        let filled = again("plain", Format::Rfc3164);
        assert!(filled.starts_with("<134>") && filled.ends_with(" localhost plain\n"), "{filled}");
    }

    proptest! {
        #[test]
        fn never_panics(bytes: Vec<u8>, cut in 0usize..100) {
            for text in [bytes.as_slice(), NEW.as_bytes().get(..cut).unwrap_or_default(), OLD.as_bytes().get(..cut).unwrap_or_default()] {
                let message = Message::parse(text);
                let mut out = Vec::new();
                message.encode(message.format(), (Facility::LOCAL0, Level::Info), 0, 80, &mut out);
                prop_assert!(out.len() <= 81);
            }
        }
    }
}
