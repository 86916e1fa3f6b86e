//! Whole sessions: what a client sends and what it gets, in haproxy 2.6's words unless said otherwise.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use proptest::prelude::*;

use super::*;
use crate::model::{Address, Config, Location, Mode, Proxy, ProxyId, ProxyKind, Server, ServerId};
use crate::proxy::checks::{Hooks, Reporter};
use crate::proxy::{Process, Snapshot};
use crate::services::stats::info::Program;

/// Remembers what would have been logged and done.
#[derive(Default, Clone)]
pub(crate) struct Recorder(Arc<Mutex<Vec<String>>>);

impl Recorder {
    pub(crate) fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock())
    }
}

impl Hooks for Recorder {
    fn log(&self, _: ProxyId, level: hacore::logging::syslog::Level, text: &str) {
        self.0.lock().push(format!("<{}>{text}", level as u8));
    }

    fn log_global(&self, level: hacore::logging::syslog::Level, text: &str) {
        self.0.lock().push(format!("global <{}>{text}", level as u8));
    }

    fn shutdown_sessions(&self, backend: ProxyId, server: ServerId) {
        self.0.lock().push(format!("shutdown {}/{}", backend.0, server.0));
    }

    fn requeue(&self, backend: ProxyId, server: ServerId) {
        self.0.lock().push(format!("requeue {}/{}", backend.0, server.0));
    }

    fn frontend_changed(&self, _: ProxyId) {}

    fn console(&self, severity: &'static str, text: &str) {
        self.0.lock().push(format!("[{severity}] {text}"));
    }
}

fn server(name: &str, number: u32) -> Server {
    let mut server = Server::new(name, Address::Inet(([127, 0, 0, 1], 8000).into()), Location::default());
    server.numeric_id = number;
    server
}

/// Frontend `f`, backend `b` with s1 (checked), s2 (weight 10), s3 (disabled).
pub(crate) fn config() -> Config {
    let mut frontend = Proxy::new(ProxyKind::Frontend, "f", Location::default());
    (frontend.numeric_id, frontend.mode) = (2, Mode::Http);
    let mut backend = Proxy::new(ProxyKind::Backend, "b", Location::default());
    (backend.numeric_id, backend.mode) = (3, Mode::Http);
    let mut servers = [server("s1", 1), server("s2", 2), server("s3", 3)];
    servers[0].check = true;
    servers[1].weight = 10;
    servers[2].disabled = true;
    backend.servers.extend(servers);
    Config { proxies: vec![frontend, backend], ..Config::default() }
}

fn admin() -> (Arc<Admin>, Recorder) {
    let snapshot = Arc::new(Snapshot::build(&config(), &Arc::new(Process::new(2, 1000))));
    let recorder = Recorder::default();
    let reporter = Arc::new(Reporter::new(&snapshot, Box::new(recorder.clone())));
    let admin = Admin {
        snapshot: Arc::new(ArcSwap::from(snapshot)),
        inboxes: None,
        reloads: None,
        reporter,
        program: Program { version: "3.2.0".into(), release_date: "2025/05/28".into() },
        sockets: vec![SocketInfo { address: "unix@/run/a.sock".into(), level: Level::Admin }],
        certificates: Default::default(),
        ocsp: Default::default(),
        startup_logs: String::new(),
    };
    (Arc::new(admin), recorder)
}

fn session(level: Level) -> (Session, Recorder) {
    let (admin, recorder) = admin();
    (Session::new(admin, level, Duration::from_secs(10)), recorder)
}

/// What one connection at this level answers to these bytes.
fn answer_at(level: Level, bytes: &str) -> String {
    let (mut session, _) = session(level);
    let mut out = String::new();
    feed(&mut session, bytes, &mut out);
    out
}

/// As the socket does it, with long answers in one piece.
fn feed(session: &mut Session, bytes: &str, out: &mut String) {
    session.feed(bytes.as_bytes(), out);
    while let Some(super::session::Waiting::Report(report)) = session.take_wait() {
        out.push_str(&report.whole());
        session.resume(out);
    }
}

fn answer(bytes: &str) -> String {
    answer_at(Level::Admin, bytes)
}

#[test]
fn without_prompt_one_line_is_answered_and_the_connection_ends() {
    let (mut session, _) = session(Level::User);
    let mut out = String::new();
    session.feed(b"show ver", &mut out);
    assert_eq!((out.as_str(), session.is_closing()), ("", false));
    session.feed(b"sion\r\nshow info\n", &mut out);
    assert_eq!((out.as_str(), session.is_closing()), ("3.2.0\n\n", true));
}

