//! The last message of each proxy that could not be read: what `show errors` lists.
//!
//! Which byte was wrong is found by reading ever shorter beginnings of the message: a beginning that is merely incomplete
//! ends before it. What the genuine program tells of its own flags has no meaning here and is shown as 0.

use std::collections::BTreeMap;
use std::fmt::Write;

use crate::txn::Endpoint;

/// A proxy or server by name and number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Party {
    pub name: String,
    pub number: u32,
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Capture {
    pub wall_us: u64,
    pub is_response: bool,
    pub frontend: Party,
    /// Of a response: where it came from.
    pub backend: Option<Party>,
    pub server: Option<Party>,
    pub source: Endpoint,
    /// As much as was there, at most one buffer.
    pub bytes: Vec<u8>,
    /// The first wrong byte.
    pub position: usize,
    /// `MSG_RQURI(4)`: where reading stopped.
    pub state: &'static str,
    pub buffer_bytes: usize,
    event: u64,
}

impl Capture {
    #[allow(clippy::too_many_arguments)]
    pub fn new(
        wall_us: u64,
        frontend: Party,
        origin: Option<(Party, Option<Party>)>,
        source: Endpoint,
        bytes: &[u8],
        position: usize,
        state: &'static str,
        buffer_bytes: usize,
    ) -> Self {
        let is_response = origin.is_some();
        let (backend, server) = origin.map_or((None, None), |(backend, server)| (Some(backend), server));
        let bytes = bytes.get(..buffer_bytes).unwrap_or(bytes).to_vec();
        Self {
            wall_us,
            is_response,
            frontend,
            backend,
            server,
            source,
            bytes,
            position,
            state,
            buffer_bytes,
            event: 0,
        }
    }

    /// The proxy that is to blame for it, or whose client is.
    fn owner(&self) -> &Party {
        self.backend.as_ref().unwrap_or(&self.frontend)
    }

    fn concerns(&self, proxy: u32) -> bool {
        self.frontend.number == proxy || self.backend.as_ref().is_some_and(|backend| backend.number == proxy)
    }

    fn write(&self, out: &mut String) {
        let Party { name, number } = self.owner();
        let shown = |party: Option<&Party>| match party {
            Some(Party { name, number }) => format!("{name} (#{number})"),
            None => "<NONE> (#-1)".to_owned(),
        };
        let other = match self.is_response {
            true => format!("frontend {}", shown(Some(&self.frontend))),
            false => format!("backend {}", shown(self.backend.as_ref())),
        };
        let (kind, what) = if self.is_response { ("backend", "response") } else { ("frontend", "request") };
        let source = match self.source {
            Endpoint::Inet(address) => format!("{}:{}", address.ip(), address.port()),
            Endpoint::Unix => "unix:1".to_owned(),
            Endpoint::Unknown => "unknown".to_owned(),
        };
        let length = self.bytes.len();
        // Writing to a String cannot fail.
        let _ = write!(
            out,
            " \n[{}] {kind} {name} (#{number}): invalid {what}\n  {other}, server {}, event #{}, src {source}\n  buffer \
             starts at 0 (including 0 out), {} free,\n  len {length}, wraps at {}, error at position {}\n  H1 connection \
             flags 0x00000000, H1 stream flags 0x00000000\n  H1 msg state {}, H1 msg flags 0x00000000\n  H1 chunk len 0 \
             bytes, H1 body len 0 bytes :\n  \n",
            date(self.wall_us),
            shown(self.server.as_ref()),
            self.event,
            self.buffer_bytes.saturating_sub(length),
            self.buffer_bytes.saturating_sub(BUFFER_RESERVE),
            self.position,
            self.state,
        );
        dump(&self.bytes, out);
    }
}

/// What the genuine program keeps of a buffer for itself.
const BUFFER_RESERVE: usize = 48;

/// `22/Nov/2026:23:00:18.254`.
fn date(wall_us: u64) -> String {
    let t = hacore::time::local_time((wall_us / 1_000_000) as i64);
    format!(
        "{:02}/{}/{:04}:{:02}:{:02}:{:02}.{:03}",
        t.day,
        t.month_name(),
        t.year,
        t.hour,
        t.minute,
        t.second,
        wall_us / 1000 % 1000
    )
}

/// Characters of a line besides its number.
const LINE_WIDTH: usize = 70;

