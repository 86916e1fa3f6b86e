//! Kinds of changes that a reload carries out: files beside the configuration, sections, binds, servers, limits, logs.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::log_catcher::LogCatcher;
use testkit::{environment, origin, port, raw, wait};

/// What the configuration is put together from; each case changes some of it.
#[derive(Clone)]
struct Parts {
    global: String,
    log: SocketAddr,
    password: &'static str,
    defaults: &'static str,
    bind: String,
    web: &'static str,
    backend: &'static str,
    servers: String,
    more: String,
}

struct Bench {
    daemon: Daemon,
    web: SocketAddr,
    parts: Parts,
    logs: [LogCatcher; 2],
    origins: [SocketAddr; 2],
}

impl Bench {
    fn start() -> Self {
        let web = port::free_tcp().unwrap();
        let logs = [LogCatcher::new().unwrap(), LogCatcher::new().unwrap()];
        let origins = [origin::spawn("one").unwrap(), origin::spawn("two").unwrap()];
        let parts = Parts {
            global: String::new(),
            log: logs[0].address().unwrap(),
            password: "pw",
            defaults: "timeout client 30s",
            bind: String::new(),
            web: "",
            backend: "app",
            servers: format!(" server s1 {}\n", origins[0]),
            more: String::new(),
        };
        let files = [
            ("hosts.map", "a.x app\n"),
            ("deny.acl", "/blocked\n"),
            ("503.http", "HTTP/1.0 503 S\r\n\r\nfirst"),
        ];
        let text = parts.text(web);
        let mut all = vec![("haproxy.cfg", text.as_str())];
        all.extend(files);
        let program = environment::built("proxyd").unwrap();
        let mut daemon = Daemon::start(&program, &["-db", "-f", "{dir}/haproxy.cfg"], &all).unwrap();
        daemon.await_listening(web).unwrap();
        Self { daemon, web, parts, logs, origins }
    }

