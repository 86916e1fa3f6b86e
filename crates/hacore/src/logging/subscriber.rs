//! `tracing` events as lines of an [`OperationalLog`]: what a daemon notices about itself, not about requests.

use std::fmt::{self, Write};
use std::sync::Arc;

use tracing::field::{Field, Visit};
use tracing::{Event, Metadata, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;

use super::operational::OperationalLog;
use super::syslog::Level;

/// A subscriber that writes every event of `level_max` and more severe ones to `log`, one line each:
/// the message, then `name=value` for each field.
pub fn subscriber(log: Arc<OperationalLog>, level_max: tracing::Level) -> impl Subscriber + Send + Sync {
    Registry::default().with(Lines { log, level_max })
}

struct Lines {
    log: Arc<OperationalLog>,
    level_max: tracing::Level,
}

impl<S: Subscriber> Layer<S> for Lines {
    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        metadata.is_event() && *metadata.level() <= self.level_max && !is_about_peers(metadata.target())
    }

    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut line = Line::default();
        event.record(&mut line);
        line.message.push_str(&line.fields);
        self.log.log(level(*event.metadata().level()), &line.message);
    }
}

/// What the HTTP/2 library says of its peers' oddities: they must not be able to fill the log.
fn is_about_peers(target: &str) -> bool {
    target == "h2" || target.starts_with("h2::")
}

fn level(level: tracing::Level) -> Level {
    match level {
        tracing::Level::ERROR => Level::Alert,
        tracing::Level::WARN => Level::Warning,
        tracing::Level::INFO => Level::Notice,
        _ => Level::Debug,
    }
}

#[derive(Default)]
struct Line {
    message: String,
    fields: String,
}

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        // Writing to a string cannot fail.
        let _ = match field.name() {
            "message" => write!(self.message, "{value:?}"),
            name => write!(self.fields, ", {name}={value:?}"),
        };
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = match field.name() {
            "message" => write!(self.message, "{value}"),
            name => write!(self.fields, ", {name}={value}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::super::sink::{Sink, SinkTarget};
    use super::super::syslog::{Encoder, Facility, Format, Identity};
    use super::*;

    #[test]
    fn an_event_is_one_line_with_its_fields() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sink = Arc::new(Sink::open(&SinkTarget::Udp(receiver.local_addr().unwrap())).unwrap());
        let encoder = Encoder::new(Format::Priority, Facility::DAEMON, Identity::new("proxyd"), 1024);
        let log = Arc::new(OperationalLog::new().destination(sink, encoder, Level::Debug, Level::Emerg));
        tracing::subscriber::with_default(subscriber(log, tracing::Level::WARN), || {
            tracing::info!("left out");
            tracing::warn!(listener = "web", error = %"too many files", "accept failed");
        });
        let mut buffer = [0; 200];
        let n = receiver.recv(&mut buffer).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&buffer[..n]),
            "<28>accept failed, listener=web, error=too many files\n"
        );
    }
}