#[test]
fn semicolons_separate_commands_and_every_answer_ends_with_an_empty_line() {
    assert_eq!(answer("show cli level;get weight b/s2\n"), "admin\n\n10 (initial 10)\n\n");
}

#[test]
fn prompt_reads_line_after_line_until_quit() {
    assert_eq!(answer("prompt\nshow version\n\nquit\nshow version\n"), "\n> 3.2.0\n\n> > ");
    assert_eq!(answer("prompt i\nshow version\nshow version\n"), "\n3.2.0\n\n3.2.0\n\n");
}

#[test]
fn replies_in_haproxys_words() {
    for (line, expected) in [
        ("get weight b/nope", "No such server.\n\n"),
        ("get weight nope/x", "No such backend.\n\n"),
        ("get weight b", "Require 'backend/server'.\n\n"),
        ("set weight b/s2", "Require <weight> or <weight%>.\n\n"),
        ("set weight b/s2 300", "Absolute weight can only be between 0 and 256 inclusive.\n\n"),
        ("set server b/s2 state foo", "'set server <srv> state' expects 'ready', 'drain' and 'maint'.\n\n"),
        ("set server b/s1 health foo", "'set server <srv> health' expects 'up', 'stopping', or 'down'.\n\n"),
        ("set server b/s2 agent up", "agent checks are not enabled on this server.\n\n"),
        (
            "set server b/s2 addr 127.0.0.2 port 5",
            "IP changed from '127.0.0.1' to '127.0.0.2', port changed from '8000' to '5' by 'stats socket command'\n\n",
        ),
        (
            "set server b/s2 ssl on",
            "'set server <srv> ssl' cannot be set.  default-server should define ssl settings\n\n",
        ),
        ("set server b/s2 addr foo", "Invalid addr 'foo' by 'stats socket command'\n\n"),
        ("set timeout cli foo", "Invalid timeout value.\n\n"),
        ("set timeout cli 60", "\n"),
        ("set timeout foo", "'set timeout' only supports 'cli'.\n\n"),
        ("expert-mode on;expert-mode", "\nexpert-mode is ON\n\n"),
        ("disable frontend nof", "No such frontend.\n\n"),
        (
            "disable frontend f;enable frontend f;enable frontend f",
            "\n\nAll sockets are already enabled.\n\n",
        ),
        ("set maxconn frontend f", "Integer value expected.\n\n"),
        ("set maxconn server b/s2", "Require <maxconn>.\n\n"),
        ("set maxconn global", "Expects an integer value.\n\n"),
        ("show servers state nob", "Can't find backend.\n\n"),
        ("show backend", "# name\nb\n\n"),
        ("show env NO_SUCH_VARIABLE", "Variable not found\n\n"),
        ("show cli sockets", "# socket lvl processes\nunix@/run/a.sock admin all\n\n"),
        ("show checks b/s2", "# date status code duration_ms state description\nb/s2 is no check now\n\n"),
        ("show errors nob", "No such proxy.\n\n"),
        ("show stat nob 1 -1", "No such proxy.\n\n"),
        ("user;show cli level", "\nuser\n\n"),
        ("enable agent b/s1", "Agent was not configured on this server, cannot enable.\n\n"),
    ] {
        assert_eq!(answer(&format!("{line}\n")), expected, "{line}");
    }
}

#[test]
fn levels_are_haproxys() {
    for (level, line, allowed) in [
        (Level::User, "show stat", true),
        (Level::User, "show info", true),
        (Level::User, "get weight b/s1", true),
        (Level::User, "show servers state", true),
        (Level::User, "clear counters", false),
        (Level::Operator, "clear counters", true),
        (Level::Operator, "clear counters all", false),
        (Level::User, "show env", false),
        (Level::User, "show errors", false),
        (Level::Operator, "show errors", true),
        (Level::Operator, "disable server b/s1", false),
        (Level::Operator, "set weight b/s1 1", false),
        (Level::Operator, "set maxconn global 10", false),
        (Level::Operator, "expert-mode on", false),
        (Level::Operator, "shutdown sessions server b/s1", false),
    ] {
        let denied = answer_at(level, &format!("{line}\n")) == "Permission denied\n\n";
        assert_eq!(!denied, allowed, "{level:?} {line}");
    }
}

