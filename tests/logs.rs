//! Where log lines go: rings and their servers, log backends, `log-forward` sections, log profiles; and that whoever
//! does not read costs lines, never a request's time. Formats of forwarded messages beside the genuine program.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use testkit::daemon::Daemon;
use testkit::log_catcher::LogCatcher;
use testkit::{environment, oracle, port, raw, wait};

const DEFAULTS: &str = "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\n  option dontlognull\n";

struct Proxy {
    daemon: Daemon,
    address: SocketAddr,
}

impl Proxy {
    /// `@LISTEN@` in the configuration becomes [`Self::address`]; an admin socket is added.
    fn start(configuration: &str) -> Self {
        let address = port::free_tcp().unwrap();
        let text =
            format!("global\n  stats socket {{dir}}/admin.sock level admin\n  nbthread 1\n{configuration}")
                .replace("@LISTEN@", &address.to_string());
        let program = environment::built("proxyd").unwrap();
        let files = [("haproxy.cfg", text.as_str())];
        let mut daemon = Daemon::start(&program, &["-db", "-f", "{dir}/haproxy.cfg"], &files).unwrap();
        if configuration.contains("@LISTEN@") {
            daemon.await_listening(address).unwrap();
        }
        Self { daemon, address }
    }

    fn ask(&self, command: &str) -> String {
        let mut stream =
            wait::until(wait::LIMIT, || UnixStream::connect(self.daemon.path("admin.sock")).ok()).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn get(&self, path: &str) {
        let request = format!("GET {path} HTTP/1.0\r\n\r\n");
        let answer = raw::exchange(self.address, &[request.as_bytes()], wait::LIMIT).unwrap();
        assert!(answer.starts_with(b"HTTP/1."), "{}", String::from_utf8_lossy(&answer));
    }
}

fn line(catcher: &LogCatcher) -> String {
    catcher.line(wait::LIMIT).unwrap().expect("a line within the time")
}

/// Reads from one connection until `enough`.
fn read_until(stream: &mut TcpStream, enough: impl Fn(&str) -> bool) -> String {
    stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
    let (mut text, mut buffer) = (String::new(), [0; 4096]);
    while !enough(&text) {
        let length = stream.read(&mut buffer).unwrap();
        assert!(length > 0, "ended after {text:?}");
        text.push_str(&String::from_utf8_lossy(&buffer[..length]));
    }
    text
}

#[test]
fn a_ring_is_shown_and_sent_to_its_servers_in_their_framing() {
    let (counted, lines) =
        (TcpListener::bind("127.0.0.1:0").unwrap(), TcpListener::bind("127.0.0.1:0").unwrap());
    let proxy = Proxy::start(&format!(
        "{DEFAULTS}ring r1\n  description \"My ring\"\n  format priority\n  maxlen 200\n  size 20000\n  timeout connect 2s\n  \
         timeout server 2s\n  server a {} log-proto octet-count\n  server b {}\n  backing-file {{dir}}/ring\n\
         frontend fe\n  bind @LISTEN@\n  log ring@r1 local0\n  log-format \"seen %HP\"\n  http-request return status 200\n",
        counted.local_addr().unwrap(),
        lines.local_addr().unwrap()
    ));
    proxy.get("/one");
    proxy.get("/two");
    let (mut first, _) = counted.accept().unwrap();
    let (mut second, _) = lines.accept().unwrap();
    assert_eq!(read_until(&mut first, |text| text.contains("/two")), "14 <134>seen /one14 <134>seen /two");
    assert_eq!(read_until(&mut second, |text| text.ends_with("/two\n")), "<134>seen /one\n<134>seen /two\n");
    assert_eq!(proxy.ask("show events r1"), "<134>seen /one\n<134>seen /two\n\n");
    assert!(proxy.ask("show events").contains("    r1         : type=buffer, 0 dropped, My ring\n"));
    let file = wait::until(wait::LIMIT, || {
        std::fs::read_to_string(proxy.daemon.path("ring")).ok().filter(|text| text.contains("/two"))
    });
    assert!(file.unwrap().starts_with("<134>seen /one\n<134>seen /two\n\0"));
    // A server that comes back gets what it missed.
    drop((first, second));
    proxy.get("/three");
    let (mut again, _) = lines.accept().unwrap();
    assert!(read_until(&mut again, |text| text.contains("/three")).ends_with("<134>seen /three\n"));
}

#[test]
fn a_log_server_that_does_not_read_costs_lines_and_no_time() {
    let stuck = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&format!(
        "{DEFAULTS}frontend fe\n  bind @LISTEN@\n  log tcp@{} len 8192 local0\n  log-format \"%{{+Q}}r %[str({})]\"\n  \
         http-request return status 200\n",
        stuck.local_addr().unwrap(),
        "x".repeat(4000)
    ));
    let began = Instant::now();
    let mut client = TcpStream::connect(proxy.address).unwrap();
    client.set_read_timeout(Some(wait::LIMIT)).unwrap();
    let mut answers = 0;
    let mut buffer = [0; 65536];
    // Far more than the ring and the sockets' buffers hold.
    const REQUESTS: usize = 4000;
    for _ in 0..REQUESTS / 50 {
        client.write_all("GET / HTTP/1.1\r\nhost: a\r\n\r\n".repeat(50).as_bytes()).unwrap();
        let mut text = String::new();
        while text.matches("HTTP/1.1 200").count() < 50 {
            let length = client.read(&mut buffer).unwrap();
            text.push_str(&String::from_utf8_lossy(&buffer[..length]));
        }
        answers += 50;
    }
    assert_eq!(answers, REQUESTS);
    assert!(began.elapsed() < wait::LIMIT, "the log holds requests up: {:?}", began.elapsed());
    let lost = || {
        let info = proxy.ask("show info");
        info.lines().find_map(|line| line.strip_prefix("DroppedLogs: ")?.parse::<u64>().ok()).unwrap()
    };
    assert!(lost() > 0, "what does not fit is counted");
}

