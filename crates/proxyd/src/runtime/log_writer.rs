//! Access-log lines of one thread: collected during a turn of its loop, sent at its end, never waited for.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use hacore::logging::syslog::{Encoder, Facility, Format, Identity, Level};
use hacore::logging::{Sink, SinkError};

use crate::expr::LogFormat;
use crate::logs::Outlets;
use crate::model::{Global, LogProfile, LogStep, LogSyslogFormat, LogTarget, LogTransport, Ring};
use crate::proxy::{Process, Snapshot};

/// A line on its way: when, how serious, at which step, and how it looks where no profile says otherwise.
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    pub level: u8,
    pub wall_us: u64,
    pub step: LogStep,
    pub text: &'a [u8],
    /// `log-format-sd`, for RFC 5424 lines.
    pub structured_data: &'a [u8],
    /// `do-log profile`: takes the place of the targets' own.
    pub profile: Option<&'a LogProfile>,
}

impl<'a> Record<'a> {
    /// A line that no profile concerns: of a server's state, of the process.
    pub fn event(level: Level, wall_us: u64, text: &'a [u8]) -> Self {
        let step = LogStep::Any;
        Self { level: level as u8, wall_us, step, text, structured_data: &[], profile: None }
    }
}

/// Renders a format of a profile.
pub type Render<'a> = &'a mut dyn FnMut(&LogFormat, &mut Vec<u8>);

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
    sampler: Sampler,
    profile: Option<Arc<LogProfile>>,
}

/// `sample`: which lines of each round a target gets; all threads count the same lines.
#[derive(Debug, Clone)]
pub struct Sampler {
    rounds: Option<(Vec<crate::model::SampleRange>, u32)>,
    seen: Arc<AtomicU64>,
}

impl Sampler {
    pub fn new(target: &LogTarget, seen: Arc<AtomicU64>) -> Self {
        Self { rounds: target.sample.clone(), seen }
    }

    /// Whether this line's number within the round is in a range.
    pub fn takes(&mut self) -> bool {
        let Some((ranges, size)) = &self.rounds else { return true };
        let number = self.seen.fetch_add(1, Relaxed) % u64::from((*size).max(1)) + 1;
        ranges.iter().any(|range| (u64::from(range.first)..=u64::from(range.last)).contains(&number))
    }
}

/// The destinations of every proxy, in the snapshot's order.
#[derive(Default)]
pub struct LogWriter {
    proxies: Vec<Vec<Destination>>,
    pending: Vec<Pending>,
    waiting: usize,
    /// What profiles' formats are rendered into.
    text: Vec<u8>,
    data: Vec<u8>,
}

impl LogWriter {
    /// The writer of one thread.
    pub fn new(snapshot: &Snapshot, tag: &str, outlets: &mut Outlets) -> Result<Self, SinkError> {
        let global = &*snapshot.global;
        let mut all = Vec::with_capacity(snapshot.proxies.len());
        let mut pending: Vec<Pending> = Vec::new();
        let of_proxies =
            snapshot.proxies.iter().map(|proxy| (&proxy.logs, proxy.log_tag.as_deref(), proxy.name.as_str()));
        // What is about no proxy goes to the logs of the `global` section.
        for (targets, own_tag, name) in of_proxies.chain([(&global.logs, None, "global")]) {
            let mut destinations = Vec::new();
            for target in targets {
                if let Some(sink) = outlets.open(target, Some(snapshot))? {
                    let tag = own_tag.or(global.log_tag.as_deref()).unwrap_or(tag);
                    let known = pending.iter().position(|pending| Arc::ptr_eq(&pending.sink, &sink));
                    let at = known.unwrap_or_else(|| {
                        pending.push(Pending { sink, bytes: Vec::new(), ends: Vec::new() });
                        pending.len() - 1
                    });
                    let seen = outlets.line_count(name, destinations.len());
                    destinations.push(Destination::new(target, at, tag, snapshot, seen));
                }
            }
            all.push(destinations);
        }
        Ok(Self { proxies: all, pending, waiting: 0, text: Vec::new(), data: Vec::new() })
    }

    /// Whether anybody would get a line of this proxy.
    pub fn is_wanted(&self, proxy: usize) -> bool {
        self.proxies.get(proxy).is_some_and(|destinations| !destinations.is_empty())
    }