#[test]
fn severity_output_marks_messages_and_not_data() {
    assert_eq!(answer("set severity-output number;disable server b/x\n"), "\n[3]: No such server.\n\n");
    assert_eq!(answer("set severity-output string;disable server b/x\n"), "\n[err]: No such server.\n\n");
    assert_eq!(answer("set severity-output number;show version\n"), "\n[6]: 3.2.0\n\n");
    assert!(answer("set severity-output number;show stat\n").starts_with("\n# pxname,"));
}

#[test]
fn unknown_commands_get_the_closest_ones() {
    let text = answer("disable foo\n");
    assert!(
        text.starts_with(
            "Unknown command, but maybe one of the following ones is a better match:\n  disable agent"
        ),
        "{text}"
    );
    assert!(text.contains("\n  disable server <backend>/<server>       : "));
    assert!(text.ends_with(": disconnect\n\n"));
    assert!(!text.contains("show info"));
    let all = answer("help\n");
    assert!(all.starts_with("The following commands are valid at this level:\n"));
    assert!(all.contains("show info") && all.contains("set server"));
}

#[test]
fn a_payload_ends_with_an_empty_line_or_its_own_mark() {
    let (mut session, _) = session(Level::Admin);
    let mut out = String::new();
    session.feed(b"prompt\necho hi <<\nabc\n", &mut out);
    assert_eq!(out, "\n> + ");
    out.clear();
    session.feed(b"def\n\n", &mut out);
    assert_eq!(out, "hi\n\n> ");
    out.clear();
    session.feed(b"show version;echo x <<END\n\nstill\nEND\n", &mut out);
    assert_eq!(out, "3.2.0\n\n> + x\n\n> ");
}

#[test]
fn wait_holds_the_rest_of_the_line_back() {
    let (mut session, _) = session(Level::Admin);
    let mut out = String::new();
    session.feed(b"wait 5;show version\n", &mut out);
    let waiting = session.take_wait();
    assert!(matches!(waiting, Some(super::session::Waiting::Time(time)) if time == Duration::from_millis(5)));
    assert_eq!(out, "");
    session.resume(&mut out);
    assert_eq!((out.as_str(), session.is_closing()), ("\n3.2.0\n\n", true));
}

#[test]
fn an_endless_line_ends_the_connection() {
    let (mut session, _) = session(Level::Admin);
    let mut out = String::new();
    for _ in 0..20 {
        session.feed(&[b'x'; 1000], &mut out);
    }
    assert!(session.is_closing());
}

/// Lines as haproxy 2.6 printed them for the same commands on the same kind of backend.
#[test]
fn maintenance_and_ready_are_logged_and_shown() {
    let (mut session, recorder) = session(Level::Admin);
    let mut out = String::new();
    feed(&mut session, "prompt i\ndisable server b/s2\nshow stat b 4 2\n", &mut out);
    assert!(out.contains("\nb,s2,0,0,0,0,,0,0,0,,0,,0,0,0,0,MAINT,10,1,0,"), "{out}");
    assert_eq!(
        recorder.lines(),
        [
            "[WARNING] Server b/s2 is going DOWN for maintenance. 1 active and 0 backup servers left. 0 sessions \
             active, 0 requeued, 0 remaining in queue.",
            "<1>Server b/s2 is going DOWN for maintenance. 1 active and 0 backup servers left. 0 sessions active, 0 \
             requeued, 0 remaining in queue.",
        ]
    );
    session.feed(b"set server b/s2 state ready\n", &mut out);
    assert_eq!(recorder.lines()[0], "[WARNING] Server b/s2 is UP/READY (leaving forced maintenance).");
    out.clear();
    feed(&mut session, "disable server b/s1;disable server b/s2;show stat b 2 -1\n", &mut out);
    let lines = recorder.lines();
    assert!(lines.contains(&"[ALERT] backend 'b' has no server available!".to_owned()), "{lines:?}");
    assert!(lines.contains(&"<0>backend b has no server available!".to_owned()), "{lines:?}");
    assert!(out.contains("\nb,BACKEND,0,0,0,0,1,0,0,0,0,0,,0,0,0,0,DOWN,0,0,0,,1,0,0,,1,3,0,"), "{out}");
}