/// Lines with the place of their first byte; `+` where the line of the message goes on.
fn dump(bytes: &[u8], out: &mut String) {
    let mut column = 0;
    let mut goes_on = false;
    for (at, byte) in bytes.iter().enumerate() {
        let text = match byte {
            b'\n' => "\\n".to_owned(),
            b'\r' => "\\r".to_owned(),
            b'\t' => "\\t".to_owned(),
            b'\\' => "\\\\".to_owned(),
            0x1b => "\\e".to_owned(),
            0x20..=0x7e => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02X}"),
        };
        if column > 0 && column + text.len() > LINE_WIDTH {
            out.push('\n');
            (column, goes_on) = (0, true);
        }
        if column == 0 {
            let _ = write!(out, "  {at:05}{} ", if goes_on { '+' } else { ' ' });
        }
        out.push_str(&text);
        column += text.len();
        if *byte == b'\n' {
            out.push('\n');
            (column, goes_on) = (0, false);
        }
    }
    if column > 0 {
        out.push('\n');
    }
}

/// The last bad request and response of every proxy, and how many there were.
#[derive(Debug, Default)]
pub struct Captures {
    last: BTreeMap<(String, bool), Capture>,
    total: u64,
}

impl Captures {
    /// Keeps it in the place of the one before.
    pub fn add(&mut self, mut capture: Capture) {
        capture.event = self.total;
        self.total += 1;
        self.last.insert((capture.owner().name.clone(), capture.is_response), capture);
    }

    /// `show errors`: of the proxy with this number or all, requests or responses or both.
    pub fn text(&self, proxy: Option<u32>, is_response: Option<bool>, now_us: u64) -> String {
        let mut out = format!("Total events captured on [{}] : {}\n", date(now_us), self.total);
        let mut shown: Vec<&Capture> = self.last.values().collect();
        shown.sort_by_key(|capture| (capture.owner().number, capture.is_response));
        for capture in shown {
            let wanted = is_response.is_none_or(|wanted| wanted == capture.is_response);
            if wanted && proxy.is_none_or(|proxy| capture.concerns(proxy)) {
                capture.write(&mut out);
            }
        }
        out
    }
}

/// The first byte that makes a message wrong, where `is_wrong` judges its beginnings by their length.
pub fn first_wrong(length: usize, mut is_wrong: impl FnMut(usize) -> bool) -> usize {
    let (mut good, mut bad) = (0, length);
    while bad - good > 1 {
        let middle = good + (bad - good) / 2;
        if is_wrong(middle) { bad = middle } else { good = middle }
    }
    good
}

#[cfg(test)]
mod tests {
    use super::*;

    fn party(name: &str, number: u32) -> Party {
        Party { name: name.to_owned(), number }
    }

    /// Lines of the genuine program, without its flags.
    #[test]
    fn a_bad_request_in_the_genuine_format() {
        let mut bytes = b"GET /bad\x01 HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
        bytes.extend([b'y'; 90]);
        bytes.extend(b"\r\n\r\n");
        let source = Endpoint::Inet("127.0.0.1:38220".parse().unwrap());
        let capture = Capture::new(0, party("f", 2), None, source, &bytes, 8, "MSG_RQURI(4)", 16_384);
        let mut captures = Captures::default();
        captures.add(capture);
        let text = captures.text(None, None, 0);
        for expected in [
            "frontend f (#2): invalid request\n  backend <NONE> (#-1), server <NONE> (#-1), event #0, src 127.0.0.1:38220\n",
            "  buffer starts at 0 (including 0 out), 16258 free,\n  len 126, wraps at 16336, error at position 8\n",
            "  H1 chunk len 0 bytes, H1 body len 0 bytes :\n  \n  00000  GET /bad\\x01 HTTP/1.1\\r\\n\n  00020  Host: a\\r\\n\n",
            "  00099+ yyyyyyyyyyyyyyyyyyyyyyy\\r\\n\n  00124  \\r\\n\n",
        ] {
            assert!(text.contains(expected), "{expected}\n{text}");
        }
    }

    #[test]
    fn each_proxy_keeps_its_last_request_and_response() {
        let mut captures = Captures::default();
        let add = |captures: &mut Captures, name, origin, byte: u8| {
            captures.add(Capture::new(0, party(name, 2), origin, Endpoint::Unix, &[byte], 0, "", 99));
        };
        add(&mut captures, "f", None, b'a');
        add(&mut captures, "f", None, b'b');
        add(&mut captures, "f", Some((party("b", 3), Some(party("s", 1)))), b'c');
        let text = captures.text(None, None, 0);
        assert!(text.contains(": 3\n") && !text.contains("00000  a"), "{text}");
        assert!(
            captures
                .text(Some(3), None, 0)
                .contains("backend b (#3): invalid response\n  frontend f (#2), server s (#1)")
        );
        assert!(!captures.text(Some(3), None, 0).contains("invalid request"));
        assert!(captures.text(Some(2), Some(false), 0).contains("00000  b"));
        assert!(!captures.text(Some(2), Some(false), 0).contains("00000  c"));
    }

    #[test]
    fn the_wrong_byte_is_found() {
        for (length, wrong) in [(10, 3), (1, 0), (2, 1), (100, 99), (100, 0)] {
            assert_eq!(first_wrong(length, |n| n > wrong), wrong);
        }
    }
}
