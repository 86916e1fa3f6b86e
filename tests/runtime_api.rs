//! Changes at run time over the admin socket: maps, servers, backends.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use testkit::daemon::Daemon;
use testkit::{environment, port, raw, wait};

struct Proxy {
    daemon: Daemon,
    address: SocketAddr,
}

impl Proxy {
    fn start() -> Self {
        let address = port::free_tcp().unwrap();
        let text = format!(
            "global\n  stats socket {{dir}}/admin.sock level admin\ndefaults\n  mode http\n  timeout client 5s\n  timeout server \
             5s\n  timeout connect 5s\nfrontend fe\n  bind {address}\n  acl known path -f {{dir}}/paths\n  http-request return status \
             200 content-type text/plain lf-string %[path,map({{dir}}/m.map,none)] if known\n  default_backend be\nbackend \
             be\nbackend other\n  server s1 127.0.0.1:1 disabled\n"
        );
        let files = [("haproxy.cfg", text.as_str()), ("m.map", "/a one\n"), ("paths", "/a\n/b\n")];
        let program = environment::built("proxyd").unwrap();
        let mut daemon = Daemon::start(&program, &["-db", "-f", "{dir}/haproxy.cfg"], &files).unwrap();
        daemon.await_listening(address).unwrap();
        Self { daemon, address }
    }

    fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.daemon.path("admin.sock")).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.strip_suffix('\n').unwrap_or(&answer).to_owned()
    }

    fn map(&self, command: &str, rest: &str) -> String {
        self.ask(&format!("{command} {} {rest}", self.daemon.path("m.map").display()))
    }

    fn get(&self, path: &str) -> String {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        let answer = raw::exchange(self.address, &[request.as_bytes()], Duration::from_secs(10)).unwrap();
        String::from_utf8(answer).unwrap().split_once("\r\n\r\n").unwrap().1.to_owned()
    }
}

#[test]
fn maps_change_by_entry_and_by_version_and_survive_a_reload() {
    let proxy = Proxy::start();
    assert_eq!((proxy.get("/a"), proxy.get("/b")), ("one".into(), "none".into()));
    assert_eq!(proxy.map("add map", "/b two"), "");
    assert_eq!(proxy.get("/b"), "two");
    let found = "type=str, case=sensitive, found=yes, idx=tree, key=\"/b\", value=\"two\", type=\"str\"\n";
    assert_eq!(proxy.map("get map", "/b"), found);
    assert_eq!(proxy.map("set map", "/zz x"), "entry not found.\n");
    assert_eq!(proxy.map("set map", "/b three"), "");
    assert!(proxy.ask("reload").starts_with("Success=1"));
    assert_eq!(proxy.get("/b"), "three");
    // A file that somebody edited wins over what was changed at run time.
    std::fs::write(proxy.daemon.path("m.map"), "/a four\n").unwrap();
    assert!(proxy.ask("reload").starts_with("Success=1"));
    assert_eq!((proxy.get("/a"), proxy.get("/b")), ("four".into(), "none".into()));

    let name = proxy.daemon.path("m.map").display().to_string();
    assert_eq!(proxy.map("prepare map", ""), "New version created: 1\n");
    assert_eq!(proxy.ask(&format!("add map @1 {name} <<\n/a five\n/b six seven\n")), "");
    assert_eq!(proxy.get("/a"), "four");
    assert_eq!(proxy.map("commit map @7", ""), "Version number out of range.\n");
    assert_eq!(proxy.map("commit map @1", ""), "");
    assert_eq!((proxy.get("/a"), proxy.get("/b")), ("five".into(), "six seven".into()));
    let entry = proxy.map("show map", "");
    let reference = entry.split(' ').next().unwrap();
    assert_eq!(proxy.map("del map", &format!("#{reference}")), "");
    assert_eq!((proxy.get("/a"), proxy.get("/b")), ("none".into(), "six seven".into()));
    assert_eq!(proxy.map("clear map", ""), "");
    assert!(proxy.ask("show map").contains("curr_ver=1 next_ver=1 entry_cnt=0"));
    assert_eq!(proxy.map("get acl", "x"), "Unknown ACL identifier. Please use #<id> or <file>.\n");
}

#[test]
fn a_server_that_is_added_serves_once_enabled_and_can_be_removed() {
    let proxy = Proxy::start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi");
        }
    });
    assert_eq!(proxy.ask(&format!("add server be/x {origin} weight 7")), "New server registered.\n");
    assert!(proxy.get("/").contains("503"));
    proxy.ask("enable server be/x");
    assert_eq!(proxy.get("/"), "hi");
    assert_eq!(proxy.ask("get weight be/x"), "7 (initial 7)\n");
    assert_eq!(proxy.ask("del server be/x"), "Only servers in maintenance mode can be deleted.\n");
    proxy.ask("disable server be/x");
    assert_eq!(proxy.ask("del server be/x"), "Server deleted.\n");
    assert!(!proxy.ask("show stat").contains("be,x,"));
    assert!(proxy.ask("add server be/y 1.2.3.4:80 nosuchword").contains("nosuchword"));
}

