//! What the admin socket answers, byte for byte beside the genuine haproxy on the same configuration.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use testkit::daemon::Daemon;
use testkit::{environment, port, wait};

const CONFIGURATION: &str = "global
  stats socket {dir}/admin level admin
  stats socket {dir}/user level user mode 600
  node mynode
  description some text
  maxconn 200
  nbthread 1
  setenv FOO bar
defaults
  mode http
  timeout client 5s
  timeout server 5s
  timeout connect 1s
frontend fe
  bind {web}
  maxconn 100
  default_backend be
frontend ftcp
  mode tcp
  bind {tcp} name lis
  default_backend bt
backend be
  balance roundrobin
  cookie SRV insert indirect
  server s1 127.0.0.1:9 weight 10 cookie a check inter 100s
  server s2 127.0.0.1:9 weight 20 maxconn 5 backup
  server s3 127.0.0.1:9 disabled
backend bt
  mode tcp
  balance leastconn
  server t1 127.0.0.1:9
  server t2 127.0.0.1:9 track be/s1
backend empty
  mode http
";

/// Lines of input, in order: later ones see what earlier ones did. `U:` is for the user's socket.
const LINES: &[&str] = &[
    "show backend",
    "show servers state nosuch",
    "show servers conn nosuch",
    "show table",
    "show table foo",
    "show env FOO",
    "show env NOPE",
    "show cli level",
    "U:show cli level",
    "U:disable server be/s1",
    "U:show env FOO",
    "U:show errors",
    "set severity-output number;disable server be/nope",
    "set severity-output string;disable server be/nope",
    "set severity-output foo",
    "set severity-output",
    "set server be/s1",
    "set server be",
    "set server nope/s1 state ready",
    "set server be/s1 state foo",
    "set server be/s1 weight",
    "set server be/s1 addr",
    "set server be/s1 addr foo",
    "set server be/s1 addr 127.0.0.1",
    "set server be/s1 addr 127.0.0.1 port 9",
    "set server be/s1 addr 127.0.0.2 port 19",
    "set server be/s1 addr 127.0.0.2 port +19",
    "set server be/s1 addr 127.0.0.2 port foo",
    "set server be/s1 addr 127.0.0.1 port 9",
    "set server be/s1 fqdn foo",
    "set server be/s1 fqdn",
    "set server be/s1 ssl on",
    "set server be/s1 check-port foo",
    "set server be/s1 check-addr foo",
    "set server be/s2 check-port 9",
    "set server be/s1 agent up",
    "set server be/s1 agent-addr 127.0.0.1",
    "set server be/s1 agent-port 99",
    "set server be/s1 agent-send foo",
    "set server be/s1 health foo",
    "set server bt/t2 health up",
    "set server be/s1 name foo",
    "get weight be/s1",
    "get weight be",
    "get weight be/nope",
    "set weight be/s1",
    "set weight be/s1 300",
    "set weight be/s1 50%;get weight be/s1",
    "set weight be/s1 100%",
    "set maxconn server be/s1",
    "set maxconn server be/s1 foo",
    "set maxconn server be/s1 10",
    "set maxconn frontend fe",
    "set maxconn frontend nope 10",
    "set maxconn frontend fe 50",
    "set maxconn global",
    "set maxconn global 150",
    "set rate-limit",
    "set rate-limit connections global 5",
    "set rate-limit connections",
    "set rate-limit connections foo",
    "set rate-limit sessions global 0;set rate-limit connections global 0",
    "set timeout",
    "set timeout cli",
    "set timeout cli foo",
    "set timeout cli 10",
    "disable frontend",
    "disable frontend nope",
    "disable frontend fe;disable frontend fe",
    "enable frontend fe;enable frontend fe",
    "disable health be/s1;enable health be/s1",
    "enable health be/s2",
    "disable agent be/s1",
    "enable agent be/s1",
    "disable server be",
    "disable server be/s1",
    "enable server be/s1",
    "shutdown session",
    "shutdown session 0xdead",
    "shutdown sessions server be/nope",
    "shutdown frontend nope",
    "show errors nosuch",
    "trace foo",
    "show peers",
    "show peers foo",
    "show cache",
    "show resolvers foo",
    "show map foo",
    "show map #0",
    "get map foo bar",
    "add map foo bar baz",
    "add acl foo bar",
    "del map foo bar",
    "clear map foo",
    "clear acl",
    "clear map",
    "prepare map foo",
    "commit map @1 foo",
    "set map foo bar baz",
    "clear table foo",
    "clear table",
    "set table foo key 1",
    "clear counters",
    "clear counters all",
    "get var proc.foo",
    "get var",
    "get var txn.foo",
    "set var proc.foo int(5)",
    "experimental-mode on;set var proc.foo int(5);get var proc.foo",
    "experimental-mode on;set var proc.foo expr str(ab);get var proc.foo",
    "experimental-mode on;set var proc.foo fmt a%[int(3)]b\\ c;get var proc.foo",
    "experimental-mode on;set var proc.foo bool(true);get var proc.foo",
    "experimental-mode on;set var proc.foo ipv4(1.2.3.4);get var proc.foo",
    "experimental-mode on;set var foo int(5)",
    "experimental-mode on;set var proc.foo",
    "experimental-mode on;set var txn.foo int(5)",
    "experimental-mode on;set var",
    "expert-mode",
    "experimental-mode",
    "debug dev log foo",
    "operator;show cli level",
    "user;show cli level",
    "prompt\nshow cli level;show cli level\nquit",
    "prompt\r\nshow cli level\r\nquit\r",
    "quit",
];

