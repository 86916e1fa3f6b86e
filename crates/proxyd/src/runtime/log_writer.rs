//! Access-log lines of one thread: collected during a turn of its loop, sent at its end, never waited for.

use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

use hacore::logging::syslog::{Encoder, Facility, Format, Identity, Level};
use hacore::logging::{Sink, SinkError, SinkTarget};

use crate::model::{Global, LogSyslogFormat, LogTarget, LogTransport, Proxy};
use crate::proxy::Process;

/// Lines of one sink that wait for the end of the turn.
struct Pending {
    sink: Arc<Sink>,
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

/// Lines collected for one sink before they are sent without waiting for the turn's end.
const PENDING_MAX: usize = 256;

/// One `log` line's destination with the thread's encoder for it.
struct Destination {
    /// Which of [`LogWriter::pending`] takes the lines.
    sink: usize,
    encoder: Encoder,
    level_max: u8,
    level_min: u8,
    sample: Option<(Vec<crate::model::SampleRange>, u32, u32)>,
}

/// The destinations of every proxy, in the snapshot's order.
#[derive(Default)]
pub struct LogWriter {
    proxies: Vec<Vec<Destination>>,
    pending: Vec<Pending>,
    waiting: usize,
}

/// The open sinks of a configuration, one per distinct target; shared by all threads.
#[derive(Debug, Default, Clone)]
pub struct Sinks {
    open: Vec<(LogTransport, Arc<Sink>)>,
}

impl Sinks {
    /// Opens what the proxies log to. What cannot be opened is reported by the caller.
    pub fn open(&mut self, target: &LogTarget) -> Result<Option<Arc<Sink>>, SinkError> {
        if let Some((_, sink)) = self.open.iter().find(|(transport, _)| *transport == target.transport) {
            return Ok(Some(Arc::clone(sink)));
        }
        let to = match &target.transport {
            LogTransport::Udp(address) => SinkTarget::Udp(*address),
            LogTransport::Unix(path) => SinkTarget::Unix(path.clone()),
            LogTransport::Fd(number) => SinkTarget::Descriptor(*number),
            LogTransport::Ring(_) => return Ok(None),
        };
        let sink = Arc::new(Sink::open(&to)?);
        self.open.push((target.transport.clone(), Arc::clone(&sink)));
        Ok(Some(sink))
    }

    /// Lines lost at all sinks.
    pub fn dropped(&self) -> u64 {
        self.open.iter().map(|(_, sink)| sink.dropped()).sum()
    }
}

impl LogWriter {
    /// The writer of one thread.
    pub fn new(
        proxies: &[Arc<Proxy>],
        global: &Global,
        tag: &str,
        sinks: &mut Sinks,
    ) -> Result<Self, SinkError> {
        let mut all = Vec::with_capacity(proxies.len());
        let mut pending: Vec<Pending> = Vec::new();
        for proxy in proxies {
            let mut destinations = Vec::new();
            for target in &proxy.logs {
                if let Some(sink) = sinks.open(target)? {
                    let tag = proxy.log_tag.as_deref().or(global.log_tag.as_deref()).unwrap_or(tag);
                    let known = pending.iter().position(|pending| Arc::ptr_eq(&pending.sink, &sink));
                    let at = known.unwrap_or_else(|| {
                        pending.push(Pending { sink, bytes: Vec::new(), ends: Vec::new() });
                        pending.len() - 1
                    });
                    destinations.push(Destination::new(target, at, tag, global));
                }
            }
            all.push(destinations);
        }
        Ok(Self { proxies: all, pending, waiting: 0 })
    }

    /// Whether anybody would get a line of this proxy.
    pub fn is_wanted(&self, proxy: usize) -> bool {
        self.proxies.get(proxy).is_some_and(|destinations| !destinations.is_empty())
    }

    /// Takes one line for all destinations of the proxy; [`Self::flush`] sends it.
    pub fn write(&mut self, process: &Process, proxy: usize, level: u8, wall_us: u64, text: &[u8]) {
        let Some(destinations) = self.proxies.get_mut(proxy) else { return };
        for destination in destinations {
            if level > destination.level_max || !destination.sampled() {
                continue;
            }
            let Some(pending) = self.pending.get_mut(destination.sink) else { continue };
            let level = Level::from_number(level.max(destination.level_min));
            destination.encoder.encode(level, wall_us, text, &mut pending.bytes);
            pending.ends.push(pending.bytes.len());
            self.waiting += 1;
        }
        if self.waiting >= PENDING_MAX {
            self.flush(process);
        }
    }

    /// Sends what was collected.
    pub fn flush(&mut self, process: &Process) {
        if std::mem::take(&mut self.waiting) == 0 {
            return;
        }
        for pending in self.pending.iter_mut().filter(|pending| !pending.ends.is_empty()) {
            let lost = pending.sink.send_all(&pending.bytes, &pending.ends);
            process.dropped_logs.fetch_add(lost, Relaxed);
            pending.bytes.clear();
            pending.ends.clear();
        }
    }
}

impl Destination {
    fn new(target: &LogTarget, sink: usize, tag: &str, global: &Global) -> Self {
        Self {
            sink,
            encoder: encoder(target, tag, global),
            level_max: target.level_max as u8,
            level_min: target.level_min as u8,
            sample: target.sample.as_ref().map(|(ranges, size)| (ranges.clone(), *size, 0)),
        }
    }

    /// `sample`: whether this line's number within the round is in a range.
    fn sampled(&mut self) -> bool {
        let Some((ranges, size, seen)) = &mut self.sample else { return true };
        *seen = *seen % (*size).max(1) + 1;
        ranges.iter().any(|range| (range.first..=range.last).contains(seen))
    }
}

/// How lines for `target` begin.
pub(super) fn encoder(target: &LogTarget, tag: &str, global: &Global) -> Encoder {
    let hostname = global.log_send_hostname.as_deref();
    let identity = Identity::new(tag);
    let identity = match hostname {
        Some("") => match nix::unistd::gethostname() {
            Ok(name) => identity.with_hostname(name.to_string_lossy()),
            Err(_) => identity,
        },
        Some(name) => identity.with_hostname(name),
        None => identity,
    };
    let format = match target.format {
        LogSyslogFormat::Local => Format::Local,
        LogSyslogFormat::Rfc3164 if hostname.is_none() => Format::Local,
        LogSyslogFormat::Rfc3164 => Format::Rfc3164,
        LogSyslogFormat::Rfc5424 => Format::Rfc5424,
        LogSyslogFormat::Priority => Format::Priority,
        LogSyslogFormat::Short => Format::Short,
        LogSyslogFormat::Timed => Format::Timed,
        LogSyslogFormat::Iso => Format::Iso,
        LogSyslogFormat::Raw => Format::Raw,
    };
    let facility = Facility::from_number(target.facility.0).unwrap_or(Facility::LOCAL0);
    Encoder::new(format, facility, identity, target.length_max_bytes)
}
