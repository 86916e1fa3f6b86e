//! The admin sockets as clients meet them: Unix with mode, TCP, an inherited descriptor, limits.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // it is all test

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use proxyd::logs::Outlets;
use proxyd::model::{Address, Bind, Config, Location, Proxy, ProxyKind, Server};
use proxyd::proxy::{Process, Snapshot};
use proxyd::runtime::log_writer::LogWriter;
use proxyd::runtime::services::Settings;
use proxyd::runtime::{Inboxes, Services};
use proxyd::services::cli::AdminSocket;
use proxyd::services::stats::info::Program;

fn config() -> Config {
    let mut backend = Proxy::new(ProxyKind::Backend, "b", Location::default());
    let address = Address::Inet(([127, 0, 0, 1], 1).into());
    backend.servers.push(Server::new("s1", address, Location::default()));
    Config { proxies: vec![backend], ..Config::default() }
}

fn start(config: &Config, sockets: Vec<AdminSocket>) -> Services {
    let snapshot = Arc::new(Snapshot::build(config, &Arc::new(Process::new(1, 100))));
    let inboxes = Arc::new(Inboxes::new(1).unwrap());
    let log = LogWriter::new(&snapshot, "proxyd", &mut Outlets::default()).unwrap();
    let settings = Settings {
        program: Program { version: "3.2.0".into(), release_date: "2025/05/28".into() },
        reloads: None,
        startup_logs: "[NOTICE] started\n".into(),
        console: false,
    };
    Services::start(&snapshot, &inboxes, log, sockets, settings).unwrap()
}

fn bind(address: Address, level: &'static str) -> AdminSocket {
    let mut bind = Bind::new(address, "test", Location::default());
    bind.level = Some(level);
    bind.unix_mode = Some(0o660);
    AdminSocket::bind(&bind).unwrap()
}

fn ask<S: Read + Write>(mut stream: S, text: &str) -> String {
    stream.write_all(text.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

fn unix(path: &Path) -> UnixStream {
    UnixStream::connect(path).unwrap()
}

#[test]
fn several_sockets_of_different_kinds_and_levels() {
    let directory = tempfile::tempdir().unwrap();
    let (admin, user) = (directory.path().join("admin"), directory.path().join("user"));
    // A file of an earlier process is no obstacle.
    drop(std::os::unix::net::UnixListener::bind(&admin).unwrap());
    let inherited = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let tcp = bind(Address::Inet((Ipv4Addr::LOCALHOST, 0).into()), "operator");
    let tcp_address = tcp.local_address().unwrap();
    let services = start(
        &config(),
        vec![
            bind(Address::Unix(admin.clone()), "admin"),
            bind(Address::Unix(user.clone()), "user"),
            tcp,
            bind(Address::Fd(inherited.as_raw_fd()), "admin"),
        ],
    );
    assert_eq!(std::fs::metadata(&admin).unwrap().permissions().mode() & 0o777, 0o660);
    assert_eq!(ask(unix(&admin), "show cli level\n"), "admin\n\n");
    assert_eq!(ask(unix(&user), "disable server b/s1\n"), "Permission denied\n\n");
    assert_eq!(ask(TcpStream::connect(tcp_address).unwrap(), "show cli level\r\n"), "operator\n\n");
    let inherited: SocketAddr = inherited.local_addr().unwrap();
    assert_eq!(ask(TcpStream::connect(inherited).unwrap(), "show version\n"), "3.2.0\n\n");
    assert_eq!(ask(unix(&admin), "show startup-logs\n"), "[NOTICE] started\n\n");
    services.stop();
    assert!(!admin.exists() && !user.exists());
}

/// What hatop sends, and waits for.
#[test]
fn an_interactive_client_keeps_its_connection() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let services = start(&config(), vec![bind(Address::Unix(path.clone()), "admin")]);
    let mut stream = unix(&path);
    let mut answered = |line: &str| -> String {
        stream.write_all(format!("{line}\n").as_bytes()).unwrap();
        let mut text = Vec::new();
        let mut byte = [0];
        while !text.ends_with(b"> ") {
            stream.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        String::from_utf8(text).unwrap()
    };
    assert_eq!(answered("prompt"), "\n> ");
    assert_eq!(answered("set timeout cli 60"), "\n> ");
    assert!(answered("show info").starts_with("Name: HAProxy\n"));
    let stat = answered("show stat");
    assert!(stat.lines().next().unwrap().matches(',').count() > 51);
    assert_eq!(answered("disable server b/s1"), "\n> ");
    assert!(answered("show stat").contains(",MAINT,"));
    stream.write_all(b"quit\n").unwrap();
    assert_eq!(stream.read(&mut [0; 10]).unwrap(), 0, "the end, without a word");
    services.stop();
}

#[test]
fn a_silent_client_is_dropped_and_others_wait_for_its_slot() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let mut config = config();
    config.global.stats_timeout = Duration::from_millis(50);
    config.global.stats_maxconn = 1;
    let services = start(&config, vec![bind(Address::Unix(path.clone()), "admin")]);
    let mut silent = unix(&path);
    assert_eq!(ask(unix(&path), "show version\n"), "3.2.0\n\n");
    assert_eq!(silent.read(&mut [0; 10]).unwrap(), 0);
    services.stop();
}

#[test]
fn a_socket_that_cannot_be_bound_is_one_line() {
    let bind =
        Bind::new(Address::Unix("/no/such/directory/s".into()), "/no/such/directory/s", Location::default());
    let error = AdminSocket::bind(&bind).unwrap_err();
    assert!(
        error.to_string().starts_with("cannot bind stats socket [/no/such/directory/s]: No such file"),
        "{error}"
    );
}