    fn ask(&self, command: &str) -> String {
        let path = self.daemon.path("admin.sock");
        let mut stream = wait::until(wait::LIMIT, || UnixStream::connect(&path).ok()).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn write(&self, parts: &Parts) {
        let dir = self.daemon.path("").display().to_string();
        std::fs::write(self.daemon.path("haproxy.cfg"), parts.text(self.web).replace("{dir}/", &dir))
            .unwrap();
    }

    /// Reloads with this configuration; what the plan says of it.
    fn reload(&self, parts: &Parts) -> String {
        self.write(parts);
        let answer = self.ask("reload");
        assert!(answer.starts_with("Success=1"), "{answer}");
        answer
    }

    fn file(&self, name: &str, text: &str) -> String {
        std::fs::write(self.daemon.path(name), text).unwrap();
        let answer = self.ask("reload");
        assert!(answer.starts_with("Success=1"), "{answer}");
        answer
    }

    /// One request on a connection of its own.
    fn get_at(&self, address: SocketAddr, path: &str, fields: &str) -> String {
        let request = format!("GET {path} HTTP/1.1\r\nhost: a.x\r\nconnection: close\r\n{fields}\r\n");
        let answer = raw::exchange(address, &[request.as_bytes()], Duration::from_secs(10)).unwrap();
        String::from_utf8(answer).unwrap()
    }

    fn get(&self, path: &str) -> String {
        self.get_at(self.web, path, "")
    }

    fn column(&self, proxy: &str, service: &str, column: &str) -> Option<String> {
        let table = self.ask("show stat");
        let mut lines = table.lines();
        let at = lines.next()?.trim_start_matches("# ").split(',').position(|name| name == column)?;
        let line = lines.find(|line| line.starts_with(&format!("{proxy},{service},")))?;
        Some(line.split(',').nth(at)?.to_owned())
    }
}

impl Parts {
    fn text(&self, web: SocketAddr) -> String {
        let Parts { global, log, password, defaults, bind, web: rules, backend, servers, more } = self;
        format!(
            "global\n stats socket {{dir}}/admin.sock level admin\n log {log} local0\n{global}\nuserlist u\n user ann \
             insecure-password {password}\ndefaults\n mode http\n log global\n option httplog\n timeout server 30s\n timeout connect \
             5s\n {defaults}\n errorfile 503 {{dir}}/503.http\nfrontend web\n bind {web}{bind}\n http-request auth if {{ path /auth \
             }} !{{ http_auth(u) }}\n http-request deny if {{ path -f {{dir}}/deny.acl }}\n http-request return status 200 \
             content-type text/plain lf-string \"%[hdr(host),map({{dir}}/hosts.map,none)]\" if {{ path /map }}\n{rules}\n use_backend \
             empty if {{ path /503 }}\n default_backend {backend}\nbackend empty\nbackend {backend}\n{servers}\n{more}\n"
        )
    }
}

#[test]
fn files_beside_the_configuration_are_read_again() {
    let bench = Bench::start();
    assert!(bench.get("/map").ends_with("app"));
    let plan = bench.file("hosts.map", "a.x other\n");
    assert!(plan.contains("~ file ") && plan.contains("hosts.map (read again)"), "{plan}");
    assert!(bench.get("/map").ends_with("other"));

    // What was changed at run time stays until the file is edited.
    bench.ask(&format!("set map {} a.x cli", bench.daemon.path("hosts.map").display()));
    bench.reload(&bench.parts);
    assert!(bench.get("/map").ends_with("cli"));
    bench.file("hosts.map", "a.x edited\n");
    assert!(bench.get("/map").ends_with("edited"));

    assert!(bench.get("/blocked").starts_with("HTTP/1.1 403"));
    bench.file("deny.acl", "/other\n");
    assert!(bench.get("/other").starts_with("HTTP/1.1 403"));
    assert!(bench.get("/blocked").starts_with("HTTP/1.1 200"));

    assert!(bench.get("/503").ends_with("first"));
    bench.file("503.http", "HTTP/1.0 503 S\r\n\r\nsecond");
    assert!(bench.get("/503").ends_with("second"));
}

#[test]
fn sections_logs_defaults_and_limits_follow_the_new_file() {
    let bench = Bench::start();
    let auth = "authorization: Basic YW5uOnB3Mg==\r\n"; // ann:pw2
    assert!(bench.get_at(bench.web, "/auth", auth).starts_with("HTTP/1.1 401"));
    let plan = bench.reload(&Parts { password: "pw2", ..bench.parts.clone() });
    assert!(plan.contains("~ userlist u\n"), "{plan}");
    assert!(bench.get_at(bench.web, "/auth", auth).starts_with("HTTP/1.1 200"));

    bench.reload(&Parts { log: bench.logs[1].address().unwrap(), ..bench.parts.clone() });
    bench.get("/to-the-second");
    let found = bench.logs[1].find(wait::LIMIT, |line| line.contains("/to-the-second")).unwrap();
    assert!(found.is_some());

    let maxconn =
        || bench.ask("show info").lines().find_map(|line| line.strip_prefix("Maxconn: ").map(str::to_owned));
    let at_first = maxconn();
    bench.reload(&Parts { global: " maxconn 77".to_owned(), ..bench.parts.clone() });
    assert_eq!(maxconn().as_deref(), Some("77"));
    bench.reload(&bench.parts);
    assert_eq!(maxconn(), at_first);

    let sessions = bench.column("web", "FRONTEND", "stot");
    let plan = bench.reload(&Parts { defaults: "timeout client 31s", ..bench.parts.clone() });
    assert!(plan.contains("~ frontend web: timeouts\n"), "{plan}");
    assert_eq!(bench.column("web", "FRONTEND", "stot"), sessions);

    // What a running process cannot change is said and stays.
    for (line, name) in [(" nbthread 3", "nbthread"), (" stats socket {dir}/other.sock", "stats socket")] {
        let plan = bench.reload(&Parts { global: line.to_owned(), ..bench.parts.clone() });
        assert!(plan.contains(&format!("! {name} differs and stays as it is until a restart")), "{plan}");
        assert!(bench.get("/").starts_with("HTTP/1.1 200"));
    }
}

#[test]
fn binds_backends_and_servers_come_go_and_change() {
    let bench = Bench::start();
    let second = port::free_tcp().unwrap();
    let parts = &bench.parts;
    let plan = bench.reload(&Parts { bind: format!("\n bind {second}"), ..parts.clone() });
    assert!(plan.contains(&format!("+   bind {second}\n")), "{plan}");
    assert!(bench.get_at(second, "/", "").starts_with("HTTP/1.1 200"));
    bench.reload(parts);
    let closed = wait::until(wait::LIMIT, || std::net::TcpStream::connect(second).is_err().then_some(()));
    assert!(closed.is_some(), "the second address is still served");

    let plan = bench.reload(&Parts { bind: " name first maxconn 50".to_owned(), ..parts.clone() });
    assert!(plan.contains("(keeps its socket)"), "{plan}");
    assert!(bench.get("/").starts_with("HTTP/1.1 200"));

    bench.reload(&Parts { backend: "renamed", ..parts.clone() });
    assert!(bench.get("/").starts_with("HTTP/1.1 200"));
    assert!(bench.column("app", "BACKEND", "stot").is_none());
    assert_eq!(bench.column("renamed", "BACKEND", "stot").as_deref(), Some("1"));

    bench.reload(&Parts { servers: format!(" server s2 {}\n", bench.origins[0]), ..parts.clone() });
    bench.get("/");
    assert!(bench.column("app", "s1", "stot").is_none());
    assert_eq!(bench.column("app", "s2", "stot").as_deref(), Some("1"));

    // The same name at another address is another server.
    bench.reload(parts);
    bench.get("/");
    assert_eq!(bench.column("app", "s1", "stot").as_deref(), Some("1"));
    let plan =
        bench.reload(&Parts { servers: format!(" server s1 {}\n", bench.origins[1]), ..parts.clone() });
    assert!(plan.contains("server s1 (another address: starts anew, the old one drains)"), "{plan}");
    assert_eq!(bench.column("app", "s1", "stot").as_deref(), Some("0"));

    // Moved to another backend.
    let server = std::mem::take(&mut parts.clone().servers);
    bench.reload(&Parts {
        servers: String::new(),
        more: format!("backend other\n{server}"),
        ..parts.clone()
    });
    assert!(bench.get("/").starts_with("HTTP/1.1 503") || bench.get("/").ends_with("first"));
    assert!(bench.column("other", "s1", "status").is_some());

    bench.reload(&Parts { web: " mode tcp", ..parts.clone() });
    assert_eq!(bench.column("web", "FRONTEND", "mode").as_deref(), Some("tcp"));
    assert!(bench.get("/").starts_with("HTTP/1.1 200"));
    bench.reload(parts);
    assert_eq!(bench.column("web", "FRONTEND", "mode").as_deref(), Some("http"));
    assert!(bench.get("/").starts_with("HTTP/1.1 200"));
}

#[test]
fn what_was_changed_at_run_time_goes_on_where_the_file_says_nothing_else() {
    let bench = Bench::start();
    for command in [
        "set server app/s1 state drain",
        "set server app/s1 weight 3",
        "set maxconn frontend web 33",
        "disable frontend web",
    ] {
        bench.ask(command);
    }
    bench.reload(&bench.parts);
    assert_eq!(bench.column("app", "s1", "status").as_deref(), Some("DRAIN"));
    assert_eq!(bench.column("web", "FRONTEND", "slim").as_deref(), Some("33"));
    assert_eq!(bench.column("web", "FRONTEND", "status").as_deref(), Some("PAUSED"));
    bench.ask("enable frontend web;set server app/s1 state ready");
    assert_eq!(bench.column("app", "s1", "weight").as_deref(), Some("3"));

    // A server of the command line is not in the file.
    bench.ask(&format!("add server app/more {}", bench.origins[1]));
    bench.ask("enable server app/more");
    assert!(bench.column("app", "more", "status").is_some());
    let plan = bench.reload(&bench.parts);
    assert!(plan.contains("-   server more (drains)"), "{plan}");
    assert!(bench.column("app", "more", "status").is_none());
    assert!(bench.get("/").starts_with("HTTP/1.1 200"));
}
