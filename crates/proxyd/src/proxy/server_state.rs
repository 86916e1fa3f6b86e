//! Servers' states across processes: the lines of `show servers state`, and going on from such a file at the start
//! (`load-server-state-from-file`).
//!
//! What belongs to a server and what to its configuration is as HAProxy has it: an address that was given as an IP address
//! stays the configured one, a port may change; a weight comes back unless the configured one differs from that in the
//! file; maintenance by configuration follows the configuration.

use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Instant;

use hacore::health::{AdminState, CheckStatus, Health, Operation, Restored, RestoredCheck, Verdict};

use super::checks::Reporter;
use super::{Backend, Server, Snapshot};
use crate::model::{Address, StateFiles, StateRecord};
use crate::model::{
    CHECK_CONFIGURED, CHECK_ENABLED, CONFIGURED_MAINTENANCE, FORCED_DRAIN, FORCED_MAINTENANCE,
};

const HEADER: &str = "1\n# be_id be_name srv_id srv_name srv_addr srv_op_state srv_admin_state srv_uweight \
srv_iweight srv_time_since_last_change srv_check_status srv_check_result srv_check_health srv_check_state \
srv_agent_state bk_f_forced_id srv_f_forced_id srv_fqdn srv_port srvrecord srv_use_ssl srv_check_port srv_check_addr \
srv_agent_addr srv_agent_port\n";

/// The text of `show servers state`, which is also a server-state file (version 1).
pub fn text(backends: &[&Arc<Backend>], reporter: &Reporter) -> String {
    let now = Instant::now();
    let mut out = HEADER.to_owned();
    for backend in backends {
        for server in backend.servers.iter().filter(|server| !server.model.is_nameless()) {
            line(backend, server, reporter, now, &mut out);
        }
    }
    out
}

/// An address, or `-`.
fn shown(address: Option<impl ToString>) -> String {
    address.map_or_else(|| "-".to_owned(), |address| address.to_string())
}

fn line(backend: &Backend, server: &Server, reporter: &Reporter, now: Instant, out: &mut String) {
    let health = server.health.lock();
    let model = &server.model;
    let (ip, port) = match server.address() {
        Address::Inet(address) => (Some(address.ip()), address.port()),
        Address::Name { port, .. } => (None, port),
        _ => (None, 0),
    };
    // A server without check stands where a good check would have brought it, unless it is down for maintenance.
    let unchecked = if operation_number(&health) == 0 { 0 } else { model.rise };
    let check_health = health.check_fields(false).counters.map_or(unchecked, |[_, _, health]| health);
    let status = health.last_check().map_or(CheckStatus::Initializing, |check| check.status);
    let changed = now.saturating_duration_since(health.changed_at()).as_secs();
    let (check_address, check_port) = reporter.check_target(server);
    let (agent_address, agent_port) = reporter.agent_target_of(server);
    // Writing to a String cannot fail.
    let _ = writeln!(
        out,
        "{} {} {} {} {} {} {} {} {} {changed} {} {} {check_health} {} {} {} {} {} {port} - {} {} {} {} {}",
        backend.model.numeric_id,
        backend.model.name,
        model.numeric_id,
        model.name,
        shown(ip),
        operation_number(&health),
        admin_mask(&health, server),
        health.weight(),
        model.weight,
        status_number(status),
        result_number(status),
        check_mask(&health, server),
        agent_mask(&health, server),
        u8::from(backend.model.id_given),
        u8::from(model.id_given),
        shown(model.fqdn.as_deref()),
        server.tls_number(),
        check_port.or(model.check_port).unwrap_or(0),
        shown(check_address.or(model.check_address)),
        shown(agent_address.or(model.agent_address)),
        agent_port.or(model.agent_port).unwrap_or(0),
    );
}

/// Management manual, "show servers state", `srv_op_state`.
fn operation_number(health: &Health) -> u8 {
    if health.admin() == AdminState::Maintenance {
        return 0;
    }
    match health.operation() {
        Operation::Stopped => 0,
        Operation::Starting => 1,
        Operation::Running => 2,
        Operation::Stopping => 3,
    }
}

/// `srv_admin_state`: 1 forced and 2 inherited maintenance, 4 from the configuration, 8 forced and 16 inherited drain,
/// 32 maintenance for want of an address.
fn admin_mask(health: &Health, server: &Server) -> u32 {
    let mut mask = match health.forced_admin() {
        AdminState::Maintenance => FORCED_MAINTENANCE,
        AdminState::Drain => FORCED_DRAIN,
        AdminState::Ready => 0,
    };
    if mask == 0 {
        mask = match health.admin() {
            AdminState::Maintenance => 2,
            AdminState::Drain => 16,
            AdminState::Ready => 0,
        };
    }
    if server.model.disabled && !server.model.dynamic && health.forced_admin() == AdminState::Maintenance {
        mask |= CONFIGURED_MAINTENANCE;
    }
    if health.is_unresolved() {
        mask |= 32;
    }
    mask
}

