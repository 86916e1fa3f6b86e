//! A daemon's own messages: one line to every destination, and to the terminal where asked.

use std::io::Write;

use parking_lot::Mutex;

use super::sink::Sink;
use super::syslog::{Encoder, Level};

/// Destinations of operational messages. For events, not for requests: it takes a lock per line.
pub struct OperationalLog {
    destinations: Vec<Destination>,
    /// Lines are also written here in full, as `tag[pid]: text` is to syslog.
    console: Option<ConsoleFormat>,
    encoders: Mutex<(Vec<Encoder>, Vec<u8>)>,
}

/// Renders a line for the terminal.
type ConsoleFormat = Box<dyn Fn(Level, &str) -> String + Send + Sync>;

struct Destination {
    sink: std::sync::Arc<Sink>,
    level_max: Level,
    level_min: Level,
}

impl OperationalLog {
    pub fn new() -> Self {
        Self { destinations: Vec::new(), console: None, encoders: Mutex::new((Vec::new(), Vec::new())) }
    }

    /// Adds a destination: messages less severe than `level_max` are left out, ones more severe than
    /// `level_min` go out as `level_min`.
    pub fn destination(
        mut self,
        sink: std::sync::Arc<Sink>,
        encoder: Encoder,
        level_max: Level,
        level_min: Level,
    ) -> Self {
        self.destinations.push(Destination { sink, level_max, level_min });
        self.encoders.get_mut().0.push(encoder);
        self
    }

    /// Also prints every message to standard error, as `format` renders it.
    pub fn console(mut self, format: impl Fn(Level, &str) -> String + Send + Sync + 'static) -> Self {
        self.console = Some(Box::new(format));
        self
    }

    /// Sends one message; line breaks in it become spaces, so that one message stays one line.
    pub fn log(&self, level: Level, text: &str) {
        let clean = if text.contains(['\n', '\r']) {
            std::borrow::Cow::Owned(text.replace(['\n', '\r'], " "))
        } else {
            std::borrow::Cow::Borrowed(text)
        };
        if let Some(format) = &self.console {
            // A terminal that went away must not end the daemon.
            let _ = writeln!(std::io::stderr(), "{}", format(level, &clean));
        }
        let wall_us = crate::time::wall_us();
        let mut guard = self.encoders.lock();
        let (encoders, line) = &mut *guard;
        for (destination, encoder) in self.destinations.iter().zip(encoders) {
            if level > destination.level_max {
                continue;
            }
            line.clear();
            encoder.encode(level.max(destination.level_min), wall_us, clean.as_bytes(), line);
            destination.sink.send(line);
        }
    }

    /// Messages lost over all destinations.
    pub fn dropped(&self) -> u64 {
        self.destinations.iter().map(|destination| destination.sink.dropped()).sum()
    }
}

impl Default for OperationalLog {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;
    use std::sync::Arc;

    use super::super::sink::SinkTarget;
    use super::super::syslog::{Facility, Format, Identity};
    use super::*;

    #[test]
    fn levels_are_cut_and_raised_and_breaks_removed() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sink = Arc::new(Sink::open(&SinkTarget::Udp(receiver.local_addr().unwrap())).unwrap());
        let encoder =
            Encoder::new(Format::Priority, Facility::DAEMON, Identity::new("Keepalived_vrrp"), 1024);
        let log = OperationalLog::new().destination(sink, encoder, Level::Notice, Level::Err);
        log.log(Level::Info, "left out");
        log.log(Level::Emerg, "(VI_1) Entering\nMASTER STATE");
        let mut buffer = [0; 100];
        let n = receiver.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..n], b"<27>(VI_1) Entering MASTER STATE\n");
    }
}