#[test]
fn a_log_backend_balances_and_fails_over() {
    let catchers: Vec<LogCatcher> = (0..3).map(|_| LogCatcher::new().unwrap()).collect();
    let at = |index: usize| catchers[index].address().unwrap();
    let stream = TcpListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(&format!(
        "{DEFAULTS}frontend fe\n  bind @LISTEN@\n  log-format \"%HP\"\n  log backend@sticky format raw local0\n  log backend@hash \
         format raw local0\n  log backend@stream format raw local0\n  http-request return status 200\nbackend sticky\n  mode log\n  \
         balance sticky\n  server s1 udp@{}\n  server s2 udp@{}\nbackend hash\n  mode log\n  balance log-hash 'field(2,/)'\n  \
         hash-type map-based none\n  server h1 udp@{}\n  server h2 udp@127.0.0.1:9\nbackend stream\n  mode log\n  server t1 tcp@{} \
         log-proto octet-count log-bufsize 32k\n",
        at(0),
        at(1),
        at(2),
        stream.local_addr().unwrap()
    ));
    for path in ["/0", "/1", "/2"] {
        proxy.get(path);
    }
    let three = |index: usize| [line(&catchers[index]), line(&catchers[index])];
    assert_eq!((three(0), line(&catchers[0])), (["/0".into(), "/1".into()], "/2".into()));
    assert_eq!(three(2), ["/0", "/2"], "the key is a number, odd ones belong to the other server");
    let (mut server, _) = stream.accept().unwrap();
    assert_eq!(read_until(&mut server, |text| text.ends_with("/2")), "2 /02 /12 /2");
    proxy.ask("disable server sticky/s1");
    proxy.get("/3");
    assert_eq!(line(&catchers[1]), "/3");
    proxy.ask("enable server sticky/s1");
    proxy.get("/4");
    assert_eq!(line(&catchers[1]), "/4", "the sticky server stays until it goes down");
}

#[test]
fn log_forward_takes_both_framings_and_knows_the_host_strategies() {
    let catcher = LogCatcher::new().unwrap();
    let to = catcher.address().unwrap();
    let (keep, append, plain) =
        (port::free_tcp().unwrap(), port::free_tcp().unwrap(), port::free_tcp().unwrap());
    let proxy = Proxy::start(&format!(
        "log-forward keep\n  bind {keep}\n  log {to} format rfc3164 local7 notice\n  option host keep\nlog-forward append\n  bind \
         {append}\n  log {to} local7\n  option host append\n  maxconn 1\n  timeout client 5s\nlog-forward plain\n  bind {plain}\n  log {to} \
         format raw local7\n  option dont-parse-log\n  option assume-rfc6587-ntf\n"
    ));
    let connect = |to| wait::until(wait::LIMIT, || TcpStream::connect(to).ok()).unwrap();
    let mut stream = connect(keep);
    stream
        .write_all(b"36 <13>Aug  4 05:06:07 host tag: a line<15>Aug  4 05:06:07 host tag: debug\n")
        .unwrap();
    stream.write_all(b"<13>no standard\n").unwrap();
    assert_eq!(line(&catcher), "<13>Aug  4 05:06:07 host tag: a line");
    assert!(line(&catcher).ends_with(" localhost no standard"), "debug is filtered out");
    let mut stream = connect(append);
    stream.write_all(b"<13>Aug  4 05:06:07 host tag: text\n").unwrap();
    assert_eq!(line(&catcher), "<13>Aug  4 05:06:07 host,127.0.0.1 tag: text");
    let mut above = connect(append);
    assert_eq!(above.read(&mut [0; 1]).unwrap_or(0), 0, "'maxconn 1'");
    let mut stream = connect(plain);
    stream.write_all(b"12 <13>Aug as it is\n").unwrap();
    assert_eq!(line(&catcher), "12 <13>Aug as it is");
    // No syslog at all: that sender is left, others go on.
    let mut wrong = connect(keep);
    wrong.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    assert_eq!(wrong.read(&mut [0; 1]).unwrap_or(0), 0);
    drop(proxy);
}

