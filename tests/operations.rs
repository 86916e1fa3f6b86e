//! Starting, stopping, pausing and replacing the process: signals, sockets that pass from one to the next, servers' states
//! that outlive it, the service manager's protocol. Where the genuine haproxy is installed it plays the other process.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

use nix::sys::signal::Signal;
use testkit::daemon::Daemon;
use testkit::{environment, port, raw, wait};

fn proxyd() -> PathBuf {
    environment::built("proxyd").unwrap()
}

fn haproxy(test: &str) -> Option<PathBuf> {
    let found = environment::installed("haproxy");
    if found.is_none() {
        environment::skip(test, "haproxy is not installed");
    }
    found
}

const DEFAULTS: &str =
    "defaults\n  mode http\n  timeout client 20s\n  timeout server 20s\n  timeout connect 5s\n";

fn try_ask(socket: &Path, command: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(wait::LIMIT)).ok()?;
    stream.write_all(format!("{command}\n").as_bytes()).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

fn ask(socket: &Path, command: &str) -> String {
    wait::until(wait::LIMIT, || try_ask(socket, command).filter(|answer| !answer.is_empty())).unwrap()
}

fn status(address: SocketAddr) -> Option<String> {
    let answer = raw::exchange(address, &[b"GET / HTTP/1.0\r\n\r\n"], Duration::from_secs(10)).ok()?;
    Some(String::from_utf8_lossy(&answer).split(' ').nth(1)?.to_owned())
}

/// Four servers: checked and down, unchecked with another weight, drained, in maintenance by the file.
fn servers(folder: &str) -> String {
    format!(
        "global\n  stats socket {folder}/s level admin\n  server-state-file {folder}/states\n{DEFAULTS}  \
         load-server-state-from-file global\nbackend be\n  server down 127.0.0.1:9 check inter 100s weight 10\n  server \
         light 127.0.0.1:9 weight 20\n  server drained 127.0.0.1:9\n  server off 127.0.0.1:9 disabled\n  server other \
         127.0.0.1:9 id 40\n"
    )
}

/// The lines of `show servers state` without the ages.
fn states(text: &str) -> Vec<Vec<String>> {
    let lines = text.lines().skip(2).filter(|line| !line.is_empty());
    let words = |line: &str| line.split(' ').map(str::to_owned).collect::<Vec<_>>();
    lines
        .map(|line| {
            words(line).into_iter().enumerate().filter(|(at, _)| *at != 9).map(|(_, word)| word).collect()
        })
        .collect()
}

/// Starts `first`, changes its servers, saves their states and gives them to `second`.
fn states_from(first: &Path, second: &Path) -> [Vec<Vec<String>>; 2] {
    let text = servers("{dir}");
    let one = Daemon::proxy(first, &text).unwrap();
    let socket = one.path("s");
    ask(&socket, "set server be/light weight 7;set server be/drained state drain;show version");
    let mut saved = String::new();
    wait::until(wait::LIMIT, || {
        saved = ask(&socket, "show servers state");
        states(&saved).first().filter(|line| line[5] == "0").map(drop)
    })
    .unwrap();
    drop(one);
    let configuration = ("haproxy.cfg", text.as_str());
    let arguments = ["-db", "-f", "{dir}/haproxy.cfg"];
    let two = Daemon::start(second, &arguments, &[configuration, ("states", &saved)]).unwrap();
    let loaded = ask(&two.path("s"), "show servers state");
    [states(&saved), states(&loaded)]
}

#[test]
fn servers_states_outlive_the_process() {
    let [saved, loaded] = states_from(&proxyd(), &proxyd());
    assert_eq!(saved, loaded);
    let [down, light, drained, off, other] = [0, 1, 2, 3, 4].map(|at: usize| loaded[at].clone());
    // Operation, administrative state, weight, configured weight.
    assert_eq!(down[5..9], ["0", "0", "10", "10"]);
    assert_eq!(light[5..9], ["2", "0", "7", "20"]);
    assert_eq!(drained[5..9], ["2", "8", "1", "1"]);
    assert_eq!(off[5..9], ["0", "5", "1", "1"]);
    // Its number was given, and a number that is given counts as a turn.
    assert_eq!((other[2].as_str(), other[15].as_str()), ("40", "1"));
}

#[test]
fn servers_states_go_to_and_come_from_the_genuine_program() {
    let Some(genuine) = haproxy("servers_states_go_to_and_come_from_the_genuine_program") else { return };
    // What checks say of servers without check is not compared: the genuine program makes it up from the file.
    let essence = |states: Vec<Vec<String>>| -> Vec<Vec<String>> {
        states.into_iter().map(|line| [&line[..9], &line[14..]].concat()).collect()
    };
    for (first, second) in [(&genuine, &proxyd()), (&proxyd(), &genuine)] {
        let [saved, loaded] = states_from(first, second).map(essence);
        assert_eq!(saved, loaded, "{} to {}", first.display(), second.display());
    }
}