/// `srv_check_status`; the numbers are what HAProxy prints for each status.
fn status_number(status: CheckStatus) -> u8 {
    match status {
        CheckStatus::Unknown => 0,
        CheckStatus::Initializing => 1,
        CheckStatus::Checked => 3,
        CheckStatus::HealthAnalyze => 4,
        CheckStatus::SocketError => 5,
        CheckStatus::Layer4Ok => 6,
        CheckStatus::Layer4Timeout => 7,
        CheckStatus::Layer4Connection => 8,
        CheckStatus::Layer6Ok => 9,
        CheckStatus::Layer6Timeout => 10,
        CheckStatus::Layer6Response => 11,
        CheckStatus::Layer7Timeout => 12,
        CheckStatus::Layer7Response => 13,
        CheckStatus::Layer7Ok => 15,
        CheckStatus::Layer7OkConditionally => 16,
        CheckStatus::Layer7Status => 17,
        CheckStatus::ProcessError => 18,
        CheckStatus::ProcessTimeout => 19,
        CheckStatus::ProcessOk => 20,
    }
}

/// `srv_check_result`: 0 none, 1 nothing said, 2 failed, 3 passed, 4 passed on condition.
fn result_number(status: CheckStatus) -> u8 {
    match status.verdict() {
        Verdict::Unknown if status == CheckStatus::Checked => 1,
        Verdict::Unknown => 0,
        Verdict::Failed => 2,
        Verdict::Passed => 3,
        Verdict::ConditionallyPassed => 4,
    }
}

const CHECK_PAUSED: u32 = 8;
const CHECK_IS_AGENT: u32 = 16;

/// `srv_check_state`.
fn check_mask(health: &Health, server: &Server) -> u32 {
    let paused = if health.admin() == AdminState::Maintenance { CHECK_PAUSED } else { 0 };
    let enabled = if health.check_interval().is_some() || paused != 0 { CHECK_ENABLED } else { 0 };
    match (server.model.check, server.model.disabled && !server.model.dynamic) {
        (true, _) => CHECK_CONFIGURED | enabled | paused,
        // `disabled` pauses a check that is not there; maintenance by a command does not.
        (false, true) => paused,
        (false, false) => 0,
    }
}

/// `srv_agent_state`.
fn agent_mask(health: &Health, server: &Server) -> u32 {
    let enabled = if health.agent_interval().is_some() { CHECK_ENABLED } else { 0 };
    if server.model.agent_check { CHECK_IS_AGENT | CHECK_CONFIGURED | enabled } else { 0 }
}

/// What the files say of the servers of a configuration that starts.
#[derive(Debug, Default)]
pub struct Loaded {
    files: StateFiles,
    /// What was wrong with the files, and which servers are not up because of them.
    pub warnings: Vec<String>,
}

impl Loaded {
    /// Reads the files and gives the servers the states they had. Nothing may run on `snapshot` yet.
    pub fn apply(snapshot: &Snapshot, now: Instant) -> Self {
        let mut loaded = Self::default();
        for backend in snapshot.backends().filter(|backend| !backend.model.disabled) {
            let states = match loaded.files.of(&snapshot.global, &backend.model) {
                Ok(Some(states)) => states,
                Ok(None) => continue,
                Err(error) => {
                    let text = error.to_string();
                    if !loaded.warnings.contains(&text) {
                        loaded.warnings.push(text);
                    }
                    continue;
                }
            };
            let records =
                backend.servers.iter().filter_map(|s| Some((s, states.get(backend.name(), s.name())?)));
            for (server, record) in records {
                if let Err((field, value)) = restore(backend, server, record, now) {
                    loaded.warnings.push(format!(
                        "server-state application failed for server '{}/{}', invalid {field} value '{value}'",
                        backend.name(),
                        server.name()
                    ));
                } else if let Some(line) = changed_line(backend, server, now) {
                    loaded.warnings.push(line);
                }
            }
        }
        for (path, line) in loaded.files.corrupted() {
            let path = path.display();
            let text = format!("config: corrupted global server state file '{path}' at line {line}.");
            loaded.warnings.push(text);
        }
        loaded
    }