/// Messages good and bad; what genuine haproxy 2.6 cuts by mistake (messages without text behind their structured data,
/// escaped quotes, priorities above 191) is not among them.
const MESSAGES: &[&str] = &[
    "<165>Aug  4 05:06:07 mymachine myproc[10]: %% It's time",
    "<165>1 2003-08-04T05:06:07.000003-07:00 host app 77 ID47 [e@1 a=\"x\"][f@2] text [x]",
    "<134>Nov 22 16:00:00 haproxy[123]: text",
    "<13>only a priority",
    "no syslog at all",
    "<13>1 - - app - - - text",
    "<13>1 2003-08-04T05:06:07Z h app - - - text",
    "<13>",
    "<13>Aug  4 05:06:07 ",
    "<13>Aug  4 05:06:07 host",
    "<13>Aug  4 05:06:07 host text without tag",
    "<13>Aug  4 05:06:07 tag: x",
    "<13>Aug 14 05:06:07 host tag[x: y",
    "<013>zero",
    "<13>Aug  4 05:06:07 host tag[12] no colon",
    "<191>Aug  4 05:06:07 host tag[12]: debug\n\n",
    "<13>1 2003-08-04T05:06:07Z h app 1 2 [a b=\"c\"] \u{feff}utf",
    "<13>2003-08-04T05:06:07Z host tag: iso",
    "<13>%Aug  4 05:06:07 host tag: cisco",
    "<13> lead",
];

/// Today's date in either shape becomes `NOW`.
fn without_now(line: &str) -> String {
    let is_time = |word: &str| word.len() == 8 && word.bytes().filter(|byte| *byte == b':').count() == 2;
    let mut out: Vec<String> = Vec::new();
    for word in line.split(' ') {
        let is_iso =
            word.contains("T") && word.contains('.') && word.starts_with("20") && !word.starts_with("2003");
        let is_today = is_time(word) && word != "05:06:07" && word != "16:00:00" && out.len() >= 2;
        if is_today {
            let month = out.len() - 2;
            let priority =
                out[month].split_once('>').map_or(String::new(), |(priority, _)| format!("{priority}>"));
            out.truncate(month);
            out.push(format!("{priority}NOW"));
        } else if let Some((priority, _)) =
            word.split_once('>').filter(|(_, rest)| is_iso || rest.starts_with("2026-1"))
        {
            out.push(format!("{priority}>NOW"));
        } else {
            out.push(if is_iso { "NOW".to_owned() } else { word.to_owned() });
        }
    }
    out.join(" ")
}

#[test]
fn forwarded_messages_look_as_the_genuine_program_makes_them() {
    let Some(programs) = oracle::proxies("forwarded_messages_look_as_the_genuine_program_makes_them") else {
        return;
    };
    let formats = ["", "rfc3164", "rfc5424", "local", "raw", "short", "priority", "timed", "iso"];
    let results = programs.map(|program| {
        let catchers: Vec<LogCatcher> = formats.iter().map(|_| LogCatcher::new().unwrap()).collect();
        let port = port::free_udp().unwrap();
        let mut text =
            format!("global\n  nbthread 1\n  log 127.0.0.1:9 local0\nlog-forward all\n  dgram-bind {port}\n");
        if program.ends_with("proxyd") {
            // What the genuine 2.6 does; newer ones know the option and fill in the sender.
            text.push_str("  option host keep\n");
        }
        for (format, catcher) in formats.iter().zip(&catchers) {
            let format = if format.is_empty() { String::new() } else { format!("format {format}") };
            text.push_str(&format!("  log {} {format} local7\n", catcher.address().unwrap()));
        }
        let _daemon = Daemon::proxy(&program, &text).unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        // The socket is there as soon as a message comes through.
        let up = wait::until(wait::LIMIT, || {
            sender.send_to(b"<13>up", port).ok()?;
            catchers[0].line(Duration::from_millis(100)).ok()?
        });
        assert!(up.is_some());
        for message in MESSAGES {
            sender.send_to(message.as_bytes(), port).unwrap();
        }
        catchers.map_lines()
    });
    let [ours, genuine] = results;
    for (format, (ours, genuine)) in formats.iter().zip(ours.iter().zip(&genuine)) {
        for (message, (ours, genuine)) in MESSAGES.iter().zip(ours.iter().zip(genuine)) {
            assert_eq!(ours, genuine, "{message:?} as {format:?}");
        }
    }
}

