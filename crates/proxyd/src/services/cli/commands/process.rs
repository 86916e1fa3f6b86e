//! Commands about the whole process: limits, counters, logs of the start, environment, version.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use super::super::command::{CommandDef, Context, Level, Reply, Restriction};
use super::def;
use crate::runtime::reload::{Request, Wish};

pub(super) const TABLE: &[CommandDef] = &[
    def(
        &["set", "maxconn", "global"],
        "set maxconn global <value>",
        "change the limit of connections",
        Level::Admin,
        set_maxconn,
    ),
    def(
        &["set", "rate-limit"],
        "set rate-limit <setting> <value>",
        "change a limit of rates",
        Level::Admin,
        set_rate_limit,
    ),
    def(
        &["clear", "counters"],
        "clear counters [all | server <backend>/<server> [force]]",
        "forget the maxima, or everything counted",
        Level::Operator,
        clear_counters,
    ),
    def(&["show", "version"], "show version", "tell the version", Level::User, |c, _| {
        Reply::info(c.admin.program.version.clone())
    }),
    def(&["show", "env"], "show env [<name>]", "list the environment", Level::Operator, show_env),
    def(
        &["show", "startup-logs"],
        "show startup-logs",
        "repeat what was printed at the start",
        Level::Operator,
        |c, _| Reply::Data(c.admin.startup_logs.clone()),
    ),
    def(
        &["show", "cli", "sockets"],
        "show cli sockets",
        "list the admin sockets",
        Level::User,
        show_cli_sockets,
    ),
    CommandDef {
        words: &["debug", "dev", "log"],
        usage: "debug dev log <text>*",
        doc: "send a line to the logs of the 'global' section",
        level: Level::Admin,
        restriction: Restriction::Expert,
        run: |c, words| {
            c.admin.reporter.log_global(hacore::logging::syslog::Level::Info, &words.join(" "));
            Reply::Done
        },
    },
    def(
        &["reload"],
        "reload",
        "read the configuration again and apply what differs",
        Level::Admin,
        |c, _| ask(c, Wish::Reload),
    ),
    def(&["show", "plan"], "show plan", "tell what a reload would change", Level::Operator, |c, _| {
        ask(c, Wish::Plan)
    }),
    // Spoken between processes only.
    def(&["_getsocks"], "", "hand the listening sockets to another process", Level::User, get_sockets),
    def(&["show", "threads"], "show threads", "list the threads", Level::Operator, show_threads),
    def(&["show", "pools"], "show pools", "tell how memory is used", Level::User, show_pools),
    def(&["show", "libs"], "show libs", "list loaded libraries", Level::Operator, show_libs),
    def(&["show", "fd"], "show fd [<number>]", "list open descriptors", Level::Operator, show_fd),
];

pub(super) fn ask(context: &Context<'_>, wish: Wish) -> Reply {
    let Some(reloads) = &context.admin.reloads else { return Reply::error("There is nothing to reload.") };
    let (answer, answered) = tokio::sync::oneshot::channel();
    match reloads.try_send(Request { wish, answer }) {
        Ok(()) => Reply::Later(answered),
        Err(_) => Reply::error("Too many reloads are waiting already."),
    }
}

/// `-x` of another process.
fn get_sockets(context: &mut Context<'_>, _: &[&str]) -> Reply {
    let Some(reloads) = context.admin.reloads.as_ref().filter(|_| context.settings.exposes_listeners) else {
        return Reply::Close;
    };
    let (sockets, taken) = tokio::sync::oneshot::channel();
    let (answer, _) = tokio::sync::oneshot::channel();
    match reloads.try_send(Request { wish: Wish::Sockets(sockets), answer }) {
        Ok(()) => Reply::Sockets(taken),
        Err(_) => Reply::Close,
    }
}

const RATE_LIMIT_USAGE: &str = "'set rate-limit' only supports :\n   - 'connections global' to set the per-process maximum \
connection rate\n   - 'sessions global' to set the per-process maximum session rate\n   - 'ssl-sessions global' to set the \
per-process maximum SSL session rate\n   - 'http-compression global' to set the per-process maximum compression speed in kB/s";

fn set_maxconn(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let Some(value) = words.first() else { return Reply::error("Expects an integer value.") };
    let process = &context.snapshot.process;
    // Each connection may need two descriptors; more than that cannot be had.
    let limit = hacore::process::rlimit::open_files().map_or(u64::MAX, |limit| limit.soft / 2);
    match value.parse::<u32>() {
        Ok(value) if u64::from(value) <= limit && value > 0 => {
            process.maxconn.store(value, Relaxed);
            Reply::Done
        }
        _ => Reply::error("Value out of range."),
    }
}

fn set_rate_limit(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let process = &context.snapshot.process;
    let limit: &AtomicU32 = match words {
        ["connections", "global", ..] => &process.connection_rate_limit,
        ["sessions", "global", ..] => &process.session_rate_limit,
        ["ssl-sessions", "global", ..] => &process.tls.rate_limit,
        ["http-compression", "global", ..] => return Reply::error("Nothing is compressed here."),
        _ => return Reply::error(RATE_LIMIT_USAGE),
    };
    match words.get(2).map(|value| value.parse()) {
        None => Reply::error("Expects an integer value."),
        Some(Ok(value)) => {
            limit.store(value, Relaxed);
            Reply::Done
        }
        Some(Err(_)) => Reply::error("Value out of range."),
    }
}

