//! The Prometheus exporter (`http-request use-service prometheus-exporter`): HAProxy's metrics under HAProxy's names, in
//! the text format 0.0.4, and histograms of response and total times besides.
//!
//! What is exported follows the exporter's documentation: parameters `scope`, `metrics`, `no-maint`, `desc-labels` and
//! `extra-counters`. Names, types and labels are compared with the genuine program's by `tests/prometheus_oracle.rs`.

mod query;
mod tables;

use std::fmt::Write;

use hacore::health::{AdminState, CheckStatus, Operation};

pub use query::Query;
use tables::{Metric, Shape};

use super::report::PIECE_BYTES;
use super::stats::collect::Clock;
use super::stats::info::{self, Program};
use super::stats::walk::{Columns, Filter, Object, Position};
use super::stats::{COLUMNS, Column, ObjectKind, StatRow, Value};
use crate::proxy::{Backend, RequestTime, Server, Snapshot};

const SCOPES: [(&str, ObjectKind); 4] = [
    ("frontend", ObjectKind::Frontend),
    ("listener", ObjectKind::Listener),
    ("backend", ObjectKind::Backend),
    ("server", ObjectKind::Server),
];

/// An export on its way: one metric after the other, each of one object after the other.
#[derive(Debug, Clone)]
pub struct Export {
    query: Query,
    /// The families that the query asks for, in reverse.
    left: Vec<Family>,
    /// How far the last of `left` has come.
    position: Position,
    /// Its HELP and TYPE lines are written.
    is_headed: bool,
}

/// What has HELP and TYPE lines of its own; the process's figures count as one.
#[derive(Debug, Clone, Copy)]
enum Family {
    Process,
    Objects(&'static str, ObjectKind, &'static Metric),
    Times(&'static str, ObjectKind, RequestTime, &'static str),
}

impl Export {
    pub fn new(query: Query) -> Self {
        let wanted = |scope: &str, suffix: &str| {
            query.wants_scope(scope) && query.wants_metric(&format!("haproxy_{scope}_{suffix}"))
        };
        let mut left = Vec::new();
        if query.wants_scope("global") {
            left.push(Family::Process);
        }
        for (scope, kind) in SCOPES {
            let has = |metric: &&Metric| {
                metric.kinds & kind.filter_bit() != 0
                    && (!metric.is_extra || query.extra_counters)
                    && wanted(scope, metric.suffix)
            };
            left.extend(
                tables::OBJECTS.iter().filter(has).map(|metric| Family::Objects(scope, kind, metric)),
            );
        }
        for (scope, kind) in SCOPES.iter().filter(|(_, kind)| kind.has_times()) {
            for (time, suffix) in
                [(RequestTime::Response, "response_time_seconds"), (RequestTime::Total, "total_time_seconds")]
            {
                if wanted(scope, suffix) {
                    left.push(Family::Times(scope, *kind, time, suffix));
                }
            }
        }
        left.reverse();
        Self { query, left, position: Position::default(), is_headed: false }
    }

    /// Writes on until there is a piece; false once that was the end.
    pub fn more(&mut self, snapshot: &Snapshot, out: &mut String) -> bool {
        let clock = Clock::of(snapshot);
        while let Some(family) = self.left.last().copied() {
            let goes_on = match family {
                Family::Process => {
                    self.process(snapshot, out);
                    false
                }
                Family::Objects(scope, kind, metric) => {
                    self.objects(snapshot, &clock, (scope, kind, metric), out)
                }
                Family::Times(scope, kind, time, suffix) => {
                    self.times(snapshot, (scope, kind, time, suffix), out)
                }
            };
            if goes_on {
                return true;
            }
            self.left.pop();
            self.position = Position::default();
            self.is_headed = false;
        }
        false
    }

    fn filter(&self, kind: ObjectKind, columns: Columns) -> Filter {
        Filter {
            without_maintenance: self.query.without_maintenance,
            with_listeners: true,
            kinds: kind.filter_bit(),
            columns: columns.and(Column::ProxyName).and(Column::ServiceName),
            ..Filter::default()
        }
    }
}

/// Writing to a String cannot fail: every result of `write!` here is `Ok`.
fn head(name: &str, help: &str, kind: &str, out: &mut String) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

impl Export {
    fn process(&self, snapshot: &Snapshot, out: &mut String) {
        let program = Program { version: crate::version::full().to_string(), release_date: String::new() };
        let fields = info::collect(snapshot, &program);
        for (suffix, field, kind) in tables::PROCESS {
            let name = format!("haproxy_process_{suffix}");
            if !self.query.wants_metric(&name) {
                continue;
            }
            let found = fields.iter().find(|known| known.name == *field);
            let help = found.map_or("not measured", |field| field.doc);
            head(&name, help, kind.name(), out);
            match (found.map(|field| &field.value), *suffix) {
                (Some(value), "build_info") => {
                    let _ = writeln!(out, "{name}{{version=\"{}\"}} 1", escaped(&value.to_string()));
                }
                (Some(value), _) => {
                    let _ = writeln!(out, "{name} {value}");
                }
                (None, _) => {
                    let _ = writeln!(out, "{name} NaN");
                }
            }
        }
        let name = "haproxy_process_description";
        if let Some(text) = snapshot.global.description.as_deref().filter(|_| self.query.wants_metric(name)) {
            head(name, "description of the node", "gauge", out);
            let _ = writeln!(out, "{name}{{desc=\"{}\"}} 1", escaped(text));
        }
    }