fn exposing(address: SocketAddr) -> String {
    format!(
        "global\n  stats socket {{dir}}/s level admin expose-fd listeners\n  nbthread 2\n{DEFAULTS}frontend f\n  bind \
         {address}\n  http-request return status 200\n"
    )
}

/// Replaces `first` by `second` while clients come; gives how many were served and the failures.
fn replaced(first: &Path, second: &Path) -> (usize, Vec<String>) {
    let address = port::free_tcp().unwrap();
    let text = exposing(address);
    let mut one = Daemon::proxy(first, &text).unwrap();
    one.await_listening(address).unwrap();
    let over = Arc::new(AtomicBool::new(false));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let over = Arc::clone(&over);
            std::thread::spawn(move || {
                let (mut served, mut failures) = (0, Vec::new());
                while !over.load(SeqCst) {
                    match raw::exchange(address, &[b"GET / HTTP/1.0\r\n\r\n"], Duration::from_secs(10)) {
                        Ok(answer) if answer.starts_with(b"HTTP/1.") => served += 1,
                        other => failures.push(format!("{other:?}")),
                    }
                }
                (served, failures)
            })
        })
        .collect();
    let pid = one.pid().to_string();
    let (from, socket) = (one.path("s").display().to_string(), "{dir}/haproxy.cfg");
    let arguments = ["-db", "-f", socket, "-x", &from, "-sf", &pid];
    let mut two = Daemon::start(second, &arguments, &[("haproxy.cfg", &text)]).unwrap();
    let ended = one.await_end();
    two.await_listening(address).unwrap();
    over.store(true, SeqCst);
    let mut total = (0, Vec::new());
    for client in clients {
        let (served, failures) = client.join().unwrap();
        total.0 += served;
        total.1.extend(failures);
    }
    assert_eq!(ended.and_then(|status| status.code()), Some(0), "{}", one.output());
    assert_eq!(status(address).as_deref(), Some("200"), "{}", two.output());
    total
}

#[test]
fn a_new_process_takes_the_listening_sockets_and_nobody_is_refused() {
    let (served, failures) = replaced(&proxyd(), &proxyd());
    assert!(served > 0 && failures.is_empty(), "{served} {failures:?}");
}

#[test]
fn listening_sockets_come_from_and_go_to_the_genuine_program() {
    let Some(genuine) = haproxy("listening_sockets_come_from_and_go_to_the_genuine_program") else { return };
    let (served, failures) = replaced(&genuine, &proxyd());
    assert!(served > 0 && failures.is_empty(), "{served} {failures:?}");
    // It keeps one of the two sockets; who comes to the other one in the very moment is reset.
    let (served, failures) = replaced(&proxyd(), &genuine);
    assert!(served > 0 && failures.len() <= 3, "{served} {failures:?}");
}

#[test]
fn sockets_are_given_only_where_the_configuration_exposes_them() {
    let address = port::free_tcp().unwrap();
    let mut daemon =
        Daemon::proxy(&proxyd(), &exposing(address).replace(" expose-fd listeners", "")).unwrap();
    daemon.await_listening(address).unwrap();
    assert_eq!(try_ask(&daemon.path("s"), "_getsocks").as_deref(), Some(""));
    let from = daemon.path("s").display().to_string();
    let arguments = ["-db", "-f", "{dir}/haproxy.cfg", "-x", &from];
    let mut other = Daemon::start(&proxyd(), &arguments, &[("haproxy.cfg", &exposing(address))]).unwrap();
    assert_eq!(other.await_end().and_then(|status| status.code()), Some(1));
    assert!(other.output().contains("Failed to get the sockets from the old process!"), "{}", other.output());
}

#[test]
fn paused_listeners_free_their_ports_and_listen_again() {
    let address = port::free_tcp().unwrap();
    let mut daemon = Daemon::proxy(&proxyd(), &exposing(address)).unwrap();
    daemon.await_listening(address).unwrap();
    let refused = || TcpStream::connect(address).is_err().then_some(());
    let socket = daemon.path("s");
    ask(&socket, "show info");
    let state =
        || ask(&socket, "show stat f 1 -1").lines().nth(1).unwrap().split(',').nth(17).unwrap().to_owned();
    for round in 0..2 {
        if round == 1 {
            assert_eq!(try_ask(&socket, "disable frontend f").as_deref(), Some("\n"));
        }
        if round == 0 {
            daemon.signal(Signal::SIGTTOU).unwrap();
        }
        wait::until(wait::LIMIT, refused).unwrap();
        assert_eq!(state(), "PAUSED");
        // The port is free for another process.
        drop(std::net::TcpListener::bind(address).unwrap());
        if round == 0 {
            daemon.signal(Signal::SIGTTIN).unwrap();
        } else {
            assert_eq!(try_ask(&socket, "enable frontend f").as_deref(), Some("\n"));
        }
        daemon.await_listening(address).unwrap();
        assert_eq!((status(address).as_deref(), state().as_str()), (Some("200"), "OPEN"));
    }
    assert!(daemon.output().contains("Paused frontend f."), "{}", daemon.output());
    assert!(daemon.output().contains("Resumed frontend f."), "{}", daemon.output());
}

