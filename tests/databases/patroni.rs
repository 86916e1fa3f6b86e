//! A PostgreSQL pair kept by Patroni: writes follow the primary, no acknowledged row is lost, old sessions are cut.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use testkit::daemon::Daemon;
use testkit::environment::{installed, skip};

use super::postgres_client::Session;
use super::*;

const PRIMARY: (u8, u8) = (11, 12);
const ETCD: u8 = 9;

struct Node {
    name: &'static str,
    host: u8,
    folder: PathBuf,
    patroni: Server,
}

impl Node {
    fn start(net: Net, base: &Path, programs: &Path, name: &'static str, host: u8) -> Self {
        let folder = folder_of("postgres", base, name);
        let (ip, etcd) = (net.ip(host), net.at(ETCD, 2379));
        let text = format!(
            "scope: chapter
name: {name}
restapi: {{listen: '{ip}:8008', connect_address: '{ip}:8008'}}
etcd3: {{host: '{etcd}'}}
bootstrap:
  dcs:
    ttl: 5
    loop_wait: 1
    retry_timeout: 2
    synchronous_mode: true
    postgresql: {{use_pg_rewind: true, parameters: {{fsync: 'off', shared_buffers: 16MB, max_connections: 50, wal_keep_size: 64MB}}}}
  initdb: [{{encoding: UTF8}}, {{locale: C}}, {{auth: trust}}, no-sync]
postgresql:
  listen: '{ip}:5432'
  connect_address: '{ip}:5432'
  data_dir: {data}
  bin_dir: {bin}
  pg_hba: ['local all all trust', 'host all all all trust', 'host replication all all trust']
  parameters: {{unix_socket_directories: {dir}}}
  authentication: {{superuser: {{username: postgres}}, replication: {{username: replicator}}, rewind: {{username: postgres}}}}
watchdog: {{mode: 'off'}}
",
            data = folder.join("data").display(),
            bin = programs.display(),
            dir = folder.display(),
        );
        let file = folder.join("patroni.yml");
        std::fs::write(&file, text).unwrap();
        let mut command = command_as("postgres", "patroni");
        command.arg(&file).current_dir(&folder).env("HOME", &folder);
        let patroni = Server::start(&mut command, &base.join(format!("{name}.log")));
        Node { name, host, folder, patroni }
    }