    /// One metric of every object of a kind; true when there is a piece and more to come.
    fn objects(
        &mut self,
        snapshot: &Snapshot,
        clock: &Clock,
        (scope, kind, metric): (&str, ObjectKind, &Metric),
        out: &mut String,
    ) -> bool {
        let name = format!("haproxy_{scope}_{}", metric.suffix);
        let columns = match metric.shape {
            Shape::Responses => tables::RESPONSES
                .iter()
                .fold(Columns::only(metric.column), |all, (column, _)| all.and(*column)),
            _ => Columns::only(metric.column),
        };
        // What `is_meant` asks for.
        let columns = [Column::Mode, Column::CheckStatus, Column::Downtime]
            .into_iter()
            .fold(columns, |all, column| if needs(metric, column) { all.and(column) } else { all });
        let filter = self.filter(kind, columns);
        while let Some(object) = self.position.next(snapshot, &filter) {
            let Some(row) = object.row(&filter, clock).filter(|row| is_meant(metric, row)) else { continue };
            if !std::mem::replace(&mut self.is_headed, true) {
                let help = COLUMNS.get(metric.column as usize).map_or("", |column| column.doc);
                let help = match metric.shape {
                    Shape::Milliseconds => help.replace("milliseconds", "seconds"),
                    _ => help.to_owned(),
                };
                head(&name, &help, metric.kind.name(), out);
            }
            self.lines(snapshot, &name, metric, (&object, &row), out);
            if out.len() >= PIECE_BYTES {
                return true;
            }
        }
        false
    }