#[test]
fn show_stat_filters_by_proxy_kind_and_number() {
    let names = |line: &str| -> Vec<String> {
        let text = answer(&format!("{line}\n"));
        text.lines().skip(1).filter_map(|row| row.split(',').nth(1).map(str::to_owned)).collect()
    };
    assert_eq!(names("show stat"), ["FRONTEND", "s1", "s2", "s3", "BACKEND"]);
    assert_eq!(names("show stat -1 2 -1"), ["BACKEND"]);
    assert_eq!(names("show stat 3 6 -1"), ["s1", "s2", "s3", "BACKEND"]);
    assert_eq!(names("show stat b 4 2"), ["s2"]);
    assert_eq!(names("show stat b -1 -1 no-maint"), ["s1", "s2", "BACKEND"]);
    assert_eq!(names("show stat -1 4 -1 up"), ["s1", "s2"]);
}

#[test]
fn users_see_no_addresses() {
    assert!(answer("show stat b 4 1\n").contains("127.0.0.1:8000"));
    assert!(!answer_at(Level::User, "show stat b 4 1\n").contains("127.0.0.1:8000"));
}

/// Compared field by field with `show servers state` of haproxy 2.6 on such a backend.
#[test]
fn servers_state_is_version_1_and_has_25_fields() {
    let text = answer("show servers state\n");
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "1");
    assert_eq!(lines[1].split(' ').count() - 1, 25);
    assert!(lines.iter().skip(2).take(3).all(|line| line.split(' ').count() == 25), "{text}");
    assert_eq!(lines[3], "3 b 2 s2 127.0.0.1 2 0 10 10 0 1 0 2 0 0 0 0 - 8000 - 0 0 - - 0");
    assert_eq!(lines[4], "3 b 3 s3 127.0.0.1 0 5 1 1 0 1 0 0 8 0 0 0 - 8000 - 0 0 - - 0");
}

#[test]
fn servers_conn_has_its_header() {
    let text = answer("show servers conn\n");
    assert!(text.starts_with("# bkname/svname bkid/svid addr port - purge_delay used_cur used_max need_est"));
    assert!(text.contains("\nb/s2 3/2 127.0.0.1 8000 - 5000 0 0 0 0 0 -1 0 0 0\n"), "{text}");
}

#[test]
fn every_command_is_documented_once() {
    let mut seen = std::collections::HashSet::new();
    for def in commands() {
        assert!(seen.insert(def.words), "{:?}", def.words);
        // What only programs say has no usage.
        let shown = def.usage.starts_with(def.words[0]) || def.words[0].starts_with('_');
        assert!(!def.doc.is_empty() && shown, "{:?}", def.words);
    }
}

proptest! {
    #[test]
    fn no_bytes_make_a_session_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let (mut session, _) = session(Level::Admin);
        session.feed(&bytes, &mut String::new());
    }

    #[test]
    fn no_command_panics_on_its_arguments(
        index in any::<prop::sample::Index>(),
        words in prop::collection::vec("b/s1|b/s2|f|b|up|-1|[0-9]{1,12}%?|[a-z/#@<.:-]{0,8}", 0..5),
    ) {
        let def = index.get(commands());
        prop_assume!(def.words[0] != "set" || def.words.get(1) != Some(&"maxconn"));
        answer(&format!("{} {}\n", def.words.join(" "), words.join(" ")));
    }

    #[test]
    fn bytes_split_anywhere_give_the_same_answer(cut in 0usize..60) {
        let text = "prompt\nshow version;get weight b/s2\r\nset map x <<\na\n\nshow cli level\n";
        let (mut session, _) = session(Level::Admin);
        let mut out = String::new();
        let cut = cut.min(text.len());
        session.feed(&text.as_bytes()[..cut], &mut out);
        session.feed(&text.as_bytes()[cut..], &mut out);
        prop_assert_eq!(out, answer(text));
    }
}

/// `srv_weight` and its kin say what haproxy 2.6 says after the same command: 3, 3, 10.
#[test]
fn expressions_see_the_weight_that_a_command_set() {
    let (admin, _) = admin();
    let mut session = Session::new(Arc::clone(&admin), Level::Admin, Duration::from_secs(10));
    session.feed(b"set weight b/s2 3\n", &mut String::new());
    let snapshot = admin.snapshot.load_full();
    let backend = snapshot.backend_named("b").unwrap();
    let view = crate::proxy::server_view(backend, backend.server_named("s2").unwrap(), 0);
    assert_eq!((view.weight_effective, view.weight_user, view.weight_initial), (3, 3, 10));
}

#[test]
fn debug_dev_log_writes_to_the_logs_of_the_global_section() {
    let (mut session, recorder) = session(Level::Admin);
    let mut out = String::new();
    session.feed(b"expert-mode on; debug dev log of note\n", &mut out);
    assert_eq!(recorder.lines(), ["global <6>of note"]);
}
