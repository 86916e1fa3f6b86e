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

use super::stats::collect::{self, Filter};
use super::stats::info::{self, Program};

use super::stats::{COLUMNS, Column, ObjectKind, StatRow, Value};
use crate::proxy::{Backend, Counters, RequestTime, Snapshot};

/// All metrics that the query asks for.
pub fn render(snapshot: &Snapshot, query: &Query, out: &mut String) {
    let filter = Filter { without_maintenance: query.without_maintenance, ..Filter::default() };
    let mut rows = Vec::new();
    collect::rows_with_listeners(snapshot, &filter, |row| rows.push(row));
    let exporter = Exporter { snapshot, query, rows };
    if query.wants_scope("global") {
        exporter.process(out);
    }
    for (scope, kind, metrics) in [
        ("frontend", ObjectKind::Frontend, tables::FRONTEND),
        ("listener", ObjectKind::Listener, tables::LISTENER),
        ("backend", ObjectKind::Backend, tables::BACKEND),
        ("server", ObjectKind::Server, tables::SERVER),
    ] {
        if query.wants_scope(scope) {
            for metric in metrics.iter().filter(|metric| !metric.is_extra || query.extra_counters) {
                exporter.objects(scope, kind, metric, out);
            }
        }
    }
    for (scope, time, name) in [
        ("backend", RequestTime::Response, "response_time_seconds"),
        ("backend", RequestTime::Total, "total_time_seconds"),
        ("server", RequestTime::Response, "response_time_seconds"),
        ("server", RequestTime::Total, "total_time_seconds"),
    ] {
        if query.wants_scope(scope) {
            exporter.times(scope, time, name, out);
        }
    }
}

struct Exporter<'a> {
    snapshot: &'a Snapshot,
    query: &'a Query,
    rows: Vec<StatRow>,
}

/// Writing to a String cannot fail: every result of `write!` here is `Ok`.
fn head(name: &str, help: &str, kind: &str, out: &mut String) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

impl Exporter<'_> {
    fn process(&self, out: &mut String) {
        let program = Program { version: crate::version::full().to_string(), release_date: String::new() };
        let fields = info::collect(self.snapshot, &program);
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
        if let Some(text) =
            self.snapshot.global.description.as_deref().filter(|_| self.query.wants_metric(name))
        {
            head(name, "description of the node", "gauge", out);
            let _ = writeln!(out, "{name}{{desc=\"{}\"}} 1", escaped(text));
        }
    }

    /// One metric of every object of a kind.
    fn objects(&self, scope: &str, kind: ObjectKind, metric: &Metric, out: &mut String) {
        let name = format!("haproxy_{scope}_{}", metric.suffix);
        if !self.query.wants_metric(&name) {
            return;
        }
        let mut is_headed = false;
        for row in self.rows.iter().filter(|row| row.kind == kind && is_meant(metric, row)) {
            if !is_headed {
                is_headed = true;
                let help = COLUMNS.get(metric.column as usize).map_or("", |column| column.doc);
                let help = match metric.shape {
                    Shape::Milliseconds => help.replace("milliseconds", "seconds"),
                    _ => help.to_owned(),
                };
                head(&name, &help, metric.kind.name(), out);
            }
            self.lines(&name, metric, row, out);
        }
    }

    fn lines(&self, name: &str, metric: &Metric, row: &StatRow, out: &mut String) {
        let labels = self.labels(row);
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
                let Some(backend) = self.backend(row) else { return };
                let by_server = metric.shape == Shape::ServerStates;
                for state in if by_server { SERVER_STATES } else { tables::CHECK_STATES } {
                    let count = match by_server {
                        true => servers_in_state(backend, state),
                        false => servers_with_check(backend, state),
                    };
                    let _ = writeln!(out, "{name}{{{labels},state=\"{state}\"}} {count}");
                }
            }
        }
    }

    fn backend(&self, row: &StatRow) -> Option<&Backend> {
        let name = row.value(Column::ProxyName)?.to_string();
        self.snapshot.backend_named(&name).map(|backend| &**backend)
    }

    fn labels(&self, row: &StatRow) -> String {
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
            && let Some(model) = self.snapshot.proxies.iter().find(|model| model.name == proxy)
            && let Some(description) = &model.description
        {
            let _ = write!(labels, ",desc=\"{}\"", escaped(description));
        }
        labels
    }

    fn times(&self, scope: &str, time: RequestTime, suffix: &str, out: &mut String) {
        let name = format!("haproxy_{scope}_{suffix}");
        if !self.query.wants_metric(&name) {
            return;
        }
        let mut is_headed = false;
        let mut write_one = |labels: &str, counters: &Counters| {
            let Some(histogram) = counters.histogram(time) else { return };
            if !is_headed {
                is_headed = true;
                let help = match time {
                    RequestTime::Response => "time from the connection to the response's head",
                    _ => "time from the request's first byte to the response's last",
                };
                head(&name, help, "histogram", out);
            }
            histogram.write(&name, labels, out);
        };
        for row in &self.rows {
            let Some(backend) = self.backend(row) else { continue };
            match (row.kind, scope) {
                (ObjectKind::Backend, "backend") => write_one(&self.labels(row), &backend.counters),
                (ObjectKind::Server, "server") => {
                    let server = row.value(Column::ServiceName).map(ToString::to_string).unwrap_or_default();
                    if let Some(server) = backend.server_named(&server) {
                        write_one(&self.labels(row), &server.counters);
                    }
                }
                _ => {}
            }
        }
    }
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
            _ if matches!(metric.column, Column::CheckCode | Column::CheckDuration) => has_check(),
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

fn servers_in_state(backend: &Backend, state: &str) -> usize {
    let is_in = |server: &&std::sync::Arc<crate::proxy::Server>| {
        let health = server.health.lock();
        let now = match (health.admin(), health.operation()) {
            (AdminState::Maintenance, _) => "MAINT",
            (AdminState::Drain, _) => "DRAIN",
            (_, Operation::Stopped) => "DOWN",
            (_, Operation::Stopping) => "NOLB",
            _ => "UP",
        };
        now == state
    };
    backend.servers.iter().filter(is_in).count()
}

fn servers_with_check(backend: &Backend, word: &str) -> usize {
    let has = |server: &&std::sync::Arc<crate::proxy::Server>| {
        let status = server.health.lock().last_check().map(|check| check.status);
        status.unwrap_or(CheckStatus::Unknown).word() == word
    };
    backend.servers.iter().filter(has).count()
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