/// `clear counters` forgets the maxima, `clear counters all` everything; `clear counters server b/s` one server's.
fn clear_counters(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let all = match words.first() {
        Some(&"all") if context.settings.level < Level::Admin => return Reply::denied(),
        Some(&"all") => true,
        Some(&"server") if context.settings.level < Level::Admin => return Reply::denied(),
        Some(&"server") => {
            return match super::find_server(context, words.get(1)) {
                Ok((_, server)) => {
                    server.counters.clear();
                    server.health.lock().clear_totals(Instant::now());
                    Reply::info("Server counters cleared.")
                }
                Err(refusal) => refusal,
            };
        }
        _ => false,
    };
    let clear =
        |counters: &crate::proxy::Counters| if all { counters.clear() } else { counters.clear_maxima() };
    let snapshot = context.snapshot;
    for frontend in snapshot.frontends() {
        clear(&frontend.counters);
        frontend.sessions.clear_max();
        for rate in [&frontend.connection_rate, &frontend.session_rate, &frontend.request_rate] {
            rate.clear_max();
        }
        for listener in &frontend.listeners {
            clear(&listener.counters);
            listener.sessions.clear_max();
        }
    }
    for backend in snapshot.backends() {
        clear(&backend.counters);
        backend.sessions.clear_max();
        backend.queue.clear_max();
        backend.session_rate.clear_max();
        for server in &backend.servers {
            clear(&server.counters);
            server.sessions.clear_max();
            server.queue.clear_max();
            server.session_rate.clear_max();
            if all {
                server.health.lock().clear_totals(Instant::now());
            }
        }
    }
    let process = &snapshot.process;
    for rate in [&process.connection_rate, &process.session_rate, &process.request_rate] {
        rate.clear_max();
    }
    Reply::Done
}

fn show_env(context: &mut Context<'_>, words: &[&str]) -> Reply {
    let variables = &context.snapshot.global.environment;
    let line = |(name, value): (&String, &String)| format!("{name}={value}\n");
    match words.first() {
        None => Reply::Data(variables.iter().map(line).collect()),
        Some(name) => match variables.get_key_value(*name) {
            Some(variable) => Reply::Data(line(variable)),
            None => Reply::error("Variable not found"),
        },
    }
}

fn show_cli_sockets(context: &mut Context<'_>, _: &[&str]) -> Reply {
    let mut out = "# socket lvl processes\n".to_owned();
    for socket in &context.admin.sockets {
        out.push_str(&format!("{} {} all\n", socket.address, socket.level.name()));
    }
    Reply::Data(out)
}

/// What the kernel tells about each thread: name, state, user and system time in clock ticks.
fn show_threads(_: &mut Context<'_>, _: &[&str]) -> Reply {
    let mut out = String::new();
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else {
        return Reply::error("the kernel does not tell (no /proc)");
    };
    for task in tasks.flatten() {
        let Ok(stat) = std::fs::read_to_string(task.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(')') else { continue };
        let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        let field = |at: usize| fields.get(at).copied().unwrap_or("?");
        let status = std::fs::read_to_string(task.path().join("status")).unwrap_or_default();
        let cpus = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
        out.push_str(&format!(
            "* Thread {} : {} state={} utime={} stime={} cpus={}\n",
            task.file_name().to_string_lossy(),
            name.trim_end(),
            field(0),
            field(11),
            field(12),
            cpus.unwrap_or("?").trim()
        ));
    }
    Reply::Data(out)
}

/// There are no pools; what the kernel counts for the process is the answer to the same question.
fn show_pools(_: &mut Context<'_>, _: &[&str]) -> Reply {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let wanted =
        |line: &&str| ["VmRSS", "VmHWM", "RssAnon", "VmData"].iter().any(|name| line.starts_with(name));
    let lines: String = status.lines().filter(wanted).map(|line| format!("  - {line}\n")).collect();
    Reply::Data(format!("Memory of the process as the kernel counts it.\n{lines}"))
}

fn show_libs(_: &mut Context<'_>, _: &[&str]) -> Reply {
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap_or_default();
    let mut seen = std::collections::BTreeSet::new();
    let paths = maps.lines().filter_map(|line| line.split_ascii_whitespace().nth(5));
    seen.extend(paths.filter(|path| path.starts_with('/')));
    Reply::Data(seen.into_iter().map(|path| format!("{path}\n")).collect())
}

fn show_fd(_: &mut Context<'_>, words: &[&str]) -> Reply {
    let Ok(entries) = std::fs::read_dir("/proc/self/fd") else {
        return Reply::error("the kernel does not tell (no /proc)");
    };
    let mut open: Vec<(u32, String)> = entries
        .flatten()
        .filter_map(|entry| {
            let number = entry.file_name().to_string_lossy().parse().ok()?;
            let to = std::fs::read_link(entry.path()).ok()?;
            Some((number, to.to_string_lossy().into_owned()))
        })
        .collect();
    if let Some(Ok(wanted)) = words.first().map(|word| word.parse::<u32>()) {
        open.retain(|(number, _)| *number == wanted);
    }
    open.sort_unstable();
    Reply::Data(open.into_iter().map(|(number, to)| format!("{number:>7} : {to}\n")).collect())
}
