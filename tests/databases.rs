//! The chapter's databases for real, on loopback, behind the sample configurations of `etc/proxyd/samples`: PostgreSQL
//! with Patroni, Redis with Sentinel, MariaDB, nginx; the genuine haproxy does the same beside proxyd where it can.
//!
//! Debian's packages (`scripts/deps databases`) bring the servers; a test whose server is missing skips by name.

#![allow(clippy::unwrap_used, clippy::panic, reason = "it is all test")]
#![allow(clippy::print_stdout, reason = "the gaps are figures to read")]

#[path = "databases/mariadb.rs"]
mod mariadb;
#[path = "databases/nginx.rs"]
mod nginx;
#[path = "databases/patroni.rs"]
mod patroni;
#[path = "databases/postgres_client.rs"]
mod postgres_client;
#[path = "databases/redis.rs"]
mod redis;

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, User};
use testkit::environment::{built, root};
use testkit::wait;

/// Databases take their time to start on a busy machine.
const LIMIT: Duration = Duration::from_secs(60);

/// A loopback network of this test's own: the samples' 10.0.0.N become 127.X.Y.N, with the ports as they are.
#[derive(Clone, Copy, Debug)]
struct Net(u8, u8);

impl Net {
    fn new(salt: u8) -> Self {
        let pid = std::process::id();
        Net(1 + (pid % 250) as u8, (pid / 250 % 63) as u8 * 4 + salt % 4)
    }

    fn ip(self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(127, self.0, self.1, host)
    }

    fn at(self, host: u8, port: u16) -> SocketAddr {
        (self.ip(host), port).into()
    }

    /// A sample with this network's addresses, listening on `host`, its times changed by `changes`.
    fn sample(self, name: &str, host: u8, changes: &[(&str, &str)]) -> String {
        let text = std::fs::read_to_string(root().join("etc/proxyd/samples").join(name)).unwrap();
        let mut text = text
            .replace("10.0.0.", &format!("127.{}.{}.", self.0, self.1))
            .replace("bind *:", &format!("bind {}:", self.ip(host)))
            .replace("    log /dev/log local0\n", "")
            .replace("    log global\n", "")
            .replace("/run/proxyd/admin.sock mode 660", "{dir}/admin.sock");
        for (old, new) in changes {
            assert!(text.contains(old), "{name} has no '{old}'");
            text = text.replace(old, new);
        }
        text
    }
}

/// A database server: a process group of its own, ended with the test.
struct Server(Child);

impl Server {
    fn start(command: &mut Command, log: &Path) -> Self {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::null()).stdout(file.try_clone().unwrap()).stderr(file).process_group(0);
        Server(command.spawn().unwrap())
    }

    fn kill(&mut self) {
        // It may have ended by itself.
        let _ = killpg(Pid::from_raw(self.0.id() as i32), Signal::SIGKILL);
        let _ = self.0.wait();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A command that runs as this user when we are root, because databases refuse to be root.
fn command_as(user: &str, program: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut command = Command::new(program);
    if let (true, Ok(Some(user))) = (nix::unistd::geteuid().is_root(), User::from_name(user)) {
        command.uid(user.uid.as_raw()).gid(user.gid.as_raw());
    }
    command
}

/// A folder below `base` that this user owns.
fn folder_of(user: &str, base: &Path, name: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = base.join(name);
    std::fs::create_dir_all(&path).unwrap();
    std::fs::set_permissions(base, std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o700)).unwrap();
    if let (true, Ok(Some(user))) = (nix::unistd::geteuid().is_root(), User::from_name(user)) {
        std::os::unix::fs::chown(&path, Some(user.uid.as_raw()), Some(user.gid.as_raw())).unwrap();
    }
    path
}

/// Waits for something that must come; `what` names it.
fn expect<T>(what: &str, condition: impl FnMut() -> Option<T>) -> T {
    wait::until(LIMIT, condition).unwrap_or_else(|| panic!("never came: {what}"))
}

/// proxyd, which the tests that use it need built.
fn proxyd() -> PathBuf {
    built("proxyd").unwrap_or_else(|| panic!("proxyd is not built"))
}