    /// Ends Patroni and PostgreSQL at once, as a power cut does.
    fn kill(&mut self) {
        self.patroni.kill();
        if let Ok(text) = std::fs::read_to_string(self.folder.join("data/postmaster.pid"))
            && let Some(pid) = text.lines().next().and_then(|line| line.trim().parse().ok())
        {
            // The postmaster's children end with it.
            let _ = nix::sys::signal::kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The newest PostgreSQL's programs.
fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    versions.flatten().map(|entry| entry.path().join("bin")).filter(|bin| bin.join("initdb").exists()).max()
}

fn write(session: &mut (Session, &'static str), number: u64) -> Option<()> {
    let (session, table) = session;
    session.query(&format!("INSERT INTO {table} VALUES ({number})")).map(drop)
}

/// A proxy with the sample on an address of its own, and a writer through it.
struct Side {
    name: &'static str,
    table: &'static str,
    address: SocketAddr,
    _daemon: Daemon,
    writer: Writer,
}

impl Side {
    fn start(net: Net, name: &'static str, program: &Path, host: u8, table: &'static str) -> Self {
        let faster = [("inter 3s fall 3 rise 2", "inter 300ms fall 2 rise 1")];
        let sample = net.sample("postgresql-patroni.cfg", host, &faster);
        let mut daemon = Daemon::proxy(program, &sample).unwrap();
        let address = net.at(host, 5000);
        daemon.await_listening(address).unwrap();
        expect("a table through the proxy", || {
            let mut session = Session::connect(address)?;
            session.query(&format!("CREATE TABLE IF NOT EXISTS {table} (n bigint primary key)"))
        });
        let writer = Writer::start(move || Some((Session::connect(address)?, table)), write);
        Side { name, table, address, _daemon: daemon, writer }
    }
}

#[test]
fn writes_follow_patronis_primary_and_no_acknowledged_row_is_lost() {
    const NAME: &str = "writes_follow_patronis_primary_and_no_acknowledged_row_is_lost";
    let (Some(etcd), Some(programs), Some(_)) =
        (installed("etcd"), postgres_programs(), installed("patroni"))
    else {
        return skip(NAME, "patroni, etcd or postgresql is not installed");
    };
    let net = Net::new(0);
    let base = tempfile::tempdir().unwrap();
    let (client, peer) = (format!("http://{}", net.at(ETCD, 2379)), format!("http://{}", net.at(ETCD, 2380)));
    let mut command = Command::new(etcd);
    command
        .args(["--name", "e", "--data-dir"])
        .arg(base.path().join("etcd"))
        .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &format!("e={peer}")]);
    let _etcd = Server::start(&mut command, &base.path().join("etcd.log"));
    expect("etcd", || http_status(net.at(ETCD, 2379), "GET", "/health").filter(|status| *status == 200));

    let rest = |host| net.at(host, 8008);
    let is = |host, role: &str| http_status(rest(host), "GET", role) == Some(200);
    let mut first = Node::start(net, base.path(), &programs, "pg1", PRIMARY.0);
    expect("the first primary", || is(PRIMARY.0, "/primary").then_some(()));
    let mut second = Node::start(net, base.path(), &programs, "pg2", PRIMARY.1);
    expect("a synchronous standby", || is(PRIMARY.1, "/sync").then_some(()));

    let mut sides = vec![Side::start(net, "proxyd", &proxyd(), 1, "w_proxyd")];
    if let Some(haproxy) = installed("haproxy") {
        sides.push(Side::start(net, "haproxy", &haproxy, 2, "w_haproxy"));
    }

    // A switchover on request; a session that does nothing is cut too.
    let mut idle = Session::connect(sides[0].address).unwrap();
    let switchover = Instant::now();
    let body = format!("{{\"leader\":\"{}\",\"candidate\":\"{}\"}}", first.name, second.name);
    let request = format!(
        "POST /switchover HTTP/1.0\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    expect("the switchover", || {
        ask(rest(PRIMARY.0), request.as_bytes()).filter(|answer| answer.contains(" 200 "))?;
        is(PRIMARY.1, "/primary").then_some(())
    });
    assert!(idle.is_cut_within(LIMIT), "an idle session stayed on the former primary");
    let promoted = Instant::now();
    for side in &sides {
        side.writer.await_writes_after(promoted, 20);
        println!(
            "patroni switchover, {}: {:?} without a write",
            side.name,
            side.writer.gap_after(switchover)
        );
    }

    // The new primary dies as by a power cut; its standby was synchronous, so that nothing acknowledged is lost.
    expect("a synchronous standby again", || is(first.host, "/sync").then_some(()));
    let killed = Instant::now();
    second.kill();
    expect("a primary again", || is(first.host, "/primary").then_some(()));
    let promoted = Instant::now();
    for side in &sides {
        side.writer.await_writes_after(promoted, 20);
        println!(
            "patroni primary killed, {}: {:?} without a write",
            side.name,
            side.writer.gap_after(killed)
        );
    }
    for side in &mut sides {
        let acknowledged = side.writer.end();
        let mut session = expect("the rows", || Session::connect(side.address));
        let rows = session.query(&format!("SELECT n FROM {}", side.table)).unwrap();
        let kept: std::collections::HashSet<u64> = rows.iter().filter_map(|row| row.parse().ok()).collect();
        let lost: Vec<u64> = acknowledged.iter().filter(|number| !kept.contains(number)).copied().collect();
        assert!(lost.is_empty(), "{}: acknowledged and lost: {lost:?}", side.name);
        println!("patroni, {}: {} rows acknowledged, none lost", side.name, acknowledged.len());
    }
    first.kill();
}