#[test]
fn a_backend_comes_from_another_one_and_goes_when_nothing_needs_it() {
    let proxy = Proxy::start();
    assert_eq!(proxy.ask("add backend fresh from other"), "New backend registered.\n");
    assert!(proxy.ask("show backend").contains("fresh\n"));
    assert_eq!(proxy.ask("del backend fresh"), "Backend must be unpublished prior to its deletion.\n");
    proxy.ask("unpublish backend fresh");
    assert_eq!(proxy.ask("del backend fresh"), "Backend deleted.\n");
    assert!(!proxy.ask("show backend").contains("fresh"));
    let refused =
        "This proxy cannot be removed at runtime due to other configuration elements pointing to it.\n";
    assert_eq!(proxy.ask("del backend be"), refused);
}

#[test]
fn the_form_of_the_statistics_page_changes_servers_for_those_who_may() {
    let address = port::free_tcp().unwrap();
    let text = format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nlisten page\n  bind {address}\n  stats \
         enable\n  stats uri /\n  stats admin if {{ req.hdr(x-may) yes }}\nbackend be\n  server s1 127.0.0.1:1\n"
    );
    let mut daemon = Daemon::proxy(&environment::built("proxyd").unwrap(), &text).unwrap();
    daemon.await_listening(address).unwrap();
    let exchange = |parts: &[&[u8]]| {
        String::from_utf8(raw::exchange(address, parts, Duration::from_secs(10)).unwrap()).unwrap()
    };
    let post = |header: &str, body: &str| {
        let head = format!("POST / HTTP/1.1\r\nhost: x\r\n{header}content-length: {}\r\n\r\n", body.len());
        exchange(&[head.as_bytes(), body.as_bytes()])
    };
    let state = || {
        let table = exchange(&[b"GET /;csv HTTP/1.0\r\n\r\n"]);
        table.lines().find(|line| line.starts_with("be,s1,")).unwrap().split(',').nth(17).unwrap().to_owned()
    };
    let body = "s=s1&action=drain&b=%232";
    assert!(post("", body).contains("location: /;st=DENY"));
    assert_eq!(state(), "no check");
    let number = exchange(&[b"GET /;csv HTTP/1.0\r\n\r\n"]);
    let number = number
        .lines()
        .find(|line| line.starts_with("be,s1,"))
        .unwrap()
        .split(',')
        .nth(27)
        .unwrap()
        .to_owned();
    let body = format!("s=s1&action=drain&b=%23{number}");
    assert!(post("x-may: yes\r\n", &body).contains("location: /;st=DONE"));
    assert_eq!(state(), "DRAIN");
    assert!(post("x-may: yes\r\n", "s=nope&action=ready&b=be").contains("location: /;st=ERRP"));
    let page = exchange(&[b"GET / HTTP/1.0\r\nx-may: yes\r\n\r\n"]);
    assert!(page.contains("<select name=\"action\">") && page.contains("name=\"s\" value=\"s1\""));
    assert!(!exchange(&[b"GET / HTTP/1.0\r\n\r\n"]).contains("<form"));
    let events = exchange(&[b"GET /;events HTTP/1.0\r\n\r\n"]);
    assert!(events.contains("event: stats\ndata: {") && events.contains("\"be/BACKEND\":["), "{events}");
}

#[test]
fn sessions_are_listed_and_ended() {
    let proxy = Proxy::start();
    let mut client = std::net::TcpStream::connect(proxy.address).unwrap();
    let listed =
        || proxy.ask("show sess").lines().next().map(str::to_owned).filter(|line| line.contains("fe=fe"));
    let line = wait::until(wait::LIMIT, listed).unwrap();
    assert!(line.contains(&format!("src={}", client.local_addr().unwrap())), "{line}");
    let id = line.split(':').next().unwrap();
    assert!(proxy.ask(&format!("show sess {id}")).contains("frontend=fe, listener=sock-1"));
    assert_eq!(proxy.ask("shutdown session 0x1"), "No such session (use 'show sess').\n");
    proxy.ask(&format!("shutdown session {id}"));
    client.set_read_timeout(Some(wait::LIMIT)).unwrap();
    assert_eq!(client.read(&mut [0; 16]).unwrap(), 0);
}