/// Sends a request on a connection of its own and reads until the peer closes.
fn ask(address: SocketAddr, request: &[u8]) -> Option<String> {
    ask_within(address, request, Duration::from_secs(10))
}

/// The same, and a peer that says nothing for this long has ended its answer.
fn ask_within(address: SocketAddr, request: &[u8], quiet: Duration) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
    stream.set_read_timeout(Some(quiet)).ok()?;
    stream.write_all(request).ok()?;
    let mut answer = Vec::new();
    let _ = stream.take(1 << 20).read_to_end(&mut answer);
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// The status of an HTTP request without body.
fn http_status(address: SocketAddr, method: &str, path: &str) -> Option<u16> {
    let request = format!("{method} {path} HTTP/1.0\r\nHost: x\r\n\r\n");
    ask(address, request.as_bytes())?.split(' ').nth(1)?.parse().ok()
}

/// One command on an admin socket.
fn admin(socket: &Path, command: &str) -> String {
    let Ok(mut stream) = std::os::unix::net::UnixStream::connect(socket) else { return String::new() };
    let mut answer = String::new();
    let _ = stream.write_all(format!("{command}\n").as_bytes());
    let _ = stream.read_to_string(&mut answer);
    answer
}

/// The servers of a proxy that `show stat` has as UP.
fn up(socket: &Path, proxy: &str) -> Vec<String> {
    let csv = admin(socket, "show stat");
    let rows = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    rows.filter(|row| {
        row.first() == Some(&proxy)
            && !matches!(row.get(1), Some(&"FRONTEND" | &"BACKEND"))
            && row.get(17).is_some_and(|status| status.starts_with("UP"))
    })
    .filter_map(|row| row.get(1).map(|name| (*name).to_owned()))
    .collect()
}

/// A client that writes the numbers 1, 2, 3 … one after the other and remembers which were acknowledged, and when.
struct Writer {
    stop: Arc<AtomicBool>,
    acknowledged: Arc<std::sync::Mutex<Vec<(Instant, u64)>>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Writer {
    /// `connect` makes a session; it writes a number, and an error ends it.
    fn start<S: 'static>(
        connect: impl Fn() -> Option<S> + Send + 'static,
        write: fn(&mut S, u64) -> Option<()>,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let acknowledged = Arc::new(std::sync::Mutex::new(Vec::new()));
        let (ended, noted) = (Arc::clone(&stop), Arc::clone(&acknowledged));
        let thread = std::thread::spawn(move || {
            let mut session = None;
            for number in 1.. {
                if ended.load(Relaxed) {
                    return;
                }
                session = session.or_else(&connect);
                match session.as_mut().and_then(|session| write(session, number)) {
                    Some(()) => noted.lock().unwrap().push((Instant::now(), number)),
                    None => {
                        session = None;
                        std::thread::park_timeout(Duration::from_millis(5));
                    }
                }
                std::thread::park_timeout(Duration::from_millis(2));
            }
        });
        Writer { stop, acknowledged, thread: Some(thread) }
    }

    /// Waits until this many writes went through after a moment.
    fn await_writes_after(&self, moment: Instant, count: usize) {
        expect("writes after the change", || {
            let acknowledged = self.acknowledged.lock().unwrap();
            (acknowledged.iter().filter(|(at, _)| *at > moment).count() >= count).then_some(())
        });
    }

    /// The longest time without an acknowledged write after a moment.
    fn gap_after(&self, moment: Instant) -> Duration {
        let acknowledged = self.acknowledged.lock().unwrap();
        let times: Vec<Instant> = acknowledged.iter().map(|(at, _)| *at).collect();
        let pairs = times.windows(2).filter(|pair| pair[1] > moment);
        pairs.map(|pair| pair[1] - pair[0]).max().unwrap_or_default()
    }

    fn end(&mut self) -> Vec<u64> {
        self.stop.store(true, Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        self.acknowledged.lock().unwrap().iter().map(|(_, number)| *number).collect()
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.stop.store(true, Relaxed);
    }
}
