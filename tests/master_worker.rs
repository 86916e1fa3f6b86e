//! `-W` and `-S`: the master starts, steers and replaces its worker.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test ends with a panic")]

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use testkit::daemon::Daemon;
use testkit::{environment, port, raw, wait};

struct Master {
    daemon: Daemon,
    address: SocketAddr,
}

fn configuration(address: SocketAddr, status: u16) -> String {
    format!(
        "defaults\n  mode http\n  timeout client 5s\n  timeout server 5s\n  timeout connect 5s\nfrontend fe\n  bind \
         {address}\n  http-request return status {status}\n"
    )
}

impl Master {
    fn start() -> Self {
        let address = port::free_tcp().unwrap();
        let text = configuration(address, 200);
        let arguments = ["-W", "-S", "{dir}/master.sock", "-f", "{dir}/haproxy.cfg", "-p", "{dir}/pid"];
        let program = environment::built("proxyd").unwrap();
        let mut daemon = Daemon::start(&program, &arguments, &[("haproxy.cfg", &text)]).unwrap();
        daemon.await_listening(address).unwrap();
        let answers = || UnixStream::connect(daemon.path("master.sock")).is_ok().then_some(());
        wait::until(wait::LIMIT, answers).unwrap();
        Self { daemon, address }
    }

    fn ask(&self, command: &str) -> String {
        let mut stream = UnixStream::connect(self.daemon.path("master.sock")).unwrap();
        stream.set_read_timeout(Some(wait::LIMIT)).unwrap();
        stream.write_all(format!("{command}\n").as_bytes()).unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn worker(&self) -> i32 {
        let processes = self.ask("show proc");
        let line = processes.lines().find(|line| line.contains("worker  ")).unwrap();
        line.split(' ').next().unwrap().parse().unwrap()
    }

    fn status(&self) -> Option<String> {
        let answer =
            raw::exchange(self.address, &[b"GET / HTTP/1.0\r\n\r\n"], Duration::from_secs(5)).ok()?;
        Some(String::from_utf8_lossy(&answer).split(' ').nth(1)?.to_owned())
    }
}

#[test]
fn the_console_lists_processes_and_passes_commands_on() {
    let master = Master::start();
    let pid = master.daemon.pid();
    assert_eq!(std::fs::read_to_string(master.daemon.path("pid")).unwrap().trim(), pid.to_string());
    let processes = master.ask("show proc");
    let row = processes.lines().nth(1).unwrap();
    assert!(row.starts_with(&format!("{pid:<15} master          0 [failed: 0]")), "{processes}");
    let worker = master.worker();
    assert!(master.ask("@1 show info").contains(&format!("Pid: {worker}\n")));
    assert!(master.ask(&format!("@!{worker} show stat")).contains("fe,FRONTEND"));
    assert_eq!(master.ask("@9 show info"), "Can't find the target PID matching the prefix '@9'\n");
    assert!(master.ask("@1; show stat; show info").contains("fe,FRONTEND"));
}

#[test]
fn a_reload_happens_within_the_worker_and_a_bad_file_changes_nothing() {
    let master = Master::start();
    let worker = master.worker();
    std::fs::write(master.daemon.path("haproxy.cfg"), configuration(master.address, 403)).unwrap();
    assert!(master.ask("reload").starts_with("Success=1\n--\n"));
    assert_eq!(master.status().as_deref(), Some("403"));
    std::fs::write(master.daemon.path("haproxy.cfg"), "frontend x\n  bnid :1\n").unwrap();
    let answer = master.ask("reload");
    assert!(answer.starts_with("Success=0\n--\n") && answer.contains("unknown keyword 'bnid'"), "{answer}");
    assert_eq!((master.worker(), master.status().as_deref()), (worker, Some("403")));
    assert!(master.ask("show proc").contains("2 [failed: 1]"));
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_the_log_says_so() {
    let master = Master::start();
    let worker = master.worker();
    kill(Pid::from_raw(worker), Signal::SIGKILL).unwrap();
    let replaced = || (master.status().as_deref() == Some("200")).then_some(());
    wait::until(wait::LIMIT, replaced).unwrap();
    assert_ne!(master.worker(), worker);
    let said = master.daemon.output();
    assert!(said.contains(&format!("Current worker ({worker}) exited with code 137 (SIGKILL)")), "{said}");
}

#[test]
fn the_master_ends_with_its_workers_and_the_status_that_haproxy_has() {
    for (signal, status) in [(Signal::SIGTERM, 0), (Signal::SIGINT, 130), (Signal::SIGUSR1, 0)] {
        let mut master = Master::start();
        master.daemon.signal(signal).unwrap();
        assert_eq!(master.daemon.await_end().unwrap().code(), Some(status), "{signal}");
        assert!(master.status().is_none());
    }
}