#[test]
fn a_soft_stop_closes_the_port_at_once_and_lets_a_request_finish() {
    let address = port::free_tcp().unwrap();
    let mut daemon = Daemon::proxy(&proxyd(), &exposing(address)).unwrap();
    daemon.await_listening(address).unwrap();
    let mut busy = TcpStream::connect(address).unwrap();
    busy.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let socket = daemon.path("s");
    let accepted = || ask(&socket, "show sess").contains("fe=f").then_some(());
    wait::until(wait::LIMIT, accepted).unwrap();
    daemon.signal(Signal::SIGUSR1).unwrap();
    wait::until(wait::LIMIT, || TcpStream::connect(address).is_err().then_some(())).unwrap();
    assert!(daemon.output().contains("Proxy f stopped (cumulated conns: FE:"), "{}", daemon.output());
    busy.write_all(b"host: x\r\n\r\n").unwrap();
    let mut answer = String::new();
    busy.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(daemon.await_end().unwrap().success());
}

#[test]
fn grace_keeps_listening_and_hard_stop_after_ends_what_does_not() {
    let address = port::free_tcp().unwrap();
    let text = exposing(address).replace("global\n", "global\n  grace 1h\n  hard-stop-after 100ms\n");
    let daemon = Daemon::proxy(&proxyd(), &text).unwrap();
    let socket = daemon.path("s");
    // It heeds signals before it answers.
    ask(&socket, "show info");
    daemon.signal(Signal::SIGUSR1).unwrap();
    wait::until(wait::LIMIT, || ask(&socket, "show info").contains("Stopping: 1").then_some(())).unwrap();
    assert_eq!(status(address).as_deref(), Some("200"));
    drop(daemon);
    let text = text.replace("grace 1h", "grace 0");
    let mut daemon = Daemon::proxy(&proxyd(), &text).unwrap();
    daemon.await_listening(address).unwrap();
    // It never says what it wants.
    let mut silent = TcpStream::connect(address).unwrap();
    silent.write_all(b"GET").unwrap();
    let socket = daemon.path("s");
    wait::until(wait::LIMIT, || ask(&socket, "show sess").contains("fe=f").then_some(())).unwrap();
    daemon.signal(Signal::SIGUSR1).unwrap();
    assert!(daemon.await_end().is_some(), "{}", daemon.output());
}

#[test]
fn an_admin_socket_of_the_next_process_is_not_removed_by_the_one_before() {
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("s");
    let text = |address| exposing(address).replace("{dir}/s", &socket.display().to_string());
    let [one, two] = [0, 1].map(|_| {
        let address = port::free_tcp().unwrap();
        let mut daemon = Daemon::proxy(&proxyd(), &text(address)).unwrap();
        daemon.await_listening(address).unwrap();
        daemon
    });
    let mut one = one;
    ask(&socket, "show info");
    one.signal(Signal::SIGTERM).unwrap();
    one.await_end().unwrap();
    assert!(ask(&socket, "show info").contains(&format!("\nPid: {}\n", two.pid())));
}

/// The service manager's end.
struct Manager {
    folder: tempfile::TempDir,
    socket: UnixDatagram,
}

impl Manager {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let socket = UnixDatagram::bind(folder.path().join("notify")).unwrap();
        socket.set_read_timeout(Some(wait::LIMIT)).unwrap();
        Self { folder, socket }
    }

    fn start(&self, variables: &[&str], configuration: &str) -> Daemon {
        let notify = format!("NOTIFY_SOCKET={}", self.folder.path().join("notify").display());
        let program = proxyd().display().to_string();
        let mut arguments = vec![notify.as_str()];
        arguments.extend(variables);
        arguments.extend([program.as_str(), "-db", "-f", "{dir}/haproxy.cfg"]);
        Daemon::start(Path::new("/usr/bin/env"), &arguments, &[("haproxy.cfg", configuration)]).unwrap()
    }

    /// The next message that holds this text.
    fn wait_for(&self, wanted: &str) -> String {
        loop {
            let mut bytes = [0; 1000];
            let length =
                self.socket.recv(&mut bytes).unwrap_or_else(|error| panic!("no '{wanted}': {error}"));
            let text = String::from_utf8_lossy(&bytes[..length]).into_owned();
            if text.contains(wanted) {
                return text;
            }
        }
    }
}