    fn lines(
        &self,
        snapshot: &Snapshot,
        name: &str,
        metric: &Metric,
        (object, row): (&Object<'_>, &StatRow),
        out: &mut String,
    ) {
        let labels = self.labels(snapshot, row);
        match metric.shape {
            Shape::Plain => match row.value(metric.column) {
                Some(value) => {
                    let _ = writeln!(out, "{name}{{{labels}}} {value}");
                }
                None => {
                    let _ = writeln!(out, "{name}{{{labels}}} NaN");
                }
            },
            Shape::Milliseconds => {
                let ms = row.value(metric.column).and_then(number).unwrap_or(0);
                let _ = writeln!(out, "{name}{{{labels}}} {}.{:03}000", ms / 1000, ms % 1000);
            }
            Shape::Responses => {
                for (column, code) in tables::RESPONSES {
                    if let Some(value) = row.value(*column) {
                        let _ = writeln!(out, "{name}{{{labels},code=\"{code}\"}} {value}");
                    }
                }
            }
            Shape::Status => {
                let status = row.value(Column::Status).map(ToString::to_string).unwrap_or_default();
                let (states, now) = state(row.kind, &status);
                for state in states {
                    let _ = writeln!(out, "{name}{{{labels},state=\"{state}\"}} {}", u8::from(*state == now));
                }
            }
            Shape::CheckStatus => {
                let now = row.value(Column::CheckStatus).map(ToString::to_string).unwrap_or_default();
                for state in tables::CHECK_STATES {
                    let is_it = now.trim_start_matches("* ") == *state;
                    let _ = writeln!(out, "{name}{{{labels},state=\"{state}\"}} {}", u8::from(is_it));
                }
            }
            Shape::ServerStates | Shape::CheckStates => {
                let Object::Backend(backend) = object else { return };
                let (states, counts) = match metric.shape {
                    Shape::ServerStates => (SERVER_STATES, count(backend, SERVER_STATES, state_word)),
                    _ => (tables::CHECK_STATES, count(backend, tables::CHECK_STATES, check_word)),
                };
                for (state, count) in states.iter().zip(counts) {
                    let _ = writeln!(out, "{name}{{{labels},state=\"{state}\"}} {count}");
                }
            }
        }
    }

    fn labels(&self, snapshot: &Snapshot, row: &StatRow) -> String {
        let text = |column| row.value(column).map(ToString::to_string).unwrap_or_default();
        let proxy = text(Column::ProxyName);
        let mut labels = format!("proxy=\"{}\"", escaped(&proxy));
        match row.kind {
            ObjectKind::Listener => {
                let _ = write!(labels, ",listener=\"{}\"", escaped(&text(Column::ServiceName)));
            }
            ObjectKind::Server => {
                let _ = write!(labels, ",server=\"{}\"", escaped(&text(Column::ServiceName)));
            }
            ObjectKind::Frontend | ObjectKind::Backend => {}
        }
        if self.query.description_labels
            && let Some(model) = snapshot.proxies.iter().find(|model| model.name == proxy)
            && let Some(description) = &model.description
        {
            let _ = write!(labels, ",desc=\"{}\"", escaped(description));
        }
        labels
    }

    /// The histogram of one time of every object of a kind; true when there is a piece and more to come.
    fn times(
        &mut self,
        snapshot: &Snapshot,
        (scope, kind, time, suffix): (&str, ObjectKind, RequestTime, &str),
        out: &mut String,
    ) -> bool {
        let name = format!("haproxy_{scope}_{suffix}");
        let filter = self.filter(kind, Columns::only(Column::ProxyName));
        let clock = Clock::of(snapshot);
        while let Some(object) = self.position.next(snapshot, &filter) {
            let counters = match object {
                Object::Backend(backend) => &backend.counters,
                Object::Server(_, server) => &server.counters,
                Object::Frontend(_) | Object::Listener(..) => continue,
            };
            let Some(row) = object.row(&filter, &clock) else { continue };
            let Some(histogram) = counters.histogram(time) else { continue };
            if !std::mem::replace(&mut self.is_headed, true) {
                let help = match time {
                    RequestTime::Response => "time from the connection to the response's head",
                    _ => "time from the request's first byte to the response's last",
                };
                head(&name, help, "histogram", out);
            }
            histogram.write(&name, &self.labels(snapshot, &row), out);
            if out.len() >= PIECE_BYTES {
                return true;
            }
        }
        false
    }
}

impl ObjectKind {
    /// Whether requests are timed there.
    fn has_times(self) -> bool {
        matches!(self, ObjectKind::Backend | ObjectKind::Server)
    }
}

/// Whether [`is_meant`] looks at the column.
fn needs(metric: &Metric, column: Column) -> bool {
    match column {
        Column::Mode => metric.needs_http,
        Column::Downtime => matches!(metric.shape, Shape::ServerStates | Shape::CheckStates),
        _ => metric.shape == Shape::CheckStatus || is_of_check(metric),
    }
}

fn is_of_check(metric: &Metric) -> bool {
    matches!(metric.column, Column::CheckCode | Column::CheckDuration)
}

/// Whether the object has this figure at all, as the genuine exporter decides it.
fn is_meant(metric: &Metric, row: &StatRow) -> bool {
    let is_http = || row.value(Column::Mode).is_some_and(|mode| mode.to_string() == "http");
    let has_check = || row.value(Column::CheckStatus).is_some();
    let has_servers = || row.value(Column::Downtime).is_some();
    (!metric.needs_http || is_http())
        && match metric.shape {
            Shape::CheckStatus => has_check(),
            Shape::ServerStates | Shape::CheckStates => has_servers(),
            _ if is_of_check(metric) => has_check(),
            _ => true,
        }
}

const SERVER_STATES: &[&str] = &["DOWN", "UP", "MAINT", "DRAIN", "NOLB"];

/// The states that a kind of object has, and which one a status means.
fn state(kind: ObjectKind, status: &str) -> (&'static [&'static str], &'static str) {
    match kind {
        ObjectKind::Listener => {
            let now = match status {
                "OPEN" => "OPEN",
                "FULL" => "FULL",
                _ => "WAITING",
            };
            (&["WAITING", "OPEN", "FULL"], now)
        }
        ObjectKind::Frontend => (&["DOWN", "UP"], if status == "STOP" { "DOWN" } else { "UP" }),
        ObjectKind::Backend => (&["DOWN", "UP"], if status.starts_with("UP") { "UP" } else { "DOWN" }),
        ObjectKind::Server => {
            let now = match status.split(' ').next().unwrap_or_default() {
                "MAINT" => "MAINT",
                "DRAIN" => "DRAIN",
                "NOLB" => "NOLB",
                "DOWN" => "DOWN",
                _ => "UP",
            };
            (SERVER_STATES, now)
        }
    }
}

/// How many servers of a backend have each of the words.
fn count(backend: &Backend, words: &[&str], word: impl Fn(&Server) -> &'static str) -> Vec<usize> {
    let mut counts = vec![0; words.len()];
    for server in &backend.servers {
        let now = word(server);
        if let Some(at) = words.iter().position(|word| *word == now) {
            counts[at] += 1;
        }
    }
    counts
}

fn state_word(server: &Server) -> &'static str {
    let health = server.health.lock();
    match (health.admin(), health.operation()) {
        (AdminState::Maintenance, _) => "MAINT",
        (AdminState::Drain, _) => "DRAIN",
        (_, Operation::Stopped) => "DOWN",
        (_, Operation::Stopping) => "NOLB",
        _ => "UP",
    }
}

fn check_word(server: &Server) -> &'static str {
    let status = server.health.lock().last_check().map(|check| check.status);
    status.unwrap_or(CheckStatus::Unknown).word()
}

fn number(value: &Value) -> Option<u64> {
    match value {
        Value::U32(n) => Some(u64::from(*n)),
        Value::U64(n) => Some(*n),
        Value::S32(n) => u64::try_from(*n).ok(),
        Value::Text(_) => None,
    }
}

/// Label values escape backslash, quote and line feed (text format 0.0.4).
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