    /// Where the checks were to go (`set server … check-addr`, `check-port`).
    pub fn apply_to_checks(&mut self, snapshot: &Snapshot, reporter: &Reporter) {
        for backend in snapshot.backends() {
            let Ok(Some(states)) = self.files.of(&snapshot.global, &backend.model) else { continue };
            for server in backend.servers.iter().filter(|server| server.model.check) {
                let Some(record) = states.get(backend.name(), server.name()) else { continue };
                let port = Some(record.check_port)
                    .filter(|port| *port > 0 && Some(*port) != server.model.check_port);
                let address = record.check_address.filter(|at| Some(*at) != server.model.check_address);
                if port.is_some() || address.is_some() {
                    reporter.set_check_target(server, address, port);
                }
            }
        }
    }
}

/// A field of the file and its wrong value.
type Invalid = (&'static str, String);

fn restore(backend: &Backend, server: &Server, record: &StateRecord, now: Instant) -> Result<(), Invalid> {
    let invalid = |field: &'static str, value: &str| (field, value.to_owned());
    let operation = match record.operation.as_str() {
        "0" => Operation::Stopped,
        "1" => Operation::Starting,
        "2" => Operation::Running,
        "3" => Operation::Stopping,
        other => return Err(invalid("srv_op_state", other)),
    };
    let admin: u32 = record.admin.parse().map_err(|_| invalid("srv_admin_state", &record.admin))?;
    let weight = |field, text: &str| match text.parse::<u16>() {
        Ok(weight) if weight <= 256 => Ok(weight),
        _ => Err(invalid(field, text)),
    };
    let user_weight = weight("srv_uweight", &record.weight)?;
    let initial_weight = weight("srv_iweight", &record.initial_weight)?;
    let maintenance = admin & (FORCED_MAINTENANCE | CONFIGURED_MAINTENANCE) != 0;
    // Maintenance is written as "stopped"; what never was checked down comes up when it ends.
    let operation = match operation {
        Operation::Stopped if maintenance && (!server.model.check || record.check_counter > 0) => {
            Operation::Running
        }
        operation => operation,
    };
    let status = || {
        CheckStatus::ALL.into_iter().find(|status| u32::from(status_number(*status)) == record.check_status)
    };
    let check = |mask: u32, counter, status: Option<CheckStatus>| {
        (mask & CHECK_CONFIGURED != 0).then_some(RestoredCheck {
            enabled: mask & CHECK_ENABLED != 0,
            counter,
            status: status.filter(|status| *status != CheckStatus::Initializing),
        })
    };
    let restored = Restored {
        operation,
        admin: match admin {
            mask if mask & CONFIGURED_MAINTENANCE != 0 => AdminState::Ready,
            mask if mask & FORCED_MAINTENANCE != 0 => AdminState::Maintenance,
            mask if mask & FORCED_DRAIN != 0 => AdminState::Drain,
            _ => AdminState::Ready,
        },
        weight: (u32::from(initial_weight) == server.model.weight).then_some(user_weight),
        unchanged_for: record.unchanged_for,
        check: check(record.check_state, record.check_counter, status()),
        agent: check(record.agent_state, u32::from(operation != Operation::Stopped), None),
    };
    if let Address::Inet(mut address) = server.address()
        && record.port > 0
        && record.port != address.port()
        && !server.model.port_from_client
    {
        address.set_port(record.port);
        server.set_address(Address::Inet(address));
    }
    backend.update_health(server, now, |health, now| {
        health.restore(&restored, now);
        Vec::new()
    });
    // The process is younger than the state.
    server.changed_ms.store(0, Relaxed);
    Ok(())
}

/// What HAProxy says of servers that are not up because of the file.
fn changed_line(backend: &Backend, server: &Server, now: Instant) -> Option<String> {
    let usable = crate::services::stats::collect::usable(backend, now);
    let name = format!("Server {}/{}", backend.name(), server.name());
    let health = server.health.lock();
    if health.forced_admin() == AdminState::Drain {
        return Some(format!("{name} remains in forced drain mode."));
    }
    let left = |what: &str| format!("{} active and {} backup servers {what}.", usable.active, usable.backup);
    match (health.operation(), health.admin()) {
        (_, AdminState::Maintenance) if server.model.disabled => None,
        (Operation::Stopped, _) | (_, AdminState::Maintenance) => Some(format!(
            "{name} is DOWN, changed from server-state after a reload. {} 0 sessions active, 0 requeued, 0 remaining in \
             queue.",
            left("left")
        )),
        (Operation::Stopping, _) => Some(format!(
            "{name} is stopping, changed from server-state after a reload. {} 0 sessions requeued, 0 total in queue.",
            left("online")
        )),
        _ => None,
    }
}
