//! The admin form of the statistics page: which servers, which action, and carrying it out.

use std::sync::Arc;

use hacore::health::{AdminState, ForcedHealth};

use crate::proxy::checks::Reporter;
use crate::proxy::{Backend, Server, Snapshot};

/// What the form asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Action {
    Admin(AdminState),
    Check(bool),
    Agent(bool),
    Health(ForcedHealth),
    AgentHealth(bool),
    Shutdown,
}

impl Action {
    fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "ready" | "enable" => Action::Admin(AdminState::Ready),
            "drain" => Action::Admin(AdminState::Drain),
            "maint" | "disable" => Action::Admin(AdminState::Maintenance),
            "dhlth" => Action::Check(false),
            "ehlth" => Action::Check(true),
            "hrunn" => Action::Health(ForcedHealth::Up),
            "hnolb" => Action::Health(ForcedHealth::Stopping),
            "hdown" => Action::Health(ForcedHealth::Down),
            "dagent" => Action::Agent(false),
            "eagent" => Action::Agent(true),
            "arunn" => Action::AgentHealth(true),
            "adown" => Action::AgentHealth(false),
            "shutdown" | "stop" => Action::Shutdown,
            _ => return None,
        })
    }

    fn carry_out(self, snapshot: &Snapshot, reporter: &Reporter, backend: &Backend, server: &Server) {
        match self {
            Action::Admin(admin) => {
                reporter.apply(snapshot, backend, server, |health, now| health.set_admin(admin, now));
            }
            Action::Health(forced) if server.model.track.is_none() => {
                reporter.apply(snapshot, backend, server, |health, now| health.set_health(forced, now));
            }
            Action::AgentHealth(up) if server.model.agent_check => {
                reporter.apply(snapshot, backend, server, |health, now| health.set_agent_health(up, now));
            }
            Action::Check(enabled) if server.model.check => {
                reporter.apply(snapshot, backend, server, |health, _| {
                    health.enable_check(enabled);
                    Vec::new()
                });
                reporter.wake(server);
            }
            Action::Agent(enabled) if server.model.agent_check => {
                reporter.apply(snapshot, backend, server, |health, _| {
                    health.enable_agent(enabled);
                    Vec::new()
                });
                reporter.wake(server);
            }
            Action::Shutdown => reporter.shutdown_sessions(backend, server),
            Action::Health(_) | Action::AgentHealth(_) | Action::Check(_) | Action::Agent(_) => {}
        }
    }
}

/// Carries a form's body out; gives the code that the page shows for it.
pub fn submit(snapshot: &Snapshot, reporter: &Reporter, body: &[u8]) -> &'static str {
    let (mut action, mut backend) = (None, None);
    let mut servers = Vec::new();
    for field in body.split(|byte| *byte == b'&') {
        let field = String::from_utf8_lossy(field).into_owned();
        let (name, value) = field.split_once('=').unwrap_or((&field, ""));
        let value = decoded(value);
        match name {
            "action" => action = Action::from_name(&value),
            "b" => backend = find_backend(snapshot, &value),
            "s" => servers.push(value),
            _ => {}
        }
    }
    if servers.is_empty() {
        return "NONE";
    }
    let (Some(action), Some(backend)) = (action, backend) else { return "ERRP" };
    let found: Vec<&Arc<Server>> = servers.iter().filter_map(|name| backend.server_named(name)).collect();
    for server in &found {
        action.carry_out(snapshot, reporter, backend, server);
    }
    match found.len() {
        0 => "ERRP",
        some if some < servers.len() => "PART",
        _ => "DONE",
    }
}

/// `#3` or a name.
fn find_backend<'a>(snapshot: &'a Snapshot, name: &str) -> Option<&'a Arc<Backend>> {
    match name.strip_prefix('#').map(str::parse::<u32>) {
        Some(Ok(number)) => snapshot.backends().find(|backend| backend.model.numeric_id == number),
        _ => snapshot.backend_named(name),
    }
}

/// `application/x-www-form-urlencoded`.
fn decoded(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        let escape = text.get(at + 1..at + 3).and_then(|digits| u8::from_str_radix(digits, 16).ok());
        match (byte, escape) {
            (b'%', Some(value)) => {
                out.push(value);
                at += 2;
            }
            (b'+', _) => out.push(b' '),
            (byte, _) => out.push(*byte),
        }
        at += 1;
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percent_and_plus_are_decoded() {
        assert_eq!(decoded("%233"), "#3");
        assert_eq!(decoded("a+b%2"), "a b%2");
        assert_eq!(decoded("%c3%a9"), "é");
    }
}
