//! `show backend`, `show servers state`, `show servers conn`.

use std::fmt::Write;
use std::sync::Arc;
use std::time::Instant;

use super::super::command::{CommandDef, Context, Level, Reply};
use super::{def, find_server};
use crate::model::Address;
use crate::proxy::{Backend, Server, server_state};

pub(super) const TABLE: &[CommandDef] = &[
    def(&["show", "backend"], "show backend", "list the backends", Level::User, show_backend),
    def(
        &["show", "servers", "state"],
        "show servers state [<backend>]",
        "tell what changes about servers",
        Level::User,
        show_state,
    ),
    def(
        &["show", "servers", "conn"],
        "show servers conn [<backend>]",
        "tell the connections to servers",
        Level::User,
        show_conn,
    ),
    def(
        &["show", "server", "health"],
        "show server health <backend>/<server>",
        "tell a server's last checks: when, how long, what was sent, what came back, the verdict",
        Level::Operator,
        show_health,
    ),
    def(
        &["check", "now"],
        "check now <backend>/<server>",
        "check a server at once ('show server health' tells the outcome)",
        Level::Operator,
        check_now,
    ),
    def(
        &["show", "checks"],
        "show checks <backend>/<server>",
        "list a server's last checks: why it is down",
        Level::Operator,
        show_checks,
    ),
];

/// Ours alone: the last checks, oldest first, with the state after each.
fn show_checks(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (backend, server) = match find_server(context, words.first()) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let mut out = "# date status code duration_ms state description\n".to_owned();
    for past in context.admin.reporter.history(server) {
        let code = past.result.shown_code().map_or_else(|| "-".to_owned(), |code| code.to_string());
        let description = match past.result.description.as_str() {
            "" => past.result.status.sentence(),
            description => description,
        };
        let _ = writeln!(
            out,
            "{} {} {code} {} {} {description}",
            moment(past.wall_us),
            past.result.status.word(),
            past.result.duration.as_millis(),
            if past.up { "UP" } else { "DOWN" },
        );
    }
    let _ = writeln!(out, "{}/{} is {} now", backend.name(), server.name(), server.health.lock().status());
    Reply::Data(out)
}

/// A time of the wall clock, to the millisecond.
fn moment(wall_us: u64) -> String {
    let t = hacore::time::local_time((wall_us / 1_000_000) as i64);
    let (year, month, day, ms) = (t.year, t.month, t.day, wall_us / 1000 % 1000);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{ms:03}", t.hour, t.minute, t.second)
}

/// Ours alone: "why is it down", each of the last checks as a paragraph, oldest first.
fn show_health(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (backend, server) = match find_server(context, words.first()) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    let mut out = String::new();
    {
        let health = server.health.lock();
        let _ = writeln!(out, "server: {}/{}", backend.name(), server.name());
        let _ = writeln!(out, "status: {}", health.status());
        let changed = Instant::now().saturating_duration_since(health.changed_at());
        let _ = writeln!(out, "for: {}s", changed.as_secs());
        if let Some([rise, fall, value]) = health.check_fields(false).counters {
            let _ = writeln!(out, "counter: {value} of {} (rise {rise}, fall {fall})", rise + fall - 1);
        }
        match health.check_interval() {
            Some(interval) => {
                let _ = writeln!(out, "interval: {}ms", interval.as_millis());
            }
            None => out.push_str("interval: not checked now\n"),
        }
    }
    for past in context.admin.reporter.history(server) {
        let result = &past.result;
        let code = result.shown_code().map(|code| format!(" code {code}")).unwrap_or_default();
        let _ = writeln!(
            out,
            "\ncheck: {}\nverdict: {}{code} ({}), server {}\nduration: {}us",
            moment(past.wall_us),
            result.status.word(),
            result.status.sentence(),
            if past.up { "UP" } else { "DOWN" },
            result.duration.as_micros(),
        );
        if !result.description.is_empty() {
            let _ = writeln!(out, "info: {}", result.description);
        }
        let said = &past.transcript;
        for (name, bytes, total) in
            [("sent", &said.sent, said.sent_bytes), ("received", &said.received, said.received_bytes)]
        {
            let more = if total > bytes.len() as u64 { "..." } else { "" };
            let _ = writeln!(out, "{name}: {total} bytes \"{}\"{more}", bytes.escape_ascii());
        }
    }
    Reply::Data(out)
}

/// Ours alone.
fn check_now(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let (backend, server) = match find_server(context, words.first()) {
        Ok(found) => found,
        Err(refusal) => return refusal,
    };
    if server.health.lock().check_interval().is_none() {
        return Reply::error(format!("{}/{} is not checked now.", backend.name(), server.name()));
    }
    context.admin.reporter.check_now(server);
    Reply::Done
}

fn show_backend(context: &mut Context<'_>, _: &[&str]) -> Reply {
    let names = context.snapshot.backends().filter(|backend| !backend.model.disabled);
    let lines: String = names.map(|backend| format!("{}\n", backend.name())).collect();
    Reply::Data(format!("# name\n{lines}"))
}

/// The backends that a command is about: the named one, or all.
fn backends<'a>(context: &'a Context<'_>, words: &[&str]) -> Result<Vec<&'a Arc<Backend>>, Reply> {
    match words.first() {
        None => Ok(context.snapshot.backends().filter(|backend| !backend.model.disabled).collect()),
        Some(name) => {
            let found = context.snapshot.backend_named(name);
            found.map(|backend| vec![backend]).ok_or_else(|| Reply::error("Can't find backend."))
        }
    }
}

fn show_state(context: &mut Context<'_>, words: &[&str]) -> Reply {
    match backends(context, words) {
        Ok(backends) => Reply::Data(server_state::text(&backends, &context.admin.reporter)),
        Err(refusal) => refusal,
    }
}

fn show_conn(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let backends = match backends(context, words) {
        Ok(backends) => backends,
        Err(refusal) => return refusal,
    };
    let threads = context.snapshot.process.threads;
    let mut out = format!(
        "# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est unsafe_nb safe_nb idle_lim \
         idle_cur idle_per_thr[{threads}]\n"
    );
    for backend in backends {
        for server in backend.servers.iter().filter(|server| !server.model.is_nameless()) {
            conn_line(backend, server, threads, &mut out);
        }
    }
    Reply::Data(out)
}

fn conn_line(backend: &Backend, server: &Server, threads: usize, out: &mut String) {
    let (address, port) = match server.address() {
        Address::Inet(address) => (address.ip().to_string(), address.port()),
        Address::Name { port, .. } => ("-".to_owned(), port),
        Address::Unix(_) | Address::Abstract(_) => ("unix".to_owned(), 0),
        Address::Fd(_) | Address::SocketPair(_) => ("-".to_owned(), 0),
    };
    let idle = server.idle.total();
    // A connection is in use while a request has it.
    let used = &server.sessions;
    let _ = write!(
        out,
        "{}/{} {}/{} {address} {port} - {} {} {} {} 0 {idle} {} {idle}",
        backend.model.name,
        server.model.name,
        backend.model.numeric_id,
        server.model.numeric_id,
        server.model.pool_purge_delay.as_millis(),
        used.current(),
        used.max(),
        used.max(),
        server.model.pool_max_conn.unwrap_or(-1),
    );
    for thread in 0..threads {
        let _ = write!(out, " {}", server.idle.of(thread));
    }
    out.push('\n');
}