#[test]
fn the_service_manager_is_told_of_start_reload_life_and_stop() {
    let manager = Manager::new();
    let address = port::free_tcp().unwrap();
    let mut daemon = manager.start(&["WATCHDOG_USEC=100000"], &exposing(address));
    let ready = manager.wait_for("READY=1");
    assert!(ready.contains("STATUS=") && ready.contains(&format!("MAINPID={}", daemon.pid())), "{ready}");
    manager.wait_for("FDSTORE=1\nFDNAME=proxyd-listener\n");
    manager.wait_for("WATCHDOG=1");
    daemon.signal(Signal::SIGUSR2).unwrap();
    let reloading = manager.wait_for("RELOADING=1");
    assert!(reloading.contains("\nMONOTONIC_USEC="), "{reloading}");
    manager.wait_for("READY=1");
    // It goes on telling that it lives.
    manager.wait_for("WATCHDOG=1");
    daemon.signal(Signal::SIGTERM).unwrap();
    manager.wait_for("STOPPING=1");
    daemon.await_end().unwrap();
}

#[test]
fn listening_sockets_that_the_service_manager_kept_are_used_again() {
    let kept = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = kept.local_addr().unwrap();
    let copy = nix::unistd::dup(kept.as_fd()).unwrap();
    // A client that came while nobody was there waits in the queue.
    let mut early = TcpStream::connect(address).unwrap();
    early.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let script = format!("LISTEN_PID=$$ LISTEN_FDS=1 exec \"$0\" -db -f \"$1\" 3<&{}", copy.as_raw_fd());
    let program = proxyd().display().to_string();
    let arguments = ["-c", script.as_str(), &program, "{dir}/haproxy.cfg"];
    let text = exposing(address);
    let _daemon = Daemon::start(Path::new("/bin/sh"), &arguments, &[("haproxy.cfg", &text)]).unwrap();
    early.set_read_timeout(Some(wait::LIMIT)).unwrap();
    let mut answer = String::new();
    early.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
}

/// One bad request and one bad response.
fn errors_of(program: &Path) -> String {
    let origin = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let server = origin.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in origin.incoming().flatten() {
            let _ = stream.read(&mut [0; 500]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nBad Header: x\r\nx: y\r\n\r\nbody");
        }
    });
    let address = port::free_tcp().unwrap();
    let text = format!(
        "global\n  stats socket {{dir}}/s level admin\n{DEFAULTS}  retries 0\nfrontend f\n  bind {address}\n  \
         default_backend b\nbackend b\n  server s1 {server}\n"
    );
    let mut daemon = Daemon::proxy(program, &text).unwrap();
    daemon.await_listening(address).unwrap();
    assert_eq!(status(address).as_deref(), Some("502"));
    let long = format!("GET /bad\x01 HTTP/1.1\r\nHost: a\r\nX: {}\r\n\r\n", "y".repeat(90));
    raw::exchange(address, &[long.as_bytes()], Duration::from_secs(10)).unwrap();
    raw::exchange(
        address,
        &[b"GET / HTTP/1.1\r\nbad header: x\r\nf\ttab: \\ \x80\r\n\r\n"],
        Duration::from_secs(10),
    )
    .unwrap();
    let socket = daemon.path("s");
    let text = ask(&socket, "show errors");
    assert!(!ask(&socket, "show errors f request").contains("invalid response"));
    assert!(!ask(&socket, "show errors b response").contains("invalid request"));
    text
}

/// Without moments, ports and the flags that only the genuine program has.
fn comparable(text: &str) -> String {
    let line = |line: &str| -> Option<String> {
        if line.contains("flags 0x") {
            return None;
        }
        let line = line.split_once("] ").map_or(line, |(_, rest)| rest);
        Some(line.split(", src ").next().unwrap_or_default().to_owned())
    };
    text.lines().filter_map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn messages_that_cannot_be_read_are_shown_as_the_genuine_program_shows_them() {
    let ours = errors_of(&proxyd());
    assert!(
        ours.contains("frontend f (#2): invalid request") && ours.contains("error at position"),
        "{ours}"
    );
    let Some(genuine) = haproxy("messages_that_cannot_be_read_are_shown_as_the_genuine_program_shows_them")
    else {
        return;
    };
    assert_eq!(comparable(&ours), comparable(&errors_of(&genuine)));
}