trait MapLines {
    fn map_lines(&self) -> Vec<Vec<String>>;
}

impl MapLines for Vec<LogCatcher> {
    /// The lines of [`MESSAGES`] at each catcher, without what came before.
    fn map_lines(&self) -> Vec<Vec<String>> {
        let lines_of = |catcher: &LogCatcher| {
            let lines = std::iter::from_fn(|| Some(without_now(&line(catcher)).trim_end().to_owned()));
            let is_probe = |line: &String| line.ends_with("up");
            lines.skip_while(is_probe).take(MESSAGES.len()).collect()
        };
        self.iter().map(lines_of).collect()
    }
}

#[test]
fn profiles_steps_and_rules_decide_what_is_logged_when() {
    let [plain, profiled] = [LogCatcher::new().unwrap(), LogCatcher::new().unwrap()];
    let proxy = Proxy::start(&format!(
        "{DEFAULTS}log-profile p\n  log-tag custom\n  on request drop\n  on close format \"close %ST\"\n  on error format \"error %ST\"\n  \
         on http-req format \"rule %[var(txn.a)]\"\n  on any sd \"[any@1]\"\nlog-profile other\n  on http-req format \"other\"\nfrontend \
         fe\n  bind @LISTEN@\n  log {} format raw local0\n  log {} format rfc5424 profile p local0\n  log-format \"%OG %HP\"\n  \
         log-format-sd \"[sd@1 st=\\\"%ST\\\"]\"\n  log-steps accept,request,response,close\n  http-request set-var(txn.a) str(before)\n  \
         http-request do-log if {{ path /rule }}\n  http-request set-var(txn.a) str(after)\n  http-request do-log profile other if {{ \
         path /other }}\n  http-request return status 500 if {{ path /error }}\n  http-request return status 200\n",
        plain.address().unwrap(),
        profiled.address().unwrap()
    ));
    let all = |catcher: &LogCatcher, last: &str| {
        let mut lines = Vec::new();
        while lines.last().is_none_or(|line: &String| !line.contains(last)) {
            lines.push(line(catcher));
        }
        lines
    };
    proxy.get("/rule");
    let lines = all(&plain, "close");
    // The connection that found the port open is the first.
    let ours = lines.iter().position(|line| line == "http-req /rule").unwrap();
    assert_eq!(&lines[ours..], ["http-req /rule", "close /rule"], "{lines:?}");
    assert!(lines.iter().any(|line| line.starts_with("accept")));
    let lines = all(&profiled, "close 200");
    let rule = lines.iter().find(|line| line.contains("rule ")).unwrap();
    assert!(rule.contains(" custom ") && rule.ends_with(" - [sd@1 st=\"-1\"] rule before"), "{rule}");
    let close = lines.last().unwrap();
    assert!(close.ends_with("[sd@1 st=\"200\"] close 200"), "{close}");
    let accept = &lines[0];
    assert!(accept.contains(" - [any@1] accept"), "{accept}");
    proxy.get("/other");
    assert!(all(&profiled, "close 200").iter().any(|line| line.ends_with("] other")));
    proxy.get("/error");
    assert!(all(&profiled, "error 500").last().unwrap().ends_with("error 500"));
}

#[test]
fn samples_levels_and_lengths_choose_lines() {
    let [sampled, errors, short] =
        [LogCatcher::new().unwrap(), LogCatcher::new().unwrap(), LogCatcher::new().unwrap()];
    let proxy = Proxy::start(&format!(
        "{DEFAULTS}frontend fe\n  bind @LISTEN@\n  option log-separate-errors\n  log {} format raw sample 1,3:3 local0\n  log {} \
         format priority local1 err err\n  log {} len 80 format raw local0\n  log-format \"%HU\"\n  http-request return status 503 if {{ path /bad }}\n  \
         http-request return status 200\n",
        sampled.address().unwrap(),
        errors.address().unwrap(),
        short.address().unwrap()
    ));
    for path in ["/1", "/2", "/3", "/4", "/5", "/bad"] {
        proxy.get(path);
    }
    let got: Vec<String> = (0..4).map(|_| line(&sampled)).collect();
    assert_eq!(got, ["/1", "/3", "/4", "/bad"]);
    assert_eq!(line(&errors), "<139>/bad", "facility local1, level err");
    proxy.get(&format!("/{}", "y".repeat(200)));
    let long = short.find(wait::LIMIT, |line| line.contains("yy")).unwrap().unwrap();
    assert_eq!(long.len(), 80);
}