fn ask(socket: &Path, text: &str) -> Option<String> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(wait::LIMIT)).ok()?;
    stream.write_all(format!("{text}\n").as_bytes()).ok()?;
    stream.shutdown(std::net::Shutdown::Write).ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

/// The answers to all lines.
fn answers(program: &Path) -> Vec<String> {
    let addresses = [port::free_tcp().unwrap(), port::free_tcp().unwrap()].map(|address| address.to_string());
    let text = CONFIGURATION.replace("{web}", &addresses[0]).replace("{tcp}", &addresses[1]);
    let daemon = Daemon::proxy(program, &text).unwrap();
    let admin = daemon.path("admin");
    // The first check is over: the server that is checked is down.
    let checked = || ask(&admin, "show stat be 4 1").filter(|answer| answer.contains(",DOWN,"));
    wait::until(wait::LIMIT, checked).unwrap_or_else(|| panic!("{}: {}", program.display(), daemon.output()));
    let answer = |line: &&str| match line.strip_prefix("U:") {
        Some(line) => ask(&daemon.path("user"), line).unwrap(),
        None => ask(&admin, line).unwrap(),
    };
    let mut answers: Vec<String> = LINES.iter().map(answer).collect();
    // Its counters' ages differ, its first columns do not.
    for filter in ["-1 4 -1", "be 4 -1", "-1 1 -1", "4 2 -1", "up", "no-maint"] {
        let table = ask(&admin, &format!("show stat {filter}")).unwrap();
        answers
            .extend(table.lines().skip(1).map(|line| line.split(',').take(23).collect::<Vec<_>>().join(",")));
    }
    answers
}

#[test]
fn answers_are_the_genuine_ones() {
    let Some(genuine) = environment::installed("haproxy") else {
        return environment::skip("answers_are_the_genuine_ones", "haproxy is not installed");
    };
    let ours = answers(&environment::built("proxyd").unwrap());
    let theirs = answers(&genuine);
    let named = LINES.iter().copied().chain(std::iter::repeat("show stat"));
    let differing: Vec<String> = ours
        .iter()
        .zip(&theirs)
        .zip(named)
        .filter(|((ours, theirs), _)| ours != theirs)
        .map(|((ours, theirs), line)| format!("{line:?}\n  ours   {ours:?}\n  theirs {theirs:?}"))
        .collect();
    assert!(differing.is_empty(), "{} of {}:\n{}", differing.len(), ours.len(), differing.join("\n"));
    assert_eq!(ours.len(), theirs.len());
}
