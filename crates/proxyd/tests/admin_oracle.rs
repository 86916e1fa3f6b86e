//! The admin socket's formats beside those of the genuine haproxy (skipped by name where it is not installed).
//!
//! Ours may have more: the dialect is 3.2's, and older programs lack its last columns and figures.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, clippy::print_stderr)] // it is all test

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proxyd::model::{Address, Config, Location, Mode, Proxy, ProxyKind, Server};
use proxyd::proxy::{Process, Snapshot};
use proxyd::services::stats::encode::{self, Encoding, RowEncoder};
use proxyd::services::stats::walk::{Filter, Position};
use proxyd::services::stats::{collect, info};

/// The genuine program with two checked and unchecked servers and an admin socket.
struct Genuine {
    child: Child,
    directory: tempfile::TempDir,
}

impl Genuine {
    fn start() -> Option<Self> {
        let program =
            ["/usr/sbin/haproxy", "/usr/local/sbin/haproxy"].into_iter().find(|p| Path::new(p).exists());
        let Some(program) = program else {
            println!("skipped: haproxy is not installed");
            return None;
        };
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("s");
        let configuration = format!(
            "global\n  stats socket {} level admin\ndefaults\n  mode http\n  timeout connect 1s\n  timeout client 1s\n  \
             timeout server 1s\nfrontend f\n  bind unix@{}/f\n  use_backend b\nbackend b\n  server s1 \
             127.0.0.1:1 weight 3\n  server s2 127.0.0.1:1 disabled backup\n",
            socket.display(),
            directory.path().display()
        );
        let file = directory.path().join("cfg");
        std::fs::write(&file, configuration).unwrap();
        let child = Command::new(program)
            .args(["-db", "-q", "-f"])
            .arg(&file)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Some(Self { child, directory })
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("s")
    }

    /// The answer to one line; waits until the socket is there.
    fn ask(&self, line: &str) -> String {
        let deadline = Instant::now() + Duration::from_secs(20);
        loop {
            // While it starts there is no socket, then one that it exchanges for its own.
            match exchange(&self.socket(), line) {
                Ok(answer) if !answer.is_empty() => return answer,
                outcome => assert!(Instant::now() < deadline, "haproxy did not start: {outcome:?}"),
            }
            std::thread::yield_now();
        }
    }
}

impl Drop for Genuine {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn exchange(socket: &Path, line: &str) -> std::io::Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.write_all(format!("{line}\n").as_bytes())?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    Ok(answer)
}

/// The same configuration in ours.
fn snapshot() -> Snapshot {
    let mut frontend = Proxy::new(ProxyKind::Frontend, "f", Location::default());
    (frontend.numeric_id, frontend.mode) = (2, Mode::Http);
    let mut backend = Proxy::new(ProxyKind::Backend, "b", Location::default());
    (backend.numeric_id, backend.mode) = (3, Mode::Http);
    for (number, name) in (1..).zip(["s1", "s2"]) {
        let mut server = Server::new(name, Address::Inet(([127, 0, 0, 1], 1).into()), Location::default());
        server.numeric_id = number;
        backend.servers.push(server);
    }
    backend.servers[0].weight = 3;
    (backend.servers[1].disabled, backend.servers[1].backup) = (true, true);
    frontend.default_backend = Some(proxyd::model::ProxyId(1));
    Snapshot::build(
        &Config { proxies: vec![frontend, backend], ..Config::default() },
        &Arc::new(Process::new(2, 1000)),
    )
}

fn stat(encoding: Encoding) -> String {
    let mut out = String::new();
    let mut encoder = RowEncoder::begin(encoding, false, &mut out);
    let snapshot = snapshot();
    let (filter, clock) = (Filter::default(), collect::Clock::of(&snapshot));
    let mut at = Position::default();
    while let Some(row) = at.next_row(&snapshot, &filter, &clock) {
        encoder.row(&row, &mut out);
    }
    encoder.end(&mut out);
    out
}

/// `F.2.0.4.scur.1:MGP:u32` without the value.
fn typed_shape(text: &str) -> Vec<String> {
    text.lines()
        .filter(|line| !line.is_empty())
        .map(|line| line.splitn(4, ':').take(3).collect::<Vec<_>>().join(":"))
        .collect()
}

#[test]
fn columns_are_haproxys_in_its_order() {
    let Some(genuine) = Genuine::start() else { return };
    let theirs = genuine.ask("show stat");
    let theirs: Vec<&str> =
        theirs.lines().next().unwrap().split(',').take_while(|name| *name != "-").collect();
    let ours = stat(Encoding::Plain);
    let ours: Vec<&str> = ours.lines().next().unwrap().split(',').collect();
    assert_eq!(ours[..theirs.len()], theirs);
    assert_eq!(ours[theirs.len()..theirs.len() + 1], ["srid"], "3.2 goes on where 2.6 ends");
}

#[test]
fn csv_rows_have_haproxys_values() {
    let Some(genuine) = Genuine::start() else { return };
    let theirs = genuine.ask("show stat");
    let ours = stat(Encoding::Plain);
    let header: Vec<&str> = ours.lines().next().unwrap().split(',').collect();
    assert_eq!(theirs.lines().filter(|line| !line.is_empty()).count(), ours.lines().count());
    // What depends on the machine, the moment and the limits.
    let varies = ["slim", "lastchg", "downtime"];
    for (theirs, ours) in theirs.lines().zip(ours.lines()).skip(1) {
        let fields = theirs.split(',').zip(ours.split(',')).zip(&header).take(102);
        for ((theirs, ours), column) in fields.filter(|(_, column)| !varies.contains(column)) {
            assert_eq!(ours, theirs, "{column} of {}", ours);
        }
    }
}

#[test]
fn typed_statistics_have_haproxys_places_tags_and_types() {
    let Some(genuine) = Genuine::start() else { return };
    let theirs = typed_shape(&genuine.ask("show stat typed"));
    let ours = typed_shape(&stat(Encoding::Typed));
    // Theirs goes on with the columns of its modules, ours with those of 3.2, behind place 102.
    let common = |line: &&String| line.split('.').nth(3).unwrap().parse::<u32>().unwrap() <= 102;
    assert_eq!(
        ours.iter().filter(common).collect::<Vec<_>>(),
        theirs.iter().filter(common).collect::<Vec<_>>()
    );
}

#[test]
fn process_figures_are_haproxys_in_its_order() {
    let Some(genuine) = Genuine::start() else { return };
    let program = info::Program { version: "3.2.0".into(), release_date: "2025/05/28".into() };
    let mut ours = String::new();
    encode::info(&info::collect(&snapshot(), &program), Encoding::Typed, false, &mut ours);
    // 2.6 wrote this name with a mistake that later versions corrected.
    let theirs = genuine.ask("show info typed").replace("TotalSplicdedBytesOut", "TotalSplicedBytesOut");
    let (ours, theirs) = (typed_shape(&ours), typed_shape(&theirs));
    assert_eq!(ours[..theirs.len()], theirs);
}

#[test]
fn json_has_haproxys_shape() {
    let Some(genuine) = Genuine::start() else { return };
    let theirs: serde_json::Value = serde_json::from_str(&genuine.ask("show stat json")).unwrap();
    let ours: serde_json::Value = serde_json::from_str(&stat(Encoding::Json)).unwrap();
    let mut first = theirs[0][2].clone();
    first["value"]["value"] = ours[0][2]["value"]["value"].clone();
    assert_eq!(ours[0][2], first);
}
