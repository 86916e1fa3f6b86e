//! What the process logs about all its proxies: on SIGHUP (management manual, section 4) and at its end.

use std::io::Write;
use std::sync::Arc;

use hacore::logging::syslog::Level;

use super::log_writer::{LogWriter, Record};
use crate::proxy::{Counter, Snapshot};

/// Where the lines go: each proxy's logs, and standard error as HAProxy does.
pub(super) struct StateLog {
    pub(super) writer: LogWriter,
    pub(super) console: bool,
}

impl StateLog {
    /// `[WARNING]  (1234) : …`; a terminal that is gone is no reason to stop.
    pub(super) fn console(&self, text: &str) {
        if self.console {
            let _ = writeln!(std::io::stderr(), "[WARNING]  ({}) : {text}", std::process::id());
        }
    }

    /// News about the whole process, to the logs of the first proxy that has any.
    pub(super) fn notice(&mut self, snapshot: &Snapshot, text: &str) {
        if self.console {
            let _ = writeln!(std::io::stderr(), "[NOTICE]   ({}) : {text}", std::process::id());
        }
        if let Some(proxy) = snapshot.proxies.iter().position(|proxy| !proxy.logs.is_empty()) {
            self.send(snapshot, proxy, Level::Notice, text);
        }
    }

    /// Listeners were paused or resumed by a signal.
    pub(super) fn listening(&mut self, snapshot: &Snapshot, proxy: usize, text: &str) {
        self.console(text);
        self.send(snapshot, proxy, Level::Warning, text);
    }

    /// Every server's and proxy's state.
    pub(super) fn dump(&mut self, snapshot: &Snapshot) {
        self.console("SIGHUP received, dumping servers states.");
        for (proxy, line) in state_lines(snapshot) {
            if !line.starts_with("SIGHUP received") {
                self.console(&line);
            }
            self.send(snapshot, proxy, Level::Notice, &line);
        }
    }

    /// When a soft stop begins: from now on nobody listens.
    pub(super) fn stopped(&mut self, snapshot: &Snapshot) {
        for (proxy, line) in stopped_lines(snapshot) {
            self.console(&line);
            self.send(snapshot, proxy, Level::Warning, &line);
        }
    }

    fn send(&mut self, snapshot: &Snapshot, proxy: usize, level: Level, text: &str) {
        let record = Record::event(level, hacore::time::wall_us(), text.as_bytes());
        self.writer.write(&snapshot.process, proxy, &record);
        self.writer.flush(&snapshot.process);
    }
}

/// `Proxy f stopped (cumulated conns: FE: 0, BE: 0).` for each proxy.
fn stopped_lines(snapshot: &Snapshot) -> Vec<(usize, String)> {
    let line = |(index, proxy): (usize, &Arc<crate::model::Proxy>)| {
        let id = crate::model::ProxyId(u32::try_from(index).unwrap_or(u32::MAX));
        let front = snapshot.frontend(id).map_or(0, |f| f.counters.value(Counter::Connections));
        let back = snapshot.backend(id).map_or(0, |b| b.counters.value(Counter::Sessions));
        (index, format!("Proxy {} stopped (cumulated conns: FE: {front}, BE: {back}).", proxy.name))
    };
    snapshot.proxies.iter().enumerate().filter(|(_, proxy)| !proxy.disabled).map(line).collect()
}

/// What SIGHUP logs, with the index of the proxy whose logs get it.
fn state_lines(snapshot: &Snapshot) -> Vec<(usize, String)> {
    let mut lines = Vec::new();
    let now = std::time::Instant::now();
    for (index, proxy) in snapshot.proxies.iter().enumerate().filter(|(_, proxy)| !proxy.disabled) {
        let id = crate::model::ProxyId(u32::try_from(index).unwrap_or(u32::MAX));
        let name = &proxy.name;
        lines.push((index, format!("SIGHUP received, dumping servers states for proxy {name}.")));
        let frontend = snapshot.frontend(id);
        let backend = snapshot.backend(id);
        for server in backend.iter().flat_map(|backend| &backend.servers) {
            let state = if server.health.lock().is_up() { "UP" } else { "DOWN" };
            lines.push((
                index,
                format!(
                    "SIGHUP: Server {name}/{} is {state}. Conn: {} act, {} pend, {} tot.",
                    server.name(),
                    server.sessions.current(),
                    server.queue.len(),
                    server.counters.value(Counter::Sessions)
                ),
            ));
        }
        let (front_now, front_all) =
            frontend.map_or((0, 0), |f| (f.sessions.current(), f.counters.value(Counter::Sessions)));
        let (back_now, back_all, pending) = backend.map_or((0, 0, 0), |b| {
            (b.sessions.current(), b.counters.value(Counter::Sessions), b.queue.len())
        });
        let servers = backend.map_or(0, |backend| backend.servers.len());
        let usable =
            backend.map(|backend| crate::services::stats::collect::usable(backend, now)).unwrap_or_default();
        let what = match (servers, usable.active, usable.backup) {
            (0, ..) => "has no servers".to_owned(),
            (_, 0, 0) => "has no server available !".to_owned(),
            (_, 0, backup) => format!("is running on backup: {backup} backup servers available"),
            (_, active, backup) => {
                format!("has {active} active servers and {backup} backup servers available")
            }
        };
        let dot = if what.ends_with('!') { "" } else { "." };
        lines.push((
            index,
            format!(
                "SIGHUP: Proxy {name} {what}{dot} Conn: act(FE+BE): {front_now}+{back_now}, {pending} pend (0 unass), \
                 tot(FE+BE): {front_all}+{back_all}."
            ),
        ));
    }
    lines
}