    /// Takes one line for the logs of the `global` section.
    pub fn write_global(&mut self, process: &Process, record: &Record<'_>) {
        self.write(process, self.proxies.len().saturating_sub(1), record);
    }

    /// Takes one line that no profile concerns; [`Self::flush`] sends it.
    pub fn write(&mut self, process: &Process, proxy: usize, record: &Record<'_>) {
        self.write_with(process, proxy, record, &mut |_, _| {});
    }

    /// Takes one line for all destinations of the proxy, each as its profile wants it; [`Self::flush`] sends it.
    pub fn write_with(&mut self, process: &Process, proxy: usize, record: &Record<'_>, render: Render<'_>) {
        let Some(destinations) = self.proxies.get_mut(proxy) else { return };
        for destination in destinations {
            if record.level > destination.level_max {
                continue;
            }
            let profile = record.profile.or(destination.profile.as_deref());
            let wanted = profile.filter(|_| record.step != LogStep::Any).and_then(|p| p.of(record.step));
            if wanted.is_some_and(|line| line.drop) || !destination.sampler.takes() {
                continue;
            }
            let Some(pending) = self.pending.get_mut(destination.sink) else { continue };
            let mut choose = |format: Option<&Arc<LogFormat>>, buffer: &mut Vec<u8>| {
                buffer.clear();
                format.map(|format| render(format, buffer)).is_some()
            };
            let text = match choose(wanted.and_then(|line| line.format.as_ref()), &mut self.text) {
                true => self.text.as_slice(),
                false => record.text,
            };
            let data = match choose(wanted.and_then(|line| line.structured_data.as_ref()), &mut self.data) {
                true => self.data.as_slice(),
                false => record.structured_data,
            };
            if text.is_empty() && data.is_empty() {
                continue;
            }
            let level = Level::from_number(record.level.max(destination.level_min));
            let encoder = &mut destination.encoder;
            encoder.encode_with_data(level, record.wall_us, data, text, &mut pending.bytes);
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
    fn new(target: &LogTarget, sink: usize, tag: &str, snapshot: &Snapshot, seen: Arc<AtomicU64>) -> Self {
        let profile = target.profile.as_ref().and_then(|name| snapshot.log_profiles.get(name)).cloned();
        let tag = profile.as_ref().and_then(|profile| profile.tag.as_deref()).unwrap_or(tag);
        Self {
            sink,
            encoder: encoder(target, tag, &snapshot.global, &snapshot.rings),
            level_max: target.level_max as u8,
            level_min: target.level_min as u8,
            sampler: Sampler::new(target, seen),
            profile,
        }
    }
}

/// The ring that a target names.
pub fn ring_of<'a>(target: &LogTarget, rings: &'a BTreeMap<String, Ring>) -> Option<&'a Ring> {
    match &target.transport {
        LogTransport::Ring(name) => rings.get(name),
        _ => None,
    }
}

/// The configuration's word for a format as the encoder takes it.
pub fn format_of(format: LogSyslogFormat) -> Format {
    match format {
        LogSyslogFormat::Local => Format::Local,
        LogSyslogFormat::Rfc3164 => Format::Rfc3164,
        LogSyslogFormat::Rfc5424 => Format::Rfc5424,
        LogSyslogFormat::Priority => Format::Priority,
        LogSyslogFormat::Short => Format::Short,
        LogSyslogFormat::Timed => Format::Timed,
        LogSyslogFormat::Iso => Format::Iso,
        LogSyslogFormat::Raw => Format::Raw,
    }
}

/// How lines for `target` begin.
pub(super) fn encoder(
    target: &LogTarget,
    tag: &str,
    global: &Global,
    rings: &BTreeMap<String, Ring>,
) -> Encoder {
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
    let ring = ring_of(target, rings);
    let format = match target.format.or(ring.map(|ring| ring.format)) {
        Some(format) => format_of(format),
        None if hostname.is_some() => Format::Rfc3164,
        None => Format::Local,
    };
    let facility = Facility::from_number(target.facility.0).unwrap_or(Facility::LOCAL0);
    let length_max_bytes = target.length_max_bytes.max(ring.map_or(0, |ring| ring.length_max_bytes));
    Encoder::new(format, facility, identity, length_max_bytes)
}
